//! A load generator that costs little itself: HTTP/1.1 by hand over keep-alive connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
}

/// An answer's status and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream), line: Vec::new() })
    }

    /// Sends a whole request and reads the whole answer, which must have a content-length.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.get_mut().write_all(request).await?;
        let (status, length) = self.head().await?;
        // An answer without content has no length either.
        let length = if status == 204 { 0 } else { length.context("an answer without content-length")? };
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(Answer { status, body })
    }

    async fn head(&mut self) -> Result<(u16, Option<usize>)> {
        let (mut status, mut length) = (0, None);
        loop {
            self.line.clear();
            if self.stream.read_until(b'\n', &mut self.line).await? == 0 {
                bail!("the server closed the connection");
            }
            let line = std::str::from_utf8(&self.line)?.trim_end();
            if line.is_empty() {
                return Ok((status, length));
            }
            if status == 0 {
                status = line.split(' ').nth(1).context("no status")?.parse()?;
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
    }

    /// Sends a request and leaves the body to be read line by line, as a stream of server-sent events is.
    pub(crate) async fn stream(mut self, request: &[u8]) -> Result<BufReader<TcpStream>> {
        self.stream.get_mut().write_all(request).await?;
        let (status, _) = self.head().await?;
        if status != 200 {
            bail!("the stream was answered with {status}");
        }
        Ok(self.stream)
    }
}

pub(crate) fn post(path: &str, key: &str, body: &str) -> Vec<u8> {
    request("POST", path, key, body)
}

pub(crate) fn request(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(crate) fn get(path: &str, key: &str, accept: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\naccept: {accept}\r\n\r\n")
        .into_bytes()
}

/// Requests per second over `connections` in parallel for a while, each answered with 201.
pub(crate) async fn post_for(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    key: &str,
    body: impl Fn(usize, u64) -> String + Send + Sync + 'static,
) -> Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let body = Arc::new(body);
    let began = Instant::now();
    let tasks: Vec<_> = (0..connections)
        .map(|index| {
            let (stop, body, key) = (stop.clone(), body.clone(), key.to_owned());
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await?;
                let mut done = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    let answer = connection.exchange(&post("/v1/events", &key, &body(index, done))).await?;
                    if answer.status != 201 {
                        bail!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
                    }
                    done += 1;
                }
                Ok(done)
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

/// Answers every request with 201 and a fixed body: what HTTP alone costs on this machine.
pub(crate) async fn serve_bare(listen: SocketAddr) -> Result<()> {
    const ANSWER: &[u8] =
        br#"{"results":[{"id":"01JD8Q4M6T1V9S0Z3N7R5K2W4X","tenant":"acme","sequence":1207,"duplicate":false}]}"#;
    let listener = tokio::net::TcpListener::bind(listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                use http_body_util::BodyExt;
                request.into_body().collect().await?;
                let mut answer = hyper::Response::new(http_body_util::Full::new(bytes::Bytes::from_static(ANSWER)));
                *answer.status_mut() = hyper::StatusCode::CREATED;
                Ok::<_, hyper::Error>(answer)
            });
            // A connection that the generator closes ends here with an error that means nothing.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                .await;
        });
    }
}
