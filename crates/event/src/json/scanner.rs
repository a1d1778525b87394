//! The pass over the text.

use std::borrow::Cow;

use super::text::plain_end;
use super::{Duplicate, Fault, Kind, Text, Value, Wrong, push_step};

/// A key as a slice of the text, in eight bytes: an object may have a million of them.
#[derive(Clone, Copy)]
struct Key {
    start: u32,
    /// Its length, shifted left by one; the lowest bit says whether it holds escapes.
    shape: u32,
}

#[derive(Clone, Copy)]
struct Frame {
    object: bool,
    /// Where this object's keys begin in the stack of keys.
    keys_from: usize,
    /// Which element of an array is at hand.
    index: usize,
}

/// The position in a text, and what is open there.
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    frames: Vec<Frame>,
    keys: Vec<Key>,
    /// Whether the position lies in the last frame's current member or element, for the path of a fault.
    in_member: bool,
    duplicates: Vec<Duplicate>,
}

/// Longer texts are refused, so that a key's place fits its eight bytes.
const TEXT_BYTES_MAX: usize = (u32::MAX >> 1) as usize;
/// How many duplicates are remembered; more would never be listed.
const DUPLICATES_MAX: usize = crate::limits::VIOLATIONS_MAX + 1;
/// Up to so many keys each is compared with each; above, they are sorted.
const PAIRWISE_MAX: usize = 12;

