//! Hybrid key switching (Han and Ki, eprint 2019/688).
//!
//! A ciphertext part is split into digits, each modulo a few primes of Q (at most P in product);
//! digit `j` multiplies an encryption of `P·g_j·s'`, where `g_j` is 1 modulo the digit's primes and 0
//! modulo the others; the sum encrypts `P·c·s'` with small noise, and dividing by P leaves `c·s'`.

use super::SecretKey;
use crate::buffer::Buffer;
use crate::error::Mismatch;
use crate::kernel;
use crate::params::Params;
use crate::poly::{Basis, Eval, Poly};
use crate::sample;
use crate::seed::{SecretSeed, Seed};
use rand_core::CryptoRng;
use zeroize::Zeroize;

/// The second part of each digit's encryption: a seed, or (collective keys) polynomials.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum KeyPart {
    Seed(Seed),
    Full,
}

/// Encryptions of `P·g_j·s'` under `s`, one for each digit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SwitchingKey {
    params: Params,
    kind: KeyPart,
    /// `b_j = -a_j·s + e_j + P·g_j·s'` over QP, in Montgomery form.
    b: Vec<Poly<Eval>>,
    /// `a_j`, in Montgomery form.
    a: Vec<Poly<Eval>>,
}

impl SwitchingKey {
    /// A key that turns what multiplies `from` into what multiplies `to`.
    pub(crate) fn generate(
        params: &Params,
        from: &Poly<Eval>,
        to: &Poly<Eval>,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Mismatch> {
        if params.special_primes() == 0 {
            return Err(Mismatch::NoSpecialPrime);
        }
        let seed = Seed::generate(rng);
        let a = Self::uniform(params, &seed);
        let b = Self::shares(params, &a, from, to, rng);
        Ok(Self::from_plain(params, KeyPart::Seed(seed), b, a))
    }

    /// The uniform parts of a seed.
    pub(crate) fn uniform(params: &Params, seed: &Seed) -> Vec<Poly<Eval>> {
        let basis = Basis::full(params);
        (0..params.digits()).map(|j| sample::uniform(params, basis, seed, j)).collect()
    }

    /// `b_j = -a_j·to + e_j + P·g_j·from`, in plain form.
    pub(crate) fn shares(
        params: &Params,
        a: &[Poly<Eval>],
        from: &Poly<Eval>,
        to: &Poly<Eval>,
        rng: &mut impl CryptoRng,
    ) -> Vec<Poly<Eval>> {
        let seed = SecretSeed::generate(rng);
        a.iter()
            .enumerate()
            .map(|(j, a)| {
                let noise = sample::error(params.n(), &seed, j);
                let mut b = Poly::from_small(params, Basis::full(params), &noise).into_eval(params);
                b.mul_sub(params, a, to);
                Self::add_gadget(params, j, &mut b, from);
                b
            })
            .collect()
    }

    /// `b += P·g_j·s`.
    pub(crate) fn add_gadget(params: &Params, j: usize, b: &mut Poly<Eval>, s: &Poly<Eval>) {
        let digit = params.digit_rows(params.q_len()).nth(j).expect("the digit exists");
        for index in digit {
            let m = params.modulus(index);
            let p = params.product_mod(params.special_rows(), index);
            kernel::scale_add(b.row_mut(index), s.row(index), kernel::Constant::new(p, m), m);
        }
    }

    /// Takes the parts in plain form.
    pub(crate) fn from_plain(params: &Params, kind: KeyPart, b: Vec<Poly<Eval>>, a: Vec<Poly<Eval>>) -> Self {
        let enter = |mut polys: Vec<Poly<Eval>>| {
            for poly in &mut polys {
                poly.scale(params, |i| params.modulus(i).to_montgomery(1));
            }
            polys
        };
        Self { params: params.clone(), kind, b: enter(b), a: enter(a) }
    }

    pub(crate) fn params(&self) -> &Params {
        &self.params
    }

    pub(crate) fn kind(&self) -> &KeyPart {
        &self.kind
    }

    /// The parts in plain form, first all `b`, then all `a`.
    pub(crate) fn to_plain(&self) -> [Vec<Poly<Eval>>; 2] {
        let leave = |polys: &[Poly<Eval>]| {
            let mut polys = polys.to_vec();
            for poly in &mut polys {
                poly.scale(&self.params, |i| self.params.modulus(i).montgomery(1));
            }
            polys
        };
        [leave(&self.b), leave(&self.a)]
    }

    /// `Σ_j digit_j·(b_j, a_j)` over Q at the digits' level and P.
    pub(crate) fn apply(&self, digits: &[Poly<Eval>]) -> [Poly<Eval>; 2] {
        self.combine(digits[0].basis(), digits.len(), |index, combine| {
            let digits: Vec<&[u32]> = digits.iter().map(|p| p.row(index)).collect();
            combine(&digits);
        })
    }

    /// As [`Self::apply`] on the digits of `c`, prime by prime: no digit is ever held in full.
    pub(crate) fn switch(&self, c: &Poly<Eval>) -> [Poly<Eval>; 2] {
        let params = &self.params;
        let split = c.split(params);
        let basis = Basis::with_special(params, c.basis().primes());
        let n = params.n();
        let mut scratch = Buffer::scratch(split.len() * n);
        self.combine(basis, split.len(), |index, combine| {
            for ((digit, centred), row) in split.iter().zip(scratch.chunks_exact_mut(n)) {
                if !digit.contains(&index) {
                    centred.residues(index, row);
                    params.ntt(index).forward(row);
                }
            }
            let rows = split.iter().zip(scratch.chunks_exact(n));
            let rows: Vec<&[u32]> = rows
                .map(|((digit, _), row)| if digit.contains(&index) { c.row(index) } else { row })
                .collect();
            combine(&rows);
        })
    }

    /// For each prime, the sums of what `rows` hands over times the key.
    fn combine(
        &self,
        basis: Basis,
        count: usize,
        mut rows: impl FnMut(usize, &mut dyn FnMut(&[&[u32]])),
    ) -> [Poly<Eval>; 2] {
        let params = &self.params;
        let mut out = [0; 2].map(|_| Poly::unwritten(params, basis));
        let [out0, out1] = &mut out;
        for ((index, row0), (_, row1)) in out0.rows_mut().zip(out1.rows_mut()) {
            let b: Vec<&[u32]> = self.b[..count].iter().map(|p| p.row(index)).collect();
            let a: Vec<&[u32]> = self.a[..count].iter().map(|p| p.row(index)).collect();
            rows(index, &mut |digits| {
                kernel::inner_products(row0, row1, digits, &b, &a, params.modulus(index));
            });
        }
        out
    }
}

/// The key that brings a product of two ciphertexts back to two parts: from `s²` to `s`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RelinKey(pub(crate) SwitchingKey);

impl RelinKey {
    /// Makes the key of a secret. The randomness is asked for 64 bytes.
    ///
    /// # Errors
    ///
    /// [`Mismatch::NoSpecialPrime`].
    pub fn generate(secret: &SecretKey, rng: &mut impl CryptoRng) -> Result<Self, Mismatch> {
        let params = secret.params();
        let mut squared = secret.s.clone();
        squared.mul_assign(params, &secret.s);
        let key = SwitchingKey::generate(params, &squared, &secret.s, rng);
        squared.zeroize();
        key.map(Self)
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        self.0.params()
    }
}
