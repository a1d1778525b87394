//! Requests to an endpoint that are made by hand: a sample, and the challenge.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::json;
use tidings_event::{
    Data, Digest, EndpointId, Entity, Event, EventId, EventType, Metadata, PartitionId, Position, Recorded, Salt,
    Sequence, Source, SourceKind, TenantId, TenantNo, Text, Version, violation_code as code,
};
use tidings_store::{EndpointRow, EndpointStatus, EndpointView};
use tokio::time::Instant;

use super::answers::Exchange;
use super::change::Change;
use super::check::Report;
use super::error::EndpointError;
use super::sender::Sender;
use super::types::Who;
use super::{Endpoints, Result, UNVERIFIED};
use crate::FeedEvent;
use crate::append::now;
use crate::egress::{Call, Reply, SendError};
use crate::system::{Fact, Kind};

/// The type of a sample where none is asked for.
const SAMPLE_TYPE: &str = "tidings.endpoint.test";
/// The type of a challenge's body.
const CHALLENGE_TYPE: &str = "tidings.endpoint.challenge";
/// Characters of an answer that a failed challenge repeats.
const SHOWN_CHARS: usize = 200;

impl Endpoints {
    /// Sends a signed sample of an event and shows the whole exchange. The sample's id begins with `test_`, its
    /// sequence is 0, and the log knows nothing of it. Also endpoints that are paused or disabled can be tested.
    pub async fn test(&self, tenant: &TenantId, id: &EndpointId, event_type: Option<String>) -> Result<Exchange> {
        self.check_open()?;
        let event_type = event_type.as_deref().unwrap_or(SAMPLE_TYPE);
        let event_type = EventType::parse(event_type).map_err(|error| {
            let mut report = Report::default();
            report.add("/type", code::TYPE_MALFORMED, error.to_string());
            report.finish().err().unwrap_or(EndpointError::NotFound)
        })?;
        let (place, row) = self.row(tenant, id).await?;
        let sender = self.sender(&row)?;
        let event = FeedEvent::new(sample(&row, event_type));
        self.exchange(place.no, || sender.call(&event, Sequence(0), None, 1, now())).await
    }

    /// Challenges the owner of an endpoint's URL: posts `{"type":"tidings.endpoint.challenge","challenge":"…"}`,
    /// signed like a delivery. The answer must be from 200 to 299, and its body must hold the challenge's text. An
    /// endpoint that waits for this becomes active then; it goes on where it was made.
    pub async fn verify(&self, who: &Who, tenant: &TenantId, id: &EndpointId) -> Result<Exchange> {
        self.check_open()?;
        let (place, row) = self.row(tenant, id).await?;
        let sender = self.sender(&row)?;
        let challenge = URL_SAFE_NO_PAD.encode(crate::dice::bytes::<32>());
        let name = format!("challenge_{}", crate::dice::ulid());
        let body = json!({
            "type": CHALLENGE_TYPE,
            "timestamp": now(),
            "tenant": tenant.as_str(),
            "data": { "endpoint": id.as_str() },
            "challenge": challenge,
        });
        let body = Bytes::from(body.to_string());
        let exchange = self.exchange(place.no, || sender.call_with(&name, body, now())).await?;
        judge(&exchange, &challenge).map_err(|reason| EndpointError::Challenge { reason })?;
        let (who, url) = (who.clone(), row.url);
        let decide = move |view: EndpointView, now| {
            let mut row = view.row.ok_or(EndpointError::NotFound)?;
            if row.url != url {
                return Err(EndpointError::Busy("the URL was changed meanwhile".to_owned()));
            }
            if row.status != EndpointStatus::Disabled || row.status_reason.as_deref() != Some(UNVERIFIED) {
                return Ok(Change::Same(Box::new(row)));
            }
            row.status = EndpointStatus::Active;
            row.status_reason = None;
            row.updated_at = now;
            let data = json!({ "was": UNVERIFIED });
            let facts = vec![Fact::of_endpoint(Kind::EndpointEnabled, Some(&who), &row.tenant, &row.id, data)];
            Ok(Change::Put { row: Box::new(row), lane: None, facts })
        };
        self.change(tenant, place, id, decide).await?;
        Ok(exchange)
    }

    fn sender(&self, row: &EndpointRow) -> Result<Sender> {
        let parts = &self.engine.shared.endpoints;
        Sender::of(row, &parts.secrets, &parts.egress, now()).map(|(sender, _)| sender).map_err(EndpointError::Busy)
    }

