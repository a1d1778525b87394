//! Schemas as producers and consumers see them, as rewritten schemas: the prover and the validator work on the same
//! text.
//!
//! - *Closed*, the producer's: what is not declared is not written. Where a document or a part of it is described (the
//!   root, the members, the elements), and the description declares members, it gets `unevaluatedProperties: false`, so
//!   that an `allOf`, and whichever branches of an `anyOf` hold, are closed as a whole and not each by itself. What is
//!   demanded, or spoken of in a condition, counts as declared, as if it were described by `true`. A description with
//!   patterns or a schema for further members, with `additionalProperties: true` in so many words, with a branch that
//!   declares nothing, or that demands more members than it declares, is left open.
//! - *Open*, the consumer's: what is not known is skipped. `additionalProperties: false` and
//!   `unevaluatedProperties: false` are lifted. Branches of a `oneOf` that were told apart by nothing else would then
//!   hold together; a reader takes the first that fits, so such a `oneOf` becomes an `anyOf`.
//!
//! Under `not`, in an `if` and under a bounded `contains`, closing would admit what opening forbids, so nothing is
//! rewritten there. Where such a place refers to a schema that is rewritten elsewhere, the view is not well defined.
//! A closed `oneOf` may fit where the original is ambiguous, so a closed schema counts together with the original.

use std::collections::BTreeSet;

use jsonschema::Draft;
use serde_json::{Map, Value};

use super::View;
use super::document::{Document, join};
use super::outline::{Outline, demanded, reference};
use super::read::{Gap, keys};

const LATEST: &str = "https://json-schema.org/draft/2020-12/schema";

/// Where a schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It describes a document or a part of one, whole.
    Whole,
    /// It adds to what another schema says of the same part.
    Beside,
    /// It is used the other way round.
    Fixed,
}

/// Which keywords hold schemas, and where those stand.
const SINGLE: [(&str, Place); 10] = [
    ("additionalProperties", Place::Whole),
    ("unevaluatedProperties", Place::Whole),
    ("items", Place::Whole),
    ("unevaluatedItems", Place::Whole),
    ("contains", Place::Beside),
    ("then", Place::Beside),
    ("else", Place::Beside),
    ("not", Place::Fixed),
    ("if", Place::Fixed),
    ("propertyNames", Place::Fixed),
];
const LISTS: [(&str, Place); 4] =
    [("allOf", Place::Beside), ("anyOf", Place::Beside), ("oneOf", Place::Beside), ("prefixItems", Place::Whole)];
const MAPS: [(&str, Place); 6] = [
    ("properties", Place::Whole),
    ("patternProperties", Place::Whole),
    ("dependentSchemas", Place::Beside),
    ("dependencies", Place::Beside),
    ("$defs", Place::Beside),
    ("definitions", Place::Beside),
];
/// What draft 7 does not know, and would mean something in a later one.
const LATER: [&str; 12] = [
    "prefixItems",
    "unevaluatedProperties",
    "unevaluatedItems",
    "dependentSchemas",
    "dependentRequired",
    "minContains",
    "maxContains",
    "$dynamicRef",
    "$recursiveRef",
    "$anchor",
    "$vocabulary",
    "$dynamicAnchor",
];

/// A schema in its view.
pub(super) struct Rewritten {
    pub(super) text: Value,
    /// Whether it counts only together with the original.
    pub(super) together: bool,
    /// Places that closing has to leave something of: pointers into the original and into the text.
    pub(super) places: Vec<(String, String)>,
    /// Why closing may have taken away more than it says.
    pub(super) doubts: Vec<Gap>,
}

/// Rewrites a schema.
pub(super) fn rewrite(document: &Document, view: View) -> Result<Rewritten, Gap> {
    if view == View::AsIs {
        let text = document.root.clone();
        return Ok(Rewritten { text, together: false, places: Vec::new(), doubts: Vec::new() });
    }
    if matches!(document.draft, Draft::Draft4 | Draft::Draft6) {
        return Err(gap("", "a schema older than draft 7 cannot be looked at as closed or open"));
    }
    let mut rewriter = Rewriter {
        document,
        view,
        changed: BTreeSet::new(),
        fixed: Vec::new(),
        choices: Vec::new(),
        places: BTreeSet::new(),
        doubts: Vec::new(),
        adds_names: false,
    };
    let mut text = rewriter.schema("", Place::Whole)?;
    if let Value::Object(members) = &mut text {
        members.insert("$schema".to_owned(), LATEST.into());
    }
    if let Some(at) = rewriter.fixed.iter().find(|at| rewriter.reaches_change(at)) {
        return Err(gap(at, "what is used the other way round here is also used as it is, and cannot be seen as both"));
    }
    // Names that were added let through what an `unevaluatedProperties` of the schema's own refuses.
    let mut together = rewriter.adds_names && mentions(&document.root, "unevaluatedProperties");
    for at in rewriter.choices.iter().filter(|at| rewriter.reaches_change(at)) {
        together |= view == View::Closed;
        if view == View::Open {
            open_choice(&mut text, at);
        }
    }
    let places = rewriter.places.iter().map(|at| (at.clone(), rewriter.in_text(at))).collect();
    Ok(Rewritten { text, together, places, doubts: rewriter.doubts })
}

