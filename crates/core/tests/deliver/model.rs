//! The router against its promises, under arbitrary interleavings of events, answers, commits that are slow or lost,
//! crashes, changes of configuration and jumps of the clock.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tidings_core::deliver::{Limits, Ordering};
use tidings_event::{EndpointNo, LaneNo, Sequence};

use crate::world::{Ending, World, micros};

/// One step. The numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Append {
        tenant: u8,
        entity: u8,
        kind: u8,
        count: u8,
    },
    Route {
        count: u8,
    },
    Send {
        count: u8,
    },
    /// Answers as the mood of the endpoint has it.
    Answer {
        which: u8,
        dice: u16,
        took_ms: u16,
    },
    Unsent {
        which: u8,
        gone: bool,
    },
    BeginRead,
    EndRead {
        which: u8,
        fails: bool,
        piece: u8,
        early: bool,
    },
    BeginCommit,
    WriteCommit {
        twice: bool,
    },
    EndCommit,
    /// As a driver does: routes, reads, sends, commits.
    Drive,
    Crash {
        written: bool,
        arrived: u64,
    },
    Create {
        tenant: u8,
        ordering: u8,
        schedule: u8,
        after: Option<u8>,
        mask: u8,
    },
    Change {
        which: u8,
        change: Change,
    },
    Redrive {
        which: u8,
    },
    Replay {
        which: u8,
        after: u8,
        upto: u8,
        mask: u8,
    },
    CancelReplay {
        which: u8,
    },
    Mood {
        which: u8,
        mood: u8,
    },
    Pass {
        millis: u16,
    },
    /// To the moment at which the router has something to do.
    Wake,
    /// The clock jumps, forwards or backwards.
    Jump {
        seconds: i32,
    },
}

#[derive(Debug, Clone)]
enum Change {
    Filter(u8),
    Running(bool),
    Ordering(u8),
    Rate(Option<u8>),
    Delete,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => any::<u8>().prop_map(Change::Filter),
        2 => Just(Change::Running(false)),
        5 => Just(Change::Running(true)),
        2 => any::<u8>().prop_map(Change::Ordering),
        1 => proptest::option::of(1..200_u8).prop_map(Change::Rate),
        1 => Just(Change::Delete),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        14 => (any::<u8>(), any::<u8>(), any::<u8>(), 1..6_u8)
            .prop_map(|(tenant, entity, kind, count)| Step::Append { tenant, entity, kind, count }),
        10 => (1..8_u8).prop_map(|count| Step::Route { count }),
        14 => (1..8_u8).prop_map(|count| Step::Send { count }),
        24 => (any::<u8>(), any::<u16>(), 0..3_000_u16)
            .prop_map(|(which, dice, took_ms)| Step::Answer { which, dice, took_ms }),
        1 => (any::<u8>(), proptest::bool::weighted(0.2)).prop_map(|(which, gone)| Step::Unsent { which, gone }),
        6 => Just(Step::BeginRead),
        7 => (any::<u8>(), proptest::bool::weighted(0.1), 1..20_u8, any::<bool>())
            .prop_map(|(which, fails, piece, early)| Step::EndRead { which, fails, piece, early }),
        6 => Just(Step::BeginCommit),
        6 => any::<bool>().prop_map(|twice| Step::WriteCommit { twice }),
        6 => Just(Step::EndCommit),
        6 => Just(Step::Drive),
        2 => (any::<bool>(), any::<u64>()).prop_map(|(written, arrived)| Step::Crash { written, arrived }),
        1 => (any::<u8>(), any::<u8>(), any::<u8>(), proptest::option::of(any::<u8>()), any::<u8>()).prop_map(
            |(tenant, ordering, schedule, after, mask)| Step::Create { tenant, ordering, schedule, after, mask }
        ),
        2 => (any::<u8>(), change()).prop_map(|(which, change)| Step::Change { which, change }),
        1 => any::<u8>().prop_map(|which| Step::Redrive { which }),
        1 => (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(which, after, upto, mask)| Step::Replay { which, after, upto, mask }),
        1 => any::<u8>().prop_map(|which| Step::CancelReplay { which }),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(which, mood)| Step::Mood { which, mood }),
        6 => (0..300_u16).prop_map(|millis| Step::Pass { millis }),
        6 => Just(Step::Wake),
        1 => (-900_000..900_000_i32).prop_map(|seconds| Step::Jump { seconds }),
    ]
}

/// Bounds so small that runs meet them all the time.
fn small_limits(variety: u8) -> Limits {
    let n = usize::from(variety);
    Limits {
        in_flight_max: 8 + n % 9,
        lane_in_flight_max: 1 + u16::from(variety % 5),
        window: 2 + n % 12,
        undurable_max: 24,
        retries_max: 1 + n % 13,
        uncommitted_max: 64,
        expired_max: 5,
        reads_max: 2,
        open_after: 1 + u32::from(variety % 4),
        ..Limits::default()
    }
}

