//! Resolves, checks and connects, in this order and once.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tower::Service;

use super::address::Policy;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// No address of the host may be reached.
#[derive(Debug, thiserror::Error)]
#[error("the host's addresses are not allowed")]
pub(super) struct Refused;

/// Opens TCP connections to allowed addresses.
#[derive(Clone)]
pub(super) struct Connector {
    policy: Arc<Policy>,
}

impl Connector {
    pub(super) fn new(policy: Arc<Policy>) -> Self {
        Self { policy }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
        let host = uri.host().ok_or("the URL has no host")?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => lookup_host((bare, port)).await?.collect(),
        };
        let mut failure: BoxError = Box::new(Refused);
        for address in addresses.into_iter().filter(|address| self.policy.allows(address.ip())) {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(TokioIo::new(stream));
                }
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
