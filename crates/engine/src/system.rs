//! Tidings' own events: what happened to endpoints, replays, keys, and who was turned away.
//!
//! They go to the tenant `$system`, and where they are about a tenant's deliveries to the tenant itself. They enter
//! the log like any other, where it can be in the same transaction as the change that they speak of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tidings_core::append::{self as decision, Request};
use tidings_event::limits::TEXT_CHARS_MAX;
use tidings_event::log::AppendKeys;
use tidings_event::{
    Data, EndpointId, Entity, Event, EventId, EventType, Metadata, PartitionId, Source, SourceKind, TenantId, TenantNo,
    Text, Timestamp, Version,
};
use tidings_store::{Append, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::append::{now, prepare};
use crate::endpoints::Who;
use crate::places::Places;
use crate::{Appender, Engine};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    EndpointCreated,
    EndpointUpdated,
    EndpointDeleted,
    EndpointDisabled,
    EndpointEnabled,
    SecretRotated,
    CircuitOpened,
    CircuitClosed,
    DeadLettered,
    ReplayStarted,
    ReplayCancelled,
    ReplayFinished,
    KeyCreated,
    KeyRevoked,
    AccessDenied,
    LimitsChanged,
    TenantMoved,
    CatalogChanged,
    OwnershipViolated,
    QuarantineRedriven,
    QuarantineDiscarded,
}

impl Kind {
    /// The event's type.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::EndpointCreated => "tidings.endpoint.created",
            Self::EndpointUpdated => "tidings.endpoint.updated",
            Self::EndpointDeleted => "tidings.endpoint.deleted",
            Self::EndpointDisabled => "tidings.endpoint.disabled",
            Self::EndpointEnabled => "tidings.endpoint.enabled",
            Self::SecretRotated => "tidings.endpoint.secret_rotated",
            Self::CircuitOpened => "tidings.endpoint.circuit_opened",
            Self::CircuitClosed => "tidings.endpoint.circuit_closed",
            Self::DeadLettered => "tidings.delivery.dead_lettered",
            Self::ReplayStarted => "tidings.replay.started",
            Self::ReplayCancelled => "tidings.replay.cancelled",
            Self::ReplayFinished => "tidings.replay.finished",
            Self::KeyCreated => "tidings.key.created",
            Self::KeyRevoked => "tidings.key.revoked",
            Self::LimitsChanged => "tidings.tenant.limits_changed",
            Self::TenantMoved => "tidings.tenant.moved",
            Self::AccessDenied => "tidings.access.denied",
            Self::CatalogChanged => "tidings.catalog.changed",
            Self::OwnershipViolated => "tidings.catalog.ownership_violated",
            Self::QuarantineRedriven => "tidings.quarantine.redriven",
            Self::QuarantineDiscarded => "tidings.quarantine.discarded",
        }
    }

    /// Whether the tenant whose endpoint it is hears of it, too.
    pub(crate) const fn concerns_tenant(self) -> bool {
        matches!(
            self,
            Self::EndpointDisabled
                | Self::SecretRotated
                | Self::CircuitOpened
                | Self::CircuitClosed
                | Self::DeadLettered
        )
    }
}

/// One thing that happened, before it is an event.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) kind: Kind,
    /// Who did it; none where Tidings did by itself.
    pub(crate) who: Option<Who>,
    /// Whom it is about; none for what belongs to no tenant.
    pub(crate) tenant: Option<TenantId>,
    /// What kind of thing it is about, and which.
    pub(crate) entity: (&'static str, String),
    /// What else there is to say.
    pub(crate) data: Map<String, Value>,
}

impl Fact {
    /// Something that happened to an endpoint. `data` is an object; anything else says nothing.
    pub(crate) fn of_endpoint(
        kind: Kind,
        who: Option<&Who>,
        tenant: &TenantId,
        endpoint: &EndpointId,
        data: Value,
    ) -> Self {
        let mut members = Map::new();
        members.insert("endpoint".to_owned(), json!(endpoint.as_str()));
        if let Value::Object(more) = data {
            members.extend(more);
        }
        let entity = ("endpoint", endpoint.as_str().to_owned());
        Self { kind, who: who.cloned(), tenant: Some(tenant.clone()), entity, data: members }
    }

