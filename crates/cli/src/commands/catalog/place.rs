//! Where a catalog is: in a folder or on a server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_catalog::definition::Definition;
use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_catalog::folder::Folder;
use tidings_catalog::report::Finding;
use tidings_catalog::source;

use super::verdict::Told;
use crate::args::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::http::Api;

/// Files that a folder of a catalog may hold, whatever they are.
const FILES_MAX: usize = 50_000;
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Levels of folders.
const DEPTH_MAX: usize = 8;
/// Entries that the server takes in one change.
pub(super) const CHANGE_MAX: usize = tidings_catalog::limits::CHANGES_MAX;

/// A catalog in a folder.
pub(super) struct Local {
    pub(super) root: PathBuf,
    pub(super) folder: Folder,
    /// What is wrong with its files, by path within it.
    pub(super) findings: Vec<(String, Finding)>,
}

impl Local {
    /// Reads a folder.
    pub(super) fn read(root: &Path) -> Result<Self, Failure> {
        if !root.is_dir() {
            return Err(Failure::usage(format!(
                "{} is no folder; `tidings catalog init {0}` makes one with an example",
                root.display()
            )));
        }
        let mut files = Vec::new();
        for part in ["types", "sets", "policies"] {
            walk(root, Path::new(part), 0, &mut files)?;
        }
        let (folder, findings) = Folder::read(files);
        Ok(Self { root: root.to_owned(), folder, findings })
    }

    /// A path within it, for people.
    pub(super) fn shown(&self, path: &str) -> String {
        let path = self.root.join(path);
        path.strip_prefix("./").unwrap_or(&path).display().to_string()
    }
}

fn walk(root: &Path, part: &Path, depth: usize, files: &mut Vec<(String, String)>) -> Result<(), Failure> {
    let here = root.join(part);
    let entries = match std::fs::read_dir(&here) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && depth == 0 => return Ok(()),
        Err(error) => return Err(unreadable(&here, &error)),
    };
    let mut names: Vec<_> = entries.collect::<Result<_, _>>().map_err(|error| unreadable(&here, &error))?;
    names.sort_by_key(std::fs::DirEntry::file_name);
    for entry in names {
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let (path, kind) = (part.join(&name), entry.file_type().map_err(|error| unreadable(&here, &error))?);
        if name.starts_with('.') {
            continue;
        }
        if kind.is_dir() && depth < DEPTH_MAX {
            walk(root, &path, depth + 1, files)?;
        } else if kind.is_file() && [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending)) {
            let full = root.join(&path);
            if entry.metadata().is_ok_and(|found| found.len() > FILE_BYTES_MAX) || files.len() >= FILES_MAX {
                return Err(Failure::usage(format!("{}: too large or too many files for a catalog", full.display())));
            }
            let text = std::fs::read_to_string(&full).map_err(|error| unreadable(&full, &error))?;
            files.push((path.to_string_lossy().replace('\\', "/"), text));
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{} cannot be read: {error}", path.display()))
}

/// Where something is compared with, or read from.
pub(super) enum Place {
    Folder(PathBuf),
    Server(Box<Api>),
}

impl Place {
    /// A folder's path, a server's URL, or `server` for the one that TIDINGS_URL names.
    pub(super) fn of(text: &str, context: &Context, client: &Client) -> Result<Self, Failure> {
        if text == "server" {
            return Ok(Self::Server(Box::new(context.api(client)?)));
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Server(Box::new(context.api_at(client, text)?)));
        }
        Ok(Self::Folder(PathBuf::from(text)))
    }

    /// All entries there.
    pub(super) async fn entries(&self) -> Result<Vec<Entry>, Failure> {
        match self {
            Self::Server(api) => server_entries(api).await,
            Self::Folder(path) => {
                let local = Local::read(path)?;
                if let Some((path, finding)) = local.findings.first() {
                    return Err(Failure::usage(format!("{}: {}", local.shown(path), finding.message)));
                }
                Ok(local.folder.entries())
            }
        }
    }
}

