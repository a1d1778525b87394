//! Writes YAML that a person likes to read, and that reads back as what was written.

use std::fmt::Write as _;

use serde_json::Value;

use super::scalar::{Scalar, resolve};
use super::write::Out;

/// Characters up to which a list or an object of plain values is written on one line.
const LINE_CHARS_MAX: usize = 90;

/// Any JSON as YAML.
#[must_use]
pub fn to_yaml(value: &Value) -> String {
    emit(&Out::Value(value.clone()))
}

/// A tree as YAML, members in their order.
pub(super) fn emit(out: &Out) -> String {
    let mut text = String::new();
    match Shape::of(out) {
        Shape::Scalar(scalar) => text.push_str(&inline(scalar)),
        shape => block(&shape, 0, &mut text),
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A value as one of three shapes, whether its members have an order or not.
enum Shape<'o> {
    Scalar(&'o Value),
    List(Vec<Shape<'o>>),
    Map(Vec<(&'o str, Shape<'o>)>),
}

impl<'o> Shape<'o> {
    fn of(out: &'o Out) -> Self {
        match out {
            Out::Value(value) => Self::of_value(value),
            Out::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Out::Map(members) => {
                Self::Map(members.iter().map(|(name, value)| (name.as_str(), Self::of(value))).collect())
            }
        }
    }

    fn of_value(value: &'o Value) -> Self {
        match value {
            Value::Array(items) => Self::List(items.iter().map(Self::of_value).collect()),
            Value::Object(members) => {
                Self::Map(members.iter().map(|(name, value)| (name.as_str(), Self::of_value(value))).collect())
            }
            scalar => Self::Scalar(scalar),
        }
    }

    fn is_scalar(&self) -> bool {
        matches!(self, Self::Scalar(_))
    }

    /// It on one line, where it is short and plain enough for that.
    fn flow(&self) -> Option<String> {
        let text = match self {
            Self::Scalar(value) => inline(value),
            Self::List(items) if items.is_empty() => "[]".to_owned(),
            Self::Map(members) if members.is_empty() => "{}".to_owned(),
            Self::List(items) if items.iter().all(Self::is_scalar) => {
                let items: Option<Vec<_>> = items.iter().map(Self::flow).collect();
                format!("[{}]", items?.join(", "))
            }
            Self::Map(members) if members.len() <= 3 && members.iter().all(|(_, value)| value.is_scalar()) => {
                let members = members.iter().map(|(name, value)| Some(format!("{}: {}", key(name), value.flow()?)));
                format!("{{ {} }}", members.collect::<Option<Vec<_>>>()?.join(", "))
            }
            _ => return None,
        };
        (text.chars().count() <= LINE_CHARS_MAX).then_some(text)
    }
}

fn indent(depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// A list or an object over several lines, each indented so deep.
fn block(shape: &Shape<'_>, depth: usize, text: &mut String) {
    match shape {
        Shape::Scalar(_) => {}
        Shape::List(items) if items.is_empty() => text.push_str("[]\n"),
        Shape::Map(members) if members.is_empty() => text.push_str("{}\n"),
        Shape::List(items) => items.iter().for_each(|item| list_item(item, depth, text)),
        Shape::Map(members) => {
            for (name, value) in members {
                indent(depth, text);
                member(name, value, depth, text);
            }
        }
    }
}

fn member(name: &str, value: &Shape<'_>, depth: usize, text: &mut String) {
    text.push_str(&key(name));
    text.push(':');
    if let Shape::Scalar(value) = value {
        text.push(' ');
        scalar(value, depth, text);
    } else if let Some(flow) = value.flow() {
        let _ = writeln!(text, " {flow}");
    } else {
        text.push('\n');
        block(value, depth + 1, text);
    }
}

fn list_item(item: &Shape<'_>, depth: usize, text: &mut String) {
    indent(depth, text);
    text.push_str("- ");
    match item {
        Shape::Scalar(value) => scalar(value, depth, text),
        _ if item.flow().is_some() => {
            let _ = writeln!(text, "{}", item.flow().unwrap_or_default());
        }
        Shape::Map(members) => {
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    indent(depth + 1, text);
                }
                member(name, value, depth + 1, text);
            }
        }
        Shape::List(items) => {
            // A list within a list begins on a line of its own.
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
            items.iter().for_each(|item| list_item(item, depth + 1, text));
        }
    }
}

/// A scalar to the end of its line, or as a block of lines below it.
fn scalar(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::String(content) if reads_as_block(content) => {
            text.push_str(if content.ends_with('\n') { "|\n" } else { "|-\n" });
            for line in content.trim_end_matches('\n').split('\n') {
                if !line.is_empty() {
                    indent(depth + 1, text);
                    text.push_str(line);
                }
                text.push('\n');
            }
        }
        other => {
            let _ = writeln!(text, "{}", inline(other));
        }
    }
}

/// Whether a text of several lines comes out of a literal block as it went in.
fn reads_as_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && !body.ends_with('\n')
        && body.lines().all(|line| !line.ends_with([' ', '\t']) && !line.starts_with('\t'))
        && body.chars().all(|c| c == '\n' || is_printable(c))
}

/// What YAML takes unescaped, without the characters that some readers take for the end of a line.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}

fn key(name: &str) -> String {
    string(name)
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        other => other.to_string(),
    }
}

fn string(text: &str) -> String {
    if reads_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Words that older readers of YAML take for something else than strings.
const AMBIGUOUS: &[&str] = &["yes", "no", "on", "off", "y", "n"];

/// Whether a string needs no quotes, also within brackets.
fn reads_plain(text: &str) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '$' | '.'));
    starts_well
        && !text.ends_with(' ')
        && !text.contains("  ")
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '$' | ' ' | '@' | '+' | '*' | '(' | ')' | ';' | '~' | '=' | '<' | '>'))
        && text.chars().all(is_printable)
        && resolve(text) == Scalar::Text
        && !AMBIGUOUS.contains(&text.to_ascii_lowercase().as_str())
        // A day or a time is quoted: some readers make a moment of it.
        && !(text.starts_with(|c: char| c.is_ascii_digit()) && text.contains('-'))
        && text != "..."
        && text.len() < 1_000
}

/// A string in double quotes: JSON's, with all escaped that YAML does not take as it is.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if is_printable(c) => quoted.push(c),
            c if u32::from(c) <= 0xffff => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::source::to_json;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|n| json!(n)),
            any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| json!(n)),
            any::<String>().prop_map(Value::String),
            "[a-z :#\\-\\[\\]{},&*!|>'\"%@`~\n\t?.0-9]{0,12}".prop_map(Value::String),
            "(yes|No|~|null|true|0x1f|1e3|007|\\.inf|---|\\.\\.\\.|<<|=|2020-01-01)".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::btree_map("[a-z /~.:#\n<]{0,8}|yes|[0-9]{1,3}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn every_json_survives_being_written_as_yaml_and_read(value in any_json()) {
            let text = to_yaml(&value);
            prop_assert_eq!(to_json(&text).map_err(|findings| findings[0].message.clone()), Ok(value), "{}", text);
        }
    }

    #[test]
    fn yaml_is_written_for_people() {
        let value = json!({
            "a": [1, 2, "x"], "text": "one\ntwo", "no": "no", "m": {"k": {"deep": [[1, 2], {"x": [{"y": 1, "z": {}}]}]}},
        });
        insta::assert_snapshot!(to_yaml(&value), @r#"
        a: [1, 2, x]
        m:
          k:
            deep:
              - [1, 2]
              - x:
                  - "y": 1
                    z: {}
        "no": "no"
        text: |-
          one
          two
        "#);
    }
}
