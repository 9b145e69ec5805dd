//! The meter's part of the grid path: a key dealt once for a set of aggregators, a load vector encrypted once an interval.
//!
//! Rows: `grid` `open` → the interval that is being measured; `grid` `key` → the key's seed with the aggregators and the deal it
//! belongs to; `grid-queue` first slot → an interval that waits to be encrypted.
//!
//! What must stay true: a key encrypts an interval once. An interval leaves the queue in the commit that puts its vector
//! into the outbox; no slot is measured twice; and if the store is lost, so is the key.

use grid::sum::{GridKey, Loads};
use protocol::grid::{LoadVector, seal_deal};
use protocol::hedge::hedged;
use protocol::id::{Hash, MeterId, Rid};
use protocol::roster::Roster;
use protocol::signature::{Signed, SigningKey, hash};
use protocol::unit::{Moment, Slot, SlotRange, WattHours};
use protocol::wire;
use rand::{CryptoRng, Rng as _};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use store::{Store, StoreError, Table};
use zeroize::Zeroizing;

use super::open_batch::FullBatch;
use super::outbox::{Carries, Entry, Outbox};
use super::{Identity, MeterError};

const GRID: Table = Table("grid");
const OPEN: &[u8] = b"open";
const KEY: &[u8] = b"key";
const QUEUE: Table = Table("grid-queue");

/// Slots that follow one another, not yet a whole interval.
#[derive(Default, Deserialize, Serialize)]
struct OpenInterval {
    first: u32,
    energies: Vec<WattHours>,
    /// What was exported over all of it.
    #[serde(default, skip_serializing_if = "is_nothing")]
    export: WattHours,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_nothing(energy: &WattHours) -> bool {
    energy.0 == 0
}

/// The key's row.
#[derive(Deserialize_tuple, Serialize_tuple)]
struct KeyRow {
    aggregators: Hash,
    deal: Hash,
    seed: ByteArray<32>,
}

/// A key that was dealt to aggregators.
struct Dealt {
    aggregators: Hash,
    deal: Hash,
    key: GridKey,
}

/// The grid path at a meter.
pub(super) struct Grid {
    open: OpenInterval,
    dealt: Option<Dealt>,
    /// Intervals that wait to be encrypted.
    queued: usize,
}

impl Grid {
    /// Takes up where the store left off.
    pub(super) fn load(store: &dyn Store) -> Result<Self, MeterError> {
        let open = match store.get(GRID, OPEN)? {
            Some(bytes) => {
                wire::decode(&bytes).map_err(|_| MeterError::Damaged("the open interval can't be read"))?
            }
            None => OpenInterval::default(),
        };
        let dealt = match store.get(GRID, KEY)? {
            Some(bytes) => {
                let bytes = Zeroizing::new(bytes);
                let row: KeyRow =
                    wire::decode(&bytes).map_err(|_| MeterError::Damaged("the grid key can't be read"))?;
                let seed = Zeroizing::new(row.seed.into_array());
                Some(Dealt { aggregators: row.aggregators, deal: row.deal, key: GridKey::from_seed(&seed) })
            }
            None => None,
        };
        let queued = store::entries(QUEUE, store)?.len();
        Ok(Self { open, dealt, queued })
    }

    /// Takes a batch that was measured; an interval of `slots` slots that it completes is queued.
    pub(super) fn take(
        &mut self,
        batch: &FullBatch,
        slots: Option<u32>,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        let Some(slots) = slots else { return Ok(()) };
        let exports = batch.exports.iter().copied().chain(std::iter::repeat(WattHours(0)));
        for ((slot, energy), export) in batch.slots.numbers().zip(&batch.energies).zip(exports) {
            let open = &mut self.open;
            let follows = open.energies.len() < slots as usize
                && u32::try_from(open.energies.len())
                    .is_ok_and(|len| open.first.checked_add(len) == Some(slot));
            if !follows || slot.is_multiple_of(slots) {
                *open = OpenInterval { first: slot, ..OpenInterval::default() };
            }
            // An interval that did not begin at its beginning will not be whole.
            if open.first.is_multiple_of(slots) {
                open.energies.push(*energy);
                open.export.0 += export.0;
            }
            if open.energies.len() == slots as usize {
                store.put(QUEUE, &open.first.to_be_bytes(), &wire::encode(&*open))?;
                self.queued += 1;
                *open = OpenInterval::default();
            }
        }
        store.put(GRID, OPEN, &wire::encode(&self.open))
    }

    /// Whether there is anything to seal under a roster.
    pub(super) fn is_due(&self, roster: &Roster) -> bool {
        let dealt = self.dealt.as_ref().is_some_and(|dealt| dealt.aggregators == aggregators(roster));
        roster.policy().interval_slots(roster.slot()).is_some() && (!dealt || self.queued > 0)
    }

