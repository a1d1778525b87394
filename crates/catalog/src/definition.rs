//! What a definition says: one version of one event type.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings_event::{EventType, Version};

/// Declares an enum with its names in files and on the wire.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The meaning of a word, if it has one.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

/// One version of one event type, as its owner declares it. What a file holds, after all its shorthands are resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// The type.
    pub name: EventType,
    /// The version that events carry.
    pub version: Version,
    /// The service that emits it, and nobody else: the id of its events' source.
    pub owner: String,
    /// What happened, for people.
    pub description: String,
    /// Where it stands in its life.
    pub lifecycle: Lifecycle,
    /// What consumers may rely on about the order of its events.
    pub ordering: Ordering,
    /// For how long its events are kept; as long as the log when it says nothing.
    pub retention: Option<Retention>,
    /// What its events happen to.
    pub entity: Option<EntityRule>,
    /// Where in `data` the id of the person stands whom the data is about.
    pub subject: Option<Pointer>,
    /// What kind of data stands where, and what becomes of it. A pointer may hold `*` for every element or member. What
    /// is not named is `internal`, `keep`.
    pub classification: BTreeMap<Pointer, Classification>,
    /// How it may change.
    pub compatibility: Compatibility,
    /// The JSON Schema of `data`, draft 2020-12 unless `$schema` says draft 7.
    pub schema: Value,
    /// Examples of `data`, all valid.
    pub examples: Vec<Example>,
    /// What must hold beyond the schema.
    pub rules: Vec<Rule>,
    /// Which moves of a field are allowed.
    pub transitions: Vec<Transitions>,
    /// How `data` of the version before becomes data of this one.
    pub upcast: Option<Conversion>,
    /// How `data` of this version becomes data of the version before.
    pub downcast: Option<Conversion>,
    /// Why the name may break the naming rules, if it does.
    pub name_exception: Option<String>,
}

words!(
    /// The stage of a lifecycle.
    Stage {
        /// Being drawn up: may change in any way.
        Draft = "draft",
        /// In use: changes by the rules of compatibility.
        Stable = "stable",
        /// In use, but not for long.
        Deprecated = "deprecated",
    }
);

/// Where a definition stands in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// The stage.
    pub stage: Stage,
    /// The day from which on it is not taken any more; only of a deprecated one.
    pub sunset: Option<jiff::civil::Date>,
    /// What to use instead; only of a deprecated one.
    pub successor: Option<(EventType, Version)>,
}

words!(
    /// What consumers may rely on about order.
    Ordering {
        /// Nothing.
        None = "none",
        /// Events of one entity come in order. The default.
        Entity = "entity",
        /// All events of a tenant come in order.
        Tenant = "tenant",
    }
);

/// How long events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retention {
    /// For so many days.
    Days(u32),
    /// For good.
    Forever,
}

/// What the events of a type happen to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityRule {
    /// The entity's type.
    pub kind: String,
    /// Where in `data` its id stands as well; it must be the same.
    pub id: Option<Pointer>,
}

/// A place in `data`: an RFC 6901 pointer like `/customer/email`, in which `*` stands for every element or member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(pub(crate) Vec<String>);

words!(
    /// How sensitive data is, rising.
    Class {
        /// May be known to everybody.
        Public = "public",
        /// Is for the tenant and its product. The default.
        Internal = "internal",
        /// Identifies a person.
        Pii = "pii",
        /// Tells of a person's health.
        Phi = "phi",
        /// Opens something.
        Secret = "secret",
    }
);

words!(
    /// What becomes of data where it leaves for those who may not see it; from the mildest to the strictest.
    Action {
        /// It stays as it is.
        Keep = "keep",
        /// It is encrypted.
        Encrypt = "encrypt",
        /// It is replaced by a token that stands for it.
        Tokenize = "tokenize",
        /// It is masked.
        Redact = "redact",
        /// It is left out.
        Drop = "drop",
    }
);

/// What kind of data stands somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classification {
    /// How sensitive it is.
    pub class: Class,
    /// What becomes of it.
    pub action: Action,
}

words!(
    /// Against which earlier definitions, and in which direction, a change is judged.
    Compatibility {
        /// Anything goes.
        None = "none",
        /// New readers read what the revision before wrote.
        Backward = "backward",
        /// New readers read what every revision before wrote.
        BackwardTransitive = "backward_transitive",
        /// Readers of the revision before read what is written now.
        Forward = "forward",
        /// Readers of every revision before read what is written now.
        ForwardTransitive = "forward_transitive",
        /// Both, against the revision before.
        Full = "full",
        /// Both, against every revision before.
        FullTransitive = "full_transitive",
        /// The default: producers write what is declared and no more, consumers read what they know and skip the
        /// rest; both directions, against every revision before.
        Published = "published",
    }
);

