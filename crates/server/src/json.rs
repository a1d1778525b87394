//! Answers as JSON: a few writers for the hot paths, and `serde_json` for the rest.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tidings_event::ErrorCode;

use crate::failure::Failure;

/// Writes a JSON string with its quotes.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string can always be written to memory");
}

/// Writes a whole number.
pub(crate) fn write_number(number: u64, out: &mut Vec<u8>) {
    use std::io::Write;
    write!(out, "{number}").expect("a number can always be written to memory");
}

/// An answer of JSON bytes that are ready.
pub(crate) fn bytes(status: StatusCode, body: impl Into<Bytes>) -> Response {
    typed(status, "application/json", body)
}

/// An answer of a media type.
pub(crate) fn typed(status: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = (status, axum::body::Body::from(body.into())).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer that serde writes.
pub(crate) fn answer<T: Serialize>(status: StatusCode, value: &T) -> Result<Response, Failure> {
    let body = serde_json::to_vec(value).map_err(Failure::internal)?;
    Ok(bytes(status, body))
}

/// Reads a request's body, whose members are all known.
pub(crate) fn read<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let code = if error.is_data() { ErrorCode::RequestInvalid } else { ErrorCode::BodyMalformed };
        Failure::new(code, format!("The body is not what is expected: {error}."))
    })
}
