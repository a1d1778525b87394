//! The live view on a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Row, Sparkline, Table};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::draw::{self, Cell, Section, Tone};
use super::nodes::Nodes;
use super::view::View;
use crate::failure::Failure;

/// How long a look for keys takes at most, so that the thread that makes it ends with the view.
const KEY_WAIT: Duration = Duration::from_millis(200);

/// Characters that are left of a column of text before columns are left out.
const TEXT_MIN: usize = 12;

const PAGES: [&str; 4] = ["Overview", "Partitions", "Lanes", "Nodes"];

const HELP: &str = "\
q, Esc      end
Tab, 1-4    the next page, or one by its number
Up, Down    scroll
Space       pause, and go on
?           this help

Rates and quantiles are of the last ten seconds.
behind   endpoints that are fed from the log instead of memory
worst    events by which the one furthest behind lags
oldest   how long its oldest event in memory has waited
open     endpoints that are down, by their circuit
";

/// What the user has chosen.
struct Screen {
    page: usize,
    scroll: usize,
    paused: bool,
    helps: bool,
    color: bool,
    problem: Option<String>,
}

/// Shows the nodes until the user ends it.
pub(super) async fn run(nodes: &mut Nodes, interval: Duration, color: bool) -> Result<(), Failure> {
    let mut terminal =
        ratatui::try_init().map_err(|error| Failure::failed(format!("the terminal cannot be used: {error}")))?;
    let ended = Arc::new(AtomicBool::new(false));
    let (sender, mut keys) = mpsc::channel(16);
    let reading = ended.clone();
    let reader = std::thread::spawn(move || read(&sender, &reading));
    let mut screen = Screen { page: 0, scroll: 0, paused: false, helps: false, color, problem: None };
    let done = show(nodes, interval, &mut terminal, &mut keys, &mut screen).await;
    ended.store(true, Ordering::Release);
    ratatui::restore();
    drop(keys);
    // It ends within the time that one of its looks takes; whether it panicked does not matter any more.
    let _ = reader.join();
    done
}

