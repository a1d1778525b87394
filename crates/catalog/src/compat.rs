//! Whether one schema is within another: is every document of the one a document of the other?
//!
//! The answer is one of three, and the first two are never wrong:
//!
//! - *Compatible* is proved, by a tableau over both schemas as formulas ([`solve`]): that a document fulfils the narrow
//!   one and not the wide one is shown to be contradictory. What the prover does not understand is an opaque statement,
//!   of which it knows nothing but that it implies itself; so a keyword that is missing here costs proofs, never truth.
//! - *Breaking* comes with a witness: a document that the validator itself, the one that judges events, accepts under
//!   the narrow schema and refuses under the wide one.
//! - *Unknown* is everything else, with the reason; also a proof that rests on what nobody can have meant ([`doubt`]).
//!
//! Numbers are exact ([`exact`]); patterns are compared as languages ([`language`]); recursive references are proved
//! by descent: a counter-example would hold a smaller one, and so on without end. Nothing is ever fetched: a reference
//! that leads out of the document makes the answer *unknown*.
//!
//! Schemas may be looked at as a producer or as a consumer does ([`view`]); these views are schemas again.
//!
//! # Bounds
//!
//! A proof takes [`STEPS_MAX`] steps at most, follows documents [`SOLVE_DEPTH_MAX`] levels deep, and keeps
//! [`SAMPLES_MAX`] examples of each question, [`ANSWERS_MAX`] of the first; patterns become automata of a few thousand states, walked for a few ten
//! thousand steps; the search for a witness tries a few thousand documents. What meets a bound is *unknown*.

mod arrays;
mod branch;
mod document;
mod doubt;
mod evaluate;
mod evaluated;
mod exact;
mod explain;
mod facts;
mod formula;
mod language;
mod numbers;
mod objects;
mod outline;
mod read;
mod solve;
mod texts;
mod view;
mod witness;

use std::cell::Cell;

use jsonschema::{Draft, Validator};
use serde_json::Value;

use crate::definition::Compatibility;
use crate::schema::options;
use document::Document;
use formula::{Arena, Claim, Id, Kind, Kinds};
use read::Gap;
use solve::{Outcome, Solver};
use witness::Judges;

/// Steps of one proof.
const STEPS_MAX: usize = 1_000_000;
/// Steps of all proofs for one change.
const CHANGE_STEPS_MAX: usize = 50_000_000;
/// Steps that a comparison counts for besides: reading two schemas takes its time too.
const COMPARISON_STEPS_MIN: usize = 2_000;
/// Steps that the search for a witness counts for.
const WITNESS_STEPS: usize = 50_000;
/// Levels of nesting that a proof follows.
const SOLVE_DEPTH_MAX: usize = 72;
/// Examples that are kept of one question.
const SAMPLES_MAX: usize = 8;
/// Examples of the question that was asked.
const ANSWERS_MAX: usize = 32;

/// How a schema is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// As it stands.
    AsIs,
    /// As a consumer does who skips what it does not know: `additionalProperties: false` forbids nothing.
    Open,
    /// As a producer does who writes what is declared and no more: an object that declares members has no others.
    Closed,
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Every document of the narrow schema is one of the wide schema.
    Compatible,
    /// There is a document that is not.
    Breaking {
        /// Such a document.
        witness: Value,
        /// Where in the document it breaks, an RFC 6901 pointer.
        path: String,
        /// How, in one sentence.
        reason: String,
    },
    /// Neither was shown.
    Unknown {
        /// Where in a schema the reason lies, an RFC 6901 pointer; empty where it lies nowhere in particular.
        path: String,
        /// Why, in one sentence.
        reason: String,
    },
}

/// In which direction two revisions were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// What was written by the earlier one can be read by the new one.
    Backward,
    /// What is written by the new one can be read by the earlier one.
    Forward,
}

/// One comparison of a new schema with an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// In which direction.
    pub direction: Direction,
    /// With which of the earlier ones: an index into them.
    pub against: usize,
    /// What came of it.
    pub verdict: Verdict,
}

