//! What the database says of deliveries, held against what endpoints took: whatever is settled was delivered, is a dead
//! letter, or waits.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::Witnesses;
use super::log::{Log, Row};
use crate::plan::Chaos;
use crate::receivers::{Asked, Taken};
use crate::universe::Universe;

/// What an endpoint wants from some sequence on.
#[derive(Debug, Clone)]
pub struct Wish {
    types: Vec<String>,
}

/// An endpoint.
#[derive(Debug, Clone, Default)]
pub struct Endpoint {
    pub tenant: i64,
    pub partition: i64,
    pub url: String,
    pub status: String,
    pub ordering: String,
    /// Seconds before each attempt.
    schedule_s: Vec<u64>,
    /// What it ever wanted, by the sequence from which that held.
    pub wishes: BTreeMap<u64, Wish>,
    /// Everything up to here was found settled as it should be.
    proved: u64,
    /// When each event that it wanted was first found settled, neither waiting nor to be redriven; in microseconds.
    pub settled: BTreeMap<u64, u64>,
}

/// An event that was given up.
#[derive(Debug)]
struct Dead {
    attempts: u64,
    reason: String,
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
    /// Those that were not there before.
    died: Vec<(i64, u64, Dead)>,
    /// Changes of endpoints up to here were read.
    revisions: BTreeMap<i64, i64>,
    circuits: usize,
}

const ENDPOINTS: &str = "\
    SELECT no, tenant_no, partition, url, status, json_extract(settings, '$.ordering'), selections, \
        json_extract(settings, '$.retry_schedule_s') \
    FROM endpoints WHERE partition = ?1 AND revision > ?2 ORDER BY revision";

