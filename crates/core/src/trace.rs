//! Which event led to which.

use std::collections::HashMap;

use tidings_event::Recorded;

/// An event and all that it led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The event.
    pub event: Recorded,
    /// The events that name it as their cause, by sequence.
    pub caused: Vec<Branch>,
}

/// Nests events of one tenant by causation. Roots, whose cause is not among the events or unknown, stand first; roots
/// and siblings are ordered by sequence. Every event stands exactly once: where causes form a circle, the event of
/// the lowest sequence in it counts as a root.
#[must_use]
pub fn tree(events: &[Recorded]) -> Vec<Branch> {
    let mut order: Vec<usize> = (0..events.len()).collect();
    order.sort_by_key(|index| events.get(*index).map(|event| event.sequence));
    let events: Vec<&Recorded> = order.iter().filter_map(|index| events.get(*index)).collect();
    let causes = break_circles(causes(&events));

    let mut caused: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
    let mut roots = Vec::new();
    for (index, cause) in causes.iter().enumerate() {
        match cause.and_then(|cause| caused.get_mut(cause)) {
            Some(siblings) => siblings.push(index),
            None => roots.push(index),
        }
    }
    assemble(&events, &caused, &roots)
}

/// Each event's cause, as an index; the events are in order of sequence.
fn causes(events: &[&Recorded]) -> Vec<Option<usize>> {
    let mut by_id = HashMap::with_capacity(events.len());
    for (index, recorded) in events.iter().enumerate() {
        by_id.entry(recorded.event.id.as_str()).or_insert(index);
    }
    events
        .iter()
        .map(|recorded| recorded.event.metadata.causation_id.as_ref())
        .map(|cause| cause.and_then(|id| by_id.get(id.as_str()).copied()))
        .collect()
}

/// Cuts each circle at its first event. A cause may have a higher sequence than its effect (they come from different
/// outboxes), so order alone does not tell a circle.
fn break_circles(mut causes: Vec<Option<usize>>) -> Vec<Option<usize>> {
    /// In which walk an event was first met.
    const NEVER: usize = usize::MAX;
    let mut met_in = vec![NEVER; causes.len()];
    for walk in 0..causes.len() {
        let mut next = Some(walk);
        while let Some(index) = next {
            match met_in.get_mut(index) {
                Some(met) if *met == NEVER => {
                    *met = walk;
                    next = causes.get(index).copied().flatten();
                }
                Some(met) if *met == walk => {
                    cut(&mut causes, index);
                    break;
                }
                _ => break,
            }
        }
    }
    causes
}

/// Makes a root of the first event of the circle through this one.
fn cut(causes: &mut [Option<usize>], start: usize) {
    let cause_of = |index: usize| causes.get(index).copied().flatten();
    let circle = std::iter::successors(cause_of(start), |index| cause_of(*index).filter(|_| *index != start));
    let first = circle.take(causes.len()).min().unwrap_or(start);
    if let Some(cause) = causes.get_mut(first) {
        *cause = None;
    }
}

/// Builds branches from the leaves up, without recursion: a chain of causes may be as long as the trace.
fn assemble(events: &[&Recorded], caused: &[Vec<usize>], roots: &[usize]) -> Vec<Branch> {
    let mut order = roots.to_vec();
    let mut at = 0;
    while let Some(index) = order.get(at) {
        at += 1;
        if let Some(siblings) = caused.get(*index) {
            order.extend_from_slice(siblings);
        }
    }
    let mut built: Vec<Option<Branch>> = vec![None; events.len()];
    let take = |built: &mut Vec<Option<Branch>>, indexes: &[usize]| {
        indexes.iter().filter_map(|index| built.get_mut(*index).and_then(Option::take)).collect::<Vec<_>>()
    };
    for index in order.into_iter().rev() {
        let below = caused.get(index).map(Vec::as_slice).unwrap_or_default();
        let branch = events.get(index).map(|event| Branch { event: (*event).clone(), caused: take(&mut built, below) });
        if let Some(place) = built.get_mut(index) {
            *place = branch;
        }
    }
    take(&mut built, roots)
}
