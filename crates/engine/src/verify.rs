//! Reads a whole log and says whether it is whole: what an operator asks after a restore.

use tidings_core::books::{Books, Fault, TenantHead};
use tidings_event::{PartitionId, Position};
use tidings_store::{ReadLimit, Result, Store};

/// What one read takes.
const READ: ReadLimit = ReadLimit { events: 1_000, bytes: 8 * 1024 * 1024 };
/// Tenants that one read takes.
const TENANTS_READ: usize = 1_000;
/// Faults that are told one by one; more are counted.
pub const FAULTS_MAX: usize = 20;

/// What was found in a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Events that were read.
    pub events: u64,
    /// Tenants whose sequences were followed.
    pub tenants: u64,
    /// What is wrong, at most [`FAULTS_MAX`].
    pub faults: Vec<Fault>,
    /// All that is wrong.
    pub faults_in_all: u64,
}

impl Verified {
    fn add(&mut self, faults: impl IntoIterator<Item = Fault>) {
        for fault in faults {
            self.faults_in_all += 1;
            if self.faults.len() < FAULTS_MAX {
                self.faults.push(fault);
            }
        }
    }
}

/// Reads every row up to the heads that the log has now: no position and no sequence is missing, no moment falls, every
/// row is what its digest says, every head is the end of its rows. `progress` is told how many events were read, and how
/// many there are. Holds one batch of rows and some bytes for each tenant; may run beside live nodes.
pub async fn verify_log(store: &dyn Store, mut progress: impl FnMut(u64, u64)) -> Result<Verified> {
    let mut found = Verified::default();
    let mut books = Books::default();
    let tenants = heads_of_tenants(store).await?;
    let heads = store.heads().await?;
    let total = heads.iter().map(|head| head.position.get()).sum();
    for (partition, head) in (0..).map(PartitionId).zip(&heads) {
        let mut after = Position(0);
        books.begin(partition, after);
        while after < head.position {
            let rows = store.tail(partition, after, READ).await?.events;
            let Some(last) = rows.last() else { break };
            after = last.position;
            for row in rows.iter().take_while(|row| row.position <= head.position) {
                found.add(books.row(row));
            }
            progress(books.rows(), total);
        }
        found.add(books.end(head.position));
    }
    found.events = books.rows();
    for tenant in &tenants {
        let after = store.tenant(&tenant.tenant).await?.map_or(tenant.head, |row| row.head);
        found.add(books.tenant(tenant, after));
        found.tenants += 1;
    }
    Ok(found)
}

async fn heads_of_tenants(store: &dyn Store) -> Result<Vec<TenantHead>> {
    let mut heads: Vec<TenantHead> = Vec::new();
    loop {
        let page = store.tenants(heads.last().map(|last| &last.tenant), TENANTS_READ).await?;
        let ended = page.len() < TENANTS_READ;
        heads.extend(page.into_iter().map(|row| TenantHead {
            tenant: row.id,
            no: row.no,
            head: row.head,
            floor: row.floor,
        }));
        if ended {
            return Ok(heads);
        }
    }
}
