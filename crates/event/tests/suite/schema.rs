//! Structured CloudEvents against the schema that the specification publishes.

use proptest::test_runner::TestRunner;
use tidings_event::cloudevents;

use crate::given::{self, full_event, recorded, sparse_event};

#[test]
fn structured_events_follow_the_published_schema() {
    let Some(directory) = std::env::var_os("TIDINGS_CONFORMANCE") else {
        println!("skipped: TIDINGS_CONFORMANCE does not name the directory of conformance files");
        return;
    };
    let file = std::path::Path::new(&directory).join("cloudevents/cloudevents.schema.json");
    let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let check = |event| {
        let mut json = Vec::new();
        cloudevents::write_structured(&recorded(event), &mut json);
        let document: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&document).map(|error| format!("{error}: {document}")).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        // The attributes' names and types are the specification's own rules, which the schema leaves out.
        for (name, value) in document.as_object().unwrap() {
            assert!(name.len() <= 20 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{name}");
            assert!(name == "data" || value.is_string(), "{name}");
        }
    };
    check(full_event());
    check(sparse_event());
    // serde_json reads neither numbers that fit no float nor half surrogate pairs.
    let readable = (given::events(), given::json(false));
    TestRunner::default()
        .run(&readable, |(mut event, value)| {
            event.data = tidings_event::Data::parse(format!("{{\"value\":{value}}}")).unwrap();
            check(event);
            Ok(())
        })
        .unwrap();
}
