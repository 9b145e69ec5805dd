//! Rotations, conjugation, and sums over slots.

use crate::ciphertext::Ciphertext;
use crate::error::Mismatch;
use crate::keys::{Automorphism, GaloisKey, GaloisKeys};
use crate::poly::{Eval, Poly};

impl Ciphertext {
    /// Slot `i` of the result is slot `i + steps` of `self`, around the ring; negative steps go the
    /// other way.
    ///
    /// # Errors
    ///
    /// [`Mismatch`]: no key for the step, other parameters, or three parts.
    pub fn rotate(&self, steps: i32, keys: &GaloisKeys) -> Result<Self, Mismatch> {
        self.apply_automorphism(Automorphism::Rotation(steps), keys)
    }

    /// Every slot becomes its complex conjugate.
    ///
    /// # Errors
    ///
    /// As [`Self::rotate`].
    pub fn conjugate(&self, keys: &GaloisKeys) -> Result<Self, Mismatch> {
        self.apply_automorphism(Automorphism::Conjugation, keys)
    }

    /// Several rotations for the price of one decomposition (hoisting, eprint 2018/244).
    ///
    /// # Errors
    ///
    /// As [`Self::rotate`].
    pub fn rotate_many(&self, steps: &[i32], keys: &GaloisKeys) -> Result<Vec<Self>, Mismatch> {
        let [_, c1] = self.two_parts()?;
        let identity = |k: i32| Automorphism::Rotation(k).reduced(&self.params) == Automorphism::Rotation(0);
        let digits = if steps.iter().all(|&k| identity(k)) {
            Vec::new()
        } else {
            if self.params.special_primes() == 0 {
                return Err(Mismatch::NoSpecialPrime);
            }
            c1.decompose(&self.params)
        };
        steps
            .iter()
            .map(|&k| {
                if identity(k) {
                    return Ok(self.clone());
                }
                let key = keys.key(&self.params, Automorphism::Rotation(k))?;
                Mismatch::params(&self.params, key.params())?;
                Ok(self.finish_automorphism(key.key.apply(&digits), key))
            })
            .collect()
    }

    fn apply_automorphism(&self, automorphism: Automorphism, keys: &GaloisKeys) -> Result<Self, Mismatch> {
        let [_, c1] = self.two_parts()?;
        if automorphism.reduced(&self.params) == Automorphism::Rotation(0) {
            return Ok(self.clone());
        }
        let key = keys.key(&self.params, automorphism)?;
        Mismatch::params(&self.params, key.params())?;
        Ok(self.finish_automorphism(key.key.switch(c1), key))
    }

    /// Takes `c_1` switched to `s(X^(1/g))`, times P, and applies the automorphism.
    fn finish_automorphism(&self, switched: [Poly<Eval>; 2], key: &GaloisKey) -> Self {
        let params = &self.params;
        let keep = self.parts[0].basis().primes();
        let [mut c0, c1] = switched.map(|part| part.divided_by_tail(params, keep));
        c0.add_assign(params, &self.parts[0]);
        let parts = [c0, c1].map(|part| part.permute(params, &key.permutation));
        self.with_parts(parts.into())
    }

    /// The sum of the first `count` slots (a power of two) in slot 0; and, when `count` is all slots,
    /// in every slot.
    ///
    /// In general slot `i` holds the sum of slots `i..i + count`. Needs the keys of
    /// [`GaloisKeys::sum_steps`].
    ///
    /// # Errors
    ///
    /// As [`Self::rotate`]; [`Mismatch::Length`] if `count` is no power of two or too many.
    pub fn inner_sum(&self, count: usize, keys: &GaloisKeys) -> Result<Self, Mismatch> {
        let slots = self.params.slots();
        if !count.is_power_of_two() || count > slots {
            let (found, wanted) = (count, count.min(slots).next_power_of_two());
            return Err(Mismatch::Length { found, wanted });
        }
        let mut out = self.clone();
        for k in 0..count.ilog2() {
            let rotated = out.rotate(1 << k, keys)?;
            out.add_assign(&rotated)?;
        }
        Ok(out)
    }
}
