//! The catalog as it would be after a change.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tidings_event::{EventType, Version};

use super::Known;
use crate::compat::Budget;
use crate::definition::{Definition, Step, version_number};
use crate::entry::{Entry, Key, Kind, Policy, Set};
use crate::source;

/// What is known, with the change on top. Sources are read when they are asked for.
pub(super) struct Combined<'k> {
    pub(super) known: &'k Known,
    /// What comparing schemas may take, for all definitions of the change together.
    pub(super) budget: Budget,
    sources: BTreeMap<&'k Key, &'k str>,
    read: RefCell<HashMap<Key, Option<Arc<Definition>>>>,
}

/// How much the catalog would hold.
pub(super) struct Counts {
    pub(super) types: usize,
    pub(super) sets: usize,
    pub(super) policies: usize,
}

impl<'k> Combined<'k> {
    pub(super) fn new(known: &'k Known, proposed: &'k [Entry]) -> Self {
        let mut sources: BTreeMap<&Key, &str> =
            known.keys().filter_map(|key| Some((key, known.source(key)?))).collect();
        for entry in proposed {
            match &entry.source {
                Some(text) => sources.insert(&entry.key, text),
                None => sources.remove(&entry.key),
            };
        }
        Self { known, budget: Budget::for_one_change(), sources, read: RefCell::default() }
    }

    pub(super) fn counts(&self) -> Counts {
        let of = |kind: Kind| self.sources.keys().filter(move |key| key.kind == kind);
        let types: BTreeSet<&str> = of(Kind::Definition).map(|key| key.name.as_str()).collect();
        Counts { types: types.len(), sets: of(Kind::Set).count(), policies: of(Kind::Policy).count() }
    }

    /// The numbers of a type's versions.
    pub(super) fn versions(&self, name: &str) -> impl Iterator<Item = u32> {
        let all = self.sources.keys().filter(move |key| key.kind == Kind::Definition && key.name == name);
        all.filter_map(|key| version_number(&Version::trusted(key.version.as_str())))
    }

    /// Whether some version of a type is there.
    pub(super) fn has_type(&self, name: &EventType) -> bool {
        self.versions(name.as_str()).next().is_some()
    }

    pub(super) fn definition(&self, name: &EventType, version: &Version) -> Option<Arc<Definition>> {
        self.definition_of(&Key::definition(name, version))
    }

    fn definition_of(&self, key: &Key) -> Option<Arc<Definition>> {
        if let Some(read) = self.read.borrow().get(key) {
            return read.clone();
        }
        let read = self.sources.get(key).and_then(|text| source::read(text).ok()).map(Arc::new);
        self.read.borrow_mut().insert(key.clone(), read.clone());
        read
    }

    /// The definitions whose sources hold a text; which is quicker than reading them all.
    pub(super) fn definitions_with(&self, text: &str) -> Vec<Arc<Definition>> {
        let hits = self.sources.iter().filter(|(key, source)| key.kind == Kind::Definition && source.contains(text));
        hits.filter_map(|(key, _)| self.definition_of(key)).collect()
    }

    /// The sets that a definition's expressions may look into.
    pub(super) fn sets_for(&self, definition: &Definition) -> BTreeMap<String, Set> {
        let expressions: Vec<&str> = expressions(definition).collect();
        let sets = self.sources.iter().filter(|(key, _)| {
            key.kind == Kind::Set && expressions.iter().any(|expression| expression.contains(key.name.as_str()))
        });
        let sets = sets.filter_map(|(_, text)| source::read_set(text).ok());
        sets.map(|set| (set.name.clone(), set)).collect()
    }

    pub(super) fn policies(&self) -> impl Iterator<Item = Policy> {
        let policies = self.sources.iter().filter(|(key, _)| key.kind == Kind::Policy);
        policies.filter_map(|(_, text)| source::read_policy(text).ok())
    }
}

/// Every expression of a definition: its rules' and its conversions'.
pub(super) fn expressions(definition: &Definition) -> impl Iterator<Item = &str> {
    let conversions = definition.upcast.iter().chain(&definition.downcast);
    let computed = conversions.flat_map(|conversion| &conversion.steps).filter_map(|step| match step {
        Step::Compute { expression, .. } => Some(expression.as_str()),
        _ => None,
    });
    definition.rules.iter().map(|rule| rule.check.as_str()).chain(computed)
}
