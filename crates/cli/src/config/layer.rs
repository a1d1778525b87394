//! Where values come from: flags, environment, file, defaults, in this order of precedence.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use tidings_bus::nats::Servers;

use super::check::{self, SourceSetting};
use super::mask::{MASK, mask_url};
use super::setting::{Group, Kind, SETTINGS, STANDARD, Setting};

/// The file that is read from the data directory.
pub(crate) const FILE_NAME: &str = "tidings.toml";
/// The environment variable that names another file.
pub(crate) const FILE_ENV: &str = "TIDINGS_CONFIG";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(&'static str),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// A setting, what it is set to, and by whom.
#[derive(Debug, Clone)]
pub(crate) struct InForce {
    pub(crate) setting: &'static Setting,
    /// The value as text; empty where there is none.
    pub(crate) text: String,
    /// The value of a list of sources.
    pub(crate) sources: Vec<SourceSetting>,
    pub(crate) origin: Origin,
}

impl InForce {
    /// The value as a person may see it.
    pub(crate) fn shown(&self) -> String {
        match self.setting.kind {
            Kind::Sources => {
                let shown = self.sources.iter().map(|source| format!("{}={}", source.name, mask_url(&source.url)));
                shown.collect::<Vec<_>>().join(",")
            }
            Kind::Shards => {
                let shards = super::shards::shards(&self.text).unwrap_or_default();
                let shown = shards.iter().map(|shard| format!("{}={}", shard.name, mask_url(&shard.url)));
                shown.collect::<Vec<_>>().join(",")
            }
            _ if self.text.is_empty() => String::new(),
            _ if self.setting.is_secret() => MASK.to_owned(),
            Kind::Database | Kind::Server | Kind::Proxy => mask_url(&self.text),
            Kind::Nats => Servers::parse(&self.text).map_or_else(|_| MASK.to_owned(), |servers| servers.to_string()),
            _ => self.text.clone(),
        }
    }
}

/// Everything that is set, checked.
#[derive(Debug)]
pub(crate) struct Layers {
    values: Vec<InForce>,
    /// The file that was read, if there was one.
    pub(crate) file: Option<PathBuf>,
    /// Variables that begin with `TIDINGS_` and mean nothing here.
    pub(crate) strange: Vec<String>,
    /// Standard variables whose values cannot be used, and why.
    ignored: Vec<String>,
}

/// What the surroundings hold, handed in so that tests need no environment of their own.
pub(crate) struct Surroundings<'a> {
    /// Flags by setting.
    pub(crate) flags: Vec<(&'static Setting, String)>,
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
    /// The environment.
    pub(crate) env: &'a BTreeMap<String, String>,
}

/// What is wrong with the configuration: one line each.
#[derive(Debug)]
pub(crate) struct Invalid(pub(crate) Vec<String>);

impl Layers {
    /// Reads all layers and checks every value; all problems are reported at once.
    pub(crate) fn read(around: &Surroundings<'_>) -> Result<Self, Invalid> {
        let mut problems = Vec::new();
        let file = locate(around);
        let read = file.as_deref().map(|path| read_file(path, &mut problems)).unwrap_or_default();
        let mut ignored = Vec::new();
        let values = SETTINGS.iter().map(|setting| {
            let value = resolve(setting, around, file.as_deref(), &read, &mut problems);
            if value.origin == Origin::Default { standard(value, around.env, &mut ignored) } else { value }
        });
        let values: Vec<InForce> = values.collect();
        let known = |name: &str| SETTINGS.iter().any(|setting| setting.env == name) || name == FILE_ENV;
        let strange = around.env.keys().filter(|name| name.starts_with("TIDINGS_") && !known(name));
        let strange = strange.cloned().collect();
        if problems.is_empty() { Ok(Self { values, file, strange, ignored }) } else { Err(Invalid(problems)) }
    }

    /// One setting.
    pub(crate) fn get(&self, name: &str) -> &InForce {
        let wanted = Setting::named(name);
        self.values.iter().find(|value| value.setting.name == wanted.name).expect("every setting was resolved")
    }

    /// All of them, in the order of the reference.
    pub(crate) fn all(&self) -> &[InForce] {
        &self.values
    }

    /// A text, if there is one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let text = self.get(name).text.as_str();
        (!text.is_empty()).then_some(text)
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let value = self.get(name);
        let Kind::Integer(min, max) = value.setting.kind else { return 0 };
        check::integer(min, max, &value.text).expect("the value was checked when it was read")
    }

    /// A switch.
    pub(crate) fn switch(&self, name: &str) -> bool {
        check::switch(&self.get(name).text).expect("the value was checked when it was read")
    }

    /// A sentence for each strange variable.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.env).collect();
        let hint = |name: &str| nearest(name, &names).map_or(String::new(), |near| format!("; did you mean {near}?"));
        // Only what is close to a setting is a likely slip; other programs may have variables of their own.
        let slips = self.strange.iter().filter(|name| nearest(name, &names).is_some());
        let slips = slips.map(|name| format!("the environment variable {name} is not a setting{}", hint(name)));
        slips.chain(self.ignored.iter().cloned()).collect()
    }
}

