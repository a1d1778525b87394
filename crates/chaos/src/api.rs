//! A plain HTTP client of the nodes.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The admin key of every node.
pub(crate) const KEY: &str = "chaos-admin-key-0123456789abcdefghijklmnop";

/// What a request was answered with.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| self.text())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Speaks to any port of this machine.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Api {
    pub(crate) fn new() -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(Duration::from_secs(5)).pool_max_idle_per_host(4);
        Self { client: builder.build_http() }
    }

    /// Sends a request and returns its answer with the body still to be read.
    pub(crate) async fn open(
        &self,
        port: u16,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{port}{path}"))
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(self.client.request(request.body(Full::new(body))?).await?)
    }

    /// Sends a request; an error when no whole answer came in time.
    pub(crate) async fn send(
        &self,
        port: u16,
        method: Method,
        path: &str,
        body: Option<&Value>,
        within: Duration,
    ) -> anyhow::Result<Answer> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let exchange = async {
            let answer = self.open(port, method, path, &[], Bytes::from(body)).await?;
            let (parts, body) = answer.into_parts();
            Ok(Answer { status: parts.status, body: body.collect().await?.to_bytes() })
        };
        match tokio::time::timeout(within, exchange).await {
            Ok(answer) => answer,
            Err(_) => bail!("no answer in time"),
        }
    }

    /// Whether the server at a port says that it is ready.
    pub(crate) async fn is_ready(&self, port: u16) -> bool {
        let asked = self.send(port, Method::GET, "/readyz", None, Duration::from_secs(2)).await;
        asked.is_ok_and(|answer| answer.status == StatusCode::OK)
    }
}