fn mentions(value: &Value, keyword: &str) -> bool {
    match value {
        Value::Object(members) => {
            members.contains_key(keyword) || members.values().any(|value| mentions(value, keyword))
        }
        Value::Array(items) => items.iter().any(|item| mentions(item, keyword)),
        _ => false,
    }
}

fn gap(path: &str, reason: &str) -> Gap {
    Gap { path: path.to_owned(), reason: reason.to_owned() }
}

/// Turns the `oneOf` at a pointer into an `anyOf`.
fn open_choice(text: &mut Value, at: &str) {
    let Some((parent, _)) = at.rsplit_once('/') else { return };
    if let Some(Value::Object(members)) = text.pointer_mut(parent)
        && let Some(branches) = members.remove("oneOf")
    {
        let either = serde_json::json!({ "anyOf": branches });
        let all = members.entry("allOf").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(all) = all {
            all.push(either);
        }
    }
}

struct Rewriter<'a> {
    document: &'a Document,
    view: View,
    /// Pointers to the schemas that are not what they were.
    changed: BTreeSet<String>,
    /// Pointers to the schemas that must stay what they are.
    fixed: Vec<String>,
    /// Pointers to every `oneOf`.
    choices: Vec<String>,
    /// Pointers to what closing has to leave something of.
    places: BTreeSet<String>,
    doubts: Vec<Gap>,
    /// Whether names count as declared that the schema itself does not declare.
    adds_names: bool,
}

