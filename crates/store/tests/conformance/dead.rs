//! What is promised about dead letters.

use tidings_event::delivery::{AttemptResult, DeadReason, DeadRow, Failure, RouteCommit};
use tidings_event::{EndpointNo, EventType, PartitionId, Revision, Sequence};
use tidings_store::{DeadFate, DeadLetter, DeadQuery, EndpointStatus, Store, TenantRow};

use crate::deliver::{claim, commit, create, dead_row, nothing, set_status};
use crate::home::Home;
use crate::make::{append, moment, place, place_in, typed};

const P0: PartitionId = PartitionId(0);

fn all() -> DeadQuery {
    DeadQuery { limit: 100, ..DeadQuery::default() }
}

async fn found(store: &dyn Store, tenant: &TenantRow, query: &DeadQuery) -> Vec<(u64, i64)> {
    let letters = store.dead_letters(tenant.no, query).await.expect("dead letters");
    letters.iter().map(|letter| (letter.row.sequence.get(), letter.row.endpoint.get())).collect()
}

pub(crate) async fn dead_letters_are_found_by_what_is_asked(home: Home) {
    let store = home.open().await;
    let types = ["a.b", "a.c", "a.b", "a.d", "a.b"];
    append(&*store, types.iter().enumerate().map(|(at, name)| typed("acme", &format!("e{at}"), name)).collect()).await;
    let (tenant, other) = (place(&*store, "acme").await, place(&*store, "globex").await);
    let (one, two) = (create(&*store, &tenant, 1).await, create(&*store, &tenant, 2).await);
    let (foreign, gone) = (create(&*store, &other, 1).await, create(&*store, &tenant, 3).await);
    let mut rows: Vec<DeadRow> = (1..=5).map(|at| dead_row(&one, at)).collect();
    rows[0] = DeadRow { reason: DeadReason::Expired, died_at: moment(100), attempts: 0, last: None, ..rows[0] };
    rows[1] = DeadRow { last: Some(AttemptResult::Failed(Failure::Dns)), died_at: moment(200), ..rows[1] };
    rows[2] = DeadRow { reason: DeadReason::Undeliverable, died_at: moment(300), ..rows[2] };
    rows.push(dead_row(&two, 2));
    rows.push(dead_row(&two, 9));
    let (dead, hidden) = (rows.clone(), [dead_row(&foreign, 1), dead_row(&gone, 1)]);
    let dead = dead.into_iter().chain(hidden).collect();
    let claimed = claim(&*store, 0).await;
    commit(&*store, &RouteCommit { dead, ..nothing(0, claimed) }).await;
    set_status(&*store, &gone, EndpointStatus::Deleted).await;

    let (a, b) = (one.no.get(), two.no.get());
    let everything = vec![(1, a), (2, a), (2, b), (3, a), (4, a), (5, a), (9, b)];
    assert_eq!(found(&*store, &tenant, &all()).await, everything);
    assert_eq!(found(&*store, &other, &all()).await, [(1, foreign.no.get())]);
    let letters = store.dead_letters(tenant.no, &all()).await.unwrap();
    let expect = DeadLetter {
        row: rows[0],
        endpoint: one.id.clone(),
        event_id: Some(tidings_event::EventId::parse("e0").unwrap()),
        event_type: Some(EventType::parse("a.b").unwrap()),
    };
    assert_eq!(letters[0], expect);
    assert_eq!((letters[6].event_id.as_ref(), letters[6].event_type.as_ref()), (None, None));
    let named = |name: &str| Some(EventType::parse(name).unwrap());
    for (query, expect) in [
        (DeadQuery { endpoint: Some(two.no), ..all() }, vec![(2, b), (9, b)]),
        (DeadQuery { endpoint: Some(foreign.no), ..all() }, vec![]),
        (DeadQuery { endpoint: Some(gone.no), ..all() }, vec![]),
        (DeadQuery { endpoint: Some(EndpointNo(999)), ..all() }, vec![]),
        (DeadQuery { reason: Some(DeadReason::Expired), ..all() }, vec![(1, a)]),
        (DeadQuery { reason: Some(DeadReason::Undeliverable), endpoint: Some(one.no), ..all() }, vec![(3, a)]),
        (DeadQuery { event_type: named("a.b"), ..all() }, vec![(1, a), (3, a), (5, a)]),
        (DeadQuery { event_type: named("a.c"), endpoint: Some(two.no), ..all() }, vec![(2, b)]),
        (DeadQuery { event_type: named("z.z"), ..all() }, vec![]),
        (DeadQuery { since: Some(moment(200)), ..all() }, vec![(2, a), (3, a)]),
        (DeadQuery { since: Some(moment(100)), until: Some(moment(300)), ..all() }, vec![(1, a), (2, a)]),
        (DeadQuery { after: Some((Sequence(2), one.no)), ..all() }, everything[2..].to_vec()),
        (DeadQuery { after: Some((Sequence(2), two.no)), limit: 2, ..all() }, everything[3..5].to_vec()),
        (DeadQuery { after: Some((Sequence(2), two.no)), endpoint: Some(two.no), ..all() }, vec![(9, b)]),
        (
            DeadQuery { after: Some((Sequence(2), EndpointNo(0))), endpoint: Some(two.no), ..all() },
            vec![(2, b), (9, b)],
        ),
        (DeadQuery { sequence: Some(Sequence(2)), ..all() }, vec![(2, a), (2, b)]),
        (DeadQuery { sequence: Some(Sequence(2)), endpoint: Some(two.no), ..all() }, vec![(2, b)]),
        (DeadQuery { sequence: Some(Sequence(2)), after: Some((Sequence(2), one.no)), ..all() }, vec![(2, b)]),
        (DeadQuery { sequence: Some(Sequence(2)), after: Some((Sequence(3), one.no)), ..all() }, vec![]),
        (DeadQuery { sequence: Some(Sequence(7)), ..all() }, vec![]),
        (DeadQuery { limit: 0, ..all() }, vec![]),
    ] {
        assert_eq!(found(&*store, &tenant, &query).await, expect, "{query:?}");
    }
    // What retention erased is still a dead letter.
    home.raw("UPDATE tenants SET floor = 1 WHERE name = 'acme'; DELETE FROM events WHERE sequence = 1").await.unwrap();
    assert_eq!(store.dead_letters(tenant.no, &all()).await.unwrap()[0].event_id, None);
}

