//! One version of a type, ready to judge events.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use tidings_event::limits::VIOLATIONS_MAX;
use tidings_event::{Event, Violation, violation_code as code};

use crate::convert::Converter;
use crate::definition::{Conversion, Definition, EntityRule};
use crate::document::{Document, Unreadable};
use crate::entry::{Mode, Set};
use crate::report::{Finding, Subject};
use crate::rules::{CompiledRule, SetValues, Steps};
use crate::schema::{self, Schema, bounded, violation};
use crate::transitions::{Machines, StateRule};

/// A definition with all that is worked out of it. What it shares with the one after a change of a set is shared.
#[derive(Debug, Clone)]
pub(super) struct Compiled {
    pub definition: Arc<Definition>,
    pub schema: Arc<Schema>,
    /// From the version below, and to it.
    pub upcast: Option<Arc<Converter>>,
    pub downcast: Option<Arc<Converter>>,
    /// Whether judging by it may take long compared with an event's size.
    pub costly: bool,
    rules: Arc<[CompiledRule]>,
    /// The sets that each rule looks into, in the order in which it names them; none where there is no such set.
    sets: Vec<Vec<Option<Arc<SetValues>>>>,
    /// By mode: observe, quarantine, strict.
    states: Option<[Arc<StateRule>; 3]>,
}

/// A reference set, ready to be looked into.
#[derive(Debug)]
pub(super) struct LoadedSet {
    pub set: Arc<Set>,
    values: Arc<SetValues>,
}

/// The reference sets of a catalog, by name.
pub(super) type Sets = BTreeMap<String, Arc<LoadedSet>>;

impl LoadedSet {
    pub(super) fn new(set: Set) -> Self {
        Self { values: Arc::new(SetValues::new(&set)), set: Arc::new(set) }
    }
}

impl Compiled {
    pub(super) fn new(definition: Definition, sets: &Sets) -> Result<Self, Vec<Finding>> {
        let schema = Schema::compile(&definition.schema)?;
        let mut rules = Vec::with_capacity(definition.rules.len());
        for (index, rule) in definition.rules.iter().enumerate() {
            rules.push(CompiledRule::compile(rule).map_err(|message| vec![of_rule(index, message)])?);
        }
        let states = Machines::of(&definition).map(|machines| {
            [Mode::Observe, Mode::Quarantine, Mode::Strict]
                .map(|mode| Arc::new(StateRule::new(mode, Arc::clone(&machines))))
        });
        Ok(Self {
            upcast: converter(&definition, definition.upcast.as_ref(), "upcast")?,
            downcast: converter(&definition, definition.downcast.as_ref(), "downcast")?,
            costly: schema.is_costly() || rules.iter().any(|rule| rule.expression().is_costly()),
            definition: Arc::new(definition),
            schema: Arc::new(schema),
            sets: link(&rules, sets),
            rules: rules.into(),
            states,
        })
    }

