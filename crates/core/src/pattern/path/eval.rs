//! Evaluates a path, counting its steps.

use std::cell::Cell;
use std::cmp::Ordering;

use super::{Comparison, Expression, Operand, Query, Segment, Selector, TextPattern};
use crate::json::Node;
use crate::limits::PATH_STEPS_MAX;
use crate::pattern::regexp;

/// The evaluation took more steps than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfSteps;

type Result<T> = std::result::Result<T, OutOfSteps>;

/// What an evaluation may still do.
#[derive(Debug)]
pub(crate) struct Steps(Cell<u32>);

impl Steps {
    pub(crate) fn new() -> Self {
        Self::of(PATH_STEPS_MAX)
    }

    /// As many as are left of an evaluation that others have to share in.
    pub(crate) fn of(left: u32) -> Self {
        Self(Cell::new(left))
    }

    pub(crate) fn left(&self) -> u32 {
        self.0.get()
    }

    pub(in crate::pattern) fn spend(&self, steps: usize) -> Result<()> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.0.get().checked_sub(steps)).ok_or(OutOfSteps)?;
        self.0.set(left);
        Ok(())
    }
}

/// What compiling a regular expression from the document costs, beside its length.
const COMPILE_STEPS: usize = 10_000;
/// Bytes of text that cost one step to look through.
const BYTES_PER_STEP: usize = 16;

pub(super) fn select<'n>(
    segments: &'n [Segment],
    start: &'n Node<'n>,
    root: &'n Node<'n>,
    steps: &Steps,
) -> Result<Vec<&'n Node<'n>>> {
    Evaluation { root, steps }.select(segments, start)
}

struct Evaluation<'n, 's> {
    root: &'n Node<'n>,
    steps: &'s Steps,
}

/// The value of an operand.
enum Value<'n> {
    Nothing,
    Found(&'n Node<'n>),
    Made(Node<'static>),
}

impl Value<'_> {
    fn node(&self) -> Option<&Node<'_>> {
        match self {
            Self::Nothing => None,
            Self::Found(node) => Some(node),
            Self::Made(node) => Some(node),
        }
    }
}

