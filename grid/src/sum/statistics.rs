//! What the sums say of a group.

use super::layout::{BINS, EDGES, Sums};

/// Statistics of one slot across the members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlotStatistics {
    /// Σ x, Wh.
    pub total: i64,
    /// Mean, Wh.
    pub mean: f64,
    /// Population variance, Wh².
    pub variance: f64,
}

impl SlotStatistics {
    /// Standard deviation, Wh.
    pub fn deviation(&self) -> f64 {
        self.variance.sqrt()
    }
}

/// Bounds of order statistics across the members, from a histogram: each is a bin, from its edge to the next in watts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quantiles {
    counts: [u32; BINS],
}

impl Quantiles {
    /// The bin that holds the quantile `q` (0: the lowest, 0.5: the lower median, 1: the highest): its edges in watts, the last
    /// bin's upper one missing. `None` if nothing was counted.
    pub fn at(&self, q: f64) -> Option<(u32, Option<u32>)> {
        let members: u32 = self.counts.iter().sum();
        let last = members.checked_sub(1)?;
        // The rank of the quantile among 0 … m − 1, rounded down.
        let rank = (f64::from(last) * q.clamp(0.0, 1.0)).floor();
        let mut below = 0;
        for (bin, count) in self.counts.iter().enumerate() {
            below += count;
            if f64::from(below) > rank {
                return Some((EDGES[bin], EDGES.get(bin + 1).copied()));
            }
        }
        None
    }

    /// How many are in each bin.
    pub fn counts(&self) -> &[u32; BINS] {
        &self.counts
    }
}

/// A bin as people write it: `500-750`, `over 20000`.
pub fn bin_name((from, to): (u32, Option<u32>)) -> String {
    to.map_or_else(|| format!("over {from}"), |to| format!("{from}-{to}"))
}

/// What the sums of an interval say.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Each slot.
    pub slots: Vec<SlotStatistics>,
    /// Energy of the interval, Wh.
    pub total: i64,
    /// The slot of the interval, from 0, with the highest total.
    pub peak: usize,
    /// The members' mean powers.
    pub means: Quantiles,
    /// The members' highest slots.
    pub peaks: Quantiles,
    /// Exported energy, Wh.
    pub export: i64,
}

impl Statistics {
    /// Computes them. Only the last division is in floating point: the numerator m·Σx² − (Σx)² is exact.
    #[expect(
        clippy::cast_precision_loss,
        reason = "numerators are exact integers; a quotient needs no more than 53 bits"
    )]
    pub fn of(sums: &Sums) -> Self {
        let members = i128::try_from(sums.members).unwrap_or(i128::MAX).max(1);
        let slot = |(x, y): (&i64, &i64)| {
            let numerator = members * i128::from(*y) - i128::from(*x) * i128::from(*x);
            SlotStatistics {
                total: *x,
                mean: *x as f64 / members as f64,
                variance: numerator as f64 / (members * members) as f64,
            }
        };
        let peak = (0..sums.energies.len()).rev().max_by_key(|t| sums.energies[*t]).unwrap_or(0);
        Self {
            slots: sums.energies.iter().zip(&sums.squares).map(slot).collect(),
            total: sums.energies.iter().sum(),
            peak,
            means: Quantiles { counts: sums.means },
            peaks: Quantiles { counts: sums.peaks },
            export: sums.export,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean, variance, peak and quantiles of a small group, against a count by hand.
    #[test]
    fn statistics_are_those_of_the_members() {
        // Three members, two slots: (1, 10), (2, 20), (6, 0).
        let mut means = [0; BINS];
        (means[0], means[3], means[15]) = (1, 1, 1);
        let sums = Sums {
            members: 3,
            energies: vec![9, 30],
            squares: vec![41, 500],
            means,
            peaks: means,
            export: 4,
        };
        let statistics = Statistics::of(&sums);
        assert!((statistics.slots[0].mean - 3.0).abs() < 1e-12);
        assert!((statistics.slots[0].variance - 14.0 / 3.0).abs() < 1e-12);
        assert!((statistics.slots[1].deviation() - (200.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!((statistics.total, statistics.peak, statistics.export), (39, 1, 4));
        let quantile = |q| statistics.means.at(q).unwrap();
        assert_eq!(quantile(0.0), (0, Some(100)));
        assert_eq!(quantile(0.5), (300, Some(400)));
        assert_eq!(quantile(1.0), (20_000, None));
        assert_eq!(Quantiles { counts: [0; BINS] }.at(0.5), None);
    }
}
