//! What is promised about attempts.

use tidings_event::delivery::{AttemptResult, AttemptRow, Failure, RouteCommit};
use tidings_event::{EndpointNo, LaneNo, Sequence};
use tidings_store::{AttemptFilter, AttemptQuery, Store};

use crate::deliver::{attempt_row, claim, commit, create, nothing};
use crate::home::Home;
use crate::make::{moment, place};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

fn all() -> AttemptQuery {
    AttemptQuery { limit: 1_000, ..AttemptQuery::default() }
}

async fn found(store: &dyn Store, endpoint: EndpointNo, query: &AttemptQuery) -> Vec<AttemptRow> {
    store.attempts(endpoint, query).await.expect("attempts")
}

pub(crate) async fn attempts_are_found_newest_first_by_what_is_asked(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let (one, other) = (create(&*store, &tenant, 1).await, create(&*store, &tenant, 2).await);
    let claimed = claim(&*store, 0).await;
    store.keep_attempts(moment(0), moment(0)).await.unwrap();
    let results = [
        AttemptResult::Status(200),
        AttemptResult::Status(503),
        AttemptResult::Failed(Failure::Timeout),
        AttemptResult::Status(299),
        AttemptResult::Status(410),
    ];
    // Three days, some moments shared by several attempts, and a replay's beside the endpoint's own.
    let mut rows: Vec<AttemptRow> = (0..60)
        .map(|at: u64| AttemptRow {
            result: results[usize::try_from(at).unwrap() % 5],
            attempt: u32::try_from(at / 10).unwrap() + 1,
            lane: if at.is_multiple_of(7) { LaneNo(-3) } else { one.no.into() },
            ..attempt_row(one.no, at % 10 + 1, i64::try_from(at / 2).unwrap() * DAY / 10)
        })
        .collect();
    let foreign = (0..20).map(|at| attempt_row(other.no, 1, at)).collect::<Vec<_>>();
    let attempts = rows.iter().cloned().chain(foreign).collect();
    commit(&*store, &RouteCommit { attempts, ..nothing(0, claimed) }).await;
    rows.sort_by_key(|row| std::cmp::Reverse((row.at, row.lane, row.sequence, row.attempt)));
    let naive = |query: &AttemptQuery| -> Vec<AttemptRow> {
        let ended = |row: &AttemptRow| match (query.ended, row.result) {
            (None, _) => true,
            (Some(AttemptFilter::Succeeded), result) => matches!(result, AttemptResult::Status(200..=299)),
            (Some(AttemptFilter::Failed), result) => !matches!(result, AttemptResult::Status(200..=299)),
            (Some(AttemptFilter::Status(low, high)), AttemptResult::Status(status)) => (low..=high).contains(&status),
            (Some(AttemptFilter::Status(..)), AttemptResult::Failed(_)) => false,
        };
        let beyond =
            |row: &AttemptRow| query.beyond.is_none_or(|beyond| (row.at, row.lane, row.sequence, row.attempt) < beyond);
        let wanted = rows.iter().filter(|row| ended(row) && beyond(row));
        let wanted = wanted.filter(|row| query.sequence.is_none_or(|sequence| row.sequence == sequence));
        let wanted = wanted.filter(|row| query.since.is_none_or(|since| row.at >= since));
        wanted.filter(|row| query.until.is_none_or(|until| row.at < until)).take(query.limit).cloned().collect()
    };
    let ends = [
        None,
        Some(AttemptFilter::Succeeded),
        Some(AttemptFilter::Failed),
        Some(AttemptFilter::Status(500, 599)),
        Some(AttemptFilter::Status(200, 410)),
        Some(AttemptFilter::Status(0, u16::MAX)),
        Some(AttemptFilter::Status(204, 204)),
    ];
    for ended in ends {
        for sequence in [None, Some(Sequence(3)), Some(Sequence(99))] {
            for (since, until) in
                [(None, None), (Some(moment(DAY / 2)), Some(moment(2 * DAY))), (Some(moment(0)), None)]
            {
                let whole = AttemptQuery { ended, sequence, since, until, ..all() };
                let expect = naive(&whole);
                assert_eq!(found(&*store, one.no, &whole).await, expect, "{whole:?}");
                // Page by page it is the same.
                let (mut paged, mut query) = (Vec::new(), AttemptQuery { limit: 7, ..whole });
                loop {
                    let page = found(&*store, one.no, &query).await;
                    assert_eq!(page, naive(&query), "{query:?}");
                    let Some(last) = page.last() else { break };
                    query.beyond = Some((last.at, last.lane, last.sequence, last.attempt));
                    paged.extend(page);
                }
                assert_eq!(paged, expect);
            }
        }
    }
    assert!(found(&*store, one.no, &AttemptQuery { limit: 0, ..all() }).await.is_empty());
    assert!(found(&*store, EndpointNo(999), &all()).await.is_empty());
}

