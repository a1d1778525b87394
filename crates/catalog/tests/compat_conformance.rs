//! The checker against `schema-compatibility/vectors.json` of the conformance suite: no verdict may be wrong.

use std::path::PathBuf;

use serde_json::Value;
use tidings_catalog::compat::{Verdict, View, includes};

/// Comparisons that may stay unknown; each is explained where the test prints it.
const UNKNOWN_MAX: usize = 4;

/// Vectors that deny an inclusion which JSON Schema grants, and why it does. No document shows the denial: the test
/// would fail with the witness that the checker finds.
const DENIED_WRONGLY: [(&str, &str); 7] = [
    ("String: pattern 1", "patterns are not anchored: [a-z]* matches every string, at its start, with no character"),
    ("String: pattern 2", "patterns are not anchored: [a-z]* and [A-Z]* both match every string"),
    ("Const", "a string that is an array does not exist: no document fulfils either schema"),
    ("Complex: anyOf 1", "what is not a string has no length: a string, or something not longer than 5, is everything"),
    ("Conditional: if", "where the case is lower or upper, that it is lower or lowerCase means that it is lower"),
    ("Conditional: then", "patterns are not anchored: [a-z]* takes nothing away from the strings"),
    ("Conditional: else", "patterns are not anchored: [A-Z]* takes nothing away from the strings"),
];

#[test]
fn no_verdict_contradicts_the_conformance_suite() {
    let Some(suite) = std::env::var_os("TIDINGS_CONFORMANCE") else {
        println!("skipped: TIDINGS_CONFORMANCE does not say where the conformance suite is");
        return;
    };
    let path = PathBuf::from(suite).join("schema-compatibility/vectors.json");
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let (mut right, mut disputed, mut unknown, mut wrong) = (0, 0, Vec::new(), Vec::new());
    for vector in vectors["tests"].as_array().unwrap() {
        let (id, said) = (vector["id"].as_str().unwrap(), vector["compatibility"].as_str().unwrap());
        let (original, updated) = (&vector["original"], &vector["updated"]);
        for (direction, narrow, wide, included) in [
            ("backward", original, updated, matches!(said, "backward" | "both")),
            ("forward", updated, original, matches!(said, "forward" | "both")),
        ] {
            match (includes(narrow, View::AsIs, wide, View::AsIs), included) {
                (Verdict::Compatible, true) | (Verdict::Breaking { .. }, false) => right += 1,
                (Verdict::Unknown { path, reason }, _) => {
                    unknown.push(format!("{id}, {direction} (said to be {said}): at '{path}': {reason}"));
                }
                (Verdict::Compatible, false) if DENIED_WRONGLY.iter().any(|(denied, _)| *denied == id) => disputed += 1,
                (verdict, _) => wrong.push(format!("{id}, {direction}: said {said}, found {verdict:?}")),
            }
        }
    }
    println!("{right} right, {disputed} proved against the vector's word, {} unknown", unknown.len());
    unknown.iter().for_each(|unknown| println!("unknown: {unknown}"));
    DENIED_WRONGLY.iter().for_each(|(id, why)| println!("denied wrongly: {id}: {why}"));
    assert!(wrong.is_empty(), "wrong verdicts:\n{}", wrong.join("\n"));
    assert!(unknown.len() <= UNKNOWN_MAX, "too many unknown verdicts:\n{}", unknown.join("\n"));
}
