//! What is claimed of an object.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::formula::{Arena, Atom, Claim, Constant, Declared, Formula, Id, Kind, Kinds};
use super::solve::{Outcome, Solver, Status};

/// Names that no schema mentions are told apart by so many patterns at most.
const PATTERNS_MAX: usize = 5;

/// What members are like, which there must be, and which there must not.
#[derive(Debug, Clone, Default)]
pub(super) struct ObjectFacts {
    min: u64,
    max: Option<u64>,
    members: BTreeMap<Rc<str>, Vec<Claim>>,
    matching: Vec<(Rc<str>, Claim)>,
    others: Vec<(Rc<Declared>, Claim)>,
    names: Vec<Claim>,
    /// Members that are there, and what they are like beyond what members of the name are like.
    present: BTreeMap<Rc<str>, Vec<Claim>>,
    absent: BTreeSet<Rc<str>>,
    /// There is some member like that.
    some: Vec<Demand>,
}

/// A member that must be there, without its name.
#[derive(Debug, Clone)]
enum Demand {
    /// Its name matches, and its value is like that.
    Matching(Rc<str>, Claim),
    /// It is not declared, and its value is like that.
    Other(Rc<Declared>, Claim),
    /// Its name is like that.
    Named(Claim),
}

/// A set of names that no schema mentions: those that match these patterns and not those.
struct Unmentioned {
    matching: Vec<(Rc<str>, bool)>,
    /// Some of them.
    samples: Vec<Value>,
}

impl Unmentioned {
    fn matches(&self, pattern: &str) -> bool {
        self.matching.iter().any(|(own, matches)| **own == *pattern && *matches)
    }

    fn is_declared(&self, declared: &Declared) -> bool {
        declared.patterns.iter().any(|pattern| self.matches(pattern))
    }
}

impl ObjectFacts {
    pub(super) fn add(&mut self, atom: &Atom, holds: bool) -> bool {
        match (atom, holds) {
            (Atom::Member(name, id), true) => {
                self.members.entry(name.clone()).or_default().push(Claim::yes(*id));
            }
            (Atom::Member(name, id), false) => {
                self.present.entry(name.clone()).or_default().push(Claim::no(*id));
            }
            (Atom::Has(name), true) => drop(self.present.entry(name.clone()).or_default()),
            (Atom::Has(name), false) => drop(self.absent.insert(name.clone())),
            (Atom::Matching(pattern, id), true) => self.matching.push((pattern.clone(), Claim::yes(*id))),
            (Atom::Matching(pattern, id), false) => self.some.push(Demand::Matching(pattern.clone(), Claim::no(*id))),
            (Atom::Others(declared, id), true) => self.others.push((declared.clone(), Claim::yes(*id))),
            (Atom::Others(declared, id), false) => self.some.push(Demand::Other(declared.clone(), Claim::no(*id))),
            (Atom::Names(id), true) => self.names.push(Claim::yes(*id)),
            (Atom::Names(id), false) => self.some.push(Demand::Named(Claim::no(*id))),
            (Atom::MembersMin(0), false) => return false,
            (Atom::MembersMin(min), true) => self.min = self.min.max(*min),
            (Atom::MembersMin(min), false) => self.cap(min - 1),
            (Atom::MembersMax(max), true) => self.cap(*max),
            (Atom::MembersMax(max), false) => self.min = self.min.max(max.saturating_add(1)),
            _ => {}
        }
        let least = self.min.max(self.present.len() as u64).max(u64::from(!self.some.is_empty()));
        self.max.is_none_or(|max| max >= least) && !self.absent.iter().any(|name| self.present.contains_key(name))
    }

    /// The object is not this one. Unless it is the empty one, there are always others.
    pub(super) fn exclude(&mut self, members: &Map<String, Value>) {
        self.min = self.min.max(u64::from(members.is_empty()));
    }

    fn cap(&mut self, max: u64) {
        self.max = Some(self.max.map_or(max, |before| before.min(max)));
    }

