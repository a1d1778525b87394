//! Drafts of definitions, proposed from events that were seen.
//!
//! What is proposed takes every event that was seen, and no more is claimed than they show: a format or a closed set
//! of values only with evidence enough. The memory that this takes is bounded, whatever comes.

use std::collections::BTreeMap;

use serde_json::Value;
use tidings_event::{Event, EventType, Version};

use crate::definition::{
    Classification, Compatibility, Definition, EntityRule, Example, Lifecycle, Ordering, Pointer, Stage,
};
use crate::limits::DEFINITION_BYTES_MAX;
use crate::report::Severity;
use crate::{names, source};

mod node;
mod personal;
mod propose;
mod strings;

use node::{Budget, Node};
use propose::Detail;

/// Sources that are told apart.
const SOURCES_MAX: usize = 64;
/// Versions that are told apart.
const VERSIONS_MAX: usize = 32;
/// Bytes of `data` that is kept as an example.
const EXAMPLE_BYTES_MAX: usize = 4 * 1024;
/// Members that may hold the entity's id.
const ID_MEMBERS_MAX: usize = 32;

/// What was seen of one type, of all its versions together.
#[derive(Debug)]
pub struct Inference {
    event_type: EventType,
    seen: u64,
    unreadable: u64,
    data: Node,
    budget: Budget,
    sources: BTreeMap<String, u64>,
    versions: BTreeMap<Version, u64>,
    entity: Entities,
    examples: Examples,
}

/// What the envelopes said of the entity.
#[derive(Debug)]
enum Entities {
    /// No event was seen.
    Unseen,
    /// All events had one of the same kind; the members of `data` that held its id each time.
    Always { kind: String, ids: Vec<String> },
    /// Some had none, or one of another kind.
    Mixed,
}

/// Data to show: the first, the shortest and the longest that is not too long.
#[derive(Debug, Default)]
struct Examples {
    first: Option<Sample>,
    shortest: Option<Sample>,
    longest: Option<Sample>,
}

#[derive(Debug, Clone)]
struct Sample {
    bytes: usize,
    data: Value,
}

impl Inference {
    /// Nothing was seen of the type.
    #[must_use]
    pub fn new(event_type: EventType) -> Self {
        Self {
            event_type,
            seen: 0,
            unreadable: 0,
            data: Node::default(),
            budget: Budget::default(),
            sources: BTreeMap::new(),
            versions: BTreeMap::new(),
            entity: Entities::Unseen,
            examples: Examples::default(),
        }
    }

    /// How many events were seen and counted.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes an event into account. Events of other types are left out, and so are those whose data holds a number
    /// that no double can: they are refused by any definition.
    pub fn observe(&mut self, event: &Event) {
        if event.event_type != self.event_type {
            return;
        }
        let bytes = event.data.as_bytes();
        let Some(data) = serde_json::from_slice::<Value>(bytes).ok().filter(Value::is_object) else {
            self.unreadable += 1;
            return;
        };
        self.seen += 1;
        self.data.observe(&data, 0, &mut self.budget);
        count(&mut self.sources, event.source.id.to_string(), SOURCES_MAX);
        count(&mut self.versions, event.version.clone(), VERSIONS_MAX);
        self.entity.observe(event, &data);
        self.examples.observe(bytes.len(), &data);
    }

    /// The draft: what its owner should read, correct and publish.
    #[must_use]
    pub fn definition(&self) -> Definition {
        // What was seen may be larger than a definition may be; then what helps least is left out first.
        let drafts = Detail::ALL.iter().map(|detail| self.draft(*detail));
        let fits = |draft: &Definition| source::write(draft).len() <= DEFINITION_BYTES_MAX;
        drafts.into_iter().find(fits).unwrap_or_else(|| self.draft(Detail::Object))
    }

    fn draft(&self, detail: Detail) -> Definition {
        let mut classification = BTreeMap::new();
        let schema = propose::schema(&self.data, detail, &mut classification);
        let entity = self.entity.rule();
        let mut draft = Definition {
            name: self.event_type.clone(),
            version: self.version(),
            owner: self.owner(),
            description: self.description(),
            lifecycle: Lifecycle { stage: Stage::Draft, sunset: None, successor: None },
            ordering: if entity.is_some() { Ordering::Entity } else { Ordering::None },
            retention: None,
            entity,
            subject: propose::subject(&schema, &classification),
            examples: if detail == Detail::Full { self.examples.shown(&schema, &classification) } else { Vec::new() },
            classification,
            compatibility: Compatibility::Published,
            schema,
            rules: Vec::new(),
            transitions: Vec::new(),
            upcast: None,
            downcast: None,
            name_exception: None,
        };
        if names::lint_definition(&draft).iter().any(|finding| finding.severity == Severity::Error) {
            draft.name_exception = Some("in use before it was declared".to_owned());
        }
        draft
    }

