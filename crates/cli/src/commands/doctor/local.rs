//! What can be checked from the configuration alone, without a server.

use std::path::Path;
use std::time::Duration;

use tidings_event::{LogId, Timestamp};
use tidings_store::{Error as StoreError, OutboxSource, SourceError};

use super::{Findings, Verdict, judge_clock, webhooks};
use crate::commands::serve::{database_url, must_be_restored, open_existing};
use crate::config::data_dir;
use crate::config::layer::Layers;
use crate::config::mask::mask_url;
use crate::database::Target;
use crate::datadir::{self, ADMIN_KEY, MASTER_KEY, SERVER_URL};

/// Below this the disk is nearly full.
const DISK_FREE_WARN_BYTES: u64 = 1024 * 1024 * 1024;
/// Below this writes are about to fail.
const DISK_FREE_BAD_BYTES: u64 = 100 * 1024 * 1024;
/// How long the bus may take to be reached, and how often it is looked whether it is.
const BUS_MAX: Duration = Duration::from_secs(3);
const BUS_LOOK: Duration = Duration::from_millis(20);
/// A row that waits longer than this in an outbox which a server reads points at something that stands still.
const LAG_WARN_MS: i64 = 60_000;

/// Checks the surroundings of a server. Gives the server that runs on the data directory, with its key, if one does.
pub(super) async fn check(findings: &mut Findings, layers: &Layers) -> Option<(String, Option<String>)> {
    let dir = data_dir(layers);
    let running = directory(findings, &dir);
    webhooks::check(findings, layers, &dir);
    let url = database_url(layers, &dir);
    database(findings, layers, &url).await;
    let is_sqlite = matches!(Target::parse(&url), Target::Sqlite(_));
    let platform = if is_sqlite { format!("sqlite:{}", dir.join("outbox.db").display()) } else { url };
    // Before the first start there is no outbox of Tidings' own, and nothing to say about it.
    if !is_sqlite || dir.join("outbox.db").exists() {
        source(findings, "platform", &platform, running).await;
    }
    bus(findings, layers).await;
    for setting in &layers.get("sources").sources {
        source(findings, &setting.name, &setting.url, running).await;
    }
    let url = std::fs::read_to_string(dir.join(SERVER_URL)).ok().filter(|_| running)?;
    let key = layers.text("admin_key").map(str::to_owned);
    let key = key.or_else(|| std::fs::read_to_string(dir.join(ADMIN_KEY)).ok());
    Some((url.trim().to_owned(), key.map(|key| key.trim().to_owned())))
}

/// The data directory. Says whether a server runs on it.
fn directory(findings: &mut Findings, dir: &Path) -> bool {
    let shown = dir.display();
    if !dir.exists() {
        findings.good("data directory", format!("{shown} is not there yet; `tidings serve` makes it"));
        let parent = dir.ancestors().skip(1).find(|parent| parent.exists());
        disk(findings, parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")));
        return false;
    }
    let exposures = datadir::exposures(dir);
    if exposures.is_empty() {
        findings.good("data directory", format!("{shown}, closed to others"));
    }
    exposures.into_iter().for_each(|exposure| findings.bad("data directory", exposure));
    for name in [ADMIN_KEY, MASTER_KEY] {
        if std::fs::read_to_string(dir.join(name)).is_ok_and(|text| text.trim().is_empty()) {
            findings.bad("keys", format!("{} is empty", dir.join(name).display()));
        }
    }
    disk(findings, dir);
    match datadir::runner(dir) {
        Some(pid) => findings.good("server", format!("runs on this data directory (process {pid})")),
        None => findings.good("server", "none runs on this data directory"),
    }
    datadir::runner(dir).is_some()
}

fn disk(findings: &mut Findings, dir: &Path) {
    match rustix::fs::statvfs(dir) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let shown = format!("{:.1} GiB free at {}", free as f64 / 1_073_741_824.0, dir.display());
            match free {
                0..DISK_FREE_BAD_BYTES => findings.bad("disk", shown),
                DISK_FREE_BAD_BYTES..DISK_FREE_WARN_BYTES => findings.warn("disk", shown),
                _ => findings.good("disk", shown),
            }
        }
        Err(error) => findings.warn("disk", format!("cannot be asked: {error}")),
    }
}

