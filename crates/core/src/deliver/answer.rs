//! What an endpoint's answer means.

use std::time::Duration;

use tidings_event::Timestamp;
use tidings_event::delivery::{AttemptResult, Failure};

use super::clock::between;

/// What follows from the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The endpoint has the event.
    Delivered,
    /// The endpoint wants nothing any longer.
    Gone,
    /// The attempt failed.
    Failed {
        /// The endpoint is overloaded or asks for less.
        throttled: bool,
        /// The endpoint was reached, so that the event itself may be the cause: another one may fare better.
        reached: bool,
    },
}

pub(super) fn judge(result: AttemptResult) -> Verdict {
    match result {
        AttemptResult::Status(200..=299) => Verdict::Delivered,
        AttemptResult::Status(410) => Verdict::Gone,
        AttemptResult::Status(429 | 502 | 503 | 504) => Verdict::Failed { throttled: true, reached: true },
        AttemptResult::Status(_) => Verdict::Failed { throttled: false, reached: true },
        AttemptResult::Failed(failure) => {
            let reached = matches!(failure, Failure::Timeout | Failure::Reset | Failure::Protocol);
            Verdict::Failed { throttled: failure == Failure::Timeout, reached }
        }
    }
}

/// Reads the value of a `Retry-After` header: whole seconds, or a date as RFC 9110 has it
/// (`Sun, 06 Nov 1994 08:49:37 GMT`). A moment that has passed is no wait. Nothing for any other text.
#[must_use]
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too large for the type asks for as long as there is.
        return Some(Duration::from_secs(value.parse::<u32>().unwrap_or(u32::MAX).into()));
    }
    let (_, date) = value.split_once(", ")?;
    let mut parts = date.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if parts.next() != Some("GMT") || parts.next().is_some() {
        return None;
    }
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let moment = Timestamp::parse(&format!("{year}-{month:02}-{day}T{time}Z")).ok()?;
    Some(between(now, moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_meaning() {
        for status in 0..=999 {
            let expected = match status {
                200..=299 => Verdict::Delivered,
                410 => Verdict::Gone,
                429 | 502 | 503 | 504 => Verdict::Failed { throttled: true, reached: true },
                _ => Verdict::Failed { throttled: false, reached: true },
            };
            assert_eq!(judge(AttemptResult::Status(status)), expected, "{status}");
        }
        for failure in Failure::ALL {
            let throttled = *failure == Failure::Timeout;
            let reached = throttled || [Failure::Reset, Failure::Protocol].contains(failure);
            let expected = Verdict::Failed { throttled, reached };
            assert_eq!(judge(AttemptResult::Failed(*failure)), expected, "{failure:?}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_its_forms() {
        let now = Timestamp::parse("1994-11-06T08:49:07Z").unwrap();
        for (value, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("99999999999999999999", Some(u64::from(u32::MAX))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Brumaire 1994 08:49:37 GMT", None),
            ("-5", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value}");
        }
    }
}
