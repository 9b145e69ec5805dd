//! Mode `levelled`: the meter encrypts its batches under the collective key, signs and delivers them. Pure.
//!
//! What must stay true:
//! * a batch is encrypted once under a key. What is sent again are the same bytes, from the outbox;
//! * nothing is sent before it is durable;
//! * only a key that all aggregators of the roster say to have made is encrypted under, and the newest of these.
//!
//! Rows: `levelled-key` → the bundle in use; `levelled-public` its hash → the public key; `levelled-queue` first slot → a batch that
//! waits for a key; `levelled-upload` upload's hash → its signed bytes, `levelled-ciphertext` → its ciphertext, `levelled-owed` ‖ point
//! → nothing, for every aggregator that has not said that it holds it.

use std::collections::BTreeMap;

use grid::levelled::encryptor::Encryptor;
use grid::levelled::setup::Setup;
use protocol::hedge::hedged;
use protocol::id::Hash;
use protocol::levelled::blob::{Blob, Depot};
use protocol::levelled::key::CollectiveKey;
use protocol::levelled::upload::{Taken, Upload};
use protocol::part::Assembly;
use protocol::roster::Roster;
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::signature::Signed;
use protocol::topic::{Channel, Handled, LevelledChannel, Outgoing, Role, Topic};
use protocol::unit::{Moment, Slot, SlotRange};
use protocol::wire;
use rand::CryptoRng;
use store::{Store, Table};

use super::open_batch::FullBatch;
use super::{Identity, MeterError, Pace};

const KEY: Table = Table("levelled-key");
const PUBLIC: Table = Table("levelled-public");
const QUEUE: Table = Table("levelled-queue");
const UPLOAD: Table = Table("levelled-upload");
const CIPHERTEXT: Table = Table("levelled-ciphertext");
const OWED: Table = Table("levelled-owed");

/// The most batches that wait for a key; then the oldest go, and their windows are without this meter.
const MAX_QUEUE: usize = 4_096;

/// The most uploads that go again in one tick: each is hundreds of kilobytes.
const BURST: usize = 4;

/// An upload that somebody has not said to hold.
#[derive(Debug)]
struct Waiting {
    upload: Signed<Upload>,
    owed: Vec<Point>,
    due: Moment,
    tries: u32,
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
    queued: usize,
    waiting: BTreeMap<Hash, Waiting>,
    /// When what is due was last looked at.
    looked: Moment,
}

/// Who the meter is, and under which roster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'a> {
    pub(super) identity: &'a Identity,
    pub(super) roster: &'a Roster,
    pub(super) pace: &'a Pace,
}

impl Own<'_> {
    fn topic(&self, channel: LevelledChannel) -> Topic {
        Channel::Levelled(channel).of(&self.roster.document().deployment)
    }
}

impl Levelled {
    /// The topics it listens to, below the deployment.
    pub(super) fn topics(own: Own<'_>) -> [String; 3] {
        let taken = format!("levelled/taken/{}/+", own.identity.meter);
        ["levelled/key".to_owned(), "levelled/key/+".to_owned(), taken]
    }

    /// Takes up where the store left off.
    pub(super) fn load(own: Own<'_>, store: &dyn Store, now: Moment) -> Result<Self, MeterError> {
        let mut levelled = Self {
            key: None,
            coming: None,
            depot: Depot::default(),
            assembly: Assembly::default(),
            queued: store::entries(QUEUE, store)?.len(),
            waiting: BTreeMap::new(),
            looked: now,
        };
        if let Some(bundle) = store.get(KEY, b"")? {
            // Under another roster the key is of no more use; the utility plans a new one.
            if let Ok(agreed) = CollectiveKey::open(&bundle, own.roster)
                && let Some(public) = store.get(PUBLIC, agreed.public.hash.as_bytes())?
            {
                levelled.key = Some(Key::new(agreed, &public)?);
            }
        }
        for (key, bytes) in store::entries(UPLOAD, store)? {
            let name = <[u8; 32]>::try_from(&key[..]).map(Hash::from);
            let name = name.map_err(|_| MeterError::Damaged("an upload's name can't be read"))?;
            let verifying = own.identity.key.verifying_key();
            let upload = Signed::<Upload>::open(&bytes, &verifying, &own.roster.context());
            let mut owed = Vec::new();
            for point in own.roster.points() {
                if store.get(OWED, &owed_row(&name, point))?.is_some() {
                    owed.push(point);
                }
            }
            // What was signed under another roster is of no more use.
            let Ok(upload) = upload else { continue };
            levelled.waiting.insert(name, Waiting { upload, owed, due: now, tries: 0 });
        }
        Ok(levelled)
    }

