use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use tidings_event::{EventType, Version};

use super::*;
use crate::definition::*;
use crate::entry::Mode;

const FULL: &str = r#"
name: sales.lead.status_changed
version: 2
owner: sales
description: A lead moved from one status to another.
lifecycle: { stage: deprecated, sunset: 2027-01-01, successor: sales.lead.moved@2 }
ordering: tenant
retention: 730d
entity: { type: lead, id: /lead_id }
subject: /person_id
classification:
  /email: { class: pii, action: drop }
  /contacts/*/phone: pii
  /token: secret
compatibility: full
name_exception: "kept from the old system"
schema: &schema
  type: object
  required: [lead_id, from, to]
  properties: { lead_id: { type: string }, from: { type: string }, to: { type: string } }
examples:
  - name: qualified
    data: { lead_id: a, from: new, to: qualified }
rules:
  - name: really_moved
    check: data.from != data.to
    message: the status must change
transitions:
  - field: /to
    of: [sales.lead.created, sales.lead.status_changed]
    initial: [new]
    moves: { new: [qualified, lost], qualified: [won, lost] }
upcast:
  from: "1"
  steps:
    - move: { from: /amount, to: /price/amount }
    - copy: { from: /a, to: /b }
    - set: { at: /x, value: 1 }
    - default: { at: /price/currency, value: EUR }
    - remove: /legacy
    - map: { at: /status, values: { open: new }, otherwise: unknown }
    - compute: { at: /total, value: "data.price.amount * data.count" }
  tests:
    - { from: { a: 1 }, to: { a: 1, b: 1 } }
downcast: { to: 1, steps: [] }
"#;

#[test]
fn a_definition_with_every_member_is_read() {
    let definition = read(FULL).expect("a definition");
    assert_eq!(definition.name.as_str(), "sales.lead.status_changed");
    assert_eq!(definition.version.as_str(), "2");
    let successor = (EventType::trusted("sales.lead.moved"), Version::trusted("2"));
    let sunset = Some(jiff::civil::date(2027, 1, 1));
    assert_eq!(definition.lifecycle, Lifecycle { stage: Stage::Deprecated, sunset, successor: Some(successor) });
    assert_eq!(definition.ordering, Ordering::Tenant);
    assert_eq!(definition.retention, Some(Retention::Days(730)));
    let class = |path: &str| definition.classification[&Pointer::parse(path).expect("a pointer")];
    assert_eq!(class("/email"), Classification { class: Class::Pii, action: Action::Drop });
    assert_eq!(class("/contacts/*/phone"), Classification { class: Class::Pii, action: Action::Redact });
    assert_eq!(class("/token"), Classification { class: Class::Secret, action: Action::Drop });
    assert_eq!(definition.compatibility, Compatibility::Full);
    assert_eq!(definition.schema["required"], json!(["lead_id", "from", "to"]));
    assert_eq!(definition.transitions[0].moves["qualified"], ["won", "lost"]);
    assert_eq!(definition.upcast.as_ref().map(|upcast| upcast.steps.len()), Some(7));
    assert_eq!(definition.downcast.as_ref().map(|downcast| downcast.other.as_str()), Some("1"));
    assert_eq!(read(&write(&definition)), Ok(definition));
}

#[test]
fn a_definition_in_json_says_the_same_as_one_in_yaml() {
    let definition = read(FULL).expect("a definition");
    let json = serde_json::to_string_pretty(&to_value(&definition)).expect("a tree is written");
    assert_eq!(read(&json), Ok(definition));
}

