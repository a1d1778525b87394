//! `tidings catalog generate` and `docs`: code, messages and pages from definitions.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_catalog::generate::{File, Options, PROTO_LOCK_FILE, Target, generate};
use tidings_catalog::lineage::Lineage;
use tidings_catalog::report::Change;
use tidings_catalog::site::{Revised, SiteInput, site};
use tidings_catalog::source;
use tidings_event::Timestamp;

use super::place::{Place, definitions};
use super::write_file;
use crate::args::Client;
use crate::commands::list::{self, Paging};
use crate::context::{Context, run_until_interrupted};
use crate::failure::{Exit, Failure};
use crate::http::{Api, segment};
use crate::term::{Style, note, say};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wanted {
    /// A crate with serde
    Rust,
    /// A package in strict TypeScript
    Typescript,
    /// A typed package
    Python,
    /// A module
    Go,
    /// proto3 messages
    Protobuf,
    /// An AsyncAPI 3 document
    Asyncapi,
}

impl From<Wanted> for Target {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Rust => Self::Rust,
            Wanted::Typescript => Self::Typescript,
            Wanted::Python => Self::Python,
            Wanted::Go => Self::Go,
            Wanted::Protobuf => Self::Protobuf,
            Wanted::Asyncapi => Self::Asyncapi,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    /// Where the catalog is: a folder, a server's URL, or `server` for TIDINGS_URL
    #[arg(value_name = "FROM", default_value = ".")]
    from: String,
    /// What to generate; may be given several times
    #[arg(long = "target", short = 't', value_enum, required = true)]
    targets: Vec<Wanted>,
    /// Where it goes: one folder a target below this one
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only types that begin like this; may be given several times
    #[arg(long = "type-prefix", value_name = "PREFIX")]
    prefixes: Vec<String>,
    /// What the crate, package or module is called; for Go a module path
    #[arg(long, value_name = "NAME", default_value = "events")]
    package: String,
    /// Its version
    #[arg(long, value_name = "VERSION", default_value = "0.1.0")]
    package_version: String,
    /// The name of the product
    #[arg(long, default_value = "Events")]
    title: String,
    /// The URL under which Tidings is reached, for AsyncAPI
    #[arg(long, value_name = "URL")]
    server_url: Option<String>,
    /// Write nothing; fail if what would be written is not there already
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DocsArgs {
    /// Where the catalog is: a folder, a server's URL, or `server` for TIDINGS_URL, which knows who publishes and
    /// subscribes
    #[arg(value_name = "FROM", default_value = ".")]
    from: String,
    /// The folder for the pages
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The name of the product
    #[arg(long, default_value = "Events")]
    title: String,
    #[command(flatten)]
    client: Client,
}

pub(crate) fn code(context: &Context, args: &GenerateArgs) -> Result<(), Failure> {
    let place = Place::of(&args.from, context, &args.client)?;
    let mut definitions = definitions(&run_until_interrupted(place.entries())?)?;
    if !args.prefixes.is_empty() {
        definitions
            .retain(|definition| args.prefixes.iter().any(|prefix| definition.name.as_str().starts_with(prefix)));
    }
    let (mut written, mut stale) = (0, Vec::new());
    for target in &args.targets {
        let target = Target::from(*target);
        let dir = args.out.join(target.as_str());
        let options = Options {
            title: args.title.clone(),
            version: args.package_version.clone(),
            package: args.package.clone(),
            server_url: args.server_url.clone(),
            proto_lock: std::fs::read_to_string(dir.join(PROTO_LOCK_FILE)).ok(),
            ..Options::default()
        };
        let files = generate(target, &definitions, &options).map_err(|findings| {
            let all: Vec<String> = findings.into_iter().map(|finding| finding.message).collect();
            Failure::failed(format!("{target}: {}", all.join("; ")))
        })?;
        for file in files {
            if write_if_new(&dir, &file, args.check)? {
                written += 1;
                stale.push(dir.join(&file.path));
            }
        }
    }
    if args.check && !stale.is_empty() {
        stale.iter().try_for_each(|path| {
            say(format!("{}  {}", path.display(), context.voice.paint(Style::Bad, "is not as it would be generated")))
        })?;
        return Err(Failure::silent(Exit::Failed));
    }
    note(format!("{} definitions, {written} files written in {}", definitions.len(), args.out.display()));
    Ok(())
}

/// Writes a file that is not as it shall be; with `check` it only says that.
fn write_if_new(dir: &Path, file: &File, check: bool) -> Result<bool, Failure> {
    let path = dir.join(&file.path);
    if std::fs::read_to_string(&path).is_ok_and(|text| text == file.text) {
        return Ok(false);
    }
    if !check {
        write_file(&path, &file.text)?;
    }
    Ok(true)
}

pub(crate) fn docs(context: &Context, args: &DocsArgs) -> Result<(), Failure> {
    let place = Place::of(&args.from, context, &args.client)?;
    let (entries, history, lineage) = run_until_interrupted(async {
        let entries = place.entries().await?;
        let (history, lineage) = match &place {
            Place::Folder(_) => (Vec::new(), None),
            Place::Server(api) => (history(api, &entries).await?, lineage(api).await?),
        };
        Ok((entries, history, lineage))
    })?;
    let sources = |kind: Kind| entries.iter().filter(move |entry| entry.key.kind == kind);
    let input = SiteInput {
        title: args.title.clone(),
        definitions: definitions(&entries)?,
        sets: sources(Kind::Set).filter_map(|entry| source::read_set(entry.source.as_deref()?).ok()).collect(),
        policies: sources(Kind::Policy)
            .filter_map(|entry| source::read_policy(entry.source.as_deref()?).ok())
            .collect(),
        history,
        lineage,
        generated_at: match &place {
            Place::Server(api) => api.base(),
            Place::Folder(_) => String::new(),
        },
    };
    let files = site(&input);
    for file in &files {
        write_file(&args.out.join(&file.path), &file.text)?;
    }
    note(format!("{} pages; open {}", files.len(), args.out.join("index.html").display()));
    Ok(())
}

/// Who publishes and subscribes; none where the key may not know.
async fn lineage(api: &Api) -> Result<Option<Vec<Lineage>>, Failure> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = match api.get(&format!("/v1/catalog/lineage?limit=1000{cursor}")).await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("forbidden") => {
                note("the key may not see who publishes and subscribes: that takes an admin's or an auditor's");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let page: Vec<Lineage> = serde_json::from_value(answer["data"].clone())
            .map_err(|error| Failure::failed(format!("the lineage cannot be read: {error}")))?;
        all.extend(page);
        match answer["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", segment(next)),
            None => return Ok(Some(all)),
        }
    }
}

