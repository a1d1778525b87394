//! The nodes that are looked at, and what they last said.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::scrape::{Scrape, Span};
use crate::failure::{Exit, Failure};
use crate::http::Api;

/// How long a node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How far back rates and quantiles look.
const WINDOW: Duration = Duration::from_secs(10);
/// Points of the curve of rates.
const HISTORY: usize = 120;

/// A node.
pub(super) struct Node {
    pub(super) url: String,
    api: Api,
    /// What it said, the newest last.
    said: VecDeque<(Instant, Scrape)>,
    /// The lanes that it says are behind.
    pub(super) lanes: Vec<Value>,
    /// Why it does not answer, if it does not.
    pub(super) problem: Option<String>,
}

/// All of them.
pub(super) struct Nodes {
    /// The one that is asked which others there are.
    base: Api,
    key: Option<String>,
    /// Whether the nodes were named, so that nobody is asked.
    named: bool,
    pub(super) all: Vec<Node>,
    /// What `/v1/nodes` says, if it can be asked.
    pub(super) members: Option<Value>,
    /// Events a second: in, and delivered; the newest last.
    pub(super) history: VecDeque<(f64, f64)>,
}

impl Nodes {
    pub(super) fn new(base: &str, named: &[String], key: Option<String>) -> Result<Self, Failure> {
        let mut nodes = Self {
            base: Api::new(base, key.clone())?,
            key,
            named: !named.is_empty(),
            all: Vec::new(),
            members: None,
            history: VecDeque::new(),
        };
        let urls = if named.is_empty() { vec![base.to_owned()] } else { named.to_vec() };
        nodes.set(urls)?;
        Ok(nodes)
    }

    /// Looks at all nodes. Fails where none of them answers.
    pub(super) async fn look(&mut self) -> Result<(), Failure> {
        self.find().await?;
        let has_key = self.key.is_some();
        let looks = self.all.iter_mut().map(|node| node.look(has_key));
        join_all(looks).await;
        if let Some(problem) = self.all.iter().map(|node| node.problem.clone()).collect::<Option<Vec<_>>>() {
            return Err(Failure::new(Exit::Unreachable, problem.join("; ")));
        }
        let span = self.recent();
        let rates = (
            span.rate(tidings_engine::metrics::EVENTS_APPENDED, &[]),
            span.rate(tidings_engine::metrics::DELIVERIES, &[("outcome", "delivered")]),
        );
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(rates);
        Ok(())
    }

    /// Asks which nodes there are, where that can be asked.
    async fn find(&mut self) -> Result<(), Failure> {
        if self.key.is_none() {
            return Ok(());
        }
        let asked = self.all.iter().find(|node| node.problem.is_none()).map_or(&self.base, |node| &node.api);
        let Ok(Ok(members)) = timeout(ANSWER_MAX, asked.get("/v1/nodes")).await else { return Ok(()) };
        let serves = |member: &&Value| member["roles"].as_array().is_some_and(|roles| roles.iter().any(|r| r == "api"));
        let listed = members["data"].as_array().into_iter().flatten().filter(serves);
        let mut urls: Vec<String> = listed.filter_map(|member| url_of(member["address"].as_str()?)).collect();
        urls.sort();
        urls.dedup();
        self.members = Some(members);
        // One node alone is the one that was named; what it says of its address may hold only where it is.
        if !self.named && urls.len() > 1 && urls.iter().ne(self.all.iter().map(|node| &node.url)) {
            self.set(urls)?;
        }
        Ok(())
    }

    /// Keeps what is known of nodes that stay.
    fn set(&mut self, urls: Vec<String>) -> Result<(), Failure> {
        let mut known = std::mem::take(&mut self.all);
        for url in urls {
            let node = match known.iter().position(|node| node.url == url) {
                Some(at) => known.swap_remove(at),
                None => Node {
                    api: Api::new(&url, self.key.clone())?,
                    url,
                    said: VecDeque::new(),
                    lanes: Vec::new(),
                    problem: None,
                },
            };
            self.all.push(node);
        }
        Ok(())
    }

    /// What came in the last seconds.
    pub(super) fn recent(&self) -> Span<'_> {
        Span { pairs: self.all.iter().filter_map(Node::pair).collect() }
    }
}

/// An address as a node says it: a URL, or host and port.
fn url_of(address: &str) -> Option<String> {
    if address.is_empty() {
        return None;
    }
    let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    Some(url.trim_end_matches('/').to_owned())
}

impl Node {
    async fn look(&mut self, has_key: bool) {
        let asked = self.api.read_sent(self.api.request(Method::GET, "/metrics"), Bytes::new());
        let text = match timeout(ANSWER_MAX, asked).await {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => return self.silent(error.to_string()),
            Err(_) => return self.silent(format!("{} does not answer", self.api.base())),
        };
        self.problem = None;
        let now = Instant::now();
        self.said.push_back((now, Scrape::parse(&String::from_utf8_lossy(&text))));
        while self.said.len() > 2 && self.said.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.said.pop_front();
        }
        if has_key && let Ok(Ok(mut lanes)) = timeout(ANSWER_MAX, self.api.get("/v1/lanes")).await {
            self.lanes = lanes["data"].as_array_mut().map(std::mem::take).unwrap_or_default();
        }
    }

    fn silent(&mut self, problem: String) {
        self.problem = Some(problem);
        self.said.clear();
        self.lanes.clear();
    }

    /// The newest that it said.
    pub(super) fn now(&self) -> Option<&Scrape> {
        self.said.back().map(|(_, scrape)| scrape)
    }

    pub(super) fn pair(&self) -> Option<(&Scrape, &Scrape, f64)> {
        let ((from, old), (to, new)) = (self.said.front()?, self.said.back()?);
        let seconds = to.duration_since(*from).as_secs_f64();
        (seconds > 0.0).then_some((old, new, seconds))
    }
}
