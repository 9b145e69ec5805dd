//! Sums over a common part, a few coefficients at a time.
//!
//! When many keys encrypt under one public [`CommonPart`], the `a` part need not travel at all, and
//! of the `b` part only the coefficients that carry a message: the others are noise to everyone.
//! What is left is a short vector modulo Q. Vectors add up without any key; a threshold of key
//! shares opens the sum ([`crate::LivePartial`]).

use crate::basis;
use crate::ciphertext::{CommonPart, SeededCiphertext};
use crate::codec::{Body, Kind, Reader, WireError, Writer};
use crate::error::Mismatch;
use crate::keys::SecretKey;
use crate::params::Params;
use crate::poly::{Eval, Poly};
use crate::scale::Scale;
use crate::seed::Seed;

/// `log2 Q` up to which the live values of a level fit the 128-bit arithmetic here.
const MAX_LOG_Q: f64 = 120.0;

/// The first coefficients of a ciphertext's `b` part, modulo Q, in coefficient form.
///
/// With integers encoded by [`crate::Plaintext::from_integers`], sums of these are exact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveCiphertext {
    pub(crate) params: Params,
    pub(crate) seed: Seed,
    pub(crate) level: usize,
    pub(crate) scale: Scale,
    /// Canonical residues modulo Q.
    pub(crate) values: Vec<u128>,
    /// How many low bits of the values do not travel.
    dropped: u32,
}

impl SeededCiphertext {
    /// Keeps the first `live` coefficients of the `b` part.
    ///
    /// `dropped` low bits of each value will not travel: that rounds each ciphertext by up to
    /// `2^(dropped-1)`, which counts as noise ([`crate::Smudging`] accounts for it).
    ///
    /// # Errors
    ///
    /// [`Mismatch::Length`] if `live` is 0 or over `N`; [`Mismatch::LiveModulus`] if Q at this level has
    /// more than 120 bits; [`Mismatch::TooManyDropped`] if `dropped` is not below Q's length.
    pub fn into_live(self, live: usize, dropped: u32) -> Result<LiveCiphertext, Mismatch> {
        let params = &self.params;
        let values = live_values(params, self.b, live, dropped)?;
        let q = modulus(params, self.level);
        Ok(LiveCiphertext {
            values: values.iter().map(|&v| round(v, dropped) % q).collect(),
            seed: self.seed,
            level: self.level,
            scale: self.scale,
            params: self.params,
            dropped,
        })
    }
}

impl SecretKey {
    /// Encrypts under a common part and keeps the first `live` coefficients: what a member of a
    /// group sends. See [`SecretKey::encrypt_under`], above all: **once per key and common part**.
    ///
    /// # Errors
    ///
    /// As [`SecretKey::encrypt_under`] and [`SeededCiphertext::into_live`].
    pub fn encrypt_live(
        &self,
        plaintext: &crate::Plaintext,
        common: &CommonPart,
        live: usize,
        dropped: u32,
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<LiveCiphertext, Mismatch> {
        self.encrypt_under(plaintext, common, rng)?.into_live(live, dropped)
    }
}

impl LiveCiphertext {
    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The seed of the common part.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// The level.
    pub fn level(&self) -> usize {
        self.level
    }

    /// The scale, exactly.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// How many coefficients there are.
    pub fn live(&self) -> usize {
        self.values.len()
    }

    /// How many low bits were dropped from each value.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// `self += other`: the sum is a ciphertext under the sum of the keys.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters, common part, levels, scales, lengths or dropped bits; `self` is then unchanged.
    pub fn add_assign(&mut self, other: &Self) -> Result<(), Mismatch> {
        self.check(&other.params, other.seed, other.level, &other.scale, other.live())?;
        if self.dropped != other.dropped {
            let (left, right) = (self.dropped, other.dropped);
            return Err(Mismatch::Dropped { left, right });
        }
        let q = modulus(&self.params, self.level);
        for (a, b) in self.values.iter_mut().zip(&other.values) {
            *a = (*a + b) % q;
        }
        Ok(())
    }

