//! From readings to sealed shares, and back to one aggregator's shares.
//!
//! A batch of B slots is the vector `[x_0 … x_{B−1}, R_close, ρ]`: slot energies, closing register, a uniform mask.
//! Each element is shared with a polynomial of its own; each aggregator's shares are sealed to it; one signature over
//! the hashes of all boxes makes them one record. Whoever alters, swaps or re-addresses a box is noticed.

use std::fmt;

use rand::CryptoRng;
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use zeroize::Zeroizing;

use crate::codeword::Check;
use crate::field::Fe;
use crate::hpke_box::{BoxError, OpeningKey, SealedBox};
use crate::id::Rid;
use crate::record::{Head, MAX_BATCH, Record, rid};
use crate::roster::Roster;
use crate::shamir::{Point, split};
use crate::signature::{Signature, SignatureError, SigningKey, VerifyingKey};
use crate::unit::{MAX_SLOT_WH, Register, Timestamp, WattHours};
use crate::wire::{self, DecodeError};

/// The purpose that share boxes are sealed for.
const SHARE_INFO: &[u8] = b"wv/1 share";

/// The kind of a meter's signature; its body is the rid, its context the roster's hash.
const RECORD: &str = "record";

/// Elements of a share vector beyond the slots: the closing register and the mask.
const EXTRA: usize = 2;

/// What a meter measured over a batch of slots: readings, so it does not print.
#[derive(Clone, Eq, PartialEq)]
pub struct Batch {
    energies: Zeroizing<Vec<i64>>,
    close: Register,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("slots", &self.energies.len()).finish_non_exhaustive()
    }
}

/// Why a batch can't be sealed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealError {
    /// A slot's energy is outside what a share may carry.
    #[error("slot {index} of the batch carries more than {MAX_SLOT_WH} Wh")]
    SlotEnergy {
        /// Which slot of the batch, from 0.
        index: usize,
    },
    /// No slots, or more than a record may have.
    #[error("a batch of {found} slots is not within 1 to {MAX_BATCH} slots")]
    Length {
        /// Slots in the batch.
        found: usize,
    },
    /// The head states another number of slots.
    #[error("the batch has {found} slots, its head states {wanted}")]
    Slots {
        /// Slots in the batch.
        found: usize,
        /// Slots in the head.
        wanted: usize,
    },
    /// All of an aggregator's keys have ended.
    #[error("aggregator {0} has no key that is valid now")]
    NoKey(Point),
    /// An aggregator's key can't be sealed to.
    #[error("sealing to aggregator {point} failed")]
    Box {
        /// The aggregator.
        point: Point,
        /// Why.
        #[source]
        source: BoxError,
    },
}

impl Batch {
    /// A batch of 1 to [`MAX_BATCH`] slot energies (each |x| ≤ [`MAX_SLOT_WH`]) that ends with the register `close`.
    ///
    /// # Errors
    ///
    /// [`SealError::Length`], [`SealError::SlotEnergy`].
    pub fn new(energies: &[WattHours], close: Register) -> Result<Self, SealError> {
        if !(1..=MAX_BATCH).contains(&energies.len()) {
            return Err(SealError::Length { found: energies.len() });
        }
        match energies.iter().position(|x| x.0.unsigned_abs() > MAX_SLOT_WH.unsigned_abs()) {
            Some(index) => Err(SealError::SlotEnergy { index }),
            None => Ok(Self { energies: Zeroizing::new(energies.iter().map(|x| x.0).collect()), close }),
        }
    }

    /// The vector `[x_0 … x_{B−1}, R_close, ρ]`.
    fn to_vector<R: CryptoRng>(&self, rng: &mut R) -> Zeroizing<Vec<Fe>> {
        let mut vector = Zeroizing::new(Vec::with_capacity(self.energies.len() + EXTRA));
        vector.extend(self.energies.iter().map(|&x| Fe::from_i64(x)));
        vector.push(Fe::from_u64(self.close.watt_hours()));
        vector.push(Fe::random(rng));
        vector
    }
}

