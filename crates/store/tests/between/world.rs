//! A log in three databases, and a tenant in it that has some of everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tidings_event::delivery::{AttemptResult, AttemptRow, CircuitRow, CircuitState, RouteCommit};
use tidings_event::{EndpointId, LaneNo, PartitionId, Position, Recorded, ReplayNo, Revision, Sequence};
use tidings_store::postgres::PostgresOptions;
use tidings_store::sharded::ShardOptions;
use tidings_store::{
    AttemptQuery, DeadFate, DeadQuery, EndpointRow, EndpointStatus, Error, MarkQuery, MoveOutcome, ReplayRow,
    ReplayState, Result, SelectionRow, Store, StoreOptions, TenantRow, open_sharded,
};
use tidings_testkit::{Database, Postgres};

use crate::deliver::{attempt_row, claim, commit, create, dead_row, lane_row, new_endpoint, nothing, put, retry_row};
use crate::make::{ALL, append, event, head, moment, place_in};

/// Home has partitions 0 and 1, shard `b` 2 and 3, shard `c` 4 and 5.
pub(crate) struct World {
    pub(crate) home: Database,
    pub(crate) b: Database,
    pub(crate) c: Database,
}

impl World {
    pub(crate) async fn new() -> Self {
        let server = Postgres::shared();
        Self { home: server.database().await, b: server.database().await, c: server.database().await }
    }

    /// A node of its own.
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        self.open_at([self.home.url(), self.b.url(), self.c.url()]).await
    }

    pub(crate) async fn open_at(&self, urls: [String; 3]) -> Arc<dyn Store> {
        let [home, b, c] = urls;
        let postgres = PostgresOptions { partitions: 2, connections: 8, ..PostgresOptions::default() };
        let options = StoreOptions { postgres, ..StoreOptions::default() };
        let shard = |name: &str, url: String, partitions: std::ops::Range<u32>| ShardOptions {
            name: name.to_owned(),
            url,
            partitions: partitions.collect(),
            takes_tenants: true,
        };
        open_sharded(&home, &[shard("b", b, 2..4), shard("c", c, 4..6)], options).await.expect("a store")
    }

    /// The database of a partition.
    pub(crate) fn of(&self, partition: u32) -> &Database {
        [&self.home, &self.b, &self.c][partition as usize / 2]
    }

    /// How many rows there are of something, in all databases.
    pub(crate) async fn count(&self, what: &str) -> i64 {
        let mut count = 0;
        for database in [&self.home, &self.b, &self.c] {
            let sql = format!("SELECT count(*) FROM tidings.{what}");
            count += database.connect().await.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0);
        }
        count
    }
}

/// What can be seen of a tenant from outside, without the numbers and places that each database gives by itself.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) events: Vec<Recorded>,
    pub(crate) marks: Vec<(Sequence, String)>,
    pub(crate) endpoints: Vec<EndpointRow>,
    pub(crate) lanes: BTreeMap<String, u64>,
    pub(crate) retries: Vec<(String, u64, u32)>,
    pub(crate) circuits: Vec<(String, u32)>,
    pub(crate) redrives: Vec<(EndpointId, u64)>,
    pub(crate) dead: Vec<(EndpointId, u64)>,
    pub(crate) replays: Vec<(EndpointId, ReplayRow)>,
    pub(crate) attempts: BTreeMap<EndpointId, Vec<AttemptRow>>,
}

