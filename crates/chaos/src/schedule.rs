//! Which fault comes when: drawn from a seed, and from how things stand at the moment.

use std::collections::HashSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::faults::{Fault, HOWS, How, Link, Planned};

/// Between two faults.
const PAUSE_MS: std::ops::Range<u64> = 900..3_000;
/// One fault in so many comes together with the one before.
const TOGETHER: u32 = 5;
/// Draws before a moment passes without a fault.
const DRAWS_MAX: usize = 20;

/// What the schedule may choose from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) nodes: usize,
    pub(crate) receivers: usize,
    pub(crate) nats: bool,
    pub(crate) disk: bool,
}

/// How things stand.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// What is hit already.
    pub(crate) hit: HashSet<String>,
    /// Nodes that are away or about to be.
    pub(crate) away: usize,
    /// The node with most partitions, if somebody could tell.
    pub(crate) busiest: Option<usize>,
    /// Whether the database had time to recover from the last fault that hit it as a whole.
    pub(crate) database_rested: bool,
}

/// How a fault of one kind is drawn.
type Draw = fn(&mut Schedule, &View) -> Fault;

/// Draws faults.
pub(crate) struct Schedule {
    dice: StdRng,
    field: Field,
    /// Times are multiplied by it: a short run has short faults.
    scale: f64,
}

impl Schedule {
    pub(crate) fn new(seed: u64, field: Field, scale: f64) -> Self {
        Self { dice: StdRng::seed_from_u64(seed), field, scale }
    }

    /// How long to wait for the next fault.
    pub(crate) fn pause(&mut self) -> Duration {
        if self.dice.random_ratio(1, TOGETHER) {
            return Duration::ZERO;
        }
        Duration::from_millis(self.dice.random_range(PAUSE_MS)).mul_f64(self.scale.sqrt())
    }

    /// The next fault, if one fits.
    pub(crate) fn next(&mut self, view: &View) -> Option<Planned> {
        (0..DRAWS_MAX).find_map(|_| {
            let fault = self.draw(view);
            let lasts = self.lasts(fault);
            let fits = !view.hit.contains(&fault.hits())
                && (fault.node().is_none() || view.away + 1 < self.field.nodes)
                && (fault.hits() != "postgres" || view.database_rested);
            fits.then_some(Planned { fault, lasts })
        })
    }

    fn lasts(&mut self, fault: Fault) -> Duration {
        let (from, to) = fault.lasts_ms();
        // Short ones are more frequent than long ones.
        let part = self.dice.random_range(0.0..1.0_f64).powi(2);
        let spread = Duration::from_millis(to - from).mul_f64(part);
        (Duration::from_millis(from) + spread).mul_f64(self.scale)
    }

    fn draw(&mut self, view: &View) -> Fault {
        let kinds: [(u32, Draw); 20] = [
            (14, |this, view| Fault::Kill(this.owner(view))),
            (4, |this, view| Fault::Terminate(this.owner(view))),
            (10, |this, view| Fault::Pause(this.owner(view))),
            (20, |this, _| Fault::Link(Link::Postgres(this.node()), this.how())),
            (if self.field.nats { 8 } else { 0 }, |this, _| Fault::Link(Link::Nats(this.node()), this.how())),
            (8, |this, _| Fault::Link(Link::Api(this.node()), this.how())),
            (10, |this, _| Fault::Link(Link::Receiver(this.receiver()), this.how())),
            (4, |this, _| Fault::Link(Link::Egress, this.how())),
            (4, |this, _| Fault::ReceiverGone(this.receiver())),
            (2, |_, _| Fault::PostgresRestart),
            (2, |_, _| Fault::PostgresCrash),
            (2, |_, _| Fault::BackendKill),
            (4, |_, _| Fault::BackendsTerminate),
            (3, |_, _| Fault::PostgresStall),
            (2, |_, _| Fault::PostgresSlow),
            (if self.field.disk { 2 } else { 0 }, |_, _| Fault::DiskFull),
            (if self.field.nats { 3 } else { 0 }, |_, _| Fault::NatsKill),
            (if self.field.nats { 2 } else { 0 }, |_, _| Fault::NatsPause),
            (if self.field.nats { 2 } else { 0 }, |_, _| Fault::NatsWipe),
            (if self.field.nats { 3 } else { 0 }, |_, _| Fault::NatsPurge),
        ];
        let all = kinds.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.dice.random_range(0..all);
        for (weight, make) in kinds {
            if drawn < weight {
                return make(self, view);
            }
            drawn -= weight;
        }
        Fault::Kill(0)
    }

    fn node(&mut self) -> usize {
        self.dice.random_range(0..self.field.nodes)
    }

    /// A node, mostly the one with most partitions.
    fn owner(&mut self, view: &View) -> usize {
        let any = self.node();
        if self.dice.random_ratio(2, 3) { view.busiest.unwrap_or(any) } else { any }
    }

    fn receiver(&mut self) -> usize {
        self.dice.random_range(0..self.field.receivers)
    }

    fn how(&mut self) -> How {
        HOWS[self.dice.random_range(0..HOWS.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, view: &View) -> Vec<Option<Planned>> {
        let field = Field { nodes: 3, receivers: 16, nats: true, disk: true };
        let mut schedule = Schedule::new(seed, field, 1.0);
        (0..500).map(|_| schedule.next(view)).collect()
    }

    #[test]
    fn a_seed_gives_the_same_faults_again() {
        let view = View { database_rested: true, ..View::default() };
        assert_eq!(drawn(7, &view), drawn(7, &view));
        assert_ne!(drawn(7, &view), drawn(8, &view));
    }

    #[test]
    fn one_node_is_always_left_and_nothing_is_hit_twice() {
        let hit = HashSet::from(["nats".to_owned(), "receiver 3".to_owned()]);
        let view = View { hit: hit.clone(), away: 2, busiest: Some(1), database_rested: false };
        for planned in drawn(1, &view).into_iter().flatten() {
            assert_eq!(planned.fault.node(), None);
            assert!(!hit.contains(&planned.fault.hits()) && planned.fault.hits() != "postgres", "{planned:?}");
        }
    }
}