impl<'n> Evaluation<'n, '_> {
    fn select(&self, segments: &'n [Segment], start: &'n Node<'n>) -> Result<Vec<&'n Node<'n>>> {
        let mut nodes = vec![start];
        for segment in segments {
            let mut next = Vec::new();
            for node in nodes {
                match segment {
                    Segment::Child(selectors) => self.apply(selectors, node, &mut next)?,
                    Segment::Descendant(selectors) => self.descend(selectors, node, &mut next)?,
                }
            }
            nodes = next;
        }
        Ok(nodes)
    }

    /// Recursion is bounded by the depth that the JSON parser allows.
    fn descend(&self, selectors: &'n [Selector], node: &'n Node<'n>, out: &mut Vec<&'n Node<'n>>) -> Result<()> {
        self.apply(selectors, node, out)?;
        for child in node.children() {
            self.descend(selectors, child, out)?;
        }
        Ok(())
    }

    fn apply(&self, selectors: &'n [Selector], node: &'n Node<'n>, out: &mut Vec<&'n Node<'n>>) -> Result<()> {
        for selector in selectors {
            self.steps.spend(1)?;
            match selector {
                Selector::Name(name) => {
                    if let Node::Map(members) = node {
                        self.steps.spend(members.len())?;
                        out.extend(node.member(name));
                    }
                }
                Selector::Wildcard => {
                    self.steps.spend(node.breadth())?;
                    out.extend(node.children());
                }
                Selector::Index(index) => {
                    if let Node::List(elements) = node {
                        out.extend(element(elements, *index));
                    }
                }
                Selector::Slice { start, end, step } => {
                    if let Node::List(elements) = node {
                        self.slice(elements, *start, *end, *step, out)?;
                    }
                }
                Selector::Filter(expression) => {
                    for child in node.children() {
                        self.steps.spend(1)?;
                        if self.holds(expression, child)? {
                            out.push(child);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// RFC 9535, section 2.3.4.2.2.
    fn slice(
        &self,
        elements: &'n [Node<'n>],
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
        out: &mut Vec<&'n Node<'n>>,
    ) -> Result<()> {
        let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
        let normal = |index: i64| if index < 0 { length + index } else { index };
        let (first, bound) = match step.signum() {
            1 => (normal(start.unwrap_or(0)).clamp(0, length), normal(end.unwrap_or(length)).clamp(0, length)),
            -1 => {
                (start.map_or(length - 1, normal).clamp(-1, length - 1), end.map_or(-1, normal).clamp(-1, length - 1))
            }
            _ => return Ok(()),
        };
        let mut index = first;
        while if step > 0 { index < bound } else { index > bound } {
            self.steps.spend(1)?;
            out.extend(usize::try_from(index).ok().and_then(|index| elements.get(index)));
            index = index.saturating_add(step);
        }
        Ok(())
    }

    fn holds(&self, expression: &'n Expression, node: &'n Node<'n>) -> Result<bool> {
        self.steps.spend(1)?;
        Ok(match expression {
            Expression::Any(parts) => {
                for part in parts {
                    if self.holds(part, node)? {
                        return Ok(true);
                    }
                }
                false
            }
            Expression::All(parts) => {
                for part in parts {
                    if !self.holds(part, node)? {
                        return Ok(false);
                    }
                }
                true
            }
            Expression::Not(part) => !self.holds(part, node)?,
            Expression::Exists(query) => !self.query(query, node)?.is_empty(),
            Expression::Compare(left, comparison, right) => {
                self.compare(&self.value(left, node)?, *comparison, &self.value(right, node)?)?
            }
            Expression::Matches { subject, pattern, whole } => self.matches(subject, pattern, *whole, node)?,
        })
    }

    fn query(&self, query: &'n Query, node: &'n Node<'n>) -> Result<Vec<&'n Node<'n>>> {
        self.select(&query.segments, if query.from_root { self.root } else { node })
    }

    fn value(&self, operand: &'n Operand, node: &'n Node<'n>) -> Result<Value<'n>> {
        Ok(match operand {
            Operand::Literal(literal) => Value::Found(literal),
            Operand::Singular(query) | Operand::Value(query) => match self.query(query, node)?.as_slice() {
                [only] => Value::Found(only),
                _ => Value::Nothing,
            },
            Operand::Count(query) => Value::Made(Node::number(self.query(query, node)?.len())),
            Operand::Length(operand) => match self.value(operand, node)?.node() {
                Some(Node::Text(text)) => {
                    self.steps.spend(text.len() / BYTES_PER_STEP)?;
                    Value::Made(Node::number(text.chars().count()))
                }
                Some(node @ (Node::List(_) | Node::Map(_))) => Value::Made(Node::number(node.breadth())),
                _ => Value::Nothing,
            },
        })
    }

    fn compare(&self, left: &Value<'_>, comparison: Comparison, right: &Value<'_>) -> Result<bool> {
        let (left, right) = match (left.node(), right.node()) {
            (Some(left), Some(right)) => (left, right),
            // Nothing equals nothing, and orders against nothing.
            (left, right) => {
                let both = left.is_none() && right.is_none();
                return Ok(match comparison {
                    Comparison::Equal | Comparison::LessOrEqual | Comparison::GreaterOrEqual => both,
                    Comparison::NotEqual => !both,
                    Comparison::Less | Comparison::Greater => false,
                });
            }
        };
        self.weigh(left, right)?;
        let order = || left.order(right);
        Ok(match comparison {
            Comparison::Equal => left.same(right),
            Comparison::NotEqual => !left.same(right),
            Comparison::Less => order() == Some(Ordering::Less),
            Comparison::Greater => order() == Some(Ordering::Greater),
            Comparison::LessOrEqual => order() == Some(Ordering::Less) || left.same(right),
            Comparison::GreaterOrEqual => order() == Some(Ordering::Greater) || left.same(right),
        })
    }

    /// Pays for comparing two values.
    fn weigh(&self, left: &Node<'_>, right: &Node<'_>) -> Result<()> {
        match (left, right) {
            (Node::Text(a) | Node::Number(a), Node::Text(b) | Node::Number(b)) => {
                self.steps.spend(a.len().min(b.len()) / BYTES_PER_STEP)
            }
            (Node::List(_), Node::List(_)) | (Node::Map(_), Node::Map(_)) if left.breadth() == right.breadth() => {
                self.weigh_all(left)
            }
            _ => Ok(()),
        }
    }

    fn weigh_all(&self, node: &Node<'_>) -> Result<()> {
        self.steps.spend(match node {
            Node::Text(text) | Node::Number(text) => 1 + text.len() / BYTES_PER_STEP,
            _ => 1,
        })?;
        node.children().try_for_each(|child| self.weigh_all(child))
    }

    fn matches(&self, subject: &'n Operand, pattern: &'n TextPattern, whole: bool, node: &'n Node<'n>) -> Result<bool> {
        let subject = self.value(subject, node)?;
        let Some(Node::Text(text)) = subject.node() else { return Ok(false) };
        self.steps.spend(text.len())?;
        match pattern {
            TextPattern::Fixed(regex) => Ok(regex.as_ref().is_some_and(|regex| regex.is_match(text))),
            TextPattern::Found(operand) => {
                let source = self.value(operand, node)?;
                let Some(Node::Text(source)) = source.node() else { return Ok(false) };
                self.steps.spend(COMPILE_STEPS.saturating_add(source.len()))?;
                Ok(regexp::compile(source, whole).is_ok_and(|regex| regex.is_match(text)))
            }
        }
    }
}

fn element<'n>(elements: &'n [Node<'n>], index: i64) -> Option<&'n Node<'n>> {
    let index = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => elements.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
    };
    elements.get(index)
}
