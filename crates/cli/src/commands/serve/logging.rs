//! What the server logs, and how: for people on a terminal, JSON for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::layer::Layers;
use crate::failure::Failure;

/// Installs the log. Says whether it is for people.
pub(super) fn install(layers: &Layers) -> Result<bool, Failure> {
    let text = &layers.get("log").text;
    let filter =
        EnvFilter::try_new(text).map_err(|error| Failure::usage(format!("log ('{text}') cannot be used: {error}")))?;
    // What the connection to NATS goes through is told in words of our own; the library repeats itself.
    let filter = if text.contains("async_nats") {
        filter
    } else {
        filter.add_directive("async_nats=off".parse().expect("the directive is well formed"))
    };
    let human = match layers.get("log_format").text.as_str() {
        "human" => true,
        "json" => false,
        _ => std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = if human {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
    installed.map_err(|error| Failure::failed(format!("the log cannot be installed: {error}")))?;
    Ok(human)
}
