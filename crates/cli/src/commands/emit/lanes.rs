//! Several requests at the same time, with the events of one tenant in order: each tenant belongs to one lane, and a
//! lane sends one batch after the other.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use indicatif::ProgressBar;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Many;
use super::lines::{Ids, Input, Line, Read};
use super::post::{Posted, Poster};
use crate::failure::{Exit, Failure};
use crate::term::{Voice, note};

/// Bytes of one request at most, well below what the server takes.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What was done so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) written: u64,
    pub(crate) duplicates: u64,
    pub(crate) refused: u64,
}

/// The lanes and what feeds them.
pub(crate) struct Lanes {
    senders: Vec<mpsc::Sender<Line>>,
    tasks: JoinSet<Option<Failure>>,
    stop: CancellationToken,
    shared: Shared,
}

/// What lanes have in common.
#[derive(Clone)]
struct Shared {
    outcome: Arc<std::sync::Mutex<Outcome>>,
    voice: Voice,
    bar: ProgressBar,
    keep_going: bool,
}

impl Lanes {
    pub(crate) fn start(poster: &Arc<Poster>, many: &Many, voice: Voice, bar: &ProgressBar) -> Self {
        let stop = CancellationToken::new();
        let shared = Shared { outcome: Arc::default(), voice, bar: bar.clone(), keep_going: many.keep_going };
        let (mut senders, mut tasks) = (Vec::new(), JoinSet::new());
        let batch = usize::from(many.batch);
        for _ in 0..many.in_flight {
            // One batch waits while another is on its way.
            let (sender, receiver) = mpsc::channel(batch);
            let lane = Lane { poster: Arc::clone(poster), receiver, batch, stop: stop.clone(), shared: shared.clone() };
            senders.push(sender);
            tasks.spawn(lane.run());
        }
        Self { senders, tasks, stop, shared }
    }

    /// Reads the input to its end and hands each event to its tenant's lane.
    pub(crate) async fn feed(&mut self, mut input: Input, mut ids: Ids) -> Result<(), Failure> {
        loop {
            let read = tokio::select! {
                read = input.next(&mut ids) => read?,
                () = self.stop.cancelled() => return Ok(()),
            };
            match read {
                None => return Ok(()),
                Some(Read::Event { line, tenant }) => {
                    let mut hasher = DefaultHasher::new();
                    tenant.hash(&mut hasher);
                    let lane = usize::try_from(hasher.finish() % self.senders.len() as u64).unwrap_or_default();
                    // A lane that has ended has said why; feeding ends with it.
                    if self.senders[lane].send(line).await.is_err() {
                        return Ok(());
                    }
                }
                Some(Read::Unusable { number, reason, size_bytes }) => {
                    self.shared.refuse(number, &reason);
                    self.shared.bar.inc(size_bytes);
                    if !self.shared.keep_going {
                        self.stop.cancel();
                        return Err(stopped());
                    }
                }
            }
        }
    }

    /// Lets each lane finish the request that it has sent, and no more.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until all lanes are done. Gives the first reason why one of them ended early.
    pub(crate) async fn finish(mut self) -> (Outcome, Option<Failure>) {
        self.senders.clear();
        let mut failure = None;
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended.unwrap_or_else(|error| Some(Failure::failed(format!("a lane broke: {error}"))));
            failure = failure.or(ended);
        }
        let outcome = *self.shared.lock();
        (outcome, failure)
    }
}

struct Lane {
    poster: Arc<Poster>,
    receiver: mpsc::Receiver<Line>,
    batch: usize,
    stop: CancellationToken,
    shared: Shared,
}

impl Lane {
    async fn run(mut self) -> Option<Failure> {
        let mut left_over = None;
        loop {
            let lines = self.collect(&mut left_over).await?;
            let size_bytes: u64 = lines.iter().map(|line| line.size_bytes).sum();
            let (posted, failure) = self.poster.post(lines, !self.shared.keep_going).await;
            let stops = self.shared.count(&posted) && !self.shared.keep_going;
            self.shared.bar.inc(size_bytes);
            let failure = failure.or_else(|| stops.then(stopped));
            if failure.is_some() {
                self.stop.cancel();
                return failure;
            }
        }
    }

    /// What is there, up to a batch; waits for the first line only. Nothing when there will be no more.
    async fn collect(&mut self, left_over: &mut Option<Line>) -> Option<Vec<Line>> {
        if self.stop.is_cancelled() {
            return None;
        }
        let first = match left_over.take() {
            Some(line) => line,
            None => tokio::select! {
                line = self.receiver.recv() => line?,
                () = self.stop.cancelled() => return None,
            },
        };
        let mut size_bytes = first.json.len();
        let mut lines = vec![first];
        while lines.len() < self.batch {
            let Ok(line) = self.receiver.try_recv() else { break };
            size_bytes += line.json.len();
            if size_bytes > BATCH_BYTES_MAX {
                *left_over = Some(line);
                break;
            }
            lines.push(line);
        }
        Some(lines)
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Counts a batch; says whether a line of it was refused.
    fn count(&self, posted: &Posted) -> bool {
        {
            let mut outcome = self.lock();
            outcome.written += posted.written;
            outcome.duplicates += posted.duplicates;
        }
        posted.refused.iter().for_each(|(line, reason)| self.refuse(line.number, reason));
        let outcome = *self.lock();
        self.bar.set_message(format!(
            "{} written, {} there already, {} refused",
            outcome.written, outcome.duplicates, outcome.refused
        ));
        !posted.refused.is_empty()
    }

    /// Reports a refused line.
    fn refuse(&self, number: u64, reason: &str) {
        self.lock().refused += 1;
        let text = if self.voice.json {
            json!({"line": number, "refused": reason}).to_string()
        } else {
            format!("line {number}: {reason}")
        };
        self.bar.suspend(|| note(text));
    }
}

fn stopped() -> Failure {
    Failure::new(
        Exit::Refused,
        "a line was refused; nothing behind it was sent for its tenant (--keep-going leaves such lines out)",
    )
}
