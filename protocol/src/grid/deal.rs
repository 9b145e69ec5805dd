//! Chunks of a key deal: sealed one by one, so that none is longer than a message may be.

use rand::CryptoRng;
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use zeroize::Zeroizing;

use super::Deal;
use crate::hpke_box::{BoxError, OpeningKey, SealedBox};
use crate::id::{Hash, MeterId};
use crate::roster::Roster;
use crate::shamir::Point;
use crate::share::SealError;
use crate::signature::{Signed, SigningKey, Unverified, VerifyingKey, hash};
use crate::unit::Timestamp;
use crate::wire::{self, DecodeError};

/// The purpose that chunks are sealed for.
const DEAL_INFO: &[u8] = b"wv/1 deal";

/// The most bytes of a deal in one chunk, before it is sealed.
pub const CHUNK_BYTES: usize = 10 * 1024;

/// The most chunks that one aggregator has of a deal.
pub const MAX_CHUNKS: usize = 96;

/// A chunk on the wire.
#[derive(Clone, Debug, Deserialize_tuple, Serialize_tuple)]
struct ChunkFields {
    deal: ByteBuf,
    point: Point,
    chunks: Vec<Hash>,
    index: u16,
    sealed: SealedBox,
}

/// A chunk that was taken apart, not yet believed.
#[derive(Clone, Debug)]
pub struct DealMessage {
    fields: ChunkFields,
    deal: Unverified<Deal>,
}

/// A chunk whose deal was signed by its meter and names it.
#[derive(Clone, Debug)]
pub struct VerifiedChunk {
    fields: ChunkFields,
    deal: Signed<Deal>,
}

/// A key deal, sealed and signed: what goes into the outbox, and never changes again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealedDeal {
    /// The deal's hash.
    pub hash: Hash,
    /// The messages, those of chunk 0 first; chunk i has the deal's number plus i.
    pub messages: Vec<Vec<(Point, Vec<u8>)>>,
}

/// Why a chunk is not its meter's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChunkError {
    /// The meter did not sign this deal.
    #[error("the deal is not signed by its meter")]
    Signature,
    /// The chunk is not one that the signed deal names.
    #[error("chunk {index} is not one that the signed deal names for aggregator {point}")]
    Foreign {
        /// Which chunk.
        index: u16,
        /// For whom.
        point: Point,
    },
}

/// Seals and signs a key deal: `plaintexts` are what each aggregator is to have, in the roster's order.
///
/// # Errors
///
/// [`SealError::NoKey`], [`SealError::Box`].
///
/// # Panics
///
/// For a plaintext of more than [`MAX_CHUNKS`] chunks, which no roster's active sets make.
pub fn seal_deal<R: CryptoRng>(
    plaintexts: &[Zeroizing<Vec<u8>>],
    (meter, seq): (MeterId, u64),
    key: &SigningKey,
    roster: &Roster,
    now: Timestamp,
    rng: &mut R,
) -> Result<SealedDeal, SealError> {
    let mut sealed: Vec<(Point, Vec<SealedBox>)> = Vec::new();
    for (aggregator, plaintext) in roster.document().aggregators.iter().zip(plaintexts) {
        let point = aggregator.point;
        assert!(plaintext.len() <= MAX_CHUNKS * CHUNK_BYTES, "a deal has at most {MAX_CHUNKS} chunks");
        let box_key = aggregator.box_key_at(now).ok_or(SealError::NoKey(point))?;
        let chunks: Result<Vec<SealedBox>, SealError> = plaintext
            .chunks(CHUNK_BYTES)
            .zip(0..)
            .map(|(bytes, index)| {
                let aad = associated(roster, meter, seq, point, index);
                box_key.seal(DEAL_INFO, &aad, bytes, rng).map_err(|source| SealError::Box { point, source })
            })
            .collect();
        sealed.push((point, chunks?));
    }
    let hashes: Vec<Vec<Hash>> = sealed
        .iter()
        .map(|(point, chunks)| chunks.iter().map(|chunk| chunk.hash(*point)).collect())
        .collect();
    let chunks = hashes.iter().map(|hashes| list_hash(hashes)).collect();
    let deal = Deal { roster_epoch: roster.document().epoch, meter, seq, chunks };
    let deal = Signed::sign(deal, key, &roster.context());
    let mut messages: Vec<Vec<(Point, Vec<u8>)>> = Vec::new();
    for ((point, chunks), hashes) in sealed.into_iter().zip(hashes) {
        for (sealed, index) in chunks.into_iter().zip(0_u16..) {
            let deal = ByteBuf::from(deal.bytes());
            let message = ChunkFields { deal, point, chunks: hashes.clone(), index, sealed };
            let at = usize::from(index);
            if messages.len() == at {
                messages.push(Vec::new());
            }
            messages[at].push((point, wire::encode(&message)));
        }
    }
    Ok(SealedDeal { hash: deal.hash(), messages })
}

