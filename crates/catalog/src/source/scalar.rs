//! What a plain scalar means, by the core schema of YAML 1.2.

use serde_json::Number;

/// The meaning of a plain scalar.
#[derive(Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text,
    /// It looks like a number and cannot be taken; says why.
    Wrong(String),
}

/// Resolves a plain scalar. `yes`, `no`, `on` and `off` are strings.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    if is_infinite(text) {
        return Scalar::Wrong(format!("JSON has no number {text}"));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(text, digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(text, digits, 8);
    }
    let unsigned = text.trim_start_matches(['-', '+']);
    if text.len() - unsigned.len() > 1 || !is_decimal(unsigned) {
        return Scalar::Text;
    }
    if unsigned.len() > 1 && unsigned.starts_with('0') && unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return Scalar::Wrong(format!(
            "{text} begins with a zero: write \"{text}\" for a string, or the number without the zero"
        ));
    }
    match number(&json_form(text)) {
        Ok(number) => Scalar::Number(number),
        Err(message) => Scalar::Wrong(message),
    }
}

fn is_infinite(text: &str) -> bool {
    let text = text.trim_start_matches(['-', '+']);
    matches!(text, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
}

fn radix(text: &str, digits: &str, radix: u32) -> Scalar {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Scalar::Text;
    }
    match u64::from_str_radix(digits, radix) {
        Ok(number) => Scalar::Number(number.into()),
        Err(_) => Scalar::Wrong(format!("{text} has more than 64 bits")),
    }
}

/// `digits [. digits] [e digits]`, with a digit on at least one side of the point.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let plain = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !plain.is_empty() && digits(plain)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

/// A decimal of YAML as JSON writes it: without a plus, with digits on both sides of the point.
fn json_form(text: &str) -> String {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            let whole = whole.trim_start_matches('0');
            let whole = if whole.is_empty() { "0" } else { whole };
            if fraction.is_empty() { format!("{whole}.0") } else { format!("{whole}.{fraction}") }
        }
        None => mantissa.to_owned(),
    };
    format!("{sign}{mantissa}{exponent}")
}

/// A JSON number, which must keep its value: one that a double would round is refused, since a schema that says other
/// than its author wrote must not be enforced.
pub(super) fn number(text: &str) -> Result<Number, String> {
    let told = |why: &str| Err(format!("{} {why}", shorten(text)));
    let Ok(number) = serde_json::from_str::<Number>(text) else {
        return told("is larger than any double");
    };
    if number.is_i64() || number.is_u64() {
        return Ok(number);
    }
    let (written, kept) = (decimal(text), decimal(&number.to_string()));
    match number.as_f64() {
        _ if kept == written => Ok(number),
        Some(0.0) => told("is nearer to zero than any double"),
        Some(float) if float.is_infinite() => told("is larger than any double"),
        // The least doubles have fewer digits than all others, and as many as were written must be kept.
        Some(float) if float.is_subnormal() && written.is_some() && written == at_digits_of(float, &written) => {
            Ok(number)
        }
        _ => told("has more digits than a double keeps"),
    }
}

/// A double with as many digits as a decimal has.
fn at_digits_of(float: f64, written: &Option<Decimal>) -> Option<Decimal> {
    let digits = written.as_ref().map_or(1, |(_, digits, _)| digits.len());
    decimal(&format!("{float:.*e}", digits.min(17).saturating_sub(1)))
}

fn shorten(text: &str) -> String {
    if text.len() > 40 { format!("{}…", &text[..40]) } else { text.to_owned() }
}

/// Whether a number is negative, its digits without zeros around them, and the power of ten of the last one.
type Decimal = (bool, String, i64);

fn decimal(text: &str) -> Option<Decimal> {
    let negative = text.starts_with('-');
    let text = text.trim_start_matches('-');
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let digits = digits.trim_start_matches('0');
    let trimmed = digits.trim_end_matches('0');
    if trimmed.is_empty() {
        return Some((false, "0".to_owned(), 0));
    }
    let exponent = exponent.checked_add(i64::try_from(digits.len() - trimmed.len()).ok()?)?;
    Some((negative, trimmed.to_owned(), exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_yaml_1_2_says() {
        let number = |text: &str| Scalar::Number(serde_json::from_str(text).expect("a number"));
        let rows = [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("true", Scalar::Bool(true)),
            ("yes", Scalar::Text),
            ("no", Scalar::Text),
            ("on", Scalar::Text),
            ("Off", Scalar::Text),
            ("12", number("12")),
            ("+12", number("12")),
            ("-0.5", number("-0.5")),
            (".5", number("0.5")),
            ("5.", number("5.0")),
            ("1e3", number("1000.0")),
            ("0x1F", number("31")),
            ("0o17", number("15")),
            ("0xZZ", Scalar::Text),
            ("1_000", Scalar::Text),
            ("1.2.3", Scalar::Text),
            ("2027-01-01", Scalar::Text),
            ("12:30", Scalar::Text),
            ("730d", Scalar::Text),
            (".", Scalar::Text),
            ("-", Scalar::Text),
            ("--1", Scalar::Text),
            ("1e", Scalar::Text),
            ("18446744073709551615", number("18446744073709551615")),
        ];
        for (text, meaning) in rows {
            assert_eq!(resolve(text), meaning, "{text:?}");
        }
    }

    #[test]
    fn numbers_that_would_be_rounded_are_refused() {
        for text in
            ["0.1000000000000000055511151231257827", "123456789012345678901", "1e400", ".inf", "-.INF", ".nan", "007"]
        {
            assert!(matches!(resolve(text), Scalar::Wrong(_)), "{text:?}");
        }
        for text in [
            "4.9e-324",
            "5e-324",
            "2.2250738585072014e-308",
            "1.5e-323",
            "0.1",
            "1e300",
            "100000000000000000000",
            "1.50",
            "-0.0",
            "1E-7",
        ] {
            assert!(matches!(resolve(text), Scalar::Number(_)), "{text:?}");
        }
        for (text, why) in [
            ("1e400", "1e400 is larger than any double"),
            ("-1e400", "-1e400 is larger than any double"),
            ("1e-400", "1e-400 is nearer to zero than any double"),
            ("123456789012345678901", "123456789012345678901 has more digits than a double keeps"),
            ("4.95e-323", "4.95e-323 has more digits than a double keeps"),
            (
                "0.1000000000000000055511151231257827",
                "0.1000000000000000055511151231257827 has more digits than a double keeps",
            ),
        ] {
            assert_eq!(resolve(text), Scalar::Wrong(why.to_owned()), "{text}");
        }
    }
}
