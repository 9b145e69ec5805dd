//! Whether readings come often enough: a slot's energy is known only where both its ends were read.

use protocol::unit::{Slot, Timestamp};

/// After so many slots' starts in a row of which no two follow one another, the log warns.
const APART: u32 = 3;

/// How far apart readings are.
#[derive(Debug, Default)]
pub(super) struct Cadence {
    last: Option<Timestamp>,
    /// The least seconds between two measurements since slots' starts are apart.
    least: Option<u64>,
    start: Option<Slot>,
    apart: u32,
}

impl Cadence {
    /// Notes a measurement's time.
    pub(super) fn note(&mut self, at: Timestamp) {
        if let Some(before) = self.last.replace(at).filter(|before| *before < at) {
            let apart = at.since(before);
            self.least = Some(self.least.map_or(apart, |least| least.min(apart)));
        }
    }

    /// Notes that a slot's start was read; gives the seconds between readings if none of the last ones gave a slot's energy,
    /// and it is time to warn.
    pub(super) fn begin(&mut self, at: Slot) -> Option<u64> {
        let before = self.start.replace(at)?;
        if at.0 <= before.0 + 1 {
            (self.apart, self.least) = (0, None);
            return None;
        }
        self.apart += 1;
        let due = self.apart.is_multiple_of(APART) && (self.apart / APART).is_power_of_two();
        self.least.filter(|_| due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(readings: &[(u64, Option<u32>)]) -> Vec<u64> {
        let mut cadence = Cadence::default();
        let mut warned = Vec::new();
        for (at, slot) in readings {
            cadence.note(Timestamp(*at));
            warned.extend(slot.and_then(|slot| cadence.begin(Slot(slot))));
        }
        warned
    }

    /// Registers of every 30 minutes on quarter-hours are reported after three gaps, then ever more rarely; a gap or two are not.
    #[test]
    fn readings_that_are_too_far_apart_are_reported() {
        let coarse =
            |count: u32| -> Vec<_> { (0..count).map(|i| (u64::from(i) * 1_800, Some(2 * i))).collect() };
        assert!(warned(&coarse(3)).is_empty());
        assert_eq!(warned(&coarse(4)), [1_800]);
        assert_eq!(warned(&coarse(14)), [1_800; 3]);
        let tens: Vec<_> = (0..10).map(|i| (u64::from(i) * 600, (i % 3 == 0).then_some(i * 2 / 3))).collect();
        assert_eq!(warned(&tens), [600]);
        let fine: Vec<_> = (0..100).map(|i| (u64::from(i) * 900, Some(i))).collect();
        assert!(warned(&fine).is_empty());
        let holes = [0, 1, 5, 9, 10, 15, 20, 21].map(|slot| (u64::from(slot) * 900, Some(slot)));
        assert!(warned(&holes).is_empty());
    }
}
