//! Time as events carry it: UTC, to the microsecond.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A moment in UTC with a resolution of one microsecond; finer digits are cut off.
///
/// Displays as RFC 3339 with three fractional digits, or six where the moment is not whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(jiff::Timestamp);

/// Why a text is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// The text is not RFC 3339.
    #[error("must be an RFC 3339 moment like '2026-03-15T10:00:00.000Z'")]
    Malformed,
    /// There is no such day, hour, minute, second or offset.
    #[error("there is no such moment")]
    Impossible,
    /// The moment lies outside what can be kept.
    #[error("must lie between 0001-01-01T00:00:00Z and 9999-12-30T22:00:00Z")]
    OutOfRange,
}

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

    /// Reads an RFC 3339 moment with any offset: date, `T`, time of day, any number of fractional digits, and `Z` or
    /// `±hh:mm`. Nothing looser is taken. A leap second is read as the second before it.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        use TimestampError::{Impossible, Malformed, OutOfRange};
        let (fixed, mut rest) = text.as_bytes().split_first_chunk::<19>().ok_or(Malformed)?;
        let [year, month, day, hour, minute, second] = read_fields(fixed).ok_or(Malformed)?;
        let mut micros = 0;
        if let Some(fraction) = rest.strip_prefix(b".") {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return Err(Malformed);
            }
            for i in 0..6 {
                micros = micros * 10 + fraction[..digits].get(i).map_or(0, |b| i64::from(b - b'0'));
            }
            rest = &fraction[digits..];
        }
        let offset_minutes = match rest {
            b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), h1, h0, b':', m1, m0] => {
                let hours = read_number(&[*h1, *h0]).ok_or(Malformed)?;
                let minutes = read_number(&[*m1, *m0]).ok_or(Malformed)?;
                if hours > 23 || minutes > 59 {
                    return Err(Impossible);
                }
                (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
            }
            _ => return Err(Malformed),
        };
        let possible = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour <= 23
            && minute <= 59
            && second <= 60;
        if !possible {
            return Err(Impossible);
        }
        if second == 60 {
            micros = 999_999;
        }
        let minutes = (days_from_epoch(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
        let micros = (minutes * 60 + second.min(59)) * MICROS_PER_SECOND + micros;
        if !(MICROS_MIN..=MICROS_MAX).contains(&micros) {
            return Err(OutOfRange);
        }
        Ok(Self::from_micros(micros))
    }

    /// The same moment as jiff knows it.
    #[must_use]
    pub fn as_jiff(self) -> jiff::Timestamp {
        self.0
    }

    /// Appends the moment as it displays.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let micros = self.as_micros();
        let seconds = micros.div_euclid(MICROS_PER_SECOND);
        let fraction = micros.rem_euclid(MICROS_PER_SECOND);
        let (year, month, day) = date_of(seconds.div_euclid(SECONDS_PER_DAY));
        let second = seconds.rem_euclid(SECONDS_PER_DAY);
        let mut text = *b"0000-00-00T00:00:00.000000";
        write_number(&mut text[0..4], year);
        write_number(&mut text[5..7], month);
        write_number(&mut text[8..10], day);
        write_number(&mut text[11..13], second / 3_600);
        write_number(&mut text[14..16], second / 60 % 60);
        write_number(&mut text[17..19], second % 60);
        write_number(&mut text[20..26], fraction);
        out.extend_from_slice(if fraction % 1_000 == 0 { &text[..23] } else { &text });
        out.push(b'Z');
    }
}

/// 0001-01-01T00:00:00Z.
const MICROS_MIN: i64 = -62_135_596_800_000_000;
/// 9999-12-30T22:00:00Z, the last moment that jiff can hold, cut to the second.
const MICROS_MAX: i64 = 253_402_207_200_000_000;
const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Reads `YYYY-MM-DDThh:mm:ss`.
fn read_fields(text: &[u8; 19]) -> Option<[i64; 6]> {
    let marks = [text[4], text[7], text[13], text[16]] == *b"--::" && matches!(text[10], b'T' | b't');
    if !marks {
        return None;
    }
    Some([
        read_number(&text[0..4])?,
        read_number(&text[5..7])?,
        read_number(&text[8..10])?,
        read_number(&text[11..13])?,
        read_number(&text[14..16])?,
        read_number(&text[17..19])?,
    ])
}

fn read_number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, b| b.is_ascii_digit().then(|| number * 10 + i64::from(b - b'0')))
}

fn write_number(digits: &mut [u8], mut number: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the leap day is the last
/// day of its year and the months before it have fixed lengths; 400 years have 146,097 days.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_epoch`].
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = (shifted + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(27);
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl std::str::FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        Self::parse(text)
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
