//! What is promised about a router's commit.

use std::sync::Arc;

use bytes::Bytes;
use tidings_event::delivery::{
    AttemptResult, AttemptRow, CircuitRow, CircuitState, DisableReason, Failure, ReplayProgress, RouteCommit,
};
use tidings_event::{EndpointNo, Epoch, LaneNo, PartitionId, Position, Revision, Sequence};
use tidings_store::{
    AttemptQuery, Claim, DeadFate, DeadQuery, EndpointRow, EndpointStatus, Error, ReplayState, RouteOutcome, Store,
};

use crate::deliver::{
    appending, attempt_row, claim, commit, commit_with, create, dead_row, lane_row, new_endpoint, nothing, put,
    retry_row, set_status,
};
use crate::home::Home;
use crate::make::{all_of, append, event, ids, moment, place, place_in};
use crate::replays::replay;

const P0: PartitionId = PartitionId(0);

fn all_attempts() -> AttemptQuery {
    AttemptQuery { limit: 100_000, ..AttemptQuery::default() }
}

fn all_dead() -> DeadQuery {
    DeadQuery { limit: 1_000, ..DeadQuery::default() }
}

/// Everything that a commit may change, as text that can be compared.
async fn picture(store: &dyn Store, endpoints: &[&EndpointRow]) -> String {
    let mut picture = String::new();
    for endpoint in endpoints {
        let attempts = store.attempts(endpoint.no, &all_attempts()).await.unwrap();
        let delivery = store.delivery(endpoint.no).await.unwrap();
        let row = store.endpoint(endpoint.tenant_no, &endpoint.id).await.unwrap();
        let replays = store.replays(endpoint.no, None, 100).await.unwrap();
        let dead = store.dead_letters(endpoint.tenant_no, &all_dead()).await.unwrap();
        picture += &format!("{attempts:?} {delivery:?} {row:?} {replays:?} {dead:?}");
    }
    let state = store.router_state(P0).await.unwrap();
    let routing = store.routing(P0, Revision(0)).await.unwrap();
    let heads = store.heads().await.unwrap();
    format!("{picture} {state:?} {routing:?} {heads:?}")
}

fn open(lane: LaneNo) -> CircuitRow {
    CircuitRow {
        lane,
        state: CircuitState::Open,
        since: moment(1),
        until: moment(2),
        probes: 0,
        last: AttemptResult::Failed(Failure::Refused),
    }
}

/// A commit that has something of everything, with so many attempts, and what goes with it.
fn everything(claim: Claim, endpoint: &EndpointRow, other: &EndpointRow, attempts: u64) -> RouteCommit {
    let lane = LaneNo::from(endpoint.no);
    let attempts = (1..=attempts).map(|at| attempt_row(endpoint.no, at, i64::try_from(at).unwrap())).collect();
    RouteCommit {
        checkpoint: Position(0),
        lanes: vec![lane_row(lane, endpoint.tenant_no, 4)],
        retries: vec![retry_row(lane, 2), retry_row(lane, 3)],
        dead: vec![dead_row(endpoint, 1), dead_row(other, 1)],
        attempts,
        circuits: vec![open(lane)],
        disabled: vec![(other.no, DisableReason::Gone)],
        ..nothing(0, claim)
    }
}

pub(crate) async fn a_commit_of_a_spent_epoch_writes_nothing_at_all(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let (one, two) = (create(&*store, &tenant, 1).await, create(&*store, &tenant, 2).await);
    let old = claim(&*store, 0).await;
    claim(&*store, 0).await;
    let before = picture(&*store, &[&one, &two]).await;
    for attempts in [0, 3, 1_000] {
        // More often than there are connections: each must come back clean.
        for _ in 0..10 {
            let route = everything(old, &one, &two, attempts);
            let appends = || vec![appending(&tenant, vec![event("acme", "never")])];
            for appends in [Vec::new(), appends()] {
                let outcome = store.commit_route(&route, appends).await.unwrap();
                assert!(matches!(outcome, RouteOutcome::Fenced), "{outcome:?}");
            }
        }
    }
    let future = Claim { epoch: Epoch(3), ..old };
    assert!(matches!(store.commit_route(&nothing(0, future), Vec::new()).await.unwrap(), RouteOutcome::Fenced));
    assert!(matches!(store.commit_route(&nothing(1, old), Vec::new()).await.unwrap(), RouteOutcome::Fenced));
    assert_eq!(picture(&*store, &[&one, &two]).await, before);
}

