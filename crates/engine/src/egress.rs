//! Requests that this server makes on somebody's word: to addresses that it may reach, within a deadline, and not an
//! inch further than the URL says.
//!
//! A name that resolves to a private address is as bad as the address itself, and a name may resolve differently the
//! next time. So the check lies in the connector: the name is resolved once, its addresses are checked, and exactly
//! one that was checked is connected to. Redirects are not followed, proxies from the environment not used.

mod address;
mod connector;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;
use url::Url;

use crate::options::EgressOptions;
use address::Policy;
use connector::{Connector, Refused};

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The URL cannot be requested: not a URL, another scheme, credentials in it.
    #[error("the URL cannot be requested: {0}")]
    Url(&'static str),
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

/// The client. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Egress {
    client: Client<HttpsConnector<Connector>, Empty<Bytes>>,
    allow_http: bool,
    timeout: Duration,
}

impl Egress {
    pub(crate) fn new(options: &EgressOptions) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            tracing::warn!("the system has no root certificates: https requests of this server will fail");
        }
        Self::with_roots(options, roots)
    }

    fn with_roots(options: &EgressOptions, roots: rustls::RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider supports the protocol versions that it was built with")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls);
        let connector = if options.allow_http { connector.https_or_http() } else { connector.https_only() };
        let policy = Arc::new(Policy::new(&options.allow_cidrs));
        let connector = connector.enable_http1().enable_http2().wrap_connector(Connector::new(policy));
        // Connections are not kept: probes are rare, and a kept connection is checked no more.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Self { client, allow_http: options.allow_http, timeout: options.timeout }
    }

    /// Asks for a URL and returns the answer's status, which has to come within the configured time. The body is not
    /// read: the connection is closed on it.
    pub(crate) async fn get(&self, url: &str) -> Result<StatusCode, Error> {
        let url = self.check(url)?;
        let request = Request::builder()
            .method(Method::GET)
            .uri(url.as_str())
            .header(header::USER_AGENT, concat!("tidings/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "*/*")
            .body(Empty::new())
            .map_err(|_| Error::Url("it has a part that no request can carry"))?;
        match timeout(self.timeout, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response.status()),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(Error::TimedOut(self.timeout)),
        }
    }

    fn check(&self, url: &str) -> Result<Url, Error> {
        // Parsing normalizes the ways to write an address: `0x7f.1` and `2130706433` become 127.0.0.1.
        let url = Url::parse(url).map_err(|_| Error::Url("it is not absolute"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            "http" => return Err(Error::Url("plain http is not allowed")),
            _ => return Err(Error::Url("its scheme is not https")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Url("it holds credentials"));
        }
        Ok(url)
    }
}

/// Finds the cause in what the layers of the client wrap around it.
fn failure(error: &hyper_util::client::legacy::Error) -> Error {
    let mut cause: &dyn std::error::Error = error;
    loop {
        if cause.is::<Refused>() {
            return Error::Refused;
        }
        match cause.source() {
            Some(deeper) => cause = deeper,
            None => return Error::Failed(cause.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
