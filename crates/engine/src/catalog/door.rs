//! The door of the log: whoever brings events in is stopped here where the catalog says so.
//!
//! First who may emit what, then the events themselves. What depends on the state of an entity is judged behind the
//! door, under the lock of the partition's head; what is refused there comes back to be put aside where the mode is
//! quarantine.

use std::sync::Arc;

use futures_util::future::join_all;
use metrics::counter;
use tidings_catalog::entry::Mode;
use tidings_catalog::judge::{Catalog, Judgement};
use tidings_catalog::ownership::{self, may_emit};
use tidings_event::limits::VIOLATIONS_MAX;
use tidings_event::log::Receipt;
use tidings_event::{ErrorCode, Event, Problem, Violation, violation_code};
use tidings_store::Store;

use super::count_violation;
use super::emitter::Emitter;
use super::guard::StateGuard;
use super::holder::Holder;
use super::judge::{Fate, Stopped, judge_all, judge_alone};
use super::pool::Pool;
use crate::append::{Judged, NotTaken};
use crate::places::Places;
use crate::system::{self, Fact, Refusals};
use crate::{AppendError, Appender, metrics as names};

/// Events that are looked up in the log at once.
const LOOKUPS_AT_ONCE: usize = 8;

/// Broken rules, by the place of the event in the call.
pub(super) type Violations = Vec<(usize, Vec<Violation>)>;

/// Everything that comes in from outside comes through here.
pub(crate) struct Door {
    pub(crate) appender: Appender,
    pub(crate) holder: Arc<Holder>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) places: Arc<Places>,
    /// Where events are judged that take long.
    pub(crate) pool: Arc<Pool>,
    /// Which violations of ownership were told lately.
    pub(crate) told: Refusals,
}

/// What became of one event of several that stand each for itself.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is in the log.
    Taken,
    /// It is kept aside.
    Aside,
    /// It is nowhere.
    Refused(Box<Problem>),
    /// Whether it is in the log is not known; bringing it again is safe.
    Lost(Box<AppendError>),
}

/// An event that may come back from under the lock to be put aside.
struct Returning {
    index: usize,
    event: Event,
}

impl Door {
    pub(crate) fn new(
        appender: Appender,
        holder: Arc<Holder>,
        store: Arc<dyn Store>,
        places: Arc<Places>,
        pool: Arc<Pool>,
    ) -> Self {
        Self { appender, holder, store, places, pool, told: Refusals::default() }
    }

    /// Judges and appends events as a whole.
    pub(crate) async fn emit(&self, emitter: &Emitter, events: Vec<Event>) -> Result<Vec<Receipt>, AppendError> {
        if self.holder.is_idle() && !emitter.is_bound() {
            return self.appender.append(events).await;
        }
        let catalog = self.holder.catalog();
        let mut violations = not_owned(&catalog, emitter, &events);
        // Whoever speaks in another's name never emitted the event, whatever the log holds.
        if !violations.iter().flat_map(|(_, broken)| broken).any(|broken| broken.code == violation_code::SOURCE_NOT_OWN)
        {
            violations = self.not_taken(violations, &events).await?;
        }
        if !violations.is_empty() {
            counter!(names::CATALOG_JUDGED, "outcome" => "not_owned").increment(events.len() as u64);
            self.tell_all(&catalog, emitter, &events, &violations);
            return Err(AppendError::NotOwned { violations });
        }
        let fates = judge_all(&self.pool, &catalog, events).await?;
        let (judged, returning) = self.pass(emitter, fates).await?;
        match self.appender.append_judged(judged).await {
            Ok(receipts) => {
                counter!(names::CATALOG_JUDGED, "outcome" => "passed").increment(receipts.len() as u64);
                Ok(receipts)
            }
            Err(AppendError::Rejected { violations }) => Err(self.turn_back(emitter, violations, returning).await?),
            Err(error) => Err(error),
        }
    }

