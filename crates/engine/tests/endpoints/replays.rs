//! Replays and back-tests.

use tidings_engine::endpoints::{
    BacktestQuery, EndpointError, EndpointPatch, From, NewEndpoint, NewReplay, REPLAYS_MAX, ReplayState, Until, Wanted,
};
use tidings_event::{ErrorCode, LaneNo};

use super::*;
use crate::on_both;
use crate::support::{numbered, typed};

const GREAT: &str = r#"{"filters":[{"field":"$.data.number","operator":"gte","value":15}]}"#;

async fn with_events(log: &Log) -> (Bench, EndpointId) {
    let bench = Bench::over(log).await;
    bench.engine.append(numbered("acme", 20)).await.unwrap();
    bench.engine.append(vec![typed("acme", "sales.lead.lost", "{\"number\":99}")]).await.unwrap();
    let own = NewEndpoint { types: vec!["sales.lead.lost".to_owned()], ..endpoint(SOMEWHERE) };
    let id = bench.create("acme", own).await.id;
    (bench, id)
}

fn all() -> NewReplay {
    NewReplay { from: From::Start, types: vec!["*".to_owned()], ..NewReplay::default() }
}

on_both! {
    async fn a_dry_run_counts_and_starts_nothing(log: Log) {
        let (bench, id) = with_events(&log).await;
        let count = async |new: NewReplay| {
            let started =
                bench.endpoints.replay(&who(), &tenant("acme"), &id, NewReplay { dry_run: true, ..new }).await.unwrap();
            assert!(started.complete && started.replay.is_none());
            started.count.unwrap()
        };
        assert_eq!(count(all()).await, 21);
        assert_eq!(count(NewReplay { from: From::Sequence(11), ..all() }).await, 11);
        assert_eq!(count(NewReplay { until: Some(Until::Sequence(5)), ..all() }).await, 5);
        assert_eq!(count(NewReplay { filter: Some(GREAT.to_owned()), ..all() }).await, 6);
        assert_eq!(count(NewReplay { from: From::Time(at(0)), ..all() }).await, 21);
        let own = NewReplay { types: Vec::new(), ..all() };
        assert_eq!(count(own).await, 1, "the endpoint's own selection, where none is given");
        assert!(bench.endpoints.replays(&tenant("acme"), &id, None, 10).await.unwrap().0.is_empty());
        bench.engine.shutdown().await;
    }

    async fn a_replay_has_a_lane_of_its_own_and_is_told_of(log: Log) {
        let (bench, id) = with_events(&log).await;
        let acme = tenant("acme");
        let new = NewReplay {
            from: From::Sequence(3),
            until: Some(Until::Sequence(9)),
            filter: Some(GREAT.to_owned()),
            rate_per_s: Some(5),
            ..all()
        };
        let started = bench.endpoints.replay(&who(), &acme, &id, new).await.unwrap();
        let replay = started.replay.unwrap();
        assert!(replay.id.starts_with("rp_") && started.count.is_none());
        assert_eq!((replay.first, replay.last, replay.rate_per_s), (Sequence(3), Sequence(9), Some(5)));
        assert_eq!((replay.state, replay.filter.as_deref()), (ReplayState::Running, Some(GREAT)));
        let (.., partition) = bench.names("acme", &id).await;
        let lanes = bench.store.router_state(partition).await.unwrap().lanes;
        let changes = bench.store.routing(partition, Default::default()).await.unwrap();
        assert_eq!(changes.replays.len(), 1);
        let lane = LaneNo::from(changes.replays[0].no);
        assert_eq!(lanes.iter().find(|row| row.lane == lane).map(|row| row.settled), Some(Sequence(2)));
        let seen = bench.endpoints.replay_get(&acme, &id, &replay.id).await.unwrap();
        assert_eq!((seen.settled, &seen.id), (Some(Sequence(2)), &replay.id));

        let cancelled = bench.endpoints.replay_cancel(&who(), &acme, &id, &replay.id).await.unwrap();
        assert_eq!(cancelled.state, ReplayState::Cancelled);
        assert!(cancelled.ended_at.is_some());
        let again = bench.endpoints.replay_cancel(&who(), &acme, &id, &replay.id).await.unwrap();
        assert_eq!(again.ended_at, cancelled.ended_at, "what has ended stays as it is");
        let told = bench.selected("$system", &["tidings.replay.*"]).await;
        let kinds: Vec<&str> = told.iter().map(|event| event.event.event_type.as_str()).collect();
        assert_eq!(kinds, ["tidings.replay.started", "tidings.replay.cancelled"]);
        assert_eq!((data(&told[0])["replay"].as_str(), data(&told[0])["first"].as_u64()), (Some(&*replay.id), Some(3)));
        let missing = bench.endpoints.replay_get(&acme, &id, "rp_none").await.unwrap_err();
        assert_eq!(missing.code(), ErrorCode::ReplayNotFound);
        bench.engine.shutdown().await;
    }

    async fn replays_are_listed_newest_first_and_bounded(log: Log) {
        let (bench, id) = with_events(&log).await;
        let acme = tenant("acme");
        let mut ids = Vec::new();
        for _ in 0..REPLAYS_MAX {
            ids.insert(0, bench.endpoints.replay(&who(), &acme, &id, all()).await.unwrap().replay.unwrap().id);
        }
        let full = bench.endpoints.replay(&who(), &acme, &id, all()).await.unwrap_err();
        assert!(matches!(full, EndpointError::LimitReached { max: REPLAYS_MAX }), "{full:?}");
        let (page, cursor) = bench.endpoints.replays(&acme, &id, None, 3).await.unwrap();
        let (rest, end) = bench.endpoints.replays(&acme, &id, cursor.as_deref(), 3).await.unwrap();
        let listed: Vec<String> = page.into_iter().chain(rest).map(|replay| replay.id).collect();
        assert_eq!((listed, end), (ids.clone(), None));
        let wrong = bench.endpoints.replays(&acme, &id, Some("x"), 3).await.unwrap_err();
        assert_eq!(wrong.code(), ErrorCode::CursorInvalid);
        bench.endpoints.replay_cancel(&who(), &acme, &id, &ids[0]).await.unwrap();
        bench.endpoints.replay(&who(), &acme, &id, all()).await.unwrap();
        bench.engine.shutdown().await;
    }

    async fn a_replay_of_nothing_is_refused(log: Log) {
        let (bench, id) = with_events(&log).await;
        let refused = async |new| {
            let error = bench.endpoints.replay(&who(), &tenant("acme"), &id, new).await.unwrap_err();
            violations(error).remove(0).0
        };
        assert_eq!(refused(NewReplay { from: From::Now, ..all() }).await, "/from");
        assert_eq!(refused(NewReplay { from: From::Sequence(0), ..all() }).await, "/from");
        assert_eq!(refused(NewReplay { from: From::Sequence(99), ..all() }).await, "/from");
        let backwards = NewReplay { from: From::Sequence(5), until: Some(Until::Sequence(4)), ..all() };
        assert_eq!(refused(backwards).await, "/until");
        assert_eq!(refused(NewReplay { until: Some(Until::Time(at(0))), ..all() }).await, "/until");
        assert_eq!(refused(NewReplay { rate_per_s: Some(0), ..all() }).await, "/rate_per_s");
        assert_eq!(refused(NewReplay { filter: Some("[]".to_owned()), ..all() }).await, "/filter");
        let patch = EndpointPatch { status: Some(Wanted::Paused), ..EndpointPatch::default() };
        bench.endpoints.update(&who(), &tenant("acme"), &id, patch).await.unwrap();
        bench.endpoints.replay(&who(), &tenant("acme"), &id, all()).await.unwrap();
        bench.engine.shutdown().await;
    }

    async fn a_filter_is_tried_on_past_events(log: Log) {
        let (bench, _) = with_events(&log).await;
        let acme = tenant("acme");
        let query = BacktestQuery { filter: Some(GREAT.to_owned()), limit: 2, ..BacktestQuery::default() };
        let found = bench.endpoints.backtest(&acme, query.clone()).await.unwrap();
        assert_eq!((found.scanned, found.matched, found.complete), (21, 6, true));
        let sample: Vec<u64> = found
            .sample
            .iter()
            .map(|json| serde_json::from_slice::<serde_json::Value>(json).unwrap()["sequence"].as_u64().unwrap())
            .collect();
        assert_eq!(sample, [21, 20], "the newest first");
        let typed = BacktestQuery { types: vec!["sales.lead.lost".to_owned()], ..query.clone() };
        let found = bench.endpoints.backtest(&acme, typed).await.unwrap();
        assert_eq!((found.scanned, found.matched, found.complete), (21, 1, true));
        let none = BacktestQuery { until: Some(at(0)), ..query.clone() };
        assert_eq!(bench.endpoints.backtest(&acme, none).await.unwrap().scanned, 0);
        let backwards = BacktestQuery { since: Some(at(1)), until: Some(at(0)), ..query.clone() };
        assert_eq!(violations(bench.endpoints.backtest(&acme, backwards).await.unwrap_err())[0].0, "/until");
        let nobody = bench.endpoints.backtest(&tenant("nobody"), query).await.unwrap();
        assert_eq!((nobody.scanned, nobody.complete), (0, true));
        bench.engine.shutdown().await;
    }
}
