//! Numbers without rounding: what a schema writes as `0.1` is one tenth here.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_rational::BigRational;
use serde_json::{Number, Value};

/// A number of JSON, exactly.
pub(super) type Exact = BigRational;

/// From here on the neighbours of a double are whole numbers, and the text of one may stand for another whole number
/// than the double itself; validators compare the double.
const WHOLE_DOUBLES_FROM: f64 = 9_007_199_254_740_992.0;

/// A whole number.
pub(super) fn whole(value: i64) -> Exact {
    Exact::from_integer(BigInt::from(value))
}

/// The number that a JSON number stands for. `None` for what no double holds.
pub(super) fn of(number: &Number) -> Option<Exact> {
    if let Some(value) = number.as_u64() {
        return Some(Exact::from_integer(BigInt::from(value)));
    }
    if let Some(value) = number.as_i64() {
        return Some(whole(value));
    }
    let double = number.as_f64().filter(|double| double.is_finite())?;
    if double.abs() >= WHOLE_DOUBLES_FROM { Exact::from_float(double) } else { parse(&double.to_string()) }
}

/// Reads digits with at most one point, as Rust writes doubles.
fn parse(text: &str) -> Option<Exact> {
    let (before, after) = text.split_once('.').unwrap_or((text, ""));
    let digits: BigInt = format!("{before}{after}").parse().ok()?;
    let scale = BigInt::from(10).pow(u32::try_from(after.len()).ok()?);
    Some(Exact::new(digits, scale))
}

/// The JSON number that stands for exactly this, if there is one.
pub(super) fn to_value(exact: &Exact) -> Option<Value> {
    let number = if exact.is_integer() {
        let whole = exact.to_integer();
        match (u64::try_from(&whole), i64::try_from(&whole)) {
            (Ok(value), _) => Number::from(value),
            (_, Ok(value)) => Number::from(value),
            _ => Number::from_f64(whole.to_string().parse().ok()?)?,
        }
    } else {
        Number::from_f64(decimal(exact)?.parse().ok()?)?
    };
    (of(&number).as_ref() == Some(exact)).then_some(Value::Number(number))
}

/// The number as decimal digits, if it has an end within forty places.
fn decimal(exact: &Exact) -> Option<String> {
    let places =
        (0..=40u32).find(|places| (exact * Exact::from_integer(BigInt::from(10).pow(*places))).is_integer())?;
    let scaled = (exact * Exact::from_integer(BigInt::from(10).pow(places))).to_integer();
    Some(format!("{scaled}e-{places}"))
}

/// Whether a number is a whole multiple of another.
pub(super) fn is_multiple(value: &Exact, of: &Exact) -> bool {
    *of != whole(0) && (value / of).is_integer()
}

/// Whether validators find the multiples of this exactly, also among the largest doubles.
pub(super) fn is_divisor(of: &Exact) -> bool {
    let largest = Exact::from_integer(BigInt::from(1u64 << 53));
    *of <= largest && *of >= Exact::new(BigInt::from(1), BigInt::from(1_000_000))
}

/// The smallest positive number that both divide.
pub(super) fn common_multiple(a: &Exact, b: &Exact) -> Exact {
    // Reduced fractions: lcm(a/b, c/d) = lcm(a, c) / gcd(b, d).
    let above = a.numer() * b.numer() / gcd(a.numer().clone(), b.numer().clone());
    let multiple = Exact::new(above, gcd(a.denom().clone(), b.denom().clone()));
    if multiple < whole(0) { -multiple } else { multiple }
}

fn gcd(mut a: BigInt, mut b: BigInt) -> BigInt {
    let zero = BigInt::from(0);
    while b != zero {
        (a, b) = (b.clone(), a % b);
    }
    a
}

/// Whether two documents are the same to JSON Schema: `1` and `1.0` are, the order of members means nothing.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => of(a) == of(b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// A text that two documents share exactly if they are the same.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => of(number).map_or_else(|| number.to_string(), |exact| exact.to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().map(|(name, value)| format!("{}:{}", quoted(name), canonical(value))).collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        Value::String(text) => quoted(text),
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// One end of a range of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Bound {
    /// Where it ends.
    pub(super) at: Exact,
    /// Whether the end itself is out.
    pub(super) open: bool,
}

impl Bound {
    /// Whether a number is not below this as a lower bound.
    pub(super) fn admits_from_below(&self, value: &Exact) -> bool {
        if self.open { *value > self.at } else { *value >= self.at }
    }

    /// Whether a number is not above this as an upper bound.
    pub(super) fn admits_from_above(&self, value: &Exact) -> bool {
        if self.open { *value < self.at } else { *value <= self.at }
    }

    /// The tighter of two lower bounds.
    pub(super) fn higher(self, other: Self) -> Self {
        match self.at.cmp(&other.at) {
            Ordering::Less => other,
            Ordering::Greater => self,
            Ordering::Equal => Self { open: self.open || other.open, at: self.at },
        }
    }

    /// The tighter of two upper bounds.
    pub(super) fn lower(self, other: Self) -> Self {
        match self.at.cmp(&other.at) {
            Ordering::Less => self,
            Ordering::Greater => other,
            Ordering::Equal => Self { open: self.open || other.open, at: self.at },
        }
    }
}
