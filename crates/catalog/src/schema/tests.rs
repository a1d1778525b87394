use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::limits::SCHEMA_DEPTH_MAX;
use crate::testing::any_json;

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "schemas are written where they are used")]
fn compile(schema: Value) -> Schema {
    Schema::compile(&schema).unwrap_or_else(|found| panic!("{found:#?}"))
}

#[test]
fn what_breaks_a_schema_is_told_with_its_code_and_its_place() {
    let defs = json!({
        "a": {"type": "object", "properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}, "required": ["n"]},
        "b": {"type": "object", "properties": {"kind": {"const": "b"}, "s": {"type": "string"}}, "required": ["s"]},
    });
    let rows = [
        (
            json!({"properties": {"x": {"type": "string"}}}),
            json!({"x": 1}),
            "/data/x",
            "schema_type",
            "must be a string",
        ),
        (
            json!({"properties": {"x": {"type": ["string", "null"]}}}),
            json!({"x": 1}),
            "/data/x",
            "schema_type",
            "must be null or a string",
        ),
        (json!({"required": ["x/y"]}), json!({}), "/data/x~1y", "schema_required", "is required"),
        (
            json!({"properties": {"x": {"required": ["y"]}}}),
            json!({"x": {}}),
            "/data/x/y",
            "schema_required",
            "is required",
        ),
        (
            json!({"properties": {"a": true}, "additionalProperties": false}),
            json!({"b": 1}),
            "/data/b",
            "schema_unknown_member",
            "there is no such member in the schema",
        ),
        (
            json!({"allOf": [{"properties": {"a": true}}], "unevaluatedProperties": false}),
            json!({"c": 1}),
            "/data/c",
            "schema_unknown_member",
            "there is no such member in the schema",
        ),
        (
            json!({"properties": {"x": {"enum": ["a", 2]}}}),
            json!({"x": "b"}),
            "/data/x",
            "schema_enum",
            "must be one of \"a\", 2",
        ),
        (json!({"properties": {"x": {"const": 3}}}), json!({"x": 4}), "/data/x", "schema_const", "must be 3"),
        (
            json!({"properties": {"x": {"format": "date"}}}),
            json!({"x": "15.3.2026"}),
            "/data/x",
            "schema_format",
            "must be a date, like 2026-03-15",
        ),
        (
            json!({"properties": {"x": {"pattern": "^a+$"}}}),
            json!({"x": "b"}),
            "/data/x",
            "schema_pattern",
            "must match the pattern ^a+$",
        ),
        (
            json!({"properties": {"x": {"minimum": 3}}}),
            json!({"x": 2}),
            "/data/x",
            "schema_range",
            "must be at least 3",
        ),
        (
            json!({"properties": {"x": {"exclusiveMaximum": 3}}}),
            json!({"x": 3}),
            "/data/x",
            "schema_range",
            "must be less than 3",
        ),
        (
            json!({"properties": {"x": {"multipleOf": 0.01}}}),
            json!({"x": 0.005}),
            "/data/x",
            "schema_range",
            "must be a multiple of 0.01",
        ),
        (
            json!({"properties": {"x": {"minLength": 2}}}),
            json!({"x": "é"}),
            "/data/x",
            "schema_length",
            "must have at least 2 characters",
        ),
        (
            json!({"properties": {"x": {"maxItems": 1}}}),
            json!({"x": [1, 2]}),
            "/data/x",
            "schema_items",
            "must have at most 1 element",
        ),
        (
            json!({"properties": {"x": {"uniqueItems": true}}}),
            json!({"x": [1, 1.0]}),
            "/data/x",
            "schema_items",
            "must not hold an element twice",
        ),
        (
            json!({"properties": {"x": {"contains": {"const": 1}}}}),
            json!({"x": [2]}),
            "/data/x",
            "schema_items",
            "must hold as many elements of the described kind as the schema asks for",
        ),
        (
            json!({"properties": {"x": {"items": {"type": "string"}}}}),
            json!({"x": ["a", 1]}),
            "/data/x/1",
            "schema_type",
            "must be a string",
        ),
        (json!({"minProperties": 1}), json!({}), "/data", "schema_members", "must have at least 1 member"),
        (
            json!({"propertyNames": {"maxLength": 1}}),
            json!({"long": 1}),
            "/data",
            "schema_members",
            "has a member whose name is not allowed: it must have at most 1 character",
        ),
        (json!({"dependentRequired": {"a": ["b"]}}), json!({"a": 1}), "/data/b", "schema_required", "is required"),
        (
            json!({"not": {"required": ["a"]}}),
            json!({"a": 1}),
            "/data",
            "schema_combination",
            "must not be what the schema excludes",
        ),
        (
            json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({"a": 1, "b": 1}),
            "/data",
            "schema_combination",
            "must match exactly one of the alternatives, not several",
        ),
        (
            json!({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({}),
            "/data",
            "schema_combination",
            "must match one of the 2 alternatives of the schema",
        ),
        (
            json!({"$defs": defs, "properties": {"x": {"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]}}}),
            json!({"x": {"kind": "b", "s": 1}}),
            "/data/x/s",
            "schema_type",
            "must be a string",
        ),
        (
            json!({"properties": {"x": {"anyOf": [{"type": "null"}, {"type": "object", "required": ["y"]}]}}}),
            json!({"x": {}}),
            "/data/x/y",
            "schema_required",
            "is required",
        ),
        (
            json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}}),
            json!({"a": 1}),
            "/data/b",
            "schema_required",
            "is required",
        ),
        (json!({"properties": {"x": false}}), json!({"x": 1}), "/data/x", "schema_false", "must not be there"),
    ];
    for (schema, data, path, code, message) in rows {
        let compiled = compile(schema.clone());
        assert!(!compiled.is_valid(&data), "{schema} {data}");
        let violations = compiled.violations(&data, 20);
        let found = violations.first().unwrap_or_else(|| panic!("nothing is said about {schema} {data}"));
        assert_eq!((found.path.as_str(), found.code, found.message.as_str()), (path, code, message), "{schema} {data}");
        assert_eq!(violations.len(), 1, "{violations:#?}");
    }
}

#[test]
fn a_schema_that_cannot_be_judged_by_is_refused_with_its_place() {
    let deep = (0..SCHEMA_DEPTH_MAX).fold(json!({}), |inner, _| json!({"not": inner}));
    let rows = [
        (json!("string"), "/schema", "schema_not_object"),
        (json!({"$schema": "http://json-schema.org/draft-04/schema#"}), "/schema/$schema", "schema_draft_unknown"),
        (json!({"$schema": 7}), "/schema/$schema", "schema_draft_unknown"),
        (json!({"$vocabulary": {"https://example.com/v": true}}), "/schema/$vocabulary", "schema_vocabulary"),
        (json!({"type": "strnig"}), "/schema/type", "schema_invalid"),
        (json!({"properties": {"a": {"minimum": "3"}}}), "/schema/properties/a/minimum", "schema_invalid"),
        (json!({"properties": {"a": {"required": "a"}}}), "/schema/properties/a/required", "schema_invalid"),
        (json!({"properties": {"a": 7}}), "/schema/properties/a", "schema_invalid"),
        (json!({"$ref": "https://example.com/a.json"}), "/schema/$ref", "schema_ref_remote"),
        (json!({"properties": {"a": {"$ref": "b.json#/c"}}}), "/schema/properties/a/$ref", "schema_ref_remote"),
        (json!({"items": {"$ref": "#/$defs/missing"}}), "/schema/items/$ref", "schema_ref_unresolved"),
        (json!({"properties": {"a": {"pattern": "(?=a)b"}}}), "/schema/properties/a/pattern", "schema_pattern"),
        (json!({"properties": {"a": {"pattern": "(a)\\1"}}}), "/schema/properties/a/pattern", "schema_pattern"),
        (json!({"patternProperties": {"(": true}}), "/schema/patternProperties/(", "schema_"),
        (
            json!({"properties": {"a": {"pattern": "((a{1,100}){1,100}){1,100}"}}}),
            "/schema/properties/a/pattern",
            "schema_pattern",
        ),
        (json!({"properties": {"a": false}, "required": ["a"]}), "/schema/required", "schema_contradicts"),
        (deep, "/schema", "schema_too_deep"),
    ];
    for (schema, path, code) in rows {
        let found = Schema::compile(&schema).expect_err("it must be refused");
        let first = found.first().expect("it is said why");
        assert!(first.path == path && first.code.starts_with(code), "{schema}: {found:#?}");
    }
}

#[test]
fn a_reference_is_never_fetched_even_from_what_is_not_used() {
    assert!(Schema::compile(&json!({"$defs": {"a": {"$ref": "http://127.0.0.1:9/x"}}})).is_err());
    assert!(Schema::compile(&json!({"$defs": {"a": {"$ref": "file:///etc/passwd"}}})).is_err());
}

#[test]
fn references_within_the_schema_are_followed() {
    let rows = [
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"required": ["x"]}}}),
        json!({"$ref": "#a", "$defs": {"a": {"$anchor": "a", "required": ["x"]}}}),
        json!({"$id": "https://example.com/root", "$ref": "inner", "$defs": {"a": {"$id": "inner", "required": ["x"]}}}),
        json!({"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": {"required": ["x"]}}}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/a", "definitions": {"a": {"required": ["x"]}}}),
    ];
    for schema in rows {
        let compiled = compile(schema.clone());
        assert!(compiled.is_valid(&json!({"x": 1})), "{schema}");
        assert!(!compiled.is_valid(&json!({})), "{schema}");
    }
}

