//! The grid path's messages: load vectors, which are ciphertexts, and the key deals that let aggregators open their sums.
//!
//! Nothing here knows a lattice: a ciphertext and a share of a key are bytes. What must stay true:
//! * a load vector is the same bytes for every aggregator, signed once, and names the deal of the key that it is under;
//! * a deal is one signed document for all aggregators; each chunk of it is sealed to one of them.

use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{Hash, MeterId};
use crate::signature::Document;
use crate::unit::SlotRange;

mod deal;

pub use self::deal::{
    CHUNK_BYTES, ChunkError, DealMessage, MAX_CHUNKS, SealedDeal, VerifiedChunk, seal_deal,
};

/// A meter's load vector of an interval, encrypted under its own key.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct LoadVector {
    /// The roster that the common part of the ciphertext is bound to.
    pub roster_epoch: u32,
    /// The meter.
    pub meter: MeterId,
    /// The meter's number for it, in one count with its records.
    pub seq: u64,
    /// The interval.
    pub slots: SlotRange,
    /// The deal of the key that it is encrypted under.
    pub deal: Hash,
    /// The ciphertext.
    pub ciphertext: ByteBuf,
}

impl Document for LoadVector {
    const KIND: &'static str = "load-vector";
}

/// What a meter signs for all chunks of a key deal.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Deal {
    /// The roster whose active sets it is for.
    pub roster_epoch: u32,
    /// The meter.
    pub meter: MeterId,
    /// The number of its first chunk; the next chunk has the next number.
    pub seq: u64,
    /// For each aggregator, in the roster's order, the hash of its chunks' hashes.
    pub chunks: Vec<Hash>,
}

impl Document for Deal {
    const KIND: &'static str = "deal";
}
