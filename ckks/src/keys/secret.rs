//! The secret key, and encryption under it.

use crate::ciphertext::{Ciphertext, CommonPart, SeededCiphertext};
use crate::decrypt::RawDecryption;
use crate::error::Mismatch;
use crate::params::Params;
use crate::plaintext::Plaintext;
use crate::poly::{Basis, Eval, Poly};
use crate::sample;
use crate::seed::{SecretSeed, Seed};
use rand_core::CryptoRng;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// A uniform ternary secret: wiped on drop, never printed, never serialised.
pub struct SecretKey {
    params: Params,
    /// The key over QP.
    pub(crate) s: Poly<Eval>,
}

impl SecretKey {
    /// Draws a key. The randomness is asked for 32 bytes.
    pub fn generate(params: &Params, rng: &mut impl CryptoRng) -> Self {
        Self::from_secret_seed(params, &SecretSeed::generate(rng))
    }

    /// Expands a key from 32 uniform bytes, which then are the key: what its holder stores.
    pub fn from_seed(params: &Params, seed: &Zeroizing<[u8; 32]>) -> Self {
        Self::from_secret_seed(params, &SecretSeed::new(**seed))
    }

    fn from_secret_seed(params: &Params, seed: &SecretSeed) -> Self {
        let small = sample::ternary(params.n(), seed, 0);
        let s = Poly::from_small(params, Basis::full(params), &small).into_eval(params);
        let params = params.clone();
        Self { params, s }
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Encrypts at `level` with a fresh seed: half the bytes of a public-key ciphertext, and less
    /// noise. The randomness is asked for 64 bytes.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters, a level that there is not, or a plaintext that would wrap at it.
    pub fn encrypt(
        &self,
        plaintext: &Plaintext,
        level: usize,
        rng: &mut impl CryptoRng,
    ) -> Result<SeededCiphertext, Mismatch> {
        Mismatch::params(&self.params, plaintext.params())?;
        Mismatch::level(&self.params, level)?;
        let common = CommonPart::new(&self.params, Seed::generate(rng), level);
        self.encrypt_under(plaintext, &common, rng)
    }

    /// Encrypts with a given common part, so that ciphertexts of many keys add up to one under the
    /// sum of the keys. The randomness is asked for 32 bytes.
    ///
    /// **One key encrypts once under one common part.** Two such ciphertexts differ by their
    /// messages plus noise, for anyone to see.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters, or a plaintext that would wrap at the common part's level.
    pub fn encrypt_under(
        &self,
        plaintext: &Plaintext,
        common: &CommonPart,
        rng: &mut impl CryptoRng,
    ) -> Result<SeededCiphertext, Mismatch> {
        Mismatch::params(&self.params, plaintext.params())?;
        Mismatch::params(&self.params, &common.params)?;
        plaintext.check_level(common.level)?;
        let noise = sample::error(self.params.n(), &SecretSeed::generate(rng), 0);
        // b = -a·s + e + m
        let basis = Basis::q(&self.params, common.level);
        let mut b = plaintext.to_noisy_poly(basis, &noise).into_eval(&self.params);
        b.mul_sub(&self.params, &common.a, &self.s);
        Ok(SeededCiphertext {
            params: self.params.clone(),
            seed: common.seed,
            b,
            level: common.level,
            scale: plaintext.scale().clone(),
        })
    }

    /// Decrypts, noise and all.
    ///
    /// What comes back determines the key if enough of it is published (IND-CPA-D, eprint
    /// 2020/1533). Only [`RawDecryption::decode_public`] and
    /// [`RawDecryption::decode_integers`] make values that may leave the key's holder.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters.
    pub fn decrypt_raw(&self, ciphertext: &Ciphertext) -> Result<RawDecryption, Mismatch> {
        Mismatch::params(&self.params, &ciphertext.params)?;
        let (last, lower) = ciphertext.last_and_lower_parts();
        // Horner: ((c_2·s) + c_1)·s + c_0
        let mut phase = last.clone();
        for part in lower.iter().rev() {
            phase.mul_assign(&self.params, &self.s);
            phase.add_assign(&self.params, part);
        }
        Ok(RawDecryption::new(&self.params, phase, ciphertext.scale.clone()))
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.s.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").finish_non_exhaustive()
    }
}
