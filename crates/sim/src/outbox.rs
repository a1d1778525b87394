//! The databases of producers: an outbox each, and a table of changes that intents speak of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_event::{EventId, Timestamp};
use tidings_store::source::{
    Intent, IntentAnswer, OutboxRow, OutboxSource, OutboxStatus, ProbeAnswer, Refused, RowProbe, SourceError,
};

use crate::place::Place;
use crate::sabotage::Sabotage;

/// A producer's database. Rows are visible once their transaction committed, which may be later than that of rows
/// behind them.
#[derive(Default)]
pub struct Database {
    tables: Mutex<Tables>,
    /// Nobody reaches it.
    pub cut: AtomicBool,
}

#[derive(Default)]
struct Tables {
    rows: BTreeMap<i64, Row>,
    last: i64,
    changes: BTreeSet<String>,
    version: u64,
}

#[derive(Clone)]
struct Row {
    key: String,
    event: Vec<u8>,
    /// An intent's probe; none for a row that is confirmed.
    intent: Option<Vec<u8>>,
    created_at: Timestamp,
    attempts: u32,
    error: Option<String>,
}

/// A transaction that has its row and is not committed.
pub struct Open {
    id: i64,
    row: Row,
}

impl Database {
    /// Writes an event in a transaction that is still open.
    pub fn begin(&self, key: &str, event: &[u8], at: Timestamp) -> Open {
        let mut tables = self.tables.lock();
        tables.last += 1;
        let row =
            Row { key: key.to_owned(), event: event.to_vec(), intent: None, created_at: at, attempts: 0, error: None };
        Open { id: tables.last, row }
    }

    /// Commits it.
    pub fn commit(&self, open: Open) {
        let mut tables = self.tables.lock();
        tables.version += 1;
        tables.rows.insert(open.id, open.row);
    }

    /// Writes an intent, committed at once.
    pub fn intend(&self, key: &str, event: &[u8], probe: &[u8], at: Timestamp) {
        let mut open = self.begin(key, event, at);
        open.row.intent = Some(probe.to_vec());
        self.commit(open);
    }

    /// Makes the change that an intent speaks of.
    pub fn change(&self, key: &str) {
        self.tables.lock().changes.insert(key.to_owned());
    }

    /// Confirms or discards an intent by its producer.
    pub fn resolve(&self, key: &str, confirm: bool) -> IntentAnswer {
        let mut tables = self.tables.lock();
        let found = tables.rows.iter().find(|(_, row)| row.key == key).map(|(id, row)| (*id, row.intent.is_some()));
        match found {
            None => IntentAnswer::Absent,
            Some((_, false)) => IntentAnswer::AlreadyConfirmed,
            Some((id, true)) => {
                tables.version += 1;
                if !confirm {
                    tables.rows.remove(&id);
                } else if let Some(row) = tables.rows.get_mut(&id) {
                    row.intent = None;
                }
                IntentAnswer::Done
            }
        }
    }

    /// Rows that wait for something, and those that were refused.
    pub fn waiting(&self) -> (usize, Vec<String>) {
        let tables = self.tables.lock();
        let refused = tables.rows.values().filter_map(|row| row.error.clone()).collect();
        (tables.rows.len(), refused)
    }
}

/// A producer's database as one node sees it.
pub struct NodeSource {
    pub database: Arc<Database>,
    pub place: Arc<Place>,
    /// The row that the last read of several began with, to show what is missed when a look at the first row lies.
    first: Mutex<Option<OutboxRow>>,
}

impl NodeSource {
    pub fn new(database: Arc<Database>, place: Arc<Place>) -> Self {
        Self { database, place, first: Mutex::default() }
    }

    async fn call<T>(
        &self,
        op: &'static str,
        writes: bool,
        work: impl FnOnce(&mut Tables) -> T,
    ) -> Result<T, SourceError> {
        let database = &self.database;
        let work = async {
            if database.cut.load(Ordering::Relaxed) {
                return Err(unavailable(false));
            }
            Ok(work(&mut database.tables.lock()))
        };
        self.place.call(op, writes, unavailable, work).await
    }

