//! What the catalog holds: definitions, reference sets and policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One version of one event type, with all defaults written out. A definition may be sent in this form, or as YAML.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "sales.lead.status_changed", "version": "1", "owner": "sales",
    "description": "A lead moved from one status to another.",
    "entity": {"type": "lead", "id": "/lead_id"},
    "schema": {
        "type": "object", "required": ["lead_id", "from", "to"],
        "properties": {"lead_id": {"type": "string"}, "from": {"type": "string"}, "to": {"type": "string"}}
    },
    "examples": [{"name": "qualified", "data": {"lead_id": "lead_42", "from": "new", "to": "qualified"}}],
    "rules": [{"name": "really_moved", "check": "data.from != data.to", "message": "the status must change"}]
}))]
pub struct Definition {
    /// The type: `domain.entity.past_tense_action`.
    pub name: String,
    /// The version, a whole number from 1 on.
    pub version: String,
    /// The service that emits it, and nobody else: the id of its events' source.
    pub owner: String,
    /// What happened, for people.
    pub description: String,
    /// Where it stands in its life; stable by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// What consumers may rely on about the order of its events: `none`, `entity` (the default) or `tenant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(none|entity|tenant)$", example = "entity")]
    pub ordering: Option<String>,
    /// For how long its events are kept: days like `730d`, or `forever`. As long as the log by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "730d")]
    pub retention: Option<String>,
    /// What its events happen to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<EntityRule>,
    /// Where in `data` the id of the person stands whom the data is about, as an RFC 6901 pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/person_id")]
    pub subject: Option<String>,
    /// What kind of data stands where, by pointer; `*` stands for every element or member. What is not named is
    /// `internal` and kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"/email": {"class": "pii", "action": "redact"}}))]
    pub classification: BTreeMap<String, Classification>,
    /// How it may change: `none`, `backward`, `forward`, `full`, each of the last three with `_transitive` too, or
    /// `published` (the default): producers may add optional members, consumers never break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "published")]
    pub compatibility: Option<String>,
    /// Why the name may break the naming rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_exception: Option<String>,
    /// The JSON Schema of `data`: draft 2020-12, or draft 7 where `$schema` says so.
    #[schema(value_type = Object)]
    pub schema: Value,
    /// Examples of `data`, all valid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub examples: Vec<Example>,
    /// What must hold beyond the schema.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub rules: Vec<Rule>,
    /// Which moves of a field are allowed from one event of an entity to the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 5)]
    pub transitions: Vec<Transitions>,
    /// How `data` of the version before becomes data of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upcast: Option<Upcast>,
    /// How `data` of this version becomes data of the version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downcast: Option<Downcast>,
}

/// Where a definition stands in its life.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// `draft` (may change in any way), `stable` or `deprecated`.
    #[schema(pattern = "^(draft|stable|deprecated)$", example = "stable")]
    pub stage: String,
    /// Of a deprecated one: the day from which on its events are not taken any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Date, example = "2027-01-01")]
    pub sunset: Option<String>,
    /// Of a deprecated one: what to use instead, as type and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "sales.lead.moved@2")]
    pub successor: Option<String>,
}

/// What the events of a type happen to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntityRule {
    /// The entity's type.
    #[schema(example = "lead")]
    pub r#type: String,
    /// Where in `data` the entity's id stands as well; it must be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/lead_id")]
    pub id: Option<String>,
}

/// What kind of data stands somewhere, and what becomes of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// `public`, `internal`, `pii`, `phi` or `secret`.
    #[schema(pattern = "^(public|internal|pii|phi|secret)$", example = "pii")]
    pub class: String,
    /// `keep`, `encrypt`, `tokenize`, `redact` or `drop`.
    #[schema(pattern = "^(keep|encrypt|tokenize|redact|drop)$", example = "redact")]
    pub action: String,
}

/// An example of `data`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    pub name: String,
    /// The data.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// A rule in CEL. It sees `data`, `event` (the envelope without `data`) and `sets`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, unique in the definition.
    #[schema(example = "really_moved")]
    pub name: String,
    /// The expression; it must be `true`.
    #[schema(example = "data.from != data.to")]
    pub check: String,
    /// What a producer is told where it is not.
    #[schema(example = "the status must change")]
    pub message: String,
}

