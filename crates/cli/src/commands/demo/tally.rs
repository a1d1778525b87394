//! What went in, what came out, and whether the two agree. Knows no terminal and no network.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::shop::Report;
use crate::term::{Style, Voice};

/// What the feed says of an event.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Arrival {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) sequence: u64,
    pub(super) tenant: String,
    pub(super) entity: ArrivalEntity,
    data: ArrivalData,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ArrivalEntity {
    pub(super) id: String,
}

#[derive(Debug, Clone, Deserialize)]
struct ArrivalData {
    step: u64,
}

/// The running count.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// When each event was committed, in microseconds.
    committed: HashMap<String, i64>,
    rolled_back: HashSet<String>,
    pub(super) transactions_rolled_back: u64,
    /// When each event came from the feed, in microseconds.
    arrived: HashMap<String, i64>,
    sequences: HashMap<String, u64>,
    steps: HashMap<String, u64>,
    latencies_us: Vec<i64>,
    repeated: u64,
    out_of_order: u64,
}

impl Arrival {
    /// Which step of its order it is, as the shop counts them.
    pub(super) fn step(&self) -> u64 {
        self.data.step
    }
}

impl Tally {
    /// Counts a transaction of the shop.
    pub(super) fn report(&mut self, report: &Report) {
        let ids = report.events.iter().map(|(id, _)| id.clone());
        if !report.committed {
            self.transactions_rolled_back += 1;
            self.rolled_back.extend(ids);
            return;
        }
        for id in ids {
            if let Some(arrived) = self.arrived.get(&id) {
                self.latencies_us.push((arrived - report.at_us).max(0));
            }
            self.committed.insert(id, report.at_us);
        }
    }

    /// Counts an event of the feed. Gives its latency, if its commit is known already.
    pub(super) fn arrive(&mut self, arrival: &Arrival, at_us: i64) -> Option<i64> {
        if self.arrived.insert(arrival.id.clone(), at_us).is_some() {
            self.repeated += 1;
        }
        let sequence = self.sequences.entry(arrival.tenant.clone()).or_default();
        let step = self.steps.entry(format!("{}/{}", arrival.tenant, arrival.entity.id)).or_default();
        // An order's steps are counted by the shop: 1, 2, 3, … of what it committed.
        if arrival.sequence <= *sequence || arrival.data.step != *step + 1 {
            self.out_of_order += 1;
        }
        *sequence = arrival.sequence.max(*sequence);
        *step = arrival.data.step.max(*step);
        let latency = (at_us - self.committed.get(&arrival.id)?).max(0);
        self.latencies_us.push(latency);
        Some(latency)
    }

    /// When each event was committed, in microseconds since 1970.
    pub(super) fn commits(&self) -> &HashMap<String, i64> {
        &self.committed
    }

    /// Events that were committed.
    pub(super) fn committed(&self) -> usize {
        self.committed.len()
    }

    /// Events that came from the feed.
    pub(super) fn arrived(&self) -> usize {
        self.arrived.len()
    }

    /// Whether the feed has given all that was committed.
    pub(super) fn is_even(&self) -> bool {
        self.committed.keys().all(|id| self.arrived.contains_key(id))
    }

    /// The latency below which so many of a hundred events stayed, in microseconds.
    pub(super) fn percentile(&self, hundredths: usize) -> Option<i64> {
        percentile(&self.latencies_us, hundredths)
    }

    /// The reckoning: the shop's own books, the log as it stands now, tenant by tenant in order, each tenant's head,
    /// and how many events of Tidings itself are among them.
    pub(super) fn verdict(&self, books: &[String], log: &[(String, u64)], heads: &[u64], told: u64) -> Verdict {
        let books: HashSet<&str> = books.iter().map(String::as_str).collect();
        let in_log: HashSet<&str> = log.iter().map(|(id, _)| id.as_str()).collect();
        let missing = books.iter().filter(|id| !in_log.contains(**id) || !self.arrived.contains_key(**id)).count();
        let seen = in_log.iter().copied().chain(self.arrived.keys().map(String::as_str)).collect::<HashSet<&str>>();
        let phantoms = seen.iter().filter(|id| !books.contains(**id) || self.rolled_back.contains(**id)).count();
        Verdict {
            committed: books.len(),
            transactions_rolled_back: self.transactions_rolled_back,
            rolled_back: self.rolled_back.len(),
            in_log: log.len(),
            missing,
            phantoms,
            // Sequences are 1 to n in each tenant: what the last one says, less what is there.
            gaps: heads.iter().sum::<u64>().abs_diff(log.len() as u64 + told),
            told,
            repeated: self.repeated + (log.len() - in_log.len()) as u64,
            out_of_order: self.out_of_order,
            p50_us: self.percentile(50),
            p99_us: self.percentile(99),
        }
    }
}

/// The figures at the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    committed: usize,
    transactions_rolled_back: u64,
    rolled_back: usize,
    in_log: usize,
    missing: usize,
    phantoms: usize,
    gaps: u64,
    told: u64,
    repeated: u64,
    out_of_order: u64,
    p50_us: Option<i64>,
    p99_us: Option<i64>,
}

