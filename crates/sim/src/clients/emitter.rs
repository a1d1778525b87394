//! A producer over HTTP: sends events, and sends them again, with the same ids, until it hears that they were taken.

use tidings_engine::endpoints::Who;
use tidings_engine::{AppendError, Emitter as Identity, Role};
use tidings_event::log::Receipt;

use super::{Heard, Reach, hear, tenant};
use crate::dice::Dice;
use crate::ledger::{Known, TYPES, event, json};
use crate::node::Call;

type Answer = Result<Vec<Receipt>, AppendError>;

pub struct Emitter {
    name: String,
    dice: Dice,
    /// Events that are to be taken, until they were.
    batch: Vec<(String, Vec<u8>)>,
    call: Option<Call<Answer>>,
    /// An event under an id that other content has.
    forged: Option<(String, Call<Answer>)>,
    next_us: u64,
}

impl Emitter {
    pub fn new(name: String, dice: Dice) -> Self {
        Self { name, dice, batch: Vec::new(), call: None, forged: None, next_us: 0 }
    }

    pub fn is_idle(&self) -> bool {
        self.batch.is_empty() && self.forged.is_none()
    }

    pub fn step(&mut self, reach: &mut Reach<'_>) {
        self.hear_forged(reach);
        if let Some(call) = &self.call {
            match hear(call, reach.now_us()) {
                Heard::Nothing => return,
                Heard::Answer(answer) => self.answered(answer, reach),
                Heard::Never => {}
            }
            self.call = None;
            self.next_us = reach.now_us() + self.dice.within(1_000, 400_000);
        }
        if reach.now_us() < self.next_us {
            return;
        }
        if self.batch.is_empty() {
            if !reach.working {
                return;
            }
            if self.dice.chance(0.05) {
                self.forge(reach);
            }
            self.make(reach);
        }
        let events: Vec<_> = self.batch.iter().map(|(_, json)| event(json)).collect();
        let node = reach.some_node(&mut self.dice);
        self.call = node.call(&reach.outside.universe, |engine, _| async move { engine.emit(&admin(), events).await });
        if self.call.is_none() {
            self.next_us = reach.now_us() + 100_000;
        }
    }

    fn make(&mut self, reach: &mut Reach<'_>) {
        let tenants = reach.outside.plan.tenants as u64;
        let own = tenant(self.dice.below(tenants));
        let mixed = self.dice.chance(0.2);
        for _ in 0..self.dice.within(1, 5) {
            let of = if mixed { tenant(self.dice.below(tenants)) } else { own.clone() };
            let (kind, entity) = (*self.dice.pick(&TYPES), self.dice.below(4));
            let (id, json) = reach.ledger.make(&self.name, &of, kind, entity);
            // Events of one call stand in the order given, and the next call is made once this one was answered.
            reach.ledger.stands(&id);
            self.batch.push((id, json));
        }
    }

    fn answered(&mut self, answer: Answer, reach: &mut Reach<'_>) {
        if reach.loses_reply(&mut self.dice, &self.name) {
            return;
        }
        let universe = &reach.outside.universe;
        match answer {
            Ok(receipts) => {
                let told: Vec<u64> = receipts.iter().map(|receipt| receipt.sequence.get()).collect();
                universe.trace(universe.now_us(), format_args!("{} was told {told:?}", self.name));
                if told.len() != self.batch.len() {
                    universe.breaks(format_args!("{} was told {} receipts too few or many", self.name, told.len()));
                }
                for ((id, _), sequence) in self.batch.drain(..).zip(told) {
                    reach.ledger.acknowledged(&id, sequence);
                }
            }
            Err(error @ (AppendError::Store(_) | AppendError::Overloaded | AppendError::ShuttingDown)) => {
                universe.trace(universe.now_us(), format_args!("{} was told {error}", self.name));
            }
            Err(error) => universe.breaks(format_args!("{} was refused: {error}", self.name)),
        }
    }

    /// Sends other content under an id that was taken.
    fn forge(&mut self, reach: &Reach<'_>) {
        let number = self.dice.number();
        let Some((id, Known { tenant, .. })) = reach.ledger.some_acknowledged(number) else { return };
        let forged = event(&json(id, tenant, TYPES[0], 9, u64::MAX >> 12));
        let node = reach.some_node(&mut self.dice);
        let call =
            node.call(&reach.outside.universe, |engine, _| async move { engine.emit(&admin(), vec![forged]).await });
        self.forged = call.map(|call| (id.clone(), call));
    }

    fn hear_forged(&mut self, reach: &Reach<'_>) {
        let Some((id, call)) = &self.forged else { return };
        match hear(call, reach.now_us()) {
            Heard::Nothing => return,
            Heard::Answer(Ok(_)) => {
                reach.outside.universe.breaks(format_args!("other content was taken under the id {id}"));
            }
            Heard::Answer(Err(_)) | Heard::Never => {}
        }
        self.forged = None;
    }
}

fn admin() -> Identity {
    Identity::Key { who: who(), service: None }
}

/// Who does everything.
pub(super) fn who() -> Who {
    Who { key: "admin".to_owned(), role: Role::Admin }
}
