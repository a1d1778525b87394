//! Requests that this server makes on somebody's word: to addresses that it may reach, within a deadline, and not an
//! inch further than the URL says.
//!
//! A name that resolves to a private address is as bad as the address itself, and a name may resolve differently the
//! next time. So the check lies where the connection is made ([`dial`]): the name is resolved, its addresses are
//! checked, and exactly one that was checked is connected to. A connection that is kept for the next request goes to
//! the address that was checked for it. Redirects are not followed, proxies from the environment not used.
//!
//! Requests are HTTP/1.1. Receivers are many and each gets few requests at a time, so the streams of HTTP/2 would save
//! little, while one connection per request under way means that an answer which is too long, too slow or broken is
//! ended by closing its connection, and no other delivery notices.
//!
//! A connection is driven by the task that uses it, and by nobody while it waits in the pool: a delivery wakes no
//! other task.

mod address;
mod connection;
mod dial;
mod failure;
mod peers;
mod pool;
mod proxy;
mod relay;
mod resolve;
mod stream;
mod target;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use tidings_event::delivery::Failure;
use tokio::time::{Instant, timeout_at};

use crate::options::EgressOptions;
use connection::{Broken, Connection, Read};
use dial::Dialer;
use pool::Pool;
use target::Rules;

pub use peers::Peers;
pub(crate) use proxy::is_known as is_proxy;
pub(crate) use target::{Error as TargetError, Target};

/// Bytes of an answer's body that are read; the connection is closed on the rest.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The URL may not be requested.
    #[error(transparent)]
    Url(#[from] TargetError),
    /// Every address of the host lies in a range that this server may not reach.
    #[error("the host's addresses are not allowed")]
    Refused,
    /// There was no whole answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The connection, its encryption or the exchange on it failed.
    #[error("the request failed: {0}")]
    Failed(String),
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Where to.
    pub(crate) target: Target,
    /// Its headers but for `host` and `content-length`.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Bytes,
    /// How long all of it may take: connecting, sending, and reading headers and body.
    pub(crate) timeout: Duration,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body's first bytes, at most [`BODY_BYTES_MAX`].
    pub(crate) body: Bytes,
    /// Whether the body has more.
    pub(crate) truncated: bool,
}

/// Why there was no whole answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SendError {
    /// Its class.
    pub(crate) failure: Failure,
    /// In words, for the owner of the URL. Names no address.
    pub(crate) message: String,
}

impl SendError {
    fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self { failure, message: message.into() }
    }
}

/// The client. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub(crate) struct Egress(Arc<Shared>);

struct Shared {
    rules: Rules,
    dialer: Dialer,
    pool: Arc<Pool>,
    /// How long a `get` may take.
    timeout: Duration,
    /// What answers in place of the network.
    peers: Option<Arc<dyn Peers>>,
}

