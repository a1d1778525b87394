//! JSON Schemas: checked by themselves, and compiled so that documents can be judged by them.
//!
//! Draft 2020-12, or draft 7 where `$schema` says so. Formats are asserted. Patterns run on an engine whose time is
//! linear in the text, so look-around and back-references are refused. Nothing is ever fetched: a reference leads to a
//! place in the schema itself, or the schema is refused.

mod cost;
mod explain;
mod pattern;
mod structure;

use std::sync::Arc;

use jsonschema::json::Json;
use jsonschema::{Draft, Retrieve, ValidationOptions, Validator};
use serde_json::Value;
use tidings_event::limits::VIOLATIONS_MAX;
use tidings_event::{Violation, violation_code as code};

use crate::document::{Borrowed, Document, within};
use crate::report::{Finding, Subject};

pub(crate) use explain::{bounded, violation};
pub(crate) use structure::percent_decode;

/// A schema that documents can be judged by.
pub struct Schema {
    validator: Validator<Borrowed>,
    remarks: Vec<Finding>,
    cost: cost::Cost,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

impl Schema {
    /// Checks a schema by itself and compiles it. The findings are errors, their paths begin with `/schema`.
    ///
    /// What is looked at, in this order, each only if what stands before found nothing: its bounds, its draft and
    /// vocabulary; the metaschema of its draft; its references and patterns; what it costs to judge by it.
    pub fn compile(schema: &Value) -> Result<Self, Vec<Finding>> {
        let draft = structure::draft(schema)?;
        structure::check_bounds(schema)?;
        check_metaschema(schema, draft)?;
        let (remarks, patterns) = structure::check(schema, draft)?;
        let cost = cost::of(schema, patterns)?;
        let validator = options(draft).build(schema).map_err(|error| {
            let path = format!("/schema{}", error.instance_path().as_str());
            vec![error_at(path, "schema_invalid", explain::of_schema(&error))]
        })?;
        Ok(Self { validator, remarks, cost })
    }

    /// Whether judging by it may take long compared with the document's size.
    #[must_use]
    pub fn is_costly(&self) -> bool {
        self.cost.is_costly()
    }

    /// What is no mistake and yet should be looked at: formats that nobody knows, for one. Paths begin with `/schema`.
    #[must_use]
    pub fn remarks(&self) -> &[Finding] {
        &self.remarks
    }

    /// Whether a document is valid.
    #[must_use]
    pub fn is_valid(&self, data: &Value) -> bool {
        self.accepts(&Document::of(data))
    }

    /// The rules of the schema that a document breaks, at most `max`. Paths begin with `/data`.
    #[must_use]
    pub fn violations(&self, data: &Value, max: usize) -> Vec<Violation> {
        self.judge(&Document::of(data), max)
    }

    /// Whether a document is valid. One that takes too long to judge is not.
    pub(crate) fn accepts(&self, data: &Document<'_>) -> bool {
        within(self.cost.to_judge(), || self.validator.is_valid(data)) == Some(true)
    }

    /// The rules that a document breaks, at most `max`.
    #[inline]
    pub(crate) fn judge(&self, data: &Document<'_>, max: usize) -> Vec<Violation> {
        match within(self.cost.to_judge(), || self.validator.is_valid(data)) {
            Some(true) => Vec::new(),
            Some(false) => self.explain(data, max),
            None => not_judged(),
        }
    }

    #[cold]
    fn explain(&self, data: &Document<'_>, max: usize) -> Vec<Violation> {
        let all = within(self.cost.to_explain(), || {
            let mut violations = Vec::new();
            // Several keywords may say the same of one place, and then one is enough; what is looked through is bounded.
            for error in self.validator.iter_errors(data).take(max.saturating_mul(4)) {
                explain::add(&error, &mut violations, max);
            }
            violations
        });
        // Where there is too much for everything that is wrong, the first thing has to do.
        let first = || {
            let mut violations = Vec::new();
            if let Err(error) = self.validator.validate(data) {
                explain::add(&error, &mut violations, max);
            }
            violations
        };
        all.or_else(|| within(self.cost.to_explain_first(), first)).unwrap_or_else(|| {
            vec![violation("/data".to_owned(), code::SCHEMA_COMBINATION, "is not what the schema describes".to_owned())]
        })
    }
}

#[cold]
fn not_judged() -> Vec<Violation> {
    let message = "the schema takes too long on this data".to_owned();
    vec![violation("/data".to_owned(), code::SCHEMA_NOT_JUDGED, message)]
}

/// What a document with a number beyond all doubles is told.
pub(crate) fn out_of_range(path: &str) -> Violation {
    let message = "must be a number between -1.7976931348623157e308 and 1.7976931348623157e308".to_owned();
    violation(format!("/data{path}"), code::NUMBER_OUT_OF_RANGE, message)
}

/// How schemas are compiled wherever a document is judged: formats are asserted, patterns take linear time, nothing is
/// fetched.
pub(crate) fn options<F: Json>(draft: Draft) -> ValidationOptions<'static, Arc<dyn Retrieve>, F> {
    jsonschema::options_for::<F>()
        .with_draft(draft)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .with_pattern_options(pattern::options())
        .offline()
}

fn check_metaschema(schema: &Value, draft: Draft) -> Result<(), Vec<Finding>> {
    let metaschema = match draft {
        Draft::Draft7 => jsonschema::draft7::meta::validator(),
        _ => jsonschema::draft202012::meta::validator(),
    };
    if metaschema.is_valid(schema) {
        return Ok(());
    }
    let mut violations = Vec::new();
    for error in metaschema.iter_errors(schema).take(VIOLATIONS_MAX * 4) {
        explain::add(&error, &mut violations, VIOLATIONS_MAX);
    }
    let found = violations.into_iter().map(|violation| {
        let path = violation.path.strip_prefix("/data").unwrap_or(&violation.path);
        error_at(format!("/schema{path}"), "schema_invalid", format!("is not JSON Schema: {}", violation.message))
    });
    Err(found.collect())
}

/// An error about a schema.
fn error_at(path: String, code: &'static str, message: String) -> Finding {
    Finding::error(Subject::Schema, code, path, message)
}

#[cfg(test)]
mod tests;
