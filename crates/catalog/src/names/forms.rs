//! Forms of words: participles, plurals, and the way back to verbs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::words;

type Words = BTreeSet<&'static str>;
type Table = BTreeMap<&'static str, &'static str>;

fn set(text: &'static str) -> Words {
    text.split_whitespace().collect()
}

/// `left right|left right|…`
fn table(text: &'static str) -> Table {
    text.split('|').filter_map(|row| row.trim().split_once(' ')).map(|(left, right)| (left, right.trim())).collect()
}

/// An irregular verb.
struct Irregular {
    base: &'static str,
    past: &'static str,
    participles: Vec<&'static str>,
}

static IRREGULAR: LazyLock<Vec<Irregular>> = LazyLock::new(|| {
    let rows = words::IRREGULAR.split('|').map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter_map(|row| {
        let [base, past, participles] = row.try_into().ok()?;
        Some(Irregular { base, past, participles: participles.split('/').collect() })
    })
    .collect()
});
static BY_BASE: LazyLock<Table> =
    LazyLock::new(|| IRREGULAR.iter().map(|verb| (verb.base, verb.participles[0])).collect());
static BY_PAST: LazyLock<Table> =
    LazyLock::new(|| IRREGULAR.iter().map(|verb| (verb.past, verb.participles[0])).collect());
static PARTICIPLES: LazyLock<Words> =
    LazyLock::new(|| IRREGULAR.iter().flat_map(|verb| verb.participles.iter().copied()).collect());
static REGULAR: LazyLock<Words> = LazyLock::new(|| set(words::REGULAR));
static DOUBLING: LazyLock<Words> = LazyLock::new(|| set(words::DOUBLING));
static NOUNS: LazyLock<Table> = LazyLock::new(|| table(words::NOUNS));
static STATES: LazyLock<Table> = LazyLock::new(|| table(words::STATES));
static NO_PARTICIPLES: LazyLock<Words> = LazyLock::new(|| set(words::NO_PARTICIPLES));
static NOT_ALONE: LazyLock<Words> = LazyLock::new(|| set(words::NOT_ALONE));
static LIKE_ADJECTIVES: LazyLock<Words> = LazyLock::new(|| set(words::LIKE_ADJECTIVES));
static ADJECTIVES: LazyLock<Words> = LazyLock::new(|| set(words::ADJECTIVES));
static PLURALIA_TANTUM: LazyLock<Words> = LazyLock::new(|| set(words::PLURALIA_TANTUM));
static COUNTED: LazyLock<Words> = LazyLock::new(|| set(words::COUNTED));
static FIELDS: LazyLock<Words> = LazyLock::new(|| set(words::FIELDS));
static FUTURE: LazyLock<Words> = LazyLock::new(|| set(words::FUTURE));
static SINGULAR: LazyLock<Words> = LazyLock::new(|| set(words::SINGULAR));
static PLURALS: LazyLock<Table> = LazyLock::new(|| table(words::PLURALS));
static PARTICLES: LazyLock<Words> = LazyLock::new(|| set(words::PARTICLES));
static TENSES: LazyLock<Words> = LazyLock::new(|| set(words::TENSES));
static GENERIC: LazyLock<Words> = LazyLock::new(|| set(words::GENERIC));
static NOUNISH: LazyLock<Words> = LazyLock::new(|| set(words::NOUNISH));
static TAKEN: LazyLock<Words> = LazyLock::new(|| set(words::TAKEN_AS_THEY_ARE));

/// Whether a word says of something that it was done, or happened.
pub(super) fn is_participle(word: &str) -> bool {
    PARTICIPLES.contains(word) || TAKEN.contains(word) || is_regular_participle(word)
}

fn is_regular_participle(word: &str) -> bool {
    if word.ends_with("eed") {
        return REGULAR.contains(&word[..word.len() - 1]);
    }
    word.len() >= 4
        && word.ends_with("ed")
        && !NO_PARTICIPLES.contains(word)
        && word[..word.len() - 2].contains(|c| "aeiouy".contains(c))
}

/// Whether a participle tells something where nothing else stands.
pub(super) fn tells_alone(word: &str) -> bool {
    !NOT_ALONE.contains(word)
}

