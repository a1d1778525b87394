//! A catalog as a folder of files: which file holds what, and whether it stands where it should.
//!
//! `types/<name>/v<version>.yaml`, `sets/<name>.yaml`, `policies/<name>.yaml`; `.yml` and `.json` as well. A definition's
//! schema may stand in a JSON file of its own beside it: `schema: created.schema.json`.

use std::collections::{BTreeMap, BTreeSet};

use crate::entry::{Entry, Key, Kind};
use crate::report::{Finding, Severity, Subject};
use crate::source;

/// A folder that was read.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    files: BTreeMap<Key, File>,
}

#[derive(Debug, Clone)]
struct File {
    path: String,
    source: String,
    schema: Option<SchemaFile>,
}

/// A schema that was put into its definition's source.
#[derive(Debug, Clone)]
struct SchemaFile {
    path: String,
    /// The line of the source on which it begins, from 1, and how many lines it has.
    line: u32,
    lines: u32,
    /// Whether the lines of the source are those of the file.
    verbatim: bool,
}

impl Folder {
    /// Reads files, by their paths relative to the folder with `/` between the parts. Files that are none of a catalog
    /// (a README, generated code) are passed over. What is wrong is told by file.
    pub fn read(files: impl IntoIterator<Item = (String, String)>) -> (Self, Vec<(String, Finding)>) {
        let files: BTreeMap<String, String> = files.into_iter().collect();
        let mut folder = Self::default();
        let mut findings = Vec::new();
        let mut schemas = BTreeSet::new();
        for (path, text) in &files {
            let Some((kind, place)) = place_of(path) else { continue };
            match place {
                Place::Entry => folder.add(kind, path, text, &files, &mut schemas, &mut findings),
                Place::Lost(message) => findings.push((path.clone(), finding("file_misplaced", None, message))),
                Place::Beside => {}
            }
        }
        for path in files.keys().filter(|path| path.starts_with("types/") && is_beside(path)) {
            if !schemas.contains(path) {
                let message = "no definition in its folder names this file as its schema".to_owned();
                let mut found = finding("file_unused", None, message);
                found.severity = Severity::Warning;
                findings.push((path.clone(), found));
            }
        }
        (folder, findings)
    }

    fn add(
        &mut self,
        kind: Kind,
        path: &str,
        text: &str,
        files: &BTreeMap<String, String>,
        schemas: &mut BTreeSet<String>,
        findings: &mut Vec<(String, Finding)>,
    ) {
        let key = match source::key_of(kind, text) {
            Ok(key) => key,
            Err(found) => {
                findings.extend(found.into_iter().map(|found| (path.to_owned(), found)));
                return;
            }
        };
        let expected = default_path(&key);
        if stem(path) != stem(&expected) {
            let message = format!("holds {key}, which belongs into {}", with_ending_of(&expected, path));
            findings.push((path.to_owned(), finding("file_misplaced", Some(1), message)));
        }
        let mut file = File { path: path.to_owned(), source: text.to_owned(), schema: None };
        if kind == Kind::Definition
            && let Err(found) = file.inline(files, schemas)
        {
            findings.push((path.to_owned(), *found));
        }
        if let Some(other) = self.files.get(&key) {
            let message = format!("{key} stands in {} as well", other.path);
            findings.push((path.to_owned(), finding("entry_twice", Some(1), message)));
            return;
        }
        self.files.insert(key, file);
    }

    /// Its entries, by key. Schemas that stand in files of their own are part of the sources.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let entry = |(key, file): (&Key, &File)| Entry { key: key.clone(), source: Some(file.source.clone()) };
        self.files.iter().map(entry).collect()
    }

    /// The source of an entry.
    #[must_use]
    pub fn source(&self, key: &Key) -> Option<&str> {
        self.files.get(key).map(|file| file.source.as_str())
    }

    /// Where an entry stands, or would stand if it was written here.
    #[must_use]
    pub fn path_of(&self, key: &Key) -> String {
        self.files.get(key).map_or_else(|| default_path(key), |file| file.path.clone())
    }

    /// Whether an entry's source is its file, byte for byte: no schema stands in a file of its own.
    #[must_use]
    pub fn is_one_file(&self, key: &Key) -> bool {
        self.files.get(key).is_none_or(|file| file.schema.is_none())
    }

    /// The file and the line, from 1, of a line of an entry's source.
    #[must_use]
    pub fn locate(&self, key: &Key, line: Option<u32>) -> (String, Option<u32>) {
        let Some(file) = self.files.get(key) else { return (default_path(key), line) };
        let (Some(at), Some(schema)) = (line, &file.schema) else { return (file.path.clone(), line) };
        if at < schema.line {
            (file.path.clone(), line)
        } else if at < schema.line + schema.lines {
            (schema.path.clone(), schema.verbatim.then(|| at - schema.line + 1))
        } else {
            (file.path.clone(), Some(at - schema.lines + 1))
        }
    }
}

