//! Sealed boxes: HPKE in mode Base [RFC 9180, section 6.1], one shot, to one key.
//!
//! Two suites: X25519-HKDF-SHA256 and X-Wing (X25519 with ML-KEM-768, post-quantum), both with HKDF-SHA256 or the
//! KEM's own derivation and ChaCha20-Poly1305. Who sent a box is proved outside, by one signature over all boxes.

use std::fmt;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, X25519HkdfSha256, XWing};
use hpke::{Deserializable, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal_with_rng};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use zeroize::Zeroizing;

use crate::id::Hash;
use crate::shamir::Point;
use crate::signature::hash;

/// How a box is sealed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Suite {
    /// Suite 1: X25519-HKDF-SHA256, HKDF-SHA256, ChaCha20-Poly1305.
    X25519,
    /// Suite 2: X-Wing (ML-KEM-768 with X25519), HKDF-SHA256, ChaCha20-Poly1305.
    XWing,
}

/// A suite number that `wv/1` does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("suite {0} is neither 1 (X25519) nor 2 (X-Wing)")]
pub struct SuiteError(u8);

impl TryFrom<u8> for Suite {
    type Error = SuiteError;

    fn try_from(number: u8) -> Result<Self, SuiteError> {
        match number {
            1 => Ok(Self::X25519),
            2 => Ok(Self::XWing),
            other => Err(SuiteError(other)),
        }
    }
}

impl From<Suite> for u8 {
    fn from(suite: Suite) -> Self {
        match suite {
            Suite::X25519 => 1,
            Suite::XWing => 2,
        }
    }
}

/// Why a public key is none that boxes can be sealed to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// It is of another length.
    #[error("it has {found} bytes, and a public key of suite {suite:?} has {wanted}")]
    Length {
        /// Its suite.
        suite: Suite,
        /// Its bytes.
        found: usize,
        /// A key's bytes.
        wanted: usize,
    },
    /// Its ML-KEM-768 part has coefficients that are not reduced [FIPS 203, section 7.2].
    #[error("a coefficient of its ML-KEM-768 part is not below the modulus of 3329")]
    Modulus,
    /// Its X25519 point, zero for instance, has the same product, zero, with every secret [RFC 7748, section 6.1].
    #[error("its X25519 point is of low order, so that everybody knows what it agrees on with anybody")]
    LowOrder,
}

/// Why a box can't be sealed or opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BoxError {
    /// The recipient's public key is not one of its suite, as [`SealingKey::check`] finds beforehand.
    #[error("the key of {found} bytes is not a public key of suite {suite:?}")]
    PublicKey {
        /// The suite.
        suite: Suite,
        /// Bytes given.
        found: usize,
    },
    /// The box was sealed to another key, or was changed, or for another purpose.
    #[error("the box does not open with key {key_id}")]
    Open {
        /// The recipient's key.
        key_id: u32,
    },
    /// The box names another key than the one at hand.
    #[error("the box is sealed to key {found}, this is key {wanted}")]
    KeyId {
        /// The key the box names.
        found: u32,
        /// The key at hand.
        wanted: u32,
    },
}

/// A public key that boxes are sealed to, as somebody stated it: [`check`](Self::check) tells whether that is possible.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct SealingKey {
    /// The recipient's number for it.
    pub key_id: u32,
    /// Its suite.
    pub suite: Suite,
    /// 32 bytes for suite 1, 1,216 for suite 2.
    key: ByteBuf,
}

/// A secret key that opens boxes. It does not print, and is erased when dropped.
pub struct OpeningKey {
    key_id: u32,
    suite: Suite,
    secret: Zeroizing<Vec<u8>>,
}

/// A sealed box.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct SealedBox {
    /// Which of the recipient's keys opens it.
    pub key_id: u32,
    /// The encapsulated key: 32 bytes for suite 1, 1,120 for suite 2.
    enc: ByteBuf,
    /// The ciphertext and its tag of 16 bytes.
    ct: ByteBuf,
}

impl SealedBox {
    /// The hash that a record names it by: it binds the recipient and every byte.
    pub fn hash(&self, to: Point) -> Hash {
        let enc_len = (self.enc.len() as u64).to_be_bytes();
        hash("box", &[&[u8::from(to)], &self.key_id.to_be_bytes(), &enc_len, &self.enc, &self.ct])
    }

