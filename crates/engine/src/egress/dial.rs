//! Resolves, checks and connects, in this order. The address that was checked is the one that is connected to.

use std::net::SocketAddr;
use std::sync::Arc;

use tidings_event::delivery::Failure;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use url::Url;

use super::SendError;
use super::address::Policy;
use super::failure;
use super::proxy::Proxy;
use super::resolve::Resolve;
use super::stream::Stream;
use super::target::{Host, Target};

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Opens connections.
pub(super) struct Dialer {
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolve>,
    tls: TlsConnector,
    proxy: Option<Proxy>,
}

impl Dialer {
    pub(super) fn new(
        policy: Arc<Policy>,
        resolver: Arc<dyn Resolve>,
        roots: rustls::RootCertStore,
        proxy: Option<&Url>,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider supports the protocol versions that it was built with")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { policy, resolver, tls: TlsConnector::from(Arc::new(config)), proxy: proxy.map(Proxy::new) }
    }

    /// A connection to the target, encrypted where it asks for that. Tries the addresses that are allowed in turn; each
    /// has its share of the time that is left.
    pub(super) async fn connect(&self, target: &Target, deadline: Instant) -> Result<Stream, SendError> {
        let addresses = self.addresses(target).await?;
        let mut failed = SendError::new(Failure::Forbidden, "the host's addresses are not allowed");
        for (index, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = Instant::now() + left / u32::try_from(addresses.len() - index).unwrap_or(1);
            match timeout_at(share, self.tcp(*address)).await {
                Ok(Ok(stream)) => return self.encrypt(stream, target).await,
                Ok(Err(error)) => failed = error,
                Err(_) => failed = SendError::new(Failure::Timeout, "the connection was not accepted in time"),
            }
        }
        Err(failed)
    }

    /// The addresses that may be connected to.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, SendError> {
        let found = match target.host() {
            Host::Address(address) => Arc::from([*address]),
            Host::Name(name) => {
                self.resolver.resolve(name).await.map_err(|e| SendError::new(Failure::Dns, e.to_string()))?
            }
        };
        if found.is_empty() {
            return Err(SendError::new(Failure::Dns, "the host's name has no address"));
        }
        let allowed = found.iter().filter(|address| self.policy.allows(**address)).take(ADDRESSES_MAX);
        Ok(allowed.map(|address| SocketAddr::new(*address, target.port())).collect())
    }

    async fn tcp(&self, address: SocketAddr) -> Result<TcpStream, SendError> {
        let stream = match &self.proxy {
            Some(proxy) => proxy.connect(address).await?,
            None => TcpStream::connect(address).await.map_err(|error| failure::of_connect(&error))?,
        };
        // A request is written in one piece; there is nothing to wait for.
        stream.set_nodelay(true).map_err(|error| failure::of_connect(&error))?;
        Ok(stream)
    }

    async fn encrypt(&self, stream: TcpStream, target: &Target) -> Result<Stream, SendError> {
        let Some(name) = target.server_name() else { return Ok(Stream::plain(stream)) };
        let encrypted = self.tls.connect(name.clone(), stream).await;
        encrypted.map(Stream::encrypted).map_err(|error| SendError::new(Failure::Tls, error.to_string()))
    }
}
