//! One filter of a pattern: a path, an operator and a value.

use std::cmp::Ordering;
use std::sync::Arc;

use super::asks::{Wanted, value_of};
use super::document::Document;
use super::path::{OutOfSteps, Path, Steps};
use super::{FilterError, within};
use crate::json::{Decimal, Node};
use crate::limits::EXPONENT_MAX;

/// A filter that was read and compiled.
#[derive(Debug)]
pub(crate) struct Filter {
    path: Arc<Path>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Equals(Node<'static>),
    NotEquals(Node<'static>),
    /// Always a list.
    In(Node<'static>),
    Contains(Node<'static>),
    Exists(bool),
    /// Whether the order of the selected node against the value is one of those wanted.
    Ordered(Order, Node<'static>),
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Order {
    fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        }
    }
}

impl Filter {
    /// Reads a filter that stands at `at` in the pattern.
    pub(super) fn read(node: &Node<'_>, at: &str) -> Result<Self, FilterError> {
        let members = super::members(node, at, &["field", "operator", "value"])?;
        let field = members.text("field")?.ok_or_else(|| FilterError::new(at, "'field' is missing"))?;
        let operator = members.text("operator")?.ok_or_else(|| FilterError::new(at, "'operator' is missing"))?;
        let path = Path::shared(field)
            .map_err(|error| FilterError::new(within(at, "field"), format!("not a usable JSONPath: {error}")))?;
        let value_at = within(at, "value");
        let value = members.get("value");
        if let Some(value) = value {
            check_numbers(value, &value_at)?;
        }
        let given = || {
            let value = value.ok_or_else(|| FilterError::new(at, format!("'{operator}' needs a 'value'")))?;
            Ok::<_, FilterError>(value.clone().into_owned())
        };
        let ordered = |order: Order| match given()? {
            value @ (Node::Number(_) | Node::Text(_)) => Ok(Test::Ordered(order, value)),
            _ => Err(FilterError::new(&value_at, format!("'{operator}' takes a number or a string"))),
        };
        let test = match operator {
            "equals" => Test::Equals(given()?),
            "not_equals" => Test::NotEquals(given()?),
            "contains" => Test::Contains(given()?),
            "in" => match given()? {
                list @ Node::List(_) => Test::In(list),
                _ => return Err(FilterError::new(value_at, "'in' takes an array")),
            },
            "exists" => match value {
                None => Test::Exists(true),
                Some(Node::Bool(wanted)) => Test::Exists(*wanted),
                Some(_) => return Err(FilterError::new(value_at, "'exists' takes true or false")),
            },
            "gt" => ordered(Order::Greater)?,
            "gte" => ordered(Order::GreaterOrEqual)?,
            "lt" => ordered(Order::Less)?,
            "lte" => ordered(Order::LessOrEqual)?,
            _ => {
                let known = "equals, not_equals, in, contains, exists, gt, gte, lt or lte";
                return Err(FilterError::new(within(at, "operator"), format!("the operator must be {known}")));
            }
        };
        Ok(Self { path, test })
    }

    /// Whether any node that the path selects satisfies the test. An evaluation that runs out of steps satisfies
    /// nothing.
    pub(crate) fn holds(&self, document: &Document<'_>) -> bool {
        let steps = Steps::new();
        document.select(&self.path, &steps).is_ok_and(|nodes| self.holds_for(&nodes, &steps))
    }

    /// Whether any of the nodes that its path selected satisfies the test, with the steps that selecting left.
    pub(crate) fn holds_for(&self, nodes: &[&Node<'_>], steps: &Steps) -> bool {
        match &self.test {
            Test::Exists(wanted) => nodes.is_empty() != *wanted,
            test => nodes.iter().any(|node| test.accepts(node, steps).unwrap_or(false)),
        }
    }

    /// The path.
    pub(crate) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// The values of which a node has to equal one, if that is what the filter asks for.
    pub(crate) fn equal_to(&self) -> Option<&[Node<'static>]> {
        match &self.test {
            Test::Equals(value) => Some(std::slice::from_ref(value)),
            Test::In(Node::List(values)) => Some(values),
            _ => None,
        }
    }

    /// The operator's name in a pattern.
    pub(crate) fn operator(&self) -> &'static str {
        match &self.test {
            Test::Equals(_) => "equals",
            Test::NotEquals(_) => "not_equals",
            Test::In(_) => "in",
            Test::Contains(_) => "contains",
            Test::Exists(_) => "exists",
            Test::Ordered(Order::Greater, _) => "gt",
            Test::Ordered(Order::GreaterOrEqual, _) => "gte",
            Test::Ordered(Order::Less, _) => "lt",
            Test::Ordered(Order::LessOrEqual, _) => "lte",
        }
    }

    /// What is asked of the nodes that the path selects.
    pub(super) fn wanted(&self) -> Wanted {
        let wanted = match &self.test {
            Test::Exists(false) => Some(Wanted::Absent),
            Test::Exists(true) => Some(Wanted::Present),
            Test::Equals(value) => value_of(value).map(|value| Wanted::AnyOf(vec![value])),
            Test::In(values) => values.children().map(value_of).collect::<Option<_>>().map(Wanted::AnyOf),
            Test::NotEquals(value) | Test::Ordered(_, value) => value_of(value).map(Wanted::TypeOf),
            Test::Contains(_) => None,
        };
        wanted.unwrap_or(Wanted::Other)
    }

    /// Writes what the filter means, the same for filters that mean the same.
    pub(crate) fn write_canonical(&self, out: &mut Vec<u8>) {
        Node::text(self.path.text()).write_canonical(out);
        Node::text(self.operator()).write_canonical(out);
        match &self.test {
            Test::Equals(value)
            | Test::NotEquals(value)
            | Test::In(value)
            | Test::Contains(value)
            | Test::Ordered(_, value) => value.write_canonical(out),
            Test::Exists(wanted) => Node::Bool(*wanted).write_canonical(out),
        }
    }
}

impl Test {
    fn accepts(&self, node: &Node<'_>, steps: &Steps) -> Result<bool, OutOfSteps> {
        steps.spend(1)?;
        Ok(match self {
            Self::Equals(value) => node.same(value),
            Self::NotEquals(value) => node.is_of_type(value) && !node.same(value),
            Self::In(values) => among(node, values, steps)?,
            Self::Contains(value) => match (node, value) {
                (Node::Text(text), Node::Text(part)) => text.contains(&**part),
                (list @ Node::List(_), value) => among(value, list, steps)?,
                _ => false,
            },
            Self::Exists(wanted) => *wanted,
            Self::Ordered(order, value) => node.order(value).is_some_and(|found| order.accepts(found)),
        })
    }
}

fn among(value: &Node<'_>, list: &Node<'_>, steps: &Steps) -> Result<bool, OutOfSteps> {
    steps.spend(list.breadth())?;
    Ok(list.children().any(|element| element.same(value)))
}

/// A pattern's numbers have a bounded exponent, so that comparing with them is exact whatever an event holds.
fn check_numbers(value: &Node<'_>, at: &str) -> Result<(), FilterError> {
    if let Node::Number(number) = value
        && Decimal::parse(number).exponent().abs() > EXPONENT_MAX
    {
        return Err(FilterError::new(at, format!("a number's exponent lies beyond {EXPONENT_MAX}")));
    }
    value.children().try_for_each(|child| check_numbers(child, at))
}
