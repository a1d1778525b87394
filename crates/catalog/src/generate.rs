//! What is generated from definitions: typed events in four languages, Protobuf messages, an AsyncAPI document.
//!
//! The schemas become one model that knows no language ([`model`]); each target is a writer over it. Three rules hold
//! for all of them:
//!
//! - A type takes every document that its schema takes. What a language's types cannot say (patterns, bounds, a union
//!   whose members nothing tells apart) becomes a wider type, raw JSON in the end. The catalog checks the rest at the
//!   door. One exception: a schema with `properties` and without `type` is taken for an object's.
//! - Nothing is lost from parsing to writing. Members that the schema does not declare are kept, for a producer may
//!   declare more of them later; `null` and a missing member stay apart; numbers keep their digits where the
//!   language can.
//! - Names depend on the definition alone: on the type, the version, and the path of members. To add a member or a
//!   type renames nothing else (but where two names differ in case or underscores only).
//!
//! Members stand in the order of their names, required ones first.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::definition::{Definition, words};
use crate::report::{Finding, Severity, Subject};

mod asyncapi;
mod golang;
mod model;
mod names;
mod protobuf;
mod python;
mod rust;
mod text;
mod typescript;

pub use protobuf::LOCK_FILE as PROTO_LOCK_FILE;

words!(
    /// What to generate.
    Target {
        /// A crate: serde and `serde_json`.
        Rust = "rust",
        /// A package of ES modules in strict TypeScript, without dependencies.
        Typescript = "typescript",
        /// A package for Python 3.9 and later, typed, without dependencies.
        Python = "python",
        /// A module for Go 1.19 and later, without dependencies.
        Go = "go",
        /// Messages in proto3, and the file that keeps their field numbers.
        Protobuf = "protobuf",
        /// One AsyncAPI 3.0 document in JSON.
        Asyncapi = "asyncapi",
    }
);

/// A generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it belongs, relative to the folder of the output, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// What the output is called and says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The name of the product, for people.
    pub title: String,
    /// The version of the package or document, like `1.4.0`.
    pub version: String,
    /// A sentence about it.
    pub description: String,
    /// The name of the crate, package or module; each language writes it as it must, so `acme-events` becomes the
    /// Python package `acme_events`. For Go it may be a whole module path, `example.com/acme/events`.
    pub package: String,
    /// The URL under which Tidings is reached, for the AsyncAPI document.
    pub server_url: Option<String>,
    /// The URL of the documentation, for the AsyncAPI document.
    pub docs_url: Option<String>,
    /// The text of the [`PROTO_LOCK_FILE`] that was generated last, if there is one: it keeps field numbers as they are.
    pub proto_lock: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            title: "Events".to_owned(),
            version: "0.1.0".to_owned(),
            description: "The events of this product, as its catalog declares them.".to_owned(),
            package: "events".to_owned(),
            server_url: None,
            docs_url: None,
            proto_lock: None,
        }
    }
}

/// Generates one target from definitions, in any order; the same input gives the same output, byte for byte.
///
/// # Errors
/// What stands against it: no definitions, the same version twice, an unusable name in the options, a lock file that
/// cannot be read.
pub fn generate(target: Target, definitions: &[Arc<Definition>], options: &Options) -> Result<Vec<File>, Vec<Finding>> {
    let mut sorted: Vec<Arc<Definition>> = definitions.to_vec();
    sorted.sort_by(|a, b| order_of(a).cmp(&order_of(b)));
    let mut faults: Vec<Finding> = sorted
        .windows(2)
        .filter(|pair| pair[0].name == pair[1].name && pair[0].version == pair[1].version)
        .map(|pair| fault("generate_twice", format!("{}@{} is there twice", pair[0].name, pair[0].version)))
        .collect();
    if names::words(&options.package).is_empty() {
        faults.push(fault("generate_package", "the package's name needs a letter".to_owned()));
    }
    if sorted.is_empty() {
        faults.push(fault("generate_nothing", "there are no definitions to generate from".to_owned()));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let model = model::Model::build(&sorted);
    let mut files = match target {
        Target::Rust => rust::files(&model, options),
        Target::Typescript => typescript::files(&model, options),
        Target::Python => python::files(&model, options),
        Target::Go => golang::files(&model, options),
        Target::Protobuf => protobuf::files(&model, options)?,
        Target::Asyncapi => vec![asyncapi::file(&model, options)],
    };
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// By name, then by the version's number.
fn order_of(definition: &Definition) -> (&str, u64, &str) {
    let version: &str = definition.version.as_str();
    (definition.name.as_str(), version.parse().unwrap_or(u64::MAX), version)
}

fn fault(code: &'static str, message: String) -> Finding {
    Finding {
        severity: Severity::Error,
        subject: Subject::Source,
        code,
        path: String::new(),
        line: None,
        message,
        proposal: None,
        witness: None::<Value>,
        overridable: false,
    }
}
