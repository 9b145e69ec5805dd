//! The codeword check: names a meter that deals badly, at intake, without a second message from it.
//!
//! With r_j = H(rid, j) aggregator i publishes c_i = Σ r_j·share_i\[j\] + share_i\[ρ\] in its receipt. The r_j are
//! fixed only once the boxes are (rid covers their hashes), so a dealer can't aim at them; honest c_i lie on one
//! polynomial of degree t − 1; and ρ, uniform and used once, makes that polynomial independent of the readings.
//! A vector that is off any polynomial passes with probability 1/p.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::decode::{DecodeError, Decoded, decode};
use crate::field::Fe;
use crate::id::Rid;
use crate::shamir::Point;

/// An aggregator's check value c_i for a record: safe to publish.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Check(Fe);

impl Check {
    /// c_i of the shares `[x_0 … x_{B−1}, R_close, ρ]` of record `rid`; 0 for no shares.
    pub fn of(rid: &Rid, shares: &[Fe]) -> Self {
        let Some((mask, values)) = shares.split_last() else { return Self(Fe::ZERO) };
        let sum =
            values.iter().zip(0_u32..).fold(Fe::ZERO, |sum, (&share, j)| sum + challenge(rid, j) * share);
        Self(sum + *mask)
    }

    /// Its residue, in `0..p`.
    pub fn to_canonical(self) -> u64 {
        self.0.to_canonical()
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.to_canonical())
    }
}

impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        Fe::from_canonical(value).map(Self).ok_or_else(|| de::Error::custom("a check value is not below p"))
    }
}

/// r_j = the first 64 bits of SHA-256(`"wv/1 check" ‖ rid ‖ j`), reduced.
fn challenge(rid: &Rid, j: u32) -> Fe {
    let digest = Sha256::new()
        .chain_update(crate::PROTOCOL)
        .chain_update(" check")
        .chain_update(rid.as_bytes())
        .chain_update(j.to_be_bytes())
        .finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    Fe::from_u64(u64::from_le_bytes(first))
}

/// What the check values of one record say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Fewer than t + 1 values, which lie on some polynomial whatever was dealt.
    TooFew,
    /// All lie on one polynomial of degree t − 1.
    Consistent,
    /// These do not lie on the polynomial of the others: the meter dealt to them badly, or they say so.
    Odd(Vec<Point>),
    /// No polynomial fits: the meter dealt badly.
    Inconsistent,
}

/// Judges the check values of one record, at threshold `t`.
pub fn judge(checks: &[(Point, Check)], t: usize) -> Verdict {
    if checks.len() <= t {
        return Verdict::TooFew;
    }
    let word: Vec<(Point, Fe)> = checks.iter().map(|(point, check)| (*point, check.0)).collect();
    match decode(&word, t) {
        Ok(Decoded { faulty, .. }) if faulty.is_empty() => Verdict::Consistent,
        Ok(Decoded { faulty, .. }) => Verdict::Odd(faulty),
        Err(DecodeError::TooFew { .. }) => Verdict::TooFew,
        Err(DecodeError::Ambiguous { .. } | DecodeError::Length { .. }) => Verdict::Inconsistent,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::shamir::split;

    fn dealt(rng: &mut ChaCha20Rng) -> (Rid, Vec<zeroize::Zeroizing<Vec<Fe>>>) {
        let secrets: Vec<Fe> = [831, 835, 0, 12, 4_711, 99].map(Fe::from_u64).to_vec();
        (Rid::from([7; 32]), split(&secrets, 2, &Point::first(4), rng))
    }

    fn checks(rid: &Rid, shares: &[zeroize::Zeroizing<Vec<Fe>>]) -> Vec<(Point, Check)> {
        Point::first(4).into_iter().zip(shares.iter().map(|s| Check::of(rid, s))).collect()
    }

    /// Honest shares are consistent; one bad element to one aggregator is named in 200 of 200 trials; two bad
    /// vectors are noticed.
    #[test]
    fn names_a_bad_dealer() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        for trial in 0_usize..200 {
            let (rid, mut shares) = dealt(&mut rng);
            assert_eq!(judge(&checks(&rid, &shares), 2), Verdict::Consistent);
            shares[trial % 4][trial % 6] += Fe::ONE;
            assert_eq!(judge(&checks(&rid, &shares), 2), Verdict::Odd(vec![Point::first(4)[trial % 4]]));
            shares[(trial + 1) % 4][trial % 5] += Fe::random(&mut rng) * Fe::from_u64(2) + Fe::ONE;
            assert_eq!(judge(&checks(&rid, &shares), 2), Verdict::Inconsistent);
            assert_eq!(judge(&checks(&rid, &shares)[..2], 2), Verdict::TooFew);
        }
    }

    /// The opened check is uniform whatever the readings are: chi-square over 16 cells at the 1e-6 point.
    #[test]
    fn reveals_nothing() {
        let rid = Rid::from([9; 32]);
        let mut counts = [0_u32; 16];
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        for _ in 0..16_000 {
            let opened = Check::of(&rid, &[Fe::from_u64(831), Fe::from_u64(4_711), Fe::random(&mut rng)]);
            counts[usize::try_from(opened.to_canonical() >> 60).unwrap()] += 1;
        }
        let chi: f64 = counts.iter().map(|&c| (f64::from(c) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 58.0, "chi-square {chi} with 15 degrees of freedom");
    }
}
