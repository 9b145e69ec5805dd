//! The scale of an encoding, exactly.

use crate::params::Params;
use std::fmt;

/// The number by which values are multiplied before they are rounded to integers.
///
/// Multiplication multiplies scales and rescaling divides them by primes of the chain, so every
/// scale that can arise is `2^a · Π q_i^(b_i)`. This type holds the exponents: two scales are equal
/// exactly when the numbers are, however they came about, and nothing ever drifts.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Scale {
    log2: i32,
    /// Exponent of each prime of the chain, without trailing zeros.
    exponents: Vec<i32>,
}

impl Scale {
    /// `2^log2`.
    pub fn power_of_two(log2: i32) -> Self {
        let exponents = Vec::new();
        Self { log2, exponents }
    }

    /// The product of some primes of the chain.
    pub(crate) fn product_of(rows: impl Iterator<Item = usize>) -> Self {
        let mut out = Self::default();
        for row in rows {
            if out.exponents.len() <= row {
                out.exponents.resize(row + 1, 0);
            }
            out.exponents[row] += 1;
        }
        out
    }

    /// From exponents, as they were serialised.
    pub(crate) fn from_exponents(log2: i32, mut exponents: Vec<i32>) -> Self {
        while exponents.last() == Some(&0) {
            exponents.pop();
        }
        Self { log2, exponents }
    }

    /// `log2` part and exponents.
    pub(crate) fn exponents(&self) -> (i32, &[i32]) {
        (self.log2, &self.exponents)
    }

    fn combine(&self, other: &Self, sign: i32) -> Self {
        let len = self.exponents.len().max(other.exponents.len());
        let at = |scale: &Self, i: usize| scale.exponents.get(i).copied().unwrap_or(0);
        let exponents =
            (0..len).map(|i| at(self, i).saturating_add(at(other, i).saturating_mul(sign))).collect();
        let log2 = self.log2.saturating_add(other.log2.saturating_mul(sign));
        Self::from_exponents(log2, exponents)
    }

    /// The product of two scales.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        self.combine(other, 1)
    }

    /// The quotient of two scales.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        self.combine(other, -1)
    }

    /// Its logarithm to base 2.
    pub fn log2(&self, params: &Params) -> f64 {
        self.over_power(params) / std::f64::consts::LN_2 + f64::from(self.nearest_power(params))
    }

    /// Its value, to within a few units in the last place of an `f64`.
    pub fn value(&self, params: &Params) -> f64 {
        self.over_power(params).exp() * 2f64.powi(self.nearest_power(params))
    }

    /// The exponent of two when every prime is replaced by its length.
    fn nearest_power(&self, params: &Params) -> i32 {
        let bits = self.exponents.iter().enumerate().map(|(i, &e)| {
            let bits = params.modulus(i).bits.cast_signed();
            bits.saturating_mul(e)
        });
        bits.fold(self.log2, i32::saturating_add)
    }

    /// The natural logarithm of what [`Self::nearest_power`] leaves: small, hence precise.
    fn over_power(&self, params: &Params) -> f64 {
        let ln = |i: usize| {
            let m = params.modulus(i);
            let whole = f64::from(1u32 << m.bits);
            ((f64::from(m.q) - whole) / whole).ln_1p()
        };
        self.exponents.iter().enumerate().map(|(i, &e)| f64::from(e) * ln(i)).sum()
    }
}

impl Params {
    /// The default scale, a power of two.
    pub fn scale(&self) -> Scale {
        Scale::power_of_two(self.log_scale().cast_signed())
    }

    /// The product of the primes that rescaling from `level` drops.
    ///
    /// A plaintext or constant at this scale leaves the scale of what it multiplies as it was, once
    /// the product is rescaled.
    ///
    /// # Panics
    ///
    /// If `level` is 0 or above [`Self::max_level`].
    pub fn level_scale(&self, level: usize) -> Scale {
        assert!(level > 0, "level 0 cannot be dropped");
        Scale::product_of(self.level_rows(level))
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "2^{}", self.log2)?;
        for (i, e) in self.exponents.iter().enumerate().filter(|(_, e)| **e != 0) {
            write!(f, "·q{i}^{e}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_form_a_group() {
        let params = Params::medium();
        let delta = params.scale();
        let top = params.level_scale(2);
        let squared = delta.times(&delta);
        assert_eq!(squared.over(&delta), delta);
        assert_eq!(squared.over(&top).times(&top), squared);
        assert_ne!(squared.over(&top), delta);
        assert_eq!(squared.to_string(), "2^80");
        assert_eq!(squared.over(&top).to_string(), "2^80·q4^-1·q5^-1");
    }

    #[test]
    fn value_is_the_product() {
        let params = Params::medium();
        assert!((params.scale().value(&params) - 2f64.powi(40)).abs() < 1e-3);
        let value: f64 = params.level_rows(1).map(|i| f64::from(params.prime(i))).product();
        let scale = params.level_scale(1);
        assert!((scale.value(&params) / value - 1.0).abs() < 1e-15);
        assert!((scale.log2(&params) - value.log2()).abs() < 1e-12);
    }
}
