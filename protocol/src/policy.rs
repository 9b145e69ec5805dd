//! The release policy: what every honest aggregator demands before it votes.
//!
//! # The cell rule
//!
//! A bill releases Σ p_t·x_t for a few tariffs p and the register difference. Slots that all tariffs of the release
//! price alike form a *cell*. Whatever is released is a function of the cells' sums, so if every cell has at least
//! m slots, nobody learns the energy of fewer than m slots from it - by linear algebra, by prices chosen as digits of
//! a number (2^15 apart, so that one sum spells several readings), or by both. The rule implies a dominance bound:
//! after subtracting its mean no linear combination of the tariffs gives one slot more than 1/(2m) of the absolute
//! weight, since the m slots of a cell weigh the same and the other sign weighs as much; m = 25 is 2 %.
//!
//! # Bills beside curves
//!
//! The two rules hold for each release alone. Together they do not: with every member's bill but one over the same
//! cells, the group's curve gives the last member's cells, and its own bill over other cells then gives the difference.
//! So the first bills of a group fix window and cells ([`partition`]): the window is the query's period, or what most of them have
//! where batches end beside it. A bill that is like
//! these and has no gap is *regular*. A member whose bill is not regular is in no curve that overlaps it, and a member that is in a curve gets
//! no other than a regular bill ([`Rule::Differencing`]). Curves and bills of a group that overlap have one window: at the
//! edge of a curve that reaches into another window, a member that is not in it would stand alone. Tariffs that differ within a group are asked for together,
//! so that all its bills have the same cells.
//!
//! # Days as they come
//!
//! On the grid path a group's intervals are released one by one, before the bills of their period. Were a member in some of
//! them only, all bills less all intervals would be what it used in the others. So the first interval names a *window*,
//! which is that of the group's bills, and a member set; every interval of the window has exactly this set or is not
//! released ([`Rule::MemberSet`]): what the intervals lack, they lack of all members at once. A bill that is not
//! regular gives a member of the set its register difference only, of one or more windows next to one another: were there a slot more
//! or less, the difference to all that the group was told of these windows would be what the home used in it.
//!
//! # Gaps
//!
//! A slot without a record is priced at the tariff's substitute band, and its energy comes from the registers. For
//! cells it counts as a slot of that band, so a gap is hidden among the band's slots. The gap's own energy is never
//! released: an attacker that suppresses one record would read it otherwise.

use std::collections::BTreeMap;

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::Hash;
use crate::rule::Rule;
use crate::signature::hash;
use crate::unit::{Price, SlotLength, SlotRange};

/// What a roster demands of every release.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Policy {
    /// The fewest members of a group whose curve may be released.
    pub k: u16,
    /// The shortest bill, in days.
    pub bill_days: u16,
    /// The share of a bill's slots that must have records, in thousandths; else only the register difference is
    /// released.
    pub coverage: u16,
    /// The most tariffs in one bill.
    pub functionals: u8,
    /// The fewest slots in a cell.
    pub smallest_cell: u16,
    /// The fewest meters that one query may bill by a tariff.
    pub tariff_meters: u16,
    /// How long after its last slot a record is still taken, in seconds.
    pub late_grace: u32,
    /// The seconds of a load vector on the grid path, whole slots and a part of a day; 0 for no grid path.
    pub grid_interval: u32,
}

impl Policy {
    /// What a production roster should demand at least: k = 15, 28 days, 95 %, 4 functionals, cells of 25 slots,
    /// 15 meters a tariff, 92 days of grace; a load vector a day.
    pub fn production() -> Self {
        Self {
            k: 15,
            bill_days: 28,
            coverage: 950,
            functionals: 4,
            smallest_cell: 25,
            tariff_meters: 15,
            late_grace: 92 * 86_400,
            grid_interval: 86_400,
        }
    }

    /// The shortest bill in slots.
    pub fn bill_slots(&self, slot: SlotLength) -> usize {
        usize::from(self.bill_days) * slot.per_day() as usize
    }

