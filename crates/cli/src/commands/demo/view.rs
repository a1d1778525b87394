//! What the demo shows while it runs: two columns that stand still on a terminal, one line a second elsewhere.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::deliveries::Deliveries;
use super::receiver::Visit;
use super::shop::Report;
use super::tally::{Arrival, Tally, milliseconds};
use crate::term::{Style, Voice, clip, note, size};

/// How often a terminal is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(120);
/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Rows of each column at most.
const ROWS_MAX: usize = 12;
/// Rows of what the receiver does.
const VISITS_MAX: usize = 4;
/// Rows that the rest of the view takes.
const ROWS_AROUND: usize = 10 + VISITS_MAX;
/// Below this width the columns stand one above the other.
const WIDE: usize = 96;

/// One line of a column: its text, and how much of its beginning is marked.
struct Row {
    mark: (Style, &'static str),
    text: String,
    faint: bool,
}

pub(super) struct View {
    voice: Voice,
    begun: Instant,
    time: Duration,
    url: String,
    next: Instant,
    every: Duration,
    commits: VecDeque<Row>,
    arrivals: VecDeque<Row>,
    visits: VecDeque<Row>,
    /// Lines that stand on the terminal and are drawn over.
    drawn: usize,
}

impl View {
    pub(super) fn new(voice: Voice, time: Duration, url: &str) -> Self {
        let every = if Self::is_live(voice) { DRAW_EVERY } else { LINE_EVERY };
        let now = Instant::now();
        if Self::is_live(voice) {
            // The cursor would flicker through the columns.
            raw("\x1b[?25l");
        } else if !voice.json {
            note(format!(
                "a shop commits orders and their events in its own database; Tidings at {url} reads its outbox, gives them to \
                 live readers and delivers them to a receiver of webhooks that fails at random and goes down for a while"
            ));
        }
        let (commits, arrivals, visits) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        let (url, next) = (url.to_owned(), now + every);
        Self { voice, begun: now, time, url, next, every, commits, arrivals, visits, drawn: 0 }
    }

    fn is_live(voice: Voice) -> bool {
        voice.terminal && !voice.json && voice.color
    }

    /// Waits until it is time to draw.
    pub(super) async fn due(&self) {
        tokio::time::sleep_until(self.next).await;
    }

    pub(super) fn report(&mut self, report: &Report) {
        for (_, event_type) in &report.events {
            let what = event_type.rsplit('.').next().unwrap_or_default();
            let (mark, fate) =
                if report.committed { ((Style::Good, "✓"), "") } else { ((Style::Bad, "↺"), "  rolled back") };
            let text = format!("{:<8} {:<11} {what}{fate}", report.tenant, report.order);
            push(&mut self.commits, Row { mark, text, faint: !report.committed });
        }
    }

    pub(super) fn arrive(&mut self, arrival: &Arrival, latency_us: Option<i64>) {
        let what = arrival.event_type.rsplit('.').next().unwrap_or_default();
        let number = format!("#{}", arrival.sequence);
        let text = format!(
            "{:<8} {number:>5} {:<11} {what:<9} {:>9}",
            arrival.tenant,
            arrival.entity.id,
            milliseconds(latency_us)
        );
        push(&mut self.arrivals, Row { mark: (Style::Accent, "→"), text, faint: false });
    }

    pub(super) fn visit(&mut self, visit: &Visit) {
        let status = visit.status.as_u16();
        let mark = match status {
            200..=299 => (Style::Good, "✓"),
            _ => (Style::Bad, "✗"),
        };
        let text = match &visit.event {
            Some(event) => {
                let (number, id) = (format!("#{}", event.sequence), &event.entity.id);
                let what = event.event_type.rsplit('.').next().unwrap_or_default();
                format!("{:<8} {number:>5} {id:<11} {what:<9} {status:>9}", event.tenant)
            }
            None => format!("{status}"),
        };
        push(&mut self.visits, Row { mark, text, faint: false });
    }

    /// Shows how things stand.
    pub(super) fn draw(&mut self, tally: &Tally, deliveries: &Deliveries) {
        self.next = Instant::now() + self.every;
        if Self::is_live(self.voice) {
            self.draw_columns(tally, deliveries);
        } else if !self.voice.json {
            note(self.line(tally, deliveries));
        }
    }

