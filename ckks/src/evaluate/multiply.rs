//! Products of ciphertexts, relinearisation and rescaling.

use crate::ciphertext::Ciphertext;
use crate::error::Mismatch;
use crate::kernel;
use crate::keys::RelinKey;
use crate::poly::{Eval, Poly};

impl Ciphertext {
    /// The product, of three parts; the scales multiply.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters or levels, or an operand of three parts.
    pub fn multiply(&self, other: &Self) -> Result<Self, Mismatch> {
        Mismatch::params(&self.params, &other.params)?;
        if self.level != other.level {
            let (left, right) = (self.level, other.level);
            return Err(Mismatch::Level { left, right });
        }
        let ([a0, a1], [b0, b1]) = (self.two_parts()?, other.two_parts()?);
        let params = &self.params;
        let mut d = [0; 3].map(|_| Poly::<Eval>::unwritten(params, a0.basis()));
        let [d0, d1, d2] = &mut d;
        for (((i, d0), (_, d1)), (_, d2)) in d0.rows_mut().zip(d1.rows_mut()).zip(d2.rows_mut()) {
            let m = params.modulus(i);
            kernel::tensor([d0, d1, d2], a0.row(i), a1.row(i), b0.row(i), b1.row(i), m);
        }
        Ok(Self {
            params: params.clone(),
            parts: d.into(),
            level: self.level,
            scale: self.scale.times(&other.scale),
        })
    }

    /// The square, of three parts.
    ///
    /// # Errors
    ///
    /// [`Mismatch::Parts`] for an operand of three parts.
    pub fn square(&self) -> Result<Self, Mismatch> {
        self.multiply(self)
    }

    /// Brings three parts back to two.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters, or an operand that has two parts.
    pub fn relinearise(&self, key: &RelinKey) -> Result<Self, Mismatch> {
        let [mut c0, mut c1] = self.switch_third_part(key)?;
        let keep = self.parts[0].basis().primes();
        for (part, c) in [&mut c0, &mut c1].into_iter().zip(&self.parts) {
            *part = part.divided_by_tail(&self.params, keep);
            part.add_assign(&self.params, c);
        }
        Ok(self.with_parts(vec![c0, c1]))
    }

    /// Relinearises and rescales with one division by P and the level's primes together: fewer
    /// transforms and one rounding less than the two steps.
    ///
    /// # Errors
    ///
    /// As [`Self::relinearise`] and [`Self::rescale`].
    pub fn relinearise_rescale(&self, key: &RelinKey) -> Result<Self, Mismatch> {
        self.level_below()?;
        let mut parts = self.switch_third_part(key)?;
        let keep = self.params.primes_at(self.level - 1);
        for (part, c) in parts.iter_mut().zip(&self.parts) {
            part.add_assign_lifted(&self.params, c);
            *part = part.divided_by_tail(&self.params, keep);
        }
        let mut out = self.with_parts(parts.into());
        out.scale = self.scale.over(&self.params.level_scale(self.level));
        out.level -= 1;
        Ok(out)
    }

    /// Divides by the level's primes, rounding to nearest, and drops to the level below; the scale
    /// is divided by them too.
    ///
    /// # Errors
    ///
    /// [`Mismatch::NoLevel`] at level 0; `self` is then unchanged.
    pub fn rescale(&mut self) -> Result<(), Mismatch> {
        *self = self.rescaled()?;
        Ok(())
    }

    /// As [`Self::rescale`], a new ciphertext.
    ///
    /// # Errors
    ///
    /// [`Mismatch::NoLevel`] at level 0.
    pub fn rescaled(&self) -> Result<Self, Mismatch> {
        self.level_below()?;
        let keep = self.params.primes_at(self.level - 1);
        let divide = |part: &Poly<Eval>| part.divided_by_tail(&self.params, keep);
        let mut out = self.with_parts(self.parts.iter().map(divide).collect());
        out.scale = self.scale.over(&self.params.level_scale(self.level));
        out.level -= 1;
        Ok(out)
    }

    /// The product, relinearised and rescaled.
    ///
    /// # Errors
    ///
    /// As [`Self::multiply`], [`Self::relinearise`] and [`Self::rescale`].
    pub fn multiply_rescale(&self, other: &Self, key: &RelinKey) -> Result<Self, Mismatch> {
        self.level_below()?;
        self.multiply(other)?.relinearise_rescale(key)
    }

    /// The square, relinearised and rescaled.
    ///
    /// # Errors
    ///
    /// As [`Self::multiply_rescale`].
    pub fn square_rescale(&self, key: &RelinKey) -> Result<Self, Mismatch> {
        self.multiply_rescale(self, key)
    }

    /// `(c_2·s², 0)` under `s`, times P.
    fn switch_third_part(&self, key: &RelinKey) -> Result<[Poly<Eval>; 2], Mismatch> {
        Mismatch::params(&self.params, key.params())?;
        let [_, _, c2] = self.parts.as_slice() else {
            let (found, wanted) = (self.parts.len(), 3);
            return Err(Mismatch::Parts { found, wanted });
        };
        Ok(key.0.switch(c2))
    }

    pub(crate) fn two_parts(&self) -> Result<&[Poly<Eval>; 2], Mismatch> {
        let found = self.parts.len();
        self.parts.as_slice().try_into().map_err(|_| Mismatch::Parts { found, wanted: 2 })
    }

    /// The same level and scale with other parts.
    pub(crate) fn with_parts(&self, parts: Vec<Poly<Eval>>) -> Self {
        Self { params: self.params.clone(), parts, level: self.level, scale: self.scale.clone() }
    }

    fn level_below(&self) -> Result<(), Mismatch> {
        match self.level {
            0 => Err(Mismatch::NoLevel { found: 0, wanted: 1 }),
            _ => Ok(()),
        }
    }
}
