//! What every command is given, and how it comes to its server.

use std::future::Future;
use std::path::{Path, PathBuf};

use crate::args::{Client, Global};
use crate::config::{self, layer::Layers};
use crate::datadir::ADMIN_KEY;
use crate::failure::{Exit, Failure};
use crate::http::Api;
use crate::term::{Voice, note};

/// What every command is given.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) voice: Voice,
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
}

impl Context {
    pub(crate) fn new(global: &Global) -> Self {
        Self { voice: Voice::new(global.json, global.color), file: global.config.clone() }
    }

    /// The server that a command speaks to, with the key to use there.
    pub(crate) fn api(&self, client: &Client) -> Result<Api, Failure> {
        let layers = config::load(&client.flags.given, self.file.clone())?;
        layers.warnings().iter().for_each(|warning| note(format!("warning: {warning}")));
        let key = key(&layers)?;
        Ok(Api::new(&layers.get("url").text, Some(key))?)
    }

    /// A server by its URL, with the same key.
    pub(crate) fn api_at(&self, client: &Client, url: &str) -> Result<Api, Failure> {
        let layers = config::load(&client.flags.given, self.file.clone())?;
        Ok(Api::new(url, Some(key(&layers)?))?)
    }
}

/// The API key in force.
pub(crate) fn key(layers: &Layers) -> Result<String, Failure> {
    if let Some(key) = layers.text("key") {
        return Ok(key.to_owned());
    }
    if let Some(path) = layers.text("key_file") {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Failure::usage(format!("the key file {path} cannot be read: {error}")))?;
        return match text.trim() {
            "" => Err(Failure::usage(format!("the key file {path} is empty"))),
            key => Ok(key.to_owned()),
        };
    }
    let local = config::data_dir(layers).join(ADMIN_KEY);
    Err(Failure::usage(no_key(&local)))
}

fn no_key(local: &Path) -> String {
    let path = local.display();
    if local.is_file() {
        format!(
            "no key: TIDINGS_KEY is not set.\nThe server of this directory keeps its admin key in {path}:\n  export TIDINGS_KEY=$(cat {path})"
        )
    } else {
        "no key: TIDINGS_KEY is not set. The server's admin key is in admin.key in its data directory; \
         `tidings keys create` makes narrower ones."
            .to_owned()
    }
}

/// Runs a command's work on a small runtime: one thread of its own is enough for a client.
pub(crate) fn run<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A blocked read of standard input must not hold the process.
    runtime.shutdown_background();
    done
}

/// Runs a command's work until it is done or the user interrupts it.
pub(crate) fn run_until_interrupted<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    run(async {
        tokio::select! {
            done = work => done,
            _ = interrupted() => Err(Failure::silent(Exit::Interrupted)),
        }
    })
}

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn interrupted() {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    match terminate {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without a handler SIGTERM ends the process by itself, which is what it is for.
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
