//! `tidings catalog diff`: what a folder would change, place by place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use tidings_catalog::diff::{Difference, diff};
use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_catalog::source;

use super::place::{Local, Place};
use crate::args::Client;
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::term::{Style, Voice, clip, note, say, tame};

/// Characters of a value that is shown.
const VALUE_CHARS_MAX: usize = 120;

#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// The folder of the catalog
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// What it differs from: a server's URL, `server` for TIDINGS_URL, or another folder
    #[arg(long, value_name = "URL|DIR", default_value = "server")]
    against: String,
    #[command(flatten)]
    client: Client,
}

pub(crate) fn run(context: &Context, args: &DiffArgs) -> Result<(), Failure> {
    let local = Local::read(&args.dir)?;
    if let Some((path, finding)) = local.findings.iter().find(|(_, found)| found.severity.as_str() == "error") {
        return Err(Failure::failed(format!("{}: {}", local.shown(path), finding.message)));
    }
    let place = Place::of(&args.against, context, &args.client)?;
    let there = run_until_interrupted(place.entries())?;
    let mut before: BTreeMap<Key, Option<String>> = there.into_iter().map(|entry| (entry.key, entry.source)).collect();
    let (mut shown, mut count) = (Vec::new(), 0);
    for entry in local.folder.entries() {
        let old = before.remove(&entry.key).flatten();
        if let Some(found) = compare(&entry, old.as_deref()) {
            count += 1;
            show(context.voice, &entry.key, &found, &mut shown)?;
        }
    }
    if context.voice.json {
        let only_there: Vec<String> = before.keys().map(Key::to_string).collect();
        return say(json!({"entries": shown, "only_there": only_there}));
    }
    for key in before.keys() {
        say(format!("{}  {}", voice_title(context.voice, key), context.voice.paint(Style::Faint, "is there alone")))?;
    }
    if count == 0 {
        note("nothing differs");
    }
    Ok(())
}

/// What differs about an entry.
enum Found {
    Added,
    /// Its text alone: comments, order, spelling.
    Wording,
    Places(Vec<Difference>),
}

fn compare(entry: &Entry, old: Option<&str>) -> Option<Found> {
    let new = entry.source.as_deref()?;
    let Some(old) = old else { return Some(Found::Added) };
    if old == new {
        return None;
    }
    let (before, after) = (tree(entry.key.kind, old), tree(entry.key.kind, new));
    let places = diff(&before, &after);
    Some(if places.is_empty() { Found::Wording } else { Found::Places(places) })
}

/// A source as what it means; as it stands where it cannot be read.
fn tree(kind: Kind, text: &str) -> Value {
    let read = match kind {
        Kind::Definition => source::read(text).map(|definition| source::to_value(&definition)),
        Kind::Set => source::read_set(text).map(|set| source::set_value(&set)),
        Kind::Policy => source::read_policy(text).map(|policy| source::policy_value(&policy)),
    };
    read.or_else(|_| source::to_json(text)).unwrap_or(Value::Null)
}

fn voice_title(voice: Voice, key: &Key) -> String {
    voice.paint(Style::Strong, tame(&key.to_string()))
}

fn show(voice: Voice, key: &Key, found: &Found, shown: &mut Vec<Value>) -> Result<(), Failure> {
    if voice.json {
        let (change, places) = match found {
            Found::Added => ("added", Vec::new()),
            Found::Wording => ("wording", Vec::new()),
            Found::Places(places) => ("changed", places.clone()),
        };
        let (kind, name, version) = (key.kind.as_str(), &key.name, &key.version);
        shown.push(json!({"kind": kind, "name": name, "version": version, "change": change, "places": places}));
        return Ok(());
    }
    let title = voice_title(voice, key);
    match found {
        Found::Added => say(format!("{title}  {}", voice.paint(Style::Good, "added"))),
        Found::Wording => say(format!("{title}  {}", voice.paint(Style::Faint, "the same in other words"))),
        Found::Places(places) => {
            say(format!("{title}  {}", voice.paint(Style::Accent, "changed")))?;
            places.iter().try_for_each(|place| say(line(voice, place)))
        }
    }
}

fn line(voice: Voice, place: &Difference) -> String {
    let value = |value: &Value| tame(&clip(&value.to_string(), VALUE_CHARS_MAX));
    let path = tame(&place.path);
    match (&place.before, &place.after) {
        (None, Some(after)) => format!("  {}", voice.paint(Style::Good, format!("+ {path}  {}", value(after)))),
        (Some(before), None) => format!("  {}", voice.paint(Style::Bad, format!("- {path}  {}", value(before)))),
        (before, after) => {
            let shown = |side: &Option<Value>| side.as_ref().map(value).unwrap_or_default();
            format!("  {} {path}  {} → {}", voice.paint(Style::Warn, "~"), shown(before), shown(after))
        }
    }
}
