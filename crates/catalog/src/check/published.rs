//! Whether a new revision of a version keeps what its earlier revisions promised.

use std::sync::Arc;

use serde_json::Value;

use super::combined::Combined;
use super::finding;
use crate::compat::{self, Budget, Direction, Judged, Verdict};
use crate::definition::{Definition, Pointer, Stage};
use crate::governance;
use crate::pointer::{array_index, escape};
use crate::report::{Finding, Severity, Subject};
use crate::source;

pub(super) fn judge(combined: &Combined<'_>, definition: &Definition, findings: &mut Vec<Finding>) {
    let earlier = combined.known.revisions(&definition.key()).iter().flatten();
    let earlier: Vec<Arc<Definition>> = earlier.filter_map(|text| source::read(text).ok()).map(Arc::new).collect();
    let in_use: Vec<_> = earlier.iter().filter(|earlier| earlier.lifecycle.stage != Stage::Draft).cloned().collect();
    // Drafts promised nothing; what changes between them is told all the same.
    let binding = !in_use.is_empty();
    let against = if binding { in_use } else { earlier.into_iter().next_back().into_iter().collect() };
    let Some(newest) = against.last() else { return };
    let start = findings.len();
    findings.extend(governance::judge(newest, definition));
    findings.extend(schemas(&against, definition, &combined.budget));
    if !binding {
        for found in &mut findings[start..] {
            found.severity = Severity::Info;
            found.overridable = false;
        }
    }
}

/// Compatibility of the schema with those of earlier revisions.
fn schemas(earlier: &[Arc<Definition>], definition: &Definition, budget: &Budget) -> Vec<Finding> {
    let mut schemas: Vec<&Value> = Vec::new();
    for earlier in earlier {
        // The newest of equal ones counts, so that what is told of is as young as can be.
        schemas.retain(|schema| **schema != earlier.schema);
        schemas.push(&earlier.schema);
    }
    let mut found: Vec<Finding> = Vec::new();
    let broken = compat::judge_within(definition.compatibility, &schemas, &definition.schema, budget);
    for judged in broken.iter().rev() {
        if matches!(judged.verdict, Verdict::Compatible) || given_up(&schemas, judged, definition, budget) {
            continue;
        }
        let told = told(judged, &definition.schema);
        if !found
            .iter()
            .any(|other| other.code == told.code && other.path == told.path && other.message == told.message)
        {
            found.push(told);
        }
    }
    found
}

/// Whether the revision in force does not keep this promise either: somebody gave it up then, with a reason, and is not
/// asked again.
fn given_up(schemas: &[&Value], judged: &Judged, definition: &Definition, budget: &Budget) -> bool {
    let Some((newest, _)) = schemas.split_last() else { return false };
    if judged.against + 1 >= schemas.len() {
        return false;
    }
    let against = &schemas[judged.against..=judged.against];
    let before = compat::judge_within(definition.compatibility, against, newest, budget);
    before.iter().any(|before| before.direction == judged.direction && !matches!(before.verdict, Verdict::Compatible))
}

fn told(judged: &Judged, new: &Value) -> Finding {
    let whom = match judged.direction {
        Direction::Backward => "what was valid before is not any more",
        Direction::Forward => "what is valid now was not before",
    };
    let (code, path, message, witness) = match &judged.verdict {
        Verdict::Compatible => ("schema_compatible", "/schema".to_owned(), String::new(), None),
        Verdict::Breaking { witness, path, reason } => {
            ("schema_breaking", declared_at(new, path), format!("{whom}: {reason}"), Some(witness.clone()))
        }
        Verdict::Unknown { path, reason } => {
            let message = format!("whether the change breaks something cannot be told ({whom}?): {reason}");
            ("schema_unknown", format!("/schema{path}"), message, None)
        }
    };
    let mut found = finding(Severity::Error, Subject::Compatibility, code, &path, message);
    found.witness = witness;
    found.overridable = true;
    found
}

/// Where in a definition a place of its data is declared, as far as plain members and items lead.
fn declared_at(schema: &Value, place: &str) -> String {
    let mut path = "/schema".to_owned();
    let mut schema = schema;
    let place = Pointer::parse(place).unwrap_or_default();
    for segment in place.segments() {
        let member = schema.get("properties").and_then(|members| members.get(segment));
        let (next, step) = match (member, schema.get("items")) {
            (Some(next), _) => (next, format!("/properties/{}", escape(segment))),
            (None, Some(items)) if array_index(segment).is_some() => (items, "/items".to_owned()),
            _ => break,
        };
        schema = next;
        path.push_str(&step);
    }
    path
}