/// `--config`, else TIDINGS_CONFIG, else `tidings.toml` in the data directory if it is there.
fn locate(around: &Surroundings<'_>) -> Option<PathBuf> {
    if let Some(path) = &around.file {
        return Some(path.clone());
    }
    if let Some(path) = around.env.get(FILE_ENV).filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    let setting = Setting::named("data_dir");
    let flag = around.flags.iter().find(|(of, _)| of.name == setting.name).map(|(_, text)| text.as_str());
    let dir = flag.or_else(|| around.env.get(setting.env).map(String::as_str)).unwrap_or(setting.default);
    let path = Path::new(dir).join(FILE_NAME);
    path.is_file().then_some(path)
}

/// What a file sets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FileValues {
    pub(super) texts: BTreeMap<String, String>,
    pub(super) sources: Option<Vec<SourceSetting>>,
}

fn read_file(path: &Path, problems: &mut Vec<String>) -> FileValues {
    match std::fs::read_to_string(path) {
        Ok(text) => read_text(path, &text, problems),
        Err(error) => {
            problems.push(format!("{}: cannot be read: {error}", path.display()));
            FileValues::default()
        }
    }
}

/// Reads the text of a file. What is wrong is told by its place, never by quoting the file, which may hold secrets.
pub(super) fn read_text(path: &Path, text: &str, problems: &mut Vec<String>) -> FileValues {
    let mut found = FileValues::default();
    match text.parse::<toml::Table>() {
        Ok(table) => flatten("", &table, &mut found, &mut |problem| {
            problems.push(format!("{}: {problem}", path.display()));
        }),
        Err(error) => {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let (line, column) =
                (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
            problems.push(format!("{}: line {line}, column {column}: {}", path.display(), error.message().trim_end()));
        }
    }
    found
}

fn flatten(prefix: &str, table: &toml::Table, found: &mut FileValues, refuse: &mut dyn FnMut(String)) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if name == "source" {
            match sources_of(value) {
                Ok(sources) => found.sources = Some(sources),
                Err(reason) => refuse(format!("[[source]]: {reason}")),
            }
            continue;
        }
        if name == "shard" {
            match super::shards::text_of(value) {
                Ok(text) => drop(found.texts.insert("shards".to_owned(), text)),
                Err(reason) => refuse(format!("[[shard]]: {reason}")),
            }
            continue;
        }
        let is_setting = SETTINGS.iter().any(|setting| setting.name == name);
        let is_section = SETTINGS.iter().any(|setting| setting.name.starts_with(&format!("{name}.")));
        match value {
            toml::Value::Table(inner) if is_section => flatten(&name, inner, found, refuse),
            _ if !is_setting => refuse(unknown(&name)),
            _ if name == "sources" => refuse("sources stand in [[source]] tables with name and url".to_owned()),
            _ if name == "shards" => {
                refuse("shards stand in [[shard]] tables with name, url and partitions".to_owned());
            }
            value => match text_of(value) {
                Some(text) => drop(found.texts.insert(name, text)),
                None => refuse(format!("{name}: must be a text, a number, a switch or a list of texts or numbers")),
            },
        }
    }
}

