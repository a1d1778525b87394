//! Where the members of a source stand in it.

use std::ops::Range;

use super::Lines;
use super::tree::{self, Node, Shape};
use crate::pointer::escape;

/// The places of a source's members.
#[derive(Debug, Clone, Default)]
pub struct Outline(Lines);

impl Outline {
    /// Reads where everything stands; nothing where the source has no form.
    #[must_use]
    pub fn of(source: &str) -> Self {
        let mut lines = Lines::new();
        if let Some(root) = tree::parse(source, &mut Vec::new()) {
            note(&root, root.line, &mut String::new(), &mut lines);
        }
        Self(lines)
    }

    /// The line, from 1, of a place in the source, an RFC 6901 pointer; where it is missing, of the nearest one above.
    #[must_use]
    pub fn line(&self, path: &str) -> Option<u32> {
        let mut path = path;
        loop {
            if let Some(line) = self.0.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind('/')?];
        }
    }
}

fn note(node: &Node, line: u32, path: &mut String, lines: &mut Lines) {
    lines.insert(path.clone(), line);
    let length = path.len();
    let mut below = |step: &str, node: &Node, line: u32, path: &mut String| {
        path.push('/');
        path.push_str(&escape(step));
        note(node, line, path, lines);
        path.truncate(length);
    };
    match &node.shape {
        Shape::List(items) => {
            for (index, item) in items.iter().enumerate() {
                below(&index.to_string(), item, item.line, path);
            }
        }
        Shape::Map(members) => {
            for member in members {
                below(&member.name, &member.value, member.line, path);
            }
        }
        _ => {}
    }
}

/// The file that a definition's source names as its schema: its name, and the bytes and the line of the value.
pub(crate) fn schema_file(source: &str) -> Option<(String, Range<usize>, u32)> {
    let root = tree::parse(source, &mut Vec::new())?;
    let schema = &root.member("schema")?.value;
    match &schema.shape {
        Shape::Text(name) => Some((name.clone(), schema.span.clone(), schema.line)),
        _ => None,
    }
}
