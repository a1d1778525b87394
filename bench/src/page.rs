//! The page about scaling, written from what a run found: tables, and one plot.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use plotters::prelude::*;

use crate::report::{Figure, Report, number};
use crate::scaling::{BUSY_TENANTS, ENDPOINTS, NODES, PARTITIONS, ROWS, TENANTS};

/// One group of figures as the page shows it.
struct Chapter {
    group: &'static str,
    title: &'static str,
    text: &'static str,
    /// What the plot shows of it, and how that is called there.
    lines: &'static [(&'static str, &'static str)],
    /// What the plot's values are.
    unit: &'static str,
    /// Shown as a share of the first size.
    relative: bool,
}

const CHAPTERS: &[Chapter] = &[
    Chapter {
        group: PARTITIONS,
        title: "Partitions",
        text: "One node, 16 busy tenants. Appends to one partition share its head's lock and its commits, so partitions \
               help where the lock or the flush is what limits; on two cores it is the processor.",
        lines: &[("append, events/s", "append"), ("deliver, events/s", "deliver")],
        unit: "events/s",
        relative: false,
    },
    Chapter {
        group: NODES,
        title: "Nodes",
        text: "Four partitions, 16 busy tenants, all nodes on this one machine: they share its two cores, so more nodes \
               cannot be faster here. What is shown is what having them costs.",
        lines: &[("append, events/s", "append"), ("deliver, events/s", "deliver")],
        unit: "events/s",
        relative: false,
    },
    Chapter {
        group: TENANTS,
        title: "Idle tenants",
        text: "One busy tenant beside many that have events and do nothing.",
        lines: &[("append and deliver, processor", "append and deliver")],
        unit: "processor time an event, of that at the first size",
        relative: true,
    },
    Chapter {
        group: BUSY_TENANTS,
        title: "Busy tenants",
        text: "As many tenants, and each batch of 100 events speaks of 100 of them.",
        lines: &[("append, processor", "append")],
        unit: "processor time an event, of that at the first size",
        relative: true,
    },
    Chapter {
        group: ENDPOINTS,
        title: "Idle endpoints",
        text: "One busy endpoint beside many of other tenants that want something else.",
        lines: &[("append and deliver, processor", "append and deliver")],
        unit: "processor time an event, of that at the first size",
        relative: true,
    },
    Chapter {
        group: ROWS,
        title: "Rows of the log",
        text: "Small events, so that ten million fit the machine.",
        lines: &[("append, processor", "append"), ("append and deliver, processor", "append and deliver")],
        unit: "processor time an event, of that at the first size",
        relative: true,
    },
];

/// Writes `scaling.md` and `scaling.svg` into a folder, unless the run measured nothing of it.
pub(crate) fn write(report: &Report, folder: &Path) -> Result<()> {
    if !report.figures.iter().any(|figure| figure.group == PARTITIONS) {
        return Ok(());
    }
    std::fs::write(folder.join("scaling.md"), page(report)?)?;
    draw(report, &folder.join("scaling.svg"))
}

/// A figure's size and what it is of: the two halves of its case.
fn halves(figure: &Figure) -> Option<(usize, &str)> {
    let (size, what) = figure.case.split_once(": ")?;
    Some((size.parse().ok()?, what))
}

fn page(report: &Report) -> Result<String> {
    let mut page = String::from(
        "# How rates and costs scale\n\nWritten by `make bench` (`tidings-bench scaling --docs docs`), on the machine \
         described below; do not edit. Processor time is that of servers, database and receiver together, and varies \
         less from run to run than rates do.\n\n![Rates by partitions and nodes, costs by tenants, endpoints and \
         rows](scaling.svg)\n",
    );
    for chapter in CHAPTERS {
        let figures: Vec<&Figure> = report.figures.iter().filter(|figure| figure.group == chapter.group).collect();
        let (mut sizes, mut whats) = (Vec::new(), Vec::new());
        for (size, what) in figures.iter().filter_map(|figure| halves(figure)) {
            if !sizes.contains(&size) {
                sizes.push(size);
            }
            if !whats.contains(&what) {
                whats.push(what);
            }
        }
        write!(page, "\n## {}\n\n{}\n\n| {} |", chapter.title, chapter.text, chapter.title.to_lowercase())?;
        for size in &sizes {
            write!(page, " {} |", grouped(*size))?;
        }
        write!(page, "\n| --- |{}", " ---: |".repeat(sizes.len()))?;
        for what in whats {
            write!(page, "\n| {what}")?;
            let of = |size: usize| figures.iter().find(|figure| halves(figure) == Some((size, what)));
            if let Some(first) = sizes.first().and_then(|size| of(*size))
                && !what.ends_with("events/s")
            {
                write!(page, ", {}", first.unit)?;
            }
            page.push_str(" |");
            for size in &sizes {
                write!(page, " {} |", of(*size).map(|figure| number(figure.value)).unwrap_or_default())?;
            }
        }
        page.push('\n');
    }
    page.push_str("\n## The machine\n\n| | |\n| --- | --- |\n");
    for (name, value) in &report.setting {
        writeln!(page, "| {name} | {value} |")?;
    }
    Ok(page)
}

