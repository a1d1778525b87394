//! YAML and JSON texts as one tree that remembers where everything stands.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde_json::{Map, Number, Value};
use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle};
use tidings_event::json;

use super::reader::source_error;
use super::scalar::{self, Scalar};
use crate::pointer::escape;
use crate::report::Finding;

/// Nesting of a source: a schema's, and what stands around it.
pub(super) const DEPTH_MAX: usize = 96;
/// Nodes of a source once its aliases are resolved.
const NODES_MAX: usize = 100_000;
/// Bytes of text in a source once its aliases are resolved.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A value of a source.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) shape: Shape,
    /// The line on which it begins, from 1.
    pub(super) line: u32,
    /// Its bytes in the source. Where it was reached through an alias, those of what the alias stands for.
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Shape {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Member>),
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    /// The line of its name, from 1.
    pub(super) line: u32,
    pub(super) value: Node,
}

impl Node {
    /// What it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self.shape {
            Shape::Null => "nothing",
            Shape::Bool(_) => "a boolean",
            Shape::Number(_) => "a number",
            Shape::Text(_) => "a string",
            Shape::List(_) => "a list",
            Shape::Map(_) => "an object",
        }
    }

    /// It as JSON.
    pub(super) fn value(&self) -> Value {
        match &self.shape {
            Shape::Null => Value::Null,
            Shape::Bool(value) => Value::Bool(*value),
            Shape::Number(number) => Value::Number(number.clone()),
            Shape::Text(text) => Value::String(text.clone()),
            Shape::List(items) => Value::Array(items.iter().map(Self::value).collect()),
            Shape::Map(members) => {
                let members = members.iter().map(|member| (member.name.clone(), member.value.value()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        match &self.shape {
            Shape::Map(members) => members.iter().find(|member| member.name == name),
            _ => None,
        }
    }
}

/// Reads a source. What is wrong within it is added to the findings; none where there is no tree at all.
pub(super) fn parse(source: &str, findings: &mut Vec<Finding>) -> Option<Node> {
    // What looks like JSON is read as JSON, whose strings know escapes that YAML does not.
    if source.trim_start().starts_with('{')
        && let Some(node) = parse_json(source, findings)
    {
        return Some(node);
    }
    match Builder::new(source, findings).run() {
        Ok(node) => Some(node),
        Err(finding) => {
            findings.push(*finding);
            None
        }
    }
}

/// None where the text is not JSON; it may still be YAML.
fn parse_json(source: &str, findings: &mut Vec<Finding>) -> Option<Node> {
    let mut scanner = json::Scanner::new(source.as_bytes()).ok()?;
    let value = scanner.value(DEPTH_MAX).ok()?;
    scanner.finish().ok()?;
    for duplicate in scanner.take_duplicates() {
        let (line, _) = json::line_and_column(source.as_bytes(), duplicate.offset);
        findings.push(duplicate_key(&duplicate.path, u32::try_from(line).unwrap_or(u32::MAX)));
    }
    let lines = LineIndex::of(source);
    Some(json_node(value, source, &lines, &mut String::new(), findings))
}

fn json_node(
    value: json::Value<'_>,
    source: &str,
    lines: &LineIndex,
    path: &mut String,
    findings: &mut Vec<Finding>,
) -> Node {
    let start = offset_in(source, value.text());
    let line = lines.line(start);
    let shape = match value.kind() {
        json::Kind::Null => Shape::Null,
        json::Kind::Bool => Shape::Bool(value.text() == "true"),
        json::Kind::Number => match scalar::number(value.text()) {
            Ok(number) => Shape::Number(number),
            Err(message) => {
                findings.push(source_error("number_not_exact", path, Some(line), message));
                Shape::Null
            }
        },
        json::Kind::String => Shape::Text(decode(value.as_string(), path, line, findings)),
        json::Kind::Array => {
            let items = value.elements().enumerate();
            let items = items.map(|(index, item)| {
                below(path, &index.to_string(), |path| json_node(item, source, lines, path, findings))
            });
            Shape::List(items.collect())
        }
        json::Kind::Object => Shape::Map(json_members(value, source, lines, path, findings)),
    };
    Node { shape, line, span: start..start + value.text().len() }
}

fn json_members(
    value: json::Value<'_>,
    source: &str,
    lines: &LineIndex,
    path: &mut String,
    findings: &mut Vec<Finding>,
) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    let mut seen = HashSet::new();
    for (name, value) in value.members() {
        let line = lines.line(offset_in(source, value.text()));
        let name = decode(Some(name), path, line, findings);
        // The repetition was told already; the first one counts.
        if seen.insert(name.clone()) {
            let value = below(path, &name, |path| json_node(value, source, lines, path, findings));
            members.push(Member { name, line, value });
        }
    }
    members
}

fn decode(text: Option<json::Text<'_>>, path: &str, line: u32, findings: &mut Vec<Finding>) -> String {
    let decoded = text.map(|text| text.decode().map(|text| text.to_string()));
    match decoded {
        Some(Ok(text)) => text,
        _ => {
            let message = "the string holds half of a surrogate pair".to_owned();
            findings.push(source_error("string_malformed", path, Some(line), message));
            String::new()
        }
    }
}

/// Where a slice of the source begins in it.
fn offset_in(source: &str, slice: &str) -> usize {
    (slice.as_ptr() as usize).saturating_sub(source.as_ptr() as usize)
}

/// Runs something with the path extended by a step.
fn below<R>(path: &mut String, step: &str, run: impl FnOnce(&mut String) -> R) -> R {
    let length = path.len();
    path.push('/');
    path.push_str(&escape(step));
    let result = run(path);
    path.truncate(length);
    result
}

/// Finds lines by bytes.
struct LineIndex(Vec<usize>);

impl LineIndex {
    fn of(source: &str) -> Self {
        Self(source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(offset, _)| offset).collect())
    }

    fn line(&self, offset: usize) -> u32 {
        u32::try_from(self.0.partition_point(|end| *end < offset) + 1).unwrap_or(u32::MAX)
    }
}

fn duplicate_key(path: &str, line: u32) -> Finding {
    source_error("key_duplicate", path, Some(line), "the member stands here for the second time".to_owned())
}

type Stop = Box<Finding>;

/// Builds the tree from the parser's events, with aliases resolved within bounds.
struct Builder<'s, 'f> {
    events: Parser<'s, granit_parser::StrInput<'s>>,
    findings: &'f mut Vec<Finding>,
    anchors: HashMap<usize, Node>,
    path: String,
    line: u32,
    nodes: usize,
    text_bytes: usize,
}

impl<'s, 'f> Builder<'s, 'f> {
    fn new(source: &'s str, findings: &'f mut Vec<Finding>) -> Self {
        let mut options = granit_parser::Options::default();
        options.set_emit_comments(false);
        options.disallow_directives = true;
        let events = Parser::new_from_str_with_options(source, options);
        Self { events, findings, anchors: HashMap::new(), path: String::new(), line: 1, nodes: 0, text_bytes: 0 }
    }

    fn run(mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ if root.is_some() => return Err(self.stop("a source holds one document, and here begins a second")),
                event => root = Some(self.node(event, &span, 0)?),
            }
        }
        root.ok_or_else(|| self.stop("the source is empty"))
    }

    fn next(&mut self) -> Result<(Event<'s>, granit_parser::Span), Stop> {
        match self.events.next() {
            Some(Ok((event, span))) => {
                self.line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
                Ok((event, span))
            }
            Some(Err(error)) => {
                self.line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
                let message = format!("this is not YAML: {}", error.info());
                Err(self.stop(&message))
            }
            None => Err(self.stop("the source ends too early")),
        }
    }

    fn stop(&self, message: &str) -> Stop {
        Box::new(source_error("yaml_syntax", &self.path, Some(self.line), message.to_owned()))
    }

    fn complain(&mut self, code: &'static str, message: String) {
        self.findings.push(source_error(code, &self.path, Some(self.line), message));
    }

    fn node(&mut self, event: Event<'s>, span: &granit_parser::Span, depth: usize) -> Result<Node, Stop> {
        if depth > DEPTH_MAX {
            return Err(self.stop(&format!("lists and objects may be nested {DEPTH_MAX} deep")));
        }
        let line = self.line;
        let bytes = span.byte_range().unwrap_or(0..0);
        let (shape, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.no_tag(tag.is_some());
                (self.scalar(&text, style), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.no_tag(tag.is_some());
                (Shape::List(self.items(depth)?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.no_tag(tag.is_some());
                (Shape::Map(self.members(depth)?), anchor)
            }
            Event::Alias(id) => return self.alias(id, line),
            _ => return Err(self.stop("a value is missing")),
        };
        self.count(1, if let Shape::Text(text) = &shape { text.len() } else { 0 })?;
        let node = Node { shape, line, span: bytes };
        if anchor > 0 {
            // The copy counts as well, so that anchors within anchors stay within the bounds.
            let (nodes, bytes) = weigh(&node);
            self.count(nodes, bytes)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(items);
            }
            let item = self.below(&items.len().to_string(), |this| this.node(event, &span, depth + 1))?;
            items.push(item);
        }
    }

    fn members(&mut self, depth: usize) -> Result<Vec<Member>, Stop> {
        let mut members: Vec<Member> = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(members);
            }
            let line = self.line;
            let name = match event {
                Event::Scalar(text, ScalarStyle::Plain, _, _) if text == "<<" => {
                    self.complain("yaml_merge", "YAML 1.2 has no merge keys: repeat the members".to_owned());
                    "<<".to_owned()
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.no_tag(tag.is_some());
                    if style == ScalarStyle::Plain && scalar::resolve(&text) != Scalar::Text {
                        self.no_string(&text);
                    }
                    if anchor > 0 {
                        let node = Node { shape: Shape::Text(text.to_string()), line, span: 0..0 };
                        self.anchors.insert(anchor, node);
                    }
                    text.into_owned()
                }
                Event::Alias(id) => match self.alias(id, line)?.shape {
                    Shape::Text(text) => text,
                    _ => return Err(self.stop("a member's name must be a string")),
                },
                event => {
                    self.node(event, &span, depth + 1)?;
                    return Err(self.stop("a member's name must be a string"));
                }
            };
            self.count(1, name.len())?;
            let (event, span) = self.next()?;
            let value = self.below(&name, |this| this.node(event, &span, depth + 1))?;
            if seen.insert(name.clone()) {
                members.push(Member { name, line, value });
            } else {
                self.findings.push(duplicate_key(&format!("{}/{}", self.path, escape(&name)), line));
            }
        }
    }

    fn below<R>(&mut self, step: &str, run: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(&escape(step));
        let result = run(self);
        self.path.truncate(length);
        result
    }

    fn alias(&mut self, id: usize, line: u32) -> Result<Node, Stop> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(self.stop("an alias stands within what it stands for"));
        };
        let (nodes, bytes) = weigh(node);
        // Weighed before it is copied: a bomb of aliases never grows.
        let mut node = if self.nodes + nodes <= NODES_MAX { node.clone() } else { return Err(self.too_large()) };
        self.count(nodes, bytes)?;
        node.line = line;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, bytes: usize) -> Result<(), Stop> {
        self.nodes += nodes;
        self.text_bytes += bytes;
        if self.nodes > NODES_MAX || self.text_bytes > TEXT_BYTES_MAX { Err(self.too_large()) } else { Ok(()) }
    }

    fn too_large(&self) -> Stop {
        let message =
            format!("with its aliases resolved the source holds more than {NODES_MAX} values or 4 MiB of text");
        Box::new(source_error("source_too_large", &self.path, Some(self.line), message))
    }

    fn no_tag(&mut self, tagged: bool) {
        if tagged {
            self.complain("yaml_tag", "YAML tags mean nothing here: leave it out".to_owned());
        }
    }

    /// That a member's name is a number, a boolean or nothing, which JSON has no members for.
    fn no_string(&mut self, name: &str) {
        let short: String = name.chars().take(40).collect();
        let message = format!("a member's name must be a string: write \"{short}\" with its quotes");
        self.complain("yaml_key", message);
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle) -> Shape {
        if style != ScalarStyle::Plain {
            return Shape::Text(text.to_owned());
        }
        match scalar::resolve(text) {
            Scalar::Null => Shape::Null,
            Scalar::Bool(value) => Shape::Bool(value),
            Scalar::Number(number) => Shape::Number(number),
            Scalar::Text => Shape::Text(text.to_owned()),
            Scalar::Wrong(message) => {
                self.complain("number_not_exact", message);
                Shape::Null
            }
        }
    }
}

/// How many nodes and bytes of text a node holds.
fn weigh(node: &Node) -> (usize, usize) {
    match &node.shape {
        Shape::Text(text) => (1, text.len()),
        Shape::List(items) => items.iter().map(weigh).fold((1, 0), |(n, b), (m, c)| (n + m, b + c)),
        Shape::Map(members) => members.iter().fold((1, 0), |(nodes, bytes), member| {
            let (more, text) = weigh(&member.value);
            (nodes + more, bytes + text + member.name.len())
        }),
        _ => (1, 0),
    }
}