    fn now(&self) -> Timestamp {
        self.place.universe.true_now()
    }
}

fn unavailable(_ambiguous: bool) -> SourceError {
    SourceError::Unavailable("as the seed says".to_owned())
}

fn outbox_row(id: i64, row: &Row) -> OutboxRow {
    OutboxRow { id, source_key: row.key.clone(), event: row.event.clone(), created_at: row.created_at }
}

#[async_trait]
impl OutboxSource for NodeSource {
    async fn read(&self, floor: i64, limit: usize, bytes: usize) -> Result<Vec<OutboxRow>, SourceError> {
        let gone = self.place.sabotage == Some(Sabotage::DeleteFirst);
        if self.place.sabotage == Some(Sabotage::Overtaking) && limit == 1 {
            return Ok(self.first.lock().iter().cloned().collect());
        }
        let read = self.call("outbox_read", false, |tables| {
            let mut room = bytes;
            let rows: Vec<OutboxRow> = tables
                .rows
                .range(floor..)
                .filter(|(_, row)| row.intent.is_none() && row.error.is_none())
                .take(limit)
                .take_while(|(_, row)| {
                    let fits = room > 0;
                    room = room.saturating_sub(row.event.len());
                    fits
                })
                .map(|(id, row)| outbox_row(*id, row))
                .collect();
            if gone {
                rows.iter().for_each(|row| drop(tables.rows.remove(&row.id)));
            }
            rows
        });
        let rows = read.await?;
        *self.first.lock() = rows.first().cloned();
        Ok(rows)
    }

    async fn waiting_before(&self, id: i64) -> Result<u64, SourceError> {
        self.call("outbox_waiting_before", false, |tables| {
            let waiting = tables.rows.range(..id).filter(|(_, row)| row.intent.is_none() && row.error.is_none());
            waiting.count() as u64
        })
        .await
    }

    async fn delete(&self, ids: &[i64]) -> Result<(), SourceError> {
        self.call("outbox_delete", true, |tables| tables.rows.retain(|id, _| !ids.contains(id))).await
    }

    async fn refuse(&self, refused: &[(i64, String)]) -> Result<(), SourceError> {
        self.call("outbox_refuse", true, |tables| {
            for (id, reason) in refused {
                if let Some(row) = tables.rows.get_mut(id) {
                    row.attempts += 1;
                    row.error = Some(reason.clone());
                }
            }
        })
        .await
    }

    async fn changed(&self) -> Result<bool, SourceError> {
        Ok(true)
    }

    async fn hint(&self) {
        std::future::pending::<()>().await;
    }

    async fn refused(&self, after: i64, limit: usize) -> Result<Vec<Refused>, SourceError> {
        self.call("outbox_refused", false, |tables| {
            let refused = tables.rows.range(after.saturating_add(1)..).filter_map(|(id, row)| {
                let error = row.error.clone()?;
                Some(Refused { row: outbox_row(*id, row), attempts: row.attempts, error })
            });
            refused.take(limit).collect()
        })
        .await
    }

    async fn retry(&self, id: i64, event: Option<&[u8]>) -> Result<bool, SourceError> {
        self.call("outbox_retry", true, |tables| match tables.rows.get_mut(&id) {
            Some(row) => {
                let was_refused = row.error.take().is_some();
                if was_refused {
                    event.into_iter().for_each(|event| row.event = event.to_vec());
                }
                was_refused
            }
            None => false,
        })
        .await
    }

    async fn discard_refused(&self, id: i64) -> Result<bool, SourceError> {
        self.call("outbox_discard", true, |tables| {
            let is_there = tables.rows.get(&id).is_some_and(|row| row.error.is_some());
            is_there && tables.rows.remove(&id).is_some()
        })
        .await
    }

