//! Reads what is asked of endpoints.

use std::collections::BTreeMap;

use tidings_engine::endpoints::{
    BacktestQuery, CloudEventsMode, DeadReason, DeadSearch, EndpointPatch, EndpointSettings, Format, From, NewEndpoint,
    NewReplay, Ordering, Rotate, SAMPLE_MAX, Scheme, Until, Wanted,
};
use tidings_event::{EndpointId, ErrorCode, EventType, Timestamp, Violation, violation_code as code};

use crate::failure::Failure;
use crate::members::{Members, Place, RawObject, Readable, Report};

/// Events that a back-test shows where nothing else is asked for.
const SAMPLE_DEFAULT: usize = 10;

/// Members that answers hold and requests must not.
const ASSIGNED: &[(&str, &str)] = &[
    ("id", "is assigned by the server"),
    ("tenant", "is given by the path"),
    ("status_reason", "is assigned by the server"),
    ("since", "is assigned by the server"),
    ("created_at", "is assigned by the server"),
    ("updated_at", "is assigned by the server"),
    ("public_key", "is derived from the secret"),
];

/// Members that a new endpoint has and a change cannot name.
const FIXED: &[(&str, &str)] = &[
    ("secret", "is changed by a rotation"),
    ("signature", "is changed by a rotation"),
    ("from", "is settled when the endpoint is made; a replay sends past events"),
    ("challenge", "is settled when the endpoint is made"),
    ("paused", "is not known here; set 'status'"),
];

/// A new endpoint. `judge` tells what is wrong with it beyond its form, so that all is said at once.
pub(crate) fn new_endpoint(
    body: &[u8],
    judge: impl FnOnce(&NewEndpoint) -> Vec<Violation>,
) -> Result<NewEndpoint, Failure> {
    let mut report = Report::new(ErrorCode::EndpointInvalid);
    let r = &mut report;
    let mut members = Members::of_body(body, false, r)?;
    let m = &mut members;
    let standard = EndpointSettings::default();
    let signature = m.take("signature", r).value();
    let new = NewEndpoint {
        url: m.require("url", r).unwrap_or_default(),
        types: m.take("types", r).value().unwrap_or_default(),
        filter: filter(m, r),
        settings: EndpointSettings {
            format: m.take("format", r).value().unwrap_or_default(),
            cloudevents_mode: m.take("cloudevents_mode", r).value().unwrap_or_default(),
            ordering: m.take("ordering", r).value().unwrap_or_default(),
            rate_limit_per_s: m.take("rate_limit_per_s", r).value(),
            timeout_ms: m.take("timeout_ms", r).value().unwrap_or(standard.timeout_ms),
            headers: m.take("headers", r).value().unwrap_or_default(),
            retry_schedule_s: m.take("retry_schedule_s", r).value().unwrap_or(standard.retry_schedule_s),
            versions: m.take("versions", r).value().unwrap_or_default(),
            description: m.take("description", r).value().unwrap_or_default(),
        },
        scheme: signature.unwrap_or_default(),
        secret: secret(m, signature, r),
        from: m.take("from", r).value().unwrap_or_default(),
        paused: m.take("paused", r).value().unwrap_or_default(),
        challenge: m.take("challenge", r).value().unwrap_or_default(),
    };
    let hints: Vec<_> =
        ASSIGNED.iter().chain(&[("status", "is assigned by the server; see 'paused'")]).copied().collect();
    members.finish(&hints, r);
    if !r.is_empty() {
        r.extend(judge(&new));
    }
    report.finish()?;
    Ok(new)
}

