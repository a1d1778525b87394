//! JSONPath (RFC 9535) over [`Node`]s.
//!
//! Of our own, because an evaluation has to be exact and bounded: numbers compare as decimals inside a path's filters
//! too, and a path that is quadratic in the event runs out of steps rather than holding up a feed. The compliance
//! suite of the standard is run against it.

mod eval;
mod parse;

use std::sync::Arc;

use regex::Regex;

pub(crate) use eval::{OutOfSteps, Steps};
pub(super) use parse::PathError;

use super::asks::Step;
use super::intern::Interner;
use crate::json::Node;

/// A compiled path.
#[derive(Debug)]
pub(crate) struct Path {
    /// As it was written.
    text: Box<str>,
    segments: Vec<Segment>,
    /// Whether a filter looks back at the root, so that the whole document is needed.
    looks_back: bool,
}

impl Path {
    /// Compiles a path within the bounds of [`crate::limits`], or takes the one in use that is written the same.
    pub(super) fn shared(text: &str) -> Result<Arc<Self>, PathError> {
        static KNOWN: Interner<Path> = Interner::new();
        KNOWN.get(text.as_bytes(), || parse::parse(text, parse::Caps::BOUNDED))
    }

    /// The path as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where the path leads; see [`Step`]. Nothing where it descends to any depth.
    pub(super) fn steps(&self) -> Option<Vec<Step>> {
        let step = |segment: &Segment| match segment {
            Segment::Descendant(_) => None,
            Segment::Child(selectors) => Some(match selectors.as_slice() {
                [Selector::Name(name)] => Step::Name(name.clone()),
                [Selector::Index(index)] => Step::Index(*index),
                _ => Step::Any,
            }),
        };
        self.segments.iter().map(step).collect()
    }

    /// The nodes that the path selects in a document.
    pub(super) fn select<'n>(&'n self, root: &'n Node<'n>, steps: &Steps) -> Result<Vec<&'n Node<'n>>, OutOfSteps> {
        eval::select(&self.segments, root, root, steps)
    }

    /// The nodes that the path selects, if all it needs of the document is one member of the root.
    ///
    /// `member` is asked at most once. Paths that need more of the root give `None`.
    pub(super) fn select_below<'n>(
        &'n self,
        steps: &Steps,
        member: impl FnOnce(&str) -> Option<&'n Node<'n>>,
    ) -> Option<Result<Vec<&'n Node<'n>>, OutOfSteps>> {
        let (Segment::Child(selectors), rest) = self.segments.split_first()? else { return None };
        match selectors.as_slice() {
            [Selector::Name(name)] if !self.looks_back => Some(match member(name) {
                Some(node) => eval::select(rest, node, node, steps),
                None => Ok(Vec::new()),
            }),
            _ => None,
        }
    }
}

#[derive(Debug)]
enum Segment {
    Child(Vec<Selector>),
    Descendant(Vec<Selector>),
}

#[derive(Debug)]
enum Selector {
    Name(String),
    Wildcard,
    Index(i64),
    Slice { start: Option<i64>, end: Option<i64>, step: i64 },
    Filter(Expression),
}

#[derive(Debug)]
enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    Exists(Query),
    Compare(Operand, Comparison, Operand),
    Matches { subject: Operand, pattern: TextPattern, whole: bool },
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A query inside a filter: from the node under test (`@`) or from the root (`$`).
#[derive(Debug)]
struct Query {
    from_root: bool,
    segments: Vec<Segment>,
}

impl Query {
    /// Whether it can select at most one node.
    fn is_singular(&self) -> bool {
        self.segments.iter().all(|segment| {
            matches!(segment, Segment::Child(selectors)
                if matches!(selectors.as_slice(), [Selector::Name(_) | Selector::Index(_)]))
        })
    }
}

/// What yields at most one value.
#[derive(Debug)]
enum Operand {
    Literal(Node<'static>),
    Singular(Query),
    Length(Box<Operand>),
    Count(Query),
    Value(Query),
}

#[derive(Debug)]
enum TextPattern {
    /// Written in the path and compiled with it; nothing where it is no regular expression, and then nothing matches.
    Fixed(Option<Regex>),
    /// Taken from the document.
    Found(Operand),
}

#[cfg(test)]
mod compliance {
    use super::*;
    use crate::json;

    /// The members of a case, by name.
    fn member<'n>(case: &'n Node<'n>, name: &str) -> Option<&'n Node<'n>> {
        case.member(name)
    }

    #[test]
    fn the_standards_compliance_suite_passes() {
        let Some(suite) = conformance() else {
            println!("skipped: TIDINGS_CONFORMANCE is not set");
            return;
        };
        let text = read(&format!("{suite}/jsonpath/cts.json"));
        let suite = json::parse(&text).unwrap();
        let mut failures = Vec::new();
        let mut count = 0;
        for case in suite.member("tests").unwrap().children() {
            let (Some(Node::Text(name)), Some(Node::Text(selector))) = (case.member("name"), case.member("selector"))
            else {
                panic!("a case without name or selector");
            };
            count += 1;
            if let Err(why) = judge(case, selector) {
                failures.push(format!("{name}: {selector:?}: {why}"));
            }
        }
        assert!(failures.is_empty(), "{} of {count} fail:\n{}", failures.len(), failures.join("\n"));
        assert!(count >= 700, "the suite has only {count} cases");
    }

    fn judge(case: &Node<'_>, selector: &str) -> Result<(), String> {
        let parsed = parse::parse(selector, parse::Caps::GENEROUS);
        let invalid = matches!(member(case, "invalid_selector"), Some(Node::Bool(true)));
        let path = match (parsed, invalid) {
            (Err(_), true) => return Ok(()),
            (Err(error), false) => return Err(error.to_string()),
            (Ok(_), true) => return Err("was accepted".to_owned()),
            (Ok(path), false) => path,
        };
        let document = member(case, "document").ok_or("no document")?;
        let Ok(nodes) = path.select(document, &Steps::new()) else { return Err("ran out of steps".to_owned()) };
        let found = Node::List(nodes.into_iter().cloned().collect());
        let wanted = match (member(case, "result"), member(case, "results")) {
            (Some(result), _) => found.same(result),
            (None, Some(results)) => results.children().any(|result| found.same(result)),
            (None, None) => return Err("no result".to_owned()),
        };
        if wanted { Ok(()) } else { Err(format!("selected {found:?}")) }
    }

    #[allow(clippy::disallowed_methods, reason = "a test reads where the suite lies")]
    fn conformance() -> Option<String> {
        std::env::var("TIDINGS_CONFORMANCE").ok()
    }

    #[allow(clippy::disallowed_methods, reason = "a test reads the suite")]
    fn read(path: &str) -> Vec<u8> {
        std::fs::read(path).unwrap()
    }
}
