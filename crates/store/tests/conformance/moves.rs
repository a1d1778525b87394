//! What is promised about a tenant that moves from one partition to another.

use tidings_event::{LaneNo, PartitionId, Position, Revision, Sequence};
use tidings_store::{DeadFate, DeadQuery, Error, MoveOutcome, RouteOutcome, SelectionRow, Store, TenantRow};

use crate::deliver::{
    appending, claim, commit, create, dead_row, lane_row, new_endpoint, nothing, put, put_with, retry_row,
};
use crate::home::Home;
use crate::make::{ALL, all_of, append, append_at, event, ids, moment, place, place_in, try_append};
use crate::replays::replay;

/// From where, to where: both in home's database where there are several.
const FROM: PartitionId = PartitionId(0);
const TO: PartitionId = PartitionId(1);

async fn moved(store: &dyn Store, tenant: &TenantRow, to: PartitionId) -> TenantRow {
    let outcome = store.move_tenant(tenant.no, to).await.expect("a move");
    assert!(matches!(outcome, MoveOutcome::Moved { .. }), "{outcome:?}");
    store.tenant(&tenant.id).await.expect("an answer").expect("the tenant")
}

/// Has a partition's router come to its end.
async fn route_all(store: &dyn Store, partition: PartitionId) {
    let owner = claim(store, partition.get()).await;
    let end = crate::make::head(store, partition.get()).await;
    let route = tidings_event::delivery::RouteCommit { checkpoint: end, ..nothing(partition.get(), owner) };
    commit(store, &route).await;
}

pub(crate) async fn a_moved_tenant_keeps_its_log_and_goes_on_in_the_other_partition(home: Home) {
    let store = home.open().await;
    let old = place(&*store, "acme").await;
    append(&*store, vec![event("acme", "a")]).await;
    append(&*store, vec![event("other", "x")]).await;
    append_at(&*store, vec![event("acme", "b")], moment(5_000_000)).await;
    let before = store.feed(old.no, Sequence(0), ALL).await.unwrap();
    let new = moved(&*store, &old, TO).await;
    assert_eq!((new.no, new.partition, new.head), (old.no, TO, Sequence(2)));
    assert_eq!(store.feed(old.no, Sequence(0), ALL).await.unwrap(), before, "no event is touched");

    // An id that was taken before the move is still taken, and no moment falls.
    let plan = try_append(&*store, &new, vec![event("acme", "a"), event("acme", "c")], moment(1)).await.unwrap();
    assert_eq!(ids(&plan.rows), ["c"]);
    assert_eq!((plan.rows[0].sequence, plan.rows[0].position), (Sequence(3), Position(1)));
    let feed = store.feed(old.no, Sequence(0), ALL).await.unwrap();
    assert_eq!(ids(&feed.events), ["a", "b", "c"]);
    assert!(feed.events.windows(2).all(|pair| pair[0].recorded_at <= pair[1].recorded_at));
    assert_eq!(store.sequence_before(old.no, moment(5_000_000)).await.unwrap(), Sequence(1));
    assert_eq!(ids(&all_of(&*store, FROM).await), ["a", "x", "b"]);
    assert_eq!(ids(&all_of(&*store, TO).await), ["c"]);

    // And back, once what it left there lies behind the router: that would route it again otherwise, without what the
    // tenant has elsewhere in between.
    assert_eq!(store.move_tenant(new.no, FROM).await.unwrap(), MoveOutcome::Later);
    route_all(&*store, FROM).await;
    let back = moved(&*store, &new, FROM).await;
    let plan = try_append(&*store, &back, vec![event("acme", "d")], moment(1)).await.unwrap();
    assert_eq!((plan.rows[0].sequence, plan.rows[0].position), (Sequence(4), Position(4)));
}

