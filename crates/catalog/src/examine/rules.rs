//! Whether rules compile, speak of what there is, and hold on the examples.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_event::{Data, Entity, Event, EventId, Metadata, Source, SourceKind, TenantId, Text, Timestamp};

use super::places;
use crate::definition::{Definition, Rule};
use crate::document::Document;
use crate::entry::Set;
use crate::judge::of_rule;
use crate::report::{Finding, Severity, Subject};
use crate::rules::{CompiledRule, SetValues, Steps};
use crate::schema::{Schema, bounded};

pub(super) fn examine(
    definition: &Definition,
    schema: &Schema,
    sets: &BTreeMap<String, Set>,
    findings: &mut Vec<Finding>,
) {
    for (index, rule) in definition.rules.iter().enumerate() {
        match CompiledRule::compile(rule) {
            Err(message) => findings.push(of_rule(index, message)),
            Ok(compiled) => {
                speaks_of(definition, index, &compiled, findings);
                let missing = names_sets(index, &compiled, sets, findings);
                if !missing {
                    holds(definition, schema, rule, &compiled, sets, findings);
                }
            }
        }
    }
}

/// Places that the schema does not have, and such as may be missing and are not asked for.
fn speaks_of(definition: &Definition, index: usize, rule: &CompiledRule, findings: &mut Vec<Finding>) {
    let (used, tested) = rule.expression().mentions();
    let mut warn = |code, message: String| {
        let path = format!("/rules/{index}/check");
        findings.push(Finding::new(Severity::Warning, Subject::Rule, code, path, bounded(message)));
    };
    for pointer in used.iter().chain(&tested).filter(|pointer| !pointer.is_root()) {
        if let Some(why) = places::impossible(&definition.schema, pointer, &[]) {
            warn("rule_place_unknown", format!("data{pointer} leads nowhere: {why}"));
        }
    }
    let mut told = Vec::new();
    for pointer in &used {
        let Some(lacking) = places::may_lack(&definition.schema, pointer) else { continue };
        if tested.iter().any(|tested| lacking.covers(tested)) || told.contains(&lacking) {
            continue;
        }
        let expression =
            format!("data{}", lacking.segments().iter().map(|name| format!(".{name}")).collect::<String>());
        warn(
            "rule_unguarded",
            format!("{expression} may be missing, and then the rule is broken: guard it, like !has({expression}) || …"),
        );
        told.push(lacking);
    }
}

/// Tells of sets that there are not; whether any is missing.
fn names_sets(index: usize, rule: &CompiledRule, sets: &BTreeMap<String, Set>, findings: &mut Vec<Finding>) -> bool {
    let mut missing = false;
    for name in rule.expression().set_names().iter().filter(|name| !sets.contains_key(*name)) {
        let message = format!("there is no set '{name}' in the catalog");
        findings.push(Finding::error(Subject::Rule, "set_unknown", format!("/rules/{index}/check"), bounded(message)));
        missing = true;
    }
    missing
}

/// Judges the examples that are valid by a rule.
fn holds(
    definition: &Definition,
    schema: &Schema,
    rule: &Rule,
    compiled: &CompiledRule,
    sets: &BTreeMap<String, Set>,
    findings: &mut Vec<Finding>,
) {
    let names = compiled.expression().set_names();
    let values: Vec<_> = names.iter().map(|name| sets.get(name).map(|set| Arc::new(SetValues::new(set)))).collect();
    for (at, example) in definition.examples.iter().enumerate() {
        if !schema.is_valid(&example.data) {
            continue;
        }
        let document = Document::of(&example.data);
        let event = sample(definition, &document);
        let Some(broken) = compiled.judge(&document, &event, &values, &Steps::for_one_event()) else { continue };
        let message = format!("the rule {} does not hold: {}", rule.name, broken.message);
        // An example has no envelope: where a rule looks into it, the example may be right with another one.
        let severity = if compiled.expression().sees_envelope() { Severity::Info } else { Severity::Error };
        let path = format!("/examples/{at}{}", if broken.path.is_empty() { "/data" } else { &broken.path });
        let mut finding = Finding::new(severity, Subject::Example, "example_breaks_rule", path, bounded(message));
        finding.witness = Some(example.data.clone());
        findings.push(finding);
        if severity == Severity::Info {
            return;
        }
    }
}

/// An event with an example's data, as the owner would send it.
fn sample(definition: &Definition, data: &Document<'_>) -> Event {
    let text = |text: &str| Text::trusted(text);
    let entity = definition.entity.as_ref().map(|rule| {
        let id = rule.id.as_ref().and_then(|id| data.get(id.segments()));
        let id = match id {
            Some(Document::Text(id)) => text(id),
            Some(Document::Number(number)) => text(&number.as_float().to_string()),
            _ => text("example"),
        };
        Entity { kind: text(&rule.kind), id }
    });
    Event {
        id: EventId::trusted("example"),
        event_type: definition.name.clone(),
        version: definition.version.clone(),
        timestamp: Timestamp::from_micros(1_767_225_600_000_000),
        tenant: TenantId::trusted("example"),
        project: None,
        source: Source { kind: SourceKind::Service, id: text(&definition.owner) },
        entity,
        actor: None,
        data: Data::trusted(data.to_value().to_string().into_bytes()),
        metadata: Metadata { correlation_id: text("example"), causation_id: None, context: None, traceparent: None },
    }
}
