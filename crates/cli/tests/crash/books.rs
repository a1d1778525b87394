//! What the database says of deliveries, read behind the server's back.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use tidings_testkit::Database;

/// The rows that delivery keeps, and the events they speak of.
#[derive(Default)]
pub(crate) struct Books {
    /// Endpoints' numbers by their public ids.
    numbers: HashMap<String, i64>,
    /// Partition, position and sequence of every event that the endpoints want.
    events: Vec<(i64, i64, u64)>,
    checkpoints: HashMap<i64, i64>,
    lanes: HashMap<i64, i64>,
    /// Lane and sequence of what waits for an attempt or was given up.
    waiting: HashSet<(i64, u64)>,
    rows: HashMap<i64, usize>,
}

const ENDPOINTS: &str = "select id, no, 0 from endpoints";
const CHECKPOINTS: &str = "select slot, checkpoint, 0 from leases where role = 'router'";
const LANES: &str = "select '', lane, settled from lanes";
const WAITING: &str = "\
    select '', lane, sequence from retries union all select '', endpoint, sequence from redrives \
    union all select '', endpoint, sequence from dead_letters";

impl Books {
    pub(crate) async fn read(data_dir: &Path, log: Option<&Database>) -> Self {
        let mut books = Self::default();
        for (id, no, _) in rows(data_dir, log, ENDPOINTS).await {
            books.numbers.insert(id, no);
        }
        for (partition, checkpoint, _) in rows(data_dir, log, CHECKPOINTS).await {
            books.checkpoints.insert(partition.parse().unwrap(), checkpoint);
        }
        for (_, lane, settled) in rows(data_dir, log, LANES).await {
            books.lanes.insert(lane, settled);
            *books.rows.entry(lane).or_default() += 1;
        }
        for (_, lane, sequence) in rows(data_dir, log, WAITING).await {
            books.waiting.insert((lane, sequence.cast_unsigned()));
            *books.rows.entry(lane).or_default() += 1;
        }
        // The place of an event is one number on SQLite, and two columns on PostgreSQL.
        let wanted = match log {
            None => {
                "select (address >> 48) || '', address & 281474976710655, sequence from events where type like 'shop.%'"
            }
            Some(_) => "select partition::text, position, sequence from events where type like 'shop.%'",
        };
        for (partition, position, sequence) in rows(data_dir, log, wanted).await {
            books.events.push((partition.parse().unwrap(), position, sequence.cast_unsigned()));
        }
        books
    }

    /// Rows that an endpoint has among lanes, retries, redrives and dead letters.
    pub(crate) fn rows_of(&self, endpoint: &str) -> usize {
        self.rows.get(&self.numbers[endpoint]).copied().unwrap_or(0)
    }

    /// Whether everything that the books call settled for an endpoint was accepted, or waits, or is dead.
    pub(crate) fn check(&self, endpoint: &str, accepted: &HashSet<u64>) -> Result<(), String> {
        let lane = self.numbers[endpoint];
        let settled = |&(partition, position, sequence): &(i64, i64, u64)| match self.lanes.get(&lane) {
            Some(settled) => sequence.cast_signed() <= *settled,
            None => position <= self.checkpoints[&partition],
        };
        let missing: BTreeSet<u64> = self
            .events
            .iter()
            .filter(|event| settled(event))
            .map(|(_, _, sequence)| *sequence)
            .filter(|sequence| !accepted.contains(sequence) && !self.waiting.contains(&(lane, *sequence)))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("settled without having been delivered: {missing:?}")) }
    }
}

/// Text, number and number of each row.
async fn rows(data_dir: &Path, log: Option<&Database>, sql: &str) -> Vec<(String, i64, i64)> {
    match log {
        None => {
            let file = rusqlite::Connection::open(data_dir.join("tidings.db")).unwrap();
            let mut statement = file.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
            rows.map(Result::unwrap).collect()
        }
        Some(database) => {
            let client = database.connect().await;
            client.batch_execute("set search_path to tidings").await.unwrap();
            let rows = client.query(&format!("select a, b::bigint, c::bigint from ({sql}) r (a, b, c)"), &[]).await;
            rows.unwrap().into_iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
        }
    }
}