    /// That a tenant was moved. Nobody stands for a move that broke off and that Tidings finished by itself.
    pub(crate) fn of_move(who: Option<&Who>, tenant: &TenantId, from: PartitionId, to: PartitionId) -> Self {
        let mut data = Map::new();
        data.insert("from".to_owned(), from.0.into());
        data.insert("to".to_owned(), to.0.into());
        let entity = ("tenant", tenant.as_str().to_owned());
        Self { kind: Kind::TenantMoved, who: who.cloned(), tenant: Some(tenant.clone()), entity, data }
    }

    /// That an event was emitted on behalf of the owner of its type. `emitter` is the name of who did.
    pub(crate) fn of_ownership(emitter: &str, who: Option<&Who>, owner: Option<&str>, event: &Event) -> Self {
        let mut data = Map::new();
        data.insert("key".to_owned(), json!(emitter));
        data.insert("type".to_owned(), json!(event.event_type.as_str()));
        data.insert("owner".to_owned(), json!(owner));
        let source = json!({ "type": event.source.kind.as_str(), "id": event.source.id.as_str() });
        data.insert("source".to_owned(), source);
        Self {
            kind: Kind::OwnershipViolated,
            who: who.cloned(),
            tenant: Some(event.tenant.clone()),
            entity: ("key", emitter.chars().take(TEXT_CHARS_MAX).collect()),
            data,
        }
    }

    /// The events that tell of it: one to `$system`, and one to the tenant with `-t` behind the id where it concerns
    /// the tenant. `id` is 1 to 253 visible ASCII characters without a dot; the same id makes the same events.
    pub(crate) fn events(&self, id: &str, at: Timestamp) -> Vec<Event> {
        let system = TenantId::system();
        let mut events = vec![event(self, &system, id, at)];
        if let Some(tenant) = self.tenant.as_ref().filter(|tenant| self.kind.concerns_tenant() && **tenant != system) {
            events.push(event(self, tenant, &format!("{id}-t"), at));
        }
        events
    }
}

/// The event that tells a tenant of a fact.
pub(crate) fn event(fact: &Fact, tenant: &TenantId, id: &str, at: Timestamp) -> Event {
    let mut data = fact.data.clone();
    if let Some(about) = &fact.tenant {
        data.insert("tenant".to_owned(), json!(about.as_str()));
    }
    if let Some(who) = &fact.who {
        data.insert("by".to_owned(), json!({ "key": who.key, "role": who.role.as_str() }));
    }
    Event {
        entity: Some(Entity { kind: Text::trusted(fact.entity.0), id: Text::trusted(fact.entity.1.clone()) }),
        actor: fact.who.as_ref().and_then(|who| Text::parse(&who.key).ok()),
        ..own(fact.kind.as_str(), tenant, id, at, &Value::Object(data))
    }
}

/// An event of Tidings itself. The id is 1 to 255 visible ASCII characters without a dot.
pub(crate) fn own(event_type: &str, tenant: &TenantId, id: &str, at: Timestamp, data: &Value) -> Event {
    let id = EventId::trusted(id);
    Event {
        event_type: EventType::trusted(event_type),
        version: Version::first(),
        timestamp: at,
        tenant: tenant.clone(),
        project: None,
        source: Source { kind: SourceKind::System, id: Text::trusted("tidings") },
        entity: None,
        actor: None,
        data: Data::trusted(data.to_string()),
        metadata: Metadata { correlation_id: Text::of_id(&id), causation_id: None, context: None, traceparent: None },
        id,
    }
}

/// The appends that bring these events into the log, one for each partition, rising; for the transaction of something
/// else.
pub(crate) async fn appends(places: &Places, events: Vec<Event>) -> Result<Vec<Append>> {
    let mut parts: BTreeMap<PartitionId, Vec<Request>> = BTreeMap::new();
    for event in events {
        // Nobody waits here for a tenant that is on its way: a commit that its router makes must not stand still, as the fence
        // tells that router that it is none any more.
        let place = match places.find(&event.tenant).await? {
            Some(place) => place,
            None => places.of(&event.tenant).await?,
        };
        // Each for itself: one whose id is taken must not keep the others out.
        parts.entry(place.partition).or_default().push(Request { events: vec![prepare(event, place.no)] });
    }
    Ok(parts
        .into_iter()
        .map(|(partition, requests)| Append {
            partition,
            keys: decision::keys(&requests),
            decide: Box::new(move |view| decision::plan(view, requests, now())),
        })
        .collect())
}

