//! What the checker says of changes, keyword by keyword.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]
#![allow(clippy::needless_pass_by_value, reason = "literals are handed over as they are made")]

use serde_json::{Value, json};
use tidings_catalog::compat::{Direction, Verdict, View, includes, judge};
use tidings_catalog::definition::Compatibility;

/// Whether the first is within the second, and whether the second is within the first.
#[track_caller]
fn check(rows: &[(Value, Value, bool, bool)]) {
    for (a, b, forth, back) in rows {
        for (narrow, wide, expected) in [(a, b, forth), (b, a, back)] {
            let verdict = includes(narrow, View::AsIs, wide, View::AsIs);
            match (&verdict, expected) {
                (Verdict::Compatible, true) | (Verdict::Breaking { .. }, false) => {}
                // Proved, and not answered: what has no documents is within everything.
                (Verdict::Unknown { reason, .. }, true) if reason.contains("no document fulfils") => {}
                _ => panic!("{narrow}\n within {wide}\n is {expected}, but: {verdict:?}"),
            }
        }
    }
}

#[track_caller]
fn breaking(verdict: Verdict) -> (Value, String, String) {
    match verdict {
        Verdict::Breaking { witness, path, reason } => (witness, path, reason),
        other => panic!("expected a break: {other:?}"),
    }
}

#[track_caller]
fn unknown(verdict: Verdict) -> String {
    match verdict {
        Verdict::Unknown { reason, .. } => reason,
        other => panic!("expected no verdict: {other:?}"),
    }
}

#[test]
fn numbers_are_compared_exactly() {
    check(&[
        (json!({"type": "integer"}), json!({"type": "number"}), true, false),
        (json!({"type": "number", "multipleOf": 1}), json!({"type": "integer"}), true, true),
        (json!({"const": 1}), json!({"const": 1.0}), true, true),
        (json!({"type": "integer", "exclusiveMinimum": 0}), json!({"type": "integer", "minimum": 1}), true, true),
        (json!({"type": "number", "exclusiveMinimum": 0}), json!({"type": "number", "minimum": 1}), false, true),
        (json!({"type": "integer", "maximum": 9.5}), json!({"type": "integer", "maximum": 9}), true, true),
        (json!({"multipleOf": 0.3}), json!({"multipleOf": 0.1}), true, false),
        (json!({"multipleOf": 0.1}), json!({"multipleOf": 0.01}), true, false),
        (json!({"multipleOf": 6}), json!({"allOf": [{"multipleOf": 2}, {"multipleOf": 3}]}), true, true),
        (json!({"allOf": [{"multipleOf": 4}, {"multipleOf": 6}]}), json!({"multipleOf": 12}), true, true),
        (json!({"allOf": [{"multipleOf": 4}, {"multipleOf": 6}]}), json!({"multipleOf": 24}), false, true),
        (json!({"type": "integer", "minimum": 1, "maximum": 3}), json!({"enum": [1, 2, 3]}), true, true),
        (
            json!({"type": "integer", "minimum": 9_007_199_254_740_993u64}),
            json!({"type": "integer", "minimum": 9_007_199_254_740_992u64}),
            true,
            false,
        ),
        (
            json!({"type": "number", "minimum": 0.1}),
            json!({"type": "number", "minimum": 0.100_000_000_000_000_1}),
            false,
            true,
        ),
        (json!({"minimum": 3, "maximum": 2, "type": "number"}), json!(false), true, true),
    ]);
}