    /// Judges and appends events, each for itself. Waits for room where [`Self::emit`] would answer overload. Where the
    /// part of the log in which a tenant lives cannot be reached, its events are lost, and no others.
    pub(crate) async fn emit_each(&self, emitter: &Emitter, events: Vec<Event>) -> Result<Vec<Outcome>, AppendError> {
        if self.holder.is_idle() && !emitter.is_bound() {
            let taken = self.appender.append_each_judged(events.into_iter().map(Judged::from).collect()).await;
            let outcomes = taken.into_iter().map(|taken| match taken {
                Ok(_) => Outcome::Taken,
                Err(NotTaken::IdTaken) => id_taken(),
                Err(NotTaken::Refused(violations)) => refused(ErrorCode::EventRejected, violations),
                Err(NotTaken::Lost(error)) => Outcome::Lost(Box::new(error)),
            });
            return Ok(outcomes.collect());
        }
        let catalog = self.holder.catalog();
        let mut outcomes: Vec<Option<Outcome>> = Vec::new();
        outcomes.resize_with(events.len(), || None);
        let foreign = not_owned(&catalog, emitter, &events);
        // One that the log holds was its emitter's when it was taken.
        let taken = self.are_each_taken(foreign.iter().filter_map(|(index, _)| events.get(*index))).await;
        let foreign = foreign.into_iter().zip(taken).filter_map(|((index, violations), taken)| {
            let outcome = match taken {
                Ok(false) => return Some((index, violations)),
                Ok(true) => Outcome::Taken,
                Err(error) => Outcome::Lost(Box::new(error)),
            };
            set(&mut outcomes, index, outcome);
            None
        });
        let foreign: Violations = foreign.collect();
        counter!(names::CATALOG_JUDGED, "outcome" => "not_owned").increment(foreign.len() as u64);
        self.tell_all(&catalog, emitter, &events, &foreign);
        for (index, violations) in foreign {
            set(&mut outcomes, index, refused(ErrorCode::Forbidden, violations));
        }
        let mut own = outcomes.iter().map(Option::is_none);
        let (places, events): (Vec<usize>, Vec<Event>) =
            events.into_iter().enumerate().filter(|_| own.next().unwrap_or(false)).unzip();
        let mut sorted = self.sort(places, judge_all(&self.pool, &catalog, events).await?, &mut outcomes).await;

        let taken = self.appender.append_each_judged(sorted.judged).await;
        for (index, taken) in sorted.places.into_iter().zip(taken) {
            match taken {
                Ok(_) => set(&mut outcomes, index, Outcome::Taken),
                Err(NotTaken::IdTaken) => set(&mut outcomes, index, id_taken()),
                Err(NotTaken::Lost(error)) => set(&mut outcomes, index, Outcome::Lost(Box::new(error))),
                Err(NotTaken::Refused(violations)) => {
                    match sorted.returning.iter().position(|returning| returning.index == index) {
                        Some(at) => {
                            let Returning { event, .. } = sorted.returning.swap_remove(at);
                            sorted.aside.push((index, event, violations));
                        }
                        None => {
                            count_refused(&violations);
                            set(&mut outcomes, index, refused(ErrorCode::EventRejected, violations));
                        }
                    }
                }
            }
        }
        self.put_each_aside(emitter, sorted.aside, &mut outcomes).await?;
        let count = outcomes.iter().filter(|outcome| matches!(outcome, Some(Outcome::Taken))).count();
        counter!(names::CATALOG_JUDGED, "outcome" => "passed").increment(count as u64);
        let lost = || AppendError::Store(tidings_store::Error::Broken("an event has no outcome".to_owned()));
        outcomes.into_iter().map(|outcome| outcome.ok_or_else(lost)).collect()
    }