fn unknown(name: &str) -> String {
    let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).chain(["source", "shard"]).collect();
    let hint = nearest(name, &names).map_or(String::new(), |near| format!("; did you mean '{near}'?"));
    format!("'{name}' is not a setting{hint}")
}

fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Array(items) => {
            let text = |item: &toml::Value| match item {
                toml::Value::String(text) => Some(text.clone()),
                toml::Value::Integer(number) => Some(number.to_string()),
                _ => None,
            };
            let texts: Option<Vec<String>> = items.iter().map(text).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}

fn sources_of(value: &toml::Value) -> Result<Vec<SourceSetting>, String> {
    let tables = value.as_array().ok_or("write [[source]] with two brackets, once for each source")?;
    let each = tables.iter().map(|table| {
        let table = table.as_table().ok_or("must be a table with name and url")?;
        if let Some(strange) = table.keys().find(|key| !matches!(key.as_str(), "name" | "url" | "service")) {
            let near = nearest(strange, &["name", "url", "service"]);
            return Err(format!(
                "'{strange}' is not known{}",
                near.map_or(String::new(), |n| format!("; did you mean '{n}'?"))
            ));
        }
        let field = |name: &str| table.get(name).and_then(toml::Value::as_str).ok_or(format!("{name} is missing"));
        let service =
            table.get("service").map(|service| service.as_str().ok_or("service must be a string")).transpose()?;
        check::source(field("name")?, field("url")?, service)
    });
    check::distinct(each.collect::<Result<_, String>>()?)
}

fn resolve(
    setting: &'static Setting,
    around: &Surroundings<'_>,
    path: Option<&Path>,
    file: &FileValues,
    problems: &mut Vec<String>,
) -> InForce {
    let flag = around.flags.iter().find(|(of, _)| of.name == setting.name);
    let env = around.env.get(setting.env).filter(|text| !text.is_empty());
    let from_file = path.map(|path| Origin::File(path.to_owned())).unwrap_or(Origin::Default);
    let (text, origin) = match (flag, env, file.texts.get(setting.name)) {
        (Some((_, text)), _, _) => (text.clone(), Origin::Flag(setting.flag.unwrap_or_default())),
        (None, Some(text), _) => (text.clone(), Origin::Environment(setting.env)),
        (None, None, Some(text)) => (text.clone(), from_file.clone()),
        (None, None, None) => (setting.default.to_owned(), Origin::Default),
    };
    let mut value = InForce { setting, text, sources: Vec::new(), origin };
    if setting.kind == Kind::Sources {
        if value.origin == Origin::Default
            && let Some(sources) = &file.sources
        {
            value.sources.clone_from(sources);
            value.origin = from_file;
        } else {
            value.sources = check::sources(&value.text).unwrap_or_default();
        }
    }
    if value.origin != Origin::Default
        && let Err(reason) = check::check(setting, &value.text)
    {
        problems.push(format!("{} ({}): {reason}", setting.name, value.origin));
    }
    value
}

/// A value of OpenTelemetry's variables for a setting that has none of its own, where it can be used.
fn standard(default: InForce, env: &BTreeMap<String, String>, ignored: &mut Vec<String>) -> InForce {
    let setting = default.setting;
    let Some((_, name)) = STANDARD.iter().find(|(of, _)| *of == setting.name) else { return default };
    let Some(text) = env.get(*name).filter(|text| !text.is_empty()) else { return default };
    match check::check(setting, text) {
        Ok(()) => InForce { text: text.clone(), origin: Origin::Environment(name), ..default },
        Err(reason) => {
            ignored.push(format!("the environment variable {name} is left out: {reason}"));
            default
        }
    }
}

/// The name that is fewest slips away, if it is close enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let best = known.iter().map(|candidate| (distance(name, candidate), *candidate)).min()?;
    (best.0 <= 1 + name.len() / 4).then_some(best.1)
}

/// How many letters must be put in, left out, changed or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows = vec![(0..=right.len()).collect::<Vec<usize>>()];
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut cost = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                cost = cost.min(rows[i - 1][j - 1] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

/// The settings of some groups.
pub(crate) fn settings_of(groups: &[Group]) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| groups.contains(&setting.group))
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
