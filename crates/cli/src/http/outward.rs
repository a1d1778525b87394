//! Requests to somebody else's server: a receiver of webhooks on a developer's machine.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::failure::Failure;

/// Bytes of an answer that are read; what follows is not waited for.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A receiver. Cheap to clone; its connections are shared. Redirects are not followed.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    uri: Uri,
    timeout: Duration,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// What a receiver answered.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// The seconds for which it asks to be left alone, if it does.
    pub(crate) retry_after: Option<Duration>,
    /// The first bytes of the body.
    pub(crate) body: Bytes,
    /// From the beginning of the request to the end of the answer.
    pub(crate) took: Duration,
}

impl Answered {
    /// Whether the receiver took what it was sent.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why a receiver gave no whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Unanswered {
    pub(crate) reason: String,
    pub(crate) took: Duration,
}

impl Receiver {
    /// A receiver by its URL. Nothing is sent yet. One exchange may take as long as `timeout`.
    pub(crate) fn new(url: &str, timeout: Duration) -> Result<Self, Failure> {
        let wrong = |reason: &str| Failure::usage(format!("'{url}' {reason}"));
        let parsed = url::Url::parse(url).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(wrong("must begin with http:// or https://"));
        }
        // A fragment is not sent, and credentials would be: as a header that no delivery has.
        if !parsed.username().is_empty() || parsed.password().is_some() || parsed.fragment().is_some() {
            return Err(wrong("must not hold credentials or a fragment"));
        }
        let uri = parsed.as_str().parse().map_err(|_| wrong("cannot be requested"))?;
        let builder = HttpsConnectorBuilder::new();
        let builder = if parsed.scheme() == "https" {
            let read = builder.with_native_roots();
            read.map_err(|error| Failure::failed(format!("no certificates to check the receiver's with: {error}")))?
        } else {
            let none = rustls::RootCertStore::empty();
            builder.with_tls_config(rustls::ClientConfig::builder().with_root_certificates(none).with_no_client_auth())
        };
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Self { uri, timeout, client })
    }

    /// Posts a body and reads the answer.
    pub(crate) async fn post(&self, headers: HeaderMap, body: Bytes) -> Result<Answered, Unanswered> {
        self.exchange(Method::POST, headers, body).await
    }

    /// Asks for the URL's content.
    pub(crate) async fn get(&self) -> Result<Answered, Unanswered> {
        self.exchange(Method::GET, HeaderMap::new(), Bytes::new()).await
    }

    async fn exchange(&self, method: Method, headers: HeaderMap, body: Bytes) -> Result<Answered, Unanswered> {
        let begun = Instant::now();
        let exchange = async {
            let mut request = Request::new(Full::new(body));
            *request.method_mut() = method;
            *request.uri_mut() = self.uri.clone();
            *request.headers_mut() = headers;
            let mut response = self.client.request(request).await.map_err(|error| innermost(&error))?;
            let mut read = Vec::new();
            while let Some(frame) = response.body_mut().frame().await {
                let frame = frame.map_err(|error| innermost(&error))?;
                read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                if read.len() >= ANSWER_BYTES_MAX {
                    read.truncate(ANSWER_BYTES_MAX);
                    break;
                }
            }
            let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Ok((response.status().as_u16(), asked.map(Duration::from_secs), Bytes::from(read)))
        };
        let done = tokio::time::timeout(self.timeout, exchange).await;
        let took = begun.elapsed();
        match done {
            Ok(Ok((status, retry_after, body))) => Ok(Answered { status, retry_after, body, took }),
            Ok(Err(reason)) => Err(Unanswered { reason, took }),
            Err(_) => Err(Unanswered { reason: format!("no whole answer within {} s", self.timeout.as_secs()), took }),
        }
    }
}

/// What the innermost error says; the outer ones only say that something failed.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
