use serde_json::json;

use super::super::Schema;
use super::*;

#[track_caller]
fn compile(schema: &Value) -> Schema {
    Schema::compile(schema).unwrap_or_else(|found| panic!("{found:#?}"))
}

#[track_caller]
fn refused(schema: &Value) -> Vec<(String, &'static str)> {
    let found = Schema::compile(schema).expect_err("it must be refused");
    found.into_iter().map(|finding| (finding.path, finding.code)).collect()
}

/// `count` definitions, each made of a reference to the next one; the last one is given.
fn chained(count: usize, last: Value, each: impl Fn(Value) -> Value) -> Value {
    let mut defs: Map<String, Value> =
        (1..count).map(|n| (format!("d{n}"), each(json!({"$ref": format!("#/$defs/d{}", n + 1)})))).collect();
    defs.insert(format!("d{count}"), last);
    json!({"$ref": "#/$defs/d1", "$defs": defs})
}

/// A document of objects within each other.
fn nested(levels: usize, last: Value) -> Value {
    (0..levels).fold(last, |inner, _| json!({"x": inner}))
}

/// What is said of a document whose judging would never end if nothing stopped it.
fn codes(schema: &Schema, data: &Value) -> Vec<&'static str> {
    let violations = schema.violations(data, 20);
    assert_eq!(schema.is_valid(data), violations.is_empty());
    violations.iter().map(|violation| violation.code).collect()
}

#[test]
fn references_that_fan_out_over_one_value_are_refused() {
    let last = json!({"required": ["no"]});
    let schema = chained(60, last.clone(), |next| json!({"anyOf": [next, next]}));
    assert_eq!(refused(&schema)[0].1, "schema_too_costly");
    let schema = chained(60, last.clone(), |next| json!({"if": next, "then": next, "else": next}));
    assert_eq!(refused(&schema)[0].1, "schema_too_costly");
    let schema = chained(60, last, |next| json!({"$ref": next["$ref"], "unevaluatedProperties": false}));
    assert_eq!(refused(&schema)[0].1, "schema_too_costly");
}

#[test]
fn references_that_lead_on_and_on_over_one_value_are_refused() {
    for each in ["oneOf", "anyOf", "allOf"] {
        let schema = chained(4_200, json!({"required": ["no"]}), |next| json!({each: [next]}));
        assert_eq!(refused(&schema)[0].1, "schema_too_costly", "{each}");
    }
    let schema = chained(4_200, json!({}), |next| json!({"dependentSchemas": {"x": next}}));
    assert_eq!(refused(&schema)[0].1, "schema_too_costly");
}

#[test]
fn a_schema_that_leads_back_to_itself_for_the_same_value_is_refused() {
    let rows = [
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        json!({"$defs": {"a": {"$anchor": "a", "allOf": [{"$ref": "#a"}]}}, "properties": {"x": {"$ref": "#a"}}}),
        json!({"anyOf": [{"type": "object"}, {"not": {"$ref": "#"}}]}),
    ];
    for schema in rows {
        assert_eq!(refused(&schema)[0].1, "schema_endless", "{schema}");
    }
}

#[test]
fn references_are_followed_wherever_they_lead() {
    let fan = |name: &str| json!({"anyOf": [{"$ref": name}, {"$ref": name}, {"$ref": name}]});
    // Over pointers to places that are no keyword's, over anchors, and over ids.
    for (by_name, name) in [(false, "#/more/d"), (true, "#d"), (true, "https://example.com/d")] {
        let mut more = Map::new();
        for n in 1..40 {
            let mut schema = fan(&format!("{name}{}", n + 1));
            if name == "#d" {
                schema["$anchor"] = json!(format!("d{n}"));
            } else if by_name {
                schema["$id"] = json!(format!("{name}{n}"));
            }
            more.insert(format!("d{n}"), schema);
        }
        more.insert("d40".to_owned(), json!({"$id": "https://example.com/d40", "$anchor": "d40"}));
        let place = if by_name { "$defs" } else { "more" };
        let schema = json!({"$ref": format!("{name}1"), place: more});
        assert!(of(&schema, Patterns(0)).is_err(), "{name}");
    }
}

