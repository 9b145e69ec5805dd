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
use protocol::id::{Hash, Rid};
use protocol::roster::Roster;
use protocol::signature::{Signed, hash};
use protocol::unit::{Slot, SlotRange, WattHours};
use protocol::wire;
use rand::{CryptoRng, Rng as _};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use store::{Store, StoreError, Table};
use zeroize::Zeroizing;

use super::Step;
use super::error::MeterError;
use super::open_batch::FullBatch;
use super::outbox::{Cargo, Entry, Outbox};
use super::party::Party;

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

impl OpenInterval {
    /// The slot after the last one.
    fn end(&self) -> Option<u32> {
        self.first.checked_add(u32::try_from(self.energies.len()).ok()?)
    }
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
struct DealtKey {
    aggregators: Hash,
    deal: Hash,
    key: GridKey,
}

/// The grid path at a meter.
pub(super) struct Grid {
    open: OpenInterval,
    dealt: Option<DealtKey>,
    /// Intervals that wait to be encrypted, oldest first.
    queued: Vec<OpenInterval>,
}

impl Grid {
    /// Continues from what the store holds.
    pub(super) fn load(store: &dyn Store) -> Result<Self, MeterError> {
        let open = MeterError::read(GRID, OPEN, "the open interval", store)?.unwrap_or_default();
        let row: Option<KeyRow> = MeterError::read(GRID, KEY, "the grid key", store)?;
        let dealt = row.map(|KeyRow { aggregators, deal, seed }| {
            let seed = Zeroizing::new(seed.into_array());
            DealtKey { aggregators, deal, key: GridKey::from_seed(&seed) }
        });
        let queued = store::entries(QUEUE, store)?;
        let queued = queued.iter().map(|(_, bytes)| MeterError::decode(bytes, "a queued interval"));
        Ok(Self { open, dealt, queued: queued.collect::<Result<_, _>>()? })
    }

    /// Adds a batch that was measured; an interval of `slots` slots that it completes is queued.
    pub(super) fn add(
        &mut self,
        batch: &FullBatch,
        slots: Option<u32>,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        let Some(slots) = slots else { return Ok(()) };
        let exports = batch.exports.iter().copied().chain(std::iter::repeat(WattHours(0)));
        for ((slot, energy), export) in batch.slots.numbers().zip(&batch.energies).zip(exports) {
            let open = &mut self.open;
            let follows = open.energies.len() < slots as usize && open.end() == Some(slot);
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
                self.queued.push(std::mem::take(open));
            }
        }
        store.put(GRID, OPEN, &wire::encode(&self.open))
    }

    /// Whether there is anything to seal under a roster.
    pub(super) fn is_due(&self, roster: &Roster) -> bool {
        let path = roster.policy().interval_slots(roster.slot()).is_some();
        path && (!self.has_key_for(roster) || !self.queued.is_empty())
    }

    fn has_key_for(&self, roster: &Roster) -> bool {
        self.dealt.as_ref().is_some_and(|dealt| dealt.aggregators == aggregators(roster))
    }

    /// Deals a key if these aggregators have none yet, and encrypts the intervals that wait.
    pub(super) fn seal<R: CryptoRng>(
        &mut self,
        party: &Party,
        outbox: &mut Outbox,
        step: &mut Step<'_, R>,
    ) -> Result<Vec<(u64, Entry)>, MeterError> {
        let (roster, meter, key) = (party.roster(), party.identity.meter, &party.identity.key);
        let mut sealed = Vec::new();
        if !self.has_key_for(roster) {
            let (dealt, entries) = deal(party, outbox, step)?;
            self.dealt = Some(dealt);
            sealed.extend(entries);
        }
        let Some(dealt) = &self.dealt else { return Ok(sealed) };
        for interval in std::mem::take(&mut self.queued) {
            step.store.remove(QUEUE, &interval.first.to_be_bytes())?;
            let seq = outbox.next_seq(step.store)?;
            let energies = interval.energies.iter().map(|energy| energy.0).collect();
            let slots = interval.end().and_then(|end| SlotRange::new(Slot(interval.first), Slot(end)).ok());
            let (Some(slots), Some(loads)) = (slots, Loads::new(energies, interval.export.0)) else {
                return Err(MeterError::damaged("the loads of a queued interval"));
            };
            let contents = Zeroizing::new(wire::encode(&interval));
            let rng = &mut hedged(step.rng, key, &[b"vector", roster.hash().as_bytes(), &contents]);
            let vector = LoadVector {
                roster_epoch: roster.document().epoch,
                meter,
                seq,
                slots,
                deal: dealt.deal,
                ciphertext: ByteBuf::from(dealt.key.encrypt(&loads, slots, roster, rng)),
            };
            let vector = Signed::sign(vector, key, &roster.context());
            let rid = Rid::from(*vector.hash().as_bytes());
            let messages = roster.points().into_iter().map(|point| (point, vector.bytes().to_vec()));
            sealed.push((seq, Entry { cargo: Cargo::Vector, rid, messages: messages.collect() }));
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

/// Makes a key and deals it.
fn deal<R: CryptoRng>(
    party: &Party,
    outbox: &mut Outbox,
    step: &mut Step<'_, R>,
) -> Result<(DealtKey, Vec<(u64, Entry)>), MeterError> {
    let (roster, identity) = (party.roster(), &party.identity);
    let rng = &mut hedged(step.rng, &identity.key, &[b"deal", roster.hash().as_bytes()]);
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *seed);
    let key = GridKey::from_seed(&seed);
    let plaintexts = key.deal(roster, rng);
    // The chunks have as many numbers as the longest deal, and no other record comes between.
    let first = outbox.next_seq(step.store)?;
    let now = step.now.timestamp();
    let sealed = seal_deal(&plaintexts, (identity.meter, first), &identity.key, roster, now, rng)?;
    let rid = Rid::from(*sealed.hash.as_bytes());
    let mut entries = Vec::new();
    for (index, messages) in sealed.messages.into_iter().enumerate() {
        let seq = if index == 0 { first } else { outbox.next_seq(step.store)? };
        entries.push((seq, Entry { cargo: Cargo::Deal, rid, messages }));
    }
    let row = KeyRow { aggregators: aggregators(roster), deal: sealed.hash, seed: ByteArray::new(*seed) };
    step.store.put(GRID, KEY, &Zeroizing::new(wire::encode(&row)))?;
    Ok((DealtKey { aggregators: row.aggregators, deal: sealed.hash, key }, entries))
}
