//! Arithmetic on moments that never overflows.

use std::time::Duration;

use tidings_event::Timestamp;

/// The moment so much later, or the last one there is.
pub(super) fn after(moment: Timestamp, duration: Duration) -> Timestamp {
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(moment.as_micros().saturating_add(micros))
}

/// How long one moment lies after another; zero where it does not.
pub(super) fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    let micros = later.as_micros().saturating_sub(earlier.as_micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// A moment moved by so many microseconds.
pub(super) fn shifted(moment: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(moment.as_micros().saturating_add(micros))
}

/// The earlier of two moments, where none means never.
pub(super) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
