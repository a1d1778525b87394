//! Randomness: salts, secrets, jitter, ids. All of it comes from here, so that a simulation can repeat a run.

use ulid::Ulid;

use crate::world::{now, roll};

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    roll(&mut bytes);
    bytes
}

/// Any number.
pub(crate) fn number() -> u64 {
    u64::from_ne_bytes(bytes())
}

/// A number from 0 up to, but not including, 1.
pub(crate) fn fraction() -> f64 {
    // The 53 bits that such a number can tell apart.
    (number() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A new id, by the wall clock and at random.
pub(crate) fn ulid() -> Ulid {
    let millis = u64::try_from(now().as_micros() / 1_000).unwrap_or(0);
    Ulid::from_parts(millis, u128::from_ne_bytes(bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_lie_below_one() {
        assert!((0..1_000).map(|_| fraction()).all(|fraction| (0.0..1.0).contains(&fraction)));
    }
}
