//! What an outbox row adds to a business transaction, and how fast the pump carries rows into the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::try_join;
use tidings_engine::FeedStart;
use tidings_event::TenantId;
use tidings_testkit::Postgres;
use tokio_postgres::types::Type;

use crate::Scale;
use crate::append::engine_on_postgres;
use crate::bare_postgres::connect;
use crate::events::Maker;
use crate::report::{Figure, Report, Target};

const CLIENTS: usize = 8;

/// What the transaction does about its event.
#[derive(Clone, Copy, PartialEq)]
enum Emit {
    Nothing,
    /// Sent together with the last statement of the business.
    Pipelined,
    /// Awaited by itself.
    Awaited,
}

pub(crate) async fn cost(report: &mut Report, scale: Scale, server: &Arc<Postgres>) -> Result<()> {
    let database = server.database().await;
    let admin = connect(&database.url()).await?;
    admin
        .batch_execute(
            "CREATE TABLE branch (id int PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
             CREATE TABLE teller (id int PRIMARY KEY, branch int, balance bigint NOT NULL) WITH (fillfactor = 50);
             CREATE TABLE account (id int PRIMARY KEY, branch int, balance bigint NOT NULL);
             CREATE TABLE history (teller int, branch int, account int, amount bigint, at timestamptz);
             INSERT INTO branch SELECT i, 0 FROM generate_series(1, 64) i;
             INSERT INTO teller SELECT i, i % 64 + 1, 0 FROM generate_series(1, 640) i;
             INSERT INTO account SELECT i, i % 64 + 1, 0 FROM generate_series(1, 100000) i;",
        )
        .await?;
    admin.batch_execute(tidings_outbox::sql::POSTGRES_OUTBOX).await?;
    // Rounds alternate, so that a machine that slows down slows all cases alike.
    let (mut without, mut pipelined, mut awaited) = (0.0, 0.0, 0.0);
    const ROUNDS: usize = 4;
    for _ in 0..ROUNDS {
        let time = scale.time(Duration::from_millis(1_500));
        without += transactions(&database.url(), Emit::Nothing, time).await? / ROUNDS as f64;
        pipelined += transactions(&database.url(), Emit::Pipelined, time).await? / ROUNDS as f64;
        awaited += transactions(&database.url(), Emit::Awaited, time).await? / ROUNDS as f64;
    }
    let case = |how: &str| format!("PostgreSQL, {CLIENTS} clients, {how}");
    report.push(
        Figure::new("outbox row", case("pipelined"), pipelined, "tx/s")
            .against(without, "without it")
            .target(Target::RatioAtLeast(0.85)),
    );
    report.push(Figure::new("outbox row", case("awaited"), awaited, "tx/s").against(without, "without it"));
    Ok(())
}

