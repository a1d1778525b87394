//! What the process itself counts, beside what engine and server do.

use std::path::PathBuf;
use std::time::Duration;

use metrics::gauge;
use tidings_engine::metrics::Metric;

tidings_engine::metrics_table! {
    /// The metrics of the process, in the order of the reference.
    pub(crate) const PROCESS_METRICS;

    /// Spans that a collector took.
    counter SPANS_EXPORTED = "tidings_spans_exported_total", "spans", [];
    /// Spans that were dropped, by reason: `queue_full` (the collector is too slow), `refused` (it does not want them),
    /// `unreachable`.
    counter SPANS_DROPPED = "tidings_spans_dropped_total", "spans", ["reason"];
    /// Bytes that are free on the file system of the data directory. With SQLite that is where the log is.
    gauge DISK_FREE = "tidings_data_dir_free_bytes", "bytes", [];
    /// Bytes that the file system of the data directory has.
    gauge DISK_SIZE = "tidings_data_dir_size_bytes", "bytes", [];
}

/// How often the file system is asked.
const DISK_EVERY: Duration = Duration::from_secs(15);

/// Tells the recorder what the metrics of the process mean.
pub(super) fn describe() {
    PROCESS_METRICS.iter().for_each(Metric::describe);
}

/// Tells the metrics how full the file system of the data directory is, for as long as it is polled.
pub(super) async fn watch_disk(directory: PathBuf) {
    let mut every = tokio::time::interval(DISK_EVERY);
    loop {
        every.tick().await;
        let directory = directory.clone();
        // A file system that hangs holds up a thread for such work, nothing else.
        let asked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&directory)).await;
        if let Ok(Ok(disk)) = asked {
            gauge!(DISK_FREE).set((disk.f_bavail * disk.f_frsize) as f64);
            gauge!(DISK_SIZE).set((disk.f_blocks * disk.f_frsize) as f64);
        }
    }
}

/// The reference of all metrics, as a table of Markdown.
#[cfg(test)]
pub(crate) fn reference() -> String {
    use std::fmt::Write as _;

    let mut table = "| metric | kind | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for metric in tidings_server::metrics_reference().chain(PROCESS_METRICS) {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let Metric { name, kind, unit, help, .. } = metric;
        let labels = labels.join(", ");
        writeln!(table, "| `{name}` | {} | {unit} | {labels} | {} |", kind.as_str(), help.trim())
            .expect("a String takes every write");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "<!-- metrics -->\n";
    const END: &str = "<!-- end of metrics -->\n";

    #[test]
    fn the_committed_table_of_metrics_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/observability.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (head, rest) = page.split_once(BEGIN).unwrap();
        let (table, tail) = rest.split_once(END).unwrap();
        if std::env::var_os("TIDINGS_UPDATE_DOCS").is_some() {
            std::fs::write(path, format!("{head}{BEGIN}{}{END}{tail}", reference())).unwrap();
        } else {
            assert!(table == reference(), "run this test with TIDINGS_UPDATE_DOCS=1, then look at what changed");
        }
    }
}