pub(crate) async fn a_checkpoint_never_falls(home: Home) {
    let store = home.open().await;
    append(&*store, (0..6).map(|at| event("acme", &format!("e{at}"))).collect()).await;
    let claimed = claim(&*store, 0).await;
    let at = |checkpoint: u64| RouteCommit { checkpoint: Position(checkpoint), ..nothing(0, claimed) };
    commit(&*store, &at(5)).await;
    commit(&*store, &at(5)).await;
    assert!(matches!(store.commit_route(&at(4), Vec::new()).await.unwrap(), RouteOutcome::Fenced));
    commit(&*store, &at(6)).await;
    // Nor does it move beyond the log, which may have become shorter than the router saw it.
    assert!(matches!(store.commit_route(&at(7), Vec::new()).await.unwrap(), RouteOutcome::Fenced));
    assert_eq!(claim(&*store, 0).await.checkpoint, Position(6));
    for sql in ["UPDATE leases SET checkpoint = 5 WHERE slot = '0'", "UPDATE leases SET epoch = 0 WHERE slot = '0'"] {
        assert!(home.raw(sql).await.is_err(), "{sql}");
    }
}

pub(crate) async fn a_commit_writes_each_of_its_parts(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let (one, two) = (create(&*store, &tenant, 1).await, create(&*store, &tenant, 2).await);
    let claimed = claim(&*store, 0).await;
    let lane = LaneNo::from(one.no);
    let appends = vec![appending(&tenant, vec![event("acme", "notice"), event("acme", "other")])];
    let route = everything(claimed, &one, &two, 3);
    let (appended, revision) = commit_with(&*store, &route, appends).await;
    assert_eq!(revision, Some(Revision(3)));
    assert_eq!((appended[0].revision, appended[0].plan.rows.len()), (Revision(3), 2));
    assert_eq!(ids(&all_of(&*store, P0).await), ["notice", "other"]);

    let delivery = store.delivery(one.no).await.unwrap().unwrap();
    assert_eq!(delivery.settled, Some(Sequence(4)));
    assert_eq!((delivery.retries, delivery.oldest_retry, delivery.dead), (2, Some(Sequence(2)), 1));
    assert_eq!(delivery.circuit, Some(open(lane)));
    assert_eq!((delivery.head, delivery.position, delivery.checkpoint), (Sequence(2), Position(2), Position(0)));
    let mut attempts = route.attempts.clone();
    attempts.reverse();
    assert_eq!(store.attempts(one.no, &all_attempts()).await.unwrap(), attempts);
    assert_eq!(store.dead(one.no, Sequence(1)).await.unwrap(), Some(dead_row(&one, 1)));
    assert_eq!(store.dead(one.no, Sequence(2)).await.unwrap(), None);
    let disabled = store.endpoint(tenant.no, &two.id).await.unwrap().unwrap();
    assert_eq!((disabled.status, disabled.status_reason.as_deref()), (EndpointStatus::Disabled, Some("gone")));
    assert_eq!(disabled.revision, Revision(3));
    assert!(disabled.updated_at > two.updated_at);
    let changed = store.routing(P0, Revision(2)).await.unwrap();
    assert_eq!((changed.revision, changed.endpoints), (Revision(3), vec![disabled]));

    // What is over goes; what stands in both lists stays.
    let over = RouteCommit {
        checkpoint: Position(2),
        caught_up: vec![lane, LaneNo(77)],
        settled: vec![(lane, Sequence(2)), (lane, Sequence(3)), (lane, Sequence(99))],
        retries: vec![retry_row(lane, 3)],
        closed: vec![lane],
        ..nothing(0, claimed)
    };
    let (appended, revision) = commit(&*store, &over).await;
    assert_eq!((appended.len(), revision), (0, None));
    let delivery = store.delivery(one.no).await.unwrap().unwrap();
    assert_eq!((delivery.settled, delivery.circuit), (None, None));
    assert_eq!((delivery.retries, delivery.oldest_retry), (1, Some(Sequence(3))));
    assert_eq!(delivery.checkpoint, Position(2));
    assert_eq!(store.delivery(EndpointNo(999)).await.unwrap(), None);
}

