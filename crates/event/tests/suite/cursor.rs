//! Cursors cannot be made up, changed, or carried elsewhere.

use tidings_event::{Cursor, CursorError, CursorKey, ErrorCode, FilterHash, LogId, Sequence, TenantId};

fn log(number: u128) -> LogId {
    LogId(number.into())
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn sample() -> (CursorKey, Cursor, String) {
    let key = CursorKey::derive(&[1; 32]);
    let cursor = Cursor::new(log(5), &tenant("acme"), Sequence(7), FilterHash([2; 8]));
    let text = key.seal(&cursor);
    (key, cursor, text)
}

#[test]
fn a_cursor_is_short_and_fits_a_query_string() {
    let (_, _, text) = sample();
    assert_eq!(text.len(), 76);
    assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
}

#[test]
fn a_cursor_of_today_can_be_read_tomorrow() {
    let (key, cursor, text) = sample();
    assert_eq!(text, "AQAAAAAAAAAAAAAAAAAAAAX7OZB11-pQ-AICAgICAgICAAAAAAAAAAelwtEYBXO3tltOWle5HNxN");
    assert_eq!(key.open(&text), Ok(cursor));
}

#[test]
fn a_cursor_that_was_changed_anywhere_is_refused() {
    let (key, _, text) = sample();
    for at in 0..text.len() {
        for replacement in ["A", "B", "_", "=", " ", "é", ""] {
            let mut changed = text.clone();
            changed.replace_range(at..=at, replacement);
            if changed != text {
                assert_eq!(key.open(&changed), Err(CursorError::Invalid), "{changed}");
            }
        }
        assert_eq!(key.open(&text[..at]), Err(CursorError::Invalid));
    }
    for other in ["", "0", "garbage", &format!("{text}A"), &format!("{text}="), &text.repeat(2)] {
        assert_eq!(key.open(other), Err(CursorError::Invalid), "{other}");
    }
}

#[test]
fn a_cursor_of_another_master_key_is_refused() {
    let (_, _, text) = sample();
    assert_eq!(CursorKey::derive(&[2; 32]).open(&text), Err(CursorError::Invalid));
}

#[test]
fn checks_run_in_the_order_tenant_filter_log() {
    let (_, cursor, _) = sample();
    let (filter, other_filter) = (FilterHash([2; 8]), FilterHash([3; 8]));
    #[rustfmt::skip]
    let rows = [
        // log, tenant, filter, answer
        (log(6), "other", other_filter, Err(CursorError::OtherTenant)),
        (log(5), "other", filter, Err(CursorError::OtherTenant)),
        (log(6), "acme", other_filter, Err(CursorError::OtherFilter)),
        (log(5), "acme", other_filter, Err(CursorError::OtherFilter)),
        (log(6), "acme", filter, Err(CursorError::OtherLog)),
        (log(5), "acme", filter, Ok(Sequence(7))),
    ];
    for (log, name, filter, answer) in rows {
        assert_eq!(cursor.check(log, &tenant(name), filter), answer);
    }
}

#[test]
fn each_refusal_has_its_code() {
    for (error, code) in [
        (CursorError::Invalid, ErrorCode::CursorInvalid),
        (CursorError::OtherTenant, ErrorCode::CursorMismatch),
        (CursorError::OtherFilter, ErrorCode::CursorMismatch),
        (CursorError::OtherLog, ErrorCode::LogRewound),
    ] {
        assert_eq!(error.code(), code);
    }
}

#[test]
fn a_key_does_not_show_itself() {
    assert_eq!(format!("{:?}", sample().0), "CursorKey(…)");
}
