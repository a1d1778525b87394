//! Bodies of JSON read member by member: all that is wrong with one is said at once, each with its path. Members that
//! nobody asked for are refused, and so is a key that stands twice.

use std::collections::BTreeMap;

use tidings_event::json::{self, Duplicate, Fault, Kind, Scanner, Value, Wrong};
use tidings_event::{ErrorCode, Violation, violation_code as code};

use crate::failure::Failure;

/// Objects and arrays that may stand within each other in a body.
const DEPTH_MAX: usize = 64;

/// Collects all that is wrong with a request.
pub(crate) struct Report {
    code: ErrorCode,
    violations: Vec<Violation>,
}

impl Report {
    /// Nothing yet. `code` is what the failure shall say.
    pub(crate) fn new(code: ErrorCode) -> Self {
        Self { code, violations: Vec::new() }
    }

    pub(crate) fn add(&mut self, path: impl Into<String>, code: &'static str, message: impl Into<String>) {
        if self.violations.len() < tidings_event::limits::VIOLATIONS_MAX {
            self.violations.push(Violation { path: path.into(), code, message: message.into() });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.violations.is_empty()
    }

    /// Adds what others found, but for members of which something was said already.
    pub(crate) fn extend(&mut self, violations: Vec<Violation>) {
        let known: Vec<String> = self.violations.iter().map(|known| known.path.clone()).collect();
        let below =
            |path: &str, of: &str| path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        for Violation { path, code, message } in violations {
            if !known.iter().any(|known| below(&path, known) || below(known, &path)) {
                self.add(path, code, message);
            }
        }
    }

    /// The failure that says what is wrong, where it is known that something is.
    pub(crate) fn refused(self) -> Failure {
        refusal(self.code, self.violations)
    }

    /// Fails if anything is wrong.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        if self.violations.is_empty() { Ok(()) } else { Err(refusal(self.code, self.violations)) }
    }
}

/// The failure that names these violations; the first one in words.
pub(crate) fn refusal(code: ErrorCode, violations: Vec<Violation>) -> Failure {
    let detail = match violations.as_slice() {
        [] => code.title().to_owned(),
        [only] => words(only),
        [first, more @ ..] => format!("{}, and {} more", words(first), more.len()),
    };
    Failure::new(code, detail).with_errors(violations)
}

fn words(violation: &Violation) -> String {
    let path = if violation.path.is_empty() { "the body" } else { &violation.path };
    format!("{path}: {}", violation.message)
}

/// What a request says about a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given<T> {
    /// Nothing, or something that was refused.
    Absent,
    /// That it has no value.
    Null,
    /// This.
    Value(T),
}

impl<T> Given<T> {
    /// The value, where there is one; null counts as absent.
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// For a change: nothing where nothing was said, `reset` where it shall have no value.
    pub(crate) fn or_reset(self, reset: T) -> Option<T> {
        match self {
            Self::Absent => None,
            Self::Null => Some(reset),
            Self::Value(value) => Some(value),
        }
    }

    /// For a change of what cannot be without a value.
    pub(crate) fn required_value(self, path: &str, report: &mut Report) -> Option<T> {
        if matches!(self, Self::Null) {
            report.add(path, code::MEMBER_MISSING, "must not be null");
        }
        self.value()
    }

    /// For a change of what may be without a value.
    pub(crate) fn nullable(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }
}

/// Reads a body that is one value and nothing else, and the keys that stand twice in it.
fn scan(body: &[u8], depth_max: usize) -> Result<(Value<'_>, Vec<Duplicate>), Fault> {
    let mut scanner = Scanner::new(body)?;
    let value = scanner.value(depth_max)?;
    scanner.finish()?;
    Ok((value, scanner.take_duplicates()))
}

/// The failure that says why a body is no JSON.
fn unreadable(body: &[u8], fault: &Fault) -> Failure {
    let code = match fault.wrong {
        Wrong::Empty => code::BODY_EMPTY,
        Wrong::Utf8 => code::UTF8_INVALID,
        Wrong::Syntax(_) => code::JSON_SYNTAX,
        Wrong::Trailing => code::TRAILING_BYTES,
        Wrong::Depth => code::DEPTH_EXCEEDED,
        Wrong::Duplicate => code::KEY_DUPLICATE,
        Wrong::TooLong => code::TOO_LONG,
    };
    let violation = Violation { path: json::path_at(body, fault.offset), code, message: fault.to_string() };
    Failure::new(ErrorCode::BodyMalformed, format!("The body cannot be read: {fault}.")).with_errors(vec![violation])
}

/// The members of an object that were not asked for yet.
pub(crate) struct Members<'a> {
    path: String,
    members: Vec<(String, Value<'a>)>,
}

