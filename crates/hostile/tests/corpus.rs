//! Every parser of outside bytes, on the seeds of `fuzz/corpus` and on many small changes of them.
//!
//! `TIDINGS_FUZZ_ROUNDS` says how many changes a target gets (300), `TIDINGS_FUZZ_SEED` which (0). An input that breaks
//! a promise is written to `target/hostile/` and named.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tidings_hostile::change::{Numbers, changed};
use tidings_hostile::{Check, TARGETS};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(ROOT).join("fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Runs a check; what it breaks on is kept.
fn holds(target: &str, check: Check, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| check(input))).is_err() {
        let folder = Path::new(ROOT).join("target/hostile");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(target);
        std::fs::write(&file, input).unwrap();
        panic!("a promise is broken; the input is in {}: {:?}", file.display(), String::from_utf8_lossy(input));
    }
}

fn replay(target: &str) {
    let (_, check) = *TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name");
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for (_, seed) in &seeds {
        holds(target, check, seed);
    }
    let mut numbers = Numbers::new(number("TIDINGS_FUZZ_SEED", 0) + 1);
    for _ in 0..number("TIDINGS_FUZZ_ROUNDS", 300) {
        let seed = &seeds[numbers.below(seeds.len())].1;
        let other = &seeds[numbers.below(seeds.len())].1;
        holds(target, check, &changed(seed, other, &mut numbers));
    }
}

/// One test a target, so that they run side by side.
macro_rules! targets {
    ($($name:ident: $target:literal;)+) => {
        $(
            #[test]
            fn $name() {
                replay($target);
            }
        )+

        #[test]
        fn every_target_has_seeds_a_test_and_a_fuzz_target() {
            let tested = [$($target),+];
            let mut named: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(named, tested, "in the order of their names");
            let folder = |path: &str| {
                let files = std::fs::read_dir(Path::new(ROOT).join(path)).unwrap();
                let mut names: Vec<String> = files
                    .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
                    .collect();
                names.sort();
                names
            };
            assert_eq!(folder("fuzz/fuzz_targets"), named);
            // The binary replays the seeds of its configuration file itself.
            named.push("configuration");
            named.sort_unstable();
            assert_eq!(folder("fuzz/corpus"), named);
        }
    };
}

targets! {
    a_source_of_the_catalog_comes_back_or_is_refused_with_its_place: "catalog";
    a_cloudevent_comes_back_or_is_refused_with_its_place: "cloudevents";
    a_cursor_that_the_server_did_not_make_is_refused: "cursor";
    an_envelope_comes_back_or_is_refused_with_its_place: "envelope";
    names_hold_nothing_that_the_log_cannot: "names";
    an_outbox_row_reads_the_same_however_often: "outbox";
    the_index_and_the_matcher_agree_on_every_pattern: "pattern";
    rules_judge_twice_alike: "rules";
    witnesses_and_proofs_of_compatibility_hold: "schema";
    a_signature_that_was_not_made_is_refused: "signature";
}
