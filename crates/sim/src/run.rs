//! One run: a world is made from a seed, lives, comes to rest, and is judged.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidings_event::LogId;
use tidings_store::Store;
use tidings_store::sqlite::{InMemory, SqliteStore};

use crate::bus::Broker;
use crate::check::{Checker, Witnesses};
use crate::clients::{Emitter, Owner, Producer, Reach, Reader};
use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::node::{Node, Outside};
use crate::outbox::Database;
use crate::plan::Plan;
use crate::receivers::Receivers;
use crate::report::Outcome;
use crate::sabotage::Sabotage;
use crate::store::Owners;
use crate::universe::Universe;

/// How long a world may take to come to rest after the last fault, in simulated microseconds.
const REST_MAX_US: u64 = 240_000_000;
/// How often the books are looked at, in simulated microseconds.
const CHECK_EVERY_US: u64 = 20_000;

/// A world that lives.
struct Simulation {
    universe: Arc<Universe>,
    outside: Outside,
    dice: Dice,
    nodes: Vec<Node>,
    ledger: Ledger,
    emitters: Vec<Emitter>,
    producers: Vec<Producer>,
    readers: Vec<Reader>,
    owners: Vec<Owner>,
    checker: Checker,
    checked_us: u64,
}

/// Runs a seed. `keep` has the trace kept.
#[must_use]
pub fn simulate(seed: u64, keep: bool) -> Outcome {
    run(seed, keep, None)
}

/// Runs a seed with a mechanism taken away.
#[must_use]
pub fn simulate_without(sabotage: Sabotage, seed: u64) -> Outcome {
    run(seed, false, Some(sabotage))
}

fn run(seed: u64, keep: bool, sabotage: Option<Sabotage>) -> Outcome {
    let universe = Universe::new(keep);
    let mut dice = Dice::new(seed);
    let plan = Plan { sabotage, ..Plan::of(&mut dice) };
    universe.trace(0, format_args!("seed {seed}: {plan:?}"));
    let mut simulation = Simulation::new(&universe, &plan, dice);
    simulation.live();
    simulation.rest();
    simulation.judge(seed)
}

impl Simulation {
    fn new(universe: &Arc<Universe>, plan: &Plan, mut dice: Dice) -> Self {
        let clock = universe.clone();
        let mut id = [0; 16];
        dice.fill(&mut id);
        let store = SqliteStore::in_memory(InMemory {
            partitions: plan.partitions,
            log: LogId(ulid::Ulid(u128::from_le_bytes(id) >> 1)),
            clock: Arc::new(move || clock.database_now()),
        });
        let store = Arc::new(store.expect("a log in memory can always be made"));
        if plan.sabotage == Some(Sabotage::Dedupe) {
            store.inspect(|connection| connection.execute_batch("DROP INDEX events_by_id"));
        }
        let platform = (tidings_engine::PLATFORM.to_owned(), Arc::<Database>::default());
        let databases: Vec<_> = std::iter::once(platform)
            .chain((0..plan.outboxes).map(|number| (format!("shop{number}"), Arc::default())))
            .collect();
        let producers =
            databases[1..].iter().map(|(name, database)| Producer::new(name, dice.fork(), database.clone())).collect();
        let tenants = plan.tenants as u64;
        let outside = Outside {
            universe: universe.clone(),
            receivers: Receivers::of(plan, &mut dice),
            store: store.clone() as Arc<dyn Store>,
            owners: Arc::<Owners>::default(),
            databases,
            broker: plan.bus.then(Arc::<Broker>::default),
            plan: plan.clone(),
        };
        Self {
            universe: universe.clone(),
            nodes: (0..plan.nodes).map(|number| Node::new(format!("n{number}"), dice.fork())).collect(),
            ledger: Ledger::default(),
            emitters: (0..plan.emitters).map(|number| Emitter::new(format!("emitter{number}"), dice.fork())).collect(),
            producers,
            readers: (0..plan.readers as u64).map(|number| Reader::new(number, tenants, dice.fork())).collect(),
            owners: (0..plan.endpoints as u64).map(|host| Owner::new(host, tenants, dice.fork())).collect(),
            checker: Checker::new(universe, &store),
            outside,
            dice,
            checked_us: 0,
        }
    }

    /// Work and trouble.
    fn live(&mut self) {
        while self.universe.now_us() < self.outside.plan.active_us && self.universe.broken().is_none() {
            let lengths = [1_000, 2_000, 5_000, 10_000, 10_000, 20_000];
            let length = *self.dice.pick(&lengths);
            self.trouble(length);
            self.step(length, true);
        }
    }

    /// Nothing new happens and nothing goes wrong any more; all comes to rest.
    fn rest(&mut self) {
        self.universe.end_faults();
        self.universe.set_database_clock(0);
        let until = self.universe.now_us() + REST_MAX_US;
        for node in &mut self.nodes {
            node.paused_until_us = 0;
            node.lasting.cut.store(false, Ordering::Relaxed);
            node.lasting.skew_us.store(0, Ordering::Relaxed);
        }
        let mut under_way = Some(String::new());
        while self.universe.broken().is_none() {
            self.step(20_000, false);
            under_way = self.under_way();
            if under_way.is_none() || self.universe.now_us() > until {
                break;
            }
        }
        if let Some(what) = under_way
            && self.universe.broken().is_none()
        {
            self.universe.breaks(format_args!("all comes to rest: still under way: {what}"));
        }
    }

