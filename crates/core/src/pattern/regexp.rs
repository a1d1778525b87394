//! Regular expressions that run in linear time and compile to a bounded size.

use regex::{Regex, RegexBuilder};

use crate::limits::{REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX, REGEX_DEPTH_MAX};

/// Compiles an expression that has to match the whole text, or any part of it. A dot is any character but a line
/// feed or carriage return, as I-Regexp (RFC 9485) has it. The error is a sentence for whoever wrote it.
pub(super) fn compile(source: &str, whole: bool) -> Result<Regex, String> {
    if source.len() > REGEX_BYTES_MAX {
        return Err(format!("a regular expression has at most {REGEX_BYTES_MAX} bytes"));
    }
    // Alone first: anchors around `a)|(b` would make it well-formed, with another meaning.
    let bare = build(source)?;
    if whole { build(&format!(r"\A(?:{source})\z")) } else { Ok(bare) }
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
            // The last line of a syntax error says what is wrong; those before draw the place.
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default().trim();
                format!("not a regular expression: {}", last.trim_start_matches("error: "))
            }
        })
}
