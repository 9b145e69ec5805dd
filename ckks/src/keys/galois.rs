//! Galois keys: rotations of the slots and conjugation.

use super::{SecretKey, SwitchingKey};
use crate::error::Mismatch;
use crate::kernel;
use crate::params::Params;
use crate::poly::{Eval, Poly};
use rand_core::CryptoRng;
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroize;

/// What an automorphism `X → X^g` does to the slots.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Automorphism {
    /// Slot `i` of the result is slot `i + k` of the operand, around the ring: `g = 5^k`.
    Rotation(i32),
    /// Every slot becomes its complex conjugate: `g = 2N - 1`.
    Conjugation,
}

impl Automorphism {
    /// The same rotation with a step in `0..N/2`.
    pub(crate) fn reduced(self, params: &Params) -> Self {
        match self {
            Self::Rotation(k) => Self::Rotation(k.rem_euclid(params.slots() as i32)),
            Self::Conjugation => self,
        }
    }

    /// `g`, odd, below `2N`.
    pub(crate) fn element(self, params: &Params) -> usize {
        let order = 2 * params.n();
        match self.reduced(params) {
            Self::Rotation(k) => (0..k).fold(1, |g, _| g * 5 % order),
            Self::Conjugation => order - 1,
        }
    }

    /// `g^-1 mod 2N`.
    fn inverse_element(self, params: &Params) -> usize {
        match self {
            Self::Rotation(k) => Self::Rotation(-k.rem_euclid(params.slots() as i32)).element(params),
            Self::Conjugation => self.element(params),
        }
    }
}

impl fmt::Display for Automorphism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rotation(k) => write!(f, "a rotation by {k}"),
            Self::Conjugation => f.write_str("conjugation"),
        }
    }
}

/// Where the values of `p(X^g)` come from: position `i` holds the value at `ψ^(2·bitrev(i)+1)`, and
/// so takes the one at `ψ^(g·(2·bitrev(i)+1))`.
///
/// The low bits of `bitrev` follow from its low bits, so aligned blocks of every size map onto such
/// blocks, which [`kernel::permute`] relies on.
fn permutation(params: &Params, g: usize) -> Vec<u32> {
    let shift = usize::BITS - params.log_n();
    let reverse = |i: usize| i.reverse_bits() >> shift;
    let order = 2 * params.n();
    let source = |i| reverse(((2 * reverse(i) + 1) * g % order - 1) / 2) as u32;
    (0..params.n()).map(source).collect()
}

impl Poly<Eval> {
    /// `p(X^g)` by the permutation of `g`.
    pub(crate) fn permute(&self, params: &Params, index: &[u32]) -> Self {
        Self::from_rows(params, self.basis(), |i, row| {
            kernel::permute(row, self.row(i), index);
        })
    }
}

/// The key of one automorphism.
///
/// It switches from `s` to `s(X^(1/g))`, so that the automorphism comes last, once, on two
/// polynomials: a hoisted decomposition is never permuted (eprint 2018/244 and 2020/1203).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GaloisKey {
    automorphism: Automorphism,
    pub(crate) key: SwitchingKey,
    pub(crate) permutation: Vec<u32>,
}

impl GaloisKey {
    /// Makes the key of a secret. The randomness is asked for 64 bytes.
    ///
    /// # Errors
    ///
    /// [`Mismatch::NoSpecialPrime`].
    pub fn generate(
        secret: &SecretKey,
        automorphism: Automorphism,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Mismatch> {
        let params = secret.params();
        let mut target = Self::target(secret, automorphism);
        let key = SwitchingKey::generate(params, &secret.s, &target, rng);
        target.zeroize();
        Ok(Self::from_key(automorphism, key?))
    }

    /// `s(X^(1/g))`.
    pub(crate) fn target(secret: &SecretKey, automorphism: Automorphism) -> Poly<Eval> {
        let params = secret.params();
        let back = permutation(params, automorphism.inverse_element(params));
        secret.s.permute(params, &back)
    }

    pub(crate) fn from_key(automorphism: Automorphism, key: SwitchingKey) -> Self {
        let params = key.params();
        Self {
            automorphism: automorphism.reduced(params),
            permutation: permutation(params, automorphism.element(params)),
            key,
        }
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        self.key.params()
    }

    /// What the key is for, with a step in `0..N/2`.
    pub fn automorphism(&self) -> Automorphism {
        self.automorphism
    }
}

/// A set of Galois keys.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GaloisKeys(BTreeMap<Automorphism, GaloisKey>);

impl GaloisKeys {
    /// Makes the keys for some automorphisms.
    ///
    /// # Errors
    ///
    /// [`Mismatch::NoSpecialPrime`].
    pub fn generate(
        secret: &SecretKey,
        automorphisms: impl IntoIterator<Item = Automorphism>,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Mismatch> {
        let keys = automorphisms.into_iter().map(|a| GaloisKey::generate(secret, a, rng));
        keys.collect()
    }

    /// The rotations by powers of two below `slots`, which sum that many slots.
    pub fn sum_steps(slots: usize) -> impl Iterator<Item = Automorphism> {
        (0..slots.max(1).ilog2()).map(|k| Automorphism::Rotation(1 << k))
    }

    /// The key for an automorphism.
    ///
    /// # Errors
    ///
    /// [`Mismatch::NoGaloisKey`].
    pub fn key(&self, params: &Params, automorphism: Automorphism) -> Result<&GaloisKey, Mismatch> {
        let reduced = automorphism.reduced(params);
        self.0.get(&reduced).ok_or(Mismatch::NoGaloisKey(reduced))
    }

    /// The keys, in order.
    pub fn iter(&self) -> impl Iterator<Item = &GaloisKey> {
        self.0.values()
    }
}

impl FromIterator<GaloisKey> for GaloisKeys {
    fn from_iter<I: IntoIterator<Item = GaloisKey>>(keys: I) -> Self {
        Self(keys.into_iter().map(|key| (key.automorphism, key)).collect())
    }
}

impl Extend<GaloisKey> for GaloisKeys {
    fn extend<I: IntoIterator<Item = GaloisKey>>(&mut self, keys: I) {
        self.0.extend(keys.into_iter().map(|key| (key.automorphism, key)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::tests::insecure_small;
    use crate::poly::{Basis, Coeff};

    /// The permutation is the substitution `X → X^g` on coefficients.
    #[test]
    fn permutation_is_the_substitution() {
        let params = insecure_small();
        let n = params.n();
        let basis = Basis::full(&params);
        let p = Poly::<Coeff>::from_rows(&params, basis, |_, row| {
            for (i, x) in row.iter_mut().enumerate() {
                *x = 3 * i as u32 + 1;
            }
        });
        for automorphism in [Automorphism::Rotation(1), Automorphism::Rotation(-5), Automorphism::Conjugation]
        {
            let g = automorphism.element(&params);
            let index = permutation(&params, g);
            for block in index.chunks(8) {
                assert!(block.iter().all(|i| i / 8 == block[0] / 8));
            }
            let permuted = p.clone().into_eval(&params).permute(&params, &index).into_coeff(&params);
            for (prime, row) in permuted.rows() {
                for (i, &x) in p.row(prime).iter().enumerate() {
                    let k = i * g % (2 * n);
                    let wanted = if k < n { x } else { params.prime(prime) - x };
                    assert_eq!(row[k % n], wanted);
                }
            }
        }
    }
}
