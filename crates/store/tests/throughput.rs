//! What an append and a replay cost, beside bare statements on the same tables. Run by hand, in release:
//! `cargo test --release -p tidings-store --test throughput -- --ignored --nocapture`.

#![allow(clippy::print_stdout, reason = "a measurement is printed to be read")]

use std::path::Path;
use std::time::Instant;

use tidings_event::log::{AppendKeys, AppendPlan, AppendView};
use tidings_event::{
    Data, Digest, Entity, Event, EventId, EventType, Metadata, PartitionId, Recorded, Salt, Sequence, Source,
    SourceKind, TenantId, TenantNo, Text, Timestamp, Version,
};
use tidings_store::{Decide, ReadLimit, Store, StoreOptions, open_store};

const BATCH: usize = 1_000;

/// Processor seconds that this process took so far: what does not depend on who else uses the machine.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(')').next().expect("a name in brackets");
    let ticks: f64 =
        after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("ticks")).sum();
    ticks / 100.0
}

/// Counts events by the clock and by the processor.
struct Meter {
    began: Instant,
    cpu: f64,
}

impl Meter {
    fn start() -> Self {
        Self { began: Instant::now(), cpu: cpu_seconds() }
    }

    fn read(&self, events: usize) -> String {
        let rate = events as f64 / self.began.elapsed().as_secs_f64();
        let cpu = (cpu_seconds() - self.cpu) * 1e6 / events as f64;
        format!("{rate:>9.0} events/s, {cpu:>6.2} µs of this process's processor each,")
    }
}

fn event(at: usize) -> Event {
    let text = |text: &str| Text::parse(text).expect("a text");
    let id = format!("01JD8Q4M6T1V9S0Z3N{at:08}");
    Event {
        id: EventId::parse(&id).expect("an id"),
        event_type: EventType::parse("sales.lead.status_changed").expect("a type"),
        version: Version::first(),
        timestamp: Timestamp::from_micros(1_700_000_000_000_000),
        tenant: TenantId::parse("acme").expect("a tenant"),
        project: Some(text("emea")),
        source: Source { kind: SourceKind::Service, id: text("sales") },
        entity: Some(Entity { kind: text("lead"), id: text(&format!("lead_{}", at % 1_000)) }),
        actor: Some(text("user_7")),
        data: Data::trusted(
            format!(r#"{{"from":"new","to":"qualified","n":{at},"pad":"{}"}}"#, "x".repeat(150)).into_bytes(),
        ),
        metadata: Metadata { correlation_id: text(&id), causation_id: None, context: None, traceparent: None },
    }
}

fn plan(view: &AppendView, no: TenantNo, events: Vec<Event>) -> AppendPlan {
    let (mut position, mut sequence) = (view.position, view.sequences[&no]);
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        position = position.next();
        sequence = sequence.next();
        rows.push(Recorded {
            event,
            tenant_no: no,
            partition: view.partition,
            position,
            sequence,
            recorded_at: view.recorded_at,
            salt: Salt([7; 16]),
            digest: Digest([9; 32]),
        });
    }
    AppendPlan { rows, verdicts: Vec::new() }
}

async fn append(store: &dyn Store, batch: usize, total: usize) -> String {
    let tenant = TenantId::parse("acme").expect("a tenant");
    let row = store.place(&[(tenant, PartitionId(0))]).await.expect("a place").remove(0);
    let start = usize::try_from(row.head.get()).expect("a small log");
    let batches: Vec<Vec<Event>> =
        (0..total / batch).map(|at| (0..batch).map(|n| event(start + at * batch + n)).collect()).collect();
    let meter = Meter::start();
    for events in batches {
        let keys =
            AppendKeys { tenants: vec![row.no], ids: events.iter().map(|event| (row.no, event.id.clone())).collect() };
        let no = row.no;
        let decide: Decide = Box::new(move |view| plan(&view, no, events));
        store.append(row.partition, keys, decide).await.expect("an append");
    }
    meter.read(total)
}

async fn replay(store: &dyn Store) -> String {
    let tenant = TenantId::parse("acme").expect("a tenant");
    let row = store.tenant(&tenant).await.expect("an answer").expect("a tenant");
    let limit = ReadLimit { events: 1_000, bytes: 8 << 20 };
    let meter = Meter::start();
    let mut after = Sequence(0);
    while after < row.head {
        let slice = store.feed(row.no, after, limit).await.expect("a feed");
        after = slice.events.last().expect("the head is further").sequence;
    }
    meter.read(usize::try_from(row.head.get()).expect("a small log"))
}

async fn report(name: &str, store: &dyn Store) {
    println!("{name}: {} in appends of {BATCH}", append(store, BATCH, 100_000).await);
    println!("{name}: {} in appends of 4000", append(store, 4_000, 100_000).await);
    println!("{name}: {} in appends of 100", append(store, 100, 30_000).await);
    println!("{name}: {} in appends of 1", append(store, 1, 3_000).await);
    println!("{name}: {} replayed", replay(store).await);
}

