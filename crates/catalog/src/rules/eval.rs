//! Evaluation, with a bound on its steps.

use std::cell::Cell;
use std::cmp::Ordering;
use std::rc::Rc;

use tidings_event::Event;

use super::elements::elements;
use super::functions;
use super::ir::{Constant, Field, Ir, Loop, LoopKind, Operator};
use super::value::{SetValues, Text, Value, compare, integral, whole};
use super::{Failure, Steps};
use crate::document::{Document, Number};

/// What one evaluation sees.
pub(super) struct Evaluator<'a> {
    pub data: &'a Document<'a>,
    /// None where only the data is seen.
    pub event: Option<&'a Event>,
    /// By the numbers of the expression; none where there is no such set.
    pub sets: &'a [Option<std::sync::Arc<SetValues>>],
    pub steps: &'a Steps,
    /// What the loops around are at, the innermost last.
    pub variables: Vec<Value<'a>>,
}

/// Members of an object that a name is held against at most; the members of larger objects are sorted.
const LOOKED_THROUGH_MAX: usize = 400;
/// Steps of a failure that decides nothing.
const FAILURE_STEPS: usize = 16;
/// Steps that making a text, a list or a map takes, and dropping it.
const MAKE_STEPS: usize = 4;
/// Steps that a loop takes before its first element.
const LOOP_STEPS: usize = 4;

type Result<T> = std::result::Result<T, Failure>;

impl Steps {
    /// Takes so many steps from what is left.
    pub(super) fn spend(&self, steps: usize) -> Result<()> {
        let left = self.0.get().checked_sub(u32::try_from(steps).unwrap_or(u32::MAX));
        self.0.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or(Failure::TooCostly)
    }

    /// Takes the steps for comparing or copying so many bytes.
    pub(super) fn spend_bytes(&self, bytes: usize) -> Result<()> {
        self.spend(bytes / 16 + 1)
    }

    /// Takes the steps for finding a member by a name of so many bytes. Only names of the same length are compared byte
    /// by byte, but all may have it.
    fn spend_lookup(&self, members: usize, name: usize) -> Result<()> {
        self.spend(members.min(LOOKED_THROUGH_MAX) * (name + 8) / 128)
    }

    /// Takes the steps of a failure that decides nothing: its message was made for nothing.
    fn spend_failure(&self) -> Result<()> {
        self.spend(FAILURE_STEPS)
    }

    pub(super) fn of(steps: u32) -> Self {
        Self(Cell::new(steps))
    }
}

