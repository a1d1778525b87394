//! What was found, told as it is found.

use std::time::Duration;

use serde_json::{Value, json};

use super::sender::Sender;
use crate::failure::Failure;
use crate::term::{Style, Voice, note, say, say_json, tame};

/// Checks that belong together.
#[derive(Debug, Clone, Copy)]
pub(super) enum Group {
    Basics,
    Authenticity,
    Repeats,
    Content,
    Load,
}

impl Group {
    fn title(self) -> &'static str {
        match self {
            Self::Basics => "A good delivery",
            Self::Authenticity => "What a stranger could send",
            Self::Repeats => "Repeats, order, keys",
            Self::Content => "What events may hold",
            Self::Load => "Many at once, and how fast",
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// The receiver does it right.
    Passed,
    /// It does it wrong.
    Failed,
    /// It may be right for this receiver; someone should look at it.
    Warned,
    /// Told for information.
    Noted,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Warned => "warning",
            Self::Noted => "note",
        }
    }
}

/// How a check ended, and what was seen.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) status: Status,
    pub(super) observed: String,
}

impl Outcome {
    pub(super) fn passed(observed: impl Into<String>) -> Self {
        Self { status: Status::Passed, observed: observed.into() }
    }

    pub(super) fn failed(observed: impl Into<String>) -> Self {
        Self { status: Status::Failed, observed: observed.into() }
    }

    pub(super) fn warned(observed: impl Into<String>) -> Self {
        Self { status: Status::Warned, observed: observed.into() }
    }

    pub(super) fn noted(observed: impl Into<String>) -> Self {
        Self { status: Status::Noted, observed: observed.into() }
    }

    pub(super) fn is_failed(&self) -> bool {
        self.status == Status::Failed
    }

    /// More about what was seen.
    pub(super) fn and(mut self, more: &str) -> Self {
        self.observed = format!("{}; {more}", self.observed);
        self
    }

    /// The same, where it is not certain to be wrong.
    pub(super) fn softened(self) -> Self {
        let status = if self.is_failed() { Status::Warned } else { self.status };
        Self { status, ..self }
    }
}

/// The report. On a terminal it grows while the checks run; for machines it is one object at the end.
pub(super) struct Report {
    voice: Voice,
    url: String,
    checks: Vec<Value>,
    failed: usize,
    warned: usize,
}

/// Room for a check's title.
const TITLE_CHARS: usize = 64;

impl Report {
    pub(super) fn new(voice: Voice, url: &str) -> Self {
        Self { voice, url: url.to_owned(), checks: Vec::new(), failed: 0, warned: 0 }
    }

    pub(super) fn group(&self, group: Group) -> Result<(), Failure> {
        if self.voice.json {
            return Ok(());
        }
        say(format!("\n{}", self.voice.paint(Style::Strong, group.title())))
    }

    /// One check: its name for machines, what a right receiver does, and why that matters.
    pub(super) fn add(
        &mut self,
        id: &'static str,
        title: &'static str,
        why: &'static str,
        outcome: Outcome,
    ) -> Result<(), Failure> {
        let Outcome { status, observed } = outcome;
        let observed = tame(&observed);
        self.checks.push(json!({"id": id, "title": title, "status": status.name(), "observed": observed, "why": why}));
        let (mark, style) = match status {
            Status::Passed => ("✓", Style::Good),
            Status::Failed => ("✗", Style::Bad),
            Status::Warned => ("!", Style::Warn),
            Status::Noted => ("·", Style::Faint),
        };
        self.failed += usize::from(status == Status::Failed);
        self.warned += usize::from(status == Status::Warned);
        if self.voice.json {
            return Ok(());
        }
        say(format!(
            "  {} {title:<TITLE_CHARS$}  {}",
            self.voice.paint(style, mark),
            self.voice.paint(Style::Faint, &observed)
        ))?;
        if matches!(status, Status::Failed | Status::Warned) {
            say(format!("    {}", self.voice.paint(style, why)))?;
        }
        Ok(())
    }

    /// Says why no more checks follow.
    pub(super) fn stop(&self, reason: &str) -> Result<(), Failure> {
        if !self.voice.json {
            say(format!("\n  {}", self.voice.paint(Style::Warn, reason)))?;
        }
        Ok(())
    }

    /// Whether the receiver got nothing wrong.
    pub(super) fn is_good(&self) -> bool {
        self.failed == 0 && !self.checks.is_empty()
    }

    /// Sums it up.
    pub(super) fn end(&self, sender: &Sender) -> Result<(), Failure> {
        let mut times: Vec<Duration> = sender.times.clone();
        times.sort_unstable();
        let ms = |time: Option<&Duration>| time.map(|time| time.as_secs_f64() * 1_000.0);
        let (half, longest) = (ms(times.get(times.len() / 2)), ms(times.last()));
        if self.voice.json {
            let report = json!({"url": self.url, "ok": self.is_good(), "requests": sender.requests,
                "latency_ms": {"p50": half, "max": longest}, "checks": self.checks});
            return say_json(self.voice, &report);
        }
        let count = self.checks.len();
        let verdict = match (self.failed, self.warned) {
            (0, 0) => self.voice.paint(Style::Good, format!("all {count} checks passed")),
            (0, warned) => self.voice.paint(Style::Warn, format!("nothing wrong, {warned} of {count} to look at")),
            (failed, _) => self.voice.paint(Style::Bad, format!("{failed} of {count} checks failed")),
        };
        say(format!("\n{verdict}"))?;
        note(self.voice.paint(Style::Faint, format!("{} requests", sender.requests)));
        Ok(())
    }
}
