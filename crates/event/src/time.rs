//! Time as events carry it: UTC, to the microsecond.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A moment in UTC with a resolution of one microsecond; finer digits are cut off.
///
/// Displays as RFC 3339 with three fractional digits, or six where the moment is not whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// Takes a moment, cutting it to whole microseconds (towards the past). A moment outside the range that
    /// RFC 3339 can write (years 0001 to 9999) is moved to the nearer end of it.
    #[must_use]
    pub fn new(moment: jiff::Timestamp) -> Self {
        Self::from_micros(moment.as_nanosecond().div_euclid(1_000).try_into().unwrap_or(i64::MAX))
    }

    /// The moment that lies so many microseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        let clamped = micros.clamp(MICROS_MIN, MICROS_MAX);
        Self(jiff::Timestamp::from_microsecond(clamped).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0.as_microsecond()
    }

    /// Reads an RFC 3339 moment with any offset.
    pub fn parse(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self::new)
    }

    /// The same moment as jiff knows it.
    #[must_use]
    pub fn as_jiff(self) -> jiff::Timestamp {
        self.0
    }
}

/// 0001-01-01T00:00:00Z.
const MICROS_MIN: i64 = -62_135_596_800_000_000;
/// 9999-12-30T22:00:00Z, the last moment that jiff can hold, cut to the second.
const MICROS_MAX: i64 = 253_402_207_200_000_000;

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.as_micros() % 1_000 == 0 { 3 } else { 6 };
        write!(f, "{:.*}", digits, self.0)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
