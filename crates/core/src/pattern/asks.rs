//! What a selection asks of events, for those who judge whether any event can still satisfy it.

use serde_json::Value;

use super::filter::Filter;
use crate::json::Node;

/// One step of a path through an event. A path may lead to several places; what cannot be said exactly is said wider,
/// so that a place to which the steps do not lead is one that the path never selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The member of this name.
    Name(String),
    /// The element at this index; from the end where it is negative.
    Index(i64),
    /// Any member or element.
    Any,
}

/// What is asked of the nodes that a path selects.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// That there is none.
    Absent,
    /// That there is one.
    Present,
    /// That one equals any of these values.
    AnyOf(Vec<Value>),
    /// That one lies above or below a value, or differs from one of its own type: only such a value's type can do.
    TypeOf(Value),
    /// Something else.
    Other,
}

/// One filter of a selection. All of them must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The path as it was written, from the native envelope: `$.data.amount`.
    pub field: String,
    /// The path's steps; none where it descends to any depth.
    pub steps: Option<Vec<Step>>,
    /// The operator, as in a pattern.
    pub operator: &'static str,
    /// What is asked of what it selects.
    pub wanted: Wanted,
}

impl Ask {
    pub(super) fn of(filter: &Filter) -> Self {
        Self {
            field: filter.path().text().to_owned(),
            steps: filter.path().steps(),
            operator: filter.operator(),
            wanted: filter.wanted(),
        }
    }
}

/// The same value, if `serde_json` can hold it.
pub(super) fn value_of(node: &Node<'_>) -> Option<Value> {
    Some(match node {
        Node::Null => Value::Null,
        Node::Bool(value) => Value::Bool(*value),
        Node::Number(number) => Value::Number(number.parse().ok()?),
        Node::Text(text) => Value::String(text.clone().into_owned()),
        Node::List(elements) => Value::Array(elements.iter().map(value_of).collect::<Option<_>>()?),
        Node::Map(members) => {
            let member =
                |(name, node): &(_, _)| Some((std::borrow::Cow::into_owned(Clone::clone(name)), value_of(node)?));
            Value::Object(members.iter().map(member).collect::<Option<_>>()?)
        }
    })
}
