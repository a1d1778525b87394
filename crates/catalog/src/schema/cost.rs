//! What it costs to judge by a schema, as far as the schema alone tells.
//!
//! Schemas refer to each other, so a small text may say a lot: sixty definitions that each try the next one twice ask
//! the last one 2^60 times. What applies to *one* value of a document is therefore counted here with everything that
//! references lead to, and bounded; how far it reaches into the document is bounded while it is judged.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::error_at;
use super::structure::percent_decode;
use crate::document::Allowance;
use crate::report::Finding;

/// Schemas that apply to one value, each as often as it is asked.
const APPLIED_MAX: u64 = 10_000;
/// Schemas that apply to one value because of each other, one after another.
const CHAIN_MAX: usize = 100;
/// Levels of a document that are looked at to find out whether a schema multiplies.
const LEVELS: usize = 8;
/// From so many schemas on, along one way into a document, judging is costly.
const COSTLY: u64 = 200;
/// From so many steps for a byte on, too.
const PATTERNS_COSTLY: u64 = 16;
/// Schemas that take as long as holding a name against a pattern.
const NAME_PATTERN: u64 = 64;
/// Steps that judging one document may take: every look at a value is one, and every 16 bytes of a text are. That is
/// some ten nanoseconds, and some fifty at the worst, so that no document takes longer than a fraction of a second.
const JUDGED_STEPS: u64 = 4_000_000;
/// The same for saying everything that is wrong; and for the first thing.
const EXPLAINED_STEPS: u64 = 250_000;
const FIRST_STEPS: u64 = 1_000_000;
/// Schemas that apply to one value and take as long as one step where they do not even look at it.
const PER_STEP: u64 = 32;

/// What it costs to judge by a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// The most schemas that apply to one value, each as often as it is asked.
    judged: u64,
    /// Those of them that hold for no value, and are not even looked at to say so.
    refusing: u64,
    /// The schemas that apply along one way into a document, to all values on it.
    along: u64,
    /// What the patterns of the schema cost.
    patterns: Patterns,
}

/// What matching the slowest of a schema's patterns costs, for one byte of a text, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Patterns(pub u64);

impl Cost {
    pub(super) fn is_costly(self) -> bool {
        self.along > COSTLY || self.patterns.0 > PATTERNS_COSTLY
    }

    /// What judging one document may take.
    pub(super) fn to_judge(self) -> Allowance {
        Allowance { steps: JUDGED_STEPS, per_value: 1 + self.judged / PER_STEP, per_byte: self.patterns.0 }
    }

    /// What saying everything that is wrong with a document may take. Every step may find something, which is kept for
    /// a while.
    pub(super) fn to_explain(self) -> Allowance {
        Allowance {
            steps: EXPLAINED_STEPS,
            per_value: 1 + self.judged / PER_STEP + self.refusing,
            per_byte: self.patterns.0,
        }
    }

    /// What saying the first thing may take. All that is wrong with its alternatives is kept for a while.
    pub(super) fn to_explain_first(self) -> Allowance {
        Allowance { steps: FIRST_STEPS, ..self.to_explain() }
    }
}

/// Finds out what a schema costs; refuses it where what applies to one value is too much, or without an end.
pub(super) fn of(root: &Value, patterns: Patterns) -> Result<Cost, Vec<Finding>> {
    let mut graph = Graph::new(root);
    let mut found = Vec::new();
    // What is found while looking at one schema is looked at later; all lie within one document, so this ends.
    let mut next = 0;
    while let Some(node) = graph.nodes.get(next).copied() {
        let links = graph.links(node);
        found.push(links);
        next += 1;
    }
    let mut count = Count {
        links: &found,
        of: vec![None; found.len()],
        visiting: vec![false; found.len()],
        order: Vec::with_capacity(found.len()),
    };
    // A name may be held against all patterns of its object.
    let names = found.iter().map(|links| links.name_patterns).max().unwrap_or_default();
    let patterns = Patterns(patterns.0.saturating_mul(names.max(1)));
    let (mut judged, mut refusing) = (0, 0);
    for node in 0..found.len() {
        let spent = count.visit(node, 1).map_err(|excess| vec![excess.told(&graph, node)])?;
        judged = spent.explained.max(judged);
        refusing = spent.refusing.max(refusing);
    }
    let order = std::mem::take(&mut count.order);
    Ok(Cost { judged, refusing, along: along(&found, &order), patterns })
}

/// The schemas that apply along the worst way into a document of [`LEVELS`] levels.
fn along(links: &[Links], order: &[usize]) -> u64 {
    let mut below = vec![0_u64; links.len()];
    let mut here = vec![0_u64; links.len()];
    for _ in 0..LEVELS {
        for &node in order {
            let Some(links) = links.get(node) else { continue };
            let at = |costs: &[u64], node: &usize| costs.get(*node).copied().unwrap_or_default();
            let beside = links.beside.iter().fold(1 + links.more, |sum, (to, _)| sum.saturating_add(at(&here, to)));
            let deeper = links.below.iter().map(|to| at(&below, to)).max().unwrap_or_default();
            if let Some(here) = here.get_mut(node) {
                *here = beside.saturating_add(deeper);
            }
        }
        below.copy_from_slice(&here);
    }
    below.first().copied().unwrap_or_default()
}

