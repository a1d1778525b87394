//! Reads conversions between versions.

use tidings_event::Version;

use super::definition::{data, pointer, single_pointer, version};
use super::reader::{At, Reader};
use super::tree::Shape;
use crate::definition::{Conversion, ConversionTest, Pointer, Step, version_number};
use crate::limits::{EXAMPLES_MAX, RULE_CHARS_MAX, UPCAST_STEPS_MAX};

/// Strings that one `map` translates.
const MAPPED_MAX: usize = 1_000;

const STEPS: &[&str] = &["move", "copy", "set", "default", "remove", "map", "compute"];

/// Reads an upcast (`other` is `from`) or a downcast (`to`) of a version.
pub(super) fn read(at: &At<'_>, other: &str, number: Option<u32>, reader: &mut Reader) -> Option<Conversion> {
    let object = reader.object(at, &[other, "steps", "tests"])?;
    let version = object.need(other, reader).and_then(|at| neighbour(&at, number, reader));
    let steps = object.need("steps", reader).map(|at| {
        let items = reader.items(&at, UPCAST_STEPS_MAX);
        items.iter().filter_map(|at| step(at, reader)).collect()
    });
    let tests = object.get("tests").map(|at| {
        let items = reader.items(&at, EXAMPLES_MAX);
        items.iter().filter_map(|at| test(at, reader)).collect()
    });
    Some(Conversion { other: version?, steps: steps?, tests: tests.unwrap_or_default() })
}

/// The version on the other side, an earlier one.
fn neighbour(at: &At<'_>, number: Option<u32>, reader: &mut Reader) -> Option<Version> {
    let version = version(at, reader)?;
    if let (Some(other), Some(number)) = (version_number(&version), number)
        && other >= number
    {
        let message = format!("must be an earlier version than {number}, the one that is defined here");
        reader.wrong("conversion_version", at, message);
        return None;
    }
    Some(version)
}

fn test(at: &At<'_>, reader: &mut Reader) -> Option<ConversionTest> {
    let object = reader.object(at, &["from", "to"])?;
    let from = object.need("from", reader).and_then(|at| data(&at, reader));
    let to = object.need("to", reader).and_then(|at| data(&at, reader));
    Some(ConversionTest { from: from?, to: to? })
}

fn step(at: &At<'_>, reader: &mut Reader) -> Option<Step> {
    let object = reader.object(at, STEPS)?;
    let count = match &at.node.shape {
        Shape::Map(members) => members.len(),
        _ => 0,
    };
    if count != 1 {
        let message = format!("a step is one of {}, and this holds {count} of them", STEPS.join(", "));
        reader.wrong("step_malformed", at, message);
        return None;
    }
    let name = STEPS.iter().find(|name| object.get(name).is_some())?;
    let at = object.get(name)?;
    match *name {
        "move" => two_places(&at, reader).map(|(from, to)| Step::Move { from, to }),
        "copy" => two_places(&at, reader).map(|(from, to)| Step::Copy { from, to }),
        "remove" => one_place(&at, reader).map(|at| Step::Remove { at }),
        "map" => map(&at, reader),
        "compute" => compute(&at, reader),
        name => {
            let object = reader.object(&at, &["at", "value"])?;
            let place = object.need("at", reader).and_then(|at| pointer(&at, reader));
            let value = object.need("value", reader)?.node.value();
            let at = place?;
            Some(if name == "set" { Step::Set { at, value } } else { Step::Default { at, value } })
        }
    }
}

/// `{ at: /x }`, or the pointer alone.
fn one_place(at: &At<'_>, reader: &mut Reader) -> Option<Pointer> {
    if matches!(at.node.shape, Shape::Text(_)) {
        return pointer(at, reader);
    }
    let object = reader.object(at, &["at"])?;
    object.need("at", reader).and_then(|at| pointer(&at, reader))
}

fn two_places(at: &At<'_>, reader: &mut Reader) -> Option<(Pointer, Pointer)> {
    let object = reader.object(at, &["from", "to"])?;
    let from = object.need("from", reader).and_then(|at| single_pointer(&at, reader));
    let to = object.need("to", reader).and_then(|at| single_pointer(&at, reader));
    Some((from?, to?))
}

fn map(at: &At<'_>, reader: &mut Reader) -> Option<Step> {
    let object = reader.object(at, &["at", "values", "otherwise"])?;
    let place = object.need("at", reader).and_then(|at| pointer(&at, reader));
    let values = object.need("values", reader).map(|at| {
        let entries = reader.entries(&at, MAPPED_MAX).into_iter();
        entries.map(|(name, at)| (name.to_owned(), at.node.value())).collect()
    });
    let otherwise = object.get("otherwise").map(|at| at.node.value());
    Some(Step::Map { at: place?, values: values?, otherwise })
}

fn compute(at: &At<'_>, reader: &mut Reader) -> Option<Step> {
    let object = reader.object(at, &["at", "value"])?;
    let place = object.need("at", reader).and_then(|at| pointer(&at, reader));
    let expression = object.need("value", reader).and_then(|at| reader.text(&at, RULE_CHARS_MAX));
    Some(Step::Compute { at: place?, expression: expression?.to_owned() })
}
