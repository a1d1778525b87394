//! What must hold for every text that comes from outside, whatever it is: one module for each parser, with one function
//! `check` that takes bytes and panics where a promise is broken.
//!
//! The fuzz targets (`fuzz/`, `make fuzz`) hand them what libFuzzer makes up; this crate's own test hands them the seeds
//! of `fuzz/corpus` and what [`change`] makes of those.

pub mod catalog;
pub mod change;
pub mod cloudevents;
pub mod cursor;
pub mod envelope;
pub mod given;
pub mod names;
pub mod outbox;
pub mod pattern;
pub mod rules;
pub mod schema;
pub mod signature;

/// What checks one input.
pub type Check = fn(&[u8]);

/// Every target by its name, which is that of its folder in `corpus/` and of its file in `fuzz_targets/`. The
/// configuration file is not among them: its code is the binary's own, which tries it itself.
pub const TARGETS: &[(&str, Check)] = &[
    ("catalog", catalog::check),
    ("cloudevents", cloudevents::check),
    ("cursor", cursor::check),
    ("envelope", envelope::check),
    ("names", names::check),
    ("outbox", outbox::check),
    ("pattern", pattern::check),
    ("rules", rules::check),
    ("schema", schema::check),
    ("signature", signature::check),
];