    /// Bytes of the ciphertext with its tag.
    pub fn ciphertext_len(&self) -> usize {
        self.ct.len()
    }
}

/// Bytes of an X25519 point.
const X25519_BYTES: usize = 32;
/// Bytes of an X-Wing public key: those of ML-KEM-768's, 1,184, then an X25519 point [draft-connolly-cfrg-xwing-kem-06, section 5.2].
const XWING_BYTES: usize = 1_184 + X25519_BYTES;

impl SealingKey {
    /// Whether boxes can be sealed to it: then [`seal`](Self::seal) does not fail. [`Roster::accept`](crate::roster::Roster::accept)
    /// asks of every key in a roster. It costs about one sealing.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn check(&self) -> Result<(), KeyError> {
        let (suite, found) = (self.suite, self.key.len());
        let wanted = match suite {
            Suite::X25519 => X25519_BYTES,
            Suite::XWing => XWING_BYTES,
        };
        let point = self.key.last_chunk::<X25519_BYTES>().filter(|_| found == wanted);
        let point = point.ok_or(KeyError::Length { suite, found, wanted })?;
        if suite == Suite::XWing && <XWing as Kem>::PublicKey::from_bytes(&self.key).is_err() {
            return Err(KeyError::Modulus);
        }
        // [RFC 7748, sections 5 and 6.1]  X25519(k, u) = 0 for one k exactly if for every k, as each is a multiple of the cofactors
        // and none is one of the large primes
        if x25519_dalek::x25519([0; X25519_BYTES], *point) == [0; X25519_BYTES] {
            return Err(KeyError::LowOrder);
        }
        Ok(())
    }

    /// Seals `plaintext` for `info` (the purpose) and `aad` (what it belongs to).
    ///
    /// # Errors
    ///
    /// [`BoxError::PublicKey`], for no key that [`check`](Self::check) lets pass, and so for none of an accepted roster.
    pub fn seal<R: CryptoRng>(
        &self,
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<SealedBox, BoxError> {
        let (enc, ct) = match self.suite {
            Suite::X25519 => self.seal_with::<X25519HkdfSha256, R>(info, aad, plaintext, rng),
            Suite::XWing => self.seal_with::<XWing, R>(info, aad, plaintext, rng),
        }?;
        Ok(SealedBox { key_id: self.key_id, enc: ByteBuf::from(enc), ct: ByteBuf::from(ct) })
    }

    fn seal_with<K: Kem, R: CryptoRng>(
        &self,
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<(Vec<u8>, Vec<u8>), BoxError> {
        let refused = BoxError::PublicKey { suite: self.suite, found: self.key.len() };
        let key = K::PublicKey::from_bytes(&self.key).map_err(|_| refused)?;
        let (enc, ct) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, K>(
            &OpModeS::Base,
            &key,
            info,
            plaintext,
            aad,
            rng,
        )
        .map_err(|_| refused)?;
        Ok((enc.to_bytes().to_vec(), ct))
    }
}

impl OpeningKey {
    /// A fresh key pair.
    pub fn generate<R: CryptoRng>(key_id: u32, suite: Suite, rng: &mut R) -> Self {
        let secret = match suite {
            Suite::X25519 => X25519HkdfSha256::gen_keypair_with_rng(rng).0.to_bytes().to_vec(),
            Suite::XWing => XWing::gen_keypair_with_rng(rng).0.to_bytes().to_vec(),
        };
        Self { key_id, suite, secret: Zeroizing::new(secret) }
    }

    /// From the 32 secret bytes of a key file, or `None` for another length.
    pub fn from_bytes(key_id: u32, suite: Suite, secret: &[u8]) -> Option<Self> {
        (secret.len() == 32).then(|| Self { key_id, suite, secret: Zeroizing::new(secret.to_vec()) })
    }

    /// The 32 secret bytes, for a key file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.secret
    }

    /// Its number.
    pub fn key_id(&self) -> u32 {
        self.key_id
    }

    /// Its suite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The public half.
    pub fn sealing_key(&self) -> SealingKey {
        let key = match self.suite {
            Suite::X25519 => public_of::<X25519HkdfSha256>(&self.secret),
            Suite::XWing => public_of::<XWing>(&self.secret),
        };
        SealingKey { key_id: self.key_id, suite: self.suite, key: ByteBuf::from(key) }
    }

    /// Opens a box sealed to this key for `info` and `aad`.
    ///
    /// # Errors
    ///
    /// [`BoxError::KeyId`], [`BoxError::Open`].
    pub fn open(&self, info: &[u8], aad: &[u8], sealed: &SealedBox) -> Result<Zeroizing<Vec<u8>>, BoxError> {
        if sealed.key_id != self.key_id {
            return Err(BoxError::KeyId { found: sealed.key_id, wanted: self.key_id });
        }
        match self.suite {
            Suite::X25519 => self.open_with::<X25519HkdfSha256>(info, aad, sealed),
            Suite::XWing => self.open_with::<XWing>(info, aad, sealed),
        }
    }

    fn open_with<K: Kem>(
        &self,
        info: &[u8],
        aad: &[u8],
        sealed: &SealedBox,
    ) -> Result<Zeroizing<Vec<u8>>, BoxError> {
        let refused = BoxError::Open { key_id: self.key_id };
        let key = K::PrivateKey::from_bytes(&self.secret).map_err(|_| refused)?;
        let enc = K::EncappedKey::from_bytes(&sealed.enc).map_err(|_| refused)?;
        single_shot_open::<ChaCha20Poly1305, HkdfSha256, K>(&OpModeR::Base, &key, &enc, info, &sealed.ct, aad)
            .map(Zeroizing::new)
            .map_err(|_| refused)
    }
}

