//! How many events a second one core reads and writes: `cargo run --release -p tidings-event --example parse_speed`.
#![allow(clippy::print_stdout, reason = "figures for a person to read")]

use std::hint::black_box;
use std::time::Instant;

use tidings_event::{Salt, Sequence, SystemMint, Timestamp, cloudevents, digest, hash_data, parse_batch, parse_event};

/// About 500 bytes, as a service would send them.
const EVENT: &str = r#"{"id":"01JD8Q4M6T1V9S0Z3N7R5K2W4X","type":"sales.lead.status_changed","timestamp":"2026-03-15T10:00:00.000Z","tenant":"acme","source":{"type":"service","id":"sales"},"entity":{"type":"lead","id":"lead_42"},"actor":"user_7","data":{"from":"new","to":"qualified","amount":1500.25,"currency":"EUR","tags":["inbound","emea"],"owner":{"id":"user_7","name":"Ada"},"note":"Called back after the fair, wants an offer by Friday."},"metadata":{"correlation_id":"req_9f"}}"#;

fn main() {
    let mut mint = SystemMint::default();
    let batch = format!("[{}]", vec![EVENT; 1_000].join(","));
    let event = parse_event(EVENT.as_bytes(), &mut mint).unwrap_or_else(|rejection| panic!("{rejection}"));
    println!("one event has {} bytes", EVENT.len());
    measure("parse_event", 1, || drop(black_box(parse_event(EVENT.as_bytes(), &mut mint))));
    let mut mint = SystemMint::default();
    measure("parse_batch of 1,000", 1_000, || drop(black_box(parse_batch(batch.as_bytes(), &mut mint))));
    let mut out = Vec::new();
    measure("write_json", 1, || {
        out.clear();
        event.write_json(black_box(&mut out));
    });
    let mut out = Vec::new();
    measure("write CloudEvent", 1, || {
        out.clear();
        cloudevents::write_event(&event, black_box(&mut out));
    });
    let mut mint = SystemMint::default();
    measure("parse CloudEvent", 1, || drop(black_box(cloudevents::parse_structured(&out, &mut mint))));
    let now = Timestamp::from_micros(0);
    measure("hash_data and digest", 1, || {
        let hash = hash_data(&Salt([7; 16]), &event.data);
        black_box(digest(&event, Sequence(1), now, &hash));
    });
}

/// Takes the best of many short rounds: the others were disturbed by whatever else the machine did.
fn measure(name: &str, events: u32, mut work: impl FnMut()) {
    let repeats = 2_000 / events;
    let best = (0..1_000).map(|_| {
        let begun = Instant::now();
        (0..repeats).for_each(|_| work());
        begun.elapsed()
    });
    let each_ns = best.min().unwrap_or_default().as_secs_f64() * 1e9 / f64::from(repeats * events);
    println!("{name:24} {each_ns:>6.0} ns an event, {:>9.0} events/s", 1e9 / each_ns);
}