    /// The slots of a load vector on the grid path; `None` if there is no such path, or the interval is no part of a day in
    /// whole slots.
    pub fn interval_slots(&self, slot: SlotLength) -> Option<u32> {
        let whole = self.grid_interval.is_multiple_of(slot.seconds()) && self.grid_interval != 0;
        (whole && 86_400_u32.is_multiple_of(self.grid_interval)).then(|| self.grid_interval / slot.seconds())
    }

    /// Whether `known` of `all` slots reach the coverage.
    pub fn covered(&self, known: usize, all: usize) -> bool {
        known * 1000 >= all * usize::from(self.coverage)
    }

    /// Checks a query's period for bills.
    ///
    /// # Errors
    ///
    /// [`Rule::Window`].
    pub fn check_bill_period(&self, period: SlotRange, slot: SlotLength) -> Result<(), Rule> {
        if period.len() >= self.bill_slots(slot) { Ok(()) } else { Err(Rule::Window) }
    }

    /// Checks the window that one meter's records span: a period with its ends missing may be shorter than the
    /// shortest bill by what the coverage allows.
    ///
    /// # Errors
    ///
    /// [`Rule::Window`].
    pub fn check_bill_window(&self, window: SlotRange, slot: SlotLength) -> Result<(), Rule> {
        if self.covered(window.len(), self.bill_slots(slot)) { Ok(()) } else { Err(Rule::Window) }
    }

    /// Checks how many tariffs a bill uses, and for how many meters.
    ///
    /// # Errors
    ///
    /// [`Rule::Functionals`], [`Rule::TariffMeters`].
    pub fn check_tariffs(&self, tariffs: usize, meters: usize) -> Result<(), Rule> {
        if tariffs == 0 || tariffs > usize::from(self.functionals) {
            Err(Rule::Functionals)
        } else if meters < usize::from(self.tariff_meters) {
            Err(Rule::TariffMeters)
        } else {
            Ok(())
        }
    }

    /// The cell rule: `columns` are the tariffs, each with one price a slot (a gap at its substitute price).
    ///
    /// # Errors
    ///
    /// [`Rule::Cell`].
    pub fn check_cells(&self, columns: &[Vec<Price>]) -> Result<(), Rule> {
        if cells(columns).iter().all(|&slots| slots >= usize::from(self.smallest_cell)) {
            Ok(())
        } else {
            Err(Rule::Cell)
        }
    }

    /// Checks a group's size.
    ///
    /// # Errors
    ///
    /// [`Rule::GroupSize`].
    pub fn check_group(&self, members: usize) -> Result<(), Rule> {
        if members >= usize::from(self.k) { Ok(()) } else { Err(Rule::GroupSize) }
    }
}

/// Which slots are priced alike, whatever the prices are: the same for two sets of tariffs exactly if they have the same
/// cells.
pub fn partition(columns: &[Vec<Price>]) -> Hash {
    let slots = columns.iter().map(Vec::len).min().unwrap_or(0);
    let mut numbers: BTreeMap<Vec<Price>, u32> = BTreeMap::new();
    let mut labels = Vec::with_capacity(4 * slots);
    for t in 0..slots {
        let fresh = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let prices = columns.iter().map(|column| column[t]).collect();
        labels.extend_from_slice(&numbers.entry(prices).or_insert(fresh).to_be_bytes());
    }
    hash("partition", &[&labels])
}

