//! What Tidings tells of changes.

use tidings_engine::endpoints::{EndpointPatch, Rotate, Wanted};
use tidings_engine::{FeedStart, NewKey, Role};

use super::*;
use crate::on_both;
use crate::support::PATIENCE;

fn told(events: &[Recorded]) -> Vec<&str> {
    events.iter().map(|event| event.event.event_type.as_str()).collect()
}

on_both! {
    async fn every_change_is_told_with_who_made_it_and_is_there_when_the_change_is(log: Log) {
        let bench = Bench::over(&log).await;
        let (acme, id) = (tenant("acme"), bench.create("acme", endpoint(SOMEWHERE)).await.id);
        assert_eq!(told(&bench.events("$system").await), ["tidings.endpoint.created"]);
        let patch = EndpointPatch {
            url: Some("https://elsewhere.example.com/".to_owned()),
            description: Some("moved".to_owned()),
            ..EndpointPatch::default()
        };
        bench.endpoints.update(&who(), &acme, &id, patch.clone()).await.unwrap();
        let events = bench.events("$system").await;
        assert_eq!(told(&events)[1..], ["tidings.endpoint.updated"]);
        let event = &events[1];
        let said = data(event);
        assert_eq!(said["changed"], serde_json::json!(["description", "url"]));
        assert_eq!(said["by"], serde_json::json!({ "key": "key_1", "role": "consumer" }));
        assert_eq!((said["tenant"].as_str(), said["endpoint"].as_str()), (Some("acme"), Some(id.as_str())));
        assert_eq!(event.event.actor.as_ref().unwrap().as_str(), "key_1");
        assert_eq!(event.event.entity.as_ref().unwrap().id.as_str(), id.as_str());
        assert_eq!((event.event.source.kind.as_str(), event.event.source.id.as_str()), ("system", "tidings"));

        bench.endpoints.update(&who(), &acme, &id, patch).await.unwrap();
        assert_eq!(bench.events("$system").await.len(), 2, "what changes nothing tells nobody");

        bench.endpoints.rotate(&who(), &acme, &id, Rotate::default()).await.unwrap();
        bench.endpoints.delete(&who(), &acme, &id).await.unwrap();
        let events = bench.events("$system").await;
        assert_eq!(told(&events)[2..], ["tidings.endpoint.secret_rotated", "tidings.endpoint.deleted"]);
        bench.engine.shutdown().await;
    }

    async fn a_tenant_hears_of_what_is_about_its_deliveries(log: Log) {
        let bench = Bench::over(&log).await;
        let id = bench.create("acme", endpoint(SOMEWHERE)).await.id;
        bench.endpoints.rotate(&who(), &tenant("acme"), &id, Rotate::default()).await.unwrap();
        let (own, system) = (bench.events("acme").await, bench.events("$system").await);
        assert_eq!(told(&own), ["tidings.endpoint.secret_rotated"]);
        assert_eq!(own[0].event.id.as_str(), format!("{}-t", system[1].event.id));
        assert_eq!(own[0].event.data, system[1].event.data);
        assert!(!String::from_utf8_lossy(own[0].event.data.as_bytes()).contains("whsec_"));
        bench.engine.shutdown().await;
    }

    async fn events_of_changes_are_read_like_any_other(log: Log) {
        let bench = Bench::over(&log).await;
        let selection = Arc::new(Selection::new(&["tidings.endpoint.*".to_owned()], None).unwrap());
        let mut feed =
            bench.engine.feed(&tenant("$system"), FeedStart::Now, selection).await.unwrap();
        let waiting = tokio::spawn(async move {
            let limit = ReadLimit { events: 1, bytes: 1 << 20 };
            loop {
                // A page may be empty where what was looked at does not match.
                if let Some(event) = feed.next(limit, PATIENCE).await.unwrap().events.pop() {
                    return event.recorded.event.event_type.to_string();
                }
            }
        });
        let id = bench.create("acme", endpoint(SOMEWHERE)).await.id;
        assert_eq!(waiting.await.unwrap(), "tidings.endpoint.created", "a reader who waits is woken");
        let patch = EndpointPatch { status: Some(Wanted::Paused), ..EndpointPatch::default() };
        bench.endpoints.update(&who(), &tenant("acme"), &id, patch).await.unwrap();
        assert_eq!(bench.selected("$system", &["tidings.endpoint.updated"]).await.len(), 1);
        bench.engine.shutdown().await;
    }

    async fn keys_are_told_of_without_what_opens_anything(log: Log) {
        let bench = Bench::over(&log).await;
        let new = NewKey {
            role: Role::Consumer,
            tenants: vec![tenant("acme")],
            type_prefixes: Vec::new(),
            service: None,
            description: "the portal".to_owned(),
            expires_at: None,
        };
        let (row, secret) = bench.engine.create_key(&who(), new).await.unwrap();
        bench.engine.revoke_key(&who(), &row.id).await.unwrap();
        bench.engine.revoke_key(&who(), &row.id).await.unwrap();
        let events = bench.events("$system").await;
        assert_eq!(told(&events), ["tidings.key.created", "tidings.key.revoked"], "revoking again changes nothing");
        assert_eq!(data(&events[0])["key"], row.id.as_str());
        assert_eq!(data(&events[0])["tenants"], serde_json::json!(["acme"]));
        assert!(events.iter().all(|event| !String::from_utf8_lossy(event.event.data.as_bytes()).contains(&secret)));
        bench.engine.shutdown().await;
    }

    async fn who_is_turned_away_again_and_again_is_told_of_once(log: Log) {
        let bench = Bench::over(&log).await;
        let mut feed =
            bench.engine.feed(&tenant("$system"), FeedStart::Now, Arc::new(Selection::all())).await.unwrap();
        for _ in 0..100 {
            bench.engine.denied(&who(), Some(&tenant("acme")), "GET /v1/tenants/{tenant}/feed");
        }
        let page = feed.next(ReadLimit { events: 10, bytes: 1 << 20 }, PATIENCE).await.unwrap();
        let event = &page.events[0].recorded;
        assert_eq!(event.event.event_type.as_str(), "tidings.access.denied");
        assert_eq!(data(event)["operation"], "GET /v1/tenants/{tenant}/feed");
        assert_eq!(data(event)["tenant"], "acme");
        let other = Who { key: "key_2".to_owned(), role: Role::Auditor };
        bench.engine.denied(&other, None, "POST /v1/keys");
        let page = feed.next(ReadLimit { events: 10, bytes: 1 << 20 }, PATIENCE).await.unwrap();
        assert_eq!(data(&page.events[0].recorded)["by"]["key"], "key_2");
        assert_eq!(bench.events("$system").await.len(), 2);
        bench.engine.shutdown().await;
    }
}
