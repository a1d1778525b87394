//! From an outbox row to an event.

use tidings_catalog::judge::Catalog;
use tidings_catalog::mint::CurrentMint;
use tidings_event::{ErrorCode, Event, EventId, Mint, Problem, Timestamp, Violation, parse_event};
use tidings_store::OutboxRow;

/// Fills in what the envelope of a row leaves out: the id is the source key, the time is the row's own. So a row reads
/// the same however often it is read, until the catalog changes.
struct RowMint {
    key: EventId,
    at: Timestamp,
}

impl Mint for RowMint {
    fn id(&mut self) -> EventId {
        self.key.clone()
    }

    fn now(&mut self) -> Timestamp {
        self.at
    }
}

/// Reads a row's event, or says what is wrong with it.
pub(super) fn read(row: &OutboxRow, catalog: &Catalog) -> Result<Event, Problem> {
    let key = EventId::parse(&row.source_key)
        .map_err(|error| about_id("source_key_malformed", format!("the row's source key is no event id: {error}")))?;
    let mut mint = CurrentMint { given: RowMint { key, at: row.created_at }, catalog };
    let event = parse_event(&row.event, &mut mint).map_err(Problem::from)?;
    let RowMint { key, .. } = mint.given;
    if event.id != key {
        let message = format!("differs from the row's source key '{key}'");
        return Err(about_id("source_key_mismatch", message));
    }
    Ok(event)
}

fn about_id(code: &'static str, message: String) -> Problem {
    let mut problem = Problem::new(ErrorCode::EventInvalid, "The outbox row is not valid.");
    problem.errors.push(Violation { path: "/id".to_owned(), code, message });
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(row: &OutboxRow) -> Result<Event, Problem> {
        super::read(row, &Catalog::empty())
    }

    fn row(source_key: &str, event: &str) -> OutboxRow {
        OutboxRow {
            id: 1,
            source_key: source_key.to_owned(),
            event: event.as_bytes().to_vec(),
            created_at: Timestamp::from_micros(1_000_000),
        }
    }

    const BARE: &str =
        r#"{"type":"sales.lead.created","tenant":"acme","source":{"type":"service","id":"sales"},"data":{}}"#;

    #[test]
    fn a_row_lends_its_event_the_source_key_and_the_time_that_it_leaves_out() {
        let event = read(&row("key_1", BARE)).unwrap();
        assert_eq!(event.id.as_str(), "key_1");
        assert_eq!(event.metadata.correlation_id.as_str(), "key_1");
        assert_eq!(event.timestamp, Timestamp::from_micros(1_000_000));
    }

    #[test]
    fn rows_that_are_not_valid_are_told_apart() {
        let with_id = BARE.replacen('{', r#"{"id":"other","#, 1);
        let cases = [(row("key_1", &with_id), "source_key_mismatch"), (row("has.dot", BARE), "source_key_malformed")];
        for (row, code) in cases {
            let problem = read(&row).unwrap_err();
            assert_eq!(problem.code, ErrorCode::EventInvalid);
            assert_eq!(problem.errors.first().map(|violation| violation.code), Some(code));
        }
        assert_eq!(read(&row("key_1", "{")).unwrap_err().code, ErrorCode::BodyMalformed);
        assert_eq!(read(&row("key_1", "{}")).unwrap_err().code, ErrorCode::EventInvalid);
    }
}
