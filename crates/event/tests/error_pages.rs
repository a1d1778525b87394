//! Every error code has its page, and every page its code.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use tidings_event::{ErrorCode, VIOLATION_CODES};

fn pages() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
}

fn page(name: &str) -> String {
    fs::read_to_string(pages().join(name)).unwrap_or_else(|e| panic!("docs/errors/{name}: {e}"))
}

fn yes_or_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

#[test]
fn each_code_has_a_page_that_states_what_the_code_states() {
    for code in ErrorCode::ALL {
        let text = page(&format!("{code}.md"));
        for line in [
            format!("# {code}"),
            format!("**{}**", code.title()),
            format!("| status | {} |", code.status()),
            format!("| retryable | {} |", yes_or_no(code.is_retryable())),
            format!("| free of side effects | {} |", yes_or_no(code.is_side_effect_free())),
            "## What to do".to_owned(),
            "## Example".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "docs/errors/{code}.md lacks the line {line:?}");
        }
    }
}

#[test]
fn each_example_is_a_problem_of_its_code() {
    for code in ErrorCode::ALL {
        let text = page(&format!("{code}.md"));
        let example = text.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
        let problem: serde_json::Value =
            serde_json::from_str(example).unwrap_or_else(|e| panic!("docs/errors/{code}.md: {e}"));
        assert_eq!(problem["type"], format!("https://tidings.dev/errors/{code}"));
        assert_eq!(problem["title"], code.title());
        assert_eq!(problem["status"], code.status());
        assert_eq!(problem["code"], code.as_str());
        assert!(problem["detail"].is_string() && problem["errors"].is_array(), "{code}");
    }
}

#[test]
fn there_is_no_page_without_a_code() {
    let files = fs::read_dir(pages()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let expected: BTreeSet<String> =
        ErrorCode::ALL.iter().map(|code| format!("{code}.md")).chain(["README.md".to_owned()]).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), expected);
}

#[test]
fn the_index_lists_every_code_with_its_properties() {
    let index = page("README.md");
    for code in ErrorCode::ALL {
        let row = format!(
            "| [`{code}`]({code}.md) | {} | {} | {} | {} |",
            code.status(),
            yes_or_no(code.is_retryable()),
            yes_or_no(code.is_side_effect_free()),
            code.title(),
        );
        assert!(index.lines().any(|line| line == row), "docs/errors/README.md lacks the row {row}");
    }
}

#[test]
fn the_index_lists_every_code_of_a_violation() {
    let index = page("README.md");
    for (code, meaning) in VIOLATION_CODES {
        let row = format!("| `{code}` | {meaning} |");
        assert!(index.lines().any(|line| line == row), "docs/errors/README.md lacks the row {row}");
    }
}