/// A sealed, signed batch: what goes into the outbox, and never changes again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealedBatch {
    /// The record's name.
    pub rid: Rid,
    /// One share message an aggregator, ascending by point.
    pub messages: Vec<(Point, Vec<u8>)>,
}

/// Shares, seals and signs a batch: the whole privacy step of a meter.
///
/// # Errors
///
/// [`SealError`].
pub fn seal<R: CryptoRng>(
    batch: &Batch,
    head: Head,
    key: &SigningKey,
    roster: &Roster,
    now: Timestamp,
    rng: &mut R,
) -> Result<SealedBatch, SealError> {
    if batch.energies.len() != head.slots.len() {
        return Err(SealError::Slots { found: batch.energies.len(), wanted: head.slots.len() });
    }
    let shares = split(&batch.to_vector(rng), roster.t(), &roster.points(), rng);
    seal_shares(&shares, head, key, roster, now, rng)
}

/// Seals and signs share vectors that were dealt elsewhere, one an aggregator in the roster's order. Nothing checks
/// that they lie on polynomials: [`seal`] is what a meter calls, this is what a dishonest one would.
///
/// # Errors
///
/// [`SealError::NoKey`], [`SealError::Box`].
pub fn seal_shares<R: CryptoRng>(
    shares: &[Zeroizing<Vec<Fe>>],
    head: Head,
    key: &SigningKey,
    roster: &Roster,
    now: Timestamp,
    rng: &mut R,
) -> Result<SealedBatch, SealError> {
    let mut boxes = Vec::with_capacity(roster.n());
    for (aggregator, share) in roster.document().aggregators.iter().zip(shares) {
        let point = aggregator.point;
        let box_key = aggregator.box_key_at(now).ok_or(SealError::NoKey(point))?;
        let plaintext = to_plaintext(share);
        let sealed = box_key
            .seal(SHARE_INFO, &associated(roster, &head, point), &plaintext, rng)
            .map_err(|source| SealError::Box { point, source })?;
        boxes.push((point, sealed));
    }
    let record = wire::encode(&Record {
        head,
        boxes: boxes.iter().map(|(point, sealed)| sealed.hash(*point)).collect(),
        grid: None,
    });
    let rid = rid(roster, &record);
    let signature = key.sign(RECORD, &roster.context(), rid.as_bytes());
    let messages = boxes
        .into_iter()
        .map(|(point, sealed)| {
            let message = ShareFields { record: ByteBuf::from(record.clone()), signature, point, sealed };
            (point, wire::encode(&message))
        })
        .collect();
    Ok(SealedBatch { rid, messages })
}

fn to_plaintext(share: &[Fe]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(share.len() * 8));
    for element in share {
        bytes.extend_from_slice(&element.to_bytes());
    }
    bytes
}

/// aad = roster_hash ‖ head ‖ i.
fn associated(roster: &Roster, head: &Head, point: Point) -> Vec<u8> {
    [&roster.hash().as_bytes()[..], &wire::encode(head), &[u8::from(point)]].concat()
}

/// A share message on the wire.
#[derive(Clone, Debug, Deserialize_tuple, Serialize_tuple)]
struct ShareFields {
    record: ByteBuf,
    signature: Signature,
    point: Point,
    sealed: SealedBox,
}

/// A share message that was taken apart, not yet believed.
#[derive(Clone, Debug)]
pub struct ShareMessage {
    fields: ShareFields,
    record: Record,
}

/// A share message whose signature and box hash were checked.
#[derive(Clone, Debug)]
pub struct VerifiedShare {
    message: ShareMessage,
    rid: Rid,
}

/// Why a share message is not by its meter.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ForgedError {
    /// The meter did not sign this record.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The box is not the one that the record names for this aggregator.
    #[error("the box is not the one that the signed record names for aggregator {0}")]
    Box(Point),
}

/// Why a box that its meter signed holds no shares: the meter is to blame.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadShareError {
    /// The box does not open.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// Another number of elements, or an element that is not below p.
    #[error("the box of {found} bytes does not hold {wanted} field elements")]
    Elements {
        /// Bytes found.
        found: usize,
        /// Elements wanted.
        wanted: usize,
    },
}

