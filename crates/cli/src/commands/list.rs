//! Lists of the API, page by page.

use http::Method;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::http::{Api, segment};

/// How much of a list is wanted.
#[derive(Debug, clap::Args)]
pub(crate) struct Paging {
    /// The most entries
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    /// All entries, page by page
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
    /// Continue where an earlier answer ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
}

/// Entries that one request asks for at most.
const PAGE: usize = 1_000;

/// Reads a list at a path (with its query) until there is enough. Gives the entries and the cursor after them.
pub(crate) async fn read(api: &Api, path: &str, paging: &Paging) -> Result<(Vec<Value>, Option<String>), Failure> {
    let mut entries = Vec::new();
    let mut cursor = paging.cursor.clone();
    loop {
        let wanted = if paging.all { PAGE } else { paging.limit.saturating_sub(entries.len()).min(PAGE) };
        if wanted == 0 {
            return Ok((entries, cursor));
        }
        let join = if path.contains('?') { '&' } else { '?' };
        let after = cursor.as_deref().map(|cursor| format!("&cursor={}", segment(cursor))).unwrap_or_default();
        let mut page = api.call(Method::GET, &format!("{path}{join}limit={wanted}{after}"), None).await?;
        if let Some(Value::Array(found)) = page.get_mut("data").map(Value::take) {
            entries.extend(found);
        }
        cursor = page.get("cursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            return Ok((entries, None));
        }
    }
}

/// Parameters that were given as a query, with its question mark; nothing where there are none.
pub(crate) fn query(parameters: &[(&str, Option<&str>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}", segment((*value)?))));
    let given: Vec<String> = given.collect();
    if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) }
}

/// A list as the API gives it.
pub(crate) fn as_json(entries: &[Value], cursor: Option<&str>) -> Value {
    json!({"data": entries, "cursor": cursor})
}

/// A member's text; a dash where there is none.
pub(crate) fn text(entry: &Value, pointer: &str) -> String {
    match entry.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => crate::term::tame(text),
        Some(Value::Array(items)) if items.is_empty() => "-".to_owned(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), crate::term::tame))
            .collect::<Vec<_>>()
            .join(", "),
        Some(other) => other.to_string(),
    }
}
