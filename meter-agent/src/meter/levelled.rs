//! Mode `levelled`: the meter encrypts its batches under the collective key, signs and delivers them. Pure.
//!
//! What must stay true:
//! * a batch is encrypted once under a key. What is sent again are the same bytes, from the outbox;
//! * nothing is sent before it is durable;
//! * only a key that all aggregators of the roster confirmed to have made is encrypted under, and the newest of these.
//!
//! Rows: `levelled-key` → the bundle in use; `levelled-public` its hash → the public key; `levelled-queue` first slot → a batch that
//! waits for a key; `levelled-upload` upload's hash → its signed bytes, `levelled-ciphertext` → its ciphertext, `levelled-owed` ‖ point
//! → nothing, for every aggregator that has not confirmed that it holds it.

use std::collections::{BTreeMap, VecDeque};

use grid::levelled::encryptor::Encryptor;
use grid::levelled::setup::Setup;
use protocol::hedge::hedged;
use protocol::id::{Hash, MeterId};
use protocol::levelled::blob::{Blob, Depot};
use protocol::levelled::key::CollectiveKey;
use protocol::levelled::upload::{Taken, Upload};
use protocol::part::Assembly;
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::signature::Signed;
use protocol::topic::{Channel, Handled, LevelledChannel, Outgoing, Role};
use protocol::unit::{Moment, Slot, SlotRange};
use protocol::wire;
use rand::CryptoRng;
use store::{Store, Table};
use zeroize::Zeroizing;

use super::Step;
use super::error::MeterError;
use super::open_batch::FullBatch;
use super::pace::Repeat;
use super::party::Party;

const KEY: Table = Table("levelled-key");
const PUBLIC: Table = Table("levelled-public");
const QUEUE: Table = Table("levelled-queue");
const UPLOAD: Table = Table("levelled-upload");
const CIPHERTEXT: Table = Table("levelled-ciphertext");
const OWED: Table = Table("levelled-owed");

/// The most batches that wait for a key. Of more, the oldest are dropped, and their windows lack this meter.
const MAX_QUEUE: usize = 4_096;

/// The most uploads that are sent again in one tick: each is hundreds of kilobytes.
const BURST: usize = 4;

/// An upload that some aggregator has not confirmed to hold.
#[derive(Debug)]
struct Delivery {
    upload: Signed<Upload>,
    owed: Vec<Point>,
    repeat: Repeat,
}

/// A key in use.
#[derive(Debug)]
struct Key {
    agreed: CollectiveKey,
    encryptor: Encryptor,
}

/// The part of a meter that takes part in mode `levelled`.
#[derive(Debug)]
pub(super) struct Levelled {
    key: Option<Key>,
    /// A key whose public bytes are on their way.
    coming: Option<(CollectiveKey, Vec<u8>)>,
    depot: Depot,
    assembly: Assembly,
    /// Batches that wait for a key, oldest first.
    queued: VecDeque<FullBatch>,
    waiting: BTreeMap<Hash, Delivery>,
    /// When what is due was last looked at.
    looked: Moment,
}

impl Levelled {
    /// The topics it listens to, below the deployment.
    pub(super) fn topics(meter: MeterId) -> [String; 3] {
        let taken = format!("levelled/taken/{meter}/+");
        ["levelled/key".to_owned(), "levelled/key/+".to_owned(), taken]
    }

