//! Whether a change of what is promised around a schema keeps the promise: owner, entity, subject, classification,
//! ordering, retention, lifecycle, and the mode of compatibility itself.
//!
//! | change | finding | why |
//! | --- | --- | --- |
//! | another owner | error | producers are refused from one moment to the next |
//! | entity's type or id changed, or entity gone | error | streams, order and state rules of entities fall apart |
//! | entity or its id newly demanded | warning | producers that name none are refused |
//! | subject changed or gone | error | a person's data is not found any more when it must be erased |
//! | class lowered, action weakened | error | data leaves that was promised not to |
//! | class raised, action strengthened | info | consumers see less than before |
//! | ordering weakened | error | consumers rely on it |
//! | retention shortened | error | consumers that replay miss events |
//! | retention lengthened | error where there is personal or secret data, else info | it was promised to be gone |
//! | back to draft | error | what is in use cannot be drawn up anew |
//! | deprecation withdrawn | warning | consumers may have left already |
//! | sunset earlier | error | consumers planned by the day |
//! | mode of compatibility weakened | error | the promise itself |
//! | rules or moves changed | warning | producers may be refused that were not, or consumers see what they did not |
//!
//! All errors can be allowed with a reason.

use crate::definition::{Class, Classification, Compatibility, Definition, Ordering, Pointer, Retention, Stage};
use crate::report::{Finding, Severity, Subject};

/// Judges a definition against an earlier revision of the same version.
#[must_use]
pub fn judge(earlier: &Definition, new: &Definition) -> Vec<Finding> {
    let mut found = Found::default();
    found.owner(earlier, new);
    found.entity(earlier, new);
    found.subject(earlier, new);
    found.classification(earlier, new);
    found.order_and_retention(earlier, new);
    found.lifecycle(earlier, new);
    found.compatibility(earlier, new);
    found.rules(earlier, new);
    found.0
}

/// What a definition says of a place: by the pointer that names it or what holds it most closely, of several that are as
/// close the strictest.
#[must_use]
pub fn classified(definition: &Definition, at: &Pointer) -> Option<Classification> {
    let covering = definition.classification.iter().filter(|(pointer, _)| pointer.covers(at));
    covering
        .max_by_key(|(pointer, found)| (pointer.segments().len(), found.class, found.action))
        .map(|(_, found)| *found)
}

/// How much a mode promises: to readers of old data, to old readers, and over all revisions.
fn promises(mode: Compatibility) -> [bool; 3] {
    match mode {
        Compatibility::None => [false, false, false],
        Compatibility::Backward => [true, false, false],
        Compatibility::BackwardTransitive => [true, false, true],
        Compatibility::Forward => [false, true, false],
        Compatibility::ForwardTransitive => [false, true, true],
        Compatibility::Full => [true, true, false],
        Compatibility::FullTransitive | Compatibility::Published => [true, true, true],
    }
}

#[derive(Default)]
struct Found(Vec<Finding>);

impl Found {
    fn add(&mut self, severity: Severity, code: &'static str, path: impl Into<String>, message: String) {
        self.0.push(Finding {
            severity,
            subject: Subject::Governance,
            code,
            path: path.into(),
            line: None,
            message,
            proposal: None,
            witness: None,
            overridable: severity == Severity::Error,
        });
    }

    fn owner(&mut self, earlier: &Definition, new: &Definition) {
        if earlier.owner != new.owner {
            let message =
                format!("the owner was \"{}\": its events are refused as soon as this is in force", earlier.owner);
            self.add(Severity::Error, "owner_changed", "/owner", message);
        }
    }

    fn entity(&mut self, earlier: &Definition, new: &Definition) {
        match (&earlier.entity, &new.entity) {
            (Some(before), None) => {
                let message = format!("events were promised to name the entity of type \"{}\"", before.kind);
                self.add(Severity::Error, "entity_changed", "/entity", message);
            }
            (None, Some(_)) => {
                let message = "events that name no entity, or another one, were taken until now".to_owned();
                self.add(Severity::Warning, "entity_demanded", "/entity", message);
            }
            (Some(before), Some(after)) => {
                if before.kind != after.kind {
                    let message = format!("the entity's type was \"{}\"", before.kind);
                    self.add(Severity::Error, "entity_changed", "/entity/type", message);
                }
                match (&before.id, &after.id) {
                    (Some(old), id) if id.as_ref() != Some(old) => {
                        let message = format!("the entity's id was promised to stand at {old}");
                        self.add(Severity::Error, "entity_changed", "/entity/id", message);
                    }
                    (None, Some(id)) => {
                        let message = format!("events whose {id} is not the entity's id were taken until now");
                        self.add(Severity::Warning, "entity_demanded", "/entity/id", message);
                    }
                    _ => {}
                }
            }
            (None, None) => {}
        }
    }