pub(crate) async fn a_later_row_takes_the_place_of_an_earlier_one(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let one = create(&*store, &tenant, 1).await;
    let (claimed, lane) = (claim(&*store, 0).await, LaneNo::from(one.no));
    let later = tidings_event::delivery::RetryRow { attempts: 4, next_at: moment(50), ..retry_row(lane, 2) };
    let throttled = CircuitRow { state: CircuitState::Throttled, until: moment(9), probes: 2, ..open(lane) };
    let died = tidings_event::delivery::DeadRow { last: None, attempts: 0, ..dead_row(&one, 1) };
    for round in 0..2 {
        // At once, and one after the other.
        let both = |early: bool, late: bool| RouteCommit {
            lanes: [lane_row(lane, tenant.no, 1), lane_row(lane, tenant.no, 8)]
                .into_iter()
                .enumerate()
                .filter_map(|(at, row)| [early, late][at].then_some(row))
                .collect(),
            retries: [retry_row(lane, 2), later]
                .into_iter()
                .enumerate()
                .filter_map(|(at, row)| [early, late][at].then_some(row))
                .collect(),
            circuits: [open(lane), throttled]
                .into_iter()
                .enumerate()
                .filter_map(|(at, row)| [early, late][at].then_some(row))
                .collect(),
            dead: [dead_row(&one, 1), died]
                .into_iter()
                .enumerate()
                .filter_map(|(at, row)| [early, late][at].then_some(row))
                .collect(),
            ..nothing(0, claimed)
        };
        if round == 0 {
            commit(&*store, &both(true, true)).await;
        } else {
            commit(&*store, &both(true, false)).await;
            commit(&*store, &both(false, true)).await;
        }
        let state = store.router_state(P0).await.unwrap();
        assert_eq!(state.lanes, [lane_row(lane, tenant.no, 8)]);
        assert_eq!(state.retries, [later]);
        assert_eq!(state.circuits, [throttled]);
        assert_eq!(store.dead(one.no, Sequence(1)).await.unwrap(), Some(died));
    }
}

pub(crate) async fn a_commit_that_comes_again_changes_nothing(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let (one, two) = (create(&*store, &tenant, 1).await, create(&*store, &tenant, 2).await);
    let running = store.insert_replay(P0, replay(&one, "r1"), 5).await.unwrap().unwrap();
    let claimed = claim(&*store, 0).await;
    for (round, attempts) in [3, 1_000].into_iter().enumerate() {
        let mut route = everything(claimed, &one, &two, attempts);
        route.attempts.iter_mut().for_each(|row| row.sequence = Sequence(row.sequence.get() + round as u64 * 5_000));
        route.replays = vec![ReplayProgress { replay: running.no, delivered: 5, dead: 1, done: round == 1 }];
        let id = format!("notice-{round}");
        let appends = || vec![appending(&tenant, vec![event("acme", &id)])];
        commit_with(&*store, &route, appends()).await;
        let mut first = picture(&*store, &[&one]).await;
        for again in 0..3 {
            let appends = if again == 0 { Vec::new() } else { appends() };
            let (appended, revision) = commit_with(&*store, &route, appends).await;
            assert_eq!(revision, None, "what is disabled is not disabled again");
            assert!(appended.iter().all(|appended| appended.plan.rows.is_empty()));
            let again = picture(&*store, &[&one]).await;
            assert_eq!(std::mem::replace(&mut first, again.clone()), again);
        }
        let replayed = store.replay(one.no, "r1").await.unwrap().unwrap().0;
        assert_eq!((replayed.delivered, replayed.dead), (5 * (round as u64 + 1), round as u64 + 1));
        assert_eq!(replayed.state, [ReplayState::Running, ReplayState::Done][round]);
    }
    // With some that are known and many that are new.
    let route = everything(claimed, &one, &two, 1_500);
    commit(&*store, &route).await;
    assert_eq!(store.attempts(one.no, &all_attempts()).await.unwrap().len(), 3 + 1_000 + 1_497);
}

