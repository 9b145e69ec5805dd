//! Sharing a key among the members of an active set.

use crate::codec::{Body, Kind, Reader, WireError, Writer};
use crate::error::Mismatch;
use crate::keys::SecretKey;
use crate::params::Params;
use crate::poly::{Basis, Eval, Poly};
use crate::sample;
use crate::seed::SecretSeed;
use rand_core::CryptoRng;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Why an active set was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ThresholdError {
    /// Members have to be distinct, in ascending order, and at least one.
    #[error("{0:?} is not a strictly ascending list of parties")]
    Members(Vec<u8>),
    /// There is no set of so many of so few.
    #[error("{t} of {n} parties cannot be chosen")]
    Sizes {
        /// Parties.
        n: u8,
        /// Members of a set.
        t: u8,
    },
    /// The partial decryptions, or shares of a key, are not one of each member.
    #[error("{found} shares were given where {wanted} are wanted, one of each member")]
    Partials {
        /// How many were given.
        found: usize,
        /// How many there are members.
        wanted: usize,
    },
    /// A party revealed something else than it committed to.
    #[error("party {0} revealed something else than it committed to")]
    Commitment(u8),
    /// Shares of different keys, or rounds, were mixed.
    #[error("the shares are not all of the kind that is wanted")]
    Kind,
    /// The operands do not belong together.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The result does not decode.
    #[error(transparent)]
    Decode(#[from] crate::DecodeError),
}

/// The parties that open a ciphertext together, in ascending order.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ActiveSet(Vec<u8>);

impl ActiveSet {
    /// Takes the members' numbers.
    ///
    /// # Errors
    ///
    /// [`ThresholdError::Members`] unless they strictly ascend.
    pub fn new(members: &[u8]) -> Result<Self, ThresholdError> {
        if members.is_empty() || !members.is_sorted_by(|a, b| a < b) {
            return Err(ThresholdError::Members(members.to_vec()));
        }
        Ok(Self(members.to_vec()))
    }

    /// Every set of `t` of the parties `1..=n`, in lexicographic order.
    ///
    /// # Errors
    ///
    /// [`ThresholdError::Sizes`] unless `1 ≤ t ≤ n`.
    pub fn all(n: u8, t: u8) -> Result<Vec<Self>, ThresholdError> {
        if t == 0 || t > n {
            return Err(ThresholdError::Sizes { n, t });
        }
        let mut members: Vec<u8> = (1..=t).collect();
        let mut out = vec![Self(members.clone())];
        // The last member that can still go up does; those after it follow closely.
        while let Some(i) = (0..members.len()).rev().find(|&i| members[i] < n - (t - 1 - i as u8)) {
            members[i] += 1;
            for k in i + 1..members.len() {
                members[k] = members[k - 1] + 1;
            }
            out.push(Self(members.clone()));
        }
        Ok(out)
    }

    /// The members, ascending.
    pub fn members(&self) -> &[u8] {
        &self.0
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// The place of a party among the members, which is that of its share.
    pub fn position(&self, party: u8) -> Option<usize> {
        self.0.iter().position(|m| *m == party)
    }
}

/// A share as it is dealt: 32 bytes for all members but the last, a polynomial for the last.
///
/// Whoever reads the shares of a whole set has the key: seal each to its member.
#[derive(Clone)]
pub struct DealtShare {
    params: Params,
    form: Form,
}

#[derive(Clone)]
enum Form {
    Seed(SecretSeed),
    Full(Poly<Eval>),
}

impl SecretKey {
    /// Splits the key for one active set: a share for each member, in the set's order.
    ///
    /// Any `t - 1` of them are uniform. Deal every set of [`ActiveSet::all`] with fresh randomness.
    pub fn share(&self, set: &ActiveSet, rng: &mut impl CryptoRng) -> Vec<DealtShare> {
        let params = self.params();
        let mut rest = self.s.clone();
        rest.truncate(params, params.q_len());
        let mut shares = Vec::new();
        for _ in 1..set.size() {
            let share = DealtShare { params: params.clone(), form: Form::Seed(SecretSeed::generate(rng)) };
            rest.sub_assign(params, &share.expand().s);
            shares.push(share);
        }
        shares.push(DealtShare { params: params.clone(), form: Form::Full(rest) });
        shares
    }
}

impl DealtShare {
    /// The share in the form that decrypts.
    pub fn expand(&self) -> SecretShare {
        let params = self.params.clone();
        let s = match &self.form {
            Form::Seed(seed) => {
                let basis = Basis::q(&params, params.max_level());
                sample::secret_uniform(&params, basis, seed)
            }
            Form::Full(s) => s.clone(),
        };
        SecretShare { params, s }
    }
}

impl Drop for DealtShare {
    fn drop(&mut self) {
        if let Form::Full(s) = &mut self.form {
            s.zeroize();
        }
    }
}

impl fmt::Debug for DealtShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DealtShare").finish_non_exhaustive()
    }
}

impl Body for DealtShare {
    const KIND: Kind = Kind::DealtShare;

    fn params(&self) -> &Params {
        &self.params
    }

    fn write(&self, w: &mut Writer<'_>) {
        match &self.form {
            Form::Seed(seed) => {
                w.count(1);
                w.bytes(seed.bytes());
            }
            Form::Full(s) => {
                w.count(0);
                w.poly(s);
            }
        }
    }

    fn read(params: &Params, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let form = match r.count("whether there is a seed", 1)? {
            1 => Form::Seed(SecretSeed::new(r.array()?)),
            _ => Form::Full(r.poly(Basis::q(params, params.max_level()))?),
        };
        let params = params.clone();
        Ok(Self { params, form })
    }
}

/// A member's share of a key, or of a sum of keys. Wiped on drop, never printed.
#[derive(Clone)]
pub struct SecretShare {
    pub(crate) params: Params,
    /// Over Q.
    pub(crate) s: Poly<Eval>,
}

impl SecretShare {
    /// The share of the key zero: where a sum of shares starts.
    pub fn zero(params: &Params) -> Self {
        let s = Poly::zero(params, Basis::q(params, params.max_level()));
        let params = params.clone();
        Self { params, s }
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// `self += other`: a share of the sum of the keys.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters.
    pub fn add_assign(&mut self, other: &Self) -> Result<(), Mismatch> {
        Mismatch::params(&self.params, &other.params)?;
        self.s.add_assign(&self.params, &other.s);
        Ok(())
    }
}

impl ConstantTimeEq for SecretShare {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.s.data().ct_eq(other.s.data())
    }
}

impl Drop for SecretShare {
    fn drop(&mut self) {
        self.s.zeroize();
    }
}

impl fmt::Debug for SecretShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretShare").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sets_are_the_combinations() {
        let sets = ActiveSet::all(4, 2).unwrap();
        let wanted = [[1, 2], [1, 3], [1, 4], [2, 3], [2, 4], [3, 4]];
        assert_eq!(sets.iter().map(ActiveSet::members).collect::<Vec<_>>(), wanted);
        assert_eq!(ActiveSet::all(7, 3).unwrap().len(), 35);
        assert_eq!(ActiveSet::all(2, 2).unwrap().len(), 1);
        assert_eq!(ActiveSet::all(255, 1).unwrap().len(), 255);
        assert!(ActiveSet::all(3, 0).is_err() && ActiveSet::all(3, 4).is_err());
        assert!(ActiveSet::new(&[2, 1]).is_err() && ActiveSet::new(&[]).is_err());
    }
}
