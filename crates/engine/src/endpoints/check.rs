//! The rules of what can be set. All that is broken is told at once.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use tidings_core::deliver::Schedule;
use tidings_core::pattern::{FilterError, Selection};
use tidings_event::{Violation, violation_code as code};

use super::error::EndpointError;
use super::types::{
    DESCRIPTION_CHARS_MAX, EndpointSettings, HEADER_NAME_CHARS_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_MAX, RATE_MAX,
    TIMEOUT_MS_MAX, TIMEOUT_MS_MIN, URL_CHARS_MAX,
};
use crate::egress::{Egress, TargetError};
use crate::{PinError, Pins};

/// Violations that one answer lists; further ones are left out.
const VIOLATIONS_MAX: usize = tidings_event::limits::VIOLATIONS_MAX;

/// Headers that an endpoint cannot have of its own: deliveries carry them by themselves, or they belong to the
/// connection. Everything else may be set, `authorization`, `cookie` and `user-agent` among it.
const RESERVED: [&str; 11] = [
    "connection",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The same for all headers that begin like this.
const RESERVED_PREFIXES: [&str; 5] = ["ce-", "content-", "proxy-", "tidings-", "webhook-"];

/// Collects what is wrong.
#[derive(Default)]
pub(super) struct Report(Vec<Violation>);

impl Report {
    pub(super) fn add(&mut self, path: impl Into<String>, code: &'static str, message: impl Into<String>) {
        if self.0.len() < VIOLATIONS_MAX {
            self.0.push(Violation { path: path.into(), code, message: message.into() });
        }
    }

    /// An error if anything is wrong.
    pub(super) fn finish(self) -> Result<(), EndpointError> {
        if self.0.is_empty() { Ok(()) } else { Err(EndpointError::Invalid(self.0)) }
    }

    /// What is wrong.
    pub(super) fn into_violations(self) -> Vec<Violation> {
        self.0
    }

    /// Where events are delivered to. A literal address is judged here already, a name when it is connected to.
    pub(super) fn url(&mut self, egress: &Egress, url: &str) {
        const PATH: &str = "/url";
        if url.chars().count() > URL_CHARS_MAX {
            self.add(PATH, code::TOO_LONG, format!("must have at most {URL_CHARS_MAX} characters"));
            return;
        }
        match egress.target(url) {
            Err(error @ TargetError::Malformed(_)) => self.add(PATH, code::URL_MALFORMED, error.to_string()),
            Err(error @ TargetError::Forbidden(_)) => self.add(PATH, code::URL_FORBIDDEN, error.to_string()),
            Ok(_) if url.contains('#') => {
                self.add(PATH, code::URL_MALFORMED, "must not have a fragment, which is never sent");
            }
            Ok(_) => {}
        }
    }

    /// What is wanted. Types and filter are judged each for itself, so that both are told.
    pub(super) fn selection(&mut self, types: &[String], filter: Option<&str>) {
        if let Err(FilterError { path, message }) = Selection::new(types, None) {
            let code = if path == "/types" { code::TOO_MANY } else { code::FILTER_INVALID };
            self.add(path, code, message);
        }
        if let Some(filter) = filter
            && let Err(FilterError { path, message }) = Selection::new(&[], Some(filter.as_bytes()))
        {
            self.add(format!("/filter{path}"), code::FILTER_INVALID, message);
        }
    }

    /// Deliveries a second.
    pub(super) fn rate(&mut self, path: &str, rate: Option<u32>) {
        if rate.is_some_and(|rate| !(1..=RATE_MAX).contains(&rate)) {
            self.add(path, code::NUMBER_OUT_OF_RANGE, format!("must lie between 1 and {RATE_MAX}"));
        }
    }

    /// Everything else that can be set. Header names become lower case.
    pub(super) fn settings(&mut self, settings: &mut EndpointSettings) {
        self.rate("/rate_limit_per_s", settings.rate_limit_per_s);
        if !(TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).contains(&settings.timeout_ms) {
            let message = format!("must lie between {TIMEOUT_MS_MIN} and {TIMEOUT_MS_MAX}");
            self.add("/timeout_ms", code::NUMBER_OUT_OF_RANGE, message);
        }
        if let Err(message) = Schedule::new(settings.retry_schedule_s.clone()) {
            self.add("/retry_schedule_s", code::SCHEDULE_WRONG, message);
        }
        if let Err(PinError { index, message }) = Pins::parse(&settings.versions) {
            match index {
                Some(index) => self.add(format!("/versions/{index}"), code::TYPE_MALFORMED, message),
                None => self.add("/versions", code::TOO_MANY, message),
            }
        }
        if settings.description.chars().count() > DESCRIPTION_CHARS_MAX {
            let message = format!("must have at most {DESCRIPTION_CHARS_MAX} characters");
            self.add("/description", code::STRING_TOO_LONG, message);
        }
        if settings.description.chars().any(|c| c.is_control() && c != '\n') {
            self.add("/description", code::STRING_CONTROL_CHARACTER, "must not hold control characters");
        }
        self.headers(&mut settings.headers);
    }

    fn headers(&mut self, headers: &mut BTreeMap<String, String>) {
        if headers.len() > HEADERS_MAX {
            self.add("/headers", code::TOO_MANY, format!("must have at most {HEADERS_MAX} entries"));
            return;
        }
        let mut lower = BTreeMap::new();
        for (name, value) in std::mem::take(headers) {
            let path = pointer("/headers", &name);
            let name = name.to_ascii_lowercase();
            if name.len() > HEADER_NAME_CHARS_MAX || HeaderName::from_bytes(name.as_bytes()).is_err() {
                let message = format!("the name must be a token of at most {HEADER_NAME_CHARS_MAX} characters");
                self.add(path.clone(), code::HEADER_MALFORMED, message);
            } else if is_reserved(&name) {
                let message = "deliveries carry this header by themselves, or it belongs to the connection";
                self.add(path.clone(), code::HEADER_RESERVED, message);
            }
            if value.len() > HEADER_VALUE_BYTES_MAX {
                self.add(path.clone(), code::TOO_LONG, format!("must have at most {HEADER_VALUE_BYTES_MAX} bytes"));
            } else if HeaderValue::from_bytes(value.as_bytes()).is_err() {
                self.add(path.clone(), code::HEADER_MALFORMED, "the value must not hold control characters");
            }
            if lower.insert(name, value).is_some() {
                self.add(path, code::HEADER_MALFORMED, "the name is given twice, in other letters");
            }
        }
        *headers = lower;
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The RFC 6901 path of a member.
fn pointer(of: &str, member: &str) -> String {
    format!("{of}/{}", member.replace('~', "~0").replace('/', "~1"))
}

/// What is wanted, compiled; for what was checked or is checked now.
pub(super) fn selection(types: &[String], filter: Option<&str>) -> Result<Selection, EndpointError> {
    let mut report = Report::default();
    report.selection(types, filter);
    report.finish()?;
    Selection::new(types, filter.map(str::as_bytes))
        .map_err(|error| EndpointError::unreadable(format!("what is wanted cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(settings: EndpointSettings) -> Vec<(String, &'static str)> {
        let mut settings = settings;
        let mut report = Report::default();
        report.settings(&mut settings);
        report.0.into_iter().map(|violation| (violation.path, violation.code)).collect()
    }

    fn with(change: impl FnOnce(&mut EndpointSettings)) -> Vec<(String, &'static str)> {
        let mut settings = EndpointSettings::default();
        change(&mut settings);
        told(settings)
    }

    fn header(name: &str, value: &str) -> Vec<(String, &'static str)> {
        with(|settings| drop(settings.headers.insert(name.to_owned(), value.to_owned())))
    }

    #[test]
    fn what_can_be_sent_is_taken() {
        assert_eq!(with(|_| {}), []);
        assert_eq!(header("Authorization", "Bearer x"), []);
        assert_eq!(header("x-a", ""), []);
        assert_eq!(header("x-a", "grüße"), []);
        assert_eq!(header("user-agent", "me"), []);
        assert_eq!(header("cookie", "a=b"), []);
    }

    #[test]
    fn headers_that_would_break_or_forge_a_delivery_are_refused() {
        let refused = |name: &str, value: &str| header(name, value).first().map(|(_, code)| *code);
        for name in ["Host", "content-length", "Content-Type", "TE", "webhook-id", "Webhook-Signature", "ce-id"] {
            assert_eq!(refused(name, "x"), Some(code::HEADER_RESERVED), "{name}");
        }
        for name in ["tidings-sequence", "proxy-authorization", "connection", "traceparent", "upgrade", "expect"] {
            assert_eq!(refused(name, "x"), Some(code::HEADER_RESERVED), "{name}");
        }
        for name in ["", "a b", "a:b", "a\r\nb", "ä", ":path"] {
            assert_eq!(refused(name, "x"), Some(code::HEADER_MALFORMED), "{name:?}");
        }
        for value in ["a\r\nx: y", "a\nb", "\0", "\u{7f}"] {
            assert_eq!(refused("x-a", value), Some(code::HEADER_MALFORMED), "{value:?}");
        }
        assert_eq!(refused(&"a".repeat(65), "x"), Some(code::HEADER_MALFORMED));
        assert_eq!(refused("x-a", &"a".repeat(1_025)), Some(code::TOO_LONG));
        assert_eq!(header("x/~y\n", "x"), [("/headers/x~1~0y\n".to_owned(), code::HEADER_MALFORMED)]);
        let twice = with(|settings| {
            settings.headers.insert("X-A".to_owned(), "1".to_owned());
            settings.headers.insert("x-a".to_owned(), "2".to_owned());
        });
        assert_eq!(twice, [("/headers/x-a".to_owned(), code::HEADER_MALFORMED)]);
        let many = with(|settings| settings.headers = (0..21).map(|n| (format!("x-{n}"), String::new())).collect());
        assert_eq!(many, [("/headers".to_owned(), code::TOO_MANY)]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let told = with(|settings| {
            settings.rate_limit_per_s = Some(0);
            settings.timeout_ms = 99;
            settings.retry_schedule_s = Vec::new();
            settings.description = "x".repeat(256);
            settings.headers.insert("host".to_owned(), "x".to_owned());
        });
        let paths: Vec<&str> = told.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["/rate_limit_per_s", "/timeout_ms", "/retry_schedule_s", "/description", "/headers/host"]);
        assert_eq!(with(|settings| settings.timeout_ms = 60_001).len(), 1);
        assert_eq!(with(|settings| settings.rate_limit_per_s = Some(100_001)).len(), 1);
    }

    #[test]
    fn types_and_filter_are_both_judged() {
        let mut report = Report::default();
        report.selection(&["sales.*".to_owned(), "Nope".to_owned()], Some(r#"{"filters":[{"field":"$["}]}"#));
        let paths: Vec<String> = report.0.into_iter().map(|violation| violation.path).collect();
        assert_eq!(paths[0], "/types/1");
        assert!(paths[1].starts_with("/filter/filters/0"), "{paths:?}");
    }
}
