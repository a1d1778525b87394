//! What becomes of an intent whose producer never came back: the typed question to ask, and what follows from the
//! answer. Never a guess.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::limits::{PROBE_BYTES_MAX, PROBE_KEY_COLUMNS_MAX, PROBE_URL_CHARS_MAX, STALE_AFTER_S_MAX};

/// Whose database answers a row probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The one in which the intent lies, unless the probe names another configured source.
    Platform,
    /// The configured source that the probe names.
    Project,
}

/// How to find out whether the change that an intent speaks of was made.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// Is there such a row?
    Row {
        /// Whose database.
        scope: Scope,
        /// The configured source to ask; always named where the scope is `project`.
        source: Option<String>,
        /// The table, `orders` or `shop.orders`.
        table: String,
        /// Columns and the values they must have: strings, integers or booleans.
        key: BTreeMap<String, Value>,
        /// A column that must hold at least this number, where the change is a new revision of a row.
        revision: Option<(String, i64)>,
    },
    /// Does a GET of this URL find something? 2xx: yes; 404 or 410: no; anything else tells nothing.
    Http {
        /// Absolute, `http` or `https`.
        url: String,
    },
}

/// What stands in the outbox's `probe` column: the probe, and after how many seconds the intent is stale.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stored {
    /// Nothing where the producer gave no way to find out; the intent then waits for a person.
    pub probe: Option<Probe>,
    /// Seconds; the server's default where it is left out.
    pub stale_after_s: Option<u32>,
}

/// Why a probe cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ProbeError {
    /// Where in the probe, as a JSON pointer; empty for the probe itself.
    pub path: String,
    /// What is wrong, as a sentence.
    pub message: String,
}

fn error<T>(path: &str, message: impl Into<String>) -> Result<T, ProbeError> {
    Err(ProbeError { path: path.to_owned(), message: message.into() })
}

impl Stored {
    /// Reads what a producer wrote into the `probe` column: a probe object which may also hold `stale_after_s`, or
    /// only that.
    pub fn parse(json: &[u8]) -> Result<Self, ProbeError> {
        let mut members = object(json)?;
        let stale_after_s = match members.remove("stale_after_s") {
            None | Some(Value::Null) => None,
            Some(value) => Some(stale_after_s(&value)?),
        };
        let probe = if members.is_empty() { None } else { Some(Probe::read(members)?) };
        Ok(Self { probe, stale_after_s })
    }

    /// The text for the `probe` column; nothing where there is nothing to say.
    #[must_use]
    pub fn to_json(&self) -> Option<Vec<u8>> {
        let mut members = self.probe.as_ref().map(Probe::to_members).unwrap_or_default();
        if let Some(seconds) = self.stale_after_s {
            members.insert("stale_after_s".to_owned(), seconds.into());
        }
        (!members.is_empty()).then(|| Value::Object(members).to_string().into_bytes())
    }
}

/// Reads a `stale_after_s`: whole seconds, from 1 to [`STALE_AFTER_S_MAX`].
pub fn stale_after_s(value: &Value) -> Result<u32, ProbeError> {
    match value.as_u64().and_then(|seconds| u32::try_from(seconds).ok()) {
        Some(seconds @ 1..=STALE_AFTER_S_MAX) => Ok(seconds),
        _ => error("/stale_after_s", format!("must be whole seconds from 1 to {STALE_AFTER_S_MAX}")),
    }
}

fn object(json: &[u8]) -> Result<Map<String, Value>, ProbeError> {
    if json.len() > PROBE_BYTES_MAX {
        return error("", format!("a probe has at most {PROBE_BYTES_MAX} bytes"));
    }
    match serde_json::from_slice(json) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => error("", "must be an object"),
        Err(_) => error("", "not JSON"),
    }
}

impl Probe {
    /// Reads a probe: `{"kind":"row","scope":"platform|project","source":"…","table":"…","key":{…},"revision":…}` or
    /// `{"kind":"http","url":"…"}`. A `revision` is `{"column":"version","value":3}`, or the number alone where the
    /// column is called `revision`.
    pub fn parse(json: &[u8]) -> Result<Self, ProbeError> {
        Self::read(object(json)?)
    }

    fn read(mut members: Map<String, Value>) -> Result<Self, ProbeError> {
        let probe = match take_text(&mut members, "kind")?.as_deref() {
            Some("row") => Self::read_row(&mut members)?,
            Some("http") => Self::Http { url: read_url(&mut members)? },
            Some(_) => return error("/kind", "must be 'row' or 'http'"),
            None => return error("/kind", "is missing"),
        };
        match members.keys().next() {
            Some(name) => error(&pointer(name), "is not known here"),
            None => Ok(probe),
        }
    }

