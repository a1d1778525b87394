//! What is promised of order, durability and sharing, one promise a test.

use std::time::Duration;

use tidings_core::deliver::{Limits, Notice, Ordering, Send};
use tidings_event::{LaneNo, Sequence};

use crate::scene::{
    ALL, EVEN, FAST, SECOND, answer_one, append, begin, commit, exchange, in_flight, standard, wake, world,
};
use crate::world::{Ending, World};

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
fn a_retry_keeps_the_sequence_that_matched_before_it() {
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
fn an_event_names_the_one_before_it_even_while_that_waits_behind_another_and_after_a_crash() {
    let (mut world, lane) = world(Ordering::Entity);
    append(&mut world, 1, 6);
    let mut previous = Vec::new();
    let mut send_all = |world: &mut World, failing: u64| {
        exchange(world, lane, |send| {
            previous.push((send.sequence.0, send.previous.map(|sequence| sequence.0)));
            if send.sequence.0 == failing { Ending::Error } else { Ending::Ok }
        });
        commit(world);
    };
    // The second fails, the fifth is of the same entity and waits behind it without having been sent.
    send_all(&mut world, 2);
    world.crash(true, 0);
    append(&mut world, 1, 1);
    send_all(&mut world, 0);
    world.pass_time(5 * SECOND);
    send_all(&mut world, 0);
    let expected = [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(3)), (6, Some(5)), (7, Some(5))];
    // Whoever had an effect for each event in turn has not had the fifth's: the seventh must not come before it.
    assert_eq!(previous[..6], expected);
    assert_eq!(previous[6..], [(2, Some(1)), (5, Some(4))]);
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
fn what_was_delivered_ahead_of_the_checkpoint_is_not_delivered_again_once_its_router_has_ended() {
    let mut world = World::new(Limits::default());
    let (slow, fast) = (
        world.create(1, Ordering::Strict, standard(), None, ALL),
        world.create(2, Ordering::Strict, standard(), None, ALL),
    );
    begin(&mut world);
    append(&mut world, 1, 2);
    append(&mut world, 2, 5);
    assert_eq!(exchange(&mut world, fast, |_| Ending::Ok), [1, 2, 3, 4, 5]);
    world.router.drain();
    answer_one(&mut world, slow, 1, Ending::Ok);
    // The checkpoint is held back for the one that was never sent.
    let (commit, _) = commit(&mut world).unwrap();
    assert_eq!(commit.checkpoint.0, 1);
    world.crash(true, 0);
    world.heal();
    assert_eq!((world.deliveries, world.repeats), (7, 0));
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
            world.end_read(0, false, 300, false);
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

#[test]
fn a_retry_that_is_delivered_before_its_event_is_offered_again_is_not_delivered_twice() {
    let mut world = World::new(Limits::default());
    let (one, other) = (
        world.create(1, Ordering::None, standard(), None, ALL),
        world.create(1, Ordering::None, standard(), None, ALL),
    );
    begin(&mut world);
    append(&mut world, 1, 1);
    world.send(usize::MAX);
    answer_one(&mut world, other, 1, Ending::Error);
    // The checkpoint is held back for the one that is under way.
    let (commit, _) = commit(&mut world).unwrap();
    assert_eq!((commit.checkpoint.0, commit.retries.len()), (0, 1));
    world.crash(true, 0);
    world.pass_time(6 * SECOND);
    assert_eq!(exchange(&mut world, other, |_| Ending::Ok), [1]);
    world.route(usize::MAX);
    assert!(exchange(&mut world, other, |_| Ending::Ok).is_empty());
    assert_eq!(exchange(&mut world, one, |_| Ending::Ok), [1]);
    world.heal();
}

#[test]
fn what_was_read_and_delivered_ahead_of_the_router_is_not_delivered_again_after_a_crash() {
    let mut world = World::new(Limits::default());
    for _ in 0..100 {
        world.append(1, None, 0);
    }
    let lane = world.create(1, Ordering::None, standard(), Some(0), ALL);
    world.sync();
    assert_eq!(exchange(&mut world, lane, |_| Ending::Ok).len(), 100);
    for _ in 0..3 {
        commit(&mut world);
        world.pass_time(SECOND);
    }
    assert_eq!(world.store.checkpoint, 0);
    world.crash(true, 0);
    world.heal();
    assert_eq!((world.deliveries, world.repeats), (100, 0));
    assert_eq!(world.store.checkpoint, 100);
}
