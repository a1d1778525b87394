//! One run, from the first process to the report.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::books::Books;
use crate::changes::Changes;
use crate::check::{Witnesses, partitions};
use crate::cluster::{Cluster, SOURCES, START, panics, version};
use crate::faults::{Fault, Planned};
use crate::history::{History, millis};
use crate::inject::Injector;
use crate::ledger::Ledger;
use crate::outside::Outsider;
use crate::owners::busiest;
use crate::producers::{self, Producing};
use crate::readers::{Mode, Reader};
use crate::receiver::Receiver;
use crate::report::{Handover, Report, Verdict};
use crate::schedule::{Field, Schedule, View};
use crate::settings::{self, TENANTS};
use crate::{audit, direct, watch};

const NODES: usize = 3;
/// Producers that commit into each database with an outbox: with one alone no two transactions would be open at once.
const COMMITTERS: u32 = 3;
/// Producers over HTTP.
const POSTERS: usize = 2;
/// Without a fault, at the beginning: nothing may arrive twice then.
const QUIET: Duration = Duration::from_secs(4);
/// How long everybody may take to get everything once the faults are over.
const DRAIN: Duration = Duration::from_secs(420);
/// How long an owner that is killed alone stays away: longer than its partitions take to move.
const ALONE: Duration = Duration::from_secs(9);

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program under test.
    pub binary: PathBuf,
    /// What the faults are drawn from.
    pub seed: u64,
    /// How long faults are made.
    pub lasts: Duration,
    /// Between two transactions or requests of one producer, about.
    pub pace: Duration,
    /// Faults are so much shorter than in a long run, 1 for a long one.
    pub scale: f64,
    /// How often an owner is killed while nothing else is wrong, to measure.
    pub measure_every: Duration,
    /// Where the history and the nodes' logs are kept; a temporary directory that goes with a run that passed by default.
    pub directory: Option<PathBuf>,
}

/// Runs one run.
///
/// # Errors
/// When the processes cannot be started. A broken promise is no error but stands in the report.
pub async fn run(options: Options) -> anyhow::Result<Report> {
    let kept = match &options.directory {
        Some(directory) => {
            std::fs::create_dir_all(directory)?;
            tempfile::Builder::new().prefix(&format!("seed-{}-", options.seed)).tempdir_in(directory)?
        }
        None => tempfile::Builder::new().prefix("tidings-chaos-").tempdir()?,
    };
    let history = Arc::new(History::new(&kept.path().join("history.jsonl"))?);
    let done = Run::begin(options.clone(), Arc::clone(&history), kept.path().to_owned()).await;
    let report = match done {
        Ok(run) => run.go().await,
        Err(error) => Err(error),
    };
    history.flush();
    let passed = report.as_ref().is_ok_and(|report| report.verdict == Verdict::Passed);
    if !passed || options.directory.is_some() {
        history.say(&format!("the history and the nodes' logs are in {}", kept.keep().display()));
    }
    report
}

struct Run {
    options: Options,
    history: Arc<History>,
    injector: Arc<Injector>,
    schedule: Schedule,
    ledgers: Vec<Arc<Ledger>>,
    readers: Vec<Arc<Reader>>,
    outsider: Option<Arc<Outsider>>,
    /// Ends the producers, then the changes of endpoints, then all else.
    stop_producing: CancellationToken,
    stop_changing: CancellationToken,
    stop_reading: CancellationToken,
    producing: JoinSet<()>,
    changing: JoinHandle<()>,
    reading: JoinSet<()>,
    books: JoinHandle<Books>,
}

