//! From a schema to shapes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::definition::{Classification, Definition};

use super::super::names::{self, Scope};
use super::flat::{Flat, Kind, Tree};
use super::{EnumValue, Form, Format, Member, Named, Notes, Record, Shape, Union, Variant, reached};

/// Beyond this a tuple is a list: some languages have no longer ones.
const TUPLE_ITEMS_MAX: usize = 12;
/// Beyond so many values a list of strings is any string.
const ENUM_VALUES_MAX: usize = 500;

/// The types of a definition's data, the data first.
pub(super) fn types(definition: &Definition, event: &str, scope: &mut Scope) -> Vec<Named> {
    let mut builder =
        Builder { tree: Tree { root: &definition.schema }, event, scope, types: Vec::new(), places: BTreeMap::new() };
    builder.root();
    let mut types: Vec<Named> = builder
        .types
        .into_iter()
        .map(|made| made.expect("a type that was begun is finished before its place is left"))
        .collect();
    for index in 0..types.len() {
        mark_recursive(&mut types, index);
    }
    for (pointer, class) in &definition.classification {
        classify(&mut types, &Shape::Named(0), pointer.segments(), *class, 0);
    }
    types
}

/// What is known of a place while types are made.
enum Place {
    /// Its shape is being found.
    Open,
    /// It has this shape, of a type that is still in the making.
    Begun(Shape),
    /// It has this shape.
    Done(Shape),
}

/// Where a type is made: at a place that others may refer to, or as the data itself, under the name that waits for it.
#[derive(Clone, Copy, Default)]
struct At<'a> {
    place: Option<&'a str>,
    root: Option<&'a str>,
    /// Whether `null` may stand at the place as well.
    nullable: bool,
}

struct Builder<'b> {
    tree: Tree<'b>,
    event: &'b str,
    scope: &'b mut Scope,
    types: Vec<Option<Named>>,
    places: BTreeMap<String, Place>,
}

