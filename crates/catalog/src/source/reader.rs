//! Reads members out of a tree and collects what is wrong with them, all of it.

use std::fmt::Display;

use super::tree::{Member, Node, Shape};
use crate::pointer::escape;
use crate::report::{Finding, Severity, Subject};

/// An error of a source's form.
pub(super) fn source_error(code: &'static str, path: &str, line: Option<u32>, message: String) -> Finding {
    Finding {
        severity: Severity::Error,
        subject: Subject::Source,
        code,
        path: path.to_owned(),
        line,
        message,
        proposal: None,
        witness: None,
        overridable: false,
    }
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct At<'n> {
    pub(super) node: &'n Node,
    pub(super) path: String,
    pub(super) line: u32,
}

/// The findings so far.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) findings: Vec<Finding>,
}

impl<'n> At<'n> {
    pub(super) fn root(node: &'n Node) -> Self {
        Self { node, path: String::new(), line: node.line }
    }

    fn member(&self, member: &'n Member) -> Self {
        Self { node: &member.value, path: format!("{}/{}", self.path, escape(&member.name)), line: member.line }
    }

    fn item(&self, index: usize, node: &'n Node) -> Self {
        Self { node, path: format!("{}/{index}", self.path), line: node.line }
    }
}

/// An object whose members are known.
pub(super) struct Object<'n> {
    at: At<'n>,
}

impl<'n> Object<'n> {
    /// A member that may be missing.
    pub(super) fn get(&self, name: &str) -> Option<At<'n>> {
        self.at.node.member(name).map(|member| self.at.member(member))
    }

    /// A member that must be there.
    pub(super) fn need(&self, name: &str, reader: &mut Reader) -> Option<At<'n>> {
        let found = self.get(name);
        if found.is_none() {
            let path = format!("{}/{name}", self.at.path);
            reader.add("member_missing", &path, self.at.line, format!("the member \"{name}\" is required"));
        }
        found
    }

    /// Where the object itself stands.
    pub(super) fn at(&self) -> &At<'n> {
        &self.at
    }
}

impl Reader {
    pub(super) fn add(&mut self, code: &'static str, path: &str, line: u32, message: impl Into<String>) {
        self.findings.push(source_error(code, path, Some(line), message.into()));
    }

    pub(super) fn wrong(&mut self, code: &'static str, at: &At<'_>, message: impl Into<String>) {
        self.add(code, &at.path, at.line, message);
    }

    pub(super) fn propose(&mut self, code: &'static str, at: &At<'_>, message: impl Into<String>, proposal: String) {
        self.add(code, &at.path, at.line, message);
        if let Some(finding) = self.findings.last_mut() {
            finding.proposal = Some(proposal);
        }
    }

    fn wrong_type(&mut self, at: &At<'_>, expected: &str) {
        let advice =
            if matches!(at.node.shape, Shape::Null) { "; leave the member out if it says nothing" } else { "" };
        self.wrong("member_wrong_type", at, format!("must be {expected}, and is {}{advice}", at.node.kind()));
    }

