//! Exact comparison of numbers as they are written in JSON, in time and space linear in their text: an exponent is
//! never expanded into digits.

use std::cmp::Ordering;

/// A number as sign, digits and the power of ten of the place before the first digit: `±0.d₁d₂d₃… × 10^exponent`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal<'a> {
    negative: bool,
    /// The digits before and behind the point, without leading zeros; both empty for zero.
    whole: &'a [u8],
    fraction: &'a [u8],
    /// Saturates for an exponent that is written with more digits than 64 bits hold. A pattern's numbers are bounded
    /// to far less, so no comparison with one of them is touched by that.
    exponent: i64,
}

impl<'a> Decimal<'a> {
    /// Takes a number apart. The text must be a JSON number, as the parser has checked it.
    pub(crate) fn parse(text: &'a str) -> Self {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, written) = match text.find(['e', 'E']) {
            Some(at) => (text.get(..at).unwrap_or_default(), exponent(text.get(at + 1..).unwrap_or_default())),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = whole.trim_start_matches('0').as_bytes();
        let fraction = fraction.trim_end_matches('0');
        if !whole.is_empty() {
            let exponent = written.saturating_add(length(whole));
            return Self { negative, whole, fraction: fraction.as_bytes(), exponent };
        }
        let significant = fraction.trim_start_matches('0');
        if significant.is_empty() {
            return Self { negative: false, whole: &[], fraction: &[], exponent: 0 };
        }
        let exponent = written.saturating_sub(length(fraction.as_bytes()) - length(significant.as_bytes()));
        Self { negative, whole: &[], fraction: significant.as_bytes(), exponent }
    }

    /// The power of ten, and whether the number is zero.
    pub(crate) fn exponent(&self) -> i64 {
        self.exponent
    }

    /// One text for each number, whichever way it was written.
    pub(crate) fn canonical(&self) -> String {
        let digits: Vec<u8> = self.digits().collect();
        let digits = String::from_utf8_lossy(&digits);
        let digits = digits.trim_end_matches('0');
        format!("{}{digits}e{}", if self.negative { "-" } else { "" }, self.exponent)
    }

    fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    fn digits(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.whole.iter().chain(self.fraction).copied()
    }

    fn magnitude(&self, other: &Decimal<'_>) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        self.exponent.cmp(&other.exponent).then_with(|| {
            let (mut a, mut b) = (self.digits(), other.digits());
            loop {
                match (a.next(), b.next()) {
                    (None, None) => return Ordering::Equal,
                    (a, b) => match a.unwrap_or(b'0').cmp(&b.unwrap_or(b'0')) {
                        Ordering::Equal => {}
                        different => return different,
                    },
                }
            }
        })
    }

    pub(crate) fn cmp(&self, other: &Decimal<'_>) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
            // A zero is never negative, so unlike signs decide.
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

fn length(digits: &[u8]) -> i64 {
    i64::try_from(digits.len()).unwrap_or(i64::MAX)
}

/// Half the range of 64 bits, so that adding a length cannot overflow what was saturated.
const SATURATED: i64 = i64::MAX / 2;

fn exponent(text: &str) -> i64 {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    let size = digits
        .bytes()
        .fold(0_i64, |size, digit| size.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(SATURATED));
    if negative { -size } else { size }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cmp(a: &str, b: &str) -> Ordering {
        Decimal::parse(a).cmp(&Decimal::parse(b))
    }

    #[test]
    fn numbers_compare_exactly_as_decimals() {
        let rising = [
            "-1e1000000000000",
            "-1e400",
            "-9007199254740993",
            "-9007199254740992",
            "-1.5",
            "-0.1",
            "-1e-999999999",
            "0",
            "1e-999999999",
            "0.09999999999999999999",
            "0.1",
            "0.10000000000000000001",
            "1",
            "1.5",
            "9007199254740992",
            "9007199254740993",
            "9007199254740993.5",
            "18446744073709551615",
            "18446744073709551616",
            "1e399",
            "1e400",
            "1.0000000001e400",
            "1e999999999",
            "1e99999999999999999999999999",
        ];
        for (i, a) in rising.iter().enumerate() {
            for (j, b) in rising.iter().enumerate() {
                assert_eq!(cmp(a, b), i.cmp(&j), "{a} {b}");
            }
        }
        let equal = ["100", "100.0", "1e2", "1E+2", "10e1", "1000e-1", "0.1e3", "0.001e5", "100.000e0", "1e02"];
        for (a, b) in equal.iter().flat_map(|a| equal.iter().map(move |b| (a, b))) {
            assert_eq!(cmp(a, b), Ordering::Equal, "{a} {b}");
            assert_eq!(Decimal::parse(a).canonical(), Decimal::parse(b).canonical());
        }
        for zero in ["0", "-0", "0.0", "-0.000", "0e99999", "-0e-5", "0.0e99999999999999999999"] {
            assert_eq!(cmp(zero, "0"), Ordering::Equal, "{zero}");
            assert_eq!(Decimal::parse(zero).canonical(), Decimal::parse("0").canonical());
        }
    }

    proptest! {
        #[test]
        fn shifting_the_point_changes_nothing(digits in -99_999_999_i64..=99_999_999, shift in 0_usize..=12, other in any::<i32>()) {
            let shifted = format!("{digits}{}e-{shift}", "0".repeat(shift));
            prop_assert_eq!(cmp(&shifted, &digits.to_string()), Ordering::Equal);
            prop_assert_eq!(cmp(&shifted, &other.to_string()), digits.cmp(&i64::from(other)));
        }

        #[test]
        fn order_agrees_with_wide_integers(a in any::<i128>(), b in any::<i128>()) {
            prop_assert_eq!(cmp(&a.to_string(), &b.to_string()), a.cmp(&b));
            prop_assert_eq!(cmp(&format!("{a}.25e3"), &format!("{a}25E1")), Ordering::Equal);
        }
    }
}
