//! What is promised about what a router begins with.

use tidings_event::delivery::{AttemptResult, CircuitRow, CircuitState, Failure, LaneRow, RouteCommit};
use tidings_event::{LaneNo, PartitionId, Position, Revision, Sequence};
use tidings_store::{DeadFate, DeadQuery, EndpointStatus, ReplayState};

use crate::deliver::{claim, commit, create, dead_row, lane_row, new_endpoint, nothing, put, retry_row, set_status};
use crate::home::{Home, PARTITIONS};
use crate::make::{append, event, moment, place, place_in};
use crate::replays::replay;

const P0: PartitionId = PartitionId(0);

pub(crate) async fn a_log_that_was_there_before_is_routed_from_its_end(home: Home) {
    let store = home.open().await;
    append(&*store, (0..3).map(|at| event("acme", &format!("e{at}"))).collect()).await;
    store.close().await;
    drop(store);
    // Back to the schema before subscriptions.
    home.forget_the_catalog().await;
    let column = "ALTER TABLE partitions DROP COLUMN revision";
    home.raw("DROP TRIGGER partitions_revision_only_rises ON partitions").await.ok();
    home.raw("DROP TRIGGER partitions_revision_only_rises").await.ok();
    home.raw(column).await.unwrap();
    for table in ["endpoints", "routers", "lanes", "retries", "circuits", "dead_letters", "redrives", "replays"] {
        home.raw(&format!("DROP TABLE {table}")).await.unwrap();
    }
    home.raw("DROP TABLE attempts").await.unwrap();
    home.raw("DELETE FROM schema_history WHERE version = 2").await.unwrap();
    let store = home.open().await;
    assert_eq!(claim(&*store, 0).await.checkpoint, Position(3));
    for partition in 1..PARTITIONS {
        assert_eq!(claim(&*store, partition).await.checkpoint, Position(0));
    }
    let head = store.heads().await.unwrap()[0];
    assert_eq!((head.position, head.revision), (Position(3), Revision(0)));
}

pub(crate) async fn a_router_begins_with_what_was_committed(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let other = create(&*store, &place_in(&*store, "globex", 1).await, 1).await;
    let row = create(&*store, &tenant, 1).await;
    let far = create(&*store, &tenant, 2).await;
    let mine = store.insert_replay(P0, replay(&row, "r1"), 5).await.unwrap().unwrap();
    let (lane, replayed) = (LaneNo::from(row.no), LaneNo::from(mine.no));
    let retry = retry_row(lane, 9);
    let retries = vec![
        tidings_event::delivery::RetryRow { key: Some(u64::MAX), previous: Some(Sequence(8)), attempts: 0, ..retry },
        tidings_event::delivery::RetryRow { key: Some(1 << 63), sequence: Sequence(10), ..retry },
        tidings_event::delivery::RetryRow { key: Some(0), sequence: Sequence(11), ..retry },
        retry_row(replayed, 3),
    ];
    let circuit = |lane: LaneNo, state: CircuitState, last: AttemptResult| CircuitRow {
        lane,
        state,
        since: moment(1),
        until: moment(2),
        probes: 3,
        last,
    };
    let circuits = vec![
        circuit(lane, CircuitState::Open, AttemptResult::Failed(Failure::Timeout)),
        circuit(far.no.into(), CircuitState::Throttled, AttemptResult::Status(429)),
    ];
    let route = RouteCommit {
        lanes: vec![lane_row(lane, tenant.no, 5)],
        retries: retries.clone(),
        circuits: circuits.clone(),
        ..nothing(0, claim(&*store, 0).await)
    };
    commit(&*store, &route).await;
    let elsewhere = LaneRow { lane: other.no.into(), tenant: other.tenant_no, settled: Sequence(1) };
    let route = RouteCommit { lanes: vec![elsewhere], ..nothing(1, claim(&*store, 1).await) };
    commit(&*store, &route).await;

    let state = store.router_state(P0).await.unwrap();
    assert_eq!(state.lanes, [lane_row(replayed, tenant.no, 0), lane_row(lane, tenant.no, 5)]);
    let mut expect = retries.clone();
    expect.sort_by_key(|row| (row.lane, row.sequence));
    assert_eq!(state.retries, expect);
    assert_eq!(state.circuits, circuits);
    for row in retries {
        assert_eq!(store.retry(row.lane, row.sequence).await.unwrap(), Some(row));
    }
    for (lane, sequence) in [(lane, 1), (LaneNo(999), 9), (LaneNo(-999), 9), (far.no.into(), 9)] {
        assert_eq!(store.retry(lane, Sequence(sequence)).await.unwrap(), None);
    }
    assert_eq!(store.router_state(PartitionId(1)).await.unwrap().lanes, [elsewhere]);
    assert!(store.router_state(PartitionId(2)).await.unwrap().lanes.is_empty());
}

