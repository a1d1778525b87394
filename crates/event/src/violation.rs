//! Which rule of the envelope was broken, and where.

use serde::{Deserialize, Deserializer, Serialize};

use crate::ErrorCode;
use crate::ids::TextError;
use crate::json::{self, Fault, Wrong};
use crate::limits::VIOLATIONS_MAX;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// RFC 6901 path of the offending member in the body. Where the member is missing, the path
    /// it would have. What stands outside the body is named `query/…`, `path/…` or `header/…`.
    pub path: String,
    /// The rule, by a stable name; see [`VIOLATION_CODES`].
    pub code: &'static str,
    /// What is wrong, for a person.
    pub message: String,
}

/// Declares the codes of violations, each with what it means.
macro_rules! violation_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal: $meaning:literal;)+) => {
        /// The codes, by the rule that they stand for.
        pub mod code {
            $(#[doc = $meaning] pub const $name: &str = $code;)+
        }

        /// Every code of a [`Violation`], and what it means. The first ones are given by this crate, the last ones by the catalog, those between by the server alone. Codes are
        /// added, never renamed.
        pub const VIOLATION_CODES: &[(&str, &str)] = &[$(($code, $meaning)),+];
    };
}

violation_codes! {
    BODY_EMPTY = "body_empty": "The body holds nothing but white space.";
    UTF8_INVALID = "utf8_invalid": "The bytes are not UTF-8.";
    JSON_SYNTAX = "json_syntax": "The text is not JSON by RFC 8259.";
    TRAILING_BYTES = "trailing_bytes": "Something follows the JSON value.";
    KEY_DUPLICATE = "key_duplicate": "An object holds a key more than once, after its escapes are resolved.";
    DEPTH_EXCEEDED = "depth_exceeded": "Objects and arrays are nested deeper than 64 levels, the envelope included. What follows was not looked at.";
    EVENT_NOT_OBJECT = "event_not_object": "An event must be a JSON object.";
    BATCH_EMPTY = "batch_empty": "A batch must hold at least one event.";
    MEMBER_MISSING = "member_missing": "A required member is missing or null.";
    MEMBER_UNKNOWN = "member_unknown": "There is no such member; nothing is dropped silently.";
    MEMBER_ASSIGNED = "member_assigned": "The log assigns this member; a producer must not send it.";
    MEMBER_WRONG_TYPE = "member_wrong_type": "The member's JSON type is wrong.";
    STRING_EMPTY = "string_empty": "The string must not be empty.";
    STRING_TOO_LONG = "string_too_long": "The string has more than 255 characters.";
    STRING_CONTROL_CHARACTER = "string_control_character": "The string holds a control character.";
    STRING_LONE_SURROGATE = "string_lone_surrogate": "The string holds half of a surrogate pair as an escape.";
    ID_MALFORMED = "id_malformed": "An event's id must be visible ASCII characters without a dot.";
    TYPE_MALFORMED = "type_malformed": "An event's type must be 2 to 5 dotted segments of lower snake case, like sales.lead.status_changed.";
    TYPE_RESERVED = "type_reserved": "Types that begin with tidings. belong to Tidings.";
    TENANT_MALFORMED = "tenant_malformed": "A tenant's name must not hold a slash.";
    TENANT_RESERVED = "tenant_reserved": "Tenants whose name begins with $ belong to Tidings.";
    TIMESTAMP_MALFORMED = "timestamp_malformed": "A timestamp must be an RFC 3339 moment like 2026-03-15T10:00:00.000Z, in the years 0001 to 9999.";
    SOURCE_TYPE_UNKNOWN = "source_type_unknown": "A source's type must be one of service, workflow, task, integration, external, system.";
    CONTEXT_TYPE_UNKNOWN = "context_type_unknown": "A context's type must be one of client, user, global.";
    TRACEPARENT_MALFORMED = "traceparent_malformed": "A traceparent must have the shape that W3C Trace Context gives it.";
    DATA_NOT_OBJECT = "data_not_object": "An event's data must be a JSON object.";
    DATA_TOO_LARGE = "data_too_large": "An event's data has more than 256 KiB.";
    SPECVERSION_UNSUPPORTED = "specversion_unsupported": "A CloudEvent's specversion must be 1.0.";
    ATTRIBUTE_UNKNOWN = "attribute_unknown": "The CloudEvents attribute has no place in an event; nothing is dropped silently.";
    DATACONTENTTYPE_UNSUPPORTED = "datacontenttype_unsupported": "A CloudEvent's data must be application/json in UTF-8.";
    DATA_TWICE = "data_twice": "A CloudEvent must not hold both data and data_base64.";
    DATA_BASE64_MALFORMED = "data_base64_malformed": "The member data_base64 is not base64 by RFC 4648.";
    SOURCE_MALFORMED = "source_malformed": "A CloudEvent's source must be a URI reference.";
    DATASCHEMA_MALFORMED = "dataschema_malformed": "A CloudEvent's dataschema must be an absolute URI.";
    HEADER_NOT_UTF8 = "header_not_utf8": "A header's value is not UTF-8 once it is percent-decoded.";
    EVENT_ID_CONFLICT = "event_id_conflict": "The event's id is taken by an event with other content.";
    TENANT_FORBIDDEN = "tenant_forbidden": "The key does not open this event's tenant.";
    TYPE_FORBIDDEN = "type_forbidden": "The key does not own this event's type.";
    PROBE_INVALID = "probe_invalid": "An intent's probe is not understood.";
    FILTER_INVALID = "filter_invalid": "A pattern, its JSONPath or its regular expression is wrong or too large.";
    PARAMETER_UNKNOWN = "parameter_unknown": "The operation takes no parameter of this name.";
    PARAMETER_REPEATED = "parameter_repeated": "The parameter may be given once.";
    PARAMETER_MALFORMED = "parameter_malformed": "The parameter's value is not of the form that is expected.";
    PARAMETER_MISSING = "parameter_missing": "The parameter is required.";
    PARAMETER_CONFLICTING = "parameter_conflicting": "The parameter must not stand beside another that was given.";
    PARAMETER_INCOMPLETE = "parameter_incomplete": "The parameter needs another beside it.";
    HEADER_MALFORMED = "header_malformed": "The header's value is not of the form that is expected.";
    TEXT_MALFORMED = "text_malformed": "The text is empty, too long or holds a control character.";
    TOO_LONG = "too_long": "The value has too many bytes.";
    TOO_MANY = "too_many": "The list has too many entries.";
    TENANTS_WRONG = "tenants_wrong": "A key's tenants do not fit its role.";
    TYPE_PREFIXES_WRONG = "type_prefixes_wrong": "A key's type prefixes do not fit its role.";
    TYPE_PREFIX_MALFORMED = "type_prefix_malformed": "A type prefix must be segments of a type, like sales. or sales.lead.created.";
    VALUE_UNKNOWN = "value_unknown": "The value is none of the words that are known here.";
    NUMBER_OUT_OF_RANGE = "number_out_of_range": "The number lies outside its bounds.";
    URL_MALFORMED = "url_malformed": "The text is not an absolute http or https URL without credentials and fragment.";
    URL_FORBIDDEN = "url_forbidden": "The URL's scheme, port or address may not be requested by this server.";
    HEADER_RESERVED = "header_reserved": "Deliveries carry a header of this name by themselves, or it belongs to the connection.";
    SCHEDULE_WRONG = "schedule_wrong": "A retry schedule must be 1 to 20 waits of at most a week each, and at most 30 days together.";
    SECRET_MALFORMED = "secret_malformed": "A secret must be whsec_ or whsk_ and base64 of as many bytes as its scheme takes.";
    RANGE_WRONG = "range_wrong": "The range ends before it begins.";
    SERVICE_WRONG = "service_wrong": "A key's service does not fit its role, or is no id of a source.";
    NAME_MISMATCH = "name_mismatch": "The body names another entry than the path.";
    ENTRY_REPEATED = "entry_repeated": "The change names the same entry more than once.";
    SOURCE_UNREADABLE = "source_unreadable": "The source of an entry of the catalog cannot be read as far as its name and version.";
    ENTRY_NOT_FOUND = "entry_not_found": "The catalog has no such entry.";
    TYPE_UNKNOWN = "type_unknown": "The catalog has no definition of the event's type.";
    VERSION_UNKNOWN = "version_unknown": "The catalog knows the event's type, but not this version of it.";
    TYPE_SUNSET = "type_sunset": "This version of the event's type is deprecated, and the day until which it was taken has passed.";
    TYPE_NOT_OWNED = "type_not_owned": "The type is owned by another service than the one in whose name the event is sent.";
    SOURCE_NOT_OWN = "source_not_own": "The key belongs to a service, and the event's source is not that service.";
    KEY_WITHOUT_SERVICE = "key_without_service": "A type that the catalog knows is emitted only with a key that belongs to a service.";
    SCHEMA_TYPE = "schema_type": "The value's JSON type is none that the schema allows.";
    SCHEMA_REQUIRED = "schema_required": "A member that the schema requires is missing.";
    SCHEMA_UNKNOWN_MEMBER = "schema_unknown_member": "The schema does not allow a member or an item here.";
    SCHEMA_ENUM = "schema_enum": "The value is none of those that the schema lists.";
    SCHEMA_CONST = "schema_const": "The value is not the one that the schema demands.";
    SCHEMA_FORMAT = "schema_format": "The string is not of the format that the schema demands.";
    SCHEMA_PATTERN = "schema_pattern": "The string does not match the schema's pattern.";
    SCHEMA_RANGE = "schema_range": "The number lies outside the bounds of the schema, or is no multiple of what it names.";
    SCHEMA_LENGTH = "schema_length": "The string is shorter or longer than the schema allows.";
    SCHEMA_ITEMS = "schema_items": "The array has too few or too many items, repeats one, or does not contain what the schema demands.";
    SCHEMA_MEMBERS = "schema_members": "The object has too few or too many members, or a name that the schema forbids, or lacks a member that another one demands.";
    SCHEMA_COMBINATION = "schema_combination": "The value fits none of the schema's alternatives, or too many of them, or what it must not fit.";
    SCHEMA_FALSE = "schema_false": "The schema allows no value here.";
    SCHEMA_NOT_JUDGED = "schema_not_judged": "Judging the data by the schema would take too long.";
    ENTITY_MISSING = "entity_missing": "The type's definition names an entity, and the event has none.";
    ENTITY_MISMATCH = "entity_mismatch": "The event's entity is not the one that its type's definition names.";
    RULE_FAILED = "rule_failed": "The data breaks a rule of the type's definition.";
    RULE_NOT_JUDGED = "rule_not_judged": "A rule of the type's definition could not be judged for this data.";
    TRANSITION_FORBIDDEN = "transition_forbidden": "The entity must not go from the state that its newest event names to this one.";
    INITIAL_STATE_FORBIDDEN = "initial_state_forbidden": "The entity has no earlier event of the types, and must not begin in this state.";
    QUARANTINE_FULL = "quarantine_full": "The event would have been kept aside, but the tenant's quarantine is full.";
}