/// Whether a participle that stands alone is read as what something is like, rather than as what happened to it.
pub(super) fn is_like_an_adjective(word: &str) -> bool {
    LIKE_ADJECTIVES.contains(word)
}

/// Whether a word is taken behind a participle for how it was done, or for what it was made: `failed_permanently`,
/// `made_public`.
pub(super) fn is_no_noun(word: &str) -> bool {
    ADJECTIVES.contains(word)
        || STATES.contains_key(word)
        || is_particle(word)
        || ["ly", "able", "ible", "less"].iter().any(|ending| word.len() > 5 && word.ends_with(ending))
}

/// Whether a word is a simple past that something follows: `became_overdue`.
pub(super) fn is_taken(word: &str) -> bool {
    TAKEN.contains(word)
}

/// Whether a word names what something has, and what may change.
pub(super) fn is_field(word: &str) -> bool {
    FIELDS.contains(word)
}

/// Whether a word says that something has not happened yet.
pub(super) fn is_future(word: &str) -> bool {
    FUTURE.contains(word)
}

/// Whether the plural of a word is certainly one.
pub(super) fn is_counted(word: &str) -> bool {
    COUNTED.contains(word) || PLURALS.values().any(|one| *one == word)
}

/// Whether the past of a verb is its base: `reset` may tell and may ask.
pub(super) fn is_ambiguous(word: &str) -> bool {
    BY_BASE.get(word).is_some_and(|participle| *participle == word)
}

/// The participle of a simple past: `written` of `wrote`.
pub(super) fn of_simple_past(word: &str) -> Option<&'static str> {
    BY_PAST.get(word).copied().filter(|participle| *participle != word)
}

/// Whether a word is a verb's base.
pub(super) fn is_verb(word: &str) -> bool {
    BY_BASE.contains_key(word) || REGULAR.contains(word)
}

/// Whether a verb's base is a noun more often.
pub(super) fn is_nounish(word: &str) -> bool {
    NOUNISH.contains(word)
}

/// The participle of a verb's base.
pub(super) fn participle(base: &str) -> String {
    if let Some(participle) = BY_BASE.get(base) {
        return (*participle).to_owned();
    }
    if base.ends_with('e') {
        return format!("{base}d");
    }
    if let Some(stem) = base.strip_suffix('y')
        && !stem.ends_with(|c| "aeiou".contains(c))
    {
        return format!("{stem}ied");
    }
    match base.chars().last() {
        Some(last) if DOUBLING.contains(base) => format!("{base}{last}ed"),
        _ if base == "cancel" => "cancelled".to_owned(),
        _ => format!("{base}ed"),
    }
}

/// The base of `creates`, `tries`, `goes`.
pub(super) fn base_of_present(word: &str) -> Option<String> {
    let candidates = [
        word.strip_suffix("ies").map(|stem| format!("{stem}y")),
        word.strip_suffix("es").map(str::to_owned),
        word.strip_suffix('s').map(str::to_owned),
    ];
    candidates.into_iter().flatten().find(|base| is_verb(base))
}

/// The base of `creating`, `shipping`, `lying`. Of a verb that is not known: what is left without the ending.
pub(super) fn base_of_progressive(word: &str) -> Option<String> {
    let stem = word.strip_suffix("ing").filter(|stem| stem.len() >= 2)?;
    let mut undoubled = stem.to_owned();
    undoubled.pop();
    let doubled = undoubled.ends_with(stem.chars().last()?);
    let candidates = [Some(stem.to_owned()), Some(format!("{stem}e")), doubled.then_some(undoubled)];
    candidates.into_iter().flatten().find(|base| is_verb(base))
}