    fn subject(&mut self, earlier: &Definition, new: &Definition) {
        if let Some(before) = &earlier.subject
            && new.subject.as_ref() != Some(before)
        {
            let message =
                format!("the id of the person whom the data is about stood at {before}, and must be found there");
            self.add(Severity::Error, "subject_changed", "/subject", message);
        }
    }

    fn classification(&mut self, earlier: &Definition, new: &Definition) {
        let named = earlier.classification.keys().chain(new.classification.keys());
        let mut pointers: Vec<&Pointer> = named.collect();
        pointers.sort_unstable();
        pointers.dedup();
        for pointer in pointers {
            // What was not classified before was promised nothing.
            let Some(before) = classified(earlier, pointer) else { continue };
            let after = classified(new, pointer).unwrap_or_default();
            let path = match new.classification.contains_key(pointer) {
                true => format!("/classification/{}", crate::pointer::escape(&pointer.to_string())),
                false => "/classification".to_owned(),
            };
            if after.class < before.class {
                let message = format!("{pointer} was {}, and would be {}", before.class, after.class);
                self.add(Severity::Error, "classification_lowered", path, message);
            } else if after.action < before.action {
                let message =
                    format!("{pointer} was to be treated with {}, and now with {}", before.action, after.action);
                self.add(Severity::Error, "action_weakened", path, message);
            } else if after != before {
                let message =
                    format!("{pointer} is {} ({}) now: some consumers see less of it", after.class, after.action);
                self.add(Severity::Info, "classification_raised", path, message);
            }
        }
    }

    fn order_and_retention(&mut self, earlier: &Definition, new: &Definition) {
        let rank = |ordering: Ordering| Ordering::ALL.iter().position(|known| *known == ordering);
        if rank(new.ordering) < rank(earlier.ordering) {
            let message = format!("order was promised by {}, and would be by {}", earlier.ordering, new.ordering);
            self.add(Severity::Error, "ordering_weakened", "/ordering", message);
        }
        // What says nothing is kept as long as the log, which is for good as far as a promise goes.
        let before = earlier.retention.unwrap_or(Retention::Forever);
        let after = new.retention.unwrap_or(Retention::Forever);
        if after < before {
            let message =
                format!("events were kept for {before}, and would be for {after}: who replays them misses some");
            self.add(Severity::Error, "retention_shortened", "/retention", message);
        }
        if after > before {
            let sensitive =
                |d: &Definition| d.subject.is_some() || d.classification.values().any(|c| c.class >= Class::Pii);
            let (severity, why) = if sensitive(earlier) || sensitive(new) {
                (Severity::Error, ": personal or secret data was promised to be gone by then")
            } else {
                (Severity::Info, "")
            };
            let message = format!("events were kept for {before}, and would be for {after}{why}");
            self.add(severity, "retention_lengthened", "/retention", message);
        }
    }

    fn lifecycle(&mut self, earlier: &Definition, new: &Definition) {
        let (before, after) = (&earlier.lifecycle, &new.lifecycle);
        if after.stage == Stage::Draft && before.stage != Stage::Draft {
            let message = format!("it was {}: what is in use does not become a draft again", before.stage);
            self.add(Severity::Error, "lifecycle_back", "/lifecycle", message);
        } else if after.stage == Stage::Stable && before.stage == Stage::Deprecated {
            let message = "the deprecation is withdrawn: consumers may have left already".to_owned();
            self.add(Severity::Warning, "deprecation_withdrawn", "/lifecycle", message);
        }
        if let (Some(old), Some(new)) = (before.sunset, after.sunset)
            && new < old
        {
            let message = format!("the sunset was on {old}, and consumers planned by that");
            self.add(Severity::Error, "sunset_earlier", "/lifecycle/sunset", message);
        }
    }

    fn compatibility(&mut self, earlier: &Definition, new: &Definition) {
        let (before, after) = (promises(earlier.compatibility), promises(new.compatibility));
        if before.iter().zip(after).any(|(before, after)| *before && !after) {
            let message = format!("{} promised more than {}", earlier.compatibility, new.compatibility);
            self.add(Severity::Error, "compatibility_weakened", "/compatibility", message);
        }
    }

