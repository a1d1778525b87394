//! An engine that delivers, and its endpoints.

use std::sync::Arc;
use std::time::Duration;

use tidings_engine::endpoints::{
    AttemptSearch, DeadLetterView, DeadSearch, Endpoint, EndpointPatch, EndpointSettings, NewEndpoint, Who,
};
use tidings_engine::{
    DeliverLimits, DeliverOptions, EgressOptions, EndpointError, Endpoints, Engine, FeedStart, NodeOptions, Options,
    ReadLimit, Role, Selection,
};
use tidings_event::{EndpointId, Event, Recorded};
use tidings_store::Store;
use tokio::time::timeout;

use crate::support::{Log, PATIENCE, tenant};

/// The tenant of most tests.
pub const ACME: &str = "acme";

/// Options of a node that delivers to this machine, and comes back soon to what failed.
pub fn options(node: &str) -> Options {
    Options {
        node: NodeOptions { id: node.to_owned(), ..NodeOptions::default() },
        deliver: DeliverOptions {
            master: [7; 32],
            limits: DeliverLimits {
                probe_min: Duration::from_millis(20),
                probe_max: Duration::from_millis(100),
                ..DeliverLimits::default()
            },
            ..DeliverOptions::default()
        },
        egress: EgressOptions {
            allow_http: true,
            allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
            ..EgressOptions::default()
        },
        ..Options::default()
    }
}

/// The same, but it routes nothing.
pub fn idle_options(node: &str) -> Options {
    let mut options = options(node);
    options.node.roles.router = false;
    options
}

pub struct Bench {
    pub engine: Engine,
    pub endpoints: Endpoints,
}

impl Bench {
    pub async fn start(log: &Log) -> Self {
        Self::over(log, log.store().await, options("a")).await
    }

    pub async fn over(log: &Log, store: Arc<dyn Store>, options: Options) -> Self {
        let engine = log.engine_over(store, options).await;
        Self { endpoints: engine.endpoints(), engine }
    }

    /// A new endpoint; returns it with its secret.
    pub async fn create(&self, new: NewEndpoint) -> (Endpoint, String) {
        let (endpoint, secret, _) = self.endpoints.create(&who(), &tenant(ACME), new).await.unwrap();
        (endpoint, secret)
    }

    /// Changes an endpoint, again where deliveries are too far behind for one more change.
    pub async fn update(&self, id: &EndpointId, patch: EndpointPatch) -> Endpoint {
        loop {
            match self.endpoints.update(&who(), &tenant(ACME), id, patch.clone()).await {
                Err(EndpointError::Busy(_)) => tokio::task::yield_now().await,
                answer => return answer.unwrap(),
            }
        }
    }

    pub async fn append(&self, events: Vec<Event>) {
        self.engine.append(events).await.unwrap();
    }

    /// Events of Tidings itself that a tenant has of a type, once there are so many.
    pub async fn told(&self, tenant_name: &str, event_type: &str, count: usize) -> Vec<Recorded> {
        let selection = Arc::new(Selection::new(&[event_type.to_owned()], None).unwrap());
        let mut feed = self.engine.feed(&tenant(tenant_name), FeedStart::Start, selection).await.unwrap();
        let mut events: Vec<Recorded> = Vec::new();
        while events.len() < count {
            let page = feed.next(ReadLimit { events: 100, bytes: 1 << 20 }, PATIENCE).await.unwrap();
            assert!(!page.events.is_empty() || !page.up_to_date, "waited in vain for {event_type}");
            events.extend(page.events.iter().map(|event| event.recorded.clone()));
        }
        events
    }

    /// Attempts of an endpoint, newest first, as sequence, attempt and status.
    pub async fn attempts(&self, id: &EndpointId) -> Vec<(u64, u32, Option<u16>)> {
        let search = AttemptSearch { limit: 100, ..AttemptSearch::default() };
        let (attempts, _) = self.endpoints.attempts(&tenant(ACME), id, search).await.unwrap();
        attempts.into_iter().map(|one| (one.sequence.get(), one.attempt, one.status)).collect()
    }

    pub async fn dead(&self) -> Vec<DeadLetterView> {
        let search = DeadSearch { limit: 100, ..DeadSearch::default() };
        self.endpoints.dead_letters(&tenant(ACME), search).await.unwrap().0
    }

    /// Asks again and again until the answer is as wanted: for what no signal tells of.
    pub async fn until<T, F: Future<Output = T>>(
        &self,
        what: &str,
        mut ask: impl FnMut() -> F,
        wanted: impl Fn(&T) -> bool,
    ) -> T {
        let asking = async {
            loop {
                let answer = ask().await;
                if wanted(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// Waits until nothing is left to deliver to an endpoint.
    pub async fn settled(&self, id: &EndpointId) {
        let ask = || async { self.endpoints.stats(&tenant(ACME), id).await.unwrap() };
        self.until("all to be settled", ask, |stats| stats.lag_events == 0 && stats.retries == 0).await;
    }
}

pub fn who() -> Who {
    Who { key: "key_1".to_owned(), role: Role::Consumer }
}

/// An endpoint for everything that is new.
pub fn endpoint(url: &str) -> NewEndpoint {
    NewEndpoint { url: url.to_owned(), ..NewEndpoint::default() }
}

/// One that gives an event up after so many attempts without a pause.
pub fn impatient(url: &str, attempts: usize) -> NewEndpoint {
    let settings = EndpointSettings { retry_schedule_s: vec![0; attempts], ..EndpointSettings::default() };
    NewEndpoint { settings, ..endpoint(url) }
}
