//! `tidings catalog init`: a folder with a small, complete catalog to begin with.

use std::path::PathBuf;

use super::write_file;
use crate::context::Context;
use crate::failure::Failure;
use crate::term::{Style, note, say};

/// The files of the example.
pub(super) const FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("starter/README.md")),
    ("types/shop.order.placed/v1.yaml", include_str!("starter/placed.yaml")),
    ("types/shop.order.status_changed/v1.yaml", include_str!("starter/status_changed.yaml")),
    ("sets/currencies.yaml", include_str!("starter/currencies.yaml")),
    ("policies/default.yaml", include_str!("starter/default.yaml")),
];

#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// The folder; it is made where it is missing
    #[arg(default_value = "catalog")]
    dir: PathBuf,
}

pub(crate) fn run(context: &Context, args: &InitArgs) -> Result<(), Failure> {
    let taken = FILES.iter().map(|(path, _)| args.dir.join(path)).find(|path| path.exists());
    if let Some(path) = taken {
        return Err(Failure::usage(format!("{} is there already; nothing was written", path.display())));
    }
    for (path, text) in FILES {
        let path = args.dir.join(path);
        write_file(&path, text)?;
        say(path.display())?;
    }
    let next = format!("tidings catalog check {}", args.dir.display());
    note(format!("next: {}", context.voice.paint(Style::Accent, next)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use tidings_catalog::check::{Known, check};
    use tidings_catalog::folder::Folder;
    use tidings_catalog::report::Severity;

    use super::FILES;

    #[test]
    fn the_example_passes_its_own_check_without_a_warning() {
        let files = FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        let (folder, findings) = Folder::read(files);
        assert_eq!(findings, []);
        let report = check(&Known::default(), &folder.entries(), jiff::civil::date(2026, 1, 1));
        let mut findings = report.entries.iter().flat_map(|entry| &entry.findings);
        let serious = findings.find(|finding| finding.severity > Severity::Info);
        assert_eq!(serious, None);
    }
}