    /// What is claimed of a member of the name, where there is one.
    fn of_member(&self, solver: &mut Solver, name: &Rc<str>) -> Vec<Claim> {
        let mut claims = self.members.get(name).cloned().unwrap_or_default();
        for (pattern, claim) in &self.matching {
            if solver.evaluator.matches(pattern, name) == Some(true) {
                claims.push(*claim);
            }
        }
        for (declared, claim) in &self.others {
            if !may_be_declared(solver, declared, name) {
                claims.push(*claim);
            }
        }
        claims
    }

    /// Whether a member of the name, like that besides, cannot be.
    fn cannot_have(&self, solver: &mut Solver, name: &Rc<str>, besides: &[Claim]) -> bool {
        if !solver.step() {
            return false;
        }
        self.absent.contains(name) || self.is_no_name(solver, name) || {
            let mut claims = self.of_member(solver, name);
            claims.extend(self.present.get(name).into_iter().flatten());
            claims.extend(besides);
            solver.solve(claims).is_nothing()
        }
    }

    fn is_no_name(&self, solver: &mut Solver, name: &str) -> bool {
        let value = Value::String(name.to_owned());
        self.names.iter().any(|claim| solver.evaluator.claim(&solver.arena, *claim, &value) == Some(false))
    }

    /// What is known of the commonest claims without looking at everything.
    pub(super) fn quick_status(&self, solver: &mut Solver, atom: &Atom, holds: bool) -> Option<Status> {
        let status = match atom {
            Atom::Has(name) if self.present.contains_key(name) => Status::Implied,
            Atom::Has(name) if self.cannot_have(solver, name, &[]) => Status::Dead,
            Atom::Has(_) => Status::Live,
            Atom::Member(name, id) if self.cannot_have(solver, name, &[Claim::no(*id)]) => Status::Implied,
            Atom::Member(name, id)
                if self.present.contains_key(name) && self.cannot_have(solver, name, &[Claim::yes(*id)]) =>
            {
                Status::Dead
            }
            Atom::Member(..) => Status::Live,
            _ => return None,
        };
        Some(match (status, holds) {
            (Status::Implied, false) => Status::Dead,
            (Status::Dead, false) => Status::Implied,
            (status, _) => status,
        })
    }

    /// Every name that a schema mentions.
    fn mentioned(&self, arena: &Arena) -> BTreeSet<Rc<str>> {
        let declared = self.others.iter().map(|(declared, _)| declared);
        let demanded = self.some.iter().filter_map(|some| match some {
            Demand::Other(declared, _) => Some(declared),
            Demand::Matching(..) | Demand::Named(_) => None,
        });
        let mut names: BTreeSet<_> = declared.chain(demanded).flat_map(|declared| declared.names.clone()).collect();
        names.extend(self.members.keys().cloned());
        names.extend(self.present.keys().cloned());
        names.extend(self.absent.iter().cloned());
        for claim in self.names.iter().filter(|claim| claim.holds) {
            add_enumerated(arena, claim.id, &mut names);
        }
        names
    }

    fn patterns(&self) -> BTreeSet<Rc<str>> {
        let mut patterns: BTreeSet<Rc<str>> = self.matching.iter().map(|(pattern, _)| pattern.clone()).collect();
        for (declared, _) in &self.others {
            patterns.extend(declared.patterns.iter().cloned());
        }
        for some in &self.some {
            match some {
                Demand::Matching(pattern, _) => drop(patterns.insert(pattern.clone())),
                Demand::Other(declared, _) => patterns.extend(declared.patterns.iter().cloned()),
                Demand::Named(_) => {}
            }
        }
        patterns
    }

