//! Business rules: what must hold of an event beyond its schema, in CEL (the Common Expression Language).
//!
//! An expression sees
//! - `data`: the event's data;
//! - `event`: its envelope: `id`, `type`, `version`, `timestamp`, `tenant`, `project`, `source.type`, `source.id`,
//!   `entity.type`, `entity.id`, `actor`, and `metadata.` with `correlation_id`, `causation_id`, `context.type`,
//!   `context.id`, `traceparent`;
//! - `sets`: the catalog's reference sets, as `x in sets.currencies` and `size(sets.currencies)`.
//!
//! It knows
//! - the literals of CEL but bytes and messages; lists `[1, 2]` and maps `{'a': 1}`;
//! - `?:`, `||`, `&&`, `!`, `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `+`, `-`, `*`, `/`, `%`, `a.b`, `a['b']`, `a[0]`, and
//!   names that are no words in backticks, ``data.`x-y` ``;
//! - `has(data.a.b)`: whether the member is there; false as well where something on the way is missing;
//! - the loops `all`, `exists`, `exists_one`, `filter` and `map` over lists and over the names of objects, three within
//!   each other at most: `data.items.all(item, item.count > 0)`;
//! - of strings: `size` (characters), `contains`, `startsWith`, `endsWith`, `matches` (a pattern that is found anywhere;
//!   it must stand there as a string, and runs in linear time), `lowerAscii`, `upperAscii`, `trim`, `substring(from)`,
//!   `substring(from, to)`, `split(by)`, `join()`, `join(between)`, `replace(from, to)`, `string`;
//! - of numbers: `int` (cuts off), `double`, `abs`, `ceil`, `floor`, `round(x)`, `round(x, digits)`, `sum(list)`,
//!   `min`, `max` (of a list, or of the arguments);
//! - of time, in UTC: `timestamp(text)` (RFC 3339; or seconds since 1970), `date(text)` (the beginning of the day),
//!   `duration(text)` (`1d`, `1h30m`, `1.5s`), their sums, differences and comparisons, and `getFullYear`, `getMonth`
//!   (from 0), `getDate` (from 1), `getDayOfMonth` (from 0), `getDayOfWeek` (from Sunday, 0), `getDayOfYear` (from 0),
//!   `getHours`, `getMinutes`, `getSeconds`, `getMilliseconds`. `event.timestamp` is a timestamp.
//!
//! Every function may be written as `f(x)` and as `x.f()`. Where CEL leaves a choice, or is stricter than JSON bears:
//! - JSON has one kind of number. Whole numbers of 64 bits are calculated with exactly and give whole numbers
//!   (`7 / 2` is 3); as soon as one number is not whole, both are doubles, and they may be mixed. Amounts of money with
//!   cents should be compared after `round(x, 2)`. Overflow and division by zero of whole numbers fail.
//!   What counts (`%`, an index, a number of digits) takes 4.0 for 4, as JSON Schema does.
//! - `==` never fails: values of different kinds are different. Comparisons of different kinds fail.
//! - `&&` and `||` hold or fail to hold if either side decides, even if the other side fails; `all` and `exists` too.
//!
//! A rule that fails to be judged (a member is missing, a string is compared with a number) is a broken rule: `has()`
//! guards what may be missing.
//!
//! # Why the evaluation is our own
//! The `cel` crate parses; its interpreter has no bound on work: `data.a.all(x, data.text.contains(x))` is short, has
//! one loop, and costs the product of both sizes. Here every step is counted before it is done, and everything that takes
//! longer than a step counts for as many as it takes: one element, 16 bytes of a text that is compared or copied, two
//! that are searched, every state of a pattern that a byte may have to be held against. Nothing is copied to be looked
//! at. All rules of an event share [`STEPS_MAX`] steps. A step takes around ten nanoseconds, so the rules of one event
//! take about ten milliseconds at most, whatever they are and whatever comes in; common ones take 5 to 50 steps. Nesting
//! is bounded when an expression is compiled.

mod analyse;
mod compile;
mod elements;
mod eval;
mod functions;
mod ir;
mod pattern;
mod value;

use std::cell::Cell;
use std::sync::Arc;

use tidings_event::{Event, Violation, violation_code as code};

use crate::definition::{Pointer, Rule};
use crate::document::Document;
use crate::schema::violation;
use eval::Evaluator;
use value::Value;

pub(crate) use value::SetValues;

/// Steps that all rules of one event may take together, and one expression of a conversion.
pub(crate) const STEPS_MAX: u32 = 1_000_000;
/// Levels of an expression.
const DEPTH_MAX: usize = 96;
/// Loops within each other.
const LOOPS_MAX: usize = 3;

/// What an expression may speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sees {
    /// The data alone: an expression of a conversion.
    Data,
    /// The data, the envelope and the sets: a rule.
    Everything,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Something that it needs is not there.
    Missing(String),
    /// Something is of another kind than it needs.
    Type(String),
    /// A calculation has no result.
    Arithmetic(String),
    /// It takes too many steps.
    TooCostly,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(reason) | Self::Type(reason) | Self::Arithmetic(reason) => f.write_str(reason),
            Self::TooCostly => f.write_str("it takes too long on this data"),
        }
    }
}