/// All entries of a server's catalog, with their sources.
pub(super) async fn server_entries(api: &Api) -> Result<Vec<Entry>, Failure> {
    #[derive(Deserialize)]
    struct Page {
        data: Vec<Sent>,
        cursor: Option<String>,
    }
    #[derive(Deserialize)]
    struct Sent {
        kind: String,
        name: String,
        #[serde(default)]
        version: String,
        source: String,
    }
    let mut entries: BTreeMap<Key, String> = BTreeMap::new();
    let mut cursor: Option<String> = None;
    loop {
        let after = cursor.map(|cursor| format!("&cursor={}", crate::http::segment(&cursor))).unwrap_or_default();
        let answer = api.get(&format!("/v1/catalog/entries?limit=1000{after}")).await?;
        let page: Page = serde_json::from_value(answer)
            .map_err(|error| Failure::failed(format!("the server's entries cannot be read: {error}")))?;
        for Sent { kind, name, version, source } in page.data {
            // Kinds of a newer server are left alone.
            if let Some(kind) = Kind::parse(&kind) {
                entries.insert(Key { kind, name, version }, source);
            }
        }
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(entries.into_iter().map(|(key, source)| Entry { key, source: Some(source) }).collect());
        }
    }
}

/// The definitions among entries.
pub(super) fn definitions(entries: &[Entry]) -> Result<Vec<Arc<Definition>>, Failure> {
    let definitions = entries.iter().filter(|entry| entry.key.kind == Kind::Definition);
    let read = definitions.map(|entry| {
        let source = entry.source.as_deref().unwrap_or_default();
        source::read(source).map(Arc::new).map_err(|findings| {
            let why = findings.first().map(|finding| finding.message.clone()).unwrap_or_default();
            Failure::failed(format!("{}: {why}; `tidings catalog check` tells more", entry.key))
        })
    });
    read.collect()
}

/// Sends a change to a server; with `dry_run` it is only checked.
pub(super) async fn send_change(
    api: &Api,
    entries: &[Entry],
    overrides: &BTreeMap<Key, String>,
    dry_run: bool,
) -> Result<(Option<u64>, Told), Failure> {
    if entries.len() > CHANGE_MAX {
        return Err(Failure::failed(format!(
            "{} entries differ from the server's, and one change takes {CHANGE_MAX}: push a part of the folder first",
            entries.len()
        )));
    }
    let sources = |kind: Kind| -> Vec<Value> {
        let of_kind = entries.iter().filter(|entry| entry.key.kind == kind);
        of_kind.filter_map(|entry| Some(json!({ "source": entry.source.as_ref()? }))).collect()
    };
    let removed = entries.iter().filter(|entry| entry.source.is_none()).map(|entry| named(&entry.key));
    let overrides = overrides.iter().map(|(key, reason)| {
        let mut named = named(key);
        named["reason"] = Value::from(reason.as_str());
        named
    });
    let body = json!({
        "definitions": sources(Kind::Definition),
        "sets": sources(Kind::Set),
        "policies": sources(Kind::Policy),
        "remove": removed.collect::<Vec<_>>(),
        "overrides": overrides.collect::<Vec<_>>(),
        "dry_run": dry_run,
    });
    let answer = api.call(Method::POST, "/v1/catalog/changes", Some(&body)).await?;
    let report = serde_json::from_value(answer["report"].clone());
    let told = report.map_err(|error| Failure::failed(format!("the server's report cannot be read: {error}")))?;
    Ok((answer["revision"].as_u64(), told))
}

fn named(key: &Key) -> Value {
    match key.kind {
        Kind::Definition => json!({"kind": key.kind.as_str(), "name": key.name, "version": key.version}),
        Kind::Set | Kind::Policy => json!({"kind": key.kind.as_str(), "name": key.name}),
    }
}

/// What of a folder is not on a server as it is, and with `prune` what is there alone.
pub(super) fn differing(local: &[Entry], there: &[Entry], prune: bool) -> Vec<Entry> {
    let mut there: BTreeMap<&Key, &Option<String>> = there.iter().map(|entry| (&entry.key, &entry.source)).collect();
    let mut changed: Vec<Entry> =
        local.iter().filter(|entry| there.remove(&entry.key) != Some(&entry.source)).cloned().collect();
    if prune {
        changed.extend(there.into_keys().map(|key| Entry { key: key.clone(), source: None }));
    }
    changed
}

/// `TYPE@VERSION`, `set:NAME` or `policy:NAME`.
pub(super) fn parse_key(text: &str) -> Option<Key> {
    if let Some(name) = text.strip_prefix("set:") {
        return Some(Key::set(name));
    }
    if let Some(name) = text.strip_prefix("policy:") {
        return Some(Key::policy(name));
    }
    let (name, version) = text.split_once('@')?;
    Some(Key { kind: Kind::Definition, name: name.to_owned(), version: version.to_owned() })
}
