//! What is promised about who runs and who owns what.

use std::sync::Arc;
use std::time::Duration;

use tidings_event::delivery::RouteCommit;
use tidings_event::{Epoch, PartitionId, Position};
use tidings_store::{Beat, Boot, Claim, Error, LeaseRole, RouteOutcome, Serves, ShardNo, Slot, Store};
use ulid::Ulid;

use crate::deliver::{LEASE, RUN, beat, claim, commit, create, lane_row, nothing, retry_row};
use crate::home::{Home, PARTITIONS};
use crate::make::{append, event, place};

const HERE: ShardNo = ShardNo(0);
const ROUTER: LeaseRole = LeaseRole::Router;
const AGAIN: Boot = Boot(Ulid(2));
/// Longer than [`LEASE`], in microseconds.
const LONG: u64 = 3_600_000_001;

fn slot(partition: u32) -> Slot {
    Slot::partition(PartitionId(partition))
}

async fn take(store: &dyn Store, node: &str, boot: Boot) -> Option<Epoch> {
    store.claim(ROUTER, &slot(0), node, boot, LEASE).await.unwrap().map(|claim| claim.epoch)
}

async fn is_fenced(store: &dyn Store, claim: Claim) -> bool {
    matches!(store.commit_route(&nothing(0, claim), Vec::new()).await.unwrap(), RouteOutcome::Fenced)
}

/// Makes a node's heartbeat older, or younger, by so many microseconds.
async fn shift(home: &Home, node: &str, by: &str) {
    home.raw(&format!("UPDATE nodes SET seen_at = seen_at {by} WHERE id = '{node}'")).await.unwrap();
}

/// Who owns the first partition's router.
async fn owner(store: &dyn Store) -> Option<String> {
    let rows = store.leases(HERE).await.unwrap();
    let row = rows.into_iter().find(|row| row.role == ROUTER && row.slot == slot(0)).unwrap();
    row.owner.map(|(node, _)| node)
}

pub(crate) async fn of_two_nodes_only_one_holds_a_lease(home: Home) {
    let store = home.open().await;
    assert_eq!(take(&*store, "one", RUN).await, None, "who does not beat takes nothing");
    beat(&*store, "one", RUN).await;
    beat(&*store, "two", RUN).await;
    let first = store.claim(ROUTER, &slot(0), "one", RUN, LEASE).await.unwrap().unwrap();
    assert_eq!((first.epoch, first.checkpoint), (Epoch(1), Position(0)));
    assert_eq!(take(&*store, "two", RUN).await, None);
    assert_eq!(owner(&*store).await.as_deref(), Some("one"));
    // The same node again: a new epoch at once.
    assert_eq!(take(&*store, "one", RUN).await, Some(Epoch(2)));
    assert!(is_fenced(&*store, first).await);
    // Another partition, another role, another source: each has an owner of its own.
    for (role, slot) in [(ROUTER, slot(1)), (LeaseRole::Publisher, slot(0)), (LeaseRole::Pump, Slot::source("shop"))] {
        let claim = store.claim(role, &slot, "two", RUN, LEASE).await.unwrap().unwrap();
        assert_eq!(claim.epoch, Epoch(1));
        assert_eq!(store.claim(role, &slot, "one", RUN, LEASE).await.unwrap(), None);
    }
    for role in [ROUTER, LeaseRole::Publisher] {
        for nowhere in [slot(99), Slot::source("shop")] {
            assert!(matches!(store.claim(role, &nowhere, "one", RUN, LEASE).await, Err(Error::Broken(_))));
        }
    }
}

pub(crate) async fn of_many_claims_at_once_one_wins(home: Home) {
    let store = home.open().await;
    for node in 0..8 {
        beat(&*store, &format!("node{node}"), RUN).await;
    }
    for of in [slot(0), Slot::source("shop")] {
        let role = if of == slot(0) { ROUTER } else { LeaseRole::Pump };
        for round in 0..5 {
            let claims: Vec<_> = (0..8)
                .map(|node| {
                    let (store, of) = (Arc::clone(&store), of.clone());
                    tokio::spawn(async move {
                        store.claim(role, &of, &format!("node{node}"), RUN, LEASE).await.expect("an answer")
                    })
                })
                .collect();
            let mut won = Vec::new();
            for claim in claims {
                won.extend(claim.await.unwrap());
            }
            assert_eq!(won.len(), 1);
            assert_eq!(won[0].epoch, Epoch(round + 1));
            store.release(role, &of, won[0].epoch).await.unwrap();
        }
    }
}