/// The sizes of the cells: how many slots share each tuple of prices.
fn cells(columns: &[Vec<Price>]) -> Vec<usize> {
    let slots = columns.iter().map(Vec::len).min().unwrap_or(0);
    let mut tuples: Vec<Vec<Price>> =
        (0..slots).map(|t| columns.iter().map(|column| column[t]).collect()).collect();
    tuples.sort_unstable();
    tuples.chunk_by(|a, b| a == b).map(<[_]>::len).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(prices: &[u32]) -> Vec<Price> {
        prices.iter().map(|&p| Price::try_from(p).unwrap()).collect()
    }

    /// A slow oracle: counts for every slot how many slots have the same prices.
    fn smallest_cell(columns: &[Vec<Price>]) -> usize {
        let slots = columns[0].len();
        (0..slots)
            .map(|t| (0..slots).filter(|&s| columns.iter().all(|c| c[s] == c[t])).count())
            .min()
            .unwrap_or(usize::MAX)
    }

    proptest! {
        /// The rule holds exactly when no slot has fewer than m like it.
        #[test]
        fn cells_agree_with_the_oracle(
            prices in prop::collection::vec((0..3_u32, 0..2_u32), 1..80), m in 1_u16..20,
        ) {
            let (a, b): (Vec<u32>, Vec<u32>) = prices.into_iter().unzip();
            let columns = [column(&a), column(&b)];
            let policy = Policy { smallest_cell: m, ..Policy::production() };
            prop_assert_eq!(policy.check_cells(&columns).is_ok(), smallest_cell(&columns) >= usize::from(m));
        }

        /// What the module says: cells of m slots bound every slot's weight in every combination by 1/(2m).
        #[test]
        fn cells_bound_dominance(
            prices in prop::collection::vec((0..4_u32, 0..3_u32), 8..120), (c, d) in (-9..9_i64, -9..9_i64),
        ) {
            let (a, b): (Vec<u32>, Vec<u32>) = prices.iter().copied().unzip();
            let m = smallest_cell(&[column(&a), column(&b)]);
            let n = i64::try_from(prices.len()).unwrap();
            let weights: Vec<i64> = prices.iter().map(|&(a, b)| c * i64::from(a) + d * i64::from(b)).collect();
            let mean_times_n: i64 = weights.iter().sum();
            let centred: Vec<i64> = weights.iter().map(|w| (w * n - mean_times_n).abs()).collect();
            let total: i64 = centred.iter().sum();
            let largest = centred.iter().max().unwrap();
            prop_assert!(largest * 2 * i64::try_from(m).unwrap() <= total || total == 0);
        }
    }

    /// Prices 2^(15k) on four slots, which would spell four readings in one sum, are refused, and so is a pair of
    /// tariffs that differ in one slot.
    #[test]
    fn refuses_crafted_tariffs() {
        let policy = Policy::production();
        let mut digits = vec![0; 672];
        digits[100] = 1;
        digits[101] = 1 << 15;
        assert_eq!(policy.check_cells(&[column(&digits)]), Err(Rule::Cell));
        let flat = vec![30_000; 672];
        let mut probe = flat.clone();
        probe[333] += 1;
        assert_eq!(policy.check_cells(&[column(&flat)]), Ok(()));
        assert_eq!(policy.check_cells(&[column(&flat), column(&probe)]), Err(Rule::Cell));
    }

    /// Prices do not matter to a partition, only which slots share them.
    #[test]
    fn partitions_are_of_slots() {
        let same = [column(&[1, 1, 9, 1]), column(&[7, 7, 0, 7])];
        assert_eq!(partition(&same), partition(&[column(&[5, 5, 6, 5])]));
        assert_ne!(partition(&same), partition(&[column(&[5, 6, 6, 5])]));
    }

    /// Few tariffs, many meters, long periods.
    #[test]
    fn limits_are_inclusive() {
        let policy = Policy::production();
        let hour = SlotLength::try_from(3600).unwrap();
        let period = |n: u32| SlotRange::new(crate::unit::Slot(10), crate::unit::Slot(10 + n)).unwrap();
        assert_eq!(policy.check_bill_period(period(672), hour), Ok(()));
        assert_eq!(policy.check_bill_period(period(671), hour), Err(Rule::Window));
        assert_eq!(policy.check_bill_window(period(639), hour), Ok(()));
        assert_eq!(policy.check_bill_window(period(638), hour), Err(Rule::Window));
        assert_eq!(policy.check_tariffs(4, 15), Ok(()));
        assert_eq!(policy.check_tariffs(5, 15), Err(Rule::Functionals));
        assert_eq!(policy.check_tariffs(0, 15), Err(Rule::Functionals));
        assert_eq!(policy.check_tariffs(1, 14), Err(Rule::TariffMeters));
        assert_eq!(policy.check_group(14), Err(Rule::GroupSize));
    }
}
