//! Who shall own what: spreads slots over nodes so that all nodes come to the same answer by themselves, none gets more
//! than its share, and few slots move when a node comes or goes.
//!
//! Rendezvous hashing with a bound on load: every pair of node and slot has a score that nobody can change. The pair
//! with the highest score is taken first, unless its slot is taken or its node has its share, and so on. A slot's way
//! does not depend on the order in which nodes came.

use sha2::{Digest as _, Sha256};

/// For each slot the node that shall own it, as its place in `nodes`; none for a slot that no node takes. No node gets
/// more than the number of slots divided by that of nodes, rounded up, unless no other takes what is left. Neither list
/// may hold a name twice; their order means nothing. Slots of one kind and one name go to one node, whatever the roles.
#[must_use]
pub fn assign(kind: &str, nodes: &[&str], slots: &[&str], takes: impl Fn(usize, usize) -> bool) -> Vec<Option<usize>> {
    let mut pairs: Vec<(u64, usize, usize)> = Vec::new();
    let mut busy = vec![false; nodes.len()];
    let mut wanted = vec![false; slots.len()];
    for (node, name) in nodes.iter().enumerate() {
        for (slot, of) in slots.iter().enumerate() {
            if takes(node, slot) {
                (busy[node], wanted[slot]) = (true, true);
                pairs.push((score(kind, name, of), node, slot));
            }
        }
    }
    // Scores that are alike are told apart by name, so that every node comes to the same answer.
    pairs.sort_by(|(one, node, slot), (two, other, of)| {
        two.cmp(one).then_with(|| nodes[*node].cmp(nodes[*other])).then_with(|| slots[*slot].cmp(slots[*of]))
    });
    let count = |flags: &[bool]| flags.iter().filter(|flag| **flag).count();
    let share = count(&wanted).div_ceil(count(&busy).max(1));
    let mut loads = vec![0_usize; nodes.len()];
    let mut owners: Vec<Option<usize>> = vec![None; slots.len()];
    for (_, node, slot) in &pairs {
        if owners[*slot].is_none() && loads[*node] < share {
            owners[*slot] = Some(*node);
            loads[*node] += 1;
        }
    }
    // What is left is taken only by nodes that have their share already.
    for slot in 0..slots.len() {
        if wanted[slot] && owners[slot].is_none() {
            let takers = pairs.iter().filter(|(_, _, of)| *of == slot);
            let least = takers.min_by_key(|(score, node, _)| (loads[*node], u64::MAX - score));
            if let Some((_, node, _)) = least {
                owners[slot] = Some(*node);
                loads[*node] += 1;
            }
        }
    }
    owners
}

