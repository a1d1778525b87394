//! Those who use the nodes: producers over HTTP, producers with an outbox, readers of feeds, and owners of endpoints.
//!
//! None of them runs by itself: each is asked now and then what it does next, and hears answers when they are there.

mod emitter;
mod owner;
mod producer;
mod reader;

pub use emitter::Emitter;
pub use owner::Owner;
pub use producer::Producer;
pub use reader::Reader;

use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::node::{Call, Node, Outside};

/// How long a caller waits for an answer.
const PATIENCE_US: u64 = 8_000_000;

/// What a client may use.
pub struct Reach<'a> {
    pub outside: &'a Outside,
    pub nodes: &'a mut [Node],
    pub ledger: &'a mut Ledger,
    /// Whether anything new is begun.
    pub working: bool,
}

impl Reach<'_> {
    pub fn now_us(&self) -> u64 {
        self.outside.universe.now_us()
    }

    /// Some node.
    pub fn some_node(&self, dice: &mut Dice) -> &Node {
        let at = usize::try_from(dice.below(self.nodes.len() as u64)).unwrap_or(0);
        &self.nodes[at]
    }

    /// Whether a caller does not hear an answer that was given.
    pub fn loses_reply(&self, dice: &mut Dice, who: &str) -> bool {
        let universe = &self.outside.universe;
        let lost = universe.is_faulty() && dice.chance(self.outside.plan.chaos.replies_lost);
        if lost {
            universe.fault(universe.now_us(), "reply_lost", format_args!("{who}"));
        }
        lost
    }
}

/// What became of a call.
pub enum Heard<T> {
    /// Nothing yet.
    Nothing,
    /// The answer.
    Answer(T),
    /// There will be none.
    Never,
}

/// Listens for the answer of a call.
pub fn hear<T>(call: &Call<T>, now_us: u64) -> Heard<T> {
    match call.take() {
        Some(answer) => Heard::Answer(answer),
        None if now_us > call.since_us + PATIENCE_US => Heard::Never,
        None => Heard::Nothing,
    }
}

/// The name of a tenant.
pub fn tenant(number: u64) -> String {
    format!("t{number}")
}
