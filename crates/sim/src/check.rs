//! Holds what happened against what was promised, after each step and at the end.

mod books;
mod deliveries;
mod log;

use std::sync::Arc;

use tidings_store::sqlite::SqliteStore;

use crate::clients::Reader;
use crate::ledger::Ledger;
use crate::outbox::Database;
use crate::plan::Chaos;
use crate::receivers::Receivers;
use crate::universe::Universe;

use books::Books;
use log::Log;

/// The checker, with its own copy of the log.
pub struct Checker {
    universe: Arc<Universe>,
    store: Arc<SqliteStore>,
    log: Log,
    books: Books,
}

/// What the checker holds the log against.
pub struct Witnesses<'a> {
    pub ledger: &'a Ledger,
    pub readers: &'a [Reader],
    pub databases: &'a [(String, Arc<Database>)],
    pub receivers: &'a Receivers,
    pub chaos: &'a Chaos,
}

impl Checker {
    pub fn new(universe: &Arc<Universe>, store: &Arc<SqliteStore>) -> Self {
        Self { universe: universe.clone(), store: store.clone(), log: Log::default(), books: Books::default() }
    }

    /// How many events the log has, those of Tidings itself too.
    pub fn events(&self) -> u64 {
        self.log.count()
    }

    /// After a step.
    pub fn step(&mut self, witnesses: &Witnesses<'_>) {
        let found = self.store.inspect(|connection| {
            let news = self.log.read(connection)?;
            self.books.read(connection)?;
            Ok::<_, rusqlite::Error>(news)
        });
        let from = match found {
            Some(Ok(from)) => from,
            Some(Err(error)) => return self.universe.breaks(format_args!("the database cannot be read: {error}")),
            None => return,
        };
        let broken =
            self.log.judge(&from, witnesses.ledger).or_else(|| self.books.judge(&self.log, witnesses, &self.universe));
        if let Some(broken) = broken {
            self.universe.breaks(format_args!("{broken}"));
        }
    }

    /// What is still under way, if anything is; nothing once all is quiet.
    pub fn under_way(&self, witnesses: &Witnesses<'_>) -> Option<String> {
        let outboxes = witnesses.databases.iter().find(|(_, database)| database.waiting().0 > 0);
        if let Some((name, database)) = outboxes {
            return Some(format!("{} rows of the outbox {name}", database.waiting().0));
        }
        let behind = witnesses.readers.iter().find(|reader| reader.after < self.log.head(reader.tenant()));
        if let Some(reader) = behind {
            return Some(format!("a reader of {} at {}", reader.tenant(), reader.after));
        }
        self.books.under_way(&self.log)
    }

    /// At the end, when all is quiet.
    pub fn end(&mut self, witnesses: &Witnesses<'_>) {
        self.step(witnesses);
        let unchanged = self.store.inspect(|connection| self.log.unchanged(connection));
        let broken = match unchanged {
            Some(Ok(None)) => None,
            Some(Ok(Some(broken))) => Some(broken),
            Some(Err(error)) => Some(error.to_string()),
            None => Some("there is no database".to_owned()),
        };
        let broken = broken
            .or_else(|| self.log.complete(witnesses.ledger))
            .or_else(|| witnesses.readers.iter().find_map(|reader| self.log.was_read(reader)))
            .or_else(|| {
                let refused = witnesses.databases.iter().find_map(|(_, database)| database.waiting().1.pop());
                refused.map(|reason| format!("an outbox row was refused: {reason}"))
            })
            .or_else(|| deliveries::judge(&self.books, &self.log, witnesses.receivers, &self.universe));
        if let Some(broken) = broken {
            self.universe.breaks(format_args!("{broken}"));
        }
    }
}
