//! What the caller wants to get: `Accept`, and the query parameter `format`.

use http::HeaderMap;
use http::header::ACCEPT;
use tidings_event::ErrorCode;

use crate::failure::Failure;
use crate::query::Query;

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As Tidings' own envelope.
    Native,
    /// As a structured CloudEvent.
    CloudEvents,
}

impl Format {
    /// What the parameter `format` asks for, if it is given.
    pub(crate) fn of_query(query: &Query) -> Result<Option<Self>, Failure> {
        query.get_as("format", |value| match value {
            "native" => Ok(Self::Native),
            "cloudevents" => Ok(Self::CloudEvents),
            _ => Err("must be 'native' or 'cloudevents'"),
        })
    }
}

/// Chooses among the media types on offer the one that `Accept` weighs highest; among equals the first on offer.
/// A request without `Accept` takes anything.
pub(crate) fn choose<T: Copy>(headers: &HeaderMap, offers: &[(&str, T)]) -> Result<T, Failure> {
    let mut ranges = Vec::new();
    for value in headers.get_all(ACCEPT) {
        ranges.extend(value.to_str().unwrap_or_default().split(',').filter_map(parse_range));
    }
    if ranges.is_empty() {
        ranges.push(Range { kind: "*", subtype: "*", weight: 1_000 });
    }
    let mut best: Option<(u16, T)> = None;
    for (media, answer) in offers {
        let weight = weight(&ranges, media);
        if weight > best.map_or(0, |(w, _)| w) {
            best = Some((weight, *answer));
        }
    }
    best.map(|(_, answer)| answer).ok_or_else(|| {
        let names: Vec<&str> = offers.iter().map(|(media, _)| *media).collect();
        Failure::new(ErrorCode::NotAcceptable, format!("This call can answer with {}.", names.join(", ")))
    })
}

struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// The quality in thousandths.
    weight: u16,
}

fn parse_range(text: &str) -> Option<Range<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let quality = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
    let weight = quality.map_or(1_000, |q| q.parse::<f32>().map_or(0, |q| (q.clamp(0.0, 1.0) * 1_000.0) as u16));
    Some(Range { kind, subtype, weight })
}

/// The weight of the most specific range that holds the media type (RFC 9110, 12.5.1).
fn weight(ranges: &[Range<'_>], media: &str) -> u16 {
    let (kind, subtype) = media.split_once('/').unwrap_or((media, ""));
    let specificity = |range: &Range<'_>| -> Option<u8> {
        if range.kind == "*" && range.subtype == "*" {
            Some(1)
        } else if range.kind.eq_ignore_ascii_case(kind) && range.subtype == "*" {
            Some(2)
        } else if range.kind.eq_ignore_ascii_case(kind) && range.subtype.eq_ignore_ascii_case(subtype) {
            Some(3)
        } else {
            None
        }
    };
    let holding = ranges.iter().filter_map(|range| specificity(range).map(|s| (s, range.weight)));
    holding.max_by_key(|(s, _)| *s).map_or(0, |(_, weight)| weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accepted_type_of_highest_weight_is_chosen() {
        const OFFERS: &[(&str, u8)] = &[("application/json", 1), ("text/event-stream", 2)];
        let check = |accept: Option<&str>, expect: Option<u8>| {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().expect("a header value"));
            }
            assert_eq!(choose(&headers, OFFERS).ok(), expect, "Accept: {accept:?}");
        };
        check(None, Some(1));
        check(Some("*/*"), Some(1));
        check(Some("text/event-stream"), Some(2));
        check(Some("text/event-stream, */*"), Some(1));
        check(Some("text/event-stream, */*;q=0.5"), Some(2));
        check(Some("application/json;q=0.2, text/*;q=0.3"), Some(2));
        check(Some("application/json;q=0, */*"), Some(2));
        check(Some("TEXT/Event-Stream"), Some(2));
        check(Some("image/png"), None);
        check(Some("application/json;q=0"), None);
    }
}
