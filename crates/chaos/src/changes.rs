//! Changes of endpoints while everything runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hyper::{Method, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::{Answer, Api};
use crate::history::History;
use crate::receiver::Receiver;
use crate::settings::Wants;

const PATIENCE: Duration = Duration::from_secs(4);
/// How long a change is tried, over all nodes.
const PATIENCE_IN_ALL: Duration = Duration::from_secs(120);
const EVERY_MS: std::ops::Range<u64> = 1_500..6_000;

/// Whoever changes endpoints.
#[derive(Clone)]
pub(crate) struct Changes {
    pub(crate) api: Api,
    pub(crate) ports: Vec<u16>,
    pub(crate) history: Arc<History>,
    pub(crate) receivers: Vec<Arc<Receiver>>,
}

impl Changes {
    /// Makes the endpoint of every receiver.
    pub(crate) async fn create_all(&self) -> anyhow::Result<()> {
        for receiver in &self.receivers {
            let path = format!("/v1/tenants/{}/endpoints", receiver.plan.tenant);
            let answer =
                self.api.send(self.ports[0], Method::POST, &path, Some(&receiver.endpoint()), PATIENCE * 5).await?;
            ensure!(answer.status == StatusCode::CREATED, "{}", answer.text());
            let made = answer.json()?;
            let text = |name: &str| made[name].as_str().with_context(|| format!("no {name}"));
            receiver.made(text("id")?, text("secret")?)?;
        }
        Ok(())
    }

    /// Changes one endpoint after the other until it is told to end; then makes all of them active.
    pub(crate) async fn run(self, seed: u64, stop: CancellationToken) {
        let mut dice = StdRng::seed_from_u64(seed);
        loop {
            let wait = Duration::from_millis(dice.random_range(EVERY_MS));
            if tokio::time::timeout(wait, stop.cancelled()).await.is_ok() {
                break;
            }
            let receiver = &self.receivers[dice.random_range(0..self.receivers.len())];
            let change = match (receiver.plan.wants, dice.random_range(0..4)) {
                (Wants::OrdersAndPerhapsCarts, 0 | 1) => {
                    let both = dice.random_ratio(1, 2);
                    json!({ "types": if both { vec!["shop.order.*", "shop.cart.*"] } else { vec!["shop.order.*"] } })
                }
                (_, 0) => json!({ "status": "paused" }),
                (_, 1) => json!({ "headers": { "x-chaos": format!("{}", dice.random_range(0..1_000)) } }),
                _ => json!({ "description": format!("{} {}", receiver.name, dice.random_range(0..1_000)) }),
            };
            self.change(receiver, &change, &mut dice).await;
            if change["status"] == "paused" {
                let pause = Duration::from_millis(dice.random_range(500..5_000));
                let _ = tokio::time::timeout(pause, stop.cancelled()).await;
                self.change(receiver, &json!({ "status": "active" }), &mut dice).await;
            }
        }
        for receiver in &self.receivers {
            self.change(receiver, &json!({ "status": "active" }), &mut dice).await;
        }
    }

    /// One change, tried at one node after the other until it is answered.
    async fn change(&self, receiver: &Receiver, change: &Value, dice: &mut StdRng) {
        let path = format!("/v1/tenants/{}/endpoints/{}", receiver.plan.tenant, receiver.id());
        let until = self.history.now() + PATIENCE_IN_ALL;
        loop {
            let port = self.ports[dice.random_range(0..self.ports.len())];
            match self.api.send(port, Method::PATCH, &path, Some(change), PATIENCE).await {
                Ok(Answer { status: StatusCode::OK, .. }) => break,
                Ok(answer) if !answer.status.is_server_error() && answer.status != StatusCode::TOO_MANY_REQUESTS => {
                    let text = format!("{}: {change} is answered {} {}", receiver.name, answer.status, answer.text());
                    return self.history.broken(text);
                }
                Ok(_) | Err(_) => {}
            }
            if self.history.now() > until {
                return self.history.broken(format!("{}: nobody takes {change}", receiver.name));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.history.note("changed", json!({ "endpoint": receiver.name, "change": change }));
    }
}
