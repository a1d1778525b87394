//! An expression after compiling: every name is resolved, every pattern compiled, every call checked.

use super::pattern::Pattern;

/// A node of an expression.
#[derive(Debug)]
pub(super) enum Ir {
    /// A value that stands in the text.
    Const(Constant),
    /// The whole of `data`.
    Data,
    /// A text or moment of the envelope.
    Event(Field),
    /// Whether the envelope has something.
    HasEvent(Field),
    /// What a loop is at: the number of loops around it.
    Variable(usize),
    /// A member, by its name.
    Member(Box<Ir>, Box<str>),
    /// Whether there is a member, and everything on the way to it.
    HasMember(Box<Ir>, Box<str>),
    /// A member or element, by what is calculated.
    Index(Box<Ir>, Box<Ir>),
    /// Whether a reference set has a value; the number of the set in the expression.
    InSet(Box<Ir>, usize),
    /// How many values a reference set has.
    SizeOfSet(usize),
    /// Whether a list has an element, or a map a key.
    In(Box<Ir>, Box<Ir>),
    Not(Box<Ir>),
    Negate(Box<Ir>),
    And(Box<Ir>, Box<Ir>),
    Or(Box<Ir>, Box<Ir>),
    If(Box<Ir>, Box<Ir>, Box<Ir>),
    Binary(Operator, Box<Ir>, Box<Ir>),
    Call(Function, Vec<Ir>),
    /// Whether a text holds a match.
    Matches(Box<Ir>, Box<Pattern>),
    List(Vec<Ir>),
    Map(Vec<(Ir, Ir)>),
    Loop(Box<Loop>),
}

/// One of `all`, `exists`, `exists_one`, `filter` and `map`.
#[derive(Debug)]
pub(super) struct Loop {
    pub kind: LoopKind,
    pub range: Ir,
    /// What is asked of each element; of `map` none, or whether it is taken.
    pub test: Option<Ir>,
    /// What `map` makes of each element.
    pub make: Option<Ir>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

#[derive(Debug)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text(Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Declares an enum with the words that its variants are written as.
macro_rules! written {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name { $($variant),+ }

        impl $name {
            pub(super) const ALL: &[Self] = &[$(Self::$variant),+];

            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            pub(super) fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

written!(
    /// What a rule sees of the envelope.
    Field {
        Id = "id",
        Type = "type",
        Version = "version",
        Timestamp = "timestamp",
        Tenant = "tenant",
        Project = "project",
        Source = "source",
        SourceType = "source.type",
        SourceId = "source.id",
        Entity = "entity",
        EntityType = "entity.type",
        EntityId = "entity.id",
        Actor = "actor",
        Metadata = "metadata",
        CorrelationId = "metadata.correlation_id",
        CausationId = "metadata.causation_id",
        Context = "metadata.context",
        ContextType = "metadata.context.type",
        ContextId = "metadata.context.id",
        Traceparent = "metadata.traceparent",
    }
);

impl Field {
    /// Whether it is an object, of which only the members can be used.
    pub(super) fn is_object(self) -> bool {
        matches!(self, Self::Source | Self::Entity | Self::Metadata | Self::Context)
    }
}

written!(
    /// The functions.
    Function {
        Size = "size",
        Contains = "contains",
        StartsWith = "startsWith",
        EndsWith = "endsWith",
        LowerAscii = "lowerAscii",
        UpperAscii = "upperAscii",
        Trim = "trim",
        Substring = "substring",
        Split = "split",
        Join = "join",
        Replace = "replace",
        Text = "string",
        Int = "int",
        Double = "double",
        Abs = "abs",
        Ceil = "ceil",
        Floor = "floor",
        Round = "round",
        Sum = "sum",
        Min = "min",
        Max = "max",
        Timestamp = "timestamp",
        Date = "date",
        Duration = "duration",
        FullYear = "getFullYear",
        Month = "getMonth",
        DayOfMonth = "getDayOfMonth",
        DateOfMonth = "getDate",
        DayOfWeek = "getDayOfWeek",
        DayOfYear = "getDayOfYear",
        Hours = "getHours",
        Minutes = "getMinutes",
        Seconds = "getSeconds",
        Milliseconds = "getMilliseconds",
    }
);

impl Function {
    /// How many arguments it takes, what it is called on counted: at least, at most.
    pub(super) fn arity(self) -> (usize, usize) {
        match self {
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Split => (2, 2),
            Self::Join | Self::Round => (1, 2),
            Self::Substring => (2, 3),
            Self::Replace => (3, 3),
            Self::Min | Self::Max => (1, 8),
            _ => (1, 1),
        }
    }
}