/// Which moves of a field are allowed from one event of an entity to the next.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transitions {
    /// The field that holds the state, as a pointer into `data`.
    #[schema(example = "/to")]
    pub field: String,
    /// The types whose events carry the field; the type itself by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
    /// The states in which an entity may begin; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initial: Vec<String>,
    /// From each state the states that may follow. A state that is not named has no way out.
    #[schema(example = json!({"new": ["qualified", "lost"], "qualified": ["won", "lost"]}))]
    pub moves: BTreeMap<String, Vec<String>>,
}

/// How `data` of the version before becomes data of this one.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Upcast {
    /// The version before.
    pub from: String,
    /// What is done, in order: `move`, `copy`, `set`, `default`, `remove`, `map` or `compute`.
    #[schema(value_type = Vec<Object>, max_items = 100, example = json!([{"move": {"from": "/amount", "to": "/price/amount"}}]))]
    pub steps: Vec<Value>,
    /// What shall come out of what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<ConversionTest>,
}

/// How `data` of this version becomes data of the version before.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Downcast {
    /// The version before.
    pub to: String,
    /// What is done, in order: `move`, `copy`, `set`, `default`, `remove`, `map` or `compute`.
    #[schema(value_type = Vec<Object>, max_items = 100, example = json!([{"move": {"from": "/price/amount", "to": "/amount"}}]))]
    pub steps: Vec<Value>,
    /// What shall come out of what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<ConversionTest>,
}

/// A test of a conversion.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversionTest {
    /// What goes in.
    #[schema(value_type = Object)]
    pub from: Value,
    /// What shall come out.
    #[schema(value_type = Object)]
    pub to: Value,
}

/// A page of event types.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventTypeList {
    /// The types by name.
    pub data: Vec<EventType>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// An event type: what its versions have in common.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventType {
    /// The type.
    #[schema(example = "sales.lead.status_changed")]
    pub name: String,
    /// The service that emits it, by its current version.
    #[schema(example = "sales")]
    pub owner: String,
    /// What happened, by its current version.
    pub description: String,
    /// The version that an event gets which names none: the highest stable one; without one the highest deprecated
    /// one; else the highest draft.
    #[schema(example = "2")]
    pub current: String,
    /// All versions, by number. They are served side by side.
    pub versions: Vec<EventTypeVersion>,
}

/// A version of an event type.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventTypeVersion {
    /// The version.
    #[schema(example = "2")]
    pub version: String,
    /// `draft`, `stable` or `deprecated`.
    #[schema(pattern = "^(draft|stable|deprecated)$", example = "stable")]
    pub stage: String,
    /// Of a deprecated one: the day from which on its events are not taken any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Date, example = "2027-01-01")]
    pub sunset: Option<String>,
    /// Of a deprecated one: what to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "sales.lead.moved@2")]
    pub successor: Option<String>,
}

/// A page of reference sets.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceSetList {
    /// The sets by name.
    pub data: Vec<ReferenceSetSummary>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// A reference set without its values.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceSetSummary {
    /// Its name.
    #[schema(example = "currencies")]
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How many values it has.
    #[schema(example = 3)]
    pub values_count: u64,
}

/// Named values that rules look into: `data.currency in sets.currencies`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceSet {
    /// Its name, lower snake case.
    #[schema(example = "currencies")]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The values: strings or numbers, each once.
    #[schema(max_items = 10_000, value_type = Vec<Object>, example = json!(["EUR", "USD"]))]
    pub values: Vec<Value>,
}

/// A page of policies.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyList {
    /// The policies by name.
    pub data: Vec<Policy>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// How strictly events of some tenants and types are judged: `strict` refuses those that break a rule, `quarantine`
/// keeps them aside, `observe` takes and marks them, `off` does not judge. Of several policies the most specific one
/// that says something counts: one that names the tenant before one that does not, then the longer pattern of types.
/// Where none says anything, known types are `strict` and unknown ones `off`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name, lower snake case.
    #[schema(example = "acme_tries_it_out")]
    pub name: String,
    /// The tenant; every one by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "acme")]
    pub tenant: Option<String>,
    /// The types: one, or a prefix like `sales.*`; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "sales.*")]
    pub types: Option<String>,
    /// For types that are in the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(off|observe|quarantine|strict)$", example = "quarantine")]
    pub known: Option<String>,
    /// For types and versions that are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(off|observe|quarantine|strict)$", example = "observe")]
    pub unknown: Option<String>,
}
