//! The streams, as an outside consumer sees them.

use futures_util::StreamExt;
use tidings_bus::{Bus, Entry, Last, event_subject};
use tidings_engine::{Engine, Options};
use tidings_event::{EventType, PartitionId, Revision};
use tidings_store::sharded::ShardOptions;
use tidings_store::{ReadLimit, ShardNo, StoreOptions, open_sharded};
use tidings_testkit::{Nats, Postgres};
use tokio::time::timeout;

use crate::broken::{Broken, Ear};
use crate::on_both;
use crate::support::{Log, PATIENCE, event, no_source, numbered, tenant};
use crate::world::{
    client, connected, logged, nats_bus, node, node_over, partition_of, prefix, stream, told, until, until_told,
};

on_both! {
    async fn every_event_is_published_once_and_in_order(log: Log) {
        for program in Nats::programs() {
            let nats = Nats::start_program(&program, "");
            let store = log.store().await;
            let before = store.heads().await.unwrap();
            let engine = node(&log, &nats, Options::default()).await;
            let callers = ["acme", "globex", "initech"].map(|name| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    for batch in numbered(name, 400).chunks(37) {
                        engine.append(batch.to_vec()).await.unwrap();
                    }
                })
            });
            for caller in callers {
                caller.await.unwrap();
            }
            // The next broker knows nothing; the lease remembers what was published.
            for name in ["acme", "globex", "initech"] {
                let partition = partition_of(&engine, name).await;
                until_told(&nats, &*store, partition, before[partition.0 as usize].position.get()).await;
            }
            engine.shutdown().await;
        }
    }

    async fn a_plain_client_sees_native_json_in_order(log: Log) {
        let nats = Nats::start();
        let engine = node(&log, &nats, Options::default()).await;
        let client = client(&nats).await;
        let mut all = client.subscribe("tidings.events.*.a%2Eb.sales.>").await.unwrap();
        client.flush().await.unwrap();
        for batch in numbered("a.b", 100).chunks(9) {
            engine.append(batch.to_vec()).await.unwrap();
            engine.append(vec![event("other", "{}")]).await.unwrap();
        }
        let partition = partition_of(&engine, "a.b").await;
        let subject = event_subject(&prefix(), partition, &tenant("a.b"), &EventType::parse("sales.lead.created").unwrap());
        for sequence in 1..=100_u64 {
            let message = timeout(PATIENCE, all.next()).await.expect("it is published").unwrap();
            let json: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
            assert_eq!((json["sequence"].as_u64(), message.subject.as_str()), (Some(sequence), subject.as_str()));
            assert_eq!((json["tenant"].as_str(), json["data"]["number"].as_u64()), (Some("a.b"), Some(sequence - 1)));
        }
        engine.shutdown().await;
    }

    async fn what_was_appended_while_there_was_no_broker_is_published_once_there_is_one(log: Log) {
        let nats = Nats::start();
        nats.kill9();
        let engine = node(&log, &nats, Options::default()).await;
        engine.append(numbered("acme", 50)).await.unwrap();
        let store = log.store().await;
        let partition = partition_of(&engine, "acme").await;
        nats.restart();
        until_told(&nats, &*store, partition, 0).await;

        // It is killed again and again, and once loses everything.
        for round in 0..3 {
            nats.kill9();
            engine.append(numbered("acme", 20)).await.unwrap();
            if round == 1 {
                nats.wipe();
            }
            nats.restart();
            engine.append(numbered("acme", 20)).await.unwrap();
            let head = logged(&*store, partition, 0).await.len();
            until("the newest event is in the stream", async || {
                told(&nats, partition).await.last().is_some_and(|last| last.position == head as u64)
            })
            .await;
            let first = told(&nats, partition).await.first().unwrap().position;
            until_told(&nats, &*store, partition, first - 1).await;
        }
        engine.shutdown().await;
    }

    async fn a_stream_that_is_emptied_or_deleted_goes_on_without_a_gap(log: Log) {
        for program in Nats::programs() {
            let nats = Nats::start_program(&program, "");
            let engine = node(&log, &nats, Options::default()).await;
            let store = log.store().await;
            engine.append(numbered("acme", 30)).await.unwrap();
            let partition = partition_of(&engine, "acme").await;
            until("it is published", async || told(&nats, partition).await.len() >= 30).await;
            let before = logged(&*store, partition, 0).await.len() as u64;

            stream(&nats, partition).await.unwrap().purge().await.unwrap();
            engine.append(numbered("acme", 30)).await.unwrap();
            until_told(&nats, &*store, partition, before).await;

            let jetstream = async_nats::jetstream::new(client(&nats).await);
            jetstream.delete_stream("TIDINGS-EVENTS-".to_owned() + &partition.to_string()).await.unwrap();
            engine.append(numbered("acme", 30)).await.unwrap();
            until_told(&nats, &*store, partition, before + 30).await;
            engine.shutdown().await;
        }
    }

    async fn a_stream_that_lost_its_end_gets_it_back(log: Log) {
        for program in Nats::programs() {
            let nats = Nats::start_program(&program, "");
            let engine = node(&log, &nats, Options::default()).await;
            let store = log.store().await;
            engine.append(numbered("acme", 30)).await.unwrap();
            let partition = partition_of(&engine, "acme").await;
            until("it is published", async || told(&nats, partition).await.len() >= 30).await;
            engine.shutdown().await;

            // As a broker does that lost its newest writes with the power.
            let lost = stream(&nats, partition).await.unwrap();
            let last = lost.cached_info().state.last_sequence;
            for number in last - 9..=last {
                lost.delete_message(number).await.unwrap();
            }
            let kept = told(&nats, partition).await;
            let engine = node(&log, &nats, Options::default()).await;
            engine.append(numbered("acme", 5)).await.unwrap();
            until_told(&nats, &*store, partition, kept[0].position - 1).await;
            engine.shutdown().await;
        }
    }

    async fn a_publisher_that_was_paused_cannot_interleave_with_its_successor(log: Log) {
        let nats = Nats::start();
        let store = log.store().await;
        let bus = Broken::over(nats_bus(&nats, store.log().id).await, Ear::Good, true);
        let old = node_over(&log, store.clone(), bus.clone(), Options::default()).await;
        old.append(numbered("acme", 10)).await.unwrap();
        let partition = partition_of(&old, "acme").await;
        until_told(&nats, &*store, partition, 0).await;

        bus.hold();
        old.append(numbered("acme", 10)).await.unwrap();
        until("the old publisher stands still", async || bus.holds_some()).await;

        // Another one publishes what the old one is about to, and more.
        let successor = nats_bus(&nats, store.log().id).await;
        connected(&*successor).await;
        old.append(numbered("acme", 10)).await.unwrap();
        publish_rest(&*successor, &*store, partition).await;
        assert_eq!(told(&nats, partition).await, logged(&*store, partition, 0).await);

        bus.let_go();
        old.append(numbered("acme", 10)).await.unwrap();
        until_told(&nats, &*store, partition, 0).await;
        old.shutdown().await;
    }

    async fn a_stream_of_another_log_is_begun_anew_and_nothing_of_it_is_read(log: Log) {
        let nats = Nats::start();
        let before = Log::sqlite();
        let former = node(&before, &nats, Options::default()).await;
        former.append(numbered("acme", 40)).await.unwrap();
        // The tenant may live in another partition there.
        let old_store = before.store().await;
        until_told(&nats, &*old_store, PartitionId(0), 0).await;
        former.shutdown().await;

        let engine = node(&log, &nats, Options::default()).await;
        let store = log.store().await;
        for name in ["acme", "globex", "initech", "hooli", "umbrella", "stark", "wayne", "wonka"] {
            engine.append(numbered(name, 3)).await.unwrap();
            let place = partition_of(&engine, name).await;
            until_told(&nats, &*store, place, 0).await;
        }
        until("nothing of the other log is left", async || {
            let id = store.log().id.to_string();
            told(&nats, PartitionId(0)).await.iter().all(|message| message.log == id)
        })
        .await;
        engine.shutdown().await;
    }

    async fn what_others_write_into_a_stream_is_put_right(log: Log) {
        let nats = Nats::start();
        let engine = node(&log, &nats, Options::default()).await;
        let store = log.store().await;
        engine.append(numbered("acme", 10)).await.unwrap();
        let partition = partition_of(&engine, "acme").await;
        until_told(&nats, &*store, partition, 0).await;
        let jetstream = async_nats::jetstream::new(client(&nats).await);
        let subject = format!("tidings.events.{partition}.acme.sales.lead.created");
        jetstream.publish(subject, r#"{"id":"forged"}"#.into()).await.unwrap().await.unwrap();
        engine.append(numbered("acme", 10)).await.unwrap();
        until_told(&nats, &*store, partition, 0).await;
        engine.shutdown().await;
    }
}

