use serde_json::json;

use super::*;
use crate::definition::{Class, Classification, Conversion, ConversionTest, EntityRule, Example, Rule, Step};
use crate::testing::definition;

fn at(pointer: &str) -> Pointer {
    Pointer::parse(pointer).expect("a pointer")
}

/// A definition without a fault, on which each row of a table spoils one thing.
fn fine() -> Definition {
    let mut definition = definition(
        "sales.lead.status_changed",
        "2",
        json!({
            "type": "object",
            "properties": {
                "lead_id": {"type": "string"},
                "to": {"$ref": "#/$defs/status"},
                "note": {"type": "string"},
                "contacts": {"type": "array", "items": {"type": "object", "properties": {"phone": {"type": "string"}}}},
                "score": {"type": "integer"},
            },
            "required": ["lead_id", "to", "score"],
            "$defs": {"status": {"enum": ["new", "won", "lost"]}},
        }),
    );
    definition.entity = Some(EntityRule { kind: "lead".to_owned(), id: Some(at("/lead_id")) });
    definition.subject = Some(at("/contacts/0/phone"));
    definition.classification = BTreeMap::from([(at("/contacts/*/phone"), Classification::from(Class::Pii))]);
    definition.examples =
        vec![Example { name: "won".to_owned(), data: json!({"lead_id": "7", "to": "won", "score": 3}) }];
    definition.rules = vec![rule("data.score > 0"), rule("!has(data.note) || data.note != ''")];
    definition.transitions = vec![Transitions {
        field: at("/to"),
        of: vec![definition.name.clone()],
        initial: vec!["new".to_owned()],
        moves: BTreeMap::from([("new".to_owned(), vec!["won".to_owned(), "lost".to_owned()])]),
    }];
    definition.upcast = Some(Conversion {
        other: Version::trusted("1"),
        steps: vec![
            Step::Move { from: at("/status"), to: at("/to") },
            Step::Default { at: at("/score"), value: json!(1) },
        ],
        tests: vec![ConversionTest {
            from: json!({"lead_id": "7", "status": "new"}),
            to: json!({"lead_id": "7", "to": "new", "score": 1.0}),
        }],
    });
    definition
}

fn first_version() -> Definition {
    let mut first = definition(
        "sales.lead.status_changed",
        "1",
        json!({"properties": {"lead_id": {"type": "string"}, "status": {"type": "string"}}, "required": ["lead_id", "status"]}),
    );
    first.examples = vec![Example { name: "lost".to_owned(), data: json!({"lead_id": "7", "status": "lost"}) }];
    first
}

fn rule(check: &str) -> Rule {
    Rule { name: "r".to_owned(), check: check.to_owned(), message: "no".to_owned() }
}

fn found(definition: &Definition) -> Vec<Finding> {
    let currencies = Set { name: "currencies".to_owned(), description: String::new(), values: vec!["EUR".into()] };
    let sets = BTreeMap::from([("currencies".to_owned(), currencies)]);
    let first = Arc::new(first_version());
    let others = move |name: &EventType, version: &Version| {
        (*name == first.name && *version == first.version).then(|| Arc::clone(&first))
    };
    examine(definition, &sets, &others)
}

#[test]
fn nothing_is_said_against_a_definition_without_a_fault() {
    assert_eq!(found(&fine()), []);
}

