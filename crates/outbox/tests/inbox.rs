//! The inbox: each effect exactly once and in order, whatever is repeated, reordered, rolled back or concurrent.
#![cfg(all(feature = "rusqlite", feature = "tokio-postgres"))]
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use proptest::prelude::*;
use rusqlite::{Connection, TransactionBehavior};
use tidings_event::{Sequence, TenantId};
use tidings_outbox::inbox::{Acceptance, Delivery, judge};
use tidings_outbox::rusqlite::inbox as sqlite;
use tidings_outbox::tokio_postgres::inbox as postgres;
use tidings_testkit::Postgres;

fn tenant() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn delivery(sequence: u64, previous: u64) -> Delivery {
    Delivery { sequence: Sequence(sequence), previous: Sequence(previous) }
}

/// What a subscription with a filter gets: sequences with gaps, each naming the one before it.
fn deliveries(gaps: &[u64]) -> Vec<Delivery> {
    let mut previous = 0;
    let next = |gap: &u64| {
        let sequence = previous + gap;
        let delivery = delivery(sequence, previous);
        previous = sequence;
        delivery
    };
    gaps.iter().map(next).collect()
}

/// What happens to one attempt.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// The receiver commits and its answer arrives.
    Acknowledged,
    /// The receiver commits, and its answer is lost: the sender tries again.
    AnswerLost,
    /// The receiver crashes before it commits.
    RolledBack,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Fate::Acknowledged), Just(Fate::AnswerLost), Just(Fate::RolledBack)]
}

/// An inbox with the effects beside it.
trait Receiver {
    fn receive(&mut self, delivery: Delivery, commit: bool) -> Acceptance;
    fn effects(&self) -> Vec<u64>;
}

#[derive(Default)]
struct Memory {
    mark: u64,
    effects: Vec<u64>,
}

impl Receiver for Memory {
    fn receive(&mut self, delivery: Delivery, commit: bool) -> Acceptance {
        let acceptance = judge(Sequence(self.mark), delivery);
        if acceptance == Acceptance::Fresh && commit {
            self.mark = delivery.sequence.get();
            self.effects.push(self.mark);
        }
        acceptance
    }

    fn effects(&self) -> Vec<u64> {
        self.effects.clone()
    }
}

struct Sqlite(Connection);

impl Sqlite {
    fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("create table effects (id integer primary key, sequence int)").unwrap();
        sqlite::install(&connection).unwrap();
        Self(connection)
    }
}

impl Receiver for Sqlite {
    fn receive(&mut self, delivery: Delivery, commit: bool) -> Acceptance {
        let tx = self.0.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let acceptance = sqlite::accept(&tx, "c", &tenant(), delivery).unwrap();
        if acceptance == Acceptance::Fresh {
            tx.execute("insert into effects (sequence) values (?1)", [delivery.sequence.get() as i64]).unwrap();
            if commit {
                tx.commit().unwrap();
            }
        }
        acceptance
    }

    fn effects(&self) -> Vec<u64> {
        let mut statement = self.0.prepare("select sequence from effects order by id").unwrap();
        let rows = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        rows.map(|row| row.unwrap().unsigned_abs()).collect()
    }
}

/// A sender that delivers in any order, repeats what it likes, and goes on until everything is acknowledged.
fn run(receiver: &mut impl Receiver, all: &[Delivery], picks: &[(usize, Fate)]) {
    let mut picks = picks.iter();
    let mut open: VecDeque<Delivery> = all.iter().copied().collect();
    while !open.is_empty() {
        // When the dice are used up, the sender goes round and round.
        let (pick, fate) = picks.next().copied().unwrap_or((0, Fate::Acknowledged));
        if pick % 5 == 4 {
            // A copy that was on its way for long: of any event, acknowledged or not.
            receiver.receive(all[pick % all.len()], !matches!(fate, Fate::RolledBack));
            continue;
        }
        let delivery = open.remove(pick % open.len()).unwrap();
        let acceptance = receiver.receive(delivery, !matches!(fate, Fate::RolledBack));
        let done = match acceptance {
            Acceptance::Duplicate => true,
            Acceptance::Fresh => matches!(fate, Fate::Acknowledged),
            Acceptance::Early { .. } => false,
        };
        if !done {
            open.push_back(delivery);
        }
    }
}

proptest! {
    #[test]
    fn any_interleaving_has_each_effect_once_and_in_order(
        gaps in prop::collection::vec(1_u64..4, 1..30),
        picks in prop::collection::vec((0_usize..1_000, fate()), 0..300),
    ) {
        let all = deliveries(&gaps);
        let mut receiver = Memory::default();
        run(&mut receiver, &all, &picks);
        prop_assert_eq!(receiver.effects(), all.iter().map(|delivery| delivery.sequence.get()).collect::<Vec<_>>());
    }

    #[test]
    fn any_interleaving_has_each_effect_once_and_in_order_in_a_database(
        gaps in prop::collection::vec(1_u64..4, 1..10),
        picks in prop::collection::vec((0_usize..1_000, fate()), 0..60),
    ) {
        let all = deliveries(&gaps);
        let mut receiver = Sqlite::new();
        run(&mut receiver, &all, &picks);
        prop_assert_eq!(receiver.effects(), all.iter().map(|delivery| delivery.sequence.get()).collect::<Vec<_>>());
    }

    #[test]
    fn a_feed_reader_that_reads_again_from_anywhere_has_each_effect_once(
        gaps in prop::collection::vec(1_u64..4, 1..20),
        starts in prop::collection::vec(0_usize..20, 0..10),
    ) {
        let all = deliveries(&gaps);
        let mut receiver = Memory::default();
        // A reader reads on from its mark or from before it, never from beyond; each read may break off anywhere.
        for start in starts.into_iter().chain([0]) {
            let seen = receiver.effects.len();
            let until = if start == 0 { all.len() } else { (seen + start).min(all.len()) };
            for delivery in &all[start.min(seen)..until] {
                receiver.receive(Delivery::in_order(delivery.sequence), true);
            }
        }
        prop_assert_eq!(receiver.effects(), all.iter().map(|delivery| delivery.sequence.get()).collect::<Vec<_>>());
    }
}