/// Where an entry stands in a folder.
#[must_use]
pub fn default_path(key: &Key) -> String {
    match key.kind {
        Kind::Definition => format!("types/{}/v{}.yaml", key.name, key.version),
        Kind::Set => format!("sets/{}.yaml", key.name),
        Kind::Policy => format!("policies/{}.yaml", key.name),
    }
}

impl File {
    /// Puts the schema that stands in a file of its own into the source.
    fn inline(&mut self, files: &BTreeMap<String, String>, used: &mut BTreeSet<String>) -> Result<(), Box<Finding>> {
        let Some((name, span, line)) = source::schema_file(&self.source) else { return Ok(()) };
        let wrong = |code: &'static str, message: String| {
            let mut found = finding(code, Some(line), message);
            found.path = "/schema".to_owned();
            Box::new(found)
        };
        let bare = name.strip_prefix("./").unwrap_or(&name);
        if bare.contains('/') || bare.contains('\\') || !bare.ends_with(".json") {
            return Err(wrong("schema_file_wrong", format!("\"{name}\" must be a .json file in the same folder")));
        }
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = format!("{folder}/{bare}");
        let Some(text) = files.get(&path) else {
            return Err(wrong("schema_file_missing", format!("there is no file {path}")));
        };
        used.insert(path.clone());
        let value: serde_json::Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => return Err(wrong("schema_file_wrong", format!("{path} is not JSON: {error}"))),
        };
        // As it stands, so that lines stay lines; but YAML does not know all of JSON's escapes, nor tabs as indentation.
        let verbatim = !text.contains("\\u") && !text.contains('\t') && !text.trim().is_empty();
        let text = if verbatim { text.trim_end().to_owned() } else { format!("{value:#}") };
        let indented = text.replace("\r\n", "\n").replace('\n', "\n  ");
        let lines = u32::try_from(indented.matches('\n').count()).unwrap_or(u32::MAX).saturating_add(1);
        self.source.replace_range(span, &indented);
        self.schema = Some(SchemaFile { path, line, lines, verbatim });
        Ok(())
    }
}

enum Place {
    /// It holds an entry.
    Entry,
    /// It belongs to an entry: a schema.
    Beside,
    /// It stands where nothing is looked for.
    Lost(String),
}

/// What a file of a catalog is; none for files that are none of it.
fn place_of(path: &str) -> Option<(Kind, Place)> {
    let (folder, rest) = path.split_once('/')?;
    let kind = match folder {
        "types" => Kind::Definition,
        "sets" => Kind::Set,
        "policies" => Kind::Policy,
        _ => return None,
    };
    if rest.split('/').any(|part| part.starts_with('.')) || !has_ending(rest) {
        return None;
    }
    let depth = rest.matches('/').count();
    let place = match kind {
        Kind::Definition if depth == 1 && is_beside(path) => Place::Beside,
        Kind::Definition if depth == 1 => Place::Entry,
        Kind::Definition => Place::Lost("definitions stand in types/<name>/v<version>.yaml".to_owned()),
        Kind::Set | Kind::Policy if depth == 0 => Place::Entry,
        Kind::Set | Kind::Policy => Place::Lost(format!("{kind} files stand in {folder}/ itself")),
    };
    Some((kind, place))
}

/// Whether a file in a type's folder is a schema rather than a definition: JSON, and not named `v<number>`.
fn is_beside(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".json").is_some_and(|stem| {
        stem.strip_prefix('v').is_none_or(|number| number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()))
    })
}

fn has_ending(path: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| path.ends_with(ending))
}

fn stem(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(stem, _)| stem)
}

