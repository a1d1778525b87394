//! Is there a document of which all these claims hold? Either it is proved that there is none, or examples are given of
//! what one may look like.
//!
//! One question serves everything: that `narrow` is within `wide` means that no document fulfils `narrow` and not
//! `wide`; that branches exclude each other, that a schema is empty, are questions of the same form.
//!
//! The proof is a tableau. Claims are taken apart into claims of atoms; where one of several must hold, each is tried,
//! after those have been struck out that cannot hold. What is left on a branch speaks of one kind of document, and is
//! handed to what knows that kind ([`super::facts`]), which asks this question again of elements and members.
//!
//! A question that comes up again below itself is answered with "there is none": an element is smaller than its
//! document, so a smallest document that fulfils the claims would hold a smaller one that does. What was proved on such
//! an assumption is remembered only once nothing above is assumed any more.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;

use super::branch::{Branch, Clause};
use super::evaluate::Evaluator;
use super::formula::{Arena, Claim, Formula, Kind};
use super::{ANSWERS_MAX, SAMPLES_MAX, SOLVE_DEPTH_MAX, STEPS_MAX};

/// Claims that are to hold of one document, sorted.
pub(super) type Goal = Rc<[Claim]>;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// There is no such document.
    Nothing,
    /// There may be; these look like it, but have not been verified.
    Perhaps(Vec<Value>),
}

impl Outcome {
    pub(super) const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    fn has_samples(&self, count: usize) -> bool {
        matches!(self, Self::Perhaps(samples) if samples.len() >= count)
    }

    /// Adds what another way leads to, as long as there are not more than so many examples.
    fn or(self, other: Self, max: usize) -> Self {
        match (self, other) {
            (Self::Nothing, other) | (other, Self::Nothing) => other,
            (Self::Perhaps(mut samples), Self::Perhaps(more)) => {
                for sample in more {
                    if samples.len() < max && !samples.contains(&sample) {
                        samples.push(sample);
                    }
                }
                Self::Perhaps(samples)
            }
        }
    }
}

/// Whether a claim still says something on a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It holds already.
    Implied,
    /// It cannot hold.
    Dead,
    /// Neither is known.
    Live,
}

/// Answers questions about the formulas of one arena.
pub(super) struct Solver {
    pub(super) arena: Arena,
    pub(super) evaluator: Evaluator,
    answers: HashMap<Goal, Outcome>,
    assumed: Vec<Goal>,
    /// The lowest place in `assumed` that an answer since has leaned on.
    leaned_on: usize,
    steps: usize,
    /// Whether a bound was met, so that an answer may have been given up.
    pub(super) exhausted: bool,
}

impl Solver {
    pub(super) fn new(arena: Arena) -> Self {
        Self {
            arena,
            evaluator: Evaluator::new(),
            answers: HashMap::new(),
            assumed: Vec::new(),
            leaned_on: usize::MAX,
            steps: 0,
            exhausted: false,
        }
    }

    /// Is there a document of which all claims hold?
    pub(super) fn solve(&mut self, claims: impl IntoIterator<Item = Claim>) -> Outcome {
        let mut claims: Vec<Claim> = claims.into_iter().filter(|claim| !self.is_trivial(*claim)).collect();
        claims.sort_unstable();
        claims.dedup();
        let contradictory = claims.windows(2).any(|pair| pair[0] == pair[1].opposite())
            || claims.iter().any(|claim| self.is_trivial(claim.opposite()));
        if contradictory {
            return Outcome::Nothing;
        }
        let goal: Goal = claims.into();
        if let Some(answer) = self.answers.get(&goal) {
            return answer.clone();
        }
        if let Some(place) = self.assumed.iter().position(|assumed| *assumed == goal) {
            self.leaned_on = self.leaned_on.min(place);
            return Outcome::Nothing;
        }
        if self.assumed.len() >= SOLVE_DEPTH_MAX || !self.step() {
            self.exhausted = true;
            return Outcome::Perhaps(Vec::new());
        }
        self.solve_new(goal)
    }