/// Everything of a tenant, as the store shows it where the tenant lives.
pub(crate) async fn seen(store: &dyn Store, tenant: &str) -> Seen {
    let row = crate::make::place(store, tenant).await;
    let no = row.no;
    let events = store.feed(no, Sequence(0), ALL).await.unwrap().events;
    let marks = store.marks(no, &MarkQuery { event_type: None, before: Sequence(u64::MAX >> 1), limit: 100 }).await;
    let rows = store.endpoints(no, None, 100).await.unwrap();
    let mut names: BTreeMap<i64, String> =
        rows.iter().map(|row| (LaneNo::from(row.no).0, row.id.to_string())).collect();
    let (mut replays, mut attempts) = (Vec::new(), BTreeMap::new());
    for row in &rows {
        for replay in store.replays(row.no, None, 100).await.unwrap() {
            names.insert(LaneNo::from(replay.no).0, format!("{}/{}", row.id, replay.id));
            let shown = ReplayRow { no: ReplayNo(0), endpoint: row_no(0), revision: Revision(0), ..replay };
            replays.push((row.id.clone(), shown));
        }
        let query = AttemptQuery { limit: 10_000, ..AttemptQuery::default() };
        let own = store.attempts(row.no, &query).await.unwrap();
        let shown = own.into_iter().map(|one| AttemptRow {
            endpoint: row_no(0),
            // Only whether it is the lane of a replay shows.
            lane: LaneNo(one.lane.0.signum()),
            ..one
        });
        attempts.insert(row.id.clone(), shown.collect());
    }
    let state = store.router_state(row.partition).await.unwrap();
    let called = |lane: LaneNo| names.get(&lane.0).cloned();
    let mut redrives: Vec<(EndpointId, u64)> = store
        .routing(row.partition, Revision(0))
        .await
        .unwrap()
        .redrives
        .into_iter()
        .filter_map(|(no, sequence)| Some((rows.iter().find(|row| row.no == no)?.id.clone(), sequence.get())))
        .collect();
    redrives.sort();
    let dead = store.dead_letters(no, &DeadQuery { limit: 1_000, ..DeadQuery::default() }).await.unwrap();
    let mut dead: Vec<(EndpointId, u64)> =
        dead.into_iter().map(|letter| (letter.endpoint, letter.row.sequence.get())).collect();
    dead.sort();
    let mut retries: Vec<(String, u64, u32)> =
        state.retries.iter().filter_map(|row| Some((called(row.lane)?, row.sequence.get(), row.attempts))).collect();
    retries.sort();
    Seen {
        events,
        marks: marks.unwrap().into_iter().map(|mark| (mark.sequence, mark.reasons)).collect(),
        endpoints: rows
            .iter()
            .cloned()
            .map(|row| EndpointRow {
                no: row_no(0),
                partition: PartitionId(0),
                revision: Revision(0),
                selections: row.selections.iter().cloned().map(without_position).collect(),
                ..row
            })
            .collect(),
        lanes: state.lanes.iter().filter_map(|row| Some((called(row.lane)?, row.settled.get()))).collect(),
        retries,
        circuits: state.circuits.iter().filter_map(|row| Some((called(row.lane)?, row.probes))).collect(),
        redrives,
        dead,
        replays,
        attempts,
    }
}

fn row_no(no: i64) -> tidings_event::EndpointNo {
    tidings_event::EndpointNo(no)
}

fn without_position(row: SelectionRow) -> SelectionRow {
    SelectionRow { position: Position(0), ..row }
}

/// Places acme and gives it some of everything; its log has ten events, of which the router has passed seven.
pub(crate) async fn furnish(world: &World, store: &dyn Store, partition: u32) -> TenantRow {
    furnish_one(world, store, "acme", partition).await
}

pub(crate) async fn furnish_one(world: &World, store: &dyn Store, name: &str, partition: u32) -> TenantRow {
    let tenant = place_in(store, name, partition).await;
    let neighbour = format!("other{partition}");
    place_in(store, &neighbour, partition).await;
    let base = head(store, partition).await.get();
    for n in 0..10 {
        append(store, vec![event(name, &format!("a{n}"))]).await;
        append(store, vec![event(&neighbour, &format!("x{n}-{name}"))]).await;
    }
    let marks = format!(
        "INSERT INTO tidings.marks SELECT no, n, 'sales.lead.created', '1', '[\"r' || n || '\"]' \
         FROM tidings.tenants, generate_series(2, 9, 3) n WHERE name = '{name}'"
    );
    world.of(partition).connect().await.batch_execute(&marks).await.unwrap();
    let mut live = new_endpoint(&tenant, 1);
    live.selections.push(SelectionRow {
        after: Sequence(2),
        position: Position(base + 4),
        types: vec![],
        filter: None,
    });
    live.secrets = vec![0, 255, 92, 34, 10];
    live.settings = r#"{"a":"\\ \" ,(){}","b":null}"#.to_owned();
    let live = put(store, live, None).await;
    let behind = create(store, &tenant, 2).await;
    let gone = create(store, &tenant, 3).await;
    let running = store.insert_replay(tenant.partition, replay(&behind, "r1"), 10).await.unwrap().expect("a replay");
    let owner = claim(store, partition).await;
    let (lane, replaying) = (LaneNo::from(behind.no), LaneNo::from(running.no));
    let route = RouteCommit {
        checkpoint: Position(base + 13),
        lanes: vec![lane_row(lane, tenant.no, 3), lane_row(replaying, tenant.no, 2)],
        retries: vec![retry_row(lane, 1), retry_row(lane, 3), retry_row(replaying, 2)],
        circuits: vec![CircuitRow {
            lane,
            state: CircuitState::Open,
            since: moment(1),
            until: moment(2),
            probes: 3,
            last: AttemptResult::Status(503),
        }],
        dead: (1..=4)
            .map(|sequence| dead_row(&behind, sequence))
            .chain([dead_row(&gone, 1), dead_row(&live, 6)])
            .collect(),
        attempts: vec![
            attempt_row(live.no, 1, 1),
            AttemptRow { answer: Bytes::from_static(b"no\0\xff"), ..attempt_row(behind.no, 1, 2) },
            AttemptRow { lane: replaying, ..attempt_row(behind.no, 2, 3) },
        ],
        ..nothing(partition, owner)
    };
    commit(store, &route).await;
    let two = DeadQuery { endpoint: Some(behind.no), limit: 2, ..DeadQuery::default() };
    store.settle_dead(tenant.partition, tenant.no, &two, DeadFate::Redrive).await.unwrap();
    put(store, EndpointRow { status: EndpointStatus::Deleted, ..gone }, None).await;
    store.tenant(&tenant.id).await.unwrap().expect("the tenant")
}

