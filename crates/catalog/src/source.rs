//! Sources: definitions, sets and policies as people write them, in YAML or JSON.
//!
//! Reading finds every mistake at once, each with its place and line. Members that are not known are mistakes. YAML is
//! 1.2 with its core schema, so `no` is a string; it has no merge keys and no tags, the names of
//! members are strings, and its aliases are bounded.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::definition::Definition;
use crate::entry::{Key, Kind, Policy, Set};
use crate::limits::DEFINITION_BYTES_MAX;
use crate::report::Finding;

mod conversion;
mod definition;
mod others;
mod outline;
mod reader;
mod scalar;
#[cfg(test)]
mod tests;
mod tree;
mod write;
mod yaml;

pub use outline::Outline;
pub(crate) use outline::schema_file;
pub use write::{policy_value, set_value, to_value, write, write_policy, write_set};
pub use yaml::to_yaml;

use reader::{At, Reader, source_error};

/// Reads a definition.
pub fn read(source: &str) -> Result<Definition, Vec<Finding>> {
    read_with(source, definition::read)
}

/// Reads a set.
pub fn read_set(source: &str) -> Result<Set, Vec<Finding>> {
    read_with(source, others::set)
}

/// Reads a policy.
pub fn read_policy(source: &str) -> Result<Policy, Vec<Finding>> {
    read_with(source, others::policy)
}

/// The name of an entry, of which nothing else is read.
pub fn key_of(kind: Kind, source: &str) -> Result<Key, Vec<Finding>> {
    read_with(source, |at, reader| {
        let tree::Shape::Map(_) = &at.node.shape else {
            reader.wrong("member_wrong_type", at, format!("must be an object, and is {}", at.node.kind()));
            return None;
        };
        // Every other member is another reader's matter, so all are known here.
        let object = reader.object(at, &member_names(at))?;
        match kind {
            Kind::Definition => {
                let name = object.need("name", reader).and_then(|at| definition::event_type(&at, reader));
                let version = object.need("version", reader).and_then(|at| definition::version(&at, reader));
                Some(Key::definition(&name?, &version?))
            }
            Kind::Set => object.need("name", reader).and_then(|at| reader.snake(&at)).map(Key::set),
            Kind::Policy => object.need("name", reader).and_then(|at| reader.snake(&at)).map(Key::policy),
        }
    })
}

fn member_names<'n>(at: &At<'n>) -> Vec<&'n str> {
    match &at.node.shape {
        tree::Shape::Map(members) => members.iter().map(|member| member.name.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// A YAML or JSON text as JSON, by the same rules as sources are read.
pub fn to_json(source: &str) -> Result<Value, Vec<Finding>> {
    read_with(source, |at, _| Some(at.node.value()))
}

fn read_with<T>(source: &str, read: impl FnOnce(&At<'_>, &mut Reader) -> Option<T>) -> Result<T, Vec<Finding>> {
    if source.len() > DEFINITION_BYTES_MAX {
        let message = format!("has {} bytes; a source has at most {DEFINITION_BYTES_MAX}", source.len());
        return Err(vec![source_error("source_too_large", "", None, message)]);
    }
    let mut reader = Reader::default();
    let tree = tree::parse(source, &mut reader.findings);
    let value = tree.as_ref().and_then(|tree| read(&At::root(tree), &mut reader));
    match value {
        Some(value) if reader.findings.is_empty() => Ok(value),
        _ => {
            reader.findings.sort_by_key(|finding| finding.line);
            Err(reader.findings)
        }
    }
}

/// The lines of many places at once.
type Lines = BTreeMap<String, u32>;
