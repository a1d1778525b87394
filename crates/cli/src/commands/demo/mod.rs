//! `tidings demo`: a shop in a process of its own commits orders with their events, a real server reads its outbox,
//! a real reader follows the feed, and a receiver of webhooks has a bad day. At the end everything is counted by ids.

mod children;
mod deliveries;
mod live;
mod receiver;
mod shop;
mod tally;
mod view;
mod webhooks;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::children::{Server, Shop};
use self::live::{Live, Reckoning};
use self::view::View;
use crate::config::check::integer;
use crate::context::{self, Context, interrupted};
use crate::failure::{Exit, Failure};
use crate::http::Api;
use crate::term::{Style, Voice, note, say, say_json};

/// The shop's customers: each is a tenant.
const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
/// How long the shop sells when nobody says.
const SECONDS_DEFAULT: u64 = 15;
/// How long feed and webhooks have, after the last commit, to bring everything. The feed needs milliseconds, webhooks
/// as long as their last retries wait.
const SETTLE: Duration = Duration::from_secs(30);

/// How often the removal of the demo's files is tried.
const REMOVALS_MAX: usize = 100;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs nothing and leaves nothing behind. Webhooks go to a receiver of the demo's own, which verifies their \
signatures, answers 500 at random, goes down for a while and comes back. With --seconds (or DEMO_SECONDS) it ends by itself, with 1 if any \
figure is off; without, it stays up so that you can look around.

Examples:
  tidings demo
  DEMO_SECONDS=5 tidings demo")]
