//! Where paths lead, and where they cannot.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::schema::Schema;

fn path(text: &str) -> Vec<Segment> {
    let segment = |part: &str| match part {
        "*" => Segment::Any,
        _ => part.parse().map_or_else(|_| Segment::Name(part.to_owned()), Segment::Index),
    };
    text.split('/').filter(|part| !part.is_empty()).map(segment).collect()
}

fn lead() -> Value {
    json!({
        "type": "object",
        "properties": {
            "amount": { "type": "integer" },
            "status": { "enum": ["new", "won", 7] },
            "customer": { "$ref": "#/$defs/person" },
            "tags": { "type": "array", "items": { "type": "string" }, "maxItems": 3 },
            "pair": { "prefixItems": [{ "type": "string" }, { "type": "number" }], "items": false },
            "extra": { "type": "object", "additionalProperties": { "type": "string" } },
            "open": {},
            "either": { "oneOf": [
                { "type": "object", "properties": { "a": { "type": "string" } } },
                { "type": "object", "properties": { "b": { "type": "boolean" } } },
                { "type": "null" },
            ] },
            "never": false,
        },
        "allOf": [{ "properties": { "amount": { "minimum": 0 }, "late": { "const": true } } }],
        "if": { "properties": { "status": { "const": "won" } } },
        "then": { "properties": { "price": { "type": "number" } } },
        "$defs": { "person": {
            "type": "object",
            "properties": { "name": { "type": "string" }, "parent": { "$ref": "#/$defs/person" } },
        } },
    })
}

#[test]
fn a_path_leads_somewhere_only_where_the_schema_declares_something() {
    for (text, possible) in [
        ("", true),
        ("amount", true),
        ("late", true),
        ("price", true),
        ("unknown", false),
        ("amount/value", false),
        ("amount/*", false),
        ("customer/name", true),
        ("customer/parent/parent/parent/name", true),
        ("customer/parent/age", false),
        ("tags/0", true),
        ("tags/2", true),
        ("tags/3", false),
        ("tags/-1", true),
        ("tags/*", true),
        ("tags/name", false),
        ("tags/*/name", false),
        ("pair/1", true),
        ("pair/2", false),
        ("pair/*", true),
        ("extra/anything", true),
        ("extra/anything/below", false),
        ("open/anything/below/0", true),
        ("either/a", true),
        ("either/b", true),
        ("either/c", false),
        ("never", false),
        ("*/name", true),
        ("*/*/unheard_of", true),
    ] {
        let found = reach(&lead(), &path(text), None);
        assert_eq!(matches!(found, Reach::Possible), possible, "{text}: {found:?}");
        assert!(found != Reach::Unknown, "{text}");
    }
}

#[test]
fn a_value_can_be_met_only_where_the_schema_allows_it() {
    for (text, value, possible) in [
        ("amount", json!(5), true),
        ("amount", json!("5"), false),
        ("amount", json!(null), false),
        ("status", json!("new"), true),
        ("status", json!("lost"), false),
        ("status", json!(7.0), true),
        ("status", json!(true), false),
        ("late", json!(true), true),
        ("late", json!(false), false),
        ("open", json!({"a": 1}), true),
        ("either", json!(null), true),
        ("either", json!("x"), false),
        ("either/b", json!(true), true),
        ("either/b", json!("x"), false),
        ("tags/*", json!("x"), true),
        ("tags/*", json!(1), false),
        ("pair/*", json!(1), true),
        ("pair/0", json!(1), false),
    ] {
        let found = reach(&lead(), &path(text), Some(&value));
        assert_eq!(matches!(found, Reach::Possible), possible, "{text} {value}: {found:?}");
    }
    let by_type = |text: &str, like: Value| reach_type(&lead(), &path(text), &like) == Reach::Possible;
    assert!(by_type("status", json!("lost")) && by_type("status", json!(1)) && !by_type("status", json!(null)));
    assert!(by_type("amount", json!(0.5)) && !by_type("amount", json!("0.5")));
}

