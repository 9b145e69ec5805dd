//! What a load vector holds, value by value.
//!
//! For an interval of L slots, 2·L + 34 integers:
//!
//! | values | what |
//! |---|---|
//! | 0 … L − 1 | x_t: energy of each slot, Wh |
//! | L … 2L − 1 | x_t²: Wh² |
//! | 2L … 2L + 15 | one-hot: the bin of the interval's mean power ([`EDGES`]) |
//! | 2L + 16 … 2L + 31 | one-hot: the bin of the highest slot's power |
//! | 2L + 32 | exported energy of the interval, Wh |
//! | 2L + 33 | 1 |
//!
//! Summed over meters: the load curve, what variance needs, two histograms, export, and how many there are.

use std::fmt;

use protocol::unit::{MAX_SLOT_WH, SlotLength};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use zeroize::Zeroizing;

/// Bins of a histogram.
pub const BINS: usize = 16;

/// Where each bin begins, in watts; the last has no end.
pub const EDGES: [u32; BINS] =
    [0, 100, 200, 300, 400, 500, 750, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 8_000, 12_000, 20_000];

/// Where everything is in a load vector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Layout {
    slots: usize,
}

/// What a meter measured over an interval: readings, so it does not print.
#[derive(Clone)]
pub struct Loads {
    energies: Zeroizing<Vec<i64>>,
    export: i64,
}

impl fmt::Debug for Loads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loads").field("slots", &self.energies.len()).finish_non_exhaustive()
    }
}

impl Loads {
    /// Imported energies in Wh, one a slot, and the exported energy of the whole interval.
    ///
    /// `None` if a slot is beyond ±[`MAX_SLOT_WH`], or the export below 0 or beyond that for all slots.
    pub fn new(energies: Vec<i64>, export: i64) -> Option<Self> {
        let energies = Zeroizing::new(energies);
        let slots = i64::try_from(energies.len()).ok()?;
        let fits =
            energies.iter().all(|x| x.abs() <= MAX_SLOT_WH) && (0..=slots * MAX_SLOT_WH).contains(&export);
        fits.then_some(Self { energies, export })
    }

    /// The slots.
    pub fn layout(&self) -> Layout {
        Layout { slots: self.energies.len() }
    }

    /// The values to be encrypted.
    pub fn to_vector(&self, slot: SlotLength) -> Zeroizing<Vec<i64>> {
        let layout = self.layout();
        let mut vector = Zeroizing::new(Vec::with_capacity(layout.len()));
        vector.extend(self.energies.iter());
        vector.extend(self.energies.iter().map(|x| x * x));
        let slots = i64::try_from(layout.slots).unwrap_or(i64::MAX).max(1);
        let watts = |energy: i64| energy * 3_600 / i64::from(slot.seconds());
        let (sum, peak): (i64, i64) =
            (self.energies.iter().sum(), self.energies.iter().copied().max().unwrap_or(0));
        for power in [watts(sum) / slots, watts(peak)] {
            let bin = bin(power);
            vector.extend((0..BINS).map(|i| i64::from(i == bin)));
        }
        vector.extend([self.export, 1]);
        vector
    }
}

/// The bin of a power in watts.
fn bin(power: i64) -> usize {
    EDGES.partition_point(|edge| i64::from(*edge) <= power).max(1) - 1
}

impl Layout {
    /// The layout of an interval of so many slots.
    pub fn new(slots: usize) -> Self {
        Self { slots }
    }

    /// Slots of the interval.
    pub fn slots(self) -> usize {
        self.slots
    }

    /// Values of a load vector.
    #[expect(clippy::len_without_is_empty, reason = "34 values at least: no vector is empty")]
    pub fn len(self) -> usize {
        2 * self.slots + 2 * BINS + 2
    }

    /// Takes a sum of load vectors apart.
    ///
    /// # Errors
    ///
    /// [`SumsError`]: no sum of `members` honest load vectors looks like this.
    pub fn take_apart(self, values: &[i128], members: usize) -> Result<Sums, SumsError> {
        let l = self.slots;
        if values.len() != self.len() {
            return Err(SumsError::Length { found: values.len(), wanted: self.len() });
        }
        let count = i128::try_from(members).unwrap_or(i128::MAX);
        let most = i128::from(MAX_SLOT_WH);
        let wh = |range: std::ops::Range<usize>, least: i128, most: i128| -> Result<Vec<i64>, SumsError> {
            let value = |i: usize| {
                let within = (least * count..=most * count).contains(&values[i]);
                i64::try_from(values[i]).ok().filter(|_| within).ok_or(SumsError::Range { index: i })
            };
            range.map(value).collect()
        };
        let energies = wh(0..l, -most, most)?;
        let squares = wh(l..2 * l, 0, most * most)?;
        for (slot, (x, y)) in energies.iter().zip(&squares).enumerate() {
            // (Σ x)² ≤ m·Σ x²  [Cauchy–Schwarz]
            if i128::from(*x) * i128::from(*x) > count * i128::from(*y) {
                return Err(SumsError::Squares { slot });
            }
        }
        let histogram = |from: usize| -> Result<[u32; BINS], SumsError> {
            let bins = wh(from..from + BINS, 0, 1)?;
            if bins.iter().map(|n| i128::from(*n)).sum::<i128>() != count {
                return Err(SumsError::Histogram { index: from });
            }
            let mut counts = [0; BINS];
            for (count, n) in counts.iter_mut().zip(bins) {
                *count = u32::try_from(n).map_err(|_| SumsError::Histogram { index: from })?;
            }
            Ok(counts)
        };
        let (means, peaks) = (histogram(2 * l)?, histogram(2 * l + BINS)?);
        let at = 2 * l + 2 * BINS;
        let slots = i128::try_from(l).unwrap_or(i128::MAX);
        let export = wh(at..at + 1, 0, most * slots)?[0];
        if values[at + 1] != count {
            return Err(SumsError::Members { found: values[at + 1], wanted: members });
        }
        Ok(Sums { members, energies, squares, means, peaks, export })
    }
}