    fn under_way(&self) -> Option<String> {
        if let Some(node) = self.nodes.iter().find(|node| !node.is_up()) {
            return Some(format!("{} is not up", node.name));
        }
        if self.emitters.iter().any(|emitter| !emitter.is_idle()) {
            return Some("an emitter waits for an answer".to_owned());
        }
        if self.producers.iter().any(|producer| !producer.is_idle()) {
            return Some("a producer has a transaction open".to_owned());
        }
        if self.owners.iter().any(|owner| !owner.is_idle()) {
            return Some("an owner has not settled its endpoint".to_owned());
        }
        self.checker.under_way(&self.witnesses())
    }

    fn witnesses(&self) -> Witnesses<'_> {
        Witnesses {
            ledger: &self.ledger,
            readers: &self.readers,
            databases: &self.outside.databases,
            receivers: &self.outside.receivers,
            chaos: &self.outside.plan.chaos,
        }
    }

    /// Lets the whole world live on for a while.
    fn step(&mut self, length_us: u64, working: bool) {
        let until = self.universe.now_us() + length_us;
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        self.dice.shuffle(&mut order);
        for at in order {
            let now = self.universe.now_us();
            let node = &mut self.nodes[at];
            if !node.is_up() && node.up_at_us <= now {
                node.start(&self.outside);
            }
            node.live_until(until, &self.universe);
        }
        self.universe.advance_to(until);
        let mut reach = Reach { outside: &self.outside, nodes: &mut self.nodes, ledger: &mut self.ledger, working };
        self.emitters.iter_mut().for_each(|emitter| emitter.step(&mut reach));
        self.producers.iter_mut().for_each(|producer| producer.step(&mut reach));
        self.readers.iter_mut().for_each(|reader| reader.step(&reach));
        self.owners.iter_mut().for_each(|owner| owner.step(&reach));
        if until >= self.checked_us + CHECK_EVERY_US {
            self.checked_us = until;
            let witnesses = Witnesses {
                ledger: &self.ledger,
                readers: &self.readers,
                databases: &self.outside.databases,
                receivers: &self.outside.receivers,
                chaos: &self.outside.plan.chaos,
            };
            self.checker.step(&witnesses);
        }
    }

    /// What befalls nodes and databases as a whole, in a step of this length.
    fn trouble(&mut self, length_us: u64) {
        let chaos = self.outside.plan.chaos;
        let (now, dice, universe) = (self.universe.now_us(), &mut self.dice, &self.universe);
        let mut befalls = |a_second: f64| dice.chance(a_second * length_us as f64 / 1e6);
        let [kills, stops, pauses, cuts, clocks] =
            [chaos.kills, chaos.stops, chaos.pauses, chaos.cuts, chaos.clocks].map(&mut befalls);
        let bus = befalls(chaos.bus_troubles);
        let (database_clock, outbox_cut) = (befalls(chaos.database_clocks), befalls(chaos.outbox_cuts));
        let at = usize::try_from(dice.below(self.nodes.len() as u64)).unwrap_or(0);
        let node = &mut self.nodes[at];
        let name = node.name.clone();
        if kills && node.is_up() {
            universe.upset(now, "node_killed", format_args!("{name}"));
            node.kill("killed");
        }
        if stops && node.is_up() && node.stop() {
            universe.upset(now, "node_stopped", format_args!("{name}"));
        }
        if pauses && node.is_up() {
            let length =
                if dice.chance(0.5) { dice.within(50_000, 1_000_000) } else { dice.within(3_000_000, 7_000_000) };
            universe.upset(now, "node_paused", format_args!("{name} for {length}"));
            node.paused_until_us = now + length;
        }
        let is_cut = node.lasting.cut.load(Ordering::Relaxed);
        if cuts || is_cut && dice.chance(length_us as f64 / 2e6) {
            if !is_cut {
                universe.upset(now, "database_cut", format_args!("{name}"));
            }
            node.lasting.cut.store(!is_cut, Ordering::Relaxed);
        }
        if clocks {
            let skew = dice.within(0, 20_000_000).cast_signed() - 10_000_000;
            universe.upset(now, "clock_set", format_args!("{name} by {skew}"));
            node.lasting.skew_us.store(skew, Ordering::Relaxed);
        }
        if database_clock {
            let skew = dice.within(0, 20_000_000).cast_signed() - 10_000_000;
            universe.upset(now, "database_clock_set", format_args!("by {skew}"));
            universe.set_database_clock(skew);
        }
        if bus && let Some(broker) = &self.outside.broker {
            broker.trouble(universe, dice);
        }
        if outbox_cut && !self.producers.is_empty() {
            let length = dice.within(100_000, 4_000_000);
            let at = usize::try_from(dice.below(self.producers.len() as u64)).unwrap_or(0);
            universe.fault(now, "outbox_cut", format_args!("shop{at} for {length}"));
            self.producers[at].cut(now + length);
        }
    }

    fn judge(mut self, seed: u64) -> Outcome {
        if self.universe.broken().is_none() {
            let witnesses = Witnesses {
                ledger: &self.ledger,
                readers: &self.readers,
                databases: &self.outside.databases,
                receivers: &self.outside.receivers,
                chaos: &self.outside.plan.chaos,
            };
            self.checker.end(&witnesses);
        }
        let (hash, lines, trace) = self.universe.traced();
        Outcome {
            seed,
            broken: self.universe.broken(),
            simulated_us: self.universe.now_us(),
            events: self.checker.events(),
            deliveries: self.outside.receivers.taken_in_all(),
            faults: self.universe.faults(),
            hash,
            lines,
            trace,
        }
    }
}