/// The work that several comparisons may take together.
#[derive(Debug)]
pub struct Budget(Cell<usize>);

impl Budget {
    /// As much as the check of one change may take: some ten seconds.
    #[must_use]
    pub fn for_one_change() -> Self {
        Self(Cell::new(CHANGE_STEPS_MAX))
    }

    /// None at all.
    #[cfg(test)]
    pub(crate) const fn spent() -> Self {
        Self(Cell::new(0))
    }

    /// As much as comparisons that nobody counts may take.
    const fn unlimited() -> Self {
        Self(Cell::new(usize::MAX))
    }

    fn spend(&self, steps: usize) {
        self.0.set(self.0.get().saturating_sub(steps));
    }

    fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// What is left.
    #[cfg(test)]
    pub(crate) const fn left(&self) -> usize {
        self.0.get()
    }
}

/// How a mode looks at what is written, and at what is read.
const fn views(mode: Compatibility) -> (View, View) {
    if matches!(mode, Compatibility::Published) { (View::Closed, View::Open) } else { (View::AsIs, View::AsIs) }
}

/// Compares a new schema with earlier ones, oldest first, as a mode demands; gives every comparison that was made.
#[must_use]
pub fn judge(mode: Compatibility, earlier: &[&Value], new: &Value) -> Vec<Judged> {
    judge_within(mode, earlier, new, &Budget::unlimited())
}

/// The same with a bound on the work; what it leaves no room for is *unknown*.
#[must_use]
pub fn judge_within(mode: Compatibility, earlier: &[&Value], new: &Value, budget: &Budget) -> Vec<Judged> {
    use Compatibility as Mode;
    use Direction::{Backward, Forward};
    let (directions, transitive): (&[Direction], bool) = match mode {
        Mode::None => (&[], false),
        Mode::Backward => (&[Backward], false),
        Mode::BackwardTransitive => (&[Backward], true),
        Mode::Forward => (&[Forward], false),
        Mode::ForwardTransitive => (&[Forward], true),
        Mode::Full => (&[Backward, Forward], false),
        Mode::FullTransitive | Mode::Published => (&[Backward, Forward], true),
    };
    let views = views(mode);
    let first = if transitive { 0 } else { earlier.len().saturating_sub(1) };
    let mut judged = Vec::new();
    for (against, schema) in earlier.iter().enumerate().skip(first) {
        for direction in directions {
            let (narrow, wide) = if *direction == Backward { (*schema, new) } else { (new, *schema) };
            let verdict = includes_within(Look(narrow, views.0), Look(wide, views.1), budget);
            judged.push(Judged { direction: *direction, against, verdict });
        }
    }
    judged
}

/// What a promise still holds after a later revision broke it, and this was allowed: `None` where the new schema keeps
/// that, or breaks the promise in no other way than was allowed then.
///
/// Backward, documents of the earlier schema count that the later one still lets in. Forward, a document of the new
/// schema does not count if the later one, too, has it, or has what is left of it without the members that the later
/// one does not declare, and the earlier one refuses that already.
#[must_use]
pub fn judge_after_break(
    mode: Compatibility,
    direction: Direction,
    earlier: &Value,
    later: &Value,
    new: &Value,
    budget: &Budget,
) -> Option<Verdict> {
    let (written, read) = views(mode);
    let judged = match direction {
        Direction::Backward => {
            Question { narrow: &[Look(earlier, written), Look(later, read)], wide: &[Look(new, read)], excusing: None }
                .judge(budget)
        }
        Direction::Forward => Question {
            narrow: &[Look(new, written)],
            wide: &[Look(earlier, read), Look(later, written)],
            excusing: (mode == Compatibility::Published).then_some(Look(later, written)),
        }
        .judge(budget),
    };
    match judged {
        Ok(Ok(_)) => None,
        // What of this is proved by documents that are excused is not known.
        Ok(Err(Verdict::Unknown { .. })) if direction == Direction::Forward => None,
        Ok(Err(verdict)) => Some(verdict),
        Err(gap) => Some(gap.into()),
    }
}