    /// The names that no schema mentions, by the patterns that they match. `None` where those are too many.
    fn unmentioned(&self, solver: &mut Solver, besides: Option<Claim>) -> Option<Vec<Unmentioned>> {
        let patterns: Vec<Rc<str>> = self.patterns().into_iter().collect();
        if patterns.len() > PATTERNS_MAX || patterns.iter().any(|p| solver.evaluator.machine(p).is_none()) {
            return None;
        }
        let mentioned = self.mentioned(&solver.arena);
        if !solver.steps_taken(mentioned.len()) {
            return None;
        }
        let constants = mentioned.iter().map(|name| Constant::new(Value::String(name.to_string()))).collect();
        let text = solver.arena.kinds(Kinds::NONE.with(Kind::Text));
        let mentioned = solver.arena.atom(Atom::Values(constants));
        let mut base = vec![Claim::yes(text), Claim::no(mentioned)];
        base.extend(self.names.iter().copied().chain(besides));
        let mut sets = Vec::new();
        for chosen in 0..1usize << patterns.len() {
            let matching: Vec<_> =
                patterns.iter().enumerate().map(|(bit, p)| (p.clone(), chosen >> bit & 1 == 1)).collect();
            let claims = matching.iter().map(|(pattern, matches)| {
                let id = solver.arena.add(Formula::Atom(Atom::Pattern(pattern.clone())));
                Claim { id, holds: *matches }
            });
            let claims: Vec<Claim> = claims.chain(base.iter().copied()).collect();
            if let Outcome::Perhaps(samples) = solver.solve(claims) {
                sets.push(Unmentioned { matching, samples });
            }
        }
        Some(sets)
    }

    /// What is claimed of the members of such names.
    fn of_unmentioned(&self, set: &Unmentioned) -> Vec<Claim> {
        let matching = self.matching.iter().filter(|(pattern, _)| set.matches(pattern)).map(|(_, claim)| *claim);
        let others = self.others.iter().filter(|(declared, _)| !set.is_declared(declared)).map(|(_, claim)| *claim);
        matching.chain(others).collect()
    }

    pub(super) fn refuted(&self, solver: &mut Solver) -> bool {
        self.max.is_some_and(|max| max < self.min)
            || self.present.keys().any(|name| self.cannot_have(solver, name, &[]))
            || self.some.iter().any(|some| self.choices(solver, some, 1).is_some_and(|choices| choices.is_empty()))
            || (self.min > self.present.len() as u64 && self.has_too_few(solver))
    }

    /// Whether fewer members can be than must be.
    fn has_too_few(&self, solver: &mut Solver) -> bool {
        let Some(sets) = self.unmentioned(solver, None) else { return false };
        if sets.iter().any(|set| !solver.solve(self.of_unmentioned(set)).is_nothing()) {
            return false;
        }
        let possible = self.mentioned(&solver.arena).iter().filter(|name| !self.cannot_have(solver, name, &[])).count();
        (possible as u64) < self.min
    }

    /// Members that may fulfil a demand: their names, and what is demanded of their values. `None` where that is not
    /// followed; an empty list where there are none.
    fn choices(&self, solver: &mut Solver, some: &Demand, max: usize) -> Option<Vec<(Rc<str>, Vec<Claim>)>> {
        let mut choices = Vec::new();
        for name in self.mentioned(&solver.arena) {
            let demanded = match some {
                Demand::Matching(pattern, claim) => {
                    (solver.evaluator.matches(pattern, &name) != Some(false)).then(|| vec![*claim])
                }
                Demand::Other(declared, claim) => (!is_surely_declared(solver, declared, &name)).then(|| vec![*claim]),
                Demand::Named(claim) => {
                    let value = Value::String(name.to_string());
                    let holds = solver.evaluator.claim(&solver.arena, *claim, &value);
                    (holds != Some(false)).then(Vec::new)
                }
            };
            if let Some(demanded) = demanded
                && !self.cannot_have(solver, &name, &demanded)
            {
                choices.push((name, demanded));
                if choices.len() >= max {
                    return Some(choices);
                }
            }
        }
        let of_name = if let Demand::Named(claim) = some { Some(*claim) } else { None };
        for set in self.unmentioned(solver, of_name)? {
            let demanded = match some {
                Demand::Matching(pattern, claim) => set.matches(pattern).then(|| vec![*claim]),
                Demand::Other(declared, claim) => (!set.is_declared(declared)).then(|| vec![*claim]),
                Demand::Named(_) => Some(Vec::new()),
            };
            let Some(mut claims) = demanded else { continue };
            claims.extend(self.of_unmentioned(&set));
            if solver.solve(claims.iter().copied()).is_nothing() {
                continue;
            }
            let names: Vec<Rc<str>> = set.samples.iter().filter_map(Value::as_str).map(Into::into).collect();
            // There is such a name, even if none was found that could be shown.
            let names = if names.is_empty() { vec!["".into()] } else { names };
            choices.extend(names.into_iter().map(|name| (name, claims.clone())));
        }
        Some(choices)
    }

