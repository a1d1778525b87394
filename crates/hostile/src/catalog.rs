//! Sources of the catalog: definitions, sets and policies in YAML or JSON, alone and as files of a folder.

use tidings_catalog::entry::{Entry, Key};
use tidings_catalog::folder::Folder;
use tidings_catalog::judge::Catalog;
use tidings_catalog::report::Finding;
use tidings_catalog::source;

use super::given::{is_pointer, recorded, with_data};

/// Reads the bytes as a source of each kind, and as a folder with this one file.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(definition) = judged(text, source::read(text)) {
        let written = source::write(&definition);
        let again = source::read(&written);
        assert_eq!(again.as_ref(), Ok(&definition), "the definition is another one once it is written:\n{written}");
        put(definition.key(), text);
    }
    if let Some(set) = judged(text, source::read_set(text)) {
        let written = source::write_set(&set);
        assert_eq!(source::read_set(&written).as_ref(), Ok(&set), "{written}");
        put(Key::set(set.name), text);
    }
    if let Some(policy) = judged(text, source::read_policy(text)) {
        let written = source::write_policy(&policy);
        assert_eq!(source::read_policy(&written).as_ref(), Ok(&policy), "{written}");
        put(Key::policy(policy.name), text);
    }
    if let Some(value) = judged(text, source::to_json(text)) {
        let written = source::to_yaml(&value);
        assert_eq!(source::to_json(&written).as_ref(), Ok(&value), "{written}");
    }
    let files = ["types/sales.lead.created/v1.yaml", "types/sales.lead.created/created.schema.json", "sets/x.yaml"];
    let (folder, _) = Folder::read(files.map(|path| (path.to_owned(), text.to_owned())));
    for entry in folder.entries() {
        assert_eq!(folder.source(&entry.key), entry.source.as_deref());
        let _ = folder.locate(&entry.key, Some(3));
    }
}

/// What was read; what was refused says where and why.
fn judged<T>(text: &str, read: Result<T, Vec<Finding>>) -> Option<T> {
    read.map_err(|findings| {
        assert!(!findings.is_empty(), "refused without a reason");
        // A carriage return ends a line of YAML, too.
        let lines = text.matches(['\n', '\r']).count() + 1;
        for finding in findings {
            assert!(is_pointer(&finding.path), "the path {:?}", finding.path);
            assert!(!finding.message.is_empty(), "no message for {}", finding.code);
            let line = finding.line.unwrap_or(1);
            assert!((1..=lines).contains(&(line as usize)), "line {line} of {lines}: {}", finding.message);
        }
    })
    .ok()
}

/// An entry can be put into a catalog, and taken out; events are judged meanwhile.
fn put(key: Key, source: &str) {
    let event = with_data(tidings_event::Data::trusted(br#"{"amount":1500,"name":"x"}"#.to_vec()));
    let entry = Entry { key: key.clone(), source: Some(source.to_owned()) };
    let catalog = Catalog::empty().with([entry]);
    let today = jiff::civil::date(2026, 3, 15);
    let _ = catalog.judge(&event, today);
    let _ = catalog.violations(&recorded(event).event, today);
    let without = catalog.with([Entry { key, source: None }]);
    assert_eq!(without.entries().count(), 0);
}