pub(crate) async fn who_looks_for_a_moved_tenant_where_it_was_is_told(home: Home) {
    let store = home.open().await;
    let old = place(&*store, "acme").await;
    append(&*store, vec![event("acme", "a")]).await;
    let endpoint = create(&*store, &old, 1).await;
    let running = store.insert_replay(FROM, replay(&endpoint, "r1"), 10).await.unwrap().expect("a replay");
    let new = moved(&*store, &old, TO).await;
    let is_moved = |error: Option<Error>| assert!(matches!(error, Some(Error::Moved(_))), "{error:?}");
    // More often than there are connections: each must come back clean.
    for _ in 0..12 {
        is_moved(try_append(&*store, &old, vec![event("acme", "b")], moment(9)).await.err());
        is_moved(put_with(&*store, new_endpoint(&old, 2), Vec::new()).await.err());
        let all = DeadQuery { limit: 10, ..DeadQuery::default() };
        is_moved(store.settle_dead(FROM, old.no, &all, DeadFate::Redrive).await.err());
        is_moved(store.insert_replay(FROM, replay(&endpoint, "r2"), 10).await.err());
        is_moved(store.cancel_replay(FROM, running.no, moment(1)).await.err());
    }
    let other = place_in(&*store, "other", 0).await;
    let appends = vec![appending(&old, vec![event("acme", "b")])];
    is_moved(put_with(&*store, new_endpoint(&other, 3), appends).await.err());
    assert!(store.endpoint(other.no, &new_endpoint(&other, 3).id).await.unwrap().is_none(), "all or nothing");
    assert_eq!(store.feed(old.no, Sequence(0), ALL).await.unwrap().events.len(), 1);
    assert_eq!(store.cancel_replay(TO, running.no, moment(1)).await.unwrap().expect("a row").no, running.no);
    assert_eq!(new.head, Sequence(1));
}

pub(crate) async fn what_deliveries_must_remember_moves_along(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    for n in 0..6 {
        append(&*store, vec![event("other", &format!("x{n}"))]).await;
        append(&*store, vec![event("acme", &format!("a{n}"))]).await;
    }
    let mut live = new_endpoint(&tenant, 1);
    live.selections.push(SelectionRow { after: Sequence(2), position: Position(4), types: vec![], filter: None });
    let live = put(&*store, live, None).await;
    let behind = create(&*store, &tenant, 2).await;
    let other = place_in(&*store, "other", 0).await;
    let stays = create(&*store, &other, 3).await;
    let running = store.insert_replay(FROM, replay(&behind, "r1"), 10).await.unwrap().expect("a replay");
    let old = claim(&*store, 0).await;
    let lane = LaneNo::from(behind.no);
    let route = tidings_event::delivery::RouteCommit {
        // Events 1 to 4 of the tenant are at positions 2, 4, 6, 8.
        checkpoint: Position(9),
        lanes: vec![lane_row(lane, tenant.no, 1)],
        retries: vec![retry_row(lane, 1), retry_row(LaneNo::from(stays.no), 1)],
        dead: vec![dead_row(&behind, 2)],
        ..nothing(0, old)
    };
    commit(&*store, &route).await;
    let all = DeadQuery { limit: 10, ..DeadQuery::default() };
    store.settle_dead(FROM, tenant.no, &all, DeadFate::Redrive).await.unwrap();
    let target = claim(&*store, 1).await;
    let (known_from, known_to) =
        (store.routing(FROM, Revision(0)).await.unwrap(), store.routing(TO, Revision(0)).await.unwrap());
    moved(&*store, &tenant, TO).await;

    // Both routers begin anew: neither may write what it holds.
    for (partition, claim) in [(0, old), (1, target)] {
        let outcome = store.commit_route(&nothing(partition, claim), Vec::new()).await.unwrap();
        assert!(matches!(outcome, RouteOutcome::Fenced), "partition {partition}: {outcome:?}");
    }
    let (from, to) = (store.router_state(FROM).await.unwrap(), store.router_state(TO).await.unwrap());
    assert!(from.lanes.is_empty() && from.circuits.is_empty(), "{from:?}");
    assert_eq!(from.retries.iter().map(|row| row.lane).collect::<Vec<_>>(), [LaneNo::from(stays.no)]);
    // The lane without a row stood at the checkpoint, which covers four of the six events.
    let mut lanes = vec![
        lane_row(LaneNo::from(live.no), tenant.no, 4),
        lane_row(lane, tenant.no, 1),
        lane_row(LaneNo::from(running.no), tenant.no, running.after.get()),
    ];
    lanes.sort_by_key(|row| row.lane.0);
    assert_eq!(to.lanes, lanes);
    assert_eq!(to.retries.iter().map(|row| row.lane).collect::<Vec<_>>(), [lane]);

    let changes = store.routing(TO, known_to.revision).await.unwrap();
    assert_eq!(changes.endpoints.iter().map(|row| row.no).collect::<Vec<_>>(), [live.no, behind.no]);
    assert!(changes.endpoints.iter().all(|row| row.partition == TO && row.revision == changes.revision));
    assert!(changes.endpoints[0].selections.iter().all(|one| one.position == Position(0)), "of the other partition");
    assert_eq!(changes.endpoints[0].selections[1].after, Sequence(2));
    assert_eq!(changes.replays.iter().map(|row| row.no).collect::<Vec<_>>(), [running.no]);
    assert_eq!(changes.redrives, [(behind.no, Sequence(2))]);
    assert_eq!(changes.moves, known_to.moves + 1);
    let left = store.routing(FROM, Revision(0)).await.unwrap();
    assert_eq!(left.endpoints.iter().map(|row| row.no).collect::<Vec<_>>(), [stays.no]);
    assert!(left.revision > known_from.revision && left.moves == known_from.moves + 1);
    assert!(left.redrives.is_empty());
    let heads = store.heads().await.unwrap();
    assert_eq!((heads[0].moves, heads[1].moves, heads[2].moves), (1, 1, 0));
}