pub(crate) async fn an_endpoint_is_disabled_only_while_it_is_active(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let stranger = create(&*store, &place_in(&*store, "globex", 1).await, 1).await;
    let mut rows = Vec::new();
    for (number, status) in (1..).zip(EndpointStatus::ALL) {
        let row = create(&*store, &tenant, number).await;
        rows.push(if *status == EndpointStatus::Active { row } else { set_status(&*store, &row, *status).await });
    }
    let claimed = claim(&*store, 0).await;
    let before = store.heads().await.unwrap()[0].revision;
    let all = rows.iter().chain([&stranger]).map(|row| (row.no, DisableReason::Failing)).collect();
    let (_, revision) = commit(&*store, &RouteCommit { disabled: all, ..nothing(0, claimed) }).await;
    assert_eq!(revision, Some(before.next()));
    let changed = store.routing(P0, before).await.unwrap().endpoints;
    assert_eq!(changed.len(), 1);
    assert_eq!((changed[0].no, changed[0].status_reason.as_deref()), (rows[0].no, Some("failing")));
    assert_eq!(store.endpoint(stranger.tenant_no, &stranger.id).await.unwrap(), Some(stranger));
}

pub(crate) async fn what_a_lane_leaves_behind_goes_when_it_ends(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let (gone, kept) = (create(&*store, &tenant, 1).await, create(&*store, &tenant, 2).await);
    let running = store.insert_replay(P0, replay(&kept, "r1"), 5).await.unwrap().unwrap();
    let claimed = claim(&*store, 0).await;
    let lanes = [LaneNo::from(gone.no), LaneNo::from(kept.no), LaneNo::from(running.no)];
    let route = RouteCommit {
        lanes: lanes.iter().map(|lane| lane_row(*lane, tenant.no, 1)).collect(),
        retries: lanes.iter().flat_map(|lane| [retry_row(*lane, 2), retry_row(*lane, 3)]).collect(),
        circuits: lanes.iter().map(|lane| open(*lane)).collect(),
        dead: [1, 2].into_iter().flat_map(|at| [dead_row(&gone, at), dead_row(&kept, at)]).collect(),
        attempts: vec![attempt_row(gone.no, 1, 1)],
        ..nothing(0, claimed)
    };
    commit(&*store, &route).await;
    let query = DeadQuery { limit: 2, ..DeadQuery::default() };
    store.settle_dead(P0, tenant.no, &query, DeadFate::Redrive).await.unwrap();
    set_status(&*store, &gone, EndpointStatus::Deleted).await;
    // It stays in sight of its router until that has forgotten it.
    assert_eq!(store.routing(P0, Revision(3)).await.unwrap().endpoints.len(), 1);
    let ended = RouteCommit {
        replays: vec![ReplayProgress { replay: running.no, delivered: 0, dead: 0, done: true }],
        ended: vec![gone.no.into()],
        ..nothing(0, claimed)
    };
    commit(&*store, &ended).await;
    let state = store.router_state(P0).await.unwrap();
    assert_eq!(state.lanes, [lane_row(kept.no.into(), tenant.no, 1)]);
    assert_eq!(state.retries, [retry_row(kept.no.into(), 2), retry_row(kept.no.into(), 3)]);
    assert_eq!(state.circuits, [open(kept.no.into())]);
    assert_eq!(store.routing(P0, Revision(0)).await.unwrap().redrives, [(kept.no, Sequence(1))]);
    assert_eq!(store.delivery(gone.no).await.unwrap(), None);
    store.keep_attempts(moment(0), moment(0)).await.unwrap();
    assert_eq!(store.dead(gone.no, Sequence(2)).await.unwrap(), None);
    assert_eq!(store.dead(kept.no, Sequence(2)).await.unwrap(), Some(dead_row(&kept, 2)));
    assert!(store.routing(P0, Revision(1)).await.unwrap().endpoints.iter().all(|row| row.no == kept.no));
    // A lane may end although its endpoint is there: nothing of the endpoint goes.
    commit(&*store, &RouteCommit { ended: vec![kept.no.into()], ..nothing(0, claimed) }).await;
    store.keep_attempts(moment(0), moment(0)).await.unwrap();
    assert_eq!(store.endpoint(tenant.no, &kept.id).await.unwrap(), Some(kept));
}

