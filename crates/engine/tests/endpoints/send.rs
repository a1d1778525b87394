//! Samples and challenges: real requests to a real receiver.

use std::collections::BTreeMap;

use tidings_engine::endpoints::{
    CloudEventsMode, EndpointError, EndpointPatch, EndpointSettings, EndpointStatus, Failure, Format, NewEndpoint,
    Rotate, Scheme, Wanted,
};
use tidings_event::ErrorCode;
use tidings_event::signature::Verifier;

use super::receiver::{Receiver, Request, answer};
use super::*;
use crate::on_both;

fn verify(request: &Request, key: &str) -> bool {
    let header = |name: &str| request.headers[name].as_str();
    let now_s = jiff::Timestamp::now().as_second();
    Verifier::new([key])
        .unwrap()
        .verify(
            header("webhook-id"),
            header("webhook-timestamp"),
            header("webhook-signature"),
            request.body.as_bytes(),
            now_s,
        )
        .is_ok()
}

/// Answers a challenge as the owner of the URL would.
fn owner(request: &Request) -> String {
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    answer(200, &format!("{{\"challenge\":{}}}", body["challenge"]))
}

fn with(url: &str, settings: EndpointSettings) -> NewEndpoint {
    NewEndpoint { settings, ..endpoint(url) }
}

