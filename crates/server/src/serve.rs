//! Takes connections, and lets them go in good order.

use std::io;
use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tidings_engine::Engine;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ServerOptions;
use crate::connection::{Patience, Watched};
use crate::limits::{
    CONNECTION_REQUESTS_MAX, CONNECTION_UNREAD_BYTES_MAX, CONNECTIONS_MAX, DRAIN_ON_SHUTDOWN_TIMEOUT, HEAD_BYTES_MAX,
    HEAD_TIMEOUT, HEADERS_MAX, REQUEST_UNREAD_BYTES_MAX, WRITE_STALL_TIMEOUT,
};
use crate::telemetry::HTTP_CONNECTIONS;

/// How often the metrics recorder folds what was counted into its buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How often the metrics are told whether the node is ready.
const HEALTH_INTERVAL: Duration = Duration::from_secs(15);
/// What an accept that failed for want of resources waits before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Bytes of answers that one HTTP/2 stream may have waiting to be sent.
const STREAM_SEND_BYTES_MAX: usize = 64 * 1024;

/// Serves the HTTP API on a listener until `shutdown` resolves; then takes no more connections, ends streams with their
/// last cursor, finishes the requests under way for a bounded time and returns.
///
/// The engine is left running: whoever started it shuts it down after this returns.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (router, app) = crate::build(engine, options, crate::admission::Bounds::default());
    let server = Server {
        builder: protocol(),
        service: TowerToHyperService::new(router),
        graceful: GracefulShutdown::new(),
        tasks: TaskTracker::new(),
        abandon: CancellationToken::new(),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut upkeep = tokio::time::interval(UPKEEP_INTERVAL);
    let mut health = tokio::time::interval(HEALTH_INTERVAL);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            _ = upkeep.tick() => app.metrics.run_upkeep(),
            _ = health.tick() => {
                let engine = app.engine.clone();
                // It tells the metrics what it finds.
                server.tasks.spawn(async move { drop(engine.health().await) });
            }
            accepted = accept(&listener, &places) => match accepted {
                Ok((stream, place)) => server.spawn(stream, place),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    app.closing.cancel();
    server.finish().await;
    Ok(())
}

/// The next connection. While all places are taken, connections wait in the kernel's backlog.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

struct Server {
    builder: Builder<TokioExecutor>,
    service: TowerToHyperService<axum::Router>,
    graceful: GracefulShutdown,
    tasks: TaskTracker,
    /// Cancelled when requests under way have had their time.
    abandon: CancellationToken,
}

impl Server {
    fn spawn(&self, stream: TcpStream, place: OwnedSemaphorePermit) {
        // Answers are written whole, so there is nothing for Nagle's algorithm to gather. Where it cannot be switched
        // off the peer has gone already, which the first read will tell.
        let _ = stream.set_nodelay(true);
        let patience = Patience { preface: HEAD_TIMEOUT, write: WRITE_STALL_TIMEOUT };
        let io = TokioIo::new(Watched::new(stream, patience));
        let connection = self.builder.serve_connection(io, self.service.clone()).into_owned();
        let connection = self.graceful.watch(connection);
        let abandon = self.abandon.clone();
        self.tasks.spawn(async move {
            let gauge = metrics::gauge!(HTTP_CONNECTIONS);
            gauge.increment(1.0);
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(error, "a connection ended early");
                },
                () = abandon.cancelled() => {}
            }
            gauge.decrement(1.0);
            drop(place);
        });
    }

    async fn finish(self) {
        self.tasks.close();
        tokio::select! {
            () = self.graceful.shutdown() => {}
            () = sleep(DRAIN_ON_SHUTDOWN_TIMEOUT) => {
                tracing::warn!(connections = self.tasks.len(), "requests under way were abandoned at shutdown");
                self.abandon.cancel();
            }
        }
        self.tasks.wait().await;
    }
}

/// HTTP/1.1 and HTTP/2 without TLS, by what the peer begins with.
fn protocol() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(CONNECTION_REQUESTS_MAX)
        .initial_stream_window_size(REQUEST_UNREAD_BYTES_MAX)
        .initial_connection_window_size(CONNECTION_UNREAD_BYTES_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_send_buf_size(STREAM_SEND_BYTES_MAX)
        .keep_alive_interval(HEAD_TIMEOUT)
        .keep_alive_timeout(HEAD_TIMEOUT);
    builder
}
