//! `tidings doctor`: does it work, is it safe, and if not, what to do.

mod local;
mod remote;
mod webhooks;

use serde_json::json;

use crate::config::flags::{AnyScope, Flags};
use crate::config::layer::Origin;
use crate::context::{self, Context};
use crate::failure::{Exit, Failure};
use crate::term::{Style, Voice, say, say_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Checks the configuration of this machine and all that it names: data directory, keys, database, durability, \
disk, sources and their outboxes, clocks, and where webhooks may go. With --url (or TIDINGS_URL) it asks a running server instead; where \
a server runs on this machine's data directory it does both. Changes nothing. Ends with 1 if a check fails.

Examples:
  tidings doctor --data-dir /var/lib/tidings
  tidings doctor --url https://tidings.internal")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    flags: Flags<AnyScope>,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Good,
    /// Works, but someone should look at it.
    Warn,
    /// Does not work.
    Bad,
}

/// One check.
#[derive(Debug)]
struct Check {
    what: String,
    verdict: Verdict,
    found: String,
}

/// What was checked so far.
#[derive(Debug, Default)]
struct Findings(Vec<Check>);

impl Findings {
    fn add(&mut self, what: impl Into<String>, verdict: Verdict, found: impl Into<String>) {
        self.0.push(Check { what: what.into(), verdict, found: found.into() });
    }

    fn good(&mut self, what: impl Into<String>, found: impl Into<String>) {
        self.add(what, Verdict::Good, found);
    }

    fn warn(&mut self, what: impl Into<String>, found: impl Into<String>) {
        self.add(what, Verdict::Warn, found);
    }

    fn bad(&mut self, what: impl Into<String>, found: impl Into<String>) {
        self.add(what, Verdict::Bad, found);
    }

    fn worst(&self) -> Verdict {
        let has = |verdict| self.0.iter().any(|check| check.verdict == verdict);
        if has(Verdict::Bad) {
            Verdict::Bad
        } else if has(Verdict::Warn) {
            Verdict::Warn
        } else {
            Verdict::Good
        }
    }
}

/// How far two clocks may differ before someone should look at it.
const CLOCK_SKEW_MAX_MS: i64 = 2_000;

/// Judges how far a clock is ahead of this machine's.
fn judge_clock(findings: &mut Findings, what: String, ahead_ms: i64, resolution_ms: i64) {
    let shown = if ahead_ms.abs() <= resolution_ms {
        "agrees with this machine's".to_owned()
    } else {
        format!("{ahead_ms} ms ahead of this machine's")
    };
    if ahead_ms.abs() > CLOCK_SKEW_MAX_MS {
        findings.warn(what, format!("{shown}; time ranges and ages are off by as much"));
    } else {
        findings.good(what, shown);
    }
}

pub(crate) fn run(context: &Context, args: &DoctorArgs) -> Result<(), Failure> {
    let layers = crate::config::load(&args.flags.given, context.file.clone())?;
    let mut findings = Findings::default();
    let file = layers.file.as_ref().map_or("no file".to_owned(), |path| path.display().to_string());
    findings.good("configuration", format!("valid ({file})"));
    layers.warnings().into_iter().for_each(|warning| findings.warn("configuration", warning));
    let asked_for_server = layers.get("url").origin != Origin::Default;
    context::run_until_interrupted(async {
        if asked_for_server {
            remote::check(&mut findings, &layers.get("url").text, crate::context::key(&layers).ok()).await;
        } else if let Some((url, key)) = local::check(&mut findings, &layers).await {
            remote::check(&mut findings, &url, key).await;
        }
        Ok(())
    })?;
    report(context.voice, &findings)
}

fn report(voice: Voice, findings: &Findings) -> Result<(), Failure> {
    let word = |verdict| match verdict {
        Verdict::Good => "ok",
        Verdict::Warn => "warning",
        Verdict::Bad => "failed",
    };
    if voice.json {
        let checks = findings
            .0
            .iter()
            .map(|check| json!({"check": check.what, "status": word(check.verdict), "found": check.found}));
        say_json(voice, &json!({"status": word(findings.worst()), "checks": checks.collect::<Vec<_>>()}))?;
    } else {
        let width = findings.0.iter().map(|check| check.what.chars().count()).max().unwrap_or_default();
        for check in &findings.0 {
            let mark = match check.verdict {
                Verdict::Good => voice.paint(Style::Good, "✓"),
                Verdict::Warn => voice.paint(Style::Warn, "!"),
                Verdict::Bad => voice.paint(Style::Bad, "✗"),
            };
            say(format!("{mark} {:<width$}  {}", check.what, check.found))?;
        }
        let count = |verdict| findings.0.iter().filter(|check| check.verdict == verdict).count();
        let (warned, failed) = (count(Verdict::Warn), count(Verdict::Bad));
        say(match (failed, warned) {
            (0, 0) => voice.paint(Style::Good, "\nall is well"),
            (0, _) => voice.paint(Style::Warn, format!("\nworks, with {warned} warnings")),
            (_, _) => voice.paint(Style::Bad, format!("\n{failed} failed, {warned} warnings")),
        })?;
    }
    if findings.worst() == Verdict::Bad { Err(Failure::silent(Exit::Failed)) } else { Ok(()) }
}
