//! What must hold for every configuration file, whatever stands in it: on the seeds of `fuzz/corpus` and on small changes
//! of them. (There is no target for libFuzzer: the binary is no library, and its files come from those who run it.)

use std::path::Path;

use tidings_hostile::change::{Numbers, changed};

use super::check::check as check_value;
use super::layer::read_text;
use super::setting::{Kind, Setting};

const SECRET: &str = "the-geheim-key";

/// Reads the bytes as a file behind a line that holds a secret.
fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let text = format!("admin_key = \"{SECRET}\"\n{text}");
    let path = Path::new("tidings.toml");
    let mut problems = Vec::new();
    let found = read_text(path, &text, &mut problems);
    let mut again = Vec::new();
    assert!(read_text(path, &text, &mut again) == found && again == problems, "read twice, and differently");
    for (name, value) in &found.texts {
        let setting = Setting::named(name);
        // An address may name a host, and asking for it would leave this machine.
        if setting.kind != Kind::Address
            && let Err(reason) = check_value(setting, value)
        {
            problems.push(reason);
        }
    }
    for problem in &problems {
        assert!(!problem.trim().is_empty() && !problem.contains("geheim"), "{problem}");
    }
}

#[test]
fn every_file_is_read_or_refused_without_telling_a_secret() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/configuration");
    let seeds: Vec<Vec<u8>> =
        std::fs::read_dir(folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    seeds.iter().for_each(|seed| check(seed));
    let mut numbers = Numbers::new(1);
    for _ in 0..2_000 {
        let (one, other) = (numbers.below(seeds.len()), numbers.below(seeds.len()));
        check(&changed(&seeds[one], &seeds[other], &mut numbers));
    }
    for open in ["key = \"", "admin_key = '"] {
        let mut problems = Vec::new();
        read_text(Path::new("t.toml"), &format!("{open}{SECRET}"), &mut problems);
        assert!(problems.len() == 1 && !problems[0].contains("geheim"), "{problems:?}");
        assert!(problems[0].contains("line 1, column "), "{problems:?}");
    }
}
