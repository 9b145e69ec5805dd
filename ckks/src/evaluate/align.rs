//! Bringing a ciphertext to an exact level and scale.

use crate::ciphertext::Ciphertext;
use crate::error::Mismatch;
use crate::scale::Scale;

impl Ciphertext {
    /// Multiplies every slot by a real constant and lands exactly on a level below and on a scale.
    ///
    /// Scales form a group ([`Scale`]), so the constant can always be encoded at the one scale that
    /// a rescale turns into the scale asked for. This is how results of different depths are made to
    /// add up.
    ///
    /// # Errors
    ///
    /// [`Mismatch::NoLevel`] unless `level` is below the ciphertext's; [`Mismatch::Encode`] if the
    /// constant is out of range at the scale it needs.
    pub fn bring_to(&self, level: usize, scale: &Scale, factor: f64) -> Result<Self, Mismatch> {
        let mut out = self.multiplied_towards(level, scale, factor)?;
        out.rescale()?;
        Ok(out)
    }

    /// As [`Self::bring_to`], stopping before the rescale: at `level + 1`.
    pub(crate) fn multiplied_towards(
        &self,
        level: usize,
        scale: &Scale,
        factor: f64,
    ) -> Result<Self, Mismatch> {
        if level >= self.level {
            let (found, wanted) = (self.level, level + 1);
            return Err(Mismatch::NoLevel { found, wanted });
        }
        let mut out = self.clone();
        out.drop_to(level + 1)?;
        let before = scale.times(&self.params.level_scale(level + 1));
        out.mul_constant(factor, &before.over(&self.scale))?;
        Ok(out)
    }
}