/// The hash of an aggregator's chunks.
fn list_hash(chunks: &[Hash]) -> Hash {
    let bytes: Vec<&[u8]> = chunks.iter().map(|hash| &hash.as_bytes()[..]).collect();
    hash("chunks", &bytes)
}

/// aad = roster_hash ‖ meter ‖ seq ‖ i ‖ index.
fn associated(roster: &Roster, meter: MeterId, seq: u64, point: Point, index: u16) -> Vec<u8> {
    let (seq, index) = (seq.to_be_bytes(), index.to_be_bytes());
    [&roster.hash().as_bytes()[..], meter.as_bytes(), &seq, &[u8::from(point)], &index].concat()
}

impl DealMessage {
    /// Takes a chunk apart without believing it.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let fields: ChunkFields = wire::decode(bytes)?;
        let deal = Unverified::parse(&fields.deal)?;
        Ok(Self { fields, deal })
    }

    /// The deal that it claims to be of.
    pub fn claim(&self) -> &Deal {
        self.deal.claim()
    }

    /// The hash that the deal has, whoever made it.
    pub fn deal(&self) -> Hash {
        self.deal.hash()
    }

    /// The aggregator that it claims to be for.
    pub fn point(&self) -> Point {
        self.fields.point
    }

    /// The number that it claims among the meter's messages.
    pub fn seq(&self) -> u64 {
        self.claim().seq.saturating_add(self.fields.index.into())
    }

    /// Which chunk it claims to be.
    pub fn index(&self) -> u16 {
        self.fields.index
    }

    /// Checks that the meter of `key` signed the deal, and that the chunk is the one signed for.
    ///
    /// # Errors
    ///
    /// [`ChunkError`].
    pub fn verify(self, key: &VerifyingKey, roster: &Roster) -> Result<VerifiedChunk, ChunkError> {
        let ChunkFields { point, index, .. } = self.fields;
        let deal = self.deal.verify(key, &roster.context()).map_err(|_| ChunkError::Signature)?;
        let named = roster.points().iter().position(|p| *p == point).and_then(|at| deal.chunks.get(at));
        let listed = self.fields.chunks.get(usize::from(index));
        let fits = deal.chunks.len() == roster.n()
            && self.fields.chunks.len() <= MAX_CHUNKS
            && named == Some(&list_hash(&self.fields.chunks))
            && listed == Some(&self.fields.sealed.hash(point));
        if fits {
            Ok(VerifiedChunk { fields: self.fields, deal })
        } else {
            Err(ChunkError::Foreign { index, point })
        }
    }
}

impl VerifiedChunk {
    /// The deal.
    pub fn deal(&self) -> &Signed<Deal> {
        &self.deal
    }

    /// Which chunk it is, and of how many.
    pub fn place(&self) -> (u16, u16) {
        (self.fields.index, u16::try_from(self.fields.chunks.len()).unwrap_or(u16::MAX))
    }

    /// Opens the chunk with whichever of `keys` it is sealed to.
    ///
    /// # Errors
    ///
    /// [`BoxError`].
    pub fn open(&self, keys: &[OpeningKey], roster: &Roster) -> Result<Zeroizing<Vec<u8>>, BoxError> {
        let ChunkFields { point, index, sealed, .. } = &self.fields;
        let aad = associated(roster, self.deal.meter, self.deal.seq, *point, *index);
        let key = keys.iter().find(|key| key.key_id() == sealed.key_id);
        let missing =
            BoxError::KeyId { found: sealed.key_id, wanted: keys.last().map_or(0, OpeningKey::key_id) };
        key.ok_or(missing)?.open(DEAL_INFO, &aad, sealed)
    }
}