pub(crate) async fn a_lane_that_has_settled_everything_brings_no_row_along(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    append(&*store, vec![event("acme", "a"), event("acme", "b")]).await;
    create(&*store, &tenant, 1).await;
    let owner = claim(&*store, 0).await;
    let route = tidings_event::delivery::RouteCommit { checkpoint: Position(2), ..nothing(0, owner) };
    commit(&*store, &route).await;
    moved(&*store, &tenant, TO).await;
    assert!(store.router_state(TO).await.unwrap().lanes.is_empty());
}

pub(crate) async fn a_tenant_whose_log_lacks_what_its_head_says_is_not_moved(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    append(&*store, vec![event("acme", "a")]).await;
    home.raw("UPDATE tenants SET sequence = 5 WHERE name = 'acme'").await.unwrap();
    for _ in 0..2 {
        let refused = store.move_tenant(tenant.no, TO).await;
        assert!(matches!(refused, Err(Error::Broken(_))), "{refused:?}");
    }
    assert_eq!(store.tenant(&tenant.id).await.unwrap().unwrap().partition, FROM);
}

pub(crate) async fn a_move_that_makes_no_sense_is_refused_and_one_that_comes_again_changes_nothing(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let system = place_in(&*store, "$system", 0).await;
    assert_eq!(store.move_tenant(tenant.no, FROM).await.unwrap(), MoveOutcome::Already);
    assert_eq!(store.move_tenant(tenant.no, PartitionId(99)).await.unwrap(), MoveOutcome::NoPartition);
    let nobody = tidings_event::TenantNo(tenant.no.get() + system.no.get() + 1_000);
    assert_eq!(store.move_tenant(nobody, TO).await.unwrap(), MoveOutcome::NoTenant);
    assert_eq!(store.move_tenant(system.no, TO).await.unwrap(), MoveOutcome::Fixed);
    let tenant = moved(&*store, &tenant, TO).await;
    assert_eq!(store.move_tenant(tenant.no, TO).await.unwrap(), MoveOutcome::Already);
    assert!(home.raw("UPDATE tenants SET moves = moves - 1 WHERE name = 'acme'").await.is_err());
}

pub(crate) async fn appends_and_moves_at_once_leave_no_gap_and_lose_nothing(home: Home) {
    let store = home.open().await;
    place(&*store, "acme").await;
    let writers = (0..4).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..25 {
                loop {
                    let tenant = place(&*store, "acme").await;
                    match try_append(&*store, &tenant, vec![event("acme", &format!("{writer}-{n}"))], moment(1)).await {
                        Ok(_) => break,
                        Err(Error::Moved(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mover = {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..20 {
                let tenant = place(&*store, "acme").await;
                let to = PartitionId((round + 1) % 2);
                let is_owned = matches!(store.move_tenant(tenant.no, to).await, Ok(MoveOutcome::Later));
                if is_owned {
                    route_all(&*store, to).await;
                }
                match store.move_tenant(tenant.no, to).await {
                    Ok(_) | Err(Error::Moved(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    };
    for task in writers {
        task.await.unwrap();
    }
    mover.await.unwrap();
    let tenant = place(&*store, "acme").await;
    let feed = store.feed(tenant.no, Sequence(0), ALL).await.unwrap();
    assert_eq!(feed.events.len(), 100);
    assert!(feed.events.iter().zip(1..).all(|(row, number)| row.sequence == Sequence(number)));
    assert!(feed.events.windows(2).all(|pair| pair[0].recorded_at <= pair[1].recorded_at));
}