#[test]
fn the_reason_names_the_place() {
    let why = |text: &str, value: Option<Value>| match reach(&lead(), &path(text), value.as_ref()) {
        Reach::Impossible(why) => why,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(why("customer/age", None), "data.customer.age is not declared");
    assert_eq!(why("amount/value", None), "data.amount is never an object");
    assert_eq!(why("amount", Some(json!("5"))), "data.amount is never a string");
    assert_eq!(why("status", Some(json!("lost"))), "data.status is never \"lost\"");
    assert_eq!(why("never", None), "data.never is never there");
}

#[test]
fn what_is_not_understood_is_unknown() {
    for schema in [
        json!({ "$ref": "https://example.com/other.json" }),
        json!({ "$ref": "#/$defs/missing" }),
        json!({ "$ref": "#" }),
        json!({ "$dynamicRef": "#node" }),
        json!({ "allOf": vec![json!({ "anyOf": [{ "title": "a" }, { "title": "b" }, { "title": "c" }] }); 20] }),
    ] {
        assert_eq!(reach(&schema, &path("a"), None), Reach::Unknown, "{schema}");
    }
    let draft_7 = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": { "a": { "$ref": "#/definitions/a", "type": "null" }, "b": { "items": [{ "type": "null" }] } },
        "definitions": { "a": { "type": "string" } },
    });
    assert_eq!(reach(&draft_7, &path("a"), Some(&json!("x"))), Reach::Possible);
    assert_eq!(reach(&draft_7, &path("b/1"), Some(&json!("x"))), Reach::Possible);
    assert!(matches!(reach(&draft_7, &path("b/0"), Some(&json!("x"))), Reach::Impossible(_)));
}

fn any_document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(1)),
        Just(json!(1.0)),
        Just(json!(2.5)),
        Just(json!("x")),
        Just(json!("y")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|members| json!(members)),
        ]
    })
}

/// Schemas whose objects are all open, so that what is declared is no matter.
fn any_schema() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec!["null", "boolean", "number", "integer", "string", "array", "object"]);
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!(true)),
        Just(json!({ "$ref": "#/$defs/d" })),
        prop::collection::btree_set(names, 1..4).prop_map(|types| json!({ "type": types })),
        prop::collection::vec(any_document(), 1..4).prop_map(|values| json!({ "enum": values })),
        any_document().prop_map(|value| json!({ "const": value })),
    ];
    leaf.prop_recursive(3, 24, 3, |inner| {
        let several = prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            prop::collection::btree_map("[abc]", inner.clone(), 0..3)
                .prop_map(|members| json!({ "properties": members, "additionalProperties": true })),
            inner.clone().prop_map(|schema| json!({ "additionalProperties": schema })),
            (several.clone(), inner.clone()).prop_map(|(places, rest)| json!({ "prefixItems": places, "items": rest })),
            (inner.clone(), 0..3).prop_map(|(items, most)| json!({ "items": items, "maxItems": most })),
            several.clone().prop_map(|parts| json!({ "anyOf": parts })),
            several.clone().prop_map(|parts| json!({ "oneOf": parts })),
            several.prop_map(|parts| json!({ "allOf": parts })),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| json!({ "if": a, "then": b, "else": c })),
        ]
    })
}

/// Every place of a document, with what stands there.
fn places(value: &Value, path: &mut Vec<Segment>, found: &mut Vec<(Vec<Segment>, Value)>) {
    found.push((path.clone(), value.clone()));
    let mut below = |segment: Segment, child: &Value| {
        for segment in [segment, Segment::Any] {
            path.push(segment);
            places(child, path, found);
            path.pop();
        }
    };
    match value {
        Value::Array(elements) => {
            for (index, element) in (0_i64..).zip(elements) {
                below(Segment::Index(index), element);
                below(Segment::Index(index - i64::try_from(elements.len()).unwrap()), element);
            }
        }
        Value::Object(members) => members.iter().for_each(|(name, member)| below(Segment::Name(name.clone()), member)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn nothing_that_a_valid_document_has_is_impossible(
        schema in any_schema(),
        shared in any_schema(),
        documents in prop::collection::vec(any_document(), 1..6),
    ) {
        let root = json!({ "allOf": [schema], "$defs": { "d": shared } });
        let Ok(compiled) = Schema::compile(&root) else { return Ok(()) };
        for document in documents.iter().filter(|document| compiled.is_valid(document)) {
            let mut found = Vec::new();
            places(document, &mut Vec::new(), &mut found);
            for (path, value) in found {
                for reached in [reach(&root, &path, None), reach(&root, &path, Some(&value)), reach_type(&root, &path, &value)] {
                    prop_assert!(!matches!(reached, Reach::Impossible(_)), "{root} {document} {path:?}: {reached:?}");
                }
            }
        }
    }
}
