//! Opening the mean of a ciphertext's slots, and nothing else of it.
//!
//! The constant coefficient of a polynomial is the mean of its slots: the other powers of X cancel over
//! the roots of unity. So members who answer for that one coefficient open the mean, or the sum, of all
//! slots without opening any slot - and without rotations, hence without Galois keys.

use super::partial::check_count;
use super::share::{ActiveSet, SecretShare, ThresholdError};
use super::smudging::Smudging;
use crate::ciphertext::Ciphertext;
use crate::codec::{Body, Kind, Reader, WireError, Writer};
use crate::error::Mismatch;
use crate::live;
use crate::params::Params;
use crate::poly::Poly;
use crate::sample;
use crate::seed::SecretSeed;
use rand_core::CryptoRng;

impl SecretShare {
    /// `c_1·s_i + E_i`, the constant coefficient only: this member's part in opening the mean of the
    /// slots. The randomness is asked for 32 bytes.
    ///
    /// Keep the answer and give the same again; never compute a second one for one ciphertext.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters, a ciphertext of three parts, or one whose Q has more than 120 bits.
    pub fn partial_mean(
        &self,
        ciphertext: &Ciphertext,
        smudging: &Smudging,
        rng: &mut impl CryptoRng,
    ) -> Result<MeanPartial, Mismatch> {
        Mismatch::params(&self.params, &ciphertext.params)?;
        let [_, c1] = ciphertext.two_parts()?;
        let params = &self.params;
        let mut h = Poly::zero(params, c1.basis());
        h.mul_add(params, c1, &self.s);
        let value = constant(params, h)?;
        let q = live::modulus(params, ciphertext.level);
        let noise = sample::gaussian(1, smudging.sigma(), &SecretSeed::generate(rng));
        let e = i128::from(noise[0]).rem_euclid(q.cast_signed()).cast_unsigned();
        Ok(MeanPartial { params: params.clone(), level: ciphertext.level, value: (value + e) % q })
    }
}

/// One member's part in opening the mean of a ciphertext's slots.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MeanPartial {
    params: Params,
    level: usize,
    value: u128,
}

impl MeanPartial {
    /// The mean of the real parts of all `N/2` slots, rounded to a multiple of `2^-bits`, from one
    /// partial of each member of the set.
    ///
    /// The error before rounding has the deviation `√(t·σ_E² + σ_ct²)/scale`.
    ///
    /// # Errors
    ///
    /// [`ThresholdError`]: too few or too many, other parameters or another level.
    pub fn combine(
        ciphertext: &Ciphertext,
        set: &ActiveSet,
        partials: &[Self],
        bits: u32,
    ) -> Result<f64, ThresholdError> {
        check_count(set, partials.len())?;
        let [c0, _] = ciphertext.two_parts()?;
        let params = &ciphertext.params;
        let q = live::modulus(params, ciphertext.level);
        let mut value = constant(params, c0.clone())?;
        for partial in partials {
            Mismatch::params(params, &partial.params)?;
            if partial.level != ciphertext.level {
                let (left, right) = (ciphertext.level, partial.level);
                return Err(Mismatch::Level { left, right }.into());
            }
            value = (value + partial.value) % q;
        }
        let centred = if value > q / 2 { value.cast_signed() - q.cast_signed() } else { value.cast_signed() };
        let grain = 2f64.powi(bits.cast_signed());
        Ok((centred as f64 / ciphertext.scale.value(params) * grain).round() / grain)
    }
}

fn constant(params: &Params, poly: Poly<crate::poly::Eval>) -> Result<u128, Mismatch> {
    Ok(live::live_values(params, poly, 1, 0)?[0])
}

impl Body for MeanPartial {
    const KIND: Kind = Kind::MeanPartial;

    fn params(&self) -> &Params {
        &self.params
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.count(self.level as u64);
        live::write_values(w, &[self.value], live::modulus(&self.params, self.level), 0);
    }

    fn read(params: &Params, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let level = r.level()?;
        let (values, dropped) = live::read_values(params, level, r)?;
        let [value] = values[..] else {
            return Err(WireError::NotCanonical("the number of values of a mean"));
        };
        if dropped != 0 {
            return Err(WireError::NotCanonical("the dropped bits of a mean"));
        }
        Ok(Self { params: params.clone(), level, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plaintext, PublicKey, SecretKey, Wire};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// Every set opens the same mean; fewer members, or answers for other slots, do not.
    #[test]
    fn the_constant_coefficient_is_the_mean_of_the_slots() {
        let params = Params::medium();
        let mut rng = StdRng::seed_from_u64(7);
        let secret = SecretKey::generate(&params, &mut rng);
        let public = PublicKey::generate(&secret, &mut rng);
        let x: Vec<f64> = (0..96).map(|i| f64::from(i * 37 % 97) / 97.0).collect();
        let wanted = x.iter().sum::<f64>() / params.slots() as f64;
        let plaintext = Plaintext::from_slots(&params, &x, &params.scale()).unwrap();
        let ciphertext = public.encrypt(&plaintext, 1, &mut rng).unwrap();
        let smudging = Smudging::new(64.0, 0, 10).unwrap();
        for set in ActiveSet::all(4, 2).unwrap() {
            let partials: Vec<MeanPartial> = secret
                .share(&set, &mut rng)
                .iter()
                .map(|share| share.expand().partial_mean(&ciphertext, &smudging, &mut rng).unwrap())
                .map(|partial| MeanPartial::from_bytes(&params, &partial.to_bytes()).unwrap())
                .collect();
            let mean = MeanPartial::combine(&ciphertext, &set, &partials, 24).unwrap();
            assert!((mean - wanted).abs() < 2f64.powi(-23), "{mean} {wanted}");
            assert!(MeanPartial::combine(&ciphertext, &set, &partials[..1], 24).is_err());
            let alone = [partials[0].clone(), partials[0].clone()];
            let noise = MeanPartial::combine(&ciphertext, &set, &alone, 24).unwrap();
            assert!((noise - wanted).abs() > 2f64.powi(-10));
            let mut cut = partials[0].to_bytes();
            cut.pop();
            assert!(MeanPartial::from_bytes(&params, &cut).is_err());
        }
    }
}
