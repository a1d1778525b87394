//! Outboxes as callers see them: two-step emission through Tidings' own, refused rows and the state of all.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tidings_bus::Poke;
use tidings_catalog::ownership::may_emit;
use tidings_core::reconcile::Stored;
use tidings_event::{Event, EventId, EventType, Source, SystemMint, TenantId, Text, parse_own_event};
use tidings_store::{IntentAnswer, OutboxSource, OutboxStatus, Refused};
use tokio::sync::Notify;

use crate::{Emitter, Engine, Error};

/// The name of Tidings' own outbox.
pub const PLATFORM: &str = "platform";
/// Confirmed intents that are remembered, so that confirming again is answered alike after the row is gone.
const CONFIRMED_MAX: u64 = 10_000;
/// How long they are remembered.
const CONFIRMED_FOR: Duration = Duration::from_secs(600);

/// A configured outbox.
#[derive(Clone)]
pub struct NamedSource {
    /// Its name in the configuration, unique.
    pub name: String,
    /// Its database.
    pub source: Arc<dyn OutboxSource>,
    /// The service that it belongs to, if it is one's: its events are emitted as that service and as nobody else.
    pub service: Option<Text>,
}

/// A source as the stages share it.
#[derive(Clone)]
pub(crate) struct SourceHandle {
    pub(crate) name: Arc<str>,
    pub(crate) source: Arc<dyn OutboxSource>,
    pub(crate) service: Option<Text>,
    /// Has the pump look at once.
    pub(crate) poke: Arc<Notify>,
}

/// All sources, in the order of the configuration.
pub(crate) struct Sources {
    all: Vec<SourceHandle>,
    confirmed: Cache<EventId, Option<IntentOwner>>,
}

impl Sources {
    pub(crate) fn new(named: Vec<NamedSource>) -> Result<Self, tidings_store::Error> {
        let unusable = |reason: String| Err(tidings_store::Error::Unusable(reason));
        let mut all: Vec<SourceHandle> = Vec::with_capacity(named.len());
        for NamedSource { name, source, service } in named {
            if all.iter().any(|other| *other.name == *name) {
                return unusable(format!("two sources are named {name:?}"));
            }
            all.push(SourceHandle { name: name.into(), source, service, poke: Arc::new(Notify::new()) });
        }
        if !all.iter().any(|source| &*source.name == PLATFORM) {
            return unusable(format!("no source is named {PLATFORM:?}"));
        }
        let confirmed = Cache::builder().max_capacity(CONFIRMED_MAX).time_to_live(CONFIRMED_FOR).build();
        Ok(Self { all, confirmed })
    }

    pub(crate) fn all(&self) -> &[SourceHandle] {
        &self.all
    }

    pub(crate) fn get(&self, name: &str) -> Result<&SourceHandle, Error> {
        self.all.iter().find(|source| &*source.name == name).ok_or(Error::SourceNotFound)
    }
}

/// Whose an intent is, for who decides on whether a caller may touch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentOwner {
    /// The event's tenant.
    pub tenant: TenantId,
    /// The event's type.
    pub event_type: EventType,
    /// The event's source.
    pub source: Source,
}

/// How an intent stands after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentState {
    /// It waits to be confirmed.
    Intent,
    /// It is confirmed, or its event is in the log already.
    Confirmed,
}

impl Engine {
    /// Writes an intent into Tidings' own outbox, under the event's id. The event must have passed the parser; its id is
    /// checked against the log here, and whether the catalog would refuse it. So once it is confirmed it is refused only
    /// where the catalog was changed, or where its entity's state forbids it. Writing the same intent again changes
    /// nothing.
    pub async fn create_intent(&self, emitter: &Emitter, event: Event, stored: &Stored) -> Result<IntentState, Error> {
        self.check_open()?;
        if let Some(recorded) = self.event(&event.tenant, &event.id).await? {
            let same = recorded.event.same_content(&event);
            return if same { Ok(IntentState::Confirmed) } else { Err(Error::IntentConflict) };
        }
        self.shared.catalog.door.would_refuse(emitter, &event).await.map_err(Error::Refused)?;
        let platform = self.shared.sources.get(PLATFORM)?;
        let probe = stored.to_json();
        if platform.source.append_intent(&event.id, &event.to_json(), probe.as_deref()).await? {
            Ok(IntentState::Intent)
        } else {
            Err(Error::IntentConflict)
        }
    }

