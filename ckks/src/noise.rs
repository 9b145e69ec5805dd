//! How large the noise is, without a key.
//!
//! A [`Noise`] follows the operations on a ciphertext and holds the variance of one coefficient of its
//! error, under the usual heuristic that coefficients are independent. For each operation it is the
//! sum of what the operands bring and what the operation adds:
//!
//! | source | variance of a coefficient |
//! |---|---|
//! | encoding slots | 1/12 |
//! | symmetric encryption | σ² = 21/2 |
//! | public-key encryption, no special prime | σ²·(1 + 2·N·⅔) |
//! | public-key encryption at QP | (1 + N·⅔)/12 + the above over P² |
//! | rescaling, dividing by P | (1 + N·⅔)/12 |
//! | key switching | Σ over digits D: N·D²/12·σ²/P² |
//! | product | v₁·M₂² + v₂·M₁² + N·v₁·v₂, M the root mean square of slots times the scale |
//!
//! The estimate is of a standard deviation; the largest of `N/2` slots is about `√(2·ln N)` times
//! it. [`Noise::bits`] adds a quarter of a bit so that measured noise stays below it, and the tests hold
//! it to within one bit of what is measured.

use crate::params::Params;
use crate::sample::ERROR_VARIANCE;
use crate::scale::Scale;

/// The variance of one coefficient of a ternary secret.
const SECRET_VARIANCE: f64 = 2.0 / 3.0;

/// The variance of what rounding to integers leaves.
const ROUNDING: f64 = 1.0 / 12.0;

/// An estimate of the error in a ciphertext.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    params: Params,
    variance: f64,
}

impl Noise {
    /// Of a fresh ciphertext under a secret key, with the error of encoding slots.
    pub fn symmetric(params: &Params) -> Self {
        Self::of(params, ERROR_VARIANCE + ROUNDING)
    }

    /// Of a fresh ciphertext under a public key, with the error of encoding slots.
    pub fn public(params: &Params) -> Self {
        let raw = ERROR_VARIANCE * (1.0 + 2.0 * SECRET_VARIANCE * params.n() as f64);
        let variance = match params.special_primes() {
            0 => raw,
            _ => Self::rounding(params) + raw * 4f64.powf(-params.log_p()),
        };
        Self::of(params, variance + ROUNDING)
    }

    fn of(params: &Params, variance: f64) -> Self {
        let params = params.clone();
        Self { params, variance }
    }

    fn rounding(params: &Params) -> f64 {
        ROUNDING * (1.0 + SECRET_VARIANCE * params.n() as f64)
    }

    /// After adding another ciphertext, or subtracting it.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        Self::of(&self.params, self.variance + other.variance)
    }

    /// After adding up `count` such ciphertexts.
    #[must_use]
    pub fn sum(&self, count: u64) -> Self {
        Self::of(&self.params, self.variance * count as f64)
    }

    /// After multiplication by a plaintext whose slots have root mean square `rms` at `scale`, onto a
    /// message of root mean square `own_rms` at `own_scale`: the plaintext's rounding counts too.
    #[must_use]
    pub fn mul_plain(&self, (own_rms, own_scale): (f64, &Scale), (rms, scale): (f64, &Scale)) -> Self {
        let encoded = Self::of(&self.params, ROUNDING);
        self.multiply((own_rms, own_scale), &encoded, (rms, scale))
    }

    /// After multiplication by another ciphertext, before relinearisation; each message is given by
    /// the root mean square of its slots, and its scale.
    #[must_use]
    pub fn multiply(
        &self,
        (rms, scale): (f64, &Scale),
        other: &Self,
        (other_rms, other_scale): (f64, &Scale),
    ) -> Self {
        let size = |rms: f64, scale: &Scale| (rms * scale.value(&self.params)).powi(2);
        let cross = self.variance * size(other_rms, other_scale) + other.variance * size(rms, scale);
        Self::of(&self.params, cross + self.params.n() as f64 * self.variance * other.variance)
    }

    /// After rescaling from `level` a ciphertext of two parts.
    ///
    /// # Panics
    ///
    /// If `level` is 0 or above [`Params::max_level`].
    #[must_use]
    pub fn rescale(&self, level: usize) -> Self {
        let divisor = self.params.level_scale(level).log2(&self.params);
        let variance = self.variance * 4f64.powf(-divisor) + Self::rounding(&self.params);
        Self::of(&self.params, variance)
    }

    /// After switching keys at `level`: relinearisation, a rotation or a conjugation.
    #[must_use]
    pub fn switch(&self, level: usize) -> Self {
        let switched = self.switched(level) + Self::rounding(&self.params);
        Self::of(&self.params, self.variance + switched)
    }

    /// After relinearisation and rescaling from `level` in one step.
    ///
    /// # Panics
    ///
    /// If `level` is 0 or above [`Params::max_level`].
    #[must_use]
    pub fn relinearise_rescale(&self, level: usize) -> Self {
        Self::of(&self.params, self.variance + self.switched(level)).rescale(level)
    }

    /// What the digits bring, divided by P.
    fn switched(&self, level: usize) -> f64 {
        let params = &self.params;
        let log_product =
            |rows: std::ops::Range<usize>| rows.map(|i| f64::from(params.prime(i)).log2()).sum::<f64>();
        let digits = params.digit_rows(params.primes_at(level));
        let sum: f64 = digits.map(|d| 4f64.powf(log_product(d) - params.log_p())).sum();
        params.n() as f64 * ROUNDING * ERROR_VARIANCE * sum
    }

    /// `log2` of a bound on the standard deviation of a coefficient.
    pub fn bits(&self) -> f64 {
        self.variance.log2() / 2.0 + 0.25
    }

    /// The standard deviation of the error of a slot (its real part) at `scale`.
    pub fn slot_deviation(&self, scale: &Scale) -> f64 {
        let n = self.params.n() as f64;
        (self.variance * n / 2.0).sqrt() / scale.value(&self.params)
    }
}
