//! The shapes that a person must judge.

use tidings_event::cloudevents;

use crate::given::{full_event, recorded, sparse_event};

fn text(json: Vec<u8>) -> String {
    String::from_utf8(json).unwrap()
}

#[test]
fn native_json_has_a_fixed_order_of_members() {
    assert_eq!(
        text(recorded(full_event()).to_json()),
        concat!(
            r#"{"id":"01JD8Q4M6T1V9S0Z3N7R5K2W4X","type":"sales.lead.status_changed","version":"2","#,
            r#""timestamp":"2026-03-15T10:00:00.000Z","tenant":"acme","project":"emea","#,
            r#""source":{"type":"service","id":"sales"},"entity":{"type":"lead","id":"lead_42"},"actor":"user_7","#,
            r#""data":{ "from": "new", "to": "qualified" },"metadata":{"correlation_id":"req_9f","#,
            r#""causation_id":"01JD8Q4M6T1V9S0Z3N7R5K2W4W","context":{"type":"client","id":"client_123"},"#,
            r#""traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},"#,
            r#""sequence":1207,"recorded_at":"2026-03-15T10:00:00.012345Z"}"#,
        )
    );
    assert_eq!(
        text(sparse_event().to_json()),
        concat!(
            r#"{"id":"minted-1","type":"time.hour_passed","version":"1","timestamp":"2026-03-15T10:00:00.000Z","#,
            r#""tenant":"acme","source":{"type":"system","id":"clock"},"data":{},"#,
            r#""metadata":{"correlation_id":"minted-1"}}"#,
        )
    );
}

#[test]
fn a_structured_cloudevent_holds_all_of_the_event() {
    let mut json = Vec::new();
    cloudevents::write_structured(&recorded(full_event()), &mut json);
    assert_eq!(
        text(json),
        concat!(
            r#"{"specversion":"1.0","id":"01JD8Q4M6T1V9S0Z3N7R5K2W4X","source":"/service/sales","#,
            r#""type":"sales.lead.status_changed","subject":"lead/lead_42","time":"2026-03-15T10:00:00.000Z","#,
            r#""dataschema":"tag:tidings.dev,2026:schema/sales.lead.status_changed/2","tenant":"acme","#,
            r#""project":"emea","actor":"user_7","correlationid":"req_9f","#,
            r#""causationid":"01JD8Q4M6T1V9S0Z3N7R5K2W4W","contexttype":"client","contextid":"client_123","#,
            r#""traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","#,
            r#""sequence":"00000000000000001207","recordedtime":"2026-03-15T10:00:00.012345Z","#,
            r#""datacontenttype":"application/json","data":{ "from": "new", "to": "qualified" }}"#,
        )
    );
}

#[test]
fn a_binary_cloudevent_has_a_header_for_each_attribute() {
    let headers = cloudevents::binary_headers(&recorded(sparse_event()));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "minted-1"),
        ("ce-source", "/system/clock"),
        ("ce-type", "time.hour_passed"),
        ("ce-time", "2026-03-15T10:00:00.000Z"),
        ("ce-dataschema", "tag:tidings.dev,2026:schema/time.hour_passed/1"),
        ("ce-tenant", "acme"),
        ("ce-correlationid", "minted-1"),
        ("ce-sequence", "00000000000000001207"),
        ("ce-recordedtime", "2026-03-15T10:00:00.012345Z"),
    ];
    assert_eq!(headers, expected);
}