impl Rewriter<'_> {
    fn schema(&mut self, at: &str, place: Place) -> Result<Value, Gap> {
        let document = self.document;
        let Some(Value::Object(members)) = document.at(at) else {
            return Ok(document.at(at).cloned().unwrap_or(Value::Bool(true)));
        };
        let mut members = self.modern(members, at)?;
        for (keyword, own) in SINGLE {
            let bounded = keyword == "contains" && members.contains_key("maxContains");
            if members.contains_key(keyword) {
                let source = if keyword == "items" { self.source_of_items(at) } else { keyword };
                let place = inherit(place, if bounded { Place::Fixed } else { own });
                let path = join(at, source);
                if place == Place::Fixed && keyword != "propertyNames" {
                    self.fixed.push(path.clone());
                }
                let value = self.schema(&path, place)?;
                members.insert(keyword.to_owned(), value);
            }
        }
        for (keyword, own) in LISTS {
            let source = if keyword == "prefixItems" { self.source_of_tuple() } else { keyword };
            if let Some(Value::Array(list)) = members.get_mut(keyword) {
                for (index, item) in list.iter_mut().enumerate() {
                    *item = self.schema(&format!("{}/{index}", join(at, source)), inherit(place, own))?;
                }
                if keyword == "oneOf" && place != Place::Fixed {
                    self.choices.push(join(at, keyword));
                }
            }
        }
        for (keyword, own) in MAPS {
            if let Some(Value::Object(map)) = members.get_mut(keyword) {
                // What a definition says is not used by standing there.
                let place =
                    if keyword.ends_with("defs") || keyword == "definitions" { own } else { inherit(place, own) };
                for (name, item) in map.iter_mut().filter(|(_, item)| !item.is_array()) {
                    *item = self.schema(&join(&join(at, keyword), name), place)?;
                }
            }
        }
        match self.view {
            _ if place == Place::Fixed => {}
            View::AsIs => {}
            View::Open => self.open(at, &mut members),
            View::Closed => self.close(at, place, &mut members)?,
        }
        Ok(Value::Object(members))
    }

    /// A schema's members as the latest draft writes them, with references that are pointers.
    fn modern(&self, members: &Map<String, Value>, at: &str) -> Result<Map<String, Value>, Gap> {
        let mut modern = members.clone();
        for name in ["$id", "$schema", "$anchor", "$dynamicAnchor", "$vocabulary"] {
            modern.remove(name);
        }
        if let Some(Value::String(reference)) = members.get("$ref") {
            let Some(pointer) = self.document.resolve(reference, at) else {
                return Err(gap(&join(at, "$ref"), &format!("the reference {reference} leads out of the document")));
            };
            if self.document.lone_references() {
                modern.retain(|name, _| matches!(name.as_str(), "definitions" | "$defs"));
            }
            modern.insert("$ref".to_owned(), format!("#{}", percent_encoded(&pointer)).into());
        }
        if self.document.draft == Draft::Draft202012 {
            if members.contains_key("$dynamicRef") {
                return Err(gap(&join(at, "$dynamicRef"), "dynamic references are not understood"));
            }
            return Ok(modern);
        }
        for keyword in ["contentEncoding", "contentMediaType"] {
            if modern.contains_key(keyword) {
                return Err(gap(&join(at, keyword), "the keyword cannot be looked at as closed or open"));
            }
        }
        modern.retain(|name, _| !LATER.contains(&name.as_str()));
        if let Some(Value::String(format)) = modern.get("format")
            && !jsonschema::options().is_known_format(self.document.draft, format)
        {
            modern.remove("format");
        }
        let rest = modern.remove("additionalItems");
        if let Some(Value::Array(_)) = modern.get("items") {
            let tuple = modern.remove("items").unwrap_or_default();
            modern.insert("prefixItems".to_owned(), tuple);
            rest.map(|rest| modern.insert("items".to_owned(), rest));
        }
        Ok(modern)
    }

    fn source_of_items(&self, at: &str) -> &'static str {
        let tuple = matches!(self.document.at(&join(at, "items")), Some(Value::Array(_)));
        if tuple { "additionalItems" } else { "items" }
    }

    fn source_of_tuple(&self) -> &'static str {
        if self.document.draft == Draft::Draft202012 { "prefixItems" } else { "items" }
    }

    fn open(&mut self, at: &str, members: &mut Map<String, Value>) {
        for keyword in ["additionalProperties", "unevaluatedProperties"] {
            if members.get(keyword) == Some(&Value::Bool(false)) {
                members.insert(keyword.to_owned(), Value::Bool(true));
                self.changed.insert(at.to_owned());
            }
        }
    }

    fn close(&mut self, at: &str, place: Place, members: &mut Map<String, Value>) -> Result<(), Gap> {
        if members.contains_key("contains") {
            self.places.insert(at.to_owned());
        }
        self.declare_mentioned(at, members);
        if place != Place::Whole {
            return Ok(());
        }
        let outline = Outline::of(self.document, at);
        self.doubts.extend(outline.crossing(self.document).map(|at| {
            gap(
                &at,
                "the same part is described in several places, and what one of them declares is missing in another",
            )
        }));
        if !outline.is_closed_by_view() {
            return Ok(());
        }
        // A description that is closed by itself and also adds to another one would close that one, too.
        for other in &outline.wholes {
            if Outline::of(self.document, other).names != outline.names {
                return Err(gap(at, "it adds to a schema that describes a part of its own"));
            }
        }
        self.places.insert(at.to_owned());
        self.changed.insert(at.to_owned());
        let simple = !["$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas", "dependencies"]
            .iter()
            .any(|keyword| members.contains_key(*keyword));
        let keyword = if simple { "additionalProperties" } else { "unevaluatedProperties" };
        members.insert(keyword.to_owned(), Value::Bool(false));
        Ok(())
    }

    /// Lets the names that a schema speaks of, and does not describe, count as declared by it.
    fn declare_mentioned(&mut self, at: &str, members: &mut Map<String, Value>) {
        let decides = ["additionalProperties", "unevaluatedProperties"];
        if decides.iter().any(|keyword| members.contains_key(*keyword)) {
            return;
        }
        let mut mentioned = demanded(members);
        for keyword in ["if", "not"].iter().filter(|keyword| members.contains_key(**keyword)) {
            let of_condition = Outline::of(self.document, &join(at, keyword));
            mentioned.extend(of_condition.names.into_iter().chain(of_condition.demanded));
        }
        let declared: BTreeSet<String> = keys(members.get("properties")).cloned().collect();
        for name in mentioned.difference(&declared) {
            let properties = members.entry("properties").or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(properties) = properties {
                properties.insert(name.clone(), Value::Bool(true));
                self.adds_names = true;
            }
        }
    }

    /// Where in the text that stands which stands at a pointer in the original.
    fn in_text(&self, at: &str) -> String {
        let (mut original, mut text) = (String::new(), String::new());
        for segment in at.split('/').skip(1) {
            let tuple = self.document.draft != Draft::Draft202012
                && matches!(self.document.at(&join(&original, "items")), Some(Value::Array(_)));
            text.push('/');
            text.push_str(match segment {
                "items" if tuple => "prefixItems",
                "additionalItems" if tuple => "items",
                other => other,
            });
            original.push('/');
            original.push_str(segment);
        }
        text
    }

    /// Whether a schema, or one that it holds or refers to, was changed.
    fn reaches_change(&self, at: &str) -> bool {
        let mut todo = vec![at.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(at) = todo.pop() {
            if !seen.insert(at.clone()) {
                continue;
            }
            if self.changed.contains(&at) {
                return true;
            }
            match self.document.at(&at) {
                Some(Value::Object(members)) => {
                    todo.extend(reference(self.document, members, &at));
                    todo.extend(members.keys().map(|name| join(&at, name)));
                }
                Some(Value::Array(items)) => todo.extend((0..items.len()).map(|index| format!("{at}/{index}"))),
                _ => {}
            }
        }
        false
    }
}

fn inherit(outer: Place, own: Place) -> Place {
    if outer == Place::Fixed { Place::Fixed } else { own }
}

/// A pointer as a fragment.
fn percent_encoded(pointer: &str) -> String {
    pointer
        .bytes()
        .map(|byte| match byte {
            b'/' | b'~' | b'$' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
