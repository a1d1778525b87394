//! Problem documents.

use tidings_event::{ErrorCode, Problem, VIOLATION_CODES, Violation, parse_event};

use crate::given::mint;

#[test]
fn a_problem_tells_what_rfc_9457_asks_and_where() {
    let problem = Problem::from(
        parse_event(br#"{"type":"x","data":{},"tenant":"t","source":{"type":"task","id":"t"}}"#, &mut mint())
            .unwrap_err(),
    );
    let expected = serde_json::json!({
        "type": "https://tidings.dev/errors/event_invalid",
        "title": "The event is not valid",
        "status": 422,
        "detail": "/type: must be 2 to 5 dotted segments of lower snake case, like 'sales.lead.status_changed'",
        "code": "event_invalid",
        "errors": [{
            "path": "/type",
            "code": "type_malformed",
            "message": "must be 2 to 5 dotted segments of lower snake case, like 'sales.lead.status_changed'",
        }],
    });
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&problem.to_json()).unwrap(), expected);
}

#[test]
fn every_code_comes_back_from_its_problem() {
    for code in ErrorCode::ALL {
        let mut problem = Problem::new(*code, "why");
        problem.errors.push(Violation { path: "/x".into(), code: "type_malformed", message: "m".into() });
        assert_eq!(serde_json::from_slice::<Problem>(&problem.to_json()).unwrap(), problem);
        assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
    }
}

#[test]
fn a_violation_from_a_newer_server_can_be_read() {
    let json = br#"{"code":"event_invalid","errors":[{"path":"/x","code":"brand_new","message":"m"}],"extra":1}"#;
    let problem: Problem = serde_json::from_slice(json).unwrap();
    assert_eq!((problem.detail.as_str(), problem.errors[0].code), ("", "unknown"));
}

#[test]
fn codes_of_violations_are_distinct_snake_case() {
    let codes: std::collections::HashSet<&str> = VIOLATION_CODES.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes.len(), VIOLATION_CODES.len());
    assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')));
}
