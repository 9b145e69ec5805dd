//! Ciphertexts, expanded and seeded.

use crate::params::Params;
use crate::poly::{Basis, Eval, Poly};
use crate::sample;
use crate::scale::Scale;
use crate::seed::Seed;

/// A ciphertext `(c_0, c_1)`, or `(c_0, c_1, c_2)` between a multiplication and its
/// relinearisation: `c_0 + c_1·s + c_2·s²` is the message times [`Self::scale`], plus noise, modulo
/// Q at [`Self::level`].
///
/// Anyone can change one undetected: authenticate what carries it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ciphertext {
    pub(crate) params: Params,
    pub(crate) parts: Vec<Poly<Eval>>,
    pub(crate) level: usize,
    pub(crate) scale: Scale,
}

impl Ciphertext {
    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// How many rescalings are left.
    pub fn level(&self) -> usize {
        self.level
    }

    /// The scale, exactly.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// The last part, and those below it.
    pub(crate) fn last_and_lower_parts(&self) -> (&Poly<Eval>, &[Poly<Eval>]) {
        self.parts.split_last().expect("a ciphertext has two parts or three")
    }

    /// 2, or 3 before relinearisation.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// A ciphertext of zero without noise: the neutral element of sums, and no secret.
    ///
    /// # Panics
    ///
    /// If `level` is above [`Params::max_level`].
    pub fn zero(params: &Params, level: usize, scale: &Scale) -> Self {
        let part = Poly::zero(params, Basis::q(params, level));
        Self { params: params.clone(), parts: vec![part.clone(), part], level, scale: scale.clone() }
    }
}

/// A fresh ciphertext whose second part is a seed: half the bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SeededCiphertext {
    pub(crate) params: Params,
    pub(crate) seed: Seed,
    pub(crate) b: Poly<Eval>,
    pub(crate) level: usize,
    pub(crate) scale: Scale,
}

impl SeededCiphertext {
    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// How many rescalings are left.
    pub fn level(&self) -> usize {
        self.level
    }

    /// The scale, exactly.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// The seed of the second part.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Expands the seed.
    pub fn expand(self) -> Ciphertext {
        let a = sample::uniform(&self.params, self.b.basis(), &self.seed, 0);
        Ciphertext { params: self.params, parts: vec![self.b, a], level: self.level, scale: self.scale }
    }

    /// Attaches a common part that was expanded before, instead of expanding it again.
    ///
    /// # Errors
    ///
    /// [`crate::Mismatch`] of parameters, of the seed, or of the level.
    pub fn expand_with(self, common: &CommonPart) -> Result<Ciphertext, crate::Mismatch> {
        crate::Mismatch::params(&self.params, &common.params)?;
        if self.seed != common.seed {
            let (left, right) = (self.seed, common.seed);
            return Err(crate::Mismatch::CommonPart { left, right });
        }
        if self.level != common.level {
            let (left, right) = (self.level, common.level);
            return Err(crate::Mismatch::Level { left, right });
        }
        Ok(Ciphertext {
            params: self.params,
            parts: vec![self.b, common.a.clone()],
            level: self.level,
            scale: self.scale,
        })
    }
}

/// The public `a` that many ciphertexts under different keys share, expanded from its seed.
///
/// Because nobody chooses it, a ciphertext under it can pollute a sum and never reads a key; because
/// all share it, the sum of the ciphertexts is one ciphertext under the sum of the keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommonPart {
    pub(crate) params: Params,
    pub(crate) seed: Seed,
    pub(crate) level: usize,
    pub(crate) a: Poly<Eval>,
}

impl CommonPart {
    /// Expands a seed for ciphertexts at `level`.
    ///
    /// # Panics
    ///
    /// If `level` is above [`Params::max_level`].
    pub fn new(params: &Params, seed: Seed, level: usize) -> Self {
        let a = sample::uniform(params, Basis::q(params, level), &seed, 0);
        Self { params: params.clone(), seed, level, a }
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The seed.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// The level of the ciphertexts that it is part of.
    pub fn level(&self) -> usize {
        self.level
    }
}