pub(crate) async fn a_node_whose_heartbeat_stopped_loses_its_leases_by_the_databases_clock_alone(home: Home) {
    let store = home.open().await;
    beat(&*store, "one", RUN).await;
    let held = store.claim(ROUTER, &slot(0), "one", RUN, LEASE).await.unwrap().unwrap();
    beat(&*store, "two", RUN).await;
    assert_eq!(take(&*store, "two", RUN).await, None);
    shift(&home, "one", &format!("- {LONG}")).await;
    let members = beat(&*store, "two", RUN).await;
    assert_eq!(members.iter().map(|member| member.node.as_str()).collect::<Vec<_>>(), ["two"]);
    // As long as nobody takes it, what its owner writes is good.
    commit(&*store, &nothing(0, held)).await;
    assert_eq!(take(&*store, "two", RUN).await, Some(Epoch(2)));
    assert!(is_fenced(&*store, held).await);
    // One that beats again is a member again, and owns nothing.
    assert_eq!(beat(&*store, "one", RUN).await.len(), 2);
    assert_eq!(take(&*store, "one", RUN).await, None);
    // Nor does one take anything whose own heartbeat stopped.
    store.release(ROUTER, &slot(0), Epoch(2)).await.unwrap();
    shift(&home, "one", &format!("- {LONG}")).await;
    assert_eq!(take(&*store, "one", RUN).await, None);
}

pub(crate) async fn a_clock_that_was_set_back_holds_no_lease_for_ever(home: Home) {
    let store = home.open().await;
    beat(&*store, "one", RUN).await;
    assert_eq!(take(&*store, "one", RUN).await, Some(Epoch(1)));
    beat(&*store, "two", RUN).await;
    shift(&home, "one", "+ 8000000000").await;
    assert_eq!(beat(&*store, "two", RUN).await.len(), 1, "a heartbeat from far ahead is none");
    assert_eq!(take(&*store, "two", RUN).await, Some(Epoch(2)));
    // Its next one is, and it is the same node as before.
    assert_eq!(beat(&*store, "one", RUN).await.len(), 2);
    // Which of two runs came later does not hang on the clock either.
    home.raw("UPDATE nodes SET started_at = started_at + 8000000000").await.unwrap();
    let members = beat(&*store, "two", AGAIN).await;
    assert_eq!(members.iter().find(|member| member.node == "two").unwrap().boot, AGAIN);
}

pub(crate) async fn a_paused_owner_that_wakes_up_commits_nothing(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let endpoint = create(&*store, &tenant, 1).await;
    append(&*store, vec![event("acme", "a"), event("acme", "b")]).await;
    beat(&*store, "sleeper", RUN).await;
    let slept = store.claim(ROUTER, &slot(0), "sleeper", RUN, LEASE).await.unwrap().unwrap();
    shift(&home, "sleeper", &format!("- {LONG}")).await;
    beat(&*store, "heir", RUN).await;
    let heir = store.claim(ROUTER, &slot(0), "heir", RUN, LEASE).await.unwrap().unwrap();
    assert_eq!(heir.checkpoint, slept.checkpoint);
    commit(&*store, &RouteCommit { checkpoint: Position(1), ..nothing(0, heir) }).await;
    // It wakes: beats as if nothing had been, and writes what it had under way.
    beat(&*store, "sleeper", RUN).await;
    let late = RouteCommit {
        checkpoint: Position(2),
        lanes: vec![lane_row(endpoint.no.into(), tenant.no, 2)],
        retries: vec![retry_row(endpoint.no.into(), 1)],
        ..nothing(0, slept)
    };
    let heads = store.heads().await.unwrap();
    assert!(matches!(store.commit_route(&late, Vec::new()).await.unwrap(), RouteOutcome::Fenced));
    let state = store.router_state(PartitionId(0)).await.unwrap();
    assert!(state.lanes.is_empty() && state.retries.is_empty());
    assert_eq!(store.heads().await.unwrap(), heads);
    // Not even after its heir gave the partition back.
    store.release(ROUTER, &slot(0), heir.epoch).await.unwrap();
    assert!(matches!(store.commit_route(&late, Vec::new()).await.unwrap(), RouteOutcome::Fenced));
    assert!(!store.advance(ROUTER, &slot(0), slept.epoch, Position(2)).await.unwrap());
    store.release(ROUTER, &slot(0), slept.epoch).await.unwrap();
    let next = store.claim(ROUTER, &slot(0), "heir", RUN, LEASE).await.unwrap().unwrap();
    assert_eq!((next.epoch, next.checkpoint), (Epoch(3), Position(1)));
}

