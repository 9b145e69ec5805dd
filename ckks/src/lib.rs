//! Levelled approximate homomorphic encryption: RNS-CKKS over primes below `2^30`, on stable Rust,
//! without `unsafe`.
//!
//! CKKS (Cheon, Kim, Kim, Song, eprint 2016/421) encrypts vectors of real or complex numbers so that
//! anyone can add and multiply them. Precision is fixed by a *scale*; every multiplication uses up one
//! *level*; both are exact here and every mismatch is refused. Start with `examples/tour.rs`.
//!
//! # The mathematics, and where it is
//!
//! * A message is a polynomial of `Z[X]/(X^N + 1)` with small integer coefficients: slots by the
//!   canonical embedding, or integers as the coefficients themselves ([`Plaintext`]).
//! * A ciphertext is a pair `(c_0, c_1)` modulo Q with `c_0 + c_1·s = Δ·m + e` ([`Ciphertext`]). Q is a
//!   product of primes, and polynomials are rows of residues (Cheon, Han, Kim, Kim, Song, eprint
//!   2018/931).
//! * The primes are below `2^30`. A transform modulo one costs 1.7 times less per bit of modulus than
//!   modulo a 60-bit one, and a product four times less. Precision beyond 30 bits is had by giving a
//!   level two primes (composite scaling, eprint 2023/1462) rather than larger ones: see
//!   *Scaling* below.
//! * Rescaling and key switching divide exactly, rounding to nearest, by mixed-radix conversion: no
//!   approximate base conversion anywhere.
//! * Key switching is hybrid (eprint 2019/688): as many primes to a digit as the special modulus P
//!   allows, so the number of digits follows from the set. Rotations share one decomposition
//!   (eprint 2018/244), and the automorphism is applied once, after the switch.
//! * Sums open by threshold: additive sharings of the key, smudged partial decryptions
//!   ([`SecretShare`], [`Smudging`]), and keys made together ([`KeyShare`]).
//!
//! # Scaling: one prime a level, or two
//!
//! Measured at `N = 8192` with two levels and 60 special bits: rescaling rounds with a standard
//! deviation of about 1,900 in a slot whatever the scale. Levels of one 30-bit prime at scale `2^30`
//! leave an error of 1.6e-5 in the worst of 4,096 slots after one squaring, which takes 301 µs; levels of
//! two primes of 20 bits at scale `2^40` leave 1.8e-8, in 500 µs. So two primes a level buy ten bits for
//! two thirds more time. The named sets from `N = 8192` up take two, since one would not hold SEAL's
//! precision; [`Params::light`] takes one; a [`Literal`] may do either.
//!
//! # Security
//!
//! *What holds.* [`Params::new`] refuses a `log2(QP)` beyond the 2024 guidelines' table for 128 bits
//! (or beyond another table that the literal names). Secrets are uniform ternary, errors centred
//! binomial with σ = 3.24, both drawn in constant time. Secret types are wiped on drop and print
//! nothing.
//!
//! *What the caller must see to.*
//!
//! * **Decryptions are not for publication** (IND-CPA-D, Li and Micciancio, eprint 2020/1533): the
//!   noise in a raw decryption is an equation about the key. [`SecretKey::decrypt_raw`] gives a
//!   [`RawDecryption`], and only its `decode_public` and `decode_integers` make values to hand out:
//!   rounded so that noise does not show, as long as it is below half the grain; size it with
//!   [`Noise`]. Integers that round exactly say nothing about the noise. A value near a rounding
//!   boundary still tells on which side it fell, and a decryption that *failed* must not be answered
//!   at all.
//! * **Ciphertexts are malleable.** Anyone can add to one, or multiply it. Authenticate whatever
//!   carries them, and never decrypt what did not come authenticated: chosen ciphertexts read the key.
//! * **One key, one ciphertext under one common part.** Two with the same `a` differ by their messages.
//! * **Lying encryptors.** An honest-looking ciphertext may hold anything at all: a value out of range,
//!   or a multiple of something crafted. Under a *common part* that nobody chose, a liar can spoil a
//!   sum but learns nothing about other keys. Under a *collective key* a crafted ciphertext inside an
//!   honest sum reads the collective secret from the partial decryptions, smudged or not. Use
//!   collective keys with encryptors that are trusted to follow the protocol, or prove it.
//! * **Retries.** Smudging noise averages out: a party answers once for one ciphertext and one active
//!   set, stores the answer and resends the same bytes. Sharings here are independent for every active
//!   set, so that asking another set afterwards is safe, which it is not with Lagrange weights.
//! * **What the threshold promises.** Fewer members than an active set learn nothing of the key, against
//!   parties that follow the protocol. A member that lies makes the result wrong, undetected here:
//!   compare the results of several sets. Smudging bounds what `2^τ` openings say, statistically, to
//!   `s` bits ([`Smudging::new`]); beyond that count it promises nothing.
//! * **Timing.** Operations on secrets have no branch and no index that depends on them, except that
//!   wide Gaussian sampling uses floating-point `ln` and `sincos`. This is by construction and
//!   reading, not verified on hardware.
//! * **No bootstrapping**: the levels of a set are all there are.
//!
//! # Threads
//!
//! Nothing here starts a thread. Operations take shared references to keys and parameters, and every
//! object is `Send` and `Sync`, so independent operations spread over cores as the caller likes:
//!
//! ```
//! use ckks::{Ciphertext, Mismatch, Params, Plaintext, RelinKey, SecretKey};
//! # use rand::{SeedableRng, rngs::StdRng};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (params, mut rng) = (Params::light(), StdRng::seed_from_u64(1));
//! # let secret = SecretKey::generate(&params, &mut rng);
//! let relin = RelinKey::generate(&secret, &mut rng)?;
//! # let x = Plaintext::from_slots(&params, &[0.5], &params.scale())?;
//! # let mut one = || secret.encrypt(&x, 1, &mut rng).map(|c| c.expand());
//! let many: Vec<Ciphertext> = vec![one()?, one()?, one()?, one()?];
//! let squares = |part: &[Ciphertext]| part.iter().map(|c| c.square_rescale(&relin)).collect();
//! let squares: Vec<Result<Vec<Ciphertext>, Mismatch>> = std::thread::scope(|scope| {
//!     let halves = many.chunks(2).map(|half| scope.spawn(|| squares(half))).collect::<Vec<_>>();
//!     halves.into_iter().map(|half| half.join().expect("no operation panics")).collect()
//! });
//! # assert!(squares.iter().all(|half| half.as_ref().is_ok_and(|half| half.len() == 2)));
//! # Ok(())
//! # }
//! ```
//!
//! Each thread keeps the memory of its last operations for its next ones, at most 48 MiB, so that
//! operations do not wait for fresh pages. What holds a key, or what encrypts under one (the ternary
//! and error polynomials), is wiped first; plaintexts and ciphertexts are not.
//!
//! # Bytes
//!
//! [`Wire`] gives every object one canonical form, bit-packed to the primes' lengths, seeded where there
//! is a seed, bound to its parameters by their hash. Reading checks everything before it allocates or
//! uses it. Inside serde formats an object is [`Encoded`].
//!
//! The transform is `concrete-ntt`'s `fwd` and `inv`, and only those: its pointwise products give wrong
//! results for many primes (zama-ai/tfhe-rs issue 2037).

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::inline_always,
    reason = "residues are below 2^30, so narrowing and floating are what modular arithmetic does; \
              kernel bodies have to be inlined into the function that holds the wide instructions"
)]

