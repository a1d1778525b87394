//! What quotas promise on one node and on several.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod support;

use std::time::Duration;

use support::{Log, PATIENCE, administrator, numbered, tenant};
use tidings_engine::{Engine, Options, OwnQuota, QuotaInForce, Throttled, Way};
use tokio::time::timeout;

fn limits(events_per_s: u64, events_burst: u64) -> OwnQuota {
    OwnQuota { events_per_s: Some(events_per_s), events_burst: Some(events_burst), ..OwnQuota::default() }
}

fn attentive(id: &str) -> Options {
    let mut options = Options::default();
    options.quota.poll = Duration::from_millis(20);
    options.node.id = id.to_owned();
    options
}

async fn set(engine: &Engine, name: &str, own: OwnQuota) {
    engine.set_quota(&administrator(), &tenant(name), own).await.unwrap();
}

fn passes(engine: &Engine, name: &str, count: usize) -> bool {
    match engine.charge(Way::Events, &numbered(name, count)) {
        Ok(_) => true,
        Err(Throttled::Exceeded { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn until(what: &str, done: impl AsyncFn() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "{what} did not come");
}

on_both! {
    async fn the_default_holds_where_a_tenant_has_no_quota_of_its_own(log: Log) {
        let mut options = Options::default();
        options.quota.default = QuotaInForce { events_per_s: 1, events_burst: 3, ..QuotaInForce::default() };
        let engine = log.engine_with(options).await;
        set(&engine, "free", OwnQuota { events_per_s: Some(0), ..OwnQuota::default() }).await;
        set(&engine, "large", limits(1, 5_000)).await;
        for _ in 0..2 {
            assert!(passes(&engine, "free", 1_000));
            assert!(passes(&engine, "large", 1_000));
        }
        assert!(passes(&engine, "usual", 1_000));
        assert!(!passes(&engine, "usual", 1));
        engine.shutdown().await;
    }

    async fn quotas_are_there_from_the_first_request_after_a_start(log: Log) {
        let engine = log.engine().await;
        set(&engine, "acme", limits(1, 1)).await;
        engine.shutdown().await;
        let engine = log.engine().await;
        assert!(passes(&engine, "acme", 1_000));
        assert!(!passes(&engine, "acme", 1));
        engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_nodes_follow_a_change_and_nodes_share_a_quota() {
    let log = Log::postgres().await;
    let (one, two) = (log.engine_with(attentive("one")).await, log.engine_with(attentive("two")).await);
    until("the other node", async || {
        let nodes = one.nodes().await.unwrap();
        nodes.nodes.len() == 2
    })
    .await;
    set(&one, "acme", limits(1_000, 1_000)).await;
    // Known here at once, there soon. Each has half of it.
    let rooms = |engine: &Engine| {
        let standings = engine.charge(Way::Events, &numbered("acme", 1)).unwrap();
        standings.first().and_then(|standing| standing.events).map(|room| room.left)
    };
    until("half of the quota here", async || rooms(&one).is_some_and(|left| left < 500)).await;
    until("half of the quota there", async || rooms(&two).is_some_and(|left| left < 500)).await;
    assert_eq!(two.quota(&tenant("acme")).await.unwrap().own, limits(1_000, 1_000));
    set(&two, "acme", OwnQuota::default()).await;
    assert_eq!(rooms(&two), None);
    until("the end of the quota", async || rooms(&one).is_none()).await;
    two.shutdown().await;
    set(&one, "acme", limits(1_000, 1_000)).await;
    until("the whole quota", async || rooms(&one).is_some_and(|left| left > 900)).await;
    one.shutdown().await;
}