    /// Judges an event without taking it in: whether it would be refused whatever its entity's state is.
    pub(crate) async fn would_refuse(&self, emitter: &Emitter, event: &Event) -> Result<(), AppendError> {
        if self.holder.is_idle() && !emitter.is_bound() {
            return Ok(());
        }
        let catalog = self.holder.catalog();
        let violations = not_owned(&catalog, emitter, std::slice::from_ref(event));
        if !violations.is_empty() {
            self.tell_all(&catalog, emitter, std::slice::from_ref(event), &violations);
            return Err(AppendError::NotOwned { violations });
        }
        match judge_alone(&self.pool, &catalog, event).await? {
            Judgement::Refuse(violations) => {
                count_refused(&violations);
                Err(AppendError::Rejected { violations: vec![(0, violations)] })
            }
            Judgement::Pass(_) | Judgement::Observe(..) | Judgement::Quarantine(_) => Ok(()),
        }
    }

    /// Judges an event that was kept aside once more. With `as_is` broken rules only mark it.
    pub(crate) async fn judge_again(
        &self,
        event: Event,
        as_is: bool,
    ) -> Result<Result<Judged, Vec<Violation>>, AppendError> {
        let catalog = self.holder.catalog();
        let owner = catalog.owner(&event.event_type);
        if let Err(violation) = may_emit(owner, &event.source, ownership::Holder::Outbox) {
            return Ok(Err(vec![violation]));
        }
        let guard = if as_is { StateGuard::lenient } else { StateGuard::of };
        let (mark, rule) = match judge_alone(&self.pool, &catalog, &event).await? {
            Judgement::Pass(rule) => (None, rule),
            Judgement::Observe(violations, rule) => (Some(violations), rule),
            // Its state is judged all the same, so that the mark says all that is wrong with it.
            Judgement::Quarantine(violations) | Judgement::Refuse(violations) if as_is => {
                (Some(violations), catalog.state_rule(&event, Mode::Observe))
            }
            Judgement::Quarantine(violations) | Judgement::Refuse(violations) => return Ok(Err(violations)),
        };
        Ok(Ok(Judged { event, mark: mark.map(Arc::from), guard: rule.map(guard), aside_if_refused: false }))
    }

    /// Counts and tells that somebody emits on behalf of others.
    fn tell_all(&self, catalog: &Catalog, emitter: &Emitter, events: &[Event], violations: &Violations) {
        for (index, violations) in violations {
            violations.iter().for_each(count_violation);
            if let Some(event) = events.get(*index) {
                self.tell(emitter, catalog.owner(&event.event_type), event);
            }
        }
    }

    /// Tells of a violation of ownership, in the background; at most once a minute for each emitter and type.
    fn tell(&self, emitter: &Emitter, owner: Option<&str>, event: &Event) {
        let name = emitter.name();
        let Some(permit) = self.told.take(&format!("{name} {}", event.event_type)) else { return };
        let fact = Fact::of_ownership(&name, emitter.who(), owner, event);
        let appender = self.appender.clone();
        tokio::spawn(async move {
            system::tell(&appender, &fact).await;
            drop(permit);
        });
    }

    /// Stops a request of which any event breaks rules; otherwise returns its events, and those of them that are to be
    /// put aside where their state does not fit.
    async fn pass(&self, emitter: &Emitter, fates: Vec<Fate>) -> Result<(Vec<Judged>, Vec<Returning>), AppendError> {
        if fates.iter().all(|fate| matches!(fate, Fate::Take(_))) {
            return Ok(take_all(fates));
        }
        let fates = self.forgive(fates).await?;
        let is = |aside: bool| move |fate: &Fate| matches!(fate, Fate::Stop(stopped) if stopped.aside == aside);
        if fates.iter().any(is(false)) {
            let violations: Violations = numbered(fates).map(|(index, stopped)| (index, stopped.violations)).collect();
            violations.iter().for_each(|(_, violations)| count_refused(violations));
            return Err(AppendError::Rejected { violations });
        }
        if fates.iter().any(is(true)) {
            let aside = numbered(fates).map(|(index, stopped)| (index, stopped.event, stopped.violations)).collect();
            return Err(self.put_aside(emitter, aside).await?);
        }
        // All that broke rules was in the log already.
        Ok(take_all(fates))
    }