mod basis;
mod buffer;
mod ciphertext;
mod codec;
mod decrypt;
mod encode;
mod error;
mod evaluate;
mod kernel;
mod keys;
mod live;
mod modulus;
mod noise;
mod ntt;
mod params;
mod plaintext;
mod poly;
mod prime;
mod sample;
mod scale;
mod seed;
mod threshold;

pub use ciphertext::{Ciphertext, CommonPart, SeededCiphertext};
pub use codec::{Encoded, Kind, Wire, WireError};
pub use decrypt::{DecodeError, RawDecryption};
pub use error::Mismatch;
pub use evaluate::{PlainMatrix, Polynomial, Sign, mean, variance};
pub use kernel::{Vectors, limit_vectors};
pub use keys::{Automorphism, GaloisKey, GaloisKeys, PublicKey, RelinKey, SecretKey};
pub use live::LiveCiphertext;
pub use noise::Noise;
pub use num_complex::Complex64;
pub use params::{Literal, Params, ParamsError, Security};
pub use plaintext::{EncodeError, Plaintext, PreparedPlaintext};
pub use scale::Scale;
pub use seed::Seed;
pub use threshold::{
    ActiveSet, Commitment, DealtShare, KeyShare, LivePartial, MeanPartial, PartialDecryption, RelinCeremony,
    SecretShare, Smudging, ThresholdError, combine_live, joint_seed,
};
