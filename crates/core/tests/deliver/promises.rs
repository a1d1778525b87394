//! One promise a test.

use std::time::Duration;

use tidings_core::deliver::{Limits, Notice, Ordering, Send};
use tidings_event::delivery::{CircuitState, DeadReason, DisableReason, RouteCommit};
use tidings_event::{EndpointNo, LaneNo, Sequence};

use crate::world::{Ending, World};

const FAST: Duration = Duration::from_millis(2);
/// Dice that leave a delay as it is.
const EVEN: u64 = 100;
const ALL: u8 = 0b1111;
const SECOND: i64 = 1_000_000;

fn standard() -> Vec<u32> {
    vec![0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
}

fn world(ordering: Ordering) -> (World, LaneNo) {
    let mut world = World::new(Limits::default());
    let lane = world.create(1, ordering, standard(), None, ALL);
    begin(&mut world);
    (world, lane)
}

/// Lets new lanes find that they stand at the head of the log.
fn begin(world: &mut World) {
    world.sync();
    while world.begin_read() {
        world.end_read(0, false, usize::MAX);
    }
    commit(world);
}

fn append(world: &mut World, tenant: i64, count: usize) {
    for n in 0..count {
        world.append(tenant, Some((n % 3) as u8), 0);
    }
    world.route(usize::MAX);
}

/// Answers everything under way of a lane, and what is sent then, until nothing more is sent at this moment.
fn exchange(world: &mut World, lane: LaneNo, mut ending: impl FnMut(&Send<u64>) -> Ending) -> Vec<u64> {
    let mut sent = Vec::new();
    loop {
        while world.begin_read() {}
        while !world.reads.is_empty() {
            world.end_read(0, false, usize::MAX);
        }
        world.send(usize::MAX);
        let Some(index) = world.in_flight.iter().position(|send| send.lane == lane) else { return sent };
        sent.push(world.in_flight[index].sequence.0);
        let ending = ending(&world.in_flight[index]);
        world.answer(index, ending, FAST, EVEN);
    }
}

fn answer_one(world: &mut World, lane: LaneNo, sequence: u64, ending: Ending) {
    let of = |send: &Send<u64>| send.lane == lane && send.sequence.0 == sequence;
    let index = world.in_flight.iter().position(of).unwrap();
    world.answer(index, ending, FAST, EVEN);
}

fn in_flight(world: &World, lane: LaneNo) -> Vec<u64> {
    let mut sequences: Vec<u64> =
        world.in_flight.iter().filter(|send| send.lane == lane).map(|send| send.sequence.0).collect();
    sequences.sort_unstable();
    sequences
}

/// Commits, and returns what was committed.
fn commit(world: &mut World) -> Option<(RouteCommit, Vec<Notice>)> {
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
fn wake(world: &mut World) {
    commit(world);
    world.now = world.now.max(world.router.wake_at().unwrap());
}

#[test]
fn at_least_once_a_crash_between_any_two_steps_loses_nothing() {
    type Step = fn(&mut World);
    let steps: &[Step] = &[
        |world| append(world, 1, 6),
        |world| {
            world.send(usize::MAX);
        },
        |world| world.answer(2, Ending::Error, FAST, EVEN),
        |world| world.answer(0, Ending::Ok, FAST, EVEN),
        |world| {
            world.begin_commit();
        },
        |world| world.answer(0, Ending::Error, FAST, EVEN),
        |world| {
            world.send(usize::MAX);
        },
        |world| world.write_commit(false),
        |world| world.pass_time(6 * SECOND),
        |world| {
            world.send(usize::MAX);
        },
        |world| world.answer(0, Ending::Ok, FAST, EVEN),
        |world| world.end_commit(),
        |world| append(world, 1, 300),
        |world| {
            world.begin_commit();
        },
        |world| world.write_commit(true),
        |world| world.answer(0, Ending::Ok, FAST, EVEN),
        |world| world.end_commit(),
    ];
    for ordering in [Ordering::None, Ordering::Entity, Ordering::Strict] {
        for crash_before in 0..=steps.len() {
            for written in [false, true] {
                let (mut world, _) = world(ordering);
                for (index, step) in steps.iter().enumerate() {
                    if index == crash_before {
                        world.crash(written, 0b0101);
                    }
                    if !world.in_flight.is_empty() || ![2, 3, 5, 10, 15].contains(&index) {
                        let small = world.in_flight.len() < 3 && index == 2;
                        if small { world.answer(0, Ending::Error, FAST, EVEN) } else { step(&mut world) }
                    }
                }
                world.crash(written, 0);
                world.heal();
            }
        }
    }
}

#[test]
fn entity_order_a_failing_event_holds_up_its_entity_alone() {
    let (mut world, lane) = world(Ordering::Entity);
    append(&mut world, 1, 9);
    let poison = |send: &Send<u64>| if send.sequence.0 == 1 { Ending::Error } else { Ending::Ok };
    assert_eq!(exchange(&mut world, lane, poison), [1, 2, 3, 5, 6, 8, 9]);
    let (commit, _) = commit(&mut world).unwrap();
    let rows: Vec<(u64, u32)> = commit.retries.iter().map(|row| (row.sequence.0, row.attempts)).collect();
    assert_eq!(rows, [(1, 1), (4, 0), (7, 0)]);
    // One that comes later goes behind them.
    append(&mut world, 1, 1);
    assert!(exchange(&mut world, lane, |_| Ending::Ok).is_empty());
    world.pass_time(5 * SECOND);
    assert_eq!(exchange(&mut world, lane, |_| Ending::Ok), [1, 4, 7, 10]);
    world.heal();
}

#[test]
fn strict_order_a_failing_event_holds_up_all_that_follow() {
    let (mut world, lane) = world(Ordering::Strict);
    append(&mut world, 1, 4);
    let mut tries = 0;
    let twice = |send: &Send<u64>| {
        tries += u32::from(send.sequence.0 == 2);
        if send.sequence.0 == 2 && tries < 3 { Ending::Error } else { Ending::Ok }
    };
    let mut previous = Vec::new();
    let mut ending = twice;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.extend(exchange(&mut world, lane, |send| {
            previous.push(send.previous.map(|sequence| sequence.0));
            ending(send)
        }));
        world.pass_time(300 * SECOND);
    }
    assert_eq!(all, [1, 2, 2, 2, 3, 4]);
    // What a strict lane calls the one before is what the endpoint really got.
    assert_eq!(previous, [None, Some(1), Some(1), Some(1), Some(2), Some(3)]);
}

#[test]
fn a_retry_keeps_the_sequence_that_was_sent_before_it() {
    let (mut world, lane) = world(Ordering::None);
    append(&mut world, 1, 3);
    let mut previous = Vec::new();
    for _ in 0..2 {
        exchange(&mut world, lane, |send| {
            previous.push((send.sequence.0, send.attempt, send.previous.map(|sequence| sequence.0)));
            if send.sequence.0 == 2 && send.attempt == 1 { Ending::Error } else { Ending::Ok }
        });
        commit(&mut world);
        world.crash(true, 0);
        world.pass_time(5 * SECOND);
    }
    previous.sort_unstable();
    assert_eq!(previous, [(1, 1, None), (2, 1, Some(1)), (2, 2, Some(1)), (3, 1, Some(2))]);
}

#[test]
fn isolation_one_tenants_flood_delays_another_by_one_send_of_each_tenant_that_waits() {
    let mut world = World::new(Limits { in_flight_max: 40, ..Limits::default() });
    for tenant in 1..=3 {
        for _ in 0..20 {
            world.create(tenant, Ordering::None, standard(), None, ALL);
        }
    }
    let quiet = world.create(9, Ordering::None, standard(), None, ALL);
    begin(&mut world);
    for tenant in 1..=3 {
        append(&mut world, tenant, 100);
    }
    // The three flood all there is.
    assert_eq!(world.send(usize::MAX), 20);
    for round in 0..50 {
        append(&mut world, 9, 1);
        for _ in 0..4 {
            world.answer(0, Ending::Ok, FAST, EVEN);
        }
        world.send(4);
        let sequence = round + 1;
        assert_eq!(in_flight(&world, quiet), [sequence], "it was not among the next four");
        answer_one(&mut world, quiet, sequence, Ending::Ok);
        world.send(1);
    }
}

#[test]
fn isolation_slow_lanes_hold_half_and_one_tenant_a_quarter_while_others_wait() {
    let mut world = World::new(Limits { in_flight_max: 64, ..Limits::default() });
    let slow: Vec<LaneNo> = (0..40).map(|_| world.create(1, Ordering::None, standard(), None, ALL)).collect();
    let fast: Vec<LaneNo> = (2..6).map(|tenant| world.create(tenant, Ordering::None, standard(), None, ALL)).collect();
    begin(&mut world);
    // Those that have not answered yet count as slow: together they get half.
    for tenant in 1..6 {
        append(&mut world, tenant, 60);
    }
    world.send(usize::MAX);
    assert_eq!(world.in_flight.len(), 32);
    for _ in 0..60 {
        let index = world.in_flight.iter().position(|send| fast.contains(&send.lane));
        let Some(index) = index else { break };
        world.answer(index, Ending::Ok, FAST, EVEN);
        world.send(usize::MAX);
        let held = world.in_flight.iter().filter(|send| slow.contains(&send.lane)).count();
        assert!(held <= 32, "slow lanes hold {held}");
    }
    for tenant in 2..6 {
        append(&mut world, tenant, 60);
    }
    world.send(usize::MAX);
    let of_fast = world.in_flight.iter().filter(|send| fast.contains(&send.lane)).count();
    assert!(of_fast >= 16, "those that answer fast got {of_fast}");
}

#[test]
fn a_dead_endpoint_costs_the_same_rows_however_many_events_it_misses() {
    let rows = |events: usize| {
        let (mut world, lane) = world(Ordering::None);
        world.store.rows_written = 0;
        for _ in 0..events / 50 {
            append(&mut world, 1, 50);
            exchange(&mut world, lane, |_| Ending::Refused);
            world.pass_time(30_000);
            if world.router.commit_due(world.now) {
                commit(&mut world);
            }
        }
        let retries = world.store.retries.len();
        let census = world.census();
        assert!(census.events <= 16, "it holds {} events in memory", census.events);
        assert_eq!(world.store.rows.len(), 1);
        world.heal();
        let order: Vec<u32> = world.store.delivered.values().copied().collect();
        assert_eq!(order, vec![1; events]);
        (world.store.rows_written, retries)
    };
    assert_eq!(rows(1_000).1, rows(5_000).1);
    let (few, retries) = rows(1_000);
    let (many, _) = rows(5_000);
    // Four failed before the fifth opened the circuit.
    assert_eq!(retries, 4);
    // Catching up afterwards moves the lane's row once a commit.
    assert!(many <= few + 200, "{few} rows for 1,000 events, {many} for 5,000");
}

#[test]
fn a_dead_endpoint_whose_events_are_of_one_entity_costs_no_row_an_event_either() {
    let (mut world, lane) = world(Ordering::Entity);
    for _ in 0..60 {
        for _ in 0..50 {
            world.append(1, Some(1), 0);
        }
        world.route(usize::MAX);
        exchange(&mut world, lane, |_| Ending::Refused);
        world.pass_time(60 * SECOND);
        commit(&mut world);
        assert!(world.store.retries.len() <= 64, "{} retries", world.store.retries.len());
    }
    world.pass_time(61 * SECOND);
    let mut sent = Vec::new();
    while sent.len() < 3_000 {
        sent.extend(exchange(&mut world, lane, |_| Ending::Ok));
        commit(&mut world).unwrap();
    }
    assert_eq!(sent, (1..=3_000).collect::<Vec<_>>());
}

#[test]
fn an_entity_that_always_fails_does_not_keep_others_from_a_healthy_endpoint() {
    let (mut world, lane) = world(Ordering::Entity);
    let mut others = 0;
    for n in 0..1_500 {
        world.append(1, Some(u8::from(n % 50 == 0)), 0);
        world.route(usize::MAX);
        let sent =
            exchange(&mut world, lane, |send| if (send.sequence.0 - 1) % 50 == 0 { Ending::Error } else { Ending::Ok });
        others += sent.iter().filter(|sequence| (**sequence - 1) % 50 != 0).count();
        world.pass_time(SECOND);
        commit(&mut world);
    }
    assert_eq!(others, 1_500 / 50 * 49);
}

#[test]
fn a_dead_strict_endpoint_gets_everything_in_order_when_it_returns() {
    for ordering in [Ordering::Strict, Ordering::Entity] {
        let (mut world, lane) = world(ordering);
        append(&mut world, 1, 700);
        for _ in 0..12 {
            exchange(&mut world, lane, |_| Ending::Refused);
            wake(&mut world);
        }
        world.pass_time(61 * SECOND);
        let mut sent = exchange(&mut world, lane, |_| Ending::Ok);
        assert_eq!(sent.len(), 700);
        if ordering == Ordering::Entity {
            sent.sort_by_key(|sequence| (sequence % 3, *sequence));
        }
        for pair in sent.windows(2).filter(|pair| ordering == Ordering::Strict || pair[0] % 3 == pair[1] % 3) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
    }
}

#[test]
fn a_healthy_lane_writes_no_row() {
    let (mut world, lane) = world(Ordering::None);
    let mut attempts = 0;
    for _ in 0..400 {
        append(&mut world, 1, 20);
        world.send(usize::MAX);
        // Some are always under way when a commit is made.
        while in_flight(&world, lane).len() > 2 {
            world.answer(0, Ending::Ok, FAST, EVEN);
            world.send(usize::MAX);
        }
        world.pass_time(25_000);
        let (commit, _) = commit(&mut world).unwrap();
        attempts += commit.attempts.len();
        assert!(commit.lanes.is_empty() && commit.caught_up.is_empty() && commit.retries.is_empty());
        assert!(commit.checkpoint.0 + 2 + 20 >= world.store.log.len() as u64);
    }
    assert_eq!(attempts as u64, world.deliveries);
    assert!(attempts > 7_900);
}

#[test]
fn a_hundred_thousand_idle_lanes_ask_for_nothing() {
    let mut world = World::new(Limits::default());
    for tenant in 0..100_000 {
        world.create(tenant, Ordering::None, standard(), None, ALL);
    }
    world.store.subscribed.retain(|lane, _| lane.0 <= 100_000);
    world.sync();
    // Each was made while the router was at work, and is read once to the head.
    while world.begin_read() {
        let read = world.reads.pop().unwrap();
        let done = tidings_core::deliver::ReadDone { items: vec![], upto: read.after, at_head: true };
        world.router.read(read.lane, Some(done), world.now);
    }
    world.router.commit(world.now);
    world.router.committed();
    assert_eq!(world.router.wake_at(), None);
    assert!(!world.router.commit_due(world.now));
    world.pass_time(10 * SECOND);
    assert_eq!(world.router.wake_at(), None);
    assert_eq!(world.router.commit(world.now), None);
    assert_eq!(world.router.next_send(world.now), None);
}

#[test]
fn a_retry_that_comes_and_goes_between_two_commits_is_never_written() {
    let (mut world, lane) = world(Ordering::None);
    append(&mut world, 1, 1);
    exchange(&mut world, lane, |_| Ending::Error);
    world.pass_time(5 * SECOND);
    exchange(&mut world, lane, |_| Ending::Ok);
    let (commit, _) = commit(&mut world).unwrap();
    assert!(commit.retries.is_empty() && commit.settled.is_empty());
    assert_eq!((commit.attempts.len(), commit.checkpoint.0), (2, 1));
}

#[test]
fn what_happens_while_a_commit_is_written_goes_into_the_next() {
    let (mut world, lane) = world(Ordering::None);
    append(&mut world, 1, 2);
    exchange(&mut world, lane, |send| if send.sequence.0 == 1 { Ending::Error } else { Ending::Ok });
    let (first, _) = world.router.commit(world.now).unwrap();
    assert_eq!(first.retries.len(), 1);
    // The retry is delivered while its row is under way to the disk: the next commit takes it away.
    world.pass_time(5 * SECOND);
    exchange(&mut world, lane, |_| Ending::Ok);
    assert_eq!(world.router.commit(world.now), None);
    assert!(!world.router.commit_due(world.now));
    world.store.apply(&first);
    world.store.check();
    world.router.committed();
    let (second, _) = commit(&mut world).unwrap();
    assert_eq!(second.settled, [(lane, Sequence(1))]);
    assert!(second.retries.is_empty() && world.store.retries.is_empty());
    assert_eq!(world.router.commit(world.now), None);
}

#[test]
fn nothing_more_is_sent_once_too_much_is_not_durable() {
    let limits = Limits { window: 16, lane_in_flight_max: 8, undurable_max: 60, ..Limits::default() };
    let mut world = World::new(limits);
    let lane = world.create(1, Ordering::None, standard(), None, ALL);
    begin(&mut world);
    append(&mut world, 1, 500);
    assert_eq!(exchange(&mut world, lane, |_| Ending::Ok).len(), 60);
    let (commit, _) = world.router.commit(world.now).unwrap();
    assert!(exchange(&mut world, lane, |_| Ending::Ok).is_empty());
    world.store.apply(&commit);
    world.router.committed();
    assert_eq!(exchange(&mut world, lane, |_| Ending::Ok).len(), 60);
    assert!(world.router.commit_due(world.now), "it is urgent");
    world.crash(false, 0);
    world.heal();
    assert_eq!(world.repeats, 60);
}

#[test]
fn a_pause_that_an_endpoint_asks_for_is_kept_by_all_its_events() {
    let (mut world, lane) = world(Ordering::None);
    append(&mut world, 1, 10);
    world.send(usize::MAX);
    answer_one(&mut world, lane, 1, Ending::Throttled(3_600));
    for sequence in 2..=4 {
        answer_one(&mut world, lane, sequence, Ending::Throttled(60));
    }
    assert_eq!(world.send(usize::MAX), 0);
    let (commit, _) = commit(&mut world).unwrap();
    assert_eq!(commit.circuits[0].state, CircuitState::Throttled);
    assert!(commit.retries[0].next_at.as_micros() == world.now.as_micros() + 3_600 * SECOND);
    world.crash(true, 0);
    world.route(usize::MAX);
    world.pass_time(3_599 * SECOND);
    assert_eq!(world.send(usize::MAX), 0);
    world.pass_time(SECOND);
    assert_eq!(exchange(&mut world, lane, |_| Ending::Ok).len(), 10);
    world.heal();
}

#[test]
fn a_pause_is_cut_only_where_the_schedule_ends() {
    let mut world = World::new(Limits::default());
    let lane = world.create(1, Ordering::None, vec![0, 10, 20], None, ALL);
    begin(&mut world);
    append(&mut world, 1, 1);
    exchange(&mut world, lane, |_| Ending::Throttled(1_000_000));
    world.pass_time(29 * SECOND);
    assert_eq!(world.send(usize::MAX), 0);
    world.pass_time(SECOND);
    assert_eq!(world.send(usize::MAX), 1);
}

#[test]
fn an_endpoint_that_is_gone_is_disabled_and_goes_on_where_it_stood_when_it_is_enabled() {
    let (mut world, lane) = world(Ordering::None);
    append(&mut world, 1, 5);
    let gone = |send: &Send<u64>| if send.sequence.0 == 3 { Ending::Gone } else { Ending::Ok };
    exchange(&mut world, lane, gone);
    let (commit, notices) = commit(&mut world).unwrap();
    let endpoint = EndpointNo(lane.0);
    assert_eq!(commit.disabled, [(endpoint, DisableReason::Gone)]);
    assert!(notices.contains(&Notice::Disabled { endpoint, reason: DisableReason::Gone }));
    world.change(lane, |sub| sub.spec.running = false);
    append(&mut world, 1, 5);
    assert_eq!(world.send(usize::MAX), 0);
    world.crash(true, 0);
    world.route(usize::MAX);
    assert_eq!(world.send(usize::MAX), 0);
    world.change(lane, |sub| sub.spec.running = true);
    world.sync();
    let sent = exchange(&mut world, lane, |_| Ending::Ok);
    assert!(sent.contains(&3) && sent.contains(&10));
    world.heal();
}

#[test]
fn an_endpoint_that_says_several_times_that_it_is_gone_is_disabled_once() {
    let (mut world, lane) = world(Ordering::None);
    append(&mut world, 1, 5);
    world.send(usize::MAX);
    let sequences = in_flight(&world, lane);
    assert!(sequences.len() >= 4, "{sequences:?}");
    answer_one(&mut world, lane, sequences[0], Ending::Gone);
    answer_one(&mut world, lane, sequences[1], Ending::Gone);
    let (first, notices) = commit(&mut world).unwrap();
    let endpoint = EndpointNo(lane.0);
    assert_eq!(first.disabled, [(endpoint, DisableReason::Gone)]);
    assert_eq!(notices, [Notice::Disabled { endpoint, reason: DisableReason::Gone }]);
    // One that was under way comes back before the change is known, one after.
    answer_one(&mut world, lane, sequences[2], Ending::Gone);
    world.change(lane, |sub| sub.spec.running = false);
    world.sync();
    answer_one(&mut world, lane, sequences[3], Ending::Gone);
    let (second, notices) = commit(&mut world).unwrap();
    assert_eq!((second.disabled.len(), notices.len()), (0, 0), "{notices:?}");
    world.heal();
}

#[test]
fn an_open_circuit_is_probed_with_the_oldest_event_and_closed_by_it() {
    let (mut world, lane) = world(Ordering::None);
    append(&mut world, 1, 400);
    assert_eq!(exchange(&mut world, lane, |_| Ending::Refused).len(), 8);
    let (_, notices) = commit(&mut world).unwrap();
    assert!(matches!(notices[..], [Notice::CircuitOpened { .. }]), "{notices:?}");
    for wait in [1, 2, 4, 8] {
        world.pass_time(wait * SECOND - 1);
        assert_eq!(world.send(usize::MAX), 0);
        world.pass_time(1);
        assert_eq!(exchange(&mut world, lane, |_| Ending::Refused), [1]);
    }
    world.pass_time(16 * SECOND);
    let sent = exchange(&mut world, lane, |_| Ending::Ok);
    assert_eq!(sent, (1..=400).collect::<Vec<_>>());
    let (_, notices) = commit(&mut world).unwrap();
    let open_for = Duration::from_secs(31);
    assert_eq!(notices, [Notice::CircuitClosed { endpoint: EndpointNo(1), lane, open_for }]);
}

#[test]
fn an_event_that_an_endpoint_never_takes_does_not_keep_its_circuit_open() {
    let (mut world, lane) = world(Ordering::None);
    append(&mut world, 1, 400);
    let poison = |send: &Send<u64>| if send.sequence.0 <= 9 { Ending::Error } else { Ending::Ok };
    exchange(&mut world, lane, poison);
    assert_eq!(world.census().open, 1);
    for _ in 0..20 {
        wake(&mut world);
        exchange(&mut world, lane, poison);
    }
    assert_eq!((world.census().open, world.deliveries), (0, 391));
}

#[test]
fn an_event_is_given_up_after_its_last_attempt_and_never_by_probes() {
    let mut world = World::new(Limits::default());
    let lane = world.create(1, Ordering::None, vec![0, 10, 20], None, ALL);
    begin(&mut world);
    append(&mut world, 1, 2);
    let poison = |send: &Send<u64>| if send.sequence.0 == 1 { Ending::Error } else { Ending::Ok };
    for _ in 0..3 {
        exchange(&mut world, lane, poison);
        world.pass_time(22 * SECOND);
    }
    let (commit, notices) = commit(&mut world).unwrap();
    let row = commit.dead[0];
    assert_eq!((row.sequence, row.attempts, row.reason), (Sequence(1), 3, DeadReason::Exhausted));
    assert_eq!(row.last, Some(Ending::Error.result()));
    assert!(matches!(&notices[..], [Notice::DeadLettered { count: 1, first: Sequence(1), .. }]), "{notices:?}");
    assert_eq!(commit.attempts.iter().filter(|row| row.sequence.0 == 1).map(|row| row.attempt).max(), Some(3));
}

#[test]
fn behind_an_endpoint_that_fails_for_the_whole_schedule_old_events_are_given_up_in_order_and_in_bounded_pieces() {
    let limits = Limits { expired_max: 100, ..Limits::default() };
    let mut world = World::new(limits);
    let lane = world.create(1, Ordering::None, vec![0, 60, 3_600], None, ALL);
    begin(&mut world);
    append(&mut world, 1, 1_000);
    exchange(&mut world, lane, |_| Ending::Refused);
    world.pass_time(3_000 * SECOND);
    append(&mut world, 1, 50);
    let mut given_up: Vec<u64> = Vec::new();
    for _ in 0..400 {
        exchange(&mut world, lane, |_| Ending::Refused);
        world.pass_time(25_000);
        if let Some((commit, _)) = commit(&mut world) {
            assert!(commit.dead.len() <= 100);
            assert!(commit.dead.iter().all(|row| row.reason == DeadReason::Expired));
            given_up.extend(commit.dead.iter().map(|row| row.sequence.0));
        }
        if given_up.is_empty() {
            world.now = world.router.wake_at().map_or(world.now, |at| at.max(world.now));
        }
        if given_up.len() == 1_000 {
            break;
        }
    }
    let expected: Vec<u64> = (1..=1_000).collect();
    assert!(given_up == expected, "{} were given up: {given_up:?}", given_up.len());
    world.heal();
    assert_eq!(world.deliveries, 50);
}

#[test]
fn an_endpoint_that_fails_for_days_is_disabled() {
    let (mut world, lane) = world(Ordering::None);
    append(&mut world, 1, 10);
    let mut disabled = None;
    let begin = world.now.as_micros();
    while disabled.is_none() {
        exchange(&mut world, lane, |_| Ending::Timeout);
        wake(&mut world);
        if let Some((commit, _)) = commit(&mut world) {
            disabled = commit.disabled.first().copied();
        }
        let census = world.census();
        append(&mut world, 1, usize::from(census.events + census.retries == 0));
    }
    assert_eq!(disabled, Some((EndpointNo(lane.0), DisableReason::Failing)));
    let days = (world.now.as_micros() - begin) as f64 / 86_400e6;
    assert!((5.0..5.01).contains(&days), "after {days} days");
}

#[test]
fn no_notice_is_given_about_the_delivery_of_tidings_own_events() {
    let (mut world, lane) = world(Ordering::None);
    world.create(1, Ordering::None, vec![0], None, ALL);
    begin(&mut world);
    for n in 1..=20 {
        world.append(1, None, 0);
        let mut item = world.store.log[n - 1].item();
        item.system = true;
        world.router.offer(&item, tidings_event::TenantNo(1), &[lane, LaneNo(2)], world.now);
        world.router.advance(item.position);
    }
    for lane in [lane, LaneNo(2)] {
        exchange(&mut world, lane, |_| Ending::Error);
    }
    assert_eq!(world.census().open, 2);
    let (commit, notices) = commit(&mut world).unwrap();
    assert_eq!((commit.circuits.len(), commit.dead.len(), notices), (2, 4, vec![]));
}

#[test]
fn a_redriven_event_is_delivered_once_and_its_row_goes_with_the_commit_that_keeps_it() {
    let mut world = World::new(Limits::default());
    let lane = world.create(1, Ordering::None, vec![0], None, ALL);
    begin(&mut world);
    append(&mut world, 1, 1);
    exchange(&mut world, lane, |_| Ending::Error);
    commit(&mut world);
    let key = (EndpointNo(lane.0), Sequence(1));
    world.store.dead.clear();
    world.store.redrives.insert(key);
    world.sync();
    world.sync();
    let (first, _) = commit(&mut world).unwrap();
    assert_eq!((first.redriven.clone(), first.retries.len(), first.retries[0].attempts), (vec![key], 1, 0));
    // A list that was read before that commit still names it.
    world.router.redrive(key.0, key.1, world.now);
    assert_eq!(exchange(&mut world, lane, |_| Ending::Ok), [1]);
    world.router.redrive(key.0, key.1, world.now);
    assert!(exchange(&mut world, lane, |_| Ending::Ok).is_empty());
    world.heal();
    assert_eq!(world.deliveries, 1);
}

#[test]
fn a_replay_reads_its_piece_of_the_log_and_ends() {
    let (mut world, lane) = world(Ordering::None);
    append(&mut world, 1, 50);
    exchange(&mut world, lane, |_| Ending::Ok);
    commit(&mut world);
    let replay = world.replay(lane, 10, 30, ALL);
    world.sync();
    append(&mut world, 1, 50);
    // Live delivery goes on beside it.
    world.send(usize::MAX);
    assert!(in_flight(&world, lane).contains(&51));
    assert_eq!(exchange(&mut world, replay, |_| Ending::Ok), (11..=30).collect::<Vec<_>>());
    let (commit, notices) = commit(&mut world).unwrap();
    let progress = commit.replays[0];
    assert_eq!((progress.delivered, progress.dead, progress.done), (20, 0, true));
    assert_eq!(commit.ended, [replay]);
    assert!(matches!(notices[..], [Notice::ReplayFinished { .. }]), "{notices:?}");
    world.heal();
    assert_eq!(world.deliveries, 120);
}

#[test]
fn once_it_drains_nothing_begins_and_what_is_under_way_is_committed() {
    let (mut world, lane) = world(Ordering::None);
    append(&mut world, 1, 10);
    world.send(2);
    world.router.drain();
    assert_eq!(world.send(usize::MAX), 0);
    answer_one(&mut world, lane, 1, Ending::Ok);
    answer_one(&mut world, lane, 2, Ending::Error);
    assert_eq!(world.send(usize::MAX), 0);
    let (commit, _) = commit(&mut world).unwrap();
    assert_eq!((commit.attempts.len(), commit.retries.len()), (2, 1));
    world.crash(true, 0);
    world.heal();
    assert_eq!(world.deliveries, 10);
    assert_eq!(world.repeats, 0);
}

#[test]
fn a_clock_that_is_set_back_stops_neither_sends_nor_commits_nor_probes() {
    let mut world = World::new(Limits::default());
    let (lane, limited) = (
        world.create(1, Ordering::None, standard(), None, ALL),
        world.create(2, Ordering::None, standard(), None, ALL),
    );
    world.change(limited, |sub| sub.spec.rate_per_s = Some(10));
    begin(&mut world);
    append(&mut world, 1, 20);
    append(&mut world, 2, 20);
    exchange(&mut world, limited, |_| Ending::Ok);
    exchange(&mut world, lane, |_| Ending::Refused);
    commit(&mut world);
    for _ in 0..5 {
        world.pass_time(-86_400 * SECOND);
        append(&mut world, 2, 1);
        world.pass_time(61 * SECOND);
        assert_eq!(exchange(&mut world, limited, |_| Ending::Ok).len(), 1);
        assert_eq!(exchange(&mut world, lane, |_| Ending::Refused).len(), 1);
        assert!(world.router.commit_due(world.now));
        commit(&mut world).unwrap();
        world.pass_time(120 * SECOND);
    }
    world.heal();
}

#[test]
fn a_rate_is_kept() {
    let (mut world, lane) = world(Ordering::None);
    world.change(lane, |sub| sub.spec.rate_per_s = Some(10));
    append(&mut world, 1, 100);
    let mut seconds = 0.0;
    let mut sent = 0;
    while sent < 100 {
        sent += exchange(&mut world, lane, |_| Ending::Ok).len();
        let before = world.now;
        commit(&mut world);
        if sent < 100 {
            wake(&mut world);
        }
        seconds += (world.now.as_micros() - before.as_micros()) as f64 / 1e6;
    }
    assert!((9.8..10.2).contains(&seconds), "100 took {seconds} s");
}

#[test]
fn a_lane_that_could_not_take_an_event_in_reads_it_from_the_log() {
    let (mut world, lane) = world(Ordering::Entity);
    append(&mut world, 1, 1_000);
    assert_eq!(world.census().events, 256);
    assert_eq!(world.census().lagging, 1);
    let mut sent = exchange(&mut world, lane, |_| Ending::Ok);
    sent.sort_unstable();
    assert_eq!(sent, (1..=1_000).collect::<Vec<_>>());
    assert_eq!(world.census().lagging, 0);
    // It is fed from what is offered again.
    append(&mut world, 1, 1);
    assert_eq!(world.census().lagging, 0);
    assert_eq!(exchange(&mut world, lane, |_| Ending::Ok), [1_001]);
}

#[test]
fn twenty_thousand_events_reach_a_healthy_endpoint_beside_slow_dead_and_moody_ones() {
    let mut world = World::new(Limits::default());
    let healthy = world.create(1, Ordering::None, standard(), None, ALL);
    let slow = world.create(1, Ordering::None, standard(), None, ALL);
    let dead = world.create(1, Ordering::None, standard(), None, ALL);
    let moody = world.create(1, Ordering::None, standard(), None, ALL);
    begin(&mut world);
    let mut waits: Vec<(i64, u64)> = Vec::new();
    for _ in 0..1_000 {
        for n in 0..20 {
            // A key for each event keeps the reference quick: nothing is ordered here.
            world.append(1, None, n);
        }
        world.route(usize::MAX);
        while world.begin_read() {}
        while !world.reads.is_empty() {
            world.end_read(0, false, 300);
        }
        loop {
            world.send(usize::MAX);
            let Some(index) = world.in_flight.iter().position(|send| send.lane != slow) else { break };
            let (lane, sequence) = (world.in_flight[index].lane, world.in_flight[index].sequence.0);
            let ending = match lane {
                lane if lane == dead => Ending::Refused,
                lane if lane == moody && sequence % 10 == 0 => Ending::Error,
                _ => Ending::Ok,
            };
            world.answer(index, ending, FAST, EVEN);
        }
        // The slow one answers one in a while.
        for send in world.in_flight.iter().filter(|send| send.lane == slow) {
            if !waits.iter().any(|(_, sequence)| *sequence == send.sequence.0) {
                waits.push((world.now.as_micros() + 10 * SECOND, send.sequence.0));
            }
        }
        let now = world.now.as_micros();
        for (_, sequence) in waits.extract_if(.., |(at, _)| *at <= now) {
            let index = world.in_flight.iter().position(|send| send.sequence.0 == sequence).unwrap();
            world.answer(index, Ending::Ok, Duration::from_secs(10), EVEN);
        }
        // What the healthy one was offered it got at once.
        let head = world.store.head(1);
        assert!(world.store.delivered.contains_key(&(healthy, head)), "the healthy one waits at {head}");
        world.pass_time(25_000);
        if world.router.commit_due(world.now) {
            let (commit, _) = world.router.commit(world.now).unwrap();
            assert!(!commit.lanes.iter().any(|row| row.lane == healthy));
            world.store.apply(&commit);
            world.router.committed();
        }
    }
    world.store.check();
    assert_eq!(world.store.retries.range((dead, Sequence(0))..(dead, Sequence(u64::MAX))).count(), 4);
}
