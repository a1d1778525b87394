//! The functions of expressions; the module above says what each does.

use std::cmp::Ordering;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::elements::elements;
use super::eval::{calculate, of_whole, order, overflow};
use super::ir::{Function, Operator};
use super::value::{Text, Value, integral, whole};
use super::{Failure, Steps};
use crate::document::{Document, Number};

type Result<T> = std::result::Result<T, Failure>;

/// Parts that `split` makes at most; the last one holds the rest.
const PARTS_MAX: usize = 10_000;

/// Bytes of a text that may say a moment or a duration.
const TIME_BYTES_MAX: usize = 64;
/// Steps that every call takes, for its arguments.
pub(super) const STEPS: usize = 4;

/// Steps beyond those of every call: what a function does with its texts, or by itself.
fn steps_of(function: Function, args: &[Value<'_>]) -> usize {
    let bytes = |arg: &Value<'_>| if let Value::Text(text) = arg { text.len() } else { 0 };
    let all: usize = args.iter().map(bytes).sum();
    match function {
        // They look at no more than what they look for.
        Function::StartsWith | Function::EndsWith => args.get(1).map_or(0, bytes) / 16,
        // Searches go back and forth.
        Function::Contains | Function::Split | Function::Replace => all / 2 + 8,
        // Numbers of many digits are read slowly, to be exact.
        Function::Double | Function::Duration if all > DIGITS_FAST => 500 + 4 * all,
        Function::Int => all / 2,
        Function::Timestamp | Function::Date | Function::Duration | Function::Text | Function::Double => 30 + all / 16,
        function if part_of_time(function) => 4,
        _ => all / 16,
    }
}

/// Digits of which a double is read at once.
const DIGITS_FAST: usize = 19;

/// Calls a function; the number of arguments was checked when the expression was compiled.
pub(super) fn call<'a>(function: Function, args: &[Value<'a>], steps: &Steps) -> Result<Value<'a>> {
    steps.spend(steps_of(function, args))?;
    match (function, args) {
        (Function::Size, [of]) => size(of),
        (Function::Contains, [Value::Text(text), Value::Text(part)]) => Ok(Value::Bool(text.contains(&**part))),
        (Function::StartsWith, [Value::Text(text), Value::Text(part)]) => Ok(Value::Bool(text.starts_with(&**part))),
        (Function::EndsWith, [Value::Text(text), Value::Text(part)]) => Ok(Value::Bool(text.ends_with(&**part))),
        (Function::LowerAscii, [Value::Text(text)]) => Ok(Value::text(text.to_ascii_lowercase())),
        (Function::UpperAscii, [Value::Text(text)]) => Ok(Value::text(text.to_ascii_uppercase())),
        (Function::Trim, [Value::Text(text)]) => Ok(Value::Text(trim(text))),
        (Function::Substring, [Value::Text(text), bounds @ ..]) => substring(text, bounds),
        (Function::Split, [Value::Text(text), Value::Text(by)]) => split(text, by, steps),
        (Function::Join, [list]) => join(list, "", steps),
        (Function::Join, [list, Value::Text(between)]) => join(list, between, steps),
        (Function::Replace, [Value::Text(text), Value::Text(from), Value::Text(to)]) => replace(text, from, to, steps),
        (Function::Text, [of]) => text_of(of),
        (Function::Int, [of]) => int_of(of),
        (Function::Double, [of]) => double_of(of),
        (Function::Abs, [Value::Number(number)]) => match whole(*number) {
            Some(whole) => of_whole(whole.abs()).ok_or_else(overflow),
            None => Ok(Value::Number(Number::Float(number.as_float().abs()))),
        },
        (Function::Ceil, [Value::Number(number)]) => Ok(rounded(*number, f64::ceil)),
        (Function::Floor, [Value::Number(number)]) => Ok(rounded(*number, f64::floor)),
        (Function::Round, [Value::Number(number)]) => Ok(rounded(*number, f64::round)),
        (Function::Round, [Value::Number(number), Value::Number(digits)])
            if integral(*digits).is_some_and(|digits| (0..=15).contains(&digits)) =>
        {
            Ok(round_to(*number, integral(*digits).unwrap_or_default()))
        }
        (Function::Sum, [list]) => {
            let mut items = elements(list)?;
            steps.spend(items.len() * 2)?;
            items.try_fold(Value::int(0), |sum, item| calculate(Operator::Add, &sum, &item))
        }
        (Function::Min, args) => extreme(args, Ordering::Less, steps),
        (Function::Max, args) => extreme(args, Ordering::Greater, steps),
        (Function::Timestamp, [of]) => timestamp(of),
        (Function::Date, [Value::Text(text)]) => date(text),
        (Function::Duration, [of]) => duration(of),
        (_, [of]) if part_of_time(function) => time_part(function, of),
        (function, args) => {
            let kinds: Vec<&str> = args.iter().map(Value::kind).collect();
            Err(Failure::Type(format!("{}() does not take {}", function.as_str(), kinds.join(" and "))))
        }
    }
}

