//! What is promised holds in simulated worlds, and would be missed if it did not.

use std::sync::Mutex;
use std::thread;

use tidings_sim::{Sabotage, simulate, simulate_without};

/// Seeds that are run each time, each thread its own.
const SEEDS: u64 = 60;
const THREADS: u64 = 2;

/// Seeds in which a promise was broken once.
const BROKEN_ONCE: [u64; 2] = [259, 1026];

/// Seeds within which whatever is taken away must be missed.
const MISSED_WITHIN: u64 = 400;

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
fn every_promise_holds_in_a_fixed_number_of_seeds() {
    thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || {
                for seed in (first..SEEDS).step_by(THREADS as usize) {
                    let outcome = simulate(seed, false);
                    assert_eq!(outcome.broken, None, "tidings-simulate --seed {seed} --trace");
                }
            });
        }
    });
}

#[test]
fn every_promise_holds_in_the_seeds_in_which_one_was_broken_once() {
    for seed in BROKEN_ONCE {
        assert_eq!(simulate(seed, false).broken, None, "tidings-simulate --seed {seed} --trace");
    }
}

#[test]
fn whatever_is_taken_away_is_missed_where_it_holds_otherwise() {
    for sabotage in Sabotage::ALL {
        let name = sabotage.as_str();
        let fits = |broken: &String| sabotage.breaks().iter().any(|promise| broken.starts_with(promise));
        // What is taken away may break other things as well; some seed shows what it was there for.
        let missed = Mutex::new(None);
        thread::scope(|scope| {
            for first in 0..THREADS {
                let missed = &missed;
                scope.spawn(move || {
                    let mut seeds = (first..MISSED_WITHIN).step_by(THREADS as usize);
                    while let Some(seed) = seeds.next().filter(|_| missed.lock().unwrap().is_none()) {
                        if simulate_without(*sabotage, seed).broken.as_ref().is_some_and(fits) {
                            *missed.lock().unwrap() = Some(seed);
                        }
                    }
                });
            }
        });
        let seed = missed.into_inner().unwrap();
        let seed = seed.unwrap_or_else(|| panic!("nothing of {:?} was broken without {name}", sabotage.breaks()));
        assert_eq!(simulate(seed, false).broken, None, "seed {seed} is broken with {name}, too");
    }
}