impl Builder<'_> {
    /// The data: whatever the schema says, it is an object.
    fn root(&mut self) {
        let mut place = String::new();
        let mut hops = 0;
        while let Some(next) = self.tree.stands_for(&place).filter(|_| hops < 64) {
            place = next;
            hops += 1;
        }
        let mut flat = self.tree.flat(&place);
        flat.kinds = Some(BTreeSet::from([Kind::Object]));
        flat.values = None;
        let notes = flat.notes.clone();
        self.types.push(None);
        for alias in [String::new(), place] {
            self.places.insert(alias, Place::Begun(Shape::Named(0)));
        }
        let name = self.scope.take(&format!("{}Data", self.event), "N");
        if self.choice(&flat, "", At { root: Some(&name), ..At::default() }).is_some() {
            return;
        }
        let form = if flat.members.is_empty() && flat.required.is_empty() {
            Form::Map(self.rest(&flat, ""))
        } else {
            Form::Record(self.record(&flat, ""))
        };
        self.types[0] = Some(Named { name, notes, form });
    }

    /// The shape of what stands at a place; `path` is what its type would be called, after the event's name.
    fn shape(&mut self, place: &str, path: &str) -> Shape {
        match self.places.get(place) {
            Some(Place::Begun(shape) | Place::Done(shape)) => return shape.clone(),
            // A list of lists of lists without end: no type but raw JSON can say that without a name of its own.
            Some(Place::Open) => return Shape::Raw,
            None => {}
        }
        self.places.insert(place.to_owned(), Place::Open);
        let shape = match self.tree.stands_for(place) {
            Some(target) => {
                let path = definition_name(&target).unwrap_or_else(|| path.to_owned());
                self.shape(&target, &path)
            }
            None if self.tree.at(place).is_some_and(Value::is_object) => {
                let flat = self.tree.flat(place);
                self.flat_shape(&flat, path, Some(place))
            }
            None => Shape::Raw,
        };
        self.places.insert(place.to_owned(), Place::Done(shape.clone()));
        shape
    }

    fn flat_shape(&mut self, flat: &Flat, path: &str, place: Option<&str>) -> Shape {
        if let Some(values) = &flat.values {
            return self.values(values, flat, path);
        }
        let mut kinds = flat.kinds_told();
        let nullable = kinds.remove(&Kind::Null);
        if kinds.contains(&Kind::Number) {
            kinds.remove(&Kind::Integer);
        }
        let at = At { place, root: None, nullable };
        let shape = if let Some(shape) = self.choice(flat, path, at) {
            shape
        } else if kinds.len() > 1 {
            self.kinds(&kinds, flat, path, at)
        } else {
            match kinds.first() {
                Some(kind) => self.of_kind(*kind, flat, path, at),
                None => Shape::Raw,
            }
        };
        if nullable { shape.or_null() } else { shape }
    }

    fn of_kind(&mut self, kind: Kind, flat: &Flat, path: &str, at: At<'_>) -> Shape {
        match kind {
            Kind::Null => Shape::Raw,
            Kind::Boolean => Shape::Boolean,
            Kind::Integer => integer(flat),
            Kind::Number => Shape::Number,
            Kind::String => Shape::Text(match flat.notes.format.as_deref() {
                Some("date-time") => Format::DateTime,
                Some("date") => Format::Date,
                Some("uuid") => Format::Uuid,
                _ => Format::Plain,
            }),
            Kind::Array => self.array(flat, path),
            Kind::Object if flat.members.is_empty() && flat.required.is_empty() => {
                Shape::Map(Box::new(self.rest(flat, path)))
            }
            Kind::Object => {
                let index = self.begin(at);
                let name = self.name(path);
                let form = Form::Record(self.record(flat, path));
                self.finish(index, name, flat.notes.clone(), form)
            }
        }
    }

    fn array(&mut self, flat: &Flat, path: &str) -> Shape {
        let item_path = format!("{path}Item");
        if let [prefix] = flat.prefix.as_slice() {
            let length = prefix.len() as u64;
            let fixed = flat.items_min >= length && (flat.no_more_items || flat.items_max == length);
            if !fixed || prefix.len() > TUPLE_ITEMS_MAX {
                return Shape::List(Box::new(Shape::Raw));
            }
            let items = prefix.clone();
            let shapes = items.iter().enumerate();
            return Shape::Tuple(
                shapes.map(|(index, place)| self.shape(place, &format!("{item_path}{}", index + 1))).collect(),
            );
        }
        let item = match (flat.prefix.is_empty(), flat.items.as_slice()) {
            (true, [place]) => self.shape(&place.clone(), &item_path),
            _ => Shape::Raw,
        };
        Shape::List(Box::new(item))
    }

    fn record(&mut self, flat: &Flat, path: &str) -> Record {
        let mut flat = flat.clone();
        for name in flat.required.clone() {
            flat.members.entry(name).or_default();
        }
        let mut members: Vec<Member> = Vec::new();
        for (json, places) in &flat.members {
            let path = format!("{path}{}", names::pascal_part(json, "Member"));
            let (shape, member) = match places.as_slice() {
                [] => (self.rest(&flat, &path), Flat::default()),
                [place] => (self.shape(place, &path), self.tree.flat(place)),
                // Several parts of an allOf speak of it: they are one where only one has a type to tell.
                [first, more @ ..] => {
                    let mut all = self.tree.flat(first);
                    more.iter().for_each(|place| self.tree.add(place, &mut all));
                    (self.flat_shape(&all, &path, None), all)
                }
            };
            let required = flat.required.contains(json);
            let constant = member.constant().map(str::to_owned);
            let notes = self.notes_of(places, member.notes);
            members.push(Member {
                json: json.clone(),
                shape,
                required,
                constant,
                recursive: false,
                notes,
                classes: Vec::new(),
            });
        }
        members.sort_by(|a, b| (!a.required, &a.json).cmp(&(!b.required, &b.json)));
        let rest = self.rest(&flat, path);
        Record { members, rest }
    }

    /// What is said of a member: what stands at its own place goes before what it refers to.
    fn notes_of(&self, places: &[String], said: Notes) -> Notes {
        let mut notes = Notes::default();
        for place in places {
            if let Some(Value::Object(schema)) = self.tree.at(place) {
                notes.fill(schema);
            }
        }
        if notes.description.is_empty() {
            notes.description = said.description;
        }
        if notes.description.is_empty() {
            notes.description = if notes.title.is_empty() { said.title } else { notes.title.clone() };
        }
        notes.format = notes.format.or(said.format);
        notes.default = notes.default.or(said.default);
        notes
    }

    /// The shape of members that are not declared.
    fn rest(&mut self, flat: &Flat, path: &str) -> Shape {
        match flat.rest.as_slice() {
            [place] if !flat.rest_is_mixed && !place.ends_with("/unevaluatedProperties") => {
                self.shape(&place.clone(), &format!("{path}Value"))
            }
            _ => Shape::Raw,
        }
    }

    /// The shape of values that are counted out.
    fn values(&mut self, values: &[Value], flat: &Flat, path: &str) -> Shape {
        let nullable = values.iter().any(Value::is_null);
        let solid: Vec<&Value> = values.iter().filter(|value| !value.is_null()).collect();
        let kinds: BTreeSet<Kind> = solid.iter().map(|value| Kind::of(value)).collect();
        let strings: BTreeSet<&str> = solid.iter().filter_map(|value| value.as_str()).collect();
        let shape = match kinds.iter().copied().collect::<Vec<_>>().as_slice() {
            [Kind::String] if strings.len() <= ENUM_VALUES_MAX => {
                // In the order of the schema, which often means something.
                let mut seen = BTreeSet::new();
                let listed = solid.iter().filter_map(|value| value.as_str()).filter(|value| seen.insert(*value));
                let values =
                    listed.map(|json| EnumValue { json: json.to_owned(), description: String::new() }).collect();
                self.add_enum(values, flat.notes.clone(), path)
            }
            [Kind::String] => Shape::Text(Format::Plain),
            [Kind::Boolean] => Shape::Boolean,
            [Kind::Integer] if solid.iter().all(|value| value.is_i64()) => Shape::Integer { unsigned: false },
            [Kind::Integer | Kind::Number] | [Kind::Integer, Kind::Number] => Shape::Number,
            _ => Shape::Raw,
        };
        if nullable { shape.or_null() } else { shape }
    }

    fn add_enum(&mut self, values: Vec<EnumValue>, notes: Notes, path: &str) -> Shape {
        let index = self.begin(At::default());
        let name = self.name(path);
        self.finish(index, name, notes, Form::Enum(values))
    }

    /// The shape of several kinds.
    fn kinds(&mut self, kinds: &BTreeSet<Kind>, flat: &Flat, path: &str, at: At<'_>) -> Shape {
        let index = self.begin(at);
        let name = self.name(path);
        let shapes =
            kinds.iter().map(|kind| self.of_kind(*kind, flat, &format!("{path}Object"), At::default())).collect();
        self.finish(index, name, flat.notes.clone(), Form::Kinds(shapes))
    }

    /// The shape of a `oneOf` or `anyOf`, if there is exactly one and its branches can be told apart.
    fn choice(&mut self, flat: &Flat, path: &str, at: At<'_>) -> Option<Shape> {
        let [places] = flat.choices.as_slice() else { return None };
        let mut base = flat.clone();
        base.choices.clear();
        let branches: Vec<(String, Flat)> = places.iter().map(|place| (place.clone(), self.tree.flat(place))).collect();
        let is_null = |branch: &Flat| branch.kinds_told() == BTreeSet::from([Kind::Null]);
        let nullable = branches.iter().any(|(_, branch)| is_null(branch));
        let solid: Vec<&(String, Flat)> = branches.iter().filter(|(_, branch)| !is_null(branch)).collect();
        let bare = base.members.is_empty() && base.required.is_empty() && base.rest.is_empty();
        let at = At { nullable: at.nullable || nullable, ..at };
        let shape = match solid.as_slice() {
            [] => return None,
            _ if at.root.is_some() => self.tagged(&solid, &base, path, at),
            [(place, _)] if bare => Some(self.shape(place, path)),
            _ => self
                .strings(&solid, &base, path)
                .or_else(|| self.tagged(&solid, &base, path, at))
                .or_else(|| bare.then(|| self.distinct(&solid, &base, path, at)).flatten()),
        }?;
        Some(if nullable { shape.or_null() } else { shape })
    }

    /// Branches that are strings: an enum with a description for each value, or any string.
    fn strings(&mut self, branches: &[&(String, Flat)], base: &Flat, path: &str) -> Option<Shape> {
        let all_strings = branches.iter().all(|(_, branch)| branch.kinds_told() == BTreeSet::from([Kind::String]));
        if !all_strings {
            return None;
        }
        let mut seen = BTreeSet::new();
        let mut values = Vec::new();
        for (_, branch) in branches {
            let Some(listed) = &branch.values else { return Some(Shape::Text(Format::Plain)) };
            let described = if listed.len() == 1 { branch.notes.description.as_str() } else { "" };
            let described = if described.is_empty() && listed.len() == 1 { &branch.notes.title } else { described };
            let new = listed.iter().filter_map(Value::as_str).filter(|json| seen.insert((*json).to_owned()));
            values.extend(new.map(|json| EnumValue { json: json.to_owned(), description: described.to_owned() }));
        }
        Some(self.add_enum(values, base.notes.clone(), path))
    }

    /// Branches that are objects with a required member that holds another string in each.
    fn tagged(&mut self, branches: &[&(String, Flat)], base: &Flat, path: &str, at: At<'_>) -> Option<Shape> {
        let wholes: Vec<Flat> = branches.iter().map(|(place, _)| self.joined(base, place)).collect();
        if branches.len() < 2 || !wholes.iter().all(|whole| whole.kinds_told() == BTreeSet::from([Kind::Object])) {
            return None;
        }
        if wholes.iter().any(|whole| !whole.choices.is_empty() && whole.members.is_empty()) {
            return None;
        }
        let tag_of = |whole: &Flat, member: &str| -> Option<String> {
            let places = whole.members.get(member).filter(|_| whole.required.contains(member))?;
            let mut flats = places.iter().map(|place| self.tree.flat(place));
            flats.find_map(|flat| flat.constant().map(str::to_owned))
        };
        let (tag, values) = wholes[0].members.keys().find_map(|member| {
            let values: Vec<String> = wholes.iter().map(|whole| tag_of(whole, member)).collect::<Option<_>>()?;
            let distinct: BTreeSet<&String> = values.iter().collect();
            (distinct.len() == values.len()).then(|| (member.clone(), values))
        })?;
        let (index, name) = match at.root {
            Some(name) => (0, name.to_owned()),
            None => (self.begin(at), self.name(path)),
        };
        let bare = base.members.is_empty() && base.required.is_empty() && base.rest.is_empty();
        let mut variants = Vec::new();
        for (((place, branch), whole), tag) in branches.iter().zip(wholes).zip(values) {
            let path = format!("{path}{}", names::pascal_part(&tag, "Variant"));
            let shape = if bare { self.shape(place, &path) } else { Shape::Raw };
            let record = match shape {
                Shape::Named(record) if self.is_record(record, branch) => record,
                _ => {
                    let record = self.begin(At::default());
                    let name = self.name(&path);
                    let form = Form::Record(self.record(&whole, &path));
                    self.finish(record, name, whole.notes, form);
                    record
                }
            };
            variants.push(Variant { tag, record });
        }
        Some(self.finish(index, name, base.notes.clone(), Form::Union(Union { tag, variants })))
    }

    /// Whether a type is a record, or will be one when it is made.
    fn is_record(&self, index: usize, schema: &Flat) -> bool {
        match &self.types[index] {
            Some(named) => matches!(named.form, Form::Record(_)),
            None => schema.choices.is_empty(),
        }
    }

    fn joined(&self, base: &Flat, branch: &str) -> Flat {
        let mut whole = base.clone();
        whole.notes = Notes::default();
        self.tree.add(branch, &mut whole);
        whole
    }

    /// Branches of different kinds of JSON.
    fn distinct(&mut self, branches: &[&(String, Flat)], base: &Flat, path: &str, at: At<'_>) -> Option<Shape> {
        let mut seen = BTreeSet::new();
        for (_, branch) in branches {
            let kinds: Vec<Kind> = branch.kinds_told().into_iter().collect();
            let [kind] = kinds.as_slice() else { return None };
            let kind = if *kind == Kind::Integer { Kind::Number } else { *kind };
            if !seen.insert(kind) {
                return None;
            }
        }
        let index = self.begin(at);
        let name = self.name(path);
        let mut shapes = Vec::new();
        for (number, (place, _)) in branches.iter().enumerate() {
            shapes.push(self.shape(place, &format!("{path}Option{}", number + 1)));
        }
        Some(self.finish(index, name, base.notes.clone(), Form::Kinds(shapes)))
    }

    /// Keeps an index for a type that is about to be made, so that what it is made of can refer to it.
    fn begin(&mut self, at: At<'_>) -> usize {
        let index = self.types.len();
        self.types.push(None);
        if let Some(place) = at.place {
            let shape = Shape::Named(index);
            let shape = if at.nullable { shape.or_null() } else { shape };
            self.places.insert(place.to_owned(), Place::Begun(shape));
        }
        index
    }

    fn finish(&mut self, index: usize, name: String, notes: Notes, form: Form) -> Shape {
        self.types[index] = Some(Named { name, notes, form });
        Shape::Named(index)
    }

    fn name(&mut self, path: &str) -> String {
        self.scope.take(&format!("{}{path}", self.event), "N")
    }
}

