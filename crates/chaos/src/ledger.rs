//! What the producers know, beside what the log says.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One event as its producer knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) tenant: &'static str,
    pub(crate) id: String,
    /// The sequence that it was acknowledged with, where it came over HTTP.
    pub(crate) sequence: Option<u64>,
}

/// One producer's own account, in the order in which it emitted. Each waits for one to be settled before the next.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// What was committed or acknowledged.
    pub(crate) certain: Vec<Fact>,
    /// Ids whose transaction was rolled back.
    pub(crate) rolled_back: HashSet<String>,
    /// What a connection that broke left open, until the producer's own table says what became of it.
    pub(crate) open: Vec<Fact>,
    /// Requests and transactions that had to be made again, or whose end was not told.
    pub(crate) retries: u64,
}

/// One producer's account, shared with the checker.
pub(crate) struct Ledger {
    pub(crate) producer: String,
    account: Mutex<Account>,
}

impl Ledger {
    pub(crate) fn new(producer: &str) -> Self {
        Self { producer: producer.to_owned(), account: Mutex::default() }
    }

    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events that are in the log for certain, sooner or later.
    pub(crate) fn certain(&self) -> usize {
        self.account().certain.len()
    }
}