#[test]
fn every_fault_is_told_with_its_place() {
    use Severity::{Error, Info, Warning};
    type Spoil = fn(&mut Definition);
    let rows: Vec<(Spoil, Severity, &str, &str)> = vec![
        (|d| d.schema["type"] = json!("strnig"), Error, "schema_invalid", "/schema/type"),
        (|d| d.schema = json!({"type": "array"}), Error, "schema_not_object", "/schema/type"),
        (
            |d| d.schema["properties"]["note"]["format"] = json!("iban"),
            Warning,
            "schema_format_unknown",
            "/schema/properties/note/format",
        ),
        (
            |d| d.schema["$defs"]["x"] = json!({"properties": {"a": true}, "required": ["a", "b"]}),
            Warning,
            "required_undescribed",
            "/schema/$defs/x/required/1",
        ),
        (|d| d.examples[0].data["score"] = json!("3"), Error, "example_invalid", "/examples/0/data/score"),
        (|d| d.examples[0].data["score"] = json!(0), Error, "example_breaks_rule", "/examples/0/data/score"),
        (|d| d.entity.as_mut().expect("one").id = Some(at("/id")), Error, "place_unknown", "/entity/id"),
        (|d| d.entity.as_mut().expect("one").id = Some(at("/contacts")), Error, "place_unknown", "/entity/id"),
        (|d| d.subject = Some(at("/contacts/x")), Error, "place_unknown", "/subject"),
        (
            |d| d.classification = BTreeMap::from([(at("/contacts/*/email"), Classification::from(Class::Pii))]),
            Error,
            "place_unknown",
            "/classification/~1contacts~1*~1email",
        ),
        (|d| d.rules[0].check = "data.score >".to_owned(), Error, "rule_invalid", "/rules/0/check"),
        (|d| d.rules[0].check = "data.score + 1".to_owned(), Error, "rule_invalid", "/rules/0/check"),
        (|d| d.rules[0].check = "data.to in sets.states".to_owned(), Error, "set_unknown", "/rules/0/check"),
        (
            |d| d.rules[0].check = "data.to in sets.currencies".to_owned(),
            Error,
            "example_breaks_rule",
            "/examples/0/data/to",
        ),
        (|d| d.rules[0].check = "!has(data.scroe)".to_owned(), Warning, "rule_place_unknown", "/rules/0/check"),
        (
            |d| d.rules[0].check = "data.score > 0 || data.note != ''".to_owned(),
            Warning,
            "rule_unguarded",
            "/rules/0/check",
        ),
        (|d| d.rules[0].check = "event.actor != ''".to_owned(), Info, "example_breaks_rule", "/examples/0/data"),
        (|d| d.transitions[0].field = at("/state"), Error, "place_unknown", "/transitions/0/field"),
        (|d| d.transitions[0].field = at("/score"), Error, "place_unknown", "/transitions/0/field"),
        (|d| d.transitions[0].initial.push("fresh".to_owned()), Error, "state_unknown", "/transitions/0/initial/1"),
        (
            |d| d.transitions[0].moves.get_mut("new").expect("one")[1] = "gone".to_owned(),
            Error,
            "state_unknown",
            "/transitions/0/moves/new/1",
        ),
        (
            |d| d.transitions[0].moves.get_mut("new").expect("one").truncate(1),
            Warning,
            "state_left_out",
            "/transitions/0/moves",
        ),
        (
            |d| {
                d.transitions[0].moves = BTreeMap::from([
                    ("new".to_owned(), vec!["won".to_owned()]),
                    ("lost".to_owned(), vec!["won".to_owned()]),
                ]);
            },
            Warning,
            "state_unreachable",
            "/transitions/0/moves/lost",
        ),
        (
            |d| {
                let mut second = d.transitions[0].clone();
                second.of.push(EventType::parse("sales.lead.created").expect("a type"));
                d.transitions.push(second);
            },
            Warning,
            "machines_differ",
            "/transitions/1/of",
        ),
        (
            |d| {
                d.upcast
                    .as_mut()
                    .expect("one")
                    .steps
                    .push(Step::Compute { at: at("/x"), expression: "event.id".to_owned() });
            },
            Error,
            "conversion_invalid",
            "/upcast/steps/2/compute/value",
        ),
        (
            |d| {
                d.upcast
                    .as_mut()
                    .expect("one")
                    .steps
                    .push(Step::Compute { at: at("/x"), expression: "data.y".to_owned() });
            },
            Error,
            "conversion_fails",
            "/upcast/tests/0",
        ),
        (
            |d| d.upcast.as_mut().expect("one").tests[0].to = json!({}),
            Error,
            "conversion_test_fails",
            "/upcast/tests/0/to",
        ),
        (
            |d| d.upcast.as_mut().expect("one").tests[0].from = json!({"status": "new"}),
            Error,
            "conversion_test_invalid",
            "/upcast/tests/0/from/lead_id",
        ),
        (
            |d| {
                let upcast = d.upcast.as_mut().expect("one");
                upcast.steps.truncate(1);
                upcast.tests.clear();
            },
            Error,
            "conversion_invalid_result",
            "/upcast/steps",
        ),
        (|d| d.upcast.as_mut().expect("one").tests.clear(), Info, "conversion_untested", "/upcast/tests"),
        (
            |d| d.downcast = Some(Conversion { other: Version::trusted("1"), steps: vec![], tests: vec![] }),
            Info,
            "conversion_invalid_result",
            "/downcast/steps",
        ),
    ];
    for (row, (spoil, severity, code, path)) in rows.into_iter().enumerate() {
        let mut definition = fine();
        spoil(&mut definition);
        let findings = found(&definition);
        let told =
            findings.iter().any(|found| (found.severity, found.code, found.path.as_str()) == (severity, code, path));
        assert!(told, "row {row}: {severity} {code} {path}: {findings:#?}");
    }
}

#[test]
fn a_rule_that_asks_first_is_not_warned_of() {
    for check in [
        "!has(data.note) || size(data.note) > 0",
        "has(data.contacts) && data.contacts.all(c, has(c.phone) && c.phone != '')",
        "data.score > 0 ? true : has(data.note) && data.note != ''",
    ] {
        let mut definition = fine();
        definition.rules = vec![rule(check)];
        definition.examples.clear();
        assert_eq!(found(&definition), [], "{check}");
    }
}