/// The steps that are left.
#[derive(Debug)]
pub(crate) struct Steps(Cell<u32>);

impl Steps {
    /// As many as the rules of one event may take.
    pub(crate) fn for_one_event() -> Self {
        Self::of(STEPS_MAX)
    }
}

/// An expression, compiled.
#[derive(Debug)]
pub(crate) struct Expression {
    root: ir::Ir,
    sets: Vec<String>,
}

impl Expression {
    /// Compiles a text; the error says to its author what is wrong.
    pub(crate) fn compile(text: &str, sees: Sees) -> Result<Self, String> {
        let compile::Compiled { root, sets } = compile::compile(text, sees)?;
        Ok(Self { root, sets })
    }

    /// The names of the sets that it looks into; their values are handed in in this order.
    pub(crate) fn set_names(&self) -> &[String] {
        &self.sets
    }

    /// Whether it can be a boolean at all.
    pub(crate) fn may_be_boolean(&self) -> bool {
        analyse::may_be_boolean(&self.root)
    }

    /// Whether its steps may grow faster than the data: whether it does more than a little for every element of a list.
    pub(crate) fn is_costly(&self) -> bool {
        analyse::is_costly(&self.root)
    }

    /// Whether it looks into the envelope.
    pub(crate) fn sees_envelope(&self) -> bool {
        analyse::sees_envelope(&self.root)
    }

    /// The places in the data that it uses, and those that it asks for with `has()`.
    pub(crate) fn mentions(&self) -> (Vec<Pointer>, Vec<Pointer>) {
        let analyse::Mentions { used, tested } = analyse::mentions(&self.root);
        (used.into_iter().map(Pointer::of).collect(), tested.into_iter().map(Pointer::of).collect())
    }

    /// Whether it holds.
    fn holds(
        &self,
        data: &Document<'_>,
        event: &Event,
        sets: &[Option<Arc<SetValues>>],
        steps: &Steps,
    ) -> Result<bool, Failure> {
        let mut evaluator = Evaluator { data, event: Some(event), sets, steps, variables: Vec::new() };
        match evaluator.value(&self.root)? {
            Value::Bool(bool) => Ok(bool),
            other => Err(Failure::Type(format!("it is {}, not a boolean", other.kind()))),
        }
    }

    /// Its value over data alone, as JSON.
    pub(crate) fn over_data(&self, data: &Document<'_>) -> Result<serde_json::Value, Failure> {
        let steps = Steps::for_one_event();
        let mut evaluator = Evaluator { data, event: None, sets: &[], steps: &steps, variables: Vec::new() };
        let value = evaluator.value(&self.root)?;
        let kind = value.kind();
        value.to_json(&steps)?.ok_or_else(|| Failure::Type(format!("it is {kind} that JSON cannot hold")))
    }
}

/// A rule, compiled.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    name: String,
    message: String,
    expression: Expression,
    /// Where in the event a broken rule is shown: the nearest place that holds all that it uses.
    path: String,
}

impl CompiledRule {
    /// Compiles a rule; the error says to its author what is wrong.
    pub(crate) fn compile(rule: &Rule) -> Result<Self, String> {
        let expression = Expression::compile(&rule.check, Sees::Everything)?;
        if !expression.may_be_boolean() {
            return Err("must be true or false, like: data.amount > 0".to_owned());
        }
        let path = place(&expression);
        Ok(Self { name: rule.name.clone(), message: rule.message.clone(), expression, path })
    }

    /// Its expression.
    pub(crate) fn expression(&self) -> &Expression {
        &self.expression
    }

    /// The violation, if an event breaks it. The steps are those that all rules of the event share.
    pub(crate) fn judge(
        &self,
        data: &Document<'_>,
        event: &Event,
        sets: &[Option<Arc<SetValues>>],
        steps: &Steps,
    ) -> Option<Violation> {
        match self.expression.holds(data, event, sets, steps) {
            Ok(true) => None,
            Ok(false) => Some(self.broken(code::RULE_FAILED, format!("{} (rule {})", self.message, self.name))),
            Err(failure) => {
                let message = format!("the rule {} cannot be judged: {failure}", self.name);
                Some(self.broken(code::RULE_NOT_JUDGED, message))
            }
        }
    }

    #[cold]
    fn broken(&self, code: &'static str, message: String) -> Violation {
        violation(self.path.clone(), code, message)
    }
}

/// The nearest place in an event that holds all that an expression uses of the data; the event itself if it uses none.
fn place(expression: &Expression) -> String {
    let (used, tested) = expression.mentions();
    let mut all = used.iter().chain(&tested);
    let Some(first) = all.next() else { return String::new() };
    let until_wildcard = |pointer: &Pointer| {
        let known = pointer.segments().iter().take_while(|segment| *segment != crate::pointer::WILDCARD);
        known.cloned().collect::<Vec<_>>()
    };
    let mut common = until_wildcard(first);
    for pointer in all {
        let same = common.iter().zip(until_wildcard(pointer)).take_while(|(a, b)| **a == *b).count();
        common.truncate(same);
    }
    format!("/data{}", Pointer::of(common))
}

#[cfg(test)]
mod tests;
