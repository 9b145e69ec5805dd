//! The grid path at an aggregator: load vectors and key deals that are held, and what it gives towards an opening.
//!
//! Rows: `vector` meter ‖ first slot → the signed load vector; `vector-name` the same key → its number, name and deal;
//! `deal` meter ‖ deal → which chunks are held; `chunk` meter ‖ deal ‖ index → a chunk, opened.

use std::collections::BTreeMap;

use grid::sum::{KeyShares, Total, Vector};
use protocol::grid::{DealMessage, LoadVector, MAX_CHUNKS};
use protocol::id::{Hash, MeterId};
use protocol::release::inventory::HeldVector;
use protocol::release::result::Pieces;
use protocol::release::selection::Interval;
use protocol::rule::{Refusal, Rule};
use protocol::signature::{Unverified, hash};
use protocol::topic::Handled;
use protocol::unit::{Slot, SlotRange};
use protocol::wire;
use rand::CryptoRng;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use store::{Store, StoreError, Table};
use zeroize::Zeroizing;

use super::intake::{HELD, Intake, refuse};
use super::{AggregatorError, Context, Party};

const VECTOR: Table = Table("vector");
const NAME: Table = Table("vector-name");
const DEAL: Table = Table("deal");
const CHUNK: Table = Table("chunk");

/// The most deals that are kept of a meter: one, and some for a meter that lost its store.
const MAX_DEALS: usize = 8;

/// The most sums of key shares that are kept in memory: one for each member set that was opened lately.
const MAX_SUMS: usize = 32;

/// The name of a load vector that is held.
#[derive(Clone, Copy, Debug, Deserialize_tuple, Serialize_tuple)]
struct Name {
    seq: u64,
    vector: Hash,
    deal: Hash,
}

/// A deal, as far as it is here.
#[derive(Clone, Debug, Deserialize_tuple, Serialize_tuple)]
struct Deal {
    seq: u64,
    total: u16,
    held: Vec<u16>,
}

impl Deal {
    fn is_whole(&self) -> bool {
        self.held.len() == usize::from(self.total)
    }
}

/// Load vectors and key deals.
#[derive(Debug, Default)]
pub(super) struct Vectors {
    deals: BTreeMap<MeterId, BTreeMap<Hash, Deal>>,
    /// Sums of key shares, by the deals that they are of.
    sums: BTreeMap<Hash, KeyShares>,
}