#[test]
fn patterns_are_compared_as_languages() {
    let pattern = |pattern: &str| json!({"type": "string", "pattern": pattern});
    check(&[
        (pattern("^[a-f]+$"), pattern("^[a-z]+$"), true, false),
        (pattern("^abc$"), pattern("b"), true, false),
        (pattern("^(ab|ac)$"), pattern("^a[bc]$"), true, true),
        (pattern(r"^\d{4}-\d{2}$"), pattern("^[0-9-]+$"), true, false),
        (pattern("a"), json!({"type": "string", "minLength": 1}), true, false),
        (pattern("^.{3}$"), json!({"type": "string", "maxLength": 3}), true, false),
        (pattern("^a{2,4}$"), json!({"enum": ["aa", "aaa", "aaaa"]}), true, true),
        (json!({"type": "string", "maxLength": 0}), json!({"const": ""}), true, true),
        (json!({"type": "string", "minLength": 2}), json!({"type": "string", "minLength": 1}), true, false),
        (json!({"type": "string", "format": "date"}), json!({"type": "string", "maxLength": 10}), true, false),
        (json!({"type": "string", "format": "uri"}), json!({"type": "string", "format": "uri-reference"}), true, false),
        (json!({"type": "string", "format": "date"}), json!({"type": "string", "format": "uuid"}), false, false),
        // Characters are counted, not bytes.
        (json!({"enum": ["é", "日"]}), json!({"type": "string", "maxLength": 1}), true, false),
    ]);
}

#[test]
fn enumerations_are_compared_value_by_value() {
    check(&[
        (json!({"enum": ["a", "b"]}), json!({"enum": ["b", "a", "c"]}), true, false),
        (json!({"enum": ["a", 1, null]}), json!({"type": ["string", "integer", "null"]}), true, false),
        (json!({"enum": [true, false]}), json!({"type": "boolean"}), true, true),
        (json!({"const": {"a": 1, "b": [2]}}), json!({"const": {"b": [2.0], "a": 1.0}}), true, true),
        (json!({"enum": [{"a": 1}]}), json!({"type": "object", "required": ["a"]}), true, false),
        (json!({"enum": []}), json!({"type": "string"}), true, false),
        (json!({"type": "string", "const": 1}), json!(false), true, true),
    ]);
}

#[test]
fn arrays_are_compared_place_by_place() {
    let array = |rest: Value| {
        let mut schema = json!({"type": "array"});
        schema.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        schema
    };
    let tuple = json!([{"type": "string"}, {"type": "integer"}]);
    check(&[
        (array(json!({"items": {"type": "integer"}})), array(json!({"items": {"type": "number"}})), true, false),
        (array(json!({"prefixItems": tuple})), array(json!({"prefixItems": [{"type": "string"}]})), true, false),
        (array(json!({"prefixItems": tuple, "items": false})), array(json!({"maxItems": 2})), true, false),
        (array(json!({"items": false})), array(json!({"maxItems": 0})), true, true),
        (array(json!({"minItems": 2})), array(json!({"minItems": 1})), true, false),
        (
            array(json!({"items": {"type": "null"}, "minItems": 1})),
            array(json!({"contains": {"type": "null"}})),
            true,
            false,
        ),
        (
            array(json!({"contains": {"type": "integer"}, "minContains": 3})),
            array(json!({"contains": {"type": "number"}, "minContains": 2})),
            true,
            false,
        ),
        (
            array(json!({"contains": {"type": "number"}, "minContains": 0, "maxContains": 1})),
            array(json!({"contains": {"type": "integer"}, "minContains": 0, "maxContains": 2})),
            true,
            false,
        ),
        (
            array(json!({"items": {"type": "null"}, "minItems": 2})),
            array(json!({"contains": {"type": "null"}, "minContains": 2})),
            true,
            false,
        ),
        (
            array(json!({"items": {"type": "null"}, "minItems": 2})),
            array(json!({"contains": {"type": "null"}, "minContains": 3})),
            false,
            false,
        ),
        (array(json!({"uniqueItems": true})), array(json!({})), true, false),
        (array(json!({"maxItems": 1})), array(json!({"uniqueItems": true})), true, false),
        (
            array(json!({"prefixItems": [{"type": "string"}], "unevaluatedItems": false})),
            array(json!({"maxItems": 1})),
            true,
            false,
        ),
    ]);
}

