//! Which of a tenant's type tests accept a type.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidings_event::EventType;

use super::Hashed;
use super::trie::Trie;
use crate::pattern::{Required, TypeRegex, TypeTest};

/// Names a distinct type test of one tenant.
pub(super) type TestNo = u32;

/// The test that accepts every type.
pub(super) const ALL: TestNo = 0;

/// Gives each distinct test its number.
#[derive(Default)]
pub(super) struct Numbering {
    known: BTreeMap<Vec<u8>, TestNo>,
    tests: Vec<TypeTest>,
}

impl Numbering {
    pub(super) fn number(&mut self, test: &TypeTest) -> TestNo {
        if matches!(test, TypeTest::All) {
            return ALL;
        }
        let next = TestNo::try_from(self.tests.len() + 1).expect("a tenant has far fewer tests than 32 bits count");
        *self.known.entry(test.canonical()).or_insert_with(|| {
            self.tests.push(test.clone());
            next
        })
    }

    /// Tests, the one that accepts every type included.
    pub(super) fn len(&self) -> usize {
        self.tests.len() + 1
    }

    pub(super) fn finish(self) -> Types {
        let mut types = Types::default();
        let mut prefixes = Vec::new();
        let mut regexes = Vec::new();
        for (test, number) in self.tests.into_iter().zip(1..) {
            match test {
                TypeTest::All => {}
                TypeTest::Exact(event_type) => {
                    types.exact.insert(event_type, number);
                }
                TypeTest::Prefix(prefix) => prefixes.push((prefix.as_bytes().to_vec(), number)),
                TypeTest::Regex(regex) => regexes.push((regex, number)),
            }
        }
        types.exact.shrink_to_fit();
        types.prefixes = Trie::new(prefixes);
        types.regexes = (!regexes.is_empty()).then(|| Box::new(Regexes::new(regexes)));
        types
    }
}

/// The type tests of one tenant.
#[derive(Debug, Default)]
pub(super) struct Types {
    exact: HashMap<EventType, TestNo, Hashed>,
    prefixes: Trie,
    regexes: Option<Box<Regexes>>,
}

impl Types {
    /// The tests that accept a type, in ascending order.
    pub(super) fn accepting(&self, event_type: &EventType) -> Vec<TestNo> {
        let mut found = vec![ALL];
        found.extend(self.exact.get(event_type));
        self.prefixes.find(event_type.as_str().as_bytes(), &mut found);
        if let Some(regexes) = &self.regexes {
            regexes.accepting(event_type.as_str(), &mut found);
        }
        found.sort_unstable();
        found
    }
}

/// Regular expressions, by what a type must hold to be tried against them.
#[derive(Debug)]
struct Regexes {
    regexes: Box<[(Arc<TypeRegex>, TestNo)]>,
    /// The values are places in `regexes`, here and below.
    prefixes: Trie,
    /// Texts from their last byte to their first.
    suffixes: Trie,
    inner: Box<[(Box<str>, u32)]>,
    /// Tried on every type.
    always: Box<[u32]>,
}

impl Regexes {
    fn new(regexes: Vec<(Arc<TypeRegex>, TestNo)>) -> Self {
        let (mut prefixes, mut suffixes, mut inner, mut always) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for ((regex, _), at) in regexes.iter().zip(0..) {
            match regex.required() {
                Required::Prefix(literals) => prefixes.extend(literals.iter().map(|literal| (literal.to_vec(), at))),
                Required::Suffix(literals) => {
                    suffixes.extend(literals.iter().map(|literal| (literal.iter().rev().copied().collect(), at)));
                }
                Required::Inner(literal) => match std::str::from_utf8(literal) {
                    Ok(literal) => inner.push((literal.into(), at)),
                    Err(_) => always.push(at),
                },
                Required::Nothing => always.push(at),
            }
        }
        Self {
            regexes: regexes.into(),
            prefixes: Trie::new(prefixes),
            suffixes: Trie::new(suffixes),
            inner: inner.into(),
            always: always.into(),
        }
    }

    fn accepting(&self, event_type: &str, found: &mut Vec<TestNo>) {
        let mut candidates = self.always.to_vec();
        self.prefixes.find(event_type.as_bytes(), &mut candidates);
        if !self.suffixes.is_empty() {
            let backwards: Vec<u8> = event_type.bytes().rev().collect();
            self.suffixes.find(&backwards, &mut candidates);
        }
        candidates.extend(self.inner.iter().filter(|(part, _)| event_type.contains(&**part)).map(|(_, at)| *at));
        // One that several literals lead to is tried once.
        candidates.sort_unstable();
        candidates.dedup();
        let tried = candidates.into_iter().filter_map(|at| self.regexes.get(at as usize));
        found.extend(tried.filter(|(regex, _)| regex.accepts(event_type)).map(|(_, number)| *number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Selection;

    fn regexes(sources: &[&str]) -> Types {
        let mut numbering = Numbering::default();
        for source in sources {
            let pattern = format!(r#"{{"type":"regex","value":{source:?}}}"#);
            numbering.number(Selection::new(&[], Some(pattern.as_bytes())).unwrap().pattern_type());
        }
        numbering.finish()
    }

    #[test]
    fn only_expressions_whose_literals_the_type_holds_are_tried() {
        let sources = [r"sales\..*", r".*\.created", r"[a-z]+\.lead\.[a-z]+", r"billing\..*", r"[a-z.]+\.paid"];
        let types = regexes(&sources);
        let regexes = types.regexes.as_ref().unwrap();
        assert!(regexes.always.is_empty());
        assert_eq!(types.accepting(&EventType::parse("sales.lead.created").unwrap()), [ALL, 1, 2, 3]);
        assert_eq!(types.accepting(&EventType::parse("sales.deal.won").unwrap()), [ALL, 1]);
        assert_eq!(types.accepting(&EventType::parse("hr.person.hired").unwrap()), [ALL]);
    }

    #[test]
    fn an_expression_is_one_test_however_often_it_is_given() {
        let types = regexes(&[r"(sales|sa).*", r"(sales|sa).*", r".*"]);
        assert_eq!(types.regexes.as_ref().unwrap().regexes.len(), 2);
        assert_eq!(types.accepting(&EventType::parse("sales.lead.created").unwrap()), [ALL, 1, 2]);
    }
}
