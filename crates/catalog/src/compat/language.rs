//! Patterns as languages: is there a string that matches these, does not match those, and is so long?
//!
//! Each pattern becomes an automaton over characters; the search walks all of them at once, breadth first, so that what
//! it finds is short, and what it does not find does not exist.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Automata larger than this are not built: counted repetitions multiply.
const STATES_MAX: usize = 4_000;
/// The search gives up after so many combined states.
const VISITS_MAX: usize = 20_000;

/// Where the way on from a state leads.
#[derive(Debug)]
enum State {
    Char(Vec<(char, char)>, usize),
    Either(Vec<usize>),
    AtStart(usize),
    AtEnd(usize),
    Match,
}

/// A pattern as an automaton that finds it anywhere in a string.
#[derive(Debug)]
pub(super) struct Machine {
    states: Vec<State>,
    start: usize,
}

impl Machine {
    /// Builds the automaton of a pattern, read as the validator reads it. `None` where it is too large or looks at
    /// what an automaton over single characters does not see.
    pub(super) fn new(pattern: &str) -> Option<Self> {
        let pattern = jsonschema_regex::to_rust_regex(pattern).ok()?;
        let hir = regex_syntax::parse(&pattern).ok()?;
        let mut machine = Self { states: vec![State::Match], start: 0 };
        machine.start = machine.build(&hir, 0)?;
        Some(machine)
    }

    fn push(&mut self, state: State) -> Option<usize> {
        if self.states.len() >= STATES_MAX {
            return None;
        }
        self.states.push(state);
        Some(self.states.len() - 1)
    }

    /// The state from which on the expression and then what follows is matched.
    fn build(&mut self, hir: &Hir, then: usize) -> Option<usize> {
        match hir.kind() {
            HirKind::Empty => Some(then),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).ok()?;
                text.chars().rev().try_fold(then, |then, c| self.push(State::Char(vec![(c, c)], then)))
            }
            HirKind::Class(Class::Unicode(class)) => {
                let ranges = class.iter().map(|range| (range.start(), range.end())).collect();
                self.push(State::Char(ranges, then))
            }
            HirKind::Class(Class::Bytes(class)) => {
                let ranges = class.iter().map(|range| (char::from(range.start()), char::from(range.end())));
                let ranges: Vec<_> = ranges.filter(|(_, end)| end.is_ascii()).collect();
                self.push(State::Char(ranges, then))
            }
            HirKind::Look(Look::Start) => self.push(State::AtStart(then)),
            HirKind::Look(Look::End) => self.push(State::AtEnd(then)),
            HirKind::Look(_) => None,
            HirKind::Capture(capture) => self.build(&capture.sub, then),
            HirKind::Concat(parts) => parts.iter().rev().try_fold(then, |then, part| self.build(part, then)),
            HirKind::Alternation(parts) => {
                let ways = parts.iter().map(|part| self.build(part, then)).collect::<Option<_>>()?;
                self.push(State::Either(ways))
            }
            HirKind::Repetition(repetition) => {
                let mut next = match repetition.max {
                    None => {
                        let again = self.push(State::Either(vec![then]))?;
                        let body = self.build(&repetition.sub, again)?;
                        self.states[again] = State::Either(vec![body, then]);
                        again
                    }
                    Some(max) => (repetition.min..max).try_fold(then, |next, _| {
                        let body = self.build(&repetition.sub, next)?;
                        self.push(State::Either(vec![body, then]))
                    })?,
                };
                for _ in 0..repetition.min {
                    next = self.build(&repetition.sub, next)?;
                }
                Some(next)
            }
        }
    }

    /// The states that are reached without reading on, sorted.
    fn closure(&self, from: impl IntoIterator<Item = usize>, at_start: bool, at_end: bool) -> Vec<usize> {
        let mut reached = HashSet::new();
        let mut todo: Vec<usize> = from.into_iter().collect();
        while let Some(state) = todo.pop() {
            if reached.insert(state) {
                match &self.states[state] {
                    State::Either(ways) => todo.extend(ways),
                    State::AtStart(then) if at_start => todo.push(*then),
                    State::AtEnd(then) if at_end => todo.push(*then),
                    _ => {}
                }
            }
        }
        let mut reached: Vec<_> = reached.into_iter().collect();
        reached.sort_unstable();
        reached
    }
}

/// A machine while it runs, its sets of states numbered as they come up.
struct Run {
    machine: Rc<Machine>,
    wanted: bool,
    sets: Vec<Vec<usize>>,
    numbers: HashMap<Vec<usize>, usize>,
    steps: HashMap<(usize, usize), usize>,
}