impl Run {
    /// Starts everything and everybody.
    async fn begin(options: Options, history: Arc<History>, directory: PathBuf) -> anyhow::Result<Self> {
        history.say(&format!("seed {}, {:?}, {}", options.seed, options.lasts, options.binary.display()));
        let cluster = Arc::new(Cluster::prepare(&options.binary, &directory, NODES).await?);
        cluster.start().await?;
        let mut receivers = Vec::new();
        for (no, plan) in settings::endpoints().into_iter().enumerate() {
            receivers.push(Receiver::start(no, plan, Arc::clone(&history)).await?);
        }
        let changes = Changes {
            api: cluster.api.clone(),
            ports: cluster.ports(),
            history: Arc::clone(&history),
            receivers: receivers.clone(),
        };
        changes.create_all().await.context("the endpoints")?;

        let field = Field {
            nodes: NODES,
            receivers: receivers.len(),
            nats: cluster.nats.is_some(),
            disk: cluster.disk.is_some(),
        };
        let (stop_producing, stop_changing, stop_reading) =
            <(CancellationToken, CancellationToken, CancellationToken)>::default();
        let (ledgers, producing) = produce(&options, &history, &cluster, &stop_producing);
        let (readers, mut reading) = read(&options, &history, &cluster, &stop_reading);
        reading.spawn(watch::supervise(Arc::clone(&cluster), Arc::clone(&history), stop_reading.clone()));
        let outsider = cluster.nats.as_ref().map(|nats| Outsider::new(nats.url(), Arc::clone(&history)));
        if let Some(outsider) = &outsider {
            reading.spawn(Arc::clone(outsider).run(stop_reading.clone()));
        }
        let books = watch::books(Arc::clone(&cluster), receivers.clone(), Arc::clone(&history), stop_reading.clone());
        Ok(Self {
            schedule: Schedule::new(options.seed, field, options.scale),
            changing: tokio::spawn(changes.run(options.seed ^ 0xC4A6, stop_changing.clone())),
            books: tokio::spawn(books),
            injector: Arc::new(Injector::new(cluster, receivers, Arc::clone(&history))),
            options,
            history,
            ledgers,
            readers,
            outsider,
            stop_producing,
            stop_changing,
            stop_reading,
            producing,
            reading,
        })
    }

    /// Makes faults, waits until all is quiet, and reckons.
    async fn go(mut self) -> anyhow::Result<Report> {
        tokio::time::sleep(QUIET).await;
        self.make_faults().await;
        self.injector.heal();
        let healed = self.history.now();
        self.history.say("no more faults; waiting until everybody has everything");
        let cluster = Arc::clone(&self.injector.cluster);
        for node in &cluster.nodes {
            if let Err(error) = cluster.ready(node, START).await {
                self.history.broken(format!("{error:#}"));
            }
        }
        self.stop_changing.cancel();
        (&mut self.changing).await?;
        self.stop_producing.cancel();
        while let Some(ended) = self.producing.join_next().await {
            ended?;
        }
        let witnesses = Witnesses {
            cluster: &cluster,
            history: &self.history,
            ledgers: &self.ledgers,
            receivers: &self.injector.receivers,
            readers: &self.readers,
            outsider: self.outsider.as_deref(),
            scale: self.options.scale,
        };
        witnesses.drained(DRAIN).await;
        let drain_s = (self.history.now() - healed).as_secs_f64();
        self.stop_reading.cancel();
        while let Some(ended) = self.reading.join_next().await {
            ended?;
        }
        let mut books = (&mut self.books).await?;
        for node in &cluster.nodes {
            if !node.terminate().await {
                self.history.broken(format!("{} does not end in good order", node.name));
            }
            let panics = panics(&node.log());
            if !panics.is_empty() {
                self.history.broken(format!("{} panicked: {panics:?}", node.name));
            }
        }
        // What came last is on record too, now that the nodes have ended in order.
        let (receivers, url) = (&self.injector.receivers, cluster.log.url());
        direct::within(async { books.look(&mut direct::connect(&url).await?, receivers, &self.history).await }).await?;
        let reckoning = witnesses.reconcile().await?;
        self.report(&cluster, &books, &reckoning, drain_s).await
    }