/// A code that this version does not know, from a newer server say, is read as `unknown`; the message still says
/// what is wrong.
impl<'de> Deserialize<'de> for Violation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Document {
            path: String,
            code: String,
            message: String,
        }
        let Document { path, code, message } = Document::deserialize(deserializer)?;
        let known = VIOLATION_CODES.iter().find(|(known, _)| *known == code);
        Ok(Self { path, code: known.map_or("unknown", |(known, _)| known), message })
    }
}

/// Why a body that should carry events is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// [`ErrorCode::BodyMalformed`], [`ErrorCode::EventInvalid`], [`ErrorCode::BatchTooLarge`] or
    /// [`ErrorCode::BodyTooLarge`].
    pub code: ErrorCode,
    /// The first violation in words, and how many more there are.
    pub detail: String,
    /// The broken rules in the order in which they were met; at most [`VIOLATIONS_MAX`].
    pub violations: Vec<Violation>,
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Rejection {}

/// The way to a member, on the stack: a path is spelled only for what is wrong.
#[derive(Clone, Copy)]
pub(crate) enum At<'p> {
    Root,
    Index(&'p At<'p>, usize),
    Key(&'p At<'p>, &'p str),
}

impl At<'_> {
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        self.write(&mut path);
        path
    }

    fn write(&self, path: &mut String) {
        match self {
            Self::Root => {}
            Self::Index(parent, index) => {
                parent.write(path);
                json::push_step(path, &index.to_string());
            }
            Self::Key(parent, key) => {
                parent.write(path);
                json::push_step(path, key);
            }
        }
    }
}

