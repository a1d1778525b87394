//! Changes of the catalog, what checking finds, and what the catalog knows about the log.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Definition, Policy, ReferenceSet, Violation};

/// A definition as it is sent within a change: its source as text, which is kept byte for byte, or as an object.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum SentDefinition {
    /// As text.
    Source(SentSource),
    /// As an object.
    Object(Box<Definition>),
}

/// A reference set as it is sent within a change.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum SentSet {
    /// As text.
    Source(SentSource),
    /// As an object.
    Object(ReferenceSet),
}

/// A policy as it is sent within a change.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum SentPolicy {
    /// As text.
    Source(SentSource),
    /// As an object.
    Object(Policy),
}

/// The source of an entry, as text.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SentSource {
    /// YAML or JSON; it is kept byte for byte.
    #[schema(max_length = 262_144)]
    pub source: String,
}

/// The name of an entry of the catalog.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryName {
    /// `definition` (the default), `set` or `policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(definition|set|policy)$", example = "definition")]
    pub kind: Option<String>,
    /// A definition's type, a set's or a policy's name.
    #[schema(example = "sales.lead.created")]
    pub name: String,
    /// A definition's version; nothing for a set or a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "1")]
    pub version: Option<String>,
}

/// Why what the checks find about an entry is allowed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// `definition` (the default), `set` or `policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(definition|set|policy)$", example = "definition")]
    pub kind: Option<String>,
    /// A definition's type, a set's or a policy's name.
    #[schema(example = "sales.lead.created")]
    pub name: String,
    /// A definition's version; nothing for a set or a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "1")]
    pub version: Option<String>,
    /// The reason. It is kept in the history.
    #[schema(min_length = 1, max_length = 500, example = "nobody reads it yet")]
    pub reason: String,
}

/// A change of the catalog. All of it is made, or nothing.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogChange {
    /// Definitions that are new or changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub definitions: Vec<SentDefinition>,
    /// Reference sets that are new or changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<SentSet>,
    /// Policies that are new or changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<SentPolicy>,
    /// Entries that go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<EntryName>,
    /// Why what the checks find is allowed, by entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Whether the change is only checked. The answer is 200 then, whatever is found.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of a change of the catalog.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogChanged {
    /// The revision of the catalog that the change made; `null` where it changed nothing, or was only checked.
    #[schema(required, example = 12)]
    pub revision: Option<u64>,
    /// What was found about it.
    pub report: CatalogReport,
}

/// What was found about a change.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogReport {
    /// Every entry that was looked at.
    pub entries: Vec<CheckedEntry>,
}

/// What was found about one entry.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckedEntry {
    /// `definition`, `set` or `policy`.
    #[schema(pattern = "^(definition|set|policy)$", example = "definition")]
    pub kind: String,
    /// A definition's type, a set's or a policy's name.
    #[schema(example = "sales.lead.created")]
    pub name: String,
    /// A definition's version; empty for a set or a policy.
    #[schema(example = "1")]
    pub version: String,
    /// What the change does to it: `added`, `changed`, `unchanged` or `removed`.
    #[schema(pattern = "^(added|changed|unchanged|removed)$", example = "changed")]
    pub change: String,
    /// What was found, errors first.
    pub findings: Vec<Finding>,
}

/// One thing that was found.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// `error` (must be mended, or allowed with a reason where that can be), `warning` or `info`.
    #[schema(pattern = "^(info|warning|error)$", example = "error")]
    pub severity: String,
    /// What was looked at: `source`, `name`, `schema`, `example`, `rule`, `conversion`, `compatibility` or `governance`.
    #[schema(example = "compatibility")]
    pub subject: String,
    /// A stable name of the rule.
    #[schema(example = "schema_breaking")]
    pub code: String,
    /// Where in the definition, as an RFC 6901 pointer into the source.
    #[schema(example = "/schema/properties/amount")]
    pub path: String,
    /// The line in the source, where it is known.
    #[schema(required, example = 14)]
    pub line: Option<u32>,
    /// What is wrong and what to do.
    pub message: String,
    /// What to write instead, where there is a proposal.
    #[schema(required)]
    pub proposal: Option<String>,
    /// A document that shows it, where there is one.
    #[schema(required, value_type = Option<Value>)]
    pub witness: Option<Value>,
    /// Whether it can be allowed with a reason.
    pub overridable: bool,
}

/// Where the change stands that an entry's revision came with, in the history of the catalog.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogRevision {
    /// The catalog's revision that the change made.
    #[schema(example = 12)]
    pub revision: u64,
    /// `definition`, `set` or `policy`.
    #[schema(pattern = "^(definition|set|policy)$", example = "definition")]
    pub kind: String,
    /// A definition's type, a set's or a policy's name.
    #[schema(example = "sales.lead.created")]
    pub name: String,
    /// A definition's version; empty for a set or a policy.
    #[schema(example = "1")]
    pub version: String,
    /// The source from then on, byte for byte as it was sent; `null` where the change removed the entry.
    #[schema(required)]
    pub source: Option<String>,
    /// The id of the key that made the change.
    pub by: String,
    /// Why what the checks found was allowed, where it was.
    #[schema(required)]
    pub reason: Option<String>,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
}