    /// Makes a request and waits for its end. Few may be under way at once; one more is turned away. The request is
    /// signed only when its turn has come, as its signature carries the moment.
    async fn exchange(&self, tenant: TenantNo, call: impl FnOnce() -> Call) -> Result<Exchange> {
        let parts = &self.engine.shared.endpoints;
        let busy = || EndpointError::Busy("too many tests and challenges are under way; try again later".to_owned());
        let _turn = parts.exchanges.begin(tenant).ok_or_else(busy)?;
        let call = call();
        let (request_headers, request_body) = (texts(&call.headers), text(&call.body));
        let began = Instant::now();
        let answer = parts.egress.post(call).await;
        let duration_ms = began.elapsed().as_secs_f64() * 1_000.0;
        let mut exchange = Exchange {
            request_headers,
            request_body,
            status: None,
            failure: None,
            message: None,
            response_headers: Vec::new(),
            response_body: String::new(),
            response_truncated: false,
            duration_ms,
        };
        match answer {
            Ok(Reply { status, headers, body, truncated }) => {
                exchange.response_truncated = truncated;
                exchange.status = Some(status.as_u16());
                exchange.response_headers = texts(&headers);
                exchange.response_body = text(&body);
            }
            Err(SendError { failure, message }) => {
                exchange.failure = Some(failure);
                exchange.message = Some(message);
            }
        }
        Ok(exchange)
    }
}

/// Requests that may be under way at once.
const EXCHANGES_MAX: usize = 64;
/// Requests of one tenant that may be under way at once.
const EXCHANGES_OF_TENANT_MAX: usize = 4;

/// Requests that are under way, by tenant.
#[derive(Default)]
pub(crate) struct Exchanges(Mutex<HashMap<TenantNo, usize>>);

/// Holds one of the places until it is dropped.
struct Turn<'a> {
    exchanges: &'a Exchanges,
    tenant: TenantNo,
}

impl Exchanges {
    fn begin(&self, tenant: TenantNo) -> Option<Turn<'_>> {
        let mut under_way = self.0.lock();
        let all: usize = under_way.values().sum();
        let own = under_way.get(&tenant).copied().unwrap_or_default();
        if all >= EXCHANGES_MAX || own >= EXCHANGES_OF_TENANT_MAX {
            return None;
        }
        under_way.insert(tenant, own + 1);
        Some(Turn { exchanges: self, tenant })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut under_way = self.exchanges.0.lock();
        match under_way.get_mut(&self.tenant) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(under_way.remove(&self.tenant)),
        }
    }
}

/// Whether an answer is that of someone who read the challenge; if not, what came instead.
fn judge(exchange: &Exchange, challenge: &str) -> Result<(), String> {
    match (exchange.failure, exchange.status) {
        (Some(failure), _) => {
            let message = exchange.message.as_deref().unwrap_or_default();
            Err(format!("the challenge had no answer ({}): {message}", failure.as_str()))
        }
        (None, Some(200..=299)) if exchange.response_body.contains(challenge) => Ok(()),
        (None, status) => {
            let shown: String = exchange.response_body.chars().take(SHOWN_CHARS).collect();
            let status = status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
            Err(format!("the challenge must be answered by 2xx and its text; the answer was {status} and '{shown}'"))
        }
    }
}

/// An event that never happened.
fn sample(row: &EndpointRow, event_type: EventType) -> Recorded {
    let id = EventId::trusted(format!("test_{}", crate::dice::ulid()));
    let now = now();
    let data = json!({ "test": true, "message": "a sample, sent by hand" }).to_string();
    let event = Event {
        event_type,
        version: Version::first(),
        timestamp: now,
        tenant: row.tenant.clone(),
        project: None,
        source: Source { kind: SourceKind::System, id: Text::trusted("tidings") },
        entity: Some(Entity { kind: Text::trusted("endpoint"), id: Text::trusted(row.id.as_str()) }),
        actor: None,
        data: Data::trusted(data),
        metadata: Metadata { correlation_id: Text::of_id(&id), causation_id: None, context: None, traceparent: None },
        id,
    };
    Recorded {
        event,
        tenant_no: row.tenant_no,
        partition: PartitionId(0),
        position: Position(0),
        sequence: Sequence(0),
        recorded_at: now,
        salt: Salt([0; 16]),
        digest: Digest([0; 32]),
    }
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenants_slow_tests_leave_room_for_those_of_others() {
        let exchanges = Exchanges::default();
        let mut turns: Vec<_> = (0..10).filter_map(|_| exchanges.begin(TenantNo(1))).collect();
        assert_eq!(turns.len(), EXCHANGES_OF_TENANT_MAX);
        for tenant in 2..100 {
            turns.extend(exchanges.begin(TenantNo(tenant)));
        }
        assert_eq!(turns.len(), EXCHANGES_MAX);
        turns.remove(0);
        assert!(exchanges.begin(TenantNo(1)).is_some());
        drop(turns);
        assert!(exchanges.0.lock().is_empty(), "nothing is kept of what has ended");
    }
}
