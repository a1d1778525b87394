//! What a schema, together with those that speak of the same part of a document because of it, declares of objects.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Draft;
use serde_json::{Map, Value};

use super::document::{Document, join};
use super::read::keys;

/// Descriptions of one part are held against each other so many levels deep; below that they count as different.
const CROSSING_DEPTH_MAX: usize = 8;

/// What a description declares.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// Members that are described.
    pub(super) names: BTreeSet<String>,
    /// Members that are demanded, if only under a condition.
    pub(super) demanded: BTreeSet<String>,
    /// Descriptions of their own that it refers to.
    pub(super) wholes: Vec<String>,
    /// So many members are demanded.
    least: u64,
    /// It declares members whatever the document.
    always_declares: bool,
    /// It has patterns, a schema for further members, or lets them in in so many words.
    says_otherwise: bool,
    /// One of its branches declares nothing.
    has_free_branch: bool,
    members: BTreeMap<String, Vec<Description>>,
    /// Descriptions of members whose names are not told.
    others: Vec<Description>,
    elements: Vec<Description>,
}

/// What describes members or elements.
#[derive(Debug)]
struct Description {
    /// The pointer to it.
    at: String,
    /// Which branches of which choices it stands in.
    choices: Vec<(String, usize)>,
    /// What it is of.
    of: Of,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Of {
    Member,
    Matching,
    Others,
    Item(usize),
    Items,
    Some,
}

impl Description {
    /// The schema that it is a keyword of.
    fn holder(&self) -> &str {
        let levels = if matches!(self.of, Of::Member | Of::Matching | Of::Item(_)) { 2 } else { 1 };
        self.at.rsplitn(levels + 1, '/').last().unwrap_or("")
    }

    /// Whether both may be of one part of one document.
    fn meets(&self, other: &Self) -> bool {
        let excludes = self.choices.iter().any(|(at, branch)| {
            other.choices.iter().any(|(other_at, other_branch)| at == other_at && branch != other_branch)
        });
        let beside = self.holder() == other.holder();
        !excludes
            && match (self.of, other.of) {
                (Of::Item(a), Of::Item(b)) => a == b,
                (Of::Items, Of::Item(_)) | (Of::Item(_), Of::Items) => !beside,
                (Of::Others, _) | (_, Of::Others) => !beside,
                _ => true,
            }
    }
}

/// How a walk came to a schema.
#[derive(Debug, Clone, Default)]
struct Way {
    /// It does not speak of every document.
    conditional: bool,
    /// It stands in a condition, and is never closed.
    fixed: bool,
    choices: Vec<(String, usize)>,
}

impl Outline {
    pub(super) fn of(document: &Document, at: &str) -> Self {
        let mut outline = Self::default();
        outline.add(document, at, &Way::default(), &mut Vec::new());
        outline
    }

    /// Whether a producer's view of it is closed.
    pub(super) fn is_closed_by_view(&self) -> bool {
        !self.says_otherwise
            && !self.names.is_empty()
            && (!self.has_free_branch || self.always_declares)
            && self.least <= self.names.len() as u64
    }

    fn add(&mut self, document: &Document, at: &str, way: &Way, seen: &mut Vec<String>) {
        let Some(Value::Object(members)) = document.at(at) else { return };
        if seen.iter().any(|pointer| pointer == at) {
            return;
        }
        seen.push(at.to_owned());
        if !(members.contains_key("$ref") && document.lone_references()) {
            self.add_own(document, members, way);
            self.add_described(members, at, way);
            self.add_branches(document, members, at, way, seen);
        }
        if let Some(pointer) = reference(document, members, at) {
            if is_whole(&pointer) {
                self.wholes.push(pointer.clone());
            }
            self.add(document, &pointer, way, seen);
        }
    }

