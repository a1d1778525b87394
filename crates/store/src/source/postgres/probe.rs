//! Row probes on a PostgreSQL database.

use std::collections::HashMap;

use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};

use super::link::Open;
use super::{SourceError, classify, get, text_of};
use crate::source::{ProbeAnswer, RowProbe};

/// Schemas that hold no application's rows.
const CLOSED_SCHEMAS: &[&str] = &["tidings", "pg_catalog", "information_schema", "pg_toast"];

/// $1 the quoted name, $2 column names. One row for each column that there is; one with nulls when there is none of
/// them. Whether the rows that this role sees are all there are is asked too: a policy hides rows, and what is hidden
/// is not missing.
const DESCRIBE: &str = "\
select n.nspname::text, c.relkind::text, row_security_active(c.oid), has_any_column_privilege(c.oid, 'select'), \
a.attname::text, format_type(a.atttypid, -1), t.typcategory = 'N' \
from pg_class c join pg_namespace n on n.oid = c.relnamespace \
left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attname = any ($2) \
left join pg_type t on t.oid = a.atttypid \
where c.oid = to_regclass($1)";

/// Whether there is such a row.
pub(super) async fn ask(client: &Open, probe: &RowProbe) -> Result<ProbeAnswer, SourceError> {
    let parts: Vec<&str> = probe.table.split('.').collect();
    if parts.len() > 2 || parts.iter().any(|part| part.is_empty() || part.contains('\0')) {
        return cannot(format!("{} is not a table's name", probe.table));
    }
    if probe.key.is_empty() {
        return cannot("the probe names no column".to_owned());
    }
    let table = parts.iter().map(|part| quote(part)).collect::<Vec<_>>().join(".");
    let types = match describe(client, &table, probe).await? {
        Ok(types) => types,
        Err(reason) => return cannot(reason),
    };

    let mut values = Vec::new();
    let mut conditions = Vec::new();
    for (column, value) in &probe.key {
        let (Some((kind, _)), Some(value)) = (types.get(column), as_text(value)) else {
            return cannot(format!("there is no column {column}, or its value is neither string, number nor boolean"));
        };
        values.push(value);
        conditions.push(condition(column, "=", values.len(), kind));
    }
    if let Some((column, least)) = &probe.revision {
        let Some((kind, true)) = types.get(column).map(|(kind, is_number)| (kind, *is_number)) else {
            return cannot(format!("there is no column {column}, or it holds no numbers"));
        };
        values.push(least.to_string());
        conditions.push(condition(column, ">=", values.len(), kind));
    }
    let sql = format!("select exists (select from {table} where {})", conditions.join(" and "));
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
        values.iter().map(|value| (value as &(dyn ToSql + Sync), Type::TEXT)).collect();
    match client.query_one(&sql, &parameters).await {
        Ok(row) if get(&row, 0)? => Ok(ProbeAnswer::Exists),
        Ok(_) => Ok(ProbeAnswer::Missing),
        Err(error) if is_senseless(&error) => cannot(text_of(&error)),
        Err(error) => Err(classify(&error)),
    }
}

/// Each column's type, and whether it holds numbers.
type Types = HashMap<String, (String, bool)>;

/// The types of the probe's columns, or why the probe cannot be answered.
async fn describe(client: &Open, table: &str, probe: &RowProbe) -> Result<Result<Types, String>, SourceError> {
    let columns: Vec<&str> = probe
        .key
        .keys()
        .map(String::as_str)
        .chain(probe.revision.as_ref().map(|(column, _)| column.as_str()))
        .collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&table, Type::TEXT), (&columns, Type::TEXT_ARRAY)];
    let rows = match client.query(DESCRIBE, &parameters).await {
        Ok(rows) => rows,
        Err(error) if is_senseless(&error) => return Ok(Err(text_of(&error))),
        Err(error) => return Err(classify(&error)),
    };
    let Some(first) = rows.first() else { return Ok(Err(format!("there is no table {}", probe.table))) };
    let (schema, kind): (&str, &str) = (get(first, 0)?, get(first, 1)?);
    if CLOSED_SCHEMAS.contains(&schema) {
        return Ok(Err(format!("the schema {schema} is not for probes")));
    }
    if !["r", "p", "v", "m", "f"].contains(&kind) {
        return Ok(Err(format!("{} is not a table", probe.table)));
    }
    if !get::<bool>(first, 3)? {
        return Ok(Err(format!("no right to read {}", probe.table)));
    }
    if get::<bool>(first, 2)? {
        return Ok(Err(format!("row level security hides rows of {} from this role", probe.table)));
    }
    let mut types = HashMap::new();
    for row in &rows {
        if let (Some(column), Some(kind)) = (get::<Option<String>>(row, 4)?, get::<Option<String>>(row, 5)?) {
            types.insert(column, (kind, get(row, 6)?));
        }
    }
    Ok(Ok(types))
}

/// The value is cast, not the column, so that an index on the column serves.
fn condition(column: &str, operator: &str, number: usize, kind: &str) -> String {
    format!("{} {operator} ${number}::text::{kind}", quote(column))
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        // No text of this database holds the character zero.
        Value::String(text) => Some(text.clone()).filter(|text| !text.contains('\0')),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether the statement itself was wrong for this database: names, rights, types, values, or too slow.
fn is_senseless(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        let class = code.code().get(..2).unwrap_or_default();
        ["42", "22", "0A"].contains(&class) || code.code() == "57014"
    })
}

fn cannot(reason: String) -> Result<ProbeAnswer, SourceError> {
    Ok(ProbeAnswer::CannotTell(reason))
}

fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
