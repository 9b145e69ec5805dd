//! The public key, and encryption under it.

use super::SecretKey;
use crate::basis::Centred;
use crate::buffer::Buffer;
use crate::ciphertext::Ciphertext;
use crate::error::Mismatch;
use crate::kernel::{self, Constant};
use crate::params::Params;
use crate::plaintext::Plaintext;
use crate::poly::{Basis, Coeff, Eval, Poly};
use crate::prime;
use crate::sample;
use crate::seed::{SecretSeed, Seed};
use rand_core::CryptoRng;
use zeroize::Zeroize;

/// `(b, a)` over QP with `b = -a·s + e`; `a` is a seed when it travels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicKey {
    params: Params,
    seed: Seed,
    b: Poly<Eval>,
    a: Poly<Eval>,
}

impl PublicKey {
    /// Makes the public key of a secret. The randomness is asked for 64 bytes.
    pub fn generate(secret: &SecretKey, rng: &mut impl CryptoRng) -> Self {
        let params = secret.params();
        let seed = Seed::generate(rng);
        let a = sample::uniform(params, Basis::full(params), &seed, 0);
        let b = Self::part(secret, &a, rng);
        Self::from_parts(params, seed, a, b)
    }

    /// `-a·s + e` over QP.
    pub(crate) fn part(secret: &SecretKey, a: &Poly<Eval>, rng: &mut impl CryptoRng) -> Poly<Eval> {
        let params = secret.params();
        let noise = sample::error(params.n(), &SecretSeed::generate(rng), 0);
        let mut b = Poly::from_small(params, Basis::full(params), &noise).into_eval(params);
        b.mul_sub(params, a, &secret.s);
        b
    }

    pub(crate) fn from_parts(params: &Params, seed: Seed, a: Poly<Eval>, b: Poly<Eval>) -> Self {
        let params = params.clone();
        Self { params, seed, b, a }
    }

    pub(crate) fn from_seed(params: &Params, seed: Seed, b: Poly<Eval>) -> Self {
        let a = sample::uniform(params, Basis::full(params), &seed, 0);
        Self::from_parts(params, seed, a, b)
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    pub(crate) fn seed(&self) -> Seed {
        self.seed
    }

    pub(crate) fn b(&self) -> &Poly<Eval> {
        &self.b
    }

    /// Encrypts at `level`. The randomness is asked for 32 bytes.
    ///
    /// Where there are special primes this encrypts zero modulo QP and divides by P, so that the
    /// noise is what rounding leaves (as SEAL does); without them it is that of `u·e + e_0 + e_1·s`.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] of parameters, a level that there is not, or a plaintext that would wrap at it.
    pub fn encrypt(
        &self,
        plaintext: &Plaintext,
        level: usize,
        rng: &mut impl CryptoRng,
    ) -> Result<Ciphertext, Mismatch> {
        Mismatch::params(&self.params, plaintext.params())?;
        Mismatch::level(&self.params, level)?;
        plaintext.check_level(level)?;
        let params = &self.params;
        let seed = SecretSeed::generate(rng);
        let basis = Basis::with_special(params, params.primes_at(level));
        let small = sample::ternary(params.n(), &seed, 0);
        let mut u = Poly::from_small(params, basis, &small).into_eval(params);
        let message = plaintext.to_poly(Basis::q(params, level));
        let [e0, e1] = [0, 1].map(|part| sample::error(params.n(), &seed, part));
        let c0 = self.encrypt_part(&self.b, &u, &e0, Some(&message), basis);
        let c1 = self.encrypt_part(&self.a, &u, &e1, None, basis);
        u.zeroize();
        Ok(Ciphertext {
            params: params.clone(),
            parts: vec![c0, c1],
            level,
            scale: plaintext.scale().clone(),
        })
    }

    /// `⌊(key·u + e)/P⌉ + m` over Q at the level.
    fn encrypt_part(
        &self,
        key: &Poly<Eval>,
        u: &Poly<Eval>,
        noise: &[i32],
        message: Option<&Poly<Coeff>>,
        basis: Basis,
    ) -> Poly<Eval> {
        let params = &self.params;
        let n = params.n();
        let special: Vec<usize> = basis.indexes().skip(basis.primes()).collect();
        let mut rows = Buffer::scratch(special.len() * n);
        let mut small = Buffer::scratch(n);
        for (&index, row) in special.iter().zip(rows.chunks_exact_mut(n)) {
            let m = params.modulus(index);
            row.copy_from_slice(key.row(index));
            kernel::mul(row, u.row(index), m);
            params.ntt(index).inverse(row);
            kernel::small_residues(&mut small, noise, m);
            kernel::add(row, &small, m);
        }
        let mut centred = (!special.is_empty()).then(|| Centred::new(params, special.clone(), rows));
        let mut product = Buffer::scratch(n);
        let out = Poly::from_rows(params, Basis::first(params, basis.primes()), |index, row| {
            let m = params.modulus(index);
            product.copy_from_slice(key.row(index));
            kernel::mul(&mut product, u.row(index), m);
            kernel::small_residues(&mut small, noise, m);
            let p = params.product_mod(special.iter().copied(), index);
            if let Some(centred) = &centred {
                // (key·u + e - [key·u + e]_P)/P + m = (key·u - ([key·u + e]_P - e - P·m))/P
                centred.residues(index, row);
                kernel::sub(row, &small, m);
                if let Some(message) = message {
                    let minus = Constant::new(m.q - p, m);
                    kernel::scale_add(row, message.row(index), minus, m);
                }
                params.ntt(index).forward(row);
                let w = Constant::new(prime::inverse(p, m.q), m);
                kernel::sub_scale(row, &product, w, m);
            } else {
                row.copy_from_slice(&small);
                if let Some(message) = message {
                    kernel::add(row, message.row(index), m);
                }
                params.ntt(index).forward(row);
                kernel::add(row, &product, m);
            }
        });
        // With it the quotient above gives key·u + e away.
        if let Some(centred) = &mut centred {
            centred.zeroize();
        }
        small.zeroize();
        product.zeroize();
        out
    }
}
