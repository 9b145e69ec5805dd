//! Plaintext vectors and matrices times encrypted vectors.

use crate::ciphertext::Ciphertext;
use crate::error::Mismatch;
use crate::keys::{Automorphism, GaloisKeys};
use crate::params::Params;
use crate::plaintext::{Plaintext, PreparedPlaintext};
use std::collections::BTreeMap;

/// A square matrix prepared to multiply encrypted vectors, by its diagonals (Halevi and Shoup) with
/// baby and giant steps: about `2·√d` rotations instead of `d`.
///
/// For a matrix of `d` rows, `d` a power of two up to the slots, a vector is encoded with its `d`
/// values repeated through all slots ([`Self::repeat`]), and so is the product.
#[derive(Clone, Debug)]
pub struct PlainMatrix {
    params: Params,
    baby: usize,
    level: usize,
    /// For each giant step, the diagonals of its baby steps, rotated back by the giant step.
    giants: BTreeMap<usize, BTreeMap<usize, PreparedPlaintext>>,
}

impl PlainMatrix {
    /// Prepares a matrix, given by its rows, for ciphertexts at `level`.
    ///
    /// It is encoded at [`Params::level_scale`], so that a product, which includes its rescale, has
    /// the scale of the vector.
    ///
    /// # Errors
    ///
    /// [`Mismatch::Length`] unless it is square with a power of two of rows up to the slots;
    /// [`Mismatch::NoLevel`] for level 0, from which nothing can be rescaled.
    pub fn new(params: &Params, rows: &[Vec<f64>], level: usize) -> Result<Self, Mismatch> {
        Mismatch::level(params, level)?;
        if level == 0 {
            return Err(Mismatch::NoLevel { found: 0, wanted: 1 });
        }
        let d = rows.len();
        let odd_row = rows.iter().map(Vec::len).find(|&len| len != d);
        if !d.is_power_of_two() || d > params.slots() || odd_row.is_some() {
            let (found, wanted) = (odd_row.unwrap_or(d), d.next_power_of_two().min(params.slots()));
            return Err(Mismatch::Length { found, wanted });
        }
        let baby = 1 << d.ilog2().div_ceil(2);
        let mut giants: BTreeMap<usize, BTreeMap<usize, PreparedPlaintext>> = BTreeMap::new();
        for k in 0..d {
            let (giant, step) = (k / baby * baby, k % baby);
            // Diagonal k has M[i][i+k] at i; rotated back by the giant step it stands at i + giant.
            let value = |slot: usize| {
                let i = (slot + d - giant) % d;
                rows[i][(i + k) % d]
            };
            if (0..d).all(|slot| value(slot) == 0.0) {
                continue;
            }
            let values: Vec<f64> = (0..params.slots()).map(value).collect();
            let diagonal = Plaintext::from_slots(params, &values, &params.level_scale(level))?;
            giants.entry(giant).or_default().insert(step, diagonal.prepare(level));
        }
        Ok(Self { params: params.clone(), baby, level, giants })
    }

    /// A vector of `d` values repeated through all slots.
    pub fn repeat(params: &Params, values: &[f64]) -> Vec<f64> {
        values.iter().copied().cycle().take(params.slots()).collect()
    }

    /// The rotations that [`Self::apply`] needs keys for.
    pub fn steps(&self) -> Vec<Automorphism> {
        let mut steps: Vec<usize> = self.giants.values().flat_map(|g| g.keys().copied()).collect();
        steps.extend(self.giants.keys());
        steps.sort_unstable();
        steps.dedup();
        steps.retain(|s| *s != 0);
        steps.into_iter().map(|s| Automorphism::Rotation(s as i32)).collect()
    }

    /// The product with a vector at the matrix's level, one level below.
    ///
    /// # Errors
    ///
    /// [`Mismatch`]: another level, or a rotation without a key.
    pub fn apply(&self, vector: &Ciphertext, keys: &GaloisKeys) -> Result<Ciphertext, Mismatch> {
        Mismatch::params(&self.params, &vector.params)?;
        if vector.level != self.level {
            let (left, right) = (self.level, vector.level);
            return Err(Mismatch::Level { left, right });
        }
        // Σ_g rot_g(Σ_i rot_-g(diagonal_(g+i)) ⊙ rot_i(v))
        let needed = |i: &i32| self.giants.values().any(|g| g.contains_key(&(*i as usize)));
        let steps: Vec<i32> = (0..self.baby as i32).filter(needed).collect();
        let rotated: BTreeMap<usize, Ciphertext> =
            steps.iter().map(|&s| s as usize).zip(vector.rotate_many(&steps, keys)?).collect();
        let scale = vector.scale.times(&self.params.level_scale(self.level));
        let mut out = Ciphertext::zero(&self.params, self.level, &scale);
        for (&giant, diagonals) in &self.giants {
            let mut sum = Ciphertext::zero(&self.params, self.level, &scale);
            for (step, diagonal) in diagonals {
                sum.mul_plain_add(&rotated[step], diagonal);
            }
            out.add_assign(&sum.rotate(giant as i32, keys)?)?;
        }
        out.rescale()?;
        Ok(out)
    }
}

impl Ciphertext {
    /// `self += a·b` for operands that are known to match.
    fn mul_plain_add(&mut self, a: &Self, b: &PreparedPlaintext) {
        for (out, part) in self.parts.iter_mut().zip(&a.parts) {
            out.mul_add(&self.params, part, &b.poly);
        }
    }

    /// The dot product of the first slots with a plaintext vector, in slot 0, one level below and at
    /// the same scale.
    ///
    /// The other slots hold the sums that begin there. Needs the keys of
    /// [`GaloisKeys::sum_steps`] for the next power of two.
    ///
    /// # Errors
    ///
    /// As [`Ciphertext::rotate`] and [`Ciphertext::rescale`]; [`Mismatch::Encode`] for weights that
    /// do not encode.
    pub fn dot(&self, weights: &[f64], keys: &GaloisKeys) -> Result<Self, Mismatch> {
        if self.level == 0 {
            return Err(Mismatch::NoLevel { found: 0, wanted: 1 });
        }
        let factor = Plaintext::from_slots(&self.params, weights, &self.params.level_scale(self.level))?;
        let mut out = self.clone();
        out.mul_plain(&factor.prepare(self.level))?;
        out.rescale()?;
        out.inner_sum(weights.len().max(1).next_power_of_two(), keys)
    }
}
