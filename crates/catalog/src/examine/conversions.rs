//! Whether conversions do what their tests say, and whether what comes out is valid.

use std::sync::Arc;

use serde_json::Value;
use tidings_event::{EventType, Version};

use super::VIOLATIONS_TOLD;
use crate::convert::Converter;
use crate::definition::{Conversion, Definition};
use crate::judge::of_step;
use crate::report::{Finding, Severity, Subject};
use crate::schema::{Schema, bounded};

pub(super) fn examine(
    definition: &Definition,
    schema: &Schema,
    others: &dyn Fn(&EventType, &Version) -> Option<Arc<Definition>>,
    findings: &mut Vec<Finding>,
) {
    for (member, conversion) in [("upcast", &definition.upcast), ("downcast", &definition.downcast)] {
        let Some(conversion) = conversion else { continue };
        let converter = match Converter::compile(&definition.version, conversion) {
            Ok(converter) => converter,
            Err(errors) => {
                findings.extend(errors.into_iter().map(|(step, message)| of_step(member, step, message)));
                continue;
            }
        };
        let other = others(&definition.name, &conversion.other);
        // Where the other version is not known or not right, that is told elsewhere; what can be judged is.
        let other_schema = other.as_ref().and_then(|other| Schema::compile(&other.schema).ok());
        let (source, target) = match member {
            "upcast" => (other_schema.as_ref(), Some(schema)),
            _ => (Some(schema), other_schema.as_ref()),
        };
        let examples: &[_] = match (member, &other) {
            ("upcast", Some(other)) => &other.examples,
            ("upcast", None) => &[],
            _ => &definition.examples,
        };
        let mut check = Check { member, converter: &converter, source, target, findings };
        check.tests(conversion);
        for example in examples {
            check.example(&example.name, &example.data);
        }
        if conversion.tests.is_empty() {
            let path = format!("/{member}/tests");
            let (severity, message) = match examples {
                [] => (Severity::Error, "is not tested: say what shall come out of what"),
                _ => (Severity::Info, "is tried on examples alone: say what shall come out of what"),
            };
            let mut finding =
                Finding::new(severity, Subject::Conversion, "conversion_untested", path, message.to_owned());
            finding.overridable = severity == Severity::Error;
            findings.push(finding);
        }
    }
}

struct Check<'c> {
    member: &'static str,
    converter: &'c Converter,
    /// Of the version that is converted from, and to; none where it is not known.
    source: Option<&'c Schema>,
    target: Option<&'c Schema>,
    findings: &'c mut Vec<Finding>,
}

impl Check<'_> {
    fn tests(&mut self, conversion: &Conversion) {
        for (index, test) in conversion.tests.iter().enumerate() {
            let at = format!("/{}/tests/{index}", self.member);
            let wrong = self.source.map(|schema| schema.violations(&test.from, VIOLATIONS_TOLD));
            for violation in wrong.into_iter().flatten() {
                let path = format!("{at}/from{}", violation.path.strip_prefix("/data").unwrap_or_default());
                let message = format!("is not valid in the version that is converted from: {}", violation.message);
                self.tell(Severity::Error, "conversion_test_invalid", path, message, None);
            }
            let mut data = test.from.clone();
            match self.converter.apply(&mut data) {
                Err(error) => {
                    self.tell(Severity::Error, "conversion_fails", at, error.to_string(), Some(test.from.clone()));
                }
                Ok(()) if !same(&data, &test.to) => {
                    let message = "something else comes out; the document shows what".to_owned();
                    self.tell(Severity::Error, "conversion_test_fails", format!("{at}/to"), message, Some(data));
                }
                Ok(()) => self.comes_out(Severity::Error, &format!("{at}/to"), &data, "what comes out"),
            }
        }
    }

    /// Tries an example of the version that is converted from. An older version may be unable to say what a newer one
    /// says: then such events are delivered as they are, and that is good to know and no fault.
    fn example(&mut self, name: &str, data: &Value) {
        if self.source.is_some_and(|schema| !schema.is_valid(data)) {
            return;
        }
        let path = format!("/{}/steps", self.member);
        let severity = if self.member == "downcast" { Severity::Info } else { Severity::Error };
        let mut converted = data.clone();
        match self.converter.apply(&mut converted) {
            Err(error) => {
                let message = format!("the example \"{name}\" cannot be converted: {error}");
                self.tell(severity, "conversion_fails", path, message, Some(data.clone()));
            }
            Ok(()) => self.comes_out(severity, &path, &converted, &format!("what comes out of the example \"{name}\"")),
        }
    }

    fn comes_out(&mut self, severity: Severity, path: &str, data: &Value, what: &str) {
        let first = self.target.and_then(|schema| schema.violations(data, 1).into_iter().next());
        if let Some(violation) = first {
            let message = format!("{what} is not valid: {}: {}", violation.path, violation.message);
            self.tell(severity, "conversion_invalid_result", path.to_owned(), message, Some(data.clone()));
        }
    }

    fn tell(&mut self, severity: Severity, code: &'static str, path: String, message: String, witness: Option<Value>) {
        let mut finding = Finding::new(severity, Subject::Conversion, code, path, bounded(message));
        finding.witness = witness;
        self.findings.push(finding);
    }
}

/// Whether two documents say the same; numbers by what they mean.
fn same(a: &Value, b: &Value) -> bool {
    jsonschema::json::cmp::equal(a, b)
}
