//! Reads JSON text (RFC 8259) into a tree, strictly.

use std::borrow::Cow;

use super::Node;
use crate::limits::JSON_DEPTH_MAX;

/// Why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at}")]
pub(crate) struct ParseError {
    /// What is wrong.
    pub(crate) reason: &'static str,
    /// Where, in bytes from the start.
    pub(crate) at: usize,
}

/// Reads one JSON value and nothing after it.
pub(crate) fn parse(json: &[u8]) -> Result<Node<'_>, ParseError> {
    read(json, false)
}

/// Reads one JSON value and nothing after it. Halves of surrogate pairs, which JSON allows as escapes, become U+FFFD:
/// an event may hold them.
pub(crate) fn parse_lossy(json: &[u8]) -> Result<Node<'_>, ParseError> {
    read(json, true)
}

fn read(json: &[u8], lossy: bool) -> Result<Node<'_>, ParseError> {
    let text = std::str::from_utf8(json).map_err(|e| ParseError { reason: "invalid UTF-8", at: e.valid_up_to() })?;
    let mut reader = Reader { text, bytes: json, at: 0, lossy };
    let node = reader.value(JSON_DEPTH_MAX)?;
    reader.space();
    if reader.at < json.len() {
        return Err(reader.error("something after the value"));
    }
    Ok(node)
}

const LONE: &str = "half of a surrogate pair";

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    lossy: bool,
}

impl<'a> Reader<'a> {
    fn error(&self, reason: &'static str) -> ParseError {
        ParseError { reason, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Whether the next byte is this one; it is taken then.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, ParseError> {
        self.space();
        match self.peek() {
            Some(b'{') => self.map(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Node::Text),
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'n') => self.word("null", Node::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.error("not a value")),
            None => Err(self.error("the text ends too early")),
        }
    }

    fn word(&mut self, word: &str, node: Node<'a>) -> Result<Node<'a>, ParseError> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.error("not a value"));
        }
        self.at += word.len();
        Ok(node)
    }

    fn digits(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("a digit is missing")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Node<'a>, ParseError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.error("a number with a leading zero"));
        }
        Ok(Node::Number(Cow::Borrowed(self.slice(start, self.at))))
    }

    fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).expect("tokens begin and end at ASCII characters")
    }

    fn string(&mut self) -> Result<Cow<'a, str>, ParseError> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Borrowed(self.slice(start, self.at - 1)));
                }
                Some(b'\\') => return self.escaped(start).map(Cow::Owned),
                Some(0..=0x1f) => return Err(self.error("a control character in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.error("a string without an end")),
            }
        }
    }

    fn escaped(&mut self, start: usize) -> Result<String, ParseError> {
        let mut out = String::from(self.slice(start, self.at));
        let mut plain = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    out.push_str(self.slice(plain, self.at));
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    out.push_str(self.slice(plain, self.at));
                    self.at += 1;
                    out.push(self.escape()?);
                    plain = self.at;
                }
                Some(0..=0x1f) => return Err(self.error("a control character in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.error("a string without an end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let escape = self.peek();
        self.at += 1;
        Ok(match escape {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.error("an unknown escape")),
        })
    }

    fn unicode(&mut self) -> Result<char, ParseError> {
        let first = self.hex()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.error(LONE));
        }
        let after_first = self.at;
        if first < 0xdc00 && self.take(b'\\') && self.take(b'u') {
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return char::from_u32(code).ok_or_else(|| self.error(LONE));
            }
        }
        if !self.lossy {
            return Err(self.error(LONE));
        }
        self.at = after_first;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, ParseError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code << 4 | digit.ok_or_else(|| self.error("four hexadecimal digits are missing"))?;
            self.at += 1;
        }
        Ok(code)
    }

    fn list(&mut self, depth: usize) -> Result<Node<'a>, ParseError> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.error("nested too deeply"))?;
        self.at += 1;
        let mut elements = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Node::List(elements));
        }
        loop {
            elements.push(self.value(depth)?);
            self.space();
            if self.take(b']') {
                return Ok(Node::List(elements));
            }
            if !self.take(b',') {
                return Err(self.error("a comma or bracket is missing"));
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Node<'a>, ParseError> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.error("nested too deeply"))?;
        self.at += 1;
        let mut members = Vec::new();
        self.space();
        if self.take(b'}') {
            return Ok(Node::Map(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.error("a member's name is missing"));
            }
            let name = self.string()?;
            self.space();
            if !self.take(b':') {
                return Err(self.error("a colon is missing"));
            }
            members.push((name, self.value(depth)?));
            self.space();
            if self.take(b'}') {
                return Ok(Node::Map(members));
            }
            if !self.take(b',') {
                return Err(self.error("a comma or brace is missing"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_read() {
        let good = [
            "null",
            " [1 , 2.5e-3,-0] ",
            r#"{"a":{},"b":[]}"#,
            r#""\ud83d\ude00\n\/""#,
            "1e999999999",
            "[[[]]]",
            "\"é\"",
        ];
        let bad = [
            "",
            "nul",
            "01",
            "-",
            "1.",
            "1e",
            ".5",
            "+1",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "\"a",
            "\"\u{1}\"",
            r#""\x""#,
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            r#""\u12""#,
            "1 2",
            "[1 2]",
            "NaN",
            "'a'",
        ];
        for text in good {
            assert!(parse(text.as_bytes()).is_ok(), "{text}");
        }
        for text in bad {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn escapes_become_characters() {
        let Ok(Node::Text(text)) = parse(r#""a\u00e9\ud83d\ude00\\\"\tz""#.as_bytes()) else { panic!() };
        assert_eq!(text, "aé😀\\\"\tz");
        let Ok(Node::Text(text)) = parse_lossy(br#""\ud800\u0041\udc00\ud83d\ude00\ud800\n\ud800""#) else { panic!() };
        assert_eq!(text, "\u{fffd}A\u{fffd}😀\u{fffd}\n\u{fffd}");
    }
}
