//! The feed as server-sent events (WHATWG HTML, 9.2).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use tidings_engine::{FeedPage, FeedReader, ReadLimit};
use tidings_event::Sequence;
use tokio_util::sync::CancellationToken;

use super::start::of_feed;
use crate::admission::StreamPlace;
use crate::cursors::FeedCursors;
use crate::limits::{HEARTBEAT, STREAM_BATCH_BYTES_MAX, STREAM_BATCH_EVENTS_MAX, STREAM_RETRY_MS};
use crate::negotiate::Format;
use crate::render;

/// Keeps proxies from gathering what should be passed on at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// One reader's stream.
pub(super) struct Stream {
    feed: FeedReader,
    cursors: FeedCursors,
    format: Format,
    closing: CancellationToken,
    state: State,
    _place: StreamPlace,
}

/// What a reader has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing yet.
    Fresh,
    /// That there is more.
    Behind,
    /// That it has seen all there was.
    UpToDate,
    /// That the stream is over.
    Over,
}

impl Stream {
    pub(super) fn new(
        feed: FeedReader,
        cursors: FeedCursors,
        format: Format,
        closing: CancellationToken,
        place: StreamPlace,
    ) -> Self {
        Self { feed, cursors, format, closing, state: State::Fresh, _place: place }
    }

    /// The next piece of the stream; none when it is over.
    async fn next(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        match self.state {
            State::Over => return None,
            State::Fresh => {
                out.extend_from_slice(format!("retry: {STREAM_RETRY_MS}\n\n").as_bytes());
                self.state = State::Behind;
                self.progress(self.feed.after(), false, &mut out);
                return Some(out.into());
            }
            State::Behind | State::UpToDate => {}
        }
        let limit = ReadLimit { events: STREAM_BATCH_EVENTS_MAX, bytes: STREAM_BATCH_BYTES_MAX };
        let read = tokio::select! {
            biased;
            () = self.closing.cancelled() => {
                self.state = State::Over;
                self.progress(self.feed.after(), false, &mut out);
                return Some(out.into());
            }
            read = self.feed.next(limit, HEARTBEAT) => read,
        };
        match read {
            Ok(page) => self.write_page(&page, &mut out),
            Err(error) => {
                self.state = State::Over;
                self.progress(self.feed.after(), false, &mut out);
                let failure = of_feed(error, &self.cursors);
                failure.log("a stream ended");
                out.extend_from_slice(b"event: problem\n");
                write_data(&failure.to_json(), &mut out);
            }
        }
        Some(out.into())
    }

    fn write_page(&mut self, page: &FeedPage, out: &mut Vec<u8>) {
        out.reserve(render::size_bytes(&page.events, self.format) + page.events.len() * 160 + 160);
        let mut rendered = Vec::new();
        for event in &page.events {
            out.extend_from_slice(b"event: event\nid: ");
            out.extend_from_slice(self.cursors.seal(event.recorded.sequence).as_bytes());
            out.push(b'\n');
            if self.format == Format::Native {
                write_data(event.native(), out);
            } else {
                rendered.clear();
                render::feed_event(event, self.format, &mut rendered);
                write_data(&rendered, out);
            }
        }
        let caught_up = page.up_to_date && self.state != State::UpToDate;
        // Without events the page is a heartbeat, or tells how far a search for matching events has come.
        if page.events.is_empty() || page.ended || caught_up {
            self.progress(page.after, page.up_to_date, out);
        }
        self.state = match page {
            FeedPage { ended: true, .. } => State::Over,
            FeedPage { up_to_date: true, .. } => State::UpToDate,
            _ => State::Behind,
        };
    }

    fn progress(&self, after: Sequence, up_to_date: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: progress\nid: ");
        out.extend_from_slice(self.cursors.seal(after).as_bytes());
        out.extend_from_slice(if up_to_date {
            b"\ndata: {\"up_to_date\":true}\n\n"
        } else {
            b"\ndata: {\"up_to_date\":false}\n\n"
        });
    }
}

/// Writes `data` lines and the end of the event. Line breaks between the members of a document (no JSON string holds
/// one) begin a new `data` line each, so the reader gets the document with each of them as a line feed.
fn write_data(mut json: &[u8], out: &mut Vec<u8>) {
    loop {
        out.extend_from_slice(b"data: ");
        let Some(at) = json.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else { break };
        let (line, rest) = json.split_at(at);
        out.extend_from_slice(line);
        out.push(b'\n');
        let skipped = if rest.starts_with(b"\r\n") { 2 } else { 1 };
        json = rest.get(skipped..).unwrap_or_default();
    }
    out.extend_from_slice(json);
    out.extend_from_slice(b"\n\n");
}

pub(super) fn answer(stream: Stream) -> Response {
    let pieces = unfold(stream, |mut stream| async move {
        let piece = stream.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), stream))
    });
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests {
    use super::write_data;

    #[test]
    fn line_breaks_of_a_document_become_data_lines() {
        let check = |json: &str, expect: &str| {
            let mut out = Vec::new();
            write_data(json.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expect);
        };
        check("{}", "data: {}\n\n");
        check("{\n \"a\": 1\r\n}", "data: {\ndata:  \"a\": 1\ndata: }\n\n");
        check("{\r}", "data: {\ndata: }\n\n");
        check("{}\n", "data: {}\ndata: \n\n");
    }
}
