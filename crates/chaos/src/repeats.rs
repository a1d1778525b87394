//! Deliveries that came again: at least once allows them, but only for a reason, and not for long.

use std::time::Duration;

use crate::audit::Claim;
use crate::history::{History, millis};

/// How old a repeat may be, from the first time on; the time in which its receiver was hit does not count.
const AGE_MAX: Duration = Duration::from_secs(120);
/// How soon after it was taken an event is on record as settled, unless something is wrong.
const SETTLES_WITHIN: Duration = Duration::from_secs(10);
/// A partition that was claimed so shortly before was perhaps still with another node.
const CLAIM_BEFORE: Duration = Duration::from_secs(5);
/// How long what is on record as settled may still come again: a node that slept has sent it, or a network held it.
const SETTLED_MAX: Duration = Duration::from_secs(40);
/// What does not become shorter with the faults.
const SETTLED_MARGIN: Duration = Duration::from_secs(5);

/// An event that a receiver took again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeat {
    pub(crate) sequence: u64,
    /// When it was taken for the first time.
    pub(crate) first: Duration,
    /// When it was taken the time before.
    pub(crate) before: Duration,
    pub(crate) at: Duration,
    /// Since when the database is known to call it settled.
    pub(crate) settled: Option<Duration>,
}

/// What repeats are judged by.
pub(crate) struct Grounds<'a> {
    pub(crate) history: &'a History,
    /// Who claimed the receiver's partition, in order.
    pub(crate) claims: Vec<&'a Claim>,
    /// The nodes' names, by their number.
    pub(crate) nodes: Vec<&'a str>,
    /// The receiver's number.
    pub(crate) receiver: usize,
    /// How much shorter faults are than in a long run.
    pub(crate) scale: f64,
}

impl Grounds<'_> {
    /// Why a repeat must not be; nothing where it may.
    pub(crate) fn against(&self, repeat: &Repeat) -> Option<String> {
        let Repeat { sequence, first, before, at, settled } = *repeat;
        let gone = self.history.hit_for(first, at, &format!("receiver {}", self.receiver));
        let age = (at - first).saturating_sub(gone);
        if age > AGE_MAX {
            return Some(format!("{sequence} came again after {} ms", millis(at - first)));
        }
        let settled_max = SETTLED_MAX.mul_f64(self.scale) + SETTLED_MARGIN;
        if let Some(settled) = settled.filter(|settled| at > *settled + settled_max) {
            return Some(format!("{sequence} came again {} ms after it was settled", millis(at - settled)));
        }
        let owner = self.claims.iter().take_while(|claim| claim.at <= before).last();
        let owner = owner.and_then(|claim| self.nodes.iter().position(|node| claim.node.as_deref() == Some(node)));
        let since = before.saturating_sub(CLAIM_BEFORE);
        let handed_over = self.claims.iter().any(|claim| claim.at >= since && claim.at <= at);
        let until = at.min(before + SETTLES_WITHIN);
        let explained =
            self.history.disturbed(before, until, |fault| fault.explains_repeat(self.receiver, owner, handed_over));
        (!explained).then(|| {
            format!(
                "{sequence} came again {} ms after it was taken, without a fault to explain it",
                millis(at - before)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Fault, How, Link};

    fn history(directory: &tempfile::TempDir) -> History {
        History::new(&directory.path().join("history")).unwrap()
    }

    fn second(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn repeat(first: u64, before: u64, at: u64, settled: Option<u64>) -> Repeat {
        Repeat {
            sequence: 1,
            first: second(first),
            before: second(before),
            at: second(at),
            settled: settled.map(second),
        }
    }

    fn judged(fault: Option<Fault>, claims: &[Claim], repeat: &Repeat) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let history = history(&directory);
        if let Some(fault) = fault {
            let no = history.begin(fault, &serde_json::json!({}));
            history.end(no, true);
        }
        let nodes = vec!["node-1", "node-2"];
        let grounds = Grounds { history: &history, claims: claims.iter().collect(), nodes, receiver: 3, scale: 1.0 };
        grounds.against(repeat)
    }

    #[test]
    fn a_repeat_needs_a_fault_that_can_have_caused_it() {
        let claim = |node: &str, at| Claim { partition: 0, node: Some(node.to_owned()), at: second(at) };
        let owned = [claim("node-1", 0)];
        let moved = [claim("node-1", 0), claim("node-2", 11)];
        let soon = repeat(10, 10, 12, None);
        for (fault, claims, fine) in [
            (None, &owned[..], false),
            (Some(Fault::Kill(0)), &owned, true),
            (Some(Fault::Kill(1)), &owned, false),
            (Some(Fault::Kill(1)), &moved, true),
            (Some(Fault::Link(Link::Postgres(1), How::Cut)), &owned, false),
            (Some(Fault::ReceiverGone(3)), &owned, true),
            (Some(Fault::ReceiverGone(4)), &owned, false),
            (Some(Fault::PostgresCrash), &owned, true),
            (Some(Fault::NatsKill), &owned, false),
            (Some(Fault::Link(Link::Api(0), How::Cut)), &owned, false),
        ] {
            let found = judged(fault, claims, &soon);
            assert_eq!(found.is_none(), fine, "{fault:?} of {claims:?}: {found:?}");
        }
    }

    #[test]
    fn a_lane_that_begins_anew_after_a_hand_over_is_found() {
        let moved = [Claim { partition: 0, node: Some("node-1".to_owned()), at: second(1) }];
        let old = judged(Some(Fault::Kill(0)), &moved, &repeat(2, 2, 600, None));
        assert!(old.is_some_and(|text| text.contains("came again after 598000 ms")));
        let settled = judged(Some(Fault::Kill(0)), &moved, &repeat(2, 2, 60, Some(4)));
        assert!(settled.is_some_and(|text| text.contains("after it was settled")));
        // Taken long before the fault, and again with it.
        let late = judged(Some(Fault::Kill(0)), &moved, &repeat(60, 60, 70, None));
        assert!(late.is_some_and(|text| text.contains("without a fault to explain it")));
        assert_eq!(judged(Some(Fault::Kill(0)), &moved, &repeat(2, 2, 30, Some(4))), None);
    }

    #[test]
    fn a_fault_without_effect_explains_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let history = history(&directory);
        let no = history.begin(Fault::Kill(0), &serde_json::json!({}));
        history.end(no, false);
        let claims = Vec::new();
        let grounds = Grounds { history: &history, claims, nodes: vec!["node-1"], receiver: 0, scale: 1.0 };
        assert!(grounds.against(&repeat(0, 0, 1, None)).is_some());
        assert_eq!(history.counts(), (std::collections::BTreeMap::new(), 1));
    }
}
