//! What a child process writes, line by line.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines kept; older ones are dropped.
const LINES_MAX: usize = 2_000;

/// The lines that a process wrote to its standard output and error. Cheap to clone.
#[derive(Clone, Default)]
pub struct Output {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    /// How many lines were dropped from the front.
    dropped: usize,
    /// Streams that are still open.
    open: usize,
}

impl Output {
    /// Reads a stream to its end in a thread of its own, so that the process never blocks on a full pipe.
    pub(crate) fn follow(&self, stream: impl Read + Send + 'static) {
        self.state().open += 1;
        let output = self.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
                output.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
                bytes.clear();
            }
            output.state().open -= 1;
            output.shared.grown.notify_all();
        });
    }

    /// Whether a line says something, from line number `from` on, counted from 0 over the process's whole life.
    #[must_use]
    pub fn says(&self, from: usize, something: &str) -> bool {
        self.find(from, Duration::ZERO, |line| line.contains(something)).is_some()
    }

    /// How many lines there were so far.
    #[must_use]
    pub fn lines(&self) -> usize {
        let state = self.state();
        state.dropped + state.lines.len()
    }

    /// The last lines, for the text of a failure.
    #[must_use]
    pub fn last(&self, count: usize) -> String {
        let state = self.state();
        let skipped = state.lines.len().saturating_sub(count);
        state.lines.iter().skip(skipped).map(|line| format!("  | {line}\n")).collect()
    }

    /// Waits for a line that satisfies `wanted`, looking first at line number `from` (counted from 0 over the
    /// process's whole life). Returns the line and the number of the one after it; nothing when the time is up or
    /// the process has closed its output.
    pub(crate) fn find(
        &self,
        from: usize,
        within: Duration,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Option<(String, usize)> {
        let deadline = Instant::now() + within;
        let mut next = from;
        let mut state = self.state();
        loop {
            next = next.max(state.dropped);
            while let Some(line) = state.lines.get(next - state.dropped) {
                next += 1;
                if wanted(line) {
                    return Some((line.clone(), next));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.open == 0 || left.is_zero() {
                return None;
            }
            state = self.shared.grown.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until every writer has closed its end; `false` when the time is up.
    pub(crate) fn closed(&self, within: Duration) -> bool {
        self.find(0, within, |_| false);
        self.state().open == 0
    }

    fn push(&self, line: String) {
        let mut state = self.state();
        if state.lines.len() == LINES_MAX {
            state.lines.pop_front();
            state.dropped += 1;
        }
        state.lines.push_back(line);
        drop(state);
        self.shared.grown.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
