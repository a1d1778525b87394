//! What is said about one definition.

use std::collections::BTreeSet;

use jiff::civil::Date;
use tidings_event::Version;

use super::combined::Combined;
use super::{error, finding, published, warning};
use crate::definition::{Conversion, Definition, Stage, version_number};
use crate::names;
use crate::report::{Change, Finding, Severity, Subject};

pub(super) fn judge(
    combined: &Combined<'_>,
    definition: &Definition,
    change: Change,
    today: Date,
    findings: &mut Vec<Finding>,
) {
    findings.extend(names::lint_definition(definition));
    let sets = combined.sets_for(definition);
    let others = |name: &_, version: &_| combined.definition(name, version);
    findings.extend(crate::examine::examine(definition, &sets, &others));
    told(definition, findings);
    lifecycle(combined, definition, today, findings);
    versions(combined, definition, findings);
    machines(combined, definition, findings);
    // What is unchanged was judged when it came, and what broke then was allowed.
    if change != Change::Unchanged {
        published::judge(combined, definition, findings);
    }
}

/// What a reader of the catalog would miss.
fn told(definition: &Definition, findings: &mut Vec<Finding>) {
    if definition.lifecycle.stage == Stage::Draft {
        return;
    }
    if definition.description.is_empty() {
        let message = "say in a sentence what has happened when this event comes".to_owned();
        findings.push(warning(Subject::Source, "description_missing", "/description", message));
    }
    if definition.examples.is_empty() {
        let message = "an example tells more than a schema, and is checked against it".to_owned();
        findings.push(finding(Severity::Info, Subject::Example, "examples_missing", "/examples", message));
    }
}

fn lifecycle(combined: &Combined<'_>, definition: &Definition, today: Date, findings: &mut Vec<Finding>) {
    let lifecycle = &definition.lifecycle;
    if lifecycle.stage != Stage::Deprecated {
        return;
    }
    let mut warn = |code: &'static str, path: &str, message: String| {
        findings.push(warning(Subject::Governance, code, path, message));
    };
    match lifecycle.sunset {
        None => warn("sunset_missing", "/lifecycle", "say by when consumers must have left: sunset".to_owned()),
        Some(sunset) if sunset <= today => {
            warn("sunset_passed", "/lifecycle/sunset", format!("events of this version are not taken since {sunset}"));
        }
        Some(_) => {}
    }
    match &lifecycle.successor {
        None => {
            let message = "name what to use instead, if there is something: successor".to_owned();
            findings.push(finding(Severity::Info, Subject::Governance, "successor_missing", "/lifecycle", message));
        }
        Some((name, version)) if *name == definition.name && *version == definition.version => {
            let message = "names itself".to_owned();
            findings.push(error(Subject::Governance, "successor_unknown", "/lifecycle/successor", message));
        }
        Some((name, version)) => match combined.definition(name, version) {
            None => {
                let message = format!("there is no {name}@{version} in the catalog");
                findings.push(error(Subject::Governance, "successor_unknown", "/lifecycle/successor", message));
            }
            Some(next) if next.lifecycle.stage == Stage::Deprecated => {
                let message = format!("{name}@{version} is deprecated itself");
                findings.push(warning(Subject::Governance, "successor_deprecated", "/lifecycle/successor", message));
            }
            Some(_) => {}
        },
    }
}

