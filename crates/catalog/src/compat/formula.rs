//! Schemas as formulas: boolean combinations of atoms, each stored once, so that what two schemas have in common is the
//! same formula in both.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;

use super::exact::{self, Bound, Exact};

/// A formula of an [`Arena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(u32);

/// A formula, or its opposite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) id: Id,
    pub(super) holds: bool,
}

impl Claim {
    pub(super) const fn yes(id: Id) -> Self {
        Self { id, holds: true }
    }

    pub(super) const fn no(id: Id) -> Self {
        Self { id, holds: false }
    }

    pub(super) const fn opposite(self) -> Self {
        Self { id: self.id, holds: !self.holds }
    }
}

/// The six kinds of JSON documents. Whole numbers are numbers that are multiples of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    Array,
    Object,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [Self::Object, Self::Text, Self::Number, Self::Array, Self::Boolean, Self::Null];

    pub(super) const fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    pub(super) const fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

/// A document that a schema names, compared as JSON Schema compares.
#[derive(Debug, Clone)]
pub(super) struct Constant {
    canonical: String,
    pub(super) value: Value,
}

impl Constant {
    pub(super) fn new(value: Value) -> Self {
        Self { canonical: exact::canonical(&value), value }
    }
}

impl PartialEq for Constant {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Constant {}

impl std::hash::Hash for Constant {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

/// The members that `additionalProperties` does not speak of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Declared {
    pub(super) names: Vec<Rc<str>>,
    pub(super) patterns: Vec<Rc<str>>,
}

/// What one keyword says. Each but `Kinds` and `Values` holds of every document of another kind than its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Atom {
    /// The document is of one of these kinds.
    Kinds(Kinds),
    /// The document is one of these.
    Values(Rc<[Constant]>),
    /// A number from here on.
    From(Bound),
    /// A number up to here.
    UpTo(Bound),
    /// A multiple of this.
    Multiple(Exact),
    /// Characters at least.
    LengthMin(u64),
    /// Characters at most.
    LengthMax(u64),
    /// Holds a match of the pattern.
    Pattern(Rc<str>),
    /// Is of a format that the validator knows.
    Format(Rc<str>),
    /// The element at the index, where there is one.
    Item(u64, Id),
    /// All elements from the index on.
    ItemsFrom(u64, Id),
    /// So many elements at least are like that.
    ContainsMin(Id, u64),
    /// So many elements at most are like that.
    ContainsMax(Id, u64),
    /// Elements at least.
    ItemsMin(u64),
    /// Elements at most.
    ItemsMax(u64),
    /// No two elements are the same.
    Unique,
    /// The member of the name, where there is one.
    Member(Rc<str>, Id),
    /// All members whose names match the pattern.
    Matching(Rc<str>, Id),
    /// All members but the declared ones.
    Others(Rc<Declared>, Id),
    /// All names of members, as strings.
    Names(Id),
    /// The member is there.
    Has(Rc<str>),
    /// Members at least.
    MembersMin(u64),
    /// Members at most.
    MembersMax(u64),
    /// Something that is not understood. Two of one text say the same.
    Opaque(Rc<str>),
}

impl Atom {
    /// The kind that the atom says something about; `None` where it speaks of every kind.
    pub(super) const fn kind(&self) -> Option<Kind> {
        match self {
            Self::Kinds(_) | Self::Values(_) | Self::Opaque(_) => None,
            Self::From(_) | Self::UpTo(_) | Self::Multiple(_) => Some(Kind::Number),
            Self::LengthMin(_) | Self::LengthMax(_) | Self::Pattern(_) | Self::Format(_) => Some(Kind::Text),
            Self::Item(..)
            | Self::ItemsFrom(..)
            | Self::ContainsMin(..)
            | Self::ContainsMax(..)
            | Self::ItemsMin(_)
            | Self::ItemsMax(_)
            | Self::Unique => Some(Kind::Array),
            Self::Member(..)
            | Self::Matching(..)
            | Self::Others(..)
            | Self::Names(_)
            | Self::Has(_)
            | Self::MembersMin(_)
            | Self::MembersMax(_) => Some(Kind::Object),
        }
    }
}

