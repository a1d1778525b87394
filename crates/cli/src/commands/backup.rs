//! `tidings backup` and `tidings restore`: copies of an SQLite log, and back.
//!
//! A backup is a folder with the log, Tidings' own outbox and `backup.json`, which is written last: without it the folder is
//! not a whole backup. Keys are not in it.

use std::fs::{self, DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::log::{Where, progress, renew, renewed};
use super::serve::{OUTBOX_FILE, RESTORING, beside, database_url, must_be_restored, store_failure};
use crate::config::layer::Layers;
use crate::context::{Context, run_until_interrupted};
use crate::database::Target;
use crate::datadir::{DataDir, MASTER_KEY, give_to_owner};
use crate::failure::Failure;
use crate::term::{Style, Voice, note, say, say_json};

/// What the names of files that are made ready end with.
const INCOMING: &str = "incoming";
/// The log in a backup.
const LOG_FILE: &str = "tidings.db";
/// What makes a folder a backup.
const MANIFEST: &str = "backup.json";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Copies the log and Tidings' own outbox as they are, while the server runs on. The copies are compact and on the disk \
when the command ends. The keys (master.key, admin.key) are not copied: keep them elsewhere, for without the master \
key the secrets of endpoints cannot be opened.

A log in PostgreSQL is backed up by PostgreSQL's own means: docs/guides/backup.md.

Examples:
  tidings backup /backup/2026-03-15 --data-dir /var/lib/tidings
  tidings log check --database-url sqlite:/backup/2026-03-15/tidings.db")]
pub(crate) struct BackupArgs {
    /// The folder to make; it must not exist
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The server must be stopped. The restored log gets a new id, so that readers notice that it has lost what came after \
the backup: their cursors are answered with 409 log_rewound. What is replaced stays beside it, under another name.

Examples:
  tidings restore /backup/2026-03-15 --data-dir /var/lib/tidings --replace
  tidings log check --data-dir /var/lib/tidings")]
pub(crate) struct RestoreArgs {
    /// A folder that `tidings backup` made
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Put a log that is there aside
    #[arg(long)]
    replace: bool,
    /// Keep the log's id: only where its server was stopped before the backup was made and never started again
    #[arg(long)]
    same_log: bool,
    #[command(flatten)]
    place: Where,
}

pub(crate) fn backup(context: &Context, args: &BackupArgs) -> Result<(), Failure> {
    let layers = args.place.layers(context)?;
    let files = Files::of(&layers)?;
    must_be_restored(&format!("sqlite:{}", files.log.display()))?;
    if !files.log.exists() {
        return Err(Failure::failed(format!("{}: there is no such file", files.log.display())));
    }
    run_until_interrupted(copy_out(context.voice, &files, &args.folder))
}

/// The two files that make up the state of a server with SQLite.
struct Files {
    log: PathBuf,
    outbox: PathBuf,
}

impl Files {
    fn of(layers: &Layers) -> Result<Self, Failure> {
        let dir = crate::config::data_dir(layers);
        match Target::parse(&database_url(layers, &dir)) {
            Target::Sqlite(log) => Ok(Self { log, outbox: dir.join(OUTBOX_FILE) }),
            Target::Postgres => Err(Failure::usage(
                "the log is in PostgreSQL, which has its own means: pg_dump, or base backups with archived WAL.\n\
                 After a restore run `tidings log renew`. See docs/guides/backup.md.",
            )),
        }
    }
}

async fn copy_out(voice: Voice, files: &Files, folder: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.map_err(|error| Failure::failed(format!("{} cannot be made: {error}", folder.display())))?;
    // The outbox comes first: what is moved from it into the log meanwhile is then in both, and counts once. The other
    // way round it could be in neither.
    if files.outbox.exists() {
        copy(voice, &files.outbox, &folder.join(OUTBOX_FILE)).await?;
    }
    let log_file = folder.join(LOG_FILE);
    copy(voice, &files.log, &log_file).await?;
    let held = tidings_store::sqlite_log(&log_file).await;
    let (log, events) = held.map_err(|error| store_failure(&log_file.display().to_string(), &error))?;
    let bytes = fs::metadata(&log_file)?.len();
    let manifest = json!({
        "log": log.to_string(), "events": events, "made_at": jiff::Timestamp::now().to_string(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    put(&folder.join(MANIFEST), &format!("{manifest:#}\n"))?;
    File::open(folder)?.sync_all()?;
    if voice.json {
        return say_json(voice, &manifest);
    }
    say(format!("{} events of log {log} are in {} ({:.1} MiB)", events, folder.display(), bytes as f64 / 1_048_576.0))?;
    note(voice.paint(Style::Faint, "the keys are not: keep master.key and admin.key elsewhere"));
    Ok(())
}

/// Copies a file, with a bar that follows the copy's size.
async fn copy(voice: Voice, from: &Path, to: &Path) -> Result<(), Failure> {
    let shown = from.display().to_string();
    let size = tidings_store::sqlite_size(from).await.map_err(|error| store_failure(&shown, &error))?;
    let bar = progress(voice, "{bar:30.cyan/dim} {percent:>3}%  {bytes} of {total_bytes}  {msg}");
    bar.set_length(size);
    bar.set_message(from.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let mut copying = Box::pin(tidings_store::copy_sqlite(from, to));
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let copied = loop {
        tokio::select! {
            biased;
            copied = &mut copying => break copied,
            _ = ticks.tick() => bar.set_position(fs::metadata(to).map_or(0, |made| made.len())),
        }
    };
    bar.finish_and_clear();
    copied.map_err(|error| store_failure(&shown, &error))
}

pub(crate) fn restore(context: &Context, args: &RestoreArgs) -> Result<(), Failure> {
    let layers = args.place.layers(context)?;
    let files = Files::of(&layers)?;
    let manifest = read_manifest(&args.folder)?;
    let data = DataDir::take(&crate::config::data_dir(&layers))?;
    // A server may run on the folder of a log that lies elsewhere.
    let _held = match fs::canonicalize(folder_of(&files.log))? {
        folder if folder == data.path() => None,
        folder => Some(DataDir::take(&folder)?),
    };
    let there: Vec<&PathBuf> = [&files.log, &files.outbox].into_iter().filter(|file| file.exists()).collect();
    if let Some(file) = there.first().filter(|_| !args.replace) {
        let text = format!("{} is there already; --replace puts it aside", file.display());
        return Err(Failure::failed(text));
    }
    // The files are made ready beside their places: what never came to an end is never served.
    let incoming = Files { log: beside(&files.log, INCOMING), outbox: beside(&files.outbox, INCOMING) };
    for ready in [&incoming.log, &incoming.outbox] {
        aside(ready, None)?;
    }
    bring(&args.folder.join(LOG_FILE), &incoming.log)?;
    let outbox = args.folder.join(OUTBOX_FILE);
    if outbox.exists() {
        bring(&outbox, &incoming.outbox)?;
    }
    let url = format!("sqlite:{}", incoming.log.display());
    let ids = if args.same_log { None } else { Some(run_until_interrupted(renew(&url, &layers))?) };
    put_in_place(&incoming, &files)?;
    report(context.voice, &manifest, ids, data.path(), layers.text("master_key").is_some())
}

/// Puts files in the place of others. From the first rename to the last one the new log is called `….restoring`, and
/// whoever would open the log is refused: of the files in their places some are new then, and some are not.
fn put_in_place(incoming: &Files, files: &Files) -> Result<(), Failure> {
    let restoring = beside(&files.log, RESTORING);
    let (log_folder, outbox_folder) = (folder_of(&files.log), folder_of(&files.outbox));
    let sync = |folder: &Path| File::open(folder)?.sync_all();
    // One that an earlier try left is replaced, not taken away: there is no moment without it.
    fs::rename(&incoming.log, &restoring)?;
    sync(log_folder)?;
    let stamp = ulid::Ulid::generate().to_string();
    aside(&files.outbox, Some(&stamp))?;
    if incoming.outbox.exists() {
        fs::rename(&incoming.outbox, &files.outbox)?;
    }
    sync(outbox_folder)?;
    aside(&files.log, Some(&stamp))?;
    sync(log_folder)?;
    fs::rename(&restoring, &files.log)?;
    Ok(sync(log_folder)?)
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn report(
    voice: Voice,
    manifest: &Value,
    ids: Option<(String, String)>,
    dir: &Path,
    master_key_given: bool,
) -> Result<(), Failure> {
    if !voice.json {
        say(format!(
            "{} events are restored, as of {}",
            manifest["events"],
            manifest["made_at"].as_str().unwrap_or("?")
        ))?;
    }
    let log = manifest["log"].as_str().unwrap_or_default();
    match ids {
        Some((before, after)) => renewed(voice, &before, &after)?,
        None if voice.json => say_json(voice, &json!({"before": log, "after": log}))?,
        None => say(format!("log {log} goes on"))?,
    }
    if !master_key_given && !dir.join(MASTER_KEY).exists() {
        note(format!(
            "{} is missing: bring it back before the server starts, or the secrets of endpoints cannot be opened",
            dir.join(MASTER_KEY).display()
        ));
    }
    Ok(())
}

fn read_manifest(folder: &Path) -> Result<Value, Failure> {
    let path = folder.join(MANIFEST);
    let wrong = |reason: String| {
        Failure::failed(format!("{} is no whole backup: {}: {reason}", folder.display(), path.display()))
    };
    let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// Puts a database aside with the files that belong to it, under a name that ends with the stamp; without one it is what
/// an earlier try left behind, and is deleted.
fn aside(file: &Path, stamp: Option<&str>) -> Result<(), Failure> {
    // The write-ahead log of one database must never lie beside another.
    for ending in ["-wal", "-shm", ""] {
        let part = PathBuf::from(format!("{}{ending}", file.display()));
        if !part.exists() {
            continue;
        }
        match stamp {
            Some(stamp) => {
                let to = PathBuf::from(format!("{}.replaced-{stamp}{ending}", file.display()));
                fs::rename(&part, &to)?;
                if ending.is_empty() {
                    note(format!("what was there is now {}", to.display()));
                }
            }
            None => fs::remove_file(&part)?,
        }
    }
    Ok(())
}

/// Copies a file of the backup to where it is made ready, and onto the disk.
fn bring(from: &Path, to: &Path) -> Result<(), Failure> {
    let copied = || {
        let mut target = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
        std::io::copy(&mut File::open(from)?, &mut target)?;
        target.sync_all()?;
        give_to_owner(to)
    };
    copied().map_err(|error| Failure::failed(format!("{} cannot be copied: {error}", from.display())))
}

fn put(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}
