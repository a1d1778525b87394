//! Reads the grammar of RFC 9535, with its rules on types.

use std::borrow::Cow;

use super::{Comparison, Expression, Operand, Path, Query, Segment, Selector, TextPattern};
use crate::json::{Decimal, Node};
use crate::limits::{EXPONENT_MAX, PATH_BYTES_MAX, PATH_DEPTH_MAX, PATH_DESCENTS_MAX, PATH_FILTERS_MAX};
use crate::pattern::regexp;

/// Why a text is not a path that is taken here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (at byte {at})")]
pub(in crate::pattern) struct PathError {
    reason: Cow<'static, str>,
    at: usize,
}

/// How large a path may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    bytes: usize,
    depth: usize,
    descents: usize,
    filters: usize,
}

impl Caps {
    pub(super) const BOUNDED: Self =
        Self { bytes: PATH_BYTES_MAX, depth: PATH_DEPTH_MAX, descents: PATH_DESCENTS_MAX, filters: PATH_FILTERS_MAX };
    /// For the compliance suite, which is about the grammar.
    #[cfg(test)]
    pub(super) const GENEROUS: Self = Self { bytes: 1 << 20, depth: 64, descents: 64, filters: 64 };
}

pub(super) fn parse(text: &str, caps: Caps) -> Result<Path, PathError> {
    let mut parser = Parser { text, at: 0, caps, depth: 0, descents: 0, filters: 0, looks_back: false };
    if text.len() > caps.bytes {
        return Err(parser.error(format!("a path has at most {} bytes", caps.bytes)));
    }
    if !parser.take("$") {
        return Err(parser.error("a path begins with '$'"));
    }
    let segments = parser.segments()?;
    if parser.at < text.len() {
        return Err(parser.error("a segment is expected: '.name', '[…]' or '..'"));
    }
    Ok(Path { text: text.into(), segments, looks_back: parser.looks_back })
}

/// The integers that a path may hold: those that every JSON implementation can exchange.
const INTEGER_MAX: i64 = (1 << 53) - 1;

struct Parser<'t> {
    text: &'t str,
    at: usize,
    caps: Caps,
    depth: usize,
    descents: usize,
    filters: usize,
    looks_back: bool,
}

type Parsed<T> = Result<T, PathError>;

