//! What it costs to hold a text against a pattern.
//!
//! That takes time in proportion to the text, but how much for a byte depends on the pattern. Where all states that it
//! can be in at once are few, their table is made once, and a byte is one look into it; otherwise a byte may be held
//! against all of the pattern. Which of both it is, is found out by going through all those states.

use std::collections::HashSet;

use jsonschema::{Draft, PatternOptions, ValidationOptions};
use regex_automata::Input;
use regex_automata::hybrid::dfa::DFA;
use regex_automata::nfa::thompson::{NFA, WhichCaptures};
use serde_json::json;

use crate::document::Borrowed;

/// Bytes that the program of a pattern may take, if its states are few.
const PROGRAM_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that the tables made of a pattern while it is matched may take.
const TABLES_BYTES_MAX: usize = 1024 * 1024;
/// Looks that all patterns of a schema may take together to find out whether their states are few.
const LOOKS_MAX: usize = 400_000;
/// What a byte of a text costs otherwise, in steps, by the bytes that the program takes at most. Larger ones are
/// refused.
const COSTS: [(usize, u64); 4] = [(1024, 1), (4 * 1024, 16), (16 * 1024, 64), (64 * 1024, 256)];

/// How patterns are compiled, in linear time or not at all.
pub(super) fn options() -> PatternOptions<jsonschema::Regex> {
    bounded(PROGRAM_BYTES_MAX)
}

fn bounded(program_bytes: usize) -> PatternOptions<jsonschema::Regex> {
    PatternOptions::regex().size_limit(program_bytes).dfa_size_limit(TABLES_BYTES_MAX)
}

/// Finds out what the patterns of one schema cost.
pub(super) struct Costs {
    draft: Draft,
    looks_left: usize,
}

impl Costs {
    pub(super) fn new(draft: Draft) -> Self {
        Self { draft, looks_left: LOOKS_MAX }
    }

    /// Steps for a byte of a text; none where a pattern cannot be matched in linear time, or takes too long.
    pub(super) fn of(&mut self, pattern: &str) -> Option<u64> {
        let alone = json!({ "pattern": pattern });
        let fits = |bytes| {
            let options: ValidationOptions<'_, _, Borrowed> = jsonschema::options_for::<Borrowed>();
            options.with_draft(self.draft).with_pattern_options(bounded(bytes)).offline().build(&alone).is_ok()
        };
        let by_size = COSTS.iter().find(|(bytes, _)| fits(*bytes)).map(|(_, cost)| *cost);
        if by_size != Some(1) && (by_size.is_some() || fits(PROGRAM_BYTES_MAX)) && self.has_few_states(pattern) {
            return Some(1);
        }
        by_size
    }

    /// Whether all states together fit into the tables.
    fn has_few_states(&mut self, pattern: &str) -> bool {
        let Ok(pattern) = jsonschema_regex::to_rust_regex(pattern) else { return false };
        let program = NFA::config().which_captures(WhichCaptures::None).nfa_size_limit(Some(PROGRAM_BYTES_MAX));
        let Ok(program) = NFA::compiler().configure(program).build(&pattern) else { return false };
        let tables = DFA::config().cache_capacity(TABLES_BYTES_MAX).skip_cache_capacity_check(true);
        let Ok(dfa) = DFA::builder().configure(tables).build_from_nfa(program) else { return false };
        let mut cache = dfa.create_cache();
        let Ok(start) = dfa.start_state_forward(&mut cache, &Input::new("")) else { return false };
        let (mut seen, mut left) = (HashSet::from([start]), vec![start]);
        let classes: Vec<u8> =
            dfa.byte_classes().representatives(0..=u8::MAX).filter_map(|unit| unit.as_u8()).collect();
        while let Some(state) = left.pop() {
            let Some(rest) = self.looks_left.checked_sub(classes.len()) else { return false };
            self.looks_left = rest;
            for byte in &classes {
                match dfa.next_state(&mut cache, state, *byte) {
                    // Past a match or where nothing can match any more, nothing more is looked at.
                    Ok(next) if next.is_match() || next.is_dead() => {}
                    Ok(next) if !next.is_quit() && !next.is_unknown() => {
                        if seen.insert(next) {
                            left.push(next);
                        }
                    }
                    _ => return false,
                }
                // Then states were forgotten, and their numbers mean others now.
                if cache.clear_count() > 0 {
                    return false;
                }
            }
        }
        true
    }
}