pub(crate) async fn attempts_of_any_value_are_read_back(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let one = create(&*store, &tenant, 1).await;
    let claimed = claim(&*store, 0).await;
    let mut results: Vec<AttemptResult> = Failure::ALL.iter().copied().map(AttemptResult::Failed).collect();
    results.extend([0, 100, 204, 301, 410, 599, 999, u16::MAX].map(AttemptResult::Status));
    let mut expect = Vec::new();
    for many in [false, true] {
        let rows: Vec<AttemptRow> = (0..if many { 3_000 } else { results.len() })
            .map(|at| AttemptRow {
                result: results[at % results.len()],
                duration_us: [0, 1, 1 << 31, u32::MAX][at % 4],
                answer: Bytes::from(vec![u8::try_from(at % 256).unwrap(); [0, 1, 512][at % 3]]),
                attempt: [1, 20, i32::MAX as u32][at % 3],
                lane: if at % 5 == 0 { LaneNo(-7) } else { one.no.into() },
                sequence: Sequence([1, i64::MAX as u64][at % 2]),
                ..attempt_row(one.no, 1, i64::try_from(at).unwrap() + if many { 1_000_000 } else { 0 })
            })
            .collect();
        commit(&*store, &RouteCommit { attempts: rows.clone(), ..nothing(0, claimed) }).await;
        expect.extend(rows);
    }
    expect.reverse();
    assert_eq!(store.attempts(one.no, &all_attempts()).await.unwrap(), expect);
}

pub(crate) async fn a_decision_that_fails_takes_the_commit_with_it(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let (one, two) = (create(&*store, &tenant, 1).await, create(&*store, &tenant, 2).await);
    let claimed = claim(&*store, 0).await;
    let before = picture(&*store, &[&one, &two]).await;
    for round in 0..12 {
        let mut broken = appending(&tenant, vec![event("acme", "x")]);
        broken.decide = Box::new(|_| panic!("this panic belongs to the test"));
        let appends = vec![appending(&tenant, vec![event("acme", "y")]), broken];
        let route = everything(claimed, &one, &two, [3, 1_000][round % 2]);
        let refused = store.commit_route(&route, appends).await;
        assert!(matches!(refused, Err(Error::Broken(_))), "{refused:?}");
    }
    assert_eq!(picture(&*store, &[&one, &two]).await, before);
}

pub(crate) async fn of_two_owners_only_the_newer_one_writes(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let one = put(&*store, new_endpoint(&tenant, 1), None).await;
    append(&*store, (0..40).map(|at| event("acme", &format!("e{at}"))).collect()).await;
    let owners: Vec<_> = (0..4)
        .map(|owner| {
            let (store, one) = (Arc::clone(&store), one.clone());
            tokio::spawn(async move {
                let mut written = Vec::new();
                for round in 0..10 {
                    let claimed = claim(&*store, 0).await;
                    let at = owner * 1_000 + round;
                    let route = RouteCommit {
                        checkpoint: claimed.checkpoint.next(),
                        attempts: vec![attempt_row(one.no, 1, at)],
                        ..nothing(0, claimed)
                    };
                    match store.commit_route(&route, Vec::new()).await.expect("an outcome") {
                        RouteOutcome::Committed { .. } => written.push(at),
                        RouteOutcome::Fenced => {}
                    }
                }
                written
            })
        })
        .collect();
    let mut written = Vec::new();
    for owner in owners {
        written.extend(owner.await.expect("an owner"));
    }
    // The checkpoint moved once for each commit that was allowed, so none of them built on a stale one.
    assert_eq!(claim(&*store, 0).await.checkpoint, Position(written.len() as u64));
    assert_eq!(store.attempts(one.no, &all_attempts()).await.unwrap().len(), written.len());
}
