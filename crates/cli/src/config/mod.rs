//! Configuration: one list of settings, four layers, and what each command takes from them.

pub(crate) mod check;
pub(crate) mod flags;
#[cfg(test)]
mod hostile;
pub(crate) mod layer;
pub(crate) mod mask;
pub(crate) mod reference;
pub(crate) mod setting;
pub(crate) mod shards;

use std::collections::BTreeMap;
use std::path::PathBuf;

use layer::{Layers, Surroundings};
use setting::Setting;

use crate::failure::Failure;

/// Reads the configuration of this process.
pub(crate) fn load(flags: &[(&'static Setting, String)], file: Option<PathBuf>) -> Result<Layers, Failure> {
    // A variable that is not UTF-8 cannot be a value of ours; its name still is reported if it looks like one.
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .collect();
    Layers::read(&Surroundings { flags: flags.to_vec(), file, env: &env }).map_err(|invalid| {
        let lines: Vec<String> = invalid.0.iter().map(|problem| format!("  {problem}")).collect();
        Failure::usage(format!("the configuration cannot be used:\n{}", lines.join("\n")))
    })
}

/// The data directory in force.
pub(crate) fn data_dir(layers: &Layers) -> PathBuf {
    PathBuf::from(&layers.get("data_dir").text)
}
