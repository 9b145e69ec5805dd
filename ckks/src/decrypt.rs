//! What decryption gives, and how values leave it.

use crate::basis::Centred;
use crate::buffer::Buffer;
use crate::kernel;
use crate::params::Params;
use crate::poly::{Eval, Poly};
use crate::scale::Scale;
use num_complex::Complex64;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Why a decryption was not decoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The precision asked for would show the noise.
    #[error("{found} fractional bits were asked for; at scale {scale} noise shows after {max}")]
    Precision {
        /// The bits asked for.
        found: u32,
        /// The most that may be asked for.
        max: i32,
        /// The scale of the ciphertext.
        scale: Scale,
    },
    /// Integers are decoded from a power of two.
    #[error("integers are decoded at a power of two, not at {0}")]
    NotAPowerOfTwo(Scale),
    /// A coefficient is outside `i128`: not a sum of encoded integers under this key.
    #[error("coefficient {0} is out of range")]
    OutOfRange(usize),
}

/// A decrypted message with its noise: secret until decoded. Wiped on drop, never printed.
pub struct RawDecryption {
    params: Params,
    /// For each prime, the symmetric mixed-radix digits of the coefficients.
    digits: Zeroizing<Buffer>,
    scale: Scale,
}

impl RawDecryption {
    /// Takes `c_0 + c_1·s + …`.
    pub(crate) fn new(params: &Params, phase: Poly<Eval>, scale: Scale) -> Self {
        let mut phase = phase.into_coeff(params);
        let primes = phase.basis().primes();
        let centred = Centred::new(params, (0..primes).collect(), phase.copy_rows(0..primes));
        phase.zeroize();
        Self { params: params.clone(), digits: Zeroizing::new(centred.into_digits()), scale }
    }

    /// The scale, exactly.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// The coefficients as floats, to within a few units in the last place.
    ///
    /// Digit `j` minus `(p_j - 1)/2` is symmetric mixed radix, so Horner's rule from the top stays
    /// exact until the value outgrows the mantissa: small values lose nothing.
    fn coefficients(&self) -> Zeroizing<Buffer<f64>> {
        let n = self.params.n();
        let mut out = Zeroizing::new(Buffer::zeros(n));
        for (index, row) in self.digits.chunks_exact(n).enumerate().rev() {
            kernel::horner(&mut out, row, self.params.modulus(index));
        }
        out
    }

    /// The slots with all their noise. **Not for anyone but the key's holder.**
    pub fn slots_raw(&self) -> Vec<Complex64> {
        let mut coefficients = self.coefficients();
        let unit = 1.0 / self.scale.value(&self.params);
        for c in coefficients.iter_mut() {
            *c *= unit;
        }
        self.params.fft().slots(&coefficients)
    }

    /// The real parts of the slots with all their noise. **Not for anyone but the key's holder.**
    pub fn real_slots_raw(&self) -> Vec<f64> {
        self.slots_raw().into_iter().map(|z| z.re).collect()
    }

    /// The coefficients times the scale, noise and all, as floats. **Not for anyone but the key's
    /// holder.**
    pub fn coefficients_raw(&self) -> Vec<f64> {
        self.coefficients().to_vec()
    }

    /// The slots' real parts, rounded to multiples of `2^-bits`: these may be published.
    ///
    /// The rounding hides the noise wherever the noise is small against `2^-bits`; size it with
    /// the noise estimator. Values within the noise of a rounding boundary still show which side they
    /// fell on.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Precision`] for more bits than fresh noise leaves at this scale.
    pub fn decode_public(&self, bits: u32) -> Result<Vec<f64>, DecodeError> {
        Ok(self.decode_public_complex(bits)?.into_iter().map(|z| z.re).collect())
    }

    /// As [`Self::decode_public`], both parts.
    ///
    /// # Errors
    ///
    /// As [`Self::decode_public`].
    pub fn decode_public_complex(&self, bits: u32) -> Result<Vec<Complex64>, DecodeError> {
        // Fresh noise has σ·√N in a slot; four bits more keep it from showing.
        let noise = crate::sample::ERROR_VARIANCE.sqrt() * (self.params.n() as f64).sqrt();
        let max = (self.scale.log2(&self.params) - noise.log2() - 4.0).floor() as i32;
        if i64::from(bits) > i64::from(max) {
            let scale = self.scale.clone();
            return Err(DecodeError::Precision { found: bits, max, scale });
        }
        let grain = 2f64.powi(bits.cast_signed());
        let round = |x: f64| (x * grain).round() / grain;
        let slots = self.slots_raw().into_iter();
        Ok(slots.map(|z| Complex64::new(round(z.re), round(z.im))).collect())
    }

    /// The first `count` coefficients as the integers that were encoded, rounded to nearest: exact
    /// while the noise is below half the scale, and then nothing of the noise shows.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for a scale that is not a power of two, or a coefficient beyond `i128`.
    ///
    /// # Panics
    ///
    /// If `count` is over `N`.
    pub fn decode_integers(&self, count: usize) -> Result<Vec<i128>, DecodeError> {
        let bits = power_of_two(&self.scale)?;
        assert!(count <= self.params.n(), "{count} of {} coefficients", self.params.n());
        (0..count)
            .map(|i| {
                let value = crate::basis::integer(&self.params, &self.digits, i);
                value.and_then(|v| round_shift(v, bits)).ok_or(DecodeError::OutOfRange(i))
            })
            .collect()
    }
}

/// The exponent of a scale that integers can be decoded from.
pub(crate) fn power_of_two(scale: &Scale) -> Result<u32, DecodeError> {
    match scale.exponents() {
        (log2 @ 0..=120, []) => Ok(log2.cast_unsigned()),
        _ => Err(DecodeError::NotAPowerOfTwo(scale.clone())),
    }
}

/// `⌊v/2^bits⌉`, half up.
pub(crate) fn round_shift(v: i128, bits: u32) -> Option<i128> {
    let half = (1i128 << bits) >> 1;
    v.checked_add(half).map(|v| v >> bits)
}

impl fmt::Debug for RawDecryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawDecryption").field("scale", &self.scale).finish_non_exhaustive()
    }
}
