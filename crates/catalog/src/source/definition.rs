//! Reads a definition's members.

use std::collections::BTreeMap;

use serde_json::Value;
use tidings_event::{EventType, Text, Version};

use super::conversion;
use super::reader::{At, NAME_CHARS_MAX, Object, Reader, clip};
use super::tree::Shape;
use crate::definition::{
    Action, Class, Classification, Compatibility, Definition, EntityRule, Example, Lifecycle, Ordering, Pointer,
    Retention, Rule, Stage, Transitions, version_number,
};
use crate::limits::{
    CLASSIFIED_MAX, EXAMPLES_MAX, RULE_CHARS_MAX, RULES_MAX, STATES_MAX, TRANSITIONS_MAX, VERSIONS_MAX,
};

/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 4_000;
/// Characters of a rule's message and of the reason of a name's exception.
const MESSAGE_CHARS_MAX: usize = 300;
/// Characters that a reason must have to be one.
const REASON_CHARS_MIN: usize = 10;
/// Days of the longest retention that is not for good: a century.
const RETENTION_DAYS_MAX: u32 = 36_500;
/// Types that one state machine looks at.
const MACHINE_TYPES_MAX: usize = 20;
/// The highest number of a version. More than versions at once: numbers may be left behind.
const VERSION_NUMBER_MAX: u32 = 100 * VERSIONS_MAX as u32;

const MEMBERS: &[&str] = &[
    "name",
    "version",
    "owner",
    "description",
    "lifecycle",
    "ordering",
    "retention",
    "entity",
    "subject",
    "classification",
    "compatibility",
    "name_exception",
    "schema",
    "examples",
    "rules",
    "transitions",
    "upcast",
    "downcast",
];

/// Reads a definition. None where something that it cannot be without is wrong; the findings say what.
pub(super) fn read(at: &At<'_>, reader: &mut Reader) -> Option<Definition> {
    let object = reader.object(at, MEMBERS)?;
    let name = object.need("name", reader).and_then(|at| event_type(&at, reader));
    let version = object.need("version", reader).and_then(|at| self::version(&at, reader));
    let owner =
        object.need("owner", reader).and_then(|at| reader.parsed(&at, str::parse::<Text>)).map(|t| t.to_string());
    let schema = object.need("schema", reader).and_then(|at| schema(&at, reader));
    let text = |member: &str, max: usize, reader: &mut Reader| {
        object.get(member).and_then(|at| reader.text(&at, max)).map(str::to_owned)
    };
    let description = text("description", DESCRIPTION_CHARS_MAX, reader).unwrap_or_default();
    let name_exception = object.get("name_exception").and_then(|at| reason(&at, reader));
    let lifecycle = object.get("lifecycle").and_then(|at| lifecycle(&at, reader)).unwrap_or_default();
    let ordering = word(&object, "ordering", Ordering::ALL, Ordering::as_str, Ordering::parse, reader);
    let compatibility =
        word(&object, "compatibility", Compatibility::ALL, Compatibility::as_str, Compatibility::parse, reader);
    let retention = object.get("retention").and_then(|at| retention(&at, reader));
    let entity = object.get("entity").and_then(|at| entity(&at, reader));
    let subject = object.get("subject").and_then(|at| pointer(&at, reader));
    let classification = object.get("classification").map(|at| classification(&at, reader)).unwrap_or_default();
    let examples = object.get("examples").map(|at| examples(&at, reader)).unwrap_or_default();
    let rules = object.get("rules").map(|at| rules(&at, reader)).unwrap_or_default();
    let transitions = object.get("transitions").map(|at| transitions(&at, name.as_ref(), reader)).unwrap_or_default();
    let number = version.as_ref().and_then(version_number);
    let upcast = object.get("upcast").and_then(|at| conversion::read(&at, "from", number, reader));
    let downcast = object.get("downcast").and_then(|at| conversion::read(&at, "to", number, reader));
    Some(Definition {
        name: name?,
        version: version?,
        owner: owner?,
        description,
        lifecycle,
        ordering: ordering.unwrap_or(Ordering::Entity),
        retention,
        entity,
        subject,
        classification,
        compatibility: compatibility.unwrap_or(Compatibility::Published),
        schema: schema?,
        examples,
        rules,
        transitions,
        upcast,
        downcast,
        name_exception,
    })
}