/// Every row: what is put into a right definition in place of what, and the mistakes that are found: code, path, line
/// and proposal.
#[test]
#[expect(clippy::type_complexity, reason = "a table")]
fn every_mistake_is_named_with_its_place_and_what_was_meant() {
    let base = "name: sales.lead.created\nversion: \"1\"\nowner: sales\nschema: { type: object }\n";
    assert!(read(base).is_ok());
    let rows: &[(&str, &[(&str, &str, u32, Option<&str>)])] = &[
        ("lifecicle: draft", &[("member_unknown", "/lifecicle", 5, Some("lifecycle"))]),
        ("lifecycle: stabel", &[("value_unknown", "/lifecycle", 5, Some("stable"))]),
        ("lifecycle: { stage: stable, sunset: 2027-01-01 }", &[("lifecycle_wrong", "/lifecycle/sunset", 5, None)]),
        ("lifecycle:\n  stage: deprecated\n  sunset: soon", &[("value_malformed", "/lifecycle/sunset", 7, None)]),
        ("lifecycle: { stage: deprecated, successor: x }", &[("value_malformed", "/lifecycle/successor", 5, None)]),
        ("retention: 730", &[("value_malformed", "/retention", 5, Some("730d"))]),
        ("retention: 2y", &[("value_malformed", "/retention", 5, Some("730d"))]),
        ("retention: 0d", &[("value_malformed", "/retention", 5, None)]),
        ("entity: lead", &[("member_wrong_type", "/entity", 5, None)]),
        ("entity:", &[("member_wrong_type", "/entity", 5, None)]),
        (
            "entity: { id: lead_id }",
            &[("member_missing", "/entity/type", 5, None), ("pointer_malformed", "/entity/id", 5, Some("/lead_id"))],
        ),
        ("subject: $.person.id", &[("pointer_malformed", "/subject", 5, Some("/person/id"))]),
        ("subject: \"\"", &[("pointer_malformed", "/subject", 5, None)]),
        ("classification: { email: pii }", &[("pointer_malformed", "/classification/email", 5, Some("/email"))]),
        ("classification: { /email: pi }", &[("value_unknown", "/classification/~1email", 5, Some("pii"))]),
        (
            "classification: { /email: { action: hide } }",
            &[
                ("member_missing", "/classification/~1email/class", 5, None),
                ("value_unknown", "/classification/~1email/action", 5, None),
            ],
        ),
        ("name_exception: because", &[("reason_too_short", "/name_exception", 5, None)]),
        ("description: yes\nowner: twice", &[("key_duplicate", "/owner", 6, None)]),
        ("description: true", &[("member_wrong_type", "/description", 5, None)]),
        (
            "examples:\n  - name: a\n    data: 1\n  - name: a\n    data: {}",
            &[("member_wrong_type", "/examples/0/data", 7, None)],
        ),
        ("examples: [{ name: a, data: {} }, { name: a, data: {} }]", &[("name_taken", "/examples/1/name", 5, None)]),
        (
            "rules: [{ name: BigAmount, check: \"true\", message: m }]",
            &[("value_malformed", "/rules/0/name", 5, Some("big_amount"))],
        ),
        ("rules: [{ name: a, check: true, message: m }]", &[("member_wrong_type", "/rules/0/check", 5, None)]),
        (
            "transitions: [{ field: /a/*, moves: { a: [b, b] } }]",
            &[
                ("pointer_malformed", "/transitions/0/field", 5, None),
                ("name_taken", "/transitions/0/moves/a/1", 5, None),
            ],
        ),
        ("upcast: { from: 1, steps: [] }", &[("conversion_version", "/upcast/from", 5, None)]),
        (
            "upcast: { steps: [{ move: { from: /a } }, { mvoe: {} }, { set: {at: /a, value: 1}, remove: /b }] }",
            &[
                ("member_missing", "/upcast/from", 5, None),
                ("member_missing", "/upcast/steps/0/move/to", 5, None),
                ("member_unknown", "/upcast/steps/1/mvoe", 5, Some("move")),
                ("step_malformed", "/upcast/steps/2", 5, None),
            ],
        ),
        (
            "description: 007",
            &[("number_not_exact", "/description", 5, None), ("member_wrong_type", "/description", 5, None)],
        ),
        ("description: !secret x", &[("yaml_tag", "/description", 5, None)]),
        ("description: !!str x", &[("yaml_tag", "/description", 5, None)]),
        ("schema: !!map { type: object }", &[("yaml_tag", "/schema", 5, None), ("key_duplicate", "/schema", 5, None)]),
        ("!!str description: x", &[("yaml_tag", "", 5, None)]),
        ("1: a", &[("yaml_key", "", 5, None), ("member_unknown", "/1", 5, None)]),
        ("~: a", &[("yaml_key", "", 5, None), ("member_unknown", "/~0", 5, None)]),
        ("true: a", &[("yaml_key", "", 5, None), ("member_unknown", "/true", 5, None)]),
        ("\"1\": a", &[("member_unknown", "/1", 5, None)]),
        ("no: a", &[("member_unknown", "/no", 5, None)]),
        (
            "entity: { <<: 1, type: lead }",
            &[("yaml_merge", "/entity", 5, None), ("member_unknown", "/entity/<<", 5, None)],
        ),
        ("? [a]\n: 1", &[("yaml_syntax", "", 5, None)]),
        ("a: [", &[("yaml_syntax", "/a", 6, None)]),
        ("---\nx: 1", &[("yaml_syntax", "", 5, None)]),
        ("description: *nowhere", &[("yaml_syntax", "", 5, None)]),
    ];
    for (line, expected) in rows {
        let findings = read(&format!("{base}{line}\n")).expect_err(line);
        let found: Vec<_> = findings.iter().map(|f| (f.code, f.path.as_str(), f.proposal.as_deref())).collect();
        let wanted: Vec<_> = expected.iter().map(|(code, path, _, proposal)| (*code, *path, *proposal)).collect();
        if expected[0].0 == "yaml_syntax" {
            assert_eq!(found.first().map(|found| found.0), Some("yaml_syntax"), "{line}: {findings:#?}");
            continue;
        }
        assert_eq!(found, wanted, "{line}");
        let lines: Vec<_> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected.iter().map(|row| Some(row.2)).collect::<Vec<_>>(), "{line}");
    }
}