    /// The version that most events carry, of those that a definition can have.
    fn version(&self) -> Version {
        let whole = self.versions.iter().filter(|(version, _)| crate::definition::version_number(version).is_some());
        whole.max_by_key(|(_, events)| **events).map_or_else(Version::first, |(version, _)| version.clone())
    }

    /// What all sources begin with, up to a `.` or `/`; if there is no such thing, the one that emits the most.
    fn owner(&self) -> String {
        let mut sources = self.sources.keys();
        let Some(first) = sources.next() else { return "unknown".to_owned() };
        let ends = first.match_indices(['.', '/']).map(|(at, _)| at).chain([first.len()]);
        let heads = ends.map(|end| &first[..end]).filter(|head| !head.is_empty());
        let common = heads.rev_longest(|head| sources.clone().all(|source| is_of(source, head)));
        let most = || self.sources.iter().max_by_key(|(_, events)| **events).map(|(source, _)| source.clone());
        common.map(str::to_owned).or_else(most).unwrap_or_else(|| first.clone())
    }

    fn description(&self) -> String {
        let owner = self.owner();
        let mut text = format!("Say here what has happened. Proposed from {} that were seen", events(self.seen));
        let others: Vec<&str> =
            self.sources.keys().map(String::as_str).filter(|source| !is_of(source, &owner)).take(5).collect();
        if !others.is_empty() {
            text.push_str(&format!("; besides the owner these sources emitted it: {}", others.join(", ")));
        }
        if self.versions.len() > 1 {
            let names: Vec<&str> = self.versions.keys().map(Version::as_str).take(5).collect();
            text.push_str(&format!("; they carried the versions {}", names.join(", ")));
        }
        if self.budget.is_spent() {
            text.push_str("; they had more members than are told here");
        }
        if self.unreadable > 0 {
            text.push_str(&format!("; {} could not be read", events(self.unreadable)));
        }
        text.push('.');
        text
    }
}

fn events(count: u64) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}

/// The longest of several that will do.
trait RevLongest<'a>: Iterator<Item = &'a str> + Sized {
    fn rev_longest(self, mut will_do: impl FnMut(&str) -> bool) -> Option<&'a str> {
        self.filter(|text| will_do(text)).max_by_key(|text| text.len())
    }
}

impl<'a, I: Iterator<Item = &'a str>> RevLongest<'a> for I {}

/// Whether a source is an owner or stands below it.
fn is_of(source: &str, owner: &str) -> bool {
    source.strip_prefix(owner).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/']))
}

/// Counts, of so many different things at most.
fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, most: usize) {
    if counts.len() < most || counts.contains_key(&key) {
        *counts.entry(key).or_default() += 1;
    }
}

impl Entities {
    fn observe(&mut self, event: &Event, data: &Value) {
        let Some(entity) = &event.entity else {
            *self = Self::Mixed;
            return;
        };
        let holds = |name: &str| data.get(name).and_then(Value::as_str) == Some(entity.id.as_str());
        match self {
            Self::Unseen => {
                let names = data.as_object().into_iter().flat_map(|members| members.keys());
                // A member that is called `*` cannot be pointed to.
                let ids = names.filter(|name| *name != crate::pointer::WILDCARD && holds(name)).take(ID_MEMBERS_MAX);
                *self = Self::Always { kind: entity.kind.to_string(), ids: ids.cloned().collect() };
            }
            Self::Always { kind, .. } if *kind != entity.kind.as_str() => *self = Self::Mixed,
            Self::Always { ids, .. } => ids.retain(|name| holds(name)),
            Self::Mixed => {}
        }
    }

    fn rule(&self) -> Option<EntityRule> {
        let Self::Always { kind, ids } = self else { return None };
        let usual = |name: &&String| **name == format!("{kind}_id") || **name == "id" || **name == format!("{kind}Id");
        let id = ids.iter().find(usual).or_else(|| ids.first()).map(|name| Pointer::of([name.as_str()]));
        Some(EntityRule { kind: kind.clone(), id })
    }
}

impl Examples {
    fn observe(&mut self, bytes: usize, data: &Value) {
        if bytes > EXAMPLE_BYTES_MAX {
            return;
        }
        let sample = || Some(Sample { bytes, data: data.clone() });
        if self.first.is_none() {
            self.first = sample();
        }
        if self.shortest.as_ref().is_none_or(|known| bytes < known.bytes) {
            self.shortest = sample();
        }
        if self.longest.as_ref().is_none_or(|known| bytes > known.bytes) {
            self.longest = sample();
        }
    }

    /// The examples, without what looks personal.
    fn shown(&self, schema: &Value, classification: &BTreeMap<Pointer, Classification>) -> Vec<Example> {
        let mut shown: Vec<Example> = Vec::new();
        for (name, sample) in [("first_seen", &self.first), ("shortest", &self.shortest), ("longest", &self.longest)] {
            let Some(sample) = sample else { continue };
            let data = personal::masked(&sample.data, schema, classification);
            if !shown.iter().any(|example| example.data == data) {
                shown.push(Example { name: name.to_owned(), data });
            }
        }
        shown
    }
}
