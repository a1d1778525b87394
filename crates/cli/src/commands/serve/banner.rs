//! What the server says when it is ready.

use std::path::{Path, PathBuf};

use tidings_engine::{Backend, Engine};

use super::database_shown;
use crate::config::layer::Layers;
use crate::datadir::ADMIN_KEY;
use crate::term::{Style, Voice, note};

/// What someone who starts a server wants to know.
pub(super) struct Banner {
    url: String,
    database: String,
    log: String,
    durability: String,
    /// The bus, if one is configured.
    bus: Option<String>,
    warnings: Vec<String>,
    sources: Vec<String>,
    /// Where the admin key is, unless it was given.
    key: Option<PathBuf>,
}

impl Banner {
    pub(super) async fn new(layers: &Layers, data_dir: &Path, url: &str, key_in_file: bool, engine: &Engine) -> Self {
        let health = engine.health().await;
        let backend = match engine.backend() {
            Backend::Sqlite => "SQLite",
            Backend::Postgres => "PostgreSQL",
        };
        let (bus, bus_warnings) = match health.bus {
            Some(bus) if bus.connected => {
                let settings = bus.settings.iter().map(|(name, value)| format!("{name}={value}"));
                (Some(settings.collect::<Vec<_>>().join(" ")), bus.warnings)
            }
            Some(bus) => (Some("not connected yet".to_owned()), bus.warnings),
            None => (None, Vec::new()),
        };
        let bus = bus.map(|settings| format!("NATS, {}: {settings}", layers.get("nats_url").shown()));
        let (durability, warnings) = match health.durability {
            Some(durability) => {
                let settings = durability.settings.iter().map(|(name, value)| format!("{name}={value}"));
                (settings.collect::<Vec<_>>().join(" "), durability.warnings)
            }
            None => ("unknown".to_owned(), vec!["the database does not say how durable its writes are".to_owned()]),
        };
        let warnings = warnings.into_iter().map(|warning| format!("durability: {warning}"));
        let warnings = warnings.chain(bus_warnings.into_iter().map(|warning| format!("bus: {warning}"))).collect();
        let sources = layers.get("sources").sources.iter().map(|source| source.name.clone()).collect();
        Self {
            url: url.to_owned(),
            database: format!("{backend}, {}", database_shown(layers, data_dir)),
            log: engine.log().id.to_string(),
            durability,
            bus,
            warnings,
            sources,
            key: key_in_file.then(|| data_dir.join(ADMIN_KEY)),
        }
    }

    pub(super) fn show(&self, human: bool) {
        if human {
            note(self.render(Voice { color: std::io::IsTerminal::is_terminal(&std::io::stderr()), ..Voice::plain() }));
        } else {
            tracing::info!(
                url = self.url,
                database = self.database,
                log = self.log,
                durability = self.durability,
                bus = self.bus,
                sources = self.sources.join(","),
                key_file = self.key.as_ref().map(|path| path.display().to_string()),
                version = env!("CARGO_PKG_VERSION"),
                "ready"
            );
        }
        self.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    }

    fn render(&self, voice: Voice) -> String {
        let strong = |text: &str| voice.paint(Style::Strong, text);
        let faint = |text: &str| voice.paint(Style::Faint, text);
        let accent = |text: String| voice.paint(Style::Accent, text);
        let sources = if self.sources.is_empty() {
            "none (TIDINGS_SOURCES, or POST /v1/events)".to_owned()
        } else {
            self.sources.join(", ")
        };
        let bus = self.bus.as_ref().map_or_else(String::new, |bus| format!("\n  {}  {bus}", faint("bus       ")));
        let key = match &self.key {
            Some(path) => path.display().to_string(),
            None => "as given by TIDINGS_ADMIN_KEY".to_owned(),
        };
        let export = match &self.key {
            Some(path) => accent(format!("export TIDINGS_KEY=$(cat {})", path.display())),
            None => accent("export TIDINGS_KEY=…".to_owned()),
        };
        // Clients look there by themselves.
        let elsewhere = if self.url == "http://127.0.0.1:7411" {
            String::new()
        } else {
            format!("\n  {}", accent(format!("export TIDINGS_URL={}", self.url)))
        };
        let emit = accent(
            "tidings emit --tenant acme --type sales.lead.created --source service/sales --data '{}'".to_owned(),
        );
        let tail = accent("tidings tail acme --from start".to_owned());
        format!(
            "\n{} {}\n\n  {}  {}\n  {}  {}\n  {}  {}{bus}\n  {}  {}\n  {}  {}\n\nTry:\n  {export}{elsewhere}\n  {emit}\n  {tail}\n",
            strong("Tidings"),
            faint(env!("CARGO_PKG_VERSION")),
            faint("listens on"),
            strong(&self.url),
            faint("database  "),
            self.database,
            faint("durability"),
            self.durability,
            faint("sources   "),
            sources,
            faint("admin key "),
            key,
        )
    }
}
