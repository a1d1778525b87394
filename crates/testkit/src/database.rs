//! A database of a test's own.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use crate::Postgres;

/// Longer than dropping a database takes; a server that was stopped by its test must not hold the test up.
const DROP_PATIENCE: Duration = Duration::from_secs(20);

/// A fresh database, dropped with this handle. Holds its server alive.
pub struct Database {
    server: Arc<Postgres>,
    name: String,
}

impl Database {
    pub(crate) async fn create(server: Arc<Postgres>) -> Self {
        let name = format!("test_{}_{:016x}", std::process::id(), rand::random::<u64>());
        let admin = connect(server.url()).await;
        admin
            .batch_execute(&format!("create database {name} encoding 'UTF8' template template0"))
            .await
            .expect("the administrator may create a database");
        Self { server, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        with_database(self.server.url(), &self.name)
    }

    /// The server it lives on.
    #[must_use]
    pub fn server(&self) -> &Arc<Postgres> {
        &self.server
    }

    /// A new connection to it, driven by a task of its own.
    ///
    /// # Panics
    /// When the server cannot be reached.
    pub async fn connect(&self) -> Client {
        connect(&self.url()).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (url, name) = (self.server.url().to_owned(), self.name.clone());
        // A drop may run inside a runtime, where nothing may block on a future: hence a thread with its own.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let drop = async {
                    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
                    let driver = tokio::spawn(connection);
                    client.batch_execute(&format!("drop database if exists {name} with (force)")).await?;
                    driver.abort();
                    Ok::<(), tokio_postgres::Error>(())
                };
                // It fails when the test has stopped the server; then the directory goes with everything in it.
                let _ = tokio::time::timeout(DROP_PATIENCE, drop).await;
            });
            Ok::<(), std::io::Error>(())
        });
        let _ = dropped.join();
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.unwrap_or_else(|error| panic!("cannot connect to {url}: {error}"));
    tokio::spawn(connection);
    client
}

/// The URL with its path replaced.
fn with_database(url: &str, database: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, String::new()), |(base, query)| (base, format!("?{query}")));
    let authority = base.find("://").map_or(0, |at| at + 3);
    let end = base[authority..].find('/').map_or(base.len(), |at| authority + at);
    format!("{}/{database}{query}", &base[..end])
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn a_url_keeps_everything_but_its_database() {
        for (url, expect) in [
            ("postgres://u@h:1/postgres", "postgres://u@h:1/d"),
            ("postgres://u:p@h", "postgres://u:p@h/d"),
            ("postgresql://u@%2Ftmp:5/x?sslmode=disable", "postgresql://u@%2Ftmp:5/d?sslmode=disable"),
        ] {
            assert_eq!(with_database(url, "d"), expect);
        }
    }
}