/// Hands over what is typed, and that the size has changed.
fn read(events: &mpsc::Sender<Event>, ended: &AtomicBool) {
    while !ended.load(Ordering::Acquire) {
        match event::poll(KEY_WAIT) {
            Ok(false) => {}
            Ok(true) => {
                let Ok(event) = event::read() else { return };
                if events.blocking_send(event).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

async fn show(
    nodes: &mut Nodes,
    interval: Duration,
    terminal: &mut ratatui::DefaultTerminal,
    keys: &mut mpsc::Receiver<Event>,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    let mut view = View::of(nodes);
    loop {
        terminal.draw(|frame| screen.draw(frame, &view)).map_err(|error| Failure::failed(error.to_string()))?;
        tokio::select! {
            biased;
            event = keys.recv() => match event {
                Some(event) => if screen.took(&event) { return Ok(()) },
                None => return Ok(()),
            },
            _ = ticks.tick(), if !screen.paused => {
                screen.problem = nodes.look().await.err().and_then(|failure| failure.render(false));
                view = View::of(nodes);
            }
        }
    }
}

impl Screen {
    /// Does what a key says; returns whether that is the end.
    fn took(&mut self, event: &Event) -> bool {
        let Event::Key(key) = event else { return false };
        if key.kind == KeyEventKind::Release {
            return false;
        }
        if self.helps {
            self.helps = false;
            return false;
        }
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Char('?' | 'h') => self.helps = true,
            KeyCode::Char(' ' | 'p') => self.paused = !self.paused,
            KeyCode::Tab | KeyCode::Right => self.turn((self.page + 1) % PAGES.len()),
            KeyCode::BackTab | KeyCode::Left => self.turn((self.page + PAGES.len() - 1) % PAGES.len()),
            KeyCode::Char(digit @ '1'..='4') => self.turn(digit as usize - '1' as usize),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = self.scroll.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            _ => {}
        }
        false
    }

    fn turn(&mut self, page: usize) {
        (self.page, self.scroll) = (page, 0);
    }

    fn draw(&mut self, frame: &mut Frame<'_>, view: &View) {
        let [top, body, bottom] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)]).areas(frame.area());
        frame.render_widget(Paragraph::new(self.headline(view)), top);
        match self.page {
            0 => self.overview(frame, body, view),
            1 => self.page(frame, body, &draw::partitions(view)),
            2 => self.page(frame, body, &draw::lanes(view)),
            _ => self.page(frame, body, &draw::nodes(view)),
        }
        frame.render_widget(Paragraph::new(self.footer()), bottom);
        if self.helps {
            let area = centered(frame.area(), 68, HELP.lines().count() as u16 + 2);
            frame.render_widget(Clear, area);
            frame.render_widget(Paragraph::new(HELP).block(self.block("Help")), area);
        }
    }

    fn headline(&self, view: &View) -> Line<'static> {
        let cells = draw::headline(view).into_iter();
        Line::from(cells.flat_map(|cell| [self.span(cell), Span::raw("  ")]).collect::<Vec<_>>())
    }

    fn footer(&self) -> Line<'static> {
        if let Some(problem) = &self.problem {
            return Line::from(
                self.span(Cell { text: problem.lines().next().unwrap_or_default().to_owned(), tone: Tone::Bad }),
            );
        }
        let mut spans: Vec<Span<'static>> = PAGES
            .iter()
            .enumerate()
            .flat_map(|(page, name)| {
                let style =
                    if page == self.page { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
                [Span::styled(format!(" {} {name} ", page + 1), style), Span::raw(" ")]
            })
            .collect();
        let text = if self.paused { " paused: Space goes on" } else { " Tab  Space pause  ? help  q end" };
        let tone = if self.paused { Tone::Warn } else { Tone::Faint };
        spans.push(self.span(Cell { text: text.to_owned(), tone }));
        Line::from(spans)
    }

    /// As much as there is room for: what matters most comes first.
    fn overview(&mut self, frame: &mut Frame<'_>, area: Rect, view: &View) {
        let curves = if area.height >= 30 { 6 } else { 0 };
        let outboxes = draw::outboxes(view);
        let sources = (outboxes.rows.len().clamp(1, if area.height >= 30 { 6 } else { 2 }) + 3) as u16;
        let [figures, curve, below] =
            Layout::vertical([Constraint::Length(14), Constraint::Length(curves), Constraint::Min(0)]).areas(area);
        let [rates, latencies] =
            Layout::horizontal([Constraint::Percentage(42), Constraint::Percentage(58)]).areas(figures);
        self.table(frame, rates, &draw::rates(view), 0);
        self.table(frame, latencies, &draw::latencies(view), 0);
        if curves > 0 {
            let [left, right] =
                Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(curve);
            self.curve(frame, left, "Events in a second", view.history.iter().map(|(of, _)| *of));
            self.curve(frame, right, "Delivered a second", view.history.iter().map(|(_, of)| *of));
        }
        if area.width >= 120 {
            let [left, right] =
                Layout::horizontal([Constraint::Percentage(44), Constraint::Percentage(56)]).areas(below);
            let [up, down] = Layout::vertical([Constraint::Length(sources), Constraint::Min(0)]).areas(left);
            self.table(frame, up, &outboxes, 0);
            self.table(
                frame,
                down,
                &compact(draw::nodes(view), &["node", "state", "up", "parts", "events/s", "memory", "cpu"]),
                0,
            );
            let worst = (draw::lanes(view).rows.len().clamp(1, 8) + 3) as u16;
            let [up, down] = Layout::vertical([Constraint::Min(0), Constraint::Length(worst)]).areas(right);
            self.table(frame, up, &draw::partitions(view), self.scroll);
            self.table(frame, down, &draw::lanes(view), 0);
        } else {
            let [up, down] = Layout::vertical([Constraint::Length(sources), Constraint::Min(0)]).areas(below);
            self.table(frame, up, &outboxes, 0);
            self.table(frame, down, &draw::lanes(view), self.scroll);
        }
    }

    fn page(&mut self, frame: &mut Frame<'_>, area: Rect, section: &Section) {
        let room = usize::from(area.height.saturating_sub(3)).max(1);
        self.scroll = self.scroll.min(section.rows.len().saturating_sub(room));
        self.table(frame, area, section, self.scroll);
    }

    fn table(&self, frame: &mut Frame<'_>, area: Rect, section: &Section, scroll: usize) {
        let block = self.block(&section.title);
        if section.rows.is_empty() {
            let text = self.span(Cell { text: section.empty.to_owned(), tone: Tone::Faint });
            return frame.render_widget(Paragraph::new(Line::from(text)).block(block), area);
        }
        let columns = fitting(section, usize::from(area.width.saturating_sub(2)));
        let head = columns.iter().map(|(column, width)| {
            let (name, number) = section.head[*column];
            self.span(aligned(&Cell { text: name.to_owned(), tone: Tone::Faint }, *width, number))
        });
        let rows = section.rows.iter().skip(scroll).map(|row| {
            let cells = columns.iter().filter_map(|(column, width)| {
                Some(Line::from(self.span(aligned(row.get(*column)?, *width, section.head[*column].1))))
            });
            Row::new(cells.collect::<Vec<_>>())
        });
        let widths: Vec<Constraint> = columns.iter().map(|(_, width)| Constraint::Length(*width as u16)).collect();
        let head = Row::new(head.map(Line::from).collect::<Vec<_>>());
        let table = Table::new(rows, widths).column_spacing(2).block(block);
        frame.render_widget(if section.is_named() { table.header(head) } else { table }, area);
    }

    fn curve(&self, frame: &mut Frame<'_>, area: Rect, title: &str, values: impl Iterator<Item = f64>) {
        let values: Vec<u64> = values.map(|value| value.max(0.0).round() as u64).collect();
        let room = usize::from(area.width.saturating_sub(2));
        let shown = &values[values.len().saturating_sub(room)..];
        let most = shown.iter().copied().max().unwrap_or(0);
        let style = if self.color { Style::new().fg(Color::Cyan) } else { Style::new() };
        let block = self.block(&format!("{title} (most {most})"));
        frame.render_widget(Sparkline::default().data(shown).style(style).block(block), area);
    }

    fn block(&self, title: &str) -> Block<'static> {
        let style = if self.color { Style::new().fg(Color::DarkGray) } else { Style::new() };
        Block::new()
            .borders(Borders::ALL)
            .border_style(style)
            .title(Span::styled(format!(" {title} "), Style::new().add_modifier(Modifier::BOLD)))
    }

    fn span(&self, cell: Cell) -> Span<'static> {
        let style = match (cell.tone, self.color) {
            (Tone::Strong, _) => Style::new().add_modifier(Modifier::BOLD),
            (Tone::Bad, false) => Style::new().add_modifier(Modifier::REVERSED),
            (_, false) | (Tone::Plain, _) => Style::new(),
            (Tone::Faint, true) => Style::new().fg(Color::DarkGray),
            (Tone::Good, true) => Style::new().fg(Color::Green),
            (Tone::Warn, true) => Style::new().fg(Color::Yellow),
            (Tone::Bad, true) => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        };
        Span::styled(cell.text, style)
    }
}

