//! What waits for the next commit.

use std::collections::BTreeMap;

use tidings_event::delivery::{AttemptRow, DeadReason, DeadRow, DisableReason};
use tidings_event::{EndpointNo, LaneNo, Sequence};

use super::Notice;
use super::hash::NumberMap;
use crate::limits::NOTICE_SEQUENCES_MAX;

/// Everything that is gathered between two commits, but for what the lanes know themselves.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) attempts: Vec<AttemptRow>,
    pub(super) dead: Vec<DeadRow>,
    /// Retries that are settled and of which a row may be stored.
    pub(super) settled: Vec<(LaneNo, Sequence)>,
    pub(super) disabled: Vec<(EndpointNo, DisableReason)>,
    pub(super) redriven: Vec<(EndpointNo, Sequence)>,
    pub(super) ended: Vec<LaneNo>,
    notices: Vec<Notice>,
    given_up: BTreeMap<(EndpointNo, u8), GivenUp>,
}

#[derive(Debug)]
struct GivenUp {
    reason: DeadReason,
    count: u64,
    /// The lowest sequences, in order.
    some: Vec<Sequence>,
    last: Sequence,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
            && self.dead.is_empty()
            && self.settled.is_empty()
            && self.disabled.is_empty()
            && self.redriven.is_empty()
            && self.ended.is_empty()
            && self.notices.is_empty()
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// An endpoint is not delivered to any longer; told once, whichever of its lanes find out.
    pub(super) fn disable(&mut self, endpoint: EndpointNo, reason: DisableReason) {
        if self.disabled.iter().all(|(of, _)| *of != endpoint) {
            self.disabled.push((endpoint, reason));
            self.notice(Notice::Disabled { endpoint, reason });
        }
    }

    /// An event is given up; with a notice, unless it is one of Tidings itself.
    pub(super) fn give_up(&mut self, row: DeadRow, system: bool) {
        self.dead.push(row);
        if system {
            return;
        }
        let given_up = self.given_up.entry((row.endpoint, row.reason as u8)).or_insert_with(|| GivenUp {
            reason: row.reason,
            count: 0,
            some: Vec::new(),
            last: row.sequence,
        });
        given_up.count += 1;
        given_up.last = given_up.last.max(row.sequence);
        let at = given_up.some.partition_point(|sequence| *sequence <= row.sequence);
        if at < NOTICE_SEQUENCES_MAX {
            given_up.some.insert(at, row.sequence);
            given_up.some.truncate(NOTICE_SEQUENCES_MAX);
        }
    }

    /// An endpoint was deleted: what would be written of it is not.
    pub(super) fn forget_endpoint(&mut self, endpoint: EndpointNo, lane: LaneNo) {
        self.dead.retain(|row| row.endpoint != endpoint);
        self.disabled.retain(|(of, _)| *of != endpoint);
        self.redriven.retain(|(of, _)| *of != endpoint);
        self.given_up.retain(|(of, _), _| *of != endpoint);
        self.forget_lane(lane);
        self.notices.retain(|notice| match notice {
            Notice::CircuitOpened { endpoint: of, .. }
            | Notice::CircuitClosed { endpoint: of, .. }
            | Notice::Disabled { endpoint: of, .. }
            | Notice::DeadLettered { endpoint: of, .. }
            | Notice::ReplayFinished { endpoint: of, .. } => *of != endpoint,
        });
    }

    /// A lane ended: nothing is written of its retries one by one.
    pub(super) fn forget_lane(&mut self, lane: LaneNo) {
        self.settled.retain(|(of, _)| *of != lane);
    }

    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        let mut notices = std::mem::take(&mut self.notices);
        for ((endpoint, _), given_up) in std::mem::take(&mut self.given_up) {
            let first = given_up.some.first().copied().unwrap_or(given_up.last);
            notices.push(Notice::DeadLettered {
                endpoint,
                count: given_up.count,
                first,
                last: given_up.last,
                some: given_up.some,
                reason: given_up.reason,
            });
        }
        notices
    }
}

/// Redrives that were taken over and that a reader of the store may still see among the redrives.
#[derive(Debug, Default)]
pub(super) struct Redriven {
    /// Taken over, by the number of commits that were durable since it could be seen last.
    seen: NumberMap<(EndpointNo, Sequence), u8>,
}

impl Redriven {
    /// False when it was taken over before.
    pub(super) fn insert(&mut self, endpoint: EndpointNo, sequence: Sequence) -> bool {
        self.seen.insert((endpoint, sequence), 0).is_none()
    }

    /// Those of these events that were taken over and given up again: once that is durable they may come anew.
    pub(super) fn given_up(&self, dead: &[DeadRow]) -> Vec<(EndpointNo, Sequence)> {
        if self.seen.is_empty() {
            return Vec::new();
        }
        let keys = dead.iter().map(|row| (row.endpoint, row.sequence));
        keys.filter(|key| self.seen.contains_key(key)).collect()
    }

    /// Forgets one.
    pub(super) fn forget(&mut self, key: &(EndpointNo, Sequence)) {
        self.seen.remove(key);
    }

    /// A commit is durable. One that was read from the store just before the commit that removes it is still known for
    /// one commit more.
    pub(super) fn committed(&mut self) {
        self.seen.retain(|_, commits| {
            *commits += 1;
            *commits < 3
        });
    }
}

#[cfg(test)]
mod tests {
    use tidings_event::{TenantNo, Timestamp};

    use super::*;

    #[test]
    fn one_notice_tells_of_all_that_one_endpoint_lost_for_one_reason() {
        let mut pending = Pending::default();
        for n in (1..=50).rev() {
            let row = DeadRow {
                endpoint: EndpointNo(1),
                tenant: TenantNo(1),
                sequence: Sequence(n),
                attempts: 1,
                last: None,
                reason: DeadReason::Expired,
                died_at: Timestamp::from_micros(0),
            };
            pending.give_up(row, n == 50);
        }
        let notices = pending.take_notices();
        let [Notice::DeadLettered { count, first, last, some, .. }] = &notices[..] else { panic!("{notices:?}") };
        assert_eq!((*count, first.0, last.0), (49, 1, 49));
        assert_eq!(some.iter().map(|sequence| sequence.0).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
        assert_eq!(pending.dead.len(), 50);
    }
}