/// Whether every document of the narrow schema, seen one way, is a document of the wide one, seen another way.
#[must_use]
pub fn includes(narrow: &Value, narrow_view: View, wide: &Value, wide_view: View) -> Verdict {
    includes_within(Look(narrow, narrow_view), Look(wide, wide_view), &Budget::unlimited())
}

/// The same with a bound on the work.
#[must_use]
pub(crate) fn includes_within(narrow: Look<'_>, wide: Look<'_>, budget: &Budget) -> Verdict {
    match (Question { narrow: &[narrow], wide: &[wide], excusing: None }).judge(budget) {
        Ok(Ok(proof)) => doubt::doubt(narrow.0, wide.0, &proof).map_or(Verdict::Compatible, Verdict::from),
        Ok(Err(verdict)) => verdict,
        Err(gap) => gap.into(),
    }
}

impl From<Gap> for Verdict {
    fn from(gap: Gap) -> Self {
        Self::Unknown { path: gap.path, reason: gap.reason }
    }
}

/// A schema and how it is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a>(pub(crate) &'a Value, pub(crate) View);

/// Whether every document that all of the narrow schemas let in is let in by one of the wide ones.
struct Question<'a> {
    narrow: &'a [Look<'a>],
    wide: &'a [Look<'a>],
    excusing: Option<Look<'a>>,
}

/// That it is so, and what else was seen on the way.
struct Proof {
    narrow_is_empty: bool,
    wide_is_everything: bool,
    /// Why it may be so only because of how a schema was closed.
    hidden: Option<Gap>,
}

impl Question<'_> {
    /// A proof, or a verdict that it is not so or not known.
    fn judge(&self, budget: &Budget) -> Result<Result<Proof, Verdict>, Gap> {
        if budget.is_spent() {
            let reason = "the comparisons of the change take too long all together: change less at once".to_owned();
            return Err(Gap { path: String::new(), reason });
        }
        budget.spend(COMPARISON_STEPS_MIN);
        let mut arena = Arena::new();
        let sides = |arena: &mut Arena, looks: &[Look<'_>]| -> Result<Vec<Side>, Gap> {
            looks.iter().map(|look| Side::new(arena, *look)).collect()
        };
        let (narrow, wide) = (sides(&mut arena, self.narrow)?, sides(&mut arena, self.wide)?);
        let excusing = self.excusing.map(|look| Side::new(&mut arena, look)).transpose()?;
        let mut solver = Solver::new(arena);
        let all = || narrow.iter().map(|side| Claim::yes(side.id));
        let none = || wide.iter().map(|side| Claim::no(side.id));
        let examples = match solver.solve(all().chain(none())) {
            Outcome::Nothing => {
                let proof = Proof {
                    narrow_is_empty: solver.solve(all()).is_nothing(),
                    wide_is_everything: solver.solve(none()).is_nothing(),
                    hidden: narrow.into_iter().find_map(|side| side.hidden(&mut solver)),
                };
                budget.spend(solver.steps());
                return Ok(Ok(proof));
            }
            Outcome::Perhaps(examples) => examples,
        };
        let of_narrow = match solver.solve(all()) {
            Outcome::Nothing => Vec::new(),
            Outcome::Perhaps(examples) => examples,
        };
        budget.spend(solver.steps().saturating_add(WITNESS_STEPS));
        let gap = wide.iter().chain(&narrow).flat_map(|side| &side.gaps).next().cloned();
        let judges = Judges {
            narrow: narrow.into_iter().flat_map(|side| side.validators).collect(),
            wide: wide.into_iter().map(|side| side.validators).collect(),
            excusing: excusing.map_or_else(Vec::new, |side| side.validators),
        };
        if let Some(witness) = judges.find(examples, of_narrow) {
            let (path, reason) = judges
                .wide
                .iter()
                .flatten()
                .find_map(|validator| explain::explain(validator, &witness))
                .unwrap_or_else(|| (String::new(), "the document is refused".to_owned()));
            return Ok(Err(Verdict::Breaking { witness, path, reason }));
        }
        let gap = gap.unwrap_or_else(|| Gap {
            path: String::new(),
            reason: if solver.exhausted {
                "the schemas are too large or too deep to be compared within bounds".to_owned()
            } else {
                "it could not be proved that they agree, and no document was found that shows that they do not"
                    .to_owned()
            },
        });
        Ok(Err(gap.into()))
    }
}

