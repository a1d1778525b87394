//! From an endpoint's row to the requests that are sent to it.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;
use tidings_event::signature::Signer;
use tidings_event::{EndpointId, Sequence, Timestamp, cloudevents};
use tidings_store::EndpointRow;

use super::types::{CloudEventsMode, Format, Kept};
use crate::egress::{Call, Egress, Target};
use crate::secrets::SecretBox;
use crate::{FeedEvent, Pins};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const TIDINGS_SEQUENCE: HeaderName = HeaderName::from_static("tidings-sequence");
const TIDINGS_PREVIOUS: HeaderName = HeaderName::from_static("tidings-previous");
const TIDINGS_ATTEMPT: HeaderName = HeaderName::from_static("tidings-attempt");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CLOUDEVENTS: HeaderValue = HeaderValue::from_static(cloudevents::CONTENT_TYPE);
const AGENT: HeaderValue = HeaderValue::from_static(concat!("tidings/", env!("CARGO_PKG_VERSION")));

/// Headers that are made for every request, at most, but for those of a CloudEvent in binary mode.
const HEADERS_EACH: usize = 8;

/// All that is needed to send to an endpoint, worked out once for each change of it.
pub(crate) struct Sender {
    /// The endpoint's public id.
    pub(crate) id: EndpointId,
    pub(crate) target: Target,
    pub(crate) signer: Signer,
    /// The same in every request.
    pub(crate) headers: HeaderMap,
    pub(crate) format: Format,
    pub(crate) mode: CloudEventsMode,
    pub(crate) timeout: Duration,
    /// In which versions it wants events.
    pub(crate) pins: Pins,
}

impl Sender {
    /// Prepares for an endpoint, and says when it must be prepared anew because a secret ends. Fails where the row
    /// was sealed under another master key, or where its URL is no longer allowed; the text says which.
    pub(crate) fn of(
        row: &EndpointRow,
        secrets: &SecretBox,
        egress: &Egress,
        now: Timestamp,
    ) -> Result<(Self, Option<Timestamp>), String> {
        let Kept { settings, .. } = Kept::of(row)?;
        let target = egress.target(&row.url).map_err(|error| error.to_string())?;
        let (signer, ends) = secrets.open(&row.id, &row.secrets)?.signer(now);
        let mut headers = HeaderMap::with_capacity(settings.headers.len() + 2);
        headers.insert(USER_AGENT, AGENT);
        match (settings.format, settings.cloudevents_mode) {
            (Format::Native, _) => headers.insert(CONTENT_TYPE, JSON),
            (Format::Cloudevents, CloudEventsMode::Structured) => headers.insert(CONTENT_TYPE, CLOUDEVENTS),
            // It comes with the event's own headers.
            (Format::Cloudevents, CloudEventsMode::Binary) => None,
        };
        for (name, value) in &settings.headers {
            let wrong = || format!("the header {name} of {} cannot be sent", row.id);
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?);
        }
        let sender = Self {
            id: row.id.clone(),
            target,
            signer,
            headers,
            format: settings.format,
            mode: settings.cloudevents_mode,
            timeout: Duration::from_millis(settings.timeout_ms.into()),
            pins: Pins::parse(&settings.versions).map_err(|error| error.to_string())?,
        };
        Ok((sender, ends))
    }

    /// The request that delivers an event. `now` is the moment of the attempt; the signature carries it, so a request
    /// is made for one attempt and sent at once.
    pub(crate) fn call(
        &self,
        event: &FeedEvent,
        sequence: Sequence,
        previous: Option<Sequence>,
        attempt: u32,
        now: Timestamp,
    ) -> Call {
        let recorded = &event.recorded;
        let mut extra = Vec::new();
        let body = match (self.format, self.mode) {
            (Format::Native, _) => event.native().clone(),
            (Format::Cloudevents, CloudEventsMode::Structured) => {
                let mut body = Vec::with_capacity(recorded.event.data.as_bytes().len() + 1_024);
                event.write_cloudevent(&mut body);
                Bytes::from(body)
            }
            (Format::Cloudevents, CloudEventsMode::Binary) => {
                extra = event.cloudevent_headers();
                recorded.event.data.bytes()
            }
        };
        let mut headers = self.signed(recorded.event.id.as_str(), &body, now, extra.len());
        for (name, value) in extra {
            // Names are of lower-case letters and values percent-encoded, so both always are what a header may hold.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        headers.insert(TIDINGS_SEQUENCE, HeaderValue::from(sequence.get()));
        if let Some(previous) = previous {
            headers.insert(TIDINGS_PREVIOUS, HeaderValue::from(previous.get()));
        }
        headers.insert(TIDINGS_ATTEMPT, HeaderValue::from(attempt));
        if let Some(traceparent) = &recorded.event.metadata.traceparent
            && let Ok(value) = HeaderValue::from_str(traceparent.as_str())
        {
            headers.insert(TRACEPARENT, value);
        }
        Call { target: self.target.clone(), headers, body, timeout: self.timeout }
    }

    /// A request with any JSON body, signed like a delivery: for what is no event.
    pub(crate) fn call_with(&self, id: &str, body: Bytes, now: Timestamp) -> Call {
        let mut headers = self.signed(id, &body, now, 1);
        headers.insert(CONTENT_TYPE, JSON);
        Call { target: self.target.clone(), headers, body, timeout: self.timeout }
    }

    /// The headers that are always the same and those of Standard Webhooks, with room for more.
    fn signed(&self, id: &str, body: &[u8], now: Timestamp, more: usize) -> HeaderMap {
        let seconds = now.as_micros().div_euclid(1_000_000);
        let signature = self.signer.sign(id, seconds, body);
        let mut headers = HeaderMap::with_capacity(self.headers.len() + HEADERS_EACH + more);
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        headers.insert(WEBHOOK_ID, HeaderValue::from_str(id).expect("an event's id is visible ASCII"));
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(seconds));
        headers.insert(WEBHOOK_SIGNATURE, HeaderValue::try_from(signature).expect("a signature is base64"));
        headers
    }
}