    /// Continues from what the store holds.
    pub(super) fn load(party: &Party, store: &dyn Store, now: Moment) -> Result<Self, MeterError> {
        let queued = store::entries(QUEUE, store)?;
        let queued = queued.iter().map(|(_, bytes)| MeterError::decode(bytes, "a queued batch"));
        let mut levelled = Self {
            key: None,
            coming: None,
            depot: Depot::default(),
            assembly: Assembly::default(),
            queued: queued.collect::<Result<_, _>>()?,
            waiting: BTreeMap::new(),
            looked: now,
        };
        if let Some(bundle) = store.get(KEY, b"")? {
            // Under another roster the key is of no more use; the utility plans a new one.
            if let Ok(agreed) = CollectiveKey::open(&bundle, party.roster())
                && let Some(public) = store.get(PUBLIC, agreed.public.hash.as_bytes())?
            {
                levelled.key = Some(Key::new(agreed, &public)?);
            }
        }
        for (key, bytes) in store::entries(UPLOAD, store)? {
            let name = <[u8; 32]>::try_from(&key[..]).map(Hash::from);
            let name = name.map_err(|_| MeterError::damaged("an upload's name"))?;
            let (key, context) = (party.identity.key.verifying_key(), party.roster().context());
            // What was signed under another roster is of no more use.
            let Ok(upload) = Signed::<Upload>::open(&bytes, &key, &context) else { continue };
            let mut owed = Vec::new();
            for point in party.roster().points() {
                if store.get(OWED, &owed_row(&name, point))?.is_some() {
                    owed.push(point);
                }
            }
            levelled.waiting.insert(name, Delivery { upload, owed, repeat: Repeat::at(now) });
        }
        Ok(levelled)
    }

    /// How many batches and uploads are not yet everywhere.
    pub(super) fn backlog(&self) -> usize {
        self.queued.len() + self.waiting.values().map(|delivery| delivery.owed.len()).sum::<usize>()
    }

    /// Whether it has a key to encrypt under.
    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Queues a full batch.
    pub(super) fn queue(&mut self, batch: FullBatch, store: &mut dyn Store) -> Result<(), MeterError> {
        store.put(QUEUE, &row(&batch), &wire::encode(&batch))?;
        self.queued.push_back(batch);
        if self.queued.len() > MAX_QUEUE
            && let Some(oldest) = self.queued.pop_front()
        {
            store.remove(QUEUE, &row(&oldest))?;
        }
        Ok(())
    }

    /// Encrypts what is queued, if there is a key.
    pub(super) fn encrypt_queued<R: CryptoRng>(
        &mut self,
        party: &Party,
        step: &mut Step<'_, R>,
    ) -> Result<Vec<Outgoing>, MeterError> {
        let Some(key) = &self.key else { return Ok(Vec::new()) };
        let mut sends = Vec::new();
        for batch in std::mem::take(&mut self.queued) {
            step.store.remove(QUEUE, &row(&batch))?;
            for slots in within_windows(batch.slots, key.setup()) {
                let Some((upload, ciphertext)) = key.encrypt(&batch, slots, party, step.rng) else {
                    continue;
                };
                let (name, owed) = (upload.hash(), party.roster().points());
                step.store.put(UPLOAD, name.as_bytes(), upload.bytes())?;
                step.store.put(CIPHERTEXT, name.as_bytes(), &ciphertext)?;
                for point in &owed {
                    step.store.put(OWED, &owed_row(&name, *point), b"")?;
                }
                sends.extend(messages(&upload, &ciphertext, party));
                let mut repeat = Repeat::at(step.now);
                repeat.sent(step.now, &party.pace, step.rng);
                self.waiting.insert(name, Delivery { upload, owed, repeat });
            }
        }
        Ok(sends)
    }

