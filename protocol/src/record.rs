//! A record: what a meter signs for a batch of slots, once for all aggregators.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{Hash, MeterId, Rid};
use crate::roster::Roster;
use crate::signature::hash;
use crate::unit::{Slot, SlotRange};
use crate::wire::{self, DecodeError};

/// The most slots in a batch: two days of quarter-hours.
pub const MAX_BATCH: usize = 192;

/// What kind of record it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Kind {
    /// Imported energy.
    Import,
}

impl TryFrom<u8> for Kind {
    type Error = HeadError;

    fn try_from(number: u8) -> Result<Self, HeadError> {
        if number == 1 { Ok(Self::Import) } else { Err(HeadError::Kind(number)) }
    }
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Import => 1,
        }
    }
}

/// Why a head was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HeadError {
    /// Another protocol version.
    #[error("version {0} is not 1")]
    Version(u8),
    /// An unknown kind of record.
    #[error("record kind {0} is not 1")]
    Kind(u8),
    /// No slots, too many, or beyond the last.
    #[error("a batch of {len} slots from {first} is not within 1 to {MAX_BATCH} slots")]
    Slots {
        /// First slot.
        first: u32,
        /// Number of slots.
        len: u16,
    },
    /// Flags that mean nothing yet.
    #[error("flags {0:#x} are not defined")]
    Flags(u8),
}

/// What a record says of itself.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "HeadFields", into = "HeadFields")]
pub struct Head {
    /// The kind of record.
    pub kind: Kind,
    /// The roster it is sealed under.
    pub roster_epoch: u32,
    /// The meter.
    pub meter: MeterId,
    /// The meter's number for it: the outbox's birth in its upper half, a counter in the lower.
    pub seq: u64,
    /// Grows if the same slots are sealed anew.
    pub version: u8,
    /// The slots, at most [`MAX_BATCH`].
    pub slots: SlotRange,
}

#[derive(Deserialize_tuple, Serialize_tuple)]
struct HeadFields {
    protocol: u8,
    kind: Kind,
    roster_epoch: u32,
    meter: MeterId,
    seq: u64,
    version: u8,
    first: u32,
    len: u16,
    flags: u8,
}

impl TryFrom<HeadFields> for Head {
    type Error = HeadError;

    fn try_from(fields: HeadFields) -> Result<Self, HeadError> {
        let HeadFields { protocol, kind, roster_epoch, meter, seq, version, first, len, flags } = fields;
        if protocol != 1 {
            return Err(HeadError::Version(protocol));
        }
        if flags != 0 {
            return Err(HeadError::Flags(flags));
        }
        let slots = first
            .checked_add(u32::from(len))
            .filter(|_| usize::from(len) <= MAX_BATCH)
            .and_then(|end| SlotRange::new(Slot(first), Slot(end)).ok())
            .ok_or(HeadError::Slots { first, len })?;
        Ok(Self { kind, roster_epoch, meter, seq, version, slots })
    }
}

impl From<Head> for HeadFields {
    fn from(head: Head) -> Self {
        Self {
            protocol: 1,
            kind: head.kind,
            roster_epoch: head.roster_epoch,
            meter: head.meter,
            seq: head.seq,
            version: head.version,
            first: head.slots.start().0,
            len: u16::try_from(head.slots.len()).expect("a batch has at most MAX_BATCH slots"),
            flags: 0,
        }
    }
}

/// A batch's head with the hashes of its sealed boxes, one an aggregator in the roster's order.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Record {
    /// The head.
    pub head: Head,
    /// The boxes' hashes.
    pub boxes: Vec<Hash>,
    /// The hash of a ciphertext for the grid path, if one goes with it.
    pub grid: Option<Hash>,
}

impl Record {
    /// Takes a record apart.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        wire::decode(bytes)
    }
}

/// rid = SHA-256(`"wv/1 record" ‖ roster_hash ‖ record`), over the record's bytes as received.
pub fn rid(roster: &Roster, record: &[u8]) -> Rid {
    Rid::from(*hash("record", &[roster.hash().as_bytes(), record]).as_bytes())
}
