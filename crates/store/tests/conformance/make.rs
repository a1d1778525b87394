//! Events to store, and the smallest decision that stores them.

use std::collections::HashMap;

use tidings_event::log::{AppendKeys, AppendPlan, AppendView, Receipt, Verdict};
use tidings_event::{
    Data, Digest, Entity, Event, EventId, EventType, Metadata, PartitionId, Position, Recorded, Salt, Sequence, Source,
    SourceKind, TenantId, TenantNo, Text, Timestamp, Version,
};
use tidings_store::{Decide, ReadLimit, Result, Store, TenantRow};

/// Enough for everything that a test reads at once.
pub(crate) const ALL: ReadLimit = ReadLimit { events: 100_000, bytes: usize::MAX };

/// A moment so many microseconds after 2026 began.
pub(crate) fn moment(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000 + micros)
}

pub(crate) fn text(text: &str) -> Text {
    Text::parse(text).expect("a text")
}

/// A small event of the tenant.
pub(crate) fn event(tenant: &str, id: &str) -> Event {
    Event {
        id: EventId::parse(id).expect("an id"),
        event_type: EventType::parse("sales.lead.created").expect("a type"),
        version: Version::first(),
        timestamp: moment(0),
        tenant: TenantId::parse(tenant).expect("a tenant"),
        project: None,
        source: Source { kind: SourceKind::Service, id: text("sales") },
        entity: Some(Entity { kind: text("lead"), id: text("lead_1") }),
        actor: None,
        data: Data::trusted(format!(r#"{{"id":"{id}"}}"#).into_bytes()),
        metadata: Metadata { correlation_id: text(id), causation_id: None, context: None, traceparent: None },
    }
}

/// An event of a type.
pub(crate) fn typed(tenant: &str, id: &str, event_type: &str) -> Event {
    Event { event_type: EventType::parse(event_type).expect("a type"), ..event(tenant, id) }
}

/// An event with this payload.
pub(crate) fn with_data(tenant: &str, id: &str, data: &str) -> Event {
    Event { data: Data::trusted(data.as_bytes().to_vec()), ..event(tenant, id) }
}

/// What an append of these events must ask.
pub(crate) fn keys(tenant: TenantNo, events: &[Event]) -> AppendKeys {
    let ids = events.iter().map(|event| (tenant, event.id.clone())).collect();
    AppendKeys { tenants: vec![tenant], ids, entities: Vec::new() }
}

/// Appends every event whose id is free; the first row is recorded at `at`, or at the head's moment if that is later.
pub(crate) fn plan(view: &AppendView, tenant: TenantNo, events: Vec<Event>, at: Timestamp) -> AppendPlan {
    let events = events.into_iter().map(|event| (tenant, event)).collect();
    plan_many(view, events, at)
}

pub(crate) fn plan_many(view: &AppendView, events: Vec<(TenantNo, Event)>, at: Timestamp) -> AppendPlan {
    let mut sequences: HashMap<TenantNo, Sequence> = view.sequences.clone();
    let mut position = view.position;
    let mut plan = AppendPlan::default();
    let mut receipts = Vec::new();
    for (tenant_no, event) in events {
        if let Some(existing) = view.existing.get(&(tenant_no, event.id.clone())) {
            receipts.push(Receipt { sequence: existing.sequence, duplicate: true });
            continue;
        }
        let sequence = sequences.get_mut(&tenant_no).expect("the tenant's head was asked for");
        *sequence = sequence.next();
        position = position.next();
        receipts.push(Receipt { sequence: *sequence, duplicate: false });
        let mark = u8::try_from(position.get() % 251).expect("a remainder below 251");
        plan.rows.push(Recorded {
            event,
            tenant_no,
            partition: view.partition,
            position,
            sequence: *sequence,
            recorded_at: at.max(view.recorded_at),
            salt: Salt([mark; 16]),
            digest: Digest([mark; 32]),
        });
    }
    plan.verdicts.push(Verdict::Appended(receipts));
    plan
}

/// Places a tenant in the first partition, or finds it where it is.
pub(crate) async fn place(store: &dyn Store, tenant: &str) -> TenantRow {
    place_in(store, tenant, 0).await
}

pub(crate) async fn place_in(store: &dyn Store, tenant: &str, partition: u32) -> TenantRow {
    let tenant = TenantId::parse(tenant).expect("a tenant");
    store.place(&[(tenant, PartitionId(partition))]).await.expect("a place").remove(0)
}

/// Appends events of one tenant and gives the rows that were written.
pub(crate) async fn append(store: &dyn Store, events: Vec<Event>) -> Vec<Recorded> {
    append_at(store, events, moment(1_000)).await
}

pub(crate) async fn append_at(store: &dyn Store, events: Vec<Event>, at: Timestamp) -> Vec<Recorded> {
    let tenant = place(store, events[0].tenant.as_str()).await;
    try_append(store, &tenant, events, at).await.expect("an append").rows
}

pub(crate) async fn try_append(
    store: &dyn Store,
    tenant: &TenantRow,
    events: Vec<Event>,
    at: Timestamp,
) -> Result<AppendPlan> {
    let (no, keys) = (tenant.no, keys(tenant.no, &events));
    let decide: Decide = Box::new(move |view| plan(&view, no, events, at));
    store.append(tenant.partition, keys, decide).await.map(|appended| appended.plan)
}

/// Where a partition ends.
pub(crate) async fn head(store: &dyn Store, partition: u32) -> Position {
    store.heads().await.expect("the heads")[partition as usize].position
}

/// Every row of a partition.
pub(crate) async fn all_of(store: &dyn Store, partition: PartitionId) -> Vec<Recorded> {
    store.tail(partition, Position(0), ALL).await.expect("a tail").events
}

/// The ids of events, in order.
pub(crate) fn ids(events: &[Recorded]) -> Vec<&str> {
    events.iter().map(|row| row.event.id.as_str()).collect()
}
