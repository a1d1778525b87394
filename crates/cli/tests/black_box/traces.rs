//! One event as one trace, as a collector sees it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::sync::watch;

use crate::measures::{metric, scrape};
use crate::receiver::{Came, Receiver};
use crate::support::{ONE, PATIENCE, Server, run};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PRODUCER: &str = "00f067aa0ba902b7";
/// What stands in the events' data and must not stand in any span.
const MARK: &str = "payload-mark-5c1d";

/// A collector that keeps what it is sent.
struct Collector {
    receiver: Receiver,
    spans: Arc<Mutex<Vec<Span>>>,
    bodies: Arc<Mutex<Vec<Bytes>>>,
    came: watch::Receiver<usize>,
}

impl Collector {
    async fn new(status: u16) -> Self {
        let (spans, bodies) = (Arc::<Mutex<Vec<Span>>>::default(), Arc::<Mutex<Vec<Bytes>>>::default());
        let (count, came) = watch::channel(0);
        let kept = (spans.clone(), bodies.clone());
        let receiver = Receiver::new(move |request: &Came| {
            assert_eq!(request.header("content-type"), "application/x-protobuf");
            assert_eq!(request.header("x-token"), "a b");
            let read = ExportTraceServiceRequest::decode(&*request.body).unwrap();
            let of = read.resource_spans.into_iter().flat_map(|of| {
                let named = of.resource.unwrap().attributes.into_iter().any(|attribute| {
                    let value = attribute.value.unwrap().value.unwrap();
                    attribute.key == "service.name" && value == AnyValue::StringValue("backbone".to_owned())
                });
                assert!(named, "the resource names the service");
                of.scope_spans
            });
            if status == 200 {
                kept.0.lock().unwrap().extend(of.flat_map(|scope| scope.spans));
            }
            kept.1.lock().unwrap().push(request.body.clone());
            count.send_modify(|count| *count += 1);
            (status, String::new())
        })
        .await;
        Self { receiver, spans, bodies, came }
    }

    fn base(&self) -> String {
        self.receiver.url().trim_end_matches("/hook").to_owned()
    }

