//! The catalog as a node holds it: compiled, immutable, and asked about every event that comes in.
//!
//! A change makes a new catalog that shares with the one before whatever did not change. An entry that cannot be read
//! is kept, counts as unknown and is listed by [`Catalog::faults`]: a node of an older version must start all the same.

mod compiled;
mod policies;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jiff::civil::Date;
use tidings_event::{Event, EventType, Version, Violation, violation_code as code};

use crate::convert::{self, ConvertError, Converter};
use crate::definition::{Definition, Stage, version_number};
use crate::entry::{Entry, Key, Kind, Mode, Policy, Set};
use crate::report::Finding;
use crate::schema::{bounded, violation};
use crate::source;
use compiled::Compiled;
use policies::Policies;

pub use crate::examine::examine;
pub use crate::transitions::StateRule;
pub(crate) use compiled::{of_rule, of_step};

/// What becomes of an event by the catalog's rules.
#[derive(Debug, Clone)]
pub enum Judgement {
    /// It breaks none that can be judged by the event alone. What must hold with regard to its entity's newest event
    /// is still to be judged, if anything.
    Pass(Option<Arc<StateRule>>),
    /// It breaks rules, and is taken and marked all the same; the rule about states is still to be judged.
    Observe(Vec<Violation>, Option<Arc<StateRule>>),
    /// It breaks rules, and is kept aside.
    Quarantine(Vec<Violation>),
    /// It breaks rules, and is refused.
    Refuse(Vec<Violation>),
}

/// The published language, compiled. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Catalog(Arc<Inner>);

#[derive(Debug, Clone, Default)]
struct Inner {
    entries: BTreeMap<Arc<Key>, Arc<Entry>>,
    types: HashMap<EventType, Arc<Versions>>,
    sets: BTreeMap<String, Arc<compiled::LoadedSet>>,
    policies: Arc<Policies>,
    faults: BTreeMap<Arc<Key>, String>,
}

/// The versions of one type; at least one.
#[derive(Debug, Clone)]
struct Versions {
    /// By number.
    versions: Vec<Arc<Compiled>>,
    /// The index of the current one.
    current: usize,
}

impl Versions {
    fn new(mut versions: Vec<Arc<Compiled>>) -> Option<Self> {
        versions.sort_by_key(|compiled| compiled.definition.number());
        let of_stage = |stage| versions.iter().rposition(|compiled| compiled.definition.lifecycle.stage == stage);
        let current =
            of_stage(Stage::Stable).or_else(|| of_stage(Stage::Deprecated)).or_else(|| of_stage(Stage::Draft));
        current.map(|current| Self { versions, current })
    }

    fn get(&self, version: &Version) -> Option<&Arc<Compiled>> {
        self.versions.iter().find(|compiled| compiled.definition.version == *version)
    }

    fn current(&self) -> &Arc<Compiled> {
        self.versions.get(self.current).expect("`current` is the index of one of the versions")
    }
}

impl Catalog {
    /// A catalog without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The catalog after a change: the newest source of every entry that was changed; none removes it.
    #[must_use]
    pub fn with(&self, changed: impl IntoIterator<Item = Entry>) -> Self {
        let mut inner = (*self.0).clone();
        let mut definitions: BTreeMap<EventType, Vec<Arc<Key>>> = BTreeMap::new();
        let mut sets = BTreeSet::new();
        let mut policies = false;
        for entry in changed {
            let key = Arc::new(entry.key.clone());
            inner.faults.remove(&key);
            match entry.source {
                Some(_) => inner.entries.insert(Arc::clone(&key), Arc::new(entry)),
                None => inner.entries.remove(&key),
            };
            match key.kind {
                Kind::Definition => {
                    if let Ok(name) = EventType::parse(&key.name) {
                        definitions.entry(name).or_default().push(key);
                    } else if inner.entries.contains_key(&key) {
                        inner.faults.insert(key, "its name is not that of a type".to_owned());
                    }
                }
                Kind::Set => {
                    inner.load_set(&key);
                    sets.insert(key.name.clone());
                }
                Kind::Policy => policies = true,
            }
        }
        if policies {
            inner.load_policies();
        }
        if !sets.is_empty() {
            inner.relink(&sets);
        }
        for (name, keys) in definitions {
            inner.load_type(&name, &keys);
        }
        Self(Arc::new(inner))
    }

