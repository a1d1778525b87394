//! What is claimed of an array.

use serde_json::Value;

use super::exact;
use super::formula::{Atom, Claim, Id};
use super::solve::{Outcome, Solver};

/// Arrays are built up to this length.
const BUILT_LENGTH_MAX: u64 = 64;

/// Lengths, what elements are like, and which elements there must be.
#[derive(Debug, Clone, Default)]
pub(super) struct ArrayFacts {
    min: u64,
    max: Option<u64>,
    items: Vec<(u64, Claim)>,
    items_from: Vec<(u64, Claim)>,
    /// An element at the index is like that.
    demanded: Vec<(u64, Claim)>,
    /// Some element from the index on is like that.
    demanded_from: Vec<(u64, Claim)>,
    contains_min: Vec<(Id, u64)>,
    contains_max: Vec<(Id, u64)>,
    unique: Option<bool>,
}

impl ArrayFacts {
    pub(super) fn add(&mut self, atom: &Atom, holds: bool) -> bool {
        match (atom, holds) {
            (Atom::Item(index, id), true) => self.items.push((*index, Claim::yes(*id))),
            (Atom::Item(index, id), false) => {
                self.demanded.push((*index, Claim::no(*id)));
                self.min = self.min.max(index + 1);
            }
            (Atom::ItemsFrom(index, id), true) => self.items_from.push((*index, Claim::yes(*id))),
            (Atom::ItemsFrom(index, id), false) => {
                self.demanded_from.push((*index, Claim::no(*id)));
                self.min = self.min.max(index + 1);
            }
            (Atom::ContainsMin(_, 0), true) => {}
            (Atom::ContainsMin(_, 0), false) => return false,
            (Atom::ContainsMin(id, min), true) => self.contain(*id, *min),
            (Atom::ContainsMin(id, min), false) => self.contain_at_most(*id, min - 1),
            (Atom::ContainsMax(id, max), true) => self.contain_at_most(*id, *max),
            (Atom::ContainsMax(id, max), false) => self.contain(*id, max.saturating_add(1)),
            (Atom::ItemsMin(0), false) => return false,
            (Atom::ItemsMin(min), true) => self.min = self.min.max(*min),
            (Atom::ItemsMin(min), false) => self.cap(min - 1),
            (Atom::ItemsMax(max), true) => self.cap(*max),
            (Atom::ItemsMax(max), false) => self.min = self.min.max(max.saturating_add(1)),
            (Atom::Unique, holds) => {
                if !holds {
                    self.min = self.min.max(2);
                }
                return self.unique.replace(holds).is_none_or(|before| before == holds) && self.fits();
            }
            _ => {}
        }
        self.fits()
    }

    /// The array is not this one. Unless it is the empty one, there are always others.
    pub(super) fn exclude(&mut self, items: &[Value]) {
        self.min = self.min.max(u64::from(items.is_empty()));
    }

    fn fits(&self) -> bool {
        self.max.is_none_or(|max| max >= self.min)
    }

    fn cap(&mut self, max: u64) {
        self.max = Some(self.max.map_or(max, |before| before.min(max)));
    }

    fn contain(&mut self, id: Id, min: u64) {
        self.contains_min.push((id, min));
        self.min = self.min.max(min);
    }

    fn contain_at_most(&mut self, id: Id, max: u64) {
        if max == 0 {
            self.items_from.push((0, Claim::no(id)));
        } else {
            self.contains_max.push((id, max));
        }
    }

    /// What is claimed of the element at an index, whatever else.
    fn at(&self, index: u64) -> Vec<Claim> {
        let exactly = self.items.iter().filter(|(at, _)| *at == index);
        let from = self.items_from.iter().filter(|(from, _)| *from <= index);
        exactly.chain(from).map(|(_, claim)| *claim).collect()
    }

    /// What is claimed and demanded of the element at an index.
    fn demanded_at(&self, index: u64) -> Vec<Claim> {
        let mut claims = self.at(index);
        claims.extend(self.demanded.iter().filter(|(at, _)| *at == index).map(|(_, claim)| *claim));
        claims
    }