#[test]
fn mistakes_of_the_head_are_found_together() {
    let findings = read("name: SendEmail\nversion: 1.0\nschema: [x]\n").expect_err("all is wrong");
    let codes: Vec<_> = findings.iter().map(|finding| (finding.code, finding.path.as_str())).collect();
    assert_eq!(
        codes,
        [
            ("value_malformed", "/name"),
            ("member_missing", "/owner"),
            ("value_malformed", "/version"),
            ("member_wrong_type", "/schema"),
        ]
    );
    assert_eq!(findings[2].proposal.as_deref(), Some("\"1\""));
}

#[test]
fn a_bomb_of_aliases_is_refused_before_it_grows() {
    let mut source = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let below = format!("*a{}", level - 1);
        let items = vec![below; 10].join(", ");
        source.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let findings = read(&source).expect_err("a bomb");
    assert!(findings.iter().any(|finding| finding.code == "source_too_large"), "{findings:?}");
    let deep = format!("a: {}1{}", "[".repeat(200), "]".repeat(200));
    assert!(read(&deep).expect_err("too deep").iter().any(|finding| finding.code == "yaml_syntax"));
    let nested: String = (0..80).map(|n| format!("&b{n} [")).collect();
    let wide = format!("a: {nested}{}1{}", "1,".repeat(50_000), "]".repeat(80));
    assert!(read(&wide).expect_err("anchors within anchors").iter().any(|finding| finding.code == "source_too_large"));
}

#[test]
fn bounds_on_what_a_definition_holds_are_kept() {
    let base = "name: sales.lead.created\nversion: \"1\"\nowner: sales\nschema: { type: object }\n";
    let code = |more: String| read(&format!("{base}{more}")).expect_err("too many").remove(0).code;
    let fields: String = (0..501).map(|n| format!("  /f{n}: pii\n")).collect();
    assert_eq!(code(format!("classification:\n{fields}")), "too_many");
    let examples: String = (0..51).map(|n| format!("  - {{ name: e{n}, data: {{}} }}\n")).collect();
    assert_eq!(code(format!("examples:\n{examples}")), "too_many");
    assert_eq!(code(format!("rules: [{{ name: a, check: \"{}\", message: m }}]", "x".repeat(2_001))), "text_too_long");
    assert_eq!(code(format!("description: {}", "x".repeat(300_000))), "source_too_large");
    let states: Vec<String> = (0..150).map(|n| format!("s{n}: [t{n}]")).collect();
    assert_eq!(code(format!("transitions: [{{ field: /s, moves: {{ {} }} }}]", states.join(", "))), "too_many");
}

