//! The log in memory, on the thread of whoever calls: for simulations, where nothing may run beside the caller and the
//! clock is told by somebody else. The statements, triggers and transactions are those of a file.

use std::cell::Cell;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tidings_event::{LogId, Timestamp};

use super::connection::{Opening, STATEMENTS_MAX};
use super::writer::is_sound;
use crate::{Error, LogInfo, Result};

/// The database's clock, as a simulation tells it.
pub type StoreClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How to make a log in memory. See [`SqliteStore::in_memory`](super::SqliteStore::in_memory).
#[derive(Clone)]
pub struct InMemory {
    /// Partitions of the log: 1 to [`crate::PARTITIONS_MAX`].
    pub partitions: u32,
    /// Its id.
    pub log: LogId,
    /// What the database takes for the present moment.
    pub clock: StoreClock,
}

/// The one connection of a log in memory.
pub(super) struct Inline {
    connection: Mutex<Connection>,
    clock: StoreClock,
}

thread_local! {
    static MOMENT: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// The moment that the store of the statement under way was told, if it was told one.
pub(super) fn told() -> Option<Timestamp> {
    MOMENT.get()
}

/// While it lives, the thread's statements are told a moment.
struct Told;

impl Told {
    fn begin(moment: Timestamp) -> Self {
        MOMENT.set(Some(moment));
        Self
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        MOMENT.set(None);
    }
}

impl Inline {
    pub(super) fn create(options: InMemory) -> Result<(Self, LogInfo)> {
        let InMemory { partitions, log, clock } = options;
        let told = Told::begin(clock());
        let mut connection = Connection::open_in_memory()?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update(None, "foreign_keys", false)?;
        let log = Opening::set_up(&mut connection, partitions, log)?;
        drop(told);
        Ok((Self { connection: Mutex::new(connection), clock }, log))
    }

    /// Runs a piece of work; whatever it does, no transaction stays open behind it.
    pub(super) fn run<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let mut connection = self.connection.lock();
        let _told = Told::begin((self.clock)());
        let outcome = work(&mut connection);
        if outcome.is_err() && !is_sound(&connection) {
            return Err(Error::Unusable("a transaction in memory could not be left".to_owned()));
        }
        outcome
    }
}