fn word<T: Copy>(
    object: &Object<'_>,
    member: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
    reader: &mut Reader,
) -> Option<T> {
    let words: Vec<&str> = all.iter().map(|value| name(*value)).collect();
    object.get(member).and_then(|at| reader.word(&at, &words, parse))
}

pub(super) fn event_type(at: &At<'_>, reader: &mut Reader) -> Option<EventType> {
    let name = reader.parsed(at, str::parse::<EventType>)?;
    if name.is_reserved() {
        reader.wrong("type_reserved", at, "types that begin with tidings. belong to Tidings");
        return None;
    }
    Some(name)
}

/// A version: a whole number from 1, quoted or not.
pub(super) fn version(at: &At<'_>, reader: &mut Reader) -> Option<Version> {
    let text = match &at.node.shape {
        Shape::Number(number) => number.to_string(),
        _ => reader.raw(at)?.to_owned(),
    };
    let version = Version::parse(&text).ok();
    let number = version.as_ref().and_then(version_number);
    if number.is_some_and(|number| number <= VERSION_NUMBER_MAX) {
        return version;
    }
    let message = format!("a version is a whole number from 1 to {VERSION_NUMBER_MAX}, and not \"{}\"", clip(&text));
    let digits: String = text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    match digits.trim_start_matches('0') {
        "" => reader.wrong("value_malformed", at, message),
        digits if digits.len() > 4 => reader.wrong("value_malformed", at, message),
        digits => reader.propose("value_malformed", at, message, format!("\"{digits}\"")),
    }
    None
}

fn schema(at: &At<'_>, reader: &mut Reader) -> Option<Value> {
    match &at.node.shape {
        Shape::Map(_) => Some(at.node.value()),
        Shape::Text(file) => {
            let message = format!(
                "names the file \"{}\"; only a folder of definitions has files, so write the schema itself here",
                clip(file)
            );
            reader.wrong("schema_is_file", at, message);
            None
        }
        _ => {
            reader.wrong(
                "member_wrong_type",
                at,
                format!("must be a JSON Schema, an object, and is {}", at.node.kind()),
            );
            None
        }
    }
}

fn reason(at: &At<'_>, reader: &mut Reader) -> Option<String> {
    let text = reader.text(at, MESSAGE_CHARS_MAX)?;
    if text.trim().chars().count() < REASON_CHARS_MIN {
        let message = format!("a reason of at least {REASON_CHARS_MIN} characters is asked for");
        reader.wrong("reason_too_short", at, message);
        return None;
    }
    Some(text.to_owned())
}

/// A pointer to something within `data`.
pub(super) fn pointer(at: &At<'_>, reader: &mut Reader) -> Option<Pointer> {
    let text = reader.raw(at)?;
    let pointer = match Pointer::parse(text) {
        Ok(pointer) => pointer,
        Err(error) => {
            match proposed_pointer(text) {
                Some(proposal) => reader.propose("pointer_malformed", at, error.to_string(), proposal),
                None => reader.wrong("pointer_malformed", at, error.to_string()),
            }
            return None;
        }
    };
    if pointer.is_root() {
        reader.wrong("pointer_malformed", at, "must name a place within data, like '/customer/email'");
        return None;
    }
    Some(pointer)
}

