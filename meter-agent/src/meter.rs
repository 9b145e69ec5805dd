//! The meter: the whole privacy step, pure.
//!
//! What must stay true:
//! * the cumulative register is the truth; a slot's energy is the difference of two registers;
//! * a batch is sealed once. What is sent again are the same bytes, from the outbox;
//! * no step of the clock loses a record or keeps one back: see [`outbox`];
//! * nothing is sent before it is durable: the caller commits the store, then publishes;
//! * a record leaves the outbox only when every aggregator has it or the retention is over: a bill that is out says nothing of
//!   an aggregator that was away, and the curve and the next bill want its shares too;
//! * a roster below the floor is never sealed under: the meter keeps measuring and queues;
//! * nothing that ends after the meter's revocation is sealed: the meter keeps measuring, and keeps it in its journal.

use std::collections::BTreeMap;
use std::fmt;

use protocol::certificate::MeterCertificate;
use protocol::hedge::hedged;
use protocol::id::{Hash, MeterId};
use protocol::part::Assembly;
use protocol::receipt::Receipt;
use protocol::record::{Head, Kind, MAX_BATCH};
use protocol::revocation::Revocation;
use protocol::roster::Roster;
use protocol::roster::floor::{Floor, FloorError};
use protocol::rule::Rule;
use protocol::shamir::Point;
use protocol::share::{Batch, SealError, seal};
use protocol::signature::{OpenError, Signed, SigningKey, VerifyingKey};
use protocol::status::{Report, Status};
use protocol::topic::{Channel, Handled, Outgoing, Role, Topic};
use protocol::unit::{Moment, Register, Slot, Timestamp};
use protocol::wire;
use rand::CryptoRng;
use store::{Store, StoreError, Table};
use zeroize::Zeroizing;

use self::grid::Grid;
use self::levelled::{Levelled, Own};
use self::open_batch::{FullBatch, OpenBatch};
use self::outbox::{Carries, Outbox};
use crate::register::Boundary;

mod grid;
mod levelled;
pub mod open_batch;
pub mod outbox;

pub use self::open_batch::{Reading, ReadingError};

/// The roster in force: one row.
const ROSTER: Table = Table("roster");

/// The rosters that were in force before: epoch → the roster as it came.
const PAST: Table = Table("past-roster");

/// The meter's revocation, if there is one: one row.
const REVOKED: Table = Table("revoked");

/// What was measured after the revocation: first slot → a batch. Nobody is sent it.
const JOURNAL: Table = Table("journal");

/// Who a meter is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its pseudonym.
    pub meter: MeterId,
    /// The key it signs with.
    pub key: SigningKey,
    /// Its certificate, signed by the registrar, as received.
    pub certificate: Vec<u8>,
    /// The registrar's key; its fingerprint is in the floor.
    pub registrar: VerifyingKey,
}

impl Identity {
    /// Whether the certificate is for this meter and this key: aggregators would refuse all that it sends.
    fn check(&self, roster: &Roster) -> Result<(), MeterError> {
        let deployment = &roster.document().deployment;
        let certificate = MeterCertificate::open(&self.certificate, &self.registrar, deployment)?;
        if certificate.meter != self.meter {
            return Err(MeterError::AnotherMeter { found: certificate.meter, wanted: self.meter });
        }
        if certificate.key != self.key.verifying_key() {
            return Err(MeterError::AnotherKey(self.meter));
        }
        Ok(())
    }
}

/// How a meter batches and repeats.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pace {
    /// Slots a batch, 1 to 192; batches begin at multiples of it.
    pub batch_slots: u32,
    /// Milliseconds until a record without a receipt is sent again for the first time; doubles each time.
    pub resend_first: u64,
    /// Milliseconds between repeats at most.
    pub resend_last: u64,
    /// Milliseconds a record stays in the outbox at most.
    pub retention: u64,
    /// Messages sent again in one tick at most.
    pub burst: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            batch_slots: 4,
            resend_first: 5_000,
            resend_last: 3_600_000,
            retention: 92 * 86_400_000,
            burst: 256,
        }
    }
}