/// An example of `data`.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// What it shows.
    pub name: String,
    /// The data.
    pub data: Value,
}

/// A rule in CEL. It sees `data`, `event` (the envelope without `data`) and `sets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, unique in the definition, lower snake case.
    pub name: String,
    /// The expression; it must be `true`.
    pub check: String,
    /// What a producer is told where it is not.
    pub message: String,
}

/// Which moves of a field are allowed from one event of an entity to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transitions {
    /// The field that holds the state, a string.
    pub field: Pointer,
    /// The types whose events carry the field; the newest event of the entity among them tells where it stands.
    pub of: Vec<EventType>,
    /// The states in which an entity may begin; all when empty.
    pub initial: Vec<String>,
    /// From each state the states that may follow. A state that is not named has no way out. To stay is always allowed
    /// where the state names itself.
    pub moves: BTreeMap<String, Vec<String>>,
}

/// How `data` of one version becomes data of a neighbouring version: its steps, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    /// The other version.
    pub other: Version,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What shall come out of what.
    pub tests: Vec<ConversionTest>,
}

/// One step of a conversion.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A member gets another name or place; nothing happens where it is missing.
    Move {
        /// From where.
        from: Pointer,
        /// To where; objects on the way are made.
        to: Pointer,
    },
    /// A member is copied; nothing happens where it is missing.
    Copy {
        /// From where.
        from: Pointer,
        /// To where; objects on the way are made.
        to: Pointer,
    },
    /// A member gets a value, whatever it had.
    Set {
        /// Where.
        at: Pointer,
        /// The value.
        value: Value,
    },
    /// A member gets a value where it is missing.
    Default {
        /// Where.
        at: Pointer,
        /// The value.
        value: Value,
    },
    /// A member goes.
    Remove {
        /// Where.
        at: Pointer,
    },
    /// A string value becomes another; one that is not named becomes `otherwise`, or stays.
    Map {
        /// Where.
        at: Pointer,
        /// What becomes what.
        values: BTreeMap<String, Value>,
        /// What all others become.
        otherwise: Option<Value>,
    },
    /// A member gets the value of a CEL expression over `data`.
    Compute {
        /// Where.
        at: Pointer,
        /// The expression.
        expression: String,
    },
}

/// A test of a conversion.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversionTest {
    /// What goes in.
    pub from: Value,
    /// What shall come out.
    pub to: Value,
}

/// The longest number that a version may have.
const VERSION_DIGITS_MAX: usize = 9;

/// The number that a version of a definition is: a whole one from 1, written without leading zeros. Versions that
/// events of unknown types carry may be anything else, and have none.
#[must_use]
pub fn version_number(version: &Version) -> Option<u32> {
    let text = version.as_str();
    let digits = text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= VERSION_DIGITS_MAX;
    if digits && !text.starts_with('0') { text.parse().ok() } else { None }
}

impl Definition {
    /// The number of its version; see [`version_number`]. Zero only where it was put together by hand with another one.
    #[must_use]
    pub fn number(&self) -> u32 {
        version_number(&self.version).unwrap_or(0)
    }

    /// The name of its entry.
    #[must_use]
    pub fn key(&self) -> crate::entry::Key {
        crate::entry::Key::definition(&self.name, &self.version)
    }

    /// A stable definition of which nothing is said but what must be.
    #[must_use]
    pub fn new(name: EventType, version: Version, owner: impl Into<String>, schema: Value) -> Self {
        Self {
            name,
            version,
            owner: owner.into(),
            description: String::new(),
            lifecycle: Lifecycle::default(),
            ordering: Ordering::Entity,
            retention: None,
            entity: None,
            subject: None,
            classification: BTreeMap::new(),
            compatibility: Compatibility::Published,
            schema,
            examples: Vec::new(),
            rules: Vec::new(),
            transitions: Vec::new(),
            upcast: None,
            downcast: None,
            name_exception: None,
        }
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { stage: Stage::Stable, sunset: None, successor: None }
    }
}

impl Class {
    /// What becomes of data of this class where its definition names no action.
    #[must_use]
    pub const fn default_action(self) -> Action {
        match self {
            Self::Public | Self::Internal => Action::Keep,
            Self::Pii | Self::Phi => Action::Redact,
            Self::Secret => Action::Drop,
        }
    }
}

impl From<Class> for Classification {
    fn from(class: Class) -> Self {
        Self { class, action: class.default_action() }
    }
}

impl Default for Classification {
    fn default() -> Self {
        Class::Internal.into()
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(days) => write!(f, "{days}d"),
            Self::Forever => f.write_str("forever"),
        }
    }
}
