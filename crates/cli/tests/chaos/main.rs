//! The short form of `make chaos`: the same processes, faults and reckoning, for less than a minute, from a fixed seed.
//!
//! What it measures is not judged here: a busy machine is slow, and no promise is broken by that.

use std::time::Duration;

use tidings_chaos::{Options, Verdict};

/// A number from the environment, for longer runs of the same test.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_promise_breaks_while_nodes_databases_and_networks_do() {
    let options = Options {
        binary: env!("CARGO_BIN_EXE_tidings").into(),
        seed: number("TIDINGS_CHAOS_SEED", 20),
        lasts: Duration::from_secs(number("TIDINGS_CHAOS_SECONDS", 40)),
        pace: Duration::from_millis(250),
        scale: 0.35,
        measure_every: Duration::from_secs(60),
        // The history of a run that failed is kept all the same, and the run says where.
        directory: None,
    };
    let report = tidings_chaos::run(options).await.unwrap();
    assert_eq!(report.verdict, Verdict::Passed, "{:#?}", report.violations);
    assert!(report.faults_total >= 10, "{:?}", report.faults);
    assert!(report.events_accepted > 100 && report.events_accepted == report.log_events, "{report:?}");
    assert_eq!(report.nats, !tidings_testkit::Nats::programs().is_empty(), "the broker takes part where there is one");
    assert!(report.looks > 0 && report.claims > 0 && report.duplicates < report.deliveries, "{report:?}");
    assert!(report.faults.get("node_kill9").is_some_and(|kills| *kills > 0), "{:?}", report.faults);
    assert!(report.handover_ms.count > 0, "a hand-over without other faults was measured: {report:?}");
    assert_eq!((report.lost, report.out_of_order, report.stale_writes), (0, 0, 0), "{report:?}");
    println!("{report:#?}");
}