pub(crate) async fn dead_letters_are_redriven_or_discarded_once(home: Home) {
    let store = home.open().await;
    let (tenant, other) = (place(&*store, "acme").await, place(&*store, "globex").await);
    let (one, two) = (create(&*store, &tenant, 1).await, create(&*store, &tenant, 2).await);
    let foreign = create(&*store, &other, 1).await;
    let claimed = claim(&*store, 0).await;
    let dead = (1..=4).flat_map(|at| [dead_row(&one, at), dead_row(&two, at), dead_row(&foreign, at)]).collect();
    commit(&*store, &RouteCommit { dead, ..nothing(0, claimed) }).await;
    let before = store.heads().await.unwrap()[0].revision;

    let query = DeadQuery { endpoint: Some(one.no), limit: 3, ..DeadQuery::default() };
    let gone = store.settle_dead(P0, tenant.no, &query, DeadFate::Discard).await.unwrap();
    assert_eq!(gone, [1, 2, 3].map(|at| (one.no, Sequence(at))));
    assert_eq!(store.heads().await.unwrap()[0].revision, before);
    assert!(store.routing(P0, Revision(0)).await.unwrap().redrives.is_empty());

    for fate in [DeadFate::Redrive, DeadFate::Discard] {
        let query = DeadQuery { endpoint: Some(one.no), sequence: Some(Sequence(3)), ..all() };
        assert!(store.settle_dead(P0, tenant.no, &query, fate).await.unwrap().is_empty());
    }
    let query = DeadQuery { after: Some((Sequence(1), two.no)), limit: 100, ..DeadQuery::default() };
    let expect = [(two.no, 2), (two.no, 3), (one.no, 4), (two.no, 4)].map(|(no, at)| (no, Sequence(at)));
    let redriven = store.settle_dead(P0, tenant.no, &query, DeadFate::Redrive).await.unwrap();
    assert_eq!(redriven, expect);
    let routing = store.routing(P0, Revision(0)).await.unwrap();
    assert_eq!((routing.revision, routing.redrives), (before.next(), expect.to_vec()));
    assert!(store.settle_dead(P0, tenant.no, &query, DeadFate::Redrive).await.unwrap().is_empty());
    assert_eq!(store.heads().await.unwrap()[0].revision, before.next(), "nothing changed");
    let (a, c) = (two.no.get(), foreign.no.get());
    assert_eq!(found(&*store, &tenant, &all()).await, [(1, a)]);
    assert_eq!(found(&*store, &other, &all()).await, [(1, c), (2, c), (3, c), (4, c)]);
    // Taken over by the router, and dead once more.
    let taken = RouteCommit { redriven: expect[..2].to_vec(), dead: vec![dead_row(&two, 2)], ..nothing(0, claimed) };
    commit(&*store, &taken).await;
    assert_eq!(store.routing(P0, Revision(0)).await.unwrap().redrives, expect[2..]);
    assert_eq!(found(&*store, &tenant, &all()).await, [(1, a), (2, a)]);
}

pub(crate) async fn dead_letters_asked_for_by_many_at_once_are_settled_once(home: Home) {
    let store = home.open().await;
    let tenant = place_in(&*store, "acme", 1).await;
    let one = create(&*store, &tenant, 1).await;
    let claimed = claim(&*store, 1).await;
    let dead = (1..=200).map(|at| dead_row(&one, at)).collect();
    commit(&*store, &RouteCommit { dead, ..nothing(1, claimed) }).await;
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let (store, tenant) = (std::sync::Arc::clone(&store), tenant.clone());
            let fate = [DeadFate::Redrive, DeadFate::Discard][task % 2];
            tokio::spawn(async move {
                let query = DeadQuery { limit: 10, ..DeadQuery::default() };
                let mut mine = Vec::new();
                loop {
                    let some = store.settle_dead(tenant.partition, tenant.no, &query, fate).await.expect("an answer");
                    if some.is_empty() {
                        return (fate, mine);
                    }
                    mine.extend(some);
                }
            })
        })
        .collect();
    let (mut redriven, mut all) = (Vec::new(), Vec::new());
    for task in tasks {
        let (fate, mine) = task.await.expect("a task");
        all.extend(mine.clone());
        if fate == DeadFate::Redrive {
            redriven.extend(mine);
        }
    }
    all.sort_unstable();
    assert_eq!(all, (1..=200).map(|at| (one.no, Sequence(at))).collect::<Vec<_>>());
    redriven.sort_unstable_by_key(|(_, sequence)| *sequence);
    assert_eq!(store.routing(tenant.partition, Revision(0)).await.unwrap().redrives, redriven);
}
