//! What is promised holds in simulated worlds.

use tidings_sim::simulate;

/// Seeds that are run each time.
const SEEDS: u64 = 40;

#[test]
fn two_runs_of_one_seed_are_byte_identical() {
    for seed in 0..6 {
        let (one, other) = (simulate(seed, true), simulate(seed, true));
        for (at, (one, other)) in one.trace.iter().zip(&other.trace).enumerate() {
            assert_eq!(one, other, "seed {seed}, line {at}");
        }
        assert_eq!((one.hash, one.lines), (other.hash, other.lines), "seed {seed}");
    }
}

#[test]
fn every_promise_holds_in_the_first_seeds() {
    for seed in 0..SEEDS {
        let outcome = simulate(seed, false);
        assert_eq!(outcome.broken, None, "seed {seed}");
        assert!(outcome.events > 0, "seed {seed}");
    }
}
