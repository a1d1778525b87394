//! What the router costs. Run with `cargo test --release -p tidings-core --test deliver cost -- --ignored --nocapture`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidings_core::deliver::{Answer, Item, LaneSpec, Limits, Ordering, Router, Schedule};
use tidings_event::delivery::AttemptResult;
use tidings_event::{EndpointNo, Epoch, LaneNo, PartitionId, Position, Sequence, TenantNo, Timestamp};

fn spec(lane: i64, tenant: i64, ordering: Ordering) -> LaneSpec {
    LaneSpec {
        lane: LaneNo(lane),
        endpoint: EndpointNo(lane),
        tenant: TenantNo(tenant),
        ordering,
        schedule: Schedule::standard(),
        rate_per_s: None,
        running: true,
        end: None,
        begin: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn nanos_per_delivery(ordering: Ordering, fan_out: i64, idle: i64) -> (f64, usize) {
    let mut now = Timestamp::from_micros(1_000_000_000_000_000);
    let mut router: Router<u64> =
        Router::new(PartitionId(0), Epoch(1), Position(0), vec![], vec![], vec![], Limits::default(), now);
    for lane in 1..=fan_out + idle {
        router.configure(spec(lane, if lane <= fan_out { 1 } else { lane }, ordering), now);
    }
    let lanes: Vec<LaneNo> = (1..=fan_out).map(LaneNo).collect();
    let events = 400_000 / fan_out as u64;
    let mut under_way = VecDeque::new();
    let (mut delivered, mut commits, mut offered) = (0_u64, 0, 0);
    let began = Instant::now();
    while delivered < events * fan_out as u64 {
        // One lap stands for a millisecond: 30 deliveries fall into it.
        now = Timestamp::from_micros(now.as_micros() + 1_000);
        for _ in 0..(30 / fan_out).max(1) {
            if offered < events {
                offered += 1;
                let item = Item {
                    sequence: Sequence(offered),
                    position: Position(offered),
                    recorded_at: now,
                    key: Some(offered % 1_000),
                    system: false,
                    payload: offered,
                };
                router.offer(&item, TenantNo(1), &lanes, now);
            }
        }
        router.advance(Position(offered));
        while let Some(send) = router.next_send(now) {
            under_way.push_back(send);
        }
        while under_way.len() > 2 * fan_out as usize || (offered == events && !under_way.is_empty()) {
            let Some(send) = under_way.pop_front() else { break };
            let answer = Answer {
                began: now,
                duration: Duration::from_millis(2),
                result: AttemptResult::Status(200),
                retry_after: None,
                body: Bytes::new(),
            };
            router.answered(send.lane, send.sequence, send.attempt, answer, delivered, now);
            delivered += 1;
            if let Some(send) = router.next_send(now) {
                under_way.push_back(send);
            }
        }
        if router.commit_due(now) && router.commit(now).is_some() {
            commits += 1;
            router.committed();
        }
    }
    (began.elapsed().as_nanos() as f64 / delivered as f64, commits)
}

#[test]
#[ignore = "it measures"]
fn cost_of_a_delivery() {
    for (ordering, fan_out, idle) in [
        (Ordering::None, 1, 0),
        (Ordering::None, 10, 0),
        (Ordering::None, 1, 100_000),
        (Ordering::Entity, 1, 0),
        (Ordering::Entity, 10, 100_000),
    ] {
        let (nanos, commits) = nanos_per_delivery(ordering, fan_out, idle);
        println!("{ordering:?}, {fan_out} lanes and {idle} idle: {nanos:.0} ns a delivery, {commits} commits");
    }
}