/// What somebody meant who wrote `$.customer.email` or `customer.email`.
fn proposed_pointer(text: &str) -> Option<String> {
    let text = text.strip_prefix("$.").or_else(|| text.strip_prefix("data.")).unwrap_or(text);
    let text = text.replace("[*]", ".*").replace(['.', '/'], "/");
    let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_/*-".contains(c));
    plain.then(|| format!("/{}", text.trim_matches('/')))
}

/// A pointer that names one place: without `*`.
pub(super) fn single_pointer(at: &At<'_>, reader: &mut Reader) -> Option<Pointer> {
    let pointer = pointer(at, reader)?;
    if pointer.has_wildcard() {
        reader.wrong("pointer_malformed", at, "must name one place: '*' is not allowed here");
        return None;
    }
    Some(pointer)
}

fn lifecycle(at: &At<'_>, reader: &mut Reader) -> Option<Lifecycle> {
    let words: Vec<&str> = Stage::ALL.iter().map(|stage| stage.as_str()).collect();
    if matches!(at.node.shape, Shape::Text(_)) {
        let stage = reader.word(at, &words, Stage::parse)?;
        return Some(Lifecycle { stage, sunset: None, successor: None });
    }
    let object = reader.object(at, &["stage", "sunset", "successor"])?;
    let stage = object.need("stage", reader).and_then(|at| reader.word(&at, &words, Stage::parse));
    let sunset = object.get("sunset").and_then(|at| {
        reader.parsed(&at, |text| text.parse::<jiff::civil::Date>().map_err(|_| "must be a day like 2027-01-31"))
    });
    let successor = object.get("successor").and_then(|at| successor(&at, reader));
    let stage = stage?;
    for member in ["sunset", "successor"] {
        if let Some(at) = object.get(member)
            && stage != Stage::Deprecated
        {
            let message = format!("only a deprecated definition has a {member}, and this one is {stage}");
            reader.wrong("lifecycle_wrong", &at, message);
        }
    }
    Some(Lifecycle { stage, sunset, successor })
}

fn successor(at: &At<'_>, reader: &mut Reader) -> Option<(EventType, Version)> {
    let text = reader.raw(at)?;
    let parts = text.split_once('@').and_then(|(name, version)| {
        let version = Version::parse(version).ok().filter(|version| version_number(version).is_some())?;
        Some((EventType::parse(name).ok()?, version))
    });
    if parts.is_none() {
        reader.wrong("value_malformed", at, "must be a type and its version, like sales.lead.moved@2");
    }
    parts
}

fn retention(at: &At<'_>, reader: &mut Reader) -> Option<Retention> {
    let text = match &at.node.shape {
        Shape::Number(number) => {
            let message = "must be days like 730d, or forever";
            reader.propose("value_malformed", at, message, format!("{number}d"));
            return None;
        }
        _ => reader.raw(at)?,
    };
    if text == "forever" {
        return Some(Retention::Forever);
    }
    let days = text.strip_suffix('d').filter(|days| days.bytes().all(|b| b.is_ascii_digit()));
    let days = days.and_then(|days| days.parse::<u32>().ok());
    if let Some(days) = days.filter(|days| (1..=RETENTION_DAYS_MAX).contains(days)) {
        return Some(Retention::Days(days));
    }
    let message = format!("must be 1d to {RETENTION_DAYS_MAX}d, or forever");
    match proposed_days(text) {
        Some(days) => reader.propose("value_malformed", at, message, format!("{days}d")),
        None => reader.wrong("value_malformed", at, message),
    }
    None
}

/// The days that `2y`, `6 months` or `4w` mean.
fn proposed_days(text: &str) -> Option<u32> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let count: u32 = digits.parse().ok()?;
    let unit = match text[digits.len()..].trim().chars().next() {
        None | Some('d') => 1,
        Some('w') => 7,
        Some('m') => 30,
        Some('y') => 365,
        Some(_) => return None,
    };
    count.checked_mul(unit).filter(|days| (1..=RETENTION_DAYS_MAX).contains(days))
}

fn entity(at: &At<'_>, reader: &mut Reader) -> Option<EntityRule> {
    let object = reader.object(at, &["type", "id"])?;
    let kind = object.need("type", reader).and_then(|at| reader.parsed(&at, str::parse::<Text>));
    let id = object.get("id").and_then(|at| single_pointer(&at, reader));
    Some(EntityRule { kind: kind?.to_string(), id })
}

fn classification(at: &At<'_>, reader: &mut Reader) -> BTreeMap<Pointer, Classification> {
    let classes: Vec<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
    let actions: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    let mut classified = BTreeMap::new();
    for (name, at) in reader.entries(at, CLASSIFIED_MAX) {
        let found = match &at.node.shape {
            Shape::Map(_) => reader.object(&at, &["class", "action"]).and_then(|object| {
                let class = object.need("class", reader).and_then(|at| reader.word(&at, &classes, Class::parse));
                let action = object.get("action").map(|at| reader.word(&at, &actions, Action::parse));
                let class = class?;
                Some(Classification { class, action: action.flatten().unwrap_or(class.default_action()) })
            }),
            _ => reader.word(&at, &classes, Class::parse).map(Classification::from),
        };
        match Pointer::parse(name) {
            Ok(pointer) if !pointer.is_root() => {
                if let Some(found) = found {
                    classified.insert(pointer, found);
                }
            }
            _ => {
                let message = "must be a place within data, like '/customer/email' or '/contacts/*/phone'";
                match proposed_pointer(name) {
                    Some(proposal) => reader.propose("pointer_malformed", &at, message, proposal),
                    None => reader.wrong("pointer_malformed", &at, message),
                }
            }
        }
    }
    classified
}

