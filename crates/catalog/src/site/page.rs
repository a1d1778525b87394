//! The page of one type, all its versions on it.

use minijinja::Value;
use tidings_event::{EventType, Version};

use super::highlight;
use super::model::{Known, Model, VersionOf};
use super::view::view;
use super::{Revised, diagram};
use crate::definition::{Conversion, Definition, EntityRule, Ordering, Retention, Step, Transitions};
use crate::entry::Kind;
use crate::lineage::Lineage;

/// Other types of the same entity that a page links to.
const SIBLINGS_MAX: usize = 60;
/// Changes, publishers and subscribers that a page shows.
const ROWS_MAX: usize = 500;

pub(super) fn whole(model: &Model<'_>, known: &Known<'_>) -> Value {
    let versions: Vec<Value> = known.versions.iter().rev().map(|version| version_view(model, known, version)).collect();
    let current = known.current();
    view! {
        type => name(known.name),
        description => current.description,
        owner => owner(model, &current.owner),
        current => current.version.as_str(),
        current_stage => current.lifecycle.stage.as_str(),
        class => known.class().map(|class| class.as_str()),
        versions,
        siblings => siblings(model, known),
        lineage => lineage(model, known),
        lineage_known => model.input.lineage.is_some(),
        history => history(model, known.name),
    }
}

/// A type's name in its parts.
pub(super) fn name(name: &EventType) -> Value {
    let text = name.as_str();
    let (head, last) = text.rsplit_once('.').unwrap_or(("", text));
    let (domain, rest) = text.split_once('.').unwrap_or((text, ""));
    let entity = rest.rsplit_once('.').map_or("", |(entity, _)| entity);
    view! { full => text, head, last, domain, entity, path => super::model::path_of(name) }
}

pub(super) fn owner(model: &Model<'_>, owner: &str) -> Value {
    view! { name => owner, anchor => model.owners.get(owner) }
}

fn version_view(model: &Model<'_>, known: &Known<'_>, version: &VersionOf<'_>) -> Value {
    let definition: &Definition = version.definition;
    let anchor = &version.anchor;
    let machines = definition.transitions.iter().enumerate();
    let machines: Vec<Value> =
        machines.map(|(i, machine)| machine_view(model, machine, &format!("{anchor}-machine-{i}"))).collect();
    let examples = definition.examples.iter();
    let rules = definition.rules.iter();
    view! {
        version => definition.version.as_str(),
        anchor,
        is_current => std::ptr::eq(definition, known.current()),
        description => definition.description,
        owner => owner(model, &definition.owner),
        stage => definition.lifecycle.stage.as_str(),
        sunset => definition.lifecycle.sunset.map(|day| day.to_string()),
        successor => definition.lifecycle.successor.as_ref().map(|(name, version)| reference(model, name, version)),
        facts => facts(definition),
        name_exception => definition.name_exception,
        rows => version.rows,
        classified => definition.classification.values().any(|c| c.class > crate::definition::Class::Internal),
        schema => Value::from_safe_string(highlight::json(&definition.schema)),
        examples => examples.map(|example| view! {
            name => example.name, data => Value::from_safe_string(highlight::json(&example.data))
        }).collect::<Vec<_>>(),
        rules => rules.map(|rule| view! {
            name => rule.name, check => rule.check, message => rule.message
        }).collect::<Vec<_>>(),
        machines,
        upcast => definition.upcast.as_ref().map(conversion_view),
        downcast => definition.downcast.as_ref().map(conversion_view),
    }
}

/// Another version, linked where it is in the catalog.
fn reference(model: &Model<'_>, name: &EventType, version: &Version) -> Value {
    view! { name => name.as_str(), version => version.as_str(), href => model.link(name, version) }
}

/// What a version promises, as words and what they mean.
fn facts(definition: &Definition) -> Vec<Value> {
    let ordering = match definition.ordering {
        Ordering::None => "none: events may come in any order",
        Ordering::Entity => "by entity: events of one entity come in order",
        Ordering::Tenant => "by tenant: all events of a tenant come in order",
    };
    let mut facts = vec![
        view! { label => "Order", text => ordering },
        view! { label => "Kept", text => retention(definition) },
        view! { label => "May change", text => definition.compatibility.as_str(), code => true },
    ];
    if let Some(EntityRule { kind, id }) = &definition.entity {
        facts.push(view! { label => "Entity", text => kind, code => true, at => id.as_ref().map(ToString::to_string) });
    }
    if let Some(subject) = &definition.subject {
        facts.push(view! { label => "About the person at", text => subject.to_string(), code => true });
    }
    facts
}

/// For how long events are kept, in words.
pub(super) fn retention(definition: &Definition) -> String {
    match definition.retention {
        None => "as long as the log".to_owned(),
        Some(Retention::Forever) => "for good".to_owned(),
        Some(Retention::Days(1)) => "1 day".to_owned(),
        Some(Retention::Days(days)) if days >= 730 && days % 365 == 0 => format!("{} years", days / 365),
        Some(Retention::Days(365)) => "1 year".to_owned(),
        Some(Retention::Days(days)) => format!("{days} days"),
    }
}

