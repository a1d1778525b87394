//! Why an event did or did not reach an endpoint.

use tidings_engine::endpoints::{
    CircuitState, DeadReason, EndpointError, EndpointPatch, Explanation, From, NewEndpoint, Outcome, Wanted,
};
use tidings_event::EventId;
use tidings_event::delivery::{CircuitRow, DeadRow, LaneRow, RetryRow};

use super::*;
use crate::on_both;
use crate::support::{numbered, typed};

/// Six events, of which the endpoint gets those after the second.
async fn with_events(log: &Log, new: NewEndpoint) -> (Bench, EndpointId, Vec<EventId>) {
    let bench = Bench::over(log).await;
    let events = numbered("acme", 6);
    let ids = events.iter().map(|event| event.id.clone()).collect();
    bench.engine.append(events).await.unwrap();
    let id = bench.create("acme", NewEndpoint { from: From::Sequence(3), ..new }).await.id;
    (bench, id, ids)
}

async fn explain(bench: &Bench, id: &EndpointId, event: &EventId) -> Explanation {
    bench.endpoints.explain(&tenant("acme"), id, event).await.unwrap()
}

on_both! {
    async fn what_an_endpoint_does_not_want_is_explained_by_what_it_wants(log: Log) {
        let filter = r#"{"filters":[
            {"field":"$.data","operator":"exists","value":true},
            {"field":"$.data.number","operator":"gt","value":4}]}"#;
        let new = NewEndpoint { filter: Some(filter.to_owned()), ..endpoint(SOMEWHERE) };
        let (bench, id, ids) = with_events(&log, new).await;
        let unknown = EventId::parse("unknown").unwrap();
        let missing = bench.endpoints.explain(&tenant("acme"), &id, &unknown).await;
        assert!(matches!(missing, Err(EndpointError::EventNotFound)));

        let early = explain(&bench, &id, &ids[1]).await;
        assert_eq!(early.outcome, Outcome::NotSubscribedYet);
        assert!(early.reason.contains("after sequence 2"), "{}", early.reason);

        let filtered = explain(&bench, &id, &ids[3]).await;
        assert_eq!(filtered.outcome, Outcome::Filtered);
        let failed = filtered.filter.unwrap();
        assert_eq!((failed.index, failed.field.as_str(), failed.operator.as_str()), (1, "$.data.number", "gt"));
        assert_eq!(failed.found, ["3"]);

        let patch = EndpointPatch {
            types: Some(vec!["a.b".to_owned()]),
            filter: Some(None),
            ..EndpointPatch::default()
        };
        bench.endpoints.update(&who(), &tenant("acme"), &id, patch).await.unwrap();
        let late = typed("acme", "sales.lead.created", "{}");
        let late_id = late.id.clone();
        bench.engine.append(vec![late]).await.unwrap();
        let by_type = explain(&bench, &id, &late_id).await;
        assert_eq!(by_type.outcome, Outcome::Filtered);
        assert!(by_type.reason.contains("sales.lead.created") && by_type.filter.is_none(), "{}", by_type.reason);
        let before = explain(&bench, &id, &ids[3]).await;
        assert_eq!(before.filter.unwrap().found, ["3"], "judged by what was wanted then");
        bench.engine.shutdown().await;
    }

    async fn events_of_tidings_itself_go_only_to_who_names_them(log: Log) {
        let bench = Bench::over(&log).await;
        let own = bench.create("$system", endpoint(SOMEWHERE)).await;
        bench.create("acme", endpoint(SOMEWHERE)).await;
        let event = bench.events("$system").await.pop().unwrap().event.id;
        let explained = bench.endpoints.explain(&tenant("$system"), &own.id, &event).await.unwrap();
        assert_eq!(explained.outcome, Outcome::Filtered);
        assert!(explained.reason.contains("name them"), "{}", explained.reason);
        bench.engine.shutdown().await;
    }

    async fn what_waits_is_explained_by_what_it_waits_for(log: Log) {
        let (bench, id, ids) = with_events(&log, endpoint(SOMEWHERE)).await;
        let (no, tenant_no, partition) = bench.names("acme", &id).await;
        let waits = explain(&bench, &id, &ids[4]).await;
        assert_eq!((waits.outcome, waits.behind_by), (Outcome::Pending, Some(2)));
        assert_eq!(waits.circuit, CircuitState::Closed);
        assert!(waits.reason.contains("at work"), "{}", waits.reason);

        let until = Timestamp::new(jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1));
        let open = CircuitRow {
            lane: no.into(),
            state: CircuitState::Open,
            since: at(10),
            until,
            probes: 2,
            last: AttemptResult::Status(500),
        };
        bench.route(partition, |commit| {
            commit.lanes = vec![LaneRow { lane: no.into(), tenant: tenant_no, settled: Sequence(3) }];
            commit.circuits = vec![open];
        }).await;
        let broken = explain(&bench, &id, &ids[4]).await;
        assert_eq!((broken.outcome, broken.behind_by, broken.circuit), (Outcome::Pending, Some(1), CircuitState::Open));
        assert_eq!(broken.next_attempt_at, Some(until));
        assert!(broken.reason.contains("fails altogether"), "{}", broken.reason);

        let throttled = CircuitRow { state: CircuitState::Throttled, ..open };
        bench.route(partition, |commit| commit.circuits = vec![throttled]).await;
        assert!(explain(&bench, &id, &ids[4]).await.reason.contains("asked for a pause"));

        let patch = EndpointPatch { status: Some(Wanted::Paused), ..EndpointPatch::default() };
        bench.endpoints.update(&who(), &tenant("acme"), &id, patch).await.unwrap();
        let paused = explain(&bench, &id, &ids[4]).await;
        assert!(paused.reason.contains("is paused"), "{}", paused.reason);

        let retry = RetryRow {
            lane: no.into(),
            sequence: Sequence(4),
            attempts: 2,
            next_at: until,
            key: None,
            previous: None,
        };
        bench.route(partition, |commit| {
            commit.retries = vec![retry];
            commit.attempts = vec![
                attempt(no, 4, 1, 10, AttemptResult::Status(500)),
                attempt(no, 4, 2, 20, AttemptResult::Status(502)),
            ];
        }).await;
        let retrying = explain(&bench, &id, &ids[3]).await;
        assert_eq!((retrying.outcome, retrying.next_attempt_at), (Outcome::Retrying, Some(until)));
        assert_eq!(retrying.attempts.iter().map(|one| one.status).collect::<Vec<_>>(), [Some(502), Some(500)]);
        assert!(retrying.reason.contains("2 attempts"), "{}", retrying.reason);
        bench.engine.shutdown().await;
    }

    async fn what_is_settled_is_explained_by_what_came_of_it(log: Log) {
        let (bench, id, ids) = with_events(&log, endpoint(SOMEWHERE)).await;
        let (no, tenant_no, partition) = bench.names("acme", &id).await;
        let dead = DeadRow {
            endpoint: no,
            tenant: tenant_no,
            sequence: Sequence(4),
            attempts: 10,
            last: Some(AttemptResult::Status(500)),
            reason: DeadReason::Exhausted,
            died_at: at(99),
        };
        bench.route(partition, |commit| {
            commit.caught_up = vec![no.into()];
            commit.dead = vec![dead];
            commit.attempts = vec![
                attempt(no, 3, 1, 10, AttemptResult::Status(500)),
                attempt(no, 3, 2, 20, AttemptResult::Status(204)),
            ];
        }).await;
        let delivered = explain(&bench, &id, &ids[2]).await;
        assert_eq!((delivered.outcome, delivered.attempts.len()), (Outcome::Delivered, 2));
        assert!(delivered.reason.contains("attempt 2 (204)"), "{}", delivered.reason);
        let lost = explain(&bench, &id, &ids[3]).await;
        assert_eq!(lost.outcome, Outcome::DeadLettered);
        assert!(lost.reason.contains("10 attempts") && lost.reason.contains("exhausted"), "{}", lost.reason);
        let settled = explain(&bench, &id, &ids[4]).await;
        assert_eq!((settled.outcome, settled.behind_by), (Outcome::Settled, None));
        bench.engine.shutdown().await;
    }
}
