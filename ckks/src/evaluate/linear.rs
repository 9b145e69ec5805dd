//! Sums, and products with what is not encrypted.

use crate::ciphertext::Ciphertext;
use crate::error::Mismatch;
use crate::plaintext::{EncodeError, Plaintext, PreparedPlaintext};
use crate::poly::{Basis, Eval, Poly};
use crate::scale::Scale;

impl Ciphertext {
    fn check_sum(&self, level: usize, scale: &Scale) -> Result<(), Mismatch> {
        if self.level != level {
            let (left, right) = (self.level, level);
            return Err(Mismatch::Level { left, right });
        }
        if self.scale != *scale {
            let (left, right) = (self.scale.clone(), scale.clone());
            return Err(Mismatch::Scale { left, right });
        }
        Ok(())
    }

    fn combine(&mut self, other: &Self, f: impl Fn(&mut Poly<Eval>, &Poly<Eval>)) -> Result<(), Mismatch> {
        Mismatch::params(&self.params, &other.params)?;
        self.check_sum(other.level, &other.scale)?;
        while self.parts.len() < other.parts.len() {
            self.parts.push(Poly::zero(&self.params, Basis::q(&self.params, self.level)));
        }
        for (a, b) in self.parts.iter_mut().zip(&other.parts) {
            f(a, b);
        }
        Ok(())
    }

    /// `self += other`.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters, levels or scales; `self` is then unchanged.
    pub fn add_assign(&mut self, other: &Self) -> Result<(), Mismatch> {
        let params = self.params.clone();
        self.combine(other, |a, b| a.add_assign(&params, b))
    }

    /// `self -= other`.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters, levels or scales; `self` is then unchanged.
    pub fn sub_assign(&mut self, other: &Self) -> Result<(), Mismatch> {
        let params = self.params.clone();
        self.combine(other, |a, b| a.sub_assign(&params, b))
    }

    /// The sum.
    ///
    /// # Errors
    ///
    /// As [`Self::add_assign`].
    pub fn add(&self, other: &Self) -> Result<Self, Mismatch> {
        let mut out = self.clone();
        out.add_assign(other)?;
        Ok(out)
    }

    /// The difference.
    ///
    /// # Errors
    ///
    /// As [`Self::sub_assign`].
    pub fn sub(&self, other: &Self) -> Result<Self, Mismatch> {
        let mut out = self.clone();
        out.sub_assign(other)?;
        Ok(out)
    }

    /// `self = -self`.
    pub fn negate(&mut self) {
        for part in &mut self.parts {
            part.negate(&self.params);
        }
    }

    /// Adds a plaintext of the same scale.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters or scales.
    pub fn add_plain(&mut self, plaintext: &Plaintext) -> Result<(), Mismatch> {
        Mismatch::params(&self.params, plaintext.params())?;
        self.check_sum(self.level, plaintext.scale())?;
        let m = plaintext.to_poly(Basis::q(&self.params, self.level));
        self.parts[0].add_assign(&self.params, &m.into_eval(&self.params));
        Ok(())
    }

    /// Subtracts a plaintext of the same scale.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters or scales.
    pub fn sub_plain(&mut self, plaintext: &Plaintext) -> Result<(), Mismatch> {
        Mismatch::params(&self.params, plaintext.params())?;
        self.check_sum(self.level, plaintext.scale())?;
        let m = plaintext.to_poly(Basis::q(&self.params, self.level));
        self.parts[0].sub_assign(&self.params, &m.into_eval(&self.params));
        Ok(())
    }

    /// Adds a real constant to every slot, rounded at the ciphertext's scale.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the constant at this scale reaches `2^126`, or is not finite.
    pub fn add_constant(&mut self, constant: f64) -> Result<(), Mismatch> {
        let value = integer(constant, self.scale.value(&self.params), &self.scale)?;
        let params = self.params.clone();
        for (index, row) in self.parts[0].rows_mut() {
            let m = params.modulus(index);
            // A constant polynomial has the same value everywhere.
            let w = value.rem_euclid(i128::from(m.q)) as u32;
            crate::kernel::add_constant(row, w, m);
        }
        Ok(())
    }

    /// Multiplies every slot by a real constant, rounded at `scale`; the scales multiply.
    ///
    /// With [`crate::Params::level_scale`] of this level as `scale`, a rescale restores the scale
    /// exactly.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the constant at this scale reaches `2^126`, or is not finite.
    pub fn mul_constant(&mut self, constant: f64, scale: &Scale) -> Result<(), Mismatch> {
        let value = integer(constant, scale.value(&self.params), scale)?;
        self.mul_integer(value);
        self.scale = self.scale.times(scale);
        Ok(())
    }

    /// Multiplies the polynomial by an integer; scale and level stay.
    pub(crate) fn mul_integer(&mut self, value: i128) {
        let params = self.params.clone();
        for part in &mut self.parts {
            part.scale(&params, |i| value.rem_euclid(i128::from(params.prime(i))) as u32);
        }
    }

    /// Multiplies slot by slot with a plaintext; the scales multiply.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters, or a plaintext prepared for a lower level.
    pub fn mul_plain(&mut self, factor: &PreparedPlaintext) -> Result<(), Mismatch> {
        Mismatch::params(&self.params, &factor.params)?;
        if factor.level < self.level {
            let (found, wanted) = (factor.level, self.level);
            return Err(Mismatch::NoLevel { found, wanted });
        }
        for part in &mut self.parts {
            part.mul_assign(&self.params, &factor.poly);
        }
        self.scale = self.scale.times(&factor.scale);
        Ok(())
    }

    /// Drops to a lower level without dividing: same message, same scale, smaller.
    ///
    /// # Errors
    ///
    /// [`Mismatch::NoLevel`] if `level` is above the ciphertext's.
    pub fn drop_to(&mut self, level: usize) -> Result<(), Mismatch> {
        if level > self.level {
            let (found, wanted) = (self.level, level);
            return Err(Mismatch::NoLevel { found, wanted });
        }
        for part in &mut self.parts {
            part.truncate(&self.params, self.params.primes_at(level));
        }
        self.level = level;
        Ok(())
    }

    /// The same ciphertext read at another scale: every slot is multiplied by the old scale over the
    /// new one, at no cost.
    #[must_use]
    pub fn with_scale(mut self, scale: &Scale) -> Self {
        self.scale = scale.clone();
        self
    }
}

/// `⌊constant·scale⌉`.
fn integer(constant: f64, factor: f64, scale: &Scale) -> Result<i128, EncodeError> {
    /// Where `i128` arithmetic modulo a prime stays safe.
    const LIMIT: u32 = 126;
    if !constant.is_finite() {
        return Err(EncodeError::NotFinite(0));
    }
    let value = (constant * factor).round();
    if value.is_nan() || value.abs() >= 2f64.powi(LIMIT.cast_signed()) {
        return Err(EncodeError::Overflow { found: value.abs().log2(), scale: scale.clone(), limit: LIMIT });
    }
    Ok(value as i128)
}