    /// Handles a delivery.
    pub(super) fn handle(
        &mut self,
        topic: &str,
        channel: &LevelledChannel,
        payload: &[u8],
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Handled, MeterError> {
        match channel {
            LevelledChannel::Key => match self.assembly.take(topic, payload) {
                Ok(Some(document)) => self.handle_key(&document, party, store),
                Ok(None) => Ok(Handled::quietly()),
                Err(error) => Ok(Handled::refused(Rule::Malformed, error)),
            },
            LevelledChannel::KeyPart(_) => self.handle_public(payload, store),
            LevelledChannel::Taken(meter, _) if *meter == party.identity.meter => {
                self.handle_taken(payload, party, store)
            }
            _ => Ok(Handled::refused(Rule::Malformed, "a meter has no use for this topic")),
        }
    }

    /// Accepts a collective key; its public bytes are sent apart.
    fn handle_key(
        &mut self,
        document: &[u8],
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Handled, MeterError> {
        let agreed = match CollectiveKey::open(document, party.roster()) {
            Ok(agreed) => agreed,
            Err(refusal) => return Ok(refusal.into()),
        };
        if self.key.as_ref().is_some_and(|key| key.agreed == agreed) {
            return Ok(Handled::quietly());
        }
        if let Err(error) = Setup::new(&agreed.plan) {
            return Ok(Handled::refused(Rule::KeyUnknown, error));
        }
        if let Some(public) = store.get(PUBLIC, agreed.public.hash.as_bytes())? {
            return self.use_key(agreed, document, &public, store);
        }
        if let Some((before, _)) = &self.coming
            && before.public != agreed.public
        {
            self.depot.forget(&before.public.hash);
        }
        self.depot.expect(agreed.public);
        self.coming = Some((agreed, document.to_vec()));
        Ok(Handled::quietly())
    }

    fn handle_public(&mut self, payload: &[u8], store: &mut dyn Store) -> Result<Handled, MeterError> {
        let (_, public) = match self.depot.take(payload) {
            Ok(Some(whole)) => whole,
            Ok(None) => return Ok(Handled::quietly()),
            Err(error) => return Ok(Handled::refused(Rule::Malformed, error)),
        };
        match self.coming.take() {
            Some((agreed, bundle)) => self.use_key(agreed, &bundle, &public, store),
            None => Ok(Handled::quietly()),
        }
    }

    fn use_key(
        &mut self,
        agreed: CollectiveKey,
        bundle: &[u8],
        public: &[u8],
        store: &mut dyn Store,
    ) -> Result<Handled, MeterError> {
        tracing::warn!(key = %agreed.plan.hash(), "encrypting under a collective key: {}", protocol::levelled::CAUTION);
        store.put(KEY, b"", bundle)?;
        store.put(PUBLIC, agreed.public.hash.as_bytes(), public)?;
        self.key = Some(Key::new(agreed, public)?);
        Ok(Handled::quietly())
    }

    /// Accepts an aggregator's confirmation that it holds uploads, or never will.
    fn handle_taken(
        &mut self,
        payload: &[u8],
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Handled, MeterError> {
        let taken = match party.roster().open_peer(payload, |taken: &Taken| taken.point) {
            Ok(taken) if taken.meter == party.identity.meter => taken,
            Ok(_) => return Ok(Handled::refused(Rule::Malformed, "a confirmation for another meter")),
            Err(refusal) => return Ok(refusal.into()),
        };
        let refused = taken.refused.iter().map(|refused| &refused.upload);
        for name in taken.held.iter().chain(refused) {
            let Some(delivery) = self.waiting.get_mut(name) else { continue };
            delivery.owed.retain(|point| *point != taken.point);
            store.remove(OWED, &owed_row(name, taken.point))?;
            if delivery.owed.is_empty() {
                self.waiting.remove(name);
                store.remove(UPLOAD, name.as_bytes())?;
                store.remove(CIPHERTEXT, name.as_bytes())?;
            }
        }
        let refusal = taken.refused.first().map(|refused| {
            let detail = format!("aggregator {} rejected upload {}", taken.point, refused.upload);
            Refusal::new(refused.rule, detail)
        });
        Ok(Handled { sends: Vec::new(), refusal })
    }

    /// Lets time pass: what some aggregator does not hold is sent again.
    pub(super) fn tick<R: CryptoRng>(
        &mut self,
        party: &Party,
        step: &mut Step<'_, R>,
    ) -> Result<Vec<Outgoing>, MeterError> {
        let mut sends = self.encrypt_queued(party, step)?;
        let now = step.now;
        // when the clock goes back, what is due goes back with it
        let back = self.looked.since(now);
        self.waiting.values_mut().for_each(|delivery| delivery.repeat.set_back(back));
        self.looked = now;
        let due = self.waiting.iter_mut().filter(|(_, delivery)| delivery.repeat.due <= now);
        for (name, delivery) in due.take(BURST) {
            if let Some(ciphertext) = step.store.get(CIPHERTEXT, name.as_bytes())? {
                sends.extend(messages(&delivery.upload, &ciphertext, party));
            }
            delivery.repeat.sent(now, &party.pace, step.rng);
        }
        Ok(sends)
    }
}

impl Key {
    fn new(agreed: CollectiveKey, public: &[u8]) -> Result<Self, MeterError> {
        let setup = Setup::new(&agreed.plan).ok();
        let encryptor = setup.and_then(|setup| Encryptor::new(setup, public).ok());
        let encryptor = encryptor.ok_or_else(|| MeterError::damaged("the collective key"))?;
        Ok(Self { agreed, encryptor })
    }

    fn setup(&self) -> &Setup {
        self.encryptor.setup()
    }

    /// Encrypts and signs the slots of a batch that are within one window, if they are within a window of the key at all.
    fn encrypt<R: CryptoRng>(
        &self,
        batch: &FullBatch,
        slots: SlotRange,
        party: &Party,
        rng: &mut R,
    ) -> Option<(Signed<Upload>, Vec<u8>)> {
        let (plan, identity) = (self.setup().plan(), &party.identity);
        let from = (slots.start().0 - batch.slots.start().0) as usize;
        let energies = &batch.energies[from..from + slots.len()];
        let (_, offset) = plan.place(slots)?;
        let full = i64::from(plan.full_scale);
        if energies.iter().any(|energy| energy.0 > full) {
            tracing::warn!(%slots, "a slot is beyond the key's full scale and counts as {full} Wh");
        }
        let (key, contents) = (self.agreed.plan.hash(), Zeroizing::new(wire::encode(batch)));
        let place = slots.start().0.to_be_bytes();
        let rng = &mut hedged(rng, &identity.key, &[key.as_bytes(), &place, &contents]);
        let ciphertext = match self.encryptor.encrypt(offset, energies, rng) {
            Ok(ciphertext) => ciphertext,
            Err(error) => {
                tracing::warn!(%slots, "cannot encrypt a batch, so its window lacks this meter: {error}");
                return None;
            }
        };
        let upload = Upload { key, meter: identity.meter, slots, ciphertext: Blob::of(&ciphertext) };
        Some((Signed::sign(upload, &identity.key, &party.roster().context()), ciphertext))
    }
}

/// The pieces of a batch that are within one window each.
fn within_windows(slots: SlotRange, setup: &Setup) -> Vec<SlotRange> {
    let (plan, mut pieces, mut from) = (setup.plan(), Vec::new(), slots.start());
    while from < slots.end() {
        let end = plan.slots_of(plan.window_of(from)).map_or_else(|| slots.end(), SlotRange::end);
        let end = Slot(end.0.min(slots.end().0));
        pieces.extend(SlotRange::new(from, end).ok());
        from = end;
    }
    pieces
}

/// An upload with its ciphertext.
fn messages(upload: &Signed<Upload>, ciphertext: &[u8], party: &Party) -> Vec<Outgoing> {
    let (meter, topic) = (party.identity.meter, |channel| party.topic(Channel::Levelled(channel)));
    let data = topic(LevelledChannel::Data(Role::Meter, meter.to_string()));
    let head = Outgoing::new(topic(LevelledChannel::Upload(meter)), upload.bytes().to_vec());
    let parts = Blob::parts(ciphertext).into_iter().map(|part| Outgoing::new(data.clone(), part));
    [head].into_iter().chain(parts).collect()
}

/// A queued batch's key.
fn row(batch: &FullBatch) -> [u8; 4] {
    batch.slots.start().0.to_be_bytes()
}

fn owed_row(name: &Hash, point: Point) -> Vec<u8> {
    [name.as_bytes(), &[u8::from(point)][..]].concat()
}