/// What stands on one side of a comparison, or alone as a test.
enum Term {
    Literal(Node<'static>),
    Query(Query),
    Value(Operand),
    Test(Expression),
}

impl<'t> Parser<'t> {
    fn error(&self, reason: impl Into<Cow<'static, str>>) -> PathError {
        PathError { reason: reason.into(), at: self.at }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn expect(&mut self, token: &'static str) -> Parsed<()> {
        if self.take(token) { Ok(()) } else { Err(self.error(format!("'{token}' is expected"))) }
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Takes the characters that satisfy the condition.
    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let taken = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += taken;
        rest.get(..taken).unwrap_or_default()
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == self.caps.depth {
            return Err(self.error(format!("a path nests at most {} deep", self.caps.depth)));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn segments(&mut self) -> Parsed<Vec<Segment>> {
        let mut segments = Vec::new();
        loop {
            let before = self.at;
            self.space();
            if self.take("..") {
                self.descents += 1;
                if self.descents > self.caps.descents {
                    return Err(self.error(format!("a path holds '..' at most {} times", self.caps.descents)));
                }
                let selectors =
                    if self.peek() == Some('[') { self.brackets()? } else { vec![self.wildcard_or_name()?] };
                segments.push(Segment::Descendant(selectors));
            } else if self.take(".") {
                segments.push(Segment::Child(vec![self.wildcard_or_name()?]));
            } else if self.peek() == Some('[') {
                segments.push(Segment::Child(self.brackets()?));
            } else {
                // Space belongs to a path only before a segment.
                self.at = before;
                return Ok(segments);
            }
        }
    }

    fn wildcard_or_name(&mut self) -> Parsed<Selector> {
        if self.take("*") {
            return Ok(Selector::Wildcard);
        }
        let first = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
        if !self.peek().is_some_and(first) {
            return Err(self.error("a member's name or '*' is expected"));
        }
        Ok(Selector::Name(self.take_while(|c| first(c) || c.is_ascii_digit()).to_owned()))
    }

    fn brackets(&mut self) -> Parsed<Vec<Selector>> {
        self.expect("[")?;
        let mut selectors = Vec::new();
        loop {
            self.space();
            selectors.push(self.selector()?);
            self.space();
            if self.take("]") {
                return Ok(selectors);
            }
            if !self.take(",") {
                return Err(self.error("',' or ']' is expected"));
            }
        }
    }

    fn selector(&mut self) -> Parsed<Selector> {
        match self.peek() {
            Some('\'' | '"') => self.string().map(Selector::Name),
            Some('*') => {
                self.at += 1;
                Ok(Selector::Wildcard)
            }
            Some('?') => {
                self.at += 1;
                self.filters += 1;
                if self.filters > self.caps.filters {
                    return Err(self.error(format!("a path holds at most {} filters", self.caps.filters)));
                }
                self.space();
                self.nested(Self::any).map(Selector::Filter)
            }
            Some(':' | '-' | '0'..='9') => self.index_or_slice(),
            _ => Err(self.error("a selector is expected")),
        }
    }

    fn index_or_slice(&mut self) -> Parsed<Selector> {
        let start = self.optional_integer()?;
        let after_start = self.at;
        self.space();
        if !self.take(":") {
            self.at = after_start;
            return start.map(Selector::Index).ok_or_else(|| self.error("an index is expected"));
        }
        self.space();
        let end = self.optional_integer()?;
        let after_end = self.at;
        self.space();
        if !self.take(":") {
            self.at = after_end;
            return Ok(Selector::Slice { start, end, step: 1 });
        }
        let after_colon = self.at;
        self.space();
        let step = self.optional_integer()?;
        if step.is_none() {
            self.at = after_colon;
        }
        Ok(Selector::Slice { start, end, step: step.unwrap_or(1) })
    }

    fn optional_integer(&mut self) -> Parsed<Option<i64>> {
        if !matches!(self.peek(), Some('-' | '0'..='9')) {
            return Ok(None);
        }
        let start = self.at;
        let negative = self.take("-");
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() || (digits.starts_with('0') && (digits.len() > 1 || negative)) {
            self.at = start;
            return Err(self.error("an integer without leading zeros is expected"));
        }
        let number: i64 = digits.parse().unwrap_or(i64::MAX);
        if number > INTEGER_MAX {
            self.at = start;
            return Err(self.error("an integer lies beyond 2^53"));
        }
        Ok(Some(if negative { -number } else { number }))
    }

    fn string(&mut self) -> Parsed<String> {
        let Some(quote @ ('\'' | '"')) = self.peek() else { return Err(self.error("a string is expected")) };
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.peek() else { return Err(self.error("a string without an end")) };
            if c < ' ' {
                return Err(self.error("a control character in a string"));
            }
            self.at += c.len_utf8();
            if c == quote {
                return Ok(out);
            }
            out.push(if c == '\\' { self.escape(quote)? } else { c });
        }
    }

    fn escape(&mut self, quote: char) -> Parsed<char> {
        let escaped = self.peek();
        self.at += escaped.map_or(0, char::len_utf8);
        Ok(match escaped {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(c @ ('/' | '\\')) => c,
            Some(c) if c == quote => c,
            Some('u') => return self.unicode(),
            _ => return Err(self.error("an unknown escape in a string")),
        })
    }

    fn unicode(&mut self) -> Parsed<char> {
        let first = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&first) && self.take("\\u") {
            let second = self.hex()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(self.error("half of a surrogate pair"));
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.error("half of a surrogate pair"))
    }

    fn hex(&mut self) -> Parsed<u32> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.error("four hexadecimal digits are expected"))?;
        self.at += 4;
        Ok(code)
    }

    fn any(&mut self) -> Parsed<Expression> {
        self.joined("||", Self::all, Expression::Any)
    }

    fn all(&mut self) -> Parsed<Expression> {
        self.joined("&&", Self::basic, Expression::All)
    }

