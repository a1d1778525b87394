//! `tidings config`: what is in force, and the reference of all settings.

use clap::Subcommand;
use serde_json::json;

use crate::config::flags::{AnyScope, Flags};
use crate::config::layer::{InForce, Origin};
use crate::config::reference::reference;
use crate::context::Context;
use crate::failure::Failure;
use crate::term::{Style, note, say, say_json, say_table, table};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every value in force and where it came from, without secrets
    #[command(after_help = "Example:\n  TIDINGS_LISTEN=0.0.0.0:7411 tidings config show --data-dir /var/lib/tidings")]
    Show {
        #[command(flatten)]
        flags: Flags<AnyScope>,
    },
    /// Print the reference of all settings (docs/configuration.md)
    Reference,
}

pub(crate) fn run(context: &Context, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Show { flags } => show(context, flags),
        ConfigCommand::Reference => say(reference().trim_end()),
    }
}

fn show(context: &Context, flags: &Flags<AnyScope>) -> Result<(), Failure> {
    let voice = context.voice;
    let layers = crate::config::load(&flags.given, context.file.clone())?;
    layers.warnings().iter().for_each(|warning| note(format!("warning: {warning}")));
    if voice.json {
        let values = layers.all().iter().map(|value| {
            let shown = Some(value.shown()).filter(|text| !text.is_empty());
            json!({"name": value.setting.name, "value": shown, "origin": value.origin.to_string()})
        });
        return say_json(voice, &json!({"file": layers.file, "settings": values.collect::<Vec<_>>()}));
    }
    match &layers.file {
        Some(path) => say(voice.paint(Style::Faint, format!("file: {}\n", path.display())))?,
        None => say(voice.paint(Style::Faint, "file: none\n"))?,
    }
    let mut rows = table(&["setting", "value", "from"]);
    for value in layers.all() {
        let faint = value.origin == Origin::Default;
        let paint = |text: String| if faint { voice.paint(Style::Faint, text) } else { text };
        rows.add_row([paint(value.setting.name.to_owned()), paint(shown(value)), paint(value.origin.to_string())]);
    }
    say_table(&rows)
}

fn shown(value: &InForce) -> String {
    let text = value.shown();
    if text.is_empty() { "-".to_owned() } else { text }
}
