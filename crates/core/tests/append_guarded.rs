//! What an append promises about guards and marks, against a model that is too simple to be wrong.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod support;

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use tidings_core::append::{Guard, Guarded, Prepared, Request, keys, plan};
use tidings_event::log::{AppendPlan, Newest, Receipt, Verdict};
use tidings_event::{
    Entity, Event, EventType, Recorded, Salt, Sequence, TenantNo, Text, Timestamp, Violation, hash_data,
    violation_code as code,
};

const TYPES: [&str; 3] = ["sales.lead.created", "sales.lead.moved", "sales.lead.called"];

/// The first two types name a state, which the guards look at.
static WATCHED: LazyLock<Arc<[EventType]>> =
    LazyLock::new(|| TYPES[..2].iter().map(|name| EventType::parse(name).unwrap()).collect());

/// What a guard does with a state that is not the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Unguarded,
    Marking,
    Refusing,
}

/// States count up from 0, round and round.
#[derive(Debug)]
struct NextState(Mode);

fn follows(newest: Option<u8>, state: u8) -> bool {
    newest.map_or(0, |newest| (newest + 1) % 3) == state
}

fn state_of(event: &Event) -> u8 {
    let data: serde_json::Value = serde_json::from_slice(event.data.as_bytes()).unwrap();
    u8::try_from(data["state"].as_u64().unwrap()).unwrap()
}

fn violation(message: &str) -> Violation {
    Violation { path: "/data/state".to_owned(), code: code::TRANSITION_FORBIDDEN, message: message.to_owned() }
}

impl Guard for NextState {
    fn types(&self) -> &Arc<[EventType]> {
        &WATCHED
    }

    fn judge(&self, newest: &Newest, event: &Event) -> Guarded {
        let newest = match newest {
            Newest::Event(newest) => Some(state_of(newest)),
            Newest::None => None,
            Newest::Unknown => return Guarded::Mark(vec![violation("unknown")]),
        };
        match self.0 {
            _ if follows(newest, state_of(event)) => Guarded::Pass,
            Mode::Refusing => Guarded::Refuse(vec![violation("guard")]),
            Mode::Marking | Mode::Unguarded => Guarded::Mark(vec![violation("guard")]),
        }
    }
}

/// An event as the model sees it, each property one of a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spec {
    tenant: i64,
    id: u8,
    event_type: usize,
    entity: Option<u8>,
    state: u8,
    mode: Mode,
    marked: bool,
}

impl Spec {
    fn new(id: u8, state: u8) -> Self {
        Self { tenant: 1, id, event_type: 1, entity: Some(1), state, mode: Mode::Refusing, marked: false }
    }