fn public_of<K: Kem>(secret: &[u8]) -> Vec<u8> {
    let key = K::PrivateKey::from_bytes(secret).expect("a secret key is 32 bytes by construction");
    K::sk_to_pk(&key).to_bytes().to_vec()
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpeningKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn stated(suite: Suite, key: impl Into<Vec<u8>>) -> SealingKey {
        SealingKey { key_id: 1, suite, key: ByteBuf::from(key) }
    }

    fn own(suite: Suite) -> Vec<u8> {
        let key = OpeningKey::generate(1, suite, &mut ChaCha20Rng::seed_from_u64(12)).sealing_key();
        assert_eq!(key.check(), Ok(()));
        key.key.into_vec()
    }

    /// u of every point whose order divides a cofactor, on the curve and on its twist, with their other encodings in 32 bytes.
    fn low_order() -> Vec<[u8; 32]> {
        let p =
            |low: u8| std::array::from_fn(|i| [low, 0xff, 0x7f][usize::from(i > 0) + usize::from(i == 31)]);
        let small = |low: u8| std::array::from_fn(|i| if i == 0 { low } else { 0 });
        // of order 8, as RFC 7748 has bytes
        let eighth = [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
            0x6a, //
            0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
        ];
        let other = [
            0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
            0x5b, //
            0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
        ];
        // 0, 1, p − 1, p, p + 1
        let mut points = vec![small(0), small(1), p(0xec), p(0xed), p(0xee), eighth, other];
        // the highest bit does not count
        points.extend(points.clone().iter_mut().map(|point| {
            point[31] |= 0x80;
            *point
        }));
        points
    }

    /// A key of another length, or of low order in either suite, or with a coefficient of q or more, is none.
    #[test]
    fn keys_are_looked_at() {
        for (suite, wanted) in [(Suite::X25519, 32), (Suite::XWing, 1_216)] {
            for found in
                [0, 31, 32, 33, 1_184, 1_215, 1_216, 1_217].into_iter().filter(|found| *found != wanted)
            {
                let refused = KeyError::Length { suite, found, wanted };
                assert_eq!(stated(suite, vec![9; found]).check(), Err(refused));
            }
            for point in low_order() {
                let mut key = own(suite);
                key[wanted - 32..].copy_from_slice(&point);
                assert_eq!(stated(suite, key).check(), Err(KeyError::LowOrder), "{point:?}");
            }
        }
        // each coefficient has 12 bits; the first: q − 1, q, all ones
        for (low, high, fits) in [(0x00, 0xd, true), (0x01, 0xd, false), (0xff, 0xf, false)] {
            let mut key = own(Suite::XWing);
            (key[0], key[1]) = (low, key[1] & 0xf0 | high);
            assert_eq!(stated(Suite::XWing, key).check(), if fits { Ok(()) } else { Err(KeyError::Modulus) });
        }
    }

    proptest! {
        /// What is let pass can be sealed to; what is not, can't, but for X-Wing, which seals to half a key too.
        #[test]
        fn keys_that_pass_are_sealed_to(
            bytes: [u8; 32],
            low in 0..20_usize,
            place in prop::option::of(0..1_184_usize),
            post_quantum: bool,
        ) {
            let suite = if post_quantum { Suite::XWing } else { Suite::X25519 };
            let point = low_order().get(low).copied().unwrap_or(bytes);
            let mut key = own(suite);
            let last = key.len() - 32;
            let at = place.map_or(last, |place| place.min(last));
            key[at..at + 32].copy_from_slice(&point);
            let key = stated(suite, key);
            let sealed = key.seal(b"", b"", b"", &mut ChaCha20Rng::seed_from_u64(13));
            match key.check() {
                Ok(()) => prop_assert!(sealed.is_ok()),
                Err(KeyError::LowOrder) if suite == Suite::XWing => (),
                Err(_) => prop_assert!(sealed.is_err()),
            }
        }
    }

    /// A box opens with its key, purpose and association, and with nothing else, in both suites.
    #[test]
    fn boxes_are_bound() {
        for suite in [Suite::X25519, Suite::XWing] {
            let mut rng = ChaCha20Rng::seed_from_u64(9);
            let key = OpeningKey::generate(3, suite, &mut rng);
            let sealed = key.sealing_key().seal(b"info", b"aad", b"share", &mut rng).unwrap();
            assert_eq!(&key.open(b"info", b"aad", &sealed).unwrap()[..], b"share");
            assert_eq!(key.open(b"other", b"aad", &sealed), Err(BoxError::Open { key_id: 3 }));
            assert_eq!(key.open(b"info", b"other", &sealed), Err(BoxError::Open { key_id: 3 }));
            let stranger = OpeningKey::generate(3, suite, &mut rng);
            assert_eq!(stranger.open(b"info", b"aad", &sealed), Err(BoxError::Open { key_id: 3 }));
            let newer = OpeningKey::generate(4, suite, &mut rng);
            assert_eq!(newer.open(b"info", b"aad", &sealed), Err(BoxError::KeyId { found: 3, wanted: 4 }));
            let reread = OpeningKey::from_bytes(3, suite, key.as_bytes()).unwrap();
            assert_eq!(&reread.open(b"info", b"aad", &sealed).unwrap()[..], b"share");
        }
    }

    /// Every changed byte of a box is noticed, and the hash too.
    #[test]
    fn boxes_are_tamper_evident() {
        let mut rng = ChaCha20Rng::seed_from_u64(10);
        let key = OpeningKey::generate(1, Suite::X25519, &mut rng);
        let sealed = key.sealing_key().seal(b"info", b"aad", b"share", &mut rng).unwrap();
        let to = Point::first(2);
        for i in 0..sealed.ct.len() {
            let mut bad = sealed.clone();
            bad.ct[i] ^= 0x80;
            assert!(key.open(b"info", b"aad", &bad).is_err());
            assert_ne!(bad.hash(to[0]), sealed.hash(to[0]));
        }
        assert_ne!(sealed.hash(to[0]), sealed.hash(to[1]));
    }

    /// A public key of the wrong length is refused.
    #[test]
    fn refuses_foreign_keys() {
        let key = SealingKey { key_id: 1, suite: Suite::XWing, key: ByteBuf::from(vec![0; 32]) };
        let mut rng = ChaCha20Rng::seed_from_u64(11);
        assert_eq!(
            key.seal(b"", b"", b"", &mut rng),
            Err(BoxError::PublicKey { suite: Suite::XWing, found: 32 })
        );
        assert_eq!(Suite::try_from(3), Err(SuiteError(3)));
    }
}
