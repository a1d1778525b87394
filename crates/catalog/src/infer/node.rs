//! What was seen in one place of `data`: which kinds of values, and what stands inside of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::strings::Strings;

/// Places that are told apart in one type.
const NODES_MAX: usize = 1_000;
/// Members of one object that are told apart; with more it is taken for a map.
const MEMBERS_MAX: usize = 150;
/// Levels; deeper ones are not looked into.
const DEPTH_MAX: usize = 12;
/// Bytes of a member's name that is kept.
const NAME_BYTES_MAX: usize = 128;
/// Elements of one array that are looked at beyond their kinds.
const ELEMENTS_MAX: usize = 1_000;

/// How many more places may be told apart.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: NODES_MAX }
    }
}

impl Budget {
    /// Whether something was left out.
    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }

    fn take(&mut self) -> bool {
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

/// What was seen in one place.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// Whether something was seen that is not told here, so that anything may stand here.
    pub(super) opaque: bool,
    pub(super) seen: u64,
    pub(super) nulls: u64,
    pub(super) booleans: u64,
    pub(super) integers: u64,
    pub(super) fractions: u64,
    pub(super) strings: Option<Strings>,
    pub(super) objects: Option<Objects>,
    pub(super) arrays: Option<Arrays>,
}

/// Objects that were seen in one place.
#[derive(Debug, Clone, Default)]
pub(super) struct Objects {
    pub(super) seen: u64,
    /// By name.
    pub(super) members: BTreeMap<String, Node>,
    /// What all members together are, once there are too many to tell them apart.
    pub(super) any: Option<Box<Node>>,
    /// Whether members were left out that are told nowhere.
    pub(super) left_out: bool,
}

/// Arrays that were seen in one place.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrays {
    /// Their elements together.
    pub(super) elements: Box<Node>,
}

impl Node {
    /// Takes a value into account.
    pub(super) fn observe(&mut self, value: &Value, depth: usize, budget: &mut Budget) {
        self.seen += 1;
        match value {
            Value::Null => self.nulls += 1,
            Value::Bool(_) => self.booleans += 1,
            Value::Number(number) if number.is_f64() => self.fractions += 1,
            Value::Number(_) => self.integers += 1,
            Value::String(text) => self.strings.get_or_insert_default().observe(text),
            Value::Object(_) | Value::Array(_) if depth >= DEPTH_MAX => self.opaque = true,
            Value::Object(members) => self.objects.get_or_insert_default().observe(members, depth, budget),
            Value::Array(elements) => {
                let arrays = self.arrays.get_or_insert_default();
                arrays.elements.opaque |= elements.len() > ELEMENTS_MAX;
                for element in elements.iter().take(ELEMENTS_MAX) {
                    arrays.elements.observe(element, depth + 1, budget);
                }
            }
        }
    }

    /// Takes what was seen in another place.
    pub(super) fn merge(&mut self, other: Self) {
        self.opaque |= other.opaque;
        self.seen += other.seen;
        self.nulls += other.nulls;
        self.booleans += other.booleans;
        self.integers += other.integers;
        self.fractions += other.fractions;
        if let Some(strings) = other.strings {
            self.strings.get_or_insert_default().merge(strings);
        }
        if let Some(objects) = other.objects {
            self.objects.get_or_insert_default().merge(objects);
        }
        if let Some(arrays) = other.arrays {
            self.arrays.get_or_insert_default().elements.merge(*arrays.elements);
        }
    }

    /// The names of the kinds of values that were seen, `null` left out; none where anything may stand here.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let number = if self.fractions > 0 { "number" } else { "integer" };
        let kinds = [
            ("string", self.strings.is_some()),
            (number, self.integers + self.fractions > 0),
            ("boolean", self.booleans > 0),
            ("object", self.objects.is_some()),
            ("array", self.arrays.is_some()),
        ];
        if self.opaque { Vec::new() } else { kinds.iter().filter(|(_, is)| *is).map(|(kind, _)| *kind).collect() }
    }
}

impl Objects {
    fn observe(&mut self, members: &Map<String, Value>, depth: usize, budget: &mut Budget) {
        self.seen += 1;
        for (name, value) in members {
            if let Some(any) = &mut self.any {
                any.observe(value, depth + 1, budget);
            } else if let Some(known) = self.members.get_mut(name) {
                known.observe(value, depth + 1, budget);
            } else if self.members.len() >= MEMBERS_MAX {
                self.become_map().observe(value, depth + 1, budget);
            } else if name.len() <= NAME_BYTES_MAX && budget.take() {
                self.members.entry(name.clone()).or_default().observe(value, depth + 1, budget);
            } else {
                // Objects are open, so the schema takes the member all the same.
                self.left_out = true;
            }
        }
    }

    /// Forgets the members' names.
    fn become_map(&mut self) -> &mut Node {
        let members = std::mem::take(&mut self.members);
        let any = self.any.get_or_insert_default();
        members.into_values().for_each(|member| any.merge(member));
        any
    }

    fn merge(&mut self, other: Self) {
        self.seen += other.seen;
        self.left_out |= other.left_out;
        if let Some(theirs) = other.any {
            self.become_map().merge(*theirs);
        }
        for (name, node) in other.members {
            if let Some(any) = &mut self.any {
                any.merge(node);
            } else if self.members.len() >= MEMBERS_MAX && !self.members.contains_key(&name) {
                self.become_map().merge(node);
            } else {
                self.members.entry(name).or_default().merge(node);
            }
        }
    }
}
