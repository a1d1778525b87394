//! What is promised of endpoints that fail, one promise a test.

use std::time::Duration;

use tidings_core::deliver::{Limits, Notice, Ordering, Send};
use tidings_event::delivery::{CircuitState, DeadReason, DisableReason};
use tidings_event::{EndpointNo, LaneNo, Sequence};

use crate::scene::{ALL, SECOND, answer_one, append, begin, commit, exchange, in_flight, wake, world};
use crate::world::{Ending, World};

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
fn a_strict_endpoint_that_cannot_be_reached_is_looked_for_at_once() {
    let (mut world, lane) = world(Ordering::Strict);
    append(&mut world, 1, 3);
    assert_eq!(exchange(&mut world, lane, |_| Ending::Refused), [1]);
    // Its schedule would have it wait for five seconds; a probe looks after one.
    world.pass_time(2 * SECOND);
    assert_eq!(exchange(&mut world, lane, |_| Ending::Ok), [1, 2, 3]);
    world.heal();
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
fn no_notice_is_given_either_where_only_the_payload_tells_that_an_event_is_of_tidings() {
    for (told, count) in [(false, 1), (true, 0)] {
        let mut world = World::new(Limits::default());
        let lane = world.create(1, Ordering::None, vec![0, 5], None, ALL);
        begin(&mut world);
        append(&mut world, 1, 1);
        exchange(&mut world, lane, |_| Ending::Error);
        commit(&mut world);
        world.crash(true, 0);
        world.pass_time(10 * SECOND);
        assert_eq!(world.send(usize::MAX), 1);
        if told {
            world.router.is_system(lane, Sequence(1));
        }
        answer_one(&mut world, lane, 1, Ending::Error);
        let (commit, notices) = commit(&mut world).unwrap();
        assert_eq!((commit.dead.len(), notices.len()), (1, count), "{notices:?}");
    }
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
fn what_comes_after_an_event_that_was_given_up_waits_until_that_is_durable() {
    for ordering in [Ordering::Entity, Ordering::Strict] {
        let mut world = World::new(Limits::default());
        let lane = world.create(1, ordering, vec![0, 10], None, ALL);
        begin(&mut world);
        for _ in 0..2 {
            world.append(1, Some(1), 0);
        }
        world.route(usize::MAX);
        let poison = |send: &Send<u64>| if send.sequence.0 == 1 { Ending::Error } else { Ending::Ok };
        assert_eq!(exchange(&mut world, lane, poison), [1], "{ordering:?}");
        commit(&mut world).unwrap();
        world.pass_time(12 * SECOND);
        // A router that began again now would begin with the first.
        assert_eq!(exchange(&mut world, lane, poison), [1], "{ordering:?}");
        let (commit, _) = commit(&mut world).unwrap();
        assert_eq!(commit.dead.len(), 1, "{ordering:?}");
        assert_eq!(exchange(&mut world, lane, poison), [2], "{ordering:?}");
    }
}
