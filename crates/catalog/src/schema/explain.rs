//! What the validator found, as violations in our own words.

use jsonschema::error::{TypeKind, ValidationErrorKind as Found};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;
use tidings_event::{Violation, violation_code as code};

use crate::pointer::escape;

/// Characters of a message.
const MESSAGE_CHARS_MAX: usize = 300;
/// Values that a message lists.
const LISTED_MAX: usize = 12;
/// Alternatives that are compared with each other, and what is compared of each.
const COMPARED_MAX: usize = 50;
/// Characters of a path.
const PATH_CHARS_MAX: usize = 512;
/// Characters of one value in a message.
const VALUE_CHARS_MAX: usize = 40;

/// Adds what an error says. An error about several members becomes a violation for each.
pub(super) fn add(error: &ValidationError<'_>, violations: &mut Vec<Violation>, max: usize) {
    let at = format!("/data{}", error.instance_path().as_str());
    if violations.len() >= max {
        return;
    }
    let mut push = |path: String, code: &'static str, message: String| {
        let known = violations.iter().any(|known| known.path == path && known.code == code);
        if !known && violations.len() < max {
            violations.push(violation(path, code, message));
        }
    };
    match error.kind() {
        Found::AdditionalProperties { unexpected } | Found::UnevaluatedProperties { unexpected } => {
            for name in unexpected {
                let path = format!("{at}/{}", escape(name));
                push(path, code::SCHEMA_UNKNOWN_MEMBER, "there is no such member in the schema".to_owned());
            }
        }
        Found::Required { property } => {
            let path = format!("{at}/{}", escape(property.as_str().unwrap_or_default()));
            push(path, code::SCHEMA_REQUIRED, "is required".to_owned());
        }
        Found::AnyOf { context } | Found::OneOfNotValid { context } => {
            let meant = closest(context, error.instance_path().as_str().len());
            if meant.is_empty() {
                let message = format!("must match one of the {} alternatives of the schema", context.len());
                push(at, code::SCHEMA_COMBINATION, message);
            }
            for error in meant {
                add(error, violations, max);
            }
        }
        kind => {
            let (code, message) = say(kind);
            push(at, code, message);
        }
    }
}

/// What the alternative says that the document seems to be meant for: one in which neither the value itself has another
/// type nor a member that tells alternatives apart another value, and of several the one that misses least. Where
/// several miss as little as that, what all of these say.
fn closest<'e>(context: &'e [Vec<ValidationError<'static>>], depth: usize) -> Vec<&'e ValidationError<'static>> {
    let another = |error: &ValidationError<'static>| {
        let below = error.instance_path().as_str().get(depth..).unwrap_or_default();
        let tells_apart = matches!(error.kind(), Found::Constant { .. } | Found::Enum { .. });
        (below.is_empty() && (tells_apart || matches!(error.kind(), Found::Type { .. })))
            || (below.matches('/').count() == 1 && tells_apart)
    };
    let mut meant: Vec<&'e Vec<ValidationError<'static>>> =
        context.iter().filter(|branch| !branch.is_empty() && !branch.iter().any(another)).collect();
    let least = meant.iter().map(|branch| branch.len()).min().unwrap_or_default();
    meant.retain(|branch| branch.len() == least);
    let Some((first, others)) = meant.split_first() else { return Vec::new() };
    if others.is_empty() {
        return first.iter().collect();
    }
    let said = |branch: &'e [ValidationError<'static>]| -> Vec<(&'e str, String)> {
        let looked_at = branch.iter().take(COMPARED_MAX);
        looked_at.map(|error| (error.instance_path().as_str(), say(error.kind()).1)).collect()
    };
    let others: Vec<_> = others.iter().take(COMPARED_MAX).map(|branch| said(branch)).collect();
    let said_by_all = |said: &(&str, String)| others.iter().all(|other| other.contains(said));
    first.iter().zip(said(first)).filter(|(_, said)| said_by_all(said)).map(|(error, _)| error).collect()
}

