//! What all targets are written from: types that know no language, made once from the schemas.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::definition::{Classification, Definition};

use super::names::{self, Scope};

mod build;
mod flat;

/// Everything there is to generate.
pub(super) struct Model {
    /// The versions of types, by name, then by number.
    pub(super) events: Vec<EventModel>,
}

/// One version of one type.
pub(super) struct EventModel {
    /// What it was made from.
    pub(super) definition: Arc<Definition>,
    /// `SalesLeadStatusChangedV1`, unique.
    pub(super) name: String,
    /// `sales_lead_status_changed_v1`, unique.
    pub(super) file: String,
    /// The types of its data; the first is the data itself: a record, a union or a map.
    pub(super) types: Vec<Named>,
}

/// A type that has a name.
pub(super) struct Named {
    /// `SalesLeadStatusChangedV1Data`, unique over all events.
    pub(super) name: String,
    /// What the schema says about it.
    pub(super) notes: Notes,
    /// What it is made of.
    pub(super) form: Form,
}

/// What a type with a name is made of.
pub(super) enum Form {
    /// An object with members that are known.
    Record(Record),
    /// One of some strings.
    Enum(Vec<EnumValue>),
    /// One of some records, told apart by a member.
    Union(Union),
    /// One of some shapes, told apart by what kind of JSON they are.
    Kinds(Vec<Shape>),
    /// An object of which nothing but the shape of its members is known; only as the data itself.
    Map(Shape),
}

/// An object with members that are known.
pub(super) struct Record {
    /// The members, required ones first, then by name.
    pub(super) members: Vec<Member>,
    /// The shape of members that are not declared. They are kept whatever the schema says of them.
    pub(super) rest: Shape,
}

/// A member of a record.
pub(super) struct Member {
    /// Its name in JSON.
    pub(super) json: String,
    /// Its value.
    pub(super) shape: Shape,
    /// Whether every document has it.
    pub(super) required: bool,
    /// The only string that it can be, where there is but one.
    pub(super) constant: Option<String>,
    /// Whether a value of this type can hold itself through this member alone, so that it cannot be stored in place.
    pub(super) recursive: bool,
    /// What the schema says about it.
    pub(super) notes: Notes,
    /// How it is classified; several only where it is reached on several ways.
    pub(super) classes: Vec<Classification>,
}

/// What a schema says for people.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Notes {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) deprecated: bool,
    pub(super) format: Option<String>,
    pub(super) default: Option<Value>,
    pub(super) examples: Vec<Value>,
}

/// One of an enum's strings.
pub(super) struct EnumValue {
    /// The string.
    pub(super) json: String,
    /// What it means.
    pub(super) description: String,
}

/// One of some records, told apart by a member.
pub(super) struct Union {
    /// The member that tells them apart.
    pub(super) tag: String,
    /// The records.
    pub(super) variants: Vec<Variant>,
}

/// One record of a union.
pub(super) struct Variant {
    /// What the member holds that tells them apart.
    pub(super) tag: String,
    /// Which of the event's types it is.
    pub(super) record: usize,
}

/// The shape of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Any string.
    Text(Format),
    /// A whole number of 64 bits.
    Integer {
        /// Whether it has no sign, because numbers beyond a signed one's are allowed.
        unsigned: bool,
    },
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Any JSON, `null` included.
    Raw,
    /// An array.
    List(Box<Shape>),
    /// An array of a fixed length, an element a place.
    Tuple(Vec<Shape>),
    /// An object whose members all have one shape.
    Map(Box<Shape>),
    /// The shape or `null`.
    Nullable(Box<Shape>),
    /// One of the event's types.
    Named(usize),
}

/// What a string holds, as far as its type can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Anything.
    Plain,
    /// RFC 3339, date and time.
    DateTime,
    /// RFC 3339, a date.
    Date,
    /// A UUID.
    Uuid,
}

impl Model {
    /// The model of definitions, which are sorted.
    pub(super) fn build(definitions: &[Arc<Definition>]) -> Self {
        let mut scope = Scope::default();
        let mut files = Scope::default();
        let events = definitions
            .iter()
            .map(|definition| {
                let whole = format!("{}.v{}", definition.name, definition.version);
                let name = scope.take(&names::pascal(&whole, "Event"), "N");
                let file = files.take(&names::snake(&whole, "event"), "_n");
                let types = build::types(definition, &name, &mut scope);
                EventModel { definition: Arc::clone(definition), name, file, types }
            })
            .collect();
        Self { events }
    }
}

impl EventModel {
    /// `sales.lead.created@1`.
    pub(super) fn label(&self) -> String {
        format!("{}@{}", self.definition.name, self.definition.version)
    }

    /// The data.
    pub(super) fn data(&self) -> &Named {
        &self.types[0]
    }

    /// The pointer to the entity's id in the data, where it is a fixed place.
    pub(super) fn entity_pointer(&self) -> Option<String> {
        let id = self.definition.entity.as_ref()?.id.as_ref()?;
        (!id.has_wildcard()).then(|| id.to_string())
    }
}

impl Shape {
    /// The shape or `null`; raw JSON holds `null` anyway.
    pub(super) fn or_null(self) -> Self {
        match self {
            Self::Raw | Self::Nullable(_) => self,
            other => Self::Nullable(Box::new(other)),
        }
    }

    /// Whether `null` is one of its values.
    pub(super) fn takes_null(&self) -> bool {
        matches!(self, Self::Raw | Self::Nullable(_))
    }

    /// The shape without `null`.
    pub(super) fn solid(&self) -> &Self {
        match self {
            Self::Nullable(inner) => inner,
            other => other,
        }
    }

    /// The named types that a value of this shape holds in place, not behind a list or a map.
    fn held(&self) -> BTreeSet<usize> {
        match self {
            Self::Named(index) => BTreeSet::from([*index]),
            Self::Nullable(inner) => inner.held(),
            Self::Tuple(items) => items.iter().flat_map(Self::held).collect(),
            _ => BTreeSet::new(),
        }
    }
}

impl Named {
    /// The named types that a value of this type holds in place.
    fn held(&self) -> BTreeSet<usize> {
        match &self.form {
            Form::Record(record) => record.members.iter().flat_map(|member| member.shape.held()).collect(),
            Form::Union(union) => union.variants.iter().map(|variant| variant.record).collect(),
            Form::Kinds(shapes) => shapes.iter().flat_map(Shape::held).collect(),
            Form::Enum(_) | Form::Map(_) => BTreeSet::new(),
        }
    }
}

/// The place that a reference within a schema means, if it is there.
pub(super) fn resolve(schema: &Value, reference: &str) -> Option<String> {
    flat::Tree { root: schema }.resolve(reference)
}

/// Which of the types a value of the type `from` holds in place, itself or through others.
fn reached(types: &[Named], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<usize> = types[from].held().into_iter().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(types[next].held());
        }
    }
    reached
}
