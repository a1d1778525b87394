//! Random pairs of related schemas in every view, and random documents against every verdict.
//!
//! A *compatible* verdict is attacked with documents: those that the real validator accepts under the narrow schema it
//! must accept under the wide one. A *breaking* verdict must come with a witness that the validator confirms. The seeds
//! are fixed, so a failure comes again. `TIDINGS_FUZZ_INSTANCES` says how many documents of narrow schemas are to be
//! tried before the test is content, `TIDINGS_FUZZ_SEED` after which seed it begins, `TIDINGS_FUZZ_SHOW` that it prints
//! what stayed unknown.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "all of it is a test, also outside the test's function")]

mod instances;
mod schemas;

use jsonschema::{PatternOptions, Validator};
use serde_json::{Value, json};
use tidings_catalog::compat::{Direction, Verdict, View, includes, judge, seen};
use tidings_catalog::definition::Compatibility;

const INSTANCES: u64 = 30_000;
/// Documents of the narrow schema that are wanted of one pair, and how many are tried for it.
const WANTED_PER_PAIR: u32 = 20;
const TRIED_PER_PAIR: u32 = 150;

/// Dice with a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

fn wanted() -> u64 {
    std::env::var("TIDINGS_FUZZ_INSTANCES").ok().and_then(|text| text.parse().ok()).unwrap_or(INSTANCES)
}

fn validators(schema: &Value, view: View) -> Option<Vec<Validator>> {
    let build = |schema: &Value| {
        jsonschema::options()
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex())
            .build(schema)
            .ok()
    };
    seen(schema, view).ok()?.iter().map(build).collect()
}

fn accepts(validators: &[Validator], document: &Value) -> bool {
    validators.iter().all(|validator| validator.is_valid(document))
}

#[derive(Debug, Default)]
struct Tally {
    pairs: u64,
    compatible: u64,
    breaking: u64,
    unknown: u64,
    /// Documents of narrow schemas that were tried against compatible verdicts.
    instances: u64,
}

#[test]
fn no_document_contradicts_a_verdict() {
    let wanted = wanted();
    let views = [
        (View::AsIs, View::AsIs),
        (View::Closed, View::Open),
        (View::AsIs, View::Open),
        (View::Closed, View::AsIs),
        (View::Open, View::Open),
        (View::Closed, View::Closed),
    ];
    let mut tally = Tally::default();
    let mut seed = std::env::var("TIDINGS_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    while tally.instances < wanted {
        seed += 1;
        let mut dice = Dice(seed);
        let (narrow, wide) = schemas::pair(&mut dice);
        if narrow == wide {
            continue;
        }
        if dice.one_in(3) {
            try_published(seed, &narrow, &wide, &mut dice, &mut tally);
            continue;
        }
        let (narrow_view, wide_view) = *dice.pick(&views);
        let verdict = includes(&narrow, narrow_view, &wide, wide_view);
        try_pair(seed, (&narrow, narrow_view), (&wide, wide_view), verdict, &mut dice, &mut tally);
    }
    println!("{tally:?}");
    assert!(tally.compatible * 10 > tally.pairs, "too few compatible verdicts to mean anything: {tally:?}");
}

/// What is written by the earlier schema must be read by the new one, and the other way round.
fn try_published(seed: u64, earlier: &Value, new: &Value, dice: &mut Dice, tally: &mut Tally) {
    let judged = judge(Compatibility::Published, &[earlier], new);
    assert_eq!(judged.len(), 2, "seed {seed}");
    for judged in judged {
        let (narrow, wide) = if judged.direction == Direction::Backward { (earlier, new) } else { (new, earlier) };
        try_pair(seed, (narrow, View::Closed), (wide, View::Open), judged.verdict, dice, tally);
    }
}

/// The paths, at most two names long, to the objects of a document that a schema describes.
fn described_objects(schema: &Value, document: &Value) -> Vec<Vec<String>> {
    let parts = || [schema].into_iter().chain(schema["allOf"].as_array().into_iter().flatten());
    let mut found = Vec::new();
    for (name, value) in document.as_object().into_iter().flatten().filter(|(_, value)| value.is_object()) {
        for inner in parts().filter_map(|part| part["properties"].get(name)) {
            found.push(vec![name.clone()]);
            let deeper = described_objects(inner, value);
            found.extend(
                deeper.into_iter().filter(|path| path.len() == 1).map(|path| vec![name.clone(), path[0].clone()]),
            );
        }
    }
    found
}

#[test]
fn closing_never_empties_what_is_described_without_a_word() {
    let mut tried = 0;
    let seeds = wanted() / 100;
    for seed in 1..=seeds {
        let mut dice = Dice(seed);
        let schema = schemas::nested(&mut dice);
        let as_is = validators(&schema, View::AsIs).expect("a made schema compiles");
        let mut paths: Vec<Vec<String>> = Vec::new();
        for attempt in 0..60 {
            let document = instances::document(&mut dice, &schema, &schema, attempt);
            if accepts(&as_is, &document) {
                paths.extend(described_objects(&schema, &document));
            }
        }
        paths.sort();
        paths.dedup();
        for path in paths {
            tried += 1;
            let none = path.iter().rev().fold(
                json!({ "not": { "type": "object" } }),
                |inner, name| json!({ "properties": { (name.as_str()): inner } }),
            );
            let verdict = includes(&schema, View::Closed, &none, View::AsIs);
            assert!(verdict != Verdict::Compatible, "seed {seed}: {path:?} is emptied in {schema}");
        }
    }
    println!("{tried} places");
    assert!(tried * 2 > seeds, "too few places: {tried}");
}

fn try_pair(
    seed: u64,
    narrow: (&Value, View),
    wide: (&Value, View),
    verdict: Verdict,
    dice: &mut Dice,
    tally: &mut Tally,
) {
    tally.pairs += 1;
    match verdict {
        Verdict::Unknown { path, reason } => {
            tally.unknown += 1;
            if std::env::var_os("TIDINGS_FUZZ_SHOW").is_some() {
                println!(
                    "unknown, seed {seed}, at {path}: {reason}\n  {} {:?}\n  {} {:?}",
                    narrow.0, narrow.1, wide.0, wide.1
                );
            }
        }
        Verdict::Breaking { witness, .. } => {
            tally.breaking += 1;
            let of_narrow = validators(narrow.0, narrow.1).expect("a compared schema compiles");
            let of_wide = validators(wide.0, wide.1).expect("a compared schema compiles");
            assert!(
                accepts(&of_narrow, &witness) && !accepts(&of_wide, &witness),
                "seed {seed}: {witness} shows nothing\nnarrow {narrow:?}\nwide {wide:?}"
            );
        }
        Verdict::Compatible => {
            tally.compatible += 1;
            let of_narrow = validators(narrow.0, narrow.1).expect("a compared schema compiles");
            let of_wide = validators(wide.0, wide.1).expect("a compared schema compiles");
            let mut found = 0;
            for attempt in 0..TRIED_PER_PAIR {
                let document = instances::document(dice, narrow.0, wide.0, attempt);
                if !accepts(&of_narrow, &document) {
                    continue;
                }
                found += 1;
                tally.instances += 1;
                assert!(
                    accepts(&of_wide, &document),
                    "seed {seed}: {document} contradicts a compatible verdict\nnarrow {narrow:?}\nwide {wide:?}"
                );
                if found >= WANTED_PER_PAIR {
                    break;
                }
            }
        }
    }
}