impl Verdict {
    /// Whether every figure is as promised.
    pub(super) fn is_good(&self) -> bool {
        let wrong = self.missing as u64 + self.phantoms as u64 + self.gaps + self.repeated + self.out_of_order;
        wrong == 0 && self.committed > 0 && self.committed == self.in_log
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "committed": self.committed, "rolled_back": self.rolled_back,
            "transactions_rolled_back": self.transactions_rolled_back, "in_log": self.in_log,
            "missing": self.missing, "phantoms": self.phantoms, "gaps": self.gaps, "told_by_tidings": self.told, "repeated": self.repeated,
            "out_of_order": self.out_of_order, "latency_p50_us": self.p50_us, "latency_p99_us": self.p99_us,
            "ok": self.is_good(),
        })
    }

    /// One line a figure, with what it should be.
    pub(super) fn render(&self, voice: Voice) -> Vec<String> {
        let line = |name: &str, shown: String, good: bool, remark: &str| figure(voice, name, &shown, good, remark);
        let latency = format!("{} / {}", milliseconds(self.p50_us), milliseconds(self.p99_us));
        vec![
            line("committed", self.committed.to_string(), self.committed > 0, "events, by the shop's own books"),
            line("rolled back", self.rolled_back.to_string(), true, "events that never happened, on purpose"),
            line(
                "in the log",
                self.in_log.to_string(),
                self.in_log == self.committed,
                "read back from the feeds, from the start",
            ),
            line("missing", self.missing.to_string(), self.missing == 0, "committed and not seen"),
            line("phantoms", self.phantoms.to_string(), self.phantoms == 0, "seen and not committed"),
            line("gaps", self.gaps.to_string(), self.gaps == 0, "in the tenants' sequences"),
            line("told", self.told.to_string(), true, "events of Tidings itself among them, about the webhooks below"),
            line("repeated", self.repeated.to_string(), self.repeated == 0, "seen twice"),
            line(
                "out of order",
                self.out_of_order.to_string(),
                self.out_of_order == 0,
                "by sequence, and by order of the shop",
            ),
            line("latency", latency, true, "p50 / p99, from the commit to the reader of the live feed"),
        ]
    }
}

/// A figure on a line of its own, and whether it is as it should be.
pub(super) fn figure(voice: Voice, name: &str, shown: &str, good: bool, remark: &str) -> String {
    let mark = if good { voice.paint(Style::Good, "✓") } else { voice.paint(Style::Bad, "✗") };
    let shown = voice.paint(if good { Style::Strong } else { Style::Bad }, format!("{shown:>18}"));
    format!("  {mark} {name:<14}{shown}  {}", voice.paint(Style::Faint, remark))
}

/// The value below which so many of a hundred stay.
pub(super) fn percentile(values: &[i64], hundredths: usize) -> Option<i64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// A latency for people.
pub(super) fn milliseconds(us: Option<i64>) -> String {
    us.map_or("-".to_owned(), |us| format!("{:.1} ms", us as f64 / 1_000.0))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn report(committed: bool, id: &str) -> Report {
        let events = vec![(id.to_owned(), "shop.order.paid".to_owned())];
        Report { committed, at_us: 1_000, tenant: "acme".into(), order: "o".into(), events }
    }

    pub(in super::super) fn arrival(id: &str, sequence: u64, step: u64) -> Arrival {
        let json = json!({"id": id, "type": "shop.order.paid", "sequence": sequence, "tenant": "acme",
            "entity": {"type": "order", "id": "o"}, "data": {"step": step}});
        serde_json::from_value(json).unwrap()
    }

    fn verdict(tally: &Tally, books: &[&str], log: &[(&str, u64)]) -> Verdict {
        let books: Vec<String> = books.iter().map(|id| (*id).to_owned()).collect();
        let log: Vec<(String, u64)> = log.iter().map(|(id, sequence)| ((*id).to_owned(), *sequence)).collect();
        let head = log.iter().map(|(_, sequence)| *sequence).max().unwrap_or_default();
        tally.verdict(&books, &log, &[head], 0)
    }

    #[test]
    fn all_is_good_when_the_feed_gives_what_was_committed() {
        let mut tally = Tally::default();
        tally.report(&report(true, "a"));
        tally.report(&report(false, "never"));
        assert_eq!(tally.arrive(&arrival("a", 1, 1), 3_500), Some(2_500));
        // The feed may be faster than the shop's report.
        assert_eq!(tally.arrive(&arrival("b", 2, 2), 1_200), None);
        tally.report(&report(true, "b"));
        assert!(tally.is_even());
        let found = verdict(&tally, &["a", "b"], &[("a", 1), ("b", 2)]);
        assert!(found.is_good(), "{found:?}");
        assert_eq!((found.rolled_back, found.p50_us, found.p99_us), (1, Some(200), Some(2_500)));
    }

    #[test]
    fn each_broken_promise_shows() {
        let mut tally = Tally::default();
        for id in ["a", "b", "c"] {
            tally.report(&report(true, id));
        }
        tally.report(&report(false, "never"));
        tally.arrive(&arrival("a", 1, 1), 0);
        tally.arrive(&arrival("never", 2, 2), 0);
        tally.arrive(&arrival("c", 5, 3), 0);
        tally.arrive(&arrival("c", 5, 3), 0);
        let found = verdict(&tally, &["a", "b", "c"], &[("a", 1), ("never", 2), ("c", 5)]);
        assert!(!found.is_good());
        assert_eq!((found.missing, found.phantoms, found.gaps, found.repeated, found.out_of_order), (1, 1, 2, 1, 1));
    }

    #[test]
    fn nothing_at_all_is_not_good() {
        assert!(!verdict(&Tally::default(), &[], &[]).is_good());
    }
}