    /// The indexes that claims tell apart, and the first of those that they do not.
    fn places(&self) -> Vec<u64> {
        let exactly = self.items.iter().chain(&self.demanded).flat_map(|(at, _)| [*at, at + 1]);
        let from = self.items_from.iter().chain(&self.demanded_from).map(|(from, _)| *from);
        let mut places: Vec<u64> = exactly.chain(from).chain([0]).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    pub(super) fn refuted(&self, solver: &mut Solver) -> bool {
        if !self.fits() {
            return true;
        }
        let places = self.places();
        // Where nothing can stand, the array ends.
        let end = places.iter().copied().find(|place| solver.solve(self.demanded_at(*place)).is_nothing());
        let max = self.max.unwrap_or(u64::MAX).min(end.unwrap_or(u64::MAX));
        if max < self.min || (max < 2 && self.unique == Some(false)) {
            return true;
        }
        let some_place = |solver: &mut Solver, from: u64, claim: Claim| {
            places.iter().any(|place| {
                let claims = self.demanded_at(*place).into_iter().chain([claim]);
                *place >= from && *place < max && !solver.solve(claims).is_nothing()
            })
        };
        self.demanded_from.iter().any(|(from, claim)| !some_place(solver, *from, *claim))
            || self.contains_min.iter().any(|(id, _)| !some_place(solver, 0, Claim::yes(*id)))
            || self.counts_clash(solver)
    }

    /// Whether more elements must be like something than may be.
    fn counts_clash(&self, solver: &mut Solver) -> bool {
        self.contains_max.iter().any(|(id, max)| {
            let more_are = |solver: &mut Solver, like: &Id, min: u64| {
                min > *max && solver.solve([Claim::yes(*like), Claim::no(*id)]).is_nothing()
            };
            self.contains_min.iter().any(|(like, min)| more_are(solver, like, *min)) || self.forced(solver, *id) > *max
        })
    }

    /// How many of the elements that there must be are sure to be like that.
    fn forced(&self, solver: &mut Solver, id: Id) -> u64 {
        let places = self.places();
        let mut forced = 0;
        for (nth, place) in places.iter().enumerate().filter(|(_, place)| **place < self.min) {
            let next = places.get(nth + 1).copied().unwrap_or(u64::MAX).min(self.min);
            if solver.solve(self.at(*place).into_iter().chain([Claim::no(id)])).is_nothing() {
                forced += next - place;
            }
        }
        forced
    }

    pub(super) fn samples(&self, solver: &mut Solver) -> Vec<Value> {
        let mut samples: Vec<Value> = Vec::new();
        for attempt in 0..3 {
            if let Some(sample) = self.build(solver, attempt)
                && !samples.contains(&sample)
            {
                samples.push(sample);
            }
        }
        samples
    }

    /// An array that fulfils the demands, if they do not stand in each other's way.
    fn build(&self, solver: &mut Solver, attempt: usize) -> Option<Value> {
        let mut wanted: Vec<Vec<Claim>> = Vec::new();
        let grow = |wanted: &mut Vec<Vec<Claim>>, length: u64| {
            for index in wanted.len() as u64..length.min(BUILT_LENGTH_MAX) {
                wanted.push(self.demanded_at(index));
            }
        };
        grow(&mut wanted, self.min);
        let demands = self.demanded_from.iter().map(|(from, claim)| (*from, *claim, 1));
        let contained = self.contains_min.iter().map(|(id, min)| (0, Claim::yes(*id), *min));
        for (from, claim, count) in demands.chain(contained) {
            let mut left = count;
            for index in from..BUILT_LENGTH_MAX {
                if left == 0 || self.max.is_some_and(|max| index >= max) {
                    break;
                }
                let with: Vec<Claim> = self.taken(&wanted, index).into_iter().chain([claim]).collect();
                if !solver.solve(with.iter().copied()).is_nothing() {
                    grow(&mut wanted, index + 1);
                    *wanted.get_mut(usize::try_from(index).ok()?)? = with;
                    left -= 1;
                }
            }
        }
        if attempt == 2 {
            let longer = (wanted.len() as u64 + 1).min(self.max.unwrap_or(u64::MAX));
            grow(&mut wanted, longer);
        }
        self.fill(solver, wanted, attempt)
    }

    fn taken(&self, wanted: &[Vec<Claim>], index: u64) -> Vec<Claim> {
        let so_far = usize::try_from(index).ok().and_then(|index| wanted.get(index));
        so_far.cloned().unwrap_or_else(|| self.demanded_at(index))
    }

    fn fill(&self, solver: &mut Solver, wanted: Vec<Vec<Claim>>, attempt: usize) -> Option<Value> {
        let mut items: Vec<Value> = Vec::new();
        for claims in wanted {
            let Outcome::Perhaps(mut choices) = solver.solve(claims) else { return None };
            if choices.is_empty() {
                return None;
            }
            let turn = attempt % choices.len();
            choices.rotate_left(turn);
            let repeated = |choice: &Value| items.iter().any(|item| exact::same(item, choice));
            let liked = choices.iter().position(|choice| match self.unique {
                Some(true) => !repeated(choice),
                Some(false) => items.is_empty() || repeated(choice),
                None => true,
            });
            items.push(choices.swap_remove(liked.unwrap_or(0)));
        }
        Some(Value::Array(items))
    }
}
