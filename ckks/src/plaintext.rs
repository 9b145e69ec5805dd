//! Plaintexts: integer polynomials with a scale.

use crate::buffer::Buffer;
use crate::kernel;
use crate::params::Params;
use crate::poly::{Basis, Coeff, Eval, Poly};
use crate::prime;
use crate::scale::Scale;
use num_complex::Complex64;
use zeroize::Zeroizing;

/// Why values were not encoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// More values than places.
    #[error("{found} values do not fit the {max} places of this ring")]
    TooMany {
        /// How many were given.
        found: usize,
        /// How many places there are.
        max: usize,
    },
    /// A value is infinite or not a number.
    #[error("value {0} is not finite")]
    NotFinite(usize),
    /// A scaled coefficient would lose bits, or wrap.
    #[error("a coefficient of 2^{found:.1} at scale {scale} is over the limit of 2^{limit}")]
    Overflow {
        /// `log2` of the largest coefficient.
        found: f64,
        /// The scale asked for.
        scale: Scale,
        /// `log2` of the limit.
        limit: u32,
    },
    /// Integers need a scale that is a power of two, from 1 up.
    #[error("integers are encoded at a power of two, not at {0}")]
    NotAPowerOfTwo(Scale),
}

/// A message as an integer polynomial, before encryption or as a factor: coefficients times
/// [`Self::scale`].
///
/// It has no level: a small integer polynomial has residues modulo any prime. Printing shows no
/// values.
#[derive(Clone)]
pub struct Plaintext {
    params: Params,
    /// What the polynomial's coefficients are, divided by `2^shift`.
    coefficients: Buffer<i64>,
    shift: u32,
    /// `log2` of the largest coefficient.
    log_largest: f64,
    scale: Scale,
}

impl Plaintext {
    /// Slots hold numbers up to where `f64` is exact.
    const SLOT_LIMIT: u32 = 53;

    /// Encodes up to [`Params::slots`] real numbers; missing ones are zero.
    ///
    /// The error of each slot is below `√(N/12)/scale` standard deviation (rounding to integer
    /// coefficients) plus about `2^-49` of the largest value (the transform in `f64`).
    ///
    /// # Errors
    ///
    /// [`EncodeError`], above all when a scaled coefficient reaches `2^53`, where an `f64` would
    /// silently drop bits.
    pub fn from_slots(params: &Params, values: &[f64], scale: &Scale) -> Result<Self, EncodeError> {
        check(params.slots(), values.len(), values.iter().copied())?;
        let coefficients = params.fft().coefficients_of_real(values);
        Self::round(params, &coefficients, scale)
    }

    /// Encodes up to [`Params::slots`] complex numbers; missing ones are zero.
    ///
    /// # Errors
    ///
    /// As [`Self::from_slots`].
    pub fn from_complex_slots(
        params: &Params,
        values: &[Complex64],
        scale: &Scale,
    ) -> Result<Self, EncodeError> {
        check(params.slots(), values.len(), values.iter().map(|z| z.re + z.im))?;
        let coefficients = params.fft().coefficients(values);
        Self::round(params, &coefficients, scale)
    }

    /// Encodes up to `N` integers as the coefficients themselves; missing ones are zero.
    ///
    /// Sums of such plaintexts are exact. Their products are convolutions, so this is the encoding
    /// for sums only.
    ///
    /// # Errors
    ///
    /// [`EncodeError`]; a scaled integer has to stay below half of Q at the top level.
    pub fn from_integers(params: &Params, values: &[i64], scale: &Scale) -> Result<Self, EncodeError> {
        check(params.n(), values.len(), std::iter::empty())?;
        let (log2, primes) = scale.exponents();
        let (0.., []) = (log2, primes) else {
            return Err(EncodeError::NotAPowerOfTwo(scale.clone()));
        };
        let largest = values.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
        let found = (largest as f64).log2() + f64::from(log2);
        let limit = (params.log_q(params.max_level()) - 1.0).floor() as u32;
        if largest > 0 && (found >= f64::from(limit) || largest >= 1 << 62) {
            let scale = scale.clone();
            return Err(EncodeError::Overflow { found, scale, limit });
        }
        let mut coefficients = Buffer::zeros(params.n());
        coefficients[..values.len()].copy_from_slice(values);
        Ok(Self {
            params: params.clone(),
            coefficients,
            shift: log2.cast_unsigned(),
            log_largest: found,
            scale: scale.clone(),
        })
    }

    fn round(params: &Params, coefficients: &[f64], scale: &Scale) -> Result<Self, EncodeError> {
        let factor = scale.value(params);
        let mut out = Buffer::scratch(coefficients.len());
        let mut largest = 0.0;
        kernel::round(&mut out, coefficients, factor, &mut largest);
        if largest < (1u64 << Self::SLOT_LIMIT) as f64 {
            Ok(Self {
                params: params.clone(),
                coefficients: out,
                shift: 0,
                log_largest: largest.log2(),
                scale: scale.clone(),
            })
        } else {
            Err(EncodeError::Overflow {
                found: largest.log2(),
                scale: scale.clone(),
                limit: Self::SLOT_LIMIT,
            })
        }
    }

