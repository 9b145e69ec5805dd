//! Leaving a record out: only with the proof that its meter dealt badly, or that an aggregator says so falsely.

use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::codeword::{Check, Verdict, judge};
use crate::id::Rid;
use crate::receipt::Receipt;
use crate::roster::Roster;
use crate::rule::Rule;
use crate::shamir::Point;
use crate::signature::Unverified;

/// A record to be left out of a release, and why.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Exclusion {
    /// The record.
    pub rid: Rid,
    /// Signed receipts of more than t aggregators whose check values do not lie on one polynomial.
    pub receipts: Vec<ByteBuf>,
}

impl Exclusion {
    /// Checks the proof.
    ///
    /// # Errors
    ///
    /// [`Rule::Exclusion`].
    pub fn verify(&self, roster: &Roster) -> Result<Rid, Rule> {
        if self.receipts.len() > roster.n() {
            return Err(Rule::Exclusion);
        }
        let mut checks: Vec<(Point, Check)> = Vec::new();
        for bytes in &self.receipts {
            let receipt = Unverified::<Receipt>::parse(bytes).map_err(|_| Rule::Exclusion)?;
            let point = receipt.claim().point;
            let key = roster.aggregator(point).ok_or(Rule::Exclusion)?.key;
            let receipt = receipt.verify(&key, &roster.context()).map_err(|_| Rule::Exclusion)?;
            let check = receipt.checks.iter().find(|c| c.rid == self.rid).ok_or(Rule::Exclusion)?.check;
            if checks.iter().any(|(other, _)| *other == point) {
                return Err(Rule::Exclusion);
            }
            checks.push((point, check));
        }
        match judge(&checks, roster.t()) {
            Verdict::Odd(_) | Verdict::Inconsistent => Ok(self.rid),
            Verdict::TooFew | Verdict::Consistent => Err(Rule::Exclusion),
        }
    }
}
