//! What looks compatible and is not answered as such: schemas that nobody can have meant, views that closing emptied,
//! statements that are not understood, numbers that validators round.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use serde_json::{Value, json};
use tidings_catalog::compat::{Verdict, View, includes};

#[track_caller]
fn unknown(narrow: &Value, narrow_view: View, wide: &Value, wide_view: View) -> String {
    match includes(narrow, narrow_view, wide, wide_view) {
        Verdict::Unknown { reason, .. } => reason,
        other => panic!("{narrow}\n within {wide}\n should be unknown, but: {other:?}"),
    }
}

#[track_caller]
fn is_breaking(narrow: &Value, wide: &Value) {
    let verdict = includes(narrow, View::Closed, wide, View::Open);
    assert!(matches!(verdict, Verdict::Breaking { .. }), "{narrow}\n within {wide}\n is {verdict:?}");
}

#[test]
fn proofs_that_rest_on_what_nobody_can_have_meant_are_no_verdict() {
    let string = json!({"type": "string"});
    let when = |kind: &str| {
        json!({"type": "object", "properties": {"kind": {"type": "string"}},
               "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": {"required": ["x"]}})
    };
    let mut relaxed = when("b");
    relaxed["then"] = json!(true);
    let rows = [
        ("a vacuous pattern", string, json!({"type": "string", "pattern": "[a-z]*"}), "not anchored"),
        (
            "a vacuous pattern of a member",
            json!({"type": "object", "properties": {"a": {"type": "string"}}}),
            json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "x?"}}}),
            "not anchored",
        ),
        (
            "alternatives that let everything in",
            json!({"type": "object", "required": ["a"]}),
            json!({"anyOf": [{"required": ["a"]}, {"not": {"required": ["a"]}}]}),
            "let every document in",
        ),
        (
            "a narrow schema without documents",
            json!({"type": "string", "minLength": 3, "maxLength": 2}),
            json!({"type": "integer"}),
            "no document fulfils",
        ),
        ("a changed condition", when("a"), relaxed, "the condition was changed"),
    ];
    for (what, narrow, wide, expected) in rows {
        let reason = unknown(&narrow, View::AsIs, &wide, View::AsIs);
        assert!(reason.contains(expected), "{what}: {reason}");
    }
    // The same where it is meant.
    for (narrow, wide) in [
        (json!({"type": "string", "pattern": "[a-z]*"}), json!({"type": ["string", "null"], "pattern": "[a-z]*"})),
        (json!({"anyOf": [{"minimum": 0}]}), json!({"anyOf": [{"minimum": 0}, {"not": {"minimum": 0}}]})),
        (json!(false), json!({"type": "string"})),
        (when("a"), json!({"type": "object"})),
    ] {
        assert_eq!(includes(&narrow, View::AsIs, &wide, View::AsIs), Verdict::Compatible, "{narrow} within {wide}");
    }
}

#[test]
fn what_is_demanded_counts_as_declared() {
    let with_a = |more: Value, kind: &str| {
        let mut schema = json!({"type": "object", "properties": {"a": {"type": kind}}});
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        schema
    };
    for more in [
        json!({"required": ["a", "b"]}),
        json!({"minProperties": 2}),
        json!({"allOf": [{"required": ["kind"]}]}),
        json!({"dependentRequired": {"a": ["b"]}}),
        json!({"anyOf": [{"required": ["b"]}, {"required": ["c", "a"]}]}),
        json!({"if": {"required": ["b"]}, "then": {"required": ["a"]}, "else": {"required": ["c"]}}),
        json!({"not": {"required": ["b"]}, "required": ["c"]}),
        json!({"additionalProperties": true}),
    ] {
        let (before, after) = (with_a(more.clone(), "string"), with_a(more.clone(), "integer"));
        is_breaking(&before, &after);
        is_breaking(&after, &before);
        // The same one level deeper, where an empty schema would leave the member out.
        let within = |inner: &Value| json!({"type": "object", "properties": {"o": inner, "id": {"type": "string"}}});
        is_breaking(&within(&before), &within(&after));
        is_breaking(&within(&before), &within(&json!({"type": "integer"})));
        let listed = |inner: &Value| json!({"type": "object", "properties": {"l": {"type": "array", "items": inner}}});
        is_breaking(&listed(&before), &listed(&after));
        // In draft 7, as an element of a tuple.
        let seven = |inner: &Value| {
            let mut inner = inner.clone();
            if let Some(demanded) = inner.as_object_mut().unwrap().remove("dependentRequired") {
                inner["dependencies"] = demanded;
            }
            let draft = "http://json-schema.org/draft-07/schema#";
            json!({"$schema": draft, "type": "object", "properties": {"l": {"type": "array", "items": [inner]}}})
        };
        is_breaking(&seven(&before), &seven(&after));
        assert_eq!(includes(&before, View::Closed, &before, View::Open), Verdict::Compatible);
    }
}

