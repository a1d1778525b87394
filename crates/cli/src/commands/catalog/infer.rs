//! `tidings catalog infer`: drafts of definitions from what a tenant's log holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_catalog::infer::Inference;
use tidings_catalog::{folder, source};
use tidings_event::{Event, EventType, SystemMint, parse_event};

use super::write_file;
use crate::args::Client;
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::http::{Api, segment};
use crate::term::{Style, note, say};

/// Types that are inferred at once.
const TYPES_MAX: usize = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct InferArgs {
    /// Whose events to look at
    #[arg(long, short = 't', value_name = "TENANT")]
    tenant: String,
    /// Only these types, with commas between: exact, or with a wildcard like `sales.*`
    #[arg(long = "type", value_name = "TYPES")]
    types: Option<String>,
    /// How many events to look at, the newest first
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    limit: usize,
    /// Write the drafts into this folder instead of to standard output; files that are there stay
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    client: Client,
}

pub(crate) fn run(context: &Context, args: &InferArgs) -> Result<(), Failure> {
    let api = context.api(&args.client)?;
    let (seen, inferred) = run_until_interrupted(observe(&api, args))?;
    if inferred.is_empty() {
        note(format!("{seen} events, and none of a type of its own"));
        return Ok(());
    }
    for inference in inferred.values().filter(|inference| inference.seen() > 0) {
        let draft = inference.definition();
        let text = source::write(&draft);
        match &args.out {
            None => say(format!("---\n# types/{}/v{}.yaml\n{}", draft.name, draft.version, text.trim_end()))?,
            Some(dir) => {
                let path = dir.join(folder::default_path(&draft.key()));
                if path.exists() {
                    note(format!("{} is there already, and stays", path.display()));
                    continue;
                }
                write_file(&path, &text)?;
                let count = context.voice.paint(Style::Faint, format!("from {} events", inference.seen()));
                say(format!("{}  {count}", path.display()))?;
            }
        }
    }
    note(format!("looked at {seen} events; read the drafts, correct them, then: tidings catalog check"));
    Ok(())
}

async fn observe(api: &Api, args: &InferArgs) -> Result<(usize, BTreeMap<EventType, Inference>), Failure> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        data: Vec<BTreeMap<String, &'a RawValue>>,
        cursor: Option<String>,
    }
    let mut inferred: BTreeMap<EventType, Inference> = BTreeMap::new();
    let (mut seen, mut cursor) = (0, String::new());
    let types = args.types.as_deref().map(|types| format!("&types={}", segment(types))).unwrap_or_default();
    while seen < args.limit {
        let wanted = (args.limit - seen).min(1_000);
        let tenant = segment(&args.tenant);
        let path = format!("/v1/tenants/{tenant}/events?order=desc&limit={wanted}{types}{cursor}");
        let body = api.read_sent(api.request(Method::GET, &path), bytes::Bytes::new()).await?;
        let page: Page<'_> = serde_json::from_slice(&body)
            .map_err(|error| Failure::failed(format!("the page cannot be read: {error}")))?;
        seen += page.data.len();
        for recorded in page.data {
            if let Some(event) = as_sent(recorded)
                && !event.event_type.is_reserved()
                && (inferred.len() < TYPES_MAX || inferred.contains_key(&event.event_type))
            {
                let name = event.event_type.clone();
                inferred.entry(name).or_insert_with_key(|name| Inference::new(name.clone())).observe(&event);
            }
        }
        match page.cursor {
            Some(next) => cursor = format!("&cursor={}", segment(&next)),
            None => break,
        }
    }
    Ok((seen, inferred))
}

/// A recorded event as its producer sent it.
fn as_sent(mut recorded: BTreeMap<String, &RawValue>) -> Option<Event> {
    for assigned in ["sequence", "recorded_at"] {
        recorded.remove(assigned);
    }
    let text = serde_json::to_string(&recorded).ok()?;
    parse_event(text.as_bytes(), &mut SystemMint::default()).ok()
}