const DEAD: &str = "SELECT endpoint, sequence, attempts, reason FROM dead_letters";

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
        self.read_dead(connection)?;
        self.circuits = pairs("SELECT lane, probes FROM circuits")?.len();
        Ok(())
    }

    fn read_dead(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(DEAD)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (endpoint, sequence) = (row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs());
            if self.dead.insert((endpoint, sequence)) {
                let dead = Dead { attempts: row.get::<_, i64>(2)?.unsigned_abs(), reason: row.get(3)? };
                self.died.push((endpoint, sequence, dead));
            }
        }
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
            endpoint.schedule_s = serde_json::from_str(&row.get::<_, String>(7)?).unwrap_or_default();
            for selection in selections.as_array().into_iter().flatten() {
                let after = selection["after"].as_u64().unwrap_or_default();
                let types = selection["types"].as_array().into_iter().flatten();
                let types = types.filter_map(|name| name.as_str().map(str::to_owned)).collect();
                endpoint.wishes.insert(after, Wish { types });
            }
        }
        Ok(())
    }

    /// Whether all that the books call settled is, and all that was given up had to be.
    pub fn judge(&mut self, log: &Log, witnesses: &Witnesses<'_>, universe: &Universe) -> Option<String> {
        let (receivers, now) = (witnesses.receivers, universe.now_us());
        for (no, sequence, dead) in std::mem::take(&mut self.died) {
            let endpoint = self.endpoints.get(&no)?;
            let broken =
                receivers.asked(&endpoint.url, |asked| endpoint.gave_up(sequence, &dead, asked, witnesses.chaos, now));
            if let Some(broken) = broken {
                return Some(format!("given up: {sequence} of {}: {broken}: {dead:?}", endpoint.url));
            }
        }
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
            let url = endpoint.url.clone();
            receivers.taken(&url, |taken| {
                for row in log.of_tenant(endpoint.tenant).skip(from).take_while(|row| is_settled(row)) {
                    let is_taken = || taken.iter().any(|one| one.sequence == row.sequence);
                    let waits = self.waiting.contains(&(*no, row.sequence));
                    if endpoint.wants(row) && !waits {
                        if !self.dead.contains(&(*no, row.sequence)) && !is_taken() {
                            open.get_or_insert(row.sequence);
                        }
                        endpoint.settled.entry(row.sequence).or_insert(now);
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

/// How long after an event was settled somebody may still send it: a node that is cut off goes on for as long as its
/// lease, with what it had taken up by then, and for as long as the last request takes.
const SETTLED_FOR_US: u64 = 8_000_000;

impl Endpoint {
    /// What is wrong with having given up an event, if anything is.
    fn gave_up(&self, sequence: u64, dead: &Dead, asked: &[Asked], chaos: &Chaos, now_us: u64) -> Option<&'static str> {
        let failed = asked.iter().filter(|asked| !asked.well);
        let first = failed.clone().map(|asked| asked.at_us).min();
        let span_us = self.schedule_s.iter().sum::<u64>() * 1_000_000;
        if chaos.calm {
            return Some("nothing went wrong");
        }
        if (failed.filter(|asked| asked.sequence == sequence).count() as u64) < dead.attempts {
            return Some("it counts attempts that never failed");
        }
        match dead.reason.as_str() {
            "exhausted" if dead.attempts >= self.schedule_s.len() as u64 => None,
            "exhausted" => Some("its schedule was not at its end"),
            // What time it is a node says by its own clock.
            "expired" if first.is_some_and(|first| chaos.clocks > 0.0 || first + span_us <= now_us) => None,
            "expired" => Some("its endpoint did not fail for so long"),
            _ => Some("it could be delivered"),
        }
    }

    /// One that came although it had been settled for long, if there is one.
    pub fn came_late<'a>(&self, taken: &'a [Taken]) -> Option<(&'a Taken, u64)> {
        let late = |one: &'a Taken| {
            let settled = *self.settled.get(&one.sequence)?;
            // What a node was about when it was paused it may end once it has woken.
            (one.at_us > settled.max(one.woke_us) + SETTLED_FOR_US).then_some((one, settled))
        };
        taken.iter().find_map(late)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint { schedule_s: vec![0, 1, 2], ..Endpoint::default() }
    }

    #[test]
    fn what_was_given_up_has_to_have_failed_as_the_schedule_says() {
        let at = |at_us, sequence, well| Asked { at_us, sequence, well };
        let asked = [at(0, 7, false), at(1_000_000, 7, false), at(3_000_000, 7, false), at(3_000_000, 8, true)];
        let gave_up = |sequence, attempts, reason: &str, chaos: &Chaos, now_us| {
            let dead = Dead { attempts, reason: reason.to_owned() };
            endpoint().gave_up(sequence, &dead, &asked, chaos, now_us)
        };
        let (ill, calm) = (Chaos::default(), Chaos { calm: true, ..Chaos::default() });
        assert_eq!(gave_up(7, 3, "exhausted", &ill, 3_100_000), None);
        assert_eq!(gave_up(8, 0, "expired", &ill, 3_100_000), None);
        for (sequence, attempts, reason, chaos, now_us, broken) in [
            (7, 3, "exhausted", &calm, 3_100_000, "nothing went wrong"),
            (7, 2, "exhausted", &ill, 3_100_000, "its schedule was not at its end"),
            (7, 4, "exhausted", &ill, 3_100_000, "it counts attempts that never failed"),
            (8, 3, "exhausted", &ill, 3_100_000, "it counts attempts that never failed"),
            (8, 0, "expired", &ill, 2_900_000, "its endpoint did not fail for so long"),
            (8, 0, "undeliverable", &ill, 3_100_000, "it could be delivered"),
        ] {
            assert_eq!(
                gave_up(sequence, attempts, reason, chaos, now_us),
                Some(broken),
                "{sequence} {attempts} {reason}"
            );
        }
    }

    #[test]
    fn what_was_settled_for_long_comes_again_from_a_node_that_slept_alone() {
        let mut endpoint = endpoint();
        endpoint.settled.insert(1, 500_000);
        let taken = |sequence, at_us, woke_us| Taken { at_us, sequence, id: String::new(), number: 0, woke_us };
        let came_late = |one| endpoint.came_late(&[one]).is_some();
        assert!(!came_late(taken(1, 400_000, 0)));
        assert!(!came_late(taken(1, 500_000 + SETTLED_FOR_US, 0)));
        assert!(!came_late(taken(1, 20_000_000, 19_000_000)));
        assert!(!came_late(taken(2, 20_000_000, 0)), "it is not settled");
        assert!(came_late(taken(1, 500_001 + SETTLED_FOR_US, 0)));
    }
}