impl<'a> Evaluator<'a> {
    pub(super) fn value(&mut self, ir: &'a Ir) -> Result<Value<'a>> {
        self.steps.spend(1)?;
        match ir {
            Ir::Const(constant) => Ok(of_constant(constant)),
            Ir::Data => Ok(Value::Data(self.data)),
            Ir::Event(field) => self.field(*field),
            Ir::HasEvent(field) => Ok(Value::Bool(self.has_field(*field))),
            Ir::Variable(at) => Ok(self.variables.get(*at).cloned().unwrap_or(Value::Null)),
            Ir::Member(of, name) => {
                let of = self.value(of)?;
                member(&of, name, self.steps)
            }
            Ir::HasMember(of, name) => match self.value(of) {
                Ok(of) if of.is_object() => Ok(Value::Bool(find(&of, name, self.steps)?.is_some())),
                Ok(_) => Ok(Value::Bool(false)),
                Err(Failure::Missing(_)) => self.steps.spend_failure().map(|()| Value::Bool(false)),
                Err(failure) => Err(failure),
            },
            Ir::Index(of, by) => {
                let (of, by) = (self.value(of)?, self.value(by)?);
                index(&of, &by, self.steps)
            }
            Ir::InSet(value, set) => {
                let value = self.value(value)?;
                Ok(Value::Bool(self.set(*set)?.contains(&value, self.steps)?))
            }
            Ir::SizeOfSet(set) => Ok(Value::size(self.set(*set)?.len())),
            Ir::In(value, of) => {
                let (value, of) = (self.value(value)?, self.value(of)?);
                self.is_in(&value, &of)
            }
            Ir::Not(of) => self.bool(of).map(|bool| Value::Bool(!bool)),
            Ir::Negate(of) => negate(&self.value(of)?),
            Ir::And(a, b) => self.both(a, b, false),
            Ir::Or(a, b) => self.both(a, b, true),
            Ir::If(test, yes, no) => {
                let chosen = if self.bool(test)? { yes } else { no };
                self.value(chosen)
            }
            Ir::Binary(operator, a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                self.binary(*operator, &a, &b)
            }
            Ir::Call(function, args) => {
                self.steps.spend(functions::STEPS)?;
                let args = args.iter().map(|arg| self.value(arg)).collect::<Result<Vec<_>>>()?;
                functions::call(*function, &args, self.steps)
            }
            Ir::Matches(text, pattern) => match self.value(text)? {
                Value::Text(text) => {
                    self.steps.spend(pattern.steps(text.len()))?;
                    Ok(Value::Bool(pattern.is_match(&text)))
                }
                other => Err(Failure::Type(format!("matches() is asked of {}, not of a string", other.kind()))),
            },
            Ir::List(items) => {
                self.steps.spend(MAKE_STEPS + items.len())?;
                let items = items.iter().map(|item| self.value(item)).collect::<Result<Vec<_>>>()?;
                Ok(Value::list(items))
            }
            Ir::Map(entries) => self.map(entries),
            Ir::Loop(looped) => self.looped(looped),
        }
    }

    /// A value that must be a boolean.
    pub(super) fn bool(&mut self, ir: &'a Ir) -> Result<bool> {
        match self.value(ir)? {
            Value::Bool(bool) => Ok(bool),
            other => Err(Failure::Type(format!("{} stands where a boolean is needed", other.kind()))),
        }
    }

    /// `&&` where `decisive` is false, `||` where it is true. A side that decides does so even if the other fails.
    fn both(&mut self, a: &'a Ir, b: &'a Ir, decisive: bool) -> Result<Value<'a>> {
        let a = self.bool(a);
        if matches!(a, Ok(bool) if bool == decisive) || matches!(a, Err(Failure::TooCostly)) {
            return a.map(Value::Bool);
        }
        if a.is_err() {
            self.steps.spend_failure()?;
        }
        let b = self.bool(b)?;
        if b == decisive { Ok(Value::Bool(b)) } else { a.map(Value::Bool) }
    }