/// The code and the words for everything that concerns one value.
fn say(kind: &Found) -> (&'static str, String) {
    match kind {
        Found::Type { kind } => (code::SCHEMA_TYPE, format!("must be {}", types(kind))),
        Found::Enum { options } => (code::SCHEMA_ENUM, format!("must be one of {}", list(options))),
        Found::Constant { expected_value } => (code::SCHEMA_CONST, format!("must be {}", value(expected_value))),
        Found::Format { format } => (code::SCHEMA_FORMAT, format!("must be {}", of_format(format))),
        Found::ContentEncoding { content_encoding } => {
            (code::SCHEMA_FORMAT, format!("must be encoded as {content_encoding}"))
        }
        Found::ContentMediaType { content_media_type } => {
            (code::SCHEMA_FORMAT, format!("must hold {content_media_type}"))
        }
        Found::FromUtf8 { .. } => (code::SCHEMA_FORMAT, "must hold UTF-8".to_owned()),
        Found::Pattern { pattern } => (code::SCHEMA_PATTERN, format!("must match the pattern {pattern}")),
        Found::BacktrackLimitExceeded { .. } | Found::RegexEngineFailure { .. } => {
            (code::SCHEMA_PATTERN, "could not be matched against the pattern".to_owned())
        }
        Found::Minimum { limit } => (code::SCHEMA_RANGE, format!("must be at least {limit}")),
        Found::Maximum { limit } => (code::SCHEMA_RANGE, format!("must be at most {limit}")),
        Found::ExclusiveMinimum { limit } => (code::SCHEMA_RANGE, format!("must be more than {limit}")),
        Found::ExclusiveMaximum { limit } => (code::SCHEMA_RANGE, format!("must be less than {limit}")),
        Found::MultipleOf { multiple_of } => (code::SCHEMA_RANGE, format!("must be a multiple of {multiple_of}")),
        Found::MinLength { limit } => {
            (code::SCHEMA_LENGTH, format!("must have at least {}", counted(*limit, "character")))
        }
        Found::MaxLength { limit } => {
            (code::SCHEMA_LENGTH, format!("must have at most {}", counted(*limit, "character")))
        }
        Found::MinItems { limit } => (code::SCHEMA_ITEMS, format!("must have at least {}", counted(*limit, "element"))),
        Found::MaxItems { limit } => (code::SCHEMA_ITEMS, format!("must have at most {}", counted(*limit, "element"))),
        Found::AdditionalItems { limit } => {
            (code::SCHEMA_ITEMS, format!("must have at most {}", counted(*limit as u64, "element")))
        }
        Found::UnevaluatedItems { .. } => (code::SCHEMA_ITEMS, "has elements that the schema does not know".to_owned()),
        Found::UniqueItems => (code::SCHEMA_ITEMS, "must not hold an element twice".to_owned()),
        Found::Contains => {
            (code::SCHEMA_ITEMS, "must hold as many elements of the described kind as the schema asks for".to_owned())
        }
        Found::MinProperties { limit } => {
            (code::SCHEMA_MEMBERS, format!("must have at least {}", counted(*limit, "member")))
        }
        Found::MaxProperties { limit } => {
            (code::SCHEMA_MEMBERS, format!("must have at most {}", counted(*limit, "member")))
        }
        Found::PropertyNames { error } => {
            (code::SCHEMA_MEMBERS, format!("has a member whose name is not allowed: it {}", say(error.kind()).1))
        }
        Found::Not { .. } => (code::SCHEMA_COMBINATION, "must not be what the schema excludes".to_owned()),
        Found::OneOfMultipleValid { .. } => {
            (code::SCHEMA_COMBINATION, "must match exactly one of the alternatives, not several".to_owned())
        }
        Found::FalseSchema => (code::SCHEMA_FALSE, "must not be there".to_owned()),
        // These four are said elsewhere, by the members and alternatives that they speak of.
        Found::AdditionalProperties { .. } | Found::UnevaluatedProperties { .. } => {
            (code::SCHEMA_UNKNOWN_MEMBER, "has members that the schema does not know".to_owned())
        }
        Found::Required { property } => (code::SCHEMA_REQUIRED, format!("must have the member {}", value(property))),
        Found::AnyOf { .. } | Found::OneOfNotValid { .. } => {
            (code::SCHEMA_COMBINATION, "must match one of the alternatives of the schema".to_owned())
        }
        Found::Referencing(_) => (code::SCHEMA_COMBINATION, "could not be judged: a reference is broken".to_owned()),
        Found::Custom { .. } => (code::SCHEMA_COMBINATION, "breaks a rule of the schema".to_owned()),
    }
}

