//! The numbers that were given out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Numbers that Protobuf keeps for itself.
const OWN: std::ops::RangeInclusive<u32> = 19_000..=19_999;
/// The version of the file's form.
const FORM: u32 = 1;

/// Everything that was ever given a number.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    note: String,
    form: u32,
    #[serde(default)]
    messages: BTreeMap<String, Message>,
    #[serde(default)]
    enums: BTreeMap<String, Vec<Entry>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    /// The member that tells the records of a union apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    fields: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The member, or the string of an enum, as it stands in JSON.
    json: String,
    /// The type of a field; a member that changes its type is another field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    number: u32,
}

/// Numbers of what is there now, in its order, and of what was there once.
pub(super) struct Numbers {
    pub(super) given: Vec<u32>,
    pub(super) reserved: Vec<u32>,
}

impl Default for Lock {
    fn default() -> Self {
        let note = "The numbers of fields and enum values that were given out. Keep this file with the messages: \
                    the next generation reads it, so that no number ever comes to mean something else.";
        Self { note: note.to_owned(), form: FORM, messages: BTreeMap::new(), enums: BTreeMap::new() }
    }
}

impl Lock {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let lock: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if lock.form != FORM {
            return Err(format!("it has the form {}, this version knows {FORM}", lock.form));
        }
        for (name, entries) in lock.messages.iter().map(|(name, message)| (name, &message.fields)).chain(&lock.enums) {
            let mut numbers: Vec<u32> = entries.iter().map(|entry| entry.number).collect();
            numbers.sort_unstable();
            let usable = |number: &u32| (1..super::ADDITIONAL).contains(number) && !OWN.contains(number);
            if numbers.windows(2).any(|pair| pair[0] == pair[1]) || !numbers.iter().all(usable) {
                return Err(format!("{name} has a number twice, or one that cannot be given"));
            }
        }
        Ok(lock)
    }

    pub(super) fn into_text(self) -> String {
        serde_json::to_string_pretty(&self).expect("numbers and strings can be written") + "\n"
    }

    /// The numbers of a message's fields, each a member and its type.
    pub(super) fn fields(&mut self, message: &str, tag: Option<&str>, wanted: &[(String, String)]) -> Numbers {
        let message = self.messages.entry(message.to_owned()).or_default();
        message.tag = tag.map(str::to_owned);
        let wanted: Vec<(&str, Option<&str>)> =
            wanted.iter().map(|(json, of)| (json.as_str(), Some(of.as_str()))).collect();
        assign(&mut message.fields, &wanted)
    }

    /// The numbers of an enum's values.
    pub(super) fn values(&mut self, name: &str, wanted: &[String]) -> Numbers {
        let wanted: Vec<(&str, Option<&str>)> = wanted.iter().map(|json| (json.as_str(), None)).collect();
        assign(self.enums.entry(name.to_owned()).or_default(), &wanted)
    }
}

fn assign(entries: &mut Vec<Entry>, wanted: &[(&str, Option<&str>)]) -> Numbers {
    let given: Vec<u32> = wanted
        .iter()
        .map(|(json, of)| {
            if let Some(entry) = entries.iter().find(|entry| entry.json == *json && entry.of.as_deref() == *of) {
                return entry.number;
            }
            let next = entries.iter().map(|entry| entry.number).max().unwrap_or(0) + 1;
            let number = if OWN.contains(&next) { OWN.end() + 1 } else { next };
            entries.push(Entry { json: (*json).to_owned(), of: of.map(str::to_owned), number });
            number
        })
        .collect();
    let reserved = entries.iter().map(|entry| entry.number).filter(|number| !given.contains(number)).collect();
    Numbers { given, reserved }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lock: &mut Lock, wanted: &[(&str, &str)]) -> (Vec<u32>, Vec<u32>) {
        let wanted: Vec<(String, String)> =
            wanted.iter().map(|(json, of)| ((*json).to_owned(), (*of).to_owned())).collect();
        let numbers = lock.fields("M", None, &wanted);
        (numbers.given, numbers.reserved)
    }

    #[test]
    fn a_number_never_comes_to_mean_something_else() {
        let mut lock = Lock::default();
        assert_eq!(fields(&mut lock, &[("b", "string"), ("c", "int64")]), (vec![1, 2], vec![]));
        let mut lock = Lock::read(&lock.into_text()).unwrap();
        assert_eq!(fields(&mut lock, &[("a", "string"), ("b", "string"), ("c", "int64")]), (vec![3, 1, 2], vec![]));
        assert_eq!(
            fields(&mut lock, &[("a", "string"), ("c", "string")]),
            (vec![3, 4], vec![1, 2]),
            "gone, and retyped"
        );
        let mut lock = Lock::read(&lock.into_text()).unwrap();
        assert_eq!(
            fields(&mut lock, &[("b", "string"), ("c", "int64")]),
            (vec![1, 2], vec![3, 4]),
            "back as they were"
        );
    }

    #[test]
    fn a_lock_that_gives_a_number_twice_is_refused() {
        let text = r#"{"note":"","form":1,"messages":{"M":{"fields":[
            {"json":"a","of":"string","number":1},{"json":"b","of":"string","number":1}]}}}"#;
        assert!(Lock::read(text).unwrap_err().contains('M'));
        assert!(Lock::read(r#"{"note":"","form":2}"#).is_err());
        assert!(Lock::read("{}").is_err());
    }

    #[test]
    fn the_numbers_that_protobuf_keeps_are_left_out() {
        let mut entries = vec![Entry { json: "a".to_owned(), of: None, number: 18_999 }];
        assert_eq!(assign(&mut entries, &[("b", None)]).given, [20_000]);
    }
}
