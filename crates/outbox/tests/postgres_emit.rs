//! `tidings.emit` and the outbox's table in PostgreSQL, as a producer in any language uses them.
#![cfg(feature = "tokio-postgres")]
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use tidings_event::{SystemMint, parse_event};
use tidings_outbox::tokio_postgres as outbox;
use tidings_testkit::{Database, Postgres};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

async fn installed() -> (Database, Client) {
    let database = Postgres::shared().database().await;
    let mut client = database.connect().await;
    outbox::install(&mut client).await.unwrap();
    (database, client)
}

async fn emit(client: &Client, data: &str, envelope: &str) -> Result<String, tokio_postgres::Error> {
    let sql = format!("select tidings.emit('acme', 'sales.lead.created', '{data}', '{envelope}')");
    client.query_one(&sql, &[]).await.map(|row| row.get(0))
}

async fn stored(client: &Client, key: &str) -> String {
    client.query_one("select event::text from tidings.outbox where source_key = $1", &[&key]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_emit_writes_is_an_event_that_the_log_takes() {
    let (database, client) = installed().await;
    let data = r#"{ "b":1.10,  "a":"ü\u00e9", "big":12345678901234567890 }"#;
    let key = emit(&client, data, "{}").await.unwrap();
    let event = parse_event(stored(&client, &key).await.as_bytes(), &mut SystemMint::default()).unwrap();
    assert_eq!(event.id.as_str(), key);
    assert!(ulid::Ulid::from_string(&key).is_ok());
    assert_eq!(event.data.as_bytes(), data.as_bytes());
    assert_eq!((event.tenant.as_str(), event.event_type.as_str()), ("acme", "sales.lead.created"));
    assert_eq!((event.source.kind.as_str(), event.source.id.as_str()), ("service", database.name()));

    let envelope = r#"{"id":"k-1","version":"2","timestamp":"2026-03-15T10:00:00+01:00","project":"emea",
        "source":{"type":"workflow","id":"import"},"entity":{"type":"lead","id":"lead_42"},"actor":null,
        "metadata":{"correlation_id":"req_9f","context":{"type":"client","id":"c"}}}"#;
    assert_eq!(emit(&client, "{}", envelope).await.unwrap(), "k-1");
    let event = parse_event(stored(&client, "k-1").await.as_bytes(), &mut SystemMint::default()).unwrap();
    assert_eq!(event.timestamp.to_string(), "2026-03-15T09:00:00.000Z");
    assert_eq!(event.entity.unwrap().id.as_str(), "lead_42");
    assert_eq!(event.actor, None);
    assert_eq!(event.metadata.correlation_id.as_str(), "req_9f");
}

#[tokio::test]
async fn the_source_may_be_a_setting() {
    let (_database, client) = installed().await;
    for (setting, kind, id) in [("sales", "service", "sales"), (r#"{"type":"task","id":"t1"}"#, "task", "t1")] {
        client.execute("select set_config('tidings.source', $1, false)", &[&setting]).await.unwrap();
        let key = emit(&client, "{}", "{}").await.unwrap();
        let event = parse_event(stored(&client, &key).await.as_bytes(), &mut SystemMint::default()).unwrap();
        assert_eq!((event.source.kind.as_str(), event.source.id.as_str()), (kind, id));
    }
}

#[tokio::test]
async fn emit_refuses_what_the_log_would_refuse_and_says_why() {
    let (_database, client) = installed().await;
    let call = |tenant: &str, event_type: &str, data: &str, envelope: &str| {
        format!("select tidings.emit({tenant}, {event_type}, {data}, {envelope})")
    };
    let ok = ("'acme'", "'sales.lead.created'", "'{}'", "'{}'");
    let large = format!("'{{\"x\":\"{}\"}}'", "y".repeat(262_144));
    let long = format!("repeat('x', {})", 256);
    let rows: Vec<(String, &str)> = vec![
        (call("null", ok.1, ok.2, ok.3), "tenant must be"),
        (call("''", ok.1, ok.2, ok.3), "tenant must be"),
        (call("'a/b'", ok.1, ok.2, ok.3), "tenant must be"),
        (call("'$system'", ok.1, ok.2, ok.3), "tenant must be"),
        (call("E'a\\nb'", ok.1, ok.2, ok.3), "tenant must be"),
        (call(&long, ok.1, ok.2, ok.3), "tenant must be"),
        (call(ok.0, "null", ok.2, ok.3), "type must be"),
        (call(ok.0, "'sales'", ok.2, ok.3), "type must be"),
        (call(ok.0, "'sales.Lead'", ok.2, ok.3), "type must be"),
        (call(ok.0, "'a.b.c.d.e.f'", ok.2, ok.3), "type must be"),
        (call(ok.0, "'sales.lead_'", ok.2, ok.3), "type must be"),
        (call(ok.0, ok.1, "null", ok.3), "data must be a JSON object"),
        (call(ok.0, ok.1, "'[]'", ok.3), "data must be a JSON object"),
        (call(ok.0, ok.1, &large, ok.3), "data must have at most"),
        (call(ok.0, ok.1, ok.2, "'[]'"), "envelope must be a JSON object"),
        (call(ok.0, ok.1, ok.2, r#"'{"id":"a.b"}'"#), "id must be"),
        (call(ok.0, ok.1, ok.2, r#"'{"id":7}'"#), "id must be"),
        (call(ok.0, ok.1, ok.2, r#"'{"id":"a","id":"b"}'"#), "twice"),
        (call(ok.0, ok.1, ok.2, r#"'{"tenant":"x"}'"#), "tenant is an argument"),
        (call(ok.0, ok.1, ok.2, r#"'{"sequence":1}'"#), "sequence is assigned by the log"),
        (call(ok.0, ok.1, ok.2, r#"'{"colour":1}'"#), "colour is not a member"),
        (call(ok.0, ok.1, ok.2, r#"'{"source":{"type":"x","id":"y"}}'"#), "source.type must be one of"),
        (call(ok.0, ok.1, ok.2, r#"'{"source":"sales"}'"#), "source must be an object"),
        (call(ok.0, ok.1, ok.2, r#"'{"entity":{"type":"lead"}}'"#), "entity.id must be"),
        (call(ok.0, ok.1, ok.2, r#"'{"entity":{"type":"a","id":"b","c":1}}'"#), "entity.c is not a member"),
        (call(ok.0, ok.1, ok.2, r#"'{"metadata":{"trace":"x"}}'"#), "metadata.trace is not a member"),
        (call(ok.0, ok.1, ok.2, r#"'{"timestamp":"yesterday"}'"#), "timestamp must be"),
        (call(ok.0, ok.1, ok.2, r#"'{"actor":""}'"#), "actor must be"),
    ];
    for (sql, expect) in rows {
        let error = client.query_one(&sql, &[]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE, "{sql}: {error}");
        assert!(error.message().contains(expect), "{sql}: {error}");
    }
    let left: i64 = client.query_one("select count(*) from tidings.outbox", &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
}

#[tokio::test]
async fn the_same_id_is_the_same_event_or_an_error() {
    let (_database, client) = installed().await;
    let envelope = r#"{"id":"k","entity":{"type":"lead","id":"1"}}"#;
    emit(&client, r#"{"a":1}"#, envelope).await.unwrap();
    emit(&client, r#"{"a":1}"#, envelope).await.unwrap();
    let count: i64 = client.query_one("select count(*) from tidings.outbox", &[]).await.unwrap().get(0);
    assert_eq!(count, 1);
    for (data, envelope) in [
        (r#"{"a":2}"#, envelope),
        (r#"{"a":1}"#, r#"{"id":"k"}"#),
        (r#"{"a":1}"#, r#"{"id":"k","entity":{"type":"lead","id":"1"},"source":{"type":"task","id":"t"}}"#),
    ] {
        let error = emit(&client, data, envelope).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION));
    }
}

#[tokio::test]
async fn ids_made_in_sql_are_ulids_of_this_moment_and_never_repeat() {
    let (_database, client) = installed().await;
    let rows = client
        .query(
            "select tidings.ulid(), floor(extract(epoch from now()) * 1000)::bigint from generate_series(1, 5000)",
            &[],
        )
        .await
        .unwrap();
    let mut seen = HashSet::new();
    for row in rows {
        let ulid = ulid::Ulid::from_string(row.get(0)).unwrap();
        let started = u64::try_from(row.get::<_, i64>(1)).unwrap();
        assert!(ulid.timestamp_ms() >= started && ulid.timestamp_ms() < started + 600_000);
        assert!(seen.insert(ulid));
    }
}

#[tokio::test]
async fn installing_again_changes_nothing_and_a_newer_version_is_left_alone() {
    let (_database, mut client) = installed().await;
    let key = emit(&client, "{}", "{}").await.unwrap();
    outbox::install(&mut client).await.unwrap();
    stored(&client, &key).await;
    assert_eq!(outbox::version(&client).await.unwrap(), Some(tidings_outbox::sql::VERSION));

    client.batch_execute("update tidings.outbox_meta set version = 7").await.unwrap();
    let error = outbox::install(&mut client).await.unwrap_err();
    assert!(matches!(error, outbox::Error::TooNew { installed: 7, known: 1 }), "{error:?}");
}

#[tokio::test]
async fn a_role_with_few_rights_may_emit_and_one_that_owns_the_schema_may_install() {
    let (database, mut client) = installed().await;
    let role = format!("app_{}", database.name());
    client
        .batch_execute(&format!(
            "create role {role}; grant usage on schema tidings to {role}; \
             grant insert, select on tidings.outbox to {role}; set role {role}"
        ))
        .await
        .unwrap();
    emit(&client, "{}", "{}").await.unwrap();
    emit(&client, "{}", r#"{"id":"k"}"#).await.unwrap();
    emit(&client, "{}", r#"{"id":"k"}"#).await.unwrap();
    client
        .batch_execute(&format!(
            "reset role; drop schema tidings cascade; create schema tidings authorization {role}; set role {role}"
        ))
        .await
        .unwrap();
    outbox::install(&mut client).await.unwrap();
    client.batch_execute(&format!("reset role; drop owned by {role}; drop role {role}")).await.unwrap();
}

#[tokio::test]
async fn the_table_refuses_rows_that_are_no_events() {
    let (_database, client) = installed().await;
    for values in [
        "('', 'confirmed', '{}')",
        "('a.b', 'confirmed', '{}')",
        "('a b', 'confirmed', '{}')",
        "('a', 'done', '{}')",
        "('a', 'confirmed', '[]')",
        "('ä', 'confirmed', '{}')",
    ] {
        let sql = format!("insert into tidings.outbox (source_key, state, event) values {values}");
        let error = client.batch_execute(&sql).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION), "{values}");
    }
    client.batch_execute("insert into tidings.outbox (source_key, event) values ('a-b_~!', '{}')").await.unwrap();
}
