//! What is promised about replays.

use tidings_event::delivery::{ReplayProgress, RouteCommit};
use tidings_event::{EndpointNo, PartitionId, ReplayNo, Revision, Sequence};
use tidings_store::{EndpointRow, EndpointStatus, ReplayRow, ReplayState};

use crate::deliver::{claim, commit, create, lane_row, nothing, replay_lane, set_status};
use crate::home::Home;
use crate::make::{moment, place, place_in};

const P0: PartitionId = PartitionId(0);

/// A new replay to an endpoint.
pub(crate) fn replay(endpoint: &EndpointRow, id: &str) -> ReplayRow {
    ReplayRow {
        no: ReplayNo(0),
        id: id.to_owned(),
        endpoint: endpoint.no,
        tenant_no: endpoint.tenant_no,
        revision: Revision(0),
        state: ReplayState::Running,
        after: Sequence(0),
        upto: Sequence(100),
        types: Vec::new(),
        filter: None,
        rate_per_s: None,
        delivered: 0,
        dead: 0,
        created_at: moment(3),
        ended_at: None,
    }
}

pub(crate) async fn a_replay_is_read_back_and_begins_with_a_lane(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let one = create(&*store, &tenant, 1).await;
    let full = ReplayRow {
        after: Sequence(7),
        upto: Sequence(i64::MAX as u64),
        types: vec!["sales.*".to_owned(), "ä\"".to_owned()],
        filter: Some("{\"x\":\"✓\"}".to_owned()),
        rate_per_s: Some(u32::MAX),
        ..replay(&one, "rp_1")
    };
    let stored = store.insert_replay(P0, full.clone(), 1).await.unwrap().unwrap();
    assert_eq!(stored, ReplayRow { no: stored.no, revision: Revision(2), ..full });
    assert_eq!(store.replay(one.no, "rp_1").await.unwrap(), Some((stored.clone(), Some(Sequence(7)))));
    assert_eq!(store.router_state(P0).await.unwrap().lanes, [lane_row(replay_lane(stored.no), tenant.no, 7)]);
    assert_eq!(store.heads().await.unwrap()[0].revision, Revision(2));
    for (endpoint, id) in [(one.no, "rp_2"), (EndpointNo(99), "rp_1")] {
        assert_eq!(store.replay(endpoint, id).await.unwrap(), None);
    }
}

pub(crate) async fn an_endpoint_has_only_so_many_running_replays(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let (one, two, gone) =
        (create(&*store, &tenant, 1).await, create(&*store, &tenant, 2).await, create(&*store, &tenant, 3).await);
    set_status(&*store, &gone, EndpointStatus::Deleted).await;
    let insert = async |endpoint: &EndpointRow, id: &str| {
        store.insert_replay(P0, replay(endpoint, id), 2).await.unwrap().map(|row| row.no)
    };
    let first = insert(&one, "a").await.unwrap();
    insert(&one, "b").await.unwrap();
    let before = store.heads().await.unwrap()[0].revision;
    assert_eq!(insert(&one, "c").await, None);
    assert_eq!(insert(&gone, "d").await, None);
    let elsewhere = store.insert_replay(PartitionId(1), replay(&two, "e"), 9).await;
    assert!(matches!(elsewhere, Err(tidings_store::Error::Moved(_))), "{elsewhere:?}");
    assert_eq!(store.heads().await.unwrap()[0].revision, before);
    assert_eq!(store.router_state(P0).await.unwrap().lanes.len(), 2);
    insert(&two, "f").await.unwrap();
    store.cancel_replay(P0, first, moment(9)).await.unwrap().unwrap();
    let newest = insert(&one, "g").await.unwrap();
    let list = async |before: Option<ReplayNo>, limit: usize| {
        let rows = store.replays(one.no, before, limit).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10).await, ["g", "b", "a"]);
    assert_eq!(list(None, 1).await, ["g"]);
    assert_eq!(list(Some(newest), 10).await, ["b", "a"]);
    assert!(list(None, 0).await.is_empty());

    // All at once: no more than there may be.
    let tasks: Vec<_> = (0..8)
        .map(|at| {
            let (store, row) = (std::sync::Arc::clone(&store), replay(&two, &format!("many{at}")));
            tokio::spawn(async move { store.insert_replay(P0, row, 4).await.expect("an answer").is_some() })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        stored += usize::from(task.await.unwrap());
    }
    assert_eq!(stored, 3);
}

pub(crate) async fn a_replay_ends_once(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let one = create(&*store, &tenant, 1).await;
    let claimed = claim(&*store, 0).await;
    let first = store.insert_replay(P0, replay(&one, "a"), 9).await.unwrap().unwrap();
    let second = store.insert_replay(P0, replay(&one, "b"), 9).await.unwrap().unwrap();
    let cancelled = store.cancel_replay(P0, first.no, moment(9)).await.unwrap().unwrap();
    let expect = ReplayRow {
        state: ReplayState::Cancelled,
        ended_at: Some(moment(9)),
        revision: second.revision.next(),
        ..first.clone()
    };
    assert_eq!(cancelled, expect);
    // Once more, and by the router after all: it stays as it ended.
    assert_eq!(store.cancel_replay(P0, first.no, moment(99)).await.unwrap(), Some(expect.clone()));
    assert_eq!(store.heads().await.unwrap()[0].revision, expect.revision);
    let progress = |no: ReplayNo| ReplayProgress { replay: no, delivered: 3, dead: 1, done: true };
    let route = RouteCommit { replays: vec![progress(first.no), progress(second.no)], ..nothing(0, claimed) };
    commit(&*store, &route).await;
    let counted = ReplayRow { delivered: 3, dead: 1, ..expect };
    assert_eq!(store.replay(one.no, "a").await.unwrap(), Some((counted, None)));
    let (done, lane) = store.replay(one.no, "b").await.unwrap().unwrap();
    assert_eq!((done.state, done.delivered, done.dead, lane), (ReplayState::Done, 3, 1, None));
    assert!(done.ended_at.is_some());
    // What a router ends is no change of a person's.
    assert_eq!(done.revision, second.revision);
    assert_eq!(store.cancel_replay(P0, ReplayNo(99), moment(9)).await.unwrap(), None);
    let elsewhere = store.cancel_replay(PartitionId(1), first.no, moment(9)).await;
    assert!(matches!(elsewhere, Err(tidings_store::Error::Moved(_))), "{elsewhere:?}");
    place_in(&*store, "globex", 1).await;
    let foreign = claim(&*store, 1).await;
    commit(&*store, &RouteCommit { replays: vec![progress(second.no)], ..nothing(1, foreign) }).await;
    assert_eq!(store.replay(one.no, "b").await.unwrap().unwrap().0, done, "another partition's router counts nothing");
}
