//! What is told about the nodes of a log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All nodes that run.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeList {
    /// The nodes, by name.
    pub data: Vec<Node>,
    /// What none of them owns at the moment: nobody takes it, or it is on its way from one to another.
    pub free: Vec<NodeLease>,
    /// Always null: the list is whole.
    pub cursor: Option<String>,
}

/// A node.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name.
    #[schema(example = "node-1")]
    pub id: String,
    /// Whether it is the one that answers.
    pub this: bool,
    /// What it does: `api`, `pump`, `router`, `publisher`. Nothing for one that is about to leave.
    #[schema(example = json!(["api", "pump", "router"]))]
    pub roles: Vec<String>,
    /// The sources that it can reach.
    #[schema(example = json!(["platform"]))]
    pub sources: Vec<String>,
    /// Where it listens, as it says itself.
    pub address: Option<String>,
    /// Its version.
    pub version: String,
    /// When its process began, by the database's clock.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// Its last heartbeat, by the database's clock.
    #[schema(format = DateTime)]
    pub seen_at: String,
    /// What it owns.
    pub leases: Vec<NodeLease>,
}

/// Something that has one owner at a time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeLease {
    /// What its owner does: `router`, `publisher` or `pump`.
    #[schema(example = "router")]
    pub role: String,
    /// Of what: a partition's number, or a source's name.
    #[schema(example = "3")]
    pub slot: String,
    /// Counts its owners.
    pub epoch: u64,
    /// The position up to which a partition's owner has come; 0 for a pump.
    pub checkpoint: u64,
}
