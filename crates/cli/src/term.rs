//! What the terminal is and can: colour, width, tables.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};

use crate::failure::Failure;

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a command speaks: to a person or to a machine, in colour or without.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    /// Machine-readable output was asked for.
    pub(crate) json: bool,
    /// Standard output takes colour.
    pub(crate) color: bool,
    /// Standard output is a terminal.
    pub(crate) terminal: bool,
}

impl Voice {
    pub(crate) fn new(json: bool, choice: ColorChoice) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let color = match choice {
            ColorChoice::Auto => terminal && !plain,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        Self { json, color: color && !json, terminal }
    }

    /// For people, without colour, into something that is no terminal.
    pub(crate) const fn plain() -> Self {
        Self { json: false, color: false, terminal: false }
    }

    /// The text in a style, or as it is.
    pub(crate) fn paint(self, style: Style, text: impl Display) -> String {
        if self.color { format!("\x1b[{}m{text}\x1b[0m", style.code()) } else { text.to_string() }
    }

    /// A colour that is always the same for the same word, so that the eye can follow it.
    pub(crate) fn paint_word(self, word: &str) -> String {
        const COLORS: [u8; 6] = [36, 33, 35, 32, 34, 96];
        let sum = word.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        if self.color { format!("\x1b[{}m{word}\x1b[0m", COLORS[sum % COLORS.len()]) } else { word.to_owned() }
    }
}

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// A heading or the one figure that matters.
    Strong,
    /// What can be overlooked.
    Faint,
    /// All is well.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// What can be typed or opened.
    Accent,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
            Self::Accent => "36",
        }
    }
}

/// Columns and rows of the terminal behind standard output.
pub(crate) fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok().filter(|size| size.ws_col > 0);
    size.map_or((100, 30), |size| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

/// At most so many characters; what is cut off is marked. Counts characters, which is width enough for logs.
pub(crate) fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The same text without what could steer the terminal it is shown on.
pub(crate) fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A table for people: no frame, room between columns.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if std::io::stdout().is_terminal() {
        table.set_width(u16::try_from(size().0).unwrap_or(u16::MAX));
    } else {
        // A pipe has no width: a row stays one line.
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(header.iter().map(|title| title.to_uppercase()));
    table
}

/// Writes a line to standard output.
pub(crate) fn say(text: impl Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Writes a line to standard error. That nobody reads it changes nothing.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes a table, without the blanks that it leaves at the ends of lines.
pub(crate) fn say_table(table: &Table) -> Result<(), Failure> {
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    say(lines.join("\n"))
}

/// Writes a JSON value on lines of its own for people, on one line for machines.
pub(crate) fn say_json(voice: Voice, value: &serde_json::Value) -> Result<(), Failure> {
    if voice.terminal { say(format!("{value:#}")) } else { say(value) }
}
