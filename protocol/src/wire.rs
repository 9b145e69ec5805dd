//! Bytes on the wire: deterministic CBOR [RFC 8949, section 4.2.1], and nothing else.
//!
//! Messages are arrays of fields in a fixed order. A payload is accepted only if encoding what it decodes to
//! gives the same bytes, so every value has exactly one encoding and no trailing byte is ever ignored.

use serde::{Serialize, de::DeserializeOwned};

/// The largest document that is taken apart, in bytes.
pub const MAX_DOCUMENT: usize = 1 << 20;

/// Arrays and maps within one another, at most.
const MAX_DEPTH: usize = 16;

/// Why bytes are not the document they should be.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than any document has.
    #[error("{len} bytes are over the limit of {MAX_DOCUMENT}")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// Not CBOR, or not of this message's shape.
    #[error("the bytes are not this message in CBOR: {reason}")]
    Shape {
        /// What the decoder found, never the value itself.
        reason: String,
    },
    /// A second encoding of the same value, or bytes after its end.
    #[error("the bytes are not the deterministic encoding: {found} bytes given, {wanted} are canonical")]
    NotDeterministic {
        /// Bytes given.
        found: usize,
        /// Bytes of the deterministic encoding.
        wanted: usize,
    },
}

/// Encodes a message.
///
/// # Panics
///
/// Never: our messages have no maps with unordered keys, no floats, and a `Vec` takes every byte.
pub fn encode<T: Serialize + ?Sized>(message: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    ciborium::into_writer(message, &mut bytes)
        .expect("a Vec takes every byte and our messages are plain data");
    bytes
}

/// Decodes what this party itself wrote to its own store, however long it is.
///
/// # Errors
///
/// [`DecodeError`].
pub fn decode_own<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode_canonical(bytes)
}

/// Decodes a message.
///
/// # Errors
///
/// [`DecodeError`]; memory used is bounded by the input's length.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(DecodeError::TooLong { len: bytes.len() });
    }
    decode_canonical(bytes)
}

fn decode_canonical<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let message: T = ciborium::de::from_reader_with_recursion_limit(bytes, MAX_DEPTH).map_err(|error| {
        let reason = match error {
            ciborium::de::Error::Io(_) => "it ends too early".to_owned(),
            ciborium::de::Error::Syntax(offset) => format!("syntax at byte {offset}"),
            ciborium::de::Error::Semantic(_, reason) => reason.chars().take(120).collect(),
            ciborium::de::Error::RecursionLimitExceeded => "it is nested too deep".to_owned(),
        };
        DecodeError::Shape { reason }
    })?;
    let canonical = encode(&message);
    if canonical == bytes {
        Ok(message)
    } else {
        Err(DecodeError::NotDeterministic { found: bytes.len(), wanted: canonical.len() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One value, one encoding: long integers, indefinite lengths and trailing bytes are refused.
    #[test]
    fn refuses_other_encodings() {
        assert_eq!(decode::<(u8, u8)>(&[0x82, 0x01, 0x02]).unwrap(), (1, 2));
        for bad in [
            &[0x82, 0x18, 0x01, 0x02][..],                           // 1 in two bytes
            &[0x9f, 0x01, 0x02, 0xff],                               // indefinite length
            &[0x82, 0x01, 0x02, 0x00],                               // trailing byte
            &[0x83, 0x01, 0x02, 0x03],                               // one element too many
            &[0x81, 0x01],                                           // one too few
            &[],                                                     // nothing
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // 2^64 − 1 elements
        ] {
            assert!(decode::<(u8, u8)>(bad).is_err(), "{bad:x?}");
        }
    }

    /// A hostile length costs no memory.
    #[test]
    fn hostile_lengths_are_refused() {
        let claims_4_gib = [0x5b, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3];
        assert!(decode::<serde_bytes::ByteBuf>(&claims_4_gib).is_err());
        let array_claims_2_40 = [0x9b, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3];
        assert!(decode::<Vec<u64>>(&array_claims_2_40).is_err());
        assert!(decode::<Vec<u64>>(&[0x81; 1000]).is_err());
        assert!(matches!(decode::<u8>(&vec![0; MAX_DOCUMENT + 1]), Err(DecodeError::TooLong { .. })));
    }

    proptest! {
        /// No bytes make it panic.
        #[test]
        fn survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let decoded = decode::<(u64, Vec<serde_bytes::ByteBuf>, Option<String>)>(&bytes);
            if let Ok(value) = decoded {
                prop_assert_eq!(encode(&value), bytes);
            }
        }
    }
}
