//! Requests to a server.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::error::{Error, Problem};
use crate::config::mask::mask_url;

/// The largest answer that is read whole: a full page of events and some.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a request that is answered whole may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a foreign answer is shown.
const FOREIGN_CHARS_MAX: usize = 200;

/// A server, and the key to use there. Cheap to clone; its connections are shared.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    base: String,
    key: Option<String>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Api {
    /// A server by its URL. Nothing is sent yet.
    pub(crate) fn new(base: &str, key: Option<String>) -> Result<Self, Error> {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let builder = HttpsConnectorBuilder::new();
        // The machine's certificates are read only where they are needed: that takes longer than a request.
        let builder = if base.starts_with("https:") {
            let read = builder.with_native_roots();
            read.map_err(|error| Error::Request(format!("no certificates to check the server's with: {error}")))?
        } else {
            let none = rustls::RootCertStore::empty();
            builder.with_tls_config(rustls::ClientConfig::builder().with_root_certificates(none).with_no_client_auth())
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Self { base: base.trim_end_matches('/').to_owned(), key, client })
    }

    /// The server's URL.
    pub(crate) fn base(&self) -> String {
        mask_url(&self.base)
    }

    /// A request with the key, ready to send.
    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let builder = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let builder = builder.header(USER_AGENT, concat!("tidings/", env!("CARGO_PKG_VERSION")));
        match &self.key {
            Some(key) => builder.header(AUTHORIZATION, format!("Bearer {key}")),
            None => builder,
        }
    }

    /// Sends a request; an answer that is no success is an error. The body is not read yet.
    pub(crate) async fn send(&self, request: http::request::Builder, body: Bytes) -> Result<Response<Incoming>, Error> {
        let request = request.body(Full::new(body));
        let request = request.map_err(|error| Error::Request(format!("the request cannot be made: {error}")))?;
        let response = match tokio::time::timeout(REQUEST_TIMEOUT, self.client.request(request)).await {
            Ok(answered) => answered.map_err(|error| self.unreachable(&error))?,
            Err(_) => return Err(self.silent()),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers());
        let status = response.status().as_u16();
        let body = self.read(response).await?;
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Error::Problem { problem: Box::new(problem), retry_after },
            Err(_) => {
                let text = String::from_utf8_lossy(&body);
                let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
                let text = line.chars().filter(|c| !c.is_control()).take(FOREIGN_CHARS_MAX).collect();
                Error::Foreign { status, text, retry_after }
            }
        })
    }

    /// Reads an answer whole.
    pub(crate) async fn read(&self, response: Response<Incoming>) -> Result<Bytes, Error> {
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        match tokio::time::timeout(REQUEST_TIMEOUT, body).await {
            Ok(read) => Ok(read.map_err(|error| self.unreachable(error.as_ref()))?.to_bytes()),
            Err(_) => Err(self.silent()),
        }
    }

    /// Sends a request with an optional JSON body and reads the JSON that comes back; null where nothing does.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        self.call_text(method, path, body.map(Value::to_string)).await
    }

    /// The same with a body that is JSON text already, and goes out as it is.
    pub(crate) async fn call_text(&self, method: Method, path: &str, body: Option<String>) -> Result<Value, Error> {
        let answer = self.call_raw(method, path, body).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer).map_err(|_| not_json())
    }

    /// The same, with the answer's text as it came; empty where nothing does.
    pub(crate) async fn call_raw(&self, method: Method, path: &str, body: Option<String>) -> Result<String, Error> {
        let mut request = self.request(method, path).header(ACCEPT, "application/json");
        let mut bytes = Bytes::new();
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json");
            bytes = Bytes::from(body);
        }
        let answer = self.read_sent(request, bytes).await?;
        String::from_utf8(answer.into()).map_err(|_| not_json())
    }

    /// Sends a request and reads its answer whole.
    pub(crate) async fn read_sent(&self, request: http::request::Builder, body: Bytes) -> Result<Bytes, Error> {
        let response = self.send(request, body).await?;
        self.read(response).await
    }

    /// Reads JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Error> {
        self.call(Method::GET, path, None).await
    }

    /// The error of a connection that failed.
    pub(crate) fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        // The outer errors only say that sending failed; the innermost says why.
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Error::Unreachable { url: self.base(), cause: cause.to_string() }
    }

    fn silent(&self) -> Error {
        let cause = format!("no answer within {} seconds", REQUEST_TIMEOUT.as_secs());
        Error::Unreachable { url: self.base(), cause }
    }
}

fn not_json() -> Error {
    let text = "an answer that is not JSON; is TIDINGS_URL the address of a Tidings server?".to_owned();
    Error::Foreign { status: 200, text, retry_after: None }
}

/// Seconds, as our server sends them. A date is not understood and counts as none.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(3_600)))
}

/// Everything that is not plain is escaped: a tenant may be any text without `/`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A text as one segment of a path, or one value of a query.
pub(crate) fn segment(text: &str) -> String {
    // A lone dot or two would be taken as a step in the path.
    match text {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => utf8_percent_encode(text, SEGMENT).to_string(),
    }
}
