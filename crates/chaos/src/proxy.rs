//! A TCP proxy whose connections can be broken in every way while it runs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// The longest head of a request for a tunnel.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// What a trickle lets through at once, and how often.
const TRICKLE: (usize, Duration) = (64, Duration::from_millis(20));

/// What becomes of the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Flow {
    Open,
    /// They wait, and go on when the flow is open again: what a network does that lost its route for a while.
    Held,
    /// Each chunk waits so long.
    Delayed(Duration),
    /// A few bytes at a time.
    Trickle,
    /// The connection is reset after so many bytes more.
    ResetAfter(usize),
}

/// What a proxy does at the moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rules {
    /// Whether connections are refused.
    pub(crate) refuses: bool,
    /// From the client to the server.
    pub(crate) up: Flow,
    /// From the server to the client.
    pub(crate) down: Flow,
    /// Connections that were made under an earlier number are reset.
    cut: u64,
}

const OPEN: Rules = Rules { refuses: false, up: Flow::Open, down: Flow::Open, cut: 0 };

/// A proxy on a port of its own; it ends with this handle.
pub(crate) struct Proxy {
    port: u16,
    rules: watch::Sender<Rules>,
    acted: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

/// Where connections go.
#[derive(Clone, Copy)]
enum Upstream {
    Fixed(SocketAddr),
    /// Where each asks to go (`CONNECT`).
    Asked,
}

impl Proxy {
    /// A proxy to one server.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        Self::start(Upstream::Fixed(server)).await
    }

    /// A proxy that its clients tell where to go, with `CONNECT`.
    pub(crate) async fn tunnel() -> Self {
        Self::start(Upstream::Asked).await
    }