    /// Waits until the spans are as wanted, and gives all that came.
    async fn wait_for(&mut self, wanted: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let arrived = async {
            loop {
                let spans = self.spans.lock().unwrap().clone();
                if wanted(&spans) {
                    return spans;
                }
                self.came.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, arrived).await {
            Ok(spans) => spans,
            Err(_) => panic!("only these came: {:#?}", self.spans.lock().unwrap()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn attribute(span: &Span, key: &str) -> String {
    let value = span.attributes.iter().find(|attribute| attribute.key == key);
    match value.and_then(|attribute| attribute.value.clone()?.value) {
        Some(AnyValue::StringValue(text)) => text,
        Some(AnyValue::IntValue(number)) => number.to_string(),
        Some(AnyValue::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    }
}

async fn server(collector: &Collector) -> Server {
    let base = collector.base();
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", base.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=a%20b"),
        ("OTEL_SERVICE_NAME", "backbone"),
        ("TIDINGS_ALLOW_HTTP", "true"),
        ("TIDINGS_ALLOW_CIDRS", "127.0.0.0/8"),
    ];
    Server::start_with(&[], &env).await
}

async fn emit(server: &Server, body: &str, traceparent: Option<&str>) {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(traceparent.map(|value| ("traceparent", value)));
    let status = crate::measures::post(server, "/v1/events", &headers, body).await;
    assert_eq!(status, 201);
}

fn body(metadata: &str) -> String {
    format!(
        r#"{{"id":"evt_1","type":"sales.lead.created","tenant":"acme","source":{{"type":"service","id":"sales"}},"data":{{"secret":"{MARK}"}}{metadata}}}"#
    )
}

#[tokio::test]
async fn an_event_is_one_trace_from_its_ingest_to_its_attempts() {
    let mut collector = Collector::new(200).await;
    let server = server(&collector).await;
    // The receiver fails once, so that there are two attempts.
    let tries = Mutex::new(0);
    let receiver = Receiver::new(move |_| {
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        (if *tries == 1 { 500 } else { 200 }, String::new())
    })
    .await;
    let endpoint = server
        .run(&[
            "endpoints",
            "create",
            "acme",
            &receiver.url(),
            "--types",
            "sales.*",
            "--retry-schedule",
            "0,1",
            "--json",
        ])
        .await
        .json();
    emit(&server, &body(""), Some(&format!("00-{TRACE}-{PRODUCER}-01"))).await;

    let spans = collector.wait_for(|spans| named(spans, "tidings.deliver").len() == 2).await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    let one = |name: &str| match named(&spans, name)[..] {
        [span] => span,
        ref others => panic!("{name}: {others:#?}"),
    };
    let (ingest, append, route) = (one("tidings.ingest"), one("tidings.append"), one("tidings.route"));
    assert_eq!(hex(&ingest.parent_span_id), PRODUCER);
    assert_eq!(append.parent_span_id, ingest.span_id);
    assert_eq!(route.parent_span_id, append.span_id);
    let deliveries = named(&spans, "tidings.deliver");
    assert!(deliveries.iter().all(|delivery| delivery.parent_span_id == route.span_id));
    assert_eq!(attribute(ingest, "http.response.status_code"), "201");
    assert_eq!(attribute(route, "tidings.lanes"), "1");
    assert_eq!(attribute(append, "messaging.message.id"), "evt_1");

    let came = receiver.came();
    for (number, (delivery, request)) in (1..).zip(deliveries.iter().zip(&came)) {
        let told = format!("00-{TRACE}-{}-01", hex(&delivery.span_id));
        assert_eq!(request.header("traceparent"), told, "the receiver continues the attempt");
        assert_eq!(attribute(delivery, "tidings.attempt"), number.to_string());
        assert_eq!(attribute(delivery, "tidings.endpoint.id"), endpoint["id"].as_str().unwrap());
        assert_eq!(attribute(delivery, "server.address"), "127.0.0.1");
        assert_eq!(delivery.kind, 3);
    }
    let (failed, delivered) = (deliveries[0], deliveries[1]);
    assert_eq!(
        (attribute(failed, "error.type"), attribute(delivered, "http.response.status_code")),
        ("500".into(), "200".into())
    );
    assert_eq!(failed.status.as_ref().unwrap().code, 2);
    for body in collector.bodies.lock().unwrap().iter() {
        assert!(!String::from_utf8_lossy(body).contains(MARK), "no span says what an event holds");
    }
    // What the log keeps is the request's own span, so that a delivery from another node is part of it too.
    let kept = &server.events("acme").await[0];
    assert_eq!(kept["metadata"]["traceparent"], format!("00-{TRACE}-{}-01", hex(&ingest.span_id)));
}

#[tokio::test]
async fn an_event_of_an_outbox_shows_its_time_there_and_an_unsampled_one_costs_nothing() {
    let mut collector = Collector::new(200).await;
    let server = server(&collector).await;
    let silent =
        body(&format!(r#","metadata":{{"traceparent":"00-{TRACE}-{PRODUCER}-00"}}"#)).replace("evt_1", "evt_0");
    emit(&server, &silent, None).await;
    let sampled = body(&format!(r#","metadata":{{"traceparent":"00-{TRACE}-{PRODUCER}-01"}}"#));
    // An intent over HTTP stands in the platform's outbox until it is confirmed.
    let intent = format!(r#"{{"event":{sampled}}}"#);
    let json = [("content-type", "application/json")];
    assert_eq!(crate::measures::post(&server, "/v1/intents", &json, &intent).await, 201);
    assert_eq!(crate::measures::post(&server, "/v1/intents/evt_1/confirm", &[], "").await, 200);
    let spans = collector.wait_for(|spans| !named(spans, "tidings.route").is_empty()).await;
    let pump = named(&spans, "tidings.pump")[0];
    assert_eq!((hex(&pump.parent_span_id), pump.kind), (PRODUCER.to_owned(), 5));
    assert_eq!(attribute(pump, "tidings.source"), "platform");
    assert_eq!(named(&spans, "tidings.append")[0].parent_span_id, pump.span_id);
    assert!(spans.iter().all(|span| attribute(span, "messaging.message.id") != "evt_0"));
}

#[tokio::test]
async fn a_collector_that_refuses_or_is_gone_delays_nothing_and_what_is_dropped_is_counted() {
    let collector = Collector::new(400).await;
    let mut server = server(&collector).await;
    let traced = |number: usize| {
        body(&format!(r#","metadata":{{"traceparent":"00-{TRACE}-{PRODUCER}-01"}}"#))
            .replace("evt_1", &format!("evt_{number}"))
    };
    for number in 0..20 {
        emit(&server, &traced(number), None).await;
    }
    let mut came = collector.came.clone();
    tokio::time::timeout(PATIENCE, came.wait_for(|count| *count > 0)).await.unwrap().unwrap();
    let dropped = async {
        while metric(&scrape(&server).await, r#"tidings_spans_dropped_total{reason="refused"}"#) < 20.0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dropped).await.unwrap();
    drop(collector);
    for number in 20..40 {
        emit(&server, &traced(number), None).await;
    }
    assert_eq!(server.events("acme").await.len(), 40);
    // Ends in good order, although the last spans find nobody.
    server.stop().await;
}

#[tokio::test]
async fn without_a_collector_a_request_lends_its_trace_to_its_events_all_the_same() {
    let server = Server::start().await;
    let given = format!("00-{TRACE}-{PRODUCER}-00");
    emit(&server, &body(""), Some(&given)).await;
    run(server.command(&ONE), "").await.ok();
    let events = server.events("acme").await;
    assert_eq!(events[0]["metadata"]["traceparent"], given);
    assert!(events[1]["metadata"]["traceparent"].is_null());
}
