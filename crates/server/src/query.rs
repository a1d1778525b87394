//! Query strings, read strictly: a parameter that an operation does not know is an error, never ignored.

use percent_encoding::percent_decode_str;
use tidings_event::{ErrorCode, Timestamp, Violation};

use crate::failure::Failure;
use crate::limits::{PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX};

/// The parameters of one request.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query string. All unknown, repeated and undecodable parameters are named at once.
    ///
    /// Parameters whose name stands in `lists` may occur several times.
    pub(crate) fn parse(raw: Option<&str>, known: &[&str], lists: &[&str]) -> Result<Self, Failure> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut violations = Vec::new();
        for part in raw.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                violations.push(violation(&lossy(name), "parameter_malformed", "is not percent-encoded UTF-8"));
                continue;
            };
            if lists.contains(&name.as_str()) {
                pairs.push((name, value));
            } else if !known.contains(&name.as_str()) {
                violations.push(violation(&name, "parameter_unknown", &unknown(known, lists)));
            } else if pairs.iter().any(|(seen, _)| *seen == name) {
                violations.push(violation(&name, "parameter_repeated", "must not be repeated"));
            } else {
                pairs.push((name, value));
            }
        }
        if violations.is_empty() { Ok(Self(pairs)) } else { Err(invalid(violations)) }
    }

    /// The value of a parameter, if it was given and is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All parameters, in the order they were given.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The values of a parameter that is a list: separated by commas, repeated, or both.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(n, _)| n == name)
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The value of a parameter as `read` understands it.
    pub(crate) fn get_as<T, E: std::fmt::Display>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Failure> {
        self.get(name)
            .map(|value| read(value).map_err(|error| refuse(name, "parameter_malformed", &error.to_string())))
            .transpose()
    }

    /// A whole number within bounds.
    pub(crate) fn number(&self, name: &str, min: u64, max: u64) -> Result<Option<u64>, Failure> {
        self.get_as(name, |value| match value.parse::<u64>() {
            Ok(number) if (min..=max).contains(&number) && value.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
            _ => Err(format!("must be a whole number from {min} to {max}")),
        })
    }

    /// A parameter that is true or false; false where it is not given.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Failure> {
        let flag = self.get_as(name, |value| match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be 'true' or 'false'"),
        });
        Ok(flag?.unwrap_or_default())
    }

    /// How many entries the caller wants.
    pub(crate) fn limit(&self) -> Result<usize, Failure> {
        let limit = self.number("limit", 1, PAGE_LIMIT_MAX as u64)?;
        Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_LIMIT_DEFAULT))
    }

    /// A moment.
    pub(crate) fn moment(&self, name: &str) -> Result<Option<Timestamp>, Failure> {
        self.get_as(name, parse_moment)
    }
}

/// Reads a moment from a query string. A space stands where a `+` was left unencoded (`…T10:00:00+02:00`).
pub(crate) fn parse_moment(value: &str) -> Result<Timestamp, &'static str> {
    Timestamp::parse(&value.replace(' ', "+")).map_err(|_| "must be a moment in RFC 3339, like 2026-03-15T10:00:00Z")
}

/// A refusal of one parameter.
pub(crate) fn refuse(name: &str, code: &'static str, message: &str) -> Failure {
    invalid(vec![violation(name, code, message)])
}

fn invalid(violations: Vec<Violation>) -> Failure {
    let detail = violations.first().map(|v| {
        let name = v.path.trim_start_matches("query/");
        format!("The query parameter '{name}' {}.", v.message)
    });
    Failure::new(ErrorCode::RequestInvalid, detail.unwrap_or_default()).with_errors(violations)
}

fn violation(name: &str, code: &'static str, message: &str) -> Violation {
    Violation { path: format!("query/{name}"), code, message: message.to_owned() }
}

fn unknown(known: &[&str], lists: &[&str]) -> String {
    if known.is_empty() && lists.is_empty() {
        return "is not known here; this call takes no parameters".to_owned();
    }
    let names: Vec<&str> = known.iter().chain(lists).copied().collect();
    format!("is not known here; known are {}", names.join(", "))
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn lossy(text: &str) -> String {
    text.chars().take(64).collect()
}
