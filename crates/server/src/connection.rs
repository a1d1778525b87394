//! A TCP connection that closes itself when its peer leaves it standing.
//!
//! hyper bounds how long a request's head may take once it knows the protocol. It does not bound how long a peer may
//! take to show which protocol it speaks, nor how long it may leave an answer unread. Both are bounded here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Bytes after which hyper knows whether HTTP/2 is spoken: the length of its preface.
const PREFACE_BYTES: usize = 24;

/// The deadlines of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For the first bytes.
    pub(crate) preface: Duration,
    /// For any progress while something waits to be sent.
    pub(crate) write: Duration,
}

/// A stream under the watch of its deadlines.
pub(crate) struct Watched<S> {
    stream: S,
    patience: Patience,
    received_bytes: usize,
    preface: Option<Pin<Box<Sleep>>>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, patience: Patience) -> Self {
        Self { stream, patience, received_bytes: 0, preface: Some(Box::pin(sleep(patience.preface))), stalled: None }
    }

    /// Lets a write through, or watches how long it is stuck.
    fn watch_write<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stalled = None;
            return write;
        }
        let patience = self.patience.write;
        let deadline = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(timed_out("the peer does not read")))
    }
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.preface.is_none() {
            return read;
        }
        self.received_bytes += buf.filled().len() - before;
        if self.received_bytes >= PREFACE_BYTES {
            self.preface = None;
        } else if read.is_pending()
            && let Some(deadline) = &mut self.preface
        {
            ready!(deadline.as_mut().poll(cx));
            return Poll::Ready(Err(timed_out("the peer sends nothing")));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch_write(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch_write(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch_write(cx, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch_write(cx, shutdown)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const PATIENCE: Patience = Patience { preface: Duration::from_secs(30), write: Duration::from_secs(60) };

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sends_too_little_to_begin_with_is_left() {
        let (mut peer, ours) = tokio::io::duplex(64);
        let mut watched = Watched::new(ours, PATIENCE);
        peer.write_all(b"P").await.expect("a byte sent");
        let mut buffer = [0; 64];
        assert_eq!(watched.read(&mut buffer).await.expect("the byte"), 1);
        let error = watched.read(&mut buffer).await.expect_err("no patience left");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_has_begun_may_be_silent() {
        let (mut peer, ours) = tokio::io::duplex(64);
        let mut watched = Watched::new(ours, PATIENCE);
        peer.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("a request sent");
        let mut buffer = [0; 27];
        watched.read_exact(&mut buffer).await.expect("the request");
        let silence = tokio::time::timeout(Duration::from_secs(3_600), watched.read(&mut buffer)).await;
        assert!(silence.is_err(), "the read still waits: {silence:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_left() {
        let (_peer, ours) = tokio::io::duplex(8);
        let mut watched = Watched::new(ours, PATIENCE);
        let error = watched.write_all(&[0; 64]).await.expect_err("no patience left");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