    /// How many batches and uploads are not yet everywhere.
    pub(super) fn backlog(&self) -> usize {
        self.queued + self.waiting.values().map(|waiting| waiting.owed.len()).sum::<usize>()
    }

    /// Whether it has a key to encrypt under.
    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Queues a full batch.
    pub(super) fn queue(&mut self, batch: &FullBatch, store: &mut dyn Store) -> Result<(), MeterError> {
        store.put(QUEUE, &batch.slots.start().0.to_be_bytes(), &wire::encode(batch))?;
        self.queued += 1;
        if self.queued > MAX_QUEUE
            && let Some((oldest, _)) = store.range(QUEUE, &[][..]..&[0xff; 5][..], 1)?.pop()
        {
            store.remove(QUEUE, &oldest)?;
            self.queued -= 1;
        }
        Ok(())
    }

    /// Encrypts what is queued, if there is a key.
    pub(super) fn encrypt_queued<R: CryptoRng>(
        &mut self,
        own: Own<'_>,
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Vec<Outgoing>, MeterError> {
        let Some(key) = &self.key else { return Ok(Vec::new()) };
        if self.queued == 0 {
            return Ok(Vec::new());
        }
        let mut sends = Vec::new();
        for (row, bytes) in store::entries(QUEUE, store)? {
            let batch: FullBatch =
                wire::decode(&bytes).map_err(|_| MeterError::Damaged("a queued batch can't be read"))?;
            store.remove(QUEUE, &row)?;
            for slots in within_windows(batch.slots, key.setup()) {
                let from = (slots.start().0 - batch.slots.start().0) as usize;
                let energies = &batch.energies[from..from + slots.len()];
                let Some((_, offset)) = key.setup().plan().place(slots) else { continue };
                let full = i64::from(key.setup().plan().full_scale);
                if energies.iter().any(|energy| energy.0 > full) {
                    tracing::warn!(%slots, "a slot is beyond the key's full scale, and counts as {full} Wh");
                }
                let (plan, place) = (key.agreed.plan.hash(), slots.start().0.to_be_bytes());
                let rng = &mut hedged(rng, &own.identity.key, &[plan.as_bytes(), &place, &bytes]);
                let ciphertext = match key.encryptor.encrypt(offset, energies, rng) {
                    Ok(ciphertext) => ciphertext,
                    Err(error) => {
                        tracing::warn!(%slots, "a batch is not encrypted, its window is without this meter: {error}");
                        continue;
                    }
                };
                let upload = Upload {
                    key: key.agreed.plan.hash(),
                    meter: own.identity.meter,
                    slots,
                    ciphertext: Blob::of(&ciphertext),
                };
                let upload = Signed::sign(upload, &own.identity.key, &own.roster.context());
                let name = upload.hash();
                store.put(UPLOAD, name.as_bytes(), upload.bytes())?;
                store.put(CIPHERTEXT, name.as_bytes(), &ciphertext)?;
                let owed = own.roster.points();
                for point in &owed {
                    store.put(OWED, &owed_row(&name, *point), b"")?;
                }
                sends.extend(messages(&upload, &ciphertext, own));
                let mut waiting = Waiting { upload, owed, due: now, tries: 0 };
                waiting.sent(now, own.pace, rng);
                self.waiting.insert(name, waiting);
            }
        }
        self.queued = 0;
        Ok(sends)
    }

    /// Takes a delivery.
    pub(super) fn handle(
        &mut self,
        topic: &str,
        channel: &LevelledChannel,
        payload: &[u8],
        own: Own<'_>,
        store: &mut dyn Store,
    ) -> Result<Handled, MeterError> {
        match channel {
            LevelledChannel::Key => match self.assembly.take(topic, payload) {
                Ok(Some(document)) => self.take_key(&document, own, store),
                Ok(None) => Ok(Handled::quietly()),
                Err(error) => Ok(Handled::refused(Rule::Malformed, error)),
            },
            LevelledChannel::KeyPart(_) => self.take_public(payload, store),
            LevelledChannel::Taken(meter, _) if *meter == own.identity.meter => {
                self.take_taken(payload, own, store)
            }
            _ => Ok(Handled::refused(Rule::Malformed, "a meter has no use for this topic")),
        }
    }

    /// Takes a collective key; its public bytes come apart.
    fn take_key(
        &mut self,
        document: &[u8],
        own: Own<'_>,
        store: &mut dyn Store,
    ) -> Result<Handled, MeterError> {
        let agreed = match CollectiveKey::open(document, own.roster) {
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

    fn take_public(&mut self, payload: &[u8], store: &mut dyn Store) -> Result<Handled, MeterError> {
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

    /// Takes an aggregator's word that it holds uploads, or never will.
    fn take_taken(
        &mut self,
        payload: &[u8],
        own: Own<'_>,
        store: &mut dyn Store,
    ) -> Result<Handled, MeterError> {
        let taken = match own.roster.open_peer(payload, |taken: &Taken| taken.point) {
            Ok(taken) if taken.meter == own.identity.meter => taken,
            Ok(_) => return Ok(Handled::refused(Rule::Malformed, "the word is for another meter")),
            Err(refusal) => return Ok(refusal.into()),
        };
        let refused = taken.refused.iter().map(|refused| &refused.upload);
        for name in taken.held.iter().chain(refused) {
            let Some(waiting) = self.waiting.get_mut(name) else { continue };
            waiting.owed.retain(|point| *point != taken.point);
            store.remove(OWED, &owed_row(name, taken.point))?;
            if waiting.owed.is_empty() {
                self.waiting.remove(name);
                store.remove(UPLOAD, name.as_bytes())?;
                store.remove(CIPHERTEXT, name.as_bytes())?;
            }
        }
        let refusal = taken.refused.first().map(|refused| {
            let detail = format!("aggregator {} refused upload {}", taken.point, refused.upload);
            Refusal::new(refused.rule, detail)
        });
        Ok(Handled { sends: Vec::new(), refusal })
    }

    /// Lets time pass: what somebody does not hold goes again.
    pub(super) fn tick<R: CryptoRng>(
        &mut self,
        own: Own<'_>,
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Vec<Outgoing>, MeterError> {
        let mut sends = self.encrypt_queued(own, now, store, rng)?;
        // when the clock goes back, what is due goes back with it
        let back = self.looked.since(now);
        if back > 0 {
            for waiting in self.waiting.values_mut() {
                waiting.due = Moment(waiting.due.0.saturating_sub(back));
            }
        }
        self.looked = now;
        let due = self.waiting.iter_mut().filter(|(_, waiting)| waiting.due <= now);
        for (name, waiting) in due.take(BURST) {
            if let Some(ciphertext) = store.get(CIPHERTEXT, name.as_bytes())? {
                sends.extend(messages(&waiting.upload, &ciphertext, own));
            }
            waiting.sent(now, own.pace, rng);
        }
        Ok(sends)
    }
}

impl Key {
    fn new(agreed: CollectiveKey, public: &[u8]) -> Result<Self, MeterError> {
        let setup = Setup::new(&agreed.plan).ok();
        let encryptor = setup.and_then(|setup| Encryptor::new(setup, public).ok());
        let encryptor = encryptor.ok_or(MeterError::Damaged("the collective key can't be read"))?;
        Ok(Self { agreed, encryptor })
    }

    fn setup(&self) -> &Setup {
        self.encryptor.setup()
    }
}

impl Waiting {
    fn sent<R: CryptoRng>(&mut self, now: Moment, pace: &Pace, rng: &mut R) {
        let pause = (pace.resend_first << self.tries.min(20)).min(pace.resend_last).max(1);
        let jitter = u64::from(rng.next_u32()) * pause / (4 * u64::from(u32::MAX));
        self.due = now.plus(pause + jitter);
        self.tries += 1;
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
fn messages(upload: &Signed<Upload>, ciphertext: &[u8], own: Own<'_>) -> Vec<Outgoing> {
    let meter = own.identity.meter;
    let data = own.topic(LevelledChannel::Data(Role::Meter, meter.to_string()));
    let head = Outgoing::new(own.topic(LevelledChannel::Upload(meter)), upload.bytes().to_vec());
    let parts = Blob::parts(ciphertext).into_iter().map(|part| Outgoing::new(data.clone(), part));
    [head].into_iter().chain(parts).collect()
}

fn owed_row(name: &Hash, point: Point) -> Vec<u8> {
    [name.as_bytes(), &[u8::from(point)][..]].concat()
}
