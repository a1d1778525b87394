//! What looks personal, by its name or its value, and how it is shown instead.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::definition::{Class, Classification, Pointer};
use crate::pointer::WILDCARD;

/// Characters from which on a text is taken for something that a person wrote.
const FREE_TEXT_CHARS_MIN: usize = 60;

/// Words of names that hold what opens something.
const SECRET: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "api_key",
    "private_key",
    "access_token",
    "refresh_token",
    "auth_token",
    "authorization",
    "credential",
    "credentials",
    "cvv",
    "cvc",
    "pin",
    "otp",
];
/// Words of names that tell of somebody's health.
const HEALTH: &[&str] = &[
    "diagnosis",
    "diagnoses",
    "medication",
    "allergy",
    "allergies",
    "disability",
    "blood_type",
    "symptom",
    "symptoms",
    "treatment",
    "prescription",
    "pregnancy",
    "medical",
];
/// Words of names that identify a person, whatever holds them.
const PERSON: &[&str] = &[
    "email",
    "e_mail",
    "mail_address",
    "phone",
    "telephone",
    "mobile",
    "fax",
    "iban",
    "ssn",
    "social_security",
    "passport",
    "tax_id",
    "national_id",
    "birth",
    "birthday",
    "birthdate",
    "dob",
    "date_of_birth",
    "first_name",
    "last_name",
    "full_name",
    "given_name",
    "family_name",
    "middle_name",
    "maiden_name",
    "display_name",
    "surname",
    "firstname",
    "lastname",
    "fullname",
    "username",
    "user_name",
    "nationality",
    "gender",
    "religion",
    "ethnicity",
    "ip",
    "ip_address",
    "mac_address",
    "latitude",
    "longitude",
    "geolocation",
    "license_plate",
    "credit_card",
    "card_number",
    "account_number",
    "home_address",
    "postal_address",
    "street",
    "street_address",
    "address_line1",
    "signature",
    "salary",
];
/// What holds a `name` or an `address` that is a person's.
const PEOPLE: &[&str] = &[
    "person",
    "people",
    "user",
    "customer",
    "contact",
    "employee",
    "member",
    "patient",
    "tenant",
    "renter",
    "owner",
    "author",
    "sender",
    "recipient",
    "passenger",
    "guest",
    "student",
    "applicant",
    "candidate",
    "signer",
    "driver",
    "reporter",
    "assignee",
    "participant",
    "subscriber",
    "beneficiary",
];

/// What a member probably holds, by its name, what holds it and the format of its values.
pub(super) fn guess(name: &str, holder: Option<&Pointer>, format: Option<&str>) -> Option<Class> {
    let words = words(name);
    let has = |list: &[&str]| list.iter().any(|known| holds(&words, known));
    if has(SECRET) {
        return Some(Class::Secret);
    }
    if has(HEALTH) {
        return Some(Class::Phi);
    }
    let above = holder.iter().flat_map(|holder| holder.segments()).filter(|segment| *segment != WILDCARD);
    let of_person =
        || above.clone().next_back().is_some_and(|holder| self::words(holder).iter().any(|word| is_people(word)));
    let last = words.last().map_or("", String::as_str);
    let named = matches!(last, "name" | "address") && (of_person() || words.iter().any(|word| is_people(word)));
    (has(PERSON) || named || format == Some("email")).then_some(Class::Pii)
}

fn is_people(word: &str) -> bool {
    PEOPLE.contains(&word) || word.strip_suffix('s').is_some_and(|one| PEOPLE.contains(&one))
}

/// The words of a name, in whatever style it is written, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        lower_before = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a name has these words, one after the other.
fn holds(words: &[String], known: &str) -> bool {
    let known: Vec<&str> = known.split('_').collect();
    words.windows(known.len()).any(|window| window.iter().zip(&known).all(|(word, known)| word == known))
}

/// Whether a member's name is rather an id than a word of the language.
pub(super) fn is_id(name: &str) -> bool {
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    is_address(name) || (name.len() >= 4 && digits * 3 >= name.len()) || (!name.is_empty() && digits == name.len())
}

/// Whether a text is an e-mail address.
pub(super) fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !text.chars().any(char::is_whitespace)
    })
}

/// Whether a text is rather somebody's than everybody's: an address, a number to call, something that was written.
fn is_personal(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let called =
        text.starts_with('+') && digits >= 7 && text.bytes().all(|b| b.is_ascii_digit() || b"+ ()-/".contains(&b));
    let written = text.contains(char::is_whitespace) && text.chars().count() >= FREE_TEXT_CHARS_MIN;
    called || written || text.split_whitespace().any(is_address)
}