fn with_ending_of(expected: &str, path: &str) -> String {
    let ending = path.rsplit_once('.').map_or("yaml", |(_, ending)| ending);
    format!("{}.{ending}", stem(expected))
}

fn finding(code: &'static str, line: Option<u32>, message: String) -> Finding {
    Finding {
        severity: Severity::Error,
        subject: Subject::Source,
        code,
        path: String::new(),
        line,
        message,
        proposal: None,
        witness: None,
        overridable: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAD: &str = "name: sales.lead.created\nversion: 1\nowner: sales\nschema: created.json\nretention: 1d\n";

    fn read(files: &[(&str, &str)]) -> (Folder, Vec<(String, &'static str)>) {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        let (folder, findings) = Folder::read(files);
        (folder, findings.into_iter().map(|(path, finding)| (path, finding.code)).collect())
    }

    #[test]
    fn a_schema_in_a_file_of_its_own_becomes_part_of_the_source_and_lines_are_found_in_it() {
        for schema in ["{\n  \"type\":\n  \"object\"\n}\n", "{\n\t\"type\": \"object\",\n\t\"title\": \"\\u00e9\"\n}"] {
            let (folder, findings) =
                read(&[("types/sales.lead.created/v1.yaml", LEAD), ("types/sales.lead.created/created.json", schema)]);
            assert_eq!(findings, []);
            let entry = &folder.entries()[0];
            let definition = source::read(entry.source.as_deref().expect("a source")).expect("a definition");
            assert_eq!(definition.schema["type"], "object");
            assert!(!folder.is_one_file(&entry.key));
            assert_eq!(folder.locate(&entry.key, Some(2)).1, Some(2));
            let (path, line) = folder.locate(&entry.key, Some(6));
            assert_eq!(path, "types/sales.lead.created/created.json");
            assert!(line.is_none_or(|line| line == 3));
            let retention = source::Outline::of(entry.source.as_deref().expect("a source")).line("/retention");
            assert_eq!(folder.locate(&entry.key, retention), ("types/sales.lead.created/v1.yaml".to_owned(), Some(5)));
        }
    }

    #[test]
    #[expect(clippy::type_complexity, reason = "a table")]
    fn files_that_stand_elsewhere_than_their_names_say_are_told() {
        let definition = LEAD.replace("created.json", "{ type: object }");
        let rows: &[(&[(&str, &str)], &[(&str, &str)])] = &[
            (&[("README.md", "x"), ("types/.hidden/v1.yaml", "x"), ("out/a.yaml", "x")], &[]),
            (
                &[("types/sales.lead.created/v2.yaml", &definition)],
                &[("types/sales.lead.created/v2.yaml", "file_misplaced")],
            ),
            (&[("types/v1.yaml", &definition)], &[("types/v1.yaml", "file_misplaced")]),
            (&[("sets/a.yaml", "name: b\nvalues: []")], &[("sets/a.yaml", "file_misplaced")]),
            (&[("sets/b.json", "{\"name\": \"b\", \"values\": []}")], &[]),
            (&[("policies/x/a.yaml", "name: a\nknown: off")], &[("policies/x/a.yaml", "file_misplaced")]),
            (
                &[("types/sales.lead.created/v1.yaml", &definition), ("types/sales.lead.created/v1.json", &definition)],
                &[("types/sales.lead.created/v1.yaml", "entry_twice")],
            ),
            (
                &[("types/sales.lead.created/v1.yaml", LEAD)],
                &[("types/sales.lead.created/v1.yaml", "schema_file_missing")],
            ),
            (
                &[("types/sales.lead.created/v1.yaml", &LEAD.replace("created.json", "../x.json"))],
                &[("types/sales.lead.created/v1.yaml", "schema_file_wrong")],
            ),
            (
                &[("types/sales.lead.created/v1.yaml", &definition), ("types/sales.lead.created/x.json", "{}")],
                &[("types/sales.lead.created/x.json", "file_unused")],
            ),
            (&[("types/sales.lead.created/v1.yaml", "a: [")], &[("types/sales.lead.created/v1.yaml", "yaml_syntax")]),
        ];
        for (files, expected) in rows {
            let expected: Vec<_> = expected.iter().map(|(path, code)| ((*path).to_owned(), *code)).collect();
            assert_eq!(read(files).1, expected, "{files:?}");
        }
    }
}
