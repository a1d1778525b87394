//! One branch of a tableau: what is claimed of a document of one kind, and what is still open.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::Value;

use super::facts::Facts;
use super::formula::{Atom, Claim, Constant, Kind};
use super::solve::{Goal, Solver, Status};

/// One of these lists of claims holds, each as a whole.
pub(super) type Clause = Vec<Vec<Claim>>;

/// What is claimed so far.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    /// What the branch is out to fulfil.
    pub(super) goal: Goal,
    pub(super) kind: Kind,
    /// What the claims of atoms come to.
    pub(super) facts: Facts,
    /// What is open.
    pub(super) clauses: Vec<Clause>,
    seen: HashSet<Claim>,
    /// The values that are left, where a claim names them.
    values: Option<Rc<[Constant]>>,
}

impl Branch {
    pub(super) fn new(kind: Kind, goal: Goal) -> Self {
        Self { goal, kind, facts: Facts::new(kind), clauses: Vec::new(), seen: HashSet::new(), values: None }
    }

    pub(super) fn has(&self, claim: Claim) -> bool {
        self.seen.contains(&claim)
    }

    /// Notes a claim; false if it was there.
    pub(super) fn note(&mut self, claim: Claim) -> bool {
        self.seen.insert(claim)
    }

    /// Adds what an atom says; false where it contradicts what is there.
    pub(super) fn add(&mut self, atom: &Atom, holds: bool) -> bool {
        if atom.kind().is_some_and(|kind| kind != self.kind) {
            return holds;
        }
        match (atom, holds) {
            (Atom::Kinds(kinds), holds) => kinds.has(self.kind) == holds,
            (Atom::Opaque(_), _) => true,
            (Atom::Values(values), true) => {
                let of_kind = values.iter().filter(|value| Kind::of(&value.value) == self.kind);
                let left: Rc<[Constant]> = match &self.values {
                    None => of_kind.cloned().collect(),
                    Some(before) => of_kind.filter(|value| before.contains(value)).cloned().collect(),
                };
                let some = !left.is_empty();
                self.values = Some(left);
                some
            }
            (Atom::Values(values), false) => {
                values.iter().for_each(|value| self.facts.exclude(&value.value));
                true
            }
            _ => self.facts.add(atom, holds),
        }
    }

    /// All values that are left, where they are few.
    pub(super) fn finite_values(&self) -> Option<Vec<Value>> {
        match (&self.values, self.kind) {
            (Some(values), _) => Some(values.iter().map(|value| value.value.clone()).collect()),
            (None, Kind::Null) => Some(vec![Value::Null]),
            (None, Kind::Boolean) => Some(vec![Value::Bool(true), Value::Bool(false)]),
            (None, _) => None,
        }
    }

    /// What the branch says about an atom already.
    pub(super) fn status(&self, solver: &mut Solver, atom: &Atom, holds: bool) -> Status {
        if atom.kind().is_some_and(|kind| kind != self.kind) {
            return if holds { Status::Implied } else { Status::Dead };
        }
        match atom {
            Atom::Kinds(kinds) if kinds.has(self.kind) == holds => Status::Implied,
            Atom::Kinds(_) => Status::Dead,
            Atom::Values(values) if !values.iter().any(|value| Kind::of(&value.value) == self.kind) => {
                if holds {
                    Status::Dead
                } else {
                    Status::Implied
                }
            }
            Atom::Opaque(_) | Atom::Values(_) => Status::Live,
            _ => self.facts.status(solver, atom, holds),
        }
    }

    /// The clause with the fewest alternatives, taken off.
    pub(super) fn take_smallest_clause(&mut self) -> Option<Clause> {
        let smallest = (0..self.clauses.len()).min_by_key(|index| self.clauses[*index].len())?;
        Some(self.clauses.swap_remove(smallest))
    }
}