    /// The entries that cannot be read, each with the reason; they count as unknown.
    #[must_use]
    pub fn faults(&self) -> Vec<(Key, String)> {
        self.0.faults.iter().map(|(key, reason)| ((**key).clone(), reason.clone())).collect()
    }

    /// The version that an event of this type has if it names none: of the highest stage (stable, deprecated, draft)
    /// the highest number. None if the type is unknown.
    #[must_use]
    pub fn current(&self, event_type: &EventType) -> Option<&Version> {
        self.0.types.get(event_type).map(|versions| &versions.current().definition.version)
    }

    /// The definition of one version of a type.
    #[must_use]
    pub fn definition(&self, event_type: &EventType, version: &Version) -> Option<&Arc<Definition>> {
        self.compiled(event_type, version).map(|compiled| &compiled.definition)
    }

    /// All definitions, by name and then by the version's number.
    pub fn definitions(&self) -> impl Iterator<Item = &Arc<Definition>> {
        let mut types: Vec<_> = self.0.types.iter().collect();
        types.sort_unstable_by_key(|(name, _)| *name);
        types.into_iter().flat_map(|(_, versions)| versions.versions.iter().map(|compiled| &compiled.definition))
    }

    /// The definitions of one type, by the version's number.
    pub fn versions(&self, event_type: &EventType) -> impl Iterator<Item = &Arc<Definition>> {
        let versions = self.0.types.get(event_type);
        versions.into_iter().flat_map(|versions| versions.versions.iter().map(|compiled| &compiled.definition))
    }

    /// All reference sets, by name.
    pub fn sets(&self) -> impl Iterator<Item = &Arc<Set>> {
        self.0.sets.values().map(|loaded| &loaded.set)
    }

