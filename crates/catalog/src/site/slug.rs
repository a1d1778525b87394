//! Addresses: safe in paths and fragments whatever the name, and never the same for two names.

use std::collections::{BTreeMap, BTreeSet};

/// Slugs of a set of names.
pub(super) struct Slugs(BTreeMap<String, String>);

impl Slugs {
    /// Gives every name a slug; the same names get the same slugs in whatever order they come.
    pub(super) fn of<'a>(prefix: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: BTreeSet<&str> = names.into_iter().collect();
        let mut taken = BTreeSet::new();
        let mut slugs = BTreeMap::new();
        for name in names {
            let plain = slug(prefix, name);
            let mut unique = plain.clone();
            let mut number = 2;
            while !taken.insert(unique.clone()) {
                unique = format!("{plain}-{number}");
                number += 1;
            }
            slugs.insert(name.to_owned(), unique);
        }
        Self(slugs)
    }

    /// The slug of one of the names.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

fn slug(prefix: &str, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '-' };
    let mut text = String::from(prefix);
    text.extend(name.chars().take(100).map(plain));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_safe_and_never_shared() {
        let slugs = Slugs::of("owner-", ["a/b", "a b", "\"><script>", "sales"]);
        let mut seen = BTreeSet::new();
        for name in ["a/b", "a b", "\"><script>", "sales"] {
            let slug = slugs.get(name);
            assert!(slug.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')), "{slug}");
            assert!(seen.insert(slug.to_owned()), "{slug} twice");
        }
        assert_eq!(slugs.get("sales"), "owner-sales");
    }
}
