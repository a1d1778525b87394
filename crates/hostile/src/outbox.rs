//! Rows of an outbox: source key, envelope and probe, which any producer writes.

use tidings_core::reconcile::{Probe, Stored};
use tidings_event::{EventId, Mint, Timestamp, parse_event};
use tidings_outbox::same_content;

use super::given::{is_pointer, parts, refused, taken};

/// Lends its key and moment to an event that leaves them out, as the pump does.
struct RowMint(EventId);

impl Mint for RowMint {
    fn id(&mut self) -> EventId {
        self.0.clone()
    }

    fn now(&mut self) -> Timestamp {
        Timestamp::from_micros(1_000_000)
    }
}

/// An input is a source key, a zero, a probe, a zero, and the envelope.
pub fn check(input: &[u8]) {
    let parts = parts(input, 3);
    if let Some(probe) = parts.get(1) {
        check_probe(probe);
    }
    let (Some(Ok(key)), Some(envelope)) = (parts.first().map(|key| std::str::from_utf8(key)), parts.get(2)) else {
        return;
    };
    let Ok(key) = EventId::parse(key) else { return };
    match parse_event(envelope, &mut RowMint(key.clone())) {
        Ok(event) => {
            let again = parse_event(envelope, &mut RowMint(key));
            assert_eq!(again.as_ref(), Ok(&event), "a row reads the same however often it is read");
            taken(&event);
            let written = String::from_utf8(event.to_json()).expect("JSON is text");
            assert!(same_content(&written, &written), "{written} is not what it is");
            let sent = std::str::from_utf8(envelope).expect("what was taken is text");
            assert!(same_content(sent, &written), "{sent} became {written}");
        }
        Err(rejection) => refused(rejection),
    }
}

fn check_probe(json: &[u8]) {
    match Stored::parse(json) {
        Ok(stored) => {
            let written = stored.to_json();
            let again = written.as_deref().map_or_else(|| Ok(Stored::default()), Stored::parse);
            assert_eq!(again.as_ref(), Ok(&stored), "a probe is another one once it is written");
        }
        Err(error) => assert!(is_pointer(&error.path) && !error.message.is_empty(), "{error:?}"),
    }
    if let Ok(probe) = Probe::parse(json) {
        assert_eq!(Probe::parse(&probe.to_json()).as_ref(), Ok(&probe));
    }
}
