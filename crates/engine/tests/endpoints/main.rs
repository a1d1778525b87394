//! What those who manage and operate endpoints are promised. But for `live`, nothing is routed here: what a router
//! would have written is written by the tests.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test may panic, which clippy does not see in what macros make; and its modules share what is public here"
)]

mod explain;
mod letters;
mod live;
mod manage;
mod receiver;
mod replays;
mod secrets;
mod send;
#[path = "../support/mod.rs"]
mod support;
mod system;

use std::sync::Arc;
use std::time::Duration;

use support::{Log, tenant};
use tidings_engine::endpoints::{Endpoint, EndpointError, NewEndpoint, Who};
use tidings_engine::{
    DeliverOptions, EgressOptions, Endpoints, Engine, FeedStart, NodeOptions, Options, ReadLimit, Role, Roles,
    Selection,
};
use tidings_event::delivery::{AttemptResult, AttemptRow, RouteCommit};
use tidings_event::{EndpointId, EndpointNo, PartitionId, Recorded, Sequence, TenantNo, Timestamp, Violation};
use tidings_store::{Beat, Boot, LeaseRole, RouteOutcome, Serves, ShardNo, Slot, Store};

/// An engine, its store, and a hand that writes what a router would.
pub struct Bench {
    pub engine: Engine,
    pub endpoints: Endpoints,
    pub store: Arc<dyn Store>,
}

impl Bench {
    pub async fn over(log: &Log) -> Self {
        Self::with(log, false).await
    }

    pub async fn with(log: &Log, route: bool) -> Self {
        let store = log.store().await;
        let options = Options {
            node: NodeOptions { roles: Roles { router: route, ..Roles::default() }, ..NodeOptions::default() },
            // Attempts are of one moment, however long ago that is.
            deliver: DeliverOptions { master: [7; 32], attempts_kept: Duration::MAX, ..DeliverOptions::default() },
            egress: EgressOptions {
                allow_http: true,
                allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
                ..EgressOptions::default()
            },
            ..Options::default()
        };
        let engine = log.engine_over(store.clone(), options).await;
        Self { endpoints: engine.endpoints(), engine, store }
    }

    pub async fn create(&self, tenant_name: &str, new: NewEndpoint) -> Endpoint {
        self.endpoints.create(&who(), &tenant(tenant_name), new).await.unwrap().0
    }

    /// The store's names of an endpoint: its own, its tenant's, and where both live.
    pub async fn names(&self, tenant_name: &str, id: &EndpointId) -> (EndpointNo, TenantNo, PartitionId) {
        let row = self.engine.tenant(&tenant(tenant_name)).await.unwrap().unwrap();
        let endpoint = self.store.endpoint(row.no, id).await.unwrap().unwrap();
        (endpoint.no, row.no, row.partition)
    }

    /// Writes a router's commit; the checkpoint moves to the partition's end, unless `change` says otherwise.
    pub async fn route(&self, partition: PartitionId, change: impl FnOnce(&mut RouteCommit)) {
        let (ttl, boot) = (Duration::from_secs(3_600), Boot(ulid::Ulid::generate()));
        let beat =
            Beat { node: "test".to_owned(), boot, serves: Serves::default(), address: None, version: String::new() };
        self.store.beat(ShardNo(0), &beat, ttl).await.unwrap();
        let slot = Slot::partition(partition);
        let claim = self.store.claim(LeaseRole::Router, &slot, "test", boot, ttl).await.unwrap().unwrap();
        let heads = self.store.heads().await.unwrap();
        let mut commit = RouteCommit {
            partition,
            epoch: claim.epoch,
            checkpoint: heads[partition.0 as usize].position,
            lanes: vec![],
            caught_up: vec![],
            retries: vec![],
            settled: vec![],
            dead: vec![],
            attempts: vec![],
            circuits: vec![],
            closed: vec![],
            disabled: vec![],
            redriven: vec![],
            replays: vec![],
            ended: vec![],
        };
        self.store.keep_attempts(at(0), Timestamp::from_micros(0)).await.unwrap();
        change(&mut commit);
        let outcome = self.store.commit_route(&commit, vec![]).await.unwrap();
        assert!(matches!(outcome, RouteOutcome::Committed { .. }), "{outcome:?}");
        self.store.leave(ShardNo(0), "test", boot).await.unwrap();
    }

    /// All events of a tenant, oldest first.
    pub async fn events(&self, tenant_name: &str) -> Vec<Recorded> {
        self.selected(tenant_name, &[]).await
    }

    /// All events of a tenant of some types, as a feed gives them.
    pub async fn selected(&self, tenant_name: &str, types: &[&str]) -> Vec<Recorded> {
        let types: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
        let selection = Arc::new(Selection::new(&types, None).unwrap());
        let mut feed = self.engine.feed(&tenant(tenant_name), FeedStart::Start, selection).await.unwrap();
        let mut events = Vec::new();
        loop {
            let limit = ReadLimit { events: 1_000, bytes: 1 << 24 };
            let page = feed.next(limit, Duration::ZERO).await.unwrap();
            events.extend(page.events.iter().map(|event| event.recorded.clone()));
            if page.up_to_date {
                return events;
            }
        }
    }
}

pub fn who() -> Who {
    Who { key: "key_1".to_owned(), role: Role::Consumer }
}

/// Seconds after the beginning of 2026.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_767_225_600 + seconds) * 1_000_000)
}

pub fn endpoint(url: &str) -> NewEndpoint {
    NewEndpoint { url: url.to_owned(), ..NewEndpoint::default() }
}

pub const SOMEWHERE: &str = "https://hooks.example.com/in";

pub fn attempt(no: EndpointNo, sequence: u64, attempt: u32, seconds: i64, result: AttemptResult) -> AttemptRow {
    AttemptRow {
        lane: no.into(),
        endpoint: no,
        sequence: Sequence(sequence),
        attempt,
        at: at(seconds),
        duration_us: 1_500,
        result,
        answer: bytes::Bytes::from_static(b"hello"),
    }
}

pub fn violations(error: EndpointError) -> Vec<(String, String)> {
    let EndpointError::Invalid(violations) = error else { panic!("{error:?}") };
    violations.into_iter().map(|Violation { path, code, .. }| (path, code.to_owned())).collect()
}

pub fn data(event: &Recorded) -> serde_json::Value {
    serde_json::from_slice(event.event.data.as_bytes()).unwrap()
}