/// What a schema under `$defs` or `definitions` is called.
fn definition_name(place: &str) -> Option<String> {
    let mut segments = place.rsplit('/');
    let (last, holder) = (segments.next()?, segments.next()?);
    let name = last.replace("~1", "/").replace("~0", "~");
    matches!(holder, "$defs" | "definitions").then(|| names::pascal_part(&name, "Definition"))
}

fn integer(flat: &Flat) -> Shape {
    const SIGNED_MAX: f64 = 9_223_372_036_854_775_807.0;
    const UNSIGNED_MAX: f64 = 18_446_744_073_709_551_615.0;
    let (low, high) = (flat.minimum.unwrap_or(0.0), flat.maximum.unwrap_or(0.0));
    if low < -SIGNED_MAX || high > UNSIGNED_MAX || (low < 0.0 && high > SIGNED_MAX) {
        return Shape::Number;
    }
    Shape::Integer { unsigned: high > SIGNED_MAX }
}

fn mark_recursive(types: &mut [Named], index: usize) {
    let Form::Record(record) = &types[index].form else { return };
    let recursive: Vec<bool> = record
        .members
        .iter()
        .map(|member| {
            member.shape.held().into_iter().any(|held| held == index || reached(types, held).contains(&index))
        })
        .collect();
    let Form::Record(record) = &mut types[index].form else { return };
    for (member, recursive) in record.members.iter_mut().zip(recursive) {
        member.recursive = recursive;
    }
}