pub(crate) async fn attempts_are_kept_by_day(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let one = create(&*store, &tenant, 1).await;
    let claimed = claim(&*store, 0).await;
    assert!(!store.keep_attempts(moment(0), moment(-30 * DAY)).await.unwrap());
    assert!(!store.keep_attempts(moment(0), moment(-30 * DAY)).await.unwrap());
    // Also what lies outside of all days that there is room for: long ago, and far ahead.
    let ats = [-400 * DAY, -2 * DAY, -1, 0, DAY - 1, DAY, 2 * DAY - 1, 2 * DAY, 400 * DAY];
    let mut attempts: Vec<AttemptRow> = ats.iter().map(|at| attempt_row(one.no, 1, *at)).collect();
    attempts.extend((0..300).map(|at| attempt_row(one.no, 2, 400 * DAY + at)));
    commit(&*store, &RouteCommit { attempts, ..nothing(0, claimed) }).await;
    let left = async || {
        let query = AttemptQuery { sequence: Some(Sequence(1)), ..all() };
        let mut left: Vec<i64> = found(&*store, one.no, &query).await.iter().map(|row| row.at.as_micros()).collect();
        left.reverse();
        left
    };
    let from = |first: usize| ats[first..].iter().map(|at| moment(*at).as_micros()).collect::<Vec<_>>();
    assert_eq!(left().await, from(0));
    // A day later: its room is made, and what waited for it moves in.
    assert!(store.keep_attempts(moment(DAY), moment(-DAY)).await.unwrap());
    assert_eq!(left().await, from(2));
    // The day in which the bound lies is kept whole.
    assert!(store.keep_attempts(moment(2 * DAY), moment(DAY - 1)).await.unwrap());
    assert_eq!(left().await, from(3));
    assert!(store.keep_attempts(moment(2 * DAY), moment(DAY)).await.unwrap());
    assert_eq!(left().await, from(5));
    assert!(!store.keep_attempts(moment(2 * DAY), moment(DAY)).await.unwrap());
    assert!(store.keep_attempts(moment(400 * DAY), moment(399 * DAY)).await.unwrap());
    assert_eq!(left().await, from(8));
    assert_eq!(found(&*store, one.no, &all()).await.len(), 301);
    // There is room for the same days again, and for their attempts.
    commit(&*store, &RouteCommit { attempts: vec![attempt_row(one.no, 1, DAY)], ..nothing(0, claimed) }).await;
    assert_eq!(left().await.len(), 2);
}

pub(crate) async fn room_is_made_while_others_write_and_read(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let one = create(&*store, &tenant, 1).await;
    let claimed = claim(&*store, 0).await;
    let writer = {
        let (store, no) = (std::sync::Arc::clone(&store), one.no);
        tokio::spawn(async move {
            for round in 0..60 {
                let at = |n: i64| (round % 10) * DAY + round * 1_000 + n;
                let attempts = (0..if round % 2 == 0 { 5 } else { 250 }).map(|n| attempt_row(no, 1, at(n))).collect();
                commit(&*store, &RouteCommit { attempts, ..nothing(0, claimed) }).await;
            }
        })
    };
    let keepers: Vec<_> = (0..2)
        .map(|_| {
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move {
                for day in 0..10 {
                    store.keep_attempts(moment(day * DAY), moment(0)).await.expect("room");
                }
            })
        })
        .collect();
    while !writer.is_finished() {
        store.attempts(one.no, &all()).await.unwrap();
    }
    writer.await.expect("the writer");
    for keeper in keepers {
        keeper.await.expect("a keeper");
    }
    let everything = AttemptQuery { limit: 100_000, ..AttemptQuery::default() };
    assert_eq!(found(&*store, one.no, &everything).await.len(), 30 * 5 + 30 * 250);
}
