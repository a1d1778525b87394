//! Whether a new revision of a version keeps what its earlier revisions promised.

use std::sync::Arc;

use serde_json::Value;

use super::combined::Combined;
use super::finding;
use crate::compat::{self, Budget, Direction, Judged, Look, Verdict, View};
use crate::definition::{Compatibility, Definition, Pointer, Stage};
use crate::governance;
use crate::pointer::{array_index, escape};
use crate::report::{Finding, Severity, Subject};
use crate::source;

pub(super) fn judge(combined: &Combined<'_>, definition: &Definition, findings: &mut Vec<Finding>) {
    let (mut earlier, mut unreadable) = (Vec::new(), 0u32);
    for text in combined.known.revisions(&definition.key()).iter().flatten() {
        match source::read(text) {
            Ok(definition) => earlier.push(Arc::new(definition)),
            Err(_) => unreadable += 1,
        }
    }
    if unreadable > 0 {
        let message = format!(
            "{unreadable} of the earlier revisions cannot be read any more, so that nobody can tell whether what they \
             promised is kept"
        );
        findings.push(finding(Severity::Warning, Subject::Compatibility, "revision_unreadable", "", message));
    }
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
    let judged = compat::judge_within(definition.compatibility, &schemas, &definition.schema, budget);
    found.extend(producers_refused(&schemas, &judged, definition, budget));
    for judged in judged.into_iter().rev().filter(|judged| judged.verdict != Verdict::Compatible) {
        let Some(judged) = not_given_up(&schemas, judged, definition, budget) else { continue };
        let told = told(&judged, &definition.schema);
        let is_same =
            |other: &Finding| (other.code, &other.path, &other.message) == (told.code, &told.path, &told.message);
        if !found.iter().any(is_same) {
            found.push(told);
        }
    }
    found
}

/// Producers in production that the new schema refuses, where consumers would not mind: consumers skip a member that is
/// not declared any more, but events are judged by the schema as it stands.
fn producers_refused(
    schemas: &[&Value],
    judged: &[Judged],
    definition: &Definition,
    budget: &Budget,
) -> Option<Finding> {
    let newest = schemas.last().filter(|_| definition.compatibility == Compatibility::Published)?;
    let is_told = judged.iter().any(|judged| {
        judged.direction == Direction::Backward
            && judged.against + 1 == schemas.len()
            && matches!(judged.verdict, Verdict::Breaking { .. })
    });
    if is_told || **newest == definition.schema {
        return None;
    }
    let written = Look(newest, View::Closed);
    let verdict = compat::includes_within(written, Look(&definition.schema, View::AsIs), budget);
    let Verdict::Breaking { witness, path, reason } = verdict else { return None };
    let message = format!(
        "events that producers may send now are refused at once: {reason}. Change the producers first, then the schema"
    );
    let path = declared_at(&definition.schema, &path);
    let mut found = finding(Severity::Warning, Subject::Compatibility, "producers_refused", &path, message);
    found.witness = Some(witness);
    Some(found)
}

/// What is left of a break once that is taken away which the revision in force broke already: somebody gave it up then,
/// with a reason, and is not asked again. What could not be told then is not asked again only if it is the same.
fn not_given_up(schemas: &[&Value], judged: Judged, definition: &Definition, budget: &Budget) -> Option<Judged> {
    let (newest, against) = (*schemas.last()?, *schemas.get(judged.against)?);
    if judged.against + 1 >= schemas.len() {
        return Some(judged);
    }
    let (mode, direction) = (definition.compatibility, judged.direction);
    let before = compat::judge_within(mode, &[against], newest, budget);
    let before = before.into_iter().find(|before| before.direction == direction).map(|before| before.verdict);
    match before {
        Some(Verdict::Breaking { .. }) => {
            let left = compat::judge_after_break(mode, direction, against, newest, &definition.schema, budget);
            left.map(|verdict| Judged { verdict, ..judged })
        }
        Some(before @ Verdict::Unknown { .. }) if before == judged.verdict => None,
        _ => Some(judged),
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_there_is_no_work_left_for_is_not_passed_but_said_to_be_unknown() {
        let of = |kind: &str| {
            crate::testing::definition("sales.lead.created", "1", json!({"properties": {"a": {"type": kind}}}))
        };
        let (earlier, new) = ([Arc::new(of("string"))], of("string"));
        let (other, budget) = (of("integer"), Budget::for_one_change());
        assert!(!schemas(&earlier, &other, &budget).is_empty());
        assert!(budget.left() < Budget::for_one_change().left(), "comparisons of one change share its budget");
        let mut changed = new;
        changed.schema["title"] = json!("the same, said otherwise");
        assert!(schemas(&earlier, &changed, &budget).is_empty());
        let found = schemas(&earlier, &changed, &Budget::spent());
        assert!(!found.is_empty());
        for finding in found {
            assert_eq!(
                (finding.code, finding.severity, finding.overridable),
                ("schema_unknown", Severity::Error, true)
            );
            assert!(finding.message.contains("take too long all together"), "{}", finding.message);
        }
    }
}