    fn solve_new(&mut self, goal: Goal) -> Outcome {
        let place = self.assumed.len();
        let leaned_on_above = std::mem::replace(&mut self.leaned_on, usize::MAX);
        self.assumed.push(goal.clone());
        let mut answer = Outcome::Nothing;
        let enough = self.enough();
        for kind in Kind::ALL {
            let of_kind = self.explore(Branch::new(kind, goal.clone()), goal.to_vec());
            answer = answer.or(of_kind, enough);
        }
        self.assumed.pop();
        // That there may be one leans on nothing: fewer assumptions refute no more.
        if !answer.is_nothing() || self.leaned_on >= place {
            self.answers.insert(goal, answer.clone());
        }
        let below = if self.leaned_on < place { self.leaned_on } else { usize::MAX };
        self.leaned_on = leaned_on_above.min(below);
        answer
    }

    /// So many examples are enough; more of the question that was asked than of those that came up on the way.
    const fn enough(&self) -> usize {
        if self.assumed.len() <= 1 { ANSWERS_MAX } else { SAMPLES_MAX }
    }

    /// The steps that were taken.
    pub(super) const fn steps(&self) -> usize {
        self.steps
    }

    /// Counts a step; false when there are none left.
    pub(super) fn step(&mut self) -> bool {
        self.steps_taken(1)
    }

    /// Counts what took so many steps; false when there are none left.
    pub(super) fn steps_taken(&mut self, count: usize) -> bool {
        self.steps += count;
        self.exhausted |= self.steps > STEPS_MAX;
        self.steps <= STEPS_MAX
    }

    fn is_trivial(&self, claim: Claim) -> bool {
        matches!((self.arena.formula(claim.id), claim.holds), (Formula::True, true) | (Formula::False, false))
    }

    /// Follows one branch of the tableau to its ends.
    fn explore(&mut self, mut branch: Branch, mut todo: Vec<Claim>) -> Outcome {
        loop {
            while let Some(claim) = todo.pop() {
                if !self.step() {
                    return Outcome::Perhaps(Vec::new());
                }
                if !self.take(&mut branch, claim, &mut todo) {
                    return Outcome::Nothing;
                }
            }
            if let Some(values) = branch.finite_values() {
                return self.among(&branch.goal, values);
            }
            match self.reduce(&mut branch) {
                None => return Outcome::Nothing,
                Some(forced) if forced.is_empty() => break,
                Some(forced) => todo = forced,
            }
        }
        if branch.facts.clone().refuted(self) {
            return Outcome::Nothing;
        }
        let Some(clause) = branch.take_smallest_clause() else {
            return Outcome::Perhaps(branch.facts.clone().samples(self));
        };
        let enough = self.enough();
        let mut answer = Outcome::Nothing;
        for alternative in clause {
            if self.steps > STEPS_MAX {
                return answer.or(Outcome::Perhaps(Vec::new()), enough);
            }
            answer = answer.or(self.explore(branch.clone(), alternative), enough);
            if answer.has_samples(enough) {
                break;
            }
        }
        answer
    }

    /// Those of a few values of which the whole goal may hold.
    fn among(&mut self, goal: &Goal, values: Vec<Value>) -> Outcome {
        let mut left = values;
        left.retain(|value| goal.iter().all(|claim| self.evaluator.claim(&self.arena, *claim, value) != Some(false)));
        left.truncate(SAMPLES_MAX);
        if left.is_empty() { Outcome::Nothing } else { Outcome::Perhaps(left) }
    }

    /// Takes one claim apart onto the branch; false where it contradicts what is there.
    fn take(&mut self, branch: &mut Branch, claim: Claim, todo: &mut Vec<Claim>) -> bool {
        if branch.has(claim.opposite()) {
            return false;
        }
        if !branch.note(claim) {
            return true;
        }
        let all = |ids: &[super::formula::Id], holds| ids.iter().map(move |id| Claim { id: *id, holds }).collect();
        match (self.arena.formula(claim.id).clone(), claim.holds) {
            (Formula::True, holds) => holds,
            (Formula::False, holds) => !holds,
            (Formula::Not(id), holds) => {
                todo.push(Claim { id, holds: !holds });
                true
            }
            (Formula::Ref(slot), holds) => {
                // A slot that is not filled belongs to a schema that was not read; nothing is known of it.
                todo.extend(self.arena.slot_content(slot).map(|id| Claim { id, holds }));
                true
            }
            (Formula::And(ids), true) | (Formula::Or(ids), false) => {
                let claims: Vec<Claim> = all(&ids, claim.holds);
                todo.extend(claims);
                true
            }
            (Formula::And(ids), false) | (Formula::Or(ids), true) => {
                branch.clauses.push(ids.iter().map(|id| vec![Claim { id: *id, holds: claim.holds }]).collect());
                true
            }
            (Formula::One(ids), holds) => {
                branch.clauses.push(if holds { exactly_one(&ids) } else { none_or_two(&ids) });
                true
            }
            (Formula::Atom(atom), holds) => branch.add(&atom, holds),
        }
    }