    fn rules(&mut self, earlier: &Definition, new: &Definition) {
        for (index, rule) in new.rules.iter().enumerate() {
            let before = earlier.rules.iter().find(|before| before.name == rule.name);
            if before.is_none_or(|before| before.check != rule.check) {
                let what = if before.is_some() { "says something else" } else { "is new" };
                let message = format!("the rule \"{}\" {what}: events that were taken may be refused", rule.name);
                self.add(Severity::Warning, "rule_changed", format!("/rules/{index}/check"), message);
            }
        }
        for gone in earlier.rules.iter().filter(|rule| new.rules.iter().all(|kept| kept.name != rule.name)) {
            let message = format!("the rule \"{}\" is gone: consumers may see what they did not", gone.name);
            self.add(Severity::Warning, "rule_changed", "/rules", message);
        }
        if earlier.transitions != new.transitions {
            let message =
                "the moves that are allowed have changed: producers may be refused that were not, or consumers \
                           see moves that they did not"
                    .to_owned();
            self.add(Severity::Warning, "transitions_changed", "/transitions", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::read;

    const BASE: &str = "name: sales.lead.created\nversion: 1\nowner: sales\nschema: { type: object }\n";

    /// Every row: what stands before and after, and what is found.
    #[test]
    #[expect(clippy::type_complexity, reason = "a table")]
    fn every_promise_around_a_schema_is_kept_or_its_break_is_named() {
        let rows: &[(&str, &str, &[(Severity, &str)])] = &[
            ("", "", &[]),
            ("ordering: tenant", "ordering: entity", &[(Severity::Error, "ordering_weakened")]),
            ("ordering: none", "ordering: entity", &[]),
            ("entity: { type: lead }", "", &[(Severity::Error, "entity_changed")]),
            ("entity: { type: lead }", "entity: { type: deal }", &[(Severity::Error, "entity_changed")]),
            ("entity: { type: lead, id: /id }", "entity: { type: lead }", &[(Severity::Error, "entity_changed")]),
            (
                "entity: { type: lead, id: /id }",
                "entity: { type: lead, id: /x }",
                &[(Severity::Error, "entity_changed")],
            ),
            ("entity: { type: lead }", "entity: { type: lead, id: /id }", &[(Severity::Warning, "entity_demanded")]),
            ("", "entity: { type: lead }", &[(Severity::Warning, "entity_demanded")]),
            ("subject: /a", "subject: /b", &[(Severity::Error, "subject_changed")]),
            ("subject: /a", "", &[(Severity::Error, "subject_changed")]),
            ("", "subject: /a", &[]),
            ("classification: { /a: pii }", "", &[(Severity::Error, "classification_lowered")]),
            (
                "classification: { /a: secret }",
                "classification: { /a: pii }",
                &[(Severity::Error, "classification_lowered")],
            ),
            (
                "classification: { /a: pii }",
                "classification: { /a: { class: pii, action: keep } }",
                &[(Severity::Error, "action_weakened")],
            ),
            (
                "classification: { /a: pii }",
                "classification: { /a: secret }",
                &[(Severity::Info, "classification_raised")],
            ),
            ("classification: { /a: pii }", "classification: { /a: pii, /b: public }", &[]),
            // A more specific pointer must not take back what a wider one promised.
            (
                "classification: { /a: pii }",
                "classification: { /a: pii, /a/b: public }",
                &[(Severity::Error, "classification_lowered")],
            ),
            ("classification: { /a/0: pii }", "classification: { /a/*: pii }", &[]),
            ("retention: 30d", "retention: 10d", &[(Severity::Error, "retention_shortened")]),
            ("", "retention: 10d", &[(Severity::Error, "retention_shortened")]),
            ("retention: 10d", "retention: forever", &[(Severity::Info, "retention_lengthened")]),
            (
                "retention: 10d\nsubject: /a",
                "retention: 30d\nsubject: /a",
                &[(Severity::Error, "retention_lengthened")],
            ),
            ("", "lifecycle: draft", &[(Severity::Error, "lifecycle_back")]),
            ("lifecycle: deprecated", "", &[(Severity::Warning, "deprecation_withdrawn")]),
            (
                "lifecycle: { stage: deprecated, sunset: 2027-01-02 }",
                "lifecycle: { stage: deprecated, sunset: 2027-01-01 }",
                &[(Severity::Error, "sunset_earlier")],
            ),
            ("", "compatibility: backward", &[(Severity::Error, "compatibility_weakened")]),
            ("compatibility: full", "compatibility: backward", &[(Severity::Error, "compatibility_weakened")]),
            ("compatibility: backward", "", &[]),
            ("", "rules: [{ name: a, check: \"true\", message: m }]", &[(Severity::Warning, "rule_changed")]),
            ("rules: [{ name: a, check: \"true\", message: m }]", "", &[(Severity::Warning, "rule_changed")]),
            ("", "transitions: [{ field: /s, moves: {} }]", &[(Severity::Warning, "transitions_changed")]),
        ];
        for (before, after, expected) in rows {
            let [earlier, new] = [before, after].map(|more| read(&format!("{BASE}{more}\n")).expect("a definition"));
            let found: Vec<_> = judge(&earlier, &new).into_iter().map(|f| (f.severity, f.code)).collect();
            assert_eq!(found, *expected, "{before} -> {after}");
        }
        let other = read(&BASE.replace("owner: sales", "owner: crm")).expect("a definition");
        let found = judge(&read(BASE).expect("a definition"), &other);
        assert!(found[0].code == "owner_changed" && found[0].overridable);
    }
}
