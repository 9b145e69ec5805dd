//! Leaving a record out: only with the proof that its meter dealt badly.
//!
//! The proof is receipts with check values that no f aggregators explain (see [`crate::codeword`]): of the record alone, or of it
//! and other records of its meter. So f liars get no record of an honest meter left out, neither with the utility's help nor
//! while others are away. The receipts may be under any rosters of the chain: aggregators, their keys, t and so f are the same
//! in all of them, and a meter that has heard of a roster late has receipts under two for one record.

use std::collections::BTreeMap;

use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::codeword::{Check, Word, explained, judge};
use crate::id::{MeterId, Rid};
use crate::receipt::{MAX_CHECKS, Receipt};
use crate::roster::Roster;
use crate::roster::chain::Chain;
use crate::rule::Rule;
use crate::shamir::Point;

/// The most records that are looked at in one proof: verifying costs an interpolation for each, and for each set of f
/// aggregators.
const MAX_WORDS: usize = 32;

/// A record to be left out of a release, and why.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Exclusion {
    /// The record.
    pub rid: Rid,
    /// Signed receipts of its meter whose check values prove that it dealt badly.
    pub receipts: Vec<ByteBuf>,
}

impl Exclusion {
    /// The most receipts in one proof: one aggregator's for one more record than there may be liars, of all aggregators. More
    /// are not needed where all have answered: each record of a smallest proof is odd at an aggregator where no other is.
    pub fn most_receipts(roster: &Roster) -> usize {
        roster.n() * (roster.liars() + 1)
    }

    /// Checks the proof.
    ///
    /// # Errors
    ///
    /// [`Rule::Exclusion`].
    pub fn verify(&self, rosters: &Chain) -> Result<Rid, Rule> {
        let roster = rosters.current();
        let (t, liars) = (roster.t(), roster.liars());
        let mut words = self.words(rosters)?;
        let word = words.remove(&self.rid).ok_or(Rule::Exclusion)?;
        if !judge(&word, t, liars).is_off() {
            return Err(Rule::Exclusion);
        }
        let others = words.into_values().filter(|word| judge(word, t, liars).is_off());
        let words: Vec<Word> = [word].into_iter().chain(others).take(MAX_WORDS).collect();
        if explained(&words, &roster.points(), t, liars) { Err(Rule::Exclusion) } else { Ok(self.rid) }
    }

    /// What the receipts say of each record; they must be of one meter.
    fn words(&self, rosters: &Chain) -> Result<BTreeMap<Rid, Word>, Rule> {
        if self.receipts.len() > Self::most_receipts(rosters.current()) {
            return Err(Rule::Exclusion);
        }
        let mut meter: Option<MeterId> = None;
        let mut said: BTreeMap<Rid, BTreeMap<Point, Option<Check>>> = BTreeMap::new();
        for bytes in &self.receipts {
            let receipt = rosters.open_peer(bytes, |receipt: &Receipt| receipt.point);
            let receipt = receipt.map_err(|_| Rule::Exclusion)?;
            if *meter.get_or_insert(receipt.meter) != receipt.meter || receipt.checks.len() > MAX_CHECKS {
                return Err(Rule::Exclusion);
            }
            for check in &receipt.checks {
                let value =
                    said.entry(check.rid).or_default().entry(receipt.point).or_insert(Some(check.check));
                // Whoever says two things of a record lies, and counts as one that says nothing.
                *value = value.filter(|value| *value == check.check);
            }
        }
        let word = |values: BTreeMap<Point, Option<Check>>| {
            values.into_iter().filter_map(|(point, check)| Some((point, check?))).collect()
        };
        Ok(said.into_iter().map(|(rid, values)| (rid, word(values))).collect())
    }
}