/// Changes of an endpoint. `judge` tells what is wrong with them beyond their form.
pub(crate) fn changes(
    body: &[u8],
    judge: impl FnOnce(&EndpointPatch) -> Vec<Violation>,
) -> Result<EndpointPatch, Failure> {
    let mut report = Report::new(ErrorCode::EndpointInvalid);
    let r = &mut report;
    let mut members = Members::of_body(body, false, r)?;
    let m = &mut members;
    let standard = EndpointSettings::default();
    let patch = EndpointPatch {
        url: m.take("url", r).required_value("/url", r),
        types: m.take("types", r).or_reset(Vec::new()),
        filter: m.take("filter", r).nullable().map(|filter| filter.map(|RawObject(text)| text)),
        format: m.take("format", r).or_reset(standard.format),
        cloudevents_mode: m.take("cloudevents_mode", r).or_reset(standard.cloudevents_mode),
        ordering: m.take("ordering", r).or_reset(standard.ordering),
        rate_limit_per_s: m.take("rate_limit_per_s", r).nullable(),
        timeout_ms: m.take("timeout_ms", r).or_reset(standard.timeout_ms),
        headers: m.take("headers", r).or_reset(BTreeMap::new()),
        retry_schedule_s: m.take("retry_schedule_s", r).or_reset(standard.retry_schedule_s),
        versions: m.take("versions", r).or_reset(Vec::new()),
        description: m.take("description", r).or_reset(String::new()),
        status: m.take("status", r).required_value("/status", r),
    };
    let hints: Vec<_> = ASSIGNED.iter().chain(FIXED).copied().collect();
    members.finish(&hints, r);
    if !r.is_empty() {
        r.extend(judge(&patch));
    }
    report.finish()?;
    Ok(patch)
}

/// A rotation; all that is left out is as usual.
pub(crate) fn rotation(body: &[u8]) -> Result<Rotate, Failure> {
    let mut report = Report::new(ErrorCode::EndpointInvalid);
    let r = &mut report;
    let mut members = Members::of_body(body, true, r)?;
    let m = &mut members;
    let scheme = m.take("signature", r).value();
    let secret = secret(m, scheme, r);
    let overlap_s = m.take("overlap_s", r).value().unwrap_or(Rotate::default().overlap_s);
    members.finish(ASSIGNED, r);
    report.finish()?;
    Ok(Rotate { scheme, secret, overlap_s })
}

/// The type of event that a test sends, if one is named.
pub(crate) fn test(body: &[u8]) -> Result<Option<String>, Failure> {
    let mut report = Report::new(ErrorCode::EndpointInvalid);
    let mut members = Members::of_body(body, true, &mut report)?;
    let event_type = members.take("type", &mut report).value();
    members.finish(&[], &mut report);
    report.finish()?;
    Ok(event_type)
}

/// A replay.
pub(crate) fn new_replay(body: &[u8]) -> Result<NewReplay, Failure> {
    let mut report = Report::new(ErrorCode::EndpointInvalid);
    let r = &mut report;
    let mut members = Members::of_body(body, false, r)?;
    let m = &mut members;
    let new = NewReplay {
        from: m.require("from", r).unwrap_or_default(),
        until: m.take("until", r).value(),
        types: m.take("types", r).value().unwrap_or_default(),
        filter: filter(m, r),
        rate_per_s: m.take("rate_per_s", r).value(),
        dry_run: m.take("dry_run", r).value().unwrap_or_default(),
    };
    members.finish(ASSIGNED, r);
    report.finish()?;
    Ok(new)
}

/// A back-test.
pub(crate) fn backtest(body: &[u8]) -> Result<BacktestQuery, Failure> {
    let mut report = Report::new(ErrorCode::EndpointInvalid);
    let r = &mut report;
    let mut members = Members::of_body(body, false, r)?;
    let m = &mut members;
    let query = BacktestQuery {
        types: m.take("types", r).value().unwrap_or_default(),
        filter: filter(m, r),
        since: m.take("since", r).value(),
        until: m.take("until", r).value(),
        limit: match m.take::<u32>("limit", r).value().map(usize::try_from) {
            None => SAMPLE_DEFAULT,
            Some(Ok(limit)) if limit <= SAMPLE_MAX => limit,
            Some(_) => {
                r.add("/limit", code::NUMBER_OUT_OF_RANGE, format!("must be at most {SAMPLE_MAX}"));
                SAMPLE_DEFAULT
            }
        },
    };
    members.finish(&[], r);
    report.finish()?;
    Ok(query)
}

/// Which dead letters something shall be done to.
pub(crate) fn dead_letters(body: &[u8]) -> Result<DeadSearch, Failure> {
    let mut report = Report::new(ErrorCode::RequestInvalid);
    let r = &mut report;
    let mut members = Members::of_body(body, false, r)?;
    let m = &mut members;
    let search = DeadSearch {
        endpoint: m.take("endpoint", r).value(),
        reason: m.take("reason", r).value(),
        event_type: m.take("type", r).value(),
        since: m.take("since", r).value(),
        until: m.take("until", r).value(),
        ..DeadSearch::default()
    };
    members.finish(&[], r);
    report.finish()?;
    Ok(search)
}