    /// The value as an object that has no other members than these.
    pub(super) fn object<'n>(&mut self, at: &At<'n>, known: &[&str]) -> Option<Object<'n>> {
        let Shape::Map(members) = &at.node.shape else {
            self.wrong_type(at, "an object");
            return None;
        };
        for member in members {
            if !known.contains(&member.name.as_str()) {
                let here = at.member(member);
                self.unknown(&here, &member.name, known);
            }
        }
        Some(Object { at: at.clone() })
    }

    fn unknown(&mut self, at: &At<'_>, name: &str, known: &[&str]) {
        match nearest(name, known) {
            Some(meant) => self.propose(
                "member_unknown",
                at,
                format!("there is no member \"{name}\": did you mean \"{meant}\"?"),
                meant.to_owned(),
            ),
            None => {
                let known = known.join(", ");
                self.wrong("member_unknown", at, format!("there is no member \"{name}\"; there are {known}"));
            }
        }
    }

    /// The members of an object whose names are free.
    pub(super) fn entries<'n>(&mut self, at: &At<'n>, max: usize) -> Vec<(&'n str, At<'n>)> {
        let Shape::Map(members) = &at.node.shape else {
            self.wrong_type(at, "an object");
            return Vec::new();
        };
        self.count(at, members.len(), max);
        members.iter().take(max).map(|member| (member.name.as_str(), at.member(member))).collect()
    }

    pub(super) fn items<'n>(&mut self, at: &At<'n>, max: usize) -> Vec<At<'n>> {
        let Shape::List(items) = &at.node.shape else {
            self.wrong_type(at, "a list");
            return Vec::new();
        };
        self.count(at, items.len(), max);
        items.iter().take(max).enumerate().map(|(index, node)| at.item(index, node)).collect()
    }

    fn count(&mut self, at: &At<'_>, count: usize, max: usize) {
        if count > max {
            self.wrong("too_many", at, format!("holds {count} entries; at most {max} are allowed"));
        }
    }

    /// A string as it is; it may be empty.
    pub(super) fn raw<'n>(&mut self, at: &At<'n>) -> Option<&'n str> {
        match &at.node.shape {
            Shape::Text(text) => Some(text),
            Shape::Bool(_) | Shape::Number(_) => {
                self.wrong("member_wrong_type", at, format!("must be a string, and is {}: quote it", at.node.kind()));
                None
            }
            _ => {
                self.wrong_type(at, "a string");
                None
            }
        }
    }

    /// A string that says something, of at most so many characters.
    pub(super) fn text<'n>(&mut self, at: &At<'n>, chars_max: usize) -> Option<&'n str> {
        let text = self.raw(at)?;
        let chars = text.chars().count();
        if text.trim().is_empty() {
            self.wrong("text_empty", at, "must not be empty");
            return None;
        }
        if chars > chars_max {
            self.wrong("text_too_long", at, format!("has {chars} characters; at most {chars_max} are allowed"));
            return None;
        }
        Some(text)
    }

    /// A string with a form of its own.
    pub(super) fn parsed<T, E: Display>(&mut self, at: &At<'_>, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.raw(at)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong("value_malformed", at, error.to_string());
                None
            }
        }
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(
        &mut self,
        at: &At<'_>,
        words: &[&str],
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.raw(at)?;
        let found = parse(text);
        if found.is_none() {
            let all = words.join(", ");
            match nearest(text, words) {
                Some(meant) => self.propose(
                    "value_unknown",
                    at,
                    format!("\"{}\" is none of {all}: did you mean \"{meant}\"?", clip(text)),
                    meant.to_owned(),
                ),
                None => self.wrong("value_unknown", at, format!("\"{}\" is none of {all}", clip(text))),
            }
        }
        found
    }

    /// A name in lower snake case.
    pub(super) fn snake(&mut self, at: &At<'_>) -> Option<String> {
        let text = self.text(at, NAME_CHARS_MAX)?;
        if is_snake(text) {
            return Some(text.to_owned());
        }
        let proposal = to_snake(text);
        let message = "must be lower snake case: letters, digits and single underscores, a letter first";
        if is_snake(&proposal) {
            self.propose("value_malformed", at, message, proposal);
        } else {
            self.wrong("value_malformed", at, message);
        }
        None
    }
}

/// Characters of the names of rules, sets, policies and examples.
pub(super) const NAME_CHARS_MAX: usize = 100;

pub(super) fn clip(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(super) fn is_snake(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('_')
        && !text.contains("__")
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A text as close to lower snake case as it comes.
pub(crate) fn to_snake(text: &str) -> String {
    let mut snake = String::with_capacity(text.len());
    let mut previous_lower = false;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            if c.is_ascii_uppercase() && previous_lower {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
            previous_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        } else {
            if !snake.is_empty() && !snake.ends_with('_') {
                snake.push('_');
            }
            previous_lower = false;
        }
    }
    snake.trim_end_matches('_').to_owned()
}

/// The known word that somebody may have meant.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = to_snake(&clip(word));
    let far = |candidate: &str| (candidate.len().max(word.len()) / 3).max(1);
    known
        .iter()
        .map(|candidate| (distance(&word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= far(candidate))
        // Of several that are as near the first counts.
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, dropped, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (rows[i][j] + usize::from(x != y)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(rows[i - 1][j - 1] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_proposed_only_where_it_is_near() {
        let known = ["name", "version", "owner", "lifecycle", "classification"];
        let rows = [
            ("nmae", Some("name")),
            ("Version", Some("version")),
            ("clasification", Some("classification")),
            ("life_cycle", Some("lifecycle")),
            ("team", None),
            ("x", None),
        ];
        for (word, meant) in rows {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
    }

    #[test]
    fn names_become_lower_snake_case() {
        let rows =
            [("LeadCreated", "lead_created"), ("order-id", "order_id"), ("HTTPCode2", "httpcode2"), (" a  b ", "a_b")];
        for (text, snake) in rows {
            assert_eq!(to_snake(text), snake);
        }
    }
}