/// How a version fits the other versions of its type.
fn versions(combined: &Combined<'_>, definition: &Definition, findings: &mut Vec<Finding>) {
    let number = definition.number();
    let all: BTreeSet<u32> = combined.versions(definition.name.as_str()).collect();
    let below = all.range(..number).next_back().copied();
    let was_removed = |number: u32| {
        let version = Version::trusted(number.to_string());
        !combined.known.revisions(&crate::entry::Key::definition(&definition.name, &version)).is_empty()
    };
    if number > 1 && below != Some(number - 1) && !was_removed(number - 1) {
        let message = format!("versions have no holes: there is no version {}", number - 1);
        let mut found = error(Subject::Governance, "version_hole", "/version", message);
        found.overridable = true;
        findings.push(found);
    }
    for other in all.iter().filter(|other| **other != number) {
        let version = Version::trusted(other.to_string());
        let Some(other) = combined.definition(&definition.name, &version) else { continue };
        if other.owner != definition.owner {
            let message =
                format!("all versions of a type have one owner, and version {version} is owned by \"{}\"", other.owner);
            findings.push(error(Subject::Governance, "owner_differs", "/owner", message));
            break;
        }
    }
    let below = below.map(|number| Version::trusted(number.to_string()));
    let below = below.and_then(|version| combined.definition(&definition.name, &version));
    if let Some(below) = &below {
        if definition.upcast.is_none() {
            let message = format!(
                "say how data of version {} becomes data of this one, so that consumers can move at their own pace",
                below.version
            );
            findings.push(warning(Subject::Conversion, "upcast_missing", "/upcast", message));
        }
        if below.entity.as_ref().map(|entity| &entity.kind) != definition.entity.as_ref().map(|entity| &entity.kind) {
            let message = format!("version {} speaks of another entity", below.version);
            findings.push(warning(Subject::Governance, "entity_differs", "/entity", message));
        }
    }
    let conversions =
        [(&definition.upcast, "/upcast", "/upcast/from"), (&definition.downcast, "/downcast", "/downcast/to")];
    for (conversion, _, path) in conversions {
        if let Some(conversion) = conversion {
            neighbour(combined, definition, conversion, below.as_ref().map(|below| &below.version), path, findings);
        }
    }
}

/// A conversion leads to the version just below.
fn neighbour(
    combined: &Combined<'_>,
    definition: &Definition,
    conversion: &Conversion,
    below: Option<&Version>,
    path: &str,
    findings: &mut Vec<Finding>,
) {
    if combined.definition(&definition.name, &conversion.other).is_none() {
        // The version below may have been removed after its sunset; what is left of the conversion is unused.
        let message = format!("there is no version {} of this type", conversion.other);
        let removed = version_number(&conversion.other).is_some() && below.is_none();
        let severity = if removed { Severity::Warning } else { Severity::Error };
        findings.push(finding(severity, Subject::Conversion, "conversion_version", path, message));
    } else if below.is_some_and(|below| *below != conversion.other) {
        let message = "conversions lead from a version to the one next to it, so that they can be chained".to_owned();
        findings.push(error(Subject::Conversion, "conversion_not_next", path, message));
    }
}

fn machines(combined: &Combined<'_>, definition: &Definition, findings: &mut Vec<Finding>) {
    for (index, machine) in definition.transitions.iter().enumerate() {
        let path = format!("/transitions/{index}");
        if definition.transitions[..index].iter().any(|other| other.field == machine.field) {
            let message = format!("{} has moves already: put them into one", machine.field);
            findings.push(error(Subject::Rule, "machine_twice", &format!("{path}/field"), message));
        }
        for (at, name) in machine.of.iter().enumerate().filter(|(_, name)| **name != definition.name) {
            if !combined.has_type(name) {
                let message = format!("there is no type {name} in the catalog: its events would not be looked at");
                findings.push(warning(Subject::Rule, "machine_type_unknown", &format!("{path}/of/{at}"), message));
            }
        }
        if !machine.of.contains(&definition.name) {
            let message = "does not look at events of this type itself: repeated moves pass".to_owned();
            findings.push(finding(
                Severity::Info,
                Subject::Rule,
                "machine_without_self",
                &format!("{path}/of"),
                message,
            ));
        }
    }
    if !definition.transitions.is_empty() && definition.entity.is_none() {
        let message = "moves are judged entity by entity: name the entity".to_owned();
        findings.push(error(Subject::Rule, "machine_without_entity", "/transitions", message));
    }
}