/// A document without what looks personal. It stays valid.
pub(super) fn masked(data: &Value, schema: &Value, classification: &BTreeMap<Pointer, Classification>) -> Value {
    mask(data, schema, &Pointer::of::<String>([]), false, classification)
}

fn mask(
    value: &Value,
    schema: &Value,
    at: &Pointer,
    hidden: bool,
    classification: &BTreeMap<Pointer, Classification>,
) -> Value {
    let hidden = hidden || classification.get(at).is_some_and(|is| is.class > Class::Internal);
    match value {
        Value::Object(members) => {
            let mut masked = Map::new();
            for (number, (name, member)) in members.iter().enumerate() {
                let declared = schema.get("properties").and_then(|properties| properties.get(name));
                let is_key = declared.is_none() && (hidden || is_personal(name) || is_id(name));
                let schema = declared.or_else(|| schema.get("additionalProperties")).unwrap_or(&Value::Null);
                let at = at.join(if declared.is_some() { name } else { WILDCARD });
                let name = if is_key { stand_in_for_name(number + 1, members) } else { name.clone() };
                masked.insert(name, mask(member, schema, &at, hidden, classification));
            }
            Value::Object(masked)
        }
        Value::Array(elements) => {
            let schema = schema.get("items").unwrap_or(&Value::Null);
            let at = at.join(WILDCARD);
            elements.iter().map(|element| mask(element, schema, &at, hidden, classification)).collect()
        }
        Value::String(text) if schema.get("enum").is_none() && (hidden || is_personal(text)) => {
            Value::from(stand_in(schema.get("format").and_then(Value::as_str), text))
        }
        Value::Number(_) if hidden => Value::from(0),
        other => other.clone(),
    }
}

/// What is shown in the place of a member's name: one that no other member has.
fn stand_in_for_name(number: usize, members: &Map<String, Value>) -> String {
    let mut name = format!("key_{number}");
    while members.contains_key(&name) {
        name.push('_');
    }
    name
}

/// What is shown in the place of a text.
fn stand_in(format: Option<&str>, text: &str) -> &'static str {
    match format {
        Some("date-time") => "2000-01-01T00:00:00Z",
        Some("date") => "2000-01-01",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        Some("email") => "person@example.com",
        Some("uri") => "https://example.com/",
        _ if is_address(text) => "person@example.com",
        _ if text.starts_with('+') => "+10000000000",
        _ => "masked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_members_tell_what_they_hold() {
        let cases = [
            ("", "email", Some(Class::Pii)),
            ("", "customerEmail", Some(Class::Pii)),
            ("", "date_of_birth", Some(Class::Pii)),
            ("", "client-ip", Some(Class::Pii)),
            ("", "name", None),
            ("/product", "name", None),
            ("/customer", "name", Some(Class::Pii)),
            ("/participants/*", "name", Some(Class::Pii)),
            ("", "customerName", Some(Class::Pii)),
            ("", "shipping", None),
            ("", "description", None),
            ("", "diagnosis", Some(Class::Phi)),
            ("", "apiKey", Some(Class::Secret)),
            ("", "password_hash", Some(Class::Secret)),
            ("", "shopping_cart", None),
        ];
        for (holder, name, class) in cases {
            let holder = Pointer::parse(holder).unwrap();
            assert_eq!(guess(name, Some(&holder), None), class, "{holder} {name}");
        }
    }

    #[test]
    fn what_looks_personal_is_not_shown() {
        let data = json!({"mail": "ada@example.org", "phone": "+41 79 123 45 67", "age": 41, "note": "short",
            "written": "A long story about Ada, who lives in Thun and has rung three times since Sunday.",
            "by": {"ada@example.org": 1}});
        let schema = json!({"properties": {"age": {}, "mail": {}, "phone": {}, "note": {}, "written": {}, "by": {}}});
        let age = Classification { class: Class::Pii, action: crate::definition::Action::Redact };
        let masked = masked(&data, &schema, &BTreeMap::from([(Pointer::parse("/age").unwrap(), age)]));
        let expected = json!({"mail": "person@example.com", "phone": "+10000000000", "age": 0, "note": "short",
            "written": "masked", "by": {"key_1": 1}});
        assert_eq!(masked, expected);
    }
}