#[test]
fn objects_are_compared_member_by_member() {
    let a_number = json!({"type": "object", "properties": {"a": {"type": "number"}}});
    check(&[
        (json!({"type": "object", "properties": {"a": {"type": "integer"}}}), a_number.clone(), true, false),
        (json!({"type": "object", "required": ["a", "b"]}), json!({"type": "object", "required": ["a"]}), true, false),
        (
            json!({"type": "object", "properties": {"a": true}, "additionalProperties": false}),
            json!({"type": "object", "maxProperties": 1}),
            true,
            false,
        ),
        (json!({"type": "object", "additionalProperties": {"type": "integer"}}), a_number, true, false),
        (
            json!({"type": "object", "patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": false}),
            json!({"type": "object", "propertyNames": {"pattern": "^x"}}),
            true,
            false,
        ),
        (
            json!({"type": "object", "patternProperties": {"^a": {"type": "integer"}}}),
            json!({"type": "object", "patternProperties": {"^ab": {"type": "number"}}}),
            true,
            false,
        ),
        (
            json!({"type": "object", "propertyNames": {"enum": ["a"]}}),
            json!({"type": "object", "maxProperties": 1}),
            true,
            false,
        ),
        (
            json!({"type": "object", "dependentRequired": {"a": ["b", "c"]}}),
            json!({"type": "object", "dependentRequired": {"a": ["b"]}}),
            true,
            false,
        ),
        (
            json!({"type": "object", "dependentSchemas": {"a": {"required": ["b"]}}}),
            json!({"type": "object", "dependentRequired": {"a": ["b"]}}),
            true,
            true,
        ),
        (json!({"type": "object", "minProperties": 2}), json!({"type": "object", "minProperties": 1}), true, false),
        (json!({"type": "object", "required": ["a"]}), json!({"type": "object", "minProperties": 1}), true, false),
        (
            json!({"type": "object", "properties": {"a": true}, "additionalProperties": false, "minProperties": 1}),
            json!({"type": "object", "required": ["a"]}),
            true,
            false,
        ),
    ]);
}

#[test]
fn combinations_are_taken_apart() {
    let tagged = |tags: &[&str]| {
        let branch = |tag: &&str| json!({"properties": {"kind": {"const": tag}, "of": {"type": "string"}}, "required": ["kind"]});
        json!({"type": "object", "oneOf": tags.iter().map(branch).collect::<Vec<_>>()})
    };
    check(&[
        (
            json!({"allOf": [{"type": "string"}, {"minLength": 1}]}),
            json!({"type": "string", "minLength": 1}),
            true,
            true,
        ),
        (json!({"type": ["string", "null"]}), json!({"anyOf": [{"type": "null"}, {"type": "string"}]}), true, true),
        (
            json!({"type": "number"}),
            json!({"type": ["number", "null"], "anyOf": [{"minimum": 0}, {"maximum": 0}]}),
            true,
            false,
        ),
        (
            json!({"not": {"type": "string"}}),
            json!({"type": ["null", "boolean", "number", "array", "object"]}),
            true,
            true,
        ),
        (
            json!({"oneOf": [{"type": "integer"}, {"type": "string"}]}),
            json!({"type": ["integer", "string"]}),
            true,
            true,
        ),
        (json!({"oneOf": [{"type": "integer"}, {"type": "number"}]}), json!({"type": "integer"}), false, false),
        (tagged(&["a", "b"]), tagged(&["c", "b", "a"]), true, false),
        (
            json!({"type": "object", "required": ["kind"], "if": {"properties": {"kind": {"const": "a"}}}, "then": {"required": ["x"]}}),
            json!({"type": "object", "anyOf": [{"required": ["x"]}, {"not": {"properties": {"kind": {"const": "a"}}}}]}),
            true,
            false,
        ),
        (json!({"allOf": [{"type": "string"}, {"type": "number"}]}), json!(false), true, true),
    ]);
}

