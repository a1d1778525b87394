//! Rules in CEL, as definitions hold them.

use serde_json::json;
use tidings_catalog::entry::Entry;
use tidings_catalog::judge::{Catalog, Judgement};
use tidings_catalog::source;
use tidings_event::{Data, Violation};

use super::given::{parts, with_data};

/// An input is an expression, a zero, and the data of an event.
pub fn check(input: &[u8]) {
    let parts = parts(input, 2);
    let Some(Ok(expression)) = parts.first().map(|part| std::str::from_utf8(part)) else { return };
    let definition = json!({
        "name": "sales.lead.created", "version": "1", "owner": "sales", "description": "A lead was created.", "schema": {"type": "object"},
        "rules": [{"name": "the_rule", "check": expression, "message": "must hold"}],
    })
    .to_string();
    // Whether the expression compiles is found when the definition is put into a catalog.
    let definition = match source::read(&definition) {
        Ok(read) => Entry { key: read.key(), source: Some(definition) },
        Err(findings) => {
            assert!(findings.iter().all(|finding| finding.path.starts_with("/rules")), "{findings:?}");
            return;
        }
    };
    let catalog = Catalog::empty().with([definition]);
    let today = jiff::civil::date(2026, 3, 15);
    let sample = Data::trusted(
        br#"{"amount":1500,"name":"x","items":[{"count":1},{"count":2}],"at":"2026-03-15T10:00:00Z"}"#.to_vec(),
    );
    let given = parts.get(1).and_then(|data| Data::parse(data.to_vec()).ok());
    for data in [Some(sample), given].into_iter().flatten() {
        let event = with_data(data);
        let first = of(&catalog.judge(&event, today));
        assert_eq!(of(&catalog.judge(&event, today)), first, "judged twice, and differently");
        assert!(first.iter().all(|violation| !violation.message.is_empty()));
    }
}

fn of(judgement: &Judgement) -> Vec<Violation> {
    match judgement {
        Judgement::Pass(_) => Vec::new(),
        Judgement::Observe(violations, _) | Judgement::Quarantine(violations) | Judgement::Refuse(violations) => {
            violations.clone()
        }
    }
}
