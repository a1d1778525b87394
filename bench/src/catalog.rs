//! What judging costs: appends with validation and rules, beside the same appends without a catalog.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};
use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_catalog::judge::Judgement;
use tidings_engine::catalog::Proposal;
use tidings_engine::endpoints::Who;
use tidings_engine::{Emitter, Engine, Role};
use tidings_event::{Event, Mint, SystemMint, parse_event};
use tidings_testkit::Postgres;

use crate::Scale;
use crate::append::{engine_on_postgres, engine_on_sqlite};
use crate::report::{Figure, Report, Target};

/// Times that each pair is measured; the median counts.
const ROUNDS: usize = 5;

/// An order with lines, a buyer and an address: about 330 bytes, and 210 for each line.
fn order(n: u64, lines: usize) -> Value {
    let lines: Vec<Value> = (0..lines)
        .map(|line| {
            json!({
                "sku": format!("SKU-{:08}", n * 31 + line as u64),
                "name": "Reusable bottle, stainless steel, 750 ml",
                "quantity": 1 + line % 4,
                "price": { "amount": 19.9 + line as f64, "currency": "EUR" },
                "tags": ["kitchen", "outdoor"],
                "gift": line % 2 == 0,
                "warehouse": "eu-central"
            })
        })
        .collect();
    json!({
        "order_id": format!("order_{n}"),
        "status": "paid",
        "placed_at": "2026-03-15T10:00:00.000Z",
        "currency": "EUR",
        "total": 79.6,
        "items": lines.len(),
        "buyer": { "id": format!("user_{}", n % 1_000), "email": "buyer@example.com", "vip": false },
        "address": { "street": "Lange Strasse 12", "city": "Hamburg", "zip": "20095", "country": "DE" },
        "lines": lines
    })
}

