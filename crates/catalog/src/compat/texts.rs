//! What is claimed of a string.

use std::rc::Rc;

use serde_json::Value;

use super::formula::Atom;
use super::language::{Found, Search};
use super::solve::Solver;

/// Formats of which each string is also of the other.
const WITHIN: [(&str, &str); 2] = [("uri", "uri-reference"), ("iri", "iri-reference")];

/// So many states of a search are as much work as a step of a proof.
const VISITS_PER_STEP: usize = 10;

/// Lengths, patterns, formats, and strings that are out.
#[derive(Debug, Clone, Default)]
pub(super) struct TextFacts {
    min: u64,
    max: Option<u64>,
    patterns: Vec<(Rc<str>, bool)>,
    formats: Vec<(Rc<str>, bool)>,
    excluded: Vec<String>,
}

impl TextFacts {
    pub(super) fn add(&mut self, atom: &Atom, holds: bool) -> bool {
        match (atom, holds) {
            (Atom::LengthMin(min), true) => self.min = self.min.max(*min),
            (Atom::LengthMin(0), false) => return false,
            (Atom::LengthMin(min), false) => self.cap(*min - 1),
            (Atom::LengthMax(max), true) => self.cap(*max),
            (Atom::LengthMax(max), false) => self.min = self.min.max(max.saturating_add(1)),
            (Atom::Pattern(pattern), _) => self.patterns.push((pattern.clone(), holds)),
            (Atom::Format(format), _) => self.formats.push((format.clone(), holds)),
            _ => {}
        }
        self.max.is_none_or(|max| max >= self.min)
    }

    fn cap(&mut self, max: u64) {
        self.max = Some(self.max.map_or(max, |before| before.min(max)));
    }

    pub(super) fn exclude(&mut self, text: &str) {
        self.excluded.push(text.to_owned());
    }

    pub(super) fn refuted(&self, solver: &mut Solver) -> bool {
        let of_format =
            |wanted: bool| self.formats.iter().filter(move |(_, holds)| *holds == wanted).map(|(f, _)| &**f);
        if of_format(false).any(|not| of_format(true).any(|is| is == not || WITHIN.contains(&(is, not)))) {
            return true;
        }
        // Without a pattern or an end to the lengths there are more strings than can be out.
        if self.patterns.is_empty() && self.max.is_none() && !of_format(true).any(|is| outline_of(is).is_some()) {
            return false;
        }
        self.search(solver, 1) == Found::Nothing
    }

    fn search(&self, solver: &mut Solver, wanted: usize) -> Found {
        // A pattern without a machine is left out: then more strings are found, never fewer.
        let outlines = self.formats.iter().filter(|(_, holds)| *holds).filter_map(|(format, _)| outline_of(format));
        let patterns = outlines
            .map(|outline| (outline.into(), true))
            .chain(self.patterns.iter().cloned())
            .filter_map(|(pattern, holds)| Some((solver.evaluator.machine(&pattern)?, holds)))
            .collect();
        let search = Search { patterns, excluded: &self.excluded, min: self.min, max: self.max };
        let (found, visits) = search.run(wanted);
        solver.steps_taken(visits / VISITS_PER_STEP);
        found
    }

    pub(super) fn samples(&self, solver: &mut Solver) -> Vec<Value> {
        let mut words = Vec::new();
        for (format, _) in self.formats.iter().filter(|(_, holds)| *holds) {
            words.extend(examples_of(format).iter().map(|word| (*word).to_owned()));
        }
        if let Found::Words(found) = self.search(solver, super::SAMPLES_MAX) {
            words.extend(found);
        }
        for pad in ["a", "0", "é"] {
            words.push(pad.repeat(usize::try_from(self.min.clamp(1, 10_000)).unwrap_or(1)));
        }
        words.retain(|word| self.admits(solver, word));
        let mut samples = Vec::new();
        for word in words {
            let sample = Value::String(word);
            if !samples.contains(&sample) {
                samples.push(sample);
            }
        }
        samples.truncate(super::SAMPLES_MAX);
        samples
    }

    fn admits(&self, solver: &mut Solver, word: &str) -> bool {
        let length = word.chars().count() as u64;
        length >= self.min
            && self.max.is_none_or(|max| length <= max)
            && !self.excluded.iter().any(|excluded| excluded == word)
            && self
                .patterns
                .iter()
                .all(|(pattern, holds)| solver.evaluator.matches(pattern, word).is_none_or(|matches| matches == *holds))
            && self
                .formats
                .iter()
                .all(|(format, holds)| solver.evaluator.is_of_format(format, word).is_none_or(|is| is == *holds))
    }
}

/// A pattern that every string of a format matches, and some others may. Of years the validator takes a few signs for
/// digits.
fn outline_of(format: &str) -> Option<&'static str> {
    match format {
        "date" => Some("^[*-9]{4}-[0-9]{2}-[0-9]{2}$"),
        "time" => Some("^[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"),
        "date-time" => {
            Some("^[*-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$")
        }
        "uuid" => Some("^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"),
        "ipv4" => Some("^[0-9]{1,3}([.][0-9]{1,3}){3}$"),
        "ipv6" => Some("^[0-9a-fA-F:.]{2,45}$"),
        "email" | "idn-email" => Some("@"),
        _ => None,
    }
}

/// Strings of a format.
pub(super) fn examples_of(format: &str) -> &'static [&'static str] {
    match format {
        "date" => &["2024-02-29", "1999-12-31"],
        "date-time" => &["2024-02-29T12:30:00Z", "1999-12-31T23:59:59.5+01:00"],
        "time" => &["12:30:00Z", "23:59:59.5+01:00"],
        "duration" => &["P1D", "PT36H"],
        "email" | "idn-email" => &["a@example.com", "first.last@example.org"],
        "hostname" | "idn-hostname" => &["example.com", "a"],
        "ipv4" => &["192.0.2.1", "10.0.0.1"],
        "ipv6" => &["::1", "2001:db8::1"],
        "uri" | "iri" => &["https://example.com/a", "urn:a:b"],
        "uri-reference" | "iri-reference" => &["/a", "https://example.com/a"],
        "uri-template" => &["/a/{b}", "/a"],
        "uuid" => &["01234567-89ab-cdef-0123-456789abcdef", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"],
        "json-pointer" => &["", "/a/0"],
        "relative-json-pointer" => &["0", "1/a"],
        "regex" => &["a", "^[a-z]+$"],
        _ => &[],
    }
}