    pub(crate) fn check(
        &self,
        params: &Params,
        seed: Seed,
        level: usize,
        scale: &Scale,
        live: usize,
    ) -> Result<(), Mismatch> {
        Mismatch::params(&self.params, params)?;
        if self.seed != seed {
            let (left, right) = (self.seed, seed);
            return Err(Mismatch::CommonPart { left, right });
        }
        if self.level != level {
            let (left, right) = (self.level, level);
            return Err(Mismatch::Level { left, right });
        }
        if self.scale != *scale {
            let (left, right) = (self.scale.clone(), scale.clone());
            return Err(Mismatch::Scale { left, right });
        }
        if self.live() != live {
            let (found, wanted) = (live, self.live());
            return Err(Mismatch::Length { found, wanted });
        }
        Ok(())
    }
}

/// Q at a level, which has to fit 128-bit arithmetic.
pub(crate) fn modulus(params: &Params, level: usize) -> u128 {
    (0..params.primes_at(level)).map(|i| u128::from(params.prime(i))).product()
}

/// The first coefficients modulo Q.
pub(crate) fn live_values(
    params: &Params,
    poly: Poly<Eval>,
    live: usize,
    dropped: u32,
) -> Result<Vec<u128>, Mismatch> {
    let primes = poly.basis().primes();
    let log_q: f64 = (0..primes).map(|i| f64::from(params.prime(i)).log2()).sum();
    let bits = log_q.ceil() as u32;
    if log_q > MAX_LOG_Q {
        return Err(Mismatch::LiveModulus { found: bits, max: MAX_LOG_Q as u32 });
    }
    if f64::from(dropped) >= log_q {
        return Err(Mismatch::TooManyDropped { found: dropped, bits });
    }
    if live == 0 || live > params.n() {
        let (found, wanted) = (live, params.n());
        return Err(Mismatch::Length { found, wanted });
    }
    let q: u128 = (0..primes).map(|i| u128::from(params.prime(i))).product();
    let values = basis::integers(params, poly, live).expect("Q fits 128 bits");
    Ok(values.into_iter().map(|v| v.rem_euclid(q.cast_signed()).cast_unsigned()).collect())
}

/// Rounds to a multiple of `2^dropped`.
pub(crate) fn round(v: u128, dropped: u32) -> u128 {
    (v + (1 << dropped >> 1)) >> dropped << dropped
}

/// How long a value without its dropped bits can be.
fn width(q: u128, dropped: u32) -> u32 {
    128 - ((q - 1 + (1 << dropped >> 1)) >> dropped).leading_zeros()
}

/// Writes values modulo Q without their low bits.
pub(crate) fn write_values(w: &mut Writer<'_>, values: &[u128], q: u128, dropped: u32) {
    w.count(values.len() as u64);
    w.count(dropped.into());
    let short = |v: &u128| (v + (1 << dropped >> 1)) >> dropped;
    w.wide(values.iter().map(short), width(q, dropped));
}

/// Reads what [`write_values`] wrote.
pub(crate) fn read_values(
    params: &Params,
    level: usize,
    r: &mut Reader<'_>,
) -> Result<(Vec<u128>, u32), WireError> {
    let log_q = params.log_q(level);
    if log_q > MAX_LOG_Q {
        let (found, max) = (log_q.ceil() as u64, MAX_LOG_Q as u64);
        return Err(WireError::Range { what: "log2 Q of live values", found, max });
    }
    let count = r.count("the number of live values", params.n() as u64)?;
    if count == 0 {
        return Err(WireError::NotCanonical("the number of live values"));
    }
    let dropped = r.count("the number of dropped bits", log_q.floor() as u64 - 1)? as u32;
    let q = modulus(params, level);
    let mut values = r.wide(count, width(q, dropped))?;
    let top = (q - 1 + (1 << dropped >> 1)) >> dropped;
    for v in &mut values {
        if *v > top {
            return Err(WireError::NotCanonical("a live value"));
        }
        *v = (*v << dropped) % q;
    }
    Ok((values, dropped))
}

impl Body for LiveCiphertext {
    const KIND: Kind = Kind::LiveCiphertext;

    fn params(&self) -> &Params {
        &self.params
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.count(self.level as u64);
        w.scale(&self.scale);
        w.bytes(&self.seed.0);
        write_values(w, &self.values, modulus(&self.params, self.level), self.dropped);
    }

    fn read(params: &Params, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let level = r.level()?;
        let scale = r.scale()?;
        let seed = r.seed()?;
        let (values, dropped) = read_values(params, level, r)?;
        let params = params.clone();
        Ok(Self { params, seed, level, scale, values, dropped })
    }
}
