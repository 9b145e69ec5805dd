//! Signatures: Ed25519 [RFC 8032], verified strictly, over domain-separated bytes.
//!
//! What is signed is `"wv/1 <type>" ‖ 0 ‖ context ‖ body`, where the context is the roster's hash (or what stands
//! for it where there is no roster yet). Received bytes are kept and hashed; nothing is encoded again.

use std::fmt;
use std::ops::Deref;

use ed25519_dalek::Signer;
use rand::CryptoRng;
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use crate::PROTOCOL;
use crate::id::Hash;
use crate::wire::{self, DecodeError};

/// SHA-256 of `"wv/1 <label>" ‖ 0 ‖ parts…`; callers make the parts self-delimiting.
pub fn hash(label: &str, parts: &[&[u8]]) -> Hash {
    let mut sha = Sha256::new();
    sha.update(PROTOCOL);
    sha.update(" ");
    sha.update(label);
    sha.update([0]);
    for part in parts {
        sha.update(part);
    }
    Hash::from(<[u8; 32]>::from(sha.finalize()))
}

/// What a signature is bound to beside its document: usually the roster's hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Context(Hash);

impl From<Hash> for Context {
    fn from(hash: Hash) -> Self {
        Self(hash)
    }
}

impl Context {
    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// A signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Signature(ed25519_dalek::Signature);

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0.to_bytes())
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: ByteBuf = Deserialize::deserialize(deserializer)?;
        ed25519_dalek::Signature::from_slice(&bytes)
            .map(Self)
            .map_err(|_| de::Error::invalid_length(bytes.len(), &"a signature of 64 bytes"))
    }
}

/// A public key that signatures are checked with.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

/// A signature that is not by this key over these bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct SignatureError;

/// Bytes that are no usable public key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the bytes are not an Ed25519 public key")]
pub struct KeyError;

impl VerifyingKey {
    /// From 32 bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError`] for bytes that are no point, and for points of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError)?;
        if key.is_weak() { Err(KeyError) } else { Ok(Self(key)) }
    }

    /// Its 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key's hash, which people compare and meters pin.
    pub fn fingerprint(&self) -> Hash {
        hash("fingerprint", &[self.0.as_bytes()])
    }

    /// Checks a signature by this key [RFC 8032, with the strict rules of `ed25519_dalek::verify_strict`].
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(
        &self,
        kind: &str,
        context: &Context,
        body: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        self.0.verify_strict(&to_be_signed(kind, context, body), &signature.0).map_err(|_| SignatureError)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.fingerprint())
    }
}

impl Serialize for VerifyingKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_bytes())
    }
}

impl<'de> Deserialize<'de> for VerifyingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: ByteBuf = Deserialize::deserialize(deserializer)?;
        let bytes = <[u8; 32]>::try_from(bytes.as_slice())
            .map_err(|_| de::Error::invalid_length(bytes.len(), &"a public key of 32 bytes"))?;
        Self::from_bytes(&bytes).map_err(de::Error::custom)
    }
}

/// A secret key that signs. It does not print, and is erased when dropped.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A fresh key.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(ed25519_dalek::SigningKey::generate(rng))
    }

    /// From its 32 secret bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(bytes))
    }

    /// Its 32 secret bytes, for a key file.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Signs `body` as a document of `kind` under `context`.
    pub fn sign(&self, kind: &str, context: &Context, body: &[u8]) -> Signature {
        Signature(self.0.sign(&to_be_signed(kind, context, body)))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").finish_non_exhaustive()
    }
}

fn to_be_signed(kind: &str, context: &Context, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PROTOCOL.len() + kind.len() + 34 + body.len());
    for part in [PROTOCOL.as_bytes(), b" ", kind.as_bytes(), &[0], context.as_bytes(), body] {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// A document that is signed: its kind separates its signatures from all others'.
pub trait Document: Serialize + DeserializeOwned {
    /// The type's name in `"wv/1 <type>"`.
    const KIND: &'static str;
}

/// A document whose signature was checked, with the bytes it came in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signed<T> {
    document: T,
    hash: Hash,
    context: Context,
    bytes: Vec<u8>,
}

