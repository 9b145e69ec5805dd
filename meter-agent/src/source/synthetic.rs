//! Synthetic homes: a base load of 2 to 3 kW, a daily sine, noise; the same seed gives the same home.

use protocol::unit::{Slot, SlotLength, WattHours};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::series::Series;

/// Home number `index` of a seed, over `slots` slots from `start`.
///
/// # Panics
///
/// Never: the load stays between 0 and 7 kW.
pub fn home(seed: u64, index: u32, start: Slot, slots: u32, slot: SlotLength) -> Series {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (u64::from(index) << 32));
    let base = rng.random_range(2_000.0..3_000.0);
    let swing = rng.random_range(500.0..1_500.0);
    let phase = rng.random_range(0.0..std::f64::consts::TAU);
    let hours = f64::from(slot.seconds()) / 3_600.0;
    let energies = (0..slots)
        .map(|t| {
            let day = f64::from((start.0 + t) % slot.per_day()) / f64::from(slot.per_day());
            let sine = swing * (std::f64::consts::TAU * day + phase).sin();
            let noise = rng.random_range(-400.0..400.0);
            let watts: f64 = (base + sine + noise).max(0.0);
            #[expect(clippy::cast_possible_truncation, reason = "below 7 kWh by construction")]
            let energy = (watts * hours).round() as i64;
            WattHours(energy)
        })
        .collect();
    Series { name: format!("s{:04}", index + 1), start, slot, energies }
}
