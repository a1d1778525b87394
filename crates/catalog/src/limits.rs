//! Every bound of the catalog, in one place.

/// Bytes of one definition's source.
pub const DEFINITION_BYTES_MAX: usize = 256 * 1024;
/// Types in a catalog.
pub const TYPES_MAX: usize = 10_000;
/// Versions of one type.
pub const VERSIONS_MAX: usize = 100;
/// Revisions of one version.
pub const REVISIONS_MAX: usize = 1_000;
/// Definitions, sets and policies in one change.
pub const CHANGES_MAX: usize = 1_000;
/// Bytes of one change.
pub const CHANGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Examples of one version.
pub const EXAMPLES_MAX: usize = 50;
/// Rules of one version.
pub const RULES_MAX: usize = 50;
/// Characters of a rule's expression.
pub const RULE_CHARS_MAX: usize = 2_000;
/// State machines of one version.
pub const TRANSITIONS_MAX: usize = 5;
/// States of one machine.
pub const STATES_MAX: usize = 200;
/// Values of a reference set.
pub const SET_VALUES_MAX: usize = 10_000;
/// Reference sets in a catalog.
pub const SETS_MAX: usize = 1_000;
/// Policies in a catalog.
pub const POLICIES_MAX: usize = 1_000;
/// Fields that a version classifies.
pub const CLASSIFIED_MAX: usize = 500;
/// Steps of an upcaster.
pub const UPCAST_STEPS_MAX: usize = 100;
/// Nesting of a schema.
pub const SCHEMA_DEPTH_MAX: usize = 64;
/// Schemas within a schema.
pub const SCHEMA_NODES_MAX: usize = 20_000;
