//! A one-pass scanner over JSON text (RFC 8259).
//!
//! It checks what a parser into a tree would check and more (no key twice in an object, bounded depth), builds no
//! tree, and hands out slices of the text. Numbers are checked for their grammar alone, so that `1e999` or forty
//! digits pass as they are. Strings inside a value may hold lone surrogates as escapes, as the grammar allows;
//! [`Text::decode`] refuses them where a string is needed.

use std::fmt;

mod scanner;
mod text;

pub use scanner::Scanner;
pub use text::{LoneSurrogate, Text};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number of any size.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "a boolean",
            Self::Null => "null",
        })
    }
}

/// Why a text is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// There is nothing but white space.
    Empty,
    /// The bytes are not UTF-8.
    Utf8,
    /// The grammar is broken; says what was expected.
    Syntax(&'static str),
    /// Something follows the value.
    Trailing,
    /// Objects and arrays are nested deeper than allowed.
    Depth,
    /// A key occurs more than once in one object.
    Duplicate,
    /// The text has 2 GiB or more.
    TooLong,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is no JSON value",
            Self::Utf8 => "the bytes are not UTF-8",
            Self::Syntax(expected) => expected,
            Self::Trailing => "nothing may follow the value",
            Self::Depth => "objects and arrays are nested too deeply",
            Self::Duplicate => "the key occurs more than once",
            Self::TooLong => "the text is too long",
        })
    }
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub wrong: Wrong,
    /// At which byte, from 0.
    pub offset: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.wrong, self.offset)
    }
}

impl std::error::Error for Fault {}

/// A key that occurs again in its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// RFC 6901 path of the member, from the value that was scanned.
    pub path: String,
    /// Byte of the second occurrence, from 0.
    pub offset: usize,
}

/// One value, checked, as a slice of the text.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    kind: Kind,
    text: &'a str,
    escaped: bool,
}

impl<'a> Value<'a> {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its text, without white space around it.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Its content, if it is a string.
    #[must_use]
    pub fn as_string(&self) -> Option<Text<'a>> {
        let inner = self.text.strip_prefix('"')?.strip_suffix('"')?;
        Some(Text::new(inner, self.escaped))
    }

    /// Its members, if it is an object; none otherwise.
    #[must_use]
    pub fn members(&self) -> Members<'a> {
        Members(self.inside(Kind::Object))
    }

    /// Its elements, if it is an array; none otherwise.
    #[must_use]
    pub fn elements(&self) -> Elements<'a> {
        Elements(self.inside(Kind::Array))
    }

    fn inside(&self, kind: Kind) -> Inside<'a> {
        let mut scanner = Scanner::over(self.text);
        scanner.open();
        Inside { scanner, first: true, done: self.kind != kind }
    }
}

/// Walks a checked container. The text is known to be right, so a fault cannot occur and would end the walk.
struct Inside<'a> {
    scanner: Scanner<'a>,
    first: bool,
    done: bool,
}

/// The members of an object, in order.
pub struct Members<'a>(Inside<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Text<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let inside = &mut self.0;
        if inside.done {
            return None;
        }
        let key = inside.scanner.member(&mut inside.first).ok().flatten();
        let item = key.and_then(|key| Some((key, inside.scanner.value(usize::MAX).ok()?)));
        inside.done = item.is_none();
        item
    }
}

/// The elements of an array, in order.
pub struct Elements<'a>(Inside<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let inside = &mut self.0;
        if inside.done {
            return None;
        }
        let more = inside.scanner.element(&mut inside.first).unwrap_or(false);
        let item = if more { inside.scanner.value(usize::MAX).ok() } else { None };
        inside.done = item.is_none();
        item
    }
}

/// Reads a text that is one value and nothing else. A duplicate key anywhere is a fault.
pub fn check(bytes: &[u8], depth_max: usize) -> Result<Value<'_>, Fault> {
    let mut scanner = Scanner::new(bytes)?;
    let value = scanner.value(depth_max)?;
    scanner.finish()?;
    match scanner.take_duplicates().first() {
        Some(duplicate) => Err(Fault { wrong: Wrong::Duplicate, offset: duplicate.offset }),
        None => Ok(value),
    }
}

/// Appends one step to an RFC 6901 path.
pub fn push_step(path: &mut String, step: &str) {
    path.push('/');
    for c in step.chars() {
        match c {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            c => path.push(c),
        }
    }
}

/// Paths have at most so many steps: an event in a batch as deep as it may be, and one more.
const PATH_STEPS_MAX: usize = crate::limits::DEPTH_MAX + 2;

/// The RFC 6901 path of the value in which a byte of a document lies. The document need be right only up to there.
#[must_use]
pub fn path_at(bytes: &[u8], offset: usize) -> String {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let valid = match std::str::from_utf8(before) {
        Ok(text) => text,
        Err(e) => std::str::from_utf8(&before[..e.valid_up_to()]).unwrap_or_default(),
    };
    let mut scanner = Scanner::over(valid);
    // A document that is whole before the offset has nothing open there.
    if scanner.value(PATH_STEPS_MAX).is_ok() { String::new() } else { scanner.path() }
}

/// Line and column of a byte, both from 1; columns count characters.
#[must_use]
pub fn line_and_column(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = &bytes[..offset.min(bytes.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    (line, String::from_utf8_lossy(&before[start..]).chars().count() + 1)
}
