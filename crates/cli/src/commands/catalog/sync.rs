//! `tidings catalog push` and `pull`: a folder and a server, brought together.
//!
//! A small file in the folder keeps what the server had when they met last. So `pull` knows a file that was edited here
//! from one that is merely older, and never writes over the former.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidings_catalog::entry::{Entry, Key};
use tidings_catalog::folder::default_path;

use super::place::{Local, differing, parse_key, send_change, server_entries};
use super::verdict::{Format, Told};
use super::write_file;
use crate::args::Client;
use crate::context::{Context, run_until_interrupted};
use crate::failure::{Exit, Failure};
use crate::term::{Style, note, say};

/// Where a folder keeps what the server had.
const BASE_FILE: &str = ".tidings-catalog.json";

#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    /// The folder of the catalog
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Allow what the check finds about an entry, with the reason that is kept: TYPE@VERSION=REASON, set:NAME=REASON
    #[arg(long = "override", value_name = "ENTRY=REASON")]
    overrides: Vec<String>,
    /// Remove from the server what is not in the folder
    #[arg(long)]
    prune: bool,
    /// Check only
    #[arg(long)]
    dry_run: bool,
    /// Show also what is only good to know
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PullArgs {
    /// The folder of the catalog
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Write over what was edited here, and delete what the server has removed
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    client: Client,
}

pub(crate) fn push(context: &Context, args: &PushArgs) -> Result<(), Failure> {
    let local = Local::read(&args.dir)?;
    let entries = local.folder.entries();
    let overrides = overrides(&args.overrides, &entries)?;
    let mut broken = Told::default();
    broken.place(&local);
    if broken.counts().errors > 0 {
        broken.show(context.voice, Format::Human, args.all)?;
        return broken.verdict(false);
    }
    let api = context.api(&args.client)?;
    let (revision, mut told) = run_until_interrupted(async {
        let changed = differing(&entries, &server_entries(&api).await?, args.prune);
        // What does not differ any more needs no reason any more.
        let overrides =
            overrides.into_iter().filter(|(key, _)| changed.iter().any(|entry| entry.key == *key)).collect();
        if changed.is_empty() {
            return Ok((None, Told::default()));
        }
        // Looked at first: what was found then is shown whole, and nothing is half done.
        let (_, told) = send_change(&api, &changed, &overrides, true).await?;
        if told.counts().errors > 0 || args.dry_run {
            return Ok((None, told));
        }
        send_change(&api, &changed, &overrides, false).await
    })?;
    told.place(&local);
    let failed = told.counts().errors > 0;
    if !failed && !args.dry_run {
        Base::of(&entries).write(&args.dir)?;
    }
    let voice = context.voice;
    if voice.json {
        say(json!({"revision": revision, "entries": told.entries}))?;
    } else {
        told.show(voice, Format::Human, args.all)?;
        told.summary(voice);
        match revision {
            Some(revision) => note(format!("revision {revision} is in force on {}", api.base())),
            None if failed => note("nothing was changed"),
            None if args.dry_run => note("only checked: nothing was changed"),
            None => note(format!("{} has it all already", api.base())),
        }
    }
    told.verdict(false)
}

fn overrides(given: &[String], entries: &[Entry]) -> Result<BTreeMap<Key, String>, Failure> {
    let mut reasons = BTreeMap::new();
    for text in given {
        let wrong = |why: &str| Failure::usage(format!("--override '{text}': {why}"));
        let shape = "must be TYPE@VERSION=REASON, set:NAME=REASON or policy:NAME=REASON";
        let (name, reason) = text.split_once('=').ok_or_else(|| wrong(shape))?;
        let key = parse_key(name).ok_or_else(|| wrong(shape))?;
        if reason.trim().is_empty() {
            return Err(wrong("the reason is missing; it is kept in the history"));
        }
        if !entries.iter().any(|entry| entry.key == key) {
            return Err(wrong("the folder has no such entry"));
        }
        reasons.insert(key, reason.to_owned());
    }
    Ok(reasons)
}

/// What is done about one entry of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Added,
    Updated,
    Unchanged,
    /// It was edited here since the last meeting.
    Edited,
    /// It was edited here, and is written over all the same.
    Overwritten,
    /// The server has removed it since.
    Gone,
    /// It was never on the server.
    OnlyHere,
}

impl Fate {
    fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Edited => "edited here, left as it is",
            Self::Overwritten => "edited here, written over",
            Self::Gone => "removed on the server",
            Self::OnlyHere => "only here",
        }
    }
}

