//! Row probes on an SQLite file.

use std::collections::BTreeMap;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, ErrorCode, params_from_iter};
use serde_json::Value;

use crate::source::{ProbeAnswer, RowProbe};

/// What SQLite makes of a column's declared type when it compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Affinity {
    Integer,
    Real,
    Text,
    Numeric,
    /// None: values compare by how they happen to be stored.
    Blob,
}

/// Whether there is such a row.
pub(super) fn ask(connection: &Connection, probe: &RowProbe) -> rusqlite::Result<ProbeAnswer> {
    match look(connection, probe) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Ok(ProbeAnswer::CannotTell("the probe took too long; is there an index on its columns?".to_owned()))
        }
        // A statement that cannot be prepared: a view over something that is not there, for instance.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => {
            Ok(ProbeAnswer::CannotTell(error.to_string()))
        }
        answer => answer,
    }
}

fn look(connection: &Connection, probe: &RowProbe) -> rusqlite::Result<ProbeAnswer> {
    let cannot = |reason: String| Ok(ProbeAnswer::CannotTell(reason));
    let table = match probe.table.split_once('.') {
        None => probe.table.as_str(),
        Some(("main", table)) => table,
        Some(_) => return cannot("SQLite has no schema but main".to_owned()),
    };
    let lower = table.to_ascii_lowercase();
    if lower.starts_with("sqlite_") || lower.starts_with("tidings_") {
        return cannot(format!("the table {table} is not for probes"));
    }
    if probe.key.is_empty() {
        return cannot("the probe names no column".to_owned());
    }
    let columns = columns(connection, table)?;
    if columns.is_empty() {
        return cannot(format!("there is no table {table}"));
    }

    let mut conditions = Vec::new();
    let mut values = Vec::new();
    let mut certain = true;
    for (column, value) in &probe.key {
        let Some(affinity) = columns.get(&column.to_ascii_lowercase()) else {
            return cannot(format!("the table {table} has no column {column}"));
        };
        let Some(value) = bind(value, *affinity) else {
            return cannot(format!("the value for column {column} does not fit its type"));
        };
        // A value that is stored in another form than the probe's is not equal though it may mean the same.
        certain &= *affinity != Affinity::Blob;
        values.push(value);
        conditions.push(format!("{} = ?{}", quote(column), values.len()));
    }
    if let Some((column, least)) = &probe.revision {
        match columns.get(&column.to_ascii_lowercase()) {
            None => return cannot(format!("the table {table} has no column {column}")),
            Some(Affinity::Text | Affinity::Blob) => return cannot(format!("the column {column} holds no numbers")),
            Some(_) => {}
        }
        values.push(Sql::Integer(*least));
        conditions.push(format!("{} >= ?{}", quote(column), values.len()));
    }

    let sql = format!("select exists (select 1 from main.{} where {})", quote(table), conditions.join(" and "));
    let exists = connection.query_row(&sql, params_from_iter(values), |row| row.get(0))?;
    Ok(match (exists, certain) {
        (true, _) => ProbeAnswer::Exists,
        (false, true) => ProbeAnswer::Missing,
        (false, false) => ProbeAnswer::CannotTell(
            "a column of the key has no type, so its values may be stored in another form".into(),
        ),
    })
}

/// The table's columns by lower-case name; empty when there is no such table.
fn columns(connection: &Connection, table: &str) -> rusqlite::Result<BTreeMap<String, Affinity>> {
    let mut statement = connection.prepare_cached("select lower(name), type from pragma_table_xinfo(?1, 'main')")?;
    let rows = statement.query_map([table], |row| Ok((row.get(0)?, affinity(&row.get::<_, String>(1)?))))?;
    rows.collect()
}

/// The rules of SQLite's documentation, in their order.
fn affinity(declared: &str) -> Affinity {
    let declared = declared.to_ascii_uppercase();
    let has = |word: &str| declared.contains(word);
    if has("INT") {
        Affinity::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if has("BLOB") || declared.is_empty() || has("ANY") {
        Affinity::Blob
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

/// The value as SQLite compares it with the column; nothing when it can never be equal to what the column holds.
fn bind(value: &Value, affinity: Affinity) -> Option<Sql> {
    match value {
        Value::Bool(value) if affinity == Affinity::Text => Some(Sql::Text(value.to_string())),
        Value::Bool(value) => Some(Sql::Integer(i64::from(*value))),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Some(Sql::Integer(number)),
            None if affinity == Affinity::Integer => None,
            None => number.as_f64().map(Sql::Real),
        },
        Value::String(text) => match affinity {
            Affinity::Integer => text.parse().ok().map(Sql::Integer),
            Affinity::Real => text.parse().ok().map(Sql::Real),
            _ => Some(Sql::Text(text.clone())),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