fn size<'a>(of: &Value<'a>) -> Result<Value<'a>> {
    Ok(Value::size(match of {
        Value::Text(text) => text.chars().count(),
        Value::Data(Document::List(items)) => items.len(),
        Value::Data(Document::Map(members)) => members.len(),
        Value::List(items) => items.len(),
        Value::Map(members) => members.len(),
        other => return Err(Failure::Type(format!("{} has no size", other.kind()))),
    }))
}

fn trim<'a>(text: &Text<'a>) -> Text<'a> {
    let from = text.len() - text.trim_start().len();
    text.part(from, from + text.trim().len())
}

/// From one character up to before another, or to the end.
fn substring<'a>(text: &Text<'a>, bounds: &[Value<'_>]) -> Result<Value<'a>> {
    let mut at = Vec::with_capacity(2);
    for bound in bounds {
        let Value::Number(number) = bound else {
            return Err(Failure::Type("substring() takes whole numbers".to_owned()));
        };
        at.push(integral(*number).and_then(|at| usize::try_from(at).ok()).ok_or_else(out_of_text)?);
    }
    // The byte after so many characters.
    let byte_of = |characters: usize| match text.char_indices().nth(characters) {
        Some((byte, _)) => Some(byte),
        None => (text.chars().count() == characters).then_some(text.len()),
    };
    let from = byte_of(at.first().copied().unwrap_or(0)).ok_or_else(out_of_text)?;
    let to = match at.get(1) {
        Some(to) => byte_of(*to).filter(|to| *to >= from).ok_or_else(out_of_text)?,
        None => text.len(),
    };
    Ok(Value::Text(text.part(from, to)))
}

/// The parts of a text; the last one of [`PARTS_MAX`] holds the rest.
fn split<'a>(text: &Text<'a>, by: &str, steps: &Steps) -> Result<Value<'a>> {
    let mut parts = Vec::new();
    let mut from = 0;
    for part in text.splitn(PARTS_MAX, by) {
        steps.spend(4)?;
        // The parts stand in the text one after the other, with the separator in between.
        parts.push(Value::Text(text.part(from, from + part.len())));
        from += part.len() + by.len();
    }
    Ok(Value::list(parts))
}

fn out_of_text() -> Failure {
    Failure::Missing("a string has no such characters".to_owned())
}

fn join<'a>(list: &Value<'a>, between: &str, steps: &Steps) -> Result<Value<'a>> {
    let mut joined = String::new();
    for (index, item) in elements(list)?.enumerate() {
        let Value::Text(text) = &item else {
            return Err(Failure::Type(format!("join() is asked of a list that holds {}", item.kind())));
        };
        steps.spend_bytes(text.len() + between.len())?;
        if index > 0 {
            joined.push_str(between);
        }
        joined.push_str(text);
    }
    Ok(Value::text(joined))
}

