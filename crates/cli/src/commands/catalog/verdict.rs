//! What a check found: for people, for machines, and for the annotations of GitHub.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings_catalog::entry::{Key, Kind};
use tidings_catalog::report::{Finding, Report};

use super::place::Local;
use crate::failure::{Exit, Failure};
use crate::term::{Style, Voice, note, say, tame};

/// What is said of an entry that was held against nothing.
pub(super) const CHECKED: &str = "checked";
/// Lines of a document that is shown.
const WITNESS_LINES_MAX: usize = 30;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Human,
    /// One JSON document
    Json,
    /// Annotations of GitHub Actions, then the same as for people
    Github,
}

/// What was found about a change, by the server or here.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) entries: Vec<ToldEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ToldEntry {
    pub(super) kind: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: String,
    pub(super) change: String,
    /// The file, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    pub(super) findings: Vec<ToldFinding>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ToldFinding {
    pub(super) severity: String,
    pub(super) subject: String,
    pub(super) code: String,
    pub(super) path: String,
    pub(super) line: Option<u32>,
    pub(super) message: String,
    pub(super) proposal: Option<String>,
    pub(super) witness: Option<Value>,
    #[serde(default)]
    pub(super) overridable: bool,
    /// The file, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
}

impl From<Finding> for ToldFinding {
    fn from(finding: Finding) -> Self {
        Self {
            severity: finding.severity.to_string(),
            subject: finding.subject.to_string(),
            code: finding.code.to_owned(),
            path: finding.path,
            line: finding.line,
            message: finding.message,
            proposal: finding.proposal,
            witness: finding.witness,
            overridable: finding.overridable,
            file: None,
        }
    }
}

impl From<Report> for Told {
    fn from(report: Report) -> Self {
        let entries = report.entries.into_iter().map(|entry| ToldEntry {
            kind: entry.key.kind.to_string(),
            name: entry.key.name,
            version: entry.key.version,
            change: entry.change.to_string(),
            file: None,
            findings: entry.findings.into_iter().map(ToldFinding::from).collect(),
        });
        Self { entries: entries.collect() }
    }
}

impl ToldEntry {
    fn key(&self) -> Option<Key> {
        let kind = Kind::parse(&self.kind)?;
        Some(Key { kind, name: self.name.clone(), version: self.version.clone() })
    }

    fn title(&self) -> String {
        match self.key() {
            Some(key) => tame(&key.to_string()),
            None => tame(&format!("{} {}", self.kind, self.name)),
        }
    }
}

/// How many findings of each kind there are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) errors: usize,
    pub(super) warnings: usize,
    pub(super) infos: usize,
}

impl Told {
    /// Says of every entry that it was checked by itself, and not what it would change.
    pub(super) fn alone(mut self) -> Self {
        self.entries.iter_mut().for_each(|entry| entry.change = CHECKED.to_owned());
        self
    }

