//! What reached the receiver, and whether it is what was promised. Knows no terminal and no network.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::receiver::Visit;
use super::tally::{figure, milliseconds, percentile};
use crate::term::Voice;

/// The running count.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// Requests that the receiver heard.
    pub(super) requests: u64,
    /// Requests that it answered 500.
    pub(super) failed: u64,
    /// Requests whose signature did not fit.
    refused: u64,
    /// When each event was taken first, in microseconds.
    taken: HashMap<String, i64>,
    repeated: u64,
    out_of_order: u64,
    steps: HashMap<String, u64>,
    went_down: Option<i64>,
    came_back: Option<i64>,
    /// What was committed and not taken when it came back.
    backlog: HashSet<String>,
    backlog_size: usize,
    caught_up: Option<i64>,
}

impl Deliveries {
    /// Counts a request.
    pub(super) fn visit(&mut self, visit: &Visit) {
        self.requests += 1;
        let Some(event) = &visit.event else {
            self.refused += u64::from(!visit.status.is_success());
            return;
        };
        if !visit.status.is_success() {
            self.failed += 1;
            return;
        }
        if self.taken.contains_key(&event.id) {
            self.repeated += 1;
            return;
        }
        self.taken.insert(event.id.clone(), visit.at_us);
        // An order's steps are counted by the shop: 1, 2, 3, … of what it committed.
        let step = self.steps.entry(format!("{}/{}", event.tenant, event.entity.id)).or_default();
        self.out_of_order += u64::from(event.step() != *step + 1);
        *step = event.step().max(*step);
        if self.backlog.remove(&event.id) && self.backlog.is_empty() {
            self.caught_up = Some(visit.at_us);
        }
    }

    /// The receiver has gone down.
    pub(super) fn went_down(&mut self, at_us: i64) {
        self.went_down = Some(at_us);
    }

    /// The receiver is back; so much was committed by now.
    pub(super) fn came_back<'a>(&mut self, at_us: i64, committed: impl Iterator<Item = &'a String>) {
        self.came_back = Some(at_us);
        self.backlog = committed.filter(|id| !self.taken.contains_key(*id)).cloned().collect();
        self.backlog_size = self.backlog.len();
        self.caught_up = self.backlog.is_empty().then_some(at_us);
    }

    /// Whether it is down now.
    pub(super) fn is_down(&self) -> bool {
        self.went_down.is_some() && self.came_back.is_none()
    }

    /// Events that were taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.len()
    }

    /// Whether all of these were taken.
    pub(super) fn has_all<'a>(&self, mut committed: impl Iterator<Item = &'a String>) -> bool {
        committed.all(|id| self.taken.contains_key(id))
    }

    /// The reckoning: the shop's own books with the moment of each commit, where it is known, and what the server says.
    pub(super) fn verdict(&self, books: &[String], committed: &HashMap<String, i64>, server: ServerView) -> Delivered {
        let undelivered = books.iter().filter(|id| !self.taken.contains_key(*id)).count();
        let known: HashSet<&str> = books.iter().map(String::as_str).collect();
        let latencies = self.taken.iter().filter_map(|(id, at)| Some((at - committed.get(id)?).max(0)));
        let latencies: Vec<i64> = latencies.collect();
        Delivered {
            delivered: books.len() - undelivered,
            undelivered,
            phantoms: self.taken.keys().filter(|id| !known.contains(id.as_str())).count(),
            attempts: self.requests + server.unheard,
            failed: self.failed,
            unheard: server.unheard,
            repeated: self.repeated,
            refused: self.refused,
            out_of_order: self.out_of_order,
            dead_letters: server.dead_letters,
            unsettled: server.unsettled,
            down_us: self.came_back.zip(self.went_down).map(|(back, down)| back - down),
            backlog: self.backlog_size,
            catch_up_us: self.caught_up.zip(self.came_back).map(|(caught, back)| (caught - back).max(0)),
            p50_us: percentile(&latencies, 50),
        }
    }
}

/// What the server says about its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ServerView {
    /// Attempts that met a closed door, or one that closed on them.
    pub(super) unheard: u64,
    /// Events that it gave up.
    pub(super) dead_letters: u64,
    /// Events that it still has to deliver.
    pub(super) unsettled: u64,
}

/// The figures at the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    delivered: usize,
    undelivered: usize,
    phantoms: usize,
    attempts: u64,
    failed: u64,
    unheard: u64,
    repeated: u64,
    refused: u64,
    out_of_order: u64,
    dead_letters: u64,
    unsettled: u64,
    down_us: Option<i64>,
    backlog: usize,
    catch_up_us: Option<i64>,
    p50_us: Option<i64>,
}