    /// Lets those pass which the log holds already: they were taken when other rules held, and are answered as
    /// duplicates. Once one event is to be refused for sure the rest does not matter.
    async fn forgive(&self, mut fates: Vec<Fate>) -> Result<Vec<Fate>, AppendError> {
        let is_stopped = |(index, fate): (usize, &Fate)| matches!(fate, Fate::Stop(_)).then_some(index);
        let places: Vec<usize> = fates.iter().enumerate().filter_map(is_stopped).collect();
        for places in places.chunks(LOOKUPS_AT_ONCE) {
            let events = places.iter().filter_map(|place| match fates.get(*place) {
                Some(Fate::Stop(stopped)) => Some(&stopped.event),
                _ => None,
            });
            let taken = self.are_taken(events).await?;
            let mut is_refused = false;
            for (place, taken) in places.iter().zip(taken) {
                let Some(fate) = fates.get_mut(*place) else { continue };
                match fate {
                    Fate::Stop(stopped) if taken => *fate = Fate::Take(Judged::from(stopped.event.clone())),
                    Fate::Stop(stopped) => is_refused |= !stopped.aside,
                    Fate::Take(_) => {}
                }
            }
            if is_refused {
                break;
            }
        }
        Ok(fates)
    }

    /// What is left of broken rules without those of events that the log holds: those were taken when other rules held.
    /// Once one event is to be refused for sure the rest does not matter.
    async fn not_taken(&self, mut violations: Violations, events: &[Event]) -> Result<Violations, AppendError> {
        let mut left = Violations::new();
        while left.is_empty() && !violations.is_empty() {
            let rest = violations.split_off(LOOKUPS_AT_ONCE.min(violations.len()));
            let taken = self.are_taken(violations.iter().filter_map(|(index, _)| events.get(*index))).await?;
            left.extend(violations.into_iter().zip(taken).filter(|(_, taken)| !taken).map(|(violation, _)| violation));
            violations = rest;
        }
        left.extend(violations);
        Ok(left)
    }

    /// For each event whether the log holds it already.
    async fn are_taken(&self, events: impl Iterator<Item = &Event>) -> Result<Vec<bool>, AppendError> {
        self.are_each_taken(events).await.into_iter().collect()
    }

    /// The same where one that cannot be told leaves the others alone.
    async fn are_each_taken(&self, events: impl Iterator<Item = &Event>) -> Vec<Result<bool, AppendError>> {
        let events: Vec<&Event> = events.collect();
        let mut taken = Vec::with_capacity(events.len());
        for events in events.chunks(LOOKUPS_AT_ONCE) {
            taken.extend(join_all(events.iter().map(|event| self.is_duplicate(event))).await);
        }
        taken
    }

    /// Whether the log holds the event already.
    async fn is_duplicate(&self, event: &Event) -> Result<bool, AppendError> {
        let Some(place) = self.places.find(&event.tenant).await? else { return Ok(false) };
        let recorded = self.store.event(place.no, &event.id).await?;
        Ok(recorded.is_some_and(|recorded| recorded.event.same_content(event)))
    }

    /// What becomes of a request that was refused under the lock.
    async fn turn_back(
        &self,
        emitter: &Emitter,
        violations: Violations,
        mut returning: Vec<Returning>,
    ) -> Result<AppendError, AppendError> {
        let mut aside = Vec::with_capacity(violations.len());
        for (index, violations) in &violations {
            if let Some(at) = returning.iter().position(|returning| returning.index == *index) {
                aside.push((*index, returning.swap_remove(at).event, violations.clone()));
            }
        }
        if aside.len() < violations.len() {
            violations.iter().for_each(|(_, violations)| count_refused(violations));
            return Ok(AppendError::Rejected { violations });
        }
        self.put_aside(emitter, aside).await
    }

