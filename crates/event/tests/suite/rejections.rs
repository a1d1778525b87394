//! Each rule of the envelope, broken once.

use tidings_event::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, DATA_BYTES_MAX, DEPTH_MAX, VIOLATIONS_MAX};
use tidings_event::{Data, ErrorCode, Rejection, parse_batch, parse_event, parse_own_event};

use crate::given::mint;

/// A valid event as the pairs of its members.
const MEMBERS: &[(&str, &str)] = &[
    ("id", r#""e1""#),
    ("type", r#""sales.lead.created""#),
    ("version", r#""1""#),
    ("timestamp", r#""2026-03-15T10:00:00.000Z""#),
    ("tenant", r#""acme""#),
    ("project", r#""emea""#),
    ("source", r#"{"type":"service","id":"sales"}"#),
    ("entity", r#"{"type":"lead","id":"lead_42"}"#),
    ("actor", r#""user_7""#),
    ("data", r#"{"a":1}"#),
    ("metadata", r#"{"correlation_id":"c","causation_id":"d","context":{"type":"user","id":"u"}}"#),
];

/// The valid event with one member replaced, added, or, for an empty value, left out.
fn event_with(name: &str, value: &str) -> String {
    let mut members: Vec<(&str, &str)> = MEMBERS.to_vec();
    match members.iter_mut().find(|(known, _)| *known == name) {
        Some(member) => member.1 = value,
        None => members.push((name, value)),
    }
    let members: Vec<String> = members
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn found(rejection: &Rejection) -> Vec<(&str, &str)> {
    rejection.violations.iter().map(|violation| (violation.path.as_str(), violation.code)).collect()
}

#[test]
fn the_event_that_the_rows_vary_is_taken() {
    parse_event(event_with("id", "\"e1\"").as_bytes(), &mut mint()).unwrap();
}

#[test]
fn each_broken_rule_is_named_and_located() {
    let long = format!("\"{}\"", "é".repeat(256));
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(DATA_BYTES_MAX));
    #[rustfmt::skip]
    let rows: &[(&str, &str, &str, &str)] = &[
        // member, value, path, code
        ("type", "", "/type", "member_missing"),
        ("tenant", "", "/tenant", "member_missing"),
        ("source", "", "/source", "member_missing"),
        ("data", "", "/data", "member_missing"),
        ("type", "null", "/type", "member_missing"),
        ("tenant", "null", "/tenant", "member_missing"),
        ("source", r#"{"id":"s"}"#, "/source/type", "member_missing"),
        ("source", r#"{"type":"service"}"#, "/source/id", "member_missing"),
        ("source", r#"{"type":"service","id":null}"#, "/source/id", "member_missing"),
        ("entity", r#"{"id":"s"}"#, "/entity/type", "member_missing"),
        ("entity", r#"{"type":"lead"}"#, "/entity/id", "member_missing"),
        ("metadata", r#"{"context":{"id":"x"}}"#, "/metadata/context/type", "member_missing"),
        ("metadata", r#"{"context":{"type":"user"}}"#, "/metadata/context/id", "member_missing"),

        ("id", "1", "/id", "member_wrong_type"),
        ("type", "{}", "/type", "member_wrong_type"),
        ("version", "1", "/version", "member_wrong_type"),
        ("timestamp", "1773568800", "/timestamp", "member_wrong_type"),
        ("tenant", "true", "/tenant", "member_wrong_type"),
        ("project", "[]", "/project", "member_wrong_type"),
        ("actor", "7", "/actor", "member_wrong_type"),
        ("source", r#""service""#, "/source", "member_wrong_type"),
        ("source", r#"{"type":1,"id":"s"}"#, "/source/type", "member_wrong_type"),
        ("source", r#"{"type":"service","id":1}"#, "/source/id", "member_wrong_type"),
        ("entity", "[]", "/entity", "member_wrong_type"),
        ("entity", r#"{"type":1,"id":"s"}"#, "/entity/type", "member_wrong_type"),
        ("entity", r#"{"type":"lead","id":42}"#, "/entity/id", "member_wrong_type"),
        ("metadata", r#""x""#, "/metadata", "member_wrong_type"),
        ("metadata", r#"{"correlation_id":1}"#, "/metadata/correlation_id", "member_wrong_type"),
        ("metadata", r#"{"causation_id":1}"#, "/metadata/causation_id", "member_wrong_type"),
        ("metadata", r#"{"context":"user"}"#, "/metadata/context", "member_wrong_type"),
        ("metadata", r#"{"traceparent":1}"#, "/metadata/traceparent", "member_wrong_type"),

        ("id", r#""""#, "/id", "string_empty"),
        ("type", r#""""#, "/type", "string_empty"),
        ("version", r#""""#, "/version", "string_empty"),
        ("tenant", r#""""#, "/tenant", "string_empty"),
        ("source", r#"{"type":"service","id":""}"#, "/source/id", "string_empty"),
        ("metadata", r#"{"correlation_id":""}"#, "/metadata/correlation_id", "string_empty"),

        ("actor", &long, "/actor", "string_too_long"),
        ("project", &long, "/project", "string_too_long"),
        ("tenant", &long, "/tenant", "string_too_long"),
        ("id", &long, "/id", "string_too_long"),
        ("type", &long, "/type", "string_too_long"),

        ("actor", r#""a\u0000b""#, "/actor", "string_control_character"),
        ("actor", r#""a\nb""#, "/actor", "string_control_character"),
        ("actor", r#""a\u007fb""#, "/actor", "string_control_character"),
        ("version", r#""\u0085""#, "/version", "string_control_character"),
        ("tenant", r#""a\tb""#, "/tenant", "string_control_character"),
        ("actor", r#""\ud800""#, "/actor", "string_lone_surrogate"),
        ("actor", r#""\udc00\ud800""#, "/actor", "string_lone_surrogate"),
        ("type", r#""sales.\udfff""#, "/type", "string_lone_surrogate"),

        ("id", r#""a.b""#, "/id", "id_malformed"),
        ("id", r#""a b""#, "/id", "id_malformed"),
        ("id", r#""é""#, "/id", "id_malformed"),
        ("id", r#""a\u0000""#, "/id", "id_malformed"),

        ("type", r#""sales""#, "/type", "type_malformed"),
        ("type", r#""a.b.c.d.e.f""#, "/type", "type_malformed"),
        ("type", r#""Sales.lead""#, "/type", "type_malformed"),
        ("type", r#""sales.Lead""#, "/type", "type_malformed"),
        ("type", r#""sales..lead""#, "/type", "type_malformed"),
        ("type", r#"".sales.lead""#, "/type", "type_malformed"),
        ("type", r#""sales.lead.""#, "/type", "type_malformed"),
        ("type", r#""sales.1ead""#, "/type", "type_malformed"),
        ("type", r#""sales._lead""#, "/type", "type_malformed"),
        ("type", r#""sales.lead_""#, "/type", "type_malformed"),
        ("type", r#""sales.le__ad""#, "/type", "type_malformed"),
        ("type", r#""sales.le-ad""#, "/type", "type_malformed"),
        ("type", r#""sales.léad""#, "/type", "type_malformed"),
        ("type", r#""sales.lead ""#, "/type", "type_malformed"),

        ("type", r#""tidings.endpoint.created""#, "/type", "type_reserved"),
        ("type", r#""tidings\u002ex""#, "/type", "type_reserved"),
        ("tenant", r#""a/b""#, "/tenant", "tenant_malformed"),
        ("tenant", r#""$system""#, "/tenant", "tenant_reserved"),
        ("tenant", r#""\u0024x""#, "/tenant", "tenant_reserved"),

        ("timestamp", r#""""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""2026-03-15""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""2026-03-15T10:00:00""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""2026-03-15 10:00:00Z""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""2026-03-15T10:00Z""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""2026-03-15T10:00:00.Z""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""2026-03-15T10:00:00+0100""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""2026-03-15T10:00:00+01""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""2026-03-15T10:00:00+01:00[Europe/Rome]""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""2026-02-29T10:00:00Z""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""2026-13-01T10:00:00Z""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""2026-03-15T24:00:00Z""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""2026-03-15T10:00:00+24:00""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""0000-12-31T23:59:59Z""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""9999-12-31T23:59:59Z""#, "/timestamp", "timestamp_malformed"),
        ("timestamp", r#""+02026-03-15T10:00:00Z""#, "/timestamp", "timestamp_malformed"),

        ("source", r#"{"type":"robot","id":"s"}"#, "/source/type", "source_type_unknown"),
        ("source", r#"{"type":"Service","id":"s"}"#, "/source/type", "source_type_unknown"),
        ("source", r#"{"type":"","id":"s"}"#, "/source/type", "source_type_unknown"),
        ("metadata", r#"{"context":{"type":"robot","id":"s"}}"#, "/metadata/context/type", "context_type_unknown"),

        ("metadata", r#"{"traceparent":"x"}"#, "/metadata/traceparent", "traceparent_malformed"),
        ("metadata", r#"{"traceparent":"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"}"#, "/metadata/traceparent", "traceparent_malformed"),
        ("metadata", r#"{"traceparent":"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#, "/metadata/traceparent", "traceparent_malformed"),
        ("metadata", r#"{"traceparent":"00-00000000000000000000000000000000-00f067aa0ba902b7-01"}"#, "/metadata/traceparent", "traceparent_malformed"),
        ("metadata", r#"{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"}"#, "/metadata/traceparent", "traceparent_malformed"),
        ("metadata", r#"{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"}"#, "/metadata/traceparent", "traceparent_malformed"),
        ("metadata", r#"{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01"}"#, "/metadata/traceparent", "traceparent_malformed"),
        ("metadata", r#"{"traceparent":"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x"}"#, "/metadata/traceparent", "traceparent_malformed"),
        ("metadata", r#"{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é"}"#, "/metadata/traceparent", "traceparent_malformed"),

        ("data", "null", "/data", "data_not_object"),
        ("data", "[]", "/data", "data_not_object"),
        ("data", r#""{}""#, "/data", "data_not_object"),
        ("data", "1", "/data", "data_not_object"),
        ("data", &large, "/data", "data_too_large"),

        ("sequence", "1", "/sequence", "member_assigned"),
        ("recorded_at", r#""2026-03-15T10:00:00Z""#, "/recorded_at", "member_assigned"),
        ("sequence", "null", "/sequence", "member_assigned"),

        ("colour", r#""red""#, "/colour", "member_unknown"),
        ("Type", r#""x""#, "/Type", "member_unknown"),
        ("a/b~c", "1", "/a~1b~0c", "member_unknown"),
        ("position", "1", "/position", "member_unknown"),
        ("source", r#"{"type":"service","id":"s","x":null}"#, "/source/x", "member_unknown"),
        ("entity", r#"{"type":"lead","id":"s","x":1}"#, "/entity/x", "member_unknown"),
        ("metadata", r#"{"tracestate":"x"}"#, "/metadata/tracestate", "member_unknown"),
        ("metadata", r#"{"context":{"type":"user","id":"s","x":1}}"#, "/metadata/context/x", "member_unknown"),

        (r"\u0069d", r#""e2""#, "/id", "key_duplicate"),
        (r"dat\u0061", r#"{}"#, "/data", "key_duplicate"),
        ("source", r#"{"type":"service","id":"s","id":"t"}"#, "/source/id", "key_duplicate"),
        ("metadata", r#"{"context":{"type":"user","id":"s","i\u0064":"s"}}"#, "/metadata/context/id", "key_duplicate"),
        ("data", r#"{"a":1,"a":1}"#, "/data/a", "key_duplicate"),
        ("data", r#"{"a":1,"\u0061":2}"#, "/data/a", "key_duplicate"),
        ("data", r#"{"x":[0,{"y/z":{"é":1,"\u00e9":2}}]}"#, "/data/x/1/y~1z/é", "key_duplicate"),
        ("data", r#"{"\ud83d\ude00":1,"😀":2}"#, "/data/😀", "key_duplicate"),
        ("data", r#"{"\ud800":1,"\uD800":2}"#, "/data/\u{fffd}", "key_duplicate"),
    ];
    for (name, value, path, code) in rows {
        let json = event_with(name, value);
        let rejection = parse_event(json.as_bytes(), &mut mint()).expect_err(&json);
        assert_eq!(found(&rejection), [(*path, *code)], "{json}");
        assert_eq!(rejection.code, ErrorCode::EventInvalid, "{json}");
        let batch = format!("[{},{json}]", event_with("id", "\"e0\""));
        let rejection = parse_batch(batch.as_bytes(), &mut mint()).expect_err(&batch);
        assert_eq!(found(&rejection), [(format!("/1{path}").as_str(), *code)], "{batch}");
    }
}

#[test]
fn a_body_that_is_no_json_is_malformed() {
    let deep = "[".repeat(100_000);
    #[rustfmt::skip]
    let rows: &[(&[u8], &str, &str)] = &[
        // body, path, code
        (b"", "", "body_empty"),
        (b" \r\n\t ", "", "body_empty"),
        (b"{", "", "json_syntax"),
        (b"nul", "", "json_syntax"),
        (b"{'a':1}", "", "json_syntax"),
        (br#"{"a" 1}"#, "", "json_syntax"),
        (br#"{"a":1,}"#, "", "json_syntax"),
        (br#"{"a":}"#, "/a", "json_syntax"),
        (br#"{"data":{"a":01}}"#, "/data/a", "json_syntax"),
        (br#"{"data":{"a":[1,2,{"b":tru}]}}"#, "/data/a/2/b", "json_syntax"),
        (br#"{"data":{"a":[1,]}}"#, "/data/a/1", "json_syntax"),
        (br#"{"data":{"a":[,1]}}"#, "/data/a/0", "json_syntax"),
        (b"{\"data\":{\"a\":\"\n\"}}", "/data/a", "json_syntax"),
        (br#"{"data":{"a":"\x41"}}"#, "/data/a", "json_syntax"),
        (br#"{"data":{"a":"\u12g4"}}"#, "/data/a", "json_syntax"),
        (br#"{"data":{"a":.5}}"#, "/data/a", "json_syntax"),
        (br#"{"data":{"a":1.}}"#, "/data/a", "json_syntax"),
        (br#"{"data":{"a":+1}}"#, "/data/a", "json_syntax"),
        (br#"{"data":{"a":1e}}"#, "/data/a", "json_syntax"),
        (br#"{"data":{"a":NaN}}"#, "/data/a", "json_syntax"),
        (br#"{"data":{"a":1 /* one */}}"#, "/data/a", "json_syntax"),
        (b"\xef\xbb\xbf{}", "", "json_syntax"),
        (b"{\"actor\":\"\xff\"}", "/actor", "utf8_invalid"),
        (b"{\"data\":{\"a\":[0,\"\xc3\"]}}", "/data/a/1", "utf8_invalid"),
        (b"{\"data\":\"\xed\xa0\x80\"}", "/data", "utf8_invalid"),
        (b"{} {}", "", "trailing_bytes"),
        (b"{},", "", "trailing_bytes"),
        (b"{}\0", "", "trailing_bytes"),
        (b"5 x", "", "trailing_bytes"),
    ];
    for (body, path, code) in rows {
        let shown = String::from_utf8_lossy(body);
        for rejection in
            [parse_event(body, &mut mint()), parse_batch(body, &mut mint()).map(|mut b| b.events.remove(0))]
        {
            let rejection = rejection.expect_err(&shown);
            assert_eq!(found(&rejection), [(*path, *code)], "{shown}");
            assert_eq!(rejection.code, ErrorCode::BodyMalformed, "{shown}");
        }
    }
    let rejection = parse_event(deep.as_bytes(), &mut mint()).unwrap_err();
    assert_eq!(rejection.violations[0].code, "depth_exceeded");
}

#[test]
fn a_batch_is_judged_as_a_whole() {
    let good = event_with("id", "\"e1\"");
    let many = |count: usize| format!("[{}]", vec![good.as_str(); count].join(","));
    #[rustfmt::skip]
    type Row<'a> = (String, ErrorCode, &'a [(&'a str, &'a str)]);
    let rows: &[Row<'_>] = &[
        ("[]".to_owned(), ErrorCode::EventInvalid, &[("", "batch_empty")]),
        ("5".to_owned(), ErrorCode::EventInvalid, &[("", "event_not_object")]),
        ("[[]]".to_owned(), ErrorCode::EventInvalid, &[("/0", "event_not_object")]),
        (
            format!("[{good},null,7]"),
            ErrorCode::EventInvalid,
            &[("/1", "event_not_object"), ("/2", "event_not_object")],
        ),
        (format!("[{good},{good}"), ErrorCode::BodyMalformed, &[("/1", "json_syntax")]),
        (format!("[{good},]"), ErrorCode::BodyMalformed, &[("/1", "json_syntax")]),
        (format!("[{good}]]"), ErrorCode::BodyMalformed, &[("", "trailing_bytes")]),
        (many(BATCH_EVENTS_MAX + 1), ErrorCode::BatchTooLarge, &[]),
        (" ".repeat(BATCH_BYTES_MAX + 1), ErrorCode::BodyTooLarge, &[]),
    ];
    for (body, code, violations) in rows {
        let rejection = parse_batch(body.as_bytes(), &mut mint()).unwrap_err();
        assert_eq!((rejection.code, found(&rejection)), (*code, violations.to_vec()), "{:.60}", body);
        assert!(!rejection.detail.is_empty());
    }
    assert_eq!(parse_batch(many(BATCH_EVENTS_MAX).as_bytes(), &mut mint()).unwrap().events.len(), BATCH_EVENTS_MAX);
    assert_eq!(parse_event(many(1).as_bytes(), &mut mint()).unwrap_err().violations[0].code, "event_not_object");
}

#[test]
fn nesting_is_counted_with_the_envelope() {
    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let deepest = event_with("data", &nested(DEPTH_MAX - 1));
    parse_event(deepest.as_bytes(), &mut mint()).unwrap();
    parse_batch(format!("[{deepest}]").as_bytes(), &mut mint()).unwrap();
    Data::parse(nested(DEPTH_MAX - 1)).unwrap();

    let path = format!("/data{}", "/a".repeat(DEPTH_MAX - 1));
    let rejection = parse_event(event_with("data", &nested(DEPTH_MAX)).as_bytes(), &mut mint()).unwrap_err();
    assert_eq!((rejection.code, found(&rejection)), (ErrorCode::EventInvalid, vec![(&*path, "depth_exceeded")]));
    assert_eq!(Data::parse(nested(DEPTH_MAX)).unwrap_err().code, "depth_exceeded");
    let arrays = format!("{{\"a\":{}{}}}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
    assert_eq!(Data::parse(arrays).unwrap_err().code, "depth_exceeded");
}

#[test]
fn all_violations_are_found_at_once_up_to_a_bound() {
    let bad = r#"{"type":"x","tenant":"$a","source":{"type":"y"},"data":[],"sequence":1}"#;
    let rejection = parse_event(bad.as_bytes(), &mut mint()).unwrap_err();
    let expected = [
        ("/type", "type_malformed"),
        ("/tenant", "tenant_reserved"),
        ("/source/type", "source_type_unknown"),
        ("/source/id", "member_missing"),
        ("/data", "data_not_object"),
        ("/sequence", "member_assigned"),
    ];
    assert_eq!(found(&rejection), expected);
    assert_eq!(
        rejection.detail,
        "/type: must be 2 to 5 dotted segments of lower snake case, like 'sales.lead.status_changed' (and 5 more)"
    );
    let batch = format!("[{}]", [bad; 10].join(","));
    let rejection = parse_batch(batch.as_bytes(), &mut mint()).unwrap_err();
    assert_eq!(rejection.violations.len(), VIOLATIONS_MAX);
    assert!(rejection.detail.ends_with("(and 59 more)"), "{}", rejection.detail);
}

#[test]
fn what_is_left_out_is_minted() {
    let json =
        br#" {"type":"sales.lead.created","tenant":"acme","source":{"type":"task","id":"t"},"data":{ "b" : 1e999 }} "#;
    let batch = parse_batch(json, &mut mint()).unwrap();
    let event = &batch.events[0];
    assert!(!batch.ids_given);
    assert_eq!(event.id.as_str(), "minted-1");
    assert_eq!(event.metadata.correlation_id.as_str(), "minted-1");
    assert_eq!(event.version.as_str(), "1");
    assert_eq!(event.timestamp.to_string(), "2026-03-15T10:00:00.000Z");
    assert_eq!(event.data.as_bytes(), br#"{ "b" : 1e999 }"#);
    let batch = parse_batch(format!("[{}]", event_with("id", "\"e1\"")).as_bytes(), &mut mint()).unwrap();
    assert!(batch.ids_given);
}

#[test]
fn null_is_the_same_as_leaving_a_member_out() {
    for name in ["id", "version", "timestamp", "project", "entity", "actor", "metadata"] {
        let without = parse_event(event_with(name, "").as_bytes(), &mut mint()).unwrap();
        let with_null = parse_event(event_with(name, "null").as_bytes(), &mut mint()).unwrap();
        assert_eq!(without, with_null, "{name}");
    }
    let metadata = r#"{"correlation_id":null,"causation_id":null,"context":null,"traceparent":null}"#;
    let event = parse_event(event_with("metadata", metadata).as_bytes(), &mut mint()).unwrap();
    assert_eq!(event, parse_event(event_with("metadata", "{}").as_bytes(), &mut mint()).unwrap());
    let twice = event_with("id", "null").replace("\"id\":null", "\"id\":null,\"id\":\"x\"");
    assert_eq!(parse_event(twice.as_bytes(), &mut mint()).unwrap_err().violations[0].code, "key_duplicate");
}

#[test]
fn data_keeps_every_number_and_every_byte() {
    for data in [
        r#"{"a":1e999,"b":-1E-999,"c":1234567890123456789012345678901234567890.000000000000000000001}"#,
        "{\n\t\"z\" : 1 ,\"a\":\"\\u0041\\ud800\\/\" , \"\" : {} }",
        "{}",
    ] {
        let event = parse_event(event_with("data", data).as_bytes(), &mut mint()).unwrap();
        assert_eq!(event.data.as_bytes(), data.as_bytes());
        assert_eq!(Data::parse(format!(" {data}\n")).unwrap(), event.data);
    }
}

#[test]
fn a_moment_is_read_with_any_offset_and_cut_to_microseconds() {
    for (text, expect) in [
        ("2026-03-15T10:00:00Z", "2026-03-15T10:00:00.000Z"),
        ("2026-03-15t10:00:00z", "2026-03-15T10:00:00.000Z"),
        ("2026-03-15T10:00:00.1234567891234Z", "2026-03-15T10:00:00.123456Z"),
        ("2026-03-15T01:30:00.5+02:00", "2026-03-14T23:30:00.500Z"),
        ("2026-03-15T23:30:00-01:45", "2026-03-16T01:15:00.000Z"),
        ("2024-02-29T00:00:00-00:00", "2024-02-29T00:00:00.000Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("9999-12-30T22:00:00Z", "9999-12-30T22:00:00.000Z"),
    ] {
        let json = event_with("timestamp", &format!("\"{text}\""));
        assert_eq!(parse_event(json.as_bytes(), &mut mint()).unwrap().timestamp.to_string(), expect, "{text}");
    }
}

#[test]
fn tidings_itself_may_name_its_reserved_tenant_and_types() {
    let json = event_with("tenant", "\"$system\"");
    assert!(parse_own_event(json.as_bytes(), &mut mint()).unwrap().tenant.is_reserved());
    let json = event_with("type", "\"tidings.endpoint.created\"");
    assert!(parse_own_event(json.as_bytes(), &mut mint()).unwrap().event_type.is_reserved());
    let json = event_with("type", "\"tidingsway.order.placed\"");
    assert!(parse_event(json.as_bytes(), &mut mint()).is_ok(), "the segment is reserved, not the letters");
}
