//! The demo's endpoints: one a tenant, by the same HTTP calls that anyone would make.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::TENANTS;
use super::deliveries::ServerView;
use super::receiver::Receiver;
use crate::commands::list::{self, Paging, text};
use crate::failure::Failure;
use crate::http::{Api, segment};

/// Seconds before each attempt: a real schedule in short.
const SCHEDULE_S: [u32; 12] = [0, 1, 1, 1, 2, 2, 3, 3, 5, 5, 8, 8];
/// How often the server is asked whether it has settled everything.
const SETTLED_POLL: Duration = Duration::from_millis(50);
/// Failed attempts that are read of each endpoint.
const ATTEMPTS_MAX: usize = 100_000;

/// Endpoints, a tenant and an id each.
pub(super) struct Webhooks(Vec<(String, String)>);

impl Webhooks {
    /// Makes an endpoint for each tenant, from the first event on, and tells the receiver its secret.
    pub(super) async fn create(api: &Api, receiver: &Receiver) -> Result<Self, Failure> {
        let mut made = Vec::new();
        for tenant in TENANTS {
            let wanted = json!({"url": receiver.url(tenant), "types": ["shop.*"], "ordering": "entity", "from": "start",
                "retry_schedule_s": SCHEDULE_S, "timeout_ms": 5_000, "description": "the demo's receiver"});
            let path = format!("/v1/tenants/{}/endpoints", segment(tenant));
            let endpoint = api.call(Method::POST, &path, Some(&wanted)).await?;
            receiver.trust(tenant, endpoint["secret"].as_str().unwrap_or_default())?;
            made.push((tenant.to_owned(), text(&endpoint, "/id")));
        }
        Ok(Self(made))
    }

    /// A tenant and its endpoint, to try things with.
    pub(super) fn first(&self) -> (&str, &str) {
        self.0.first().map_or(("", ""), |(tenant, id)| (tenant, id))
    }

    /// Waits until the server says that everything is settled, and reads what it says of it.
    pub(super) async fn settle(&self, api: &Api, patience: Duration) -> Result<ServerView, Failure> {
        let deadline = Instant::now() + patience;
        let mut view = ServerView::default();
        for (tenant, id) in &self.0 {
            let path = format!("/v1/tenants/{}/endpoints/{}", segment(tenant), segment(id));
            let stats = loop {
                let stats = api.get(&format!("{path}/stats")).await?;
                if unsettled(&stats) == 0 || Instant::now() > deadline {
                    break stats;
                }
                tokio::time::sleep(SETTLED_POLL).await;
            };
            view.unsettled += unsettled(&stats);
            view.dead_letters += stats["dead_letters"].as_u64().unwrap_or_default();
            let paging = Paging { limit: ATTEMPTS_MAX, all: false, cursor: None };
            let (failed, _) = list::read(api, &format!("{path}/attempts?status=failed"), &paging).await?;
            // An attempt that has a status was heard, and is counted where it was.
            view.unheard += failed.iter().filter(|attempt| attempt["status"].is_null()).count() as u64;
        }
        Ok(view)
    }
}

fn unsettled(stats: &Value) -> u64 {
    ["lag_events", "retries"].iter().filter_map(|member| stats[*member].as_u64()).sum()
}
