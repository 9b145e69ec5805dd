//! Randomness that does not rest on one source.
//!
//! Two batches that are shared with the same polynomials tell an aggregator their difference. A generator that is handed the
//! same state twice does that: a virtual machine or a device's image that is restored, a process that forked, a platform
//! whose entropy is bad. So whatever a meter seals takes its randomness from the generator, the meter's secret key and
//! what is sealed together, and is as good as the best of them: with a generator that repeats, other contents have other
//! polynomials, and the same contents the same bytes, which tell nothing new [RFC 8937, section 3, with the key itself where that
//! has a signature by it].

use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::signature::SigningKey;

/// A generator of what `rng` gives, a secret key, and what it is for; each part of `about` counts as its own.
pub fn hedged<R: CryptoRng>(rng: &mut R, key: &SigningKey, about: &[&[u8]]) -> StdRng {
    let mut fresh = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *fresh);
    let mut sha = Sha256::new();
    sha.update("wv/1 hedge\0");
    sha.update(key.as_bytes());
    sha.update(*fresh);
    for part in about {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    StdRng::from_seed(*Zeroizing::new(sha.finalize().into()))
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn first(seed: u64, key: u8, about: &[&[u8]]) -> u64 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        hedged(&mut rng, &SigningKey::from_bytes(&[key; 32]), about).next_u64()
    }

    /// Each of generator, key and purpose makes another stream, and where parts of the purpose are cut counts.
    #[test]
    fn everything_counts() {
        let streams = [
            first(1, 1, &[b"head", b"values"]),
            first(2, 1, &[b"head", b"values"]),
            first(1, 2, &[b"head", b"values"]),
            first(1, 1, &[b"head", b"other"]),
            first(1, 1, &[b"headv", b"alues"]),
            first(1, 1, &[b"head"]),
        ];
        for (index, stream) in streams.iter().enumerate() {
            assert!(!streams[..index].contains(stream), "{index}");
        }
        assert_eq!(first(1, 1, &[b"head", b"values"]), streams[0]);
    }
}