fn replace<'a>(text: &str, from: &str, to: &str, steps: &Steps) -> Result<Value<'a>> {
    let found = text.matches(from).count();
    // What comes out may be far longer than what goes in.
    steps.spend(found.saturating_mul(2))?;
    steps.spend_bytes(text.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(Value::text(text.replace(from, to)))
}

fn text_of<'a>(of: &Value<'a>) -> Result<Value<'a>> {
    Ok(match of {
        Value::Text(text) => Value::Text(text.clone()),
        Value::Bool(bool) => Value::text(bool.to_string()),
        Value::Number(Number::Float(float)) => Value::text(float.to_string()),
        Value::Number(number) => Value::text(whole(*number).unwrap_or_default().to_string()),
        Value::Timestamp(micros) => Value::text(tidings_event::Timestamp::from_micros(*micros).to_string()),
        other => return Err(Failure::Type(format!("string() does not take {}", other.kind()))),
    })
}

fn int_of<'a>(of: &Value<'a>) -> Result<Value<'a>> {
    let whole = match of {
        Value::Number(number) => match whole(*number) {
            Some(whole) => whole,
            None => {
                let float = number.as_float().trunc();
                if !float.is_finite() || float.abs() >= 1e19 {
                    return Err(overflow());
                }
                float as i128
            }
        },
        Value::Text(text) => text
            .parse::<i64>()
            .map(i128::from)
            .map_err(|_| Failure::Type("int() is asked of a string that is no whole number".to_owned()))?,
        Value::Timestamp(micros) => i128::from(micros.div_euclid(1_000_000)),
        other => return Err(Failure::Type(format!("int() does not take {}", other.kind()))),
    };
    of_whole(whole).ok_or_else(overflow)
}

fn double_of<'a>(of: &Value<'a>) -> Result<Value<'a>> {
    let float = match of {
        Value::Number(number) => number.as_float(),
        Value::Text(text) => match text.parse::<f64>() {
            Ok(float) if float.is_finite() => float,
            _ => return Err(Failure::Type("double() is asked of a string that is no number".to_owned())),
        },
        other => return Err(Failure::Type(format!("double() does not take {}", other.kind()))),
    };
    Ok(Value::Number(Number::Float(float)))
}

fn rounded<'a>(number: Number, round: fn(f64) -> f64) -> Value<'a> {
    match number {
        Number::Float(float) => Value::Number(Number::Float(round(float))),
        whole => Value::Number(whole),
    }
}

/// Rounds to so many digits after the point, half away from zero, as the number is written in decimal: 1.005 to two
/// digits is 1.01, though its double is a little less.
fn round_to<'a>(number: Number, digits: i128) -> Value<'a> {
    let Number::Float(float) = number else { return Value::Number(number) };
    // Doubles of 2^53 and more have no digits after the point.
    if !float.is_finite() || float.abs() >= 9_007_199_254_740_992.0 {
        return Value::Number(number);
    }
    let scale = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
    let scaled = float * scale;
    // One unit in the last place repairs what the multiplication lost.
    let nudged = scaled + scaled.signum() * scaled.abs() * f64::EPSILON;
    let rounded = nudged.round() / scale;
    Value::Number(Number::Float(if rounded.is_finite() { rounded } else { float }))
}

/// The least or greatest of a list, or of the arguments.
fn extreme<'a>(args: &[Value<'a>], wanted: Ordering, steps: &Steps) -> Result<Value<'a>> {
    match args {
        [list @ (Value::Data(_) | Value::List(_))] => extreme_of(elements(list)?, wanted, steps),
        args => extreme_of(args.iter().cloned(), wanted, steps),
    }
}

fn extreme_of<'a>(mut items: impl Iterator<Item = Value<'a>>, wanted: Ordering, steps: &Steps) -> Result<Value<'a>> {
    let Some(mut best) = items.next() else {
        return Err(Failure::Missing("an empty list has no least and no greatest element".to_owned()));
    };
    for item in items {
        steps.spend(1)?;
        if order(&item, &best, steps)? == wanted {
            best = item;
        }
    }
    Ok(best)
}

fn timestamp<'a>(of: &Value<'a>) -> Result<Value<'a>> {
    match of {
        Value::Timestamp(micros) => Ok(Value::Timestamp(*micros)),
        Value::Text(text) => Some(&**text)
            .filter(|text| text.len() <= TIME_BYTES_MAX)
            .and_then(|text| tidings_event::Timestamp::parse(text).ok())
            .map(|moment| Value::Timestamp(moment.as_micros()))
            .ok_or_else(|| Failure::Type("timestamp() is asked of a string that is no RFC 3339 moment".to_owned())),
        Value::Number(number) => integral(*number)
            .and_then(|seconds| i64::try_from(seconds.checked_mul(1_000_000)?).ok())
            .map(Value::Timestamp)
            .ok_or_else(overflow),
        other => Err(Failure::Type(format!("timestamp() does not take {}", other.kind()))),
    }
}