impl<'a> Scanner<'a> {
    /// Starts at the beginning of a text, which must be UTF-8.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        if bytes.len() > TEXT_BYTES_MAX {
            return Err(Fault { wrong: Wrong::TooLong, offset: 0 });
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::over(text)),
            Err(e) => Err(Fault { wrong: Wrong::Utf8, offset: e.valid_up_to() }),
        }
    }

    /// Starts at the beginning of a text that is known to be of a length that can be scanned.
    pub(super) fn over(text: &'a str) -> Self {
        Self { text, at: 0, frames: Vec::new(), keys: Vec::new(), in_member: false, duplicates: Vec::new() }
    }

    /// What comes next. Fails when that is the end or cannot begin a value.
    pub fn peek(&mut self) -> Result<Kind, Fault> {
        match self.byte_after_space() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            None if self.at == self.text.len() && self.text.trim().is_empty() => Err(self.fault(Wrong::Empty)),
            _ => Err(self.fault(Wrong::Syntax("a value is expected"))),
        }
    }

    /// Steps over the bracket that opens the object or array that [`Self::peek`] saw.
    pub fn open(&mut self) {
        self.at += 1;
    }

    /// Reads the next key of the object that was opened, up to its colon; `None` once the object has ended.
    /// `first` must be true for the first call. Does not look for duplicates.
    pub fn member(&mut self, first: &mut bool) -> Result<Option<Text<'a>>, Fault> {
        match self.byte_after_space() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            _ if std::mem::take(first) => {}
            Some(b',') => self.at += 1,
            _ => return Err(self.fault(Wrong::Syntax("',' or '}' is expected"))),
        }
        let key = self.key()?;
        Ok(Some(Text::new(&self.text[key.range()], key.is_escaped())))
    }

    /// Goes to the next element of the array that was opened; `false` once the array has ended. `first` must be
    /// true for the first call.
    pub fn element(&mut self, first: &mut bool) -> Result<bool, Fault> {
        match self.byte_after_space() {
            Some(b']') => {
                self.at += 1;
                return Ok(false);
            }
            _ if std::mem::take(first) => {}
            Some(b',') => self.at += 1,
            _ => return Err(self.fault(Wrong::Syntax("',' or ']' is expected"))),
        }
        Ok(true)
    }

    /// Reads one whole value, checking everything inside it. Nesting inside it may be `depth_max` deep; duplicate
    /// keys are remembered for [`Self::take_duplicates`].
    pub fn value(&mut self, depth_max: usize) -> Result<Value<'a>, Fault> {
        let kind = self.peek()?;
        let start = self.at;
        let escaped = match kind {
            Kind::Object | Kind::Array => {
                self.container(depth_max)?;
                false
            }
            Kind::String => self.string()?,
            _ => {
                self.scalar(kind)?;
                false
            }
        };
        Ok(Value { kind, text: &self.text[start..self.at], escaped })
    }

    /// Duplicate keys that were met since the last call, with paths from the value in which they were met. At most
    /// a few are remembered.
    pub fn take_duplicates(&mut self) -> Vec<Duplicate> {
        std::mem::take(&mut self.duplicates)
    }

    /// Makes sure that only white space is left.
    pub fn finish(&mut self) -> Result<(), Fault> {
        match self.byte_after_space() {
            None => Ok(()),
            Some(_) => Err(self.fault(Wrong::Trailing)),
        }
    }

    /// The byte at which the scanner stands.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.at
    }

    fn container(&mut self, depth_max: usize) -> Result<(), Fault> {
        self.frames.clear();
        self.keys.clear();
        self.enter(depth_max)?;
        let mut opened = true;
        loop {
            // Here a member, an element or, right after the opening bracket, the closing one is expected.
            if opened
                && matches!((self.is_in_object(), self.byte_after_space()), (true, Some(b'}')) | (false, Some(b']')))
            {
                if self.leave() {
                    return Ok(());
                }
            } else {
                if self.is_in_object() {
                    let key = self.key()?;
                    self.keys.push(key);
                }
                self.in_member = true;
                match self.peek_value()? {
                    Kind::Object | Kind::Array => {
                        self.enter(depth_max)?;
                        opened = true;
                        continue;
                    }
                    Kind::String => {
                        self.string()?;
                    }
                    kind => self.scalar(kind)?,
                }
            }
            opened = false;
            // Here a value has ended: a comma goes on, closing brackets end what they opened.
            loop {
                match (self.byte_after_space(), self.is_in_object()) {
                    (Some(b','), object) => {
                        self.at += 1;
                        if !object && let Some(frame) = self.frames.last_mut() {
                            frame.index += 1;
                        }
                        self.in_member = !object;
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        if self.leave() {
                            return Ok(());
                        }
                    }
                    (_, true) => return Err(self.fault(Wrong::Syntax("',' or '}' is expected"))),
                    (_, false) => return Err(self.fault(Wrong::Syntax("',' or ']' is expected"))),
                }
            }
        }
    }

    /// Like [`Self::peek`], where an empty text is not a case of its own.
    fn peek_value(&mut self) -> Result<Kind, Fault> {
        self.peek().map_err(|fault| match fault.wrong {
            Wrong::Empty => Fault { wrong: Wrong::Syntax("a value is expected"), ..fault },
            _ => fault,
        })
    }

    fn is_in_object(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.object)
    }

    fn enter(&mut self, depth_max: usize) -> Result<(), Fault> {
        if self.frames.len() >= depth_max {
            return Err(self.fault(Wrong::Depth));
        }
        let object = self.text.as_bytes().get(self.at) == Some(&b'{');
        self.at += 1;
        self.frames.push(Frame { object, keys_from: self.keys.len(), index: 0 });
        self.in_member = false;
        Ok(())
    }

    /// Closes the innermost container; `true` when it was the outermost.
    fn leave(&mut self) -> bool {
        self.at += 1;
        if let Some(frame) = self.frames.last().copied() {
            if self.keys.len() > frame.keys_from + 1 {
                self.find_duplicate(frame.keys_from);
            }
            self.frames.pop();
            self.keys.truncate(frame.keys_from);
        }
        self.in_member = true;
        self.frames.is_empty()
    }

    /// Looks for two alike among an object's keys. Keys without escapes are compared as they stand.
    fn find_duplicate(&mut self, from: usize) {
        let text = self.text;
        let keys = &mut self.keys[from..];
        let plain = keys.iter().all(|key| !key.is_escaped());
        let found = if plain && keys.len() <= PAIRWISE_MAX {
            let slice = |key: Key| &text.as_bytes()[key.range()];
            (1..keys.len()).find_map(|i| {
                let same = |earlier: &&Key| earlier.shape == keys[i].shape && slice(**earlier) == slice(keys[i]);
                keys[..i].iter().find(same).map(|_| keys[i])
            })
        } else if plain {
            keys.sort_unstable_by(|a, b| text[a.range()].cmp(&text[b.range()]).then(a.start.cmp(&b.start)));
            keys.windows(2).find(|pair| text[pair[0].range()] == text[pair[1].range()]).map(|pair| pair[1])
        } else {
            let mut decoded: Vec<(Cow<'_, [u8]>, Key)> =
                keys.iter().map(|key| (Text::new(&text[key.range()], key.is_escaped()).to_wtf8(), *key)).collect();
            decoded.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.start.cmp(&b.1.start)));
            decoded.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1)
        };
        if let Some(key) = found
            && self.duplicates.len() < DUPLICATES_MAX
        {
            let mut path = self.path_of(self.frames.len() - 1);
            push_step(&mut path, &Text::new(&text[key.range()], key.is_escaped()).to_lossy());
            self.duplicates.push(Duplicate { path, offset: key.range().start });
        }
    }

    /// The path of the innermost value that is open.
    pub(super) fn path(&self) -> String {
        self.path_of(if self.in_member { self.frames.len() } else { self.frames.len().saturating_sub(1) })
    }

    /// The path that the first `depth` frames make by their current members.
    fn path_of(&self, depth: usize) -> String {
        let mut path = String::new();
        for (i, frame) in self.frames.iter().take(depth).enumerate() {
            if !frame.object {
                push_step(&mut path, &frame.index.to_string());
                continue;
            }
            let keys_to = self.frames.get(i + 1).map_or(self.keys.len(), |next| next.keys_from);
            if let Some(key) = self.keys[frame.keys_from..keys_to].last() {
                push_step(&mut path, &Text::new(&self.text[key.range()], key.is_escaped()).to_lossy());
            }
        }
        path
    }

    fn byte_after_space(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at).copied() {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn key(&mut self) -> Result<Key, Fault> {
        if self.byte_after_space() != Some(b'"') {
            return Err(self.fault(Wrong::Syntax("a key in double quotes is expected")));
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let key = Key::new(start, self.at - 1, escaped);
        if self.byte_after_space() != Some(b':') {
            return Err(self.fault(Wrong::Syntax("':' is expected")));
        }
        self.at += 1;
        Ok(key)
    }

    /// Steps over a string, from quote to quote; whether it holds escapes.
    fn string(&mut self) -> Result<bool, Fault> {
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at = plain_end(bytes, self.at);
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.at += match bytes.get(self.at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u') => match bytes.get(self.at + 2..self.at + 6) {
                            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => 6,
                            _ => return Err(self.fault(Wrong::Syntax("four hexadecimal digits are expected"))),
                        },
                        _ => return Err(self.fault(Wrong::Syntax("there is no such escape"))),
                    };
                }
                Some(_) => return Err(self.fault(Wrong::Syntax("a control character must be escaped"))),
                None => return Err(self.fault(Wrong::Syntax("the string does not end"))),
            }
        }
    }

    fn scalar(&mut self, kind: Kind) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        let word = match (kind, bytes.get(self.at)) {
            (Kind::Number, _) => return self.number(),
            (Kind::Null, _) => "null",
            (_, Some(b't')) => "true",
            _ => "false",
        };
        if !bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault(Wrong::Syntax("a value is expected")));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.fault(Wrong::Syntax("a digit is expected")));
        }
        self.at += count;
        Ok(())
    }

    #[cold]
    fn fault(&self, wrong: Wrong) -> Fault {
        Fault { wrong, offset: self.at }
    }
}

impl Key {
    /// Takes a slice of a text that is known to be shorter than 2 GiB.
    fn new(start: usize, end: usize, escaped: bool) -> Self {
        Self { start: start as u32, shape: ((end - start) as u32) << 1 | u32::from(escaped) }
    }

    fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + (self.shape >> 1) as usize
    }

    fn is_escaped(self) -> bool {
        self.shape & 1 == 1
    }
}