fn ordering(n: u8) -> Ordering {
    [Ordering::None, Ordering::Entity, Ordering::Entity, Ordering::Strict][usize::from(n % 4)]
}

fn schedule(n: u8) -> Vec<u32> {
    [vec![0, 1, 1], vec![0], vec![0, 5, 300, 1_800], vec![0, 1, 2, 3, 60, 600]][usize::from(n % 4)].clone()
}

/// How endpoints are disposed.
struct Moods(Vec<u8>);

impl Moods {
    fn ending(&self, lane: i64, sequence: Sequence, dice: u16) -> Ending {
        let mood = self.0.get(lane.unsigned_abs() as usize % self.0.len()).copied().unwrap_or(0);
        match mood % 10 {
            0..=3 => Ending::Ok,
            4 => Ending::Refused,
            // One event in five is poison.
            5 if sequence.0 % 5 == 0 => Ending::Error,
            5 => Ending::Ok,
            6 if dice % 2 == 0 => Ending::Throttled(u32::from(dice % 50)),
            7 if dice % 40 == 0 => Ending::Gone,
            8 => [Ending::Ok, Ending::Timeout, Ending::Error][usize::from(dice % 3)],
            9 => [Ending::Refused, Ending::Ok][usize::from(dice % 8 == 0)],
            _ => Ending::Ok,
        }
    }
}

fn pick<T: Copy>(all: &[T], which: u8) -> Option<T> {
    (!all.is_empty()).then(|| all[usize::from(which) % all.len()])
}

fn take(world: &mut World, moods: &mut Moods, step: Step) {
    match step {
        Step::Append { tenant, entity, kind, count } => {
            if world.store.log.len() < 600 {
                let entity = (entity % 4 != 0).then_some(entity % 4);
                (0..count).for_each(|n| world.append(i64::from(tenant % 2) + 1, entity, kind.wrapping_add(n)));
            }
        }
        Step::Route { count } => world.route(usize::from(count)),
        Step::Send { count } => {
            world.send(usize::from(count));
        }
        Step::Answer { which, dice, took_ms } => {
            if !world.in_flight.is_empty() {
                let index = usize::from(which) % world.in_flight.len();
                let send = &world.in_flight[index];
                let ending = moods.ending(send.lane.0, send.sequence, dice);
                world.answer(index, ending, Duration::from_millis(took_ms.into()), u64::from(dice));
            }
        }
        Step::Unsent { which, gone } => {
            if !world.in_flight.is_empty() {
                world.unsent(usize::from(which) % world.in_flight.len(), gone);
            }
        }
        Step::BeginRead => {
            world.begin_read();
        }
        Step::EndRead { which, fails, piece, early } => {
            if !world.reads.is_empty() {
                world.end_read(usize::from(which) % world.reads.len(), fails, usize::from(piece), early);
            }
        }
        Step::BeginCommit => {
            world.begin_commit();
        }
        Step::WriteCommit { twice } => world.write_commit(twice),
        Step::EndCommit => world.end_commit(),
        Step::Drive => drive(world),
        // In some runs crashes are rare, so that more heaps up.
        Step::Crash { written, arrived } => {
            if moods.0[7] % 2 == 0 || arrived % 16 == 0 {
                world.crash(written, arrived);
            }
        }
        Step::Mood { which, mood } => {
            let index = usize::from(which) % moods.0.len();
            moods.0[index] = mood;
        }
        Step::Pass { millis } => world.pass_time(i64::from(millis) * 1_000),
        Step::Wake => world.now = world.router.wake_at().map_or(world.now, |at| at.max(world.now)),
        Step::Jump { seconds } => world.pass_time(i64::from(seconds) * 1_000_000),
        administer => change_something(world, administer),
    }
}

fn drive(world: &mut World) {
    world.route(16);
    while world.begin_read() {}
    while !world.reads.is_empty() {
        world.end_read(0, false, 50, false);
    }
    world.send(4);
    if world.router.commit_due(world.now) {
        world.begin_commit();
    }
    world.write_commit(false);
    world.end_commit();
    world.pass_time(micros(Duration::from_millis(10)));
}