    fn read_row(members: &mut Map<String, Value>) -> Result<Self, ProbeError> {
        let scope = match take_text(members, "scope")?.as_deref() {
            None | Some("platform") => Scope::Platform,
            Some("project") => Scope::Project,
            Some(_) => return error("/scope", "must be 'platform' or 'project'"),
        };
        let source = take_text(members, "source")?;
        if source.as_ref().is_some_and(String::is_empty) {
            return error("/source", "must not be empty");
        }
        if scope == Scope::Project && source.is_none() {
            return error("/source", "is missing: scope 'project' needs the name of a configured source");
        }
        let Some(table) = take_text(members, "table")? else { return error("/table", "is missing") };
        if table.split('.').count() > 2 || !table.split('.').all(is_identifier) {
            return error("/table", "must be a table's name, like 'orders' or 'shop.orders'");
        }
        let key = read_key(members.remove("key"))?;
        let revision = read_revision(members.remove("revision"))?;
        Ok(Self::Row { scope, source, table, key, revision })
    }

    /// The probe as JSON, as [`Probe::parse`] reads it.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Value::Object(self.to_members()).to_string().into_bytes()
    }

    fn to_members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        match self {
            Self::Http { url } => {
                put("kind", "http".into());
                put("url", url.as_str().into());
            }
            Self::Row { scope, source, table, key, revision } => {
                put("kind", "row".into());
                put("scope", if *scope == Scope::Platform { "platform" } else { "project" }.into());
                if let Some(source) = source {
                    put("source", source.as_str().into());
                }
                put("table", table.as_str().into());
                put("key", Value::Object(key.iter().map(|(name, value)| (name.clone(), value.clone())).collect()));
                if let Some((column, value)) = revision {
                    put("revision", serde_json::json!({ "column": column, "value": value }));
                }
            }
        }
        members
    }
}

fn take_text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, ProbeError> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => error(&pointer(name), "must be a string"),
    }
}

fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Letters, digits and underscores, as databases take them without quotes. Quoting is no matter of trust here: the
/// store quotes what it is given.
fn is_identifier(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn read_key(key: Option<Value>) -> Result<BTreeMap<String, Value>, ProbeError> {
    let key = match key {
        Some(Value::Object(key)) => key,
        Some(_) => return error("/key", "must be an object of columns and values"),
        None => return error("/key", "is missing"),
    };
    if !(1..=PROBE_KEY_COLUMNS_MAX).contains(&key.len()) {
        return error("/key", format!("must name 1 to {PROBE_KEY_COLUMNS_MAX} columns"));
    }
    for (column, value) in &key {
        let at = format!("/key{}", pointer(column));
        if !is_identifier(column) {
            return error(&at, "is not a column's name");
        }
        if !(value.is_string() || value.is_boolean() || value.is_i64()) {
            return error(&at, "must be a string, an integer of 64 bits or a boolean");
        }
    }
    Ok(key.into_iter().collect())
}

fn read_revision(revision: Option<Value>) -> Result<Option<(String, i64)>, ProbeError> {
    const SHAPE: &str = "must be {\"column\": …, \"value\": …} or an integer";
    match revision {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(value) => Ok(Some(("revision".to_owned(), value))),
            None => error("/revision", SHAPE),
        },
        Some(Value::Object(members)) => match (members.get("column"), members.get("value"), members.len()) {
            (Some(Value::String(column)), Some(value), 2) if is_identifier(column) && value.is_i64() => {
                Ok(value.as_i64().map(|value| (column.clone(), value)))
            }
            _ => error("/revision", SHAPE),
        },
        Some(_) => error("/revision", SHAPE),
    }
}

fn read_url(members: &mut Map<String, Value>) -> Result<String, ProbeError> {
    let Some(url) = take_text(members, "url")? else { return error("/url", "is missing") };
    if url.chars().count() > PROBE_URL_CHARS_MAX {
        return error("/url", format!("must have at most {PROBE_URL_CHARS_MAX} characters"));
    }
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']));
    if !has_host || !url.bytes().all(|b| b.is_ascii_graphic()) {
        return error("/url", "must be an absolute http or https URL");
    }
    Ok(url)
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The change was made.
    Exists,
    /// The change was not made.
    Missing,
    /// The question could not be answered, and why.
    CannotTell(String),
}

/// What becomes of the intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Its event is a fact.
    Confirm,
    /// Its event never happened.
    Discard,
    /// It stays, and is counted once more.
    Keep {
        /// Whether somebody has to be told.
        report: bool,
    },
}

/// Decides on a stale intent. `attempts` is how often the answer was "cannot tell" before this one: somebody is told
/// at the first time only. The report comes before the count, and its id is made of the intent, so a crash between
/// the two repeats a report that the log then knows as a duplicate.
#[must_use]
pub fn decide(answer: &Answer, attempts: u32) -> Decision {
    match answer {
        Answer::Exists => Decision::Confirm,
        Answer::Missing => Decision::Discard,
        Answer::CannotTell(_) => Decision::Keep { report: attempts == 0 },
    }
}

/// How long to leave an intent alone after so many times that its probe could not tell: 1 s, doubling to 5 minutes.
#[must_use]
pub fn retry_after(attempts: u32) -> Duration {
    const LONGEST_S: u64 = 300;
    Duration::from_secs(1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(LONGEST_S).min(LONGEST_S))
}
