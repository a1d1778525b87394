//! The documentation site: static pages about every type, its owner, its data and who reads it.
//!
//! Everything that definitions and lineage say is text that somebody else wrote: templates escape it, what is written
//! here without a template escapes it too, and addresses are made of slugs. The pages ask for nothing from outside and
//! work from a folder as well as from a server.

use std::sync::Arc;

use minijinja::{Environment, Error, ErrorKind, Output, State, Value, context};
use tidings_event::Timestamp;

use crate::definition::Definition;
use crate::entry::{Key, Policy, Set};
use crate::generate::File;
use crate::lineage::Lineage;
use crate::report::Change;

mod diagram;
mod highlight;
mod model;
mod overview;
mod page;
mod properties;
mod search;
mod slug;
mod view;

use model::Model;

/// What the site is made of.
#[derive(Debug, Clone, Default)]
pub struct SiteInput {
    /// The name of the product, for people.
    pub title: String,
    /// All definitions, in any order.
    pub definitions: Vec<Arc<Definition>>,
    /// All reference sets.
    pub sets: Vec<Set>,
    /// All policies.
    pub policies: Vec<Policy>,
    /// What was changed, in any order; empty where it is not known.
    pub history: Vec<Revised>,
    /// Who publishes and subscribes; none where it is not known.
    pub lineage: Option<Vec<Lineage>>,
    /// When the site was made, or from what, for people; empty says nothing.
    pub generated_at: String,
}

/// One change of one entry, for the list of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revised {
    /// Which entry.
    pub key: Key,
    /// The catalog's revision that the change made.
    pub revision: u64,
    /// What the change did to the entry.
    pub change: Change,
    /// Who made it.
    pub by: String,
    /// Why what the checks found was allowed, where it was.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Writes the site: pages, style, scripts and the index that the search looks into. The same input gives the same
/// bytes. `index.html` is where it begins.
#[must_use]
pub fn site(input: &SiteInput) -> Vec<File> {
    let model = Model::new(input);
    let pages = Pages::new(&model);
    let mut files = vec![
        pages.render("index.html", "", overview::index(&model)),
        pages.render("owners.html", "", overview::owners(&model)),
        pages.render("personal-data.html", "", overview::personal(&model)),
        pages.render("sets.html", "", overview::sets(&model)),
        pages.render("policies.html", "", overview::policies(&model)),
    ];
    for known in &model.types {
        let view = page::whole(&model, known);
        files.push(pages.page("type.html", &known.path(), "../", view));
    }
    for (path, text) in ASSETS {
        files.push(File { path: (*path).to_owned(), text: (*text).to_owned() });
    }
    files.push(File { path: "assets/search-index.js".to_owned(), text: search::index(&model) });
    files
}

const ASSETS: &[(&str, &str)] = &[
    ("assets/site.css", include_str!("site/assets/site.css")),
    ("assets/theme.js", include_str!("site/assets/theme.js")),
    ("assets/site.js", include_str!("site/assets/site.js")),
    ("assets/icon.svg", include_str!("site/assets/icon.svg")),
];

const TEMPLATES: &[(&str, &str)] = &[
    ("layout.html", include_str!("site/templates/layout.html")),
    ("parts.html", include_str!("site/templates/parts.html")),
    ("index.html", include_str!("site/templates/index.html")),
    ("owners.html", include_str!("site/templates/owners.html")),
    ("personal-data.html", include_str!("site/templates/personal-data.html")),
    ("sets.html", include_str!("site/templates/sets.html")),
    ("policies.html", include_str!("site/templates/policies.html")),
    ("type.html", include_str!("site/templates/type.html")),
];

/// The templates, and what every page says.
struct Pages {
    environment: Environment<'static>,
    site: Value,
}

impl Pages {
    fn new(model: &Model<'_>) -> Self {
        let mut environment = Environment::new();
        environment.set_formatter(write);
        environment.add_filter("breaks", |text: &str| Value::from_safe_string(highlight::breaks(text)));
        for (name, text) in TEMPLATES {
            environment
                .add_template(name, text)
                .expect("the templates are a part of the program, and a test reads them");
        }
        let site = context! { title => model.title(), generated_at => model.input.generated_at.as_str() };
        Self { environment, site }
    }

    fn render(&self, template: &str, root: &str, view: Value) -> File {
        self.page(template, template, root, view)
    }

    fn page(&self, template: &str, path: &str, root: &str, view: Value) -> File {
        let page = context! { site => self.site.clone(), root, page => template, ..view };
        let text = self
            .environment
            .get_template(template)
            .and_then(|template| template.render(page))
            .expect("the templates name only what the views hold, and a test renders every branch");
        File { path: path.to_owned(), text }
    }
}

/// Writes a value of a template: as text, unless a view made it as HTML.
fn write(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = value.to_string();
    let mut html = String::new();
    if value.is_safe() {
        html = text;
    } else if !value.is_undefined() && !value.is_none() {
        highlight::escape(&text, &mut html);
    }
    out.write_str(&html).map_err(|_| Error::new(ErrorKind::WriteFailure, "a page could not be written"))
}
