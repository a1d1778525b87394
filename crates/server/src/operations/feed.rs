//! `GET /v1/tenants/{tenant}/feed`: reads a tenant's log from a cursor, as pages or as a stream.

mod page;
mod start;
mod stream;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use tidings_engine::Pins;
use tidings_event::cloudevents;
use utoipa::IntoParams;

use self::start::{Begin, of_feed};
use crate::app::App;
use crate::auth::Reader;
use crate::cursors::FeedCursors;
use crate::failure::Failure;
use crate::limits::WAIT_SECONDS_MAX;
use crate::negotiate::{Format, choose};
use crate::query::{Query, refuse};
use crate::wire;

crate::problems!(Problems: RequestInvalid, FilterInvalid, CursorInvalid, CursorMismatch, NotAcceptable, LogRewound,
    CursorExpired, RateLimited, StorageUnavailable);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// Where to go on: the cursor of the page or stream event before. Excludes `from`.
    cursor: Option<String>,
    /// Where to begin without a cursor: `start` (the oldest event that is kept; the default), `now` (after the newest),
    /// a sequence (that event is the first), or a moment in RFC 3339 (the first event recorded then or later).
    #[param(example = "start")]
    from: Option<String>,
    /// Only events of these types: `sales.lead.created`, `sales.*` or `*`; separated by commas.
    #[param(example = "sales.*")]
    types: Option<String>,
    /// Only events that match this pattern, a JSON object.
    #[param(example = r#"{"filters":[{"field":"$.data.amount","operator":"gte","value":1500}]}"#)]
    filter: Option<String>,
    /// Events of these types in this version, `sales.lead.status_changed@2`; separated by commas. One of another version
    /// is converted: its metadata then say `converted_from`. Where the catalog has no conversions that lead to the
    /// version, the event comes as it is. `types` and `filter` look at the event as it was sent.
    #[param(example = "sales.lead.status_changed@2")]
    versions: Option<String>,
    /// `native` (the default) or `cloudevents`.
    #[param(pattern = "^(native|cloudevents)$")]
    format: Option<String>,
    /// Events of a page. Without effect on a stream.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Seconds to wait for an event when there is none. Without effect on a stream.
    #[param(minimum = 0, maximum = 60, default = 0)]
    wait: Option<u32>,
}

const KNOWN: &[&str] = &["cursor", "from", "filter", "format", "limit", "wait"];

/// How the feed is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// An object with events, cursor and whether that is all.
    Page,
    /// A bare array of CloudEvents; the cursor is in a header.
    Batch,
    /// Server-sent events.
    Stream,
}

/// Read the feed
///
/// A tenant's events in order of sequence, without gaps. The answer depends on `Accept`:
///
/// - `application/json`: a page. Go on with its `cursor`; it is given also with an empty page. With `wait` the call
///   waits until there is an event.
/// - `text/event-stream`: a stream that goes on with live events. Each is `event: event` with the cursor as its `id`;
///   `event: progress` carries a cursor too: at the beginning, once the reader has caught up, and at least every 15
///   seconds. A reader that connects again sends `Last-Event-ID`, which goes before `cursor` and `from`. A stream that
///   cannot go on ends with `event: problem`.
/// - `application/cloudevents-batch+json`: a page as a bare array of CloudEvents, with the headers `tidings-cursor` and
///   `tidings-up-to-date`.
///
/// A cursor belongs to its tenant, `types` and `filter`. It is never moved silently: below the retention floor it is
/// answered with 410 and the oldest cursor, on another log with 409.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/feed", tag = "feed", operation_id = "read_feed",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        Parameters,
        ("Last-Event-ID" = Option<String>, Header,
            description = "Streams only: the cursor to go on from. Goes before `cursor` and `from`."),
    ),
    responses(
        (status = 200, description = "A page, or a stream.", content(
            (wire::FeedPage = "application/json"),
            (String = "text/event-stream"),
            (Vec<wire::CloudEvent> = "application/cloudevents-batch+json"),
        ), headers(
            ("tidings-cursor" = Option<String>, description = "Of a CloudEvents batch: where to go on."),
            ("tidings-up-to-date" = Option<bool>, description = "Of a CloudEvents batch: whether that is all."),
        )),
        Problems,
    ),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn feed(
    State(app): State<App>,
    reader: Reader,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), KNOWN, &["types", "versions"])?;
    let shape = choose(
        &headers,
        &[
            ("application/json", Shape::Page),
            ("text/event-stream", Shape::Stream),
            (cloudevents::CONTENT_TYPE_BATCH, Shape::Batch),
        ],
    )?;
    let format = Format::of_query(&query)?.unwrap_or(Format::Native);
    let limit = query.limit()?;
    let wait = query.number("wait", 0, WAIT_SECONDS_MAX)?.unwrap_or(0);
    let selection = app.selections.of_query(&query)?;
    let pins = pins(&query)?;
    let cursors = FeedCursors::new(&app, &reader.tenant, &selection);
    let last_event_id = if shape == Shape::Stream { headers.get("last-event-id") } else { None };
    let start = Begin::read(&query, last_event_id)?.resolve(&cursors)?;

    // A reader that only looks takes a place among the requests; one that stays takes a place among the readers.
    let stays = shape == Shape::Stream || wait > 0;
    let request_place = if stays { None } else { Some(app.admission.request()?) };
    let stream_place = if stays { Some(app.admission.stream(&reader.tenant)?) } else { None };
    let feed = app.engine.feed(&reader.tenant, start, selection).await.map_err(|error| of_feed(error, &cursors))?;
    let feed = feed.pinned(pins);
    match stream_place {
        Some(place) if shape == Shape::Stream => {
            Ok(stream::answer(stream::Stream::new(feed, cursors, format, app.closing.clone(), place)))
        }
        place => {
            let asked = page::Asked { limit, wait_seconds: wait, format, batch: shape == Shape::Batch };
            let answer = page::answer(feed, &cursors, asked, &app.closing).await;
            drop((place, request_place));
            answer
        }
    }
}

/// The versions that the reader is pinned to.
fn pins(query: &Query) -> Result<Pins, Failure> {
    Pins::parse(&query.list("versions")).map_err(|error| refuse("versions", "parameter_malformed", &error.message))
}
