//! The simulator: the lab's world, in which everything follows from a seed; the laws that hold in every history of it.
//!
//! `SIM_SEEDS=N cargo test -p lab --test sim` plays N seeds of each kind of history, `SIM_SEED=k` only seed k; a part of a test's
//! name behind it plays only that kind. A history that fails says how it is played again.

// So that lints know the helpers as tests too.
#![cfg(test)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use protocol::rule::Rule;

mod cuts;
mod faults;
mod grid_attacks;
mod homes;
mod laws;
mod levelled;
mod meters;
mod objections;
mod overlaps;
mod rosters;
mod snapshot;
mod utility;
mod villain;
mod witness;
mod world;

/// What parties may refuse when messages are lost, late and out of order, and nobody lies. Who missed a release does not
/// vote for the next before it has caught up.
const CONFUSION: &[Rule] = &[
    Rule::Replay,
    Rule::UnknownMeter,
    Rule::QueryUnknown,
    Rule::InventoryMissing,
    Rule::TariffUnknown,
    Rule::Continuity,
];

/// Plays a history for each of `count` seeds, or as the environment says.
fn seeds(test: &str, count: u64, history: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let one = number("SIM_SEED");
    for seed in one.map_or_else(|| 0..number("SIM_SEEDS").unwrap_or(count), |one| one..one + 1) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| history(seed))) {
            let what = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("SIM_SEED={seed} cargo test -p lab --test sim {test} plays it again: {what}");
        }
    }
}