    async fn append_intent(&self, key: &EventId, event: &[u8], probe: Option<&[u8]>) -> Result<bool, SourceError> {
        let at = self.now();
        self.call("intent_append", true, |tables| {
            if let Some(known) = tables.rows.values().find(|row| row.key == key.as_str()) {
                return known.event == event;
            }
            tables.last += 1;
            let row = Row {
                key: key.as_str().to_owned(),
                event: event.to_vec(),
                intent: Some(probe.unwrap_or_default().to_vec()),
                created_at: at,
                attempts: 0,
                error: None,
            };
            tables.rows.insert(tables.last, row);
            true
        })
        .await
    }

    async fn row(&self, key: &EventId) -> Result<Option<OutboxRow>, SourceError> {
        self.call("outbox_row", false, |tables| {
            let found = tables.rows.iter().find(|(_, row)| row.key == key.as_str());
            found.map(|(id, row)| outbox_row(*id, row))
        })
        .await
    }

    async fn confirm_intent(&self, key: &EventId) -> Result<IntentAnswer, SourceError> {
        self.resolve("intent_confirm", key, true).await
    }

    async fn discard_intent(&self, key: &EventId) -> Result<IntentAnswer, SourceError> {
        self.resolve("intent_discard", key, false).await
    }

    async fn stale_intents(&self, after: i64, default_stale_s: u32, limit: usize) -> Result<Vec<Intent>, SourceError> {
        let stale_before = self.now().as_micros() - i64::from(default_stale_s) * 1_000_000;
        self.call("intents_stale", false, |tables| {
            let stale = tables.rows.range(after.saturating_add(1)..).filter_map(|(id, row)| {
                let probe = row.intent.clone()?;
                (row.created_at.as_micros() < stale_before).then(|| Intent {
                    id: *id,
                    source_key: row.key.clone(),
                    event: row.event.clone(),
                    probe,
                    created_at: row.created_at,
                    attempts: row.attempts,
                })
            });
            stale.take(limit).collect()
        })
        .await
    }

    async fn count_unresolved(&self, id: i64, _reason: &str) -> Result<u32, SourceError> {
        self.call("intent_count", true, |tables| {
            tables.rows.get_mut(&id).map_or(0, |row| {
                row.attempts += 1;
                row.attempts
            })
        })
        .await
    }

    async fn probe_row(&self, probe: &RowProbe) -> Result<ProbeAnswer, SourceError> {
        let key = probe.key.get("id").and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let guesses = self.place.sabotage == Some(Sabotage::ProbeGuesses);
        self.call("probe_row", false, |tables| {
            if guesses || tables.changes.contains(&key) { ProbeAnswer::Exists } else { ProbeAnswer::Missing }
        })
        .await
    }

    async fn status(&self) -> Result<OutboxStatus, SourceError> {
        self.call("outbox_status", false, |tables| {
            let pending = tables.rows.values().filter(|row| row.intent.is_none() && row.error.is_none());
            OutboxStatus {
                version: 1,
                pending: pending.clone().count() as u64,
                oldest_pending: pending.map(|row| row.created_at).min(),
                intents: tables.rows.values().filter(|row| row.intent.is_some()).count() as u64,
                refused: tables.rows.values().filter(|row| row.error.is_some()).count() as u64,
            }
        })
        .await
    }

    async fn clock(&self) -> Result<Timestamp, SourceError> {
        Ok(self.now())
    }
}

impl NodeSource {
    async fn resolve(&self, op: &'static str, key: &EventId, confirm: bool) -> Result<IntentAnswer, SourceError> {
        let (database, place) = (&self.database, &self.place);
        let work = async {
            if database.cut.load(Ordering::Relaxed) {
                return Err(unavailable(false));
            }
            Ok(database.resolve(key.as_str(), confirm))
        };
        place.call(op, true, unavailable, work).await
    }
}
