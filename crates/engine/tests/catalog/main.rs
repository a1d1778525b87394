//! What the catalog promises to those who emit events, and to those who change it.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test may panic, which clippy does not see in what macros make; and its modules share what is public here"
)]

mod changes;
mod judging;
mod nodes;
mod outbox;
mod quarantine;
#[path = "../shop/mod.rs"]
mod shop;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{admin, tenant};
use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_engine::catalog::{Aside, AsideSearch, MarkSearch, Marked, Proposal, Pushed};
use tidings_engine::endpoints::Who;
use tidings_engine::{AppendError, Emitter, Engine, FeedStart, Receipt, Role, Selection};
use tidings_event::{Entity, Event, Recorded, Text, Violation};

/// A type whose events carry a number that is not below zero.
pub const CREATED: &str = r#"
name: sales.lead.created
version: "1"
owner: sales
description: A lead was created.
lifecycle: stable
schema:
  type: object
  required: [number]
  properties:
    number: { type: integer, minimum: 0 }
examples:
  - name: first
    data: { number: 1 }
"#;

/// A type that says how a lead may move.
pub const MOVED: &str = r#"
name: sales.lead.moved
version: "1"
owner: sales
description: A lead moved to another status.
lifecycle: stable
entity: { type: lead }
schema:
  type: object
  required: [to]
  properties:
    to: { type: string }
examples:
  - name: won
    data: { to: won }
transitions:
  - field: /to
    initial: [new]
    moves:
      new: [won, lost]
      lost: [new]
"#;

/// A change of the catalog by an admin.
pub async fn push(engine: &Engine, sources: &[&str]) -> Pushed {
    let proposal = Proposal { entries: sources.iter().map(|source| entry(source)).collect(), ..Proposal::default() };
    let pushed = engine.catalogs().push(&boss().into(), proposal).await.unwrap();
    assert!(pushed.revision.is_some(), "{:#?}", pushed.report);
    pushed
}

/// The entry of a source: a definition has a version, a set values, a policy neither.
pub fn entry(source: &str) -> Entry {
    let key = if let Ok(definition) = tidings_catalog::source::read(source) {
        Key { kind: Kind::Definition, name: definition.name.to_string(), version: definition.version.to_string() }
    } else if let Ok(set) = tidings_catalog::source::read_set(source) {
        Key { kind: Kind::Set, name: set.name, version: String::new() }
    } else {
        let policy = tidings_catalog::source::read_policy(source).expect("a definition, a set or a policy");
        Key { kind: Kind::Policy, name: policy.name, version: String::new() }
    };
    Entry { key, source: Some(source.to_owned()) }
}

pub fn boss() -> Who {
    Who { key: "admin".to_owned(), role: Role::Admin }
}

/// The holder of a service's key.
pub fn service(name: &str) -> Emitter {
    let who = Who { key: format!("key_{name}"), role: Role::Producer };
    Emitter::Key { who, service: Some(Text::parse(name).unwrap()) }
}

/// The holder of a producer's key that belongs to no service.
pub fn nameless() -> Emitter {
    Emitter::Key { who: Who { key: "key_nameless".to_owned(), role: Role::Producer }, service: None }
}

pub fn created(number: i64) -> Event {
    support::event("acme", &format!("{{\"number\":{number}}}"))
}

pub fn moved(lead: &str, to: &str) -> Event {
    let entity = Entity { kind: Text::parse("lead").unwrap(), id: Text::parse(lead).unwrap() };
    Event { entity: Some(entity), ..support::typed("acme", "sales.lead.moved", &format!("{{\"to\":\"{to}\"}}")) }
}

pub async fn emit(engine: &Engine, events: Vec<Event>) -> Result<Vec<Receipt>, AppendError> {
    engine.emit(&admin(), events).await
}

/// The broken rules, by the event's place, as path and code.
pub fn broken(violations: &[(usize, Vec<Violation>)]) -> Vec<(usize, &str, &str)> {
    let one = |(index, violations): &(usize, Vec<Violation>)| (*index, violations.first().unwrap().clone());
    violations
        .iter()
        .map(|both| {
            let (index, _) = one(both);
            let first = both.1.first().unwrap();
            (index, first.path.as_str(), first.code)
        })
        .collect()
}

/// All events of a tenant, oldest first.
pub async fn log_of(engine: &Engine, tenant_name: &str) -> Vec<Recorded> {
    let selection = Arc::new(Selection::new(&["sales.*".to_owned(), "tidings.*".to_owned()], None).unwrap());
    let mut feed = engine.feed(&tenant(tenant_name), FeedStart::Start, selection).await.unwrap();
    let mut events = Vec::new();
    loop {
        let page = feed.next(support::PAGE, Duration::ZERO).await.unwrap();
        events.extend(page.events.iter().map(|event| event.recorded.clone()));
        if page.up_to_date {
            return events;
        }
    }
}

pub async fn aside(engine: &Engine) -> Vec<Aside> {
    let search = AsideSearch { limit: 100, ..AsideSearch::default() };
    engine.catalogs().aside(&tenant("acme"), search).await.unwrap().0
}

pub async fn marks(engine: &Engine) -> Vec<Marked> {
    let search = MarkSearch { limit: 100, ..MarkSearch::default() };
    engine.catalogs().marks(&tenant("acme"), search).await.unwrap().0
}

pub fn data(event: &Recorded) -> serde_json::Value {
    serde_json::from_slice(event.event.data.as_bytes()).unwrap()
}