#[test]
fn further_members_that_are_let_in_explicitly_may_be_written() {
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": true});
    let more = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}});
    is_breaking(&open, &more);
    assert_eq!(includes(&more, View::Closed, &open, View::Open), Verdict::Compatible);
}

#[test]
fn what_closing_leaves_nothing_of_is_no_verdict() {
    let hidden = |inner: Value| json!({"type": "object", "properties": {"o": inner}});
    let a = json!({"a": {"type": "string"}});
    let rows = [
        json!({"type": "object", "properties": a, "propertyNames": {"pattern": "^b"}, "minProperties": 1}),
        json!({"type": "object", "properties": a, "patternProperties": {}, "not": {"maxProperties": 1}}),
        // Each of the two forbids what the other one demands.
        json!({"type": "object", "allOf": [
            {"properties": {"p": {"type": "object", "properties": {"x": true}, "required": ["x"]}}},
            {"properties": {"p": {"type": "object", "properties": {"y": true}, "required": ["y"]}}}
        ]}),
        json!({"type": "object", "properties": {"l": {"type": "array",
            "items": {"type": "object", "properties": {"x": true}},
            "contains": {"type": "object", "required": ["z"]}}}}),
    ];
    for inner in rows {
        unknown(&hidden(inner), View::Closed, &hidden(json!({"type": ["object", "null"]})), View::Open);
    }
    // Two descriptions that close the same, and branches of which only one holds, are no reason for doubt.
    let twice = json!({"type": "object", "allOf": [
        {"properties": {"p": {"type": "object", "properties": {"x": {"type": "string"}}}}},
        {"properties": {"p": {"type": "object", "properties": {"x": {"maxLength": 4}}}}}
    ]});
    let tagged = json!({"type": "object", "properties": {"kind": {"type": "string"}}, "oneOf": [
        {"properties": {"kind": {"const": "a"}, "of": {"type": "object", "properties": {"x": {"type": "string"}}}}},
        {"properties": {"kind": {"const": "b"}, "of": {"type": "object", "properties": {"y": {"type": "string"}}}}}
    ]});
    for schema in [twice, tagged] {
        assert_eq!(includes(&schema, View::Closed, &json!({"type": "object"}), View::Open), Verdict::Compatible);
    }
}