fn filter(members: &mut Members<'_>, report: &mut Report) -> Option<String> {
    members.take("filter", report).value().map(|RawObject(text)| text)
}

/// A secret of the caller's own, which must be of the kind that the signature takes where one is named.
fn secret(members: &mut Members<'_>, signature: Option<Scheme>, report: &mut Report) -> Option<String> {
    let secret: String = members.take("secret", report).value()?;
    let fits = match signature {
        None => true,
        Some(Scheme::V1) => !secret.starts_with("whsk_"),
        Some(Scheme::V1a) => !secret.starts_with("whsec_"),
    };
    if !fits {
        report.add("/secret", code::SECRET_MALFORMED, "is not of the kind that 'signature' takes");
    }
    Some(secret)
}

impl Readable for Format {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        place.word(&[("native", Self::Native), ("cloudevents", Self::Cloudevents)])
    }
}

impl Readable for CloudEventsMode {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        place.word(&[("structured", Self::Structured), ("binary", Self::Binary)])
    }
}

impl Readable for Ordering {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        place.word(&[("none", Self::None), ("entity", Self::Entity), ("strict", Self::Strict)])
    }
}

impl Readable for Scheme {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        place.word(&[("v1", Self::V1), ("v1a", Self::V1a)])
    }
}

impl Readable for Wanted {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        place.word(&[("active", Self::Active), ("paused", Self::Paused)])
    }
}

impl Readable for DeadReason {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        let words: Vec<_> = Self::ALL.iter().map(|reason| (reason.as_str(), *reason)).collect();
        place.word(&words)
    }
}

impl Readable for EndpointId {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        let text = String::read(place)?;
        match Self::parse(&text) {
            Ok(id) => Some(id),
            Err(error) => place.refuse(code::ID_MALFORMED, error.to_string()),
        }
    }
}

impl Readable for EventType {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        let text = String::read(place)?;
        match Self::parse(&text) {
            Ok(event_type) => Some(event_type),
            Err(error) => place.refuse(code::TYPE_MALFORMED, error.to_string()),
        }
    }
}

impl Readable for Timestamp {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        let text = String::read(place)?;
        match Self::parse(&text) {
            Ok(moment) => Some(moment),
            Err(_) => place.refuse(code::TIMESTAMP_MALFORMED, "must be a moment in RFC 3339"),
        }
    }
}

impl Readable for From {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        if place.is_number() {
            return u64::read(place).map(Self::Sequence);
        }
        let text = String::read(place)?;
        match text.as_str() {
            "now" => Some(Self::Now),
            "start" => Some(Self::Start),
            _ => match (sequence(&text), Timestamp::parse(&text)) {
                (Some(sequence), _) => Some(Self::Sequence(sequence)),
                (None, Ok(moment)) => Some(Self::Time(moment)),
                (None, Err(_)) => {
                    place.refuse(code::VALUE_UNKNOWN, "must be 'now', 'start', a sequence, or a moment in RFC 3339")
                }
            },
        }
    }
}

impl Readable for Until {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        if place.is_number() {
            return u64::read(place).map(Self::Sequence);
        }
        let text = String::read(place)?;
        match (sequence(&text), Timestamp::parse(&text)) {
            (Some(sequence), _) => Some(Self::Sequence(sequence)),
            (None, Ok(moment)) => Some(Self::Time(moment)),
            (None, Err(_)) => place.refuse(code::VALUE_UNKNOWN, "must be a sequence or a moment in RFC 3339"),
        }
    }
}