async fn database(findings: &mut Findings, layers: &Layers, url: &str) {
    let shown = mask_url(url);
    if let Err(failure) = must_be_restored(url) {
        return findings.bad("database", failure.text);
    }
    // Opening a store makes what is missing; that is for `serve` to do, not for a check.
    match tidings_store::holds_log(url).await {
        Ok(true) => {}
        Ok(false) => return findings.good("database", format!("{shown} holds no log yet; `tidings serve` makes one")),
        Err(error) => return findings.bad("database", format!("{shown}: {error}")),
    }
    let store = match open_existing(url, layers).await {
        Ok(Ok(store)) => store,
        // As it is before every upgrade.
        Ok(Err(error @ StoreError::Behind(_))) => return findings.warn("database", format!("{shown}: {error}")),
        Ok(Err(error)) => return findings.bad("database", format!("{shown}: {error}")),
        Err(failure) => return findings.bad("database", failure.text),
    };
    match store.probe_write().await {
        Ok(()) => findings.good(
            "database",
            format!("{shown}, takes writes; log {}, {} partitions", store.log().id, store.log().partitions),
        ),
        Err(error) => findings.bad("database", format!("{shown} takes no writes: {error}")),
    }
    match store.durability().await {
        Ok(durability) => {
            let settings =
                durability.settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
            if durability.warnings.is_empty() {
                findings.good("durability", settings);
            }
            durability.warnings.into_iter().for_each(|warning| findings.warn("durability", warning));
        }
        Err(error) => findings.warn("durability", format!("cannot be asked: {error}")),
    }
    store.close().await;
}

/// The bus, if one is configured: can it be reached, and how safe is what it keeps.
async fn bus(findings: &mut Findings, layers: &Layers) {
    let shown = layers.get("nats_url").shown();
    // It is only looked at, so neither the log nor the key matters.
    let bus = match crate::commands::serve::bus::bus(layers, "doctor", LogId(ulid::Ulid(0)), &[0; 32]).await {
        Ok(Some(bus)) => bus,
        Ok(None) => return,
        Err(error) => return findings.bad("bus", error.to_string()),
    };
    let connecting = async {
        while !bus.is_connected() {
            tokio::time::sleep(BUS_LOOK).await;
        }
    };
    if tokio::time::timeout(BUS_MAX, connecting).await.is_err() {
        findings.warn("bus", format!("{shown} cannot be reached: nodes ask the database for what is new"));
    } else {
        let health = bus.health().await;
        let settings = health.settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        findings.good("bus", format!("{shown} {}", settings.join(" ")));
        health.warnings.into_iter().for_each(|warning| findings.warn("bus", warning));
    }
    bus.close().await;
}

/// A source: can it be reached, has it an outbox, does anything stand still in it, what is its clock.
async fn source(findings: &mut Findings, name: &str, url: &str, is_read: bool) {
    let what = format!("source {name}");
    if Target::parse(url).is_missing() {
        return findings.bad(
            what,
            format!(
                "{}: there is no such file; tidings outbox install --url {} makes it",
                mask_url(url),
                mask_url(url)
            ),
        );
    }
    let outbox = match tidings_store::open_source(url) {
        Ok(outbox) => outbox,
        Err(error) => return findings.bad(what, format!("{}: {error}", mask_url(url))),
    };
    let before = jiff::Timestamp::now();
    let (status, clock) = match look(&*outbox).await {
        Ok(found) => found,
        Err(error @ SourceError::NotInstalled(_)) => {
            return findings
                .bad(what, format!("{}: {error}; tidings outbox install --url {}", mask_url(url), mask_url(url)));
        }
        Err(error) => return findings.bad(what, format!("{}: {error}", mask_url(url))),
    };
    let waited_ms = status.oldest_pending.map_or(0, |oldest| (clock.as_micros() - oldest.as_micros()) / 1_000);
    let lag = if status.pending > 0 {
        format!("{} waiting, the oldest for {:.1} s", status.pending, waited_ms as f64 / 1_000.0)
    } else {
        "none waiting".to_owned()
    };
    let found = format!(
        "{}, outbox version {}, {lag}, {} intents, {} refused",
        mask_url(url),
        status.version,
        status.intents,
        status.refused
    );
    let stands_still = is_read && waited_ms > LAG_WARN_MS;
    let verdict = if stands_still || status.refused > 0 { Verdict::Warn } else { Verdict::Good };
    findings.add(what, verdict, found);
    let ahead_ms = (clock.as_micros() - before.as_microsecond()) / 1_000;
    judge_clock(findings, format!("clock of {name}"), ahead_ms, 100);
}

async fn look(source: &dyn OutboxSource) -> Result<(tidings_store::OutboxStatus, Timestamp), SourceError> {
    Ok((source.status().await?, source.clock().await?))
}