/// Room for facts that are known only once the change is decided, inside its transaction.
pub(crate) struct Reserved {
    ids: Vec<String>,
    slots: Arc<Mutex<Vec<Event>>>,
}

impl Reserved {
    /// Puts facts into the room that was reserved; what finds no room is left out.
    pub(crate) fn tell(self, facts: &[Fact], at: Timestamp) {
        debug_assert!(facts.len() <= self.ids.len(), "room is reserved for every fact of a change");
        let events = facts.iter().zip(&self.ids).flat_map(|(fact, id)| fact.events(id, at));
        self.slots.lock().extend(events);
    }
}

/// Appends for up to `count` facts about a tenant, which are told while the change is decided. Their places and ids
/// are settled now, as the store asks for both before anything is decided.
pub(crate) async fn reserve(places: &Places, tenant: &TenantId, count: usize) -> Result<(Reserved, Vec<Append>)> {
    let ids: Vec<String> = (0..count).map(|_| crate::dice::ulid().to_string()).collect();
    let slots: Arc<Mutex<Vec<Event>>> = Arc::default();
    let system = TenantId::system();
    let mut parts: BTreeMap<PartitionId, Part> = BTreeMap::new();
    for (who, suffix) in [(&system, ""), (tenant, "-t")] {
        let place = places.of(who).await?;
        let part = parts.entry(place.partition).or_default();
        if part.tenants.iter().all(|(known, _)| known != who) {
            part.tenants.push((who.clone(), place.no));
        }
        part.ids.extend(ids.iter().map(|id| (place.no, EventId::trusted(format!("{id}{suffix}")))));
    }
    let appends = parts
        .into_iter()
        .map(|(partition, Part { tenants, ids })| {
            let slots = slots.clone();
            Append {
                partition,
                keys: AppendKeys { tenants: tenants.iter().map(|(_, no)| *no).collect(), ids, entities: Vec::new() },
                decide: Box::new(move |view| {
                    let requests = slots
                        .lock()
                        .iter()
                        .filter_map(|event| {
                            let (_, no) = tenants.iter().find(|(tenant, _)| *tenant == event.tenant)?;
                            Some(Request { events: vec![prepare(event.clone(), *no)] })
                        })
                        .collect();
                    decision::plan(view, requests, now())
                }),
            }
        })
        .collect();
    Ok((Reserved { ids, slots }, appends))
}

/// What is reserved in one partition.
#[derive(Default)]
struct Part {
    tenants: Vec<(TenantId, TenantNo)>,
    ids: Vec<(TenantNo, EventId)>,
}

/// Keys about whose refusals is remembered that they were told.
const DENIED_KEYS_MAX: u64 = 10_000;
/// How often refusals of one key are told.
const DENIED_EVERY: Duration = Duration::from_secs(60);
/// Refusals that may be on their way into the log at once; further ones are not told.
const DENIED_AT_ONCE: usize = 8;

/// Which refusals were told lately.
pub(crate) struct Refusals {
    told: Cache<String, ()>,
    room: Arc<Semaphore>,
}

impl Default for Refusals {
    fn default() -> Self {
        let told = Cache::builder().max_capacity(DENIED_KEYS_MAX).time_to_live(DENIED_EVERY).build();
        Self { told, room: Arc::new(Semaphore::new(DENIED_AT_ONCE)) }
    }
}

impl Refusals {
    /// Whether a refusal shall be told: one a minute and key, and only while there is room.
    pub(crate) fn take(&self, key: &str) -> Option<OwnedSemaphorePermit> {
        if self.told.contains_key(key) {
            return None;
        }
        let permit = self.room.clone().try_acquire_owned().ok()?;
        self.told.entry_by_ref(key).or_insert(()).is_fresh().then_some(permit)
    }
}

