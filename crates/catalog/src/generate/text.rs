//! Writing sources: lines, indentation, comments, literals.

use std::fmt::Write as _;

use crate::definition::{Action, Retention, Stage};

use super::model::{EventModel, Member, Named};

/// A source that is being written, a line at a time.
pub(super) struct Code {
    text: String,
    depth: usize,
    indent: &'static str,
}

impl Code {
    /// Nothing yet.
    pub(super) fn new(indent: &'static str) -> Self {
        Self { text: String::new(), depth: 0, indent }
    }

    /// One line, or several; each is indented, an empty one is not.
    pub(super) fn line(&mut self, line: impl AsRef<str>) -> &mut Self {
        for line in line.as_ref().split('\n') {
            if !line.is_empty() {
                self.text.extend(std::iter::repeat_n(self.indent, self.depth));
            }
            self.text.push_str(line);
            self.text.push('\n');
        }
        self
    }

    /// An empty line, unless one stands there already or a block has just begun.
    pub(super) fn gap(&mut self) -> &mut Self {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") && !self.text.ends_with("{\n") {
            self.text.push('\n');
        }
        self
    }

    /// A line, what belongs to it one step further in, and a line that closes it (none where it is empty).
    pub(super) fn block(&mut self, open: impl AsRef<str>, inner: impl FnOnce(&mut Self), close: &str) -> &mut Self {
        self.line(open);
        self.depth += 1;
        inner(self);
        self.depth -= 1;
        if !close.is_empty() {
            self.line(close);
        }
        self
    }

    /// A comment, every line of it behind `mark`.
    pub(super) fn comment(&mut self, mark: &str, lines: &[String]) -> &mut Self {
        for line in lines {
            self.line(format!("{mark} {line}").trim_end());
        }
        self
    }

    /// What was written.
    pub(super) fn into_text(mut self) -> String {
        while self.text.ends_with("\n\n") {
            self.text.pop();
        }
        self.text
    }
}

/// Columns of prose in comments.
const PROSE_COLUMNS: usize = 96;

