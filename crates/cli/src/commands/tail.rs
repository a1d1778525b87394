//! `tidings tail`: a tenant's feed, live.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::emit::single::text_argument;
use super::events::line;
use crate::args::{Client, Tenant};
use crate::context::{self, Context, interrupted};
use crate::failure::{Exit, Failure};
use crate::http::Api;
use crate::http::feed::{Item, Query, Stream};
use crate::term::{Style, Voice, note};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads on after a lost connection, a restart of the server included, from the last event it has printed. With \
--cursor-file it also reads on after its own end; an event may then be printed twice, never left out.

Examples:
  tidings tail acme
  tidings tail acme --from start --types 'sales.*,billing.invoice.paid'
  tidings tail acme --from 2026-03-15T10:00:00Z --json | jq .data
  tidings tail acme --filter '{\"filters\":[{\"field\":\"$.data.amount\",\"operator\":\"gte\",\"value\":1500}]}'
  tidings tail acme --cursor-file acme.cursor --json >> acme.ndjson")]
pub(crate) struct TailArgs {
    #[command(flatten)]
    tenant: Tenant,
    /// Where to begin: start, now, a sequence (the one after which to read) or a time as RFC 3339
    #[arg(long, value_name = "WHERE", default_value = "now")]
    from: String,
    /// Only these types, with commas between: exact, or with a wildcard like `sales.*`
    #[arg(long, value_name = "TYPES")]
    types: Option<String>,
    /// Only events that match this pattern: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Continue after the cursor in this file, and keep it up to date
    #[arg(long, value_name = "PATH")]
    cursor_file: Option<PathBuf>,
    /// End after so many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// End when all that is there has been printed
    #[arg(long)]
    no_follow: bool,
    #[command(flatten)]
    client: Client,
}

pub(crate) fn run(around: &Context, args: TailArgs) -> Result<(), Failure> {
    let api = around.api(&args.client)?;
    let filter = args.filter.as_deref().map(|filter| text_argument("--filter", filter)).transpose()?;
    let cursor = args.cursor_file.as_deref().map(read_cursor).transpose()?.flatten();
    let query = Query { tenant: args.tenant.name().to_owned(), from: Some(args.from), types: args.types, filter };
    let mut printer =
        Printer { voice: around.voice, file: args.cursor_file, written: None, saved: Instant::now(), left: args.limit };
    context::run(async {
        if args.no_follow {
            return pages(&api, &query, cursor, &mut printer).await;
        }
        let mut stream = Stream::new(api, query, cursor);
        let ended = tokio::select! {
            ended = follow(&mut stream, &mut printer) => ended,
            () = interrupted() => Err(Failure::silent(Exit::Interrupted)),
        };
        printer.save(stream.cursor(), true)?;
        // Ctrl-C is how a person ends a live view: nothing failed.
        ended.or_else(|failure| if failure.exit == Exit::Interrupted { Ok(()) } else { Err(failure) })
    })
}

async fn follow(stream: &mut Stream, printer: &mut Printer) -> Result<(), Failure> {
    let mut lost = false;
    while printer.wants_more() {
        match stream.next().await? {
            Item::Connected if std::mem::take(&mut lost) => printer.remark("connected again"),
            Item::Connected => {}
            Item::Event(json) => {
                printer.print(&json)?;
                printer.save(stream.cursor(), false)?;
            }
            Item::Progress => printer.save(stream.cursor(), false)?,
            Item::Lost { cause, wait } => {
                lost = true;
                printer.remark(&format!("{cause}; trying again in {:.1} s", wait.as_secs_f64()));
            }
        }
    }
    Ok(())
}

/// Reads pages until there is nothing more.
async fn pages(api: &Api, query: &Query, cursor: Option<String>, printer: &mut Printer) -> Result<(), Failure> {
    let mut cursor = cursor;
    loop {
        let path = query.path(cursor.as_deref());
        let join = if path.contains('?') { '&' } else { '?' };
        let limit = printer.left.unwrap_or(1_000).min(1_000);
        let request = api.request(http::Method::GET, &format!("{path}{join}limit={limit}"));
        let body = api.read_sent(request.header(http::header::ACCEPT, "application/json"), bytes::Bytes::new()).await?;
        let page: Page<'_> = serde_json::from_slice(&body)
            .map_err(|error| Failure::failed(format!("the page cannot be read: {error}")))?;
        for event in &page.events {
            printer.print(event.get())?;
        }
        printer.save(Some(&page.cursor), true)?;
        if page.up_to_date || !printer.wants_more() {
            return Ok(());
        }
        cursor = Some(page.cursor);
    }
}

#[derive(serde::Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    events: Vec<&'a serde_json::value::RawValue>,
    cursor: String,
    up_to_date: bool,
}

/// Prints events and remembers how far it came.
struct Printer {
    voice: Voice,
    file: Option<PathBuf>,
    written: Option<String>,
    saved: Instant,
    left: Option<u64>,
}

/// How long the cursor file may lag behind what was printed.
const SAVE_EVERY: Duration = Duration::from_millis(200);

impl Printer {
    fn wants_more(&self) -> bool {
        self.left != Some(0)
    }

    fn print(&mut self, json: &str) -> Result<(), Failure> {
        self.left = self.left.map(|left| left.saturating_sub(1));
        let mut out = std::io::stdout().lock();
        if self.voice.json {
            writeln!(out, "{json}")?;
        } else {
            writeln!(out, "{}", line(self.voice, json))?;
        }
        Ok(out.flush()?)
    }

    fn remark(&self, text: &str) {
        note(self.voice.paint(Style::Faint, text));
    }

    /// Writes the cursor behind what was printed, so that a crash repeats and never skips.
    fn save(&mut self, cursor: Option<&str>, now: bool) -> Result<(), Failure> {
        let (Some(path), Some(cursor)) = (&self.file, cursor) else { return Ok(()) };
        if self.written.as_deref() == Some(cursor) || !now && self.saved.elapsed() < SAVE_EVERY {
            return Ok(());
        }
        write_cursor(path, cursor)?;
        self.written = Some(cursor.to_owned());
        self.saved = Instant::now();
        Ok(())
    }
}

fn read_cursor(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::failed(format!("the cursor file {} cannot be read: {error}", path.display()))),
    }
}

/// Replaces the file whole: a reader, or a crash, meets the old cursor or the new one.
fn write_cursor(path: &Path, cursor: &str) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let done = std::fs::write(&beside, format!("{cursor}\n")).and_then(|()| std::fs::rename(&beside, path));
    done.map_err(|error| Failure::failed(format!("the cursor file {} cannot be written: {error}", path.display())))
}
