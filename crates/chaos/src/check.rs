//! The reckoning: every event that was accepted, held against the log and every consumer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use crate::audit::{self, Claim};
use crate::cluster::Cluster;
use crate::direct;
use crate::history::History;
use crate::ledger::Ledger;
use crate::outside::{Outsider, Place, Places};
use crate::producers::{number, type_of};
use crate::readers::{Mode, Reader};
use crate::receiver::{Receiver, Record};
use crate::repeats::Grounds;
use crate::settings::{CART, Wants, of_producer};

const POLL: Duration = Duration::from_secs(1);

/// The log as the database has it: by tenant, id and type of each sequence from 1 on.
pub(crate) type Log = BTreeMap<String, Vec<(String, String)>>;

/// Everybody who knows something.
pub(crate) struct Witnesses<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) history: &'a History,
    pub(crate) ledgers: &'a [Arc<Ledger>],
    pub(crate) receivers: &'a [Arc<Receiver>],
    pub(crate) readers: &'a [Arc<Reader>],
    pub(crate) outsider: Option<&'a Outsider>,
    /// How much shorter faults are than in a long run.
    pub(crate) scale: f64,
}

/// What the reckoning counted.
#[derive(Debug, Default)]
pub(crate) struct Reckoning {
    pub(crate) accepted: u64,
    pub(crate) log: u64,
    /// Accepted and not in the log, or in the log and not with a consumer that must have it.
    pub(crate) lost: u64,
    pub(crate) out_of_order: u64,
    pub(crate) dead_letters: u64,
}