impl<'a> Members<'a> {
    /// Of a whole body. An empty one counts as an empty object where `may_be_empty`.
    pub(crate) fn of_body(body: &'a [u8], may_be_empty: bool, report: &mut Report) -> Result<Self, Failure> {
        Self::of_deep_body(body, may_be_empty, DEPTH_MAX, report)
    }

    /// Of a whole body in which objects and arrays may stand so deep within each other.
    pub(crate) fn of_deep_body(
        body: &'a [u8],
        may_be_empty: bool,
        depth_max: usize,
        report: &mut Report,
    ) -> Result<Self, Failure> {
        if may_be_empty && body.trim_ascii().is_empty() {
            return Ok(Self { path: String::new(), members: Vec::new() });
        }
        let (value, duplicates) = scan(body, depth_max).map_err(|fault| unreadable(body, &fault))?;
        if !duplicates.is_empty() {
            let twice = |Duplicate { path, .. }| Violation {
                path,
                code: code::KEY_DUPLICATE,
                message: "stands in its object more than once".to_owned(),
            };
            return Err(refusal(ErrorCode::BodyMalformed, duplicates.into_iter().map(twice).collect()));
        }
        Ok(Self::of(value, String::new(), report))
    }

    fn of(value: Value<'a>, path: String, report: &mut Report) -> Self {
        if value.kind() != Kind::Object {
            report.add(path.clone(), code::MEMBER_WRONG_TYPE, format!("must be an object, not {}", value.kind()));
        }
        let members = value.members().map(|(key, value)| (key.to_lossy().into_owned(), value)).collect();
        Self { path, members }
    }

    /// What is said about one member.
    pub(crate) fn take<T: Readable>(&mut self, name: &str, report: &mut Report) -> Given<T> {
        let Some(at) = self.members.iter().position(|(key, _)| key == name) else { return Given::Absent };
        let (_, value) = self.members.remove(at);
        if value.kind() == Kind::Null {
            return Given::Null;
        }
        let mut path = self.path.clone();
        json::push_step(&mut path, name);
        T::read(&mut Place { value, path, report }).map_or(Given::Absent, Given::Value)
    }

    /// A member that must be there.
    pub(crate) fn require<T: Readable>(&mut self, name: &str, report: &mut Report) -> Option<T> {
        if !self.members.iter().any(|(key, value)| key == name && value.kind() != Kind::Null) {
            self.members.retain(|(key, _)| key != name);
            let mut path = self.path.clone();
            json::push_step(&mut path, name);
            report.add(path, code::MEMBER_MISSING, "is required");
            return None;
        }
        self.take(name, report).value()
    }

    /// Refuses what nobody asked for, in the order of the body. `hints` say more about some names.
    pub(crate) fn finish(self, hints: &[(&str, &str)], report: &mut Report) {
        for (key, _) in self.members {
            let mut path = self.path.clone();
            json::push_step(&mut path, &key);
            let hint = hints.iter().find(|(name, _)| *name == key).map_or("is not known here", |(_, hint)| hint);
            report.add(path, code::MEMBER_UNKNOWN, hint);
        }
    }
}

/// A value and where it stands.
pub(crate) struct Place<'a, 'r> {
    value: Value<'a>,
    path: String,
    report: &'r mut Report,
}

impl<'v> Place<'v, '_> {
    /// Says what is wrong with the value.
    pub(crate) fn refuse<T>(&mut self, code: &'static str, message: impl Into<String>) -> Option<T> {
        self.report.add(self.path.clone(), code, message);
        None
    }

    fn wrong_type<T>(&mut self, wanted: &str) -> Option<T> {
        let kind = self.value.kind();
        self.refuse(code::MEMBER_WRONG_TYPE, format!("must be {wanted}, not {kind}"))
    }

    /// The value as one of the words of a list.
    pub(crate) fn word<T: Copy>(&mut self, words: &[(&str, T)]) -> Option<T> {
        let text = String::read(self)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.or_else(|| {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
            self.refuse(code::VALUE_UNKNOWN, format!("must be {}", known.join(" or ")))
        })
    }

    /// The members of the value, which must be an object.
    pub(crate) fn members(&mut self) -> Members<'v> {
        Members::of(self.value, self.path.clone(), self.report)
    }

    /// The value's text as it was written.
    pub(crate) fn text(&self) -> &'v str {
        self.value.text()
    }

    /// Where the value stands.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Where to say what is wrong below the value.
    pub(crate) fn report(&mut self) -> &mut Report {
        self.report
    }

    /// Whether the value is an object that has this member.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value.members().any(|(key, _)| key.to_lossy() == name)
    }

    /// Whether the value is an object.
    pub(crate) fn is_object(&self) -> bool {
        self.value.kind() == Kind::Object
    }

    /// Whether the value is a number.
    pub(crate) fn is_number(&self) -> bool {
        self.value.kind() == Kind::Number
    }
}

/// What can be read from a body.
pub(crate) trait Readable: Sized {
    /// Reads the value at a place; says there what is wrong with it if it is not such a one.
    fn read(place: &mut Place<'_, '_>) -> Option<Self>;
}

