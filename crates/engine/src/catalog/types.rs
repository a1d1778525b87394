//! What is asked of the catalog, and what it answers.

use std::collections::BTreeMap;

use tidings_catalog::entry::{Entry, Key, Mode};
use tidings_catalog::report::Report;
use tidings_event::log::Receipt;
use tidings_event::{EventId, EventType, Sequence, Timestamp, Version, Violation};

/// Events that a tenant may have in quarantine.
pub const QUARANTINE_MAX: usize = 100_000;
/// Entries that one page of a list holds at most.
pub const PAGE_MAX: usize = 100;
/// Bytes of one page of a list, unless its only entry has more.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Events that one call redrives or discards at most; the answer says where to go on.
pub const REDRIVEN_MAX: u64 = 10_000;

/// A change that somebody would like to make.
#[derive(Debug, Clone, Default)]
pub struct Proposal {
    /// The entries as they shall be; those without a source shall go.
    pub entries: Vec<Entry>,
    /// For entries with findings that can be allowed: why they are.
    pub overrides: BTreeMap<Key, String>,
    /// Whether it is only to be checked.
    pub dry_run: bool,
}

/// What came of a proposal.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// What was found.
    pub report: Report,
    /// The revision that the change made; none where it was only checked, was refused, or changes nothing.
    pub revision: Option<u64>,
}

/// One revision of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The revision of the catalog that made it.
    pub revision: u64,
    /// The entry as it was made; without a source where it was removed.
    pub entry: Entry,
    /// Who made it: a key's id.
    pub by: String,
    /// Why what the checks found was allowed, where it was.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Which part of a history is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistorySearch {
    /// Where the page before ended: the catalog's revision and the version of its last entry.
    pub after: Option<(u64, String)>,
    /// How many revisions at most.
    pub limit: usize,
    /// How many bytes of sources at most; at least one revision comes, whatever its size.
    pub bytes: usize,
}

/// A part of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// The revisions, oldest first, those of one change by version.
    pub revisions: Vec<History>,
    /// Whether nothing comes after them.
    pub complete: bool,
}

/// A piece of the catalog, for who keeps a copy of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPage {
    /// The newest revision of each entry that changed after the revision that was asked for.
    pub entries: Vec<History>,
    /// Everything up to this revision is in `entries`, or was there before: what to ask for next.
    pub upto: u64,
    /// The catalog's revision; there is more where it is above `upto`.
    pub head: u64,
}

/// What would become of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The version by which it was judged.
    pub version: Version,
    /// Whether the catalog knows its type and version.
    pub known: bool,
    /// How its broken rules count: with `off` there is nothing to judge it by, or nobody wants it judged. Where it
    /// breaks none, how they would.
    pub mode: Mode,
    /// The rules that it breaks; none where it would be taken without a mark.
    pub violations: Vec<Violation>,
    /// Whether it would be in the log: it breaks no rule, or is only to be marked.
    pub taken: bool,
    /// Whether a state rule was judged, by the newest event of its entity at this moment.
    pub state_judged: bool,
}

/// Which events in quarantine are wanted.
#[derive(Debug, Clone, Default)]
pub struct AsideSearch {
    /// Of which type.
    pub event_type: Option<EventType>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many at most, up to [`PAGE_MAX`].
    pub limit: usize,
}

/// An event in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Its number.
    pub no: i64,
    /// Its id.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// Its version.
    pub version: Version,
    /// The whole event, native JSON.
    pub event: String,
    /// The rules that it broke.
    pub reasons: Vec<Violation>,
    /// Who sent it: a key's id, or `source/` and the name of an outbox.
    pub sender: String,
    /// When it was put aside.
    pub at: Timestamp,
}

/// What became of an event that was to be redriven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// It is in the log now.
    Appended(Receipt),
    /// It still breaks rules, and stays where it is.
    Kept(Vec<Violation>),
}

/// What became of many events that were to be redriven.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedrivenAll {
    /// How many are in the log now.
    pub redriven: u64,
    /// How many still break rules, or have an id that is taken by other content, and stay.
    pub kept: u64,
    /// Where to go on, if there may be more.
    pub cursor: Option<String>,
}

/// What became of many events that were to be discarded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discarded {
    /// How many there were.
    pub discarded: u64,
    /// Whether there may be more.
    pub more: bool,
}

/// Which marked events are wanted.
#[derive(Debug, Clone, Default)]
pub struct MarkSearch {
    /// Of which type.
    pub event_type: Option<EventType>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many at most, up to [`PAGE_MAX`].
    pub limit: usize,
}

/// An event of the log that breaks rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// Which.
    pub sequence: Sequence,
    /// Its type.
    pub event_type: EventType,
    /// Its version.
    pub version: Version,
    /// The rules that it breaks.
    pub reasons: Vec<Violation>,
}