fn replay(endpoint: &EndpointRow, id: &str) -> ReplayRow {
    ReplayRow {
        no: ReplayNo(0),
        id: id.to_owned(),
        endpoint: endpoint.no,
        tenant_no: endpoint.tenant_no,
        revision: Revision(0),
        state: ReplayState::Running,
        after: Sequence(0),
        upto: Sequence(100),
        types: Vec::new(),
        filter: Some(r#"{"x":"\\"}"#.to_owned()),
        rate_per_s: None,
        delivered: 0,
        dead: 0,
        created_at: moment(3),
        ended_at: None,
    }
}

/// Has a partition's router come to its end.
pub(crate) async fn route_all(store: &dyn Store, partition: u32) {
    let owner = claim(store, partition).await;
    let route = RouteCommit { checkpoint: head(store, partition).await, ..nothing(partition, owner) };
    commit(store, &route).await;
}

/// Moves until it is done; how it was told.
pub(crate) async fn try_move(store: &dyn Store, tenant: &TenantRow, to: u32) -> Result<MoveOutcome> {
    loop {
        match store.move_tenant(tenant.no, PartitionId(to)).await? {
            MoveOutcome::Copying { .. } => {}
            outcome => return Ok(outcome),
        }
    }
}

pub(crate) async fn moved(store: &dyn Store, tenant: &TenantRow, to: u32) -> TenantRow {
    let outcome = try_move(store, tenant, to).await.expect("a move");
    assert!(matches!(outcome, MoveOutcome::Moved { .. }), "{outcome:?}");
    let row = store.tenant(&tenant.id).await.expect("an answer").expect("the tenant");
    assert_eq!((row.partition, row.is_moving), (PartitionId(to), false));
    row
}

/// A mechanism of a database that fails as if the database were not there, as long as this is not repaired.
pub(crate) async fn broken(database: &Database, table: &str, operation: &str) {
    failing(database, table, operation, "57P03").await;
}

pub(crate) async fn failing(database: &Database, table: &str, operation: &str, code: &str) {
    let sql = format!(
        "CREATE OR REPLACE FUNCTION tidings.fail_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RAISE EXCEPTION 'as the test asked' USING ERRCODE = '{code}'; END $$; \
         CREATE TRIGGER fail BEFORE {operation} ON tidings.{table} FOR EACH ROW \
         EXECUTE FUNCTION tidings.fail_{table}()"
    );
    database.connect().await.batch_execute(&sql).await.unwrap();
}

pub(crate) async fn repaired(database: &Database, table: &str) {
    database.connect().await.batch_execute(&format!("DROP TRIGGER fail ON tidings.{table}")).await.unwrap();
}

/// Whether an answer says that the tenant is to be looked for again, or later.
pub(crate) fn is_elsewhere<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(Error::Moved(_) | Error::Unavailable { ambiguous: false, .. }))
}