on_both! {
    async fn a_sample_is_signed_and_the_whole_exchange_shown(log: Log) {
        let bench = Bench::over(&log).await;
        let acme = tenant("acme");
        let receiver = Receiver::start(|_| answer(418, "short and stout")).await;
        let headers = BTreeMap::from([("authorization".to_owned(), "Bearer abc".to_owned())]);
        let new = with(&receiver.url, EndpointSettings { headers, ..EndpointSettings::default() });
        let (made, secret, _) = bench.endpoints.create(&who(), &acme, new).await.unwrap();
        let shown = bench.endpoints.test(&acme, &made.id, Some("sales.lead.created".to_owned())).await.unwrap();
        assert_eq!((shown.status, shown.failure, shown.response_body.as_str()), (Some(418), None, "short and stout"));
        assert!(!shown.succeeded() && shown.response_headers.contains(&("x-answer".to_owned(), "yes".to_owned())));
        let request = receiver.last();
        assert_eq!(request.body, shown.request_body);
        for (name, value) in &shown.request_headers {
            assert_eq!(request.headers.get(name), Some(value), "{name}");
        }
        assert!(verify(&request, &secret));
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!((body["type"].as_str(), body["tenant"].as_str()), (Some("sales.lead.created"), Some("acme")));
        let header = |name: &str| request.headers[name].as_str();
        assert!(header("webhook-id").starts_with("test_") && header("webhook-id") == body["id"].as_str().unwrap());
        assert_eq!((header("content-type"), header("authorization")), ("application/json", "Bearer abc"));
        assert_eq!((header("tidings-sequence"), header("tidings-attempt")), ("0", "1"));
        assert_eq!(header("user-agent"), concat!("tidings/", env!("CARGO_PKG_VERSION")));
        assert!(!request.headers.contains_key("tidings-previous"));
        assert!(bench.events("acme").await.is_empty(), "the log knows nothing of it");
        let wrong = bench.endpoints.test(&acme, &made.id, Some("Nope".to_owned())).await.unwrap_err();
        assert_eq!(violations(wrong)[0].0, "/type");
        bench.engine.shutdown().await;
    }

    async fn a_failed_exchange_is_shown_with_its_reason(log: Log) {
        let bench = Bench::over(&log).await;
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let made = bench.create("acme", endpoint(&format!("http://{closed}/"))).await;
        let shown = bench.endpoints.test(&tenant("acme"), &made.id, None).await.unwrap();
        assert_eq!((shown.status, shown.failure), (None, Some(Failure::Refused)));
        assert!(shown.message.is_some() && shown.request_body.contains("tidings.endpoint.test"));
        bench.engine.shutdown().await;
    }

    async fn during_a_rotation_both_secrets_fit(log: Log) {
        let bench = Bench::over(&log).await;
        let acme = tenant("acme");
        let receiver = Receiver::start(|_| answer(200, "")).await;
        let (made, old, _) = bench.endpoints.create(&who(), &acme, endpoint(&receiver.url)).await.unwrap();
        let pair = Rotate { scheme: Some(Scheme::V1a), ..Rotate::default() };
        let (_, public) = bench.endpoints.rotate(&who(), &acme, &made.id, pair).await.unwrap();
        let public = public.unwrap();
        assert!(bench.endpoints.test(&acme, &made.id, None).await.unwrap().succeeded());
        let request = receiver.last();
        assert!(verify(&request, &old) && verify(&request, &public));
        assert_eq!(request.headers["webhook-signature"].split(' ').count(), 2);
        let (new, _) = {
            let now = Rotate { scheme: Some(Scheme::V1), overlap_s: 0, ..Rotate::default() };
            bench.endpoints.rotate(&who(), &acme, &made.id, now).await.unwrap()
        };
        bench.endpoints.test(&acme, &made.id, None).await.unwrap();
        let request = receiver.last();
        assert!(verify(&request, &new) && !verify(&request, &old) && !verify(&request, &public));
        bench.engine.shutdown().await;
    }

    async fn cloudevents_are_signed_as_they_are_sent(log: Log) {
        let bench = Bench::over(&log).await;
        let acme = tenant("acme");
        let receiver = Receiver::start(|_| answer(204, "")).await;
        for mode in [CloudEventsMode::Structured, CloudEventsMode::Binary] {
            let settings = EndpointSettings {
                format: Format::Cloudevents,
                cloudevents_mode: mode,
                ..EndpointSettings::default()
            };
            let new = with(&receiver.url, settings);
            let (made, secret, _) = bench.endpoints.create(&who(), &acme, new).await.unwrap();
            let shown = bench.endpoints.test(&acme, &made.id, Some("sales.lead.created".to_owned())).await.unwrap();
            assert!(shown.succeeded(), "{shown:?}");
            let request = receiver.last();
            assert!(verify(&request, &secret), "{mode:?}");
            let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
            match mode {
                CloudEventsMode::Structured => {
                    assert_eq!(request.headers["content-type"], "application/cloudevents+json");
                    assert_eq!((body["specversion"].as_str(), body["data"]["test"].as_bool()), (Some("1.0"), Some(true)));
                }
                CloudEventsMode::Binary => {
                    assert_eq!(request.headers["content-type"], "application/json");
                    assert_eq!(request.headers["ce-type"], "sales.lead.created");
                    assert_eq!(request.headers["ce-id"], request.headers["webhook-id"]);
                    assert_eq!(body["test"].as_bool(), Some(true));
                }
            }
        }
        bench.engine.shutdown().await;
    }

    async fn an_endpoint_with_a_challenge_is_active_once_its_owner_answered(log: Log) {
        let bench = Bench::over(&log).await;
        let acme = tenant("acme");
        let stranger = Receiver::start(|_| answer(200, "hello")).await;
        let new = NewEndpoint { challenge: true, ..endpoint(&stranger.url) };
        let (made, secret, _) = bench.endpoints.create(&who(), &acme, new).await.unwrap();
        let unverified = (EndpointStatus::Disabled, Some("unverified".to_owned()));
        assert_eq!((made.status, made.status_reason), unverified);
        let id = made.id;
        let error = bench.endpoints.verify(&who(), &acme, &id).await.unwrap_err();
        assert!(matches!(&error, EndpointError::Challenge { reason } if reason.contains("hello")), "{error:?}");
        for status in [Wanted::Active, Wanted::Paused] {
            let patch = EndpointPatch { status: Some(status), ..EndpointPatch::default() };
            let around = bench.endpoints.update(&who(), &acme, &id, patch).await.unwrap_err();
            assert_eq!(around.code(), ErrorCode::EndpointBusy, "there is no way around it");
        }
        let own = Receiver::start(owner).await;
        let patch = EndpointPatch { url: Some(own.url.clone()), ..EndpointPatch::default() };
        bench.endpoints.update(&who(), &acme, &id, patch).await.unwrap();
        let exchange = bench.endpoints.verify(&who(), &acme, &id).await.unwrap();
        assert!(exchange.succeeded() && verify(&own.last(), &secret));
        let now = bench.endpoints.get(&acme, &id).await.unwrap();
        assert_eq!((now.status, now.status_reason), (EndpointStatus::Active, None));

        let patch = EndpointPatch { url: Some(stranger.url.clone()), ..EndpointPatch::default() };
        let moved = bench.endpoints.update(&who(), &acme, &id, patch).await.unwrap();
        assert_eq!((moved.status, moved.status_reason), unverified, "a new URL has a new owner");
        let kinds: Vec<String> =
            bench.events("$system").await.iter().map(|event| event.event.event_type.to_string()).collect();
        assert_eq!(kinds[1..], [
            "tidings.endpoint.updated",
            "tidings.endpoint.enabled",
            "tidings.endpoint.disabled",
            "tidings.endpoint.updated",
        ]);
        assert_eq!(bench.selected("acme", &["tidings.endpoint.disabled"]).await.len(), 1);
        bench.engine.shutdown().await;
    }
}