    /// Deals a key if these aggregators have none yet, and encrypts the intervals that wait.
    pub(super) fn seal<R: CryptoRng>(
        &mut self,
        identity: &Identity,
        roster: &Roster,
        now: Moment,
        (outbox, store): (&mut Outbox, &mut dyn Store),
        rng: &mut R,
    ) -> Result<Vec<u64>, MeterError> {
        let mut sealed = Vec::new();
        if self.dealt.as_ref().is_none_or(|dealt| dealt.aggregators != aggregators(roster)) {
            let (dealt, seqs) = deal(identity, roster, now, (outbox, store), rng)?;
            self.dealt = Some(dealt);
            sealed.extend(seqs);
        }
        let Some(dealt) = &self.dealt else { return Ok(sealed) };
        for (row, bytes) in store::entries(QUEUE, store)? {
            let interval: OpenInterval =
                wire::decode(&bytes).map_err(|_| MeterError::Damaged("a queued interval can't be read"))?;
            store.remove(QUEUE, &row)?;
            self.queued -= 1;
            let seq = outbox.next_seq(store)?;
            let energies = interval.energies.iter().map(|energy| energy.0).collect();
            let end = interval.first.checked_add(u32::try_from(interval.energies.len()).unwrap_or(u32::MAX));
            let slots = end.and_then(|end| SlotRange::new(Slot(interval.first), Slot(end)).ok());
            let (Some(slots), Some(loads)) = (slots, Loads::new(energies, interval.export.0)) else {
                return Err(MeterError::Damaged("a queued interval holds no loads"));
            };
            let rng = &mut hedged(rng, &identity.key, &[b"vector", roster.hash().as_bytes(), &bytes]);
            let ciphertext = dealt.key.encrypt(&loads, slots, roster, rng);
            let vector = vector(identity.meter, seq, slots, dealt.deal, ciphertext, roster, &identity.key);
            let rid = Rid::from(*vector.hash().as_bytes());
            let messages =
                roster.points().into_iter().map(|point| (point, vector.bytes().to_vec())).collect();
            outbox.insert(seq, &Entry { carries: Carries::Vector, rid, messages }, now, store)?;
            sealed.push(seq);
        }
        Ok(sealed)
    }
}

/// The name of a roster's aggregators and threshold: what a deal depends on. A successor that keeps them keeps the deal.
fn aggregators(roster: &Roster) -> Hash {
    let mut name = vec![roster.document().threshold];
    for aggregator in &roster.document().aggregators {
        name.push(aggregator.point.into());
        name.extend(aggregator.key.to_bytes());
    }
    hash("dealt to", &[&name])
}

fn vector(
    meter: MeterId,
    seq: u64,
    slots: SlotRange,
    deal: Hash,
    ciphertext: Vec<u8>,
    roster: &Roster,
    key: &SigningKey,
) -> Signed<LoadVector> {
    let roster_epoch = roster.document().epoch;
    let vector = LoadVector { roster_epoch, meter, seq, slots, deal, ciphertext: ByteBuf::from(ciphertext) };
    Signed::sign(vector, key, &roster.context())
}

/// Makes a key and deals it.
fn deal<R: CryptoRng>(
    identity: &Identity,
    roster: &Roster,
    now: Moment,
    (outbox, store): (&mut Outbox, &mut dyn Store),
    rng: &mut R,
) -> Result<(Dealt, Vec<u64>), MeterError> {
    let rng = &mut hedged(rng, &identity.key, &[b"deal", roster.hash().as_bytes()]);
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *seed);
    let key = GridKey::from_seed(&seed);
    let plaintexts = key.deal(roster, rng);
    // The chunks take as many numbers as the longest deal has, and no other record comes between.
    let first = outbox.next_seq(store)?;
    let sealed =
        seal_deal(&plaintexts, (identity.meter, first), &identity.key, roster, now.timestamp(), rng)?;
    let rid = Rid::from(*sealed.hash.as_bytes());
    let mut seqs = Vec::new();
    for (index, messages) in sealed.messages.into_iter().enumerate() {
        let seq = if index == 0 { first } else { outbox.next_seq(store)? };
        outbox.insert(seq, &Entry { carries: Carries::Deal, rid, messages }, now, store)?;
        seqs.push(seq);
    }
    let row = KeyRow { aggregators: aggregators(roster), deal: sealed.hash, seed: ByteArray::new(*seed) };
    store.put(GRID, KEY, &Zeroizing::new(wire::encode(&row)))?;
    Ok((Dealt { aggregators: aggregators(roster), deal: sealed.hash, key }, seqs))
}
