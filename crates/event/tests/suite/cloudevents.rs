//! CloudEvents from other makers: what is taken, and what is refused and why.

use tidings_event::cloudevents::{parse_batch, parse_binary, parse_structured, write_event};
use tidings_event::{ErrorCode, Event, Rejection, SourceKind, parse_event};

use crate::given::{SeventhMint, mint};

const MEMBERS: &[(&str, &str)] = &[
    ("specversion", r#""1.0""#),
    ("id", r#""e1""#),
    ("source", r#""/service/sales""#),
    ("type", r#""sales.lead.created""#),
    ("tenant", r#""acme""#),
    ("data", r#"{"a":1}"#),
];

/// Members and their JSON.
type Changes<'a> = &'a [(&'a str, &'a str)];
/// Headers and their bytes.
type Headers<'a> = &'a [(&'a str, &'a [u8])];

/// A valid CloudEvent with members replaced, added, or, for an empty value, left out.
fn event_with(changes: Changes<'_>) -> String {
    let mut members: Vec<(&str, &str)> = MEMBERS.to_vec();
    for (name, value) in changes {
        match members.iter_mut().find(|(known, _)| known == name) {
            Some(member) => member.1 = value,
            None => members.push((name, value)),
        }
    }
    let members: Vec<String> = members
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn read(changes: Changes<'_>) -> Event {
    parse_structured(event_with(changes).as_bytes(), &mut mint()).unwrap()
}

fn found(rejection: &Rejection) -> Vec<(&str, &str)> {
    rejection.violations.iter().map(|violation| (violation.path.as_str(), violation.code)).collect()
}

#[test]
fn each_broken_rule_is_named_and_located() {
    let long = format!("\"https://example.com/{}\"", "x".repeat(255));
    #[rustfmt::skip]
    let rows: &[(Changes<'_>, &str, &str)] = &[
        // changes, path, code
        (&[("specversion", "")], "/specversion", "member_missing"),
        (&[("specversion", r#""0.3""#)], "/specversion", "specversion_unsupported"),
        (&[("specversion", "1.0")], "/specversion", "member_wrong_type"),
        (&[("id", "")], "/id", "member_missing"),
        (&[("id", "null")], "/id", "member_missing"),
        (&[("id", r#""a.b""#)], "/id", "id_malformed"),
        (&[("source", "")], "/source", "member_missing"),
        (&[("source", r#""""#)], "/source", "string_empty"),
        (&[("source", r#""not a uri""#)], "/source", "source_malformed"),
        (&[("source", r#""é""#)], "/source", "source_malformed"),
        (&[("source", r#""/service/%zz""#)], "/source", "source_malformed"),
        (&[("source", r#""1:2""#)], "/source", "source_malformed"),
        (&[("source", r#""http://[::g]/""#)], "/source", "source_malformed"),
        (&[("source", &long)], "/source", "string_too_long"),
        (&[("type", "")], "/type", "member_missing"),
        (&[("type", r#""com.github.pull_request.opened.v2.x""#)], "/type", "type_malformed"),
        (&[("type", r#""Created""#)], "/type", "type_malformed"),
        (&[("type", r#""tidings.key.created""#)], "/type", "type_reserved"),
        (&[("time", r#""yesterday""#)], "/time", "timestamp_malformed"),
        (&[("subject", r#""""#)], "/subject", "string_empty"),
        (&[("subject", r#""a\u0001""#)], "/subject", "string_control_character"),
        (&[("dataschema", r#""/relative""#)], "/dataschema", "dataschema_malformed"),
        (&[("dataschema", r#""""#)], "/dataschema", "dataschema_malformed"),
        (&[("dataschema", &long)], "/dataschema", "string_too_long"),
        (&[("datacontenttype", r#""text/xml""#)], "/datacontenttype", "datacontenttype_unsupported"),
        (&[("datacontenttype", r#""application/json; charset=latin1""#)], "/datacontenttype", "datacontenttype_unsupported"),
        (&[("tenant", "")], "/tenant", "member_missing"),
        (&[("tenant", r#""$system""#)], "/tenant", "tenant_reserved"),
        (&[("actor", "7")], "/actor", "member_wrong_type"),
        (&[("contexttype", r#""user""#)], "/contextid", "member_missing"),
        (&[("contextid", r#""user""#)], "/contexttype", "member_missing"),
        (&[("contexttype", r#""robot""#), ("contextid", r#""x""#)], "/contexttype", "context_type_unknown"),
        (&[("traceparent", r#""x""#)], "/traceparent", "traceparent_malformed"),
        (&[("sequence", r#""1""#)], "/sequence", "member_assigned"),
        (&[("recordedtime", r#""2026-03-15T10:00:00Z""#)], "/recordedtime", "member_assigned"),
        (&[("partitionkey", r#""x""#)], "/partitionkey", "attribute_unknown"),
        (&[("tracestate", r#""x""#)], "/tracestate", "attribute_unknown"),
        (&[("colour", "1")], "/colour", "attribute_unknown"),
        (&[("data", "")], "/data", "member_missing"),
        (&[("data", r#""<a/>""#)], "/data", "data_not_object"),
        (&[("data", r#"{"a":1,"a":1}"#)], "/data/a", "key_duplicate"),
        (&[(r"\u0069d", r#""x""#)], "/id", "key_duplicate"),
        (&[("data_base64", r#""e30=""#)], "/data_base64", "data_twice"),
        (&[("data", ""), ("data_base64", "1")], "/data_base64", "member_wrong_type"),
        (&[("data", ""), ("data_base64", r#""e30""#)], "/data_base64", "data_base64_malformed"),
        (&[("data", ""), ("data_base64", r#""WzFd""#)], "/data_base64", "data_not_object"),
        (&[("data", ""), ("data_base64", r#""PGEvPg==""#)], "/data_base64", "json_syntax"),
        (&[("data", ""), ("data_base64", r#""eyJhIjoxLCJhIjoxfQ==""#)], "/data_base64", "key_duplicate"),
    ];
    for (changes, path, code) in rows {
        let json = event_with(changes);
        let rejection = parse_structured(json.as_bytes(), &mut mint()).expect_err(&json);
        assert_eq!((rejection.code, found(&rejection)), (ErrorCode::EventInvalid, vec![(*path, *code)]), "{json}");
        let batch = format!("[{json}]");
        let rejection = parse_batch(batch.as_bytes(), &mut mint()).expect_err(&batch);
        assert_eq!(found(&rejection), [(format!("/0{path}").as_str(), *code)], "{batch}");
    }
}

#[test]
fn a_type_that_does_not_fit_is_refused_with_the_grammar() {
    let json = event_with(&[("type", r#""com.example.Created""#)]);
    let rejection = parse_structured(json.as_bytes(), &mut mint()).unwrap_err();
    assert!(rejection.detail.contains("2 to 5 dotted segments of lower snake case"), "{}", rejection.detail);
}

#[test]
fn a_document_of_the_wrong_shape_is_refused() {
    let one = event_with(&[]);
    let refused = |outcome: Result<(), Rejection>| outcome.unwrap_err().violations[0].code;
    assert_eq!(refused(parse_structured(b"[]", &mut mint()).map(drop)), "event_not_object");
    assert_eq!(refused(parse_batch(one.as_bytes(), &mut mint()).map(drop)), "member_wrong_type");
    assert_eq!(refused(parse_batch(b"[]", &mut mint()).map(drop)), "batch_empty");
    assert_eq!(refused(parse_batch(b"", &mut mint()).map(drop)), "body_empty");
}

#[test]
fn attributes_that_are_null_are_left_out() {
    let nulls = ["time", "subject", "dataschema", "datacontenttype", "project", "contexttype", "data_base64"];
    let with_nulls: Vec<(&str, &str)> = nulls.into_iter().map(|name| (name, "null")).collect();
    assert_eq!(read(&with_nulls), read(&[]));
}

#[test]
fn data_in_base64_is_taken_when_it_is_a_json_object() {
    let event = read(&[("data", ""), ("data_base64", r#""eyAiYSI6IDF9""#)]);
    assert_eq!(event.data.as_bytes(), br#"{ "a": 1}"#);
}

#[test]
fn a_foreign_source_is_external_and_comes_back() {
    #[rustfmt::skip]
    let rows: &[(&str, SourceKind, &str)] = &[
        // source, type, id
        ("/service/sales", SourceKind::Service, "sales"),
        ("/workflow/a%2Fb%20c", SourceKind::Workflow, "a/b c"),
        ("/service/%C3%A9", SourceKind::Service, "é"),
        ("/external/stripe", SourceKind::External, "stripe"),
        ("https://github.com/cloudevents", SourceKind::External, "https://github.com/cloudevents"),
        ("mailto:list@example.com", SourceKind::External, "mailto:list@example.com"),
        ("urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", SourceKind::External, "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"),
        ("cloudevents/spec/pull/123", SourceKind::External, "cloudevents/spec/pull/123"),
        ("/sensors/tn-1234567/alerts", SourceKind::External, "/sensors/tn-1234567/alerts"),
        ("1-555-123-4567", SourceKind::External, "./1-555-123-4567"),
        ("./stripe", SourceKind::External, "././stripe"),
        ("/service/a%2fb", SourceKind::External, "/service/a%2fb"),
        ("/service/a/b", SourceKind::External, "/service/a/b"),
        ("/service/", SourceKind::External, "/service/"),
        ("/external/https:%2F%2Fx", SourceKind::External, "/external/https:%2F%2Fx"),
        ("http://[::1]:80/x?y#z", SourceKind::External, "http://[::1]:80/x?y#z"),
    ];
    for (source, kind, id) in rows {
        let event = read(&[("source", &format!("\"{source}\""))]);
        assert_eq!((event.source.kind, event.source.id.as_str()), (*kind, *id), "{source}");
        let mut written = Vec::new();
        write_event(&event, &mut written);
        let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(written["source"], *source);
    }
}

#[test]
fn a_foreign_subject_is_kept_whole() {
    #[rustfmt::skip]
    let rows: &[(&str, &str, &str)] = &[
        // subject, type, id
        ("lead/lead_42", "lead", "lead_42"),
        ("lead/a%2Fb%25", "lead", "a/b%"),
        ("léad/a b?", "léad", "a b?"),
        ("mynewfile.jpg", "subject", "mynewfile.jpg"),
        ("a/b/c", "subject", "a/b/c"),
        ("lead/", "subject", "lead/"),
        ("lead/%20", "subject", "lead/%20"),
        ("subject/x", "subject", "subject/x"),
        ("subject/a%2Fb", "subject", "a/b"),
    ];
    for (subject, kind, id) in rows {
        let entity = read(&[("subject", &format!("\"{subject}\""))]).entity.unwrap();
        assert_eq!((entity.kind.as_str(), entity.id.as_str()), (*kind, *id), "{subject}");
    }
}

#[test]
fn a_version_is_read_from_a_schema_of_our_own() {
    #[rustfmt::skip]
    let rows: &[(&str, &str)] = &[
        // dataschema, version
        ("tag:tidings.dev,2026:schema/sales.lead.created/2", "2"),
        ("tag:tidings.dev,2026:schema/sales.lead.created/a%20b", "a b"),
        ("tag:tidings.dev,2026:schema/sales.lead.closed/2", "tag:tidings.dev,2026:schema/sales.lead.closed/2"),
        ("https://example.com/schemas/lead/2", "https://example.com/schemas/lead/2"),
    ];
    for (schema, version) in rows {
        assert_eq!(read(&[("dataschema", &format!("\"{schema}\""))]).version.as_str(), *version, "{schema}");
    }
    assert_eq!(read(&[]).version.as_str(), "1");
}

const HEADERS: &[(&str, &str)] = &[
    ("Host", "localhost"),
    ("Content-Type", "application/json; charset=UTF-8"),
    ("CE-SpecVersion", "1.0"),
    ("ce-id", "e1"),
    ("ce-source", "/service/sales"),
    ("ce-type", "sales.lead.created"),
    ("ce-tenant", "acme"),
];

fn read_binary(more: Headers<'_>, body: &[u8]) -> Result<Event, Rejection> {
    let headers = HEADERS.iter().map(|(name, value)| (*name, value.as_bytes()));
    let headers = headers.filter(|(name, _)| !more.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    parse_binary(headers.chain(more.iter().copied()), body, &mut mint())
}

#[test]
fn headers_are_decoded_once() {
    #[rustfmt::skip]
    let rows: &[(&[u8], &str)] = &[
        // header, actor
        (b"plain", "plain"),
        (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        (b"%2541", "%41"),
        (b"100%", "100%"),
        (b"\"quoted \\\" \\\\ %22\"", "quoted \" \\ \""),
        (b"  trimmed\t", "trimmed"),
        ("é".as_bytes(), "é"),
    ];
    for (header, actor) in rows {
        let event = read_binary(&[("ce-actor", header)], b"{}").unwrap();
        assert_eq!(event.actor.unwrap().as_str(), *actor);
    }
}

#[test]
fn a_binary_event_is_refused_by_the_same_rules() {
    #[rustfmt::skip]
    let rows: &[(Headers<'_>, &[u8], ErrorCode, &str, &str)] = &[
        // headers, body, code, path, violation
        (&[("ce-actor", b"%ff")], b"{}", ErrorCode::EventInvalid, "/actor", "header_not_utf8"),
        (&[("ce-actor", b"\xff")], b"{}", ErrorCode::EventInvalid, "/actor", "header_not_utf8"),
        (&[("ce-actor", b"a"), ("CE-Actor", b"b")], b"{}", ErrorCode::EventInvalid, "/actor", "key_duplicate"),
        (&[("ce-sequence", b"1")], b"{}", ErrorCode::EventInvalid, "/sequence", "member_assigned"),
        (&[("ce-colour", b"red")], b"{}", ErrorCode::EventInvalid, "/colour", "attribute_unknown"),
        (&[("ce-data", b"{}")], b"{}", ErrorCode::EventInvalid, "/ce-data", "attribute_unknown"),
        (&[("ce-datacontenttype", b"x")], b"{}", ErrorCode::EventInvalid, "/ce-datacontenttype", "attribute_unknown"),
        (&[("Content-Type", b"text/plain")], b"{}", ErrorCode::EventInvalid, "/datacontenttype", "datacontenttype_unsupported"),
        (&[("ce-specversion", b"2.0")], b"{}", ErrorCode::EventInvalid, "/specversion", "specversion_unsupported"),
        (&[], b"", ErrorCode::EventInvalid, "/data", "member_missing"),
        (&[], b"[]", ErrorCode::EventInvalid, "/data", "data_not_object"),
        (&[], br#"{"a":{"b":1,"b":2}}"#, ErrorCode::EventInvalid, "/data/a/b", "key_duplicate"),
        (&[], br#"{"a":{"b":x}}"#, ErrorCode::BodyMalformed, "/data/a/b", "json_syntax"),
        (&[], b"{\"a\":\"\xff\"}", ErrorCode::BodyMalformed, "/data/a", "utf8_invalid"),
        (&[], br#"{},"tenant":"other""#, ErrorCode::BodyMalformed, "/data", "trailing_bytes"),
    ];
    for (headers, body, code, path, violation) in rows {
        let rejection = read_binary(headers, body).expect_err(violation);
        assert_eq!((rejection.code, found(&rejection)), (*code, vec![(*path, *violation)]), "{headers:?}");
    }
    let rejection = parse_binary([].into_iter(), b"{}", &mut mint()).unwrap_err();
    let missing = ["/specversion", "/id", "/type", "/tenant", "/source"].map(|path| (path, "member_missing"));
    assert_eq!(found(&rejection), missing);
}

#[test]
fn an_event_without_a_version_gets_the_one_that_the_mint_knows() {
    let (mut mint, schema) = (SeventhMint(mint()), "tag:tidings.dev,2026:schema/sales.lead.created/2");
    let cases = [("", "7"), (schema, "2")];
    for (schema, expected) in cases {
        let attribute = if schema.is_empty() { String::new() } else { format!("\"{schema}\"") };
        let event = parse_structured(event_with(&[("dataschema", &attribute)]).as_bytes(), &mut mint).unwrap();
        assert_eq!(event.version.as_str(), expected);
    }
    let native = r#"{"type":"sales.lead.created","tenant":"acme","source":{"type":"service","id":"sales"},"data":{}}"#;
    assert_eq!(parse_event(native.as_bytes(), &mut mint).unwrap().version.as_str(), "7");
    let named = native.replacen('{', r#"{"version":"2","#, 1);
    assert_eq!(parse_event(named.as_bytes(), &mut mint).unwrap().version.as_str(), "2");
}
