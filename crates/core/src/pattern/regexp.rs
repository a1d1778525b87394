//! Regular expressions that run in linear time and compile to a bounded size.

mod literals;

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

use super::intern::Interner;
use crate::limits::{REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX, REGEX_DEPTH_MAX};

pub(crate) use literals::Required;

/// An expression over an event's type, which has to match the whole of it.
#[derive(Debug)]
pub(crate) struct TypeRegex {
    source: Box<str>,
    regex: Regex,
    required: Required,
}

impl TypeRegex {
    /// As it was written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn accepts(&self, event_type: &str) -> bool {
        self.regex.is_match(event_type)
    }

    /// What every type that it accepts holds.
    pub(crate) fn required(&self) -> &Required {
        &self.required
    }
}

/// Compiles an expression over types. The error is a sentence for whoever wrote it.
pub(super) fn of_type(source: &str) -> Result<Arc<TypeRegex>, String> {
    static KNOWN: Interner<TypeRegex> = Interner::new();
    KNOWN.get(source.as_bytes(), || {
        let syntax = parse(source)?;
        let regex = build(&anchored(source))?;
        Ok(TypeRegex { source: source.into(), regex, required: Required::of(&syntax) })
    })
}

/// Compiles an expression that has to match the whole text, or any part of it. A dot is any character but a line
/// feed or carriage return, as I-Regexp (RFC 9485) has it. The error is a sentence for whoever wrote it.
pub(super) fn compile(source: &str, whole: bool) -> Result<Regex, String> {
    // Alone first: anchors around `a)|(b` would make it well-formed, with another meaning.
    parse(source)?;
    if whole { build(&anchored(source)) } else { build(source) }
}

fn anchored(source: &str) -> String {
    format!(r"\A(?:{source})\z")
}

fn parse(source: &str) -> Result<Hir, String> {
    if source.len() > REGEX_BYTES_MAX {
        return Err(format!("a regular expression has at most {REGEX_BYTES_MAX} bytes"));
    }
    ParserBuilder::new()
        .crlf(true)
        .nest_limit(REGEX_DEPTH_MAX)
        .build()
        .parse(source)
        .map_err(|error| not_an_expression(&error.to_string()))
}

fn build(source: &str) -> Result<Regex, String> {
    RegexBuilder::new(source)
        .crlf(true)
        .size_limit(REGEX_COMPILED_BYTES_MAX)
        .dfa_size_limit(REGEX_COMPILED_BYTES_MAX)
        .nest_limit(REGEX_DEPTH_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the regular expression compiles to too much".to_owned(),
            error => not_an_expression(&error.to_string()),
        })
}

/// The last line of a syntax error says what is wrong; those before draw the place.
fn not_an_expression(error: &str) -> String {
    let last = error.lines().last().unwrap_or_default().trim();
    format!("not a regular expression: {}", last.trim_start_matches("error: "))
}
