//! Uploads: a meter's ciphertexts, and what aggregators say of having taken them.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{Hash, MeterId};
use crate::levelled::blob::Blob;
use crate::rule::Rule;
use crate::shamir::Point;
use crate::signature::Document;
use crate::unit::{SlotRange, Timestamp};

/// What a meter signs for a ciphertext.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Upload {
    /// The collective key: its plan's hash.
    pub key: Hash,
    /// The meter.
    pub meter: MeterId,
    /// The slots it encrypts, all in one window.
    pub slots: SlotRange,
    /// The ciphertext.
    pub ciphertext: Blob,
}

impl Document for Upload {
    const KIND: &'static str = "upload";
}

/// An upload that was refused.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct NotTaken {
    /// The upload.
    pub upload: Hash,
    /// Why.
    pub rule: Rule,
}

/// An aggregator's word that it holds uploads durably, or never will.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Taken {
    /// The aggregator.
    pub point: Point,
    /// The meter.
    pub meter: MeterId,
    /// Uploads that are held.
    pub held: Vec<Hash>,
    /// Uploads that were refused.
    pub refused: Vec<NotTaken>,
    /// When.
    pub at: Timestamp,
}

impl Document for Taken {
    const KIND: &'static str = "word";
}