impl Delivered {
    /// Whether every figure is as promised. A repeat is allowed: its answer was lost when the receiver went down.
    pub(super) fn is_good(&self) -> bool {
        let wrong = (self.undelivered + self.phantoms) as u64 + self.refused + self.out_of_order;
        let caught_up = self.down_us.is_none() || self.catch_up_us.is_some();
        wrong + self.dead_letters + self.unsettled == 0 && self.delivered > 0 && caught_up
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "delivered": self.delivered, "undelivered": self.undelivered, "phantoms": self.phantoms,
            "attempts": self.attempts, "answered_500": self.failed, "met_closed_door": self.unheard,
            "repeated": self.repeated, "signatures_refused": self.refused, "out_of_order": self.out_of_order,
            "dead_letters": self.dead_letters, "unsettled": self.unsettled, "down_us": self.down_us,
            "backlog": self.backlog, "catch_up_us": self.catch_up_us, "latency_p50_us": self.p50_us,
            "ok": self.is_good(),
        })
    }

    /// One line a figure, with what it should be.
    pub(super) fn render(&self, voice: Voice) -> Vec<String> {
        let attempts =
            format!("requests for that: {} answered 500 at random, {} while it was down", self.failed, self.unheard);
        let down = match self.down_us {
            Some(_) => format!(
                "with {} events waiting when it came back; all delivered within {}",
                self.backlog,
                span(self.catch_up_us)
            ),
            None => "it was up all the time".to_owned(),
        };
        let line =
            |name: &str, figure_text: String, good: bool, remark: &str| figure(voice, name, &figure_text, good, remark);
        vec![
            line(
                "delivered",
                self.delivered.to_string(),
                self.undelivered == 0 && self.delivered > 0,
                "webhooks taken, of all that was committed",
            ),
            line("not delivered", self.undelivered.to_string(), self.undelivered == 0, "committed and never taken"),
            line(
                "given up",
                self.dead_letters.to_string(),
                self.dead_letters + self.unsettled == 0,
                "dead letters, by the server's own count",
            ),
            line("phantoms", self.phantoms.to_string(), self.phantoms == 0, "taken and not committed"),
            line("forged", self.refused.to_string(), self.refused == 0, "signatures that the receiver had to refuse"),
            line(
                "out of order",
                self.out_of_order.to_string(),
                self.out_of_order == 0,
                "within an order of the shop, repeats left out",
            ),
            line(
                "taken twice",
                self.repeated.to_string(),
                true,
                "allowed: the answer was lost as the receiver went down",
            ),
            line("attempts", self.attempts.to_string(), true, &attempts),
            line("latency", span(self.p50_us), true, "p50, from the commit to the receiver, its bad moments included"),
            line("down", span(self.down_us), self.down_us.is_none() || self.catch_up_us.is_some(), &down),
        ]
    }
}

/// A time for people that may be seconds.
fn span(us: Option<i64>) -> String {
    match us {
        Some(us) if us >= 1_000_000 => format!("{:.1} s", us as f64 / 1_000_000.0),
        us => milliseconds(us),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::tally::tests::arrival;
    use super::*;

    fn visit(id: &str, sequence: u64, step: u64, status: StatusCode, at_us: i64) -> Visit {
        Visit { event: Some(arrival(id, sequence, step)), status, at_us }
    }

    fn books(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn failures_and_repeats_are_no_broken_promise() {
        let mut found = Deliveries::default();
        found.visit(&visit("a", 1, 1, StatusCode::INTERNAL_SERVER_ERROR, 0));
        found.visit(&visit("a", 1, 1, StatusCode::NO_CONTENT, 5));
        found.went_down(10);
        assert!(found.is_down());
        found.came_back(20, books(&["a", "b"]).iter());
        found.visit(&visit("a", 1, 1, StatusCode::NO_CONTENT, 25));
        found.visit(&visit("b", 2, 2, StatusCode::NO_CONTENT, 30));
        assert!(found.has_all(books(&["a", "b"]).iter()));
        let server = ServerView { unheard: 3, ..ServerView::default() };
        let verdict = found.verdict(&books(&["a", "b"]), &HashMap::from([("b".to_owned(), 23)]), server);
        assert!(verdict.is_good(), "{verdict:?}");
        assert_eq!((verdict.attempts, verdict.failed, verdict.repeated, verdict.backlog), (7, 1, 1, 1));
        assert_eq!((verdict.down_us, verdict.catch_up_us, verdict.p50_us), (Some(10), Some(10), Some(7)));
    }

    #[test]
    fn each_broken_promise_shows() {
        let mut found = Deliveries::default();
        found.visit(&visit("b", 2, 2, StatusCode::NO_CONTENT, 0));
        found.visit(&visit("never", 3, 3, StatusCode::NO_CONTENT, 0));
        found.visit(&Visit { event: None, status: StatusCode::UNAUTHORIZED, at_us: 0 });
        let server = ServerView { unheard: 0, dead_letters: 1, unsettled: 2 };
        let verdict = found.verdict(&books(&["a", "b"]), &HashMap::new(), server);
        assert!(!verdict.is_good());
        assert_eq!((verdict.undelivered, verdict.phantoms, verdict.refused, verdict.out_of_order), (1, 1, 1, 1));
        assert_eq!((verdict.dead_letters, verdict.unsettled), (1, 2));
    }
}