/// Notes a classification at the members that a pointer means.
fn classify(types: &mut [Named], shape: &Shape, path: &[String], class: Classification, depth: usize) {
    let Some((first, rest)) = path.split_first().filter(|_| depth < 64) else { return };
    match shape {
        Shape::Nullable(inner) => classify(types, inner, path, class, depth + 1),
        Shape::List(inner) | Shape::Map(inner) => classify(types, inner, rest, class, depth + 1),
        Shape::Tuple(items) => {
            for (index, item) in items.iter().enumerate() {
                if first == "*" || *first == index.to_string() {
                    classify(types, item, rest, class, depth + 1);
                }
            }
        }
        Shape::Named(index) => {
            let mut next = Vec::new();
            match &mut types[*index].form {
                Form::Record(record) => {
                    for member in record.members.iter_mut().filter(|member| first == "*" || *first == member.json) {
                        if rest.is_empty() && !member.classes.contains(&class) {
                            member.classes.push(class);
                        }
                        next.push((member.shape.clone(), rest));
                    }
                }
                Form::Union(union) => {
                    next.extend(union.variants.iter().map(|variant| (Shape::Named(variant.record), path)));
                }
                Form::Kinds(shapes) => next.extend(shapes.iter().map(|shape| (shape.clone(), path))),
                Form::Map(shape) => next.push((shape.clone(), rest)),
                Form::Enum(_) => {}
            }
            for (shape, path) in next {
                classify(types, &shape, path, class, depth + 1);
            }
        }
        _ => {}
    }
}
