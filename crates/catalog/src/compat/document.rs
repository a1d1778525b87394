//! A schema as a document: its dialect, and what its references mean.

use std::collections::BTreeMap;

use jsonschema::Draft;
use serde_json::{Map, Value};

/// So many schemas may apply to one part of a document in a row, one because of the other.
const CHAIN_MAX: usize = 150;

/// A JSON Schema with its identifiers and anchors looked up.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Value,
    pub(super) draft: Draft,
    /// Identifiers as they are written, of the root and of schemas within, and the pointers to them.
    ids: BTreeMap<String, String>,
    /// Anchors, each with the pointer of the resource that it belongs to, and the pointers to them.
    anchors: BTreeMap<(String, String), String>,
}

impl Document {
    /// Takes a schema in. Fails with the reason where its dialect is not one that is understood.
    pub(super) fn new(root: &Value) -> Result<Self, String> {
        let draft = match root.get("$schema") {
            None => Draft::Draft202012,
            Some(Value::String(uri)) => draft(uri).ok_or_else(|| format!("the dialect {uri} is not understood"))?,
            Some(_) => return Err("$schema is not a string".to_owned()),
        };
        let mut document = Self { root: root.clone(), draft, ids: BTreeMap::new(), anchors: BTreeMap::new() };
        document.look_around(root, "", "")?;
        let mut known = BTreeMap::new();
        let mut todo = vec![String::new()];
        while let Some(at) = todo.pop() {
            match document.at(&at) {
                Some(Value::Object(members)) => todo.extend(members.keys().map(|name| join(&at, name))),
                Some(Value::Array(items)) => todo.extend((0..items.len()).map(|index| format!("{at}/{index}"))),
                _ => continue,
            }
            document.height(&at, &mut Vec::new(), &mut known)?;
        }
        Ok(document)
    }

    /// How many schemas apply to one part of a document, one because of the other, from a pointer on. Fails where that
    /// has no end: such a schema means nothing, and validators do not come back from it.
    fn height(&self, at: &str, above: &mut Vec<String>, known: &mut BTreeMap<String, usize>) -> Result<usize, String> {
        if above.iter().any(|pointer| pointer == at) {
            return Err(format!("the schema at '{at}' refers to itself without going deeper into the document"));
        }
        let height = match known.get(at) {
            Some(height) => *height,
            None if above.len() >= CHAIN_MAX => 0,
            None => {
                let next = self.applied_besides(at);
                above.push(at.to_owned());
                let mut highest = 0;
                for next in next {
                    highest = highest.max(self.height(&next, above, known)?);
                }
                above.pop();
                known.insert(at.to_owned(), highest + 1);
                highest + 1
            }
        };
        if above.len() + height > CHAIN_MAX {
            return Err(format!("more than {CHAIN_MAX} schemas refer to each other in a row at '{at}'"));
        }
        Ok(height)
    }

    /// The pointers to the schemas that apply to a part of a document because the one at a pointer does.
    fn applied_besides(&self, at: &str) -> Vec<String> {
        let Some(Value::Object(members)) = self.at(at) else { return Vec::new() };
        let mut applied = Vec::new();
        for (keyword, value) in members {
            let path = join(at, keyword);
            match (keyword.as_str(), value) {
                ("$ref" | "$dynamicRef", Value::String(reference)) => applied.extend(self.resolve(reference, at)),
                ("allOf" | "anyOf" | "oneOf", Value::Array(branches)) => {
                    applied.extend((0..branches.len()).map(|index| format!("{path}/{index}")));
                }
                ("dependentSchemas" | "dependencies", Value::Object(map)) => {
                    applied.extend(map.keys().map(|name| join(&path, name)));
                }
                ("not" | "if" | "then" | "else", _) => applied.push(path),
                _ => {}
            }
        }
        applied
    }

    /// Whether references stand alone: what is written beside them is ignored up to draft 7.
    pub(super) fn lone_references(&self) -> bool {
        matches!(self.draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7)
    }

    pub(super) fn at(&self, pointer: &str) -> Option<&Value> {
        self.root.pointer(pointer)
    }

