//! Names: from what the schema calls something to what a language lets it be called.

use std::collections::BTreeSet;

/// The words of a name, in lower case: cut at everything that is no ASCII letter or digit, and where lower case turns
/// into upper case. `leadId`, `lead_id` and `Lead-ID` have the same words.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let characters: Vec<char> = name.chars().collect();
    for (index, &character) in characters.iter().enumerate() {
        if !character.is_ascii_alphanumeric() {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            continue;
        }
        let before = index.checked_sub(1).map(|before| characters[before]);
        let after = characters.get(index + 1);
        let begins = character.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase() && after.is_some_and(char::is_ascii_lowercase))
            });
        if begins {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        word.push(character.to_ascii_lowercase());
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// `lead_id`; `fallback` where nothing is left of the name, which then also stands before a digit.
pub(super) fn snake(name: &str, fallback: &str) -> String {
    led_by_letter(words(name), fallback).join("_")
}

/// `LEAD_ID`.
pub(super) fn screaming(name: &str, fallback: &str) -> String {
    snake(name, fallback).to_ascii_uppercase()
}

/// `LeadId`.
pub(super) fn pascal(name: &str, fallback: &str) -> String {
    led_by_letter(words(name), fallback).iter().map(|word| capital(word)).collect()
}

/// The words as a part of a longer name in Pascal case, which may begin with a digit.
pub(super) fn pascal_part(name: &str, fallback: &str) -> String {
    let words = words(name);
    if words.is_empty() { fallback.to_owned() } else { words.iter().map(|word| capital(word)).collect() }
}

fn led_by_letter(mut words: Vec<String>, fallback: &str) -> Vec<String> {
    if words.first().is_none_or(|first| first.starts_with(|first: char| first.is_ascii_digit())) {
        words.insert(0, fallback.to_owned());
    }
    words
}

/// The word with a capital first letter.
pub(super) fn capital(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + characters.as_str())
}

/// Names that are taken. Two names that differ in case and underscores alone count as one, for in some language they
/// would be.
#[derive(Default)]
pub(super) struct Scope(BTreeSet<String>);

impl Scope {
    /// A scope in which these are taken already.
    pub(super) fn without(reserved: &[&str]) -> Self {
        Self(reserved.iter().map(|name| Self::same(name)).collect())
    }

    /// The name, or the next that is free: `name_2`, `name_3` (`Name2` where `joint` is empty).
    pub(super) fn take(&mut self, name: &str, joint: &str) -> String {
        if self.0.insert(Self::same(name)) {
            return name.to_owned();
        }
        (2_u64..)
            .map(|number| format!("{name}{joint}{number}"))
            .find(|candidate| self.0.insert(Self::same(candidate)))
            .expect("a finite set does not hold every number")
    }

    /// Names for all of these, each what it is called in JSON and what it would be called here. One that is called here
    /// as in JSON keeps that name, whatever stands before it.
    pub(super) fn take_all<'n>(
        &mut self,
        wanted: impl Iterator<Item = (&'n str, String)> + Clone,
        joint: &str,
    ) -> Vec<String> {
        let kept: Vec<Option<String>> =
            wanted.clone().map(|(json, name)| (json == name).then(|| self.take(&name, joint))).collect();
        kept.into_iter().zip(wanted).map(|(kept, (_, name))| kept.unwrap_or_else(|| self.take(&name, joint))).collect()
    }

    fn same(name: &str) -> String {
        name.chars().filter(|character| *character != '_').map(|character| character.to_ascii_lowercase()).collect()
    }
}

/// The name, with `_` behind it where the language keeps the word for itself.
pub(super) fn unreserved(name: String, reserved: &[&str]) -> String {
    if reserved.contains(&name.as_str()) { name + "_" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_where_a_reader_would_cut_them() {
        for (name, expected) in [
            ("lead_id", "lead id"),
            ("leadId", "lead id"),
            ("Lead-ID", "lead id"),
            ("HTTPServer", "http server"),
            ("line2Text", "line2 text"),
            ("@type", "type"),
            ("größe", "gr e"),
            ("", ""),
        ] {
            assert_eq!(words(name).join(" "), expected, "{name}");
        }
    }

    #[test]
    fn names_that_differ_in_case_alone_get_numbers() {
        let mut scope = Scope::without(&["additional"]);
        let taken: Vec<String> =
            ["lead_id", "leadid", "LEAD_ID", "additional"].iter().map(|name| scope.take(name, "_")).collect();
        assert_eq!(taken, ["lead_id", "leadid_2", "LEAD_ID_3", "additional_2"]);
    }

    #[test]
    fn a_name_that_needs_no_change_is_not_changed() {
        let wanted = [("leadId", "lead_id"), ("lead_id", "lead_id")];
        let wanted = wanted.into_iter().map(|(json, name)| (json, name.to_owned()));
        assert_eq!(Scope::default().take_all(wanted, "_"), ["lead_id_2", "lead_id"]);
    }

    #[test]
    fn what_has_no_letter_gets_one() {
        assert_eq!(snake("2fa", "member"), "member_2fa");
        assert_eq!(snake("", "member"), "member");
        assert_eq!(pascal("+", "Value"), "Value");
        assert_eq!(pascal("2fa", "Value"), "Value2fa");
    }
}
