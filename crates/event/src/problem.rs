//! Problem documents (RFC 9457): how an error is told.

use serde::{Deserialize, Serialize};

use crate::{ErrorCode, Rejection, Violation};

/// Where the page of an error code is found; the code follows.
pub const ERROR_PAGES: &str = "https://tidings.dev/errors/";

/// An error as it is answered, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Document")]
pub struct Problem {
    /// What went wrong, by its stable name; gives `type`, `title` and `status`.
    pub code: ErrorCode,
    /// What went wrong this time, for a person.
    pub detail: String,
    /// The broken rules, where the code alone does not say enough; otherwise empty.
    pub errors: Vec<Violation>,
}

impl Problem {
    /// The media type.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";

    /// A problem without a list of broken rules.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new() }
    }

    /// The URI that names this kind of problem.
    #[must_use]
    pub fn type_uri(&self) -> String {
        format!("{ERROR_PAGES}{}", self.code)
    }

    /// The document as JSON text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers can always be written")
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        Self { code: rejection.code, detail: rejection.detail, errors: rejection.violations }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut document = serializer.serialize_struct("Problem", 6)?;
        document.serialize_field("type", &self.type_uri())?;
        document.serialize_field("title", self.code.title())?;
        document.serialize_field("status", &self.code.status())?;
        document.serialize_field("detail", &self.detail)?;
        document.serialize_field("code", &self.code)?;
        document.serialize_field("errors", &self.errors)?;
        document.end()
    }
}

/// What is read of a document: the rest follows from the code.
#[derive(Deserialize)]
struct Document {
    code: ErrorCode,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<Violation>,
}

impl From<Document> for Problem {
    fn from(Document { code, detail, errors }: Document) -> Self {
        Self { code, detail, errors }
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&code).ok_or_else(|| serde::de::Error::custom(format_args!("there is no error code '{code}'")))
    }
}