    fn set(&self, set: usize) -> Result<&'a SetValues> {
        let found = self.sets.get(set).and_then(Option::as_deref);
        found.ok_or_else(|| Failure::Missing("a set that it looks into is not in the catalog".to_owned()))
    }

    fn map(&mut self, entries: &'a [(Ir, Ir)]) -> Result<Value<'a>> {
        self.steps.spend(MAKE_STEPS + entries.len())?;
        let mut members: Vec<(Text<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let Value::Text(key) = self.value(key)? else {
                return Err(Failure::Type("the keys of a map must be strings".to_owned()));
            };
            self.steps.spend_lookup(members.len(), key.len())?;
            if members.iter().any(|(known, _)| **known == *key) {
                return Err(Failure::Type("a map has a key twice".to_owned()));
            }
            let value = self.value(value)?;
            members.push((key, value));
        }
        Ok(Value::Map(Rc::new(members)))
    }

    fn looped(&mut self, looped: &'a Loop) -> Result<Value<'a>> {
        let items = elements(&self.value(&looped.range)?)?;
        self.steps.spend(LOOP_STEPS)?;
        let mut taken = Vec::new();
        let mut found = 0;
        let mut failure = None;
        for item in items {
            self.steps.spend(1)?;
            self.variables.push(item.clone());
            let outcome = self.step(looped, item, &mut taken);
            self.variables.pop();
            match outcome {
                Ok(true) if looped.kind == LoopKind::Exists => return Ok(Value::Bool(true)),
                Ok(false) if looped.kind == LoopKind::All => return Ok(Value::Bool(false)),
                Ok(holds) => found += usize::from(holds),
                Err(Failure::TooCostly) => return Err(Failure::TooCostly),
                // What a later element says may decide all the same.
                Err(error) if matches!(looped.kind, LoopKind::Exists | LoopKind::All) => {
                    self.steps.spend_failure()?;
                    failure.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        match (looped.kind, failure) {
            (_, Some(failure)) => Err(failure),
            (LoopKind::All, None) => Ok(Value::Bool(true)),
            (LoopKind::Exists, None) => Ok(Value::Bool(false)),
            (LoopKind::ExistsOne, None) => Ok(Value::Bool(found == 1)),
            (LoopKind::Filter | LoopKind::Map, None) => Ok(Value::list(taken)),
        }
    }

    /// One element: whether it passes the test. What is made of it goes to `taken`.
    fn step(&mut self, looped: &'a Loop, item: Value<'a>, taken: &mut Vec<Value<'a>>) -> Result<bool> {
        let holds = match &looped.test {
            Some(test) => self.bool(test)?,
            None => true,
        };
        if holds {
            if matches!(looped.kind, LoopKind::Filter | LoopKind::Map) {
                self.steps.spend(1)?;
            }
            match (&looped.make, looped.kind) {
                (Some(make), _) => taken.push(self.value(make)?),
                (None, LoopKind::Filter) => taken.push(item),
                (None, _) => {}
            }
        }
        Ok(holds)
    }

    fn is_in(&self, value: &Value<'a>, of: &Value<'a>) -> Result<Value<'a>> {
        if let Value::Text(name) = value
            && of.is_object()
        {
            return Ok(Value::Bool(find(of, name, self.steps)?.is_some()));
        }
        for item in elements(of)? {
            if equals(value, &item, self.steps)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }

    fn binary(&self, operator: Operator, a: &Value<'a>, b: &Value<'a>) -> Result<Value<'a>> {
        Ok(match operator {
            Operator::Equal => Value::Bool(equals(a, b, self.steps)?),
            Operator::NotEqual => Value::Bool(!equals(a, b, self.steps)?),
            Operator::Less => Value::Bool(order(a, b, self.steps)? == Ordering::Less),
            Operator::LessOrEqual => Value::Bool(order(a, b, self.steps)? != Ordering::Greater),
            Operator::Greater => Value::Bool(order(a, b, self.steps)? == Ordering::Greater),
            Operator::GreaterOrEqual => Value::Bool(order(a, b, self.steps)? != Ordering::Less),
            Operator::Add => return self.add(a, b),
            Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => {
                return calculate(operator, a, b);
            }
        })
    }

    fn add(&self, a: &Value<'a>, b: &Value<'a>) -> Result<Value<'a>> {
        match (a, b) {
            (Value::Text(a), Value::Text(b)) => {
                self.steps.spend(MAKE_STEPS)?;
                self.steps.spend_bytes(a.len() + b.len())?;
                Ok(Value::text([&**a, &**b].concat()))
            }
            (Value::Data(Document::List(_)) | Value::List(_), Value::Data(Document::List(_)) | Value::List(_)) => {
                let (a, b) = (elements(a)?, elements(b)?);
                self.steps.spend((a.len() + b.len()) * 2)?;
                Ok(Value::list(a.chain(b).collect()))
            }
            _ => calculate(Operator::Add, a, b),
        }
    }

    fn field(&self, field: Field) -> Result<Value<'a>> {
        let Some(event) = self.event else {
            return Err(Failure::Missing(format!("event.{} is missing", field.as_str())));
        };
        let text = match field {
            Field::Timestamp => return Ok(Value::Timestamp(event.timestamp.as_micros())),
            Field::Id => Some(event.id.as_str()),
            Field::Type => Some(event.event_type.as_str()),
            Field::Version => Some(event.version.as_str()),
            Field::Tenant => Some(event.tenant.as_str()),
            Field::Project => event.project.as_ref().map(|text| text.as_str()),
            Field::SourceType => Some(event.source.kind.as_str()),
            Field::SourceId => Some(event.source.id.as_str()),
            Field::EntityType => event.entity.as_ref().map(|entity| entity.kind.as_str()),
            Field::EntityId => event.entity.as_ref().map(|entity| entity.id.as_str()),
            Field::Actor => event.actor.as_ref().map(|text| text.as_str()),
            Field::CorrelationId => Some(event.metadata.correlation_id.as_str()),
            Field::CausationId => event.metadata.causation_id.as_ref().map(|text| text.as_str()),
            Field::ContextType => event.metadata.context.as_ref().map(|context| context.kind.as_str()),
            Field::ContextId => event.metadata.context.as_ref().map(|context| context.id.as_str()),
            Field::Traceparent => event.metadata.traceparent.as_ref().map(|text| text.as_str()),
            Field::Source | Field::Entity | Field::Metadata | Field::Context => None,
        };
        let missing = || Failure::Missing(format!("event.{} is missing", field.as_str()));
        text.map(|text| Value::Text(text.into())).ok_or_else(missing)
    }

    fn has_field(&self, field: Field) -> bool {
        match field {
            Field::Source | Field::Metadata => true,
            Field::Entity => self.event.is_some_and(|event| event.entity.is_some()),
            Field::Context => self.event.is_some_and(|event| event.metadata.context.is_some()),
            _ => self.field(field).is_ok(),
        }
    }
}

fn of_constant(constant: &Constant) -> Value<'_> {
    match constant {
        Constant::Null => Value::Null,
        Constant::Bool(bool) => Value::Bool(*bool),
        Constant::Int(int) => Value::Number(Number::Int(*int)),
        Constant::Unsigned(unsigned) => Value::Number(Number::Unsigned(*unsigned)),
        Constant::Float(float) => Value::Number(Number::Float(*float)),
        Constant::Text(text) => Value::Text(Text::There(text)),
    }
}

