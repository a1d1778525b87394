//! Writes what the catalog says.

use std::sync::Arc;

use serde_json::value::RawValue;
use tidings_catalog::definition::{Definition, Stage};
use tidings_catalog::entry::{Mode, Policy, Set};
use tidings_catalog::judge::Catalog;
use tidings_catalog::lineage::Lineage;
use tidings_catalog::report::{Checked, Finding, Report};
use tidings_engine::catalog::{Aside, History, Marked, Trial};
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

/// An entry as its author wrote it; none where it was removed.
pub(crate) fn entry(newest: History) -> Option<wire::CatalogEntry> {
    let History { revision, entry, .. } = newest;
    let source = entry.source?;
    let (kind, name, version) = (entry.key.kind.to_string(), entry.key.name, entry.key.version);
    Some(wire::CatalogEntry { kind, name, version, source, revision })
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
        event: raw(event),
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
fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text.clone())
        .or_else(|_| serde_json::value::to_raw_value(&text))
        .expect("a string can always be written as JSON")
}