/// What a log's database says after it was put back to an earlier state, and went on from there.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_ahead_of_a_restored_log_is_written_anew() {
    let nats = Nats::start();
    for more_than_before in [false, true] {
        let log = Log::sqlite();
        let file = log.url().strip_prefix("sqlite://").unwrap().to_owned();
        let backup = format!("{file}.backup");
        let engine = node(&log, &nats, Options::default()).await;
        engine.append(numbered("acme", 20)).await.unwrap();
        let store = log.store().await;
        until_told(&nats, &*store, PartitionId(0), 0).await;
        store.close().await;
        engine.shutdown().await;
        std::fs::copy(&file, &backup).unwrap();

        let engine = node(&log, &nats, Options::default()).await;
        engine.append(numbered("acme", 15)).await.unwrap();
        until("it is published", async || told(&nats, PartitionId(0)).await.len() == 35).await;
        engine.shutdown().await;
        for suffix in ["-wal", "-shm"] {
            let _none = std::fs::remove_file(format!("{file}{suffix}"));
        }
        std::fs::copy(&backup, &file).unwrap();

        // The log's id stays the same: nobody renewed it. What it says after the backup is other than before.
        let engine = node(&log, &nats, Options::default()).await;
        if more_than_before {
            engine.append(numbered("acme", 40)).await.unwrap();
        }
        engine.append(vec![event("acme", r#"{"after":"restore"}"#)]).await.unwrap();
        let store = log.store().await;
        until_told(&nats, &*store, PartitionId(0), 0).await;
        store.close().await;
        engine.shutdown().await;
        async_nats::jetstream::new(client(&nats).await).delete_stream("TIDINGS-EVENTS-0").await.unwrap();
    }
}

/// Publishes by hand what a partition's stream lacks.
async fn publish_rest(bus: &dyn Bus, store: &dyn tidings_store::Store, partition: PartitionId) {
    let end = bus.end(partition).await.unwrap();
    let Last::Event { position, .. } = end.last else { panic!("the stream ends with an event") };
    let slice = store.tail(partition, position, ReadLimit { events: 1_000, bytes: 1 << 20 }).await.unwrap();
    let json: Vec<bytes::Bytes> = slice.events.iter().map(|event| event.to_json().into()).collect();
    let entries: Vec<Entry<'_>> =
        slice.events.iter().zip(&json).map(|(recorded, json)| Entry { recorded, json }).collect();
    bus.publish(partition, end.message, Revision(0), &entries).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_down_does_not_keep_the_partitions_of_others_from_being_published() {
    let away = Postgres::start();
    let (home, b) = (Postgres::shared().database().await, away.database().await);
    let shard = ShardOptions { name: "b".to_owned(), url: b.url(), partitions: (2..4).collect(), takes_tenants: false };
    let mut options = StoreOptions::default();
    options.postgres.partitions = 2;
    let open = async || open_sharded(&home.url(), std::slice::from_ref(&shard), options.clone()).await.unwrap();
    open().await.close().await;
    away.kill9();
    for program in Nats::programs() {
        let nats = Nats::start_program(&program, "");
        let store = open().await;
        let before = store.heads_of(ShardNo(0)).await.unwrap();
        let bus = nats_bus(&nats, store.log().id).await;
        let engine = Engine::start(store.clone(), vec![no_source()], Options { bus: Some(bus), ..Options::default() });
        let engine = engine.await.unwrap();
        engine.append(numbered("acme", 20)).await.unwrap();
        let partition = partition_of(&engine, "acme").await;
        until_told(&nats, &*store, partition, before[partition.0 as usize].1.position.get()).await;
        engine.shutdown().await;
    }
}