impl Vectors {
    /// Counts what is held.
    pub(super) fn load(intake: &mut Intake, store: &dyn Store) -> Result<Self, AggregatorError> {
        let damaged = |what| AggregatorError::Damaged(what);
        let meter_of =
            |key: &[u8]| key.get(..16).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(MeterId::from);
        store::visit(NAME, store, |key, bytes| {
            let meter = meter_of(key).ok_or_else(|| damaged("a load vector's key can't be read"))?;
            let name: Name =
                wire::decode(bytes).map_err(|_| damaged("a load vector's name can't be read"))?;
            intake.hold(meter, name.seq);
            Ok::<(), AggregatorError>(())
        })?;
        let mut vectors = Self::default();
        for (key, bytes) in store::entries(DEAL, store)? {
            let deal = key.get(16..).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Hash::from);
            let (meter, deal) =
                meter_of(&key).zip(deal).ok_or_else(|| damaged("a key deal's key can't be read"))?;
            let dealt: Deal = wire::decode(&bytes).map_err(|_| damaged("a key deal can't be read"))?;
            for index in &dealt.held {
                // As the chunk's own number was counted when it came: a meter may sign any number.
                intake.hold(meter, dealt.seq.saturating_add((*index).into()));
            }
            vectors.deals.entry(meter).or_default().insert(deal, dealt);
        }
        Ok(vectors)
    }

    /// Takes one load vector that came on the topic of `meter`.
    pub(super) fn take_vector(
        meter: MeterId,
        payload: &[u8],
        context: Context<'_>,
        intake: &mut Intake,
        store: &mut dyn Store,
    ) -> Result<Handled, StoreError> {
        let message = match Unverified::<LoadVector>::parse(payload) {
            Ok(message) if message.claim().meter == meter => message,
            Ok(_) => return Ok(Handled::refused(Rule::Malformed, "the load vector is another meter's")),
            Err(error) => return Ok(Handled::refused(Rule::Malformed, error)),
        };
        let seq = message.claim().seq;
        let stored = Self::check_and_store_vector(message, context, store)?;
        Ok(intake.note(stored, meter, seq, "load vector", context.registry))
    }

    fn check_and_store_vector(
        message: Unverified<LoadVector>,
        context: Context<'_>,
        store: &mut dyn Store,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let LoadVector { roster_epoch, meter, slots, .. } = *message.claim();
        let (certificate, roster) = match context.admit(meter, roster_epoch, "encrypted") {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let key = vector_key(meter, slots.start());
        let held = store.get(NAME, &key)?.and_then(|bytes| wire::decode::<Name>(&bytes).ok());
        if held.is_some_and(|held| held.vector == message.hash()) {
            return refuse(Rule::Replay, HELD);
        }
        let verified = match message.verify(&certificate.key, &roster.context()) {
            Ok(verified) => verified,
            Err(error) => return refuse(Rule::Forged, error),
        };
        if held.is_some() {
            let detail = format_args!("another is stored for the interval at {}", slots.start());
            return refuse(Rule::Equivocation, detail);
        }
        let current = context.party.roster();
        let interval = current.policy().interval_slots(current.slot());
        let fits = interval.is_some_and(|interval| {
            slots.len() == interval as usize && slots.start().0.is_multiple_of(interval)
        });
        if !fits {
            return refuse(Rule::Interval, format_args!("slots {slots} are not an interval of this roster"));
        }
        if let Err(refusal) = context.check_time(meter, slots) {
            return Ok(Err(refusal));
        }
        if let Err(error) = Vector::parse(&verified.ciphertext, slots, current) {
            return refuse(Rule::LoadVector, error);
        }
        let name = Name { seq: verified.seq, vector: verified.hash(), deal: verified.deal };
        store.put(NAME, &key, &wire::encode(&name))?;
        store.put(VECTOR, &key, verified.bytes())?;
        Ok(Ok(()))
    }

    /// Takes one chunk of a key deal that came on the topic of `meter`.
    pub(super) fn take_chunk(
        &mut self,
        meter: MeterId,
        payload: &[u8],
        context: Context<'_>,
        intake: &mut Intake,
        store: &mut dyn Store,
    ) -> Result<Handled, StoreError> {
        let message = match DealMessage::parse(payload) {
            Ok(message)
                if message.claim().meter == meter && message.point() == context.party.identity.point =>
            {
                message
            }
            Ok(_) => {
                let detail = "the deal is another meter's, or for another aggregator";
                return Ok(Handled::refused(Rule::Malformed, detail));
            }
            Err(error) => return Ok(Handled::refused(Rule::Malformed, error)),
        };
        let seq = message.seq();
        let stored = self.check_and_store_chunk(message, meter, context, store)?;
        Ok(intake.note(stored, meter, seq, "key deal", context.registry))
    }

    fn check_and_store_chunk(
        &mut self,
        message: DealMessage,
        meter: MeterId,
        context: Context<'_>,
        store: &mut dyn Store,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let roster_epoch = message.claim().roster_epoch;
        let (certificate, roster) = match context.admit(meter, roster_epoch, "dealt") {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let name = message.deal();
        let held = self.deals.get(&meter).and_then(|deals| deals.get(&name));
        if held.is_some_and(|held| held.held.contains(&message.index())) {
            return refuse(Rule::Replay, HELD);
        }
        if held.is_none() && self.deals.get(&meter).is_some_and(|deals| deals.len() >= MAX_DEALS) {
            return refuse(Rule::KeyDeal, format_args!("this meter has {MAX_DEALS} deals already"));
        }
        let chunk = match message.verify(&certificate.key, roster) {
            Ok(chunk) => chunk,
            Err(error) => return refuse(Rule::Forged, error),
        };
        let (index, total) = chunk.place();
        let plaintext = match chunk.open(&context.party.identity.box_keys, roster) {
            Ok(plaintext) => plaintext,
            Err(error) => return refuse(Rule::BadShare, error),
        };
        let mut dealt =
            held.cloned().unwrap_or_else(|| Deal { seq: chunk.deal().seq, total, held: Vec::new() });
        store.put(CHUNK, &chunk_key(meter, name, index), &plaintext)?;
        dealt.held.push(index);
        if dealt.is_whole()
            && let Err(error) = KeyShares::parse(
                &chunks(meter, name, store)?,
                context.party.roster(),
                context.party.identity.point,
            )
        {
            store.remove(CHUNK, &chunk_key(meter, name, index))?;
            return refuse(Rule::KeyDeal, error);
        }
        store.put(DEAL, &deal_key(meter, name), &wire::encode(&dealt))?;
        self.deals.entry(meter).or_default().insert(name, dealt);
        Ok(Ok(()))
    }

    /// The load vector that is held of a meter for an interval, if all of its deal is held too.
    pub(super) fn held(
        &self,
        meter: MeterId,
        interval: SlotRange,
        store: &dyn Store,
    ) -> Result<Option<HeldVector>, StoreError> {
        let Some(bytes) = store.get(NAME, &vector_key(meter, interval.start()))? else { return Ok(None) };
        let Ok(Name { vector, deal, .. }) = wire::decode(&bytes) else { return Ok(None) };
        let whole = self.deals.get(&meter).and_then(|deals| deals.get(&deal)).is_some_and(Deal::is_whole);
        Ok(whole.then_some(HeldVector { vector, deal }))
    }

    /// This aggregator's pieces of the opening of an interval; `None` if something of it is not held.
    pub(super) fn pieces<R: CryptoRng>(
        &mut self,
        interval: &Interval,
        party: &Party,
        store: &dyn Store,
        rng: &mut R,
    ) -> Result<Option<Pieces>, StoreError> {
        let mut total = Total::default();
        for member in &interval.members {
            if self.held(member.meter, interval.slots, store)? != Some(member.vector) {
                return Ok(None);
            }
            let bytes = store.get(VECTOR, &vector_key(member.meter, interval.slots.start()))?;
            let vector = bytes.and_then(|bytes| Unverified::<LoadVector>::parse(&bytes).ok());
            let parsed = vector.and_then(|vector| {
                Vector::parse(&vector.claim().ciphertext, interval.slots, party.roster()).ok()
            });
            if parsed.is_none_or(|vector| total.add(&vector).is_err()) {
                return Ok(None);
            }
        }
        let Some(shares) = self.summed(interval, party, store)? else { return Ok(None) };
        Ok(shares.pieces(&total, interval.slots, party.roster(), rng))
    }

    /// The sum of the members' key shares.
    fn summed(
        &mut self,
        interval: &Interval,
        party: &Party,
        store: &dyn Store,
    ) -> Result<Option<&KeyShares>, StoreError> {
        let deals: Vec<&[u8]> =
            interval.members.iter().map(|member| &member.vector.deal.as_bytes()[..]).collect();
        let name = hash("deals", &deals);
        if !self.sums.contains_key(&name) {
            let point = party.identity.point;
            let mut sum = KeyShares::zero(party.roster(), point);
            for member in &interval.members {
                let bytes = chunks(member.meter, member.vector.deal, store)?;
                let Ok(shares) = KeyShares::parse(&bytes, party.roster(), point) else { return Ok(None) };
                sum.add(&shares);
            }
            if self.sums.len() >= MAX_SUMS {
                self.sums.pop_first();
            }
            self.sums.insert(name, sum);
        }
        Ok(self.sums.get(&name))
    }
}

/// The chunks of a deal, put together.
fn chunks(meter: MeterId, deal: Hash, store: &dyn Store) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let (from, to) = (chunk_key(meter, deal, 0), chunk_key(meter, deal, u16::MAX));
    let rows = store.range(CHUNK, &from[..]..&to[..], MAX_CHUNKS)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(rows.iter().map(|(_, chunk)| chunk.len()).sum()));
    for (_, chunk) in rows {
        bytes.extend_from_slice(&Zeroizing::new(chunk));
    }
    Ok(bytes)
}

fn vector_key(meter: MeterId, first: Slot) -> Vec<u8> {
    [&meter.as_bytes()[..], &first.0.to_be_bytes()].concat()
}

fn deal_key(meter: MeterId, deal: Hash) -> Vec<u8> {
    [&meter.as_bytes()[..], deal.as_bytes()].concat()
}

fn chunk_key(meter: MeterId, deal: Hash, index: u16) -> Vec<u8> {
    [&meter.as_bytes()[..], deal.as_bytes(), &index.to_be_bytes()].concat()
}