/// The member of an object; none if there is none of this name.
fn find<'a>(of: &Value<'a>, name: &str, steps: &Steps) -> Result<Option<Value<'a>>> {
    match of {
        Value::Data(Document::Map(members)) => {
            steps.spend_lookup(members.len(), name.len())?;
            Ok(members.get(name).map(Value::of))
        }
        Value::Map(members) => {
            steps.spend_lookup(members.len(), name.len())?;
            Ok(members.iter().find(|(known, _)| **known == *name).map(|(_, value)| value.clone()))
        }
        other => Err(Failure::Missing(format!("'{}' is asked of {}", shorten(name), other.kind()))),
    }
}

fn member<'a>(of: &Value<'a>, name: &str, steps: &Steps) -> Result<Value<'a>> {
    let found = find(of, name, steps)?;
    found.ok_or_else(|| Failure::Missing(format!("'{}' is missing", shorten(name))))
}

/// A name as a message may hold it.
fn shorten(name: &str) -> &str {
    name.char_indices().nth(NAME_CHARS_MAX).map_or(name, |(end, _)| &name[..end])
}

/// Characters of a name in a message.
const NAME_CHARS_MAX: usize = 100;

fn index<'a>(of: &Value<'a>, by: &Value<'_>, steps: &Steps) -> Result<Value<'a>> {
    let at = match by {
        Value::Text(name) => return member(of, name, steps),
        Value::Number(number) => integral(*number).and_then(|at| usize::try_from(at).ok()),
        other => return Err(Failure::Type(format!("{} is no index", other.kind()))),
    };
    let found = match of {
        Value::Data(Document::List(items)) => at.and_then(|at| items.get(at)).map(Value::of),
        Value::List(items) => at.and_then(|at| items.get(at)).cloned(),
        other => return Err(Failure::Type(format!("an element is asked of {}", other.kind()))),
    };
    found.ok_or_else(|| Failure::Missing("a list has no such element".to_owned()))
}

/// Whether two values are the same. Values of different kinds never are; numbers are by what they mean.
fn equals(a: &Value<'_>, b: &Value<'_>, steps: &Steps) -> Result<bool> {
    steps.spend(1)?;
    Ok(match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => compare(*a, *b) == Some(Ordering::Equal),
        (Value::Text(a), Value::Text(b)) if a.len() == b.len() => {
            steps.spend_bytes(a.len())?;
            **a == **b
        }
        (Value::Timestamp(a), Value::Timestamp(b)) | (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Data(Document::List(_)) | Value::List(_), Value::Data(Document::List(_)) | Value::List(_)) => {
            let (a, b) = (elements(a)?, elements(b)?);
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.zip(b) {
                steps.spend(1)?;
                if !equals(&a, &b, steps)? {
                    return Ok(false);
                }
            }
            true
        }
        (a, b) if a.is_object() && b.is_object() => {
            let names = elements(a)?;
            if names.len() != elements(b)?.len() {
                return Ok(false);
            }
            for name in names {
                steps.spend(2)?;
                let Value::Text(name) = name else { return Ok(false) };
                match (find(a, &name, steps)?, find(b, &name, steps)?) {
                    (Some(a), Some(b)) if equals(&a, &b, steps)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        _ => false,
    })
}

/// Which of two values comes first.
pub(super) fn order(a: &Value<'_>, b: &Value<'_>, steps: &Steps) -> Result<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(*a, *b).ok_or_else(|| {
            Failure::Arithmetic("the result of a calculation like 0.0 / 0.0 is no number, and is compared".to_owned())
        }),
        (Value::Text(a), Value::Text(b)) => {
            steps.spend_bytes(a.len().min(b.len()))?;
            Ok((**a).cmp(&**b))
        }
        (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) | (Value::Duration(a), Value::Duration(b)) => Ok(a.cmp(b)),
        _ => Err(Failure::Type(format!("{} is compared with {}", a.kind(), b.kind()))),
    }
}

