//! Writes what the catalog says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tidings_catalog::definition::{Classification, Definition, Stage};
use tidings_catalog::entry::{Key, Mode, Policy, Set};
use tidings_catalog::judge::Catalog;
use tidings_catalog::lineage::Lineage;
use tidings_catalog::report::{Checked, Finding, Report};
use tidings_catalog::source::to_value;
use tidings_engine::catalog::{Aside, Blinded, History, LogChecked, LogReport, LogSample, Marked, Trial};
use tidings_event::Violation;

use crate::wire;

/// What was found about a change.
pub(crate) fn report(report: &Report) -> wire::CatalogReport {
    wire::CatalogReport { entries: report.entries.iter().map(checked).collect() }
}

fn checked(checked: &Checked) -> wire::CheckedEntry {
    wire::CheckedEntry {
        kind: checked.key.kind.to_string(),
        name: checked.key.name.clone(),
        version: checked.key.version.clone(),
        change: checked.change.to_string(),
        findings: checked.findings.iter().map(finding).collect(),
    }
}

fn finding(finding: &Finding) -> wire::Finding {
    wire::Finding {
        severity: finding.severity.to_string(),
        subject: finding.subject.to_string(),
        code: finding.code.to_owned(),
        path: finding.path.clone(),
        line: finding.line,
        message: finding.message.clone(),
        proposal: finding.proposal.clone(),
        witness: finding.witness.clone(),
        overridable: finding.overridable,
    }
}

/// A revision of an entry.
pub(crate) fn revision(revision: History) -> wire::CatalogRevision {
    let key = revision.entry.key;
    wire::CatalogRevision {
        revision: revision.revision,
        kind: key.kind.to_string(),
        name: key.name,
        version: key.version,
        source: revision.entry.source,
        by: revision.by,
        reason: revision.reason,
        at: revision.at.to_string(),
    }
}

/// A type with all its versions, which are given by number.
pub(crate) fn event_type(catalog: &Catalog, versions: &[&Arc<Definition>]) -> Option<wire::EventType> {
    let last = versions.last()?;
    let current = catalog.current(&last.name).and_then(|version| catalog.definition(&last.name, version));
    let current = current.unwrap_or(last);
    Some(wire::EventType {
        name: current.name.to_string(),
        owner: current.owner.clone(),
        description: current.description.clone(),
        current: current.version.to_string(),
        versions: versions.iter().map(|definition| version(definition)).collect(),
    })
}

fn version(definition: &Definition) -> wire::EventTypeVersion {
    let lifecycle = &definition.lifecycle;
    wire::EventTypeVersion {
        version: definition.version.to_string(),
        stage: lifecycle.stage.to_string(),
        sunset: lifecycle.sunset.map(|day| day.to_string()),
        successor: lifecycle.successor.as_ref().map(|(name, version)| format!("{name}@{version}")),
    }
}

/// Whether one of the versions is in this stage.
pub(crate) fn has_stage(versions: &[&Arc<Definition>], stage: Stage) -> bool {
    versions.iter().any(|definition| definition.lifecycle.stage == stage)
}

/// Who publishes a type and who subscribes to it.
pub(crate) fn lineage(lineage: Lineage) -> wire::Lineage {
    let publisher = |publisher: tidings_catalog::lineage::Publisher| wire::Publisher {
        version: publisher.version.to_string(),
        source: publisher.source,
        events: publisher.events,
        first_at: publisher.first_at.to_string(),
        last_at: publisher.last_at.to_string(),
    };
    let subscriber = |subscriber: tidings_catalog::lineage::Subscriber| wire::Subscriber {
        tenant: subscriber.tenant,
        endpoint: subscriber.endpoint,
        url_host: subscriber.url_host,
        description: subscriber.description,
        types: subscriber.types,
    };
    wire::Lineage {
        event_type: lineage.event_type.to_string(),
        observed: lineage.observed.into_iter().map(publisher).collect(),
        subscribers: lineage.subscribers.into_iter().map(subscriber).collect(),
    }
}

/// Broken rules.
pub(crate) fn violations(violations: &[Violation]) -> Vec<wire::Violation> {
    violations
        .iter()
        .map(|violation| wire::Violation {
            path: violation.path.clone(),
            code: violation.code.to_owned(),
            message: violation.message.clone(),
        })
        .collect()
}

/// An entry as its author wrote it.
pub(crate) fn entry(key: &Key, source: &str, revision: u64) -> wire::CatalogEntry {
    let (kind, name, version) = (key.kind.to_string(), key.name.clone(), key.version.clone());
    wire::CatalogEntry { kind, name, version, source: source.to_owned(), revision }
}