/// Each time, the narrow schema lets the document in and the wide one does not.
#[test]
fn statements_that_are_not_understood_are_the_same_only_within_the_same_schema() {
    let either = |a: &str, b: &str, rest: Value| {
        let mut schema = json!({"anyOf": [{"patternProperties": {(a): {}}}, {"patternProperties": {(b): {}}}]});
        schema.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        schema
    };
    let closed = json!({"unevaluatedProperties": false});
    let x = |kind: &str| json!({"unevaluatedProperties": {"$ref": "#/$defs/x"}, "$defs": {"x": {"type": kind}}});
    let dynamic = |kind: &str| json!({"$dynamicRef": "#n", "$defs": {"x": {"$dynamicAnchor": "n", "type": kind}}});
    let below = |kind: &str| {
        let mut schema = dynamic(kind);
        let reference = schema.as_object_mut().unwrap().remove("$dynamicRef").unwrap();
        schema["properties"] = json!({"a": {"$dynamicRef": reference}});
        schema
    };
    let other = |reference: &str, id: &str, kind: &str| {
        json!({"$id": "http://x/root.json", "properties": {"a": {"$ref": reference}},
               "$defs": {"o": {"$id": id, "type": kind}}})
    };
    let within = |kind: &str| {
        json!({"$id": "http://x/root.json", "properties": {"a": {"$id": "http://x/sub.json", "$ref": "other.json"}},
               "$defs": {"o": {"$id": "http://x/other.json", "type": kind}}})
    };
    let items = |rest: Value| {
        let mut schema = json!({"type": "array", "unevaluatedItems": false});
        schema.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        schema
    };
    let tuple = |count: usize| json!([{ "prefixItems": vec![json!(true); count] }, { "maxItems": 0 }]);
    let rows = [
        (either("^a", "^c", closed.clone()), either("^b", "^d", closed)),
        (either("^a", "^c", x("string")), either("^a", "^c", x("integer"))),
        (dynamic("string"), dynamic("integer")),
        (below("string"), below("integer")),
        (other("./other.json", "other.json", "string"), other("./other.json", "other.json", "integer")),
        (
            other("http://x/root.json/../other.json", "other.json", "string"),
            other("http://x/root.json/../other.json", "other.json", "integer"),
        ),
        (within("string"), within("integer")),
        (
            items(json!({"contains": {"type": "integer"}, "minContains": 0})),
            items(json!({"contains": {"type": "string"}, "minContains": 0})),
        ),
        (items(json!({"anyOf": tuple(2)})), items(json!({"anyOf": tuple(1)}))),
        (
            items(json!({"anyOf": [{"prefixItems": [true, true]}, false]})),
            items(json!({"anyOf": [{"prefixItems": [true]}, false]})),
        ),
        (
            json!({"type": "object", "anyOf": [{"patternProperties": {"^a": {"type": "string"}}}, {"patternProperties": {"^c": {"type": "string"}}}], "unevaluatedProperties": false}),
            json!({"type": "object", "anyOf": [{"patternProperties": {"^b": {"type": "string"}}}, true], "unevaluatedProperties": false}),
        ),
        (
            json!({"type": "object", "anyOf": [{"patternProperties": {"^a": true}}, {"required": ["q"]}], "unevaluatedProperties": false}),
            json!({"type": "object", "anyOf": [{"patternProperties": {"^b": true}}, {"maxProperties": 3}], "unevaluatedProperties": false}),
        ),
        (
            items(json!({"contains": {"type": "integer"}})),
            items(
                json!({"contains": {"type": ["integer", "string"]}, "minItems": 2, "prefixItems": [{"type": "null"}]}),
            ),
        ),
        (
            items(json!({"minItems": 1, "anyOf": [{"items": true}, {"minItems": 5}]})),
            items(json!({"anyOf": [{"prefixItems": [true]}, {"minItems": 5}]})),
        ),
    ];
    for (narrow, wide) in rows {
        let verdict = includes(&narrow, View::AsIs, &wide, View::AsIs);
        assert!(verdict != Verdict::Compatible, "{narrow}\n within {wide}");
    }
}

#[test]
fn what_validators_read_otherwise_is_no_verdict() {
    let seven = "http://json-schema.org/draft-07/schema#";
    let rows = [
        // Another draft within.
        (
            json!({"properties": {"a": {"$schema": seven, "prefixItems": [{"type": "string"}]}}}),
            json!({"properties": {"a": {"prefixItems": [{"type": "string"}]}}}),
        ),
        // An identifier beside a reference that means something else.
        (
            json!({"$schema": seven, "properties": {"a": {"$id": "#x", "$ref": "#x"}},
                   "definitions": {"x": {"$id": "#x", "type": "string"}}}),
            json!({"$schema": seven, "properties": {"a": {"type": "string"}}}),
        ),
        // Two anchors of one name.
        (
            json!({"$ref": "#x", "$defs": {"a": {"$anchor": "x", "type": "string"}, "b": {"$anchor": "x", "type": "null"}}}),
            json!({"type": ["string", "null"]}),
        ),
        // Multiples that are not found exactly.
        (json!({"multipleOf": 9_007_199_254_740_993u64}), json!({"multipleOf": 3})),
        (json!({"multipleOf": 0.000_003}), json!({"multipleOf": 0.000_000_3})),
    ];
    for (narrow, wide) in rows {
        unknown(&narrow, View::AsIs, &wide, View::AsIs);
    }
}
