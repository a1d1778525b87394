//! A small HTTP client. It holds every answer to the document and to what all answers have in common.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::{Document, PATIENCE, Sse};

#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    key: Option<String>,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, key: Option<&str>) -> Self {
        let pool = Pool::builder(TokioExecutor::new()).build_http();
        Self { address, key: key.map(str::to_owned), pool }
    }

    pub(crate) fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    pub(crate) fn patch(&self, path: &str) -> Request {
        self.request(Method::PATCH, path)
    }

    pub(crate) fn put(&self, path: &str) -> Request {
        self.request(Method::PUT, path)
    }

    pub(crate) fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> Request {
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.key {
            headers.insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        Request { client: self.clone(), method, path: path.to_owned(), headers, body: Bytes::new() }
    }
}

pub(crate) struct Request {
    client: Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
        let separator = if self.path.contains('?') { '&' } else { '?' };
        self.path.push_str(&format!("{separator}{name}={value}"));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.typed("application/json", body.to_string())
    }

    pub(crate) fn typed(mut self, media: &str, body: impl Into<Bytes>) -> Self {
        self.headers.insert("content-type", media.parse().unwrap());
        self.body = body.into();
        self
    }

    fn build(&self) -> http::Request<Full<Bytes>> {
        let uri = format!("http://{}{}", self.client.address, self.path);
        let mut request =
            http::Request::builder().method(&self.method).uri(uri).body(Full::new(self.body.clone())).unwrap();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Sends the request and takes the whole answer in.
    pub(crate) async fn send(self) -> Answer {
        let sending = async {
            let response = self.client.pool.request(self.build()).await.unwrap();
            let (parts, body) = response.into_parts();
            (parts, body.collect().await.unwrap().to_bytes())
        };
        let (parts, body) = tokio::time::timeout(PATIENCE, sending).await.expect("an answer in time");
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        check(&self.method, &self.path, &answer);
        answer
    }

    /// Sends the request and reads the answer as server-sent events.
    pub(crate) async fn stream(self) -> Sse {
        let request = self.header("accept", "text/event-stream");
        let response = tokio::time::timeout(PATIENCE, request.client.pool.request(request.build())).await;
        let response = response.expect("an answer in time").unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Sse::new(response.into_body())
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// Expects a success.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text());
        self
    }

    /// Expects a problem with this code, and its document.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Value {
        let problem = self.expect(status).json();
        assert_eq!(problem["code"], code, "{problem:#}");
        problem
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The answer as a type of the wire, which knows all its members.
    #[track_caller]
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What every answer must hold.
fn check(method: &Method, path: &str, answer: &Answer) {
    let shown = format!("{method} {path}: {} {}", answer.status, answer.text());
    assert!(answer.headers.contains_key("x-request-id"), "no request id: {shown}");
    let mut code = None;
    if answer.status.as_u16() >= 400 && path != "/readyz" && *method != Method::HEAD {
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{shown}");
        let problem = answer.json();
        assert_eq!(problem["status"], answer.status.as_u16(), "{shown}");
        let name = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("https://tidings.dev/errors/{name}"), "{shown}");
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}: {shown}");
        }
        code = Some(name);
    }
    let has = |name: &str| answer.headers.contains_key(name);
    assert_eq!(has("retry-after"), matches!(answer.status.as_u16(), 429 | 503), "{shown}");
    assert_eq!(has("www-authenticate"), answer.status == 401, "{shown}");
    assert!(answer.status != 405 || has("allow"), "{shown}");
    Document::get().check(method, path, answer.status.as_u16(), code.as_deref());
}
