//! The simulator: real roles, real stores, a virtual network and clock; everything follows from a seed.
//!
//! `SIM_SEEDS=N` runs N seeds of each kind of history, `SIM_SEED=k` only seed k. A history that fails says how it is
//! played again.

mod sim {
    pub(crate) mod homes;
    pub(crate) mod laws;
    pub(crate) mod network;
    pub(crate) mod party;
    pub(crate) mod witness;
    pub(crate) mod world;
}

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use protocol::rule::Rule;
use sim::network::{Faults, Name, matches};
use sim::world::{Setup, World};

/// What parties may refuse when messages are lost, late and out of order, and nobody lies.
const CONFUSION: &[Rule] =
    &[Rule::Replay, Rule::UnknownMeter, Rule::QueryUnknown, Rule::InventoryMissing, Rule::TariffUnknown];

/// Plays a history for each of `count` seeds, or as the environment says.
fn seeds(test: &str, count: u64, history: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(one), _) => one..one + 1,
        (None, count_wanted) => 0..count_wanted.unwrap_or(count),
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| history(seed))) {
            eprintln!("seed {seed} failed: SIM_SEED={seed} cargo test -p wattveil --test sim {test}");
            resume_unwind(panic);
        }
    }
}

/// Everything is released exactly, whatever the network and the crashes do, once they stop.
#[test]
fn bills_are_exact_under_faults() {
    seeds("bills_are_exact_under_faults", 100, |seed| {
        let (n, t) = [(4, 2), (4, 2), (5, 3), (3, 2), (2, 2), (7, 3)][usize::try_from(seed % 6).unwrap()];
        let mut world = World::new(seed, Setup::new(n, t), Faults::drawn);
        world.run_to_the_end(48);
        world.check_laws();
        world.check_nothing_is_missing();
        world.check_records();
        world.check_refusals(CONFUSION);
    });
}

/// On a good day nothing is refused, and nobody says more than needed.
#[test]
fn a_good_day_is_quiet() {
    seeds("a_good_day_is_quiet", 4, |seed| {
        let mut world = World::new(seed, Setup::new(4, 2), |_, _| Faults::none());
        world.run_to_the_end(12);
        world.check_laws();
        world.check_nothing_is_missing();
        assert_eq!(world.crashes, 0);
    });
}

/// Filters match as MQTT 3.1.1 says.
#[test]
fn filters_match_levels() {
    for (filter, topic, fits) in [
        ("a/+/c", "a/b/c", true),
        ("a/+/c", "a/b/d", false),
        ("a/+", "a", false),
        ("a/+", "a/b/c", false),
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("a/b", "a/b", true),
        ("a/b", "a/b/c", false),
        ("#", "a/b", true),
    ] {
        assert_eq!(matches(filter, topic), fits, "{filter} {topic}");
    }
    assert!(Name::Meter(0) < Name::Sink);
}