impl ShareMessage {
    /// Takes a share message apart without believing it.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let fields: ShareFields = wire::decode(bytes)?;
        let record = Record::decode(&fields.record)?;
        Ok(Self { fields, record })
    }

    /// The head it claims.
    pub fn head(&self) -> &Head {
        &self.record.head
    }

    /// The aggregator it claims to be for.
    pub fn point(&self) -> Point {
        self.fields.point
    }

    /// The name that its record has under a roster, whoever made it.
    pub fn rid(&self, roster: &Roster) -> Rid {
        rid(roster, &self.fields.record)
    }

    /// Checks that the meter of `key` signed it, and that the box is the one signed for.
    ///
    /// # Errors
    ///
    /// [`ForgedError`].
    pub fn verify(self, key: &VerifyingKey, roster: &Roster) -> Result<VerifiedShare, ForgedError> {
        let rid = self.rid(roster);
        key.verify(RECORD, &roster.context(), rid.as_bytes(), &self.fields.signature)?;
        let point = self.fields.point;
        let index = roster.points().iter().position(|p| *p == point).ok_or(ForgedError::Box(point))?;
        let named = self.record.boxes.get(index).ok_or(ForgedError::Box(point))?;
        if self.record.boxes.len() != roster.n() || self.fields.sealed.hash(point) != *named {
            return Err(ForgedError::Box(point));
        }
        Ok(VerifiedShare { message: self, rid })
    }
}

impl VerifiedShare {
    /// The record's name.
    pub fn rid(&self) -> Rid {
        self.rid
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.message.record.head
    }

    /// The signed record and its signature, as received: evidence against a meter that equivocates.
    pub fn evidence(&self) -> (&[u8], &Signature) {
        (&self.message.fields.record, &self.message.fields.signature)
    }

    /// Opens the box with whichever of `keys` it is sealed to.
    ///
    /// # Errors
    ///
    /// [`BadShareError`].
    pub fn open(&self, keys: &[OpeningKey], roster: &Roster) -> Result<ShareVector, BadShareError> {
        let ShareFields { point, sealed, .. } = &self.message.fields;
        let key = keys
            .iter()
            .find(|key| key.key_id() == sealed.key_id)
            .or_else(|| keys.last())
            .ok_or(BoxError::Open { key_id: sealed.key_id })?;
        let plaintext = key.open(SHARE_INFO, &associated(roster, self.head(), *point), sealed)?;
        let wanted = self.head().slots.len() + EXTRA;
        ShareVector::from_bytes(&plaintext)
            .filter(|vector| vector.0.len() == wanted)
            .ok_or(BadShareError::Elements { found: plaintext.len(), wanted })
    }
}

/// One aggregator's shares of a batch: `[x_0 … x_{B−1}, R_close, ρ]`. It does not print.
#[derive(Clone, Eq, PartialEq)]
pub struct ShareVector(Zeroizing<Vec<Fe>>);

impl fmt::Debug for ShareVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShareVector").field("slots", &self.energies().len()).finish_non_exhaustive()
    }
}

impl ShareVector {
    /// From eight bytes an element, or `None` if an element is not below p or there are fewer than three.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if !bytes.len().is_multiple_of(8) || bytes.len() / 8 < EXTRA + 1 {
            return None;
        }
        let elements: Option<Vec<Fe>> =
            bytes.chunks_exact(8).map(|chunk| Fe::from_bytes(chunk.try_into().ok()?)).collect();
        elements.map(|elements| Self(Zeroizing::new(elements)))
    }

    /// Eight bytes an element.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        to_plaintext(&self.0)
    }

    /// The shares of the slot energies.
    pub fn energies(&self) -> &[Fe] {
        &self.0[..self.0.len() - EXTRA]
    }

    /// The share of the register at the batch's end.
    pub fn close(&self) -> Fe {
        self.0[self.0.len() - EXTRA]
    }

    /// The share of the register at the batch's start: R_close − Σ x.
    pub fn open(&self) -> Fe {
        self.energies().iter().fold(self.close(), |register, &x| register - x)
    }

    /// The check value of this record.
    pub fn check(&self, rid: &Rid) -> Check {
        Check::of(rid, &self.0)
    }
}