/// The definition that these orders follow: what a careful team would write.
fn definition() -> String {
    json!({
        "name": "shop.order.paid",
        "version": "1",
        "owner": "shop",
        "description": "An order was paid.",
        "lifecycle": "stable",
        "entity": { "type": "order", "id": "/order_id" },
        "classification": { "/buyer/email": "pii", "/address": "pii" },
        "schema": {
            "type": "object",
            "required": ["order_id", "status", "placed_at", "currency", "total", "buyer", "lines"],
            "additionalProperties": false,
            "properties": {
                "order_id": { "type": "string", "pattern": "^order_[0-9]+$", "maxLength": 40 },
                "status": { "enum": ["placed", "paid", "shipped"] },
                "placed_at": { "type": "string", "format": "date-time" },
                "currency": { "type": "string", "minLength": 3, "maxLength": 3 },
                "total": { "type": "number", "minimum": 0 },
                "items": { "type": "integer", "minimum": 1 },
                "buyer": {
                    "type": "object",
                    "required": ["id", "email"],
                    "properties": {
                        "id": { "type": "string" },
                        "email": { "type": "string", "format": "email" },
                        "vip": { "type": "boolean" }
                    }
                },
                "address": {
                    "type": "object",
                    "required": ["street", "city", "country"],
                    "properties": {
                        "street": { "type": "string" },
                        "city": { "type": "string" },
                        "zip": { "type": "string" },
                        "country": { "type": "string", "pattern": "^[A-Z]{2}$" }
                    }
                },
                "lines": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/line" } }
            },
            "$defs": {
                "line": {
                    "type": "object",
                    "required": ["sku", "quantity", "price"],
                    "properties": {
                        "sku": { "type": "string", "pattern": "^SKU-[0-9]{8,}$" },
                        "name": { "type": "string", "maxLength": 200 },
                        "quantity": { "type": "integer", "minimum": 1 },
                        "price": {
                            "type": "object",
                            "required": ["amount", "currency"],
                            "properties": {
                                "amount": { "type": "number", "exclusiveMinimum": 0 },
                                "currency": { "type": "string" }
                            }
                        },
                        "tags": { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
                        "gift": { "type": "boolean" },
                        "warehouse": { "enum": ["eu-central", "eu-west", "us-east"] }
                    }
                }
            }
        },
        "examples": [{ "name": "small", "data": order(1, 2) }],
        "rules": [
            { "name": "total_covers", "check": "data.total > 0.0", "message": "an order that was paid has a total" },
            { "name": "currency_known", "check": "data.currency in sets.currencies", "message": "we do not sell in it" },
            { "name": "items_counted", "check": "!has(data.items) || data.items == size(data.lines)",
              "message": "items must count the lines" }
        ]
    })
    .to_string()
}

fn entries() -> Vec<Entry> {
    let set =
        json!({ "name": "currencies", "description": "What we sell in.", "values": ["EUR", "USD", "GBP", "SEK"] });
    let entry = |kind, name: &str, version: &str, source: String| Entry {
        key: Key { kind, name: name.to_owned(), version: version.to_owned() },
        source: Some(source),
    };
    vec![
        entry(Kind::Set, "currencies", "", set.to_string()),
        entry(Kind::Definition, "shop.order.paid", "1", definition()),
    ]
}

fn events(count: usize, lines: usize) -> Vec<Event> {
    let mut mint = SystemMint::default();
    (0..count as u64)
        .map(|n| {
            let event = json!({
                "id": mint.id().as_str(), "type": "shop.order.paid", "tenant": "acme",
                "source": { "type": "service", "id": "shop" },
                "entity": { "type": "order", "id": format!("order_{n}") },
                "data": order(n, lines)
            });
            parse_event(event.to_string().as_bytes(), &mut mint).expect("the maker's events are valid")
        })
        .collect()
}

fn operator() -> Who {
    Who { key: "admin".to_owned(), role: Role::Admin }
}

async fn publish(engine: &Engine) -> Result<()> {
    let proposal = Proposal { entries: entries(), overrides: BTreeMap::new(), dry_run: false };
    let pushed = engine.catalogs().push(&operator().into(), proposal).await.map_err(|error| anyhow!("{error}"))?;
    ensure!(pushed.revision.is_some(), "the catalog was not taken: {:?}", pushed.report);
    Ok(())
}

/// Events per second through [`Engine::emit`].
async fn rate(engine: &Engine, callers: usize, batch: usize, events: &[Event]) -> Result<f64> {
    let share = events.len() / callers;
    let work: Vec<Vec<Vec<Event>>> =
        events.chunks(share).take(callers).map(|part| part.chunks(batch).map(<[Event]>::to_vec).collect()).collect();
    let began = Instant::now();
    let tasks: Vec<_> = work
        .into_iter()
        .map(|batches| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let emitter = Emitter::Key { who: operator(), service: None };
                for events in batches {
                    engine.emit(&emitter, events).await.map_err(|error| anyhow!("{error}"))?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok((share * callers) as f64 / began.elapsed().as_secs_f64())
}

/// Where the pairs are measured.
enum Place<'a> {
    Sqlite,
    Postgres(&'a Arc<Postgres>),
}

impl Place<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    async fn measure(&self, judged: bool, callers: usize, batch: usize, events: &[Event]) -> Result<f64> {
        let dir = tempfile::tempdir()?;
        let path: &Path = dir.path();
        let database;
        let engine = match self {
            Self::Sqlite => engine_on_sqlite(path).await?,
            Self::Postgres(server) => {
                database = server.database().await;
                engine_on_postgres(&database.url()).await?
            }
        };
        if judged {
            publish(&engine).await?;
        }
        let found = rate(&engine, callers, batch, events).await?;
        engine.shutdown().await;
        Ok(found)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many microseconds judging one event takes, alone on one core.
fn alone(events: &[Event]) -> Result<f64> {
    let catalog = tidings_catalog::judge::Catalog::empty().with(entries());
    let today = jiff::civil::date(2026, 3, 15);
    let began = Instant::now();
    for event in events {
        ensure!(
            matches!(catalog.judge(event, today), Judgement::Pass(_)),
            "the maker's events follow their definition"
        );
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / events.len() as f64)
}

pub(crate) async fn run(report: &mut Report, scale: Scale, server: Option<&Arc<Postgres>>) -> Result<()> {
    let places: Vec<Place<'_>> =
        std::iter::once(Place::Sqlite).chain(server.into_iter().map(Place::Postgres)).collect();
    for (size, lines, count) in [("1 KB", 3, 64_000), ("10 KB", 46, 12_000)] {
        let events = events(scale.of(count), lines);
        let bytes = events.iter().map(|event| event.data.as_bytes().len()).sum::<usize>() / events.len();
        report.setting.insert(if lines == 3 { "data_small" } else { "data_large" }, format!("{bytes} bytes"));
        report.push(Figure::new("catalog", format!("judging alone, {size}"), alone(&events)?, "µs/event"));
        for place in &places {
            for (callers, batch) in [(1, 1_000), (8, 100), (32, 1)] {
                let some = if batch == 1 { &events[..events.len() / 2] } else { &events[..] };
                let (mut off, mut on) = (Vec::new(), Vec::new());
                for _ in 0..ROUNDS {
                    off.push(place.measure(false, callers, batch, some).await?);
                    on.push(place.measure(true, callers, batch, some).await?);
                }
                let case = format!("{}, {size}, {callers} × {batch}", place.name());
                let figure = Figure::new("catalog", case, median(on), "events/s").against(median(off), "not judged");
                report.push(if lines == 3 { figure.target(Target::RatioAtLeast(0.7)) } else { figure });
            }
        }
    }
    Ok(())
}
