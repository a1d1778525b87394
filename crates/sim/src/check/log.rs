//! The log: each event once, with its content, in places without a gap, in the order of its producer, and never changed.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use crate::clients::Reader;
use crate::ledger::{Fate, Ledger};

/// A row of the log.
#[derive(Debug, Clone)]
pub struct Row {
    pub tenant: i64,
    pub sequence: u64,
    pub position: i64,
    pub id: String,
    pub kind: String,
    pub entity: Option<String>,
    pub data: String,
    /// Of all its columns.
    digest: [u8; 32],
}

/// The checker's copy of the log.
#[derive(Default)]
pub struct Log {
    /// Rows of each partition, in order of position.
    partitions: BTreeMap<i64, Vec<Row>>,
    /// Where each tenant's events stand: by sequence, partition and place in it.
    tenants: BTreeMap<i64, Vec<(i64, usize)>>,
    names: BTreeMap<String, i64>,
    ids: BTreeSet<(i64, String)>,
    /// Of the events that each producer has in the log of a tenant, the one that it began last.
    begun: BTreeMap<(i64, String), (u64, String)>,
}

const ROWS: &str = "SELECT * FROM events WHERE address > ?1 AND address < ?2 ORDER BY address";
const PARTITION: u32 = 48;

impl Log {
    /// Reads what is new. Returns for each partition from which row on.
    pub fn read(&mut self, connection: &Connection) -> rusqlite::Result<BTreeMap<i64, usize>> {
        let mut heads = connection.prepare_cached("SELECT id, position FROM partitions ORDER BY id")?;
        let heads: Vec<(i64, i64)> =
            heads.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        let mut news = BTreeMap::new();
        for (partition, head) in heads {
            let rows = self.partitions.entry(partition).or_default();
            let last = rows.last().map_or(0, |row| row.position);
            if head > last {
                news.insert(partition, rows.len());
                let bounds = [partition << PARTITION | last, (partition + 1) << PARTITION];
                let mut statement = connection.prepare_cached(ROWS)?;
                let mut found = statement.query(bounds)?;
                while let Some(row) = found.next()? {
                    rows.push(read_row(row)?);
                }
            }
        }
        if !news.is_empty() {
            let mut names = connection.prepare_cached("SELECT name, no FROM tenants")?;
            let found = names.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            self.names = found.collect::<Result<_, _>>()?;
        }
        Ok(news)
    }

