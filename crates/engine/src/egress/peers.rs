//! What answers in place of the network.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tidings_event::delivery::Failure;

use super::{BODY_BYTES_MAX, Call, Reply, SendError, Target};

/// Answers requests in place of the network, in simulations. Every deadline is kept by the caller.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Answers a request, or says how the exchange failed. The request's URI is absolute.
    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failure>;
}

/// Posts a call and takes the whole answer.
pub(super) async fn post(peers: &dyn Peers, call: Call) -> Result<Reply, SendError> {
    let mut request = request(&call.target, Method::POST, call.body)?;
    request.headers_mut().extend(call.headers);
    let (parts, mut body) = peers.exchange(request).await.map_err(failed)?.into_parts();
    let truncated = body.len() > BODY_BYTES_MAX;
    body.truncate(BODY_BYTES_MAX);
    Ok(Reply { status: parts.status, headers: parts.headers, body, truncated })
}

/// Asks for a URL.
pub(super) async fn get(peers: &dyn Peers, target: &Target) -> Result<StatusCode, SendError> {
    let request = request(target, Method::GET, Bytes::new())?;
    peers.exchange(request).await.map(|answer| answer.status()).map_err(failed)
}

fn request(target: &Target, method: Method, body: Bytes) -> Result<Request<Bytes>, SendError> {
    let (parts, ()) = target.request(method, http::HeaderMap::new(), Bytes::new()).map(drop).into_parts();
    let uri = format!("{}{}", target.origin(), parts.uri);
    let request = Request::builder().method(parts.method).uri(uri).body(body);
    request.map_err(|error| SendError::new(Failure::Forbidden, error.to_string()))
}

fn failed(failure: Failure) -> SendError {
    SendError::new(failure, format!("the simulated exchange failed: {}", failure.as_str()))
}
