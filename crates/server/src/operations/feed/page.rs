//! The feed as pages: at once, or after a wait.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode};
use tidings_engine::{FeedPage, FeedReader, ReadLimit};
use tidings_event::cloudevents;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::start::of_feed;
use crate::cursors::FeedCursors;
use crate::failure::Failure;
use crate::limits::PAGE_BYTES_MAX;
use crate::negotiate::Format;
use crate::{json, render};

/// Where a batch of CloudEvents says how to go on.
const TIDINGS_CURSOR: HeaderName = HeaderName::from_static("tidings-cursor");
/// Where a batch of CloudEvents says whether that is all.
const TIDINGS_UP_TO_DATE: HeaderName = HeaderName::from_static("tidings-up-to-date");

/// What page is wanted.
pub(super) struct Asked {
    pub(super) limit: usize,
    pub(super) wait_seconds: u64,
    pub(super) format: Format,
    pub(super) batch: bool,
}

pub(super) async fn answer(
    mut feed: FeedReader,
    cursors: &FeedCursors,
    asked: Asked,
    closing: &CancellationToken,
) -> Result<Response, Failure> {
    let limit = ReadLimit { events: asked.limit, bytes: PAGE_BYTES_MAX };
    let wait = Duration::from_secs(asked.wait_seconds);
    let page = next(&mut feed, limit, wait, closing).await.map_err(|error| of_feed(error, cursors))?;
    let cursor = cursors.seal(page.after);
    if asked.batch {
        return Ok(batch(&page, cursor));
    }
    let mut out = Vec::with_capacity(128 + cursor.len() + render::size_bytes(&page.events, asked.format));
    out.extend_from_slice(b"{\"events\":");
    render::array(&page.events, &mut out, |event, out| render::feed_event(event, asked.format, out));
    out.extend_from_slice(b",\"cursor\":\"");
    out.extend_from_slice(cursor.as_bytes());
    out.extend_from_slice(if page.up_to_date { b"\",\"up_to_date\":true}" } else { b"\",\"up_to_date\":false}" });
    Ok(json::bytes(StatusCode::OK, out))
}

/// The next page. One that has only looked at events which do not match is not an answer while there is time to wait.
async fn next(
    feed: &mut FeedReader,
    limit: ReadLimit,
    wait: Duration,
    closing: &CancellationToken,
) -> Result<FeedPage, tidings_engine::FeedError> {
    let deadline = Instant::now() + wait;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let page = tokio::select! {
            biased;
            page = feed.next(limit, left) => page?,
            () = closing.cancelled() => {
                return Ok(FeedPage { events: Vec::new(), after: feed.after(), up_to_date: false, ended: true });
            }
        };
        if !page.events.is_empty() || page.ended || Instant::now() >= deadline {
            return Ok(page);
        }
    }
}

fn batch(page: &FeedPage, cursor: String) -> Response {
    let mut out = Vec::with_capacity(render::size_bytes(&page.events, Format::CloudEvents));
    render::array(&page.events, &mut out, |event, out| render::feed_event(event, Format::CloudEvents, out));
    let mut response = json::typed(StatusCode::OK, cloudevents::CONTENT_TYPE_BATCH, out);
    let up_to_date = HeaderValue::from_static(if page.up_to_date { "true" } else { "false" });
    // A cursor is base64url, which any header can hold.
    if let Ok(cursor) = HeaderValue::try_from(cursor) {
        response.headers_mut().insert(TIDINGS_CURSOR, cursor);
    }
    response.headers_mut().insert(TIDINGS_UP_TO_DATE, up_to_date);
    response
}
