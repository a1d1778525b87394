//! A producer with an outbox: writes events in its own transactions, which commit late, or not at all, and intents before
//! changes that it then makes or not, and confirms, discards or forgets.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidings_event::Timestamp;
use tidings_store::IntentAnswer;

use super::{Reach, tenant};
use crate::dice::Dice;
use crate::ledger::{Fate, TYPES};
use crate::outbox::{Database, Open};

/// A transaction that is open longer than a pump lets pass between two sweeps may be overtaken, where reads are slow: the
/// pump then leaves out rows that are older than that.
const SWEEP_US: u64 = 1_000_000;

pub struct Producer {
    name: String,
    dice: Dice,
    database: Arc<Database>,
    /// Transactions that are open, with the event and when they began and end.
    open: Vec<(u64, u64, String, Open)>,
    /// Intents that are open, with the moment at which they began and that at which their producer decides.
    intents: Vec<(u64, u64, String)>,
    next_us: u64,
    cut_until_us: u64,
}

impl Producer {
    pub fn new(name: &str, dice: Dice, database: Arc<Database>) -> Self {
        Self {
            name: name.to_owned(),
            dice,
            database,
            open: Vec::new(),
            intents: Vec::new(),
            next_us: 0,
            cut_until_us: 0,
        }
    }

    pub fn is_idle(&self) -> bool {
        self.open.is_empty() && self.intents.is_empty()
    }

    pub fn step(&mut self, reach: &mut Reach<'_>) {
        let now = reach.now_us();
        let universe = &reach.outside.universe;
        if self.database.cut.load(Ordering::Relaxed) && (now >= self.cut_until_us || !universe.is_faulty()) {
            self.database.cut.store(false, Ordering::Relaxed);
        }
        self.end_transactions(now, reach);
        self.decide_intents(now, reach);
        if now < self.next_us || !reach.working {
            return;
        }
        self.next_us = now + self.dice.within(5_000, 500_000);
        let at = universe.true_now();
        match self.dice.below(10) {
            0..7 => {
                for _ in 0..self.dice.within(1, 6) {
                    self.begin(now, at, reach);
                }
            }
            _ => self.intend(now, at, reach),
        }
    }

    /// Has nobody reach the outbox for a while.
    pub fn cut(&mut self, until_us: u64) {
        self.cut_until_us = until_us;
        self.database.cut.store(true, Ordering::Relaxed);
    }

    fn begin(&mut self, now: u64, at: Timestamp, reach: &mut Reach<'_>) {
        let of = tenant(self.dice.below(reach.outside.plan.tenants as u64));
        let (kind, entity) = (*self.dice.pick(&TYPES), self.dice.below(4));
        let (id, json) = reach.ledger.make(&self.name, &of, kind, entity);
        let open = self.database.begin(&id, &json, at);
        let late = if self.dice.chance(0.3) { self.dice.within(1_000, 2_000_000) } else { 0 };
        self.open.push((now, now + late, id, open));
    }

    fn end_transactions(&mut self, now: u64, reach: &mut Reach<'_>) {
        let is_due = |(_, at, ..): &(u64, u64, String, Open)| *at <= now || !reach.working;
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.open).into_iter().partition(is_due);
        self.open = rest;
        for (begun, _, id, open) in due {
            let rolled_back = self.dice.chance(0.25);
            let universe = &reach.outside.universe;
            if rolled_back {
                universe.trace(now, format_args!("rolled back {id}"));
                reach.ledger.set(&id, Fate::Never);
            } else {
                universe.trace(now, format_args!("committed {id}"));
                reach.ledger.set(&id, Fate::Must);
                self.database.commit(open);
                stands(now - begun, &id, reach);
            }
        }
    }

    fn intend(&mut self, now: u64, at: Timestamp, reach: &mut Reach<'_>) {
        let of = tenant(self.dice.below(reach.outside.plan.tenants as u64));
        let (id, json) = reach.ledger.make(&self.name, &of, TYPES[0], self.dice.below(4));
        let probe = format!(r#"{{"kind":"row","table":"orders","key":{{"id":"{id}"}}}}"#);
        self.database.intend(&id, &json, probe.as_bytes(), at);
        reach.outside.universe.trace(now, format_args!("intended {id}"));
        self.intents.push((now, now + self.dice.within(0, 1_500_000), id));
    }

    /// Makes the changes of intents, or does not, and says so, or does not.
    fn decide_intents(&mut self, now: u64, reach: &mut Reach<'_>) {
        let is_due = |(_, at, _): &(u64, u64, String)| *at <= now;
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.intents).into_iter().partition(is_due);
        self.intents = rest;
        for (begun, _, id) in due {
            let (made, says) = (self.dice.chance(0.6), self.dice.chance(0.5));
            if made {
                self.database.change(&id);
            }
            let answer = says.then(|| self.database.resolve(&id, made));
            let discarded_before = matches!(answer, Some(IntentAnswer::Absent));
            let fate = if made && !discarded_before { Fate::Must } else { Fate::Never };
            reach.outside.universe.trace(now, format_args!("intent {id} made {made} told {answer:?}"));
            reach.ledger.set(&id, fate);
            if made && matches!(answer, Some(IntentAnswer::Done | IntentAnswer::AlreadyConfirmed)) {
                stands(now - begun, &id, reach);
            }
        }
    }
}

/// A row that was written so long ago is there for all to read.
fn stands(age_us: u64, id: &str, reach: &mut Reach<'_>) {
    let chaos = &reach.outside.plan.chaos;
    if age_us < SWEEP_US || (chaos.call_slow == 0.0 && chaos.pauses == 0.0) {
        reach.ledger.stands(id);
    }
}
