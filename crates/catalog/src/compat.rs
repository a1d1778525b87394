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
mod read;
mod solve;
mod texts;
mod view;
mod witness;

use std::cell::Cell;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::definition::Compatibility;
use document::Document;
use formula::{Arena, Claim, Id};
use read::Gap;
use solve::{Outcome, Solver};
use witness::Judges;

/// Steps of one proof.
const STEPS_MAX: usize = 1_000_000;
/// Steps of all proofs for one change.
const CHANGE_STEPS_MAX: usize = 50_000_000;
/// Steps that a comparison counts for at least: reading two schemas takes its time too.
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

    fn spend(&self, steps: usize) {
        self.0.set(self.0.get().saturating_sub(steps.max(COMPARISON_STEPS_MIN)));
    }

    fn is_spent(&self) -> bool {
        self.0.get() == 0
    }
}

/// Compares a new schema with earlier ones, oldest first, as a mode demands; gives every comparison that was made.
#[must_use]
pub fn judge(mode: Compatibility, earlier: &[&Value], new: &Value) -> Vec<Judged> {
    judge_within(mode, earlier, new, &Budget(Cell::new(usize::MAX)))
}

/// The same within a budget. What there is no work left for is *unknown*, with that as the reason.
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
    let views = if mode == Mode::Published { (View::Closed, View::Open) } else { (View::AsIs, View::AsIs) };
    let first = if transitive { 0 } else { earlier.len().saturating_sub(1) };
    let mut judged = Vec::new();
    for (against, schema) in earlier.iter().enumerate().skip(first) {
        for direction in directions {
            let (narrow, wide) = if *direction == Backward { (*schema, new) } else { (new, *schema) };
            let verdict = includes_within(narrow, views.0, wide, views.1, budget);
            judged.push(Judged { direction: *direction, against, verdict });
        }
    }
    judged
}

/// Whether every document of the narrow schema, seen one way, is a document of the wide one, seen another way.
#[must_use]
pub fn includes(narrow: &Value, narrow_view: View, wide: &Value, wide_view: View) -> Verdict {
    includes_within(narrow, narrow_view, wide, wide_view, &Budget(Cell::new(usize::MAX)))
}

fn includes_within(narrow: &Value, narrow_view: View, wide: &Value, wide_view: View, budget: &Budget) -> Verdict {
    if budget.is_spent() {
        return Verdict::Unknown {
            path: String::new(),
            reason: "the comparisons of the change take too long all together: change less at once".to_owned(),
        };
    }
    compare(narrow, narrow_view, wide, wide_view, budget)
        .unwrap_or_else(|gap| Verdict::Unknown { path: gap.path, reason: gap.reason })
}

fn compare(narrow: &Value, narrow_view: View, wide: &Value, wide_view: View, budget: &Budget) -> Result<Verdict, Gap> {
    let proved = prove(narrow, narrow_view, wide, wide_view);
    budget.spend(match &proved {
        Ok(Ok(proof)) => proof.steps,
        Ok(Err(open)) => open.solver.steps() + WITNESS_STEPS,
        Err(_) => 0,
    });
    match proved? {
        Ok(proof) => doubt::doubt(narrow, wide, &proof).map_or(Ok(Verdict::Compatible), Err),
        Err(open) => open.look_for_a_witness(),
    }
}

/// That every document of the one is one of the other, and what else was seen on the way.
struct Proof {
    narrow_is_empty: bool,
    wide_is_everything: bool,
    steps: usize,
}

/// A question to which there is no proof.
struct Open {
    solver: Solver,
    narrow: Side,
    wide: Side,
    /// Documents that may tell the two apart.
    examples: Vec<Value>,
}

fn prove(narrow: &Value, narrow_view: View, wide: &Value, wide_view: View) -> Result<Result<Proof, Box<Open>>, Gap> {
    let mut arena = Arena::new();
    let narrow = Side::new(&mut arena, narrow, narrow_view)?;
    let wide = Side::new(&mut arena, wide, wide_view)?;
    let mut solver = Solver::new(arena);
    Ok(match solver.solve([Claim::yes(narrow.id), Claim::no(wide.id)]) {
        Outcome::Nothing => Ok(Proof {
            narrow_is_empty: solver.solve([Claim::yes(narrow.id)]).is_nothing(),
            wide_is_everything: solver.solve([Claim::no(wide.id)]).is_nothing(),
            steps: solver.steps(),
        }),
        Outcome::Perhaps(examples) => Err(Box::new(Open { solver, narrow, wide, examples })),
    })
}

impl Open {
    fn look_for_a_witness(self) -> Result<Verdict, Gap> {
        let Self { mut solver, narrow, wide, examples } = self;
        let of_narrow = match solver.solve([Claim::yes(narrow.id)]) {
            Outcome::Nothing => Vec::new(),
            Outcome::Perhaps(examples) => examples,
        };
        let judges = Judges { narrow: narrow.validators, wide: wide.validators };
        if let Some(witness) = judges.find(examples, of_narrow) {
            let (path, reason) = judges
                .wide
                .iter()
                .find_map(|validator| explain::explain(validator, &witness))
                .unwrap_or_else(|| (String::new(), "the document is refused".to_owned()));
            return Ok(Verdict::Breaking { witness, path, reason });
        }
        Err(wide.gaps.into_iter().chain(narrow.gaps).next().unwrap_or_else(|| Gap {
            path: String::new(),
            reason: if solver.exhausted {
                "the schemas are too large or too deep to be compared within bounds".to_owned()
            } else {
                "it could not be proved that they agree, and no document was found that shows that they do not"
                    .to_owned()
            },
        }))
    }
}

/// One schema under comparison, in its view.
struct Side {
    id: Id,
    gaps: Vec<Gap>,
    validators: Vec<Validator>,
}

impl Side {
    fn new(arena: &mut Arena, schema: &Value, view: View) -> Result<Self, Gap> {
        let unreadable = |reason: String| Gap { path: String::new(), reason };
        let original = Document::new(schema).map_err(unreadable)?;
        let (text, together) = view::rewrite(&original, view)?;
        let seen = Document::new(&text).map_err(unreadable)?;
        let mut side = Self { id: Arena::TRUE, gaps: Vec::new(), validators: Vec::new() };
        let mut ids = Vec::new();
        for document in [Some(&seen), together.then_some(&original)].into_iter().flatten() {
            let (id, gaps) = read::read(arena, document);
            ids.push(id);
            side.gaps.extend(gaps);
            side.validators.push(validator(&document.root).map_err(unreadable)?);
        }
        side.id = arena.and(ids);
        Ok(side)
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
    let (text, together) = view::rewrite(&document, view).map_err(|gap| gap.reason)?;
    Ok([text].into_iter().chain(together.then(|| schema.clone())).collect())
}

/// The validator that decides: formats are asserted, patterns take linear time, nothing is fetched.
fn validator(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex())
        .offline()
        .build(schema)
        .map_err(|error| format!("the schema is not valid: {error}").chars().take(300).collect())
}
