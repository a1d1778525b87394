//! Whether a claim holds of a given document.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;

use super::exact;
use super::formula::{Arena, Atom, Claim, Constant, Formula, Id, Kind};
use super::language::Machine;

/// Formulas nested deeper than this are not followed; references may go in circles.
const DEPTH_MAX: usize = 200;

/// Decides claims about documents, with its patterns and formats compiled once.
pub(super) struct Evaluator {
    patterns: HashMap<Rc<str>, Option<regex::Regex>>,
    machines: HashMap<Rc<str>, Option<Rc<Machine>>>,
    formats: HashMap<Rc<str>, Option<jsonschema::Validator>>,
    depth: usize,
}

impl Evaluator {
    pub(super) fn new() -> Self {
        Self { patterns: HashMap::new(), machines: HashMap::new(), formats: HashMap::new(), depth: 0 }
    }

    /// Whether a text holds a match of a pattern.
    pub(super) fn matches(&mut self, pattern: &Rc<str>, text: &str) -> Option<bool> {
        let compile = || regex::Regex::new(&jsonschema_regex::to_rust_regex(pattern).ok()?).ok();
        let regex = self.patterns.entry(pattern.clone()).or_insert_with(compile);
        regex.as_ref().map(|regex| regex.is_match(text))
    }

    /// The automaton of a pattern.
    pub(super) fn machine(&mut self, pattern: &Rc<str>) -> Option<Rc<Machine>> {
        let build = || Machine::new(pattern).map(Rc::new);
        self.machines.entry(pattern.clone()).or_insert_with(build).clone()
    }

    /// Whether a text is of a format.
    pub(super) fn is_of_format(&mut self, format: &Rc<str>, text: &str) -> Option<bool> {
        let compile =
            || super::validator(jsonschema::Draft::Draft202012, &serde_json::json!({ "format": &**format })).ok();
        let validator = self.formats.entry(format.clone()).or_insert_with(compile);
        validator.as_ref().map(|validator| validator.is_valid(&Value::String(text.to_owned())))
    }

    /// Whether a claim holds of a document; `None` where that is not known.
    pub(super) fn claim(&mut self, arena: &Arena, claim: Claim, value: &Value) -> Option<bool> {
        self.formula(arena, claim.id, value).map(|holds| holds == claim.holds)
    }

    fn formula(&mut self, arena: &Arena, id: Id, value: &Value) -> Option<bool> {
        if self.depth > DEPTH_MAX {
            return None;
        }
        self.depth += 1;
        let holds = match arena.formula(id) {
            Formula::True => Some(true),
            Formula::False => Some(false),
            Formula::Not(inner) => self.formula(arena, *inner, value).map(|holds| !holds),
            Formula::And(parts) => all(parts.iter().map(|part| self.formula(arena, *part, value))),
            Formula::Or(parts) => any(parts.iter().map(|part| self.formula(arena, *part, value))),
            Formula::One(parts) => {
                let (sure, unsure) = count(parts.iter().map(|part| self.formula(arena, *part, value)));
                if unsure == 0 { Some(sure == 1) } else { (sure > 1).then_some(false) }
            }
            Formula::Ref(slot) => arena.slot_content(*slot).and_then(|content| self.formula(arena, content, value)),
            Formula::Atom(atom) => match atom.kind() {
                Some(kind) if kind != Kind::of(value) => Some(true),
                _ => self.atom(arena, atom, value),
            },
        };
        self.depth -= 1;
        holds
    }

