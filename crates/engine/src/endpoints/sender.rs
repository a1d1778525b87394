//! From an endpoint's row to the requests that are sent to it.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;
use tidings_event::signature::Signer;
use tidings_event::{Sequence, Timestamp, cloudevents};
use tidings_store::EndpointRow;

use super::types::{CloudEventsMode, Format, Kept};
use crate::FeedEvent;
use crate::egress::{Call, Egress, Target};
use crate::secrets::SecretBox;

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
    pub(crate) target: Target,
    pub(crate) signer: Signer,
    /// The same in every request.
    pub(crate) headers: HeaderMap,
    pub(crate) format: Format,
    pub(crate) mode: CloudEventsMode,
    pub(crate) timeout: Duration,
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
            target,
            signer,
            headers,
            format: settings.format,
            mode: settings.cloudevents_mode,
            timeout: Duration::from_millis(settings.timeout_ms.into()),
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
                cloudevents::write_structured(recorded, &mut body);
                Bytes::from(body)
            }
            (Format::Cloudevents, CloudEventsMode::Binary) => {
                extra = cloudevents::binary_headers(recorded);
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