/// A number with a comma between each three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Colors that can be told apart, also by those who see few.
const COLORS: [RGBColor; 2] = [RGBColor(0, 90, 181), RGBColor(220, 90, 20)];
const INK: RGBColor = RGBColor(60, 60, 67);
const FAINT: RGBColor = RGBColor(225, 225, 230);

fn draw(report: &Report, path: &Path) -> Result<()> {
    let area = SVGBackend::new(path, (1_080, 680)).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, chapter) in area.split_evenly((2, 3)).iter().zip(CHAPTERS) {
        draw_panel(panel, chapter, report).with_context(|| chapter.title)?;
    }
    area.present()?;
    Ok(())
}

type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_panel(panel: &Panel<'_>, chapter: &Chapter, report: &Report) -> Result<()> {
    let lines: Vec<(&str, Vec<(f64, f64)>)> = chapter
        .lines
        .iter()
        .map(|(what, name)| {
            let of_it = report.figures.iter().filter(|figure| figure.group == chapter.group);
            let points = of_it.filter_map(|figure| {
                let (size, of) = halves(figure)?;
                (of == *what).then_some((size as f64, figure.value))
            });
            let points: Vec<(f64, f64)> = points.collect();
            let first = points.first().map_or(1.0, |(_, value)| *value);
            let share = if chapter.relative { first } else { 1.0 };
            (*name, points.into_iter().map(|(size, value)| (size, value / share)).collect())
        })
        .collect();
    let points = || lines.iter().flat_map(|(_, points)| points.iter());
    let least = points().map(|(size, _)| *size).fold(f64::INFINITY, f64::min);
    let most = points().map(|(size, _)| *size).fold(1.0, f64::max);
    let top = points().map(|(_, value)| *value).fold(if chapter.relative { 1.5 } else { 1.0 }, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(panel)
        .margin(14)
        .caption(chapter.title, ("sans-serif", 18).into_font().color(&INK))
        .x_label_area_size(28)
        .y_label_area_size(48)
        .build_cartesian_2d((least * 0.9..most * 1.1).log_scale(), 0.0..top)?;
    let sizes: Vec<f64> = lines.first().map(|(_, points)| points.iter().map(|(x, _)| *x).collect()).unwrap_or_default();
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .x_labels(1)
        .x_label_formatter(&|_| String::new())
        .y_labels(5)
        .y_label_formatter(&|value| if chapter.relative { format!("{value:.1}") } else { number(*value) })
        .label_style(("sans-serif", 12).into_font().color(&INK))
        .draw()?;
    for size in sizes {
        let label =
            EmptyElement::at((size, 0.0)) + Text::new(short(size), (-8, 8), ("sans-serif", 12).into_font().color(&INK));
        chart.plotting_area().draw(&label)?;
    }
    // The second name stands below its line, where the first stands above.
    for (((name, points), color), below) in lines.iter().zip(COLORS).zip([-18, 10]) {
        chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, color.filled())))?;
        if let Some(first) = points.first() {
            let label =
                EmptyElement::at(*first) + Text::new(*name, (8, below), ("sans-serif", 12).into_font().color(&color));
            chart.plotting_area().draw(&label)?;
        }
    }
    panel.draw(&Text::new(chapter.unit, (62, 34), ("sans-serif", 11).into_font().color(&INK)))?;
    Ok(())
}

/// A size in a few characters.
fn short(size: f64) -> String {
    match size {
        s if s >= 1e6 => format!("{}M", s / 1e6),
        s if s >= 1e3 => format!("{}k", s / 1e3),
        s => format!("{s}"),
    }
}
