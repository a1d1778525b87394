//! What is promised about endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidings_event::{EndpointNo, LaneNo, PartitionId, Position, Revision, Sequence};
use tidings_store::{EndpointRow, EndpointStatus, Error, SelectionRow};

use crate::deliver::{
    appending, claim, commit, commit_with, create, deciding, endpoint_id, lane_row, new_endpoint, nothing, put,
    put_with, retry_row, set_status,
};
use crate::home::Home;
use crate::make::{all_of, append, event, ids, moment, place, place_in, try_append};

pub(crate) async fn an_endpoint_is_read_back_as_it_was_written(home: Home) {
    let store = home.open().await;
    let tenant = place_in(&*store, "Ärzte \"GmbH\"", 2).await;
    let selection = |after: u64, position: u64| SelectionRow {
        after: Sequence(after),
        position: Position(position),
        types: Vec::new(),
        filter: Some(r#"{"type":"exact","value":"ä\"'\n"}"#.to_owned()),
    };
    let full = EndpointRow {
        status_reason: Some("because\n'; drop table endpoints; -- ✓".to_owned()),
        status: EndpointStatus::Disabled,
        url: "https://ü.example/?q='\"".to_owned(),
        selections: vec![selection(0, 0), selection(u64::MAX, u64::MAX)],
        settings: r#"{"headers":{"x":"\u0000"}}"#.to_owned(),
        secrets: (0..=255).collect(),
        created_at: moment(-1),
        updated_at: moment(77),
        ..new_endpoint(&tenant, 1)
    };
    let stored = put(&*store, full.clone(), None).await;
    assert_eq!(stored, EndpointRow { no: stored.no, revision: Revision(1), ..full });
    assert!(stored.no.get() > 0);
    assert_eq!(store.endpoint(tenant.no, &stored.id).await.unwrap().as_ref(), Some(&stored));

    for status in EndpointStatus::ALL {
        let changed = EndpointRow {
            status: *status,
            status_reason: None,
            url: format!("https://{}.example", status.as_str()),
            secrets: Vec::new(),
            ..stored.clone()
        };
        let now = put(&*store, changed.clone(), None).await;
        assert_eq!(EndpointRow { revision: stored.revision, ..now.clone() }, changed);
        let read = store.endpoint(tenant.no, &stored.id).await.unwrap();
        assert_eq!(read, (*status != EndpointStatus::Deleted).then_some(now));
    }
    let stranger = place(&*store, "globex").await;
    assert_eq!(store.endpoint(stranger.no, &stored.id).await.unwrap(), None);
}

pub(crate) async fn a_change_is_decided_on_what_the_store_holds(home: Home) {
    let store = home.open().await;
    append(&*store, (0..5).map(|at| event("acme", &format!("e{at}"))).collect()).await;
    append(&*store, vec![event("globex", "g")]).await;
    let tenant = place(&*store, "acme").await;
    home.raw("UPDATE tenants SET floor = 2 WHERE name = 'acme'").await.unwrap();
    let first = create(&*store, &tenant, 1).await;
    create(&*store, &place(&*store, "globex").await, 1).await;
    let gone = create(&*store, &tenant, 2).await;
    set_status(&*store, &gone, EndpointStatus::Deleted).await;
    let claim = claim(&*store, 0).await;
    let lanes = vec![lane_row(first.no.into(), tenant.no, 3)];
    commit(&*store, &tidings_event::delivery::RouteCommit { checkpoint: Position(4), lanes, ..nothing(0, claim) })
        .await;
    let expect = first.clone();
    let decide = deciding(move |view| {
        assert_eq!(view.row, Some(expect));
        assert_eq!(view.count, 1);
        assert_eq!((view.head, view.floor), (Sequence(5), Sequence(2)));
        assert_eq!((view.position, view.checkpoint), (Position(6), Position(4)));
        assert_eq!(view.settled, Some(Sequence(3)));
        None
    });
    let unchanged = store.change_endpoint(tenant.partition, tenant.no, &first.id, decide, Vec::new()).await.unwrap();
    assert_eq!(unchanged.row, None);
    for absent in [gone.id, endpoint_id(3)] {
        let decide = deciding(|view| {
            assert_eq!((view.row, view.settled, view.count), (None, None, 1));
            None
        });
        store.change_endpoint(tenant.partition, tenant.no, &absent, decide, Vec::new()).await.unwrap();
    }
    // A tenant is changed where it lives, and nowhere else.
    let decide = deciding(|_| panic!("there is nothing to decide"));
    let elsewhere = store.change_endpoint(PartitionId(1), tenant.no, &first.id, decide, Vec::new()).await;
    assert!(matches!(elsewhere, Err(Error::Moved(_))), "{elsewhere:?}");
}

pub(crate) async fn a_new_endpoint_may_begin_below_the_checkpoint(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let row = put(&*store, new_endpoint(&tenant, 1), Some(Sequence(7))).await;
    let other = create(&*store, &tenant, 2).await;
    assert_eq!(store.router_state(PartitionId(0)).await.unwrap().lanes, [lane_row(row.no.into(), tenant.no, 7)]);
    put(&*store, row.clone(), Some(Sequence(2))).await;
    put(&*store, other.clone(), Some(Sequence(0))).await;
    let lanes = store.router_state(PartitionId(0)).await.unwrap().lanes;
    assert_eq!(lanes, [lane_row(row.no.into(), tenant.no, 2), lane_row(other.no.into(), tenant.no, 0)]);
}

pub(crate) async fn a_change_that_plans_nothing_appends_nothing(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let before = store.heads().await.unwrap();
    let appends = vec![appending(&tenant, vec![event("acme", "never")])];
    let decide = deciding(|_| None);
    let changed = store.change_endpoint(tenant.partition, tenant.no, &endpoint_id(1), decide, appends).await.unwrap();
    assert!(changed.row.is_none() && changed.appended.is_empty());
    assert_eq!(store.heads().await.unwrap(), before);
}

pub(crate) async fn what_is_appended_with_a_change_bears_its_revision(home: Home) {
    // What goes to another database is told there later.
    if home.is_sharded() {
        return;
    }
    let store = home.open().await;
    let tenant = place_in(&*store, "acme", 1).await;
    let (system, other) = (place_in(&*store, "$system", 3).await, place_in(&*store, "globex", 0).await);
    append(&*store, vec![event("acme", "before")]).await;
    create(&*store, &other, 9).await;
    let appends = || {
        vec![
            appending(&system, vec![event("$system", "s1")]),
            appending(&tenant, vec![event("acme", "a1"), event("acme", "a2")]),
            appending(&tenant, vec![event("acme", "a2"), event("acme", "a3")]),
            appending(&other, vec![event("globex", "g1")]),
        ]
    };
    let row = new_endpoint(&tenant, 1);
    let changed = put_with(&*store, row, appends()).await.unwrap();
    let told: Vec<(u32, u64, usize)> = changed
        .appended
        .iter()
        .map(|appended| (appended.partition.get(), appended.revision.get(), appended.plan.rows.len()))
        .collect();
    // The second append to a partition sees what the first wrote there: one id is a duplicate.
    assert_eq!(told, [(3, 0, 1), (1, 1, 2), (1, 1, 1), (0, 1, 1)]);
    assert_eq!(ids(&all_of(&*store, PartitionId(1)).await), ["before", "a1", "a2", "a3"]);
    assert_eq!(ids(&all_of(&*store, PartitionId(3)).await), ["s1"]);
    assert_eq!(place(&*store, "acme").await.head, Sequence(4));
    let heads = store.heads().await.unwrap();
    let told: Vec<(u64, u64)> = heads.iter().map(|head| (head.position.get(), head.revision.get())).collect();
    assert_eq!(told, [(1, 1), (4, 1), (0, 0), (1, 0)]);

    // Again, as after an answer that was lost: the events are known, the row is written once more.
    let again = put_with(&*store, changed.row.unwrap(), appends()).await.unwrap();
    assert!(again.appended.iter().all(|appended| appended.plan.rows.is_empty()));
    assert_eq!(store.heads().await.unwrap()[1].revision, Revision(2));
    assert_eq!(all_of(&*store, PartitionId(1)).await.len(), 4);
    let appended = try_append(&*store, &tenant, vec![event("acme", "after")], moment(0)).await.unwrap();
    assert_eq!(appended.rows[0].position, Position(5));
}

pub(crate) async fn a_change_that_fails_leaves_nothing(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let row = create(&*store, &tenant, 1).await;
    let before = store.heads().await.unwrap();
    // More often than there are connections: each must come back clean.
    for _ in 0..12 {
        let id = row.id.clone();
        let panics = deciding(|_| panic!("this panic belongs to the test"));
        let refused = store.change_endpoint(tenant.partition, tenant.no, &id, panics, Vec::new()).await;
        assert!(matches!(refused, Err(Error::Broken(_))), "{refused:?}");
        let mut broken = appending(&tenant, vec![event("acme", "x")]);
        broken.decide = Box::new(|_| panic!("this panic belongs to the test"));
        let appends = vec![appending(&tenant, vec![event("acme", "y")]), broken];
        let changed = EndpointRow { url: "https://never.example".to_owned(), ..row.clone() };
        let refused = put_with(&*store, changed, appends).await;
        assert!(matches!(refused, Err(Error::Broken(_))), "{refused:?}");
        // As if the row were new although it is there.
        let refused = put_with(&*store, new_endpoint(&tenant, 1), Vec::new()).await;
        assert!(matches!(refused, Err(Error::Broken(_))), "{refused:?}");
        let nowhere = appending(&tenant, vec![event("acme", "z")]);
        let nowhere = tidings_store::Append { partition: PartitionId(99), ..nowhere };
        let refused = put_with(&*store, row.clone(), vec![nowhere]).await;
        assert!(matches!(refused, Err(Error::Broken(_))), "{refused:?}");
    }
    assert_eq!(store.heads().await.unwrap(), before);
    assert_eq!(store.endpoint(tenant.no, &row.id).await.unwrap(), Some(row));
    assert!(all_of(&*store, PartitionId(0)).await.is_empty());
}

pub(crate) async fn endpoints_are_listed_by_their_ids(home: Home) {
    let store = home.open().await;
    let (tenant, other) = (place(&*store, "acme").await, place(&*store, "globex").await);
    for number in [3, 1, 2, 5, 4] {
        create(&*store, &tenant, number).await;
    }
    create(&*store, &other, 6).await;
    let third = store.endpoint(tenant.no, &endpoint_id(3)).await.unwrap().unwrap();
    set_status(&*store, &third, EndpointStatus::Deleted).await;
    let list = async |after: Option<u32>, limit: usize| {
        let after = after.map(endpoint_id);
        let rows = store.endpoints(tenant.no, after.as_ref(), limit).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let numbered = |numbers: &[u32]| numbers.iter().map(|number| endpoint_id(*number)).collect::<Vec<_>>();
    assert_eq!(list(None, 100).await, numbered(&[1, 2, 4, 5]));
    assert_eq!(list(None, 2).await, numbered(&[1, 2]));
    assert_eq!(list(Some(2), 1).await, numbered(&[4]));
    assert!(list(Some(5), 100).await.is_empty());
    assert!(list(None, 0).await.is_empty());

    let all = async |after: i64, limit: usize| {
        let rows = store.all_endpoints(EndpointNo(after), limit).await.unwrap();
        rows.into_iter().map(|row| (row.no.get(), row.id)).collect::<Vec<_>>()
    };
    let every = all(0, 100).await;
    assert_eq!(every.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>(), numbered(&[1, 2, 5, 4, 6]));
    assert!(every.is_sorted());
    assert_eq!(all(every[1].0, 2).await, every[2..4]);
    assert!(all(every[4].0, 100).await.is_empty());
}

/// What was written at once: the revision it was told, and the positions before and after.
struct Step {
    revision: Revision,
    change: bool,
    positions: (Position, Position),
}

pub(crate) async fn every_change_stands_between_two_positions(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let appenders = (0..3).map(|writer| {
        let (store, tenant) = (Arc::clone(&store), tenant.clone());
        tokio::spawn(async move {
            let mut steps = Vec::new();
            for at in 0..40 {
                let append = appending(&tenant, vec![event("acme", &format!("{writer}-{at}"))]);
                let done = store.append(append.partition, append.keys, append.decide).await.expect("an append");
                let position = done.plan.rows[0].position;
                let positions = (Position(position.get() - 1), position);
                steps.push(Step { revision: done.revision, change: false, positions });
            }
            steps
        })
    });
    let changers = (0..3).map(|number| {
        let (store, tenant) = (Arc::clone(&store), tenant.clone());
        tokio::spawn(async move {
            let mut steps = Vec::new();
            for _ in 0..40 {
                let (fresh, (tell, told)) = (new_endpoint(&tenant, number), std::sync::mpsc::sync_channel(1));
                let decide = deciding(move |view| {
                    tell.send(view.position).expect("somebody listens");
                    Some((EndpointRow { no: view.row.map_or(fresh.no, |row| row.no), ..fresh }, None))
                });
                let id = endpoint_id(number);
                let done = store.change_endpoint(tenant.partition, tenant.no, &id, decide, Vec::new()).await;
                let position = told.recv().expect("a position");
                let revision = done.expect("a change").row.expect("a row").revision;
                steps.push(Step { revision, change: true, positions: (position, position) });
            }
            steps
        })
    });
    let tasks: Vec<_> = appenders.chain(changers).collect();
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        tokio::spawn(async move {
            let (mut seen, mut after) = (Vec::new(), Position(0));
            loop {
                let last = done.load(Ordering::Acquire);
                let slice = store.tail(PartitionId(0), after, crate::make::ALL).await.expect("a tail");
                if let Some(row) = slice.events.last() {
                    after = row.position;
                    seen.push((row.position, slice.revision));
                } else if last {
                    return seen;
                }
            }
        })
    };
    let mut steps = Vec::new();
    for task in tasks {
        steps.extend(task.await.expect("a task"));
    }
    done.store(true, Ordering::Release);
    let seen = reader.await.expect("the reader");
    let (changes, appends): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(|step| step.change);
    let mut revisions: Vec<u64> = changes.iter().map(|change| change.revision.get()).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=120).collect::<Vec<u64>>());
    for change in &changes {
        for append in &appends {
            // An append was told of exactly the changes that stand before it.
            let before = change.positions.0 <= append.positions.0;
            assert_eq!(change.revision <= append.revision, before);
        }
        for (position, revision) in &seen {
            // A reader was told of every change that stands before the last event that it read.
            assert!(change.positions.0 >= *position || change.revision <= *revision);
        }
    }
}