/// The score of a pair. Nodes of two versions must agree on it.
fn score(kind: &str, node: &str, slot: &str) -> u64 {
    let mut hash = Sha256::new();
    for part in [kind, node, slot] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    u64::from_be_bytes(std::array::from_fn(|at| digest[at]))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn names(prefix: &str, count: usize) -> Vec<String> {
        (0..count).map(|number| format!("{prefix}{number}")).collect()
    }

    /// Who owns which slot, by name.
    fn owners(nodes: &[String], slots: &[String]) -> BTreeMap<String, String> {
        let (nodes, slots) = (nodes.iter().map(String::as_str).collect(), slots.iter().map(String::as_str).collect());
        let (nodes, slots): (Vec<&str>, Vec<&str>) = (nodes, slots);
        let owners = assign("router", &nodes, &slots, |_, _| true);
        slots
            .iter()
            .zip(owners)
            .filter_map(|(slot, owner)| Some((slot.to_string(), nodes[owner?].to_owned())))
            .collect()
    }

    fn moved(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> usize {
        before.iter().filter(|(slot, owner)| after.get(*slot) != Some(owner)).count()
    }

    #[test]
    fn the_answer_never_changes_between_versions() {
        let owned = owners(&names("node", 3), &names("", 8));
        let text: String = owned.values().map(|node| node.trim_start_matches("node")).collect();
        assert_eq!(text, "02022011");
    }

    #[test]
    fn what_nobody_takes_has_no_owner_and_what_one_takes_is_its_own() {
        assert_eq!(assign("pump", &[], &["shop"], |_, _| true), [None]);
        assert_eq!(assign("pump", &["a"], &[], |_, _| true), [] as [Option<usize>; 0]);
        // Only the second node reaches any of them; the share is no reason to leave one alone.
        let owned = assign("pump", &["a", "b"], &["x", "y", "z"], |node, slot| node == 1 || slot == 9);
        assert_eq!(owned, [Some(1); 3]);
        let owned = assign("pump", &["a", "b"], &["x", "y", "z", "u"], |node, slot| node == 1 || slot == 0);
        assert_eq!(owned.iter().filter(|owner| **owner == Some(1)).count(), 3);
        let owned = assign("pump", &["a", "b"], &["x", "y"], |_, slot| slot == 1);
        assert_eq!(owned[0], None);
        assert!(owned[1].is_some());
    }

    #[test]
    fn a_node_that_joins_takes_about_its_share_and_little_else_moves() {
        let slots = names("", 16);
        let (mut total, mut least) = (0, 0);
        for seed in 0..50 {
            for count in 1..6 {
                let nodes = names(&format!("n{seed}-"), count + 1);
                let (before, after) = (owners(&nodes[..count], &slots), owners(&nodes, &slots));
                total += moved(&before, &after);
                least += 16 / (count + 1);
            }
        }
        assert!(total < 2 * least, "{total} moved where {least} had to");
    }

    proptest! {
        #[test]
        fn every_slot_has_one_owner_and_no_node_more_than_its_share(
            nodes in 1_usize..9, slots in 0_usize..70, seed in 0_u32..1_000,
        ) {
            let (nodes, slots) = (names(&format!("n{seed}-"), nodes), names("", slots));
            let owned = owners(&nodes, &slots);
            prop_assert_eq!(owned.len(), slots.len());
            let mut loads: BTreeMap<&str, usize> = BTreeMap::new();
            owned.values().for_each(|node| *loads.entry(node).or_default() += 1);
            let share = slots.len().div_ceil(nodes.len());
            prop_assert!(loads.values().all(|load| *load <= share), "{:?}", loads);
        }

        #[test]
        fn all_nodes_come_to_the_same_answer_whatever_order_they_know_each_other_in(
            order in Just(names("n", 7)).prop_shuffle(), slots in Just(names("", 20)).prop_shuffle(),
        ) {
            prop_assert_eq!(owners(&order, &slots), owners(&names("n", 7), &names("", 20)));
        }

        #[test]
        fn what_moves_when_a_node_goes_or_comes_is_bounded_by_the_shares(
            count in 2_usize..8, slots in 1_usize..65, seed in 0_u32..1_000, gone in 0_usize..8,
        ) {
            let (nodes, slots) = (names(&format!("n{seed}-"), count), names("", slots));
            let gone = gone % count;
            let left: Vec<String> = nodes.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, n)| n.clone()).collect();
            let (all, fewer) = (owners(&nodes, &slots), owners(&left, &slots));
            let own: BTreeSet<&String> = all.iter().filter(|(_, n)| **n == nodes[gone]).map(|(slot, _)| slot).collect();
            prop_assert!(own.iter().all(|slot| fewer.contains_key(*slot)), "each has an heir");
            // Those of the node that goes must move; each may push another one on where its heir has its share.
            let bound = 3 * slots.len().div_ceil(count) + count;
            prop_assert!(moved(&all, &fewer) <= bound, "{} of {} moved", moved(&all, &fewer), slots.len());
        }

        #[test]
        fn each_slot_goes_to_one_that_takes_it(mask in proptest::collection::vec(0_u8..16, 1..30)) {
            let (nodes, slots) = (names("n", 4), names("s", mask.len()));
            let (names, of): (Vec<&str>, Vec<&str>) =
                (nodes.iter().map(String::as_str).collect(), slots.iter().map(String::as_str).collect());
            let takes = |node: usize, slot: usize| mask[slot] & (1 << node) != 0;
            for (slot, owner) in assign("pump", &names, &of, takes).into_iter().enumerate() {
                match owner {
                    Some(node) => prop_assert!(takes(node, slot)),
                    None => prop_assert_eq!(mask[slot], 0),
                }
            }
        }
    }
}
