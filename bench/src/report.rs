//! What a run found: a table for people, JSON for machines.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use serde::Serialize;

/// One measured figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// What was measured, like `append`.
    pub(crate) group: &'static str,
    /// Under which circumstances.
    pub(crate) case: String,
    /// The measured value.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// The ceiling or peer of the same run, in the same unit.
    pub(crate) ceiling: Option<f64>,
    /// What the ceiling is.
    pub(crate) ceiling_is: &'static str,
    /// What is aimed at.
    pub(crate) target: Option<Target>,
}

/// What a figure is held against.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// value / ceiling must reach this.
    RatioAtLeast(f64),
    /// value / ceiling must stay below this.
    RatioAtMost(f64),
    /// The value must reach this.
    AtLeast(f64),
    /// The value must stay below this.
    AtMost(f64),
}

impl Figure {
    pub(crate) fn new(group: &'static str, case: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { group, case: case.into(), value, unit, ceiling: None, ceiling_is: "", target: None }
    }

    pub(crate) fn against(mut self, ceiling: f64, is: &'static str) -> Self {
        self.ceiling = Some(ceiling);
        self.ceiling_is = is;
        self
    }

    pub(crate) fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.ceiling.filter(|c| *c > 0.0).map(|c| self.value / c)
    }

    fn met(&self) -> Option<bool> {
        Some(match self.target? {
            Target::RatioAtLeast(least) => self.ratio()? >= least,
            Target::RatioAtMost(most) => self.ratio()? <= most,
            Target::AtLeast(least) => self.value >= least,
            Target::AtMost(most) => self.value <= most,
        })
    }
}

/// All figures of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// The machine and the settings that matter.
    pub(crate) setting: BTreeMap<&'static str, String>,
    /// The figures in order of measuring.
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn push(&mut self, figure: Figure) {
        let against = figure.ratio().map_or_else(String::new, |r| format!("  = {r:.2} of {}", figure.ceiling_is));
        say(&format!("{} · {}: {} {}{against}", figure.group, figure.case, number(figure.value), figure.unit));
        self.figures.push(figure);
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header(["figure", "case", "measured", "unit", "ceiling", "ratio", "target", ""]);
        for index in [2, 4, 5, 6] {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for f in &self.figures {
            let target = match f.target {
                Some(Target::RatioAtLeast(r)) => format!("≥ {r:.2} ×"),
                Some(Target::RatioAtMost(r)) => format!("≤ {r:.2} ×"),
                Some(Target::AtLeast(v)) => format!("≥ {}", number(v)),
                Some(Target::AtMost(v)) => format!("≤ {}", number(v)),
                None => String::new(),
            };
            let met = match f.met() {
                Some(true) => Cell::new("met").fg(Color::Green),
                Some(false) => Cell::new("missed").fg(Color::Red),
                None => Cell::new(""),
            };
            table.add_row(vec![
                Cell::new(f.group),
                Cell::new(&f.case),
                Cell::new(number(f.value)),
                Cell::new(f.unit),
                Cell::new(f.ceiling.map(number).unwrap_or_default()),
                Cell::new(f.ratio().map(|r| format!("{r:.2}")).unwrap_or_default()),
                Cell::new(target),
                met,
            ]);
        }
        table
    }

    pub(crate) fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }
}

/// Sorted samples of a latency.
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn new(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self(samples)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value below which the given share of the samples lies, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        if self.0.is_empty() {
            return f64::NAN;
        }
        let index = ((self.0.len() as f64 * share).ceil() as usize).clamp(1, self.0.len()) - 1;
        self.0[index].as_secs_f64() * 1e3
    }
}

#[allow(clippy::print_stderr, reason = "a benchmark tells its progress on the terminal")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 10_000.0 => format!("{:.1}k", value / 1e3),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
