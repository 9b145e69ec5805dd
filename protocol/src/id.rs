//! Names: of deployments, parties, meters, records and releases.
//!
//! Every name that appears in a topic is one MQTT topic level and can never be a wildcard.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use rand::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest textual name, in bytes.
pub const MAX_NAME: usize = 32;

/// Text that is not a name, or hex that is not an id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdError {
    /// Not 1 to [`MAX_NAME`] of `a-z`, `0-9` and `-`.
    #[error("`{found}` is not a name: a name is 1 to {MAX_NAME} of a-z, 0-9 and -")]
    Name {
        /// What was given, cut at 64 characters.
        found: String,
    },
    /// Not the hexadecimal form of an id of this length.
    #[error("`{found}` is not an id of {wanted} lower-case hexadecimal digits")]
    Hex {
        /// What was given, cut at 64 characters.
        found: String,
        /// Hexadecimal digits wanted.
        wanted: usize,
    },
}

fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Defines a textual name.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                let fits = (1..=MAX_NAME).contains(&text.len());
                if fits && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
                    Ok(Self(text))
                } else {
                    Err(IdError::Name { found: clip(&text) })
                }
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

/// Defines an id of fixed length, a CBOR byte string on the wire and hexadecimal for people.
macro_rules! bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Its bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let refused = || IdError::Hex { found: clip(text), wanted: 2 * $len };
                if text.len() != 2 * $len {
                    return Err(refused());
                }
                let mut bytes = [0; $len];
                HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).map_err(|_| refused())?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let bytes: serde_bytes::ByteBuf = Deserialize::deserialize(deserializer)?;
                let found = bytes.len();
                let bytes = <[u8; $len]>::try_from(bytes.into_vec())
                    .map_err(|_| de::Error::invalid_length(found, &concat!($len, " bytes")))?;
                Ok(Self(bytes))
            }
        }
    };
}

name! {
    /// A deployment's name: one utility, one roster chain.
    Deployment
}
name! {
    /// An aggregator's name.
    AggregatorId
}
name! {
    /// A group of meters whose load curve may be released.
    GroupId
}
name! {
    /// A tariff's name.
    TariffId
}
name! {
    /// A service point's name: the place that energy is delivered to; it outlives its meters.
    ServicePoint
}

bytes! {
    /// A meter's name: a pseudonym of 16 random bytes.
    MeterId, 16
}
bytes! {
    /// A query's name: 16 random bytes, chosen and stored by the sink before it sends.
    QueryId, 16
}
bytes! {
    /// A record's hash: its name, the dedupe key and the evidence of equivocation.
    Rid, 32
}
bytes! {
    /// SHA-256 of received bytes.
    Hash, 32
}

impl MeterId {
    /// A fresh pseudonym.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

impl QueryId {
    /// A fresh query id.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever parses as a name is one topic level without wildcards, and prints back.
        #[test]
        fn names_are_one_topic_level(text in ".{0,40}") {
            if let Ok(name) = text.parse::<AggregatorId>() {
                prop_assert_eq!(name.to_string(), &text[..]);
                prop_assert!(!text.is_empty() && !text.contains(['/', '+', '#', '$', '.', '\0']));
            }
        }

        /// Ids print as hexadecimal and parse back.
        #[test]
        fn ids_print_and_parse(bytes: [u8; 16]) {
            let id = MeterId::from(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    /// What is refused says what was wanted.
    #[test]
    fn refuses_wildcards_and_capitals() {
        for bad in ["", "+", "#", "a/b", "$share", "Agg-1", "a.b", &"a".repeat(33)] {
            assert!(matches!(bad.parse::<AggregatorId>(), Err(IdError::Name { .. })), "{bad}");
        }
        for bad in ["", "00", &"A".repeat(32), &"é".repeat(16)] {
            assert!(matches!(bad.parse::<MeterId>(), Err(IdError::Hex { wanted: 32, .. })), "{bad}");
        }
    }
}
