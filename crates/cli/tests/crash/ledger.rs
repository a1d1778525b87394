//! What the producers know, beside what the feeds say.

use std::collections::{BTreeMap, HashSet};

use crate::api::Seen;

/// The tenants that all producers emit for.
pub(crate) const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];

/// One producer's own account.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) producer: &'static str,
    /// Tenant and id of every event that was committed or acknowledged, in that order.
    pub(crate) committed: Vec<(&'static str, String)>,
    /// Ids of events whose transaction was rolled back.
    pub(crate) rolled_back: HashSet<String>,
    /// Requests that had to be sent again.
    pub(crate) retries: u64,
}

impl Ledger {
    pub(crate) fn new(producer: &'static str) -> Self {
        Self { producer, committed: Vec::new(), rolled_back: HashSet::new(), retries: 0 }
    }
}

/// Asserts that the feeds hold what was committed: all of it, once, in order, and nothing else.
pub(crate) fn reconcile(ledgers: &[Ledger], feeds: &BTreeMap<&'static str, Vec<Seen>>) {
    let rolled_back: HashSet<&str> = ledgers.iter().flat_map(|l| &l.rolled_back).map(String::as_str).collect();
    for (tenant, feed) in feeds {
        let sequences: Vec<u64> = feed.iter().map(|seen| seen.sequence).collect();
        let expect: Vec<u64> = (1..=feed.len() as u64).collect();
        assert!(sequences == expect, "the sequences of {tenant} are not 1 to {}: {sequences:?}", feed.len());

        let mut ids = HashSet::new();
        let twice: Vec<&str> = feed.iter().map(|seen| seen.id.as_str()).filter(|id| !ids.insert(*id)).collect();
        assert!(twice.is_empty(), "{tenant} has events twice: {twice:?}");

        let phantoms: Vec<&&str> = ids.iter().filter(|id| rolled_back.contains(**id)).collect();
        assert!(phantoms.is_empty(), "{tenant} has events of rolled-back transactions: {phantoms:?}");

        let mut known = 0;
        for ledger in ledgers {
            let committed: Vec<&str> =
                ledger.committed.iter().filter(|(t, _)| t == tenant).map(|(_, id)| id.as_str()).collect();
            let lost: Vec<&&str> = committed.iter().filter(|id| !ids.contains(**id)).collect();
            assert!(lost.is_empty(), "{tenant} has lost events of {}: {lost:?}", ledger.producer);

            let of_producer: HashSet<&str> = committed.iter().copied().collect();
            let read: Vec<&str> =
                feed.iter().map(|seen| seen.id.as_str()).filter(|id| of_producer.contains(id)).collect();
            assert!(read == committed, "{tenant} has events of {} in another order than committed", ledger.producer);
            known += committed.len();
        }
        assert_eq!(known, feed.len(), "{tenant} has events that nobody committed");
    }
}

#[test]
fn the_reckoning_finds_what_it_is_there_to_find() {
    let ledger = || Ledger {
        committed: vec![("acme", "a".into()), ("acme", "b".into())],
        rolled_back: HashSet::from(["z".to_owned()]),
        ..Ledger::new("shop")
    };
    let judge = |feed: &[(u64, &str)]| {
        let feed = feed.iter().map(|(sequence, id)| Seen { sequence: *sequence, id: (*id).to_owned() }).collect();
        std::panic::catch_unwind(|| reconcile(&[ledger()], &BTreeMap::from([("acme", feed)])))
    };
    assert!(judge(&[(1, "a"), (2, "b")]).is_ok());
    for (wrong, feed) in [
        ("lost", [(1, "a")].as_slice()),
        ("twice", &[(1, "a"), (2, "b"), (3, "a")]),
        ("a phantom", &[(1, "a"), (2, "b"), (3, "z")]),
        ("of nobody", &[(1, "a"), (2, "b"), (3, "x")]),
        ("a gap", &[(1, "a"), (3, "b")]),
        ("out of order", &[(1, "b"), (2, "a")]),
    ] {
        assert!(judge(feed).is_err(), "{wrong}");
    }
}