    /// The names of the sets that its rules look into.
    pub(super) fn set_names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| rule.expression().set_names()).map(String::as_str)
    }

    /// The same with the sets as they are now.
    pub(super) fn linked(&self, sets: &Sets) -> Self {
        Self { sets: link(&self.rules, sets), ..self.clone() }
    }

    /// The rule about states, if there is one, for events that are judged by this mode.
    pub(super) fn state_rule(&self, mode: Mode) -> Option<Arc<StateRule>> {
        let [observe, quarantine, strict] = self.states.as_ref()?;
        match mode {
            Mode::Off => None,
            Mode::Observe => Some(Arc::clone(observe)),
            Mode::Quarantine => Some(Arc::clone(quarantine)),
            Mode::Strict => Some(Arc::clone(strict)),
        }
    }

    /// The rules that an event breaks, at most [`VIOLATIONS_MAX`]. Business rules are judged only where the schema
    /// holds: they may rely on it.
    pub(super) fn violations(&self, event: &Event, today: Date) -> Vec<Violation> {
        let mut violations = Vec::new();
        self.judge_lifecycle(today, &mut violations);
        let document = match Document::parse(event.data.as_bytes()) {
            Ok(document) => document,
            Err(unreadable) => {
                violations.push(of_unreadable(&unreadable));
                return violations;
            }
        };
        if let Some(rule) = &self.definition.entity {
            judge_entity(rule, event, &document, &mut violations);
        }
        let broken = self.schema.judge(&document, VIOLATIONS_MAX - violations.len());
        if !broken.is_empty() {
            violations.extend(broken);
            return violations;
        }
        let steps = Steps::for_one_event();
        for (rule, sets) in self.rules.iter().zip(&self.sets) {
            if violations.len() < VIOLATIONS_MAX {
                violations.extend(rule.judge(&document, event, sets, &steps));
            }
        }
        violations
    }

    fn judge_lifecycle(&self, today: Date, violations: &mut Vec<Violation>) {
        let lifecycle = &self.definition.lifecycle;
        let Some(sunset) = lifecycle.sunset.filter(|sunset| *sunset <= today) else { return };
        let instead = lifecycle
            .successor
            .as_ref()
            .map_or_else(String::new, |(name, version)| format!("; use {name} in version {version}"));
        let message = format!("this version is not taken any more since {sunset}{instead}");
        violations.push(violation("/version".to_owned(), code::TYPE_SUNSET, message));
    }
}

/// Finds the sets that each rule looks into.
fn link(rules: &[CompiledRule], sets: &Sets) -> Vec<Vec<Option<Arc<SetValues>>>> {
    let find = |name: &String| sets.get(name).map(|loaded| Arc::clone(&loaded.values));
    rules.iter().map(|rule| rule.expression().set_names().iter().map(find).collect()).collect()
}

/// Compiles one of the conversions of a definition.
fn converter(
    definition: &Definition,
    conversion: Option<&Conversion>,
    member: &str,
) -> Result<Option<Arc<Converter>>, Vec<Finding>> {
    let Some(conversion) = conversion else { return Ok(None) };
    let compiled = Converter::compile(&definition.version, conversion);
    compiled
        .map(|converter| Some(Arc::new(converter)))
        .map_err(|errors| errors.into_iter().map(|(step, message)| of_step(member, step, message)).collect())
}

/// That the expression of a conversion's step does not compile.
pub(crate) fn of_step(member: &str, step: usize, message: String) -> Finding {
    let path = format!("/{member}/steps/{step}/compute/value");
    Finding::error(Subject::Conversion, "conversion_invalid", path, bounded(message))
}

/// That a rule does not compile.
pub(crate) fn of_rule(index: usize, message: String) -> Finding {
    Finding::error(Subject::Rule, "rule_invalid", format!("/rules/{index}/check"), bounded(message))
}

/// What bytes that cannot be judged are told.
#[cold]
pub(crate) fn of_unreadable(unreadable: &Unreadable) -> Violation {
    match unreadable {
        Unreadable::Number(path) => schema::out_of_range(path),
        Unreadable::Fault(fault) => violation("/data".to_owned(), code::JSON_SYNTAX, fault.to_string()),
    }
}

fn judge_entity(rule: &EntityRule, event: &Event, data: &Document<'_>, violations: &mut Vec<Violation>) {
    let mut add = |path: String, code: &'static str, message: String| {
        violations.push(violation(path, code, message));
    };
    let Some(entity) = &event.entity else {
        add("/entity".to_owned(), code::ENTITY_MISSING, format!("must name the {} it happened to", rule.kind));
        return;
    };
    if entity.kind.as_str() != rule.kind {
        add("/entity/type".to_owned(), code::ENTITY_MISMATCH, format!("must be \"{}\"", rule.kind));
    }
    let Some((pointer, value)) = rule.id.as_ref().and_then(|at| Some((at, data.get(at.segments())?))) else { return };
    let same = match value {
        Document::Text(text) => *text == entity.id.as_str(),
        Document::Number(number) => number.is_written(entity.id.as_str()),
        _ => false,
    };
    if !same {
        let message = "must be the id of the entity that the event names".to_owned();
        add(format!("/data{pointer}"), code::ENTITY_MISMATCH, message);
    }
}