    /// Judges what is new.
    pub fn judge(&mut self, news: &BTreeMap<i64, usize>, ledger: &Ledger) -> Option<String> {
        for (partition, from) in news {
            let rows = self.partitions.get(partition)?;
            for (at, row) in rows.iter().enumerate().skip(*from) {
                if row.position != i64::try_from(at).ok()? + 1 {
                    return Some(format!("gapless: position {} of {partition} stands at {}", row.position, at + 1));
                }
                let of_tenant = self.tenants.entry(row.tenant).or_default();
                of_tenant.push((*partition, at));
                if row.sequence != of_tenant.len() as u64 {
                    let place = of_tenant.len();
                    return Some(format!("gapless: sequence {} of {} stands at {place}", row.sequence, row.tenant));
                }
                if !self.ids.insert((row.tenant, row.id.clone())) {
                    return Some(format!("exactly one row: {} of {} is there twice", row.id, row.tenant));
                }
                if row.kind.starts_with("tidings.") {
                    continue;
                }
                let Some(known) = ledger.known.get(&row.id) else {
                    return Some(format!("no phantom: nobody emitted {}", row.id));
                };
                if known.fate == Fate::Never {
                    return Some(format!("no phantom: {} was rolled back or discarded", row.id));
                }
                if row.data != format!(r#"{{"n":{}}}"#, known.number)
                    || self.names.get(&known.tenant) != Some(&row.tenant)
                {
                    return Some(format!("{} has other content than was sent: {row:?}", row.id));
                }
                let last = self.begun.entry((row.tenant, known.producer.clone())).or_default();
                if known.stood.is_some_and(|stood| stood < last.0) {
                    let (id, by) = (&row.id, &known.producer);
                    return Some(format!("commit order: {by} began {} once {id} stood, which is behind it", last.1));
                }
                if known.begun > last.0 {
                    *last = (known.begun, row.id.clone());
                }
            }
        }
        None
    }

    /// Whether every event that must be there is, where its producer was told, and none that must not.
    pub fn complete(&self, ledger: &Ledger) -> Option<String> {
        for (id, known) in &ledger.known {
            let row = self.names.get(&known.tenant).and_then(|no| self.find(*no, id));
            match (known.fate, row) {
                (Fate::Must, None) => return Some(format!("no loss: {id} of {} is not in the log", known.tenant)),
                (Fate::Never, Some(_)) => return Some(format!("no phantom: {id} is in the log")),
                (_, Some(row)) if known.sequence.is_some_and(|told| told != row.sequence) => {
                    return Some(format!("{id} stands at {} and its producer was told {known:?}", row.sequence));
                }
                _ => {}
            }
        }
        None
    }

    /// Whether a reader read what is there, once, in order.
    pub fn was_read(&self, reader: &Reader) -> Option<String> {
        let no = self.names.get(reader.tenant())?;
        let wanted = self.of_tenant(*no).filter(|row| !row.kind.starts_with("tidings."));
        let wanted = wanted.take_while(|row| row.sequence <= reader.after);
        let is_same =
            wanted.clone().map(|row| (row.sequence, row.id.as_str())).eq(reader.read.iter().map(|(s, id)| (*s, &**id)));
        (!is_same).then(|| {
            let wanted: Vec<u64> = wanted.map(|row| row.sequence).collect();
            let read: Vec<u64> = reader.read.iter().map(|(sequence, _)| *sequence).collect();
            format!("a feed gave {read:?} where {} has {wanted:?}", reader.tenant())
        })
    }

    /// Whether every row is what it was when it was first seen.
    pub fn unchanged(&self, connection: &Connection) -> rusqlite::Result<Option<String>> {
        for (partition, rows) in &self.partitions {
            let mut statement = connection.prepare_cached(ROWS)?;
            let mut found = statement.query([partition << PARTITION, (partition + 1) << PARTITION])?;
            for known in rows {
                let row = found.next()?.map(read_row).transpose()?;
                if row.as_ref().is_none_or(|row| row.digest != known.digest) {
                    return Ok(Some(format!("append-only: {known:?} became {row:?}")));
                }
            }
        }
        Ok(None)
    }

    /// A tenant's rows, in order of sequence.
    pub fn of_tenant(&self, no: i64) -> impl Iterator<Item = &Row> + Clone {
        let places = self.tenants.get(&no).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|(partition, at)| self.partitions.get(partition)?.get(*at))
    }

    /// One row of a tenant.
    pub fn at(&self, no: i64, sequence: u64) -> Option<&Row> {
        let (partition, at) = self.tenants.get(&no)?.get(usize::try_from(sequence.checked_sub(1)?).ok()?)?;
        self.partitions.get(partition)?.get(*at)
    }

    fn find(&self, no: i64, id: &str) -> Option<&Row> {
        self.of_tenant(no).find(|row| row.id == id)
    }

    /// A tenant's last sequence.
    pub fn head(&self, tenant: &str) -> u64 {
        self.names.get(tenant).and_then(|no| self.tenants.get(no)).map_or(0, |places| places.len() as u64)
    }

    /// A partition's last position.
    pub fn end(&self, partition: i64) -> i64 {
        self.partitions.get(&partition).map_or(0, |rows| i64::try_from(rows.len()).unwrap_or(0))
    }

    pub fn count(&self) -> u64 {
        self.partitions.values().map(|rows| rows.len() as u64).sum()
    }
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let mut hash = Sha256::new();
    for column in 0..row.as_ref().column_count() {
        hash.update(format!("{:?};", row.get_ref(column)?));
    }
    let address: i64 = row.get("address")?;
    Ok(Row {
        tenant: row.get("tenant_no")?,
        sequence: row.get::<_, i64>("sequence")?.unsigned_abs(),
        position: address & ((1 << PARTITION) - 1),
        id: row.get("event_id")?,
        kind: row.get("type")?,
        entity: row.get("entity_id")?,
        data: row.get::<_, Option<String>>("data")?.unwrap_or_default(),
        digest: hash.finalize().into(),
    })
}