#[test]
fn what_no_branch_declares_is_unevaluated() {
    let of_parts = json!({
        "type": "object",
        "allOf": [{"properties": {"a": {"type": "string"}}}, {"$ref": "#/$defs/b"}],
        "unevaluatedProperties": false,
        "$defs": {"b": {"properties": {"b": {"type": "integer"}}}}
    });
    let flat = json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "additionalProperties": false
    });
    let by_branch = json!({
        "type": "object",
        "properties": {"kind": {"enum": ["x", "y"]}},
        "required": ["kind"],
        "oneOf": [
            {"properties": {"kind": {"const": "x"}, "a": {"type": "string"}}},
            {"properties": {"kind": {"const": "y"}, "b": {"type": "integer"}}}
        ],
        "unevaluatedProperties": false
    });
    let either = json!({"oneOf": [
        {"type": "object", "properties": {"kind": {"const": "x"}, "a": {"type": "string"}}, "required": ["kind"], "additionalProperties": false},
        {"type": "object", "properties": {"kind": {"const": "y"}, "b": {"type": "integer"}}, "required": ["kind"], "additionalProperties": false}
    ]});
    check(&[(of_parts, flat, true, true), (by_branch, either, true, true)]);
}

#[test]
fn recursive_schemas_are_compared_without_end() {
    let tree = |leaf: Value| {
        json!({"$ref": "#/$defs/node", "$defs": {"node": {
            "type": "object", "required": ["value"],
            "properties": {"value": leaf, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}
        }}})
    };
    let mutual = |leaf: Value| {
        json!({"$ref": "#/$defs/even", "$defs": {
            "even": {"type": "object", "required": ["value"], "properties": {"value": leaf, "children": {"type": "array", "items": {"$ref": "#/$defs/odd"}}}},
            "odd": {"type": "object", "required": ["value"], "properties": {"value": leaf, "children": {"type": "array", "items": {"$ref": "#/$defs/even"}}}}
        }})
    };
    let endless = json!({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}});
    check(&[
        (tree(json!({"type": "integer"})), tree(json!({"type": "number"})), true, false),
        (tree(json!({"type": "integer"})), mutual(json!({"type": "integer"})), true, true),
        (mutual(json!({"type": "integer"})), tree(json!({"type": "number"})), true, false),
        // A list that must go on has no end, and no document is without one.
        (endless, json!(false), true, true),
    ]);
    let lists = json!({"type": "array", "items": {"$anchor": "list", "type": "array", "items": {"$ref": "#list"}}});
    check(&[(lists, json!({"type": "array", "items": {"type": "array"}}), true, false)]);
}

#[test]
fn draft_7_is_read_as_draft_7() {
    let seven = |rest: Value| {
        let mut schema = json!({"$schema": "http://json-schema.org/draft-07/schema#"});
        schema.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        schema
    };
    check(&[
        (
            seven(json!({"type": "array", "items": [{"type": "string"}], "additionalItems": false})),
            json!({"type": "array", "prefixItems": [{"type": "string"}], "items": false}),
            true,
            true,
        ),
        (
            seven(json!({"type": "object", "dependencies": {"a": ["b"], "c": {"minProperties": 2}}})),
            json!({"type": "object", "dependentRequired": {"a": ["b"]}}),
            true,
            false,
        ),
        // What stands beside a reference is ignored there.
        (
            seven(
                json!({"definitions": {"a": {"type": "number"}}, "properties": {"x": {"$ref": "#/definitions/a", "minimum": 5}}}),
            ),
            json!({"properties": {"x": {"type": "number"}}}),
            true,
            true,
        ),
        (seven(json!({"prefixItems": [false], "unevaluatedProperties": false})), json!(true), true, true),
    ]);
}