pub(crate) async fn a_node_that_is_started_again_takes_at_once_what_its_last_run_had(home: Home) {
    let store = home.open().await;
    beat(&*store, "one", RUN).await;
    let before = store.claim(ROUTER, &slot(0), "one", RUN, LEASE).await.unwrap().unwrap();
    let members = beat(&*store, "one", AGAIN).await;
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].boot, AGAIN);
    assert_eq!(take(&*store, "one", AGAIN).await, Some(Epoch(2)));
    assert!(is_fenced(&*store, before).await);
    // Where the run before is there still, it finds itself missing, and takes nothing.
    let members = beat(&*store, "one", RUN).await;
    assert_eq!((members.len(), members[0].boot), (1, AGAIN));
    assert_eq!(take(&*store, "one", RUN).await, None);
    store.release(ROUTER, &slot(0), Epoch(2)).await.unwrap();
    assert_eq!(take(&*store, "one", RUN).await, None);
    assert_eq!(take(&*store, "one", AGAIN).await, Some(Epoch(3)));
}

pub(crate) async fn a_lease_that_was_given_back_is_free_and_its_epoch_spent(home: Home) {
    let store = home.open().await;
    let first = claim(&*store, 0).await;
    beat(&*store, "two", RUN).await;
    store.release(ROUTER, &slot(0), Epoch(9)).await.unwrap();
    assert_eq!(take(&*store, "two", RUN).await, None);
    store.release(ROUTER, &slot(0), first.epoch).await.unwrap();
    assert_eq!(owner(&*store).await, None);
    assert!(is_fenced(&*store, first).await);
    assert_eq!(take(&*store, "two", RUN).await, Some(Epoch(2)));
    // Who comes too late gives back nothing.
    store.release(ROUTER, &slot(0), first.epoch).await.unwrap();
    assert_eq!(owner(&*store).await.as_deref(), Some("two"));
}

pub(crate) async fn a_node_that_leaves_gives_all_back(home: Home) {
    // Each database has its own nodes, and this speaks of one.
    if home.is_sharded() {
        return;
    }
    let store = home.open().await;
    beat(&*store, "two", RUN).await;
    let claims = [claim(&*store, 0).await, claim(&*store, 1).await];
    store.claim(LeaseRole::Pump, &Slot::source("shop"), "node", RUN, LEASE).await.unwrap().unwrap();
    store.claim(ROUTER, &slot(2), "two", RUN, LEASE).await.unwrap().unwrap();
    store.leave(HERE, "node", AGAIN).await.unwrap();
    assert_eq!(take(&*store, "two", RUN).await, None, "another run had nothing to give");
    store.leave(HERE, "node", RUN).await.unwrap();
    store.leave(HERE, "node", RUN).await.unwrap();
    assert_eq!(beat(&*store, "two", RUN).await.len(), 1);
    assert!(is_fenced(&*store, claims[0]).await);
    assert_eq!(take(&*store, "two", RUN).await, Some(Epoch(2)));
    let owners: Vec<_> = store.leases(HERE).await.unwrap().into_iter().filter_map(|row| row.owner).collect();
    assert_eq!(owners, [("two".to_owned(), RUN), ("two".to_owned(), RUN)]);
}

