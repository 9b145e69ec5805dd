//! Receipts: an aggregator's signed word that shares are stored durably, cumulative like TCP's selective
//! acknowledgements [RFC 2018].

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::codeword::Check;
use crate::id::{MeterId, Rid};
use crate::rule::Rule;
use crate::shamir::Point;
use crate::signature::Document;
use crate::unit::Timestamp;

/// The most ranges in a receipt: the newest are kept.
pub const MAX_RANGES: usize = 16;

/// The most check values in a receipt.
pub const MAX_CHECKS: usize = 128;

/// What an aggregator says of a meter's records.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Receipt {
    /// The aggregator.
    pub point: Point,
    /// The meter.
    pub meter: MeterId,
    /// The roster the aggregator works under.
    pub roster_epoch: u32,
    /// Which sequence numbers are stored.
    pub stored: SeqRanges,
    /// Check values of records newly stored, or sent again by a meter that saw no receipt.
    pub checks: Vec<RecordCheck>,
    /// Records that were refused, and why.
    pub refused: Vec<Refused>,
    /// When.
    pub at: Timestamp,
}

impl Document for Receipt {
    const KIND: &'static str = "receipt";
}

/// The check value of one record.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct RecordCheck {
    /// The record's sequence number.
    pub seq: u64,
    /// The record.
    pub rid: Rid,
    /// c_i.
    pub check: Check,
}

/// A record that was refused.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Refused {
    /// The record's sequence number.
    pub seq: u64,
    /// Why.
    pub rule: Rule,
}

/// A set of sequence numbers as ascending, disjoint, non-adjacent inclusive ranges.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct SeqRanges(Vec<(u64, u64)>);

/// Ranges that are empty, out of order, or touch.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("sequence ranges are not ascending and apart")]
pub struct SeqRangesError;

impl TryFrom<Vec<(u64, u64)>> for SeqRanges {
    type Error = SeqRangesError;

    fn try_from(ranges: Vec<(u64, u64)>) -> Result<Self, SeqRangesError> {
        let each = ranges.iter().all(|(from, to)| from <= to);
        let apart =
            ranges.windows(2).all(|pair| pair[0].1.checked_add(1).is_some_and(|next| next < pair[1].0));
        if each && apart { Ok(Self(ranges)) } else { Err(SeqRangesError) }
    }
}

impl From<SeqRanges> for Vec<(u64, u64)> {
    fn from(ranges: SeqRanges) -> Self {
        ranges.0
    }
}

impl SeqRanges {
    /// Adds one number; `false` if it was there.
    pub fn insert(&mut self, seq: u64) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= seq);
        if after > 0 && seq <= self.0[after - 1].1 {
            return false;
        }
        let joins_left = after > 0 && self.0[after - 1].1.checked_add(1) == Some(seq);
        let joins_right = self.0.get(after).is_some_and(|(from, _)| seq.checked_add(1) == Some(*from));
        match (joins_left, joins_right) {
            (true, true) => {
                self.0[after - 1].1 = self.0[after].1;
                self.0.remove(after);
            }
            (true, false) => self.0[after - 1].1 = seq,
            (false, true) => self.0[after].0 = seq,
            (false, false) => self.0.insert(after, (seq, seq)),
        }
        true
    }

    /// Whether a number is there.
    pub fn contains(&self, seq: u64) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= seq);
        after > 0 && seq <= self.0[after - 1].1
    }

    /// The ranges, ascending.
    pub fn as_slice(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// At most [`MAX_RANGES`] ranges: those that hold one of `seqs`, and the newest.
    #[must_use]
    pub fn about(&self, seqs: &BTreeSet<u64>) -> Self {
        let holds = |(from, to): &&(u64, u64)| seqs.range(from..=to).next().is_some();
        let mut ranges: BTreeSet<(u64, u64)> =
            self.0.iter().filter(holds).take(MAX_RANGES).copied().collect();
        for range in self.0.iter().rev() {
            if ranges.len() == MAX_RANGES {
                break;
            }
            ranges.insert(*range);
        }
        Self(ranges.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Ranges are the set of what was inserted, and stay well-formed.
        #[test]
        fn ranges_are_a_set(seqs in prop::collection::vec(prop_oneof![0..40_u64, Just(u64::MAX), Just(u64::MAX - 1)], 0..60)) {
            let (mut ranges, mut set) = (SeqRanges::default(), BTreeSet::new());
            for seq in seqs {
                prop_assert_eq!(ranges.insert(seq), set.insert(seq));
                prop_assert_eq!(SeqRanges::try_from(ranges.0.clone()), Ok(ranges.clone()));
            }
            for seq in (0..45).chain([u64::MAX - 2, u64::MAX - 1, u64::MAX]) {
                prop_assert_eq!(ranges.contains(seq), set.contains(&seq));
            }
        }
    }

    /// Of many ranges a receipt names those that are asked about, and the newest.
    #[test]
    fn receipts_name_what_they_are_about() {
        let all = SeqRanges::try_from((0..40).map(|i| (10 * i, 10 * i + 3)).collect::<Vec<_>>()).unwrap();
        let about = all.about(&BTreeSet::from([12, 57, 52]));
        assert_eq!(about.as_slice().len(), MAX_RANGES);
        assert!(about.contains(12) && about.contains(52) && !about.contains(57) && about.contains(393));
        assert!(SeqRanges::try_from(about.0).is_ok());
        assert_eq!(all.about(&BTreeSet::new()).0, all.0[40 - MAX_RANGES..]);
    }

    /// Malformed ranges are refused.
    #[test]
    fn refuses_touching_ranges() {
        for bad in [vec![(1, 0)], vec![(1, 2), (3, 4)], vec![(5, 6), (1, 2)], vec![(0, u64::MAX), (3, 4)]] {
            assert_eq!(SeqRanges::try_from(bad), Err(SeqRangesError));
        }
    }
}