    fn add_branches(
        &mut self,
        document: &Document,
        members: &Map<String, Value>,
        at: &str,
        way: &Way,
        seen: &mut Vec<String>,
    ) {
        let chosen = |at: &str, branch: usize| {
            let choices = way.choices.iter().cloned().chain([(at.to_owned(), branch)]).collect();
            Way { conditional: true, fixed: way.fixed, choices }
        };
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let branches = members.get(keyword).and_then(Value::as_array).map_or(0, Vec::len);
            let list = join(at, keyword);
            for index in 0..branches {
                let path = format!("{list}/{index}");
                if keyword == "allOf" {
                    self.add(document, &path, way, seen);
                } else {
                    self.has_free_branch |= is_free(document, &path);
                    self.add(document, &path, &chosen(&list, index), seen);
                }
            }
        }
        let condition = join(at, "if");
        self.add(document, &condition, &Way { conditional: true, fixed: true, choices: way.choices.clone() }, seen);
        for (branch, keyword) in ["then", "else"].into_iter().enumerate() {
            self.add(document, &join(at, keyword), &chosen(&condition, branch), seen);
        }
        for keyword in ["dependentSchemas", "dependencies"] {
            for name in keys(members.get(keyword)) {
                let way = Way { conditional: true, ..way.clone() };
                self.add(document, &join(&join(at, keyword), name), &way, seen);
            }
        }
    }

    fn add_own(&mut self, document: &Document, members: &Map<String, Value>, way: &Way) {
        let names: Vec<&String> = keys(members.get("properties")).collect();
        self.always_declares |= !way.conditional && !names.is_empty();
        self.names.extend(names.into_iter().cloned());
        self.demanded.extend(demanded(members));
        self.least = self.least.max(members.get("minProperties").and_then(Value::as_f64).map_or(0, at_least));
        self.says_otherwise |= keys(members.get("patternProperties")).next().is_some();
        let mut further = vec!["additionalProperties"];
        if document.draft == Draft::Draft202012 {
            further.push("unevaluatedProperties");
        }
        let lets_in = |value: &Value| matches!(value, Value::Object(_) | Value::Bool(true));
        self.says_otherwise |= further.iter().any(|keyword| members.get(*keyword).is_some_and(lets_in));
    }

    /// Notes the descriptions that one schema holds of members and elements.
    fn add_described(&mut self, members: &Map<String, Value>, at: &str, way: &Way) {
        if way.fixed {
            return;
        }
        let description = |at: String, of: Of| Description { at, choices: way.choices.clone(), of };
        for name in keys(members.get("properties")) {
            let found = description(join(&join(at, "properties"), name), Of::Member);
            self.members.entry(name.clone()).or_default().push(found);
        }
        for pattern in keys(members.get("patternProperties")) {
            self.others.push(description(join(&join(at, "patternProperties"), pattern), Of::Matching));
        }
        for (keyword, of) in
            [("additionalProperties", Of::Others), ("additionalItems", Of::Items), ("contains", Of::Some)]
        {
            if members.contains_key(keyword) {
                let into = if of == Of::Others { &mut self.others } else { &mut self.elements };
                into.push(description(join(at, keyword), of));
            }
        }
        for keyword in ["prefixItems", "items"] {
            match members.get(keyword) {
                Some(Value::Array(items)) => {
                    let at = join(at, keyword);
                    let items = (0..items.len()).map(|index| description(format!("{at}/{index}"), Of::Item(index)));
                    self.elements.extend(items);
                }
                Some(_) => self.elements.push(description(join(at, keyword), Of::Items)),
                None => {}
            }
        }
    }

    /// A place where a part is described that is also described elsewhere, in such a way that closing both takes away
    /// what one of them declares or demands.
    pub(super) fn crossing(&self, document: &Document) -> Option<String> {
        let mut seen = BTreeSet::new();
        let of_members = self.members.values().flat_map(|all| pairs(all));
        let of_others =
            self.members.values().flatten().flat_map(|one| self.others.iter().map(move |other| (one, other)));
        let pairs = of_members.chain(of_others).chain(pairs(&self.others)).chain(pairs(&self.elements));
        let mut met = pairs.filter(|(one, other)| one.meets(other));
        met.find(|(one, other)| cross(document, &one.at, &other.at, 0, &mut seen)).map(|(_, other)| other.at.clone())
    }
}

fn pairs(all: &[Description]) -> impl Iterator<Item = (&Description, &Description)> {
    all.iter().enumerate().flat_map(|(index, one)| all[index + 1..].iter().map(move |other| (one, other)))
}

