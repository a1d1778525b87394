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
    for (tenant, feed) in feeds {
        if let Err(wrong) = judge(tenant, ledgers, feed) {
            panic!("{tenant}: {wrong}");
        }
    }
}

/// What is wrong with one tenant's feed.
fn judge(tenant: &str, ledgers: &[Ledger], feed: &[Seen]) -> Result<(), String> {
    if let Some((at, seen)) = (1..).zip(feed).find(|(at, seen)| seen.sequence != *at) {
        return Err(format!("sequence {} stands where {at} should", seen.sequence));
    }
    let mut ids = HashSet::new();
    let twice: Vec<&str> = feed.iter().map(|seen| seen.id.as_str()).filter(|id| !ids.insert(*id)).collect();
    if !twice.is_empty() {
        return Err(format!("twice: {twice:?}"));
    }
    let rolled_back = ledgers.iter().flat_map(|ledger| &ledger.rolled_back);
    let phantoms: Vec<&String> = rolled_back.filter(|id| ids.contains(id.as_str())).collect();
    if !phantoms.is_empty() {
        return Err(format!("of rolled-back transactions: {phantoms:?}"));
    }

    let mut known = 0;
    for ledger in ledgers {
        let committed = ledger.committed.iter().filter(|(of, _)| *of == tenant).map(|(_, id)| id.as_str());
        let committed: Vec<&str> = committed.collect();
        let lost: Vec<&&str> = committed.iter().filter(|id| !ids.contains(**id)).collect();
        if !lost.is_empty() {
            return Err(format!("lost, of {}: {lost:?}", ledger.producer));
        }
        let of_producer: HashSet<&str> = committed.iter().copied().collect();
        let read = feed.iter().map(|seen| seen.id.as_str()).filter(|id| of_producer.contains(id));
        if !read.eq(committed.iter().copied()) {
            return Err(format!("of {}: in another order than committed", ledger.producer));
        }
        known += committed.len();
    }
    if known == feed.len() { Ok(()) } else { Err(format!("{} events that nobody committed", feed.len() - known)) }
}

#[test]
fn the_reckoning_finds_what_it_is_there_to_find() {
    let ledger = Ledger {
        committed: vec![("acme", "a".into()), ("acme", "b".into())],
        rolled_back: HashSet::from(["z".to_owned()]),
        ..Ledger::new("shop")
    };
    for (feed, expect) in [
        ([(1, "a"), (2, "b")].as_slice(), Ok(())),
        (&[(1, "a"), (3, "b")], Err("sequence 3 stands where 2 should")),
        (&[(1, "a"), (2, "b"), (3, "a")], Err(r#"twice: ["a"]"#)),
        (&[(1, "a"), (2, "b"), (3, "z")], Err(r#"of rolled-back transactions: ["z"]"#)),
        (&[(1, "a")], Err(r#"lost, of shop: ["b"]"#)),
        (&[(1, "b"), (2, "a")], Err("of shop: in another order than committed")),
        (&[(1, "a"), (2, "b"), (3, "x")], Err("1 events that nobody committed")),
    ] {
        let seen: Vec<Seen> =
            feed.iter().map(|(sequence, id)| Seen { sequence: *sequence, id: (*id).into() }).collect();
        let found = judge("acme", std::slice::from_ref(&ledger), &seen);
        assert_eq!(found, expect.map_err(str::to_owned), "{feed:?}");
    }
}