/// Why a schema does not compile although its metaschema accepts it.
pub(super) fn of_schema(error: &ValidationError<'_>) -> String {
    bounded(match error.kind() {
        Found::Referencing(error) => format!("a reference leads nowhere, and nothing is fetched: {error}"),
        Found::Format { format } if format == "regex" => {
            "holds a regular expression that does not run in linear time".to_owned()
        }
        kind => format!("is not JSON Schema: {}", say(kind).1),
    })
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(single) => type_name(*single).to_owned(),
        TypeKind::Multiple(several) => {
            let names: Vec<&str> = several.iter().map(type_name).collect();
            names.join(" or ")
        }
    }
}

fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "an array",
        JsonType::Boolean => "a boolean",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}

fn of_format(format: &str) -> String {
    let known = match format {
        "date-time" => "a date and time by RFC 3339, like 2026-03-15T10:00:00Z",
        "date" => "a date, like 2026-03-15",
        "time" => "a time of day with its offset, like 10:00:00Z",
        "duration" => "a duration by ISO 8601, like P1DT12H",
        "email" | "idn-email" => "an e-mail address",
        "hostname" | "idn-hostname" => "a host name",
        "ipv4" => "an IPv4 address",
        "ipv6" => "an IPv6 address",
        "uri" | "iri" => "an absolute URI, like https://example.com/a",
        "uri-reference" | "iri-reference" => "a URI or a relative reference",
        "uri-template" => "a URI template by RFC 6570",
        "uuid" => "a UUID, like 3d9e5a1c-3c26-4a3d-9a83-0f8f2b8c9d10",
        "json-pointer" => "a JSON pointer, like /a/b",
        "relative-json-pointer" => "a relative JSON pointer, like 1/a",
        "regex" => "a regular expression",
        other => return format!("of the format {other}"),
    };
    known.to_owned()
}

fn list(options: &Value) -> String {
    let Value::Array(options) = options else { return value(options) };
    let mut text = options.iter().take(LISTED_MAX).map(value).collect::<Vec<_>>().join(", ");
    if options.len() > LISTED_MAX {
        text.push_str(&format!(" and {} more", options.len() - LISTED_MAX));
    }
    text
}

/// A value of the schema, short.
fn value(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    let short: String = text.chars().take(VALUE_CHARS_MAX).collect();
    format!("{short}…")
}

/// A violation within the bounds of its parts: a path that is too long leads as far as it may, to something that holds
/// what is meant.
pub(crate) fn violation(mut path: String, code: &'static str, message: String) -> Violation {
    if path.len() > PATH_CHARS_MAX
        && let Some((end, _)) = path.char_indices().nth(PATH_CHARS_MAX + 1)
    {
        let end = path[..end].rfind('/').unwrap_or_default();
        path.truncate(end);
    }
    Violation { path, code, message: bounded(message) }
}

/// A message within its bound.
pub(crate) fn bounded(message: String) -> String {
    if message.len() <= MESSAGE_CHARS_MAX || message.chars().count() <= MESSAGE_CHARS_MAX {
        return message;
    }
    let mut short: String = message.chars().take(MESSAGE_CHARS_MAX - 1).collect();
    short.push('…');
    short
}