/// The verdicts of `published` on a change, new schema against the earlier one.
fn published(earlier: &Value, new: &Value) -> (Verdict, Verdict) {
    let judged = judge(Compatibility::Published, &[earlier], new);
    assert_eq!(
        judged.iter().map(|judged| judged.direction).collect::<Vec<_>>(),
        [Direction::Backward, Direction::Forward]
    );
    let mut verdicts = judged.into_iter().map(|judged| judged.verdict);
    (verdicts.next().unwrap(), verdicts.next().unwrap())
}

fn order(properties: Value, required: Value) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

#[test]
fn an_optional_member_may_come_and_go() {
    let before = order(json!({"id": {"type": "string"}}), json!(["id"]));
    let after = order(json!({"id": {"type": "string"}, "note": {"type": "string"}}), json!(["id"]));
    let compatible = (Verdict::Compatible, Verdict::Compatible);
    assert_eq!(published(&before, &after), compatible);
    assert_eq!(published(&after, &before), compatible);
    let (mut open_before, mut open_after) = (before, after);
    for schema in [&mut open_before, &mut open_after] {
        schema.as_object_mut().unwrap().remove("additionalProperties");
    }
    assert_eq!(published(&open_before, &open_after), compatible);
}

#[test]
fn breaks_are_told_in_plain_words() {
    let base = json!({"id": {"type": "string"}, "status": {"enum": ["open", "won"]}, "amount": {"type": "number"}});
    let before = order(base.clone(), json!(["id", "status"]));
    let with = |name: &str, schema: Value| {
        let mut properties = base.clone();
        properties[name] = schema;
        order(properties, json!(["id", "status"]))
    };
    let backward = |new: &Value| breaking(published(&before, new).0);
    let forward = |new: &Value| breaking(published(&before, new).1);

    // A member becomes required: what was written without it cannot be read.
    let (witness, path, reason) = backward(&order(base.clone(), json!(["id", "status", "amount"])));
    assert_eq!(witness["amount"], Value::Null);
    assert_eq!(
        (path.as_str(), reason.as_str()),
        ("/amount", "the member 'amount' is required, and documents without it exist")
    );
    // A required one becomes optional: the readers there are miss it.
    let (_, path, reason) = forward(&order(base.clone(), json!(["id"])));
    assert_eq!(
        (path.as_str(), reason.as_str()),
        ("/status", "the member 'status' is required, and documents without it exist")
    );
    // A type is narrowed.
    let (_, path, reason) = backward(&with("amount", json!({"type": "integer"})));
    assert_eq!(path, "/amount");
    assert!(reason.starts_with("'/amount' must be of type integer, and may be "), "{reason}");
    // An enum value more is one that readers do not know; one less is one that was written.
    let (witness, _, reason) = forward(&with("status", json!({"enum": ["open", "won", "lost"]})));
    assert_eq!(witness["status"], "lost");
    assert_eq!(reason, r#"'/status' must be one of ["open","won"], and may be "lost""#);
    let (witness, _, _) = backward(&with("status", json!({"enum": ["open"]})));
    assert_eq!(witness["status"], "won");
    // A member is renamed.
    let renamed = order(json!({"id": {"type": "string"}, "state": {"enum": ["open", "won"]}}), json!(["id", "state"]));
    assert_eq!(backward(&renamed).1, "/state");
    assert_eq!(forward(&renamed).1, "/status");
    // A bound is tightened: the witness stands right beside it.
    let (witness, _, reason) = backward(&with("amount", json!({"type": "number", "minimum": 0})));
    assert_eq!(reason, format!("'/amount' must be at least 0, and may be {}", witness["amount"]));
}

#[test]
fn the_producer_is_closed_as_a_whole_and_the_consumer_open() {
    let of_parts = |member: &str| {
        json!({
            "allOf": [{"$ref": "#/$defs/base"}, {"properties": {(member): {"type": "string"}}}],
            "$defs": {"base": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}}
        })
    };
    assert_eq!(published(&of_parts("a"), &of_parts("b")), (Verdict::Compatible, Verdict::Compatible));
    // A member that was declared comes back with another type: the readers there still know it.
    let flat = json!({"type": "object", "properties": {"id": {"type": "string"}, "a": {"type": "integer"}}, "required": ["id"]});
    assert_eq!(breaking(published(&of_parts("a"), &flat).0).1, "/a");
    // What declares nothing may hold anything.
    let free = json!({"type": "object", "properties": {"id": {"type": "string"}, "more": {"type": "object"}}});
    let declared = json!({"type": "object", "properties": {"id": {"type": "string"}, "more": {"type": "object", "properties": {"x": {"type": "integer"}}}}});
    assert_eq!(breaking(published(&free, &declared).0).1, "/more/x");
    // Branches that only their closing told apart still agree with themselves.
    let choice = json!({"oneOf": [
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false},
        {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"], "additionalProperties": false}
    ]});
    assert_eq!(published(&choice, &choice), (Verdict::Compatible, Verdict::Compatible));
}

