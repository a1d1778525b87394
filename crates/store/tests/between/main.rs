//! What is promised about a tenant that moves from one of a log's databases into another.

#![allow(clippy::unwrap_used, reason = "a promise that is broken ends its test")]

#[allow(dead_code, reason = "shared with the conformance suite")]
#[path = "../conformance/deliver.rs"]
mod deliver;
#[allow(dead_code, reason = "shared with the conformance suite")]
#[path = "../conformance/make.rs"]
mod make;
mod world;

use std::sync::Arc;

use tidings_event::{EventId, PartitionId, Position, Revision, Sequence};
use tidings_store::{
    ColumnFilter, DeadFate, DeadQuery, Direction, Error, MoveOutcome, RouteOutcome, Search, ShardNo, Store, TenantRow,
};
use tidings_testkit::{Pgbouncer, Postgres};

use deliver::{claim, create, new_endpoint, nothing, put_with};
use make::{ALL, all_of, append, event, ids, moment, place, try_append};
use world::{World, broken, failing, furnish, is_elsewhere, moved, repaired, route_all, seen, try_move};

/// That a tenant is whole in a partition and nothing of its move is left.
async fn settled(world: &World, store: &dyn Store, tenant: &TenantRow, partition: u32) {
    let row = store.tenant(&tenant.id).await.unwrap().unwrap();
    assert_eq!((row.partition, row.is_moving), (PartitionId(partition), false));
    assert_eq!((world.count("departures").await, world.count("arrivals WHERE arrived").await), (0, 0));
    let no = tenant.no.get();
    assert_eq!(world.count(&format!("endpoints WHERE tenant_no = {no}")).await, 3, "each endpoint is in one database");
    assert_eq!(world.count(&format!("replays WHERE tenant_no = {no}")).await, 1);
    let lanes = format!("lanes WHERE tenant_no = {no} AND partition = {partition}");
    assert_eq!(world.count(&lanes).await, world.count(&format!("lanes WHERE tenant_no = {no}")).await);
    let home = world.home.connect().await;
    let sql = "SELECT partition FROM tidings.tenants WHERE no = $1";
    assert_eq!(home.query_one(sql, &[&no]).await.unwrap().get::<_, i32>(0), partition.cast_signed(), "home knows it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_moves_into_another_database_with_all_that_is_its_own() {
    for (from, to) in [(0, 2), (3, 1), (2, 5)] {
        let world = World::new().await;
        let store = world.open().await;
        let tenant = furnish(&world, &*store, from).await;
        let mut before = seen(&*store, "acme").await;
        let (source, target) = (claim(&*store, from).await, claim(&*store, to).await);
        let (all_from, heads) = (all_of(&*store, PartitionId(from)).await, store.heads().await.unwrap());

        let outcome = try_move(&*store, &tenant, to).await.unwrap();
        assert_eq!(outcome, MoveOutcome::Moved { from: PartitionId(from), head: Sequence(10) });
        settled(&world, &*store, &tenant, to).await;
        // The lane without a row stood at the checkpoint, which covers seven of the ten events.
        before.lanes.insert(before.endpoints[0].id.to_string(), 7);
        let after = seen(&*store, "acme").await;
        assert_eq!(after, before);

        // Both routers begin anew: neither may write what it holds.
        for (partition, claim) in [(from, source), (to, target)] {
            let outcome = store.commit_route(&nothing(partition, claim), Vec::new()).await.unwrap();
            assert!(matches!(outcome, RouteOutcome::Fenced), "partition {partition}: {outcome:?}");
        }
        let left = store.routing(PartitionId(from), Revision(0)).await.unwrap();
        assert!(left.endpoints.is_empty() && left.redrives.is_empty() && left.replays.is_empty(), "{left:?}");
        let state = store.router_state(PartitionId(from)).await.unwrap();
        assert!(state.lanes.is_empty() && state.retries.is_empty() && state.circuits.is_empty(), "{state:?}");
        let changed = store.routing(PartitionId(to), Revision(0)).await.unwrap();
        assert!(changed.endpoints.iter().all(|row| row.partition == PartitionId(to)));
        let now = store.heads().await.unwrap();
        assert!(now[from as usize].moves > heads[from as usize].moves && now[to as usize].moves > 0);
        // The log that it left is what it was.
        assert_eq!(all_of(&*store, PartitionId(from)).await, all_from);
        assert!(all_of(&*store, PartitionId(to)).await.is_empty());

        // An id that was taken before is still taken, sequences follow, no moment falls.
        let row = place(&*store, "acme").await;
        let plan = try_append(&*store, &row, vec![event("acme", "a3"), event("acme", "new")], moment(1)).await.unwrap();
        assert_eq!(ids(&plan.rows), ["new"]);
        assert_eq!((plan.rows[0].sequence, plan.rows[0].position), (Sequence(11), Position(1)));
        let feed = store.feed(tenant.no, Sequence(4), ALL).await.unwrap();
        assert!(feed.events.iter().zip(5..).all(|(row, number)| row.sequence == Sequence(number)));
        assert!(feed.events.windows(2).all(|pair| pair[0].recorded_at <= pair[1].recorded_at));
        assert_eq!(feed.head, Sequence(11));
        assert_eq!(try_move(&*store, &tenant, to).await.unwrap(), MoveOutcome::Already);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_goes_back_and_forth_and_around_stays_whole() {
    let world = World::new().await;
    let store = world.open().await;
    let mut tenant = furnish(&world, &*store, 0).await;
    let before = seen(&*store, "acme").await;
    let mut count = 10;
    for to in [2, 4, 0, 5, 1, 3, 0, 2] {
        // What it left in a partition must lie behind that partition's router.
        route_all(&*store, to).await;
        tenant = moved(&*store, &tenant, to).await;
        settled(&world, &*store, &tenant, to).await;
        append(&*store, vec![event("acme", &format!("n{to}{count}"))]).await;
        count += 1;
        let now = seen(&*store, "acme").await;
        assert!(now.events.iter().zip(1..).all(|(row, number)| row.sequence == Sequence(number)));
        assert_eq!((now.events.len(), &now.events[..10]), (count, &before.events[..]));
        assert_eq!((&now.endpoints, &now.dead, &now.redrives), (&before.endpoints, &before.dead, &before.redrives));
        assert_eq!((&now.retries, &now.replays, &now.attempts), (&before.retries, &before.replays, &before.attempts));
    }
    // Back where it was, but what it left there was not routed.
    append(&*store, vec![event("acme", "last")]).await;
    route_all(&*store, 4).await;
    moved(&*store, &tenant, 4).await;
    assert_eq!(try_move(&*store, &tenant, 2).await.unwrap(), MoveOutcome::Later);
    route_all(&*store, 2).await;
    moved(&*store, &tenant, 2).await;
}

/// From home to a shard, and between two shards: the database, the table and the statement that fails.
const STEPS: &[(bool, &str, &str)] = &[
    (true, "arrivals", "INSERT"),
    (true, "events", "INSERT"),
    (true, "marks", "INSERT"),
    (true, "arrivals", "UPDATE"),
    (false, "departures", "INSERT"),
    (false, "endpoints", "UPDATE"),
    (true, "endpoints", "INSERT"),
    (true, "dead_letters", "INSERT"),
    (true, "tenants", "UPDATE"),
    (true, "leases", "UPDATE"),
    (false, "departures", "UPDATE"),
    (true, "attempts", "INSERT"),
    (false, "dead_letters", "DELETE"),
    (false, "endpoints", "DELETE"),
    (false, "departures", "DELETE"),
    (true, "arrivals", "DELETE"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_breaks_off_at_any_step_is_finished_by_the_next_call() {
    let world = World::new().await;
    let store = world.open().await;
    let steps = |(from, to)| STEPS.iter().map(move |step| (from, to, *step));
    // Where home is neither end, all of them; where it is one, those after the copy.
    let all =
        steps((2, 4)).chain(steps((0, 2)).skip(4)).chain(steps((4, 1)).skip(4)).chain([(2, 4, (true, "home", ""))]);
    for (number, (from, to, (at_target, table, operation))) in all.enumerate() {
        let name = format!("t{number}");
        let tenant = world::furnish_one(&world, &*store, &name, from).await;
        let mut before = seen(&*store, &name).await;
        let database = world.of(if at_target { to } else { from });
        let (database, table, operation) = match table {
            "home" => (&world.home, "tenants", "UPDATE"),
            table => (database, table, operation),
        };
        // Tenants left that partition before.
        route_all(&*store, to).await;
        broken(database, table, operation).await;
        let step = format!("{from} to {to}: {operation} {table}");
        let answer = try_move(&*store, &tenant, to).await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{step}: {answer:?}");
        // Wherever it stands, nobody reads less than there is, and what is taken in is there.
        let feed = store.feed(tenant.no, Sequence(0), ALL).await.unwrap();
        assert_eq!(feed.events, before.events, "{step}");
        repaired(database, table).await;
        let next = world.open().await;
        let row = place(&*next, &name).await;
        let appended = try_append(&*next, &row, vec![event(&name, "between")], moment(9)).await;
        assert!(appended.is_ok() || is_elsewhere(&appended), "{step}: {appended:?}");

        let outcome = try_move(&*next, &tenant, to).await.unwrap();
        assert!(matches!(outcome, MoveOutcome::Moved { .. } | MoveOutcome::Already), "{step}: {outcome:?}");
        settled(&world, &*next, &tenant, to).await;
        let after = seen(&*next, &name).await;
        assert_eq!(after.events.len(), 10 + usize::from(appended.is_ok()), "{step}");
        before.events.extend(appended.into_iter().flat_map(|plan| plan.rows));
        before.lanes.insert(before.endpoints[0].id.to_string(), 7);
        assert_eq!(after, before, "{step}");
        // The node that saw it break off finds it too.
        assert_eq!(seen(&*store, &name).await, after, "{step}");
        next.close().await;
    }
}

/// Has a move break off while the tenant is held: nobody can say whether it arrived.
async fn hold(world: &World, store: &dyn Store, tenant: &TenantRow, to: u32) {
    for (table, operation) in [("tenants", "UPDATE"), ("arrivals", "DELETE")] {
        broken(world.of(to), table, operation).await;
    }
    let answer = try_move(store, tenant, to).await;
    assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    for table in ["tenants", "arrivals"] {
        repaired(world.of(to), table).await;
    }
    assert_eq!(world.count("departures").await, 1, "it is held");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_a_tenant_that_is_held_nothing_is_taken_in_and_its_log_is_read() {
    for (from, to) in [(0, 2), (2, 0), (2, 4)] {
        let world = World::new().await;
        let (store, other) = (world.open().await, world.open().await);
        let tenant = furnish(&world, &*store, from).await;
        let mut before = seen(&*other, "acme").await;
        hold(&world, &*store, &tenant, to).await;
        for node in [&store, &other] {
            let row = node.tenant(&tenant.id).await.unwrap().unwrap();
            assert_eq!((row.partition, row.head, row.is_moving), (PartitionId(from), Sequence(10), true));
            assert!(is_elsewhere(&try_append(&**node, &row, vec![event("acme", "b")], moment(9)).await));
            let there = TenantRow { partition: PartitionId(to), ..row.clone() };
            assert!(is_elsewhere(&try_append(&**node, &there, vec![event("acme", "b")], moment(9)).await));
            assert!(is_elsewhere(&put_with(&**node, new_endpoint(&tenant, 9), Vec::new()).await));
            let all = DeadQuery { limit: 10, ..DeadQuery::default() };
            let settled = node.settle_dead(tenant.partition, tenant.no, &all, DeadFate::Discard).await;
            assert!(is_elsewhere(&settled), "{settled:?}");
            assert!(is_elsewhere(&node.endpoints(tenant.no, None, 10).await));
            assert_eq!(node.feed(tenant.no, Sequence(0), ALL).await.unwrap().events, before.events);
            assert!(node.event(tenant.no, &EventId::parse("a3").unwrap()).await.unwrap().is_some());
            // A router that begins meanwhile knows nothing of it.
            assert!(node.routing(PartitionId(from), Revision(0)).await.unwrap().endpoints.is_empty());
        }
        route_all(&*other, from).await;
        // Others in the partition go on.
        append(&*other, vec![event(&format!("other{from}"), "goes-on")]).await;

        let outcome = try_move(&*other, &tenant, to).await.unwrap();
        assert!(matches!(outcome, MoveOutcome::Moved { .. }), "{outcome:?}");
        settled(&world, &*store, &tenant, to).await;
        before.lanes.insert(before.endpoints[0].id.to_string(), 7);
        assert_eq!(seen(&*store, "acme").await, before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_stands_still_is_told_to_one_node_which_finishes_it() {
    let world = World::new().await;
    let (store, other) = (world.open().await, world.open().await);
    let tenant = furnish(&world, &*store, 0).await;
    hold(&world, &*store, &tenant, 2).await;
    assert_eq!(other.stalled_moves(ShardNo(0)).await.unwrap(), [], "somebody may be at it");
    world.home.connect().await.batch_execute("UPDATE tidings.departures SET touched_at = 0").await.unwrap();
    let told = other.stalled_moves(ShardNo(0)).await.unwrap();
    assert_eq!(told, [(tenant.no, tenant.id.clone(), PartitionId(2))]);
    assert_eq!(store.stalled_moves(ShardNo(0)).await.unwrap(), [], "it is told once");
    let outcome = other.move_tenant(told[0].0, told[0].2).await.unwrap();
    assert!(matches!(outcome, MoveOutcome::Moved { .. }), "{outcome:?}");
    settled(&world, &*store, &tenant, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whose_copy_is_not_the_same_stays_where_it_is_and_works_on() {
    // A row that says something else than the log that the tenant leaves.
    let world = World::new().await;
    let store = world.open().await;
    let tenant = furnish(&world, &*store, 0).await;
    let before = seen(&*store, "acme").await;
    let (home, b) = (world.home.connect().await, world.b.connect().await);
    let no = tenant.no.get();
    let row: String = home
        .query_one("SELECT e::text FROM tidings.events e WHERE tenant_no = $1 AND sequence = 5", &[&no])
        .await
        .unwrap()
        .get(0);
    let other = row.replacen("\"\"id\"\":\"\"a4\"\"", "\"\"id\"\":\"\"A4\"\"", 1);
    assert_ne!(row, other);
    b.execute("INSERT INTO tidings.events SELECT ($1::text::tidings.events).*", &[&other]).await.unwrap();
    for _ in 0..2 {
        let refused = try_move(&*store, &tenant, 2).await;
        assert!(matches!(&refused, Err(Error::Broken(reason)) if reason.contains("stays where it is")), "{refused:?}");
        assert_eq!(store.tenant(&tenant.id).await.unwrap().unwrap().partition, PartitionId(0));
        assert_eq!(seen(&*store, "acme").await, before);
    }
    append(&*store, vec![event("acme", "works")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_of_whose_delivery_state_something_would_be_missing_is_let_go_on_where_it_was() {
    let world = World::new().await;
    let store = world.open().await;
    let tenant = furnish(&world, &*store, 2).await;
    let mut before = seen(&*store, "acme").await;
    // Once held, where its lanes stand is written down for each.
    before.lanes.insert(before.endpoints[0].id.to_string(), 7);
    let b = world.c.connect().await;
    b.batch_execute("CREATE FUNCTION tidings.idle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
        .await
        .unwrap();
    for table in ["endpoints", "replays", "lanes", "retries", "circuits", "redrives", "dead_letters"] {
        // As if the statement that brings these rows over were not there.
        let idle = format!(
            "CREATE TRIGGER idle BEFORE INSERT ON tidings.{table} FOR EACH ROW EXECUTE FUNCTION tidings.idle()"
        );
        b.batch_execute(&idle).await.unwrap();
        let refused = try_move(&*store, &tenant, 4).await;
        assert!(matches!(refused, Err(Error::Broken(_))), "{table}: {refused:?}");
        b.batch_execute(&format!("DROP TRIGGER idle ON tidings.{table}")).await.unwrap();
        settled(&world, &*store, &tenant, 2).await;
        assert_eq!(seen(&*store, "acme").await, before, "{table}");
    }
    // A refusal for good, and a database that fails, end alike.
    for code in ["23514", "57P03", "XX001"] {
        failing(&world.c, "tenants", "UPDATE", code).await;
        assert!(try_move(&*store, &tenant, 4).await.is_err());
        repaired(&world.c, "tenants").await;
        settled(&world, &*store, &tenant, 2).await;
    }
    append(&*store, vec![event("acme", "works")]).await;
    create(&*store, &place(&*store, "acme").await, 7).await;
    moved(&*store, &tenant, 4).await;
    assert_eq!(store.endpoints(tenant.no, None, 10).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_looks_where_a_tenant_was_finds_it_where_it_is() {
    let world = World::new().await;
    let (store, stale) = (world.open().await, world.open().await);
    let mut tenant = furnish(&world, &*store, 0).await;
    seen(&*stale, "acme").await;
    let mut count: u64 = 10;
    for to in [2, 5, 3] {
        let was = place(&*stale, "acme").await;
        let old = stale.endpoints(tenant.no, None, 10).await.unwrap().remove(0);
        tenant = moved(&*store, &tenant, to).await;
        append(&*store, vec![event("acme", &format!("n{to}"))]).await;
        count += 1;
        let refused = try_append(&*stale, &was, vec![event("acme", "lost")], moment(9)).await;
        assert!(matches!(refused, Err(Error::Moved(_))), "{refused:?}");
        assert!(is_elsewhere(&put_with(&*stale, new_endpoint(&was, 9), Vec::new()).await));

        let slice = stale.feed(tenant.no, Sequence(0), ALL).await.unwrap();
        assert_eq!((slice.head, slice.events.len() as u64), (Sequence(count), count));
        let id = EventId::parse(format!("n{to}")).unwrap();
        assert!(stale.event(tenant.no, &id).await.unwrap().is_some());
        let newest = Search {
            columns: ColumnFilter::default(),
            after: Sequence(0),
            before: Sequence(1_000),
            direction: Direction::Backward,
            limit: ALL,
        };
        assert_eq!(stale.search(tenant.no, &newest).await.unwrap()[0].event.id, id);
        let rows = stale.endpoints(tenant.no, None, 10).await.unwrap();
        assert!(rows.iter().all(|row| row.partition == PartitionId(to)), "{rows:?}");
        assert_ne!(rows[0].no, old.no);
        assert_eq!(stale.endpoint(tenant.no, &rows[0].id).await.unwrap().unwrap().no, rows[0].no);
        assert_eq!(seen(&*stale, "acme").await, seen(&*store, "acme").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_and_moves_between_databases_at_once_leave_no_gap_and_lose_nothing() {
    let world = World::new().await;
    let store = world.open().await;
    place(&*store, "acme").await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..25 {
                    loop {
                        let tenant = place(&*store, "acme").await;
                        let answer =
                            try_append(&*store, &tenant, vec![event("acme", &format!("{writer}-{n}"))], moment(1))
                                .await;
                        if answer.is_ok() {
                            break;
                        }
                        assert!(is_elsewhere(&answer), "{answer:?}");
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    let movers: Vec<_> = (0..2_u32)
        .map(|mover| {
            let (store, shared) = (world.open(), store.clone());
            let open = async move { if mover == 0 { shared } else { store.await } };
            async move {
                let store = open.await;
                for round in 0..10_u32 {
                    let tenant = place(&*store, "acme").await;
                    let to = (2 * round + 3 * mover + 2) % 6;
                    for _ in 0..3 {
                        match try_move(&*store, &tenant, to).await {
                            // Two owners of one partition fence each other.
                            Ok(MoveOutcome::Later) => drop(try_route_all(&store, to).await),
                            Ok(_) => break,
                            Err(Error::Moved(_) | Error::Unavailable { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            }
        })
        .collect();
    futures_util::future::join_all(movers).await;
    for task in writers {
        task.await.unwrap();
    }
    // Whatever stands still is finished by who asks next.
    let tenant = place(&*store, "acme").await;
    route_all(&*store, 1).await;
    while !matches!(
        store.move_tenant(tenant.no, PartitionId(1)).await,
        Ok(MoveOutcome::Moved { from: _, head: _ } | MoveOutcome::Already)
    ) {
        route_all(&*store, 1).await;
    }
    let feed = store.feed(tenant.no, Sequence(0), ALL).await.unwrap();
    assert_eq!(feed.events.len(), 100);
    assert!(feed.events.iter().zip(1..).all(|(row, number)| row.sequence == Sequence(number)));
    assert!(feed.events.windows(2).all(|pair| pair[0].recorded_at <= pair[1].recorded_at));
}

async fn try_route_all(store: &Arc<dyn Store>, partition: u32) -> Result<(), tokio::task::JoinError> {
    let store = store.clone();
    tokio::spawn(async move { route_all(&*store, partition).await }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_moves_through_poolers_that_lend_connections_by_the_transaction() {
    let server = Postgres::shared();
    let world = World::new().await;
    let pooler = Pgbouncer::start(&server, 5);
    let store = world.open_at([pooler.url(&world.home), pooler.url(&world.b), pooler.url(&world.c)]).await;
    let tenant = furnish(&world, &*store, 0).await;
    let mut before = seen(&*store, "acme").await;
    before.lanes.insert(before.endpoints[0].id.to_string(), 7);
    moved(&*store, &tenant, 2).await;
    settled(&world, &*store, &tenant, 2).await;
    assert_eq!(seen(&*store, "acme").await, before);
    hold(&world, &*store, &place(&*store, "acme").await, 4).await;
    let outcome = try_move(&*store, &tenant, 4).await.unwrap();
    assert!(matches!(outcome, MoveOutcome::Moved { .. }), "{outcome:?}");
    assert_eq!(seen(&*store, "acme").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_also_between_databases() {
    let world = World::new().await;
    let store = world.open().await;
    let system = make::place_in(&*store, "$system", 0).await;
    assert_eq!(try_move(&*store, &system, 2).await.unwrap(), MoveOutcome::Fixed);
    assert_eq!(try_move(&*store, &system, 99).await.unwrap(), MoveOutcome::NoPartition);
    let nobody = tidings_event::TenantNo(1_000_000);
    assert_eq!(store.move_tenant(nobody, PartitionId(2)).await.unwrap(), MoveOutcome::NoTenant);
    // One that has nothing moves, too.
    let empty = make::place_in(&*store, "empty", 3).await;
    moved(&*store, &empty, 0).await;
    append(&*store, vec![event("empty", "first")]).await;
    assert_eq!(store.feed(empty.no, Sequence(0), ALL).await.unwrap().events.len(), 1);
}