/// Why a meter can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// The store failed: nothing is known to be durable any more.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A batch could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What the store holds is not what this program wrote.
    #[error("the meter's store is damaged: {0}")]
    Damaged(&'static str),
    /// The registrar is not the one pinned.
    #[error("the registrar's key has fingerprint {found}, the floor pins {wanted}")]
    Registrar {
        /// The key's fingerprint.
        found: Hash,
        /// The floor's.
        wanted: String,
    },
    /// A certificate that the registrar did not sign for this deployment.
    #[error("the meter's certificate was refused")]
    Certificate(#[from] OpenError),
    /// A certificate that is for another meter.
    #[error("the certificate is for meter {found}; this is meter {wanted}")]
    AnotherMeter {
        /// The meter that the certificate names.
        found: MeterId,
        /// This meter.
        wanted: MeterId,
    },
    /// A certificate that is for another key.
    #[error("the certificate is for another key than the one that meter {0} signs with")]
    AnotherKey(MeterId),
    /// A batch size that does not fit.
    #[error("a batch of {0} slots is not within 1 to {MAX_BATCH}")]
    BatchSlots(u32),
}

/// A meter.
pub struct Meter {
    identity: Identity,
    roster: Roster,
    /// Those that were in force before: an aggregator may still be under one.
    past: Vec<Roster>,
    floor: Floor,
    pace: Pace,
    open: OpenBatch,
    grid: Grid,
    outbox: Outbox,
    assembly: Assembly,
    /// Why the roster is not sealed under just now.
    refused: Option<FloorError>,
    /// The registrar's word that this meter measures no more.
    revoked: Option<Signed<Revocation>>,
    /// A certificate is to be announced.
    announce: bool,
    levelled: Option<Levelled>,
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("meter", &self.identity.meter).finish_non_exhaustive()
    }
}

impl Meter {
    /// Takes up where the store left off.
    ///
    /// # Errors
    ///
    /// [`MeterError`].
    pub fn open(
        identity: Identity,
        roster: Roster,
        floor: Floor,
        pace: Pace,
        store: &mut dyn Store,
        now: Moment,
    ) -> Result<Self, MeterError> {
        let found = identity.registrar.fingerprint();
        if found.to_string() != floor.registrar {
            return Err(MeterError::Registrar { found, wanted: floor.registrar });
        }
        identity.check(&roster)?;
        if pace.batch_slots == 0 || pace.batch_slots as usize > MAX_BATCH {
            return Err(MeterError::BatchSlots(pace.batch_slots));
        }
        let open = OpenBatch::load(store)?;
        let grid = Grid::load(store)?;
        let outbox = Outbox::load(store, now)?;
        let roster = newest_roster(roster, &identity, store)?;
        let past = past_rosters(&identity, store)?;
        let revoked = match store.get(REVOKED, b"")? {
            Some(bytes) => Some(
                open_revocation(&bytes, &identity, &roster)
                    .map_err(|_| MeterError::Damaged("the revocation can't be read"))?,
            ),
            None => None,
        };
        Ok(Self {
            identity,
            roster,
            past,
            floor,
            pace,
            open,
            grid,
            outbox,
            assembly: Assembly::default(),
            refused: None,
            revoked,
            announce: true,
            levelled: None,
        })
    }

    /// Turns on mode `levelled`, and takes up where the store left off. They trust meters to encrypt
    /// honestly: see [`protocol::levelled::CAUTION`].
    ///
    /// # Errors
    ///
    /// [`MeterError`].
    pub fn with_levelled(mut self, store: &dyn Store, now: Moment) -> Result<Self, MeterError> {
        self.levelled = Some(Levelled::load(self.own(), store, now)?);
        Ok(self)
    }

