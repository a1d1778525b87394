//! The index that the search looks into: a script that assigns one document, so that it works from a folder too.

use serde_json::{Value, json};

use super::model::{Known, Model};

/// Member names of one type that can be searched for.
const MEMBERS_MAX: usize = 300;

/// The script.
pub(super) fn index(model: &Model<'_>) -> String {
    let entries: Vec<Value> = model.types.iter().map(entry).collect();
    let text = Value::from(entries).to_string();
    let mut script = String::with_capacity(text.len() + 64);
    script.push_str("globalThis.tidingsIndex=");
    for c in text.chars() {
        match c {
            // Would end a script or a line in some readers, wherever this text is put.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => script.push_str(&format!("\\u{:04x}", u32::from(c))),
            other => script.push(other),
        }
    }
    script.push_str(";\n");
    script
}

/// Name, path, description, owner, stage, members.
fn entry(known: &Known<'_>) -> Value {
    let current = known.current();
    let mut members: Vec<&str> = Vec::new();
    for row in known.versions.iter().flat_map(|version| &version.rows) {
        if members.len() < MEMBERS_MAX && !members.contains(&row.path.as_str()) {
            members.push(&row.path);
        }
    }
    json!([
        known.name.as_str(),
        known.path(),
        current.description,
        current.owner,
        current.lifecycle.stage.as_str(),
        members
    ])
}