fn cross(document: &Document, one: &str, other: &str, depth: usize, seen: &mut BTreeSet<(String, String)>) -> bool {
    if target(document, one) == target(document, other) || !seen.insert((one.to_owned(), other.to_owned())) {
        return false;
    }
    let (a, b) = (Outline::of(document, one), Outline::of(document, other));
    let lacks = |a: &Outline, b: &Outline| {
        let known = |name: &String| a.names.contains(name) || a.demanded.contains(name);
        a.is_closed_by_view()
            && (!b.demanded.iter().all(known)
                || b.least > a.names.len() as u64
                || (b.is_closed_by_view() && !b.names.iter().all(known)))
    };
    if lacks(&a, &b) || lacks(&b, &a) {
        return true;
    }
    let in_common = a.members.iter().filter_map(|(name, of_a)| b.members.get(name).map(|of_b| (of_a, of_b)));
    let mut pairs: Vec<(&Description, &Description)> =
        in_common.flat_map(|(a, b)| a.iter().flat_map(|a| b.iter().map(move |b| (a, b)))).collect();
    // Of which names the others are is not followed.
    pairs.extend(a.others.iter().flat_map(|a| b.others.iter().map(move |b| (a, b))));
    pairs.extend(a.others.iter().flat_map(|a| b.members.values().flatten().map(move |b| (a, b))));
    pairs.extend(b.others.iter().flat_map(|b| a.members.values().flatten().map(move |a| (a, b))));
    pairs.extend(a.elements.iter().flat_map(|a| b.elements.iter().map(move |b| (a, b))));
    pairs.retain(|(a, b)| a.meets(b));
    pairs.into_iter().any(|(a, b)| depth >= CROSSING_DEPTH_MAX || cross(document, &a.at, &b.at, depth + 1, seen))
}

/// What a schema comes down to that does nothing but refer to another one.
fn target(document: &Document, at: &str) -> Option<Value> {
    let mut at = at.to_owned();
    for _ in 0..CROSSING_DEPTH_MAX {
        match document.at(&at) {
            Some(Value::Object(members)) if members.len() == 1 || document.lone_references() => {
                match reference(document, members, &at) {
                    Some(next) => at = next,
                    None => break,
                }
            }
            _ => break,
        }
    }
    document.at(&at).cloned()
}

/// The names that one schema speaks of by itself without describing them: it demands them, if only under a condition,
/// or lists objects that have them.
pub(super) fn demanded(members: &Map<String, Value>) -> BTreeSet<String> {
    fn texts(value: &Value) -> impl Iterator<Item = String> + '_ {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
    }
    let mut names: BTreeSet<String> = members.get("required").into_iter().flat_map(texts).collect();
    for keyword in ["dependentRequired", "dependentSchemas", "dependencies"] {
        for (trigger, demanded) in members.get(keyword).and_then(Value::as_object).into_iter().flatten() {
            names.insert(trigger.clone());
            names.extend(texts(demanded));
        }
    }
    let listed = members.get("enum").and_then(Value::as_array).into_iter().flatten().chain(members.get("const"));
    names.extend(listed.filter_map(Value::as_object).flat_map(|value| value.keys().cloned()));
    names
}

/// Whether a branch lets objects be anything.
fn is_free(document: &Document, at: &str) -> bool {
    match document.at(at) {
        Some(Value::Bool(admits)) => *admits,
        Some(Value::Object(members)) => {
            let names_object = |value: &Value| match value {
                Value::Array(words) => words.iter().any(|word| word == "object"),
                word => word == "object",
            };
            let is_named = members.contains_key("const") || members.contains_key("enum");
            !is_named
                && members.get("type").is_none_or(names_object)
                && Outline::of(document, at).names.is_empty()
                && !members.contains_key("required")
                && !members.contains_key("not")
        }
        _ => true,
    }
}

pub(super) fn reference(document: &Document, members: &Map<String, Value>, at: &str) -> Option<String> {
    members.get("$ref").and_then(Value::as_str).and_then(|reference| document.resolve(reference, at))
}

/// The smallest whole number that is not below.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count, and what is beyond all is capped"
)]
fn at_least(count: f64) -> u64 {
    count.ceil() as u64
}

/// Whether what stands at a pointer describes a part by itself.
fn is_whole(pointer: &str) -> bool {
    let mut segments = pointer.rsplit('/');
    let (last, before) = (segments.next().unwrap_or(""), segments.next().unwrap_or(""));
    pointer.is_empty()
        || matches!(before, "properties" | "patternProperties" | "prefixItems" | "items")
        || matches!(last, "additionalProperties" | "items" | "additionalItems" | "unevaluatedItems")
}
