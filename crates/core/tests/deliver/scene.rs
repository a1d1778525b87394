//! Small scenes: a world with one lane, and what is done in it.

use std::time::Duration;

use tidings_core::deliver::{Limits, Notice, Ordering, Send};
use tidings_event::LaneNo;
use tidings_event::delivery::RouteCommit;

use crate::world::{Ending, World};

pub const FAST: Duration = Duration::from_millis(2);
/// Dice that leave a delay as it is.
pub const EVEN: u64 = 100;
pub const ALL: u8 = 0b1111;
pub const SECOND: i64 = 1_000_000;

pub fn standard() -> Vec<u32> {
    vec![0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
}

pub fn world(ordering: Ordering) -> (World, LaneNo) {
    let mut world = World::new(Limits::default());
    let lane = world.create(1, ordering, standard(), None, ALL);
    begin(&mut world);
    (world, lane)
}

/// Lets new lanes find that they stand at the head of the log.
pub fn begin(world: &mut World) {
    world.sync();
    while world.begin_read() {
        world.end_read(0, false, usize::MAX, false);
    }
    commit(world);
}

pub fn append(world: &mut World, tenant: i64, count: usize) {
    for n in 0..count {
        world.append(tenant, Some((n % 3) as u8), 0);
    }
    world.route(usize::MAX);
}

/// Answers everything under way of a lane, and what is sent then, until nothing more is sent at this moment.
pub fn exchange(world: &mut World, lane: LaneNo, mut ending: impl FnMut(&Send<u64>) -> Ending) -> Vec<u64> {
    let mut sent = Vec::new();
    loop {
        while world.begin_read() {}
        while !world.reads.is_empty() {
            world.end_read(0, false, usize::MAX, false);
        }
        world.send(usize::MAX);
        let Some(index) = world.in_flight.iter().position(|send| send.lane == lane) else { return sent };
        sent.push(world.in_flight[index].sequence.0);
        let ending = ending(&world.in_flight[index]);
        world.answer(index, ending, FAST, EVEN);
    }
}

pub fn answer_one(world: &mut World, lane: LaneNo, sequence: u64, ending: Ending) {
    let of = |send: &Send<u64>| send.lane == lane && send.sequence.0 == sequence;
    let index = world.in_flight.iter().position(of).unwrap();
    world.answer(index, ending, FAST, EVEN);
}

pub fn in_flight(world: &World, lane: LaneNo) -> Vec<u64> {
    let mut sequences: Vec<u64> =
        world.in_flight.iter().filter(|send| send.lane == lane).map(|send| send.sequence.0).collect();
    sequences.sort_unstable();
    sequences
}

/// Commits, and returns what was committed.
pub fn commit(world: &mut World) -> Option<(RouteCommit, Vec<Notice>)> {
    let commit = world.router.commit(world.now)?;
    world.store.apply(&commit.0);
    for row in &commit.0.dead {
        world.store.ever_dead.insert((LaneNo::from(row.endpoint), row.sequence.0));
    }
    world.store.check();
    world.router.committed();
    Some(commit)
}

/// Commits, and goes to the next moment at which something is to be done.
pub fn wake(world: &mut World) {
    commit(world);
    world.now = world.now.max(world.router.wake_at().unwrap());
}