/// What the noun of an action says as a participle: `created` of `creation`.
pub(super) fn of_noun(word: &str) -> Option<String> {
    if let Some(participle) = NOUNS.get(word) {
        return Some((*participle).to_owned());
    }
    let stem = |ending: &str| word.strip_suffix(ending).map(str::to_owned);
    let with_e = |ending: &str| word.strip_suffix(ending).map(|stem| format!("{stem}e"));
    let candidates = [
        stem("ion").filter(|stem| !stem.ends_with("at")),
        with_e("ion"),
        stem("ation"),
        with_e("ation"),
        stem("ment"),
        stem("al"),
        with_e("al"),
        stem("ance"),
        with_e("ance"),
        stem("ence"),
        stem("ure"),
        word.strip_suffix("ification").map(|stem| format!("{stem}ify")),
    ];
    candidates.into_iter().flatten().find(|base| is_verb(base)).map(|base| participle(&base))
}

/// What to say of a state that became true.
pub(super) fn of_state(word: &str) -> Option<&'static str> {
    STATES.get(word).copied()
}

/// A word that belongs to the participle before it.
pub(super) fn is_particle(word: &str) -> bool {
    PARTICLES.contains(word)
}

/// A word that only says when, or wishes.
pub(super) fn is_tense(word: &str) -> bool {
    TENSES.contains(word)
}

/// A name that says nothing.
pub(super) fn is_generic(word: &str) -> bool {
    GENERIC.contains(word)
}

/// One of what a plural speaks of; none if the word is no plural.
pub(super) fn singular(word: &str) -> Option<String> {
    if let Some(one) = PLURALS.get(word) {
        return Some((*one).to_owned());
    }
    let vowels = |text: &str| text.contains(|c| "aeiouy".contains(c));
    if SINGULAR.contains(word) || PLURALIA_TANTUM.contains(word) || !vowels(word) || word.len() < 4 {
        return None;
    }
    let stem = word.strip_suffix('s').filter(|stem| !stem.ends_with(['s', 'u', 'i']))?;
    if let Some(stem) = word.strip_suffix("ies") {
        return Some(format!("{stem}y"));
    }
    let sibilant = ["sses", "xes", "ches", "shes", "zzes"].iter().any(|ending| word.ends_with(ending));
    // `statuses`: what is left without `es` is a singular that ends in `s` itself.
    let without = word.strip_suffix("es").filter(|rest| sibilant || (rest.ends_with('s') && SINGULAR.contains(rest)));
    Some(without.unwrap_or(stem).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_tables_is_complete() {
        let rows = words::IRREGULAR.split('|').count();
        assert_eq!(IRREGULAR.len(), rows);
        for verb in IRREGULAR.iter() {
            assert!(!REGULAR.contains(verb.base), "{} is regular and irregular", verb.base);
        }
        assert_eq!(NOUNS.len(), words::NOUNS.split('|').count());
        assert_eq!(STATES.len(), words::STATES.split('|').count());
        assert_eq!(PLURALS.len(), words::PLURALS.split('|').count());
        for verb in REGULAR.iter() {
            assert!(is_participle(&participle(verb)), "{verb}");
        }
        for (noun, participle) in NOUNS.iter().chain(STATES.iter()) {
            let first = participle.split('_').next().unwrap_or_default();
            assert!(is_participle(first), "{noun}: {participle}");
        }
    }

    #[test]
    fn plurals_become_singulars_and_singulars_stay() {
        let rows = [
            ("orders", "order"),
            ("categories", "category"),
            ("addresses", "address"),
            ("statuses", "status"),
            ("boxes", "box"),
            ("branches", "branch"),
            ("caches", "cache"),
            ("houses", "house"),
            ("purchases", "purchase"),
            ("responses", "response"),
            ("sizes", "size"),
            ("people", "person"),
            ("children", "child"),
            ("indices", "index"),
            ("movies", "movie"),
            ("archives", "archive"),
            ("leaves", "leaf"),
            ("keys", "key"),
            ("users", "user"),
            ("invoices", "invoice"),
            ("processes", "process"),
            ("businesses", "business"),
            ("campuses", "campus"),
        ];
        for (many, one) in rows {
            assert_eq!(singular(many).as_deref(), Some(one), "{many}");
            assert_eq!(singular(one), None, "{one}");
        }
        for one in
            ["news", "series", "bus", "canvas", "analysis", "dns", "sms", "virus", "lens", "basis", "focus", "gas"]
        {
            assert_eq!(singular(one), None, "{one}");
        }
    }
}
