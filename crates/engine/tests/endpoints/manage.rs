//! Making, changing, deleting.

use std::collections::BTreeMap;

use tidings_engine::endpoints::{
    ENDPOINTS_MAX, EndpointError, EndpointPatch, EndpointSettings, EndpointStatus, Format, From, NewEndpoint, Ordering,
    Wanted,
};
use tidings_event::delivery::DisableReason;
use tidings_event::{EndpointId, ErrorCode, LaneNo, Sequence};
use tidings_store::{RoutingChanges, SelectionRow};
use tokio::task::JoinSet;

use super::*;
use crate::on_both;
use crate::support::{event, numbered};

fn types(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What the router is told of an endpoint.
async fn selections(bench: &Bench, id: &EndpointId) -> Vec<SelectionRow> {
    let row = bench.engine.tenant(&tenant("acme")).await.unwrap().unwrap();
    bench.store.endpoint(row.no, id).await.unwrap().unwrap().selections
}

on_both! {
    async fn an_endpoint_is_what_was_asked_for(log: Log) {
        let bench = Bench::over(&log).await;
        let settings = EndpointSettings {
            format: Format::Cloudevents,
            ordering: Ordering::Entity,
            rate_limit_per_s: Some(10),
            timeout_ms: 2_000,
            headers: BTreeMap::from([("X-Token".to_owned(), "abc".to_owned())]),
            retry_schedule_s: vec![0, 1],
            description: "the portal".to_owned(),
            ..EndpointSettings::default()
        };
        let filter = r#"{"filters":[{"field":"$.data.amount","operator":"gt","value":5}]}"#;
        let new = NewEndpoint {
            types: types(&["sales.*"]),
            filter: Some(filter.to_owned()),
            settings: settings.clone(),
            ..endpoint(SOMEWHERE)
        };
        let made = bench.create("acme", new).await;
        assert!(made.id.as_str().starts_with("ep_"));
        assert_eq!((made.status, made.url.as_str()), (EndpointStatus::Active, SOMEWHERE));
        assert_eq!((made.types.clone(), made.filter.as_deref()), (types(&["sales.*"]), Some(filter)));
        let lower = BTreeMap::from([("x-token".to_owned(), "abc".to_owned())]);
        assert_eq!(made.settings, EndpointSettings { headers: lower, ..settings });
        assert_eq!(bench.endpoints.get(&tenant("acme"), &made.id).await.unwrap(), made);

        let second = bench.create("acme", endpoint(SOMEWHERE)).await;
        let list = bench.endpoints.list(&tenant("acme"), None, 10).await.unwrap();
        assert_eq!(list, [made.clone(), second.clone()]);
        assert_eq!(bench.endpoints.list(&tenant("acme"), Some(&made.id), 10).await.unwrap(), std::slice::from_ref(&second));
        assert_eq!(bench.endpoints.list(&tenant("acme"), None, 1).await.unwrap(), std::slice::from_ref(&made));
        assert!(bench.endpoints.list(&tenant("nobody"), None, 10).await.unwrap().is_empty());

        bench.create("globex", endpoint(SOMEWHERE)).await;
        let other = tenant("globex");
        let foreign = bench.endpoints.get(&other, &made.id).await.unwrap_err();
        assert_eq!(foreign.code(), ErrorCode::EndpointNotFound);
        let patch = EndpointPatch { description: Some("mine".to_owned()), ..EndpointPatch::default() };
        assert!(matches!(bench.endpoints.update(&who(), &other, &made.id, patch).await, Err(EndpointError::NotFound)));
        assert!(matches!(bench.endpoints.delete(&who(), &other, &made.id).await, Err(EndpointError::NotFound)));

        bench.endpoints.delete(&who(), &tenant("acme"), &made.id).await.unwrap();
        assert!(matches!(bench.endpoints.get(&tenant("acme"), &made.id).await, Err(EndpointError::NotFound)));
        assert!(matches!(
            bench.endpoints.delete(&who(), &tenant("acme"), &made.id).await,
            Err(EndpointError::NotFound)
        ));
        assert_eq!(bench.endpoints.list(&tenant("acme"), None, 10).await.unwrap(), [second]);
        bench.engine.shutdown().await;
    }

    async fn everything_that_is_wrong_with_an_endpoint_is_told_at_once(log: Log) {
        let bench = Bench::over(&log).await;
        let new = NewEndpoint {
            types: types(&["sales.*", "Nope"]),
            filter: Some("{}x".to_owned()),
            settings: EndpointSettings {
                timeout_ms: 1,
                headers: BTreeMap::from([("Host".to_owned(), "x".to_owned())]),
                ..EndpointSettings::default()
            },
            secret: Some("whsec_short".to_owned()),
            from: From::Sequence(0),
            ..endpoint("https://10.0.0.1/")
        };
        let told = violations(bench.endpoints.create(&who(), &tenant("acme"), new).await.unwrap_err());
        let paths: Vec<&str> = told.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["/url", "/types/1", "/filter", "/timeout_ms", "/headers/Host", "/from", "/secret"]);
        assert_eq!(told[0].1, "url_forbidden");
        for (url, code) in [
            ("nonsense", "url_malformed"),
            ("/relative", "url_malformed"),
            ("https://user:secret@example.com/", "url_malformed"),
            ("https://example.com/#part", "url_malformed"),
            ("ftp://example.com/", "url_forbidden"),
            ("file:///etc/passwd", "url_forbidden"),
            ("https://[::ffff:10.0.0.1]/", "url_forbidden"),
            ("https://169.254.169.254/latest", "url_forbidden"),
            ("https://0x0a000001/", "url_forbidden"),
        ] {
            let refused = bench.endpoints.create(&who(), &tenant("acme"), endpoint(url)).await;
            let told = violations(refused.unwrap_err());
            assert_eq!(told, [("/url".to_owned(), code.to_owned())], "{url}");
        }
        let long = format!("https://example.com/{}", "x".repeat(2_048));
        let told = violations(bench.endpoints.create(&who(), &tenant("acme"), endpoint(&long)).await.unwrap_err());
        assert_eq!(told, [("/url".to_owned(), "too_long".to_owned())]);
        assert!(bench.events("$system").await.is_empty(), "what was refused is no change");
        bench.engine.shutdown().await;
    }

    async fn a_tenant_has_so_many_endpoints_and_no_more(log: Log) {
        let bench = Bench::over(&log).await;
        let mut making = JoinSet::new();
        for _ in 0..8 {
            let endpoints = bench.endpoints.clone();
            making.spawn(async move {
                let mut made = 0;
                while endpoints.create(&who(), &tenant("acme"), endpoint(SOMEWHERE)).await.is_ok() {
                    made += 1;
                }
                made
            });
        }
        let made: u64 = making.join_all().await.into_iter().sum();
        assert_eq!(made, ENDPOINTS_MAX, "also when all are made at once");
        let error = bench.endpoints.create(&who(), &tenant("acme"), endpoint(SOMEWHERE)).await.unwrap_err();
        assert!(matches!(error, EndpointError::LimitReached { max: ENDPOINTS_MAX }), "{error:?}");
        bench.create("globex", endpoint(SOMEWHERE)).await;
        let one = bench.endpoints.list(&tenant("acme"), None, 1).await.unwrap().remove(0);
        bench.endpoints.delete(&who(), &tenant("acme"), &one.id).await.unwrap();
        bench.create("acme", endpoint(SOMEWHERE)).await;
        bench.engine.shutdown().await;
    }

    async fn an_endpoint_begins_where_it_was_asked_to(log: Log) {
        let bench = Bench::over(&log).await;
        let receipts = bench.engine.append(numbered("acme", 5)).await.unwrap();
        assert_eq!(receipts[4].sequence, Sequence(5));
        let since = async |from| {
            let made = bench.create("acme", NewEndpoint { from, ..endpoint(SOMEWHERE) }).await;
            let (no, _, partition) = bench.names("acme", &made.id).await;
            let lanes = bench.store.router_state(partition).await.unwrap().lanes;
            let lane = lanes.into_iter().find(|lane| lane.lane == LaneNo::from(no)).map(|lane| lane.settled.get());
            (made.since.get(), lane)
        };
        assert_eq!(since(From::Now).await, (5, None));
        assert_eq!(since(From::Start).await, (0, Some(0)));
        assert_eq!(since(From::Sequence(3)).await, (2, Some(2)));
        assert_eq!(since(From::Sequence(6)).await, (5, None), "the next one that comes");
        assert_eq!(since(From::Time(at(0))).await, (0, Some(0)), "the first one is later than that");
        let beyond = NewEndpoint { from: From::Sequence(7), ..endpoint(SOMEWHERE) };
        let told = violations(bench.endpoints.create(&who(), &tenant("acme"), beyond).await.unwrap_err());
        assert_eq!(told[0].0, "/from");
        bench.engine.shutdown().await;
    }

    async fn new_types_and_filters_hold_for_what_comes_after_them(log: Log) {
        let bench = Bench::over(&log).await;
        bench.engine.append(numbered("acme", 2)).await.unwrap();
        let made = bench.create("acme", NewEndpoint { types: types(&["a.b"]), ..endpoint(SOMEWHERE) }).await;
        bench.engine.append(numbered("acme", 3)).await.unwrap();
        let patch = EndpointPatch { types: Some(types(&["c.d"])), ..EndpointPatch::default() };
        let changed = bench.endpoints.update(&who(), &tenant("acme"), &made.id, patch).await.unwrap();
        assert_eq!((changed.since, changed.types), (Sequence(5), types(&["c.d"])));
        let kept: Vec<(u64, Vec<String>)> =
            selections(&bench, &made.id).await.into_iter().map(|one| (one.after.get(), one.types)).collect();
        assert_eq!(kept, [(2, types(&["a.b"])), (5, types(&["c.d"]))]);
        bench.engine.shutdown().await;
    }

    async fn old_filters_are_kept_while_events_are_judged_by_them_and_bounded(log: Log) {
        let bench = Bench::over(&log).await;
        let made = bench.create("acme", endpoint(SOMEWHERE)).await;
        let (_, _, partition) = bench.names("acme", &made.id).await;
        let change = async |number: usize| {
            bench.engine.append(vec![event("acme", "{}")]).await.unwrap();
            let patch = EndpointPatch { types: Some(vec![format!("a.b{number}")]), ..EndpointPatch::default() };
            bench.endpoints.update(&who(), &tenant("acme"), &made.id, patch).await
        };
        for number in 1..16 {
            change(number).await.unwrap();
        }
        let told = bench.events("$system").await.len();
        let error = change(16).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::EndpointBusy, "the router has seen none of these");
        assert_eq!(bench.events("$system").await.len(), told, "what was refused is not told");
        bench.route(partition, |_| ()).await;
        for number in 17..40 {
            change(number).await.unwrap();
            bench.route(partition, |_| ()).await;
        }
        let kept = selections(&bench, &made.id).await;
        assert_eq!((kept.len(), kept.last().unwrap().types.clone()), (16, types(&["a.b39"])));
        bench.engine.shutdown().await;
    }

    async fn every_change_reaches_the_router_at_a_revision_of_its_own(log: Log) {
        let bench = Bench::over(&log).await;
        let made = bench.create("acme", endpoint(SOMEWHERE)).await;
        let (no, _, partition) = bench.names("acme", &made.id).await;
        let first: RoutingChanges = bench.store.routing(partition, Default::default()).await.unwrap();
        assert_eq!(first.endpoints.len(), 1);
        let patch = EndpointPatch { status: Some(Wanted::Paused), ..EndpointPatch::default() };
        let paused = bench.endpoints.update(&who(), &tenant("acme"), &made.id, patch).await.unwrap();
        assert_eq!(paused.status, EndpointStatus::Paused);
        let second = bench.store.routing(partition, first.revision).await.unwrap();
        assert!(second.revision > first.revision);
        assert_eq!(second.endpoints.iter().map(|row| (row.no, row.status)).collect::<Vec<_>>(), [
            (no, EndpointStatus::Paused)
        ]);
        bench.endpoints.delete(&who(), &tenant("acme"), &made.id).await.unwrap();
        let third = bench.store.routing(partition, second.revision).await.unwrap();
        assert_eq!(third.endpoints[0].status, EndpointStatus::Deleted);
        assert!(third.endpoints[0].secrets.is_empty(), "its secrets went with it");
        bench.engine.shutdown().await;
    }

    async fn an_endpoint_that_was_disabled_goes_on_when_its_owner_says_so(log: Log) {
        let bench = Bench::over(&log).await;
        let made = bench.create("acme", endpoint(SOMEWHERE)).await;
        let (no, _, partition) = bench.names("acme", &made.id).await;
        bench.route(partition, |commit| commit.disabled.push((no, DisableReason::Gone))).await;
        let gone = bench.endpoints.get(&tenant("acme"), &made.id).await.unwrap();
        assert_eq!((gone.status, gone.status_reason.as_deref()), (EndpointStatus::Disabled, Some("gone")));
        let patch = EndpointPatch { status: Some(Wanted::Active), ..EndpointPatch::default() };
        let back = bench.endpoints.update(&who(), &tenant("acme"), &made.id, patch).await.unwrap();
        assert_eq!((back.status, back.status_reason), (EndpointStatus::Active, None));
        let events = bench.events("$system").await;
        let last = events.last().unwrap();
        assert_eq!(last.event.event_type.as_str(), "tidings.endpoint.enabled");
        assert_eq!(data(last)["was"], "gone");
        bench.engine.shutdown().await;
    }

    async fn nothing_is_changed_while_the_engine_ends(log: Log) {
        let bench = Bench::over(&log).await;
        let made = bench.create("acme", endpoint(SOMEWHERE)).await;
        bench.engine.shutdown().await;
        let refused = bench.endpoints.create(&who(), &tenant("acme"), endpoint(SOMEWHERE)).await;
        assert!(matches!(refused, Err(EndpointError::ShuttingDown)));
        let refused = bench.endpoints.update(&who(), &tenant("acme"), &made.id, EndpointPatch::default()).await;
        assert!(matches!(refused, Err(EndpointError::ShuttingDown)));
    }
}