#[test]
fn headers_that_are_no_sequences_are_refused() {
    for (sequence, previous) in [
        ("", None),
        ("0", None),
        ("-1", None),
        ("x", None),
        ("18446744073709551615", None),
        ("1", Some("")),
        ("1", Some("y")),
    ] {
        assert!(Delivery::from_headers(sequence, previous).is_err(), "{sequence:?} {previous:?}");
    }
}

#[test]
fn a_consumer_that_joins_later_begins_where_it_is_told() {
    let mut connection = Connection::open_in_memory().unwrap();
    sqlite::install(&connection).unwrap();
    let tx = connection.transaction().unwrap();
    let accept = |consumer: &str, delivery| sqlite::accept(&tx, consumer, &tenant(), delivery).unwrap();
    assert_eq!(accept("late", delivery(9, 7)), Acceptance::Early { after: Sequence(0) });
    assert_eq!(sqlite::mark(&tx, "late", &tenant()).unwrap(), None, "nothing is recorded of what is early");
    sqlite::begin_at(&tx, "late", &tenant(), Sequence(7)).unwrap();
    sqlite::begin_at(&tx, "late", &tenant(), Sequence(1)).unwrap();
    assert_eq!(accept("late", delivery(9, 7)), Acceptance::Fresh);
    assert_eq!(accept("other", delivery(9, 0)), Acceptance::Fresh);

    sqlite::advance(&tx, "late", &tenant(), Sequence(20), Some("cursor")).unwrap();
    sqlite::advance(&tx, "late", &tenant(), Sequence(20), None).unwrap();
    sqlite::advance(&tx, "late", &tenant(), Sequence(5), Some("older")).unwrap();
    let mark = sqlite::mark(&tx, "late", &tenant()).unwrap().unwrap();
    assert_eq!((mark.sequence, mark.cursor.as_deref()), (Sequence(20), Some("cursor")));
    sqlite::forget(&tx, "late", &tenant()).unwrap();
    assert_eq!(accept("late", delivery(3, 0)), Acceptance::Fresh);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_deliveries_of_one_event_have_one_effect() {
    const EVENTS: u64 = 20;
    const SENDERS: usize = 6;
    let database = Postgres::shared().database().await;
    let mut client = database.connect().await;
    postgres::install(&mut client).await.unwrap();
    client
        .batch_execute("create table effects (id bigint generated always as identity, sequence bigint)")
        .await
        .unwrap();
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        let mut client = database.connect().await;
        senders.push(tokio::spawn(async move {
            let mut open: VecDeque<Delivery> = (1..=EVENTS).map(|n| delivery(2 * n, 2 * (n - 1))).collect();
            // Each begins elsewhere, and rolls its first fresh event back.
            open.rotate_left(sender);
            let mut crashes = 1;
            while let Some(delivery) = open.pop_front() {
                let tx = client.transaction().await.unwrap();
                match postgres::accept(&tx, "c", &tenant(), delivery).await.unwrap() {
                    Acceptance::Fresh => {
                        let sequence = delivery.sequence.get().cast_signed();
                        tx.execute("insert into effects (sequence) values ($1)", &[&sequence]).await.unwrap();
                        if crashes > 0 {
                            crashes -= 1;
                            tx.rollback().await.unwrap();
                            open.push_back(delivery);
                        } else {
                            tx.commit().await.unwrap();
                        }
                    }
                    Acceptance::Duplicate => {}
                    Acceptance::Early { .. } => open.push_back(delivery),
                }
            }
        }));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let rows = client.query("select sequence from effects order by id", &[]).await.unwrap();
    let effects: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(effects, (1..=EVENTS.cast_signed()).map(|n| 2 * n).collect::<Vec<_>>());

    let tx = client.transaction().await.unwrap();
    postgres::advance(&tx, "c", &tenant(), Sequence(50), Some("cursor")).await.unwrap();
    postgres::advance(&tx, "c", &tenant(), Sequence(3), Some("older")).await.unwrap();
    postgres::begin_at(&tx, "c", &tenant(), Sequence(1)).await.unwrap();
    let mark = postgres::mark(&tx, "c", &tenant()).await.unwrap().unwrap();
    assert_eq!((mark.sequence, mark.cursor.as_deref()), (Sequence(50), Some("cursor")));
    postgres::forget(&tx, "c", &tenant()).await.unwrap();
    assert_eq!(postgres::mark(&tx, "c", &tenant()).await.unwrap(), None);
}
