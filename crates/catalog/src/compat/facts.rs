//! What is claimed of a document of one kind, kind by kind.

use serde_json::Value;

use super::arrays::ArrayFacts;
use super::formula::{Atom, Kind};
use super::numbers::NumberFacts;
use super::objects::ObjectFacts;
use super::solve::{Solver, Status};
use super::texts::TextFacts;

/// The claims of atoms on one branch.
#[derive(Debug, Clone)]
pub(super) enum Facts {
    /// Of a kind with so few values that they are tried.
    Few,
    Number(NumberFacts),
    Text(TextFacts),
    Array(ArrayFacts),
    Object(ObjectFacts),
}

impl Facts {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Null | Kind::Boolean => Self::Few,
            Kind::Number => Self::Number(NumberFacts::default()),
            Kind::Text => Self::Text(TextFacts::default()),
            Kind::Array => Self::Array(ArrayFacts::default()),
            Kind::Object => Self::Object(ObjectFacts::default()),
        }
    }

    /// Adds a claim about an atom of this kind; false where it contradicts the others at sight.
    pub(super) fn add(&mut self, atom: &Atom, holds: bool) -> bool {
        match self {
            Self::Few => true,
            Self::Number(facts) => facts.add(atom, holds),
            Self::Text(facts) => facts.add(atom, holds),
            Self::Array(facts) => facts.add(atom, holds),
            Self::Object(facts) => facts.add(atom, holds),
        }
    }

    /// The document is not this one.
    pub(super) fn exclude(&mut self, value: &Value) {
        match (self, value) {
            (Self::Number(facts), Value::Number(number)) => facts.exclude(number),
            (Self::Text(facts), Value::String(text)) => facts.exclude(text),
            (Self::Array(facts), Value::Array(items)) => facts.exclude(items),
            (Self::Object(facts), Value::Object(members)) => facts.exclude(members),
            _ => {}
        }
    }

    /// Whether it is proved that no document is like that.
    pub(super) fn refuted(&self, solver: &mut Solver) -> bool {
        match self {
            Self::Few => false,
            Self::Number(facts) => facts.refuted(),
            Self::Text(facts) => facts.refuted(solver),
            Self::Array(facts) => facts.refuted(solver),
            Self::Object(facts) => facts.refuted(solver),
        }
    }

    /// What documents like that may look like.
    pub(super) fn samples(&self, solver: &mut Solver) -> Vec<Value> {
        match self {
            Self::Few => Vec::new(),
            Self::Number(facts) => facts.samples(),
            Self::Text(facts) => facts.samples(solver),
            Self::Array(facts) => facts.samples(solver),
            Self::Object(facts) => facts.samples(solver),
        }
    }

    /// What the claims say about a further one.
    pub(super) fn status(&self, solver: &mut Solver, atom: &Atom, holds: bool) -> Status {
        if let Self::Object(facts) = self
            && let Some(status) = facts.quick_status(solver, atom, holds)
        {
            return status;
        }
        let contradicts = |solver: &mut Solver, holds: bool| {
            let mut with = self.clone();
            !with.add(atom, holds) || with.refuted(solver)
        };
        if contradicts(solver, holds) {
            Status::Dead
        } else if contradicts(solver, !holds) {
            Status::Implied
        } else {
            Status::Live
        }
    }
}