/// How a schema is applied to the value that the one with it is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// It must hold, and says why it does not.
    Must,
    /// It is one of several of which some must hold: it is asked first, and then asked again why it does not.
    May,
    /// It is only asked.
    Asked,
}

/// What a schema leads to.
#[derive(Debug, Default)]
struct Links {
    /// Schemas for the same value.
    beside: Vec<(usize, How)>,
    /// Schemas for its members and elements.
    below: Vec<usize>,
    /// Whether it asks which members or elements the others have looked at.
    unevaluated: bool,
    /// What it asks by itself, beyond one schema's share.
    more: u64,
    /// Patterns that names of members are held against.
    name_patterns: u64,
    /// Whether it holds for nothing.
    refuses: bool,
}

/// How often schemas are asked, all in all, to judge one value by one schema.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    /// To know whether it holds.
    judged: u64,
    /// To know which members it has looked at.
    marked: u64,
    /// To know why it does not hold.
    explained: u64,
    /// To know it of schemas that hold for nothing.
    refusing: u64,
    /// The longest chain.
    chain: usize,
}

/// What is too much.
enum Excess {
    Cycle,
    Chain,
    Applied,
}

impl Excess {
    fn told(&self, graph: &Graph<'_>, node: usize) -> Finding {
        let place = graph.place(node);
        let (code, message) = match self {
            Self::Cycle => {
                ("schema_endless", "leads back to itself without going into a member or an element".to_owned())
            }
            Self::Chain => (
                "schema_too_costly",
                format!("applies more than {CHAIN_MAX} schemas to one value, each because of the one before"),
            ),
            Self::Applied => (
                "schema_too_costly",
                format!("asks more than {APPLIED_MAX} schemas about one value, repeated ones counted"),
            ),
        };
        error_at(format!("/schema{place}"), code, message)
    }
}

struct Count<'l> {
    links: &'l [Links],
    of: Vec<Option<Spent>>,
    /// What was begun with; what is begun with and not known yet leads to itself.
    visiting: Vec<bool>,
    /// Every schema after all that apply beside it.
    order: Vec<usize>,
}

impl Count<'_> {
    /// Never deeper on the stack than [`CHAIN_MAX`].
    fn visit(&mut self, node: usize, depth: usize) -> Result<Spent, Excess> {
        if let Some(known) = self.of.get(node).copied().flatten() {
            return Ok(known);
        }
        if depth > CHAIN_MAX {
            return Err(Excess::Chain);
        }
        if let Some(visiting) = self.visiting.get_mut(node)
            && std::mem::replace(visiting, true)
        {
            return Err(Excess::Cycle);
        }
        let links = self.links;
        let Some(links) = links.get(node) else { return Ok(Spent::default()) };
        let own = 1 + links.more;
        let mut sum = Spent { judged: own, marked: own, explained: own, refusing: links.refuses.into(), chain: 1 };
        for &(to, how) in &links.beside {
            let spent = self.visit(to, depth + 1)?;
            sum.judged = sum.judged.saturating_add(spent.judged);
            sum.marked = sum.marked.saturating_add(spent.judged).saturating_add(spent.marked);
            let explained = match how {
                How::Must => spent.explained,
                How::May => spent.judged.saturating_add(spent.explained),
                How::Asked => spent.judged,
            };
            sum.explained = sum.explained.saturating_add(explained);
            sum.refusing = sum.refusing.saturating_add(spent.refusing);
            sum.chain = sum.chain.max(spent.chain + 1);
        }
        if links.unevaluated {
            sum.judged = sum.judged.saturating_add(sum.marked);
            sum.explained = sum.explained.saturating_add(sum.marked);
        }
        if sum.chain > CHAIN_MAX {
            return Err(Excess::Chain);
        }
        if sum.explained > APPLIED_MAX {
            return Err(Excess::Applied);
        }
        if let Some(of) = self.of.get_mut(node) {
            *of = Some(sum);
        }
        self.order.push(node);
        Ok(sum)
    }
}

/// The schemas of a document, each found by where it stands in memory.
struct Graph<'s> {
    root: &'s Value,
    nodes: Vec<&'s Value>,
    numbers: HashMap<*const Value, usize>,
    /// The schemas that have an `$id`, the root among them.
    resources: Vec<(&'s str, &'s Value)>,
    anchors: HashMap<&'s str, Vec<&'s Value>>,
}

