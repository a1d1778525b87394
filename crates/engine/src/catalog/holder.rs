//! What this node knows of the catalog: a compiled snapshot, replaced as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::gauge;
use parking_lot::{Mutex, RwLock};
use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_catalog::judge::Catalog;
use tidings_store::{CatalogRevision, EntryKey, EntryRow, Error, Result, Store};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::append::count;
use crate::metrics as names;
use crate::pause::sleep_unless;

/// Entries that one read takes, about.
const READ_AT_ONCE: usize = 500;
/// How long one look at the store may take before it counts as a failure.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// The shortest time from one look to the next that a hint asks for: hints come from anybody on the bus.
const POKED_MIN: Duration = Duration::from_millis(50);

/// The catalog at one of its revisions.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) revision: CatalogRevision,
    pub(crate) catalog: Catalog,
    /// The revision with which each entry that is there came.
    pub(crate) revisions: Arc<BTreeMap<Key, u64>>,
}

/// How this node stands with the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogHealth {
    /// The newest revision that this node knows.
    pub revision: u64,
    /// Entries that cannot be read, like `sales.lead.created@1` or `set currencies`, and why. They count as unknown.
    pub faults: Vec<(String, String)>,
    /// Why the newest revision could not be asked for; none when it could.
    pub problem: Option<String>,
}

/// The newest snapshot, and how it gets there.
pub(crate) struct Holder {
    store: Arc<dyn Store>,
    current: RwLock<Snapshot>,
    /// Whether nothing is in the catalog, so that nothing needs to be judged.
    idle: AtomicBool,
    /// Held by who brings the snapshot up to date.
    updating: tokio::sync::Mutex<()>,
    problem: Mutex<Option<String>>,
    /// Something hints at a change that another node made.
    poked: Notify,
}

impl Holder {
    /// Loads the whole catalog.
    pub(crate) async fn load(store: Arc<dyn Store>) -> Result<Arc<Self>> {
        let empty = Snapshot { revision: CatalogRevision(0), catalog: Catalog::empty(), revisions: Arc::default() };
        let holder = Arc::new(Self {
            store,
            current: RwLock::new(empty),
            idle: AtomicBool::new(true),
            updating: tokio::sync::Mutex::new(()),
            problem: Mutex::new(None),
            poked: Notify::new(),
        });
        holder.catch_up().await?;
        Ok(holder)
    }

    /// The catalog as it is known here.
    pub(crate) fn catalog(&self) -> Catalog {
        self.current.read().catalog.clone()
    }

