//! Several servers on one database, as a load generator sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tidings_testkit::{Database, Postgres};

use crate::load::{Connection, get, post, request};
use crate::report::Samples;
use crate::server::{KEY, Server, Setup, children_cpu_seconds};
use crate::sink::Stats;

/// Longest wait for deliveries that should come.
const PATIENCE: Duration = Duration::from_secs(300);
/// How soon what found no room is sent again.
const FULL: Duration = Duration::from_millis(2);
/// Connections that post at once.
const CONNECTIONS: usize = 16;

/// Servers, a receiver and what lies below them.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
    sink: Server,
    database: Option<Database>,
    _dirs: Vec<tempfile::TempDir>,
}

/// What a stretch of work came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Events a second.
    pub(crate) per_second: f64,
    /// Processor time of servers, receiver and database for each event, in microseconds.
    pub(crate) cpu_us: f64,
}

impl Cluster {
    /// Starts so many servers over a fresh log; SQLite where there is no PostgreSQL.
    pub(crate) async fn open(server: Option<&Arc<Postgres>>, nodes: usize, partitions: usize) -> Result<Self> {
        Self::open_each(server, &vec![Vec::new(); nodes], partitions).await
    }

    /// The same with further variables of each server's environment.
    pub(crate) async fn open_each(
        server: Option<&Arc<Postgres>>,
        nodes: &[Vec<(String, String)>],
        partitions: usize,
    ) -> Result<Self> {
        let database = match server {
            Some(server) => Some(server.database().await),
            None => None,
        };
        let (mut servers, mut dirs) = (Vec::new(), Vec::new());
        for settings in nodes {
            let mut more = vec![("TIDINGS_PARTITIONS".to_owned(), partitions.to_string())];
            more.extend(settings.iter().cloned());
            let setup = Setup { database_url: database.as_ref().map(Database::url), sources: None, more };
            let dir = tempfile::tempdir()?;
            servers.push(Server::tidings(dir.path(), &setup).await?);
            dirs.push(dir);
        }
        Ok(Self { nodes: servers, sink: Server::sink().await?, database, _dirs: dirs })
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> Result<serde_json::Value> {
        let mut connection = Connection::open(self.nodes[0].address).await?;
        let answer = connection.exchange(&request(method, path, KEY, body)).await?;
        ensure!(answer.status < 300, "{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        Ok(if answer.body.is_empty() { serde_json::Value::Null } else { serde_json::from_slice(&answer.body)? })
    }

    /// Makes an endpoint of a tenant whose deliveries are counted under a name; returns its path in the API.
    pub(crate) async fn endpoint(&self, tenant: &str, name: &str, more: &str) -> Result<String> {
        let base = format!("/v1/tenants/{tenant}/endpoints");
        let body = format!(r#"{{"url":"http://{}/ok/{name}"{more}}}"#, self.sink.address);
        let made = self.call("POST", &base, &body).await?;
        Ok(format!("{base}/{}", made["id"].as_str().context("no id")?))
    }

    pub(crate) async fn stats(&self, name: &str) -> Result<Stats> {
        let mut connection = Connection::open(self.sink.address).await?;
        let answer = connection.exchange(&get(&format!("/stats/{name}"), KEY, "*/*")).await?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Waits until so many different events came under a name.
    pub(crate) async fn arrived(&self, name: &str, count: u64) -> Result<Stats> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.stats(name).await?;
            if stats.distinct >= count {
                return Ok(stats);
            }
            ensure!(Instant::now() < deadline, "{name}: {} of {count} came", stats.distinct);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Has the database done what it would put off: nobody's figures shall depend on when it comes to that.
    pub(crate) async fn tidy(&self) -> Result<()> {
        let Some(database) = &self.database else { return Ok(()) };
        let client = database.connect().await;
        client.batch_execute("VACUUM (ANALYZE)").await?;
        client.batch_execute("CHECKPOINT").await?;
        Ok(())
    }

    /// Processor time of everything but the load generator so far, in seconds.
    pub(crate) async fn cpu_seconds(&self) -> Result<f64> {
        let mut sum = self.sink.cpu_seconds()?;
        for node in &self.nodes {
            sum += node.cpu_seconds()?;
        }
        if let Some(database) = &self.database {
            sum += children_cpu_seconds(postmaster(database).await?)?;
        }
        Ok(sum)
    }

    /// Posts bodies of `batch` events each over many connections, spread over all nodes, until the time is over or a
    /// count is reached.
    pub(crate) async fn post(
        &self,
        until: Until,
        batch: usize,
        body: impl Fn(u64) -> String + Send + Sync + 'static,
    ) -> Result<(u64, Work)> {
        let (stop, next, body) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(body));
        let (began, cpu) = (Instant::now(), self.cpu_seconds().await?);
        let bodies = match until {
            Until::Time(_) => u64::MAX,
            Until::Count(events) => events.div_ceil(batch as u64),
        };
        let tasks: Vec<_> = (0..CONNECTIONS)
            .map(|index| {
                let address = self.nodes[index % self.nodes.len()].address;
                let (stop, next, body) = (stop.clone(), next.clone(), body.clone());
                tokio::spawn(async move {
                    let mut connection = Connection::open(address).await?;
                    let mut done = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= bodies {
                            break;
                        }
                        let request = post("/v1/events", KEY, &body(n));
                        let mut answer = connection.exchange(&request).await?;
                        // One tenant may take half of the room of a partition's queue.
                        while answer.status == 503 {
                            tokio::time::sleep(FULL).await;
                            answer = connection.exchange(&request).await?;
                        }
                        ensure!(answer.status == 201, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
                        done += 1;
                    }
                    Ok(done)
                })
            })
            .collect();
        if let Until::Time(time) = until {
            tokio::time::sleep(time).await;
            stop.store(true, Ordering::Relaxed);
        }
        let mut done = 0;
        for task in tasks {
            done += task.await??;
        }
        let events = done * batch as u64;
        let per_second = events as f64 / began.elapsed().as_secs_f64();
        let cpu_us = (self.cpu_seconds().await? - cpu) * 1e6 / events as f64;
        Ok((events, Work { per_second, cpu_us }))
    }

    /// Makes many things by single calls over many connections.
    pub(crate) async fn make_many(
        &self,
        count: u64,
        what: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
    ) -> Result<()> {
        let (next, what) = (Arc::new(AtomicU64::new(0)), Arc::new(what));
        let address = self.nodes[0].address;
        let tasks: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (next, what) = (next.clone(), what.clone());
                tokio::spawn(async move {
                    let mut connection = Connection::open(address).await?;
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= count {
                            return Ok(());
                        }
                        let answer = connection.exchange(&what(n)).await?;
                        ensure!(answer.status < 300, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(())
    }

    /// The median time of a call, in milliseconds.
    pub(crate) async fn time(&self, path: &str, calls: usize) -> Result<f64> {
        let mut connection = Connection::open(self.nodes[0].address).await?;
        let mut samples = Vec::with_capacity(calls);
        for _ in 0..calls {
            let began = Instant::now();
            let answer = connection.exchange(&get(path, KEY, "application/json")).await?;
            samples.push(began.elapsed());
            ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(Samples::new(samples).quantile_ms(0.5))
    }

    /// The URL of the receiver.
    pub(crate) fn sink_url(&self) -> String {
        format!("http://{}", self.sink.address)
    }
}

/// For how long to post.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    Time(Duration),
    Count(u64),
}

/// The process id of the database server.
pub(crate) async fn postmaster(database: &Database) -> Result<u32> {
    let client = database.connect().await;
    let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let stat = std::fs::read_to_string(format!("/proc/{backend}/stat"))?;
    let fields = stat.rsplit_once(')').context("no name")?.1;
    Ok(fields.split_whitespace().nth(1).context("no parent")?.parse()?)
}