    /// One reference set.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<&Arc<Set>> {
        self.0.sets.get(name).map(|loaded| &loaded.set)
    }

    /// All policies, by name.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.0.policies.all()
    }

    /// An entry as it was given.
    #[must_use]
    pub fn entry(&self, key: &Key) -> Option<&Entry> {
        self.0.entries.get(key).map(|entry| &**entry)
    }

    /// All entries, by key.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.entries.values().map(|entry| &**entry)
    }

    /// The service that owns a type: the owner of its current version. None if the type is unknown.
    #[must_use]
    pub fn owner(&self, event_type: &EventType) -> Option<&str> {
        self.0.types.get(event_type).map(|versions| versions.current().definition.owner.as_str())
    }

    /// What becomes of events of this tenant, type and version that break rules.
    #[must_use]
    pub fn mode(&self, tenant: &str, event_type: &EventType, version: &Version) -> Mode {
        let modes = self.0.policies.modes(tenant, event_type);
        if self.compiled(event_type, version).is_some() { modes.known } else { modes.unknown }
    }

    /// Judges an event by all rules that concern it alone. Tidings' own events pass.
    #[must_use]
    pub fn judge(&self, event: &Event, today: Date) -> Judgement {
        if event.event_type.is_reserved() {
            return Judgement::Pass(None);
        }
        let modes = self.0.policies.modes(event.tenant.as_str(), &event.event_type);
        let versions = self.0.types.get(&event.event_type);
        let Some(compiled) = versions.and_then(|versions| versions.get(&event.version)) else {
            return match modes.unknown {
                Mode::Off => Judgement::Pass(None),
                mode => verdict(mode, vec![unknown(event, versions.map(|versions| &**versions))], None),
            };
        };
        if modes.known == Mode::Off {
            return Judgement::Pass(None);
        }
        let state = compiled.state_rule(modes.known).filter(|_| event.entity.is_some());
        let violations = compiled.violations(event, today);
        if violations.is_empty() { Judgement::Pass(state) } else { verdict(modes.known, violations, state) }
    }

    /// The rules that an event breaks, whatever the mode; the first is that it is not known, if so.
    #[must_use]
    pub fn violations(&self, event: &Event, today: Date) -> Vec<Violation> {
        let versions = self.0.types.get(&event.event_type);
        match versions.and_then(|versions| versions.get(&event.version)) {
            Some(compiled) => compiled.violations(event, today),
            None => vec![unknown(event, versions.map(|versions| &**versions))],
        }
    }

    /// Whether judging an event of this version may take long compared with its size, so that it should not be done
    /// where others wait for it.
    #[must_use]
    pub fn is_costly(&self, event_type: &EventType, version: &Version) -> bool {
        self.compiled(event_type, version).is_some_and(|compiled| compiled.costly)
    }

    /// What must hold between an event and the newest one of its entity, by this mode, whatever rules the event breaks by
    /// itself. None if its version says nothing of that.
    #[must_use]
    pub fn state_rule(&self, event: &Event, mode: Mode) -> Option<Arc<StateRule>> {
        event.entity.as_ref()?;
        self.compiled(&event.event_type, &event.version)?.state_rule(mode)
    }

    /// Converts data of one version of a type into data of another, over a chain of conversions where they are not
    /// neighbours. None if the versions are the same. What comes out is valid in the version that is asked for.
    ///
    /// # Errors
    /// There is no chain, a step cannot be done, or what comes out is not valid; the data is then to be used as it is.
    pub fn convert(
        &self,
        event_type: &EventType,
        from: &Version,
        to: &Version,
        data: &[u8],
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        if from == to {
            return Ok(None);
        }
        let target = self
            .compiled(event_type, to)
            .ok_or_else(|| ConvertError::Unknown { event_type: event_type.clone(), version: to.clone() })?;
        let chain = self
            .chain(event_type, from, to)
            .ok_or_else(|| ConvertError::NoChain { from: from.clone(), to: to.clone() })?;
        let mut value = convert::read(data)?;
        for converter in chain {
            converter.apply(&mut value)?;
        }
        convert::write(&value, &target.schema).map(Some)
    }

    /// The conversions that lead from one version to another, in order. Every one leads to a smaller number when it is
    /// followed from its definition, so the walk ends.
    fn chain(&self, event_type: &EventType, from: &Version, to: &Version) -> Option<Vec<&Converter>> {
        let versions = self.0.types.get(event_type)?;
        let up = version_number(from)? < version_number(to)?;
        let (mut at, end) = if up { (to, from) } else { (from, to) };
        let mut chain = Vec::new();
        while at != end {
            let compiled = versions.get(at)?;
            let converter = if up { compiled.upcast.as_deref() } else { compiled.downcast.as_deref() }?;
            if version_number(converter.other())? >= compiled.definition.number() {
                return None;
            }
            chain.push(converter);
            at = converter.other();
        }
        if up {
            chain.reverse();
        }
        Some(chain)
    }

    fn compiled(&self, event_type: &EventType, version: &Version) -> Option<&Arc<Compiled>> {
        self.0.types.get(event_type)?.get(version)
    }
}

