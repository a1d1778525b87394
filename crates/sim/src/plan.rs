//! What a seed says of a run before it begins: how large it is, and which faults happen how often.
//!
//! Every seed has its own mixture. Some have no faults at all, many have few kinds, few have all: a fault that hides
//! another one does so in some seeds only.

use crate::dice::Dice;
use crate::sabotage::Sabotage;

/// How large a run is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Nodes.
    pub nodes: usize,
    /// Partitions of the log.
    pub partitions: u32,
    /// Tenants.
    pub tenants: usize,
    /// Producers over HTTP.
    pub emitters: usize,
    /// Producers with an outbox of their own.
    pub outboxes: usize,
    /// Endpoints of all tenants.
    pub endpoints: usize,
    /// Feed readers of all tenants.
    pub readers: usize,
    /// How long there is work and trouble, in simulated microseconds.
    pub active_us: u64,
    /// Whether events also go over the bus.
    pub bus: bool,
    /// What is taken away, to show that it is missed.
    pub sabotage: Option<Sabotage>,
    /// The faults.
    pub chaos: Chaos,
}

/// Which faults happen, and how often. All zero: none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chaos {
    /// Nothing at all goes wrong.
    pub calm: bool,
    /// A call to the database or an outbox fails without having done anything.
    pub call_fails: f64,
    /// A call did what it should, and its answer is lost.
    pub answer_lost: f64,
    /// A call takes long.
    pub call_slow: f64,
    /// Its node is killed at a call, before or after it.
    pub killed_at_call: f64,
    /// Each of these happens to some node about so often a second.
    pub kills: f64,
    /// A node ends in good order and comes back.
    pub stops: f64,
    /// A node is paused, for longer than its lease at times.
    pub pauses: f64,
    /// A node does not reach the database.
    pub cuts: f64,
    /// A node's wall clock is set.
    pub clocks: f64,
    /// The database's clock is set.
    pub database_clocks: f64,
    /// An outbox cannot be reached.
    pub outbox_cuts: f64,
    /// A caller does not hear a node's answer.
    pub replies_lost: f64,
    /// Endpoints misbehave, this part of the time.
    pub endpoints_ill: f64,
    /// The bus drops, repeats or reorders a message.
    pub bus_messages: f64,
    /// The bus goes away, or a stream of it is purged or rewound.
    pub bus_troubles: f64,
}

impl Plan {
    /// What a seed says.
    #[must_use]
    pub fn of(dice: &mut Dice) -> Self {
        let calm = dice.chance(0.08);
        let chaos = if calm { Chaos { calm, ..Chaos::default() } } else { Chaos::of(dice) };
        Self {
            nodes: usize::try_from(dice.within(1, 3)).unwrap_or(1),
            partitions: u32::try_from(dice.within(1, 3)).unwrap_or(1),
            tenants: usize::try_from(dice.within(1, 4)).unwrap_or(1),
            emitters: usize::try_from(dice.within(1, 3)).unwrap_or(1),
            outboxes: usize::try_from(dice.within(0, 2)).unwrap_or(1),
            endpoints: usize::try_from(dice.within(1, 5)).unwrap_or(1),
            readers: usize::try_from(dice.within(1, 3)).unwrap_or(1),
            active_us: dice.within(6, 20) * 1_000_000,
            bus: dice.chance(0.5),
            sabotage: None,
            chaos,
        }
    }
}

impl Chaos {
    fn of(dice: &mut Dice) -> Self {
        let often = dice.chance(0.5);
        let mut some = |likely: f64, few: f64, many: f64| {
            let (happens, much) = (dice.chance(likely), dice.chance(0.3));
            if !happens {
                0.0
            } else if much {
                many
            } else {
                few
            }
        };
        Self {
            calm: false,
            call_fails: some(0.5, 0.002, 0.03),
            answer_lost: some(0.5, 0.002, 0.02),
            call_slow: some(0.5, 0.005, 0.05),
            killed_at_call: some(0.4, 0.0005, 0.003),
            kills: some(if often { 0.8 } else { 0.4 }, 0.1, 0.4),
            stops: some(0.4, 0.05, 0.2),
            pauses: some(0.5, 0.1, 0.4),
            cuts: some(0.4, 0.1, 0.3),
            clocks: some(0.4, 0.1, 0.4),
            database_clocks: some(0.2, 0.05, 0.2),
            outbox_cuts: some(0.4, 0.1, 0.3),
            replies_lost: some(0.6, 0.02, 0.2),
            endpoints_ill: some(0.7, 0.3, 0.7),
            bus_messages: some(0.6, 0.01, 0.1),
            bus_troubles: some(0.5, 0.05, 0.3),
        }
    }
}
