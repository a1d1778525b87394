//! What a validator says of a witness, in one plain sentence.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

/// Values longer than this are not written out.
const SHOWN_MAX: usize = 60;

/// Where a document breaks a schema, and how; `None` if it does not.
pub(super) fn explain(validator: &Validator, document: &Value) -> Option<(String, String)> {
    // The deepest error says most.
    let errors: Vec<_> = validator.iter_errors(document).collect();
    let innermost = errors.iter().map(innermost);
    let deepest = innermost.max_by_key(|error| error.instance_path().as_str().matches('/').count())?;
    let path = match deepest.kind() {
        ValidationErrorKind::Required { property: Value::String(name) } => {
            super::document::join(deepest.instance_path().as_str(), name)
        }
        _ => deepest.instance_path().as_str().to_owned(),
    };
    Some((path, sentence(deepest.kind(), deepest)))
}

/// Where only one branch was meant, what that one says.
fn innermost<'e, 'i>(error: &'e ValidationError<'i>) -> &'e ValidationError<'i> {
    let branches = match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => context,
        _ => return error,
    };
    // A branch that fails at the document itself, or at what tells branches apart, was not meant.
    let meant: Vec<_> = branches
        .iter()
        .filter(|branch| {
            !branch.iter().any(|error| {
                matches!(
                    error.kind(),
                    ValidationErrorKind::Type { .. }
                        | ValidationErrorKind::Constant { .. }
                        | ValidationErrorKind::Enum { .. }
                )
            })
        })
        .collect();
    match meant.as_slice() {
        [branch] => branch.first().map_or(error, innermost),
        _ => error,
    }
}

fn sentence(kind: &ValidationErrorKind, error: &ValidationError<'_>) -> String {
    use ValidationErrorKind as Kind;
    let at = error.instance_path().as_str();
    let place = if at.is_empty() { "the document".to_owned() } else { format!("'{at}'") };
    let value = shown(error.instance());
    let members = |names: &[String]| names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    match kind {
        Kind::Required { property: Value::String(name) } if at.is_empty() => {
            format!("the member '{name}' is required, and documents without it exist")
        }
        Kind::Required { property: Value::String(name) } => {
            format!("the member '{name}' of '{at}' is required, and documents without it exist")
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            format!("{place} may not have the member {}, and documents with it exist", members(unexpected))
        }
        Kind::Type { kind } => format!("{place} must be {}, and may be {value}", types(kind)),
        Kind::Enum { options } => format!("{place} must be one of {}, and may be {value}", shown(options)),
        Kind::Constant { expected_value } => format!("{place} must be {}, and may be {value}", shown(expected_value)),
        Kind::Minimum { limit } => format!("{place} must be at least {limit}, and may be {value}"),
        Kind::Maximum { limit } => format!("{place} must be at most {limit}, and may be {value}"),
        Kind::ExclusiveMinimum { limit } => format!("{place} must be more than {limit}, and may be {value}"),
        Kind::ExclusiveMaximum { limit } => format!("{place} must be less than {limit}, and may be {value}"),
        Kind::MultipleOf { multiple_of } => format!("{place} must be a multiple of {multiple_of}, and may be {value}"),
        Kind::MinLength { limit } => format!("{place} must have at least {limit} characters, and may be {value}"),
        Kind::MaxLength { limit } => format!("{place} must have at most {limit} characters, and may be longer"),
        Kind::Pattern { pattern } => format!("{place} must match {pattern}, and may be {value}"),
        Kind::Format { format } => format!("{place} must be of the format {format}, and may be {value}"),
        Kind::MinItems { limit } => format!("{place} must have at least {limit} elements, and may have fewer"),
        Kind::MaxItems { limit } => format!("{place} must have at most {limit} elements, and may have more"),
        Kind::MinProperties { limit } => format!("{place} must have at least {limit} members, and may have fewer"),
        Kind::MaxProperties { limit } => format!("{place} must have at most {limit} members, and may have more"),
        Kind::UniqueItems => format!("no two elements of {place} may be the same, and they may be"),
        Kind::Contains => {
            format!("{place} does not hold the elements that it must hold, and documents like that exist")
        }
        Kind::FalseSchema => format!("{place} may not be there, and documents with it exist"),
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => format!("no branch accepts {place}, which may be {value}"),
        Kind::OneOfMultipleValid { .. } => {
            format!("more than one branch accepts {place}, which may be {value}, and only one may")
        }
        Kind::Not { .. } => format!("{place} is what it may not be, and may be {value}"),
        Kind::PropertyNames { .. } => {
            format!("the name of a member of {place} is not allowed, and documents with it exist")
        }
        _ => format!("{place} does not fulfil {}, and may be {value}", kind.keyword()),
    }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(single) => format!("of type {single}"),
        TypeKind::Multiple(many) => {
            format!("of type {}", many.iter().map(|kind| kind.to_string()).collect::<Vec<_>>().join(" or "))
        }
    }
}

/// A value as JSON, or what it is where that would be long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN_MAX {
        return text;
    }
    match value {
        Value::Array(_) => format!("{}…", text.chars().take(SHOWN_MAX).collect::<String>()),
        Value::Object(_) => "an object".to_owned(),
        _ => format!("{}…", text.chars().take(SHOWN_MAX).collect::<String>()),
    }
}
