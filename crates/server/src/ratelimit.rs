//! Quotas on the wire: what a request is charged, and the headers `RateLimit-Policy`, `RateLimit` and `Retry-After`, as
//! the IETF's draft-ietf-httpapi-ratelimit-headers-10 has them.

use std::time::Duration;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use tidings_engine::{Room, Standing, Throttled, Way};
use tidings_event::{ErrorCode, Event};

use crate::app::Shared;
use crate::failure::Failure;
use crate::limits::{RATE_LIMIT_FIELD_BYTES_MAX, RATE_LIMITED_TENANTS_SHOWN_MAX};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The names of a way's policies: of events, of bytes.
const fn names(way: Way) -> (&'static str, &'static str) {
    match way {
        Way::Events => ("events", "bytes"),
        Way::Intents => ("intents", "intent-bytes"),
    }
}

/// Charges what a request brings, or refuses it. What is returned goes with the answer, whatever that is.
pub(crate) fn charge(app: &Shared, way: Way, events: &[Event]) -> Result<Charged, Failure> {
    match app.engine.charge(way, events) {
        Ok(standings) => Ok(Charged { headers: headers(way, standings) }),
        Err(Throttled::Exceeded { wait, standings }) => {
            let seconds = whole_seconds(wait).max(1);
            let plural = if seconds == 1 { "" } else { "s" };
            let detail = format!(
                "A tenant would send more than it may; nothing was written. Repeat it in {seconds} second{plural}."
            );
            let failure = Failure::new(ErrorCode::RateLimited, detail).retry_after(seconds);
            Err(failure.with_headers(headers(way, standings)))
        }
        Err(Throttled::Overloaded) => Err(Failure::overloaded("tenants whose quotas are counted")),
    }
}

/// What the answer to a request that was charged shall carry.
pub(crate) struct Charged {
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Charged {
    /// Puts the headers on an answer, good or bad.
    pub(crate) fn tell(self, answer: Result<Response, Failure>) -> Result<Response, Failure> {
        match answer {
            Ok(mut response) => {
                response.headers_mut().extend(self.headers);
                Ok(response)
            }
            Err(failure) => Err(failure.with_headers(self.headers)),
        }
    }
}

/// The two fields, about those tenants that are nearest to their end, as many as there is room for; none where nobody
/// has a quota.
fn headers(way: Way, mut standings: Vec<Standing>) -> Vec<(HeaderName, HeaderValue)> {
    standings.retain(|standing| standing.events.is_some() || standing.bytes.is_some());
    standings.sort_by_key(|standing| {
        let share = |room: Room| u128::from(room.left) * 1_000_000 / u128::from(room.quota.burst().max(1));
        standing.events.into_iter().chain(standing.bytes).map(share).min()
    });
    standings.truncate(RATE_LIMITED_TENANTS_SHOWN_MAX);
    let (mut policy, mut limit) = (String::new(), String::new());
    let (events, bytes) = names(way);
    'shown: for standing in &standings {
        // A byte sequence of structured fields, so that names of any script can stand in a header.
        let key = STANDARD.encode(standing.tenant.as_str());
        for (name, unit, room) in [(events, "", standing.events), (bytes, ";qu=\"content-bytes\"", standing.bytes)] {
            let Some(room) = room else { continue };
            let comma = if policy.is_empty() { "" } else { ", " };
            let (quota, window) = (room.quota.burst(), room.quota.window_s());
            let (left, full_in) = (room.left, whole_seconds(room.full_in));
            let next_policy = format!("{comma}\"{name}\";q={quota};w={window}{unit};pk=:{key}:");
            let next_limit = format!("{comma}\"{name}\";r={left};t={full_in};pk=:{key}:");
            // Proxies refuse an answer whose fields are too long.
            if policy.len().max(limit.len()) + next_policy.len().max(next_limit.len()) > RATE_LIMIT_FIELD_BYTES_MAX {
                break 'shown;
            }
            policy.push_str(&next_policy);
            limit.push_str(&next_limit);
        }
    }
    let field = |name, text: String| Some((name, HeaderValue::try_from(text).ok()?));
    if policy.is_empty() {
        Vec::new()
    } else {
        [field(POLICY, policy), field(LIMIT, limit)].into_iter().flatten().collect()
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use tidings_engine::Quota;
    use tidings_event::TenantId;

    use super::*;

    fn room(per_s: u64, burst: u64, left: u64, full_in_ms: u64) -> Option<Room> {
        let quota = Quota::new(per_s, burst)?;
        Some(Room { quota, left, full_in: Duration::from_millis(full_in_ms) })
    }

    fn standing(tenant: &str, events: Option<Room>, bytes: Option<Room>) -> Standing {
        Standing { tenant: TenantId::parse(tenant).expect("a tenant's name"), events, bytes }
    }

    #[test]
    fn quotas_are_written_as_the_draft_has_them() {
        let check = |way, standings: Vec<Standing>, policy: &str, limit: &str| {
            let written: Vec<String> =
                headers(way, standings).iter().map(|(_, value)| value.to_str().expect("text").to_owned()).collect();
            assert_eq!(written, [policy, limit]);
        };
        check(
            Way::Events,
            vec![standing("acme", room(1_000, 0, 12, 988), None)],
            "\"events\";q=1000;w=1;pk=:YWNtZQ==:",
            "\"events\";r=12;t=1;pk=:YWNtZQ==:",
        );
        check(
            Way::Intents,
            vec![standing("\u{e9}", room(10, 25, 0, 2_500), room(100, 100, 100, 0))],
            "\"intents\";q=25;w=3;pk=:w6k=:, \"intent-bytes\";q=100;w=1;qu=\"content-bytes\";pk=:w6k=:",
            "\"intents\";r=0;t=3;pk=:w6k=:, \"intent-bytes\";r=100;t=0;pk=:w6k=:",
        );
        assert!(headers(Way::Events, vec![standing("acme", None, None)]).is_empty());
    }

    #[test]
    fn of_many_tenants_those_nearest_to_their_end_are_shown() {
        let standings = (0..100).map(|left| standing(&format!("t{left}"), room(100, 100, 99 - left, 0), None));
        let headers = headers(Way::Events, standings.collect());
        let limit = headers[1].1.to_str().expect("text");
        assert_eq!(limit.split(", ").count(), RATE_LIMITED_TENANTS_SHOWN_MAX);
        assert!(limit.starts_with("\"events\";r=0;t=0;pk=:dDk5:, \"events\";r=1;"), "{limit}");
    }

    #[test]
    fn however_long_tenants_names_are_the_fields_are_not_and_the_nearest_to_its_end_is_there() {
        let huge = u64::from(u32::MAX);
        for (letter, shown) in [("t", 5), ("\u{1f600}", 1)] {
            let name = |n: u64| format!("{}{n}", letter.repeat(254));
            let room = |left| room(huge, huge, left, 1_000_000);
            let standings = (0..10).map(|n| standing(&name(n), room(n), None));
            let fields = headers(Way::Events, standings.collect());
            for (_, value) in &fields {
                assert!(value.len() <= RATE_LIMIT_FIELD_BYTES_MAX, "{value:?}");
                let text = value.to_str().expect("text");
                assert!(text.contains(&STANDARD.encode(name(0))), "{text}");
                assert_eq!(text.split(", ").count(), shown, "{text}");
            }
        }
    }
}
