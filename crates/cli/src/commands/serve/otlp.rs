//! Sends spans to an OpenTelemetry collector: OTLP over HTTP, in protobuf.
//!
//! The message is written by hand ([`encode`]): it is one page of code instead of a tree of crates, and it takes the
//! engine's spans as they are. Spans wait in one bounded queue. Where the collector is slow or gone the queue is full,
//! and what finds no room is dropped and counted: nothing else ever waits for it.

mod encode;
mod send;
mod settings;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{Counter, counter};
use tidings_engine::trace::{Span, SpanSink, Tracer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use self::send::Collector;
use self::settings::Settings;
use super::measures::{SPANS_DROPPED, SPANS_EXPORTED};
use crate::config::layer::Layers;
use crate::failure::Failure;

/// Spans that may wait.
const QUEUE_SPANS: usize = 16_384;
/// Spans that one request carries at most.
const BATCH_SPANS: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long the last spans may take when the server stops.
const FLUSH_MAX: Duration = Duration::from_secs(3);

/// The end of the queue that spans are put into.
struct Queue {
    spans: mpsc::Sender<Span>,
    dropped: Counter,
    /// Whether the last span found no room, so that this is told once.
    full: AtomicBool,
}

impl SpanSink for Queue {
    fn submit(&self, span: Span) {
        match self.spans.try_send(span) {
            Ok(()) => {
                // A look that mostly finds nothing costs less than a write that is shared by all threads.
                if self.full.load(Ordering::Relaxed) {
                    self.full.store(false, Ordering::Relaxed);
                }
            }
            Err(_) => {
                self.dropped.increment(1);
                if !self.full.swap(true, Ordering::Relaxed) {
                    tracing::warn!("spans are dropped: the collector takes fewer than there are");
                }
            }
        }
    }
}

/// What sends spans, while the server runs.
pub(super) struct Exporter {
    ending: CancellationToken,
    task: JoinHandle<()>,
}

/// The tracer that the settings ask for, and what sends its spans; a tracer that is off where they name no collector.
pub(super) fn start(layers: &Layers) -> Result<(Tracer, Option<Exporter>), Failure> {
    let Some(settings) = Settings::read(layers)? else { return Ok((Tracer::default(), None)) };
    let collector = Collector::new(&settings)?;
    let (sender, spans) = mpsc::channel(QUEUE_SPANS);
    let queue = Queue {
        spans: sender,
        dropped: counter!(SPANS_DROPPED, "reason" => "queue_full"),
        full: AtomicBool::new(false),
    };
    let ending = CancellationToken::new();
    let task = tokio::spawn(run(spans, collector, ending.clone()));
    tracing::info!(endpoint = settings.endpoint_shown(), sampler = settings.sampler_name, "traces are exported");
    Ok((Tracer::new(settings.sampler, queue), Some(Exporter { ending, task })))
}

impl Exporter {
    /// Sends what waits, for a bounded time, and ends.
    pub(super) async fn finish(self) {
        self.ending.cancel();
        // A panic of the task was told where it happened.
        let _ended = self.task.await;
    }
}

async fn run(mut spans: mpsc::Receiver<Span>, mut collector: Collector, ending: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH_SPANS);
    while let Some(Some(first)) = ending.run_until_cancelled(spans.recv()).await {
        batch.push(first);
        gather(&mut spans, &mut batch, &ending).await;
        export(&mut collector, &mut batch, &ending).await;
    }
    let flush = async {
        loop {
            while batch.len() < BATCH_SPANS
                && let Ok(span) = spans.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            export(&mut collector, &mut batch, &CancellationToken::new()).await;
        }
    };
    let _unfinished = timeout(FLUSH_MAX, flush).await;
}

/// Waits a moment for more spans, so that a request carries many.
async fn gather(spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>, ending: &CancellationToken) {
    let until = Instant::now() + GATHER;
    let more =
        async { while batch.len() < BATCH_SPANS && spans.recv_many(batch, BATCH_SPANS - batch.len()).await > 0 {} };
    let _full_or_due = timeout_at(until, ending.run_until_cancelled(more)).await;
}

async fn export(collector: &mut Collector, batch: &mut Vec<Span>, ending: &CancellationToken) {
    let count = batch.len() as u64;
    let body = collector.encode(batch);
    batch.clear();
    match collector.send(body, ending).await {
        Ok(rejected) => {
            let rejected = rejected.min(count);
            counter!(SPANS_EXPORTED).increment(count - rejected);
            if rejected > 0 {
                counter!(SPANS_DROPPED, "reason" => "refused").increment(rejected);
            }
        }
        Err(reason) => counter!(SPANS_DROPPED, "reason" => reason).increment(count),
    }
}