impl<'s> Graph<'s> {
    fn new(root: &'s Value) -> Self {
        let mut graph = Self {
            root,
            nodes: vec![root],
            numbers: HashMap::new(),
            resources: vec![("", root)],
            anchors: HashMap::new(),
        };
        graph.numbers.insert(std::ptr::from_ref(root), 0);
        let mut left = vec![root];
        while let Some(value) = left.pop() {
            match value {
                Value::Object(members) => {
                    graph.name(value, members);
                    left.extend(members.values());
                }
                Value::Array(items) => left.extend(items),
                _ => {}
            }
        }
        graph
    }

    fn name(&mut self, value: &'s Value, members: &'s Map<String, Value>) {
        let text = |keyword| members.get(keyword).and_then(Value::as_str);
        if let Some(id) = text("$id") {
            // In draft 7 an id may be an anchor.
            match id.split_once('#') {
                Some((_, name)) if !name.is_empty() => self.anchors.entry(name).or_default().push(value),
                _ => self.resources.push((id.trim_end_matches('#'), value)),
            }
        }
        for name in ["$anchor", "$dynamicAnchor"].into_iter().filter_map(text) {
            self.anchors.entry(name).or_default().push(value);
        }
    }

    fn number(&mut self, value: &'s Value) -> usize {
        let next = self.nodes.len();
        let number = *self.numbers.entry(std::ptr::from_ref(value)).or_insert(next);
        if number == next {
            self.nodes.push(value);
        }
        number
    }

    fn links(&mut self, node: &'s Value) -> Links {
        let mut links = Links { refuses: *node == Value::Bool(false), ..Links::default() };
        let Value::Object(members) = node else { return links };
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("$ref" | "$dynamicRef", Value::String(to)) => {
                    for target in self.targets(to) {
                        links.beside.push((self.number(target), How::Must));
                    }
                }
                ("allOf", Value::Array(all)) => self.beside(all, How::Must, &mut links),
                ("anyOf" | "oneOf", Value::Array(some)) => self.beside(some, How::May, &mut links),
                ("not" | "if", schema) => self.beside([schema], How::Asked, &mut links),
                ("then" | "else", schema) => self.beside([schema], How::Must, &mut links),
                ("dependentSchemas" | "dependencies", Value::Object(named)) => {
                    self.beside(named.values().filter(|value| !value.is_array()), How::Must, &mut links);
                }
                ("properties" | "patternProperties", Value::Object(named)) => {
                    if keyword == "patternProperties" {
                        links.name_patterns = named.len() as u64;
                        links.more += NAME_PATTERN * links.name_patterns;
                    }
                    self.below(named.values(), &mut links);
                }
                ("prefixItems" | "items", Value::Array(items)) => self.below(items, &mut links),
                ("unevaluatedProperties" | "unevaluatedItems", schema) => {
                    links.unevaluated = true;
                    self.below([schema], &mut links);
                }
                ("items" | "additionalItems" | "contains" | "additionalProperties" | "propertyNames", schema) => {
                    self.below([schema], &mut links);
                }
                _ => {}
            }
        }
        links
    }

    fn beside(&mut self, schemas: impl IntoIterator<Item = &'s Value>, how: How, links: &mut Links) {
        for schema in schemas {
            links.beside.push((self.number(schema), how));
        }
    }

    fn below(&mut self, schemas: impl IntoIterator<Item = &'s Value>, links: &mut Links) {
        for schema in schemas {
            links.below.push(self.number(schema));
        }
    }

    /// Where a reference may lead. More than one place only where several resources or anchors could be meant: then all
    /// count, which is never too little.
    fn targets(&self, to: &str) -> Vec<&'s Value> {
        let (base, fragment) = to.split_once('#').unwrap_or((to, ""));
        let last = |uri: &str| uri.rsplit('/').next().unwrap_or_default().to_owned();
        let meant = self.resources.iter().filter(|(id, _)| base.is_empty() || last(id) == last(base));
        let fragment = percent_decode(fragment);
        if !fragment.is_empty() && !fragment.starts_with('/') {
            return self.anchors.get(fragment.as_str()).cloned().unwrap_or_default();
        }
        let mut targets: Vec<&Value> = meant.filter_map(|(_, resource)| resource.pointer(&fragment)).collect();
        targets.sort_unstable_by_key(|target| std::ptr::from_ref::<Value>(target));
        targets.dedup_by_key(|target| std::ptr::from_ref::<Value>(target));
        targets
    }

    /// Where a schema stands, an RFC 6901 pointer.
    fn place(&self, number: usize) -> String {
        let Some(sought) = self.nodes.get(number) else { return String::new() };
        let mut left = vec![(self.root, String::new())];
        while let Some((value, path)) = left.pop() {
            if std::ptr::eq(value, *sought) {
                return path;
            }
            match value {
                Value::Object(members) => left.extend(
                    members.iter().map(|(name, value)| (value, format!("{path}/{}", crate::pointer::escape(name)))),
                ),
                Value::Array(items) => {
                    left.extend(items.iter().enumerate().map(|(index, value)| (value, format!("{path}/{index}"))));
                }
                _ => {}
            }
        }
        String::new()
    }
}

#[cfg(test)]
mod tests;
