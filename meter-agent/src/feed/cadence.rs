//! Whether readings come often enough: a slot's energy is known only where both its ends were read.

use protocol::unit::{Slot, Timestamp};

/// After so many slots' starts in a row of which no two follow one another, somebody is told.
const APART: u32 = 3;

/// How far apart readings are.
#[derive(Debug, Default)]
pub(super) struct Cadence {
    heard: Option<Timestamp>,
    /// The least seconds between two measurements since slots' starts are apart.
    least: Option<u64>,
    start: Option<Slot>,
    apart: u32,
}

impl Cadence {
    /// Notes a measurement's time.
    pub(super) fn hear(&mut self, at: Timestamp) {
        if let Some(before) = self.heard.replace(at).filter(|before| *before < at) {
            let apart = at.since(before);
            self.least = Some(self.least.map_or(apart, |least| least.min(apart)));
        }
    }

    /// Notes that a slot's start was read; gives the seconds between readings if none of the last ones gave a slot's energy,
    /// and it is time to say so.
    pub(super) fn begin(&mut self, at: Slot) -> Option<u64> {
        let before = self.start.replace(at)?;
        if at.0 <= before.0 + 1 {
            (self.apart, self.least) = (0, None);
            return None;
        }
        self.apart += 1;
        let tell = self.apart.is_multiple_of(APART) && (self.apart / APART).is_power_of_two();
        self.least.filter(|_| tell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(readings: &[(u64, Option<u32>)]) -> Vec<u64> {
        let mut cadence = Cadence::default();
        let mut told = Vec::new();
        for (at, slot) in readings {
            cadence.hear(Timestamp(*at));
            told.extend(slot.and_then(|slot| cadence.begin(Slot(slot))));
        }
        told
    }

    /// Registers of every 30 minutes on quarter-hours are told after three gaps, then ever more rarely; a gap or two are not.
    #[test]
    fn readings_that_are_too_far_apart_are_told() {
        let coarse =
            |count: u32| -> Vec<_> { (0..count).map(|i| (u64::from(i) * 1_800, Some(2 * i))).collect() };
        assert!(told(&coarse(3)).is_empty());
        assert_eq!(told(&coarse(4)), [1_800]);
        assert_eq!(told(&coarse(14)), [1_800; 3]);
        let tens: Vec<_> = (0..10).map(|i| (u64::from(i) * 600, (i % 3 == 0).then_some(i * 2 / 3))).collect();
        assert_eq!(told(&tens), [600]);
        let fine: Vec<_> = (0..100).map(|i| (u64::from(i) * 900, Some(i))).collect();
        assert!(told(&fine).is_empty());
        let holes = [0, 1, 5, 9, 10, 15, 20, 21].map(|slot| (u64::from(slot) * 900, Some(slot)));
        assert!(told(&holes).is_empty());
    }
}
