//! Levelled approximate homomorphic encryption: RNS-CKKS over primes below `2^30`.

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
pub use keys::{Automorphism, GaloisKey, GaloisKeys, PublicKey, RelinKey, SecretKey};
pub use live::LiveCiphertext;
pub use noise::Noise;
pub use num_complex::Complex64;
pub use params::{Literal, Params, ParamsError, Security};
pub use plaintext::{EncodeError, Plaintext, PreparedPlaintext};
pub use scale::Scale;
pub use seed::Seed;
pub use threshold::{
    ActiveSet, Commitment, DealtShare, KeyShare, LivePartial, PartialDecryption, RelinCeremony,
    SecretShare, Smudging, ThresholdError, combine_live, joint_seed,
};