    /// The same with its revision.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.current.read().clone()
    }

    /// Whether there is nothing to judge by.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::Acquire)
    }

    /// How this node stands with the catalog.
    pub(crate) fn health(&self) -> CatalogHealth {
        let Snapshot { revision, catalog, .. } = self.snapshot();
        let faults = catalog.faults().into_iter().map(|(key, why)| (key.to_string(), why)).collect();
        CatalogHealth { revision: revision.0, faults, problem: self.problem.lock().clone() }
    }

    /// Looks for changes that other nodes made, again and again, until the engine ends.
    pub(crate) async fn run(self: Arc<Self>, every: Duration, ending: CancellationToken) {
        let mut asked = Instant::now();
        loop {
            // Nodes that were started together shall not ask together.
            let delay = every.mul_f64(0.9 + 0.2 * crate::dice::fraction());
            let poked = tokio::select! {
                biased;
                () = ending.cancelled() => return,
                () = self.poked.notified() => true,
                () = tokio::time::sleep(delay) => false,
            };
            if poked && !sleep_unless(POKED_MIN.saturating_sub(asked.elapsed()), &ending).await {
                return;
            }
            asked = Instant::now();
            let looked = tokio::select! {
                biased;
                () = ending.cancelled() => return,
                looked = timeout(LOOK_MAX, self.look()) => looked,
            };
            let problem = match looked {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {} s", LOOK_MAX.as_secs())),
            };
            let before = std::mem::replace(&mut *self.problem.lock(), problem.clone());
            match problem {
                Some(problem) if before.is_none() => {
                    tracing::warn!(problem, "changes of the catalog cannot be asked for; trying again");
                }
                None if before.is_some() => tracing::info!("changes of the catalog can be asked for again"),
                _ => {}
            }
        }
    }

    /// Looks at once.
    pub(crate) fn poke(&self) {
        self.poked.notify_one();
    }

    async fn look(&self) -> Result<()> {
        if self.store.catalog_revision().await? != self.current.read().revision {
            self.catch_up().await?;
        }
        Ok(())
    }

    /// Reads what was changed since, and takes it over once all of it is there.
    pub(crate) async fn catch_up(&self) -> Result<()> {
        let _updating = self.updating.lock().await;
        self.catch_up_alone().await
    }

    async fn catch_up_alone(&self) -> Result<()> {
        let Snapshot { mut revision, mut catalog, mut revisions } = self.snapshot();
        // What came after the snapshot, compiled once all of it is there.
        let mut came: BTreeMap<Key, (u64, Entry)> = BTreeMap::new();
        let mut changed = false;
        loop {
            let slice = self.store.catalog(revision, READ_AT_ONCE).await?;
            if slice.head < revision {
                // The store holds an earlier state than the one that was known: what is there now counts.
                (revision, catalog, changed) = (CatalogRevision(0), Catalog::empty(), true);
                revisions = Arc::default();
                came.clear();
                if slice.head > revision {
                    continue;
                }
                break;
            }
            if slice.upto < slice.head && slice.upto <= revision {
                return Err(Error::Broken("the catalog cannot be read to its end".to_owned()));
            }
            changed |= !slice.rows.is_empty() || slice.upto != revision;
            let rows = slice.rows.iter().filter_map(|row| Some((row.revision.0, entry(row)?)));
            came.extend(rows.map(|(revision, entry)| (entry.key.clone(), (revision, entry))));
            revision = slice.upto;
            if revision >= slice.head {
                break;
            }
        }
        if changed {
            let noted = came.values().map(|(revision, entry)| (entry.key.clone(), entry.source.is_some(), *revision));
            note(&mut revisions, noted);
            let catalog = compile(catalog, came.into_values().map(|(_, entry)| entry).collect()).await?;
            self.take(Snapshot { revision, catalog, revisions });
        }
        Ok(())
    }

    /// Takes over a change that was just made here, on top of `base`.
    pub(crate) async fn changed(&self, base: CatalogRevision, revision: CatalogRevision, entries: Vec<Entry>) {
        let _updating = self.updating.lock().await;
        let known = self.snapshot();
        let taken = if known.revision >= revision {
            Ok(())
        } else if known.revision == base {
            let mut revisions = known.revisions;
            let came = entries.iter().map(|entry| (entry.key.clone(), entry.source.is_some(), revision.0));
            note(&mut revisions, came);
            match compile(known.catalog, entries).await {
                Ok(catalog) => {
                    self.take(Snapshot { revision, catalog, revisions });
                    Ok(())
                }
                Err(error) => Err(error),
            }
        } else {
            self.catch_up_alone().await
        };
        if let Err(error) = taken {
            tracing::warn!(%error, "a change of the catalog is made, but not known on this node yet");
        }
    }

    fn take(&self, snapshot: Snapshot) {
        let faults = snapshot.catalog.faults();
        for (key, why) in &faults {
            tracing::warn!(entry = %key, why, "an entry of the catalog cannot be read and counts as unknown");
        }
        gauge!(names::CATALOG_FAULTS).set(count(faults.len()));
        gauge!(names::CATALOG_REVISION).set(snapshot.revision.0 as f64);
        let idle = snapshot.catalog.definitions().next().is_none() && snapshot.catalog.policies().next().is_none();
        let mut current = self.current.write();
        self.idle.store(idle, Ordering::Release);
        *current = snapshot;
    }
}

/// Notes with which revision entries came, and forgets those that went.
fn note(revisions: &mut Arc<BTreeMap<Key, u64>>, came: impl Iterator<Item = (Key, bool, u64)>) {
    let mut came = came.peekable();
    if came.peek().is_none() {
        return;
    }
    let revisions = Arc::make_mut(revisions);
    for (key, is_there, revision) in came {
        if is_there {
            revisions.insert(key, revision);
        } else {
            revisions.remove(&key);
        }
    }
}

/// Compiling a large change takes a while, in which nobody shall wait.
async fn compile(catalog: Catalog, entries: Vec<Entry>) -> Result<Catalog> {
    if entries.is_empty() {
        return Ok(catalog);
    }
    tokio::task::spawn_blocking(move || catalog.with(entries))
        .await
        .map_err(|_| Error::Broken("the catalog could not be compiled".to_owned()))
}

/// The entry of a row; none of a kind that this version does not know.
pub(super) fn entry(row: &EntryRow) -> Option<Entry> {
    let kind = Kind::parse(&row.key.kind)?;
    let key = Key { kind, name: row.key.name.clone(), version: row.key.version.clone() };
    Some(Entry { key, source: row.source.clone() })
}

/// A key as the store writes it.
pub(super) fn stored(key: &Key) -> EntryKey {
    EntryKey { kind: key.kind.as_str().to_owned(), name: key.name.clone(), version: key.version.clone() }
}
