//! A frame as text: for pipes, tickets and tests.

use std::fmt::Write as _;

use super::draw::{self, Cell, Section, Tone};
use super::view::View;
use crate::term::{Style, Voice};

/// All tables, one below the other.
pub(super) fn render(voice: Voice, view: &View) -> String {
    let mut out = String::new();
    let headline: Vec<String> = draw::headline(view).iter().map(|cell| paint(voice, cell, cell.text.clone())).collect();
    out.push_str(&headline.join("  "));
    out.push('\n');
    for section in [
        draw::rates(view),
        draw::latencies(view),
        draw::outboxes(view),
        draw::partitions(view),
        draw::lanes(view),
        draw::nodes(view),
    ] {
        write(voice, &section, &mut out);
    }
    out.truncate(out.trim_end().len());
    out
}

fn write(voice: Voice, section: &Section, out: &mut String) {
    let mut push = |line: &str| {
        out.push_str(line.trim_end());
        out.push('\n');
    };
    push("");
    push(&voice.paint(Style::Strong, &section.title));
    let rows = section.rows.iter();
    let widths: Vec<usize> = (0..section.head.len())
        .map(|column| {
            let cells = rows.clone().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
            cells.chain([section.head[column].0.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let pad = |text: &str, column: usize| {
        let width = widths[column];
        if section.head[column].1 { format!("{text:>width$}") } else { format!("{text:<width$}") }
    };
    let mut line = String::new();
    for (column, (name, _)) in section.head.iter().enumerate() {
        let _ = write!(line, "  {}", voice.paint(Style::Faint, pad(name, column)));
    }
    if section.is_named() {
        push(&line);
    }
    for row in rows.clone() {
        line.clear();
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(line, "  {}", paint(voice, cell, pad(&cell.text, column)));
        }
        push(&line);
    }
    if section.rows.is_empty() {
        push(&format!("  {}", voice.paint(Style::Faint, section.empty)));
    }
}

fn paint(voice: Voice, cell: &Cell, text: String) -> String {
    match cell.tone {
        Tone::Plain => text,
        Tone::Strong => voice.paint(Style::Strong, text),
        Tone::Faint => voice.paint(Style::Faint, text),
        Tone::Good => voice.paint(Style::Good, text),
        Tone::Warn => voice.paint(Style::Warn, text),
        Tone::Bad => voice.paint(Style::Bad, text),
    }
}