async fn transactions(url: &str, emit: Emit, time: Duration) -> Result<f64> {
    let mut tasks = Vec::new();
    let began = Instant::now();
    for client in 0..CLIENTS {
        let mut connection = connect(url).await?;
        tasks.push(tokio::spawn(async move {
            // The transaction of TPC-B: what a bank does, five statements.
            let account = connection.prepare("UPDATE account SET balance = balance + $2 WHERE id = $1").await?;
            let balance = connection.prepare("SELECT balance FROM account WHERE id = $1").await?;
            let teller = connection.prepare("UPDATE teller SET balance = balance + $2 WHERE id = $1").await?;
            let branch = connection.prepare("UPDATE branch SET balance = balance + $2 WHERE id = $1").await?;
            let history = connection.prepare("INSERT INTO history VALUES ($1, $2, $3, $4, now())").await?;
            let outbox = tidings_outbox::tokio_postgres::prepare(&connection).await?;
            let mut maker = Maker::new("acme");
            let mut done = 0u64;
            while began.elapsed() < time {
                let event = (emit != Emit::Nothing).then(|| maker.event());
                let dice = (done * 7_919 + client as u64 * 104_729) as i32 & 0x7fff_ffff;
                let (a, t, b, amount) = (dice % 100_000 + 1, dice % 640 + 1, dice % 64 + 1, 5i64);
                let transaction = connection.transaction().await?;
                transaction.execute(&account, &[&a, &amount]).await?;
                transaction.query_one(&balance, &[&a]).await?;
                transaction.execute(&teller, &[&t, &amount]).await?;
                transaction.execute(&branch, &[&b, &amount]).await?;
                let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [&t, &b, &a, &amount];
                let business = async { transaction.execute(&history, &parameters).await.map_err(anyhow::Error::from) };
                match &event {
                    None => {
                        business.await?;
                    }
                    Some(event) if emit == Emit::Pipelined => {
                        let fact = async {
                            tidings_outbox::tokio_postgres::append_prepared(&transaction, &outbox, event)
                                .await
                                .map_err(anyhow::Error::from)
                        };
                        try_join!(business, fact)?;
                    }
                    Some(event) => {
                        business.await?;
                        tidings_outbox::tokio_postgres::append(&transaction, event).await?;
                    }
                }
                transaction.commit().await?;
                done += 1;
            }
            anyhow::Ok(done)
        }));
    }
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

/// Fills an outbox, then lets an engine carry it over; beside it a bare relay from one table into another database.
pub(crate) async fn pump(report: &mut Report, scale: Scale, server: &Arc<Postgres>) -> Result<()> {
    let count = scale.of(100_000);
    let ceiling = relay(server, count).await?;
    let database = server.database().await;
    engine_on_postgres(&database.url()).await?.shutdown().await;
    let client = connect(&database.url()).await?;
    client.batch_execute(tidings_outbox::sql::POSTGRES_OUTBOX).await?;
    fill(&client, "tidings.outbox (source_key, state, event)", count).await?;
    let tenant = TenantId::trusted("acme");
    let began = Instant::now();
    let engine = engine_on_postgres(&database.url()).await?;
    let mut reader = engine
        .feed(&tenant, FeedStart::Start, Arc::new(tidings_core::pattern::Selection::all()))
        .await
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    while (reader.after().get() as usize) < count {
        reader
            .next(tidings_store::ReadLimit { events: 1_000, bytes: 8 << 20 }, Duration::from_millis(200))
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    let value = count as f64 / began.elapsed().as_secs_f64();
    engine.shutdown().await;
    report.push(
        Figure::new("pump", "PostgreSQL to PostgreSQL", value, "events/s")
            .against(ceiling, "a bare DELETE … RETURNING relay")
            .target(Target::RatioAtLeast(0.25)),
    );
    Ok(())
}

async fn fill(client: &tokio_postgres::Client, table: &str, count: usize) -> Result<()> {
    let mut maker = Maker::new("acme");
    for _ in 0..count.div_ceil(1_000) {
        let keys: Vec<String> = (0..1_000).map(|_| maker.id()).collect();
        let events: Vec<String> = (0..1_000).map(|_| maker.json()).collect();
        let sql = format!(
            "INSERT INTO {table} SELECT k, 'confirmed', e::json FROM UNNEST($1::text[], $2::text[]) AS u (k, e)"
        );
        client.query_typed(&sql, &[(&keys, Type::TEXT_ARRAY), (&events, Type::TEXT_ARRAY)]).await?;
    }
    Ok(())
}

/// The least that any relay must do: take rows out of one table in batches and insert them into another.
async fn relay(server: &Arc<Postgres>, count: usize) -> Result<f64> {
    let (from, to) = (server.database().await, server.database().await);
    let (from, to) = (connect(&from.url()).await?, connect(&to.url()).await?);
    from.batch_execute(
        "CREATE TABLE waiting (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source_key text, state text, event json)",
    )
    .await?;
    to.batch_execute("CREATE TABLE taken (id bigint PRIMARY KEY, source_key text, event json)").await?;
    fill(&from, "waiting (source_key, state, event)", count).await?;
    let take = from
        .prepare(
            "WITH next AS (SELECT id FROM waiting ORDER BY id LIMIT 1000)
             DELETE FROM waiting USING next WHERE waiting.id = next.id RETURNING waiting.id, source_key, event::text",
        )
        .await?;
    let put = to
        .prepare(
            "INSERT INTO taken SELECT i, k, e::json FROM UNNEST($1::bigint[], $2::text[], $3::text[]) AS u (i, k, e)",
        )
        .await?;
    let began = Instant::now();
    let mut moved = 0;
    loop {
        let rows = from.query(&take, &[]).await?;
        if rows.is_empty() {
            break;
        }
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let keys: Vec<&str> = rows.iter().map(|row| row.get(1)).collect();
        let events: Vec<&str> = rows.iter().map(|row| row.get(2)).collect();
        to.execute(&put, &[&ids, &keys, &events]).await?;
        moved += rows.len();
    }
    Ok(moved as f64 / began.elapsed().as_secs_f64())
}
