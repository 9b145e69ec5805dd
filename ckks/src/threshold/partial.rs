//! Partial decryptions and their combination.

use super::share::{ActiveSet, SecretShare, ThresholdError};
use super::smudging::Smudging;
use crate::ciphertext::{Ciphertext, CommonPart};
use crate::codec::{Body, Kind, Reader, WireError, Writer};
use crate::decrypt::{DecodeError, RawDecryption, power_of_two, round_shift};
use crate::error::Mismatch;
use crate::live::{self, LiveCiphertext};
use crate::params::Params;
use crate::poly::{Basis, Eval, Poly};
use crate::sample;
use crate::seed::{SecretSeed, Seed};
use rand_core::CryptoRng;

impl SecretShare {
    /// `c_1·s_i + E_i`: this member's part in opening a ciphertext. The randomness is asked for 32
    /// bytes.
    ///
    /// Keep the answer and give the same again; never compute a second one for one ciphertext.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters, or a ciphertext of three parts.
    pub fn partial(
        &self,
        ciphertext: &Ciphertext,
        smudging: &Smudging,
        rng: &mut impl CryptoRng,
    ) -> Result<PartialDecryption, Mismatch> {
        Mismatch::params(&self.params, &ciphertext.params)?;
        let [_, c1] = ciphertext.two_parts()?;
        // [MTBH21, protocol 3]  h_i = s_i·c_1 + e_i,  e_i from the smudging distribution
        let h = self.smudged(c1, smudging, rng);
        Ok(PartialDecryption { params: self.params.clone(), level: ciphertext.level, h })
    }

    /// `a·s_i + E_i`, the first `live` coefficients, for a sum under a common part: what this
    /// member answers when live ciphertexts were summed and it summed its shares of their keys.
    ///
    /// `dropped` low bits will not travel. Keep the answer and give the same again; never compute a
    /// second one for one sum.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters, or lengths as in [`crate::SeededCiphertext::into_live`].
    pub fn partial_live(
        &self,
        common: &CommonPart,
        live: usize,
        dropped: u32,
        smudging: &Smudging,
        rng: &mut impl CryptoRng,
    ) -> Result<LivePartial, Mismatch> {
        Mismatch::params(&self.params, &common.params)?;
        let params = &self.params;
        let mut h = Poly::zero(params, common.a.basis());
        h.mul_add(params, &common.a, &self.s);
        let mut values = live::live_values(params, h, live, dropped)?;
        // What does not travel needs no noise.
        let q = live::modulus(params, common.level);
        let noise = sample::gaussian(live, smudging.sigma(), &SecretSeed::generate(rng));
        for (v, &e) in values.iter_mut().zip(noise.iter()) {
            let e = i128::from(e).rem_euclid(q.cast_signed()).cast_unsigned();
            *v = live::round((*v + e) % q, dropped) % q;
        }
        Ok(LivePartial {
            params: self.params.clone(),
            seed: common.seed,
            level: common.level,
            values: values.iter().map(|&v| live::round(v, dropped) % q).collect(),
            dropped,
        })
    }

    fn smudged(&self, a: &Poly<Eval>, smudging: &Smudging, rng: &mut impl CryptoRng) -> Poly<Eval> {
        let params = &self.params;
        let noise = sample::gaussian(params.n(), smudging.sigma(), &SecretSeed::generate(rng));
        let mut h = Poly::from_signed(params, a.basis(), &noise).into_eval(params);
        h.mul_add(params, a, &self.s);
        h
    }
}

/// One member's part in opening a ciphertext.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PartialDecryption {
    params: Params,
    level: usize,
    h: Poly<Eval>,
}

impl PartialDecryption {
    /// `c_0 + Σ h_i`, from one partial decryption of each member of the set.
    ///
    /// # Errors
    ///
    /// [`ThresholdError`]: too few or too many, other parameters or another level.
    pub fn combine(
        ciphertext: &Ciphertext,
        set: &ActiveSet,
        partials: &[Self],
    ) -> Result<RawDecryption, ThresholdError> {
        check_count(set, partials.len())?;
        let [c0, _] = ciphertext.two_parts()?;
        let mut phase = c0.clone();
        for partial in partials {
            Mismatch::params(&ciphertext.params, &partial.params)?;
            if partial.level != ciphertext.level {
                let (left, right) = (ciphertext.level, partial.level);
                return Err(Mismatch::Level { left, right }.into());
            }
            phase.add_assign(&ciphertext.params, &partial.h);
        }
        Ok(RawDecryption::new(&ciphertext.params, phase, ciphertext.scale.clone()))
    }
}

impl Body for PartialDecryption {
    const KIND: Kind = Kind::PartialDecryption;

    fn params(&self) -> &Params {
        &self.params
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.count(self.level as u64);
        w.poly(&self.h);
    }

    fn read(params: &Params, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let level = r.level()?;
        let h = r.poly(Basis::q(params, level))?;
        let params = params.clone();
        Ok(Self { params, level, h })
    }
}

/// One member's part in opening a sum of live ciphertexts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LivePartial {
    params: Params,
    seed: Seed,
    level: usize,
    values: Vec<u128>,
    dropped: u32,
}

impl LivePartial {
    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The seed of the common part.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// How many coefficients there are.
    pub fn live(&self) -> usize {
        self.values.len()
    }
}

impl Body for LivePartial {
    const KIND: Kind = Kind::LivePartial;

    fn params(&self) -> &Params {
        &self.params
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.count(self.level as u64);
        w.bytes(&self.seed.0);
        live::write_values(w, &self.values, live::modulus(&self.params, self.level), self.dropped);
    }

    fn read(params: &Params, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let level = r.level()?;
        let seed = r.seed()?;
        let (values, dropped) = live::read_values(params, level, r)?;
        let params = params.clone();
        Ok(Self { params, seed, level, values, dropped })
    }
}

/// Opens a sum of live ciphertexts as integers: `⌊(Σb + Σh_i)/Δ⌉`, exact while the noise is below
/// half the scale ([`Smudging::log_failure`]). Of the noise nothing shows.
///
/// # Errors
///
/// [`ThresholdError`]: not one partial of each member, operands that do not belong together, or a
/// scale that is no power of two.
pub fn combine_live(
    sum: &LiveCiphertext,
    set: &ActiveSet,
    partials: &[LivePartial],
) -> Result<Vec<i128>, ThresholdError> {
    check_count(set, partials.len())?;
    let bits = power_of_two(&sum.scale)?;
    let q = live::modulus(&sum.params, sum.level);
    let mut values = sum.values.clone();
    for partial in partials {
        sum.check(&partial.params, partial.seed, partial.level, &sum.scale, partial.live())?;
        for (v, h) in values.iter_mut().zip(&partial.values) {
            *v = (*v + h) % q;
        }
    }
    let centre = |v: u128| {
        if v > q / 2 { v.cast_signed() - q.cast_signed() } else { v.cast_signed() }
    };
    let rounded = values
        .into_iter()
        .enumerate()
        .map(|(i, v)| round_shift(centre(v), bits).ok_or(DecodeError::OutOfRange(i)));
    Ok(rounded.collect::<Result<_, _>>()?)
}

pub(super) fn check_count(set: &ActiveSet, found: usize) -> Result<(), ThresholdError> {
    let wanted = set.size();
    if found != wanted {
        return Err(ThresholdError::Partials { found, wanted });
    }
    Ok(())
}