/// The sum of the load vectors of a group.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Sums {
    /// How many there are.
    pub members: usize,
    /// Σ x_t, Wh.
    pub energies: Vec<i64>,
    /// Σ x_t², Wh².
    pub squares: Vec<i64>,
    /// How many had their mean power in each bin.
    pub means: [u32; BINS],
    /// How many had their highest slot in each bin.
    pub peaks: [u32; BINS],
    /// Exported energy, Wh.
    pub export: i64,
}

/// Values that no honest members make: one of them at least sent something else than a load vector.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SumsError {
    /// Another number of values.
    #[error("a sum of {found} values, {wanted} wanted")]
    Length {
        /// Values found.
        found: usize,
        /// Values wanted.
        wanted: usize,
    },
    /// A value beyond what so many meters can have.
    #[error("value {index} is beyond what these members can have")]
    Range {
        /// Which value.
        index: usize,
    },
    /// Σ x² too small for Σ x.
    #[error("the squares of slot {slot} are too small for its energies")]
    Squares {
        /// Which slot.
        slot: usize,
    },
    /// A histogram that does not count every member once.
    #[error("the histogram at value {index} does not count every member once")]
    Histogram {
        /// Its first value.
        index: usize,
    },
    /// Another number of members.
    #[error("the vectors count {found} members, {wanted} were summed")]
    Members {
        /// What they count.
        found: i128,
        /// How many there are.
        wanted: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Sums of honest vectors come apart into what a direct count gives.
        #[test]
        fn sums_are_what_they_say(
            homes in prop::collection::vec(prop::collection::vec(0..6_000_i64, 4), 1..20), export in 0..900_i64,
        ) {
            let slot = SlotLength::try_from(900).unwrap();
            let vectors: Vec<_> =
                homes.iter().map(|x| Loads::new(x.clone(), export).unwrap().to_vector(slot)).collect();
            let sum: Vec<i128> =
                (0..vectors[0].len()).map(|i| vectors.iter().map(|v| i128::from(v[i])).sum()).collect();
            let sums = Layout::new(4).take_apart(&sum, homes.len()).unwrap();
            for t in 0..4 {
                prop_assert_eq!(sums.energies[t], homes.iter().map(|x| x[t]).sum::<i64>());
                prop_assert_eq!(sums.squares[t], homes.iter().map(|x| x[t] * x[t]).sum::<i64>());
            }
            for (i, &edge) in EDGES.iter().enumerate() {
                let end = EDGES.get(i + 1).map_or(i64::MAX, |end| i64::from(*end));
                let within = |power: i64| (i64::from(edge)..end).contains(&power);
                let mean = homes.iter().filter(|x| within(x.iter().sum::<i64>())).count();
                let peak = homes.iter().filter(|x| within(x.iter().max().unwrap() * 4)).count();
                prop_assert_eq!((sums.means[i] as usize, sums.peaks[i] as usize), (mean, peak));
            }
            prop_assert_eq!(sums.export, export * i64::try_from(homes.len()).unwrap());
        }
    }

    /// Whatever is no sum of so many load vectors is refused.
    #[test]
    fn refuses_what_no_members_make() {
        let slot = SlotLength::try_from(3_600).unwrap();
        let honest = Loads::new(vec![100, 300], 5).unwrap().to_vector(slot);
        let sum: Vec<i128> = honest.iter().map(|v| 3 * i128::from(*v)).collect();
        let layout = Layout::new(2);
        assert!(layout.take_apart(&sum, 3).is_ok());
        assert_eq!(layout.take_apart(&sum[1..], 3), Err(SumsError::Length { found: 37, wanted: 38 }));
        for (index, change) in [
            (0, 1 << 40),
            (0, 5_000),
            (2, -29_999),
            (2, 1 << 70),
            (4, -1),
            (5, 1),
            (20, 1),
            (36, 1 << 33),
            // no register runs backwards
            (36, -16),
            (37, 1),
        ] {
            let mut bad = sum.clone();
            bad[index] += change;
            assert!(layout.take_apart(&bad, 3).is_err(), "value {index} changed by {change}");
        }
        assert!(layout.take_apart(&sum, 2).is_err());
        assert!(Loads::new(vec![MAX_SLOT_WH + 1], 0).is_none());
    }
}
