//! Takes a request's body in, within its bounds.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use tidings_event::ErrorCode;
use tokio::sync::OwnedSemaphorePermit;

use crate::admission::Admission;
use crate::failure::Failure;
use crate::limits::{BODY_TIMEOUT, DRAIN_TIMEOUT, REFUSED_BODY_BYTES_DRAINED_MAX};

/// A body, and the room it takes while it is worked on.
pub(crate) struct Collected {
    pub(crate) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Reads a body to its end.
pub(crate) async fn collect(
    admission: &Admission,
    headers: &HeaderMap,
    mut body: Body,
    size_bytes_max: usize,
) -> Result<Collected, Failure> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Failure::new(ErrorCode::ContentTypeUnsupported, "A body must not be encoded (Content-Encoding)."));
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let read = if announced.is_some_and(|length| length > size_bytes_max as u64) {
        Err(too_large(size_bytes_max))
    } else {
        match tokio::time::timeout(BODY_TIMEOUT, read(admission, &mut body, size_bytes_max)).await {
            Ok(read) => read,
            Err(_) => Err(Failure::new(
                ErrorCode::RequestTimeout,
                format!("The body did not arrive within {} seconds.", BODY_TIMEOUT.as_secs()),
            )),
        }
    };
    // Whoever still writes reads the answer only then.
    if matches!(&read, Err(failure) if matches!(failure.code(), ErrorCode::BodyTooLarge | ErrorCode::Overloaded)) {
        drain(&mut body).await;
    }
    read
}

async fn read(admission: &Admission, body: &mut Body, size_bytes_max: usize) -> Result<Collected, Failure> {
    let mut room: Option<OwnedSemaphorePermit> = None;
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    let mut size_bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failure::new(ErrorCode::BodyMalformed, "The body ended early or its framing is broken.").caused_by(error)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        size_bytes += data.len();
        if size_bytes > size_bytes_max {
            return Err(too_large(size_bytes_max));
        }
        let more = admission.body(data.len())?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
        // Most bodies arrive in one piece and are kept as it is.
        if first.is_empty() {
            first = data;
        } else {
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&data);
        }
    }
    let bytes = if joined.is_empty() { first } else { joined.freeze() };
    Ok(Collected { bytes, _room: room })
}

/// Throws away what still comes, for a bounded time and amount.
async fn drain(body: &mut Body) {
    let discard = async {
        let mut size_bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            size_bytes += frame.data_ref().map_or(0, Bytes::len);
            if size_bytes > REFUSED_BODY_BYTES_DRAINED_MAX {
                break;
            }
        }
    };
    // Whether all of it came does not matter: the answer is the same.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, discard).await;
}

fn too_large(size_bytes_max: usize) -> Failure {
    Failure::new(ErrorCode::BodyTooLarge, format!("The body has more than {size_bytes_max} bytes."))
}

/// The media type of a body without its parameters, in lower case; JSON when none is given. A character set other
/// than UTF-8 is refused.
pub(crate) fn media_type(headers: &HeaderMap) -> Result<String, Failure> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok("application/json".to_owned()) };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_owned();
    let foreign = parts.filter_map(|p| p.strip_prefix("charset=")).any(|c| !matches!(c.trim_matches('"'), "utf-8"));
    if foreign { Err(unsupported(&text)) } else { Ok(media) }
}

/// The refusal of a content type.
pub(crate) fn unsupported(media: &str) -> Failure {
    let shown: String = media.chars().take(100).collect();
    Failure::new(ErrorCode::ContentTypeUnsupported, format!("The content type '{shown}' is not supported here."))
}

/// Checks that a body is JSON.
pub(crate) fn expect_json(headers: &HeaderMap) -> Result<(), Failure> {
    let media = media_type(headers)?;
    if media == "application/json" { Ok(()) } else { Err(unsupported(&media)) }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::StreamExt;
    use futures_util::stream::{iter, pending};

    use super::*;
    use crate::admission::Bounds;

    /// A body that arrives in these pieces, and then goes on without an end or ends.
    fn body(pieces: &[&'static [u8]], ends: bool) -> Body {
        let pieces: Vec<Result<Bytes, Infallible>> = pieces.iter().map(|p| Ok(Bytes::from_static(p))).collect();
        if ends { Body::from_stream(iter(pieces)) } else { Body::from_stream(iter(pieces).chain(pending())) }
    }

    async fn take(bounds: Bounds, body: Body, size_bytes_max: usize) -> Result<Bytes, ErrorCode> {
        let admission = Admission::new(bounds);
        let collected = collect(&admission, &HeaderMap::new(), body, size_bytes_max).await;
        collected.map(|collected| collected.bytes).map_err(|failure| failure.code())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_taken_whole_in_bounded_room_and_time() {
        let plenty = Bounds::default();
        let tight = Bounds { bodies_bytes: 4, ..plenty };
        assert_eq!(take(plenty, body(&[], true), 10).await, Ok(Bytes::new()));
        assert_eq!(take(plenty, body(&[b"one"], true), 10).await, Ok(Bytes::from("one")));
        assert_eq!(take(plenty, body(&[b"one", b"two", b"three"], true), 11).await, Ok(Bytes::from("onetwothree")));
        assert_eq!(take(plenty, body(&[b"one", b"two", b"three"], true), 10).await, Err(ErrorCode::BodyTooLarge));
        assert_eq!(take(plenty, body(&[b"one", b"two", b"three"], false), 10).await, Err(ErrorCode::BodyTooLarge));
        assert_eq!(take(plenty, body(&[b"one"], false), 10).await, Err(ErrorCode::RequestTimeout));
        assert_eq!(take(tight, body(&[b"one", b"two"], true), 10).await, Err(ErrorCode::Overloaded));
    }

    #[test]
    fn a_content_type_is_read_without_its_parameters() {
        let check = |value: Option<&'static str>, expect: Result<&str, ()>| {
            let headers =
                value.map(|value| (CONTENT_TYPE, http::HeaderValue::from_static(value))).into_iter().collect();
            assert_eq!(media_type(&headers).map_err(|_| ()), expect.map(str::to_owned), "{value:?}");
        };
        check(None, Ok("application/json"));
        check(Some("application/json"), Ok("application/json"));
        check(Some("Application/JSON; Charset=\"UTF-8\""), Ok("application/json"));
        check(Some("application/cloudevents+json;charset=utf-8;x=y"), Ok("application/cloudevents+json"));
        check(Some("application/json; charset=utf-16"), Err(()));
        check(Some("text/plain"), Ok("text/plain"));
    }
}
