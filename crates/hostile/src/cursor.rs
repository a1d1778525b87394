//! Cursors: what was not made by the server is refused, what was made by it comes back and holds for one reader.

use tidings_event::{Cursor, CursorKey, CursorSealer, FilterHash, LogId, Sequence, TenantId};

/// Opens the bytes as a cursor; makes one of them, opens it, and changes it.
pub fn check(input: &[u8]) {
    let key = CursorKey::derive(&[42; 32]);
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(cursor) = key.open(text)
    {
        assert_eq!(key.seal(&cursor), text, "one cursor has one text");
    }
    let Some((seed, rest)) = input.split_first_chunk::<34>() else { return };
    let [log @ .., a, b] = *seed;
    let (log, numbers) = log.split_at(16);
    let log = LogId(ulid::Ulid::from_bytes(log.try_into().expect("sixteen bytes")));
    let (sequence, filter) = numbers.split_at(8);
    let sequence = Sequence(u64::from_be_bytes(sequence.try_into().expect("eight bytes")));
    let filter = FilterHash(filter.try_into().expect("eight bytes"));
    let tenant = TenantId::trusted(String::from_utf8_lossy(rest).into_owned());

    let cursor = Cursor::new(log, &tenant, sequence, filter);
    let text = key.seal(&cursor);
    assert_eq!(CursorSealer::new(&key, log, &tenant, filter).seal(sequence), text);
    assert_eq!(key.open(&text), Ok(cursor));
    assert_eq!(cursor.check(log, &tenant, filter), Ok(sequence));
    assert!(CursorKey::derive(&[43; 32]).open(&text).is_err(), "another key opens it");
    let other = TenantId::trusted(format!("{tenant}x"));
    assert!(cursor.check(log, &other, filter).is_err(), "another tenant may use it");

    let mut altered = text.clone().into_bytes();
    let at = usize::from(a) % altered.len();
    altered[at] = b;
    if altered != text.as_bytes()
        && let Ok(altered) = String::from_utf8(altered)
    {
        assert!(key.open(&altered).is_err(), "{altered} is opened, and was made of {text}");
    }
}
