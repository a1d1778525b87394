//! A definition by itself: its schema and its examples.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_event::{EventType, Version};

use super::error;
use crate::definition::Definition;
use crate::entry::Set;
use crate::report::{Finding, Subject};
use crate::schema::Schema;

pub(super) fn examine(
    definition: &Definition,
    _sets: &BTreeMap<String, Set>,
    _others: &dyn Fn(&EventType, &Version) -> Option<Arc<Definition>>,
) -> Vec<Finding> {
    match Schema::compile(&definition.schema) {
        Err(findings) => findings,
        Ok(schema) => {
            let mut findings = schema.remarks().to_vec();
            for (index, example) in definition.examples.iter().enumerate() {
                for violation in schema.violations(&example.data, 5) {
                    let message = format!("{}: {}", violation.path, violation.message);
                    let path = format!("/examples/{index}{}", violation.path);
                    findings.push(error(Subject::Example, "example_invalid", &path, message));
                }
            }
            findings
        }
    }
}
