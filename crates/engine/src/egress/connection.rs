//! One HTTP/1.1 connection, driven by whoever uses it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::failure;
use super::relay::Relay;
use super::stream::{Heard, Stream};
use super::{BODY_BYTES_MAX, Reply, SendError};

/// Bytes of an answer's head, and of what follows a chunked body.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of an answer. More than hyper's default of 100 would cost an allocation each time.
const HEADERS_MAX: usize = 100;

/// How long a connection may wait for its next request, unless its receiver says that it waits for less.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How old a connection may become, so that a name that moves is followed.
const AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// The header in which a receiver says for how long it keeps a connection.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

type Driver = http1::Connection<TokioIo<Stream>, Full<Bytes>>;

/// An open connection. At most one request is under way on it.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Reads and writes, when polled; none once it has ended.
    driver: Option<Box<Driver>>,
    /// Why it ended, where nobody else was told.
    ended: Option<hyper::Error>,
    heard: Heard,
    /// What both of them are polled with.
    relay: Arc<Relay>,
    waker: Waker,
    opened: Instant,
    /// How long it may wait for its next request.
    patience: Duration,
}

/// How much of an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Head,
    Body,
}

/// An exchange that did not come to its end.
pub(super) struct Broken {
    /// Whether not one byte of the answer had come.
    pub(super) before_any_answer: bool,
    error: SendError,
}

impl Broken {
    pub(super) fn into_error(self) -> SendError {
        self.error
    }
}

impl Connection {
    pub(super) async fn begin(stream: Stream) -> Result<Self, SendError> {
        let heard = stream.heard();
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX).max_header_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
        let (sender, driver) =
            builder.handshake(TokioIo::new(stream)).await.map_err(|error| failure::of_exchange(&error))?;
        let driver = Some(Box::new(driver));
        let relay = Arc::new(Relay::default());
        let waker = Waker::from(Arc::clone(&relay));
        Ok(Self { sender, driver, ended: None, heard, relay, waker, opened: Instant::now(), patience: IDLE_MAX })
    }

    /// Sends a request and reads its answer. The caller sees to the deadline: dropping this future and the connection
    /// ends the exchange.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>, read: Read) -> Result<Reply, Broken> {
        self.heard.take();
        let answer = self.sender.send_request(request);
        let response = match self.drive(pin!(answer)).await {
            Ok(response) => response,
            Err(error) => return Err(self.broken(&error)),
        };
        let (head, body) = response.map(|body| (read == Read::Body).then_some(body)).into_parts();
        let (body, truncated) = match body {
            Some(body) => self.body(body).await.map_err(|error| self.broken(&error))?,
            None => (Bytes::new(), true),
        };
        if truncated {
            // Nobody reads the rest: the connection is of no more use.
            self.driver = None;
        } else {
            self.patience = patience(&head.headers);
        }
        Ok(Reply { status: head.status, headers: head.headers, body, truncated })
    }

    async fn body(&mut self, mut body: Incoming) -> Result<(Bytes, bool), hyper::Error> {
        let mut kept = BytesMut::new();
        while !body.is_end_stream() {
            let Some(frame) = self.drive(body.frame()).await else { break };
            let Ok(data) = frame?.into_data() else { continue };
            let room = BODY_BYTES_MAX - kept.len();
            // Copied, as a slice would keep the connection's whole buffer.
            kept.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                return Ok((kept.freeze(), true));
            }
        }
        Ok((kept.freeze(), false))
    }

    /// Polls a future that waits for the connection, and the connection.
    async fn drive<F: Future + Unpin>(&mut self, mut waiting: F) -> F::Output {
        let (relay, waker) = (Arc::clone(&self.relay), self.waker.clone());
        poll_fn(|task| {
            relay.poll(&waker, task.waker(), |cx| {
                if let Poll::Ready(output) = Pin::new(&mut waiting).poll(cx) {
                    return Poll::Ready(output);
                }
                self.turn(cx);
                Pin::new(&mut waiting).poll(cx)
            })
        })
        .await
    }

    /// Lets the connection do what it can at the moment.
    fn turn(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && let Poll::Ready(ended) = Pin::new(driver).poll(cx)
        {
            self.driver = None;
            self.ended = ended.err();
        }
    }

    /// Whether another request can be sent, as far as one can tell from here.
    pub(super) fn is_open(&mut self) -> bool {
        // Nobody waits for it: whatever has come is looked at, and nothing more. The next request brings its own waker.
        self.turn(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }

    /// How long it may be kept for its next request.
    pub(super) fn keep_until(&self, now: Instant) -> Instant {
        (now + self.patience).min(self.opened + AGE_MAX)
    }

    fn broken(&mut self, error: &hyper::Error) -> Broken {
        // The request learns that its connection is gone; the connection knows why.
        let cause = self.ended.take();
        Broken { before_any_answer: !self.heard.take(), error: failure::of_exchange(cause.as_ref().unwrap_or(error)) }
    }
}

/// A second less than the receiver says in `keep-alive: timeout=5`, so that the next request does not meet its end.
fn patience(headers: &HeaderMap) -> Duration {
    let Some(said) = headers.get(KEEP_ALIVE).and_then(|value| value.to_str().ok()) else { return IDLE_MAX };
    let timeout = said.split(',').find_map(|part| part.trim().strip_prefix("timeout=")?.trim().parse().ok());
    timeout.map_or(IDLE_MAX, |seconds: u64| Duration::from_secs(seconds.saturating_sub(1)).min(IDLE_MAX))
}