/// A text from a definition, as lines for a comment: without anything that could end the comment, turn the direction
/// of what follows, or be taken for code.
pub(super) fn prose(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split(['\n', '\r', '\u{2028}', '\u{2029}', '\u{85}', '\u{b}', '\u{c}']) {
        let clean: String = paragraph.chars().filter(|character| !is_treacherous(*character)).collect();
        let mut clean = clean.replace("```", "").replace("*/", "* /").replace("/*", "/ *");
        // Two quotes in a row mean something else to Go, three to Python.
        for (pair, single) in [("\"\"", "\""), ("''", "'"), ("``", "`")] {
            while clean.contains(pair) {
                clean = clean.replace(pair, single);
            }
        }
        let mut line = String::new();
        for word in clean.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > PROSE_COLUMNS {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() || lines.last().is_some_and(|last| !last.is_empty()) {
            lines.push(line);
        }
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Controls, marks of direction, and what is not seen.
fn is_treacherous(character: char) -> bool {
    (character.is_control() && character != '\t')
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A string literal in double quotes, as JSON, TypeScript, Python, Go and Protobuf read it alike.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{2028}' | '\u{2029}' => write_escape(&mut out, character),
            _ if is_treacherous(character) => write_escape(&mut out, character),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

fn write_escape(out: &mut String, character: char) {
    // None of these lies beyond U+FFFF.
    write!(out, "\\u{:04x}", u32::from(character)).expect("a String takes every text");
}

/// Adds a paragraph to lines.
fn paragraph(lines: &mut Vec<String>, text: &str) {
    let more = prose(text);
    if !more.is_empty() {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(more);
    }
}

/// What a member's comment says: its description, its format, its classification, examples.
pub(super) fn member_docs(member: &Member) -> Vec<String> {
    let mut lines = prose(&member.notes.description);
    let mut facts = Vec::new();
    if let Some(format) = &member.notes.format {
        facts.push(format!("Format: {format}."));
    }
    for class in &member.classes {
        facts.push(match class.action {
            Action::Keep => format!("Classified {}.", class.class),
            action => format!("Classified {}, {action}.", class.class),
        });
    }
    if let Some(default) = &member.notes.default {
        facts.push(format!("Default: {default}."));
    }
    if !member.notes.examples.is_empty() {
        let shown: Vec<String> = member.notes.examples.iter().take(3).map(ToString::to_string).collect();
        facts.push(format!("For example {}.", shown.join(", ")));
    }
    if !facts.is_empty() {
        paragraph(&mut lines, &facts.join(" "));
    }
    lines
}

/// What a type's comment says.
pub(super) fn type_docs(named: &Named, event: &EventModel) -> Vec<String> {
    let described = if named.notes.description.is_empty() { &named.notes.title } else { &named.notes.description };
    let lines = prose(described);
    if !lines.is_empty() {
        return lines;
    }
    let whole = if named.name == event.data().name { "The data" } else { "A part of the data" };
    prose(&format!("{whole} of {}.", event.label()))
}

/// What an event's comment says: what happened, who owns it, what may be relied on. `example` holds the first example
/// of its data as JSON.
pub(super) fn event_docs(event: &EventModel) -> Vec<String> {
    let definition = &event.definition;
    let mut lines = prose(&definition.description);
    let mut facts = format!("`{}`, version {}, owned by `{}`.", definition.name, definition.version, definition.owner);
    if definition.lifecycle.stage == Stage::Draft {
        facts.push_str(" A draft: it may change in any way.");
    }
    if let Some(entity) = &definition.entity {
        write!(facts, " It happens to an entity of the type `{}`.", entity.kind).expect("a String takes every text");
    }
    facts.push_str(match definition.ordering {
        crate::definition::Ordering::None => " Its events come in no particular order.",
        crate::definition::Ordering::Entity => " Events of one entity come in order.",
        crate::definition::Ordering::Tenant => " All events of a tenant come in order.",
    });
    match definition.retention {
        Some(Retention::Days(days)) => {
            write!(facts, " Kept for {days} days.").expect("a String takes every text");
        }
        Some(Retention::Forever) => facts.push_str(" Kept for good."),
        None => {}
    }
    paragraph(&mut lines, &facts);
    if let Some(subject) = &definition.subject {
        paragraph(&mut lines, &format!("It is about the person whose id stands at `{subject}`."));
    }
    for rule in &definition.rules {
        paragraph(&mut lines, &format!("Rule {}: {}", rule.name, rule.message));
    }
    lines
}

/// Why a deprecated event should not be used any more, in one line; none where it is not deprecated.
pub(super) fn deprecation(event: &EventModel) -> Option<String> {
    let lifecycle = &event.definition.lifecycle;
    (lifecycle.stage == Stage::Deprecated).then(|| {
        let mut text = "deprecated".to_owned();
        if let Some(sunset) = lifecycle.sunset {
            write!(text, "; not taken any more from {sunset} on").expect("a String takes every text");
        }
        if let Some((name, version)) = &lifecycle.successor {
            write!(text, "; use {name}@{version}").expect("a String takes every text");
        }
        text
    })
}

/// The first example of an event's data, as lines of JSON, if it is short enough for a comment.
pub(super) fn example_lines(event: &EventModel) -> Option<Vec<String>> {
    let example = event.definition.examples.first()?;
    let text = serde_json::to_string_pretty(&example.data).ok()?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let plain = lines.len() <= 30
        && lines.iter().all(|line| {
            line.len() <= 110 && !line.contains(['\\', '`']) && !line.contains("*/") && !line.contains(is_treacherous)
        });
    plain.then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_comment_it_stands_in() {
        let lines = prose("a */ b /* c \"\"\" ``` \u{202e}d\u{0}\r\n\n\n  e  \u{2028}f\n");
        assert_eq!(lines, ["a * / b / * c \" d", "", "e", "f"]);
    }

    #[test]
    fn literals_hold_what_they_were_given() {
        assert_eq!(quoted("a\"\\\n\u{feff}é😀\u{7f}"), "\"a\\\"\\\\\\n\\ufeffé😀\\u007f\"");
    }
}
