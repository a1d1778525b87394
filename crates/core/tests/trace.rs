//! How events are nested by causation.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod support;

use proptest::prelude::*;
use tidings_core::trace::{Branch, tree};
use tidings_event::{Recorded, Text};

fn event(sequence: u64, cause: Option<u64>) -> Recorded {
    let mut event = support::event(&format!("id_{sequence}"), "sales.lead.created", "{}");
    event.metadata.causation_id = cause.map(|cause| Text::parse(format!("id_{cause}")).unwrap());
    support::recorded(event, sequence)
}

/// A sequence and its cause.
type Named = (u64, Option<u64>);

/// `1(2 3(4))` for a tree.
fn show(branches: &[Branch]) -> String {
    let shown: Vec<String> = branches
        .iter()
        .map(|branch| {
            let below = show(&branch.caused);
            if below.is_empty() {
                branch.event.sequence.to_string()
            } else {
                format!("{}({below})", branch.event.sequence)
            }
        })
        .collect();
    shown.join(" ")
}

#[test]
fn events_stand_below_their_causes_in_order_of_sequence() {
    let rows: [(&[Named], &str); 7] = [
        (&[], ""),
        (&[(3, Some(1)), (1, None), (2, Some(1)), (4, Some(3))], "1(2 3(4))"),
        (&[(1, Some(99)), (2, None)], "1 2"),
        // A cause that was recorded after its effect.
        (&[(1, Some(2)), (2, None)], "2(1)"),
        // Circles are cut at their first event; what hangs on them stays.
        (&[(1, Some(1)), (2, Some(1))], "1(2)"),
        (&[(1, Some(3)), (2, Some(1)), (3, Some(2)), (4, Some(3))], "1(2(3(4)))"),
        (&[(1, Some(3)), (2, Some(3)), (3, Some(2)), (5, Some(5))], "2(3(1)) 5"),
    ];
    for (events, expect) in rows {
        let events: Vec<Recorded> = events.iter().map(|(sequence, cause)| event(*sequence, *cause)).collect();
        assert_eq!(show(&tree(&events)), expect);
    }
}

#[test]
fn a_long_chain_needs_no_deep_stack_to_build() {
    let events: Vec<Recorded> = (1..=1_000).map(|n| event(n, (n > 1).then(|| n - 1))).collect();
    let mut branches = tree(&events);
    let mut length = 0;
    while let Some(branch) = branches.pop() {
        length += 1;
        branches = branch.caused;
    }
    assert_eq!(length, 1_000);
}

proptest! {
    #[test]
    fn every_event_stands_exactly_once(causes in prop::collection::vec(prop::option::of(0_u64..20), 0..20)) {
        let events: Vec<Recorded> = causes.iter().zip(1..).map(|(cause, n)| event(n, *cause)).collect();
        fn collect(branches: &[Branch], out: &mut Vec<u64>) {
            assert!(branches.is_sorted_by_key(|branch| branch.event.sequence));
            for branch in branches {
                out.push(branch.event.sequence.get());
                collect(&branch.caused, out);
            }
        }
        let mut found = Vec::new();
        collect(&tree(&events), &mut found);
        found.sort_unstable();
        prop_assert_eq!(found, (1..=causes.len() as u64).collect::<Vec<_>>());
    }
}