/// A page of revisions.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogRevisionList {
    /// The revisions, oldest first.
    pub data: Vec<CatalogRevision>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// An entry of the catalog as its author wrote it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogEntry {
    /// `definition`, `set` or `policy`.
    #[schema(pattern = "^(definition|set|policy)$", example = "definition")]
    pub kind: String,
    /// A definition's type, a set's or a policy's name.
    #[schema(example = "sales.lead.created")]
    pub name: String,
    /// A definition's version; empty for a set or a policy.
    #[schema(example = "1")]
    pub version: String,
    /// The source, byte for byte as it was sent.
    pub source: String,
    /// The catalog's revision with which the source came.
    #[schema(example = 12)]
    pub revision: u64,
}

/// A page of entries.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogEntryList {
    /// The entries by kind, name and version.
    pub data: Vec<CatalogEntry>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// What past events shall be held against.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogCheck {
    /// Definitions as they shall be; those that the catalog has stand beside them.
    pub definitions: Vec<SentDefinition>,
    /// Reference sets as they shall be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<SentSet>,
    /// Only the events of these tenants; of all that the key opens by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 1000, example = json!(["acme"]))]
    pub tenants: Option<Vec<String>>,
    /// How many events to look at, the newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000, default = 100_000)]
    pub events_max: Option<u64>,
}

/// What past events say about definitions.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogReport {
    /// Events that were looked at.
    #[schema(example = 100_000)]
    pub scanned: u64,
    /// Whether these were all.
    pub complete: bool,
    /// What was found, by definition.
    pub definitions: Vec<DefinitionInLog>,
    /// Endpoints whose filters could not find anything any more.
    pub blinded: Vec<Blinded>,
    /// Whether these are all of them.
    pub blinded_complete: bool,
}

/// What past events say about one definition.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DefinitionInLog {
    /// The type.
    #[schema(example = "sales.lead.created")]
    pub name: String,
    /// The version.
    #[schema(example = "1")]
    pub version: String,
    /// Events of the type and version.
    pub matched: u64,
    /// Those among them that the definition would not take.
    pub invalid: u64,
    /// Some of those, up to 20, the newest of each tenant first.
    #[schema(max_items = 20)]
    pub samples: Vec<InvalidSample>,
}

/// A past event that a definition would not take.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvalidSample {
    /// Whose it is.
    #[schema(example = "acme")]
    pub tenant: String,
    /// Its id.
    pub id: String,
    /// Its sequence.
    pub sequence: u64,
    /// Which rules it breaks.
    pub violations: Vec<Violation>,
}

/// An endpoint whose filter a change would blind.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Blinded {
    /// Whose endpoint it is.
    #[schema(example = "acme")]
    pub tenant: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// The type of which it would get nothing any more.
    #[schema(example = "sales.lead.created")]
    pub name: String,
    /// The version of the type.
    #[schema(example = "1")]
    pub version: String,
    /// The types that it selects; all when empty.
    pub types: Vec<String>,
    /// The field that its filter looks at.
    #[schema(example = "$.data.amount")]
    pub field: String,
    /// Why nothing is found there any more.
    pub why: String,
}

/// Who publishes and who subscribes, by type.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineageList {
    /// One for each type, by name.
    pub data: Vec<Lineage>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
    /// Whether all subscribers are named: of one type at most 1,000 are, and of all types together 50,000.
    pub complete: bool,
}

/// Who publishes a type, as it was seen, and who subscribes to it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// The type.
    #[schema(example = "sales.lead.created")]
    pub event_type: String,
    /// Who was seen to emit it, by version and source.
    pub observed: Vec<Publisher>,
    /// The endpoints whose types select it.
    pub subscribers: Vec<Subscriber>,
}

/// Somebody who was seen to emit a type.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Publisher {
    /// The version that the events carried.
    #[schema(example = "1")]
    pub version: String,
    /// The id of the events' source; declared is the definition's owner.
    #[schema(example = "sales")]
    pub source: String,
    /// How many events, about.
    pub events: u64,
    /// When the log took the first of them.
    #[schema(format = DateTime)]
    pub first_at: String,
    /// When the log took the newest of them.
    #[schema(format = DateTime)]
    pub last_at: String,
}

/// An endpoint that gets a type's events.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscriber {
    /// Whose endpoint it is.
    #[schema(example = "acme")]
    pub tenant: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// The host of the endpoint's URL.
    #[schema(example = "hooks.example.com")]
    pub url_host: String,
    /// What the endpoint says of itself.
    #[serde(default)]
    pub description: String,
    /// The types and patterns that the endpoint selects by.
    pub types: Vec<String>,
}

/// How an event would be judged.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// What would become of it: `accepted`, `marked`, `quarantined` or `rejected`.
    #[schema(pattern = "^(accepted|marked|quarantined|rejected)$", example = "rejected")]
    pub outcome: String,
    /// How strictly events of its type are judged: `off`, `observe`, `quarantine` or `strict`.
    #[schema(pattern = "^(off|observe|quarantine|strict)$", example = "strict")]
    pub mode: String,
    /// The version by which it was judged: its own, or the type's current one.
    #[schema(example = "2")]
    pub version: String,
    /// Whether the catalog has this version of the type.
    pub known: bool,
    /// Whether a rule about the moves of a state was judged, by the newest event of the entity at this moment.
    pub state_judged: bool,
    /// The broken rules.
    pub violations: Vec<Violation>,
}
