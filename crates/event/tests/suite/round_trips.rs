//! What is written comes back as it was.

use proptest::prelude::*;
use tidings_event::{
    Cursor, CursorKey, CursorSealer, Event, FilterHash, LogId, Problem, Sequence, TenantId, Timestamp, cloudevents,
    hash_content, parse_batch, parse_event,
};

use crate::given::{self, mint, recorded};

/// A foreign CloudEvent with this source, subject and schema.
fn foreign(source: &str, subject: &str, schema: &str) -> String {
    let string = |text: &str| serde_json::to_string(text).unwrap();
    format!(
        r#"{{"specversion":"1.0","id":"1","type":"a.b","tenant":"t","source":{},"subject":{},"dataschema":{},"data":{{}}}}"#,
        string(source),
        string(subject),
        string(schema),
    )
}

fn attribute(document: &[u8], name: &str) -> String {
    serde_json::from_slice::<serde_json::Value>(document).unwrap()[name].as_str().unwrap().to_owned()
}

proptest! {
    #[test]
    fn an_event_comes_back_from_its_json(event in given::events()) {
        prop_assert_eq!(&parse_event(&event.to_json(), &mut mint()).unwrap(), &event);
    }

    #[test]
    fn an_event_comes_back_from_its_structured_cloudevent(event in given::events()) {
        let mut json = Vec::new();
        cloudevents::write_event(&event, &mut json);
        prop_assert_eq!(&cloudevents::parse_structured(&json, &mut mint()).unwrap(), &event);
    }

    #[test]
    fn an_event_comes_back_from_its_binary_cloudevent(event in given::events()) {
        let headers = cloudevents::binary_event_headers(&event);
        for (name, value) in &headers {
            prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", name);
            prop_assert!(name == "content-type" || value.bytes().all(|b| b.is_ascii_graphic() && b != b'"'), "{}", value);
        }
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let back = cloudevents::parse_binary(headers, event.data.as_bytes(), &mut mint()).unwrap();
        prop_assert_eq!(&back, &event);
    }

    #[test]
    fn batches_come_back_in_order(events in prop::collection::vec(given::events(), 1..5)) {
        let (mut native, mut foreign) = (vec![b'['], vec![b'[']);
        for (i, event) in events.iter().enumerate() {
            if i > 0 {
                native.push(b',');
                foreign.push(b',');
            }
            event.write_json(&mut native);
            cloudevents::write_event(event, &mut foreign);
        }
        native.push(b']');
        foreign.push(b']');
        let native = parse_batch(&native, &mut mint()).unwrap();
        prop_assert!(native.ids_given);
        prop_assert_eq!(&native.events, &events);
        prop_assert_eq!(&cloudevents::parse_batch(&foreign, &mut mint()).unwrap().events, &events);
    }

    #[test]
    fn a_recorded_event_is_the_event_with_what_the_log_assigned(event in given::events()) {
        let recorded = recorded(event);
        let sent = String::from_utf8(recorded.event.to_json()).unwrap();
        let kept = String::from_utf8(recorded.to_json()).unwrap();
        let assigned = r#","sequence":1207,"recorded_at":"2026-03-15T10:00:00.012345Z"}"#;
        prop_assert_eq!(format!("{}{assigned}", sent.strip_suffix('}').unwrap()), kept);
    }

    #[test]
    fn the_names_of_other_makers_come_back_as_they_were(
        source in prop_oneof![given::texts().prop_map(|t| t.as_str().to_owned()), "(\\./){0,2}[a-z/%4F:.]{1,6}"],
        subject in given::texts(),
        schema in prop_oneof!["[a-z]{1,3}:[a-z/%4F]{1,6}", "tag:tidings\\.dev,2026:schema/a\\.b/[a-z:%/4F]{1,4}"],
    ) {
        let json = foreign(&source, subject.as_str(), &schema);
        // Not everything made here is a URI, and a relative source may grow too long for a text.
        if let Ok(event) = cloudevents::parse_structured(json.as_bytes(), &mut mint()) {
            let mut written = Vec::new();
            cloudevents::write_event(&event, &mut written);
            prop_assert_eq!(attribute(&written, "source"), source);
            prop_assert_eq!(attribute(&written, "subject"), subject.as_str());
            prop_assert_eq!(attribute(&written, "dataschema"), schema);
        }
    }

    #[test]
    fn a_moment_comes_back_from_its_text_and_agrees_with_jiff(moment in given::timestamps()) {
        let text = moment.to_string();
        prop_assert_eq!(Timestamp::parse(&text).unwrap(), moment);
        prop_assert_eq!(text.parse::<jiff::Timestamp>().unwrap(), moment.as_jiff());
    }

    #[test]
    fn a_cursor_comes_back_from_its_text(
        master in any::<[u8; 32]>(), log in any::<u128>(), tenant in given::texts(), sequence in any::<u64>(),
        filter in any::<[u8; 8]>(),
    ) {
        let tenant = TenantId::trusted(tenant.as_str());
        let key = CursorKey::derive(&master);
        let (log, filter) = (LogId(log.into()), FilterHash(filter));
        let cursor = Cursor::new(log, &tenant, Sequence(sequence), filter);
        let text = key.seal(&cursor);
        prop_assert_eq!(key.open(&text).unwrap(), cursor);
        prop_assert_eq!(cursor.check(log, &tenant, filter), Ok(Sequence(sequence)));
        prop_assert_eq!(CursorSealer::new(&key, log, &tenant, filter).seal(Sequence(sequence)), text);
    }

    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), event in given::events(), cut in any::<prop::sample::Index>()) {
        let mut json = event.to_json();
        let at = cut.index(json.len());
        json.splice(at..at, bytes.iter().copied().take(3));
        for body in [&bytes, &json] {
            for outcome in [
                parse_batch(body, &mut mint()).map(drop),
                cloudevents::parse_structured(body, &mut mint()).map(drop),
                cloudevents::parse_binary([("ce-id", body.as_slice())].into_iter(), body, &mut mint()).map(drop),
            ] {
                if let Err(rejection) = outcome {
                    prop_assert!(!rejection.violations.is_empty());
                    let problem = Problem::from(rejection);
                    prop_assert_eq!(serde_json::from_slice::<Problem>(&problem.to_json()).unwrap(), problem);
                }
            }
        }
    }
}

#[test]
fn the_same_content_is_type_source_entity_and_bytes_of_data() {
    type Change = fn(&mut Event);
    let rows: &[(&str, bool, Change)] = &[
        ("nothing", true, |_| {}),
        ("id", true, |e| e.id = given::sparse_event().id),
        ("timestamp", true, |e| e.timestamp = Timestamp::from_micros(0)),
        ("actor", true, |e| e.actor = None),
        ("metadata", true, |e| e.metadata.causation_id = None),
        ("type", false, |e| e.event_type = given::sparse_event().event_type),
        ("source", false, |e| e.source = given::sparse_event().source),
        ("entity", false, |e| e.entity = None),
        ("data", false, |e| e.data = given::sparse_event().data),
    ];
    for (name, same, change) in rows {
        let mut other = given::full_event();
        change(&mut other);
        assert_eq!(given::full_event().same_content(&other), *same, "{name}");
        assert_eq!(hash_content(&given::full_event()) == hash_content(&other), *same, "{name}");
    }
}