impl Readable for String {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        let Some(text) = place.value.as_string() else { return place.wrong_type("a string") };
        match text.decode() {
            Ok(text) => Some(text.into_owned()),
            Err(_) => place.refuse(code::STRING_LONE_SURROGATE, "holds half of a surrogate pair"),
        }
    }
}

impl Readable for bool {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        match place.value.text() {
            "true" => Some(true),
            "false" => Some(false),
            _ => place.wrong_type("true or false"),
        }
    }
}

impl Readable for u64 {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        if !place.is_number() {
            return place.wrong_type("a whole number");
        }
        match place.value.text().parse() {
            Ok(number) => Some(number),
            Err(_) => place.refuse(code::NUMBER_OUT_OF_RANGE, "must be a whole number from 0 on, written plainly"),
        }
    }
}

impl Readable for u32 {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        let number = u64::read(place)?;
        match Self::try_from(number) {
            Ok(number) => Some(number),
            Err(_) => place.refuse(code::NUMBER_OUT_OF_RANGE, format!("must be at most {}", Self::MAX)),
        }
    }
}

impl<T: Readable> Readable for Vec<T> {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        if place.value.kind() != Kind::Array {
            return place.wrong_type("an array");
        }
        let mut whole = Some(Vec::new());
        for (index, value) in place.value.elements().enumerate() {
            let mut element = Place { value, path: format!("{}/{index}", place.path), report: &mut *place.report };
            match (T::read(&mut element), &mut whole) {
                (Some(element), Some(elements)) => elements.push(element),
                _ => whole = None,
            }
        }
        whole
    }
}

impl<T: Readable> Readable for BTreeMap<String, T> {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        if place.value.kind() != Kind::Object {
            return place.wrong_type("an object");
        }
        let mut whole = Some(Self::new());
        for (key, value) in place.value.members() {
            let key = key.to_lossy().into_owned();
            let mut path = place.path.clone();
            json::push_step(&mut path, &key);
            match (T::read(&mut Place { value, path, report: &mut *place.report }), &mut whole) {
                (Some(value), Some(members)) => _ = members.insert(key, value),
                _ => whole = None,
            }
        }
        whole
    }
}

/// An object's text as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawObject(pub(crate) String);

impl Readable for RawObject {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        if place.value.kind() == Kind::Object {
            return Some(Self(place.value.text().to_owned()));
        }
        place.wrong_type("an object")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Wrong = Vec<(String, &'static str)>;

    fn read(body: &str) -> Result<(Given<String>, Given<Vec<u32>>), Wrong> {
        let mut report = Report::new(ErrorCode::EndpointInvalid);
        let Ok(mut members) = Members::of_body(body.as_bytes(), true, &mut report) else {
            return Err(vec![(String::new(), "unreadable")]);
        };
        let name = members.take("name", &mut report);
        let numbers = members.take("numbers", &mut report);
        members.finish(&[("id", "is assigned")], &mut report);
        if report.violations.is_empty() {
            return Ok((name, numbers));
        }
        Err(report.violations.into_iter().map(|v| (v.path, v.code)).collect())
    }

    #[test]
    fn what_is_said_of_a_member_is_nothing_null_or_a_value() {
        assert_eq!(read(""), Ok((Given::Absent, Given::Absent)));
        assert_eq!(read("{}"), Ok((Given::Absent, Given::Absent)));
        assert_eq!(read(r#"{"name":null,"numbers":[]}"#), Ok((Given::Null, Given::Value(vec![]))));
        let both = Ok((Given::Value("a\"b".to_owned()), Given::Value(vec![1, 2])));
        assert_eq!(read(r#" {"numbers":[1, 2],"name":"a\"b"} "#), both);
    }

    #[test]
    fn all_that_is_wrong_is_said_with_its_path() {
        let check = |body: &str, expect: &[(&str, &'static str)]| {
            let expect: Vec<_> = expect.iter().map(|(path, code)| ((*path).to_owned(), *code)).collect();
            assert_eq!(read(body), Err(expect), "{body}");
        };
        check("[]", &[("", "member_wrong_type")]);
        check("{", &[("", "unreadable")]);
        check(r#"{"name":"a","name":"b"}"#, &[("", "unreadable")]);
        check(
            r#"{"name":1,"numbers":[1,-1,"2",4294967296],"id":"x","a/b":{}}"#,
            &[
                ("/name", "member_wrong_type"),
                ("/numbers/1", "number_out_of_range"),
                ("/numbers/2", "member_wrong_type"),
                ("/numbers/3", "number_out_of_range"),
                ("/id", "member_unknown"),
                ("/a~1b", "member_unknown"),
            ],
        );
        check(r#"{"name":"\ud800"}"#, &[("/name", "string_lone_surrogate")]);
    }
}
