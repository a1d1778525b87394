//! What was seen of strings: a format that all of them have, a small set of values that they come from.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::schema::Schema;

/// Different values that are told apart; with more it is no small set.
pub(super) const DISTINCT_MAX: usize = 16;
/// Characters of a value that may belong to a small set.
const VALUE_CHARS_MAX: usize = 40;
/// Strings that must have been seen before they are said to have a format.
const FORMAT_SEEN_MIN: u64 = 5;
/// Strings that must have been seen before they are said to come from a set.
const ENUM_SEEN_MIN: u64 = 50;
/// How often the rarest value of a set must have been seen. One that was seen less may have brothers that were not.
const ENUM_RAREST_MIN: u64 = 3;

/// The formats that are looked for. Judged by the very validators that will judge events.
static FORMATS: LazyLock<Vec<(&'static str, Option<Schema>)>> = LazyLock::new(|| {
    let formats = ["date-time", "date", "uuid", "email", "uri"];
    formats.map(|format| (format, Schema::compile(&json!({"format": format})).ok())).into()
});

/// Strings that were seen in one place.
#[derive(Debug, Clone)]
pub(super) struct Strings {
    seen: u64,
    /// Which formats all of them have, a bit each.
    formats: u8,
    /// None where there are too many, or some that are no words.
    distinct: Option<BTreeMap<String, u64>>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { seen: 0, formats: u8::MAX, distinct: Some(BTreeMap::new()) }
    }
}

impl Strings {
    pub(super) fn observe(&mut self, text: &str) {
        self.seen += 1;
        for (bit, (format, schema)) in FORMATS.iter().enumerate() {
            if self.formats >> bit & 1 == 1 && !has_format(text, format, schema.as_ref()) {
                self.formats &= !(1 << bit);
            }
        }
        self.add(text, 1);
    }

    fn add(&mut self, text: &str, times: u64) {
        let Some(distinct) = &mut self.distinct else { return };
        if let Some(known) = distinct.get_mut(text) {
            *known += times;
        } else if distinct.len() < DISTINCT_MAX && is_word(text) {
            distinct.insert(text.to_owned(), times);
        } else {
            self.distinct = None;
        }
    }

    /// Takes what was seen in another place.
    pub(super) fn merge(&mut self, other: Self) {
        self.seen += other.seen;
        self.formats &= other.formats;
        match other.distinct {
            Some(distinct) => distinct.iter().for_each(|(text, times)| self.add(text, *times)),
            None => self.distinct = None,
        }
    }

    /// The format that all have, where enough were seen.
    pub(super) fn format(&self) -> Option<&'static str> {
        let found =
            FORMATS.iter().enumerate().find(|(bit, (_, schema))| schema.is_some() && self.formats >> bit & 1 == 1);
        found.filter(|_| self.seen >= FORMAT_SEEN_MIN).map(|(_, (format, _))| *format)
    }

    /// The values, where enough were seen to say that there are no others.
    pub(super) fn values(&self) -> Option<Vec<&str>> {
        let distinct = self.distinct.as_ref().filter(|distinct| distinct.len() > 1 && self.seen >= ENUM_SEEN_MIN)?;
        let often = distinct.values().all(|times| *times >= ENUM_RAREST_MIN);
        often.then(|| distinct.keys().map(String::as_str).collect())
    }

    /// The values that were seen, where they are few.
    pub(super) fn seen_values(&self) -> Vec<&str> {
        let distinct = self.distinct.iter().flatten();
        if self.seen < 2 { Vec::new() } else { distinct.map(|(text, _)| text.as_str()).collect() }
    }
}

fn has_format(text: &str, format: &str, schema: Option<&Schema>) -> bool {
    // What is taken for a URI by its grammar alone is often no address: `a:b` for one.
    let plausible = match format {
        "uri" => text.contains("://"),
        "email" => text.contains('@'),
        _ => text.len() <= 64,
    };
    plausible && schema.is_some_and(|schema| schema.is_valid(&Value::from(text)))
}

/// Whether a text looks like one of a few words rather than like a name, a number or a sentence.
fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    text.len() <= VALUE_CHARS_MAX
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/'))
        && digits <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(texts: &[&str], times: usize) -> Strings {
        let mut strings = Strings::default();
        for _ in 0..times {
            texts.iter().for_each(|text| strings.observe(text));
        }
        strings
    }

    #[test]
    fn a_format_is_said_where_all_have_it_and_enough_were_seen() {
        for (text, format) in [
            ("2026-03-15T10:00:00Z", "date-time"),
            ("2026-03-15", "date"),
            ("123e4567-e89b-12d3-a456-426614174000", "uuid"),
            ("a@example.com", "email"),
            ("https://example.com/a", "uri"),
        ] {
            assert_eq!(seen(&[text], 4).format(), None, "{text}");
            assert_eq!(seen(&[text], 5).format(), Some(format), "{text}");
            assert_eq!(seen(&[text, "other"], 5).format(), None, "{text}");
        }
        assert_eq!(seen(&["a:b"], 9).format(), None);
    }

    #[test]
    fn a_small_set_needs_evidence() {
        assert_eq!(seen(&["open", "closed"], 25).values(), Some(vec!["closed", "open"]));
        assert_eq!(seen(&["open", "closed"], 24).values(), None);
        assert_eq!(seen(&["always"], 500).values(), None);
        let mut rare = seen(&["open", "closed"], 100);
        rare.observe("strange");
        assert_eq!(rare.values(), None);
        assert_eq!(rare.seen_values(), ["closed", "open", "strange"]);
        assert!(seen(&["iss_4821"], 9).seen_values().is_empty());
    }

    #[test]
    fn what_was_seen_in_two_places_is_what_was_seen_in_one() {
        let mut merged = seen(&["open"], 25);
        merged.merge(seen(&["closed"], 25));
        assert_eq!(merged.values(), Some(vec!["closed", "open"]));
        let mut mixed = seen(&["2026-03-15"], 5);
        mixed.merge(seen(&["no date at all"], 1));
        assert_eq!((mixed.format(), mixed.values()), (None, None));
    }
}