    fn prepare(self) -> Prepared {
        let data = format!(r#"{{"state":{}}}"#, self.state);
        let mut event = support::event(&format!("id_{}", self.id), TYPES[self.event_type], &data);
        let text = |text: &str| Text::parse(text).unwrap();
        event.entity = self.entity.map(|id| Entity { kind: text("lead"), id: text(&format!("lead_{id}")) });
        let salt = Salt([self.id; 16]);
        let guard = (self.mode != Mode::Unguarded).then(|| Arc::new(NextState(self.mode)) as Arc<dyn Guard>);
        Prepared {
            data_hash: hash_data(&salt, &event.data),
            tenant_no: TenantNo(self.tenant),
            salt,
            mark: self.marked.then(|| Arc::from([violation("before")])),
            guard,
            event,
        }
    }

    fn same_content(self, other: Self) -> bool {
        (self.event_type, self.entity, self.state) == (other.event_type, other.entity, other.state)
    }
}

fn requests(specs: &[Vec<Spec>]) -> Vec<Request> {
    specs.iter().map(|events| Request { events: events.iter().map(|spec| spec.prepare()).collect() }).collect()
}

/// A row of the model's log: what was written, and the messages of its mark.
type Row = (Spec, Vec<&'static str>);

/// The model: one event after the other, each request against a copy that is kept only if all of it was taken.
fn model(log: &mut Vec<Row>, request: &[Spec]) -> Verdict {
    let mut copy = log.clone();
    let (mut receipts, mut conflicts, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (index, spec) in request.iter().copied().enumerate() {
        let of_tenant: Vec<Spec> = copy.iter().map(|row| row.0).filter(|row| row.tenant == spec.tenant).collect();
        if let Some(at) = of_tenant.iter().position(|row| row.id == spec.id) {
            match of_tenant[at].same_content(spec) {
                true => receipts.push(Receipt { sequence: Sequence(at as u64 + 1), duplicate: true }),
                false => conflicts.push(index),
            }
            continue;
        }
        let newest = of_tenant.iter().rev().find(|row| row.entity == spec.entity && row.event_type < 2);
        let mut mark = if spec.marked { vec!["before"] } else { Vec::new() };
        if spec.entity.is_some() && !follows(newest.map(|row| row.state), spec.state) {
            match spec.mode {
                Mode::Unguarded => {}
                Mode::Marking => mark.push("guard"),
                Mode::Refusing => refused.push((index, vec![violation("guard")])),
            }
        }
        copy.push((spec, mark));
        receipts.push(Receipt { sequence: Sequence(of_tenant.len() as u64 + 1), duplicate: false });
    }
    if !conflicts.is_empty() {
        return Verdict::Conflict(conflicts);
    }
    if !refused.is_empty() {
        return Verdict::Refused(refused);
    }
    *log = copy;
    Verdict::Appended(receipts)
}

fn plan_on(rows: &[Recorded], batch: &[Vec<Spec>]) -> AppendPlan {
    let requests = requests(batch);
    let view = support::view(rows, keys(&requests));
    plan(view, requests, Timestamp::from_micros(50))
}

/// Plans the batches one after the other, on the model's log as on the real one.
fn run(batches: &[Vec<Vec<Spec>>]) {
    let (mut rows, mut log) = (Vec::new(), Vec::new());
    for batch in batches {
        let plan = plan_on(&rows, batch);
        let written = log.len();
        let expected: Vec<Verdict> = batch.iter().map(|request| model(&mut log, request)).collect();
        assert_eq!(plan.verdicts, expected);
        let events: Vec<Event> = log[written..].iter().map(|(spec, _)| spec.prepare().event).collect();
        assert_eq!(plan.rows.iter().map(|row| row.event.clone()).collect::<Vec<_>>(), events);
        let marks: Vec<(usize, Vec<&str>)> = plan
            .marks
            .iter()
            .map(|mark| (mark.row, mark.violations.iter().map(|found| found.message.as_str()).collect()))
            .collect();
        let expected = log[written..].iter().enumerate().filter(|(_, (_, mark))| !mark.is_empty());
        assert_eq!(marks, expected.map(|(row, (_, mark))| (row, mark.clone())).collect::<Vec<_>>());
        rows.extend(plan.rows);
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    let mode = prop_oneof![Just(Mode::Unguarded), Just(Mode::Marking), Just(Mode::Refusing), Just(Mode::Refusing)];
    let entity = prop_oneof![Just(None), Just(Some(1)), Just(Some(1)), Just(Some(2))];
    (1_i64..3, 0_u8..24, 0_usize..3, entity, 0_u8..3, mode, prop::bool::weighted(0.2)).prop_map(
        |(tenant, id, event_type, entity, state, mode, marked)| Spec {
            tenant,
            id,
            event_type,
            entity,
            state,
            mode,
            marked,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn guarded_batches_are_planned_as_one_event_after_the_other(
        batches in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(spec(), 0..4), 0..6),
            0..6,
        )
    ) {
        run(&batches);
    }
}

#[test]
fn a_guard_sees_the_newest_event_of_the_log_and_then_those_of_the_batch() {
    run(&[
        vec![vec![Spec::new(1, 0)]],
        vec![vec![Spec::new(2, 1), Spec::new(3, 2)], vec![Spec::new(4, 0)], vec![Spec::new(5, 2)]],
    ]);
}

#[test]
fn a_refused_request_is_no_predecessor_of_a_later_one() {
    let batch = [vec![Spec::new(1, 0), Spec::new(2, 2)], vec![Spec::new(3, 1)], vec![Spec::new(4, 0)]];
    let plan = plan_on(&[], &batch);
    assert!(matches!(&plan.verdicts[0], Verdict::Refused(refused) if refused.len() == 1 && refused[0].0 == 1));
    assert!(matches!(&plan.verdicts[1], Verdict::Refused(refused) if refused.len() == 1));
    assert!(matches!(&plan.verdicts[2], Verdict::Appended(_)), "the entity has no event yet");
    assert_eq!(plan.rows.len(), 1);
}

#[test]
fn a_duplicate_is_taken_though_it_would_be_refused_now() {
    run(&[vec![vec![Spec::new(1, 0)], vec![Spec::new(2, 1)]], vec![vec![Spec::new(1, 0)]]]);
    run(&[vec![vec![Spec::new(1, 0), Spec::new(1, 0)]]]);
}

#[test]
fn a_conflict_counts_more_than_a_refusal() {
    let taken = Spec { mode: Mode::Unguarded, ..Spec::new(1, 0) };
    let other = Spec { state: 1, ..taken };
    run(&[vec![vec![taken]], vec![vec![Spec::new(2, 0), other], vec![other, Spec::new(2, 0)]]]);
}

#[test]
fn an_event_without_an_entity_is_not_guarded() {
    let free = Spec { entity: None, ..Spec::new(1, 2) };
    assert!(keys(&requests(&[vec![free]])).entities.is_empty());
    run(&[vec![vec![free]]]);
}

#[test]
fn marks_of_a_request_that_is_taken_back_are_taken_back_too() {
    let marked = Spec { marked: true, ..Spec::new(1, 0) };
    let plan = plan_on(&[], &[vec![marked, Spec::new(2, 0)], vec![Spec { id: 3, ..marked }]]);
    assert_eq!(plan.marks.iter().map(|mark| mark.row).collect::<Vec<_>>(), [0]);
    assert_eq!(plan.rows[0].event.id.as_str(), "id_3");
}

#[test]
fn every_entity_is_asked_for_once_for_each_list_of_types() {
    let elsewhere = Spec { tenant: 2, ..Spec::new(3, 0) };
    let other = Spec { entity: Some(2), mode: Mode::Marking, ..Spec::new(4, 0) };
    let unguarded = Spec { entity: Some(3), mode: Mode::Unguarded, ..Spec::new(5, 0) };
    let keys = keys(&requests(&[vec![Spec::new(1, 0), Spec::new(2, 1), elsewhere], vec![other, unguarded]]));
    let entities: Vec<(i64, &str)> = keys.entities.iter().map(|key| (key.tenant.0, key.entity.id.as_str())).collect();
    assert_eq!(entities, [(1, "lead_1"), (2, "lead_1"), (1, "lead_2")]);
    assert!(keys.entities.iter().all(|key| key.types == *WATCHED));
}

#[test]
fn beyond_the_look_back_a_guard_is_told_that_the_state_is_unknown() {
    let called = |id: u8| Spec { event_type: 2, mode: Mode::Unguarded, ..Spec::new(id, 0) };
    let mut rows: Vec<Recorded> = plan_on(&[], &[(0..255).map(called).collect()]).rows;
    let marks = |rows: &[Recorded]| {
        let mut late = Spec { mode: Mode::Marking, ..Spec::new(0, 2) }.prepare();
        late.event.id = tidings_event::EventId::parse("late").unwrap();
        let requests = vec![Request { events: vec![late] }];
        let plan = plan(support::view(rows, keys(&requests)), requests, Timestamp::from_micros(50));
        plan.marks[0].violations[0].message.clone()
    };
    assert_eq!(marks(&rows), "guard", "all 255 events were looked at, and none is of the types");
    rows.extend(plan_on(&rows, &[vec![called(255)]]).rows);
    assert_eq!(marks(&rows), "unknown");
}