    async fn make_faults(&mut self) {
        let until = self.history.now() + self.options.lasts;
        let mut next_alone = self.history.now();
        let mut faults = JoinSet::new();
        // Receivers that are away for long trouble nobody else.
        let mut gone = JoinSet::new();
        while self.history.now() < until {
            if self.history.now() >= next_alone {
                join(&self.history, &mut faults).await;
                self.kill_alone().await;
                next_alone = self.history.now() + self.options.measure_every;
            }
            let view = self.view().await;
            if let Some(planned) = self.schedule.next(&view) {
                self.injector.reserve(planned.fault);
                let injector = Arc::clone(&self.injector);
                let of = if matches!(planned.fault, Fault::ReceiverGone(_)) { &mut gone } else { &mut faults };
                of.spawn(async move { injector.inject(planned, false).await });
            }
            tokio::time::sleep(self.schedule.pause()).await;
        }
        join(&self.history, &mut faults).await;
        join(&self.history, &mut gone).await;
    }

    async fn view(&self) -> View {
        let owners = self.injector.owners().await;
        let name = busiest(&owners);
        View {
            hit: self.injector.hit(),
            away: self.injector.away(),
            busiest: name.and_then(|name| self.injector.cluster.nodes.iter().position(|node| node.name == name)),
            database_rested: self.injector.database_rested(),
        }
    }

