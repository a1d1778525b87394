//! The subscriptions of one tenant, compiled.

use std::collections::BTreeMap;

use tidings_event::{LaneNo, Recorded, Sequence};

use super::filters::{self, FilterNo, Filters};
use super::types::{self, ALL, TestNo, Types};
use super::{Subscription, is_system};
use crate::pattern::{Document, Selection};

/// Every distinct selection of a tenant is one rule; the lanes that share it are its members.
#[derive(Debug)]
pub(super) struct Tenant {
    types: Types,
    /// Where the rules that a type test leads to begin in `leads`, by the number of the test; one more at the end.
    starts: Box<[u32]>,
    leads: Box<[u32]>,
    /// One more at the end, of which only the beginnings count.
    rules: Box<[Rule]>,
    /// Of the rules, one after the other.
    filter_nos: Box<[FilterNo]>,
    members: Box<[Member]>,
    filters: Filters,
}

#[derive(Debug)]
struct Rule {
    /// A test that has to accept the type beside the one that led here.
    also: TestNo,
    /// Whether events of Tidings itself are wanted.
    names_system: bool,
    /// Where its filters and members begin; they end where those of the next rule begin.
    filters: u32,
    members: u32,
}

#[derive(Debug)]
struct Member {
    lane: LaneNo,
    after: Sequence,
    until: Sequence,
}

impl Member {
    fn covers(&self, sequence: Sequence) -> bool {
        self.after < sequence && sequence <= self.until
    }
}

/// What makes two selections of a tenant the same rule.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Meaning {
    types: Vec<TestNo>,
    also: TestNo,
    filters: Vec<FilterNo>,
}

#[derive(Default)]
struct Compiler {
    types: types::Numbering,
    filters: filters::Numbering,
}

impl Compiler {
    fn meaning(&mut self, selection: &Selection) -> Meaning {
        let mut types: Vec<TestNo> = selection.types().iter().map(|test| self.types.number(test)).collect();
        let mut also = self.types.number(selection.pattern_type());
        if types.is_empty() {
            // Without a list, the pattern's type is what leads to the rule.
            types.push(also);
            also = ALL;
        }
        types.sort_unstable();
        let mut filters: Vec<FilterNo> = selection.filters().iter().map(|filter| self.filters.number(filter)).collect();
        filters.sort_unstable();
        filters.dedup();
        Meaning { types, also, filters }
    }
}

impl Tenant {
    pub(super) fn compile(subscriptions: &[Subscription]) -> Self {
        let mut compiler = Compiler::default();
        let mut rules: BTreeMap<Meaning, (bool, Vec<Member>)> = BTreeMap::new();
        for Subscription { lane, after, until, selection, .. } in subscriptions {
            let rule = rules.entry(compiler.meaning(selection));
            let (_, members) = rule.or_insert_with(|| (selection.names_system(), Vec::new()));
            members.push(Member { lane: *lane, after: *after, until: until.unwrap_or(Sequence(u64::MAX)) });
        }
        Self::arrange(compiler, rules)
    }

    fn arrange(compiler: Compiler, rules: BTreeMap<Meaning, (bool, Vec<Member>)>) -> Self {
        let mut leads_of: Vec<Vec<u32>> = (0..compiler.types.len()).map(|_| Vec::new()).collect();
        let (mut arranged, mut filter_nos, mut members) = (Vec::new(), Vec::new(), Vec::new());
        let begin = |also, names_system, filters: &[FilterNo], members: &[Member]| Rule {
            also,
            names_system,
            filters: number(filters.len()),
            members: number(members.len()),
        };
        for (meaning, (names_system, of_rule)) in rules {
            for test in &meaning.types {
                if let Some(leads) = leads_of.get_mut(*test as usize) {
                    leads.push(number(arranged.len()));
                }
            }
            arranged.push(begin(meaning.also, names_system, &filter_nos, &members));
            filter_nos.extend(meaning.filters);
            members.extend(of_rule);
        }
        arranged.push(begin(ALL, false, &filter_nos, &members));
        let starts = leads_of.iter().scan(0, |start, leads| {
            let at = *start;
            *start += leads.len();
            Some(number(at))
        });
        let mut starts: Vec<u32> = starts.collect();
        let leads: Box<[u32]> = leads_of.concat().into();
        starts.push(number(leads.len()));
        Self {
            types: compiler.types.finish(),
            starts: starts.into(),
            leads,
            rules: arranged.into(),
            filter_nos: filter_nos.into(),
            members: members.into(),
            filters: compiler.filters.finish(),
        }
    }

    /// How many subscriptions there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Appends the lanes that want an event; one that several of its subscriptions lead to comes as often.
    pub(super) fn matches(&self, event: &Recorded, lanes: &mut Vec<LaneNo>) {
        let system = is_system(event);
        let accepting = self.types.accepting(&event.event.event_type);
        let document = Document::new(event);
        let mut evaluation = None;
        for at in accepting.iter().flat_map(|test| self.leads(*test)) {
            let Some([rule, next]) = self.rules.get(*at as usize..*at as usize + 2) else { continue };
            if system && !rule.names_system || rule.also != ALL && accepting.binary_search(&rule.also).is_err() {
                continue;
            }
            let members = part(&self.members, rule.members, next.members);
            let mut covering = members.iter().filter(|member| member.covers(event.sequence)).peekable();
            if covering.peek().is_none() {
                continue;
            }
            let filters = part(&self.filter_nos, rule.filters, next.filters);
            if filters.is_empty() || {
                let evaluation = evaluation.get_or_insert_with(|| self.filters.evaluate(&document));
                filters.iter().all(|filter| evaluation.holds(*filter))
            } {
                lanes.extend(covering.map(|member| member.lane));
            }
        }
    }

    fn leads(&self, test: TestNo) -> &[u32] {
        let at = test as usize;
        match self.starts.get(at..at + 2) {
            Some([start, end]) => part(&self.leads, *start, *end),
            _ => &[],
        }
    }
}

fn part<T>(list: &[T], start: u32, end: u32) -> &[T] {
    list.get(start as usize..end as usize).unwrap_or_default()
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("a tenant has far fewer subscriptions than 32 bits count")
}