fn negate<'a>(value: &Value<'a>) -> Result<Value<'a>> {
    match value {
        Value::Number(Number::Float(float)) => Ok(Value::Number(Number::Float(-float))),
        Value::Number(number) => whole(*number).and_then(|whole| of_whole(-whole)).ok_or_else(overflow),
        Value::Duration(micros) => micros.checked_neg().map(Value::Duration).ok_or_else(overflow),
        other => Err(Failure::Type(format!("{} has no negative", other.kind()))),
    }
}

/// Adds, subtracts, multiplies and divides numbers, moments and durations.
pub(super) fn calculate<'a>(operator: Operator, a: &Value<'a>, b: &Value<'a>) -> Result<Value<'a>> {
    use Operator::{Add, Subtract};
    let time = match (operator, a, b) {
        (_, Value::Number(a), Value::Number(b)) => return numbers(operator, *a, *b),
        (Add, Value::Timestamp(a), Value::Duration(b)) | (Add, Value::Duration(b), Value::Timestamp(a)) => {
            a.checked_add(*b).map(Value::Timestamp)
        }
        (Subtract, Value::Timestamp(a), Value::Duration(b)) => a.checked_sub(*b).map(Value::Timestamp),
        (Subtract, Value::Timestamp(a), Value::Timestamp(b)) => a.checked_sub(*b).map(Value::Duration),
        (Add, Value::Duration(a), Value::Duration(b)) => a.checked_add(*b).map(Value::Duration),
        (Subtract, Value::Duration(a), Value::Duration(b)) => a.checked_sub(*b).map(Value::Duration),
        _ => return Err(Failure::Type(format!("{} cannot be calculated with {}", a.kind(), b.kind()))),
    };
    time.ok_or_else(overflow)
}

/// Whole numbers give whole numbers; as soon as one is not, both are doubles. Only whole numbers leave a remainder, so
/// for that it does not matter how they are written.
fn numbers<'a>(operator: Operator, a: Number, b: Number) -> Result<Value<'a>> {
    let exact = if operator == Operator::Remainder { integral } else { whole };
    if let (Some(a), Some(b)) = (exact(a), exact(b)) {
        if b == 0 && matches!(operator, Operator::Divide | Operator::Remainder) {
            return Err(Failure::Arithmetic("a whole number is divided by zero".to_owned()));
        }
        let exact = match operator {
            Operator::Add => a.checked_add(b),
            Operator::Subtract => a.checked_sub(b),
            Operator::Multiply => a.checked_mul(b),
            Operator::Divide => a.checked_div(b),
            _ => a.checked_rem(b),
        };
        return exact.and_then(of_whole).ok_or_else(overflow);
    }
    let (a, b) = (a.as_float(), b.as_float());
    let float = match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        _ => return Err(Failure::Type("a remainder is there of whole numbers only".to_owned())),
    };
    Ok(Value::Number(Number::Float(float)))
}

/// A whole number, if 64 bits hold it.
pub(super) fn of_whole<'a>(whole: i128) -> Option<Value<'a>> {
    let number = i64::try_from(whole).map(Number::Int).or_else(|_| u64::try_from(whole).map(Number::Unsigned)).ok()?;
    Some(Value::Number(number))
}

pub(super) fn overflow() -> Failure {
    Failure::Arithmetic("a number becomes larger than 64 bits hold".to_owned())
}