/// Tells of something that happened outside of any transaction. It happened whether this can be written or not, so a
/// failure is only logged.
pub(crate) async fn tell(appender: &Appender, fact: &Fact) {
    let events = fact.events(&crate::dice::ulid().to_string(), now());
    if let Err(error) = appender.append_each(events).await {
        tracing::warn!(kind = fact.kind.as_str(), %error, "an event of the system could not be written");
    }
}

impl Engine {
    /// Tells of something that happened outside of any transaction. It happened whether this can be written or not, so
    /// a failure is only logged.
    pub(crate) async fn tell(&self, fact: &Fact) {
        tell(self.appender(), fact).await;
    }

    /// Tells `$system` that a caller was turned away, in the background; at most once a minute for each key.
    /// `operation` says what was tried, like `PATCH /v1/tenants/{tenant}/endpoints/{id}`.
    pub fn denied(&self, who: &Who, tenant: Option<&TenantId>, operation: &str) {
        let Some(permit) = self.shared.endpoints.refusals.take(&who.key) else { return };
        let mut data = Map::new();
        data.insert("operation".to_owned(), json!(operation));
        let fact = Fact {
            kind: Kind::AccessDenied,
            who: Some(who.clone()),
            tenant: tenant.cloned(),
            entity: ("key", who.key.clone()),
            data,
        };
        let engine = self.clone();
        tokio::spawn(async move {
            engine.tell(&fact).await;
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_once_a_minute_and_key_and_never_too_many_at_once() {
        let refusals = Refusals::default();
        let first = refusals.take("a");
        assert!(first.is_some() && refusals.take("a").is_none());
        let others: Vec<_> = (0..20).filter_map(|n| refusals.take(&format!("k{n}"))).collect();
        assert_eq!(others.len(), DENIED_AT_ONCE - 1);
        drop(others);
        assert!(refusals.take("k19").is_some(), "one that found no room is told later");
        assert!(refusals.take("a").is_none());
    }

    #[test]
    fn a_fact_about_a_tenants_deliveries_is_told_to_the_tenant_too() {
        let endpoint = EndpointId::parse("ep_00000000000000000000000000").unwrap();
        let fact = |kind, tenant: &str| {
            let tenant = TenantId::parse(tenant).unwrap();
            Fact::of_endpoint(kind, None, &tenant, &endpoint, json!({ "reason": "gone" }))
        };
        let told = |fact: &Fact| -> Vec<(String, String)> {
            let events = fact.events("x", Timestamp::from_micros(0));
            events.iter().map(|event| (event.tenant.to_string(), event.id.to_string())).collect()
        };
        let pair = |tenant: &str, id: &str| (tenant.to_owned(), id.to_owned());
        assert_eq!(told(&fact(Kind::EndpointDisabled, "acme")), [pair("$system", "x"), pair("acme", "x-t")]);
        assert_eq!(told(&fact(Kind::EndpointUpdated, "acme")), [pair("$system", "x")]);
        assert_eq!(told(&fact(Kind::EndpointDisabled, "$system")), [pair("$system", "x")]);
    }

    #[test]
    fn every_kind_is_a_type_that_events_may_have() {
        for kind in [
            Kind::EndpointCreated,
            Kind::EndpointUpdated,
            Kind::EndpointDeleted,
            Kind::EndpointDisabled,
            Kind::EndpointEnabled,
            Kind::SecretRotated,
            Kind::CircuitOpened,
            Kind::CircuitClosed,
            Kind::DeadLettered,
            Kind::ReplayStarted,
            Kind::ReplayCancelled,
            Kind::ReplayFinished,
            Kind::KeyCreated,
            Kind::KeyRevoked,
            Kind::AccessDenied,
            Kind::LimitsChanged,
            Kind::TenantMoved,
            Kind::CatalogChanged,
            Kind::OwnershipViolated,
            Kind::QuarantineRedriven,
            Kind::QuarantineDiscarded,
        ] {
            assert!(EventType::parse(kind.as_str()).is_ok(), "{}", kind.as_str());
        }
    }
}