    fn line(&self, tally: &Tally, deliveries: &Deliveries) -> String {
        format!(
            "{:>3} s  committed {:>5}  rolled back {:>4}  on the feed {:>5}  p50 {:>7}  delivered {:>5}  answered 500 {:>4}{}",
            self.begun.elapsed().as_secs(),
            tally.committed(),
            tally.transactions_rolled_back,
            tally.arrived(),
            milliseconds(tally.percentile(50)),
            deliveries.taken(),
            deliveries.failed,
            if deliveries.is_down() { "  the receiver is down" } else { "" },
        )
    }

    /// What the receiver does: a heading and its newest visitors.
    fn receiver(&self, deliveries: &Deliveries, rows: usize, width: usize) -> Vec<String> {
        let head = format!("THE RECEIVER TAKES  {}   answers 500  {}", deliveries.taken(), deliveries.failed);
        let mut lines: Vec<String> =
            self.column(&head, &self.visits, rows, width).into_iter().map(|(line, _)| line).collect();
        if deliveries.is_down()
            && let Some(head) = lines.first_mut()
        {
            head.push_str(&self.voice.paint(Style::Bad, "   is down"));
        }
        lines
    }

    fn draw_columns(&mut self, tally: &Tally, deliveries: &Deliveries) {
        let (width, height) = size();
        let wide = width >= WIDE;
        let columns = if wide { 1 } else { 2 };
        let rows = (height.saturating_sub(ROWS_AROUND) / columns).clamp(1, ROWS_MAX);
        let half = if wide { (width - 3) / 2 } else { width };
        let left_head =
            format!("THE SHOP COMMITS  {}   rolls back {}", tally.committed(), tally.transactions_rolled_back);
        let right_head = format!(
            "THE FEED GIVES  {}   p50 {}  p99 {}",
            tally.arrived(),
            milliseconds(tally.percentile(50)),
            milliseconds(tally.percentile(99))
        );
        let left = self.column(&left_head, &self.commits, rows, half.saturating_sub(1));
        let right = self.column(&right_head, &self.arrivals, rows, half.saturating_sub(1));
        let mut lines = vec![self.head(width), String::new()];
        if wide {
            lines.extend(left.into_iter().zip(right).map(|((left, shown), (right, _))| {
                format!(
                    "{left}{} {} {right}",
                    " ".repeat(half.saturating_sub(shown + 1)),
                    self.voice.paint(Style::Faint, "│")
                )
            }));
        } else {
            lines.extend(left.into_iter().chain([(String::new(), 0)]).chain(right).map(|(line, _)| line));
        }
        lines.push(String::new());
        lines.extend(self.receiver(deliveries, VISITS_MAX.min(rows), half.saturating_sub(12)));
        let mut frame = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
        for line in &lines {
            frame.push_str(&format!("\r\x1b[2K{line}\n"));
        }
        // A frame that has become lower must not leave the old one's end standing.
        frame.push_str("\x1b[J");
        self.drawn = lines.len();
        raw(&frame);
    }

    fn head(&self, width: usize) -> String {
        let left = self.time.saturating_sub(self.begun.elapsed()).as_secs();
        let clock = if left > 0 { format!("{left} s to go") } else { "waiting for the last events".to_owned() };
        let text = clip(
            &format!("a shop's database → its outbox → {} → live readers and webhooks · {clock}", self.url),
            width.saturating_sub(16),
        );
        format!("{}  {}", self.voice.paint(Style::Strong, "Tidings demo"), self.voice.paint(Style::Faint, text))
    }

    /// A heading and the newest rows, each with its width on the terminal.
    fn column(&self, head: &str, rows: &VecDeque<Row>, count: usize, width: usize) -> Vec<(String, usize)> {
        let head = clip(head, width);
        let mut lines = vec![(self.voice.paint(Style::Strong, &head), head.chars().count())];
        let skipped = rows.len().saturating_sub(count);
        for index in 0..count {
            lines.push(rows.get(skipped + index).map_or((String::new(), 0), |row| {
                let text = clip(&row.text, width.saturating_sub(2));
                let shown = text.chars().count() + 2;
                let text = if row.faint { self.voice.paint(Style::Faint, text) } else { text };
                (format!("{} {text}", self.voice.paint(row.mark.0, row.mark.1)), shown)
            }));
        }
        lines
    }

    /// Gives the terminal back.
    pub(super) fn end(self) {}
}

impl Drop for View {
    fn drop(&mut self) {
        if Self::is_live(self.voice) {
            raw("\x1b[?25h");
        }
    }
}

fn push(rows: &mut VecDeque<Row>, row: Row) {
    rows.push_back(row);
    if rows.len() > ROWS_MAX {
        rows.pop_front();
    }
}

/// Writes to the terminal as it is. That it is gone will show elsewhere.
fn raw(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