#[test]
fn a_long_way_into_a_document_is_fine() {
    let schema = chained(3_000, json!({"type": "integer"}), |next| json!({"properties": {"x": next}}));
    let schema = compile(&schema);
    assert!(codes(&schema, &nested(60, json!({}))).is_empty());
    assert!(!schema.is_costly());
}

#[test]
fn schemas_that_come_back_to_every_member_many_times_end_all_the_same() {
    // Each level asks the next one twice; no reference leads back, so nothing is remembered.
    let twice = |next: Value| json!({"allOf": [{"properties": {"x": next}}, {"properties": {"x": next}}]});
    let down = compile(&chained(61, json!({"type": "string"}), twice));
    assert!(down.is_costly());
    assert_eq!(codes(&down, &nested(60, json!("it is valid"))), ["schema_not_judged"]);
    let around = compile(
        &json!({"properties": {"x": {"allOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}}, "required": ["x"]}),
    );
    assert!(around.is_costly());
    assert_eq!(codes(&around, &nested(60, json!({}))).len(), 1);
    let either =
        compile(&json!({"type": ["object", "string"], "properties": {"x": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}}));
    assert_eq!(codes(&either, &nested(60, json!(7))).len(), 1);
    let unevaluated = compile(&json!({"$ref": "#/$defs/a", "$defs": {"a": {
        "anyOf": [{"properties": {"x": {"$ref": "#/$defs/a"}}}, {"properties": {"x": {"$ref": "#/$defs/a"}}}],
        "unevaluatedProperties": {"$ref": "#/$defs/a"},
    }}}));
    assert!(codes(&unevaluated, &nested(60, json!({"y": 1}))).len() <= 1);
}

#[test]
fn the_stack_never_runs_over() {
    // As long a chain as is allowed, on every level of a document.
    let mut schema =
        chained(48, json!({"properties": {"x": {"$ref": "#"}}, "required": ["x"]}), |next| json!({"oneOf": [next]}));
    schema["type"] = json!("object");
    let schema = compile(&schema);
    let violations = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(move || codes(&schema, &nested(62, json!({}))))
        .expect("a thread")
        .join()
        .expect("it does not overflow");
    assert_eq!(violations.len(), 1, "{violations:?}");
}

#[test]
fn large_documents_and_many_demands_do_not_multiply() {
    let members: Map<String, Value> = (0..20_000).map(|n| (format!("m{n}"), json!(n))).collect();
    let data = json!({"all": members, "items": (0..20_000).collect::<Vec<_>>()});
    let demands: Vec<Value> = (0..2_000).map(|n| json!({"required": [format!("no{n}")]})).collect();
    let schema =
        compile(&json!({"additionalProperties": {"additionalProperties": {"allOf": demands}}, "allOf": demands}));
    assert!(!codes(&schema, &data).is_empty());
    let numbers: Vec<Value> = (0..3_000).map(|n| json!({"items": {"minimum": -n}})).collect();
    assert_eq!(codes(&compile(&json!({"properties": {"items": {"allOf": numbers}}})), &data), ["schema_not_judged"]);
    let patterns: Map<String, Value> = (0..100).map(|n| (format!("x{n}$"), json!(true))).collect();
    let schema = compile(&json!({"properties": {"all": {"patternProperties": patterns}}}));
    assert_eq!(codes(&schema, &data), ["schema_not_judged"]);
    let data = json!((0..5_000).collect::<Vec<_>>());
    let same: Vec<Value> = (0..10).map(|n| json!([data, n])).collect();
    let schema = compile(&json!({"properties": {"x": {"enum": same}}}));
    assert_eq!(codes(&schema, &json!({"x": [data, 17]})), ["schema_enum"]);
}

#[test]
fn patterns_that_hold_every_byte_against_all_of_them_are_counted_for_what_they_take() {
    let schema = compile(&json!({"properties": {"t": {"pattern": "(?:a|b)*a(?:a|b){600}c"}}}));
    assert!(schema.is_costly());
    assert_eq!(codes(&schema, &json!({"t": "ab".repeat(120_000)})), ["schema_not_judged"]);
    assert_eq!(codes(&schema, &json!({"t": "ab".repeat(100)})), ["schema_pattern"]);
    let too_large = json!({"properties": {"t": {"pattern": "a[ab]{10000}c"}}});
    assert_eq!(refused(&too_large), [("/schema/properties/t/pattern".to_owned(), "schema_pattern")]);
    let usual = compile(&json!({"properties": {
        "t": {"pattern": "^[a-z]+$"},
        "u": {"pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
        "e": {"pattern": "^[^@]+@[^@]+$"},
        "n": {"pattern": "^.{1,200}$"},
    }}));
    assert!(!usual.is_costly());
    assert!(codes(&usual, &json!({"t": "ab".repeat(10_000)})).is_empty());
    let names = compile(&json!({"properties": {"n": {"pattern": "^[\\p{L}' -]+$"}}}));
    assert!(!names.is_costly());
    assert!(codes(&names, &json!({"n": "Ada Lovelace ".repeat(10_000)})).is_empty());
}

#[test]
fn usual_schemas_are_taken_and_are_not_costly() {
    let any = json!({"$ref": "#/$defs/any", "$defs": {"any": {
        "type": ["object", "array", "string", "number", "boolean", "null"],
        "items": {"$ref": "#/$defs/any"}, "additionalProperties": {"$ref": "#/$defs/any"},
    }}});
    let tree = json!({
        "$id": "https://example.com/strict", "$dynamicAnchor": "node", "$ref": "tree", "unevaluatedProperties": false,
        "$defs": {"tree": {"$id": "tree", "$dynamicAnchor": "node", "type": "object", "properties": {
            "data": true, "children": {"type": "array", "items": {"$dynamicRef": "#node"}},
        }}},
    });
    let kinds: Vec<Value> = (0..300)
        .map(|n| json!({"type": "object", "required": ["kind"], "properties": {"kind": {"const": format!("k{n}")}, "n": {"type": "integer"}}}))
        .collect();
    let comment = json!({"type": "object", "required": ["text"], "properties": {
        "text": {"type": "string", "minLength": 1},
        "answers": {"type": "array", "items": {"$ref": "#"}},
        "parent": {"oneOf": [{"type": "null"}, {"$ref": "#"}]},
    }});
    for schema in [any, tree, comment] {
        let schema = compile(&schema);
        assert!(!schema.is_costly(), "{:?}", schema.cost);
    }
    let union = compile(&json!({"oneOf": kinds}));
    assert!(codes(&union, &json!({"kind": "k299", "n": 1})).is_empty());
    assert_eq!(codes(&union, &json!({"kind": "k299", "n": "1"})), ["schema_type"]);
}

#[test]
fn documents_as_large_as_they_may_be_are_judged_by_usual_schemas() {
    let line = json!({"type": "object", "required": ["n", "s"], "additionalProperties": false, "properties": {
        "n": {"type": "integer", "minimum": 0}, "s": {"type": "string", "pattern": "^[a-z]*$"},
        "of": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"enum": ["a", "b"]}}]},
    }});
    let schema = compile(
        &json!({"type": "object", "properties": {"lines": {"type": "array", "uniqueItems": true, "items": line}}}),
    );
    let mut lines: Vec<Value> = (0..8_000).map(|n| json!({"n": n, "s": "abc", "of": ["a", "b"]})).collect();
    assert!(codes(&schema, &json!({"lines": lines})).is_empty());
    lines[7_999]["n"] = json!(-1);
    let violations = schema.violations(&json!({"lines": lines}), 20);
    assert_eq!(violations.iter().map(|violation| violation.path.as_str()).collect::<Vec<_>>(), ["/data/lines/7999/n"]);
}

#[test]
fn paths_are_bounded_at_a_segment() {
    let long = "x".repeat(200_000);
    let schema = compile(
        &json!({"additionalProperties": false, "properties": {"a": {"additionalProperties": {"type": "string"}}}}),
    );
    let rows = [(json!({&long: 1}), "/data"), (json!({"a": {&long: 1}}), "/data/a")];
    for (data, path) in rows {
        let violations = schema.violations(&data, 20);
        assert_eq!((violations.len(), violations[0].path.as_str()), (1, path));
    }
    let deep = crate::schema::violation(format!("/data{}", "/0123456".repeat(100)), "schema_type", String::new());
    assert!((500..=512).contains(&deep.path.len()) && deep.path.ends_with("/0123456"), "{}", deep.path);
    let exact = "/data/".to_owned() + &"é".repeat(506);
    assert_eq!(crate::schema::violation(exact.clone(), "schema_type", String::new()).path, exact);
}