    fn atom(&mut self, arena: &Arena, atom: &Atom, value: &Value) -> Option<bool> {
        match (atom, value) {
            (Atom::Kinds(kinds), _) => Some(kinds.has(Kind::of(value))),
            (Atom::Values(values), _) => Some(values.contains(&Constant::new(value.clone()))),
            (_, Value::Number(number)) => {
                let number = exact::of(number)?;
                match atom {
                    Atom::From(bound) => Some(bound.admits_from_below(&number)),
                    Atom::UpTo(bound) => Some(bound.admits_from_above(&number)),
                    Atom::Multiple(of) => Some(exact::is_multiple(&number, of)),
                    _ => None,
                }
            }
            (_, Value::String(text)) => match atom {
                Atom::LengthMin(min) => Some(text.chars().count() as u64 >= *min),
                Atom::LengthMax(max) => Some(text.chars().count() as u64 <= *max),
                Atom::Pattern(pattern) => self.matches(pattern, text),
                Atom::Format(format) => self.is_of_format(format, text),
                _ => None,
            },
            (_, Value::Array(items)) => self.array(arena, atom, items),
            (_, Value::Object(members)) => self.object(arena, atom, members),
            _ => None,
        }
    }

    fn array(&mut self, arena: &Arena, atom: &Atom, items: &[Value]) -> Option<bool> {
        match atom {
            Atom::Item(index, id) => {
                let item = usize::try_from(*index).ok().and_then(|index| items.get(index));
                item.map_or(Some(true), |item| self.formula(arena, *id, item))
            }
            Atom::ItemsFrom(from, id) => {
                let from = usize::try_from(*from).unwrap_or(usize::MAX);
                all(items.iter().skip(from).map(|item| self.formula(arena, *id, item)))
            }
            Atom::ContainsMin(id, min) => {
                let (sure, unsure) = count(items.iter().map(|item| self.formula(arena, *id, item)));
                if sure >= *min { Some(true) } else { (sure + unsure < *min).then_some(false) }
            }
            Atom::ContainsMax(id, max) => {
                let (sure, unsure) = count(items.iter().map(|item| self.formula(arena, *id, item)));
                if sure > *max { Some(false) } else { (sure + unsure <= *max).then_some(true) }
            }
            Atom::ItemsMin(min) => Some(items.len() as u64 >= *min),
            Atom::ItemsMax(max) => Some(items.len() as u64 <= *max),
            Atom::Unique => {
                Some(!items.iter().enumerate().any(|(i, a)| items[i + 1..].iter().any(|b| exact::same(a, b))))
            }
            _ => None,
        }
    }

    fn object(&mut self, arena: &Arena, atom: &Atom, members: &serde_json::Map<String, Value>) -> Option<bool> {
        match atom {
            Atom::Member(name, id) => members.get(&**name).map_or(Some(true), |value| self.formula(arena, *id, value)),
            Atom::Matching(pattern, id) => all(members.iter().map(|(name, value)| {
                let matches = self.matches(pattern, name);
                if matches == Some(false) { Some(true) } else { either(matches?, self.formula(arena, *id, value)) }
            })),
            Atom::Others(declared, id) => all(members.iter().map(|(name, value)| {
                if declared.names.iter().any(|declared| **declared == **name) {
                    return Some(true);
                }
                let declared = any(declared.patterns.iter().map(|pattern| self.matches(pattern, name)));
                if declared == Some(true) { Some(true) } else { either(!declared?, self.formula(arena, *id, value)) }
            })),
            Atom::Names(id) => all(members.keys().map(|name| self.formula(arena, *id, &Value::String(name.clone())))),
            Atom::Has(name) => Some(members.contains_key(&**name)),
            Atom::MembersMin(min) => Some(members.len() as u64 >= *min),
            Atom::MembersMax(max) => Some(members.len() as u64 <= *max),
            _ => None,
        }
    }
}

/// What is demanded, if it is demanded.
fn either(demanded: bool, holds: Option<bool>) -> Option<bool> {
    if demanded { holds } else { Some(true) }
}

fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for part in parts {
        match part {
            Some(false) => return Some(false),
            None => known = None,
            Some(true) => {}
        }
    }
    known
}

fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(parts.map(|part| part.map(|holds| !holds))).map(|none| !none)
}

fn count(parts: impl Iterator<Item = Option<bool>>) -> (u64, u64) {
    parts.fold((0, 0), |(sure, unsure), part| match part {
        Some(true) => (sure + 1, unsure),
        None => (sure, unsure + 1),
        Some(false) => (sure, unsure),
    })
}
