//! Where a store of a test lives.

use std::path::PathBuf;
use std::sync::Arc;

use tidings_store::postgres::PostgresOptions;
use tidings_store::sharded::ShardOptions;
use tidings_store::sqlite::SqliteOptions;
use tidings_store::{Store, StoreOptions, open_sharded, open_store};

/// Partitions of every log that these tests create.
pub(crate) const PARTITIONS: u32 = 4;

/// A database of a test's own.
pub(crate) enum Home {
    Sqlite(tempfile::TempDir),
    Postgres(tidings_testkit::Database),
    /// Behind a pooler that lends connections by the transaction; fewer of them than the store has.
    Pooled(tidings_testkit::Pgbouncer, tidings_testkit::Database),
    /// In two databases: the first two partitions at home, the others in a shard.
    Sharded(tidings_testkit::Database, tidings_testkit::Database),
}

impl Home {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) async fn postgres() -> Self {
        Self::Postgres(tidings_testkit::Postgres::shared().database().await)
    }

    pub(crate) async fn pooled() -> Self {
        let server = tidings_testkit::Postgres::shared();
        let database = server.database().await;
        Self::Pooled(tidings_testkit::Pgbouncer::start(&server, 5), database)
    }

    pub(crate) async fn sharded() -> Self {
        let server = tidings_testkit::Postgres::shared();
        Self::Sharded(server.database().await, server.database().await)
    }

    /// Whether it is more than one database.
    pub(crate) fn is_sharded(&self) -> bool {
        matches!(self, Self::Sharded(..))
    }

    pub(crate) async fn try_open(&self) -> tidings_store::Result<Arc<dyn Store>> {
        let options = StoreOptions {
            sqlite: SqliteOptions { partitions: PARTITIONS, ..SqliteOptions::default() },
            postgres: PostgresOptions { partitions: PARTITIONS, connections: 8, ..PostgresOptions::default() },
        };
        let url = match self {
            Self::Sqlite(directory) => format!("sqlite://{}", file(directory).display()),
            Self::Postgres(database) => database.url(),
            Self::Pooled(pooler, database) => pooler.url(database),
            Self::Sharded(home, other) => {
                let mut options = options;
                options.postgres.partitions = 2;
                let shard = ShardOptions {
                    name: "b".to_owned(),
                    url: other.url(),
                    partitions: (2..PARTITIONS).collect(),
                    takes_tenants: true,
                };
                return open_sharded(&home.url(), &[shard], options).await;
            }
        };
        open_store(&url, options).await
    }

    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        self.try_open().await.expect("the store opens")
    }

    /// Takes the schema back to what it was before the catalog; no store may be open.
    pub(crate) async fn forget_the_catalog(&self) {
        self.forget_the_shards().await;
        for table in ["quotas", "quotas_head"] {
            self.raw(&format!("DROP TABLE {table}")).await.unwrap();
        }
        self.raw(
            "CREATE TABLE routers AS SELECT CAST(slot AS integer) AS partition, node, epoch, checkpoint, 0 AS renewed_at \
             FROM leases WHERE role = 'router'",
        )
        .await
        .unwrap();
        self.raw("ALTER TABLE meta DROP COLUMN master_check").await.unwrap();
        self.raw("ALTER TABLE meta DROP COLUMN needs_step").await.unwrap();
        for table in ["nodes", "leases"] {
            self.raw(&format!("DROP TABLE {table}")).await.unwrap();
        }
        for table in ["catalog", "catalog_newest", "catalog_entries", "quarantines", "asides", "marks", "observed"] {
            self.raw(&format!("DROP TABLE {table}")).await.unwrap();
        }
        self.raw("ALTER TABLE keys DROP COLUMN service").await.unwrap();
        self.raw("DELETE FROM schema_history WHERE version >= 3").await.unwrap();
    }

    async fn forget_the_shards(&self) {
        let drop = match self {
            Self::Sqlite(_) => {
                "DROP TRIGGER partitions_moves_only_rise; DROP TRIGGER tenants_only_advance; \
                 CREATE TRIGGER tenants_only_advance BEFORE UPDATE ON tenants WHEN NEW.no <> OLD.no \
                 BEGIN SELECT RAISE(ABORT, ''); END"
            }
            _ => {
                "DROP TRIGGER partitions_moves_only_rise ON partitions; DROP TRIGGER tenants_only_advance ON tenants; \
                 CREATE TRIGGER tenants_only_advance BEFORE UPDATE ON tenants FOR EACH ROW WHEN (NEW.no <> OLD.no) \
                 EXECUTE FUNCTION refuse(''); ALTER TABLE meta DROP COLUMN shard; DROP TABLE untold; \
                 DELETE FROM tenants WHERE partition NOT IN (SELECT id FROM partitions); \
                 DROP TABLE shard_partitions; DROP TABLE shards; DROP TABLE departures; DROP TABLE arrivals; \
                 ALTER TABLE endpoints ADD CONSTRAINT endpoints_partition_fkey FOREIGN KEY (partition) REFERENCES partitions; \
                 ALTER TABLE tenants ADD CONSTRAINT tenants_partition_fkey FOREIGN KEY (partition) REFERENCES partitions"
            }
        };
        self.raw(drop).await.unwrap();
        self.raw("ALTER TABLE partitions DROP COLUMN moves; ALTER TABLE partitions DROP COLUMN left_at; ALTER TABLE tenants DROP COLUMN moves").await.unwrap();
    }

    /// Runs SQL that writes a role of a lease that this version does not know, as after a step of a later version.
    pub(crate) async fn later_role(&self, sql: &str) {
        let unchecked = match self {
            Self::Sqlite(_) => "PRAGMA ignore_check_constraints = ON",
            _ => "ALTER TABLE leases DROP CONSTRAINT leases_role_check",
        };
        self.raw(&format!("{unchecked}; {sql}")).await.unwrap();
    }

    /// Runs SQL on a connection of its own, with the tables' names unqualified; the error's text where it fails.
    pub(crate) async fn raw(&self, sql: &str) -> Result<(), String> {
        match self {
            Self::Sqlite(directory) => {
                let connection = rusqlite::Connection::open(file(directory)).map_err(|error| error.to_string())?;
                connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(|error| error.to_string())?;
                connection.execute_batch(sql).map_err(|error| error.to_string())
            }
            Self::Postgres(database) | Self::Pooled(_, database) | Self::Sharded(database, _) => {
                let client = database.connect().await;
                let sql = format!("SET search_path = tidings; {sql}");
                client.batch_execute(&sql).await.map_err(|error| error.to_string())
            }
        }
    }
}

fn file(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("tidings.db")
}