/// A boolean combination.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Formula {
    True,
    False,
    Not(Id),
    And(Rc<[Id]>),
    Or(Rc<[Id]>),
    /// Exactly one holds.
    One(Rc<[Id]>),
    /// What the slot holds: how schemas refer to each other, and to themselves.
    Ref(u32),
    Atom(Atom),
}

/// All formulas under comparison, each once.
#[derive(Debug)]
pub(super) struct Arena {
    formulas: Vec<Formula>,
    ids: HashMap<Formula, Id>,
    slots: Vec<Option<Id>>,
    documents: usize,
}

impl Arena {
    /// Holds of every document.
    pub(super) const TRUE: Id = Id(0);
    /// Holds of none.
    pub(super) const FALSE: Id = Id(1);

    pub(super) fn new() -> Self {
        let mut arena = Self { formulas: Vec::new(), ids: HashMap::new(), slots: Vec::new(), documents: 0 };
        arena.add(Formula::True);
        arena.add(Formula::False);
        arena
    }

    pub(super) fn formula(&self, id: Id) -> &Formula {
        &self.formulas[id.0 as usize]
    }

    pub(super) fn add(&mut self, formula: Formula) -> Id {
        if let Some(id) = self.ids.get(&formula) {
            return *id;
        }
        let id = Id(u32::try_from(self.formulas.len()).expect("bounded by the bytes of two schemas"));
        self.formulas.push(formula.clone());
        self.ids.insert(formula, id);
        id
    }

    pub(super) fn atom(&mut self, atom: Atom) -> Id {
        self.add(Formula::Atom(atom))
    }

    pub(super) fn not(&mut self, id: Id) -> Id {
        match self.formula(id) {
            Formula::True => Self::FALSE,
            Formula::False => Self::TRUE,
            Formula::Not(inner) => *inner,
            _ => self.add(Formula::Not(id)),
        }
    }

    pub(super) fn and(&mut self, parts: Vec<Id>) -> Id {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match self.formula(part) {
                Formula::And(inner) => flat.extend(inner.iter().copied()),
                Formula::False => return Self::FALSE,
                Formula::True => {}
                _ => flat.push(part),
            }
        }
        flat.sort_unstable();
        flat.dedup();
        match flat.as_slice() {
            [] => Self::TRUE,
            [single] => *single,
            _ => self.add(Formula::And(flat.into())),
        }
    }

    pub(super) fn or(&mut self, parts: Vec<Id>) -> Id {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match self.formula(part) {
                Formula::Or(inner) => flat.extend(inner.iter().copied()),
                Formula::True => return Self::TRUE,
                Formula::False => {}
                _ => flat.push(part),
            }
        }
        flat.sort_unstable();
        flat.dedup();
        match flat.as_slice() {
            [] => Self::FALSE,
            [single] => *single,
            _ => self.add(Formula::Or(flat.into())),
        }
    }

    /// Exactly one of the parts. Parts are not made unique: of two that are the same, none is the only one.
    pub(super) fn one(&mut self, parts: Vec<Id>) -> Id {
        let mut parts: Vec<_> = parts.into_iter().filter(|part| *part != Self::FALSE).collect();
        parts.sort_unstable();
        match parts.as_slice() {
            [] => Self::FALSE,
            [single] => *single,
            _ => self.add(Formula::One(parts.into())),
        }
    }

    pub(super) fn kinds(&mut self, kinds: Kinds) -> Id {
        self.atom(Atom::Kinds(kinds))
    }

    /// The number of a further document.
    pub(super) fn next_document(&mut self) -> usize {
        self.documents += 1;
        self.documents
    }

    /// A place for a formula that is not known yet.
    pub(super) fn slot(&mut self) -> u32 {
        self.slots.push(None);
        u32::try_from(self.slots.len() - 1).expect("bounded by the bytes of two schemas")
    }

    pub(super) fn fill(&mut self, slot: u32, id: Id) {
        self.slots[slot as usize] = Some(id);
    }

    pub(super) fn slot_content(&self, slot: u32) -> Option<Id> {
        self.slots[slot as usize]
    }
}