/// What was changed, type by type.
async fn history(api: &Api, entries: &[Entry]) -> Result<Vec<Revised>, Failure> {
    let definitions = entries.iter().filter(|entry| entry.key.kind == Kind::Definition);
    let mut names: Vec<&str> = definitions.map(|entry| entry.key.name.as_str()).collect();
    names.dedup();
    let mut revised = Vec::new();
    for name in names {
        let path = format!("/v1/event-types/{}/history", segment(name));
        let (revisions, _) = list::read(api, &path, &Paging { limit: 1_000, all: true, cursor: None }).await?;
        let mut there: Vec<String> = Vec::new();
        for revision in &revisions {
            let text = |member: &str| revision[member].as_str().unwrap_or_default().to_owned();
            let version = text("version");
            let change = match (revision["source"].is_null(), there.contains(&version)) {
                (true, _) => Change::Removed,
                (false, true) => Change::Changed,
                (false, false) => Change::Added,
            };
            there.retain(|known| *known != version);
            if change != Change::Removed {
                there.push(version.clone());
            }
            let Ok(at) = Timestamp::parse(&text("at")) else { continue };
            revised.push(Revised {
                key: Key { kind: Kind::Definition, name: name.to_owned(), version },
                revision: revision["revision"].as_u64().unwrap_or_default(),
                change,
                by: text("by"),
                reason: revision["reason"].as_str().map(str::to_owned),
                at,
            });
        }
    }
    Ok(revised)
}
