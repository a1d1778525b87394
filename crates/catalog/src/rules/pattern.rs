//! The patterns of `matches()`.
//!
//! Searching for a pattern takes time in proportion to the text, but how much for a byte depends on the pattern: where
//! all states that it can be in at once are few, one look into a table; otherwise up to all of the pattern, again for
//! every byte. Which of both it is, is found out here when the pattern is compiled, by going through all those states,
//! so that a search can be charged for beforehand, and common patterns stay cheap for long texts.

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};
use regex_automata::Input;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};

/// Bytes that the program of a pattern may take.
const PROGRAM_BYTES_MAX: usize = 64 * 1024;
/// Entries of a table.
const TABLE_MAX: usize = 48 * 1024;
/// Work for a table: bytes of the states that were found, as often as there are ways to go on from each.
const TABLE_WORK_MAX: usize = 8 * 1024 * 1024;
/// Bytes for the states while a table is made; more than [`TABLE_WORK_MAX`] lets them become.
const STATES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A pattern.
#[derive(Debug)]
pub(super) struct Pattern(Kind);

#[derive(Debug)]
enum Kind {
    Table(Table),
    /// The states of its program: what a byte may be held against.
    Program(Regex, usize),
}

impl Pattern {
    /// Compiles a pattern; the error is for its author.
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        let mut builder = RegexBuilder::new(pattern);
        builder.size_limit(PROGRAM_BYTES_MAX).dfa_size_limit(PROGRAM_BYTES_MAX * 4);
        let regex = match builder.build() {
            Ok(regex) => regex,
            Err(regex::Error::CompiledTooBig(_)) => {
                return Err("matches() takes a regular expression that is not so large: count to less, or name fewer \
                            characters"
                    .to_owned());
            }
            Err(_) => {
                return Err("matches() takes a regular expression that runs in linear time, without look-around and \
                            back-references"
                    .to_owned());
            }
        };
        let config = thompson::Config::new().which_captures(WhichCaptures::None);
        let Ok(program) = NFA::compiler().configure(config).build(pattern) else {
            return Err("matches() takes another regular expression".to_owned());
        };
        let states = program.states().len();
        Ok(Self(Table::of(program).map_or(Kind::Program(regex, states), Kind::Table)))
    }

    /// The steps that a search in so many bytes takes at most.
    pub(super) fn steps(&self, bytes: usize) -> usize {
        match &self.0 {
            Kind::Table(_) => bytes / 2 + 1,
            Kind::Program(_, states) => (bytes + 1).saturating_mul(*states),
        }
    }

    /// Whether a text holds a match.
    pub(super) fn is_match(&self, text: &str) -> bool {
        match &self.0 {
            Kind::Table(table) => table.is_match(text.as_bytes()),
            Kind::Program(regex, _) => regex.is_match(text),
        }
    }
}

/// All states that a pattern can be in, and how every byte leads from one to another.
#[derive(Debug)]
struct Table {
    /// The kind of each byte: those of one kind lead to the same states everywhere.
    kinds: Box<[u8; 256]>,
    /// By state, by kind: where that leads. The end of the text is the last kind.
    next: Vec<u16>,
    /// How many kinds there are.
    width: usize,
}

/// Nothing can be found any more.
const DEAD: u16 = u16::MAX;
/// It is found.
const FOUND: u16 = u16::MAX - 1;

impl Table {
    /// None where there are too many states, or where what is found depends on more than the bytes.
    fn of(program: NFA) -> Option<Self> {
        let config = DFA::config().cache_capacity(STATES_BYTES_MAX).skip_cache_capacity_check(true);
        let dfa = DFA::builder().configure(config).build_from_nfa(program).ok()?;
        let mut cache = dfa.create_cache();
        let classes = dfa.byte_classes();
        let mut kinds = Box::new([0; 256]);
        let mut bytes = Vec::new();
        for byte in 0..=u8::MAX {
            let class = classes.get(byte);
            kinds[usize::from(byte)] = class;
            if usize::from(class) == bytes.len() {
                bytes.push(byte);
            }
        }
        let width = bytes.len() + 1;
        let start = dfa.start_state_forward(&mut cache, &Input::new("")).ok()?;
        let mut found = Found { numbers: HashMap::from([(start, 0)]), states: vec![start] };
        let (mut next, mut work) = (Vec::new(), 0);
        let mut at = 0;
        while let Some(state) = found.states.get(at).copied() {
            let (before, known) = (cache.memory_usage(), found.states.len());
            for byte in bytes.iter().map(Some).chain([None]) {
                let to = match byte {
                    Some(byte) => dfa.next_state(&mut cache, state, *byte),
                    None => dfa.next_eoi_state(&mut cache, state),
                };
                next.push(found.number(to.ok()?)?);
            }
            // What a new state says of the program; its row for where bytes lead is of one size for all.
            let rows = (found.states.len() - known) * width.next_power_of_two() * size_of::<u32>();
            work += ((cache.memory_usage() - before).saturating_sub(rows) + STATE_BYTES) * width;
            if next.len() > TABLE_MAX || work > TABLE_WORK_MAX || is_forgetful(&cache) {
                return None;
            }
            at += 1;
        }
        Some(Self { kinds, next, width })
    }

