//! Objects inside serde formats: a byte string that is parsed once its parameters are known.

use super::{Wire, WireError};
use crate::params::Params;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// The bytes of a `T`, as serde carries them: in CBOR a byte string.
///
/// Deserialising cannot check them, since it does not know the parameters; [`Self::open`] does.
#[derive(Clone, Eq, PartialEq)]
pub struct Encoded<T> {
    bytes: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

impl<T: Wire> Encoded<T> {
    /// Encodes an object.
    pub fn new(object: &T) -> Self {
        Self::from_vec(object.to_bytes())
    }

    /// Parses and checks the object.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub fn open(&self, params: &Params) -> Result<T, WireError> {
        T::from_bytes(params, &self.bytes)
    }
}

impl<T> Encoded<T> {
    fn from_vec(bytes: Vec<u8>) -> Self {
        Self { bytes, of: PhantomData }
    }

    /// The bytes as they travel.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T> fmt::Debug for Encoded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({} bytes)", self.bytes.len())
    }
}

impl<T> Serialize for Encoded<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de, T> Deserialize<'de> for Encoded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }
            fn visit_bytes<E: Error>(self, v: &[u8]) -> Result<Vec<u8>, E> {
                Ok(v.to_vec())
            }
            fn visit_byte_buf<E: Error>(self, v: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(v)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
                let mut out = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    out.push(byte);
                }
                Ok(out)
            }
        }
        deserializer.deserialize_byte_buf(Bytes).map(Self::from_vec)
    }
}
