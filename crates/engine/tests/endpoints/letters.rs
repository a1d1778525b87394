//! Attempts, dead letters and statistics.

use tidings_engine::endpoints::{
    AttemptSearch, AttemptStatus, CircuitState, DeadReason, DeadSearch, EndpointError, Failure,
};
use tidings_event::delivery::{CircuitRow, DeadRow, LaneRow, RetryRow};
use tidings_event::{ErrorCode, EventType};

use super::*;
use crate::on_both;
use crate::support::{numbered, typed};

const OK: AttemptResult = AttemptResult::Status(200);
const TEAPOT: AttemptResult = AttemptResult::Status(418);
const TIMEOUT: AttemptResult = AttemptResult::Failed(Failure::Timeout);

fn dead(no: EndpointNo, tenant: TenantNo, sequence: u64, reason: DeadReason, seconds: i64) -> DeadRow {
    DeadRow {
        endpoint: no,
        tenant,
        sequence: Sequence(sequence),
        attempts: 3,
        last: Some(TEAPOT),
        reason,
        died_at: at(seconds),
    }
}

on_both! {
    async fn attempts_are_searched_and_paged_newest_first(log: Log) {
        let bench = Bench::over(&log).await;
        let acme = tenant("acme");
        let events = numbered("acme", 40);
        let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
        bench.engine.append(events).await.unwrap();
        let made = bench.create("acme", endpoint(SOMEWHERE)).await;
        let (no, _, partition) = bench.names("acme", &made.id).await;
        let rows = vec![
            attempt(no, 1, 1, 10, TIMEOUT),
            attempt(no, 2, 1, 10, OK),
            attempt(no, 1, 2, 20, AttemptResult::Status(503)),
            attempt(no, 40, 1, 30, TEAPOT),
            attempt(no, 1, 3, 40, OK),
        ];
        bench.route(partition, |commit| commit.attempts = rows).await;
        let search = async |search| bench.endpoints.attempts(&acme, &made.id, search).await;
        let all = AttemptSearch { limit: 10, ..AttemptSearch::default() };
        let found = async |wanted: AttemptSearch| {
            let (attempts, cursor) = search(wanted).await.unwrap();
            assert!(cursor.is_none());
            attempts.into_iter().map(|one| (one.sequence.get(), one.attempt)).collect::<Vec<_>>()
        };
        let (attempts, _) = search(all.clone()).await.unwrap();
        let newest = &attempts[0];
        assert_eq!((newest.event_id.as_ref(), newest.status, newest.failure), (Some(&ids[0]), Some(200), None));
        assert_eq!((newest.at, newest.duration_ms, newest.response.as_str()), (at(40), 1.5, "hello"));
        assert_eq!(attempts[1].event_id.as_ref(), Some(&ids[39]), "however far apart they are");
        assert!(!newest.replay);
        let with = |status| AttemptSearch { status: Some(status), ..all.clone() };
        assert_eq!(found(with(AttemptStatus::Succeeded)).await, [(1, 3), (2, 1)]);
        assert_eq!(found(with(AttemptStatus::Failed)).await, [(40, 1), (1, 2), (1, 1)]);
        assert_eq!(found(with(AttemptStatus::Code(503))).await, [(1, 2)]);
        assert_eq!(found(with(AttemptStatus::Class(4))).await, [(40, 1)]);
        assert_eq!(found(AttemptSearch { event: Some(ids[0].clone()), ..all.clone() }).await, [(1, 3), (1, 2), (1, 1)]);
        let times = AttemptSearch { since: Some(at(20)), until: Some(at(40)), ..all.clone() };
        assert_eq!(found(times).await, [(40, 1), (1, 2)]);

        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let (page, next) = search(AttemptSearch { cursor, limit: 1, ..AttemptSearch::default() }).await.unwrap();
            seen.extend(page);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, attempts, "pages of one give the same as one page");
        for wrong in ["x", "AQ", ""] {
            let error = search(AttemptSearch { cursor: Some(wrong.to_owned()), ..all.clone() }).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::CursorInvalid);
        }
        bench.engine.shutdown().await;
    }

    async fn dead_letters_are_searched_redriven_and_discarded(log: Log) {
        let bench = Bench::over(&log).await;
        let acme = tenant("acme");
        let mut events = numbered("acme", 4);
        events[1] = typed("acme", "sales.lead.lost", "{}");
        let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
        bench.engine.append(events).await.unwrap();
        let (one, two) = (bench.create("acme", endpoint(SOMEWHERE)).await, bench.create("acme", endpoint(SOMEWHERE)).await);
        let (no, tenant_no, partition) = bench.names("acme", &one.id).await;
        let (other, ..) = bench.names("acme", &two.id).await;
        bench.route(partition, |commit| {
            commit.dead = vec![
                dead(no, tenant_no, 1, DeadReason::Exhausted, 10),
                dead(no, tenant_no, 2, DeadReason::Expired, 20),
                dead(no, tenant_no, 3, DeadReason::Exhausted, 30),
                dead(other, tenant_no, 2, DeadReason::Exhausted, 30),
            ];
        }).await;
        let all = DeadSearch { limit: 10, ..DeadSearch::default() };
        let found = async |search: DeadSearch| {
            let (letters, _) = bench.endpoints.dead_letters(&acme, search).await.unwrap();
            letters.into_iter().map(|letter| (letter.sequence.get(), letter.endpoint == one.id)).collect::<Vec<_>>()
        };
        assert_eq!(found(all.clone()).await, [(1, true), (2, true), (2, false), (3, true)]);
        let own = DeadSearch { endpoint: Some(one.id.clone()), ..all.clone() };
        assert_eq!(found(own.clone()).await, [(1, true), (2, true), (3, true)]);
        assert_eq!(found(DeadSearch { reason: Some(DeadReason::Expired), ..all.clone() }).await, [(2, true)]);
        let lost = Some(EventType::parse("sales.lead.lost").unwrap());
        assert_eq!(found(DeadSearch { event_type: lost, ..all.clone() }).await, [(2, true), (2, false)]);
        assert_eq!(found(DeadSearch { since: Some(at(20)), until: Some(at(30)), ..all.clone() }).await, [(2, true)]);
        let (page, cursor) =
            bench.endpoints.dead_letters(&acme, DeadSearch { limit: 2, ..all.clone() }).await.unwrap();
        assert_eq!(page.len(), 2);
        assert_eq!(found(DeadSearch { cursor, ..all.clone() }).await, [(2, false), (3, true)]);

        let id = page[1].id.clone();
        assert_eq!(id, format!("dl_{}_2", one.id.as_str().trim_start_matches("ep_")));
        let letter = bench.endpoints.dead_letter(&acme, &id).await.unwrap();
        assert_eq!((letter.event_id.as_ref(), letter.last_status, letter.attempts), (Some(&ids[1]), Some(418), 3));
        let foreign = bench.endpoints.dead_letter(&tenant("$system"), &id).await;
        assert!(matches!(foreign, Err(EndpointError::DeadLetterNotFound)));

        bench.endpoints.discard(&who(), &acme, &id).await.unwrap();
        assert_eq!(found(all.clone()).await, [(1, true), (2, false), (3, true)], "that one and no other");
        let again = bench.endpoints.discard(&who(), &acme, &id).await.unwrap_err();
        assert!(matches!(again, EndpointError::DeadLetterNotFound), "not the next one either");
        let first = format!("dl_{}_1", one.id.as_str().trim_start_matches("ep_"));
        bench.endpoints.redrive(&who(), &acme, &first).await.unwrap();
        let redrives = bench.store.routing(partition, Default::default()).await.unwrap().redrives;
        assert_eq!(redrives, [(no, Sequence(1))], "the router takes it from there");
        let count = bench.endpoints.redrive_all(&who(), &acme, DeadSearch::default()).await.unwrap();
        assert_eq!(count, 2);
        assert!(found(all).await.is_empty());
        assert_eq!(bench.store.routing(partition, Default::default()).await.unwrap().redrives.len(), 3);
        bench.engine.shutdown().await;
    }

    async fn more_dead_letters_than_one_transaction_takes_are_all_discarded(log: Log) {
        let bench = Bench::over(&log).await;
        let acme = tenant("acme");
        bench.engine.append(numbered("acme", 2_100)).await.unwrap();
        let made = bench.create("acme", endpoint(SOMEWHERE)).await;
        let (no, tenant_no, partition) = bench.names("acme", &made.id).await;
        bench.route(partition, |commit| {
            commit.dead = (1..=2_100).map(|n| dead(no, tenant_no, n, DeadReason::Expired, 10)).collect();
        }).await;
        assert_eq!(bench.endpoints.stats(&acme, &made.id).await.unwrap().dead_letters, 2_100);
        assert_eq!(bench.endpoints.discard_all(&who(), &acme, DeadSearch::default()).await.unwrap(), 2_100);
        assert_eq!(bench.endpoints.stats(&acme, &made.id).await.unwrap().dead_letters, 0);
        bench.engine.shutdown().await;
    }

    async fn statistics_tell_how_far_behind_an_endpoint_is(log: Log) {
        let bench = Bench::over(&log).await;
        let acme = tenant("acme");
        let made = bench.create("acme", endpoint(SOMEWHERE)).await;
        let (no, tenant_no, partition) = bench.names("acme", &made.id).await;
        bench.engine.append(numbered("acme", 10)).await.unwrap();
        let stats = async || bench.endpoints.stats(&acme, &made.id).await.unwrap();
        let before = stats().await;
        assert!(before.lag_events >= 10 && before.lag_seconds.is_some(), "{before:?}");
        bench.route(partition, |_| ()).await;
        let after = stats().await;
        assert_eq!((after.lag_events, after.lag_seconds, after.window.attempts), (0, None, 0));
        let circuit = CircuitRow {
            lane: no.into(),
            state: CircuitState::Open,
            since: at(50),
            until: at(60),
            probes: 1,
            last: TIMEOUT,
        };
        let retry = RetryRow {
            lane: no.into(),
            sequence: Sequence(2),
            attempts: 1,
            next_at: at(70),
            key: None,
            previous: None,
        };
        bench.route(partition, |commit| {
            commit.lanes = vec![LaneRow { lane: no.into(), tenant: tenant_no, settled: Sequence(4) }];
            commit.retries = vec![retry];
            commit.circuits = vec![circuit];
            commit.attempts = vec![attempt(no, 1, 1, 10, OK), attempt(no, 2, 1, 20, TIMEOUT)];
        }).await;
        let open = stats().await;
        assert_eq!((open.lag_events, open.retries, open.circuit), (6, 1, CircuitState::Open));
        assert_eq!((open.circuit_since, open.next_attempt_at), (Some(at(50)), Some(at(60))));
        assert_eq!((open.window.attempts, open.window.succeeded, open.window.success_rate), (2, 1, Some(0.5)));
        assert_eq!(open.window.latency_ms.unwrap().p50, 1.5);
        assert_eq!((open.last_attempt_at, open.last_success_at), (Some(at(20)), Some(at(10))));
        assert!(open.lag_seconds.is_some());
        bench.engine.shutdown().await;
    }
}