/// The beginning of a day in UTC.
fn date<'a>(text: &str) -> Result<Value<'a>> {
    let wrong = || Failure::Type("date() is asked of a string that is no date like 2026-03-15".to_owned());
    if text.len() != 10 {
        return Err(wrong());
    }
    let date: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
    let start = TimeZone::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).map_err(|_| wrong())?;
    Ok(Value::Timestamp(start.as_microsecond()))
}

/// Reads a duration as CEL writes it: numbers with a unit each, like `1h30m` or `1.5s`, and a sign before.
fn duration<'a>(of: &Value<'a>) -> Result<Value<'a>> {
    let text = match of {
        Value::Duration(micros) => return Ok(Value::Duration(*micros)),
        Value::Text(text) => text,
        other => return Err(Failure::Type(format!("duration() does not take {}", other.kind()))),
    };
    let wrong = || Failure::Type("duration() is asked of a string that is no duration like 1h30m".to_owned());
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, &**text),
    };
    if rest.is_empty() || text.len() > TIME_BYTES_MAX {
        return Err(wrong());
    }
    let mut micros = 0.0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(|b| !b.is_ascii_digit() && *b != b'.').count();
        let (unit, left) = after.split_at(letters);
        let factor = match unit {
            "d" => 86_400e6,
            "h" => 3_600e6,
            "m" => 60e6,
            "s" => 1e6,
            "ms" => 1e3,
            "us" | "µs" => 1.0,
            "ns" => 1e-3,
            _ => return Err(wrong()),
        };
        micros += number.parse::<f64>().map_err(|_| wrong())? * factor;
        rest = left;
    }
    if micros >= 9.2e18 {
        return Err(overflow());
    }
    Ok(Value::Duration((sign * micros).round() as i64))
}

fn part_of_time(function: Function) -> bool {
    use Function as F;
    matches!(
        function,
        F::FullYear
            | F::Month
            | F::DayOfMonth
            | F::DateOfMonth
            | F::DayOfWeek
            | F::DayOfYear
            | F::Hours
            | F::Minutes
            | F::Seconds
            | F::Milliseconds
    )
}

/// A part of a moment in UTC, or a duration in a unit.
fn time_part<'a>(function: Function, of: &Value<'a>) -> Result<Value<'a>> {
    match of {
        Value::Timestamp(micros) => {
            let moment = tidings_event::Timestamp::from_micros(*micros).as_jiff();
            Ok(Value::int(part(function, TimeZone::UTC.to_datetime(moment))))
        }
        Value::Duration(micros) => Ok(Value::int(match function {
            Function::Hours => micros / 3_600_000_000,
            Function::Minutes => micros / 60_000_000,
            Function::Seconds => micros / 1_000_000,
            Function::Milliseconds => micros / 1_000,
            _ => return Err(Failure::Type(format!("{}() does not take a duration", function.as_str()))),
        })),
        other => Err(Failure::Type(format!("{}() does not take {}", function.as_str(), other.kind()))),
    }
}

/// Months, days of the year and `getDayOfMonth` count from 0, days of the week from Sunday, as CEL has it.
fn part(function: Function, at: DateTime) -> i64 {
    match function {
        Function::FullYear => at.year().into(),
        Function::Month => i64::from(at.month()) - 1,
        Function::DayOfMonth => i64::from(at.day()) - 1,
        Function::DateOfMonth => at.day().into(),
        Function::DayOfWeek => at.weekday().to_sunday_zero_offset().into(),
        Function::DayOfYear => i64::from(at.day_of_year()) - 1,
        Function::Hours => at.hour().into(),
        Function::Minutes => at.minute().into(),
        Function::Seconds => at.second().into(),
        _ => at.millisecond().into(),
    }
}
