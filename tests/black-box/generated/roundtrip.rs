//! Reads events, a JSON array on stdin; writes what the generated crate makes of each, a JSON array on stdout.

use serde_json::{Value, json};

fn main() {
    let events: Vec<Value> = serde_json::from_reader(std::io::stdin()).expect("a JSON array");
    let outcomes: Vec<Value> = events
        .into_iter()
        .map(|event| match CRATE::AnyEvent::parse(event.to_string()) {
            Ok(parsed) => {
                json!({ "event": parsed.to_value(), "known": !matches!(parsed, CRATE::AnyEvent::Unknown(_)) })
            }
            Err(error) => json!({ "error": error.to_string() }),
        })
        .collect();
    println!("{}", Value::from(outcomes));
}