/// The same rows by a bare prepared insert into the same tables.
fn bare_sqlite(source: &Path, empty: &Path) -> String {
    use rusqlite::types::Value;
    let from = rusqlite::Connection::open(source).expect("a file");
    let mut statement = from.prepare("SELECT * FROM events LIMIT 100000").expect("a statement");
    let columns = statement.column_count();
    let rows: Vec<Vec<Value>> = statement
        .query_map([], |row| (0..columns).map(|at| row.get(at)).collect())
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("rows");
    let mut into = rusqlite::Connection::open(empty).expect("a file");
    into.pragma_update(None, "synchronous", "full").expect("a setting");
    let marks = vec!["?"; columns].join(",");
    let meter = Meter::start();
    for chunk in rows.chunks(BATCH) {
        let transaction = into.transaction().expect("a transaction");
        let mut insert =
            transaction.prepare_cached(&format!("INSERT INTO events VALUES ({marks})")).expect("an insert");
        for row in chunk {
            insert.execute(rusqlite::params_from_iter(row)).expect("a row");
        }
        drop(insert);
        transaction.commit().expect("a commit");
    }
    meter.read(rows.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn sqlite() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, empty) = (directory.path().join("tidings.db"), directory.path().join("empty.db"));
    let open = async |path: &Path| {
        open_store(&path.display().to_string(), StoreOptions::default()).await.expect("the store opens")
    };
    let store = open(&path).await;
    report("sqlite", &*store).await;
    open(&empty).await.close().await;
    println!("sqlite: {} by a bare insert of {BATCH}", bare_sqlite(&path, &empty));
}

/// The same rows by a bare insert from arrays into the same tables.
async fn bare_postgres(client: &tokio_postgres::Client, target: &str) -> String {
    let columns = "position,tenant_no,sequence,event_id,type,version,timestamp,recorded_at,project,source_kind,\
                   source_id,entity_kind,entity_id,actor,correlation_id,causation_id,context_kind,context_id,\
                   traceparent,salt,digest,data_bytes";
    let rows = client
        .query(
            &format!("SELECT partition,{columns},data::text FROM tidings.events ORDER BY position LIMIT 100000"),
            &[],
        )
        .await
        .expect("rows");
    let texts = |chunk: &[tokio_postgres::Row], at: usize| -> Vec<Option<String>> {
        chunk.iter().map(|row| row.get(at)).collect()
    };
    let numbers =
        |chunk: &[tokio_postgres::Row], at: usize| -> Vec<i64> { chunk.iter().map(|row| row.get(at)).collect() };
    let bytes =
        |chunk: &[tokio_postgres::Row], at: usize| -> Vec<Vec<u8>> { chunk.iter().map(|row| row.get(at)).collect() };
    let (other, connection) = tokio_postgres::connect(target, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let sql = format!(
        "INSERT INTO tidings.events (partition,{columns},data) SELECT 0, a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,\
         octet_length(v), v::json FROM unnest($1::bigint[],$2::bigint[],$3::bigint[],$4::text[],$5::text[],$6::text[],\
         $7::bigint[],$8::bigint[],$9::text[],$10::text[],$11::text[],$12::text[],$13::text[],$14::text[],$15::text[],\
         $16::text[],$17::text[],$18::text[],$19::text[],$20::bytea[],$21::bytea[],$22::text[]) \
         x(a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v)"
    );
    let insert = other.prepare(&sql).await.expect("an insert");
    let mut work = Vec::new();
    for chunk in rows.chunks(BATCH) {
        let n: Vec<Vec<i64>> = [1, 2, 3, 7, 8].map(|at| numbers(chunk, at)).to_vec();
        let t: Vec<Vec<Option<String>>> =
            [4, 5, 6, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 23].map(|at| texts(chunk, at)).to_vec();
        work.push((n, t, bytes(chunk, 20), bytes(chunk, 21)));
    }
    let meter = Meter::start();
    for (n, t, salts, digests) in &work {
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 22] = [
            &n[0], &n[1], &n[2], &t[0], &t[1], &t[2], &n[3], &n[4], &t[3], &t[4], &t[5], &t[6], &t[7], &t[8], &t[9],
            &t[10], &t[11], &t[12], &t[13], salts, digests, &t[14],
        ];
        other.execute(&insert, &params).await.expect("rows");
    }
    meter.read(rows.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn postgres() {
    let server = tidings_testkit::Postgres::shared();
    let (database, empty) = (server.database().await, server.database().await);
    let store = open_store(&database.url(), StoreOptions::default()).await.expect("the store opens");
    report("postgres", &*store).await;
    open_store(&empty.url(), StoreOptions::default()).await.expect("the store opens").close().await;
    let bare = bare_postgres(&database.connect().await, &empty.url()).await;
    println!("postgres: {bare} by a bare insert from arrays of {BATCH}");
}