    async fn start(upstream: Upstream) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("127.0.0.1 has a free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let (rules, follow) = watch::channel(OPEN);
        let acted = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&acted);
        let task = tokio::spawn(async move {
            loop {
                // Out of descriptors, for example: the next one may be lucky.
                let Ok((client, _)) = listener.accept().await else { continue };
                tokio::spawn(serve(client, upstream, follow.clone(), Arc::clone(&counter)));
            }
        });
        Self { port, rules, acted, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How often a rule met a connection or bytes that it held back, slowed down, refused or reset.
    pub(crate) fn acted(&self) -> u64 {
        self.acted.load(Ordering::Relaxed)
    }

    /// Sets what becomes of the bytes of both directions from now on.
    pub(crate) fn flow(&self, up: Flow, down: Flow) {
        self.rules.send_modify(|rules| (rules.up, rules.down) = (up, down));
    }

    /// Resets every connection, and those to come until [`Proxy::heal`].
    pub(crate) fn cut(&self) {
        self.rules.send_modify(|rules| (rules.refuses, rules.cut) = (true, rules.cut + 1));
    }

    /// Lets everything through again. What was held goes on; what was reset stays so.
    pub(crate) fn heal(&self) {
        self.rules.send_modify(|rules| *rules = Rules { cut: rules.cut, ..OPEN });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: TcpStream, upstream: Upstream, mut rules: watch::Receiver<Rules>, acted: Arc<AtomicU64>) {
    let now = *rules.borrow();
    let _ = client.set_nodelay(true);
    let mut server = match connected(&mut client, upstream, now.refuses).await {
        Ok(server) => server,
        Err(_) => {
            acted.fetch_add(u64::from(now.refuses), Ordering::Relaxed);
            // A reset, not an orderly end: the client must not take it for an answer that was empty.
            let _ = client.set_zero_linger();
            return;
        }
    };
    let _ = server.set_nodelay(true);
    let (mut up, mut down) = (rules.clone(), rules.clone());
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let both = async {
        tokio::try_join!(
            pump(client_read, server_write, &mut up, &acted, |rules| rules.up),
            pump(server_read, client_write, &mut down, &acted, |rules| rules.down),
        )
    };
    let ended = tokio::select! {
        biased;
        _ = rules.wait_for(|rules| rules.cut != now.cut) => {
            acted.fetch_add(1, Ordering::Relaxed);
            false
        }
        ended = both => ended.is_ok(),
    };
    if !ended {
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

/// The connection to where a client's connection goes.
async fn connected(client: &mut TcpStream, upstream: Upstream, refuses: bool) -> io::Result<TcpStream> {
    let address = match upstream {
        _ if refuses => return Err(io::ErrorKind::ConnectionRefused.into()),
        Upstream::Fixed(address) => address,
        Upstream::Asked => asked(client).await?,
    };
    let server = TcpStream::connect(address).await?;
    if matches!(upstream, Upstream::Asked) {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    }
    Ok(server)
}

/// Reads where a client wants to go.
async fn asked(client: &mut TcpStream) -> io::Result<SocketAddr> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(client.read_u8().await?);
    }
    let target = head.strip_prefix(b"CONNECT ").and_then(|rest| rest.split(|byte| *byte == b' ').next());
    let target = target.and_then(|target| std::str::from_utf8(target).ok()?.parse().ok());
    target.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Moves bytes of one direction as the rules of the moment say, to the end of the stream.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    rules: &mut watch::Receiver<Rules>,
    acted: &AtomicU64,
    pick: impl Fn(&Rules) -> Flow,
) -> io::Result<()> {
    let gone = |_| io::Error::from(io::ErrorKind::ConnectionAborted);
    let mut chunk = vec![0; CHUNK];
    let mut moved = 0;
    loop {
        let held = pick(&rules.borrow()) == Flow::Held;
        if held {
            // Only what waits to go through is held up.
            let mut byte = [0];
            tokio::select! {
                biased;
                open = async { rules.wait_for(|rules| pick(rules) != Flow::Held).await.map(drop) } => open.map_err(gone)?,
                waiting = from.peek(&mut byte) => {
                    waiting?;
                    acted.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        rules.wait_for(|rules| pick(rules) != Flow::Held).await.map_err(gone)?;
        let read = tokio::select! {
            biased;
            changed = rules.changed() => {
                changed.map_err(gone)?;
                moved = 0;
                continue;
            }
            read = from.read(&mut chunk) => read?,
        };
        if read == 0 {
            return to.shutdown().await;
        }
        let flow = pick(&rules.borrow());
        acted.fetch_add(u64::from(matches!(flow, Flow::Held | Flow::Delayed(_) | Flow::Trickle)), Ordering::Relaxed);
        match flow {
            Flow::Open | Flow::Held => {}
            Flow::Delayed(time) => tokio::time::sleep(time).await,
            Flow::Trickle => {
                let (last, first) = (read % TRICKLE.0, read - read % TRICKLE.0);
                for piece in chunk[..first].chunks(TRICKLE.0).chain([&chunk[first..first + last]]) {
                    // The rest goes at once when the trickle ends.
                    if pick(&rules.borrow()) == Flow::Trickle {
                        tokio::time::sleep(TRICKLE.1).await;
                    }
                    to.write_all(piece).await?;
                }
                continue;
            }
            Flow::ResetAfter(bytes) => {
                let left = bytes.saturating_sub(moved);
                moved += read;
                if left < read {
                    acted.fetch_add(1, Ordering::Relaxed);
                    to.write_all(&chunk[..left]).await?;
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
            }
        }
        rules.wait_for(|rules| pick(rules) != Flow::Held).await.map_err(gone)?;
        to.write_all(&chunk[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that gives back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    async fn said(stream: &mut TcpStream, text: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(text).await?;
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await?;
        Ok(back)
    }

    async fn through(proxy: &Proxy) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_held_goes_on_and_what_is_cut_is_reset() {
        let proxy = Proxy::to(echo().await).await;
        let mut stream = through(&proxy).await;
        assert_eq!(said(&mut stream, b"one").await.unwrap(), b"one");
        assert_eq!(proxy.acted(), 0);

        for (up, down) in [(Flow::Held, Flow::Open), (Flow::Open, Flow::Held), (Flow::Trickle, Flow::Trickle)] {
            let acted = proxy.acted();
            proxy.flow(up, down);
            stream.write_all(b"two").await.unwrap();
            if up != Flow::Trickle {
                let mut byte = [0];
                let waited = tokio::time::timeout(Duration::from_millis(50), stream.peek(&mut byte)).await;
                assert!(waited.is_err(), "nothing comes through");
                assert!(proxy.acted() > acted, "{up:?} and {down:?} met something");
            }
            proxy.heal();
            let mut back = [0; 3];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, b"two");
        }

        proxy.cut();
        assert!(stream.read_u8().await.is_err(), "an open connection is reset");
        let refused = async { said(&mut TcpStream::connect(("127.0.0.1", proxy.port())).await?, b"x").await };
        assert!(refused.await.is_err(), "a new one too");
        proxy.heal();
        assert_eq!(said(&mut through(&proxy).await, b"three").await.unwrap(), b"three");
    }

    #[tokio::test]
    async fn a_reset_in_the_middle_lets_the_first_bytes_through() {
        let proxy = Proxy::to(echo().await).await;
        proxy.flow(Flow::Open, Flow::ResetAfter(4));
        let mut stream = through(&proxy).await;
        stream.write_all(b"0123456789").await.unwrap();
        let mut back = Vec::new();
        assert!(stream.read_to_end(&mut back).await.is_err());
        assert!(b"0123".starts_with(&back), "{back:?}");
    }

    #[tokio::test]
    async fn a_tunnel_goes_where_its_client_asks() {
        let (server, proxy) = (echo().await, Proxy::tunnel().await);
        let mut stream = through(&proxy).await;
        stream.write_all(format!("CONNECT {server} HTTP/1.1\r\nhost: {server}\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 19];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(said(&mut stream, b"hello").await.unwrap(), b"hello");
    }
}