/// The columns that fit, from the left, with their widths. What is too long is cut in the widest column of text.
fn fitting(section: &Section, room: usize) -> Vec<(usize, usize)> {
    let width = |column: usize| {
        let cells = section.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
        cells.chain([section.head[column].0.chars().count()]).max().unwrap_or(0)
    };
    let mut columns: Vec<(usize, usize)> = (0..section.head.len()).map(|column| (column, width(column))).collect();
    let taken =
        |columns: &[(usize, usize)]| columns.iter().map(|(_, width)| width + 2).sum::<usize>().saturating_sub(2);
    while taken(&columns) > room {
        let over = taken(&columns) - room;
        let is_text = |column: usize| !section.head[column].1;
        let widest = columns.iter_mut().filter(|(column, _)| is_text(*column)).max_by_key(|(_, width)| *width);
        if let Some((_, width)) = widest.filter(|(_, width)| *width > TEXT_MIN) {
            *width -= over.min(*width - TEXT_MIN);
        } else if columns.len() > 1 {
            columns.pop();
        } else {
            break;
        }
    }
    columns
}

fn aligned(cell: &Cell, width: usize, number: bool) -> Cell {
    let text = crate::term::clip(&cell.text, width);
    Cell { text: if number { format!("{text:>width$}") } else { text }, tone: cell.tone }
}

