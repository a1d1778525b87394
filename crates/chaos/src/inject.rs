//! Makes faults and takes them back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tidings_testkit::Postgres;

use crate::cluster::{Cluster, START};
use crate::faults::{Fault, How, Link, Planned};
use crate::handover::{self, Move};
use crate::history::History;
use crate::node::State;
use crate::owners::{Owner, owners};
use crate::proxy::{Flow, Proxy};
use crate::receiver::Receiver;
use crate::{direct, nats};

/// How long a delayed chunk waits.
const DELAY: Duration = Duration::from_millis(120);
/// Bytes that pass before a reset.
const RESET_AFTER: usize = 200;
/// A slow database goes on for the first and stands still for the second, in turns.
const SLOW: (Duration, Duration) = (Duration::from_millis(30), Duration::from_millis(170));
/// Time that the database gets after a fault that hit it as a whole.
const REST: Duration = Duration::from_secs(6);
/// The lease's default.
const LEASE: Duration = Duration::from_secs(3);

/// What makes faults, and what it has seen meanwhile.
pub(crate) struct Injector {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) receivers: Vec<Arc<Receiver>>,
    pub(crate) history: Arc<History>,
    hit: Mutex<HashSet<String>>,
    moves: Mutex<Vec<Move>>,
    database_rests_until: Mutex<Duration>,
    /// Owners that stood still for longer than their lease, and lost partitions meanwhile.
    paused_owners: Mutex<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Injector {
    pub(crate) fn new(cluster: Arc<Cluster>, receivers: Vec<Arc<Receiver>>, history: Arc<History>) -> Self {
        Self {
            cluster,
            receivers,
            history,
            hit: Mutex::default(),
            moves: Mutex::default(),
            database_rests_until: Mutex::default(),
            paused_owners: Mutex::default(),
        }
    }

    pub(crate) fn hit(&self) -> HashSet<String> {
        lock(&self.hit).clone()
    }

    pub(crate) fn moves(&self) -> Vec<Move> {
        lock(&self.moves).clone()
    }

    pub(crate) fn paused_owners(&self) -> u64 {
        *lock(&self.paused_owners)
    }

    pub(crate) fn database_rested(&self) -> bool {
        self.history.now() >= *lock(&self.database_rests_until)
    }

    /// Nodes that are away at the moment.
    pub(crate) fn away(&self) -> usize {
        let away = self.cluster.nodes.iter().filter(|node| node.state() != State::Up).count();
        away.max(lock(&self.hit).iter().filter(|hit| hit.starts_with("node ")).count())
    }

    /// Who owns what, where the database says so at once.
    pub(crate) async fn owners(&self) -> Vec<Owner> {
        let url = self.cluster.log.url();
        let asked = async { owners(&direct::connect(&url).await?).await };
        match tokio::time::timeout(Duration::from_secs(1), asked).await {
            Ok(Ok(owners)) => owners,
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }

    /// Marks what a fault hits, so that nothing else hits it before the fault is over.
    pub(crate) fn reserve(&self, fault: Fault) {
        lock(&self.hit).insert(fault.hits());
    }

    /// One fault from its beginning to its end. `alone` says that no other is there. What makes one returns whether it
    /// met anything that it could break.
    pub(crate) async fn inject(&self, planned: Planned, alone: bool) {
        let Planned { fault, lasts } = planned;
        let kind = fault.to_string();
        let details = json!({ "fault": format!("{fault:?}"), "lasts_ms": lasts.as_millis() });
        let no = self.history.begin(fault, &details);
        let done = match fault {
            Fault::Kill(node) => self.kill(node, lasts, alone).await,
            Fault::Terminate(node) => self.terminate(node, lasts).await,
            Fault::Pause(node) => self.pause(node, lasts).await,
            Fault::Link(link, how) => self.break_link(link, how, lasts).await,
            Fault::ReceiverGone(no) => self.break_link(Link::Receiver(no), How::Cut, lasts).await,
            Fault::NatsKill | Fault::NatsPause | Fault::NatsWipe | Fault::NatsPurge => self.nats(fault, lasts).await,
            Fault::BackendKill | Fault::BackendsTerminate => self.backends(fault).await,
            Fault::PostgresRestart
            | Fault::PostgresCrash
            | Fault::PostgresStall
            | Fault::PostgresSlow
            | Fault::DiskFull => self.postgres(fault, lasts).await,
        };
        let acted = done.unwrap_or_else(|error| {
            self.history.broken(format!("after {kind}: {error:#}"));
            true
        });
        if fault.hits() == "postgres" {
            *lock(&self.database_rests_until) = self.history.now() + REST;
        }
        self.history.end(no, acted);
        lock(&self.hit).remove(&fault.hits());
    }

    async fn kill(&self, no: usize, down: Duration, alone: bool) -> anyhow::Result<bool> {
        let node = &self.cluster.nodes[no];
        let mut had = self.owned(&node.name).await;
        let patience = self.history.now() + START;
        while alone && had.is_empty() {
            if self.history.now() > patience {
                self.history.broken(format!("{} is to be killed alone and owns nothing", node.name));
                break;
            }
            had = self.owned(&node.name).await;
        }
        let ran = node.kill9();
        let killed = self.history.now();
        self.history.note("killed", json!({ "node": node.name, "owned": had.len(), "ran": ran }));
        let url = self.cluster.log.url();
        let (moves, back) = tokio::join!(handover::follow(&self.history, &url, killed, &had, alone), async {
            tokio::time::sleep(down).await;
            node.start()?;
            self.cluster.ready(node, START).await
        });
        lock(&self.moves).extend(moves);
        back.map(|()| ran)
    }

    async fn owned(&self, node: &str) -> Vec<Owner> {
        self.owners().await.into_iter().filter(|owner| owner.node.as_deref() == Some(node)).collect()
    }

    async fn terminate(&self, no: usize, down: Duration) -> anyhow::Result<bool> {
        let node = &self.cluster.nodes[no];
        let ran = node.runs();
        let in_order = node.terminate().await;
        self.history.note("terminated", json!({ "node": node.name, "in_order": in_order }));
        tokio::time::sleep(down).await;
        node.start()?;
        self.cluster.ready(node, START).await.map(|()| ran)
    }

    async fn pause(&self, no: usize, lasts: Duration) -> anyhow::Result<bool> {
        let node = &self.cluster.nodes[no];
        let had = self.owned(&node.name).await;
        let ran = node.pause(true);
        tokio::time::sleep(lasts).await;
        let lost = if lasts > LEASE {
            let now = self.owners().await;
            had.iter()
                .filter(|had| now.iter().any(|now| now.partition == had.partition && now.epoch > had.epoch))
                .count()
        } else {
            0
        };
        node.pause(false);
        *lock(&self.paused_owners) += u64::from(lost > 0);
        self.history.note("woken", json!({ "node": node.name, "had": had.len(), "lost": lost }));
        self.cluster.ready(node, START).await.map(|()| ran)
    }

    async fn break_link(&self, link: Link, how: How, lasts: Duration) -> anyhow::Result<bool> {
        let proxy: &Proxy = match link {
            Link::Postgres(no) => &self.cluster.to_postgres[no],
            Link::Nats(no) => &self.cluster.to_nats[no],
            Link::Api(no) => &self.cluster.to_api[no],
            Link::Receiver(no) => &self.receivers[no].proxy,
            Link::Egress => &self.cluster.egress,
        };
        let before = proxy.acted();
        match how {
            How::Cut => proxy.cut(),
            How::Blackhole => proxy.flow(Flow::Held, Flow::Held),
            How::HeldUp => proxy.flow(Flow::Held, Flow::Open),
            How::HeldDown => proxy.flow(Flow::Open, Flow::Held),
            How::Delay => proxy.flow(Flow::Delayed(DELAY), Flow::Delayed(DELAY)),
            How::Trickle => proxy.flow(Flow::Trickle, Flow::Trickle),
            How::Reset => proxy.flow(Flow::Open, Flow::ResetAfter(RESET_AFTER)),
        }
        tokio::time::sleep(lasts).await;
        proxy.heal();
        Ok(proxy.acted() > before)
    }

    async fn nats(&self, fault: Fault, lasts: Duration) -> anyhow::Result<bool> {
        let Some(nats) = &self.cluster.nats else { return Ok(false) };
        match fault {
            Fault::NatsPause => {
                nats.freeze();
                tokio::time::sleep(lasts).await;
                nats.thaw();
            }
            Fault::NatsPurge => {
                // It may not answer while it starts; then there is nothing to purge.
                let purged = nats::purge(nats).await.unwrap_or(0);
                self.history.note("purged", json!({ "streams": purged }));
                return Ok(purged > 0);
            }
            _ => {
                nats.kill9();
                if fault == Fault::NatsWipe {
                    nats.wipe();
                }
                tokio::time::sleep(lasts).await;
                let nats = Arc::clone(nats);
                tokio::task::spawn_blocking(move || nats.restart()).await?;
            }
        }
        Ok(true)
    }

    /// Backends of the nodes' connections.
    async fn backends(&self, fault: Fault) -> anyhow::Result<bool> {
        let url = self.cluster.postgres.url().to_owned();
        let sql = "select pid from pg_stat_activity where application_name like 'node-%' order by random() limit 6";
        let pids = direct::until_done(START, || async {
            let rows = direct::connect(&url).await?.query(sql, &[]).await?;
            Ok(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>())
        })
        .await?;
        let (signal, count) = if fault == Fault::BackendKill { (Signal::KILL, 1) } else { (Signal::TERM, 6) };
        let pids = pids.into_iter().take(count).filter_map(Pid::from_raw);
        let killed = pids.filter(|pid| kill_process(*pid, signal).is_ok()).count();
        self.database_is_back().await.map(|()| killed > 0)
    }

    async fn database_is_back(&self) -> anyhow::Result<()> {
        direct::answers(self.cluster.postgres.url(), START).await
    }

    async fn postgres(&self, fault: Fault, lasts: Duration) -> anyhow::Result<bool> {
        let postgres = &self.cluster.postgres;
        let mut acted = true;
        match fault {
            Fault::PostgresRestart => self.blocking(Postgres::stop).await?,
            Fault::PostgresCrash => self.blocking(Postgres::kill9).await?,
            Fault::PostgresStall => {
                postgres.freeze();
                tokio::time::sleep(lasts).await;
                postgres.thaw();
            }
            Fault::PostgresSlow => {
                let until = self.history.now() + lasts;
                while self.history.now() < until {
                    postgres.freeze();
                    tokio::time::sleep(SLOW.1).await;
                    postgres.thaw();
                    tokio::time::sleep(SLOW.0).await;
                }
            }
            _ => acted = self.disk_full(lasts).await?,
        }
        if matches!(fault, Fault::PostgresRestart | Fault::PostgresCrash) {
            tokio::time::sleep(lasts).await;
            self.blocking(Postgres::restart).await?;
        }
        self.database_is_back().await.map(|()| acted)
    }

    /// Fills the disk for a while; it acted where PostgreSQL found no room.
    async fn disk_full(&self, lasts: Duration) -> anyhow::Result<bool> {
        let postgres = &self.cluster.postgres;
        let (Some(disk), Some(output)) = (&self.cluster.disk, postgres.output()) else { return Ok(false) };
        let from = output.lines();
        disk.fill()?;
        tokio::time::sleep(lasts).await;
        disk.free();
        // Without room for its write-ahead log it ends, and is started again like any service.
        if direct::answers(postgres.url(), Duration::from_secs(8)).await.is_err() {
            self.blocking(Postgres::kill9).await?;
            self.blocking(Postgres::restart).await?;
        }
        Ok(output.says(from, "No space left on device"))
    }

    async fn blocking(&self, act: fn(&Postgres)) -> anyhow::Result<()> {
        let postgres = Arc::clone(&self.cluster.postgres);
        Ok(tokio::task::spawn_blocking(move || act(&postgres)).await?)
    }

    /// Takes back whatever is left of faults.
    pub(crate) fn heal(&self) {
        let cluster = &self.cluster;
        let nodes = cluster.to_postgres.iter().chain(&cluster.to_nats).chain(&cluster.to_api);
        let all = nodes.chain(self.receivers.iter().map(|receiver| &receiver.proxy)).chain([&cluster.egress]);
        all.for_each(Proxy::heal);
    }
}
