//! JSON Schemas: what is compiled judges and explains alike, and a proof or a witness of compatibility is one.

use serde_json::{Value, json};
use tidings_catalog::compat::{Budget, Direction, Verdict, judge_within};
use tidings_catalog::definition::Compatibility;
use tidings_catalog::schema::Schema;

use super::given::{is_pointer, parts};

/// An input is a schema, a zero, another schema, a zero, and a document.
pub fn check(input: &[u8]) {
    let parts = parts(input, 3);
    let json = |index: usize| parts.get(index).and_then(|part| serde_json::from_slice::<Value>(part).ok());
    let Some(one) = json(0) else { return };
    let Some(one_compiled) = compiled(&one) else { return };
    let samples = [json!({}), json!({"amount": 1500, "name": "x"}), json!([1, "a", null]), Value::Null];
    for document in json(2).into_iter().chain(samples) {
        let violations = one_compiled.violations(&document, 20);
        assert_eq!(one_compiled.is_valid(&document), violations.is_empty(), "{one} on {document}");
        assert!(violations.iter().all(|violation| violation.path.starts_with("/data")));
    }
    for judged in judge_within(Compatibility::Full, &[&one], &one, &Budget::for_one_change()) {
        assert!(!matches!(judged.verdict, Verdict::Breaking { .. }), "{one} breaks itself: {:?}", judged.verdict);
    }
    let Some(other) = json(1) else { return };
    let Some(other_compiled) = compiled(&other) else { return };
    for judged in judge_within(Compatibility::Full, &[&one], &other, &Budget::for_one_change()) {
        let (narrow, wide) = match judged.direction {
            Direction::Backward => (&one_compiled, &other_compiled),
            Direction::Forward => (&other_compiled, &one_compiled),
        };
        match judged.verdict {
            Verdict::Breaking { witness, path, reason } => {
                assert!(narrow.is_valid(&witness) && !wide.is_valid(&witness), "{witness} shows nothing: {reason}");
                assert!(is_pointer(&path) && !reason.is_empty());
            }
            Verdict::Compatible => {
                let samples = [json!({}), json!({"amount": 1500, "name": "x"}), json!({"name": null})];
                for document in json(2).into_iter().chain(samples) {
                    let kept = !narrow.is_valid(&document) || wide.is_valid(&document);
                    assert!(kept, "{document} is lost between {one} and {other}");
                }
            }
            Verdict::Unknown { path, reason } => assert!(is_pointer(&path) && !reason.is_empty()),
        }
    }
}

fn compiled(schema: &Value) -> Option<Schema> {
    Schema::compile(schema)
        .map_err(|findings| {
            assert!(!findings.is_empty(), "refused without a reason");
            for finding in findings {
                assert!(finding.path.starts_with("/schema"), "the path {:?}", finding.path);
            }
        })
        .ok()
}
