//! Names, types, moments and shorthand for types: the texts that stand in paths and queries.

use tidings_core::pattern::Pattern;
use tidings_event::{EndpointId, ErrorCode, Event, EventId, EventType, TenantId, Text, Timestamp, Version, delivery};

use super::given::{is_pointer, recorded, with_data};

/// Reads the bytes as each kind of name.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = Text::parse(text).map(|name| assert_eq!(name.as_str(), text));
    let _ = Version::parse(text).map(|name| assert_eq!(name.as_str(), text));
    let _ = EndpointId::parse(text).map(|name| assert_eq!(name.as_str(), text));
    if let Ok(id) = EventId::parse(text) {
        assert!(!id.as_str().contains('.') && id.as_str().is_ascii(), "{id} would blur what is signed");
    }
    if let Ok(tenant) = TenantId::parse(text) {
        assert!(!tenant.as_str().contains(['/', '\0', '\n']), "{tenant:?}");
    }
    if let Ok(code) = ErrorCode::parse(text).ok_or(()) {
        assert_eq!(code.as_str(), text);
    }
    let _ = (delivery::Failure::parse(text), delivery::DeadReason::parse(text), delivery::CircuitState::parse(text));
    if let Ok(moment) = Timestamp::parse(text) {
        let written = moment.to_string();
        assert_eq!(Timestamp::parse(&written), Ok(moment), "{written}");
        assert_eq!(Timestamp::from_micros(moment.as_micros()), moment, "{written}");
        assert_eq!(written.parse::<jiff::Timestamp>().expect("RFC 3339"), moment.as_jiff());
    }
    shorthand(text);
}

/// `*`, a type, or what stands before `.*` and a segment more.
fn shorthand(text: &str) {
    match Pattern::of_type(text) {
        Ok(pattern) => {
            for name in ["sales.lead.created", "sales.lead", "salesman.hired", "a.b.c.d.e"] {
                let expected = match text.strip_suffix('*') {
                    Some("") => true,
                    Some(prefix) => name.starts_with(prefix),
                    None => name == text,
                };
                assert_eq!(pattern.matches(&recorded(of_type(name))), expected, "{text} on {name}");
            }
            assert!(text == "*" || text.ends_with(".*") || EventType::parse(text).is_ok(), "{text}");
        }
        Err(error) => assert!(is_pointer(&error.path) && !error.message.is_empty(), "{error:?}"),
    }
}

fn of_type(name: &str) -> Event {
    let mut event = with_data(tidings_event::Data::trusted(b"{}".to_vec()));
    event.event_type = EventType::parse(name).expect("a type");
    event
}
