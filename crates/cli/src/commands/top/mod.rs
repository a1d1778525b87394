//! `tidings top`: how a running installation does, live in a terminal or as one frame of text.

mod draw;
mod nodes;
mod plain;
mod scrape;
mod screen;
mod view;

use std::io::IsTerminal as _;
use std::time::Duration;

use self::nodes::Nodes;
use self::view::View;
use crate::args::Client;
use crate::config;
use crate::context::{self, Context};
use crate::failure::Failure;
use crate::term::{note, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything comes from /metrics, which needs no key, and, with an admin's key, from /v1/nodes (all nodes of the log) and \
/v1/lanes (which endpoints are behind). Rates are of the last seconds, quantiles too.

Keys: q ends, Tab and 1 to 4 change the page, arrows scroll, Space pauses, ? helps.

Examples:
  tidings top
  tidings top --node http://10.0.0.1:7411 --node http://10.0.0.2:7411
  tidings top --once
  tidings top --json --interval 10 | jq .rates")]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) client: Client,
    /// A node to look at, by its URL; may be given several times. Without it: all that the server knows of
    #[arg(long = "node", value_name = "URL")]
    nodes: Vec<String>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
    /// Print one frame as text and end
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(context: &Context, args: &TopArgs) -> Result<(), Failure> {
    let layers = config::load(&args.client.flags.given, context.file.clone())?;
    let key = context::key(&layers);
    let interval = Duration::from_secs(args.interval);
    let mut nodes = Nodes::new(&layers.get("url").text, &args.nodes, key.ok())?;
    let voice = context.voice;
    context::run(async {
        if voice.json {
            return lines(&mut nodes, interval, args.once).await;
        }
        if args.once {
            look_twice(&mut nodes, interval).await?;
            return say(plain::render(voice, &View::of(&nodes)));
        }
        if !voice.terminal || !std::io::stdin().is_terminal() {
            return Err(Failure::usage("this needs a terminal; --once prints one frame, --json a line for each look"));
        }
        nodes.look().await?;
        screen::run(&mut nodes, interval, voice.color).await
    })
}

/// Rates need two looks.
async fn look_twice(nodes: &mut Nodes, interval: Duration) -> Result<(), Failure> {
    nodes.look().await?;
    tokio::time::sleep(interval).await;
    nodes.look().await
}

/// A line of JSON for each look.
async fn lines(nodes: &mut Nodes, interval: Duration, once: bool) -> Result<(), Failure> {
    nodes.look().await?;
    loop {
        tokio::time::sleep(interval).await;
        if let Err(failure) = nodes.look().await {
            if once {
                return Err(failure);
            }
            note(failure.render(false).unwrap_or_default());
            continue;
        }
        let line = serde_json::to_string(&View::of(nodes)).map_err(|error| Failure::failed(error.to_string()))?;
        say(line)?;
        if once {
            return Ok(());
        }
    }
}
