//! What the database says of deliveries, held against what endpoints took: whatever is settled was delivered, is a dead
//! letter, or waits.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::log::{Log, Row};
use crate::receivers::Receivers;

/// What an endpoint wants from some sequence on.
#[derive(Debug, Clone)]
pub struct Wish {
    types: Vec<String>,
}

/// An endpoint.
#[derive(Debug, Clone, Default)]
pub struct Endpoint {
    pub tenant: i64,
    partition: i64,
    pub url: String,
    pub status: String,
    pub ordering: String,
    /// What it ever wanted, by the sequence from which that held.
    pub wishes: BTreeMap<u64, Wish>,
    /// Everything up to here was found settled as it should be.
    proved: u64,
}

/// The rows that delivery keeps.
#[derive(Default)]
pub struct Books {
    pub endpoints: BTreeMap<i64, Endpoint>,
    checkpoints: BTreeMap<i64, i64>,
    lanes: BTreeMap<i64, u64>,
    waiting: BTreeSet<(i64, u64)>,
    /// Dead letters that there ever were.
    pub dead: BTreeSet<(i64, u64)>,
    /// Changes of endpoints up to here were read.
    revisions: BTreeMap<i64, i64>,
    circuits: usize,
}

const ENDPOINTS: &str = "\
    SELECT no, tenant_no, partition, url, status, json_extract(settings, '$.ordering'), selections, revision \
    FROM endpoints WHERE partition = ?1 AND revision > ?2 ORDER BY revision";

impl Books {
    pub fn read(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut partitions = connection.prepare_cached("SELECT id, revision FROM partitions")?;
        let revisions: BTreeMap<i64, i64> =
            partitions.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        for (partition, revision) in revisions {
            let read = self.revisions.insert(partition, revision).unwrap_or(-1);
            if read < revision {
                self.read_endpoints(connection, partition, read)?;
            }
        }
        let pairs = |sql: &str| -> rusqlite::Result<Vec<(i64, i64)>> {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        self.checkpoints =
            pairs("SELECT CAST(slot AS INTEGER), checkpoint FROM leases WHERE role = 'router'")?.into_iter().collect();
        let unsigned = |(lane, sequence): (i64, i64)| (lane, sequence.unsigned_abs());
        self.lanes = pairs("SELECT lane, settled FROM lanes")?.into_iter().map(unsigned).collect();
        let waiting = pairs("SELECT lane, sequence FROM retries UNION ALL SELECT endpoint, sequence FROM redrives")?;
        self.waiting = waiting.into_iter().map(unsigned).collect();
        self.dead.extend(pairs("SELECT endpoint, sequence FROM dead_letters")?.into_iter().map(unsigned));
        self.circuits = pairs("SELECT lane, probes FROM circuits")?.len();
        Ok(())
    }

    fn read_endpoints(&mut self, connection: &Connection, partition: i64, after: i64) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(ENDPOINTS)?;
        let mut rows = statement.query([partition, after])?;
        while let Some(row) = rows.next()? {
            let selections: String = row.get(6)?;
            let selections: serde_json::Value = serde_json::from_str(&selections).unwrap_or_default();
            let endpoint = self.endpoints.entry(row.get(0)?).or_default();
            endpoint.tenant = row.get(1)?;
            endpoint.partition = row.get(2)?;
            endpoint.url = row.get(3)?;
            endpoint.status = row.get(4)?;
            endpoint.ordering = row.get(5)?;
            for selection in selections.as_array().into_iter().flatten() {
                let after = selection["after"].as_u64().unwrap_or_default();
                let types = selection["types"].as_array().into_iter().flatten();
                let types = types.filter_map(|name| name.as_str().map(str::to_owned)).collect();
                endpoint.wishes.insert(after, Wish { types });
            }
        }
        Ok(())
    }

    /// Whether all that the books call settled is.
    pub fn judge(&mut self, log: &Log, receivers: &Receivers) -> Option<String> {
        for (no, endpoint) in &mut self.endpoints {
            if endpoint.status == "deleted" {
                continue;
            }
            let lane = self.lanes.get(no).copied();
            let checkpoint = self.checkpoints.get(&endpoint.partition).copied().unwrap_or(0);
            let is_settled = |row: &Row| match lane {
                Some(settled) => row.sequence <= settled,
                None => row.position <= checkpoint,
            };
            let from = usize::try_from(endpoint.proved).unwrap_or(0);
            let mut open = None;
            let mut last = endpoint.proved;
            receivers.taken(&endpoint.url, |taken| {
                for row in log.of_tenant(endpoint.tenant).skip(from).take_while(|row| is_settled(row)) {
                    let is_taken = || taken.iter().any(|one| one.sequence == row.sequence);
                    let waits = self.waiting.contains(&(*no, row.sequence));
                    if endpoint.wants(row) && !waits && !self.dead.contains(&(*no, row.sequence)) && !is_taken() {
                        open.get_or_insert(row.sequence);
                    }
                    // What waits is looked at again: it must not vanish from where it waits.
                    if !waits && last + 1 == row.sequence {
                        last = row.sequence;
                    }
                }
            });
            endpoint.proved = last;
            if let Some(sequence) = open {
                let url = &endpoint.url;
                return Some(format!(
                    "at least once: {sequence} is settled for {url} without having been delivered: \
                     checkpoint {checkpoint}, lane {lane:?}"
                ));
            }
        }
        None
    }

    /// What is still to be delivered, if anything is.
    pub fn under_way(&self, log: &Log) -> Option<String> {
        let behind = self.checkpoints.iter().find(|(partition, at)| **at < log.end(**partition));
        if let Some((partition, at)) = behind {
            return Some(format!("the router of {partition} at {at} of {}", log.end(*partition)));
        }
        let is_active = |lane: &i64| self.endpoints.get(lane).is_some_and(|endpoint| endpoint.status == "active");
        let lane = self.lanes.iter().find(|(lane, _)| is_active(lane));
        if let Some((lane, settled)) = lane {
            return Some(format!("lane {lane} at {settled}"));
        }
        let waiting = self.waiting.iter().find(|(lane, _)| is_active(lane));
        waiting.map(|(lane, sequence)| format!("{sequence} of lane {lane} waits"))
    }
}

impl Endpoint {
    /// Whether it wanted an event when that was appended.
    pub fn wants(&self, row: &Row) -> bool {
        let wish = self.wishes.range(..row.sequence).next_back().map(|(_, wish)| wish);
        wish.is_some_and(|wish| {
            if wish.types.is_empty() {
                return !row.kind.starts_with("tidings.");
            }
            wish.types.iter().any(|name| match name.strip_suffix('*') {
                Some(prefix) => row.kind.starts_with(prefix),
                None => *name == row.kind,
            })
        })
    }
}