    /// Names the files in which things stand, and adds what was found about files that hold no entry.
    pub(super) fn place(&mut self, local: &Local) {
        for entry in &mut self.entries {
            let Some(key) = entry.key() else { continue };
            entry.file = Some(local.shown(&local.folder.path_of(&key)));
            for finding in &mut entry.findings {
                let (path, line) = local.folder.locate(&key, finding.line);
                (finding.file, finding.line) = (Some(local.shown(&path)), line);
            }
        }
        for (path, finding) in &local.findings {
            let mut told = ToldFinding::from(finding.clone());
            told.file = Some(local.shown(path));
            let file = told.file.clone();
            let known = self.entries.iter_mut().find(|entry| entry.kind == "file" && entry.file == file);
            match known {
                Some(entry) => entry.findings.push(told),
                None => self.entries.push(ToldEntry {
                    kind: "file".to_owned(),
                    name: path.clone(),
                    version: String::new(),
                    change: "unreadable".to_owned(),
                    file,
                    findings: vec![told],
                }),
            }
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for finding in self.entries.iter().flat_map(|entry| &entry.findings) {
            match finding.severity.as_str() {
                "error" => counts.errors += 1,
                "warning" => counts.warnings += 1,
                _ => counts.infos += 1,
            }
        }
        counts
    }

    /// Writes the report. What is only good to know is left out for people unless all is wanted.
    pub(super) fn show(&self, voice: Voice, format: Format, all: bool) -> Result<(), Failure> {
        if voice.json || format == Format::Json {
            let counts = self.counts();
            return say(serde_json::json!({
                "ok": counts.errors == 0, "errors": counts.errors, "warnings": counts.warnings, "entries": self.entries,
            }));
        }
        if format == Format::Github {
            for entry in &self.entries {
                entry.findings.iter().try_for_each(|finding| say(annotation(finding)))?;
            }
        }
        let mut shown = String::new();
        for entry in &self.entries {
            describe(voice, entry, all, &mut shown);
        }
        if !shown.is_empty() {
            say(shown.trim_end_matches('\n'))?;
        }
        Ok(())
    }

    /// The last line for people.
    pub(super) fn summary(&self, voice: Voice) {
        let counts = self.counts();
        let of = |change: &str| self.entries.iter().filter(|entry| entry.change == change).count();
        let changes: Vec<String> = ["added", "changed", "removed", "unchanged", CHECKED]
            .into_iter()
            .filter(|change| of(change) > 0)
            .map(|change| format!("{} {change}", of(change)))
            .collect();
        let changes = if changes.is_empty() { "nothing differs".to_owned() } else { changes.join(", ") };
        let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let found = format!("{}, {}", plural(counts.errors, "error"), plural(counts.warnings, "warning"));
        let (style, verdict) = if counts.errors > 0 { (Style::Bad, "✗") } else { (Style::Good, "✓") };
        note(format!("{} {changes}: {}", voice.paint(style, verdict), voice.paint(style, found)));
    }

    /// How a command ends that was to find out: 1 where something must be mended.
    pub(super) fn verdict(&self, strict: bool) -> Result<(), Failure> {
        let counts = self.counts();
        let bad = counts.errors > 0 || (strict && counts.warnings > 0);
        if bad { Err(Failure::silent(Exit::Failed)) } else { Ok(()) }
    }
}

fn describe(voice: Voice, entry: &ToldEntry, all: bool, shown: &mut String) {
    let findings: Vec<&ToldFinding> =
        entry.findings.iter().filter(|finding| all || finding.severity != "info").collect();
    if findings.is_empty() && matches!(entry.change.as_str(), "unchanged" | CHECKED) {
        return;
    }
    let style = match entry.change.as_str() {
        "added" => Style::Good,
        "removed" | "unreadable" => Style::Bad,
        _ => Style::Accent,
    };
    let title = if entry.kind == "file" { tame(&entry.name) } else { entry.title() };
    shown.push_str(&format!("{}  {}\n", voice.paint(Style::Strong, title), voice.paint(style, tame(&entry.change))));
    for finding in findings {
        describe_finding(voice, entry, finding, shown);
    }
}

fn describe_finding(voice: Voice, entry: &ToldEntry, finding: &ToldFinding, shown: &mut String) {
    let style = match finding.severity.as_str() {
        "error" => Style::Bad,
        "warning" => Style::Warn,
        _ => Style::Faint,
    };
    let place = match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!("{}:{line}", tame(file)),
        (Some(file), None) => tame(file),
        (None, Some(line)) => format!("line {line}"),
        (None, None) => String::new(),
    };
    let path = if finding.path.is_empty() { String::new() } else { format!(" {}", tame(&finding.path)) };
    shown.push_str(&format!(
        "  {} {}  {}\n",
        voice.paint(style, format!("{:<7}", finding.severity)),
        voice.paint(Style::Faint, format!("{place}{path}")),
        voice.paint(Style::Faint, tame(&finding.code)),
    ));
    shown.push_str(&format!("          {}\n", tame(&finding.message)));
    if let Some(proposal) = &finding.proposal {
        shown.push_str(&format!("          instead: {}\n", voice.paint(Style::Accent, tame(proposal))));
    }
    if let Some(witness) = &finding.witness {
        shown.push_str("          this document shows it:\n");
        let text = format!("{witness:#}");
        for line in text.lines().take(WITNESS_LINES_MAX) {
            shown.push_str(&format!("            {}\n", tame(line)));
        }
        if text.lines().count() > WITNESS_LINES_MAX {
            shown.push_str("            …\n");
        }
    }
    if finding.overridable && finding.severity == "error" {
        let key = match entry.kind.as_str() {
            "definition" => format!("{}@{}", entry.name, entry.version),
            kind => format!("{kind}:{}", entry.name),
        };
        let other_way = if entry.kind == "definition" { "publish a new version, or push" } else { "push" };
        let hint = format!("{other_way} with --override '{key}=REASON'");
        shown.push_str(&format!("          {}\n", voice.paint(Style::Faint, tame(&hint))));
    }
}

/// A workflow command of GitHub Actions.
fn annotation(finding: &ToldFinding) -> String {
    let level = match finding.severity.as_str() {
        "error" => "error",
        "warning" => "warning",
        _ => "notice",
    };
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut properties = Vec::new();
    if let Some(file) = &finding.file {
        properties.push(format!("file={}", property(file)));
    }
    if let Some(line) = finding.line {
        properties.push(format!("line={line}"));
    }
    properties.push(format!("title={}", property(&finding.code)));
    let mut message = format!("{}: {}", finding.path, finding.message);
    if let Some(proposal) = &finding.proposal {
        message.push_str(&format!("\ninstead: {proposal}"));
    }
    if let Some(witness) = &finding.witness {
        message.push_str(&format!("\n{witness:#}"));
    }
    format!("::{level} {}::{}", properties.join(","), data(message.trim_start_matches(": ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> ToldFinding {
        ToldFinding {
            severity: "error".to_owned(),
            subject: "compatibility".to_owned(),
            code: "schema_breaking".to_owned(),
            path: "/schema".to_owned(),
            line: Some(3),
            message: "50%\nworse".to_owned(),
            proposal: None,
            witness: Some(serde_json::json!({"a": 1})),
            overridable: true,
            file: Some("a,b.yaml".to_owned()),
        }
    }

    #[test]
    fn an_annotation_escapes_what_would_end_it() {
        assert_eq!(
            annotation(&finding()),
            "::error file=a%2Cb.yaml,line=3,title=schema_breaking::/schema: 50%25%0Aworse%0A{%0A  \"a\": 1%0A}"
        );
    }

    #[test]
    fn a_break_is_shown_with_its_place_its_document_and_the_way_out() {
        let entry = ToldEntry {
            kind: "definition".to_owned(),
            name: "a.b.created".to_owned(),
            version: "1".to_owned(),
            change: "changed".to_owned(),
            file: None,
            findings: vec![finding()],
        };
        let mut shown = String::new();
        describe(Voice::plain(), &entry, false, &mut shown);
        insta::assert_snapshot!(shown, @r#"
        a.b.created@1  changed
          error   a,b.yaml:3 /schema  schema_breaking
                  50%�worse
                  this document shows it:
                    {
                      "a": 1
                    }
                  publish a new version, or push with --override 'a.b.created@1=REASON'
        "#);
    }
}