#[cfg(test)]
mod tests {
    use tidings_event::signature::{Secret, Verifier};
    use tidings_event::{
        Data, Digest, EndpointNo, Event, EventId, EventType, Metadata, PartitionId, Position, Recorded, Revision, Salt,
        Source, SourceKind, TenantId, TenantNo, Text, Version,
    };
    use tidings_store::{EndpointStatus, SelectionRow};

    use super::*;
    use crate::endpoints::EndpointSettings;
    use crate::options::EgressOptions;
    use crate::secrets::{KeptSecret, Keyring};

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn event() -> FeedEvent {
        let id = EventId::parse("evt_1").unwrap();
        let event = Event {
            event_type: EventType::parse("sales.lead.created").unwrap(),
            version: Version::first(),
            timestamp: at(1),
            tenant: TenantId::parse("acme").unwrap(),
            project: None,
            source: Source { kind: SourceKind::Service, id: Text::trusted("sales") },
            entity: None,
            actor: Some(Text::trusted("Jürgen")),
            data: Data::trusted(r#"{"a":1}"#),
            metadata: Metadata {
                correlation_id: Text::of_id(&id),
                causation_id: None,
                context: None,
                traceparent: Some(Text::trusted(TRACE)),
            },
            id,
        };
        FeedEvent::new(Recorded {
            event,
            tenant_no: TenantNo(1),
            partition: PartitionId(0),
            position: Position(9),
            sequence: Sequence(7),
            recorded_at: at(2),
            salt: Salt([0; 16]),
            digest: Digest([0; 32]),
        })
    }

    /// A sender, the text of its secret, and when it must be made anew.
    fn sender(settings: EndpointSettings) -> (Sender, String, Option<Timestamp>) {
        let (sealer, secret) = (SecretBox::derive(&[1; 32]), Secret::hmac([2; 32]));
        let text = secret.reveal();
        let mut keyring = Keyring::new(KeptSecret::new(Secret::ed25519([3; 32]), at(0)));
        keyring.rotate(KeptSecret::new(secret, at(0)), at(1_000), at(0));
        let id = EndpointId::parse("ep_00000000000000000000000000").unwrap();
        let row = EndpointRow {
            no: EndpointNo(1),
            secrets: sealer.seal(&id, &keyring),
            id,
            tenant: TenantId::parse("acme").unwrap(),
            tenant_no: TenantNo(1),
            partition: PartitionId(0),
            revision: Revision(1),
            status: EndpointStatus::Active,
            status_reason: None,
            url: "https://example.com/in?a=b".to_owned(),
            selections: vec![SelectionRow { after: Sequence(0), position: Position(0), types: vec![], filter: None }],
            settings: Kept { settings, challenge: false, since: Sequence(0) }.write(),
            created_at: at(0),
            updated_at: at(0),
        };
        let egress = Egress::new(&EgressOptions::default());
        let (sender, ends) = Sender::of(&row, &sealer, &egress, at(500)).unwrap();
        (sender, text, ends)
    }

    fn text<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
        call.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn verify(call: &Call, secret: &str) {
        let header = |name: &str| text(call, name).unwrap();
        let (id, timestamp, signature) =
            (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
        let verifier = Verifier::new([secret]).unwrap();
        verifier.verify(id, timestamp, signature, &call.body, 600).unwrap();
    }

    #[test]
    fn a_delivery_says_which_event_and_attempt_it_is_and_when() {
        let headers = [("x-token".to_owned(), "abc".to_owned()), ("user-agent".to_owned(), "me".to_owned())];
        let settings = EndpointSettings { headers: headers.into(), timeout_ms: 1_234, ..EndpointSettings::default() };
        let (sender, secret, ends) = sender(settings);
        assert_eq!(ends, Some(at(1_000)), "then one of its secrets ends");
        let event = event();
        let call = sender.call(&event, Sequence(7), Some(Sequence(5)), 3, at(600));
        let header = |name| text(&call, name);
        assert_eq!((header("webhook-id"), header("webhook-timestamp")), (Some("evt_1"), Some("600")));
        assert_eq!((header("tidings-sequence"), header("tidings-previous")), (Some("7"), Some("5")));
        assert_eq!((header("tidings-attempt"), header("traceparent")), (Some("3"), Some(TRACE)));
        assert_eq!((header("x-token"), header("user-agent")), (Some("abc"), Some("me")));
        assert_eq!(header("content-type"), Some("application/json"));
        assert_eq!((&call.body, call.timeout), (event.native(), Duration::from_millis(1_234)));
        assert_eq!(header("webhook-signature").unwrap().split(' ').count(), 2, "one for each valid secret");
        verify(&call, &secret);
        let first = sender.call(&event, Sequence(7), None, 1, at(600));
        assert_eq!(text(&first, "tidings-previous"), None);
    }

    #[test]
    fn cloudevents_are_signed_as_they_are_sent() {
        let settings = |mode| EndpointSettings {
            format: Format::Cloudevents,
            cloudevents_mode: mode,
            ..EndpointSettings::default()
        };
        let event = event();
        let (structured, secret, _) = sender(settings(CloudEventsMode::Structured));
        let call = structured.call(&event, Sequence(7), None, 1, at(600));
        assert_eq!(text(&call, "content-type"), Some("application/cloudevents+json"));
        assert!(call.body.starts_with(b"{\"specversion\":\"1.0\""));
        verify(&call, &secret);
        let (binary, secret, _) = sender(settings(CloudEventsMode::Binary));
        let call = binary.call(&event, Sequence(7), None, 1, at(600));
        assert_eq!(text(&call, "content-type"), Some("application/json"));
        assert_eq!((text(&call, "ce-id"), text(&call, "ce-actor")), (Some("evt_1"), Some("J%C3%BCrgen")));
        assert_eq!(&call.body[..], br#"{"a":1}"#);
        verify(&call, &secret);
    }
}