impl Inner {
    /// Compiles the changed versions of a type anew.
    fn load_type(&mut self, name: &EventType, keys: &[Arc<Key>]) {
        let mut versions = self.types.remove(name).map(|versions| versions.versions.clone()).unwrap_or_default();
        for key in keys {
            versions.retain(|compiled| compiled.definition.version.as_str() != key.version);
            let Some(text) = self.entries.get(key).and_then(|entry| entry.source.as_deref()) else { continue };
            // One that breaks what compiles it shall not keep all others from being known.
            let compiled = catch_unwind(AssertUnwindSafe(|| self.compile(key, text)))
                .unwrap_or_else(|_| Err("it cannot be compiled: what compiles it broke".to_owned()));
            match compiled {
                Ok(compiled) => versions.push(Arc::new(compiled)),
                Err(reason) => {
                    self.faults.insert(Arc::clone(key), reason);
                }
            }
        }
        if let Some(versions) = Versions::new(versions) {
            self.types.insert(name.clone(), Arc::new(versions));
        }
    }

    fn compile(&self, key: &Key, text: &str) -> Result<Compiled, String> {
        let definition = source::read(text).map_err(|found| reason(&found))?;
        if definition.name.as_str() != key.name || definition.version.as_str() != key.version {
            return Err(format!("it defines {} {}", definition.name, definition.version));
        }
        Compiled::new(definition, &self.sets).map_err(|found| reason(&found))
    }

    fn load_set(&mut self, key: &Arc<Key>) {
        self.sets.remove(&key.name);
        let Some(text) = self.entries.get(key).and_then(|entry| entry.source.as_deref()) else { return };
        match source::read_set(text) {
            Ok(set) => {
                self.sets.insert(key.name.clone(), Arc::new(compiled::LoadedSet::new(set)));
            }
            Err(found) => {
                self.faults.insert(Arc::clone(key), reason(&found));
            }
        }
    }

    fn load_policies(&mut self) {
        let mut policies = Vec::new();
        let mut faults = Vec::new();
        for (key, entry) in self.entries.iter().filter(|(key, _)| key.kind == Kind::Policy) {
            match entry.source.as_deref().map(source::read_policy) {
                Some(Ok(policy)) => policies.push(policy),
                Some(Err(found)) => faults.push((Arc::clone(key), reason(&found))),
                None => {}
            }
        }
        self.faults.extend(faults);
        self.policies = Arc::new(Policies::new(policies));
    }

    /// Gives the definitions that look into changed sets the new ones.
    fn relink(&mut self, changed: &BTreeSet<String>) {
        for versions in self.types.values_mut() {
            let concerned = |compiled: &Arc<Compiled>| compiled.set_names().any(|name| changed.contains(name));
            if versions.versions.iter().any(concerned) {
                let versions = Arc::make_mut(versions);
                for compiled in versions.versions.iter_mut().filter(|compiled| concerned(compiled)) {
                    *compiled = Arc::new(compiled.linked(&self.sets));
                }
            }
        }
    }
}

fn verdict(mode: Mode, violations: Vec<Violation>, state: Option<Arc<StateRule>>) -> Judgement {
    match mode {
        Mode::Off => Judgement::Pass(None),
        Mode::Observe => Judgement::Observe(violations, state),
        Mode::Quarantine => Judgement::Quarantine(violations),
        Mode::Strict => Judgement::Refuse(violations),
    }
}

/// That an event is of a type or version that is not in the catalog.
#[cold]
fn unknown(event: &Event, versions: Option<&Versions>) -> Violation {
    let (path, code, message) = match versions {
        None => ("/type", code::TYPE_UNKNOWN, "the type is not in the catalog".to_owned()),
        Some(versions) => {
            let known: Vec<&str> = versions.versions.iter().map(|known| known.definition.version.as_str()).collect();
            let message = format!("{} has the versions {}", event.event_type, known.join(", "));
            ("/version", code::VERSION_UNKNOWN, message)
        }
    };
    violation(path.to_owned(), code, message)
}

/// The first of what was found, in one line.
fn reason(found: &[Finding]) -> String {
    let error = found.first();
    bounded(error.map_or_else(|| "it cannot be read".to_owned(), |first| format!("{}: {}", first.path, first.message)))
}

#[cfg(test)]
mod tests;