pub(crate) async fn who_beats_is_told_to_all_as_it_said_it(home: Home) {
    // Each database has its own nodes, and this speaks of one.
    if home.is_sharded() {
        return;
    }
    let store = home.open().await;
    assert_eq!((store.shards(), store.shard_of(ROUTER, &slot(3))), (1, HERE));
    let serves = Serves {
        roles: ["api", "pump", "of a later version"].map(str::to_owned).into(),
        sources: ["platform", "Füße \"x\""].map(str::to_owned).into(),
    };
    let said = Beat {
        node: "b".to_owned(),
        boot: RUN,
        serves: serves.clone(),
        address: Some("http://10.0.0.1:7411".to_owned()),
        version: "9.9".to_owned(),
    };
    store.beat(HERE, &said, LEASE).await.unwrap();
    let members = beat(&*store, "a", AGAIN).await;
    assert_eq!(members.iter().map(|member| member.node.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let told = &members[1];
    assert_eq!((&told.serves, &told.address, &told.version), (&serves, &said.address, &said.version));
    assert!(told.serves.takes(LeaseRole::Pump, &Slot::source("platform")) && told.serves.api());
    assert!(!told.serves.takes(LeaseRole::Pump, &Slot::source("shop")));
    assert!(!told.serves.takes(ROUTER, &slot(0)));
    assert!(told.started_at <= told.seen_at && told.seen_at <= members[0].seen_at);
    // The next heartbeat says otherwise.
    let retired = Beat { serves: Serves::default(), address: None, ..said };
    let members = store.beat(HERE, &retired, LEASE).await.unwrap();
    assert_eq!((&members[1].serves, &members[1].address), (&Serves::default(), &None));
    assert_eq!(members[1].started_at, told.started_at);
    // Runs that are long gone leave nothing behind.
    home.raw("UPDATE nodes SET seen_at = seen_at - 9000000000 WHERE id = 'b'").await.unwrap();
    beat(&*store, "a", AGAIN).await;
    assert!(home.raw("INSERT INTO leases (role, slot) SELECT 'router', '0' FROM nodes WHERE id = 'b'").await.is_ok());
}

pub(crate) async fn a_publishers_checkpoint_moves_only_under_its_epoch(home: Home) {
    // Each database has its own leases, and this speaks of one.
    if home.is_sharded() {
        return;
    }
    let store = home.open().await;
    let (role, slot) = (LeaseRole::Publisher, slot(1));
    beat(&*store, "one", RUN).await;
    assert!(!store.advance(role, &slot, Epoch(0), Position(3)).await.unwrap(), "nobody has it");
    let first = store.claim(role, &slot, "one", RUN, LEASE).await.unwrap().unwrap();
    assert!(store.advance(role, &slot, first.epoch, Position(7)).await.unwrap());
    let second = store.claim(role, &slot, "one", RUN, LEASE).await.unwrap().unwrap();
    assert_eq!(second.checkpoint, Position(7));
    assert!(!store.advance(role, &slot, first.epoch, Position(9)).await.unwrap());
    // Its stream begins anew.
    assert!(store.advance(role, &slot, second.epoch, Position(2)).await.unwrap());
    let third = store.claim(role, &slot, "one", RUN, LEASE).await.unwrap().unwrap();
    assert_eq!(third.checkpoint, Position(2));
    let rows = store.leases(HERE).await.unwrap();
    let slots: Vec<_> = rows.iter().map(|row| (row.role, row.slot.as_str().to_owned())).collect();
    let of = |role| (0..PARTITIONS).map(move |number| (role, number.to_string()));
    assert_eq!(slots, of(ROUTER).chain(of(role)).collect::<Vec<_>>(), "every partition has both, by number");
}

pub(crate) async fn a_node_with_another_master_key_is_told_apart(home: Home) {
    let store = home.open().await;
    assert!(store.master_check(&[1; 32], false).await.unwrap(), "the first is kept");
    assert!(store.master_check(&[1; 32], false).await.unwrap());
    assert!(!store.master_check(&[2; 32], false).await.unwrap());
    assert!(store.master_check(&[2; 32], true).await.unwrap());
    store.close().await;
    let store = home.open().await;
    assert!(!store.master_check(&[1; 32], false).await.unwrap());
    assert!(store.master_check(&[2; 32], false).await.unwrap());
}

pub(crate) async fn who_claims_must_beat_too(home: Home) {
    let store = home.open().await;
    beat(&*store, "one", RUN).await;
    assert_eq!(take(&*store, "one", RUN).await, Some(Epoch(1)));
    beat(&*store, "two", RUN).await;
    // Of so short a lease nobody's heartbeat is young enough, not that of the one who claims either.
    let brief = Duration::from_micros(1);
    assert_eq!(store.claim(ROUTER, &slot(0), "two", RUN, brief).await.unwrap(), None);
    let huge = Duration::MAX;
    assert_eq!(store.claim(ROUTER, &slot(0), "two", RUN, huge).await.unwrap(), None);
}

pub(crate) async fn leases_of_a_role_of_a_later_version_are_passed_over(home: Home) {
    let store = home.open().await;
    beat(&*store, "one", RUN).await;
    assert_eq!(take(&*store, "one", RUN).await, Some(Epoch(1)));
    let before = store.leases(HERE).await.unwrap();
    home.later_role("INSERT INTO leases (role, slot) VALUES ('archivist', '0')").await;
    assert_eq!(store.leases(HERE).await.unwrap(), before);
}

pub(crate) async fn routers_of_a_log_from_before_leases_go_on_where_they_stood(home: Home) {
    // A log from before leases has one database.
    if home.is_sharded() {
        return;
    }
    let store = home.open().await;
    append(&*store, vec![event("acme", "a"), event("acme", "b")]).await;
    let held = claim(&*store, 0).await;
    commit(&*store, &RouteCommit { checkpoint: Position(2), ..nothing(0, held) }).await;
    store.close().await;
    home.forget_the_catalog().await;
    let store = home.open().await;
    assert!(is_fenced(&*store, held).await, "nobody has what a version before had");
    beat(&*store, "one", RUN).await;
    let claim = store.claim(ROUTER, &slot(0), "one", RUN, LEASE).await.unwrap().unwrap();
    assert_eq!((claim.epoch, claim.checkpoint), (Epoch(2), Position(2)));
    let publisher = store.claim(LeaseRole::Publisher, &slot(3), "one", RUN, LEASE).await.unwrap().unwrap();
    assert_eq!((publisher.epoch, publisher.checkpoint), (Epoch(1), Position(0)));
}