    /// Strikes out alternatives that cannot hold, and clauses that hold already. Gives the claims that have no
    /// alternative left; `None` where a clause has none at all.
    fn reduce(&mut self, branch: &mut Branch) -> Option<Vec<Claim>> {
        // The branch stays as it is until the end, and so does what it says about a claim.
        let mut known = HashMap::new();
        for index in (0..branch.clauses.len()).rev() {
            let clause = branch.clauses.swap_remove(index);
            let mut live: Clause = Vec::with_capacity(clause.len());
            let mut implied = false;
            for alternative in clause {
                match self.all_status(branch, &alternative, &mut known) {
                    Status::Implied => {
                        implied = true;
                        break;
                    }
                    Status::Dead => {}
                    Status::Live => live.push(alternative),
                }
            }
            match live.len() {
                _ if implied => {}
                0 => return None,
                1 => return live.pop(),
                _ => branch.clauses.push(live),
            }
        }
        Some(Vec::new())
    }

    fn all_status(&mut self, branch: &Branch, claims: &[Claim], known: &mut HashMap<Claim, Status>) -> Status {
        let mut status = Status::Implied;
        for claim in claims {
            match *known.entry(*claim).or_insert_with(|| self.status(branch, *claim, STATUS_DEPTH_MAX)) {
                Status::Dead => return Status::Dead,
                Status::Live => status = Status::Live,
                Status::Implied => {}
            }
        }
        status
    }

    /// What a branch says about a claim already.
    fn status(&mut self, branch: &Branch, claim: Claim, depth: usize) -> Status {
        if branch.has(claim) {
            return Status::Implied;
        }
        if branch.has(claim.opposite()) {
            return Status::Dead;
        }
        if depth == 0 || !self.step() {
            return Status::Live;
        }
        let (ids, holds) = match (self.arena.formula(claim.id).clone(), claim.holds) {
            (Formula::True, holds) => return if holds { Status::Implied } else { Status::Dead },
            (Formula::False, holds) => return if holds { Status::Dead } else { Status::Implied },
            (Formula::Not(id), holds) => return self.status(branch, Claim { id, holds: !holds }, depth - 1),
            (Formula::Ref(slot), holds) => {
                let content = self.arena.slot_content(slot);
                return content.map_or(Status::Live, |id| self.status(branch, Claim { id, holds }, depth - 1));
            }
            (Formula::One(_), _) => return Status::Live,
            (Formula::Atom(atom), holds) => return branch.status(self, &atom, holds),
            (Formula::And(ids), holds) => (ids, holds),
            (Formula::Or(ids), holds) => (ids, holds),
        };
        // All of them must hold, or one of them.
        let all = matches!(self.arena.formula(claim.id), Formula::And(_)) == holds;
        let (decides, otherwise) = if all { (Status::Dead, Status::Implied) } else { (Status::Implied, Status::Dead) };
        let mut status = otherwise;
        for id in ids.iter() {
            let of_part = self.status(branch, Claim { id: *id, holds }, depth - 1);
            if of_part == decides {
                return decides;
            }
            if of_part == Status::Live {
                status = Status::Live;
            }
        }
        status
    }
}

/// How deep a claim is looked into before it is taken apart.
const STATUS_DEPTH_MAX: usize = 12;

fn exactly_one(ids: &[super::formula::Id]) -> Clause {
    let only = |index: usize| {
        ids.iter().enumerate().map(move |(other, id)| Claim { id: *id, holds: other == index }).collect()
    };
    (0..ids.len()).map(only).collect()
}

fn none_or_two(ids: &[super::formula::Id]) -> Clause {
    let mut clause: Clause = vec![ids.iter().map(|id| Claim::no(*id)).collect()];
    for (index, id) in ids.iter().enumerate() {
        clause.extend(ids[index + 1..].iter().map(|other| vec![Claim::yes(*id), Claim::yes(*other)]));
    }
    clause
}