    fn own(&self) -> Own<'_> {
        Own { identity: &self.identity, roster: &self.roster, pace: &self.pace }
    }

    /// Whether there is a collective key to encrypt under.
    pub fn has_collective_key(&self) -> bool {
        self.levelled.as_ref().is_some_and(Levelled::has_key)
    }

    /// The topics it listens to.
    pub fn filters(&self) -> Vec<String> {
        let deployment = &self.roster.document().deployment;
        let receipts = format!("wv/1/{deployment}/receipt/{}/+", self.identity.meter);
        let revoked = self.topic(Channel::Revoked(self.identity.meter));
        let mut filters = vec![receipts, self.topic(Channel::Roster).to_string(), revoked.to_string()];
        if self.levelled.is_some() {
            filters.extend(Levelled::topics(self.own()).map(|topic| format!("wv/1/{deployment}/{topic}")));
        }
        filters
    }

    /// The slot that the next reading is expected at, if there was one: a source replays from here.
    pub fn resume_at(&self) -> Option<Slot> {
        self.last().map(|(at, _)| at)
    }

    /// The last reading's slot and import register.
    pub fn last(&self) -> Option<(Slot, Register)> {
        self.open.last()
    }

    /// Takes a reading; seals every batch that it completes and gives the messages to publish after a commit.
    ///
    /// # Errors
    ///
    /// [`ReadingError`] within, the state unchanged; [`MeterError`] if the meter can't go on.
    pub fn observe<R: CryptoRng>(
        &mut self,
        reading: Reading,
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Result<Vec<Outgoing>, ReadingError>, MeterError> {
        self.take_up(&Boundary::from(reading), now, store, rng)
    }

    /// The same for a slot's start that may not go on from the last one as registers do; see [`OpenBatch::take_up`].
    ///
    /// # Errors
    ///
    /// As [`Meter::observe`].
    pub fn take_up<R: CryptoRng>(
        &mut self,
        boundary: &Boundary,
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Result<Vec<Outgoing>, ReadingError>, MeterError> {
        match self.open.take_up(boundary, self.pace.batch_slots) {
            Ok(full) => {
                self.open.save(store)?;
                if let Some(batch) = full {
                    self.queue(batch, store)?;
                }
                self.send_queued(now, store, rng).map(Ok)
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Seals the slots of a batch that will not be completed, when the source has ended.
    ///
    /// # Errors
    ///
    /// [`MeterError`].
    pub fn flush<R: CryptoRng>(
        &mut self,
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Vec<Outgoing>, MeterError> {
        if let Some(batch) = self.open.flush() {
            self.open.save(store)?;
            self.queue(batch, store)?;
        }
        self.send_queued(now, store, rng)
    }

    /// Queues what is to be sent of a batch, and keeps the rest in the journal.
    fn queue(&mut self, batch: FullBatch, store: &mut dyn Store) -> Result<(), MeterError> {
        let last = self.revoked.as_ref().and_then(|revocation| revocation.first_slot(self.roster.slot()));
        let (batch, late) = match last {
            Some(last) => batch.split(last),
            None => (Some(batch), None),
        };
        if let Some(late) = late {
            store.put(JOURNAL, &late.slots.start().0.to_be_bytes(), &wire::encode(&late))?;
        }
        let Some(batch) = &batch else { return Ok(()) };
        self.grid.take(batch, self.roster.policy().interval_slots(self.roster.slot()), store)?;
        self.outbox.queue(batch, store)?;
        self.levelled.as_mut().map_or(Ok(()), |levelled| levelled.queue(batch, store))
    }

    /// Seals and encrypts what is queued.
    fn send_queued<R: CryptoRng>(
        &mut self,
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Vec<Outgoing>, MeterError> {
        let mut sends = self.seal_queued(now, store, rng)?;
        let own = Own { identity: &self.identity, roster: &self.roster, pace: &self.pace };
        if let Some(levelled) = &mut self.levelled {
            sends.extend(levelled.encrypt_queued(own, now, store, rng)?);
        }
        Ok(sends)
    }

    /// Takes a delivery.
    ///
    /// # Errors
    ///
    /// [`MeterError`] if the meter can't go on; what a peer got wrong is in [`Handled`].
    pub fn handle(
        &mut self,
        topic: &str,
        payload: &[u8],
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Handled, MeterError> {
        let Ok(parsed) = topic.parse::<Topic>() else {
            return Ok(Handled::refused(Rule::Malformed, "not a topic of wv/1"));
        };
        match parsed.channel {
            Channel::Receipt(meter, _) if meter == self.identity.meter => {
                Ok(self.take_receipt(payload, store)?)
            }
            Channel::Levelled(channel) => {
                let own = Own { identity: &self.identity, roster: &self.roster, pace: &self.pace };
                match &mut self.levelled {
                    Some(levelled) => levelled.handle(topic, &channel, payload, own, store),
                    None => Ok(Handled::refused(Rule::Malformed, "mode levelled is off here")),
                }
            }
            Channel::Revoked(meter) if meter == self.identity.meter => {
                Ok(self.take_revocation(payload, store)?)
            }
            Channel::Roster => match self.assembly.take(topic, payload) {
                Ok(Some(document)) => self.take_roster(&document, now, store),
                Ok(None) => Ok(Handled::quietly()),
                Err(error) => Ok(Handled::refused(Rule::Malformed, error)),
            },
            _ => Ok(Handled::refused(Rule::Malformed, "a meter has no use for this topic")),
        }
    }

    /// Lets time pass: what has no receipt is sent again, what is too old goes.
    ///
    /// # Errors
    ///
    /// [`MeterError`].
    pub fn tick<R: CryptoRng>(
        &mut self,
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Vec<Outgoing>, MeterError> {
        let mut sends = self.announcement();
        sends.extend(self.seal_queued(now, store, rng)?);
        // a clock at which the roster's keys are over is more likely wrong than the records are old
        if self.keys_last(now.timestamp()) {
            self.outbox.expire(now, self.pace.retention, store)?;
        }
        for (seq, point) in self.outbox.due(now, self.pace.burst) {
            let Some(payload) = outbox::message(seq, point, store)? else { continue };
            self.outbox.sent(seq, point, now, &self.pace, rng);
            if let Some(topic) = self.topic_of(seq, point) {
                sends.push(Outgoing::new(topic, payload));
            }
        }
        let own = Own { identity: &self.identity, roster: &self.roster, pace: &self.pace };
        if let Some(levelled) = &mut self.levelled {
            sends.extend(levelled.tick(own, now, store, rng)?);
        }
        Ok(sends)
    }

    /// Messages without a receipt, and batches not sealed or encrypted.
    pub fn backlog(&self) -> usize {
        self.outbox.backlog() + self.levelled.as_ref().map_or(0, Levelled::backlog)
    }

    /// Records sealed since the outbox began.
    pub fn sealed(&self) -> u64 {
        self.outbox.sealed()
    }

    /// Why the roster in force is not sealed under, if it is not.
    pub fn refused_roster(&self) -> Option<&FloorError> {
        self.refused.as_ref()
    }

    /// The registrar's word that this meter measures no more, if there is one.
    pub fn revoked(&self) -> Option<&Revocation> {
        self.revoked.as_deref()
    }

    /// Its status: who is up and revoked says that it is revoked.
    pub fn status(&self, state: &str, now: Moment) -> Report {
        let state = if self.revoked.is_some() && state == "up" { "revoked" } else { state };
        let status = Status {
            state: state.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            roster_epoch: self.roster.document().epoch,
            backlog: self.backlog() as u64,
            at: now.timestamp(),
        };
        let topic = self.topic(Channel::Status(Role::Meter, self.identity.meter.to_string()));
        Report { topic, status }
    }

    fn topic(&self, channel: Channel) -> Topic {
        channel.of(&self.roster.document().deployment)
    }

    /// Where an entry of the outbox goes.
    fn topic_of(&self, seq: u64, point: Point) -> Option<Topic> {
        let (name, meter) = (self.roster.aggregator(point)?.id.clone(), self.identity.meter);
        Some(self.topic(match self.outbox.carries(seq)? {
            Carries::Shares => Channel::Share(name, meter),
            Carries::Vector => Channel::Grid(name, meter),
            Carries::Deal => Channel::Deal(name, meter),
        }))
    }

    /// The certificate, when it is to be announced.
    fn announcement(&mut self) -> Vec<Outgoing> {
        if !std::mem::take(&mut self.announce) {
            return Vec::new();
        }
        let topic = self.topic(Channel::Certificate(self.identity.meter));
        vec![Outgoing::new(topic, self.identity.certificate.clone()).retained()]
    }

    fn seal_queued<R: CryptoRng>(
        &mut self,
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Vec<Outgoing>, MeterError> {
        let grid = self.grid.is_due(&self.roster);
        if self.outbox.queued() == 0 && !grid {
            return Ok(Vec::new());
        }
        self.refused = self.floor.admits(&self.roster, now.timestamp()).err();
        // A roster may outlive an aggregator's keys: until the next one comes, batches wait as under an expired one.
        let now_s = now.timestamp();
        if !self.keys_last(now_s) {
            self.refused = Some(FloorError::Expired { now: now_s });
        }
        if self.refused.is_some() {
            return Ok(Vec::new());
        }
        // Who does not know the certificate yet refuses the record that comes before it.
        let mut sends = self.announcement();
        let mut sealed = Vec::new();
        for full in self.outbox.take_queued(store)? {
            let contents = Zeroizing::new(wire::encode(&full));
            let FullBatch { slots, energies, close, .. } = full;
            let head = Head {
                kind: Kind::Import,
                roster_epoch: self.roster.document().epoch,
                meter: self.identity.meter,
                seq: self.outbox.next_seq(store)?,
                version: 0,
                slots,
            };
            let batch = Batch::new(&energies, close)?;
            let key = &self.identity.key;
            let rng = &mut hedged(rng, key, &[&wire::encode(&head), &contents]);
            let shares = seal(&batch, head, key, &self.roster, now.timestamp(), rng)?;
            self.outbox.insert(head.seq, &shares.into(), now, store)?;
            sealed.push(head.seq);
        }
        if grid {
            sealed.extend(self.grid.seal(
                &self.identity,
                &self.roster,
                now,
                (&mut self.outbox, store),
                rng,
            )?);
        }
        for seq in sealed {
            for point in self.outbox.points_of(seq) {
                let (Some(payload), Some(topic)) =
                    (outbox::message(seq, point, store)?, self.topic_of(seq, point))
                else {
                    continue;
                };
                self.outbox.sent(seq, point, now, &self.pace, rng);
                sends.push(Outgoing::new(topic, payload));
            }
        }
        Ok(sends)
    }

    /// Whether every aggregator of the roster has a key at that time.
    fn keys_last(&self, now: Timestamp) -> bool {
        self.roster.document().aggregators.iter().all(|aggregator| aggregator.box_key_at(now).is_some())
    }

    fn take_receipt(&mut self, payload: &[u8], store: &mut dyn Store) -> Result<Handled, StoreError> {
        let receipt = match self.verify_receipt(payload) {
            Ok(receipt) => receipt,
            Err(refused) => return Ok(refused),
        };
        self.outbox.acknowledge(receipt.point, &receipt.stored, store)?;
        // Ranges that no longer fit into a receipt are told by their check values, one by one.
        for check in &receipt.checks {
            self.outbox.acknowledge_one(receipt.point, check.seq, &check.rid, store)?;
        }
        let mut refusal = None;
        for refused in &receipt.refused {
            match refused.rule {
                Rule::UnknownMeter => self.announce = true,
                // The aggregator will never take this record: asking again would not change its mind. Only what it
                // says of a record that we signed counts; anybody can send it forged ones with our numbers.
                Rule::Late
                | Rule::Revoked
                | Rule::Equivocation
                | Rule::BadShare
                | Rule::LoadVector
                | Rule::KeyDeal
                | Rule::Interval => {
                    self.outbox.drop_for(receipt.point, refused.seq, store)?;
                }
                _ => {}
            }
            refusal = Some(protocol::rule::Refusal::new(
                refused.rule,
                format_args!(
                    "aggregator {} refused record {}. {}",
                    receipt.point,
                    refused.seq,
                    refused.rule.meaning()
                ),
            ));
        }
        Ok(Handled { sends: Vec::new(), refusal })
    }

    fn verify_receipt(&self, payload: &[u8]) -> Result<Signed<Receipt>, Handled> {
        let open = |roster: &Roster| roster.open_peer(payload, |receipt: &Receipt| receipt.point);
        let older = || self.past.iter().rev().find_map(|roster| open(roster).ok());
        let receipt = open(&self.roster).or_else(|refusal| older().ok_or(refusal))?;
        if receipt.meter == self.identity.meter {
            Ok(receipt)
        } else {
            Err(Handled::refused(Rule::Malformed, "a receipt for another meter"))
        }
    }

    fn take_revocation(&mut self, payload: &[u8], store: &mut dyn Store) -> Result<Handled, StoreError> {
        let revocation = match open_revocation(payload, &self.identity, &self.roster) {
            Ok(revocation) => revocation,
            Err(error) => return Ok(Handled::refused(Rule::NotTheRegistrar, error)),
        };
        if revocation.meter != self.identity.meter {
            return Ok(Handled::refused(Rule::Malformed, "another meter's revocation"));
        }
        if !revocation.precedes(self.revoked.as_deref()) {
            return Ok(Handled::quietly());
        }
        store.put(REVOKED, b"", payload)?;
        let Revocation { from, reason, .. } = &*revocation;
        let refusal = Handled::refused(
            Rule::Revoked,
            format_args!(
                "the registrar revoked this meter as of {from}: {reason}; what it measures from then on stays in its journal, and is \
                 sent to nobody; ask the registrar"
            ),
        );
        self.revoked = Some(revocation);
        Ok(refusal)
    }

    fn take_roster(
        &mut self,
        document: &[u8],
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Handled, MeterError> {
        let next = match Roster::accept(document, &self.identity.registrar) {
            Ok(next) if next.hash() == self.roster.hash() => return Ok(Handled::quietly()),
            // It is said again, for whoever has yet to take it.
            Ok(next) if self.past.iter().any(|past| past.hash() == next.hash()) => {
                return Ok(Handled::quietly());
            }
            Ok(next) => next,
            Err(error) => return Ok(Handled::refused(Rule::RosterOld, error)),
        };
        match self.floor.admits_after(&self.roster, &next, now.timestamp()) {
            Ok(()) => {
                store_roster(&next, Some(&self.roster), store)?;
                self.past.push(std::mem::replace(&mut self.roster, next));
                // A collective key ends with its roster.
                if self.levelled.is_some() {
                    self.levelled = Some(Levelled::load(self.own(), store, now)?);
                }
                Ok(Handled::quietly())
            }
            Err(error) => Ok(Handled::refused(Rule::RosterOld, error)),
        }
    }
}

fn open_revocation(
    bytes: &[u8],
    identity: &Identity,
    roster: &Roster,
) -> Result<Signed<Revocation>, OpenError> {
    Revocation::open(bytes, &identity.registrar, &roster.document().deployment)
}

/// The newer of the roster a meter is started with and the one it had come to: a restart is no way back.
fn newest_roster(given: Roster, identity: &Identity, store: &mut dyn Store) -> Result<Roster, MeterError> {
    let Some(bytes) = store.get(ROSTER, b"")? else {
        store_roster(&given, None, store)?;
        return Ok(given);
    };
    let kept = Roster::accept(&bytes, &identity.registrar)
        .map_err(|_| MeterError::Damaged("the roster in force can't be read"))?;
    if kept.document().epoch >= given.document().epoch {
        return Ok(kept);
    }
    store_roster(&given, Some(&kept), store)?;
    Ok(given)
}

fn store_roster(roster: &Roster, past: Option<&Roster>, store: &mut dyn Store) -> Result<(), StoreError> {
    if let Some(past) = past {
        store.put(PAST, &past.document().epoch.to_be_bytes(), past.bytes())?;
    }
    store.put(ROSTER, b"", roster.bytes())
}

fn past_rosters(identity: &Identity, store: &dyn Store) -> Result<Vec<Roster>, MeterError> {
    let damaged = || MeterError::Damaged("a roster that was in force can't be read");
    let rows = store::entries(PAST, store)?;
    rows.iter().map(|(_, bytes)| Roster::accept(bytes, &identity.registrar).map_err(|_| damaged())).collect()
}

impl Meter {
    /// How many records each aggregator owes a receipt for.
    pub fn owed(&self) -> Owed {
        self.outbox.owed()
    }

    /// Records that the slowest aggregator of the fastest quorum owes a receipt for: what a replay waits for.
    pub fn lag(&self) -> usize {
        let owed = self.owed();
        let mut counts: Vec<usize> =
            self.roster.points().iter().map(|point| owed.get(point).copied().unwrap_or(0)).collect();
        counts.sort_unstable();
        counts.get(self.roster.q() - 1).copied().unwrap_or(0)
    }
}

/// Records without a receipt, by aggregator.
pub type Owed = BTreeMap<Point, usize>;
