//! One batch to the server: tried again while that may help, and taken apart where a part of it is refused.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use serde::Deserialize;

use super::lines::Line;
use crate::failure::{Exit, Failure};
use crate::http::retry::{Backoff, dice};
use crate::http::{Api, Error};

/// Sends batches.
pub(crate) struct Poster {
    api: Api,
    /// For how long the same request is tried.
    retry_for: Duration,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Posted {
    pub(crate) written: u64,
    pub(crate) duplicates: u64,
    /// Refused lines and why.
    pub(crate) refused: Vec<(Line, String)>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Receipt>,
}

#[derive(Deserialize)]
struct Receipt {
    duplicate: bool,
}

impl Poster {
    pub(crate) fn new(api: Api, retry_for: Duration) -> Self {
        Self { api, retry_for }
    }

    /// Does something again and again until it succeeds, cannot succeed, or the time is up.
    pub(crate) async fn persist<T, W>(&self, mut work: impl FnMut() -> W) -> Result<T, Error>
    where
        W: Future<Output = Result<T, Error>>,
    {
        let begun = Instant::now();
        let mut backoff = Backoff::default();
        loop {
            let error = match work().await {
                Ok(done) => return Ok(done),
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error),
            };
            let wait = backoff.next(error.retry_after(), dice());
            if begun.elapsed() + wait > self.retry_for {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Writes lines in their order. What is refused is set aside, and the rest is sent without it. With `all_or_stop`
    /// nothing that stands behind a refused line is sent.
    pub(crate) async fn post(&self, lines: Vec<Line>, all_or_stop: bool) -> (Posted, Option<Failure>) {
        let mut posted = Posted::default();
        let mut chunks = VecDeque::from([lines]);
        while let Some(chunk) = chunks.pop_front() {
            if chunk.is_empty() {
                continue;
            }
            let body = body(&chunk);
            let error = match self.persist(|| self.send(body.clone())).await {
                Ok(answer) => {
                    let duplicates = answer.results.iter().filter(|result| result.duplicate).count() as u64;
                    posted.duplicates += duplicates;
                    posted.written += (chunk.len() as u64).saturating_sub(duplicates);
                    continue;
                }
                Err(error) => error,
            };
            if !is_about_events(&error) {
                return (posted, Some(error.into()));
            }
            let blamed = blamed(&error, chunk.len());
            if blamed.is_empty() {
                // The server does not say which: each half on its own, in order.
                let (left, right) = halves(chunk);
                chunks.push_front(right);
                chunks.push_front(left);
                continue;
            }
            if all_or_stop {
                let first = blamed.keys().next().copied().unwrap_or_default();
                chunks.clear();
                let (before, from) = chunk.split_at(first);
                chunks.push_back(before.to_vec());
                posted.refused.extend(from.first().cloned().zip(blamed.get(&first).cloned()));
                continue;
            }
            let mut rest = Vec::with_capacity(chunk.len());
            for (index, line) in chunk.into_iter().enumerate() {
                match blamed.get(&index) {
                    Some(reason) => posted.refused.push((line, reason.clone())),
                    None => rest.push(line),
                }
            }
            chunks.push_front(rest);
        }
        (posted, None)
    }

    async fn send(&self, body: Bytes) -> Result<Answer, Error> {
        let request = self.api.request(Method::POST, "/v1/events").header(CONTENT_TYPE, "application/json");
        let answer = self.api.read_sent(request, body).await?;
        serde_json::from_slice(&answer).map_err(|_| Error::Foreign {
            status: 200,
            text: "an answer that is not Tidings'".to_owned(),
            retry_after: None,
        })
    }
}

fn body(lines: &[Line]) -> Bytes {
    let mut body = String::with_capacity(lines.iter().map(|line| line.json.len() + 1).sum::<usize>() + 2);
    body.push('[');
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(&line.json);
    }
    body.push(']');
    Bytes::from(body)
}

fn halves(mut lines: Vec<Line>) -> (Vec<Line>, Vec<Line>) {
    let right = lines.split_off(lines.len() / 2);
    (lines, right)
}

/// Whether the events are at fault, so that others may fare better; a wrong key is no event's fault.
fn is_about_events(error: &Error) -> bool {
    let refused = error.exit() == Exit::Refused;
    refused
        && error
            .code()
            .is_some_and(|code| !matches!(code, "unauthenticated" | "route_not_found" | "method_not_allowed"))
}

/// Which events of a batch the server names, by index, each with the first thing that is wrong with it. A batch of
/// one needs no name.
fn blamed(error: &Error, length: usize) -> BTreeMap<usize, String> {
    let Error::Problem { problem, .. } = error else { return BTreeMap::new() };
    let mut blamed = BTreeMap::new();
    for violation in &problem.errors {
        let mut path = violation.path.splitn(3, '/');
        let index = path.nth(1).and_then(|index| index.parse::<usize>().ok()).filter(|index| *index < length);
        if let Some(index) = index {
            let place = path.next().map(|rest| format!("/{rest}: ")).unwrap_or_default();
            blamed
                .entry(index)
                .or_insert_with(|| format!("{} ({place}{})", problem.code, crate::term::tame(&violation.message)));
        }
    }
    if blamed.is_empty() && length == 1 {
        blamed.insert(0, error.brief());
    }
    blamed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> Error {
        Error::Problem { problem: serde_json::from_str(json).unwrap(), retry_after: None }
    }

    #[test]
    fn the_events_that_a_problem_names_are_found_by_their_paths() {
        let error = problem(
            r#"{"status":422,"code":"event_invalid","errors":[
                {"path":"/3/type","message":"must be dotted"},{"path":"/3/data","message":"second"},
                {"path":"/0","message":"whole"},{"path":"/9/id","message":"beyond"},{"path":"","message":"none"}]}"#,
        );
        let found: Vec<(usize, String)> = blamed(&error, 5).into_iter().collect();
        assert_eq!(found, [(0, "event_invalid (whole)".into()), (3, "event_invalid (/type: must be dotted)".into())]);
        assert!(is_about_events(&error));
    }

    #[test]
    fn a_problem_that_names_none_blames_a_batch_of_one_only() {
        let error = problem(r#"{"status":409,"code":"event_id_conflict","detail":"taken"}"#);
        assert!(blamed(&error, 2).is_empty());
        assert_eq!(blamed(&error, 1).len(), 1);
    }

    #[test]
    fn a_wrong_key_is_no_events_fault() {
        assert!(!is_about_events(&problem(r#"{"status":401,"code":"unauthenticated"}"#)));
        assert!(!is_about_events(&problem(r#"{"status":503,"code":"overloaded"}"#)));
    }
}