/// A definition as JSON, with what it says by default written out.
pub(crate) fn definition(definition: &Definition) -> Value {
    let mut value = to_value(definition);
    let lifecycle = wire::Lifecycle {
        stage: definition.lifecycle.stage.to_string(),
        sunset: definition.lifecycle.sunset.map(|day| day.to_string()),
        successor: definition.lifecycle.successor.as_ref().map(|(name, version)| format!("{name}@{version}")),
    };
    value["lifecycle"] = json!(lifecycle);
    value["ordering"] = json!(definition.ordering.as_str());
    value["compatibility"] = json!(definition.compatibility.as_str());
    let classified = definition.classification.iter().map(|(at, classification)| (at.to_string(), *classification));
    let classified: BTreeMap<String, Classification> = classified.collect();
    if !classified.is_empty() {
        value["classification"] = json!(classified);
    }
    value
}

/// A reference set without its values.
pub(crate) fn set_summary(set: &Set) -> wire::ReferenceSetSummary {
    wire::ReferenceSetSummary {
        name: set.name.clone(),
        description: set.description.clone(),
        values_count: set.values.len() as u64,
    }
}

/// A policy.
pub(crate) fn policy(policy: &Policy) -> wire::Policy {
    wire::Policy {
        name: policy.name.clone(),
        tenant: policy.tenant.clone(),
        types: policy.types.clone(),
        known: policy.known.map(|mode| mode.to_string()),
        unknown: policy.unknown.map(|mode| mode.to_string()),
    }
}

/// How an event would be judged.
pub(crate) fn trial(trial: &Trial) -> wire::Trial {
    let outcome = match (trial.violations.is_empty(), trial.mode) {
        (true, _) | (_, Mode::Off) => "accepted",
        (false, Mode::Observe) => "marked",
        (false, Mode::Quarantine) => "quarantined",
        (false, Mode::Strict) => "rejected",
    };
    wire::Trial {
        outcome: outcome.to_owned(),
        mode: trial.mode.to_string(),
        version: trial.version.to_string(),
        known: trial.known,
        state_judged: trial.state_judged,
        violations: violations(&trial.violations),
    }
}

/// An event in quarantine.
pub(crate) fn quarantined(aside: Aside) -> wire::Quarantined {
    let Aside { no, event_id, event_type, version, event, reasons, sender, at } = aside;
    wire::Quarantined {
        no,
        event_id: event_id.to_string(),
        event_type: event_type.to_string(),
        version: version.to_string(),
        event: raw(&event),
        violations: violations(&reasons),
        sender,
        at: at.to_string(),
    }
}

/// An event of the log that broke rules.
pub(crate) fn marked(marked: &Marked) -> wire::MarkedEvent {
    wire::MarkedEvent {
        sequence: marked.sequence.get(),
        event_type: marked.event_type.to_string(),
        version: marked.version.to_string(),
        violations: violations(&marked.reasons),
    }
}

/// A text that is JSON as it is; as a string where it is not.
fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned())
        .or_else(|_| serde_json::value::to_raw_value(text))
        .expect("a string can always be written as JSON")
}

/// What past events say about definitions.
pub(crate) fn log_report(report: LogReport) -> wire::LogReport {
    let LogReport { scanned, complete, definitions, blinded, blinded_complete } = report;
    let definitions = definitions.into_iter().map(log_checked).collect();
    let blinded = blinded.into_iter().map(self::blinded).collect();
    wire::LogReport { scanned, complete, definitions, blinded, blinded_complete }
}

fn log_checked(checked: LogChecked) -> wire::DefinitionInLog {
    let sample = |sample: LogSample| wire::InvalidSample {
        tenant: sample.tenant.to_string(),
        id: sample.id.to_string(),
        sequence: sample.sequence.get(),
        violations: violations(&sample.violations),
    };
    wire::DefinitionInLog {
        name: checked.event_type.to_string(),
        version: checked.version.to_string(),
        matched: checked.matched,
        invalid: checked.invalid,
        samples: checked.samples.into_iter().map(sample).collect(),
    }
}

fn blinded(blinded: Blinded) -> wire::Blinded {
    wire::Blinded {
        tenant: blinded.tenant.to_string(),
        endpoint: blinded.endpoint.to_string(),
        name: blinded.event_type.to_string(),
        version: blinded.version.to_string(),
        types: blinded.types,
        field: blinded.field,
        why: blinded.why,
    }
}