    /// Sorts events that stand each for itself; what is clear already gets its outcome.
    async fn sort(&self, places: Vec<usize>, fates: Vec<Fate>, outcomes: &mut [Option<Outcome>]) -> Sorted {
        let mut sorted = Sorted::default();
        let stopped = fates.iter().filter_map(|fate| match fate {
            Fate::Stop(stopped) => Some(&stopped.event),
            Fate::Take(_) => None,
        });
        let mut taken = self.are_each_taken(stopped).await.into_iter();
        for (index, fate) in places.into_iter().zip(fates) {
            let judged = match fate {
                Fate::Take(judged) => judged,
                Fate::Stop(Stopped { event, violations, aside }) => match taken.next() {
                    Some(Ok(true)) => Judged::from(event),
                    Some(Err(error)) => {
                        set(outcomes, index, Outcome::Lost(Box::new(error)));
                        continue;
                    }
                    Some(Ok(false)) | None if aside => {
                        sorted.aside.push((index, event, violations));
                        continue;
                    }
                    Some(Ok(false)) | None => {
                        count_refused(&violations);
                        set(outcomes, index, refused(ErrorCode::EventRejected, violations));
                        continue;
                    }
                },
            };
            sorted.returning.extend(Returning::of(index, &judged));
            sorted.places.push(index);
            sorted.judged.push(judged);
        }
        sorted
    }
}

/// Events that stand each for itself, on their way.
#[derive(Default)]
struct Sorted {
    /// The places of `judged`.
    places: Vec<usize>,
    judged: Vec<Judged>,
    returning: Vec<Returning>,
    aside: Vec<(usize, Event, Vec<Violation>)>,
}

impl Returning {
    fn of(index: usize, judged: &Judged) -> Option<Self> {
        judged.aside_if_refused.then(|| Self { index, event: judged.event.clone() })
    }
}

/// Events that are emitted on behalf of others.
fn not_owned(catalog: &Catalog, emitter: &Emitter, events: &[Event]) -> Violations {
    let holder = emitter.holder();
    let broken = |event: &Event| may_emit(catalog.owner(&event.event_type), &event.source, holder).err();
    let found = events.iter().enumerate().filter_map(|(index, event)| Some((index, vec![broken(event)?])));
    found.collect()
}

/// The events of a request that passes, and those of them that are to be put aside where their state does not fit.
fn take_all(fates: Vec<Fate>) -> (Vec<Judged>, Vec<Returning>) {
    let (mut judged, mut returning) = (Vec::with_capacity(fates.len()), Vec::new());
    for (index, fate) in fates.into_iter().enumerate() {
        if let Fate::Take(one) = fate {
            returning.extend(Returning::of(index, &one));
            judged.push(one);
        }
    }
    (judged, returning)
}

fn numbered(fates: Vec<Fate>) -> impl Iterator<Item = (usize, Stopped)> {
    fates.into_iter().enumerate().filter_map(|(index, fate)| match fate {
        Fate::Stop(stopped) => Some((index, stopped)),
        Fate::Take(_) => None,
    })
}

pub(super) fn refused(code: ErrorCode, mut violations: Vec<Violation>) -> Outcome {
    violations.truncate(VIOLATIONS_MAX);
    let detail = violations.first().map_or_else(String::new, |first| format!("{}: {}", first.path, first.message));
    let mut problem = Problem::new(code, detail);
    problem.errors = violations;
    Outcome::Refused(Box::new(problem))
}

fn id_taken() -> Outcome {
    let detail = "The tenant has another event with this id.";
    Outcome::Refused(Box::new(Problem::new(ErrorCode::EventIdConflict, detail)))
}

pub(super) fn set(outcomes: &mut [Option<Outcome>], index: usize, outcome: Outcome) {
    if let Some(slot) = outcomes.get_mut(index) {
        *slot = Some(outcome);
    }
}

pub(super) fn count_refused(violations: &[Violation]) {
    counter!(names::CATALOG_JUDGED, "outcome" => "refused").increment(1);
    violations.iter().for_each(count_violation);
}