    /// The pointer to what a reference means that stands at a pointer. `None` where it leads out of the document, or
    /// where what it means depends on more than is understood.
    pub(super) fn resolve(&self, reference: &str, standing_at: &str) -> Option<String> {
        let here = self.resource_of(standing_at);
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let resource = if uri.is_empty() {
            here.to_owned()
        } else if uri.contains(':') || here.is_empty() {
            self.ids.get(uri)?.clone()
        } else {
            return None;
        };
        let fragment = percent_encoding_free(fragment)?;
        if fragment.is_empty() || fragment.starts_with('/') {
            let pointer = format!("{resource}{fragment}");
            self.at(&pointer)?;
            return Some(pointer);
        }
        self.anchors.get(&(resource, fragment)).cloned()
    }

    /// The pointer of the innermost schema with an identifier that a pointer lies in.
    fn resource_of(&self, pointer: &str) -> &str {
        let within = |resource: &str| {
            pointer.strip_prefix(resource).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.ids.values().map(String::as_str).filter(|resource| within(resource)).max_by_key(|r| r.len()).unwrap_or("")
    }

    fn look_around(&mut self, value: &Value, at: &str, resource: &str) -> Result<(), String> {
        let members = match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.look_around(item, &format!("{at}/{index}"), resource)?;
                }
                return Ok(());
            }
            Value::Object(members) => members,
            _ => return Ok(()),
        };
        let resource = self.note_names(members, at, resource)?;
        for (name, member) in members {
            // What stands there is data, whatever it looks like.
            if !matches!(name.as_str(), "const" | "enum" | "default" | "examples") {
                self.look_around(member, &join(at, name), &resource)?;
            }
        }
        Ok(())
    }

    /// Notes identifier and anchor of one schema; gives the resource that its members belong to.
    fn note_names(&mut self, schema: &Map<String, Value>, at: &str, resource: &str) -> Result<String, String> {
        let keyword = if self.draft == Draft::Draft4 { "id" } else { "$id" };
        let mut resource = resource.to_owned();
        if let Some(Value::String(uri)) = schema.get("$schema")
            && draft(uri) != Some(self.draft)
        {
            return Err(format!("the dialect {uri} at '{at}' is another one than that of the whole schema"));
        }
        if self.lone_references() && schema.contains_key("$ref") {
            // By the draft it means nothing there, and validators take it for an anchor all the same.
            return match schema.get(keyword) {
                Some(Value::String(id)) if !at.is_empty() || id.contains('#') => {
                    Err(format!("the identifier {id} beside a reference is not understood"))
                }
                _ => Ok(resource),
            };
        }
        // Below `properties` a member of that name is a schema, and so is not a string.
        if let Some(Value::String(id)) = schema.get(keyword) {
            match id.split_once('#') {
                Some(("", anchor)) => self.note_anchor(&resource, anchor, at)?,
                Some((_, anchor)) if !anchor.is_empty() => {
                    return Err(format!("the identifier {id} is not understood"));
                }
                _ => {
                    let id = id.trim_end_matches('#');
                    if self.ids.insert(id.to_owned(), at.to_owned()).is_some() {
                        return Err(format!("two schemas have the identifier {id}"));
                    }
                    at.clone_into(&mut resource);
                }
            }
        }
        for keyword in ["$anchor", "$dynamicAnchor"] {
            if let Some(Value::String(anchor)) = schema.get(keyword) {
                self.note_anchor(&resource, anchor, at)?;
            }
        }
        Ok(resource)
    }

    fn note_anchor(&mut self, resource: &str, anchor: &str, at: &str) -> Result<(), String> {
        match self.anchors.insert((resource.to_owned(), anchor.to_owned()), at.to_owned()) {
            Some(other) if other != at => Err(format!("the anchor {anchor} stands at '{other}' and at '{at}'")),
            _ => Ok(()),
        }
    }
}

fn draft(uri: &str) -> Option<Draft> {
    match uri.trim_end_matches('#').trim_start_matches("https://").trim_start_matches("http://") {
        "json-schema.org/draft/2020-12/schema" => Some(Draft::Draft202012),
        "json-schema.org/draft-07/schema" => Some(Draft::Draft7),
        "json-schema.org/draft-06/schema" => Some(Draft::Draft6),
        "json-schema.org/draft-04/schema" => Some(Draft::Draft4),
        _ => None,
    }
}

/// A fragment's text; `None` where its escapes are not UTF-8.
fn percent_encoding_free(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A pointer one step further.
pub(super) fn join(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}
