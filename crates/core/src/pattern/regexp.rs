//! Regular expressions that run in linear time and compile to a bounded size.

mod literals;

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use regex_automata::nfa::thompson::backtrack::BoundedBacktracker;
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Anchored, Input};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;
use tidings_event::limits::TEXT_CHARS_MAX;

use super::intern::Interner;
use crate::limits::{REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX, REGEX_DEPTH_MAX};

pub(crate) use literals::Required;

/// An expression over an event's type, which has to match the whole of it.
///
/// There is one for nearly every subscription that has one, each is used seldom, and a type is short. So it is run
/// by the engine that keeps nothing but the automaton: a tenth of what [`Regex`] takes with its caches, and on short
/// texts no slower. It looks at each pair of a state and a byte at most once.
#[derive(Debug)]
pub(crate) struct TypeRegex {
    source: Box<str>,
    engine: BoundedBacktracker,
    required: Required,
}

impl TypeRegex {
    /// As it was written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn accepts(&self, event_type: &str) -> bool {
        let input = Input::new(event_type).anchored(Anchored::Yes).earliest(true);
        let found = self.engine.try_search_slots(&mut self.engine.create_cache(), &input, &mut []);
        // It fails on a text that is too long, and one that is compiled here takes the longest type.
        matches!(found, Ok(Some(_)))
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
        // Alone first: anchors around `a)|(b` would make it well-formed, with another meaning.
        let required = Required::of(&parse(source)?);
        let config =
            thompson::Config::new().nfa_size_limit(Some(REGEX_COMPILED_BYTES_MAX)).which_captures(WhichCaptures::None);
        let engine = thompson::Compiler::new()
            .configure(config)
            .build_from_hir(&syntax(&anchored(source))?)
            .and_then(BoundedBacktracker::new_from_nfa)
            .ok()
            .filter(|engine| engine.max_haystack_len() >= TEXT_CHARS_MAX)
            .ok_or_else(|| TOO_MUCH.to_owned())?;
        Ok(TypeRegex { source: source.into(), engine, required })
    })
}

const TOO_MUCH: &str = "the regular expression compiles to too much";

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
    syntax(source)
}

fn syntax(source: &str) -> Result<Hir, String> {
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
            regex::Error::CompiledTooBig(_) => TOO_MUCH.to_owned(),
            error => not_an_expression(&error.to_string()),
        })
}

/// The last line of a syntax error says what is wrong; those before draw the place.
fn not_an_expression(error: &str) -> String {
    let last = error.lines().last().unwrap_or_default().trim();
    format!("not a regular expression: {}", last.trim_start_matches("error: "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    #[test]
    fn what_compiles_to_too_much_is_refused_and_what_is_taken_judges_the_longest_type() {
        for source in [r"(?:a{1000}){1000}", r"\w{400}", r"(?:[a-z]{1,9}\.){9}\pL{90}"] {
            assert_eq!(of_type(source).unwrap_err(), TOO_MUCH, "{source}");
        }
        // Nearly as much as is taken, on a type that makes it look everywhere.
        let longest = format!("a.{}", "a".repeat(TEXT_CHARS_MAX - 2));
        let large = of_type(r"(?:[a-z.]?){500}[a-z.]{200}b?").unwrap();
        assert!(large.accepts(&longest));
        assert!(!large.accepts("a.b"));
    }

    proptest! {
        #[test]
        fn an_expression_means_the_same_over_a_type_as_in_a_path(
            source in "(\\(\\?:)?([ab.]|\\\\.|\\\\b|\\\\w|[*+?|^$]|\\[ab\\]|\\{1,3\\}|\\(\\?i\\)|A){0,8}\\)?",
            types in proptest::collection::vec("[ab.A]{0,8}", 1..8),
            other in select(vec!["sales.lead.created", "a.b"]),
        ) {
            let of_type = of_type(&source);
            let in_path = compile(&source, true);
            // What a path's engines need beside the automaton counts there too, so a path takes no more.
            prop_assert!(of_type.is_ok() || in_path.is_err());
            if let (Ok(of_type), Ok(in_path)) = (of_type, in_path) {
                for text in types.iter().map(String::as_str).chain([other]) {
                    prop_assert_eq!(of_type.accepts(text), in_path.is_match(text), "{:?}", text);
                }
            }
        }
    }
}