/// Collects violations up to their bound.
#[derive(Default)]
pub(crate) struct Report {
    violations: Vec<Violation>,
    left_out: usize,
}

impl Report {
    pub(crate) fn is_empty(&self) -> bool {
        self.violations.is_empty()
    }

    #[cold]
    pub(crate) fn add(&mut self, at: At<'_>, code: &'static str, message: impl Into<String>) {
        self.push(Violation { path: at.path(), code, message: message.into() });
    }

    #[cold]
    pub(crate) fn push(&mut self, violation: Violation) {
        // A duplicate key is met by the scanner and again by who reads the members.
        if self.violations.iter().any(|known| known.path == violation.path && known.code == violation.code) {
            return;
        }
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(violation);
        } else {
            self.left_out += 1;
        }
    }

    /// What is wrong with a text of the envelope; `malformed` is the code where the characters are.
    #[cold]
    pub(crate) fn add_text(&mut self, at: At<'_>, error: TextError, malformed: &'static str) {
        let code = match error {
            TextError::Empty => code::STRING_EMPTY,
            TextError::TooLong => code::STRING_TOO_LONG,
            TextError::Malformed(_) => malformed,
        };
        self.add(at, code, error.to_string());
    }

    /// The answer once everything was looked at.
    #[cold]
    pub(crate) fn reject(self) -> Rejection {
        Self::rejection(ErrorCode::EventInvalid, self.violations, self.left_out)
    }

    /// The answer when reading had to stop. `at` says where the body stands. Where the text itself is broken, that
    /// alone counts: what was found before may be a consequence of it.
    #[cold]
    pub(crate) fn stop(mut self, fault: &Fault, body: &[u8], at: At<'_>) -> Rejection {
        let mut violation = of_fault(fault, body);
        violation.path.insert_str(0, &at.path());
        if fault.wrong == Wrong::Depth {
            self.push(violation);
            return self.reject();
        }
        Self::rejection(ErrorCode::BodyMalformed, vec![violation], 0)
    }

    fn rejection(code: ErrorCode, violations: Vec<Violation>, left_out: usize) -> Rejection {
        let mut detail = violations.first().map_or_else(String::new, |first| match first.path.as_str() {
            "" => first.message.clone(),
            path => format!("{path}: {}", first.message),
        });
        match violations.len().saturating_sub(1) + left_out {
            0 => {}
            more => detail.push_str(&format!(" (and {more} more)")),
        }
        Rejection { code, detail, violations }
    }
}

/// Puts a fault of the text into words.
#[cold]
pub(crate) fn of_fault(fault: &Fault, body: &[u8]) -> Violation {
    let code = match fault.wrong {
        Wrong::Empty => code::BODY_EMPTY,
        Wrong::Utf8 => code::UTF8_INVALID,
        Wrong::Syntax(_) | Wrong::TooLong => code::JSON_SYNTAX,
        Wrong::Trailing => code::TRAILING_BYTES,
        Wrong::Depth => code::DEPTH_EXCEEDED,
        Wrong::Duplicate => code::KEY_DUPLICATE,
    };
    let (line, column) = json::line_and_column(body, fault.offset);
    Violation {
        path: json::path_at(body, fault.offset),
        code,
        message: format!("{} (line {line}, column {column})", fault.wrong),
    }
}