impl Egress {
    pub(crate) fn new(options: &EgressOptions) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        if options.peers.is_some() {
            return Self::with(options, roots, resolve::system());
        }
        let found = rustls_native_certs::load_native_certs();
        let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            tracing::warn!("the system has no root certificates: https requests of this server will fail");
        }
        Self::with(options, roots, resolve::system())
    }

    fn with(options: &EgressOptions, roots: rustls::RootCertStore, resolver: Arc<dyn resolve::Resolve>) -> Self {
        let rules = Rules::new(options);
        Self(Arc::new(Shared {
            dialer: Dialer::new(rules.policy(), resolver, roots, options.proxy.as_ref()),
            rules,
            pool: Arc::new(Pool::default()),
            timeout: options.timeout,
            peers: options.peers.clone(),
        }))
    }

    /// Checks a URL and makes it ready for requests. A host that is an address is checked here already; a name is
    /// checked each time that it is connected to.
    pub(crate) fn target(&self, url: &str) -> Result<Target, TargetError> {
        self.0.rules.target(url)
    }

    /// Posts and reads the answer: all of it within the call's time. Connections are kept for the next call. If one
    /// that was kept breaks before the first byte of an answer, which is what a receiver does that has just closed it,
    /// the request is sent once more over a new one.
    pub(crate) async fn post(&self, call: Call) -> Result<Reply, SendError> {
        let deadline = Instant::now() + call.timeout;
        let timeout = call.timeout;
        let answer = match &self.0.peers {
            None => timeout_at(deadline, self.0.post(&call, deadline)).await,
            Some(peers) => timeout_at(deadline, peers::post(&**peers, call)).await,
        };
        answer.unwrap_or_else(|_| Err(failure::timeout(timeout)))
    }

    /// Asks for a URL and returns the answer's status, which has to come within the configured time. The body is not
    /// read: the connection is closed on it.
    pub(crate) async fn get(&self, url: &str) -> Result<StatusCode, Error> {
        let target = self.target(url)?;
        let timeout = self.0.timeout;
        let deadline = Instant::now() + timeout;
        let agent = HeaderValue::from_static(concat!("tidings/", env!("CARGO_PKG_VERSION")));
        let headers = HeaderMap::from_iter([(USER_AGENT, agent), (ACCEPT, HeaderValue::from_static("*/*"))]);
        let asked = async {
            if let Some(peers) = &self.0.peers {
                return peers::get(&**peers, &target).await;
            }
            let mut connection = self.0.dial(&target, deadline).await?;
            let request = target.request(Method::GET, headers, Bytes::new());
            Ok(connection.exchange(request, Read::Head).await.map_err(Broken::into_error)?.status)
        };
        match timeout_at(deadline, asked).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(SendError { failure: Failure::Forbidden, .. })) => Err(Error::Refused),
            Ok(Err(SendError { failure: Failure::Timeout, .. })) | Err(_) => Err(Error::TimedOut(timeout)),
            Ok(Err(error)) => Err(Error::Failed(error.message)),
        }
    }
}

impl Shared {
    async fn post(&self, call: &Call, deadline: Instant) -> Result<Reply, SendError> {
        let Call { target, headers, body, .. } = call;
        let request = || target.request(Method::POST, headers.clone(), body.clone());
        let origin = target.origin();
        let mut kept = self.pool.take(origin);
        let mut turn = None;
        if kept.is_none() {
            turn = self.pool.turn_to_dial(origin).await;
            // Another request may have ended while this one waited.
            kept = self.pool.take(origin);
        }
        if let Some(kept) = kept {
            turn = None;
            if let Some(answer) = self.over_kept(kept, target, request()).await {
                return answer;
            }
        }
        let turn = match turn {
            Some(turn) => Some(turn),
            None => self.pool.turn_to_dial(origin).await,
        };
        let mut fresh = self.dial(target, deadline).await?;
        drop(turn);
        let reply = fresh.exchange(request(), Read::Body).await.map_err(Broken::into_error)?;
        self.pool.put(origin, fresh);
        Ok(reply)
    }

    /// Sends a request over a connection that was kept; nothing if that was closed meanwhile, so that a new one is to
    /// be tried.
    async fn over_kept(
        &self,
        mut kept: Connection,
        target: &Target,
        request: Request<Full<Bytes>>,
    ) -> Option<Result<Reply, SendError>> {
        match kept.exchange(request, Read::Body).await {
            Ok(reply) => {
                self.pool.put(target.origin(), kept);
                Some(Ok(reply))
            }
            Err(broken) if broken.before_any_answer => None,
            Err(broken) => Some(Err(broken.into_error())),
        }
    }

    async fn dial(&self, target: &Target, deadline: Instant) -> Result<Connection, SendError> {
        // It is rare, and large beside what a request over a kept connection needs.
        let stream = Box::pin(self.dialer.connect(target, deadline)).await?;
        Connection::begin(stream).await
    }
}

#[cfg(test)]
mod tests;