/// The number of the set that has matched, whatever follows.
const MATCHED: usize = 0;
/// The number of the set at the start of a string.
const FRESH: usize = 1;

impl Run {
    fn new(machine: Rc<Machine>, wanted: bool) -> Self {
        let fresh = machine.closure([machine.start], true, false);
        let mut run = Self { machine, wanted, sets: vec![Vec::new()], numbers: HashMap::new(), steps: HashMap::new() };
        // The start is a set of its own even if it looks like a later one: `^` holds there alone.
        run.sets.push(fresh);
        run
    }

    fn start(&self) -> usize {
        if self.sets[FRESH].contains(&0) { MATCHED } else { FRESH }
    }

    fn step(&mut self, set: usize, class: usize, c: char) -> usize {
        if set == MATCHED {
            return MATCHED;
        }
        if let Some(next) = self.steps.get(&(set, class)) {
            return *next;
        }
        let moved: Vec<usize> = self.sets[set]
            .iter()
            .filter_map(|state| match &self.machine.states[*state] {
                State::Char(ranges, then) if ranges.iter().any(|(start, end)| (*start..=*end).contains(&c)) => {
                    Some(*then)
                }
                _ => None,
            })
            .chain([self.machine.start])
            .collect();
        let next = self.machine.closure(moved, false, false);
        let number = if next.contains(&0) {
            MATCHED
        } else {
            *self.numbers.entry(next).or_insert_with_key(|next| {
                self.sets.push(next.clone());
                self.sets.len() - 1
            })
        };
        self.steps.insert((set, class), number);
        number
    }

    /// Whether the string may end here as far as this pattern goes.
    fn may_end(&self, set: usize) -> bool {
        let matched =
            set == MATCHED || self.machine.closure(self.sets[set].iter().copied(), set == FRESH, true).contains(&0);
        matched == self.wanted
    }

    /// Whether nothing that follows can make it right again.
    fn is_lost(&self, set: usize) -> bool {
        set == MATCHED && !self.wanted
    }
}

/// What strings are looked for.
pub(super) struct Search<'a> {
    /// The patterns, and whether they are to match.
    pub(super) patterns: Vec<(Rc<Machine>, bool)>,
    /// Strings that do not count.
    pub(super) excluded: &'a [String],
    /// Characters at least.
    pub(super) min: u64,
    /// Characters at most.
    pub(super) max: Option<u64>,
}

/// What a search came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is no such string.
    Nothing,
    /// Some of them, the shortest first.
    Words(Vec<String>),
    /// The search was given up.
    GaveUp,
}