pub(crate) async fn appends_changes_and_commits_do_not_wait_in_a_circle(home: Home) {
    // What goes to another database comes later, so not all is there at the end.
    if home.is_sharded() {
        return;
    }
    let store = home.open().await;
    let mut tenants = Vec::new();
    for partition in 0..4 {
        tenants.push(place_in(&*store, &format!("t{partition}"), partition).await);
    }
    let system = place_in(&*store, "$system", 2).await;
    let mut tasks = Vec::new();
    for (partition, tenant) in tenants.iter().enumerate() {
        let row = create(&*store, tenant, 1).await;
        let claimed = claim(&*store, u32::try_from(partition).unwrap()).await;
        let names = [tenant.clone(), system.clone(), tenants[3 - partition].clone()];
        let with = move |round: usize, who: &str| {
            let events = |tenant: &tidings_store::TenantRow| {
                vec![event(tenant.id.as_str(), &format!("{who}-{partition}-{round}"))]
            };
            names.iter().map(|tenant| appending(tenant, events(tenant))).collect::<Vec<_>>()
        };
        let (one, appends, base) = (Arc::clone(&store), with.clone(), row.clone());
        tasks.push(tokio::spawn(async move {
            for round in 0..15 {
                put_with(&*one, base.clone(), appends(round, "change")).await.expect("a change");
            }
        }));
        let (one, appends, lane) = (Arc::clone(&store), with.clone(), LaneNo::from(row.no));
        tasks.push(tokio::spawn(async move {
            for round in 0..15_u32 {
                let mut route = nothing(u32::try_from(partition).unwrap(), claimed);
                route.retries = vec![retry_row(lane, u64::from(round) + 1)];
                route.dead = vec![crate::deliver::dead_row(&row, u64::from(round) + 1)];
                commit_with(&*one, &route, appends(round as usize, "commit")).await;
            }
        }));
        let (one, tenant) = (Arc::clone(&store), tenant.clone());
        tasks.push(tokio::spawn(async move {
            for round in 0..15 {
                let events = vec![event(tenant.id.as_str(), &format!("plain-{round}"))];
                try_append(&*one, &tenant, events, moment(0)).await.expect("an append");
                let query = tidings_store::DeadQuery { limit: 100, ..Default::default() };
                let fate = tidings_store::DeadFate::Redrive;
                one.settle_dead(tenant.partition, tenant.no, &query, fate).await.expect("redrives");
            }
        }));
    }
    for task in tasks {
        task.await.expect("a task");
    }
    let heads = store.heads().await.unwrap();
    let total: u64 = heads.iter().map(|head| head.position.get()).sum();
    // Four partitions, fifteen rounds: three appended events for each change and each commit, and a plain one.
    assert_eq!(total, 4 * 15 * 7);
}