#[test]
fn a_view_that_is_not_well_defined_is_no_verdict() {
    let schema = json!({
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/closed"}, "b": {"not": {"$ref": "#/$defs/closed"}}},
        "$defs": {"closed": {"type": "object", "properties": {"x": true}, "additionalProperties": false}}
    });
    assert!(unknown(includes(&schema, View::Closed, &schema, View::Open)).contains("the other way round"));
}

#[test]
fn modes_say_what_is_compared_with_what() {
    let schemas = [json!({"type": "string"}), json!({"type": "integer"}), json!({"type": "number"})];
    let earlier = [&schemas[0], &schemas[1]];
    let compared = |mode| {
        let judged = judge(mode, &earlier, &schemas[2]);
        judged
            .iter()
            .map(|judged| (judged.direction, judged.against, judged.verdict == Verdict::Compatible))
            .collect::<Vec<_>>()
    };
    use Direction::{Backward, Forward};
    assert_eq!(compared(Compatibility::None), []);
    assert_eq!(compared(Compatibility::Backward), [(Backward, 1, true)]);
    assert_eq!(compared(Compatibility::BackwardTransitive), [(Backward, 0, false), (Backward, 1, true)]);
    assert_eq!(compared(Compatibility::Forward), [(Forward, 1, false)]);
    assert_eq!(compared(Compatibility::Full), [(Backward, 1, true), (Forward, 1, false)]);
    assert_eq!(compared(Compatibility::FullTransitive).len(), 4);
    assert_eq!(compared(Compatibility::Published).len(), 4);
    assert_eq!(judge(Compatibility::Published, &[], &schemas[0]), []);
}

#[test]
fn what_is_not_understood_is_no_verdict() {
    let string = json!({"type": "string"});
    for (schema, expected) in [
        (json!({"$ref": "https://example.com/other.json"}), "Present in"),
        (json!({"$ref": "#"}), "refers to itself without going deeper"),
        (
            json!({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}),
            "refers to itself",
        ),
        (json!({"$schema": "http://json-schema.org/draft-03/schema#"}), "dialect"),
        (json!({"type": "text"}), "not valid"),
        (json!({"pattern": "(?=a)b"}), "not valid"),
    ] {
        let reason = unknown(includes(&string, View::AsIs, &schema, View::AsIs));
        assert!(expected == "Present in" || reason.contains(expected), "{schema}: {reason}");
    }
}

#[test]
fn what_is_not_understood_implies_itself_only_within_the_same_schema() {
    let array =
        |contains: Value| json!({"type": "array", "contains": contains, "unevaluatedItems": {"type": "string"}});
    let (strict, lax) = (array(json!({"type": "array"})), array(json!({"type": ["array", "null"]})));
    assert_eq!(includes(&strict, View::AsIs, &strict, View::AsIs), Verdict::Compatible);
    assert!(includes(&lax, View::AsIs, &strict, View::AsIs) != Verdict::Compatible);
    let referring = |to: &str| json!({"type": "array", "contains": {"type": "array"}, "unevaluatedItems": {"$ref": "#/$defs/q"}, "$defs": {"q": {"type": to}}});
    let verdict = includes(&referring("string"), View::Closed, &referring("null"), View::AsIs);
    assert!(verdict != Verdict::Compatible, "{verdict:?}");
}