pub(crate) struct DemoArgs {
    /// Let the shop sell for so long, then end [DEMO_SECONDS]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,
    /// Transactions of the shop in a second
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Keep the databases, here; must be missing or empty [default: a temporary directory]
    #[arg(long, value_name = "PATH")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, clap::Subcommand)]
enum Part {
    /// The shop: sells until its standard input ends
    #[command(hide = true)]
    Shop(shop::ShopArgs),
}

pub(crate) fn run(around: &Context, args: &DemoArgs) -> Result<(), Failure> {
    if let Some(Part::Shop(args)) = &args.part {
        return context::run(shop::run(args));
    }
    let asked = seconds(args)?;
    let place = Place::make(args.data_dir.as_deref())?;
    context::run(async {
        let seconds = Duration::from_secs(asked.unwrap_or(SECONDS_DEFAULT));
        let shown = show(around.voice, &place, seconds, args.rate);
        let (server, reckoning) = tokio::select! {
            shown = Box::pin(shown) => shown?,
            () = interrupted() => return Err(Failure::silent(Exit::Interrupted)),
        };
        if asked.is_none() && reckoning.is_good() {
            stay(around.voice, &place, &server, &reckoning).await?;
        }
        server.end().await?;
        if reckoning.is_good() { Ok(()) } else { Err(Failure::failed("a figure is off")) }
    })
}

/// How long the shop shall sell: the flag, else the environment, where an empty value counts as none.
fn seconds(args: &DemoArgs) -> Result<Option<u64>, Failure> {
    let from_env = std::env::var("DEMO_SECONDS").ok().filter(|text| !text.is_empty());
    match (args.seconds, from_env) {
        (None, Some(text)) => match integer(1, 3_600, &text) {
            Ok(seconds) => Ok(Some(seconds)),
            Err(reason) => Err(Failure::usage(format!("DEMO_SECONDS: {reason}"))),
        },
        (given, _) => Ok(given),
    }
}

/// Runs the shop for its time and counts. The server is left running.
async fn show(voice: Voice, place: &Place, time: Duration, rate: u32) -> Result<(Server, Reckoning), Failure> {
    let shop = format!("sqlite:{}", place.shop().display());
    let installed = tidings_store::install_outbox(&shop).await;
    installed.map_err(|error| Failure::failed(format!("the shop's outbox: {error}")))?;
    let server = Server::start(place).await?;
    let api = Api::new(&server.url, Some(server.key.clone()))?;
    let mut view = View::new(voice, time, &server.url);
    let mut live = Live::start(&api).await?.open(Shop::start(place, rate)?);
    live.sell(time, &mut view).await?;
    live.settle(SETTLE, &mut view).await?;
    let reckoning = live.verdict(&api, &place.shop(), SETTLE).await?;
    view.end();
    if voice.json {
        let mut figures = reckoning.feed.to_json();
        figures["webhooks"] = reckoning.delivered.to_json();
        figures["ok"] = reckoning.is_good().into();
        say_json(voice, &figures)?;
    } else {
        let (feed, delivered) = (reckoning.feed.render(voice), reckoning.delivered.render(voice));
        let (feed_head, webhooks_head) =
            (voice.paint(Style::Strong, "The log"), voice.paint(Style::Strong, "Webhooks"));
        say(format!("\n{feed_head}\n{}\n\n{webhooks_head}\n{}\n", feed.join("\n"), delivered.join("\n")))?;
    }
    Ok((server, reckoning))
}

/// Stays up until Ctrl-C, with the shop selling slowly, so that there is something to look at.
async fn stay(voice: Voice, place: &Place, server: &Server, reckoning: &Reckoning) -> Result<(), Failure> {
    let accent = |text: String| voice.paint(Style::Accent, text);
    let (tenant, endpoint) = reckoning.webhooks.first();
    let key = place.data().join(crate::datadir::ADMIN_KEY);
    note(format!(
        "\nThe server stays up at {}, webhooks go to {}, and the shop sells an order now and then. In another terminal:\n\n  {}\n  {}\n  {}\n  {}\n  {}\n  {}\n  {}\n\nCtrl-C ends it all.",
        voice.paint(Style::Strong, &server.url),
        reckoning.receiver.url(tenant),
        accent(format!("export TIDINGS_URL={} TIDINGS_KEY=$(cat {})", server.url, key.display())),
        accent("tidings tail acme".to_owned()),
        accent("tidings events search acme --types 'shop.order.cancelled'".to_owned()),
        accent("tidings emit --tenant acme --type crm.note.added --source service/crm --data '{\"text\":\"hello\"}'".to_owned()),
        accent(format!("tidings endpoints attempts {tenant} {endpoint} --status failed")),
        accent(format!("tidings endpoints test {tenant} {endpoint}")),
        accent("curl -N -H \"authorization: Bearer $TIDINGS_KEY\" -H 'accept: text/event-stream' \"$TIDINGS_URL/v1/tenants/acme/feed?from=start\"".to_owned()),
    ));
    let mut shop = Shop::start(place, 1)?;
    let selling = async { while shop.next().await.is_some() {} };
    tokio::select! {
        () = selling => {}
        () = interrupted() => {}
    }
    shop.end().await
}

/// Where the demo keeps its files.
struct Place {
    path: PathBuf,
    /// Whether it goes away at the end.
    temporary: bool,
}

impl Place {
    fn make(given: Option<&Path>) -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = match given {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("tidings-demo-{}", ulid::Ulid::generate())),
        };
        let wrong = |error: std::io::Error| Failure::failed(format!("{} cannot be used: {error}", path.display()));
        if path.exists() && std::fs::read_dir(&path).map_err(wrong)?.next().is_some() {
            return Err(Failure::usage(format!("{} is not empty; the demo begins with nothing", path.display())));
        }
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(wrong)?;
        let path = std::fs::canonicalize(&path).map_err(wrong)?;
        Ok(Self { path, temporary: given.is_none() })
    }

    /// The server's data directory.
    fn data(&self) -> PathBuf {
        self.path.join("tidings")
    }

    /// The shop's own database.
    fn shop(&self) -> PathBuf {
        self.path.join("shop.db")
    }

    /// What the server has to say.
    fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A server that was killed a moment ago may still have made a file while the others were removed. What
        // cannot be removed at all is for the system's own cleaning of its temporary directory.
        for _ in 0..REMOVALS_MAX {
            if !self.temporary || std::fs::remove_dir_all(&self.path).is_ok() {
                return;
            }
        }
    }
}
