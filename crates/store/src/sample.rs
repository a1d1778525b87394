//! Events for this crate's own tests, and the smallest decision that stores them.

use tidings_event::log::{AppendKeys, AppendPlan};
use tidings_event::{
    Data, Digest, Event, EventId, EventType, Metadata, PartitionId, Position, Recorded, Salt, Source, SourceKind,
    TenantId, Text, Timestamp, Version,
};

use crate::{Decide, Result, Store};

/// The tenant of all of them.
pub(crate) fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a tenant")
}

/// Events with these ids, each with so many bytes of text in its payload.
pub(crate) fn events(ids: &[&str], bytes: usize) -> Vec<Event> {
    let text = |text: &str| Text::parse(text).expect("a text");
    let one = |id: &&str| Event {
        id: EventId::parse(id).expect("an id"),
        event_type: EventType::parse("a.b").expect("a type"),
        version: Version::first(),
        timestamp: Timestamp::from_micros(0),
        tenant: tenant(),
        project: None,
        source: Source { kind: SourceKind::Service, id: text("s") },
        entity: None,
        actor: None,
        data: Data::trusted(format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes)).into_bytes()),
        metadata: Metadata { correlation_id: text(id), causation_id: None, context: None, traceparent: None },
    };
    ids.iter().map(one).collect()
}

/// Appends them to partition 0, whatever is there already.
pub(crate) async fn append(store: &dyn Store, events: Vec<Event>) -> Result<AppendPlan> {
    let tenant = store.place(&[(tenant(), PartitionId(0))]).await?.remove(0);
    let keys = AppendKeys { tenants: vec![tenant.no], ..AppendKeys::default() };
    let decide: Decide = Box::new(move |view| {
        let (mut position, mut sequence) = (view.position, view.sequences[&tenant.no]);
        let mut plan = AppendPlan::default();
        for event in events {
            (position, sequence) = (position.next(), sequence.next());
            plan.rows.push(Recorded {
                event,
                tenant_no: tenant.no,
                partition: view.partition,
                position,
                sequence,
                recorded_at: view.recorded_at,
                salt: Salt([0; 16]),
                digest: Digest([0; 32]),
            });
        }
        plan
    });
    store.append(PartitionId(0), keys, decide).await.map(|appended| appended.plan)
}

/// Where partition 0 ends.
pub(crate) async fn head(store: &dyn Store) -> Result<Position> {
    store.heads().await.map(|heads| heads[0].position)
}