/// A sequence that was written as a string.
fn sequence(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_endpoint(body: &[u8]) -> Result<NewEndpoint, Failure> {
        super::new_endpoint(body, |_| Vec::new())
    }

    fn changes(body: &[u8]) -> Result<EndpointPatch, Failure> {
        super::changes(body, |_| Vec::new())
    }

    fn refused<T>(parsed: Result<T, Failure>) -> Vec<String> {
        let Err(failure) = parsed else { return Vec::new() };
        let problem: serde_json::Value = serde_json::from_slice(&failure.to_json()).expect("a document");
        let errors = problem["errors"].as_array().expect("errors").clone();
        errors.iter().map(|error| format!("{} {}", error["path"], error["code"]).replace('"', "")).collect()
    }

    #[test]
    fn a_new_endpoint_has_the_defaults_where_nothing_is_said() {
        let new = new_endpoint(br#"{"url":"https://example.com"}"#).expect("an endpoint");
        assert_eq!(new.settings, EndpointSettings::default());
        assert_eq!((new.from, new.paused, new.challenge, new.secret), (From::Now, false, false, None));
        let null =
            br#"{"url":"https://example.com","rate_limit_per_s":null,"filter":null,"types":null,"timeout_ms":null,
            "retry_schedule_s":null,"headers":null,"from":null}"#;
        assert_eq!(new_endpoint(null).expect("an endpoint").settings, EndpointSettings::default());
    }

    #[test]
    fn a_place_in_the_log_is_a_word_a_sequence_or_a_moment() {
        let check = |from: &str, expect: Option<From>| {
            let body = format!(r#"{{"url":"https://example.com","from":{from}}}"#);
            assert_eq!(new_endpoint(body.as_bytes()).ok().map(|new| new.from), expect, "{from}");
        };
        let moment = Timestamp::parse("2026-03-15T10:00:00Z").expect("a moment");
        check("\"now\"", Some(From::Now));
        check("\"start\"", Some(From::Start));
        check("7", Some(From::Sequence(7)));
        check("\"7\"", Some(From::Sequence(7)));
        check("\"2026-03-15T10:00:00Z\"", Some(From::Time(moment)));
        check("\"\"", None);
        check("\"tomorrow\"", None);
        check("-1", None);
        check("1.5", None);
        check("true", None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_path() {
        let check = |body: &str, expect: &[&str]| {
            assert_eq!(refused(new_endpoint(body.as_bytes())), expect, "{body}");
        };
        check("{}", &["/url member_missing"]);
        check(r#"{"url":null}"#, &["/url member_missing"]);
        check(r#"{"url":"https://example.com","colour":"red"}"#, &["/colour member_unknown"]);
        check(r#"{"url":"https://example.com","id":"ep_1"}"#, &["/id member_unknown"]);
        check(
            r#"{"url":1,"types":"sales.*","filter":[],"format":"xml","ordering":"strictly","headers":{"a":1},
                "retry_schedule_s":[0,"5"],"timeout_ms":-1,"signature":"v2"}"#,
            &[
                "/signature value_unknown",
                "/url member_wrong_type",
                "/types member_wrong_type",
                "/filter member_wrong_type",
                "/format value_unknown",
                "/ordering value_unknown",
                "/timeout_ms number_out_of_range",
                "/headers/a member_wrong_type",
                "/retry_schedule_s/1 member_wrong_type",
            ],
        );
        check(
            r#"{"url":"https://example.com","signature":"v1a","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}"#,
            &["/secret secret_malformed"],
        );
        check(r#"{"url":"a","url":"b"}"#, &["/url key_duplicate"]);
        assert_eq!(
            refused(backtest(br#"{"limit":101,"since":"soon"}"#)),
            ["/since timestamp_malformed", "/limit number_out_of_range"]
        );
        assert_eq!(refused(new_replay(b"{}")), ["/from member_missing"]);
        assert_eq!(
            refused(dead_letters(br#"{"endpoint":"x","type":"X","reason":"tired"}"#)),
            ["/endpoint id_malformed", "/reason value_unknown", "/type type_malformed"]
        );
        assert_eq!(refused(dead_letters(b"")), [" body_empty"]);
        assert_eq!(refused(rotation(b"")), [] as [&str; 0]);
    }

    #[test]
    fn a_change_is_what_is_named_and_null_gives_the_default_back() {
        let patch = changes(b"{}").expect("a change");
        assert!(patch.url.is_none() && patch.filter.is_none() && patch.rate_limit_per_s.is_none());
        let reset = br#"{"types":null,"filter":null,"rate_limit_per_s":null,"timeout_ms":null,"headers":null}"#;
        let patch = changes(reset).expect("a change");
        assert_eq!((patch.types, patch.filter, patch.rate_limit_per_s), (Some(Vec::new()), Some(None), Some(None)));
        assert_eq!((patch.timeout_ms, patch.headers), (Some(15_000), Some(BTreeMap::new())));
        let refused = refused(changes(br#"{"url":null,"status":"disabled","secret":"whsec_","from":"now"}"#));
        assert_eq!(
            refused,
            ["/url member_missing", "/status value_unknown", "/secret member_unknown", "/from member_unknown"]
        );
    }
}
