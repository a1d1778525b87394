//! HTML that is written without a template: documents with their parts marked, and names that may be broken.

use serde_json::Value;

/// Characters up to which an array or object stands in one line.
const LINE_CHARS_MAX: usize = 76;
const INDENT: usize = 2;

/// Text as HTML.
pub(super) fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What turns the direction of text could make a page say what its source does not.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
}

/// A dotted or slashed name as HTML that may be broken after its separators.
pub(super) fn breaks(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for part in text.split_inclusive(['.', '/', '_', '@']) {
        escape(part, &mut out);
        if part.ends_with(['.', '/', '_', '@']) {
            out.push_str("<wbr>");
        }
    }
    out
}

/// A document as HTML, laid out and with its parts marked.
pub(super) fn json(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, 0, &mut out);
    out
}

fn write(value: &Value, indent: usize, column: usize, out: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() && !fits(value, indent + column) => {
            out.push_str("{\n");
            for (i, (name, member)) in members.iter().enumerate() {
                pad(indent + INDENT, out);
                let key = mark("k", &quoted(name), out);
                out.push_str(": ");
                write(member, indent + INDENT, key + 2, out);
                out.push_str(if i + 1 < members.len() { ",\n" } else { "\n" });
            }
            pad(indent, out);
            out.push('}');
        }
        Value::Array(items) if !items.is_empty() && !fits(value, indent + column) => {
            out.push_str("[\n");
            for (i, item) in items.iter().enumerate() {
                pad(indent + INDENT, out);
                write(item, indent + INDENT, 0, out);
                out.push_str(if i + 1 < items.len() { ",\n" } else { "\n" });
            }
            pad(indent, out);
            out.push(']');
        }
        _ => in_line(value, out),
    }
}

fn in_line(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) if members.is_empty() => out.push_str("{}"),
        Value::Object(members) => {
            out.push_str("{ ");
            for (i, (name, member)) in members.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                mark("k", &quoted(name), out);
                out.push_str(": ");
                in_line(member, out);
            }
            out.push_str(" }");
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                in_line(item, out);
            }
            out.push(']');
        }
        Value::String(text) => _ = mark("s", &quoted(text), out),
        Value::Number(number) => _ = mark("n", &number.to_string(), out),
        Value::Bool(_) | Value::Null => _ = mark("l", &value.to_string(), out),
    }
}

/// Whether a value may stand in one line that begins at a column.
fn fits(value: &Value, column: usize) -> bool {
    width(value, LINE_CHARS_MAX.saturating_sub(column)).is_some()
}

/// The characters of a value in one line, if they are not more than so many.
fn width(value: &Value, most: usize) -> Option<usize> {
    let total = match value {
        Value::Object(members) => members.iter().try_fold(4, |sum, (name, member)| {
            let rest = most.checked_sub(sum)?;
            Some(sum + name.chars().count() + 6 + width(member, rest)?)
        })?,
        Value::Array(items) => items.iter().try_fold(2, |sum, item| {
            let rest = most.checked_sub(sum)?;
            Some(sum + 2 + width(item, rest)?)
        })?,
        Value::String(text) => text.chars().take(most + 1).count() + 2,
        other => other.to_string().len(),
    };
    (total <= most).then_some(total)
}

fn pad(columns: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', columns));
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Writes a marked part and returns its characters.
fn mark(class: &str, text: &str, out: &mut String) -> usize {
    out.push_str("<span class=\"j-");
    out.push_str(class);
    out.push_str("\">");
    escape(text, out);
    out.push_str("</span>");
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plain(html: &str) -> String {
        let mut out = String::new();
        let mut inside = false;
        for c in html.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                other if !inside => out.push(other),
                _ => {}
            }
        }
        out.replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
            .replace("&#39;", "'")
    }

    #[test]
    fn a_document_stays_the_same_document() {
        let long = "x".repeat(90);
        let document =
            json!({"a": [1, 2.5, null, true], "<b>": {"c": "\"&'</script>", "long": long}, "e": [], "f": {}});
        let html = json(&document);
        assert_eq!(serde_json::from_str::<Value>(&plain(&html)).unwrap(), document);
        assert!(!html.contains("<b>") && !html.contains("</script>"), "{html}");
    }

    #[test]
    fn what_is_short_stands_in_one_line() {
        assert_eq!(plain(&json(&json!({"from": "new", "to": "won"}))), "{ \"from\": \"new\", \"to\": \"won\" }");
    }

    #[test]
    fn names_break_after_their_separators_and_are_escaped() {
        assert_eq!(breaks("a.b_c"), "a.<wbr>b_<wbr>c");
        assert_eq!(breaks("<i>"), "&lt;i&gt;");
        assert_eq!(breaks("a\u{202e}b"), "a\u{fffd}b");
    }
}