    /// Refuses coefficients that would wrap around Q at `level`.
    pub(crate) fn check_level(&self, level: usize) -> Result<(), EncodeError> {
        let limit = (self.params.log_q(level) - 1.0).floor() as u32;
        if self.log_largest < f64::from(limit) {
            return Ok(());
        }
        Err(EncodeError::Overflow { found: self.log_largest, scale: self.scale.clone(), limit })
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The scale, exactly.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// The slots that the integer polynomial really holds.
    pub fn slots(&self) -> Vec<Complex64> {
        let unit = 2f64.powi(self.shift.cast_signed()) / self.scale.value(&self.params);
        let real: Vec<f64> = self.coefficients.iter().map(|&c| c as f64 * unit).collect();
        self.params.fft().slots(&real)
    }

    /// The residues, in coefficient form, with small noise added if there is some.
    pub(crate) fn to_poly(&self, basis: Basis) -> Poly<Coeff> {
        let mut poly = Poly::from_signed(&self.params, basis, &self.coefficients);
        if self.shift > 0 {
            let params = &self.params;
            poly.scale(params, |i| prime::pow(2, self.shift.into(), params.prime(i)));
        }
        poly
    }

    /// The residues of message and noise together.
    pub(crate) fn to_noisy_poly(&self, basis: Basis, noise: &[i32]) -> Poly<Coeff> {
        if self.shift == 0 {
            let mut sum = Zeroizing::new(self.coefficients.clone());
            for (sum, &e) in sum.iter_mut().zip(noise) {
                *sum += i64::from(e);
            }
            return Poly::from_signed(&self.params, basis, &sum);
        }
        let mut poly = self.to_poly(basis);
        poly.add_assign(&self.params, &Poly::from_small(&self.params, basis, noise));
        poly
    }

    /// Transforms for use as a factor at `level`.
    ///
    /// # Panics
    ///
    /// If `level` is above [`Params::max_level`].
    pub fn prepare(&self, level: usize) -> PreparedPlaintext {
        let poly = self.to_poly(Basis::q(&self.params, level));
        PreparedPlaintext {
            params: self.params.clone(),
            poly: poly.into_eval(&self.params),
            level,
            scale: self.scale.clone(),
        }
    }
}

impl std::fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plaintext").field("scale", &self.scale).finish_non_exhaustive()
    }
}

/// A plaintext in evaluation form at one level (and below): a factor that multiplies at once.
#[derive(Clone, Debug)]
pub struct PreparedPlaintext {
    pub(crate) params: Params,
    pub(crate) poly: Poly<Eval>,
    pub(crate) level: usize,
    pub(crate) scale: Scale,
}

impl PreparedPlaintext {
    /// The highest level of a ciphertext it can multiply.
    pub fn level(&self) -> usize {
        self.level
    }

    /// The scale, exactly.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }
}

fn check(max: usize, found: usize, mut values: impl Iterator<Item = f64>) -> Result<(), EncodeError> {
    if found > max {
        return Err(EncodeError::TooMany { found, max });
    }
    match values.position(|v| !v.is_finite()) {
        Some(i) => Err(EncodeError::NotFinite(i)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_back_within_rounding() {
        let params = Params::medium();
        let values: Vec<f64> = (0..params.slots()).map(|i| (i as f64).sin() * 100.0).collect();
        let plaintext = Plaintext::from_slots(&params, &values, &params.scale()).unwrap();
        let sigma = (params.n() as f64 / 12.0).sqrt() / 2f64.powi(40);
        for (z, v) in plaintext.slots().iter().zip(&values) {
            assert!((z - v).norm() < 6.0 * sigma, "{z} {v}");
        }
    }

    #[test]
    fn refuses_what_would_lose_bits() {
        let params = Params::medium();
        let encode = |v: f64| Plaintext::from_slots(&params, &vec![v; 4096], &params.scale());
        assert!(encode(2f64.powi(12)).is_ok());
        assert!(matches!(encode(2f64.powi(13)), Err(EncodeError::Overflow { limit: 53, .. })));
        assert_eq!(encode(f64::NAN).unwrap_err(), EncodeError::NotFinite(0));
        let many = Plaintext::from_slots(&params, &vec![0.0; 4097], &params.scale());
        assert_eq!(many.unwrap_err(), EncodeError::TooMany { found: 4097, max: 4096 });
    }

    #[test]
    fn refuses_integers_that_wrap() {
        let params = Params::sums_4096();
        let encode = |v: i64| Plaintext::from_integers(&params, &[v], &params.scale());
        assert!(encode(1 << 51).is_ok());
        assert!(encode(-(1 << 51)).is_ok());
        assert!(matches!(encode(1 << 53), Err(EncodeError::Overflow { .. })));
        assert!(matches!(encode(i64::MIN), Err(EncodeError::Overflow { .. })));
        let odd = params.scale().over(&Scale::power_of_two(100));
        assert!(Plaintext::from_integers(&params, &[1], &odd).is_err());
    }
}
