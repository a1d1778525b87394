//! Where a page of a list ended, as opaque text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::EndpointError;

/// Which list a cursor belongs to: its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Attempts = 1,
    DeadLetters = 2,
    Replays = 3,
}

/// Writes the numbers that name an entry.
pub(super) fn write<const N: usize>(list: List, key: [i64; N]) -> String {
    let mut bytes = vec![list as u8];
    key.iter().for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads what [`write`] wrote for the same list.
pub(super) fn read<const N: usize>(list: List, text: &str) -> Result<[i64; N], EndpointError> {
    let wrong = EndpointError::Cursor;
    // A longer text is none of ours and need not be decoded.
    if text.len() > 64 {
        return Err(wrong);
    }
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) else { return Err(wrong) };
    let Some((tag, rest)) = bytes.split_first() else { return Err(wrong) };
    if *tag != list as u8 || rest.len() != 8 * N {
        return Err(wrong);
    }
    let mut key = [0; N];
    for (number, bytes) in key.iter_mut().zip(rest.chunks_exact(8)) {
        *number = bytes.try_into().map_or(0, i64::from_be_bytes);
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_for_its_own_list_alone() {
        let text = write(List::Attempts, [1, -2, i64::MAX, 4]);
        assert_eq!(read(List::Attempts, &text).unwrap(), [1, -2, i64::MAX, 4]);
        assert!(read::<4>(List::DeadLetters, &text).is_err());
        assert!(read::<3>(List::Attempts, &text).is_err());
        for wrong in ["", "%", "AA", &"A".repeat(100), &text[1..]] {
            assert!(read::<4>(List::Attempts, wrong).is_err(), "{wrong}");
        }
    }
}