pub(crate) fn pull(context: &Context, args: &PullArgs) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.dir)
        .map_err(|error| Failure::usage(format!("{} cannot be made: {error}", args.dir.display())))?;
    let local = Local::read(&args.dir)?;
    let api = context.api(&args.client)?;
    let there = run_until_interrupted(server_entries(&api))?;
    let base = Base::read(&args.dir)?;
    let mut fates = Vec::new();
    for entry in &there {
        let source = entry.source.as_deref().unwrap_or_default();
        let (fate, path) = fate_of(&local, &base, &entry.key, source, args.force);
        if matches!(fate, Fate::Added | Fate::Updated | Fate::Overwritten) {
            write_file(&args.dir.join(&path), source)?;
        }
        fates.push((fate, path, entry.key.clone()));
    }
    for entry in local.folder.entries() {
        if there.iter().any(|other| other.key == entry.key) {
            continue;
        }
        let path = local.folder.path_of(&entry.key);
        let fate = if base.has(&entry.key) { Fate::Gone } else { Fate::OnlyHere };
        if fate == Fate::Gone && args.force {
            std::fs::remove_file(args.dir.join(&path))
                .map_err(|error| Failure::failed(format!("{path} cannot be deleted: {error}")))?;
        }
        fates.push((fate, path, entry.key));
    }
    // What was left as it is still stands on what the server had before.
    let kept: Vec<&Key> = fates.iter().filter(|(fate, ..)| *fate == Fate::Edited).map(|(.., key)| key).collect();
    base.moved_to(&there, &kept).write(&args.dir)?;
    report(context, args, &fates)
}

fn fate_of(local: &Local, base: &Base, key: &Key, source: &str, force: bool) -> (Fate, String) {
    let Some(here) = local.folder.source(key) else {
        let path = default_path(key);
        // What was written as JSON stays JSON by its name.
        let json = source.trim_start().starts_with('{') && serde_json::from_str::<Value>(source).is_ok();
        let path = if json { path.replace(".yaml", ".json") } else { path };
        // A file that is there and could not be read as this entry is somebody's work.
        let taken = local.root.join(&path).exists();
        return (if taken && !force { Fate::Edited } else { Fate::Added }, path);
    };
    let path = local.folder.path_of(key);
    let fate = match () {
        () if here == source => Fate::Unchanged,
        () if base.is(key, here) && local.folder.is_one_file(key) => Fate::Updated,
        () if force => Fate::Overwritten,
        () => Fate::Edited,
    };
    (fate, path)
}

fn report(context: &Context, args: &PullArgs, fates: &[(Fate, String, Key)]) -> Result<(), Failure> {
    let voice = context.voice;
    let edited = fates.iter().filter(|(fate, ..)| *fate == Fate::Edited).count();
    if voice.json {
        let entries = fates.iter().map(|(fate, path, key)| {
            json!({"kind": key.kind.as_str(), "name": key.name, "version": key.version, "file": path, "fate": fate.word()})
        });
        say(json!({ "entries": entries.collect::<Vec<_>>() }))?;
    } else {
        for (fate, path, _) in fates.iter().filter(|(fate, ..)| *fate != Fate::Unchanged) {
            let style = match fate {
                Fate::Added | Fate::Updated => Style::Good,
                Fate::Edited | Fate::Gone => Style::Warn,
                Fate::Overwritten => Style::Bad,
                Fate::Unchanged | Fate::OnlyHere => Style::Faint,
            };
            say(format!("{}  {}", args.dir.join(path).display(), voice.paint(style, fate.word())))?;
        }
        let unchanged = fates.iter().filter(|(fate, ..)| *fate == Fate::Unchanged).count();
        note(format!("{unchanged} unchanged, {} others", fates.len() - unchanged));
    }
    if edited > 0 {
        note(format!("{edited} files were edited here: `tidings catalog diff` shows how, --force writes over them"));
        return Err(Failure::silent(Exit::Failed));
    }
    Ok(())
}

/// Hashes of what the server had.
#[derive(Debug, Default)]
struct Base(BTreeMap<String, String>);

impl Base {
    fn of(entries: &[Entry]) -> Self {
        let hashed =
            entries.iter().map(|entry| (entry.key.to_string(), hash(entry.source.as_deref().unwrap_or_default())));
        Self(hashed.collect())
    }

    fn read(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(BASE_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let read: Result<BTreeMap<String, String>, _> = serde_json::from_str(&text);
                read.map(Self).map_err(|_| Failure::usage(format!("{} is damaged: delete it", path.display())))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failure::usage(format!("{} cannot be read: {error}", path.display()))),
        }
    }

    fn has(&self, key: &Key) -> bool {
        self.0.contains_key(&key.to_string())
    }

    fn is(&self, key: &Key, source: &str) -> bool {
        self.0.get(&key.to_string()) == Some(&hash(source))
    }

    /// What the server has now, but for entries that were not taken over.
    fn moved_to(&self, there: &[Entry], kept: &[&Key]) -> Self {
        let mut moved = Self::of(there);
        for key in kept {
            let name = key.to_string();
            match self.0.get(&name) {
                Some(old) => moved.0.insert(name, old.clone()),
                None => moved.0.remove(&name),
            };
        }
        moved
    }

    fn write(&self, dir: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(&self.0).map_err(anyhow::Error::from)?;
        write_file(&dir.join(BASE_FILE), &format!("{text}\n"))
    }
}

fn hash(source: &str) -> String {
    Sha256::digest(source.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