pub(crate) async fn routing_tells_what_changed_after_a_revision(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    create(&*store, &place_in(&*store, "globex", 1).await, 1).await;
    let empty = store.routing(P0, Revision(0)).await.unwrap();
    assert!(empty.endpoints.is_empty() && empty.replays.is_empty() && empty.redrives.is_empty());
    assert_eq!(empty.revision, Revision(0));
    let (first, second) = (create(&*store, &tenant, 1).await, create(&*store, &tenant, 2).await);
    let replayed = store.insert_replay(P0, replay(&second, "r1"), 5).await.unwrap().unwrap();
    let all = store.routing(P0, Revision(0)).await.unwrap();
    assert_eq!(all.revision, Revision(3));
    assert_eq!(all.endpoints, [first.clone(), second.clone()]);
    assert_eq!(all.replays, std::slice::from_ref(&replayed));
    let since = store.routing(P0, Revision(2)).await.unwrap();
    assert!(since.endpoints.is_empty());
    assert_eq!(since.replays, std::slice::from_ref(&replayed));

    let paused = set_status(&*store, &first, EndpointStatus::Paused).await;
    let deleted = set_status(&*store, &second, EndpointStatus::Deleted).await;
    let since = store.routing(P0, Revision(3)).await.unwrap();
    assert_eq!(since.revision, Revision(5));
    assert_eq!(since.endpoints, [paused.clone(), deleted]);
    // A replay ends with its endpoint.
    assert_eq!(since.replays.len(), 1);
    assert_eq!((since.replays[0].no, since.replays[0].state), (replayed.no, ReplayState::Cancelled));
    let all = store.routing(P0, Revision(0)).await.unwrap();
    assert_eq!(all.endpoints, [paused]);
    assert!(all.replays.is_empty());
    let nothing = store.routing(P0, Revision(5)).await.unwrap();
    assert!(nothing.endpoints.is_empty() && nothing.replays.is_empty());
    assert!(store.routing(PartitionId(99), Revision(0)).await.is_err());
}

pub(crate) async fn redrives_of_one_endpoint_leave_room_for_those_of_others(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let (flood, calm) = (create(&*store, &tenant, 1).await, create(&*store, &tenant, 2).await);
    let claimed = claim(&*store, 0).await;
    let dead = (1..=12_000).map(|sequence| dead_row(&flood, sequence)).chain([dead_row(&calm, 50_000)]).collect();
    commit(&*store, &RouteCommit { dead, ..nothing(0, claimed) }).await;
    let query = DeadQuery { limit: usize::MAX, ..DeadQuery::default() };
    let mut settled = 0;
    loop {
        // At most a thousand at once, whatever is asked for.
        let some = store.settle_dead(P0, tenant.no, &query, DeadFate::Redrive).await.unwrap();
        assert!(some.len() <= 1_000);
        settled += some.len();
        if some.is_empty() {
            break;
        }
    }
    assert_eq!(settled, 12_001);
    let redrives = store.routing(P0, Revision(0)).await.unwrap().redrives;
    assert!(redrives.len() <= 10_000);
    assert!(redrives.contains(&(calm.no, Sequence(50_000))));
    assert_eq!(redrives[0], (flood.no, Sequence(1)));
    assert!(redrives.is_sorted_by_key(|(_, sequence)| *sequence));
    // Taken over piece by piece, all of them come.
    let (mut left, mut redriven) = (12_001, redrives);
    while !redriven.is_empty() {
        left -= redriven.len();
        commit(&*store, &RouteCommit { redriven, ..nothing(0, claimed) }).await;
        redriven = store.routing(P0, Revision(0)).await.unwrap().redrives;
    }
    assert_eq!(left, 0);
}

pub(crate) async fn a_claim_takes_away_what_no_router_will_hear_of(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let (kept, gone) = (create(&*store, &tenant, 1).await, create(&*store, &tenant, 2).await);
    let running = store.insert_replay(P0, replay(&kept, "r1"), 5).await.unwrap().unwrap();
    let ended = store.insert_replay(P0, replay(&kept, "r2"), 5).await.unwrap().unwrap();
    let orphan = store.insert_replay(P0, replay(&gone, "r3"), 5).await.unwrap().unwrap();
    let lanes = [kept.no.into(), gone.no.into(), running.no.into(), ended.no.into(), orphan.no.into()];
    let route = RouteCommit {
        lanes: lanes.iter().map(|lane| lane_row(*lane, tenant.no, 1)).collect(),
        retries: lanes.iter().map(|lane| retry_row(*lane, 2)).collect(),
        ..nothing(0, claim(&*store, 0).await)
    };
    commit(&*store, &route).await;
    store.cancel_replay(P0, ended.no, moment(9)).await.unwrap();
    set_status(&*store, &gone, EndpointStatus::Deleted).await;
    claim(&*store, 0).await;
    let state = store.router_state(P0).await.unwrap();
    let expect = [LaneNo::from(running.no), LaneNo::from(kept.no)];
    assert_eq!(state.lanes.iter().map(|row| row.lane).collect::<Vec<_>>(), expect);
    assert_eq!(state.retries.iter().map(|row| row.lane).collect::<Vec<_>>(), expect);
    // What is forgotten goes for good, with the next tidying.
    store.keep_attempts(moment(0), moment(0)).await.unwrap();
    assert_eq!(store.replays(gone.no, None, 10).await.unwrap(), []);
    assert_eq!(store.replays(kept.no, None, 10).await.unwrap().len(), 2);
    let again = put(&*store, new_endpoint(&tenant, 2), None).await;
    assert!(again.no > gone.no, "a number is never given twice");
}
