//! Mean and variance, over the slots of one ciphertext and slot by slot over many.

use crate::ciphertext::Ciphertext;
use crate::error::Mismatch;
use crate::keys::{GaloisKeys, RelinKey};
use crate::scale::Scale;

impl Ciphertext {
    /// The mean of slots `0..count`, in slot 0; in every slot if `count` is all of them. `count` is
    /// a power of two, so dividing is a matter of reading the scale: no level, no rounding.
    ///
    /// # Errors
    ///
    /// As [`Ciphertext::inner_sum`].
    pub fn mean_of_slots(&self, count: usize, keys: &GaloisKeys) -> Result<Self, Mismatch> {
        let sum = self.inner_sum(count, keys)?;
        let scale = sum.scale.times(&power(count));
        Ok(sum.with_scale(&scale))
    }

    /// The (population) variance of slots `0..count`, in slot 0, one level below. `count` is a power
    /// of two.
    ///
    /// # Errors
    ///
    /// As [`Ciphertext::mean_of_slots`] and [`Ciphertext::square_rescale`].
    pub fn variance_of_slots(
        &self,
        count: usize,
        keys: &GaloisKeys,
        key: &RelinKey,
    ) -> Result<Self, Mismatch> {
        // E[x²] - E[x]²; the two scales differ by count, which multiplies the first as an integer.
        let mut out = self.square_rescale(key)?.mean_of_slots(count, keys)?;
        let mean = self.mean_of_slots(count, keys)?.square_rescale(key)?;
        out.mul_integer(count as i128);
        out.scale = out.scale.times(&power(count));
        out.sub_assign(&mean)?;
        Ok(out)
    }
}

/// The sum of ciphertexts that match.
fn sum(ciphertexts: &[Ciphertext]) -> Result<Ciphertext, Mismatch> {
    let (first, rest) = ciphertexts.split_first().ok_or(Mismatch::Length { found: 0, wanted: 1 })?;
    let mut out = first.clone();
    for c in rest {
        out.add_assign(c)?;
    }
    Ok(out)
}

/// The mean of ciphertexts, slot by slot: one level below and at the same scale.
///
/// # Errors
///
/// [`Mismatch`]: none given, operands that do not match, or no level to rescale to.
pub fn mean(ciphertexts: &[Ciphertext]) -> Result<Ciphertext, Mismatch> {
    let sum = sum(ciphertexts)?;
    if sum.level == 0 {
        return Err(Mismatch::NoLevel { found: 0, wanted: 1 });
    }
    sum.bring_to(sum.level - 1, &sum.scale, 1.0 / ciphertexts.len() as f64)
}

/// The (population) variance of ciphertexts, slot by slot: two levels below and at the same scale.
///
/// # Errors
///
/// As [`mean`]; two levels are needed.
pub fn variance(ciphertexts: &[Ciphertext], key: &RelinKey) -> Result<Ciphertext, Mismatch> {
    let sum = sum(ciphertexts)?;
    let (level, count) = (sum.level, ciphertexts.len());
    if level < 2 {
        return Err(Mismatch::NoLevel { found: level, wanted: 2 });
    }
    // (count·Σx² - (Σx)²)/count²: the squares add up before they are relinearised, once.
    let mut out = sum.square()?;
    out.negate();
    for c in ciphertexts {
        let mut square = c.square()?;
        square.mul_integer(count as i128);
        out.add_assign(&square)?;
    }
    let out = out.relinearise_rescale(key)?;
    out.bring_to(level - 2, &sum.scale, (count as f64).powi(-2))
}

fn power(count: usize) -> Scale {
    Scale::power_of_two(count.ilog2().cast_signed())
}