#[test]
fn draft_7_is_taken_where_the_schema_says_so() {
    let tuple = json!({"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"x": {"items": [{"type": "string"}]}}});
    assert!(!compile(tuple).is_valid(&json!({"x": [1]})));
    assert!(Schema::compile(&json!({"properties": {"x": {"items": [{"type": "string"}]}}})).is_err());
}

#[test]
fn formats_that_nobody_knows_are_remarked_and_not_checked() {
    let schema = compile(json!({"properties": {"x": {"format": "iban"}, "y": {"format": "date-time"}}}));
    let remarks: Vec<_> = schema.remarks().iter().map(|finding| (finding.path.as_str(), finding.code)).collect();
    assert_eq!(remarks, [("/schema/properties/x/format", "schema_format_unknown")]);
    assert!(schema.is_valid(&json!({"x": "nonsense"})));
}

#[test]
fn messages_are_bounded_and_violations_too() {
    let many: Vec<String> = (0..500).map(|i| format!("value-{i}-{}", "x".repeat(100))).collect();
    let schema = compile(json!({"additionalProperties": {"enum": many}, "propertyNames": {"pattern": "^.{0,200}$"}}));
    let data = Value::Object((0..100).map(|i| (format!("m{i}"), json!(i))).collect());
    let violations = schema.violations(&data, 20);
    assert_eq!(violations.len(), 20);
    assert!(violations.iter().all(|violation| violation.message.chars().count() <= 300));
}

#[test]
fn a_schema_that_refers_to_itself_many_times_is_judged_in_bounded_time() {
    let schema = compile(json!({
        "properties": {"x": {"allOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}}
    }));
    let data = (0..60).fold(json!({}), |inner, _| json!({"x": inner}));
    assert!(schema.is_valid(&data));
}

proptest! {
    #[test]
    fn judging_any_document_by_any_small_schema_never_panics(schema in any_json(), data in any_json()) {
        if let Ok(schema) = Schema::compile(&json!({"properties": {"a": schema}})) {
            let violations = schema.violations(&data, 20);
            prop_assert_eq!(schema.is_valid(&data), violations.is_empty());
        }
    }

    #[test]
    fn a_document_is_valid_exactly_if_nothing_is_said_against_it(data in any_json()) {
        let schema = compile(json!({
            "properties": {"a": {"type": "string", "minLength": 1}, "b": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"minimum": 3}]}},
            "additionalProperties": {"type": ["object", "null"]},
        }));
        let reference = jsonschema::options().build(&json!({
            "properties": {"a": {"type": "string", "minLength": 1}, "b": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"minimum": 3}]}},
            "additionalProperties": {"type": ["object", "null"]},
        })).expect("a schema");
        prop_assert_eq!(schema.is_valid(&data), reference.is_valid(&data));
        prop_assert_eq!(schema.is_valid(&data), schema.violations(&data, 20).is_empty());
    }
}
