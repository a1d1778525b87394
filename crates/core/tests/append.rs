//! What an append promises, against a model that is too simple to be wrong.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod support;

use std::collections::HashMap;

use proptest::prelude::*;
use tidings_core::append::{Prepared, Request, keys, plan};
use tidings_event::log::{AppendView, Receipt, Verdict};
use tidings_event::{PartitionId, Position, Recorded, Salt, Sequence, TenantNo, Timestamp, digest, hash_data};

/// An event as the model sees it: its tenant, its id and its content, each one of a few.
type Spec = (i64, u8, u8);

fn prepare((tenant, id, content): Spec) -> Prepared {
    let event = support::event(&format!("id_{id}"), "sales.lead.created", &format!(r#"{{"content":{content}}}"#));
    let salt = Salt([content; 16]);
    let data_hash = hash_data(&salt, &event.data);
    Prepared { event, tenant_no: TenantNo(tenant), salt, data_hash, mark: None, guard: None }
}

fn requests(specs: &[Vec<Spec>]) -> Vec<Request> {
    specs.iter().map(|events| Request { events: events.iter().copied().map(prepare).collect() }).collect()
}

/// A log as a list of rows: what the store does around a plan.
#[derive(Default)]
struct Log {
    rows: Vec<Recorded>,
    specs: Vec<Spec>,
}

impl Log {
    fn view(&self, requests: &[Request]) -> AppendView {
        support::view(&self.rows, keys(requests))
    }
}

/// The model: one event after the other, each request against a copy that is kept only if nothing conflicted.
fn model(log: &mut Vec<Spec>, request: &[Spec]) -> Verdict {
    let mut copy = log.clone();
    let (mut receipts, mut conflicts) = (Vec::new(), Vec::new());
    for (index, (tenant, id, content)) in request.iter().copied().enumerate() {
        let of_tenant: Vec<Spec> = copy.iter().copied().filter(|row| row.0 == tenant).collect();
        match of_tenant.iter().position(|row| row.1 == id) {
            Some(at) if of_tenant[at].2 == content => {
                receipts.push(Receipt { sequence: Sequence(at as u64 + 1), duplicate: true });
            }
            Some(_) => conflicts.push(index),
            None => {
                copy.push((tenant, id, content));
                receipts.push(Receipt { sequence: Sequence(of_tenant.len() as u64 + 1), duplicate: false });
            }
        }
    }
    if !conflicts.is_empty() {
        return Verdict::Conflict(conflicts);
    }
    *log = copy;
    Verdict::Appended(receipts)
}

fn check(log: &mut Log, batch: &[Vec<Spec>], now: Timestamp) {
    let requests = requests(batch);
    let view = log.view(&requests);
    let (position, earlier) = (view.position, view.recorded_at);
    let plan = plan(view, requests, now);

    let written = log.specs.len();
    let expected: Vec<Verdict> = batch.iter().map(|request| model(&mut log.specs, request)).collect();
    assert_eq!(plan.verdicts, expected);
    assert_eq!(plan.rows.len(), log.specs.len() - written, "rows are those that the model wrote");

    for (index, (row, spec)) in plan.rows.iter().zip(&log.specs[written..]).enumerate() {
        let prepared = prepare(*spec);
        assert_eq!((row.tenant_no, &row.event), (prepared.tenant_no, &prepared.event));
        assert_eq!(row.position, Position(position.0 + index as u64 + 1), "positions have no gap");
        assert_eq!(row.partition, PartitionId(3));
        assert_eq!(row.recorded_at, now.max(earlier), "time never falls");
        assert_eq!(row.salt, prepared.salt);
        assert_eq!(row.digest, digest(&row.event, row.sequence, row.recorded_at, &prepared.data_hash));
    }
    log.rows.extend(plan.rows);

    let mut heads: HashMap<TenantNo, u64> = HashMap::new();
    let mut ids = std::collections::HashSet::new();
    for row in &log.rows {
        let head = heads.entry(row.tenant_no).or_default();
        *head += 1;
        assert_eq!(row.sequence, Sequence(*head), "sequences have no gap");
        assert!(ids.insert((row.tenant_no, row.event.id.clone())), "an id has one row");
    }
}

fn run(batches: &[Vec<Vec<Spec>>]) {
    let mut log = Log::default();
    for (number, batch) in batches.iter().enumerate() {
        // The clock goes back now and then.
        let micros = [50, 20, 70][number % 3] + number as i64;
        check(&mut log, batch, Timestamp::from_micros(micros));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn sequences_of_batches_are_planned_as_one_event_after_the_other(
        batches in prop::collection::vec(
            prop::collection::vec(prop::collection::vec((0_i64..3, 0_u8..8, 0_u8..2), 0..6), 0..6),
            0..8,
        )
    ) {
        run(&batches);
    }
}

#[test]
fn a_conflict_writes_nothing_of_its_request_and_others_go_on() {
    let (a, b, c) = ((1, 1, 0), (1, 2, 0), (1, 3, 0));
    let other_a = (1, 1, 1);
    run(&[vec![vec![a], vec![b, other_a, c], vec![c], vec![b]]]);
}

#[test]
fn an_id_taken_back_with_its_request_is_free_for_the_next() {
    let taken = (1, 1, 0);
    run(&[vec![vec![taken]], vec![vec![(1, 2, 0), (1, 1, 1)], vec![(1, 2, 1)], vec![(1, 2, 0)]]]);
}

#[test]
fn the_same_id_twice_in_one_request_is_a_duplicate_or_a_conflict_of_the_first() {
    run(&[vec![vec![(1, 1, 0), (1, 1, 0)], vec![(2, 1, 0), (2, 1, 1)], vec![(2, 1, 1)]]]);
}

#[test]
fn every_tenant_and_id_is_asked_for_once() {
    let keys = keys(&requests(&[vec![(1, 1, 0), (1, 1, 1), (2, 1, 0)], vec![(1, 2, 0), (2, 1, 0)]]));
    assert_eq!(keys.tenants, [TenantNo(1), TenantNo(2)]);
    let ids: Vec<(i64, &str)> = keys.ids.iter().map(|(tenant, id)| (tenant.0, id.as_str())).collect();
    assert_eq!(ids, [(1, "id_1"), (2, "id_1"), (1, "id_2")]);
}