    /// Confirms an intent; its event then enters the log without anyone acting. Confirming again is answered alike,
    /// for some minutes also after the event has entered the log.
    pub async fn confirm_intent(&self, key: &EventId) -> Result<IntentAnswer, Error> {
        self.check_open()?;
        let platform = self.shared.sources.get(PLATFORM)?;
        let owner = self.intent_owner(key).await?;
        let answer = platform.source.confirm_intent(key).await?;
        match answer {
            IntentAnswer::Done | IntentAnswer::AlreadyConfirmed => {
                self.shared.sources.confirmed.insert(key.clone(), owner);
                self.poke(platform);
                Ok(answer)
            }
            IntentAnswer::Absent if self.shared.sources.confirmed.contains_key(key) => {
                Ok(IntentAnswer::AlreadyConfirmed)
            }
            IntentAnswer::Absent => Ok(IntentAnswer::Absent),
        }
    }

    /// Whose an intent is, also for some minutes after it was confirmed and its event entered the log.
    pub async fn intent_owner(&self, key: &EventId) -> Result<Option<IntentOwner>, Error> {
        let Some(row) = self.shared.sources.get(PLATFORM)?.source.row(key).await? else {
            return Ok(self.shared.sources.confirmed.get(key).flatten());
        };
        let event = parse_own_event(&row.event, &mut SystemMint::default()).ok();
        Ok(event.map(|event| IntentOwner { tenant: event.tenant, event_type: event.event_type, source: event.source }))
    }

    /// Whether an emitter could have written an intent: whether the catalog lets it emit in the name of the intent's
    /// source. Which tenants and types its key opens is for the caller to look at.
    #[must_use]
    pub fn owns_intent(&self, emitter: &Emitter, owner: &IntentOwner) -> bool {
        let catalog = self.catalog();
        may_emit(catalog.owner(&owner.event_type), &owner.source, emitter.holder()).is_ok()
    }

    /// Discards an intent: its event never happened.
    pub async fn discard_intent(&self, key: &EventId) -> Result<IntentAnswer, Error> {
        self.check_open()?;
        let answer = self.shared.sources.get(PLATFORM)?.source.discard_intent(key).await?;
        let remembered = answer == IntentAnswer::Absent && self.shared.sources.confirmed.contains_key(key);
        Ok(if remembered { IntentAnswer::AlreadyConfirmed } else { answer })
    }

    /// The names of all sources, in the order of the configuration.
    #[must_use]
    pub fn sources(&self) -> Vec<String> {
        self.shared.sources.all().iter().map(|source| source.name.to_string()).collect()
    }

    /// How a source's outbox stands. Counts rows, so it is not for hot paths.
    pub async fn source_status(&self, name: &str) -> Result<OutboxStatus, Error> {
        Ok(self.shared.sources.get(name)?.source.status().await?)
    }

    /// Rows of a source that the log refused, in order of id, after the given one.
    pub async fn refused(&self, source: &str, after: i64, limit: usize) -> Result<Vec<Refused>, Error> {
        Ok(self.shared.sources.get(source)?.source.refused(after, limit).await?)
    }

    /// Puts a refused row back among the waiting, optionally with a mended envelope. `false` when it is not there.
    pub async fn retry_refused(&self, source: &str, id: i64, event: Option<Vec<u8>>) -> Result<bool, Error> {
        self.check_open()?;
        let source = self.shared.sources.get(source)?;
        let found = source.source.retry(id, event.as_deref()).await?;
        self.poke(source);
        Ok(found)
    }

    /// Deletes a refused row for good. `false` when it is not there.
    pub async fn discard_refused(&self, source: &str, id: i64) -> Result<bool, Error> {
        self.check_open()?;
        Ok(self.shared.sources.get(source)?.source.discard_refused(id).await?)
    }

    /// Has the pump look at a source at once: for whoever has just committed to it in this process.
    pub fn poke_source(&self, name: &str) -> Result<(), Error> {
        self.poke(self.shared.sources.get(name)?);
        Ok(())
    }

    /// The source's pump may run on any node.
    fn poke(&self, source: &SourceHandle) {
        source.poke.notify_one();
        self.shared.pokes.note(Poke::Source(source.name.to_string()));
    }
}