impl Search<'_> {
    /// Looks for up to `wanted` strings; says also how many combined states it came by.
    pub(super) fn run(&self, wanted: usize) -> (Found, usize) {
        let mut visits = 0;
        let found = self.look(wanted, &mut visits);
        (found, visits)
    }

    fn look(&self, wanted: usize, visits: &mut usize) -> Found {
        if self.max.is_some_and(|max| max < self.min) {
            return Found::Nothing;
        }
        // Without the upper bound first: the fewer lengths are told apart, the smaller the search.
        match self.walk(None, wanted, visits) {
            Found::Words(words)
                if self.max.is_some() && !words.iter().any(|word| word.chars().count() as u64 <= self.max_or_all()) =>
            {
                self.walk(self.max, wanted, visits)
            }
            Found::Words(mut words) => {
                words.retain(|word| word.chars().count() as u64 <= self.max_or_all());
                Found::Words(words)
            }
            other => other,
        }
    }

    fn max_or_all(&self) -> u64 {
        self.max.unwrap_or(u64::MAX)
    }

    fn walk(&self, max: Option<u64>, wanted: usize, visits: &mut usize) -> Found {
        let alphabet = self.alphabet();
        let mut runs: Vec<_> =
            self.patterns.iter().map(|(machine, wanted)| Run::new(machine.clone(), *wanted)).collect();
        let excluded = Prefixes::new(self.excluded);
        // Lengths that no bound tells apart are one length.
        let longest = max.map_or(self.min, |max| max.saturating_add(1));
        let start: Node = (runs.iter().map(Run::start).collect(), Some(0), 0);
        let mut seen = HashSet::from([start.clone()]);
        let mut trail: Vec<(usize, char)> = vec![(0, '\0')];
        let mut queue = VecDeque::from([(start, 0usize)]);
        let mut words = Vec::new();
        while let Some(((sets, prefix, length), place)) = queue.pop_front() {
            *visits += 1;
            let ends = length >= self.min
                && !prefix.is_some_and(|prefix| excluded.is_word(prefix))
                && runs.iter().zip(&sets).all(|(run, set)| run.may_end(*set));
            if ends {
                words.push(spell(&trail, place));
                if words.len() >= wanted {
                    break;
                }
            }
            if max.is_some_and(|max| length >= max) {
                continue;
            }
            for (class, c) in alphabet.iter().enumerate() {
                let next: Vec<_> = runs.iter_mut().zip(&sets).map(|(run, set)| run.step(*set, class, *c)).collect();
                if runs.iter().zip(&next).any(|(run, set)| run.is_lost(*set)) {
                    continue;
                }
                let prefix = prefix.and_then(|prefix| excluded.step(prefix, *c));
                let node = (next, prefix, (length + 1).min(longest));
                if seen.insert(node.clone()) {
                    trail.push((place, *c));
                    queue.push_back((node, trail.len() - 1));
                }
            }
            if seen.len() > VISITS_MAX {
                return if words.is_empty() { Found::GaveUp } else { Found::Words(words) };
            }
        }
        if words.is_empty() { Found::Nothing } else { Found::Words(words) }
    }

    /// One character for each set of characters that no pattern and no excluded string tells apart, those that are
    /// good to read first.
    fn alphabet(&self) -> Vec<char> {
        let mut ranges: Vec<(char, char)> = Vec::new();
        for (machine, _) in &self.patterns {
            for state in &machine.states {
                if let State::Char(own, _) = state {
                    ranges.extend(own);
                }
            }
        }
        ranges.extend(self.excluded.iter().flat_map(|word| word.chars()).map(|c| (c, c)));
        ranges.sort_unstable();
        ranges.dedup();
        let mut cuts: Vec<u32> = ranges.iter().flat_map(|(start, end)| [*start as u32, *end as u32 + 1]).collect();
        // Cutting around what is good to read gives characters to choose from; it tells nothing apart wrongly.
        cuts.extend(['a', 'z', 'A', 'Z', '0', '9'].map(|c| c as u32));
        cuts.extend([0, 'a' as u32 + 1, 'A' as u32 + 1, '0' as u32 + 1, 'z' as u32 + 1]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut classes: HashMap<Vec<u64>, char> = HashMap::new();
        let mut representatives: Vec<char> = cuts.into_iter().filter_map(representative).collect();
        representatives
            .sort_by_key(|c| (!c.is_ascii_lowercase(), !c.is_ascii_alphanumeric(), !c.is_ascii_graphic(), *c));
        for c in representatives {
            let mut signature = vec![0u64; ranges.len().div_ceil(64)];
            for (index, (start, end)) in ranges.iter().enumerate() {
                if (*start..=*end).contains(&c) {
                    signature[index / 64] |= 1 << (index % 64);
                }
            }
            classes.entry(signature).or_insert(c);
        }
        let mut alphabet: Vec<char> = classes.into_values().collect();
        alphabet.sort_by_key(|c| (!c.is_ascii_lowercase(), !c.is_ascii_alphanumeric(), !c.is_ascii_graphic(), *c));
        alphabet
    }
}

/// The first character from a code point on; code points of surrogates have none of their own.
fn representative(code: u32) -> Option<char> {
    char::from_u32(code).or_else(|| (0xD800..=0xDFFF).contains(&code).then_some('\u{E000}'))
}

type Node = (Vec<usize>, Option<usize>, u64);

fn spell(trail: &[(usize, char)], mut place: usize) -> String {
    let mut word = Vec::new();
    while place != 0 {
        word.push(trail[place].1);
        place = trail[place].0;
    }
    word.iter().rev().collect()
}

/// The prefixes of the strings that do not count, numbered; the empty one is the first.
struct Prefixes {
    steps: HashMap<(usize, char), usize>,
    words: HashSet<usize>,
}

impl Prefixes {
    fn new(words: &[String]) -> Self {
        let mut prefixes = Self { steps: HashMap::new(), words: HashSet::new() };
        for word in words {
            let mut at = 0;
            for c in word.chars() {
                let next = prefixes.steps.len() + 1;
                at = *prefixes.steps.entry((at, c)).or_insert(next);
            }
            prefixes.words.insert(at);
        }
        prefixes
    }

    fn step(&self, at: usize, c: char) -> Option<usize> {
        self.steps.get(&(at, c)).copied()
    }

    fn is_word(&self, at: usize) -> bool {
        self.words.contains(&at)
    }
}