fn machine_view(model: &Model<'_>, machine: &Transitions, id: &str) -> Value {
    let moves = diagram::states(machine).into_iter().map(|state| {
        let to = machine.moves.get(state).map_or(&[][..], Vec::as_slice);
        view! { from => state, to, initial => machine.initial.iter().any(|initial| initial == state) }
    });
    let of = machine.of.iter().map(|name| {
        let known = model.types.binary_search_by(|known| known.name.cmp(name)).is_ok();
        view! { name => name.as_str(), href => known.then(|| super::model::path_of(name)) }
    });
    view! {
        field => machine.field.to_string(),
        of => of.collect::<Vec<_>>(),
        moves => moves.collect::<Vec<_>>(),
        any_initial => machine.initial.is_empty(),
        svg => Value::from_safe_string(diagram::svg(machine, id)),
    }
}

fn conversion_view(conversion: &Conversion) -> Value {
    let tests = conversion.tests.iter().map(|test| {
        let html = |value| Value::from_safe_string(highlight::json(value));
        view! { from => html(&test.from), to => html(&test.to) }
    });
    view! {
        other => conversion.other.as_str(),
        steps => conversion.steps.iter().map(step).collect::<Vec<_>>(),
        tests => tests.collect::<Vec<_>>(),
    }
}

/// A step as a verb and what it works on: places, then a value.
fn step(step: &Step) -> Value {
    let html = |value: &serde_json::Value| Value::from_safe_string(highlight::json(value));
    match step {
        Step::Move { from, to } => view! { verb => "move", at => from.to_string(), to => to.to_string() },
        Step::Copy { from, to } => view! { verb => "copy", at => from.to_string(), to => to.to_string() },
        Step::Set { at, value } => view! { verb => "set", at => at.to_string(), value => html(value) },
        Step::Default { at, value } => view! { verb => "default", at => at.to_string(), value => html(value) },
        Step::Remove { at } => view! { verb => "remove", at => at.to_string() },
        Step::Map { at, values, otherwise } => {
            let pairs = values.iter().map(|(from, to)| view! { from, to => html(to) });
            let pairs = pairs.collect::<Vec<_>>();
            view! { verb => "map", at => at.to_string(), pairs, otherwise => otherwise.as_ref().map(html) }
        }
        Step::Compute { at, expression } => view! { verb => "compute", at => at.to_string(), expression },
    }
}

/// Types about the same thing, this one among them.
fn siblings(model: &Model<'_>, known: &Known<'_>) -> Vec<Value> {
    let head = |name: &EventType| name.as_str().rsplit_once('.').map_or(String::new(), |(head, _)| head.to_owned());
    let mine = head(known.name);
    let types = model.types.iter().filter(|other| head(other.name) == mine).take(SIBLINGS_MAX);
    types
        .map(|other| {
            view! { type => name(other.name), here => other.name == known.name,
            stage => other.current().lifecycle.stage.as_str() }
        })
        .collect()
}

/// Whether somebody other than its owner was seen to emit a type.
pub(super) fn has_strangers(model: &Model<'_>, known: &Known<'_>) -> bool {
    let owner = &known.current().owner;
    model.lineage(known.name).is_some_and(|lineage| lineage.observed.iter().any(|publisher| !publisher.is_of(owner)))
}

fn lineage(model: &Model<'_>, known: &Known<'_>) -> Option<Value> {
    let empty = Lineage { event_type: known.name.clone(), observed: Vec::new(), subscribers: Vec::new() };
    model.input.lineage.as_ref()?;
    let lineage = model.lineage(known.name).unwrap_or(&empty);
    let current = known.current();
    let published = lineage.observed.iter().take(ROWS_MAX).map(|publisher| {
        let declared = known.versions.iter().any(|version| version.definition.version == publisher.version);
        view! {
            version => publisher.version.as_str(), source => publisher.source, events => grouped(publisher.events),
            first_at => publisher.first_at.to_string(), last_at => publisher.last_at.to_string(),
            is_owner => publisher.is_of(&current.owner), declared,
        }
    });
    let subscribers = lineage.subscribers.iter().take(ROWS_MAX).map(|subscriber| {
        view! { tenant => subscriber.tenant, endpoint => subscriber.endpoint, host => subscriber.url_host,
        description => subscriber.description, types => subscriber.types }
    });
    Some(view! {
        publishers => published.collect::<Vec<_>>(),
        publishers_more => lineage.observed.len().saturating_sub(ROWS_MAX),
        owner_seen => lineage.observed.iter().any(|publisher| publisher.is_of(&current.owner)),
        strangers => has_strangers(model, known),
        subscribers => subscribers.collect::<Vec<_>>(),
        subscribers_more => lineage.subscribers.len().saturating_sub(ROWS_MAX),
    })
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// The changes of a type's definitions, newest first.
fn history(model: &Model<'_>, name: &EventType) -> Vec<Value> {
    let of_type = |revised: &&Revised| revised.key.kind == Kind::Definition && revised.key.name == name.as_str();
    let mut changes: Vec<&Revised> = model.input.history.iter().filter(of_type).collect();
    changes.sort_by(|a, b| b.revision.cmp(&a.revision).then_with(|| a.key.cmp(&b.key)));
    changes.into_iter().take(ROWS_MAX).map(change).collect()
}

fn change(revised: &Revised) -> Value {
    view! {
        revision => revised.revision, version => revised.key.version, change => revised.change.as_str(),
        by => revised.by, reason => revised.reason, at => revised.at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        let shown = [0, 999, 1_000, 1_234_567].map(|number| grouped(number).replace('\u{202f}', " "));
        assert_eq!(shown, ["0", "999", "1 000", "1 234 567"]);
    }
}
