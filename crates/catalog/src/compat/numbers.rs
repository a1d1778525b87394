//! What is claimed of a number.

use num_bigint::BigInt;
use serde_json::{Number, Value};

use super::exact::{self, Bound, Exact};
use super::formula::Atom;

/// So many multiples between two bounds are tried one by one.
const MULTIPLES_TRIED_MAX: i64 = 1_000;

/// Bounds, divisors, and values that are out.
#[derive(Debug, Clone, Default)]
pub(super) struct NumberFacts {
    low: Option<Bound>,
    high: Option<Bound>,
    multiple: Option<Exact>,
    not_multiples: Vec<Exact>,
    excluded: Vec<Exact>,
}

impl NumberFacts {
    pub(super) fn add(&mut self, atom: &Atom, holds: bool) -> bool {
        let flipped = |bound: &Bound| Bound { at: bound.at.clone(), open: !bound.open };
        match (atom, holds) {
            (Atom::From(bound), true) => self.raise(bound.clone()),
            (Atom::From(bound), false) => self.cap(flipped(bound)),
            (Atom::UpTo(bound), true) => self.cap(bound.clone()),
            (Atom::UpTo(bound), false) => self.raise(flipped(bound)),
            // A multiple of nothing: the validator refuses such a schema.
            (Atom::Multiple(of), _) if *of <= exact::whole(0) => {}
            (Atom::Multiple(of), true) => {
                self.multiple =
                    Some(self.multiple.take().map_or_else(|| of.clone(), |o| exact::common_multiple(&o, of)));
            }
            (Atom::Multiple(of), false) => self.not_multiples.push(of.clone()),
            _ => {}
        }
        true
    }

    fn raise(&mut self, bound: Bound) {
        self.low = Some(self.low.take().map_or(bound.clone(), |low| low.higher(bound)));
    }

    fn cap(&mut self, bound: Bound) {
        self.high = Some(self.high.take().map_or(bound.clone(), |high| high.lower(bound)));
    }

    pub(super) fn exclude(&mut self, number: &Number) {
        self.excluded.extend(exact::of(number));
    }

    fn admits(&self, value: &Exact) -> bool {
        self.low.as_ref().is_none_or(|low| low.admits_from_below(value))
            && self.high.as_ref().is_none_or(|high| high.admits_from_above(value))
            && self.multiple.as_ref().is_none_or(|of| exact::is_multiple(value, of))
            && !self.not_multiples.iter().any(|of| exact::is_multiple(value, of))
            && !self.excluded.contains(value)
    }

    pub(super) fn refuted(&self) -> bool {
        if let Some(multiple) = &self.multiple {
            // All multiples of a multiple are multiples.
            return self.not_multiples.iter().any(|of| exact::is_multiple(multiple, of))
                || self.all_multiples(multiple).is_some_and(|all| !all.iter().any(|value| self.admits(value)));
        }
        match (&self.low, &self.high) {
            (Some(low), Some(high)) if low.at == high.at => !self.admits(&low.at),
            (Some(low), Some(high)) => low.at > high.at,
            _ => false,
        }
    }

    /// All multiples between the bounds, where they are few.
    fn all_multiples(&self, multiple: &Exact) -> Option<Vec<Exact>> {
        let first = (&self.low.as_ref()?.at / multiple).ceil().to_integer();
        let last = (&self.high.as_ref()?.at / multiple).floor().to_integer();
        let count = &last - &first;
        if count > BigInt::from(MULTIPLES_TRIED_MAX) {
            return None;
        }
        let count = i64::try_from(count).unwrap_or(-1);
        Some((0..=count).map(|step| Exact::from_integer(&first + BigInt::from(step)) * multiple).collect())
    }

    pub(super) fn samples(&self) -> Vec<Value> {
        let step = self.multiple.clone().unwrap_or_else(|| exact::whole(1));
        let mut anchors = vec![exact::whole(0)];
        anchors.extend(self.low.iter().chain(&self.high).map(|bound| bound.at.clone()));
        anchors.extend(self.excluded.iter().take(4).cloned());
        if let (Some(low), Some(high)) = (&self.low, &self.high) {
            anchors.push((&low.at + &high.at) / exact::whole(2));
        }
        let mut values = Vec::new();
        for anchor in &anchors {
            let near = (anchor / &step).floor() * &step;
            values.extend([-2, -1, 0, 1, 2, 3, 7, 10, 1_000].map(|times| &near + &step * exact::whole(times)));
        }
        if self.multiple.is_none() {
            for anchor in &anchors {
                values.push(anchor.clone());
                for part in [2, 10, 1000, 1_000_000] {
                    let part = Exact::new(BigInt::from(1), BigInt::from(part));
                    values.extend([anchor + &part, anchor - &part]);
                }
            }
        }
        values.retain(|value| self.admits(value));
        let mut samples: Vec<Value> = Vec::new();
        for value in values.iter().filter_map(exact::to_value) {
            if !samples.contains(&value) {
                samples.push(value);
            }
        }
        samples.truncate(super::SAMPLES_MAX);
        samples
    }
}