#[test]
fn sets_and_policies_are_read_and_written() {
    let set = read_set("name: currencies\ndescription: What we take.\nvalues: [EUR, \"NO\", 1, 1.5]\n").expect("a set");
    assert_eq!(set.values, [json!("EUR"), json!("NO"), json!(1), json!(1.5)]);
    assert_eq!(read_set(&write_set(&set)), Ok(set));
    let policy = read_policy("name: acme\ntenant: acme\ntypes: sales.*\nknown: quarantine\n").expect("a policy");
    assert_eq!((policy.known, policy.unknown), (Some(Mode::Quarantine), None));
    assert_eq!(read_policy(&write_policy(&policy)), Ok(policy));
    let rows = [
        ("name: x\nvalues: [a, a]", "name_taken"),
        ("name: x\nvalues: [true]", "member_wrong_type"),
        ("name: X-Y\nvalues: []", "value_malformed"),
    ];
    for (source, code) in rows {
        assert_eq!(read_set(source).expect_err(source)[0].code, code, "{source}");
    }
    for (source, code) in [
        ("name: x", "member_missing"),
        ("name: x\nknown: lax", "value_unknown"),
        ("name: x\nknown: off\ntypes: sales*", "value_malformed"),
        ("name: x\nknown: off\ntenant: a/b", "value_malformed"),
    ] {
        assert_eq!(read_policy(source).expect_err(source)[0].code, code, "{source}");
    }
}

#[test]
fn the_key_of_a_source_needs_nothing_but_its_name() {
    let key = key_of(Kind::Definition, "name: a.b.created\nversion: 3\nschmea: {}\n").expect("a key");
    assert_eq!(key.to_string(), "a.b.created@3");
    assert_eq!(key_of(Kind::Set, "name: currencies").expect("a key"), Key::set("currencies"));
}

#[test]
fn a_place_that_is_missing_has_the_line_of_what_should_hold_it() {
    let outline = Outline::of(FULL);
    assert_eq!(outline.line("/schema/properties/to"), Some(20));
    assert_eq!(outline.line("/schema/properties/nothing/here"), Some(20));
    assert_eq!(outline.line("/rules/0/check"), Some(26));
    assert_eq!(outline.line("/nowhere"), Some(2));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9 _.:#-]{1,20}", "[^\u{0}]{1,12}"]
        .prop_filter("says something", |text| !text.trim().is_empty())
}

fn pointers() -> impl Strategy<Value = Pointer> {
    prop::collection::vec("[a-z_~/ ]{0,6}", 1..4).prop_map(Pointer::of)
}

fn objects() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(
        "[a-z$ ]{0,6}",
        prop_oneof![any::<i32>().prop_map(|n| json!(n)), text().prop_map(|t| json!(t))],
        0..4,
    )
    .prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        (pointers(), pointers()).prop_map(|(from, to)| Step::Move { from, to }),
        (pointers(), pointers()).prop_map(|(from, to)| Step::Copy { from, to }),
        (pointers(), objects()).prop_map(|(at, value)| Step::Set { at, value }),
        (pointers(), objects()).prop_map(|(at, value)| Step::Default { at, value }),
        pointers().prop_map(|at| Step::Remove { at }),
        (pointers(), prop::collection::btree_map(text(), objects(), 0..3), prop::option::of(objects()))
            .prop_map(|(at, values, otherwise)| Step::Map { at, values, otherwise }),
        (pointers(), text()).prop_map(|(at, expression)| Step::Compute { at, expression }),
    ]
}

fn conversions() -> impl Strategy<Value = Option<Conversion>> {
    let tests = prop::collection::vec((objects(), objects()).prop_map(|(from, to)| ConversionTest { from, to }), 0..3);
    prop::option::of((prop::collection::vec(steps(), 0..5), tests).prop_map(|(steps, tests)| Conversion {
        other: Version::first(),
        steps,
        tests,
    }))
}

