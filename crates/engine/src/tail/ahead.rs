//! What this node committed behind events that it does not have yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_event::Position;

use crate::ring::FeedEvent;

/// What a partition's events that wait here take in memory at most, about. What has no room is read from the log.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// Runs of events beyond memory's end, by the position of the first of each. They wait for what lies before them, so that
/// only that has to be read from the log.
#[derive(Default)]
pub(super) struct Ahead {
    runs: BTreeMap<Position, Vec<Arc<FeedEvent>>>,
    bytes: usize,
}

impl Ahead {
    /// Keeps events that follow each other, if there is room.
    pub(super) fn keep(&mut self, run: Vec<Arc<FeedEvent>>) {
        let bytes = weight(&run);
        if let Some(first) = run.first()
            && self.bytes + bytes <= BYTES_MAX
        {
            let replaced = self.runs.insert(first.recorded.position, run);
            self.bytes = self.bytes + bytes - replaced.as_deref().map_or(0, weight);
        }
    }

    /// The position of the first event that waits.
    pub(super) fn first(&self) -> Option<Position> {
        self.runs.keys().next().copied()
    }

    /// The position of the last event that waits.
    pub(super) fn last(&self) -> Option<Position> {
        self.runs.values().next_back().and_then(|run| run.last()).map(|event| event.recorded.position)
    }

    /// Takes out what follows a position without a gap; what lies at or before it is dropped.
    pub(super) fn follow(&mut self, mut end: Position) -> Vec<Arc<FeedEvent>> {
        let mut events = Vec::new();
        while let Some(run) = self.runs.first_entry().filter(|run| *run.key() <= end.next()).map(|run| run.remove()) {
            self.bytes -= weight(&run);
            let fresh = run.into_iter().filter(|event| event.recorded.position > end);
            events.extend(fresh);
            end = events.last().map_or(end, |last: &Arc<FeedEvent>| last.recorded.position);
        }
        events
    }

    /// Drops everything: the log may say something else by now.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn weight(run: &[Arc<FeedEvent>]) -> usize {
    run.iter().map(|event| event.weight()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::tests::event;

    fn run(positions: std::ops::RangeInclusive<u64>, data_bytes: usize) -> Vec<Arc<FeedEvent>> {
        positions.map(|position| event(position, 1, position, data_bytes)).collect()
    }

    fn positions(events: &[Arc<FeedEvent>]) -> Vec<u64> {
        events.iter().map(|event| event.recorded.position.get()).collect()
    }

    #[test]
    fn what_waits_is_given_out_once_everything_before_it_is_there_and_only_what_follows() {
        let mut ahead = Ahead::default();
        for positions in [8..=9, 3..=4, 5..=5] {
            ahead.keep(run(positions, 10));
        }
        assert_eq!((ahead.first(), ahead.last()), (Some(Position(3)), Some(Position(9))));
        assert_eq!(positions(&ahead.follow(Position(1))), [0; 0], "2 is missing");
        assert_eq!(positions(&ahead.follow(Position(3))), [4, 5], "3 is there already, 6 and 7 are missing");
        assert_eq!(positions(&ahead.follow(Position(7))), [8, 9]);
        assert_eq!((ahead.first(), ahead.last(), ahead.bytes), (None, None, 0));
    }

    #[test]
    fn what_has_no_room_is_left_to_be_read_from_the_log() {
        let mut ahead = Ahead::default();
        ahead.keep(run(2..=2, BYTES_MAX / 3));
        ahead.keep(run(4..=4, BYTES_MAX / 3));
        assert_eq!((ahead.first(), ahead.last()), (Some(Position(2)), Some(Position(2))));
        ahead.keep(run(2..=2, 10));
        ahead.keep(run(6..=6, 10));
        assert_eq!(ahead.last(), Some(Position(6)), "what was replaced gave its room back");
        ahead.clear();
        assert_eq!((ahead.first(), ahead.bytes), (None, 0));
    }
}
