//! What an outbox in a PostgreSQL database promises besides.

use std::time::Duration;

use crate::support::{Producer, Setup, key};
use tidings_store::{ProbeAnswer, RowProbe, SourceError, install_outbox, open_source};
use tidings_testkit::{Pgbouncer, Postgres};

const PATIENCE: Duration = Duration::from_secs(60);

async fn client(setup: &Setup) -> tokio_postgres::Client {
    let Producer::Postgres(client) = setup.producer().await else { unreachable!() };
    client
}

#[tokio::test]
async fn a_notification_is_a_hint_and_listening_itself_is_one() {
    let setup = Setup::empty_postgres().await.installed().await;
    // Once for what may have been committed before the connection listened.
    tokio::time::timeout(PATIENCE, setup.source.hint()).await.unwrap();
    setup.producer().await.run("notify tidings_outbox").await;
    tokio::time::timeout(PATIENCE, setup.source.hint()).await.unwrap();
}

#[tokio::test]
async fn a_source_comes_back_when_its_database_does() {
    let server = Postgres::start();
    let database = server.database().await;
    install_outbox(&database.url()).await.unwrap();
    let source = open_source(&database.url()).unwrap();
    tokio::time::timeout(PATIENCE, source.hint()).await.unwrap();
    source.append_intent(&key("i"), b"{}", None).await.unwrap();
    assert!(source.read(0, 1, 1).await.unwrap().is_empty());

    for crash in [false, true] {
        if crash {
            server.kill9();
        } else {
            server.stop();
        }
        for _ in 0..2 {
            assert!(matches!(source.read(0, 1, 1).await, Err(SourceError::Unavailable(_))));
            assert!(matches!(source.status().await, Err(SourceError::Unavailable(_))));
        }
        server.restart();
        assert!(source.read(0, 1, 1).await.unwrap().is_empty());
        assert_eq!(source.status().await.unwrap().intents, 1);
        tokio::time::timeout(PATIENCE, source.hint()).await.unwrap();
    }
}

#[tokio::test]
async fn a_source_that_is_not_there_yet_can_be_made() {
    let url = format!("postgres://u@127.0.0.1:{}/d", tidings_testkit::free_port());
    let source = open_source(&url).unwrap();
    assert!(matches!(source.read(0, 1, 1).await, Err(SourceError::Unavailable(_))));
    assert!(open_source("postgres://u@h:notaport/d").is_err());
}

#[tokio::test]
async fn rows_that_a_role_may_not_see_are_not_missing() {
    let setup = Setup::empty_postgres().await.installed().await;
    let admin = client(&setup).await;
    let role = format!("probe_{:016x}", rand::random::<u64>());
    admin
        .batch_execute(&format!(
            "create role {role} login; create table closed (id int); create table guarded (id int); \
             create table open (id int, secret int); \
             grant select on guarded to {role}; grant select (id) on open to {role}; \
             alter table guarded enable row level security; \
             insert into closed values (1); insert into guarded values (1); insert into open values (1, 1)"
        ))
        .await
        .unwrap();
    let source = open_source(&setup.url.replacen("postgres@", &format!("{role}@"), 1)).unwrap();
    let ask = |table: &str, column: &str| {
        let probe = RowProbe { table: table.into(), key: [(column.to_owned(), 1.into())].into(), revision: None };
        let source = source.clone();
        async move { source.probe_row(&probe).await.unwrap() }
    };
    assert!(matches!(ask("closed", "id").await, ProbeAnswer::CannotTell(_)));
    assert!(matches!(ask("guarded", "id").await, ProbeAnswer::CannotTell(_)));
    assert!(matches!(ask("open", "secret").await, ProbeAnswer::CannotTell(_)));
    assert_eq!(ask("open", "id").await, ProbeAnswer::Exists);
    // No right to read the outbox is no absence either.
    assert!(source.read(0, 1, 1).await.is_err());
    drop(source);
    admin.batch_execute(&format!("drop owned by {role}; drop role {role}")).await.unwrap();
}

#[tokio::test]
async fn a_probe_that_waits_for_a_lock_neither_guesses_nor_holds_the_pump_up() {
    let setup = Setup::empty_postgres().await.installed().await;
    let holder = client(&setup).await;
    holder.batch_execute("create table t (id int)").await.unwrap();
    holder.batch_execute("begin; lock table t").await.unwrap();
    let probe = RowProbe { table: "t".into(), key: [("id".to_owned(), 1.into())].into(), revision: None };
    let (answer, read) = tokio::join!(setup.source.probe_row(&probe), setup.source.read(0, 1, 1));
    assert!(matches!(answer, Err(SourceError::Unavailable(_))), "{answer:?}");
    assert!(read.unwrap().is_empty());
}