    pub(super) fn samples(&self, solver: &mut Solver) -> Vec<Value> {
        let mut samples: Vec<Value> = Vec::new();
        for attempt in 0..4 {
            if let Some(sample) = self.build(solver, attempt)
                && !samples.contains(&sample)
            {
                samples.push(sample);
            }
        }
        samples
    }

    /// An object with the members that must be there, and on the last attempt with all that may be.
    fn build(&self, solver: &mut Solver, attempt: usize) -> Option<Value> {
        let mut wanted: BTreeMap<Rc<str>, Vec<Claim>> = self.present.clone();
        for some in &self.some {
            let choices = self.choices(solver, some, 4).unwrap_or_default();
            let (name, demanded) = choices.get(attempt % choices.len().max(1))?.clone();
            wanted.entry(name).or_default().extend(demanded);
        }
        if attempt == 3 {
            for name in self.mentioned(&solver.arena) {
                if !self.cannot_have(solver, &name, &[]) {
                    wanted.entry(name).or_default();
                }
            }
        }
        if (wanted.len() as u64) < self.min {
            self.fill_up(solver, &mut wanted);
        }
        let mut members = Map::new();
        for (name, demanded) in wanted {
            let mut claims = self.of_member(solver, &name);
            claims.extend(demanded);
            let Outcome::Perhaps(choices) = solver.solve(claims) else { return None };
            let choice = choices.get(attempt % choices.len().max(1))?;
            members.insert(name.to_string(), choice.clone());
        }
        Some(Value::Object(members))
    }

    /// Adds members until there are as many as there must be.
    fn fill_up(&self, solver: &mut Solver, wanted: &mut BTreeMap<Rc<str>, Vec<Claim>>) {
        let mut names: Vec<Rc<str>> = self.mentioned(&solver.arena).into_iter().collect();
        let is_possible = |solver: &mut Solver, name: &Rc<str>| !self.cannot_have(solver, name, &[]);
        for set in self.unmentioned(solver, None).unwrap_or_default() {
            let samples = set.samples.iter().filter_map(Value::as_str);
            for sample in samples {
                names.push(sample.into());
                names.extend((1..=self.min.min(64)).map(|number| format!("{sample}{number}").into()));
            }
        }
        for name in names {
            if wanted.len() as u64 >= self.min {
                break;
            }
            if is_possible(solver, &name) {
                wanted.entry(name).or_default();
            }
        }
    }
}

/// Adds the strings that a formula names, if it names those that fulfil it.
fn add_enumerated(arena: &Arena, id: Id, names: &mut BTreeSet<Rc<str>>) {
    match arena.formula(id) {
        Formula::Atom(Atom::Values(values)) => {
            names.extend(values.iter().filter_map(|value| value.value.as_str()).map(Rc::from));
        }
        Formula::And(parts) => parts.iter().for_each(|part| add_enumerated(arena, *part, names)),
        _ => {}
    }
}

/// Whether a member of the name may be one of the declared ones; sure where it is one by name.
fn may_be_declared(solver: &mut Solver, declared: &Declared, name: &Rc<str>) -> bool {
    declared.names.contains(name) || declared.patterns.iter().any(|p| solver.evaluator.matches(p, name) != Some(false))
}

fn is_surely_declared(solver: &mut Solver, declared: &Declared, name: &Rc<str>) -> bool {
    declared.names.contains(name) || declared.patterns.iter().any(|p| solver.evaluator.matches(p, name) == Some(true))
}
