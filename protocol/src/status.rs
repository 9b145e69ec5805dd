//! Status: what a role says of itself, for operators; nothing depends on it.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::wire::{self, DecodeError};

/// A role's status.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Status {
    /// `up`, or `down` in a last will.
    pub state: String,
    /// The program's version.
    pub version: String,
    /// The roster epoch it works under.
    pub roster_epoch: u32,
    /// Messages or records waiting.
    pub backlog: u64,
}

impl Status {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Takes a status apart.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        wire::decode(bytes)
    }
}