#[test]
fn a_large_schema_is_judged_and_a_break_in_it_found() {
    let properties = |amount: &str| {
        let mut all = serde_json::Map::new();
        for number in 0..200 {
            let kind = ["string", "integer", "boolean", "number"][number % 4];
            let nested = json!({"type": "object", "properties": {"x": {"type": kind}, "y": {"type": "array", "items": {"type": "string", "maxLength": 40}}}, "required": ["x"]});
            all.insert(format!("member_{number}"), if number % 10 == 0 { nested } else { json!({"type": kind}) });
        }
        all.insert("amount".to_owned(), json!({"type": amount}));
        let required: Vec<String> = (0..100).map(|number| format!("member_{number}")).collect();
        json!({"type": "object", "properties": all, "required": required, "additionalProperties": false})
    };
    let (integer, number) = (properties("integer"), properties("number"));
    assert_eq!(includes(&integer, View::Closed, &number, View::Open), Verdict::Compatible);
    let (witness, path, _) = breaking(includes(&number, View::Closed, &integer, View::Open));
    assert_eq!(path, "/amount");
    assert!(witness["amount"].is_f64(), "{witness}");
}

#[test]
fn what_is_too_large_to_be_proved_comes_back_without_a_verdict_or_with_a_right_one() {
    // Nested as deep as a schema may be.
    let mut nested = (json!({"type": "integer"}), json!({"type": "number"}));
    for _ in 0..58 {
        let wrap = |inner: Value| json!({"type": "object", "properties": {"a": inner}, "required": ["a"]});
        nested = (wrap(nested.0), wrap(nested.1));
    }
    assert_eq!(includes(&nested.0, View::AsIs, &nested.1, View::AsIs), Verdict::Compatible);
    breaking(includes(&nested.1, View::AsIs, &nested.0, View::AsIs));
    // Many branches, told apart by a tag.
    let union = |count: usize, minimum: i64| {
        let branch = |number: usize| {
            let of = json!({"type": "integer", "minimum": minimum});
            json!({"type": "object", "properties": {"kind": {"const": format!("k{number}")}, "of": of}, "required": ["kind"]})
        };
        json!({"oneOf": (0..count).map(branch).collect::<Vec<_>>()})
    };
    assert_eq!(includes(&union(30, 1), View::AsIs, &union(32, 0), View::AsIs), Verdict::Compatible);
    assert_eq!(includes(&union(30, 1), View::Closed, &union(32, 0), View::Open), Verdict::Compatible);
    // Many choices that have nothing to do with each other.
    let choices = |count: usize| {
        let pair = |number: usize| {
            let (a, b) = (format!("a{number}"), format!("b{number}"));
            json!({"anyOf": [{"required": [a]}, {"required": [b]}]})
        };
        json!({"type": "object", "allOf": (0..count).map(pair).collect::<Vec<_>>()})
    };
    assert_eq!(includes(&choices(40), View::AsIs, &choices(39), View::AsIs), Verdict::Compatible);
    let verdict = includes(&choices(12), View::AsIs, &json!({"type": "object", "minProperties": 13}), View::AsIs);
    assert!(verdict != Verdict::Compatible);
    // Automata that multiply.
    let multiplied = json!({"type": "string", "pattern": "^(a|b)*a(a|b){14}$"});
    let verdict =
        includes(&multiplied, View::AsIs, &json!({"type": "string", "pattern": "^(a|b)*b(a|b){14}$"}), View::AsIs);
    assert!(verdict != Verdict::Compatible);
}