    /// Kills the owner of most partitions while nothing else is wrong.
    async fn kill_alone(&self) {
        let cluster = &self.injector.cluster;
        for node in &cluster.nodes {
            // Told already where it is not so.
            let _ = cluster.ready(node, START).await;
        }
        // Whatever moved because of the last fault has moved by then.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let until = self.history.now() + START;
        let node = loop {
            if let Some(node) = self.view().await.busiest {
                break node;
            }
            if self.history.now() > until {
                return self.history.broken("nobody owns anything, or the database does not say who".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let planned = Planned { fault: Fault::Kill(node), lasts: ALONE };
        self.injector.reserve(planned.fault);
        self.injector.inject(planned, true).await;
    }

    async fn report(
        &self,
        cluster: &Cluster,
        books: &Books,
        reckoning: &crate::check::Reckoning,
        drain_s: f64,
    ) -> anyhow::Result<Report> {
        let (claims, stale, partitions) = direct::within(async {
            let client = direct::connect(&cluster.log.url()).await?;
            let (claims, stale) = (audit::claims(&client).await?, audit::stale(&client, 0).await?);
            Ok((claims, stale.len(), partitions(&client).await?))
        })
        .await?;
        let counts = self.injector.receivers.iter().map(|receiver| {
            let record = receiver.record();
            (record.accepted.len() as u64, record.repeats.len() as u64)
        });
        let counts: Vec<(u64, u64)> = counts.collect();
        let (faults, without_effect) = self.history.counts();
        let (broken, violations) = self.history.violations();
        let (handover_ms, handover_beside_faults_ms, redelivery_ms) = self.handovers(&partitions);
        let heard = self.outsider.as_ref().map(|outsider| outsider.heard());
        let report = Report {
            version: version(&self.options.binary)?,
            minutes: self.options.lasts.as_secs_f64() / 60.0,
            seed: self.options.seed,
            faults_total: faults.values().sum(),
            faults,
            without_effect,
            nodes: cluster.nodes.len(),
            nats: cluster.nats.is_some(),
            disk: cluster.disk.is_some(),
            events_accepted: reckoning.accepted,
            log_events: reckoning.log,
            deliveries: counts.iter().map(|(deliveries, _)| deliveries).sum(),
            duplicates: counts.iter().map(|(_, repeats)| repeats).sum(),
            duplicates_of_one_receiver: counts.iter().map(|(_, repeats)| *repeats).max().unwrap_or(0),
            dead_letters: reckoning.dead_letters,
            bus_messages: heard.as_ref().map_or(0, |heard| heard.messages),
            bus_held: heard.as_ref().map_or(0, |heard| heard.held),
            read: self.readers.iter().map(|reader| reader.read().events.len() as u64).sum(),
            reader_connections: self.readers.iter().map(|reader| reader.read().connections).sum(),
            producer_retries: self.ledgers.iter().map(|ledger| ledger.account().retries).sum(),
            lost: reckoning.lost,
            out_of_order: reckoning.out_of_order,
            paused_owners: self.injector.paused_owners(),
            stale_writes: stale as u64,
            claims: claims.cast_unsigned(),
            handover_ms,
            handover_beside_faults_ms,
            redelivery_ms,
            looks: books.looks,
            restarts: cluster.nodes.iter().map(|node| node.ended()).sum(),
            drain_s,
            broken,
            violations,
            verdict: if broken == 0 { Verdict::Passed } else { Verdict::Failed },
        };
        self.history.note("report", json!(report));
        Ok(report)
    }

    /// How long hand-overs took without other faults and beside them, and without them until the first delivery.
    fn handovers(&self, partitions: &HashMap<String, i32>) -> (Handover, Handover, Handover) {
        let moves = self.injector.moves();
        let times = |alone: bool| {
            let of = moves.iter().filter(|moved| moved.alone == alone);
            Handover::of(of.map(|moved| millis(moved.claimed - moved.killed)).collect())
        };
        let receivers = &self.injector.receivers;
        let first_delivery = |partition: i32, after: Duration| {
            let of = receivers.iter().filter(|receiver| partitions.get(receiver.plan.tenant) == Some(&partition));
            of.filter_map(|receiver| receiver.record().accepted.iter().copied().find(|at| *at >= after)).min()
        };
        let redelivery = moves
            .iter()
            .filter(|moved| moved.alone && !moved.returned)
            .filter_map(|moved| first_delivery(moved.partition, moved.claimed).map(|at| millis(at - moved.killed)));
        (times(true), times(false), Handover::of(redelivery.collect()))
    }
}

/// Waits for all tasks of a set.
async fn join(history: &History, tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            history.broken(format!("a fault could not be made: {error}"));
        }
    }
}

fn produce(
    options: &Options,
    history: &Arc<History>,
    cluster: &Arc<Cluster>,
    stop: &CancellationToken,
) -> (Vec<Arc<Ledger>>, JoinSet<()>) {
    let (mut ledgers, mut tasks) = (Vec::new(), JoinSet::new());
    let mut producing = |name: &str, pace: Duration| {
        let ledger = Arc::new(Ledger::new(name));
        ledgers.push(Arc::clone(&ledger));
        let (history, stop) = (Arc::clone(history), stop.clone());
        Producing { history, ledger, pace, stop, seed: options.seed }
    };
    for (name, database) in SOURCES.iter().zip(&cluster.sources) {
        for no in 1..=COMMITTERS {
            let producing = producing(&format!("{name}.{no}"), options.pace * COMMITTERS);
            tasks.spawn(producers::into_outbox(producing, database.url()));
        }
    }
    for no in 1..=POSTERS {
        let producing = producing(&format!("poster{no}"), options.pace);
        tasks.spawn(producers::over_http(producing, cluster.api.clone(), cluster.ports()));
    }
    (ledgers, tasks)
}

fn read(
    options: &Options,
    history: &Arc<History>,
    cluster: &Arc<Cluster>,
    stop: &CancellationToken,
) -> (Vec<Arc<Reader>>, JoinSet<()>) {
    let live = TENANTS.iter().map(|tenant| (*tenant, Mode::Live));
    let carts = TENANTS[..2].iter().map(|tenant| (*tenant, Mode::Carts));
    let (mut readers, mut tasks) = (Vec::new(), JoinSet::new());
    for ((tenant, mode), no) in live.chain(carts).zip(1..) {
        let reader = Reader::new(tenant, mode, cluster.api.clone(), cluster.ports(), Arc::clone(history));
        readers.push(Arc::clone(&reader));
        tasks.spawn(reader.run(options.seed.wrapping_add(no), stop.clone()));
    }
    (readers, tasks)
}
