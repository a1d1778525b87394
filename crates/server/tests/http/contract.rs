//! That the OpenAPI document says what the server does.

use http::Method;
use serde_json::Value;
use tidings_event::ErrorCode;

use crate::support::{Document, Server};

/// Set to write the document instead of comparing it.
const UPDATE: &str = "TIDINGS_UPDATE_OPENAPI";

#[test]
fn the_committed_document_is_the_one_that_the_code_gives() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let json = tidings_server::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(path, json).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == json,
        "docs/openapi.json is not up to date: run this test with {UPDATE}=1, or tidings openapi"
    );
}

#[tokio::test]
async fn the_served_document_is_the_one_that_the_code_gives() {
    let server = Server::start().await;
    let served = server.anyone().get("/openapi.json").send().await.expect(200);
    assert_eq!(served.json(), Document::get().json);
    assert_eq!(served.json()["openapi"], "3.1.0");
}

#[test]
fn every_route_of_the_router_is_in_the_document() {
    // Routes reach the router through `routes!`, which documents them; nothing else may add one.
    for file in ["src/lib.rs", "src/operations.rs"] {
        let source = std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(!source.contains(".route("), "{file} adds a route that is not documented");
    }
    let operations = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/operations")).unwrap();
    let files = operations.filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_file()).count();
    assert_eq!(files, Document::get().operations().len(), "one file an operation");
}

#[tokio::test]
async fn every_documented_operation_is_served() {
    let server = Server::start().await;
    for operation in Document::get().operations() {
        let answer = server.anyone().request(operation.method.clone(), &operation.path).send().await;
        assert!(!matches!(answer.status.as_u16(), 404 | 405), "{} is not served", operation.id);
    }
}

#[test]
fn every_problem_code_is_documented() {
    let document = Document::get();
    let listed = document.json["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(listed.iter().filter_map(Value::as_str).collect::<Vec<_>>(), codes);
    // These are answered where no operation is.
    let beside = ["route_not_found", "method_not_allowed"];
    for code in codes.iter().filter(|code| !beside.contains(code)) {
        let documented = document.operations().iter().any(|operation| {
            let responses = operation.json["responses"].as_object().unwrap();
            responses.values().any(|r| r["content"]["application/problem+json"]["examples"][*code].is_object())
        });
        assert!(documented, "no operation documents {code}");
    }
}

#[test]
fn every_operation_parameter_and_member_is_described() {
    let document = Document::get();
    let described = |value: &Value| value["description"].as_str().is_some_and(|text| !text.is_empty());
    for operation in document.operations() {
        assert!(operation.json["summary"].is_string(), "{} has no summary", operation.id);
        assert!(described(&operation.json), "{} is not described", operation.id);
        for parameter in operation.json["parameters"].as_array().into_iter().flatten() {
            assert!(described(parameter), "{}: {} is not described", operation.id, parameter["name"]);
        }
        let says_all = ["confirm_intent", "verify_endpoint", "redrive_dead_letter", "redrive_quarantined"];
        if operation.method == Method::POST && !says_all.contains(&operation.id.as_str()) {
            assert!(operation.json["requestBody"].is_object(), "{} has no body", operation.id);
        }
    }
    for (name, schema) in document.json["components"]["schemas"].as_object().unwrap() {
        assert!(described(schema), "{name} is not described");
        for (member, property) in schema["properties"].as_object().into_iter().flatten() {
            let by_reference = property["$ref"].is_string() || property["oneOf"].is_array();
            assert!(described(property) || by_reference, "{name}.{member} is not described");
        }
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                members.values().for_each(|member| check(member, document));
            }
            Value::Array(elements) => elements.iter().for_each(|element| check(element, document)),
            _ => {}
        }
    }
    check(&Document::get().json, &Document::get().json);
}