fn change_something(world: &mut World, step: Step) {
    match step {
        Step::Create { tenant, ordering: order, schedule: delays, after, mask } if world.own_lanes().len() < 6 => {
            let tenant = i64::from(tenant % 2) + 1;
            let after = after.map(u64::from);
            world.create(tenant, ordering(order), schedule(delays), after, mask | 1 << (mask % 4));
        }
        Step::Change { which, change } => {
            let Some(lane) = pick(&world.own_lanes(), which) else { return };
            let head = world.store.head(world.store.subscribed[&lane].spec.tenant.0);
            world.change(lane, |sub| match change {
                Change::Filter(mask) => sub.selections.push((head, mask)),
                Change::Running(running) => sub.spec.running = running,
                Change::Ordering(n) => sub.spec.ordering = ordering(n),
                Change::Rate(rate) => sub.spec.rate_per_s = rate.map(u32::from),
                Change::Delete => sub.deleted = true,
            });
            // The replays of an endpoint stand and fall with it.
            let spec = world.store.subscribed[&lane].clone();
            for replay in world.replays() {
                if world.store.subscribed[&replay].spec.endpoint == spec.spec.endpoint {
                    world.change(replay, |sub| {
                        sub.spec.running = spec.spec.running;
                        sub.deleted = spec.deleted;
                    });
                }
            }
        }
        Step::Redrive { which } => {
            let lanes = world.own_lanes();
            let lives = |key: &&(EndpointNo, Sequence)| lanes.contains(&LaneNo::from(key.0));
            let dead: Vec<_> = world.store.dead.keys().filter(lives).copied().collect();
            if let Some(key) = pick(&dead, which) {
                world.store.dead.remove(&key);
                world.store.redrives.insert(key);
            }
        }
        Step::Replay { which, after, upto, mask } => {
            let Some(lane) = pick(&world.own_lanes(), which).filter(|_| world.replays().len() < 2) else { return };
            let head = world.store.head(world.store.subscribed[&lane].spec.tenant.0);
            let (one, other) = (u64::from(after) % (head + 1), u64::from(upto) % (head + 1));
            world.replay(lane, one.min(other), one.max(other), mask);
        }
        Step::CancelReplay { which } => {
            if let Some(lane) = pick(&world.replays(), which) {
                world.change(lane, |sub| sub.deleted = true);
            }
        }
        _ => {}
    }
}

/// Steps that one run of the tests takes at least.
const STEPS_MIN: u64 = 100_000;

#[expect(clippy::disallowed_methods, reason = "a test may be told to run longer")]
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// `TIDINGS_MODEL_SEED` and `TIDINGS_MODEL_STEPS` make another or a longer run.
#[test]
fn every_match_is_settled_once_in_order_and_within_bounds_whatever_happens() {
    let steps_wanted = number("TIDINGS_MODEL_STEPS", STEPS_MIN);
    let seed = number("TIDINGS_MODEL_SEED", 7);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let runs = (proptest::collection::vec(step(), 300..900), any::<[u8; 8]>());
    let mut totals = [0; 7];
    while totals[0] < steps_wanted {
        let (steps, moods) = runs.new_tree(&mut runner).unwrap().current();
        match attempt(&steps, moods) {
            Ok(of_run) => totals.iter_mut().zip(of_run).for_each(|(sum, of_run)| *sum += of_run),
            Err(_) => {
                let steps = shortest(steps, moods);
                println!("seed {seed}, moods {moods:?}, {} steps:\n{steps:?}", steps.len());
                run(&steps, moods);
            }
        }
    }
    let [steps, deliveries, crashes, commits, dead, repeats, sends] = totals;
    println!(
        "{steps} steps: {sends} sends, {deliveries} deliveries, {crashes} crashes, {commits} commits, {dead} given up, \
         {repeats} delivered again"
    );
    let enough = deliveries > steps / 10 && crashes > steps / 500 && commits > steps / 100 && dead > steps / 1_000;
    assert!(enough, "too little happened");
}

fn attempt(steps: &[Step], moods: [u8; 8]) -> std::thread::Result<[u64; 7]> {
    std::panic::catch_unwind(|| run(steps, moods))
}

/// Leaves out steps, many at once and then fewer, as long as it fails without them.
fn shortest(mut steps: Vec<Step>, moods: [u8; 8]) -> Vec<Step> {
    std::panic::set_hook(Box::new(|_| {}));
    let mut size = steps.len() / 2;
    while size > 0 {
        let before = steps.len();
        let mut from = 0;
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + size).min(steps.len()));
            if attempt(&fewer, moods).is_err() {
                steps = fewer;
            } else {
                from += size;
            }
        }
        if steps.len() == before || size > 1 {
            size /= 2;
        }
    }
    drop(std::panic::take_hook());
    steps
}

fn run(steps: &[Step], moods: [u8; 8]) -> [u64; 7] {
    let mut moods = Moods(moods.to_vec());
    let mut world = World::new(small_limits(moods.0[6]));
    for n in 0..3_u8 {
        world.create(i64::from(n % 2) + 1, ordering(n), schedule(n), None, 0b1111);
    }
    for step in steps {
        take(&mut world, &mut moods, step.clone());
        world.check();
    }
    world.heal();
    let count = steps.len() as u64;
    [count, world.deliveries, world.crashes, world.commits, world.dead, world.repeats, world.sends]
}