/// What was given up, in words. The endpoints' schedule is longer than any fault, so nothing may be.
async fn dead_letters(client: &Client) -> anyhow::Result<Vec<String>> {
    let sql = "select e.id || ' gave up ' || d.sequence || ' after ' || d.attempts || ' attempts: ' || d.reason \
               from tidings.dead_letters d join tidings.endpoints e on e.no = d.endpoint order by d.died_at";
    client.query(sql, &[]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Where each event of the log stands: by partition and position its tenant, sequence and id.
async fn read_places(client: &Client) -> anyhow::Result<Places> {
    let sql = "select e.partition, e.position, t.name, e.sequence, e.event_id \
               from tidings.events e join tidings.tenants t on t.no = e.tenant_no";
    let mut places = Places::new();
    for row in client.query(sql, &[]).await? {
        let (position, sequence): (i64, i64) = (row.try_get(1)?, row.try_get(3)?);
        let place = Place { tenant: row.try_get(2)?, sequence: sequence.cast_unsigned(), id: row.try_get(4)? };
        places.insert((row.try_get(0)?, position.cast_unsigned()), place);
    }
    Ok(places)
}

async fn read_log(client: &Client) -> anyhow::Result<Log> {
    let sql = "select t.name, e.event_id, e.type from tidings.events e join tidings.tenants t on t.no = e.tenant_no \
               where t.name not like '$%' order by e.tenant_no, e.sequence";
    let mut log = Log::new();
    for row in client.query(sql, &[]).await? {
        log.entry(row.try_get(0)?).or_default().push((row.try_get(1)?, row.try_get(2)?));
    }
    Ok(log)
}

/// The partition of each tenant.
pub(crate) async fn partitions(client: &Client) -> anyhow::Result<HashMap<String, i32>> {
    let rows = client.query("select name, partition from tidings.tenants", &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

impl Witnesses<'_> {
    /// Waits until everybody has everything. Says what is missing when that does not come.
    pub(crate) async fn drained(&self, within: Duration) {
        let until = self.history.now() + within;
        loop {
            let missing = self.missing().await;
            let missing = match missing {
                Ok(missing) if missing.is_empty() => break,
                Ok(missing) => missing,
                Err(error) => vec![format!("{error:#}")],
            };
            if self.history.now() > until {
                return self.history.broken(format!("not everything came in {within:?}: {missing:?}"));
            }
            tokio::time::sleep(POLL).await;
        }
        if let Some(outsider) = self.outsider {
            match self.ends().await {
                Ok(ends) => outsider.caught_up(&ends).await,
                Err(error) => self.history.broken(format!("{error:#}")),
            }
        }
    }

    /// The last position of each partition.
    async fn ends(&self) -> anyhow::Result<Vec<(i32, i64)>> {
        let url = self.cluster.log.url();
        direct::within(async {
            let client = direct::connect(&url).await?;
            let rows = client.query("select id, position from tidings.partitions", &[]).await?;
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
        })
        .await
    }

    /// Who still waits for something, in words.
    async fn missing(&self) -> anyhow::Result<Vec<String>> {
        let mut missing = Vec::new();
        for (no, source) in self.cluster.sources.iter().enumerate() {
            let url = source.url();
            let waiting = direct::within(async {
                let client = direct::connect(&url).await?;
                Ok(client.query_one("select count(*) from tidings.outbox", &[]).await?.try_get::<_, i64>(0)?)
            });
            let waiting = waiting.await?;
            if waiting > 0 {
                missing.push(format!("{waiting} rows wait in outbox {no}"));
            }
        }
        let sql = "select t.name, e.type, count(*) from tidings.events e join tidings.tenants t on t.no = e.tenant_no \
                   group by t.name, e.type";
        let url = self.cluster.log.url();
        let counts = direct::within(async {
            let client = direct::connect(&url).await?;
            let mut counts: HashMap<(String, String), i64> = HashMap::new();
            for row in client.query(sql, &[]).await? {
                counts.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
            }
            Ok(counts)
        })
        .await?;
        let count = |tenant: &str, wanted: &dyn Fn(&str) -> bool| -> u64 {
            let of = counts.iter().filter(|((of, event_type), _)| of == tenant && wanted(event_type));
            of.map(|(_, count)| count.cast_unsigned()).sum()
        };
        for receiver in self.receivers {
            let wanted = count(receiver.plan.tenant, &|event_type| receiver.plan.wants.must(event_type));
            let has = receiver.record().musts;
            if has < wanted {
                missing.push(format!("{} has {has} of {wanted}", receiver.name));
            }
        }
        for reader in self.readers {
            let wanted = count(reader.tenant, &|event_type| reader.mode == Mode::Live || event_type == CART);
            let has = reader.read().events.len() as u64;
            if has < wanted {
                missing.push(format!("a reader of {} ({:?}) has {has} of {wanted}", reader.tenant, reader.mode));
            }
        }
        Ok(missing)
    }

    /// Holds everything against everything.
    pub(crate) async fn reconcile(&self) -> anyhow::Result<Reckoning> {
        let url = self.cluster.log.url();
        let client = direct::until_done(Duration::from_secs(60), || direct::connect(&url)).await?;
        let (log, dead, places) = (read_log(&client).await?, dead_letters(&client).await?, read_places(&client).await?);
        let (claims, partitions) = (audit::routers(&client, self.history).await?, partitions(&client).await?);
        let mut reckoning = Reckoning {
            log: log.values().flatten().filter(|(_, event_type)| of_producer(event_type)).count() as u64,
            dead_letters: dead.len() as u64,
            out_of_order: self.receivers.iter().map(|receiver| receiver.record().out_of_order).sum(),
            ..Reckoning::default()
        };
        let (lost, wrong) = against_ledgers(&log, self.ledgers);
        reckoning.accepted = self.ledgers.iter().map(|ledger| ledger.certain() as u64).sum();
        reckoning.lost += lost;
        wrong.into_iter().for_each(|text| self.history.broken(text));
        dead.into_iter().for_each(|text| self.history.broken(text));
        for (no, receiver) in self.receivers.iter().enumerate() {
            let events = log.get(receiver.plan.tenant).map(Vec::as_slice).unwrap_or_default();
            let (lost, wrong) = against_record(events, receiver.plan.wants, &receiver.record());
            reckoning.lost += lost;
            wrong.into_iter().for_each(|text| self.history.broken(format!("{} {text}", receiver.name)));
            let of = partitions.get(receiver.plan.tenant);
            self.judge_repeats(no, receiver, claims.iter().filter(|claim| Some(&claim.partition) == of).collect());
        }
        for reader in self.readers {
            reckoning.lost += self.against_reader(&log, reader);
        }
        if let Some(outsider) = self.outsider {
            outsider.reconcile(&log);
            outsider.hold(&places).await;
        }
        Ok(reckoning)
    }

    fn judge_repeats(&self, no: usize, receiver: &Receiver, claims: Vec<&Claim>) {
        let nodes = self.cluster.nodes.iter().map(|node| node.name.as_str()).collect();
        let grounds = Grounds { history: self.history, claims, nodes, receiver: no, scale: self.scale };
        let wrong: Vec<String> =
            receiver.record().repeats.iter().filter_map(|repeat| grounds.against(repeat)).collect();
        wrong.into_iter().for_each(|text| self.history.broken(format!("{}: {text}", receiver.name)));
    }

    fn against_reader(&self, log: &Log, reader: &Reader) -> u64 {
        let events = log.get(reader.tenant).map(Vec::as_slice).unwrap_or_default();
        let wanted = |event_type: &str| reader.mode == Mode::Live || event_type == CART;
        let expect = (1..).zip(events).filter(|(_, (_, event_type))| wanted(event_type));
        let expect: Vec<(u64, &str)> = expect.map(|(sequence, (id, _))| (sequence, id.as_str())).collect();
        let read = reader.read();
        let got: Vec<(u64, &str)> = read.events.iter().map(|(sequence, id)| (*sequence, id.as_str())).collect();
        if got == expect {
            return 0;
        }
        let first = expect.iter().zip(&got).find(|(expect, got)| expect != got);
        let text =
            format!("a reader of {} has {} of {}, first other: {first:?}", reader.tenant, got.len(), expect.len());
        self.history.broken(text);
        let got: HashSet<u64> = got.iter().map(|(sequence, _)| *sequence).collect();
        expect.iter().filter(|(sequence, _)| !got.contains(sequence)).count() as u64
    }
}

/// How many events a receiver never got, and what is wrong in words: it must have all that it wants, each as the log has
/// it, and nothing else.
fn against_record(events: &[(String, String)], wants: Wants, record: &Record) -> (u64, Vec<String>) {
    let mut wrong = Vec::new();
    let lost: Vec<u64> = (1..)
        .zip(events)
        .filter(|(sequence, (_, event_type))| wants.must(event_type) && !record.has(*sequence))
        .map(|(sequence, _)| sequence)
        .collect();
    if !lost.is_empty() {
        wrong.push(format!("never got {lost:?}"));
    }
    for (sequence, id) in record.ids() {
        let at = usize::try_from(sequence).ok().and_then(|sequence| events.get(sequence.checked_sub(1)?));
        match at {
            Some((of, _)) if of == id => {}
            Some((of, _)) => wrong.push(format!("got {id} as {sequence}, where the log has {of}")),
            None => wrong.push(format!("got {id} as {sequence}, which is not in the log")),
        }
    }
    (lost.len() as u64, wrong)
}

/// How many events are lost, and what is wrong in words: the log must hold all that was committed or acknowledged, once,
/// under the sequence that was told, in each producer's order, and nothing else.
fn against_ledgers(log: &Log, ledgers: &[Arc<Ledger>]) -> (u64, Vec<String>) {
    let mut wrong = Vec::new();
    let mut places: HashMap<(&str, &str), u64> = HashMap::new();
    for (tenant, events) in log {
        for (sequence, (id, event_type)) in (1..).zip(events).filter(|(_, (_, event_type))| of_producer(event_type)) {
            if places.insert((tenant, id), sequence).is_some() {
                wrong.push(format!("{id} of {tenant} is there twice"));
            }
            if event_type != type_of(id) {
                wrong.push(format!("{id} of {tenant} has type {event_type}"));
            }
        }
    }
    let (mut lost, mut known) = (0, 0);
    for ledger in ledgers {
        let account = ledger.account();
        let mut newest: HashMap<&str, (u64, u64)> = HashMap::new();
        for fact in &account.certain {
            let Some(sequence) = places.get(&(fact.tenant, fact.id.as_str())).copied() else {
                lost += 1;
                wrong.push(format!("{} of {} is lost", fact.id, fact.tenant));
                continue;
            };
            known += 1;
            if fact.sequence.is_some_and(|told| told != sequence) {
                wrong.push(format!("{fact:?} stands at {sequence}"));
            }
            let n = number(&fact.id);
            let (before, at) = newest.insert(fact.tenant, (n, sequence)).unwrap_or_default();
            if n > before && sequence < at {
                wrong
                    .push(format!("{} of {} stands before number {before} of the same producer", fact.id, fact.tenant));
            }
        }
        let phantoms = log.values().flatten().filter(|(id, _)| account.rolled_back.contains(id));
        wrong.extend(phantoms.map(|(id, _)| format!("{id} was rolled back and is there")));
    }
    if known != places.len() {
        wrong.push(format!("{} events that nobody committed", places.len().abs_diff(known)));
    }
    (lost, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Fact;
    use crate::settings;

    fn fact(id: &str, sequence: Option<u64>) -> Fact {
        Fact { tenant: "acme", id: id.to_owned(), sequence }
    }

    fn judged(log: &[&str], certain: Vec<Fact>) -> (u64, Vec<String>) {
        let ledger = Ledger::new("shop");
        ledger.account().certain = certain;
        ledger.account().rolled_back = HashSet::from(["shop-9".to_owned()]);
        let events = log.iter().map(|id| ((*id).to_owned(), type_of(id).to_owned())).collect();
        against_ledgers(&Log::from([("acme".to_owned(), events)]), &[Arc::new(ledger)])
    }

    #[test]
    fn the_reckoning_finds_what_it_is_there_to_find() {
        let two = || vec![fact("shop-1", Some(1)), fact("shop-2", None)];
        assert_eq!(judged(&["shop-1", "shop-2"], two()), (0, vec![]));
        for (log, lost, expect) in [
            (vec!["shop-1"], 1, "shop-2 of acme is lost"),
            (vec!["shop-2", "shop-1"], 0, "stands at 2"),
            (vec!["shop-1", "shop-2", "shop-1"], 0, "shop-1 of acme is there twice"),
            (vec!["shop-1", "shop-2", "shop-9"], 0, "shop-9 was rolled back"),
            (vec!["shop-1", "shop-2", "shop-3"], 0, "1 events that nobody committed"),
        ] {
            let (found, wrong) = judged(&log, two());
            assert!(found == lost && wrong.iter().any(|text| text.contains(expect)), "{log:?}: {wrong:?}");
        }
        let (_, wrong) = judged(&["shop-2", "shop-1"], vec![fact("shop-1", None), fact("shop-2", None)]);
        assert_eq!(wrong, ["shop-2 of acme stands before number 1 of the same producer"]);
    }

    #[test]
    fn a_receiver_has_what_the_log_has_under_the_same_sequence() {
        let events: Vec<_> = ["shop-1", "shop-2"].map(|id| (id.to_owned(), type_of(id).to_owned())).into();
        let plan = settings::endpoints().remove(0);
        let judged = |got: &[(&str, u64)]| {
            let mut record = Record::default();
            for (id, sequence) in got {
                let event = serde_json::json!({ "id": id, "type": type_of(id), "sequence": sequence });
                record.take(&plan, &event, Duration::ZERO);
            }
            against_record(&events, plan.wants, &record)
        };
        assert_eq!(judged(&[("shop-1", 1), ("shop-2", 2)]), (0, vec![]));
        assert_eq!(judged(&[("shop-1", 1)]), (1, vec!["never got [2]".to_owned()]));
        let other = "got shop-7 as 2, where the log has shop-2".to_owned();
        assert_eq!(judged(&[("shop-1", 1), ("shop-7", 2)]), (0, vec![other]));
        let beyond = "got shop-3 as 3, which is not in the log".to_owned();
        assert_eq!(judged(&[("shop-1", 1), ("shop-2", 2), ("shop-3", 3)]), (0, vec![beyond]));
    }
}
