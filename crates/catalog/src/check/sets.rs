//! What is said about reference sets and policies.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::combined::{Combined, expressions};
use super::{error, finding, warning};
use crate::definition::{Definition, Stage};
use crate::entry::{Key, Policy, Set};
use crate::report::{Change, Finding, Severity, Subject};
use crate::source;

pub(super) fn judge(combined: &Combined<'_>, set: &Set, change: Change, findings: &mut Vec<Finding>) {
    if set.values.is_empty() {
        findings.push(warning(
            Subject::Rule,
            "set_empty",
            "/values",
            "nothing is in it: rules find nothing".to_owned(),
        ));
    }
    if change != Change::Changed {
        return;
    }
    let Some(before) = combined.known.source(&Key::set(&set.name)).and_then(|text| source::read_set(text).ok()) else {
        return;
    };
    let kept: BTreeSet<String> = set.values.iter().map(ToString::to_string).collect();
    let gone: Vec<String> =
        before.values.iter().map(ToString::to_string).filter(|value| !kept.contains(value)).collect();
    let users = users(combined, &set.name);
    if !gone.is_empty() {
        let in_use = users.iter().filter(|user| user.lifecycle.stage != Stage::Draft).count();
        let severity = if in_use > 0 { Severity::Error } else { Severity::Info };
        let values = gone.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let more = if gone.len() > 5 { format!(" and {} more", gone.len() - 5) } else { String::new() };
        let message = format!("{values}{more} would be gone: rules of {in_use} definitions look into the set");
        let mut found = finding(severity, Subject::Governance, "set_values_removed", "/values", message);
        found.overridable = severity == Severity::Error;
        findings.push(found);
    }
    for user in users {
        let sets = combined.sets_for(&user);
        let others = |name: &_, version: &_| combined.definition(name, version);
        let broken = crate::examine::examine(&user, &sets, &others);
        if let Some(broken) = broken.iter().find(|found| found.severity == Severity::Error) {
            let message = format!("{} would not stand any more: {}", user.key(), broken.message);
            findings.push(error(Subject::Rule, "set_breaks_definition", "/values", message));
        }
    }
}

pub(super) fn judge_removal(combined: &Combined<'_>, name: &str, findings: &mut Vec<Finding>) {
    if let Some(user) = users(combined, name).first() {
        let message = format!("a rule of {} looks into it", user.key());
        findings.push(error(Subject::Rule, "set_in_use", "", message));
    }
}

/// The definitions whose expressions look into a set.
fn users(combined: &Combined<'_>, name: &str) -> Vec<Arc<Definition>> {
    let all = combined.definitions_with(name).into_iter();
    all.filter(|definition| expressions(definition).any(|expression| looks_into(expression, name))).collect()
}

/// Whether an expression holds `sets.name` or `sets["name"]`.
fn looks_into(expression: &str, name: &str) -> bool {
    let dense: String = expression.chars().filter(|c| !c.is_whitespace()).collect();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named = dense.match_indices("sets.").any(|(at, _)| {
        let rest = &dense[at + "sets.".len()..];
        rest.strip_prefix(name).is_some_and(|after| !after.starts_with(is_word))
    });
    named || dense.contains(&format!("sets[\"{name}\"]")) || dense.contains(&format!("sets['{name}']"))
}

pub(super) fn judge_policy(combined: &Combined<'_>, policy: &Policy, findings: &mut Vec<Finding>) {
    let twin = combined.policies().find(|other| {
        other.name != policy.name
            && other.tenant == policy.tenant
            && other.types == policy.types
            && ((other.known.is_some() && policy.known.is_some())
                || (other.unknown.is_some() && policy.unknown.is_some()))
    });
    if let Some(twin) = twin {
        let message = format!("the policy \"{}\" speaks of the same events: put them into one", twin.name);
        findings.push(error(Subject::Source, "policy_twice", "/name", message));
    }
}

#[cfg(test)]
mod tests {
    use super::looks_into;

    #[test]
    fn an_expression_looks_into_a_set_by_either_spelling() {
        let rows = [
            ("data.currency in sets.currencies", true),
            ("data.currency in sets . currencies", true),
            ("data.currency in sets['currencies']", true),
            ("data.currency in sets[\"currencies\"]", true),
            ("data.currency in sets.currencies_old", false),
            ("data.currencies in sets.other", false),
        ];
        for (expression, found) in rows {
            assert_eq!(looks_into(expression, "currencies"), found, "{expression}");
        }
    }
}