#[tokio::test]
async fn probes_cast_to_enums_domains_and_types_of_other_schemas() {
    let setup = Setup::empty_postgres().await.installed().await;
    let admin = client(&setup).await;
    admin
        .batch_execute(
            "create schema shop; create type shop.\"State\" as enum ('open', 'done'); create domain shop.no as int; \
             create table shop.t (state shop.\"State\", no shop.no, code char(5), at timestamptz, doc json); \
             insert into shop.t values ('open', 7, 'ab', '2026-03-15T10:00:00Z', '{}')",
        )
        .await
        .unwrap();
    for (column, value, expect) in [
        ("state", "open", Some(true)),
        ("state", "done", Some(false)),
        ("state", "lost", None),
        ("no", "7", Some(true)),
        ("code", "ab", Some(true)),
        ("code", "abcdefg", Some(false)),
        ("at", "2026-03-15T11:00:00+01:00", Some(true)),
        ("doc", "{}", None),
    ] {
        let probe =
            RowProbe { table: "shop.t".into(), key: [(column.to_owned(), value.into())].into(), revision: None };
        let answer = setup.source.probe_row(&probe).await.unwrap();
        let told = match answer {
            ProbeAnswer::Exists => Some(true),
            ProbeAnswer::Missing => Some(false),
            ProbeAnswer::CannotTell(_) => None,
        };
        assert_eq!(told, expect, "{column} = {value}");
    }
}

#[tokio::test]
async fn the_pumps_read_walks_the_waiting_rows_alone() {
    let setup = Setup::empty_postgres().await.installed().await;
    let admin = client(&setup).await;
    admin
        .batch_execute(
            "insert into tidings.outbox (source_key, state, event, error) \
             select 'k' || n, case when n % 2 = 0 then 'intent' else 'confirmed' end, '{}', 'no' \
             from generate_series(1, 20000) n; \
             insert into tidings.outbox (source_key, event) values ('w', '{}'); analyze tidings.outbox",
        )
        .await
        .unwrap();
    let plan = admin
        .query(
            "explain select id, event::text from tidings.outbox \
             where state = 'confirmed' and error is null and id >= 0 order by id limit 100",
            &[],
        )
        .await
        .unwrap();
    let plan: Vec<&str> = plan.iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("outbox_waiting")), "{plan:#?}");
    assert_eq!(setup.waiting(0).await, ["w"]);
}

#[tokio::test]
async fn two_who_resolve_one_intent_at_once_agree() {
    let setup = Setup::empty_postgres().await.installed().await;
    let (first, source) = (client(&setup).await, setup.source.clone());
    setup.source.append_intent(&key("i"), b"{}", None).await.unwrap();
    first.batch_execute("begin").await.unwrap();
    let row = first.query_one(tidings_outbox::sql::postgres::CONFIRM_INTENT, &[&"i"]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "done");

    let second = tokio::spawn(async move { source.discard_intent(&key("i")).await.unwrap() });
    // The second must be waiting for the row before the first commits.
    let waits = "select exists (select from pg_locks where not granted)";
    while !first.query_one(waits, &[]).await.unwrap().get::<_, bool>(0) {
        tokio::task::yield_now().await;
    }
    first.batch_execute("commit").await.unwrap();
    assert_eq!(second.await.unwrap(), tidings_store::IntentAnswer::AlreadyConfirmed);
    assert_eq!(setup.waiting(0).await, ["i"]);
}

#[tokio::test]
async fn behind_a_pooler_every_statement_has_its_settings_and_leaves_none_behind() {
    let server = Postgres::shared();
    let database = server.database().await;
    install_outbox(&database.url()).await.unwrap();
    let admin = database.connect().await;
    let settings = "current_setting('statement_timeout') || ' ' || current_setting('lock_timeout') || ' ' || \
        current_setting('transaction_read_only')";
    admin
        .batch_execute(&format!(
            "create table seen (settings text); \
             create function note() returns trigger language plpgsql as \
             $$ begin insert into public.seen values ({settings}); return new; end $$; \
             create trigger note before insert on tidings.outbox for each row execute function note(); \
             create view setting as select {settings} as settings; \
             create function write() returns int language plpgsql as \
             $$ begin insert into public.seen values ('a probe'); return 1; end $$; \
             create view writing as select write() as id"
        ))
        .await
        .unwrap();
    // One connection to the server, so that whoever comes next has the same.
    let pooler = Pgbouncer::start(&server, 1);
    let source = open_source(&pooler.url(&database)).unwrap();
    let ask = |table: &str, column: &str, value: serde_json::Value| {
        let probe = RowProbe { table: table.into(), key: [(column.to_owned(), value)].into(), revision: None };
        let source = source.clone();
        async move { source.probe_row(&probe).await }
    };
    let (first, second) = (key("a"), key("b"));
    let (one, two, probed) = tokio::join!(
        source.append_intent(&first, b"{}", None),
        source.append_intent(&second, b"{}", None),
        ask("setting", "settings", "5s 2s on".into())
    );
    assert!(one.unwrap() && two.unwrap());
    assert_eq!(probed.unwrap(), ProbeAnswer::Exists);
    // A statement that fails takes none along, and the connection serves on.
    assert!(!matches!(ask("writing", "id", 1.into()).await, Ok(ProbeAnswer::Exists)));
    assert!(matches!(ask("nothing", "id", 1.into()).await.unwrap(), ProbeAnswer::CannotTell(_)));
    assert_eq!(source.status().await.unwrap().intents, 2);
    let seen = admin.query("select settings from seen", &[]).await.unwrap();
    assert_eq!(seen.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), ["30s 5s off", "30s 5s off"]);
    // In plain SQL, since nothing is prepared there.
    let url = pooler.url(&database).replace("?pooler=transaction", "");
    let (other, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let rows = other.simple_query("select settings from setting").await.unwrap();
    let left = rows.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    assert_eq!(left, Some("0 0 off"));
    driver.abort();
}
