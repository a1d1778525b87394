//! What stands between the quotes of a JSON string.

use std::borrow::Cow;

/// A string holds half of a surrogate pair as an escape, and so is no Unicode text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoneSurrogate;

/// A string's content as it is written, known to follow the grammar.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    pub(super) fn new(raw: &'a str, escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// The content with its escapes resolved; borrowed where there are none.
    pub fn decode(self) -> Result<Cow<'a, str>, LoneSurrogate> {
        if !self.escaped {
            return Ok(Cow::Borrowed(self.raw));
        }
        let mut out = String::with_capacity(self.raw.len());
        for piece in Pieces::of(self.raw) {
            match piece {
                Piece::Plain(plain) => out.push_str(plain),
                Piece::Char(c) => out.push(c),
                Piece::Lone(_) => return Err(LoneSurrogate),
            }
        }
        Ok(Cow::Owned(out))
    }

    /// The content with lone surrogates replaced by U+FFFD.
    #[must_use]
    pub fn to_lossy(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut out = String::with_capacity(self.raw.len());
        for piece in Pieces::of(self.raw) {
            match piece {
                Piece::Plain(plain) => out.push_str(plain),
                Piece::Char(c) => out.push(c),
                Piece::Lone(_) => out.push(char::REPLACEMENT_CHARACTER),
            }
        }
        Cow::Owned(out)
    }

    /// The content as bytes in which lone surrogates take three bytes as UTF-8 would give them, so that two keys
    /// are equal exactly when their bytes are.
    pub(super) fn to_wtf8(self) -> Cow<'a, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.raw.as_bytes());
        }
        let mut out = Vec::with_capacity(self.raw.len());
        for piece in Pieces::of(self.raw) {
            match piece {
                Piece::Plain(plain) => out.extend_from_slice(plain.as_bytes()),
                Piece::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                Piece::Lone(unit) => {
                    let low = |shift: u16| 0x80 | (unit >> shift & 0x3f) as u8;
                    out.extend_from_slice(&[0xe0 | (unit >> 12) as u8, low(6), low(0)]);
                }
            }
        }
        Cow::Owned(out)
    }
}

enum Piece<'a> {
    Plain(&'a str),
    Char(char),
    Lone(u16),
}

/// Walks a string's content, escape by escape.
struct Pieces<'a>(&'a str);

impl<'a> Pieces<'a> {
    fn of(raw: &'a str) -> Self {
        Self(raw)
    }

    /// The code unit that an escape `\uXXXX` at the beginning of a text names.
    fn unit(text: &str) -> Option<u16> {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let text = self.0;
        let Some(escape) = text.find('\\') else {
            self.0 = "";
            return (!text.is_empty()).then_some(Piece::Plain(text));
        };
        if escape > 0 {
            self.0 = &text[escape..];
            return Some(Piece::Plain(&text[..escape]));
        }
        let Some(unit) = Self::unit(text) else {
            let c = match text.as_bytes().get(1)? {
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                other => char::from(*other),
            };
            self.0 = text.get(2..).unwrap_or_default();
            return Some(Piece::Char(c));
        };
        self.0 = &text[6..];
        if (0xd800..0xdc00).contains(&unit)
            && let Some(low) = Self::unit(self.0)
            && (0xdc00..0xe000).contains(&low)
        {
            self.0 = &self.0[6..];
            let code = 0x1_0000 + (u32::from(unit - 0xd800) << 10) + u32::from(low - 0xdc00);
            return char::from_u32(code).map(Piece::Char);
        }
        Some(char::from_u32(u32::from(unit)).map_or(Piece::Lone(unit), Piece::Char))
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The first byte from `at` on that is a quote, a backslash or a control character, or the end of the text.
///
/// Eight bytes at a time: in each byte of a word the highest bit becomes set if the byte is one of those. The
/// subtractions may carry into higher bytes, so only the lowest set bit is meant, and that is the one in use.
pub(super) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let found = (word.wrapping_sub(ONES * 0x20) & !word
            | quote.wrapping_sub(ONES) & !quote
            | backslash.wrapping_sub(ONES) & !backslash)
            & HIGHS;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}
