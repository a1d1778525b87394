//! Conversions: how data of one version of a type becomes data of another.
//!
//! A definition says how data of the version below becomes its own (`upcast`), and the other way round (`downcast`);
//! conversions between versions further apart are chains of these. What comes out is valid under the schema of the
//! version that was asked for, or there is an error: nobody is handed something that he was not promised.
//!
//! Numbers keep their value as far as 64-bit integers and doubles hold it; members come out sorted by name.

mod steps;
#[cfg(test)]
mod tests;

use serde_json::Value;
use tidings_event::limits::DATA_BYTES_MAX;
use tidings_event::{EventType, Version};

use crate::definition::{Conversion, Step};
use crate::document::{Document, Unreadable};
use crate::rules::{Expression, Sees};
use crate::schema::{Schema, bounded};

/// Why data could not be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The catalog does not know the version that is asked for.
    #[error("the catalog does not know {event_type} in version {version}")]
    Unknown {
        /// The type.
        event_type: EventType,
        /// The version that is asked for.
        version: Version,
    },
    /// No chain of conversions leads from one version to the other.
    #[error("no conversions lead from version {from} to version {to}")]
    NoChain {
        /// The version of the data.
        from: Version,
        /// The version that is asked for.
        to: Version,
    },
    /// The data is not JSON that can be calculated with.
    #[error("the data cannot be read: {0}")]
    Unreadable(String),
    /// A step could not be done.
    #[error("step {} of the conversion between version {other} and version {version}: {reason}", step + 1)]
    Step {
        /// The version whose definition holds the conversion.
        version: Version,
        /// The other version.
        other: Version,
        /// The step, from 0.
        step: usize,
        /// Why not.
        reason: String,
    },
    /// What came out is not valid in the version that is asked for.
    #[error("what comes out is not valid: {path}: {message}")]
    Invalid {
        /// The first place that is wrong, like `/data/amount`.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// What came out has more than 256 KiB.
    #[error("what comes out is larger than {DATA_BYTES_MAX} bytes")]
    TooLarge,
}

/// A conversion, compiled.
#[derive(Debug)]
pub(crate) struct Converter {
    /// The version whose definition holds it.
    version: Version,
    other: Version,
    steps: Vec<Ready>,
}

/// A step with its expression compiled, if it has one.
#[derive(Debug)]
struct Ready {
    step: Step,
    expression: Option<Expression>,
}

impl Converter {
    /// Compiles a conversion of a version's definition; the errors are its steps' indexes and what is wrong with them.
    pub(crate) fn compile(version: &Version, conversion: &Conversion) -> Result<Self, Vec<(usize, String)>> {
        let mut errors = Vec::new();
        let mut steps = Vec::with_capacity(conversion.steps.len());
        for (index, step) in conversion.steps.iter().enumerate() {
            let expression = match step {
                Step::Compute { expression, .. } => Expression::compile(expression, Sees::Data).map(Some),
                _ => Ok(None),
            };
            match expression {
                Ok(expression) => steps.push(Ready { step: step.clone(), expression }),
                Err(message) => errors.push((index, message)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self { version: version.clone(), other: conversion.other.clone(), steps })
    }

    /// The version at the other end.
    pub(crate) fn other(&self) -> &Version {
        &self.other
    }

    /// Does its steps, one after the other.
    pub(crate) fn apply(&self, data: &mut Value) -> Result<(), ConvertError> {
        let mut room = steps::Room::new();
        for (index, ready) in self.steps.iter().enumerate() {
            let computed = ready.expression.as_ref().map(|expression| expression.over_data(&Document::of(data)));
            let done = computed
                .transpose()
                .map_err(|failure| failure.to_string())
                .and_then(|value| steps::apply(&ready.step, value, data, &mut room));
            done.map_err(|reason| ConvertError::Step {
                version: self.version.clone(),
                other: self.other.clone(),
                step: index,
                reason: bounded(reason),
            })?;
        }
        Ok(())
    }
}

/// Reads data that is to be converted.
pub(crate) fn read(data: &[u8]) -> Result<Value, ConvertError> {
    match Document::parse(data) {
        Ok(document) => Ok(document.to_value()),
        Err(Unreadable::Number(path)) => Err(ConvertError::Unreadable(format!("{path} is too large a number"))),
        Err(Unreadable::Fault(fault)) => Err(ConvertError::Unreadable(fault.to_string())),
    }
}

/// Writes what came out, if it is what was promised.
pub(crate) fn write(data: &Value, schema: &Schema) -> Result<Vec<u8>, ConvertError> {
    if !schema.is_valid(data) {
        let first = schema.violations(data, 1).into_iter().next();
        let (path, message) = first.map_or_else(
            || ("/data".to_owned(), "breaks the schema".to_owned()),
            |violation| (violation.path, violation.message),
        );
        return Err(ConvertError::Invalid { path, message });
    }
    let text = data.to_string();
    if text.len() > DATA_BYTES_MAX { Err(ConvertError::TooLarge) } else { Ok(text.into_bytes()) }
}
