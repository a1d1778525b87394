//! A webhook receiver that costs little itself: HTTP/1.1 by hand, a process of its own.
//!
//! `POST /ok/<name>` is answered at once, `/slow/<ms>/<name>` after a while, `/hold/<name>` never, `/flaky/<name>`
//! with 500 to one event in ten, the first time. `GET /stats/<name>` tells what has come so far.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Latencies that are kept of one name.
const SAMPLES_MAX: usize = 1_000_000;

/// What has come under one name.
#[derive(Default)]
struct Seen {
    count: u64,
    orders: HashSet<u64>,
    /// The newest order of each entity.
    newest: HashMap<u64, u64>,
    out_of_order: u64,
    latencies_us: Vec<u32>,
    first_us: u64,
    last_us: u64,
}

/// What a sink tells of one name.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// Deliveries.
    pub(crate) count: u64,
    /// Different events among them.
    pub(crate) distinct: u64,
    /// Deliveries that came after a later one of the same entity, repeats left out.
    pub(crate) out_of_order: u64,
    /// When the first and the last came, microseconds since 1970.
    pub(crate) first_us: u64,
    pub(crate) last_us: u64,
    /// From the moment in the event to its arrival, in milliseconds, by share.
    pub(crate) latency_ms: BTreeMap<String, f64>,
}

type Names = Arc<Mutex<HashMap<String, Seen>>>;

/// Entities that the bench's events speak of.
const ENTITIES: u64 = 5_000;

pub(crate) fn micros_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

pub(crate) async fn serve(listen: SocketAddr) -> Result<()> {
    let names = Names::default();
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let names = names.clone();
        tokio::spawn(async move {
            // A sender that goes away ends its connection; nothing is lost by it.
            let _ = connection(stream, names).await;
        });
    }
}

async fn connection(stream: TcpStream, names: Names) -> Result<()> {
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    let (mut line, mut body) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let path = std::str::from_utf8(&line)?.split(' ').nth(1).context("no path")?.to_owned();
        let mut length = 0;
        loop {
            line.clear();
            stream.read_until(b'\n', &mut line).await?;
            if line == b"\r\n" || line.is_empty() {
                break;
            }
            if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
                length = std::str::from_utf8(&line[15..])?.trim().parse()?;
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body).await?;
        answer(stream.get_mut(), &path, &body, &names).await?;
    }
}

async fn answer(stream: &mut TcpStream, path: &str, body: &[u8], names: &Names) -> Result<()> {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["stats", name] => {
            let stats = serde_json::to_vec(&stats(names, name))?;
            stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", stats.len()).as_bytes()).await?;
            stream.write_all(&stats).await?;
        }
        ["ok", name] => {
            record(names, name, body);
            stream.write_all(OK).await?;
        }
        ["slow", ms, name] => {
            tokio::time::sleep(Duration::from_millis(ms.parse()?)).await;
            record(names, name, body);
            stream.write_all(OK).await?;
        }
        ["hold", name] => {
            record(names, name, body);
            std::future::pending::<()>().await;
        }
        ["flaky", name] => {
            let fails = number(body, br#""order":"#).is_some_and(|order| order % 10 == 0) && !seen(names, name, body);
            record(names, name, body);
            let failure: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(if fails { failure } else { OK }).await?;
        }
        _ => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?,
    }
    Ok(())
}

/// The number behind a member's name, found without parsing the whole.
fn number(body: &[u8], name: &[u8]) -> Option<u64> {
    let at = body.windows(name.len()).position(|window| window == name)? + name.len();
    let digits = body[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Whether an event came before.
fn seen(names: &Names, name: &str, body: &[u8]) -> bool {
    let names = names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let order = number(body, br#""order":"#);
    names.get(name).zip(order).is_some_and(|(seen, order)| seen.orders.contains(&order))
}

fn record(names: &Names, name: &str, body: &[u8]) {
    let now = micros_now();
    let (order, at) = (number(body, br#""order":"#), number(body, br#""at":"#));
    let mut names = names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !names.contains_key(name) {
        names.insert(name.to_owned(), Seen { first_us: now, ..Seen::default() });
    }
    let Some(seen) = names.get_mut(name) else { return };
    seen.count += 1;
    seen.last_us = now;
    if let Some(order) = order
        && seen.orders.insert(order)
    {
        let newest = seen.newest.entry(order % ENTITIES).or_default();
        if order < *newest {
            seen.out_of_order += 1;
        }
        *newest = order.max(*newest);
    }
    if let Some(at) = at
        && seen.latencies_us.len() < SAMPLES_MAX
    {
        seen.latencies_us.push(u32::try_from(now.saturating_sub(at)).unwrap_or(u32::MAX));
    }
}

fn stats(names: &Names, name: &str) -> Stats {
    let names = names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(seen) = names.get(name) else { return Stats::default() };
    let mut sorted = seen.latencies_us.clone();
    sorted.sort_unstable();
    let quantile = |share: f64| {
        let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
        sorted.get(index).map_or(f64::NAN, |us| f64::from(*us) / 1e3)
    };
    let latency_ms = [("p50", 0.5), ("p99", 0.99), ("max", 1.0)]
        .into_iter()
        .filter(|_| !sorted.is_empty())
        .map(|(name, share)| (name.to_owned(), quantile(share)))
        .collect();
    Stats {
        count: seen.count,
        distinct: seen.orders.len() as u64,
        out_of_order: seen.out_of_order,
        first_us: seen.first_us,
        last_us: seen.last_us,
        latency_ms,
    }
}