/// Only some columns.
fn compact(section: Section, wanted: &[&str]) -> Section {
    let stays: Vec<bool> = section.head.iter().map(|(name, _)| wanted.contains(name)).collect();
    let pick =
        |row: Vec<Cell>| row.into_iter().zip(&stays).filter(|(_, stays)| **stays).map(|(cell, _)| cell).collect();
    Section {
        head: section.head.iter().zip(&stays).filter(|(_, stays)| **stays).map(|(head, _)| *head).collect(),
        rows: section.rows.into_iter().map(pick).collect(),
        ..section
    }
}

fn centered(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::view::{Lane, NodeRow, Partition};
    use super::*;

    fn view() -> View {
        let mut view = View { complete: true, ..View::default() };
        view.headline.nodes = 3;
        view.rates.appended = 12_345.0;
        view.latencies.append = Some([0.001, 0.002, 0.003]);
        view.history = (0..200).map(|n| (f64::from(n), 1.0)).collect();
        view.partitions = (0..16)
            .map(|partition| Partition {
                partition,
                owner: (partition != 3).then(|| "node-with-quite-a-long-name-1".to_owned()),
                router_lag: 5.0,
                lanes_behind: 1.0,
                lane_lag_events: 2_000.0,
                lane_lag_seconds: 61.0,
                in_flight: 7.0,
                retries: 0.0,
                open: 1.0,
            })
            .collect();
        view.lanes.push(Lane {
            tenant: "acme\u{1b}[31m".to_owned(),
            endpoint: "ep_01JD8Q4M6T1V9S0Z3N7R5K2W4X".to_owned(),
            is_replay: false,
            partition: 3,
            lag_events: 2_000,
            lag_seconds: Some(61.0),
            circuit: "open".to_owned(),
            in_flight: 0,
            retries: 2,
        });
        view.nodes.push(NodeRow {
            name: "node-1".to_owned(),
            url: String::new(),
            ready: true,
            problem: None,
            version: "0.1.0".to_owned(),
            roles: "api router".to_owned(),
            partitions: 16.0,
            appended: 1.0,
            requests: 1.0,
            connections: 1.0,
            feed_readers: 1.0,
            memory_bytes: 1e8,
            cpu: 0.5,
            fds: 9.0,
            uptime_seconds: 100.0,
        });
        view
    }

    fn shown(screen: &mut Screen, view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame, view)).unwrap();
        terminal.backend().to_string()
    }

    fn screen() -> Screen {
        Screen { page: 0, scroll: 0, paused: false, helps: false, color: false, problem: None }
    }

    #[test]
    fn every_page_fits_every_size_and_says_what_is_wrong() {
        let view = view();
        for (width, height) in [(1, 1), (20, 5), (80, 24), (140, 40), (300, 100)] {
            for page in 0..PAGES.len() {
                let text = shown(&mut Screen { page, helps: height == 5, ..screen() }, &view, width, height);
                assert!(!text.contains('\u{1b}'), "nothing steers the terminal");
                if width >= 80 && page == 0 {
                    for expected in ["12.3k", "1.0 ms", "ep_01JD", "open", "3 nodes"] {
                        assert!(text.contains(expected), "{expected} at {width}x{height}:\n{text}");
                    }
                }
            }
        }
        let partitions = shown(&mut Screen { page: 1, ..screen() }, &view, 80, 24);
        assert!(partitions.contains("nobody"), "{partitions}");
    }

    #[test]
    fn keys_change_pages_pause_and_end() {
        let key = |code: KeyCode| Event::Key(code.into());
        let mut screen = screen();
        assert!(!screen.took(&key(KeyCode::Tab)) && screen.page == 1);
        assert!(!screen.took(&key(KeyCode::BackTab)) && screen.page == 0);
        assert!(!screen.took(&key(KeyCode::Char('3'))) && screen.page == 2);
        assert!(!screen.took(&key(KeyCode::Char(' '))) && screen.paused);
        assert!(!screen.took(&key(KeyCode::Char('?'))) && screen.helps);
        assert!(!screen.took(&key(KeyCode::Char('q'))) && !screen.helps, "a key closes the help first");
        screen.scroll = 99;
        shown(&mut screen, &view(), 80, 24);
        assert_eq!(screen.scroll, 0, "there is nothing more to see");
        assert!(screen.took(&key(KeyCode::Char('q'))));
    }
}
