//! Seeds, and how they expand: the order is part of the format, since seeds travel.
//!
//! A stream is ChaCha (64-bit counter from 0, 64-bit stream number as nonce) under the seed as key,
//! read as little-endian 32-bit words. The stream number says what is drawn:
//! `purpose·2^48 + part·2^16 + index`.
//!
//! Whatever is secret comes from ChaCha with 20 rounds. Public uniform polynomials come from ChaCha with
//! 8: there is nothing to hide in them, they only have to have no structure, no attack on ChaCha reaches
//! 8 rounds, and expanding them is most of the cost of a seeded ciphertext.

use chacha20::{ChaCha8Rng, ChaCha20Rng};
use rand_core::{CryptoRng, Rng, SeedableRng};
use zeroize::Zeroize;

/// What a stream is for. The numbers are part of the format.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// A uniform polynomial, `part` its number among those of one seed, `index` the prime's.
    Uniform = 1,
    /// A ternary polynomial.
    Ternary = 2,
    /// An error polynomial.
    Error = 3,
    /// Smudging noise.
    Smudging = 4,
}

/// 32 public bytes that stand for uniform polynomials.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Seed(pub [u8; 32]);

impl Seed {
    /// Draws a seed.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The stream of a public uniform polynomial.
    pub(crate) fn stream(&self, part: usize, index: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::from_seed(self.0);
        rng.set_stream(number(Purpose::Uniform, part, index));
        rng
    }
}

/// 32 secret bytes that stand for secret polynomials: wiped on drop, never printed.
pub(crate) struct SecretSeed([u8; 32]);

impl SecretSeed {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    pub(crate) fn stream(&self, purpose: Purpose, part: usize, index: usize) -> ChaCha20Rng {
        let mut rng = ChaCha20Rng::from_seed(self.0);
        rng.set_stream(number(purpose, part, index));
        rng
    }
}

impl Clone for SecretSeed {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl Drop for SecretSeed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

fn number(purpose: Purpose, part: usize, index: usize) -> u64 {
    ((purpose as u64) << 48) + ((part as u64) << 16) + index as u64
}

/// Fills words from a stream, in order.
pub(crate) fn fill_words(rng: &mut impl Rng, words: &mut [u32]) {
    rng.fill_bytes(bytemuck::cast_slice_mut(words));
    for word in words {
        *word = u32::from_le(*word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7539's block function with an all-zero key and nonce: the streams are plain ChaCha20.
    #[test]
    fn streams_are_chacha20() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let mut words = [0; 4];
        fill_words(&mut rng, &mut words);
        assert_eq!(words, [0xade0_b876, 0x903d_f1a0, 0xe56a_5d40, 0x28bd_8653]);
    }

    #[test]
    fn streams_differ_by_every_field() {
        let seed = SecretSeed::new([7; 32]);
        let first = |p, part, index| seed.stream(p, part, index).next_u64();
        let all = [
            first(Purpose::Uniform, 0, 0),
            first(Purpose::Uniform, 0, 1),
            first(Purpose::Uniform, 1, 0),
            first(Purpose::Error, 0, 0),
            Seed([7; 32]).stream(0, 0).next_u64(),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
    }
}
