//! How probes are read, and what follows from an answer.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::time::Duration;

use tidings_core::reconcile::{Answer, Decision, Probe, Scope, Stored, decide, retry_after};

#[test]
fn probes_are_read_and_written_back_alike() {
    let good = [
        r#"{"kind":"row","scope":"platform","table":"orders","key":{"id":"o_1"}}"#,
        r#"{"kind":"row","scope":"project","source":"shop","table":"shop.orders","key":{"id":7,"open":true},"revision":{"column":"version","value":3}}"#,
        r#"{"kind":"http","url":"https://shop.example/orders/7?x=1","stale_after_s":60}"#,
        r#"{"stale_after_s":60}"#,
    ];
    for text in good {
        let stored = Stored::parse(text.as_bytes()).unwrap();
        let written = stored.to_json().unwrap();
        assert_eq!(Stored::parse(&written).unwrap(), stored, "{text}");
        if let Some(probe) = stored.probe {
            assert_eq!(Probe::parse(&probe.to_json()).unwrap(), probe);
        }
    }
    assert_eq!(Stored::default().to_json(), None);
    let Probe::Row { scope, revision, .. } =
        Probe::parse(br#"{"kind":"row","table":"orders","key":{"id":1},"revision":4}"#).unwrap()
    else {
        panic!("a row probe")
    };
    assert_eq!((scope, revision), (Scope::Platform, Some(("revision".to_owned(), 4))));
}

#[test]
fn what_is_wrong_with_a_probe_is_told_with_its_place() {
    let row = |rest: &str| format!(r#"{{"kind":"row","table":"orders","key":{{"id":1}}{rest}}}"#);
    let rows = [
        ("1".to_owned(), ""),
        ("{".to_owned(), ""),
        (format!(r#"{{"kind":"http","url":"{}"}}"#, "x".repeat(20_000)), ""),
        (r#"{"url":"https://a/"}"#.to_owned(), "/kind"),
        (r#"{"kind":"sql"}"#.to_owned(), "/kind"),
        (r#"{"kind":1}"#.to_owned(), "/kind"),
        (r#"{"kind":"http"}"#.to_owned(), "/url"),
        (r#"{"kind":"http","url":"ftp://a/"}"#.to_owned(), "/url"),
        (r#"{"kind":"http","url":"https:///x"}"#.to_owned(), "/url"),
        (r#"{"kind":"http","url":"https://a/ b"}"#.to_owned(), "/url"),
        (format!(r#"{{"kind":"http","url":"https://{}"}}"#, "x".repeat(3_000)), "/url"),
        (r#"{"kind":"http","url":"https://a/","method":"POST"}"#.to_owned(), "/method"),
        (r#"{"kind":"http","url":"https://a/","stale_after_s":0}"#.to_owned(), "/stale_after_s"),
        (r#"{"kind":"http","url":"https://a/","stale_after_s":1.5}"#.to_owned(), "/stale_after_s"),
        (r#"{"kind":"http","url":"https://a/","stale_after_s":99999999}"#.to_owned(), "/stale_after_s"),
        (r#"{"kind":"row","key":{"id":1}}"#.to_owned(), "/table"),
        (r#"{"kind":"row","table":"a; drop table b","key":{"id":1}}"#.to_owned(), "/table"),
        (r#"{"kind":"row","table":"a.b.c","key":{"id":1}}"#.to_owned(), "/table"),
        (r#"{"kind":"row","table":"","key":{"id":1}}"#.to_owned(), "/table"),
        (r#"{"kind":"row","table":"orders"}"#.to_owned(), "/key"),
        (r#"{"kind":"row","table":"orders","key":{}}"#.to_owned(), "/key"),
        (r#"{"kind":"row","table":"orders","key":[1]}"#.to_owned(), "/key"),
        (r#"{"kind":"row","table":"orders","key":{"id":1.5}}"#.to_owned(), "/key/id"),
        (r#"{"kind":"row","table":"orders","key":{"id":null}}"#.to_owned(), "/key/id"),
        (r#"{"kind":"row","table":"orders","key":{"a/b":1}}"#.to_owned(), "/key/a~1b"),
        (row(r#","scope":"global""#), "/scope"),
        (row(r#","scope":"project""#), "/source"),
        (row(r#","source":"""#), "/source"),
        (row(r#","revision":"3""#), "/revision"),
        (row(r#","revision":{"column":"v"}"#), "/revision"),
        (row(r#","revision":{"column":"v w","value":1}"#), "/revision"),
        (row(r#","extra":1"#), "/extra"),
    ];
    for (text, path) in rows {
        assert_eq!(Stored::parse(text.as_bytes()).unwrap_err().path, path, "{text}");
    }
}

#[test]
fn what_cannot_be_told_is_kept_and_reported_once() {
    let unknown = Answer::CannotTell("why".to_owned());
    let rows = [
        (&Answer::Exists, 0, Decision::Confirm),
        (&Answer::Exists, 9, Decision::Confirm),
        (&Answer::Missing, 0, Decision::Discard),
        (&unknown, 0, Decision::Keep { report: true }),
        (&unknown, 1, Decision::Keep { report: false }),
        (&unknown, u32::MAX, Decision::Keep { report: false }),
    ];
    for (answer, attempts, decision) in rows {
        assert_eq!(decide(answer, attempts), decision, "{answer:?} {attempts}");
    }
    let waits: Vec<u64> = [0, 1, 2, 3, 9, 10, 63, 64, 65, u32::MAX].map(|n| retry_after(n).as_secs()).to_vec();
    assert_eq!(waits, [1, 1, 2, 4, 256, 300, 300, 300, 300, 300]);
    assert!(retry_after(0) >= Duration::from_secs(1));
}