/// A document that claims to be signed by somebody; only its claim may be read, to find the key.
#[derive(Clone, Debug)]
pub struct Unverified<T> {
    document: T,
    envelope: Envelope,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Envelope(ByteBuf, Signature);

impl<T: Document> Signed<T> {
    /// Signs a document.
    pub fn sign(document: T, key: &SigningKey, context: &Context) -> Self {
        let body = wire::encode(&document);
        let signature = key.sign(T::KIND, context, &body);
        let hash = hash(T::KIND, &[&body]);
        Self {
            document,
            hash,
            context: *context,
            bytes: wire::encode(&Envelope(ByteBuf::from(body), signature)),
        }
    }

    /// Takes a document whose signer is known beforehand.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(bytes: &[u8], key: &VerifyingKey, context: &Context) -> Result<Self, OpenError> {
        Ok(Unverified::parse(bytes)?.verify(key, context)?)
    }
}

impl<T> Signed<T> {
    /// The document's hash: SHA-256 over its kind and its received bytes, without the signature.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// What its signature is bound to.
    pub fn context(&self) -> Context {
        self.context
    }

    /// The bytes it came in, signature included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, when the document is no longer needed.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl<T> Deref for Signed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.document
    }
}

/// Why bytes are not a signed document by this key.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bytes are no such document.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Somebody else signed, or something else was signed.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl<T: Document> Unverified<T> {
    /// Takes the envelope apart without believing it.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let envelope: Envelope = wire::decode(bytes)?;
        let document = wire::decode(&envelope.0)?;
        Ok(Self { document, envelope, bytes: bytes.to_vec() })
    }

    /// What the document claims: to be used to find the signer's key, nothing else.
    pub fn claim(&self) -> &T {
        &self.document
    }

    /// The hash it will have once verified.
    pub fn hash(&self) -> Hash {
        hash(T::KIND, &[&self.envelope.0])
    }

    /// Checks the signature.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(self, key: &VerifyingKey, context: &Context) -> Result<Signed<T>, SignatureError> {
        key.verify(T::KIND, context, &self.envelope.0, &self.envelope.1)?;
        let hash = self.hash();
        Ok(Signed { document: self.document, hash, context: *context, bytes: self.bytes })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    #[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
    struct Note(u32);

    impl Document for Note {
        const KIND: &'static str = "note";
    }

    #[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
    struct Other(u32);

    impl Document for Other {
        const KIND: &'static str = "other";
    }

    /// A signature holds for its kind, context, key and bytes only.
    #[test]
    fn signatures_are_bound() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (key, stranger) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
        let (here, there) = (Context(Hash::from([1; 32])), Context(Hash::from([2; 32])));
        let signed = Signed::sign(Note(7), &key, &here);
        let bytes = signed.bytes().to_vec();
        assert_eq!(Signed::<Note>::open(&bytes, &key.verifying_key(), &here).unwrap(), signed);
        assert!(Signed::<Note>::open(&bytes, &key.verifying_key(), &there).is_err());
        assert!(Signed::<Note>::open(&bytes, &stranger.verifying_key(), &here).is_err());
        assert!(Signed::<Other>::open(&bytes, &key.verifying_key(), &here).is_err());
        for i in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[i] ^= 1;
            assert!(Signed::<Note>::open(&bad, &key.verifying_key(), &here).is_err(), "byte {i}");
            assert!(Signed::<Note>::open(&bytes[..i], &key.verifying_key(), &here).is_err(), "cut at {i}");
        }
    }

    /// Keys of small order are refused.
    #[test]
    fn refuses_weak_keys() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(VerifyingKey::from_bytes(&identity), Err(KeyError));
    }

    /// A signing key does not print.
    #[test]
    fn signing_key_does_not_print() {
        assert_eq!(format!("{:?}", SigningKey::from_bytes(&[7; 32])), "SigningKey { .. }");
    }
}