/// Whether it is proved that every document of the one is a document of the other, both as they stand.
fn is_within(narrow: &Value, wide: &Value) -> bool {
    let (narrow, wide) = ([Look(narrow, View::AsIs)], [Look(wide, View::AsIs)]);
    let question = Question { narrow: &narrow, wide: &wide, excusing: None };
    matches!(question.judge(&Budget::unlimited()), Ok(Ok(_)))
}

/// One schema under comparison, in its view.
struct Side {
    id: Id,
    gaps: Vec<Gap>,
    validators: Vec<Validator>,
    /// Places that were closed: where, the schema there, and what it was.
    closed: Vec<(String, Id, Id)>,
    doubts: Vec<Gap>,
}

impl Side {
    fn new(arena: &mut Arena, Look(schema, view): Look<'_>) -> Result<Self, Gap> {
        let unreadable = |reason: String| Gap { path: String::new(), reason };
        let original = Document::new(schema).map_err(unreadable)?;
        let rewritten = view::rewrite(&original, view)?;
        let seen = Document::new(&rewritten.text).map_err(unreadable)?;
        let (places, places_seen): (Vec<String>, Vec<String>) = rewritten.places.into_iter().unzip();
        let read_seen = read::read(arena, &seen, &places_seen);
        let mut side = Self {
            id: read_seen.root,
            gaps: read_seen.gaps,
            validators: vec![validator(seen.draft, &seen.root).map_err(unreadable)?],
            closed: Vec::new(),
            doubts: rewritten.doubts,
        };
        if rewritten.together || !places.is_empty() {
            let read = read::read(arena, &original, &places);
            if rewritten.together {
                side.id = arena.and(vec![side.id, read.root]);
                side.gaps.extend(read.gaps);
                side.validators.push(validator(original.draft, &original.root).map_err(unreadable)?);
            }
            let ids = read_seen.places.into_iter().zip(read.places);
            side.closed = places.into_iter().zip(ids).map(|(at, (closed, open))| (at, closed, open)).collect();
        }
        Ok(side)
    }

    /// Where nothing is left by being closed, so that every change below it would pass.
    fn hidden(self, solver: &mut Solver) -> Option<Gap> {
        let empty = self.closed.into_iter().find(|(_, closed, open)| {
            [Kind::Object, Kind::Array].into_iter().any(|kind| {
                let kind = solver.arena.kinds(Kinds::NONE.with(kind));
                let mut is_empty = |id: Id| solver.solve([Claim::yes(kind), Claim::yes(id)]).is_nothing();
                is_empty(*closed) && !is_empty(*open)
            })
        });
        let empty = empty.map(|(path, ..)| Gap {
            path,
            reason: "what is declared there is not enough for any document, so that it is not known what is written"
                .to_owned(),
        });
        empty.or_else(|| self.doubts.into_iter().next())
    }
}

/// The schemas that say together what a schema says in a view: what the checker compares, and what the validator holds
/// witnesses against.
///
/// # Errors
///
/// The reason, in one sentence, where the view of the schema is not well defined.
pub fn seen(schema: &Value, view: View) -> Result<Vec<Value>, String> {
    let document = Document::new(schema)?;
    let rewritten = view::rewrite(&document, view).map_err(|gap| gap.reason)?;
    Ok([rewritten.text].into_iter().chain(rewritten.together.then(|| schema.clone())).collect())
}

/// The validator that decides, compiled as the door's are.
fn validator(draft: Draft, schema: &Value) -> Result<Validator, String> {
    options(draft)
        .build(schema)
        .map_err(|error| format!("the schema is not valid: {error}").chars().take(300).collect())
}
