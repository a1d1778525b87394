//! A tenant's feed as a live stream that survives lost connections by its cursor.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::ACCEPT;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::client::{Api, segment};
use super::error::Error;
use super::retry::{Backoff, dice};
use super::sse::{Message, Parser};

/// The server sends a heartbeat far more often than this; silence for longer means that the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(75);

/// What to read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) tenant: String,
    /// Where to begin when there is no cursor: `start`, `now`, a sequence or a moment.
    pub(crate) from: Option<String>,
    /// Which types, with commas between.
    pub(crate) types: Option<String>,
    /// A pattern as JSON.
    pub(crate) filter: Option<String>,
}

impl Query {
    /// Path and query of the feed, from a cursor if there is one.
    pub(crate) fn path(&self, cursor: Option<&str>) -> String {
        let mut parameters: Vec<String> = Vec::new();
        let mut put = |name: &str, value: Option<&str>| {
            parameters.extend(value.map(|value| format!("{name}={}", segment(value))));
        };
        put("cursor", cursor);
        put("from", self.from.as_deref().filter(|_| cursor.is_none()));
        put("types", self.types.as_deref());
        put("filter", self.filter.as_deref());
        let query = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
        format!("/v1/tenants/{}/feed{query}", segment(&self.tenant))
    }
}

/// What a stream gives.
#[derive(Debug)]
pub(crate) enum Item {
    /// The stream stands; everything from its beginning on will come.
    Connected,
    /// An event: its JSON as sent.
    Event(String),
    /// There is nothing more up to here that matches.
    Progress,
    /// The connection was lost; the next attempt follows after the wait.
    Lost {
        /// Why.
        cause: String,
        /// How long until then.
        wait: Duration,
    },
}

/// A live stream. Reads on after a lost connection from the last event it gave out.
#[derive(Debug)]
pub(crate) struct Stream {
    api: Api,
    query: Query,
    /// The cursor after the last item that was given out.
    cursor: Option<String>,
    body: Option<Incoming>,
    parser: Parser,
    ready: VecDeque<Message>,
    backoff: Backoff,
    wait: Option<Duration>,
}

impl Stream {
    pub(crate) fn new(api: Api, query: Query, cursor: Option<String>) -> Self {
        let (parser, ready, backoff) = (Parser::default(), VecDeque::new(), Backoff::default());
        Self { api, query, cursor, body: None, parser, ready, backoff, wait: None }
    }

    /// The cursor after the last item that was given out.
    pub(crate) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The next item. Only what trying again cannot mend is an error. May be dropped while it waits: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Item, Error> {
        loop {
            while let Some(message) = self.ready.pop_front() {
                self.cursor = message.id.or(self.cursor.take());
                match message.event.as_str() {
                    "event" => return Ok(Item::Event(message.data)),
                    "progress" => return Ok(Item::Progress),
                    // A kind of message that a later server may send.
                    _ => {}
                }
            }
            if let Some(wait) = self.wait {
                tokio::time::sleep(wait).await;
                self.wait = None;
            }
            let found = if self.body.is_some() { self.read().await } else { self.connect().await };
            match found {
                Ok(None) => {}
                Ok(Some(item)) => return Ok(item),
                Err(error) if error.is_retryable() => return Ok(self.lose(&error)),
                Err(error) => return Err(error),
            }
        }
    }

    async fn connect(&mut self) -> Result<Option<Item>, Error> {
        let request = self.api.request(Method::GET, &self.query.path(self.cursor.as_deref()));
        let request = request.header(ACCEPT, "text/event-stream");
        let response = self.api.send(request, Bytes::new()).await?;
        self.body = Some(response.into_body());
        self.parser = Parser::default();
        Ok(Some(Item::Connected))
    }

    async fn read(&mut self) -> Result<Option<Item>, Error> {
        let Some(body) = self.body.as_mut() else { return Ok(None) };
        let gone = |cause: &str| Error::Unreachable { url: self.api.base(), cause: cause.to_owned() };
        let frame = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
            Err(_) => return Err(gone("the stream fell silent")),
            Ok(None) => return Err(gone("the server ended the stream")),
            Ok(Some(Err(error))) => return Err(self.api.unreachable(&error)),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Some(bytes) = frame.data_ref() {
            let messages = self.parser.push(bytes).map_err(|_| Error::Foreign {
                status: 200,
                text: "a stream that is no event stream of ours".to_owned(),
                retry_after: None,
            })?;
            if !messages.is_empty() {
                self.backoff.reset();
            }
            self.ready.extend(messages);
        }
        Ok(None)
    }

    fn lose(&mut self, error: &Error) -> Item {
        self.body = None;
        let wait = self.backoff.next(error.retry_after(), dice());
        self.wait = Some(wait);
        Item::Lost { cause: error.brief(), wait }
    }
}