    fn joined(
        &mut self,
        operator: &str,
        part: fn(&mut Self) -> Parsed<Expression>,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Parsed<Expression> {
        let first = part(self)?;
        let mut parts = vec![first];
        loop {
            let before = self.at;
            self.space();
            if !self.take(operator) {
                self.at = before;
                break;
            }
            self.space();
            parts.push(part(self)?);
        }
        Ok(match <[Expression; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => join(parts),
        })
    }

    fn basic(&mut self) -> Parsed<Expression> {
        if self.rest().starts_with('!') {
            self.at += 1;
            self.space();
            let inner = if self.peek() == Some('(') { self.parenthesized()? } else { self.test()? };
            return Ok(Expression::Not(Box::new(inner)));
        }
        if self.peek() == Some('(') {
            return self.parenthesized();
        }
        let left = self.term()?;
        let before = self.at;
        self.space();
        let Some(comparison) = self.comparison() else {
            self.at = before;
            return self.alone(left);
        };
        let left = self.operand(left)?;
        self.space();
        let right = self.term()?;
        let right = self.operand(right)?;
        Ok(Expression::Compare(left, comparison, right))
    }

    fn parenthesized(&mut self) -> Parsed<Expression> {
        self.expect("(")?;
        self.space();
        let inner = self.nested(Self::any)?;
        self.space();
        self.expect(")")?;
        Ok(inner)
    }

    fn test(&mut self) -> Parsed<Expression> {
        let term = self.term()?;
        self.alone(term)
    }

    fn alone(&self, term: Term) -> Parsed<Expression> {
        match term {
            Term::Query(query) => Ok(Expression::Exists(query)),
            Term::Test(test) => Ok(test),
            Term::Literal(_) | Term::Value(_) => Err(self.error("a value alone is no test: compare it")),
        }
    }

    fn operand(&self, term: Term) -> Parsed<Operand> {
        match term {
            Term::Literal(literal) => Ok(Operand::Literal(literal)),
            Term::Value(operand) => Ok(operand),
            Term::Query(query) if query.is_singular() => Ok(Operand::Singular(query)),
            Term::Query(_) => Err(self.error("a query that may select several nodes has no value")),
            Term::Test(_) => Err(self.error("a test has no value")),
        }
    }

    fn comparison(&mut self) -> Option<Comparison> {
        const ALL: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        ALL.into_iter().find(|(token, _)| self.take(token)).map(|(_, comparison)| comparison)
    }

    fn term(&mut self) -> Parsed<Term> {
        match self.peek() {
            Some('@' | '$') => self.query().map(Term::Query),
            Some('\'' | '"') => Ok(Term::Literal(Node::Text(Cow::Owned(self.string()?)))),
            Some('-' | '0'..='9') => self.number().map(Term::Literal),
            Some('a'..='z') => self.word(),
            _ => Err(self.error("a query, a literal or a function is expected")),
        }
    }

    fn query(&mut self) -> Parsed<Query> {
        let from_root = self.take("$");
        if !from_root {
            self.expect("@")?;
        }
        self.looks_back |= from_root;
        Ok(Query { from_root, segments: self.segments()? })
    }

    fn number(&mut self) -> Parsed<Node<'static>> {
        let start = self.at;
        self.take("-");
        let whole = self.take_while(|c| c.is_ascii_digit());
        let mut good = !whole.is_empty() && (whole == "0" || !whole.starts_with('0'));
        if self.take(".") {
            good &= !self.take_while(|c| c.is_ascii_digit()).is_empty();
        }
        if self.take("e") || self.take("E") {
            let _sign = self.take("+") || self.take("-");
            good &= !self.take_while(|c| c.is_ascii_digit()).is_empty();
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if !good || Decimal::parse(text).exponent().abs() > EXPONENT_MAX {
            self.at = start;
            return Err(self.error("not a number, or one too large"));
        }
        Ok(Node::Number(Cow::Owned(text.to_owned())))
    }

    fn word(&mut self) -> Parsed<Term> {
        let start = self.at;
        let word = self.take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if self.peek() == Some('(') {
            self.at += 1;
            return self.nested(|parser| parser.function(word));
        }
        Ok(Term::Literal(match word {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            "null" => Node::Null,
            _ => {
                self.at = start;
                return Err(self.error("an unknown word"));
            }
        }))
    }

    /// The functions of RFC 9535, section 2.4, behind their opening parenthesis.
    fn function(&mut self, name: &str) -> Parsed<Term> {
        self.space();
        let term = match name {
            "length" => Term::Value(Operand::Length(Box::new(self.value_argument()?))),
            "count" => Term::Value(Operand::Count(self.nodes_argument()?)),
            "value" => Term::Value(Operand::Value(self.nodes_argument()?)),
            "match" | "search" => {
                let whole = name == "match";
                let subject = self.value_argument()?;
                self.space();
                self.expect(",")?;
                self.space();
                let pattern = match self.value_argument()? {
                    Operand::Literal(Node::Text(source)) => TextPattern::Fixed(regexp::compile(&source, whole).ok()),
                    operand => TextPattern::Found(operand),
                };
                Term::Test(Expression::Matches { subject, pattern, whole })
            }
            _ => return Err(self.error("there is no such function")),
        };
        self.space();
        self.expect(")")?;
        Ok(term)
    }

    fn value_argument(&mut self) -> Parsed<Operand> {
        let term = self.term()?;
        self.operand(term)
    }

    fn nodes_argument(&mut self) -> Parsed<Query> {
        if matches!(self.peek(), Some('@' | '$')) { self.query() } else { Err(self.error("a query is expected")) }
    }
}
