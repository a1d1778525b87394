//! What the process takes, as the kernel tells it.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{counter, gauge};
use tidings_engine::Backend;

use super::{BUILD_INFO, PROCESS_CPU, PROCESS_FDS, PROCESS_FDS_MAX, PROCESS_MEMORY, PROCESS_START};

/// Ticks a second in which the kernel counts processor time for programs; the same on every Linux of today.
const TICKS: f64 = 100.0;
/// Bytes of a unit of `/proc/self/status`.
const KIB: f64 = 1_024.0;

/// Tells the metrics how the process stands now.
pub(crate) fn observe(backend: Backend) {
    let backend = match backend {
        Backend::Sqlite => "sqlite",
        Backend::Postgres => "postgres",
    };
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION"), "backend" => backend).set(1);
    // Counters count whole numbers; processor time only grows all the same.
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
        counter!(PROCESS_CPU).absolute(stat.cpu_seconds as u64);
        if let Some(started) = stat.started() {
            gauge!(PROCESS_START).set(started);
        }
    }
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident) {
        gauge!(PROCESS_MEMORY).set(bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauge!(PROCESS_FDS).set(u32::try_from(open.count()).map_or(0.0, f64::from));
    }
    if let Some(most) = fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(descriptors) {
        gauge!(PROCESS_FDS_MAX).set(most);
    }
}

/// What is wanted of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// After the machine's start.
    started_seconds: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The program's name stands in brackets and may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let field = |number: usize| rest.split_whitespace().nth(number - 3)?.parse::<f64>().ok();
        Some(Self { cpu_seconds: (field(14)? + field(15)?) / TICKS, started_seconds: field(22)? / TICKS })
    }

    /// Since 1970.
    fn started(&self) -> Option<f64> {
        let uptime: f64 = fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        Some((now - uptime + self.started_seconds).round())
    }
}

/// Bytes in RAM, of `/proc/self/status`.
fn resident(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * KIB)
}

/// The soft limit of `/proc/self/limits`.
fn descriptors(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        let stat = "42 (a) b) S 1 1 1 0 -1 4194304 9 0 0 0 250 50 0 0 20 0 9 0 1234 1 1";
        assert_eq!(Stat::parse(stat), Some(Stat { cpu_seconds: 3.0, started_seconds: 12.34 }));
        assert_eq!(Stat::parse("42 (a"), None);
        assert_eq!(resident("VmPeak:\t 9 kB\nVmRSS:\t    12 kB\n"), Some(12_288.0));
        assert_eq!(
            descriptors("Max processes 1 2\nMax open files            1024      4096     files\n"),
            Some(1024.0)
        );
    }
}