fn lifecycles() -> impl Strategy<Value = Lifecycle> {
    let successor = Just((EventType::trusted("sales.lead.moved"), Version::trusted("3")));
    let dates = (2000i16..2100, 1i8..=12, 1i8..=28).prop_map(|(y, m, d)| jiff::civil::date(y, m, d));
    prop_oneof![
        prop::sample::select(vec![Stage::Draft, Stage::Stable]).prop_map(|stage| Lifecycle {
            stage,
            sunset: None,
            successor: None
        }),
        (prop::option::of(dates), prop::option::of(successor)).prop_map(|(sunset, successor)| Lifecycle {
            stage: Stage::Deprecated,
            sunset,
            successor
        }),
    ]
}

fn machines() -> impl Strategy<Value = Vec<Transitions>> {
    let states =
        || prop::collection::btree_set("[a-z ]{0,5}", 0..4).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    let of = prop::sample::select(vec![
        vec![EventType::trusted("a.b.created")],
        vec![EventType::trusted("a.b.created"), EventType::trusted("a.b.moved")],
    ]);
    let moves = prop::collection::btree_map("[a-z:# ]{0,5}", states(), 0..4);
    let machine = (pointers(), of, states(), moves).prop_map(|(field, of, initial, moves)| Transitions {
        field,
        of,
        initial,
        moves,
    });
    prop::collection::vec(machine, 0..3)
}

fn definitions() -> impl Strategy<Value = Definition> {
    let classes = (prop::sample::select(Class::ALL), prop::sample::select(Action::ALL))
        .prop_map(|(class, action)| Classification { class, action });
    let rules = prop::collection::btree_map("[a-z]{1,6}", (text(), text()), 0..3).prop_map(|rules| {
        rules.into_iter().map(|(name, (check, message))| Rule { name, check, message }).collect::<Vec<_>>()
    });
    let examples = prop::collection::btree_map(text(), objects(), 0..3)
        .prop_map(|all| all.into_iter().map(|(name, data)| Example { name, data }).collect::<Vec<_>>());
    let retention = prop::option::of(prop_oneof![(1u32..=36_500).prop_map(Retention::Days), Just(Retention::Forever),]);
    let entity =
        prop::option::of(("[a-z]{1,5}", prop::option::of(pointers())).prop_map(|(kind, id)| EntityRule { kind, id }));
    let head =
        (text(), lifecycles(), prop::sample::select(Ordering::ALL), retention, entity, prop::option::of(pointers()));
    let body = (
        prop::collection::btree_map(pointers(), classes, 0..4),
        prop::sample::select(Compatibility::ALL),
        objects(),
        examples,
        rules,
        machines(),
    );
    let exception = prop::option::of("[a-z]{10,20}");
    (head, body, conversions(), conversions(), exception).prop_map(|(head, body, upcast, downcast, name_exception)| {
        let (description, lifecycle, ordering, retention, entity, subject) = head;
        let (classification, compatibility, schema, examples, rules, transitions) = body;
        let classification: BTreeMap<_, _> = classification;
        Definition {
            name: EventType::trusted("a.b.created"),
            version: Version::trusted("2"),
            owner: "a: b".to_owned(),
            description,
            lifecycle,
            ordering,
            retention,
            entity,
            subject,
            classification,
            compatibility,
            schema,
            examples,
            rules,
            transitions,
            upcast,
            downcast,
            name_exception,
        }
    })
}

proptest! {
    #[test]
    fn every_definition_survives_being_written_and_read(definition in definitions()) {
        let text = write(&definition);
        let json = to_value(&definition).to_string();
        prop_assert_eq!(read(&text).map_err(|findings| format!("{findings:?}")), Ok(definition.clone()), "{}", text);
        prop_assert_eq!(read(&json).map_err(|findings| format!("{findings:?}")), Ok(definition), "{}", json);
    }

    #[test]
    fn no_text_makes_the_reader_fall(text in "[a-z:\\-\\[\\]{}&*!|>'\"%@`#,?\n \t0-9]{0,80}") {
        let _ = read(&text);
        let _ = read_set(&text);
        let _ = Outline::of(&text);
    }
}