fn examples(at: &At<'_>, reader: &mut Reader) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for at in reader.items(at, EXAMPLES_MAX) {
        let Some(object) = reader.object(&at, &["name", "data"]) else { continue };
        let name = object.need("name", reader).and_then(|at| {
            let name = reader.text(&at, NAME_CHARS_MAX)?;
            unique(&at, name, examples.iter().map(|example| example.name.as_str()), reader);
            Some(name.to_owned())
        });
        let data = object.need("data", reader).and_then(|at| data(&at, reader));
        if let (Some(name), Some(data)) = (name, data) {
            examples.push(Example { name, data });
        }
    }
    examples
}

/// The data of an event: an object.
pub(super) fn data(at: &At<'_>, reader: &mut Reader) -> Option<Value> {
    if !matches!(at.node.shape, Shape::Map(_)) {
        reader.wrong("member_wrong_type", at, format!("data is an object, and this is {}", at.node.kind()));
        return None;
    }
    Some(at.node.value())
}

fn unique<'k>(at: &At<'_>, name: &str, mut known: impl Iterator<Item = &'k str>, reader: &mut Reader) {
    if known.any(|known| known == name) {
        reader.wrong("name_taken", at, format!("\"{}\" stands here for the second time", clip(name)));
    }
}

fn rules(at: &At<'_>, reader: &mut Reader) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for at in reader.items(at, RULES_MAX) {
        let Some(object) = reader.object(&at, &["name", "check", "message"]) else { continue };
        let name = object.need("name", reader).and_then(|at| {
            let name = reader.snake(&at)?;
            unique(&at, &name, rules.iter().map(|rule| rule.name.as_str()), reader);
            Some(name)
        });
        let check = object.need("check", reader).and_then(|at| reader.text(&at, RULE_CHARS_MAX));
        let message = object.need("message", reader).and_then(|at| reader.text(&at, MESSAGE_CHARS_MAX));
        if let (Some(name), Some(check), Some(message)) = (name, check, message) {
            rules.push(Rule { name, check: check.to_owned(), message: message.to_owned() });
        }
    }
    rules
}

fn transitions(at: &At<'_>, name: Option<&EventType>, reader: &mut Reader) -> Vec<Transitions> {
    let mut machines = Vec::new();
    for at in reader.items(at, TRANSITIONS_MAX) {
        let Some(object) = reader.object(&at, &["field", "of", "initial", "moves"]) else { continue };
        let field = object.need("field", reader).and_then(|at| single_pointer(&at, reader));
        let of = match object.get("of") {
            Some(at) => machine_types(&at, reader),
            None => name.cloned().into_iter().collect(),
        };
        let initial = object.get("initial").map(|at| states(&at, reader)).unwrap_or_default();
        let moves = object.need("moves", reader).map(|at| {
            let entries = reader.entries(&at, STATES_MAX).into_iter();
            entries.map(|(from, at)| (from.to_owned(), states(&at, reader))).collect::<BTreeMap<_, _>>()
        });
        let (Some(field), Some(moves)) = (field, moves) else { continue };
        let mut all: Vec<&str> =
            moves.iter().flat_map(|(from, to)| std::iter::once(from).chain(to)).map(String::as_str).collect();
        all.extend(initial.iter().map(String::as_str));
        all.sort_unstable();
        all.dedup();
        if all.len() > STATES_MAX {
            reader.wrong("too_many", &at, format!("names {} states; at most {STATES_MAX} are allowed", all.len()));
        }
        machines.push(Transitions { field, of, initial, moves });
    }
    machines
}

fn machine_types(at: &At<'_>, reader: &mut Reader) -> Vec<EventType> {
    let mut types: Vec<EventType> = Vec::new();
    let items = reader.items(at, MACHINE_TYPES_MAX);
    if items.is_empty() {
        reader.wrong("member_missing", at, "must name at least one type; leave it out for the type itself");
    }
    for at in items {
        if let Some(name) = reader.parsed(&at, str::parse::<EventType>) {
            unique(&at, name.as_str(), types.iter().map(EventType::as_str), reader);
            types.push(name);
        }
    }
    types
}

fn states(at: &At<'_>, reader: &mut Reader) -> Vec<String> {
    let mut states: Vec<String> = Vec::new();
    for at in reader.items(at, STATES_MAX) {
        if let Some(state) = reader.raw(&at) {
            unique(&at, state, states.iter().map(String::as_str), reader);
            states.push(state.to_owned());
        }
    }
    states
}