    fn is_match(&self, text: &[u8]) -> bool {
        let mut state = 0;
        for byte in text {
            let kind = self.kinds[usize::from(*byte)];
            match self.next.get(state * self.width + usize::from(kind)) {
                Some(&FOUND) => return true,
                Some(&DEAD) | None => return false,
                Some(next) => state = usize::from(*next),
            }
        }
        self.next.get(state * self.width + self.width - 1) == Some(&FOUND)
    }
}

/// What a state takes at least.
const STATE_BYTES: usize = 64;

/// Whether states were dropped, so that their numbers mean nothing any more.
fn is_forgetful(cache: &Cache) -> bool {
    cache.clear_count() > 0
}

/// States, numbered as they are found.
struct Found {
    numbers: HashMap<LazyStateID, u16>,
    states: Vec<LazyStateID>,
}

impl Found {
    fn number(&mut self, state: LazyStateID) -> Option<u16> {
        if state.is_match() {
            return Some(FOUND);
        }
        if state.is_dead() {
            return Some(DEAD);
        }
        if state.is_quit() || state.is_unknown() {
            return None;
        }
        let next = u16::try_from(self.states.len()).ok().filter(|next| *next < FOUND)?;
        let number = *self.numbers.entry(state).or_insert(next);
        if number == next {
            self.states.push(state);
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_table(pattern: &Pattern) -> bool {
        matches!(pattern.0, Kind::Table(_))
    }

    #[test]
    fn common_patterns_are_searched_for_with_one_look_a_byte() {
        for text in [
            "^[A-Z]{2}[0-9]{20}$",
            "^[a-z0-9._%+-]+@[a-z0-9.-]+\\.[a-z]{2,}$",
            "(?i)forbidden|secret|confidential",
            "^\\d{4}-\\d\\d-\\d\\d$",
            "^\\s*$",
            "^[^\\s@]+@[^\\s@]+$",
            "^https://",
            "",
            "\\.$",
            "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
            "^\\w+$",
        ] {
            let pattern = Pattern::compile(text).expect("a pattern");
            assert!(is_table(&pattern), "{text}");
            assert!(pattern.steps(4_000) < 2_100, "{text}");
        }
    }

    #[test]
    fn what_needs_all_of_a_program_for_every_byte_is_charged_for_all_of_it() {
        for text in ["a[ab]{300}c", "(a|b)*a(a|b){100}c", "\\bword\\b"] {
            let pattern = Pattern::compile(text).expect("a pattern");
            assert!(!is_table(&pattern), "{text}");
            let Kind::Program(_, states) = pattern.0 else { panic!("a program") };
            assert_eq!(pattern.steps(999), 1_000 * states, "{text}");
        }
        assert!(Pattern::compile("a[ab]{3000}c").is_err());
        assert!(Pattern::compile("(a|b)*a(a|b){5000}c").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn a_table_finds_what_the_regular_expression_finds(
            pattern in "(\\^|)(a|b|\\[ab\\]|\\[\\^a\\]|é|\\.|\\\\d|\\(a\\|b\\)|\\(ab\\)|a\\*|b\\+|a\\?|b\\{1,3\\}|\\$){0,6}(\\$|)",
            texts in prop::collection::vec("(a|b|c|é|1|\n){0,8}", 1..8),
        ) {
            let Ok(regex) = Regex::new(&pattern) else { return Ok(()) };
            let compiled = Pattern::compile(&pattern).expect("a pattern");
            for text in texts {
                prop_assert_eq!(compiled.is_match(&text), regex.is_match(&text), "{} in {:?}", pattern, text);
            }
        }
    }
}
