//! Failures.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::CatalogReport;

/// Why a call failed: a problem document (RFC 9457).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A page about the code.
    #[schema(format = "uri", example = "https://tidings.dev/errors/event_invalid")]
    pub r#type: String,
    /// What kind of problem it is, in words; the same for every occurrence.
    #[schema(example = "The event is not valid")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What is wrong this time, in words.
    pub detail: String,
    /// The stable code to act on.
    #[schema(example = "event_invalid")]
    pub code: String,
    /// What is wrong and where, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Violation>,
    /// With `cursor_expired`: the oldest cursor from which the feed can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_cursor: Option<String>,
    /// With `definition_invalid` and `catalog_breaking`: all that was found about the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<CatalogReport>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Violation {
    /// Where: a JSON pointer (RFC 6901) into the body, or `query/…`, `path/…`, `header/…`.
    #[schema(example = "/data/amount")]
    pub path: String,
    /// A stable code.
    #[schema(example = "type_malformed")]
    pub code: String,
    /// What, in words.
    pub message: String,
}
