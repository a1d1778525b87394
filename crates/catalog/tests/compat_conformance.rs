//! The checker against `schema-compatibility/vectors.json` of the conformance suite: no verdict may be wrong.

use std::path::PathBuf;

use serde_json::Value;
use tidings_catalog::compat::{Verdict, View, includes};

/// Comparisons that may stay unknown; each is explained where the test prints it.
const UNKNOWN_MAX: usize = 16;

#[test]
fn no_verdict_contradicts_the_conformance_suite() {
    let Some(suite) = std::env::var_os("TIDINGS_CONFORMANCE") else {
        println!("skipped: TIDINGS_CONFORMANCE does not say where the conformance suite is");
        return;
    };
    let path = PathBuf::from(suite).join("schema-compatibility/vectors.json");
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let (mut right, mut unknown, mut wrong) = (0, Vec::new(), Vec::new());
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
                (verdict, _) => wrong.push(format!("{id}, {direction}: said {said}, found {verdict:?}")),
            }
        }
    }
    println!("{right} right, {} unknown", unknown.len());
    unknown.iter().for_each(|unknown| println!("unknown: {unknown}"));
    assert!(wrong.is_empty(), "wrong verdicts:\n{}", wrong.join("\n"));
    assert!(unknown.len() <= UNKNOWN_MAX, "too many unknown verdicts:\n{}", unknown.join("\n"));
}
