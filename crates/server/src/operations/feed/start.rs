//! Where a reader begins.

use http::HeaderValue;
use tidings_engine::{FeedError, FeedStart};
use tidings_event::{ErrorCode, Sequence, Violation};

use crate::cursors::FeedCursors;
use crate::failure::Failure;
use crate::query::{Query, parse_moment, refuse};

/// What the caller says about the beginning.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begin<'a> {
    Cursor(&'a str),
    At(FeedStart),
}

impl<'a> Begin<'a> {
    /// `Last-Event-ID` goes first: a reader that connects again repeats the URL of its first request.
    pub(super) fn read(query: &'a Query, last_event_id: Option<&'a HeaderValue>) -> Result<Self, Failure> {
        if let Some(id) = last_event_id.filter(|id| !id.is_empty()) {
            return id.to_str().map(Self::Cursor).map_err(|_| header_malformed());
        }
        match (query.get("cursor"), query.get("from")) {
            (Some(_), Some(_)) => Err(refuse("from", "parameter_conflicting", "must not stand beside 'cursor'")),
            (Some(cursor), None) => Ok(Self::Cursor(cursor)),
            (None, None | Some("start")) => Ok(Self::At(FeedStart::Start)),
            (None, Some("now")) => Ok(Self::At(FeedStart::Now)),
            (None, Some(from)) => read_from(from).map(Self::At),
        }
    }

    pub(super) fn resolve(self, cursors: &FeedCursors) -> Result<FeedStart, Failure> {
        match self {
            Self::Cursor(text) => cursors.open(text).map(FeedStart::After),
            Self::At(start) => Ok(start),
        }
    }
}

fn read_from(from: &str) -> Result<FeedStart, Failure> {
    if from.bytes().all(|byte| byte.is_ascii_digit()) {
        // Sequences beyond what a log can hold would be refused as rewound all the same.
        let sequence: u64 = from
            .parse::<i64>()
            .ok()
            .and_then(|number| number.try_into().ok())
            .ok_or_else(|| refuse("from", "parameter_malformed", "is not a sequence"))?;
        return Ok(FeedStart::After(Sequence(sequence.saturating_sub(1))));
    }
    parse_moment(from).map(FeedStart::Time).map_err(|_| {
        refuse("from", "parameter_malformed", "must be 'start', 'now', a sequence, or a moment in RFC 3339")
    })
}

fn header_malformed() -> Failure {
    let violation = Violation {
        path: "header/last-event-id".to_owned(),
        code: "header_malformed",
        message: "must be a cursor".to_owned(),
    };
    Failure::new(ErrorCode::RequestInvalid, "The header 'Last-Event-ID' must be a cursor.").with_errors(vec![violation])
}

/// A feed's error as the caller is told it, with the oldest cursor where there is one.
pub(super) fn of_feed(error: FeedError, cursors: &FeedCursors) -> Failure {
    let FeedError::Expired { oldest } = error else { return error.into() };
    let after = Sequence(oldest.get().saturating_sub(1));
    let detail = format!("Events before sequence {oldest} were erased. 'oldest_cursor' is where the feed begins now.");
    Failure::new(ErrorCode::CursorExpired, detail).with_member("oldest_cursor", &cursors.seal(after))
}

#[cfg(test)]
mod tests {
    use tidings_event::Timestamp;

    use super::*;

    fn query(raw: &str) -> Query {
        Query::parse(Some(raw), &["cursor", "from"], &[]).unwrap_or_else(|_| panic!("a query: {raw}"))
    }

    #[test]
    fn a_feed_begins_where_the_caller_says() {
        let moment = Timestamp::parse("2026-03-15T10:00:00Z").expect("a moment");
        let check = |raw: &str, header: Option<&'static str>, expect: Result<Begin<'_>, ()>| {
            let query = query(raw);
            let header = header.map(HeaderValue::from_static);
            assert_eq!(Begin::read(&query, header.as_ref()).map_err(|_| ()), expect, "{raw} {header:?}");
        };
        check("", None, Ok(Begin::At(FeedStart::Start)));
        check("from=start", None, Ok(Begin::At(FeedStart::Start)));
        check("from=now", None, Ok(Begin::At(FeedStart::Now)));
        check("from=0", None, Ok(Begin::At(FeedStart::After(Sequence(0)))));
        check("from=1", None, Ok(Begin::At(FeedStart::After(Sequence(0)))));
        check("from=42", None, Ok(Begin::At(FeedStart::After(Sequence(41)))));
        check("from=2026-03-15T10:00:00Z", None, Ok(Begin::At(FeedStart::Time(moment))));
        check("from=2026-03-15T12:00:00%2B02:00", None, Ok(Begin::At(FeedStart::Time(moment))));
        check("from=2026-03-15T12:00:00+02:00", None, Ok(Begin::At(FeedStart::Time(moment))));
        check("from=yesterday", None, Err(()));
        check("from=-1", None, Err(()));
        check("from=99999999999999999999", None, Err(()));
        check("cursor=abc", None, Ok(Begin::Cursor("abc")));
        check("cursor=abc&from=start", None, Err(()));
        check("cursor=abc", Some("def"), Ok(Begin::Cursor("def")));
        check("from=now", Some("def"), Ok(Begin::Cursor("def")));
        check("from=now", Some(""), Ok(Begin::At(FeedStart::Now)));
    }
}
