//! The meter: the whole privacy step, pure.
//!
//! What must stay true:
//! * the cumulative register is the truth; a slot's energy is the difference of two registers;
//! * a batch is sealed once. What is sent again are the same bytes, from the outbox;
//! * no step of the clock loses a record or keeps one back: see [`outbox`];
//! * nothing is sent before it is durable: the caller commits the store, then publishes;
//! * a record leaves the outbox only when every aggregator has it or its retention is over: the curve and the next bill need
//!   the shares of an aggregator that was offline, too;
//! * a roster below the floor is never sealed under: the meter keeps measuring and queues;
//! * nothing that ends after the meter's revocation is sealed: the meter keeps measuring, and keeps it in its journal.

use std::collections::BTreeMap;
use std::fmt;

use protocol::hedge::hedged;
use protocol::part::Assembly;
use protocol::receipt::Receipt;
use protocol::record::{Head, Kind, MAX_BATCH};
use protocol::revocation::Revocation;
use protocol::roster::Roster;
use protocol::roster::floor::{Floor, FloorError};
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::share::{Batch, seal};
use protocol::signature::{OpenError, Signed};
use protocol::status::{Report, Status};
use protocol::topic::{Channel, Handled, Outgoing, Role, Topic};
use protocol::unit::{Moment, Register, Slot, Timestamp};
use protocol::wire;
use rand::CryptoRng;
use store::{Store, StoreError, Table};
use zeroize::Zeroizing;

use self::grid::Grid;
use self::levelled::Levelled;
use self::open_batch::{FullBatch, OpenBatch};
use self::outbox::{Cargo, Entry, Outbox};
use self::pace::millis;
use self::party::{Party, open_rosters, save_roster};

mod error;
mod grid;
mod levelled;
pub mod open_batch;
pub mod outbox;
mod pace;
mod party;

pub use self::error::MeterError;
pub use self::open_batch::ReadingError;
pub use self::pace::Pace;
pub use self::party::Identity;
pub use crate::reading::Reading;

/// The meter's revocation, if there is one: one row.
const REVOKED: Table = Table("revoked");

/// What was measured after the revocation: first slot → a batch. It is sent to nobody.
const JOURNAL: Table = Table("journal");

/// Messages sent again in one tick at most.
const BURST: usize = 256;

/// What one step of the role works with.
struct Step<'a, R> {
    now: Moment,
    store: &'a mut dyn Store,
    rng: &'a mut R,
}

/// A meter.
pub struct Meter {
    party: Party,
    floor: Floor,
    open: OpenBatch,
    grid: Grid,
    outbox: Outbox,
    assembly: Assembly,
    /// Why the roster in force is not sealed under, if it is not.
    refused: Option<FloorError>,
    /// The registrar's statement that this meter measures no more.
    revoked: Option<Signed<Revocation>>,
    /// A certificate is to be announced.
    announce: bool,
    levelled: Option<Levelled>,
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("meter", &self.party.identity.meter).finish_non_exhaustive()
    }
}

impl Meter {
    /// Continues from what the store holds.
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
        if !(1..=MAX_BATCH).contains(&(pace.batch_slots as usize)) {
            return Err(MeterError::BatchSlots(pace.batch_slots));
        }
        let rosters = open_rosters(roster, &identity, store)?;
        let party = Party { identity, rosters, pace };
        let revoked = store.get(REVOKED, b"")?.map(|bytes| open_revocation(&bytes, &party)).transpose();
        Ok(Self {
            floor,
            open: OpenBatch::load(store)?,
            grid: Grid::load(store)?,
            outbox: Outbox::load(store, now)?,
            assembly: Assembly::default(),
            refused: None,
            revoked: revoked.map_err(|error| MeterError::Damaged {
                what: "the revocation",
                source: Some(Box::new(error)),
            })?,
            announce: true,
            levelled: None,
            party,
        })
    }

    /// Turns on mode `levelled`, which trusts meters to encrypt honestly: see [`protocol::levelled::CAUTION`].
    ///
    /// # Errors
    ///
    /// [`MeterError`].
    pub fn with_levelled(mut self, store: &dyn Store, now: Moment) -> Result<Self, MeterError> {
        self.levelled = Some(Levelled::load(&self.party, store, now)?);
        Ok(self)
    }

    /// Whether there is a collective key to encrypt under.
    pub fn has_collective_key(&self) -> bool {
        self.levelled.as_ref().is_some_and(Levelled::has_key)
    }

    /// The topics it subscribes to.
    pub fn filters(&self) -> Vec<String> {
        let (deployment, meter) = (&self.party.roster().document().deployment, self.party.identity.meter);
        let receipts = format!("wv/1/{deployment}/receipt/{meter}/+");
        let own =
            [Channel::Roster, Channel::Revoked(meter)].map(|channel| self.party.topic(channel).to_string());
        let levelled = self.levelled.iter().flat_map(|_| Levelled::topics(meter));
        let levelled = levelled.map(|topic| format!("wv/1/{deployment}/{topic}"));
        [receipts].into_iter().chain(own).chain(levelled).collect()
    }

    /// The slot of the last reading, if there was one: a source replays what is later.
    pub fn resume_at(&self) -> Option<Slot> {
        self.last().map(|(at, _)| at)
    }

    /// The last reading's slot and import register.
    pub fn last(&self) -> Option<(Slot, Register)> {
        self.open.last()
    }

    /// Adds a reading; seals every batch that it completes and gives the messages to publish after a commit.
    ///
    /// # Errors
    ///
    /// [`ReadingError`] within, the state unchanged; [`MeterError`] if the meter can't continue.
    pub fn observe<R: CryptoRng>(
        &mut self,
        reading: Reading,
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Result<Vec<Outgoing>, ReadingError>, MeterError> {
        match self.open.observe(&reading, self.party.pace.batch_slots) {
            Ok(full) => {
                self.open.save(store)?;
                full.map_or(Ok(()), |batch| self.queue(batch, store))?;
                self.send_queued(&mut Step { now, store, rng }).map(Ok)
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
        self.send_queued(&mut Step { now, store, rng })
    }

    /// Queues what is to be sent of a batch, and keeps the rest in the journal.
    fn queue(&mut self, batch: FullBatch, store: &mut dyn Store) -> Result<(), MeterError> {
        let slot = self.party.roster().slot();
        let last = self.revoked.as_ref().and_then(|revocation| revocation.first_slot(slot));
        let (batch, late) = match last {
            Some(last) => batch.split(last),
            None => (Some(batch), None),
        };
        if let Some(late) = late {
            store.put(JOURNAL, &late.slots.start().0.to_be_bytes(), &wire::encode(&late))?;
        }
        let Some(batch) = batch else { return Ok(()) };
        self.grid.add(&batch, self.party.roster().policy().interval_slots(slot), store)?;
        if let Some(levelled) = &mut self.levelled {
            levelled.queue(batch.clone(), store)?;
        }
        Ok(self.outbox.queue(batch, store)?)
    }

    /// Seals and encrypts what is queued.
    fn send_queued<R: CryptoRng>(&mut self, step: &mut Step<'_, R>) -> Result<Vec<Outgoing>, MeterError> {
        let mut sends = self.seal_queued(step)?;
        if let Some(levelled) = &mut self.levelled {
            sends.extend(levelled.encrypt_queued(&self.party, step)?);
        }
        Ok(sends)
    }

    /// Handles a delivery.
    ///
    /// # Errors
    ///
    /// [`MeterError`] if the meter can't continue; what a peer got wrong is in [`Handled`].
    pub fn handle(
        &mut self,
        topic: &str,
        payload: &[u8],
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Handled, MeterError> {
        let own = self.party.identity.meter;
        let Ok(parsed) = topic.parse::<Topic>() else {
            return Ok(Handled::refused(Rule::Malformed, "not a topic of wv/1"));
        };
        match parsed.channel {
            Channel::Receipt(meter, _) if meter == own => Ok(self.handle_receipt(payload, store)?),
            Channel::Levelled(channel) => match &mut self.levelled {
                Some(levelled) => levelled.handle(topic, &channel, payload, &self.party, store),
                None => Ok(Handled::refused(Rule::Malformed, "mode levelled is off here")),
            },
            Channel::Revoked(meter) if meter == own => Ok(self.handle_revocation(payload, store)?),
            Channel::Roster => match self.assembly.take(topic, payload) {
                Ok(Some(document)) => self.handle_roster(&document, now, store),
                Ok(None) => Ok(Handled::quietly()),
                Err(error) => Ok(Handled::refused(Rule::Malformed, error)),
            },
            _ => Ok(Handled::refused(Rule::Malformed, "a meter has no use for this topic")),
        }
    }

    /// Lets time pass: what has no receipt is sent again, what is too old is dropped.
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
        sends.extend(self.seal_queued(&mut Step { now, store, rng })?);
        // a clock at which the roster's keys are over is more likely wrong than the records are old
        if self.keys_last(now.timestamp()) {
            self.outbox.expire(now, millis(self.party.pace.retention), store)?;
        }
        for (seq, point) in self.outbox.due(now, BURST) {
            let Some(payload) = outbox::message(seq, point, store)? else { continue };
            self.outbox.sent(seq, point, now, &self.party.pace, rng);
            let topic = self.outbox.cargo(seq).and_then(|cargo| self.topic_of(cargo, point));
            sends.extend(topic.map(|topic| Outgoing::new(topic, payload)));
        }
        if let Some(levelled) = &mut self.levelled {
            sends.extend(levelled.tick(&self.party, &mut Step { now, store, rng })?);
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

    /// How many records each aggregator owes a receipt for.
    pub fn owed(&self) -> BTreeMap<Point, usize> {
        self.outbox.owed()
    }

    /// Records that the slowest aggregator of the fastest quorum owes a receipt for: what a replay waits for.
    pub fn lag(&self) -> usize {
        let (owed, roster) = (self.owed(), self.party.roster());
        let mut counts: Vec<usize> =
            roster.points().iter().map(|point| owed.get(point).copied().unwrap_or(0)).collect();
        counts.sort_unstable();
        counts.get(roster.q() - 1).copied().unwrap_or(0)
    }

    /// The registrar's statement that this meter measures no more, if there is one.
    pub fn revoked(&self) -> Option<&Revocation> {
        self.revoked.as_deref()
    }

    /// Its status. A meter that is up and revoked reports that it is revoked.
    pub fn status(&self, state: &str, now: Moment) -> Report {
        let state = if self.revoked.is_some() && state == "up" { "revoked" } else { state };
        let status = Status {
            state: state.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            roster_epoch: self.party.roster().document().epoch,
            backlog: self.backlog() as u64,
            at: now.timestamp(),
        };
        let topic = self.party.topic(Channel::Status(Role::Meter, self.party.identity.meter.to_string()));
        Report { topic, status }
    }

    /// Where an entry of the outbox is sent.
    fn topic_of(&self, cargo: Cargo, point: Point) -> Option<Topic> {
        let (name, meter) = (self.party.roster().aggregator(point)?.id.clone(), self.party.identity.meter);
        Some(self.party.topic(match cargo {
            Cargo::Shares => Channel::Share(name, meter),
            Cargo::Vector => Channel::Grid(name, meter),
            Cargo::Deal => Channel::Deal(name, meter),
        }))
    }

    /// The certificate, when it is to be announced.
    fn announcement(&mut self) -> Vec<Outgoing> {
        if !std::mem::take(&mut self.announce) {
            return Vec::new();
        }
        let Party { identity, .. } = &self.party;
        let topic = self.party.topic(Channel::Certificate(identity.meter));
        vec![Outgoing::new(topic, identity.certificate.clone()).retained()]
    }

    fn seal_queued<R: CryptoRng>(&mut self, step: &mut Step<'_, R>) -> Result<Vec<Outgoing>, MeterError> {
        let grid = self.grid.is_due(self.party.roster());
        if !self.outbox.has_queued() && !grid || !self.may_seal(step.now.timestamp()) {
            return Ok(Vec::new());
        }
        // An aggregator without the certificate rejects the record: the certificate is sent first.
        let mut sends = self.announcement();
        for full in self.outbox.take_queued(step.store)? {
            let (seq, entry) = self.seal(&full, step)?;
            sends.extend(self.send(seq, entry, step)?);
        }
        if grid {
            for (seq, entry) in self.grid.seal(&self.party, &mut self.outbox, step)? {
                sends.extend(self.send(seq, entry, step)?);
            }
        }
        Ok(sends)
    }

    /// Whether the roster in force may be sealed under; if not, the reason is logged once.
    fn may_seal(&mut self, now: Timestamp) -> bool {
        let mut refused = self.floor.admits(self.party.roster(), now).err();
        // A roster may outlive an aggregator's keys: until the next one comes, batches wait as under an expired one.
        if !self.keys_last(now) {
            refused = Some(FloorError::Expired { now });
        }
        if let Some(error) = &refused
            && self.refused.is_none()
        {
            tracing::warn!("batches wait in the queue, because the roster in force can't be used: {error}");
        }
        self.refused = refused;
        self.refused.is_none()
    }

    /// Shares, seals and signs a batch.
    fn seal<R: CryptoRng>(
        &mut self,
        full: &FullBatch,
        step: &mut Step<'_, R>,
    ) -> Result<(u64, Entry), MeterError> {
        let (Party { identity, .. }, roster) = (&self.party, self.party.roster());
        let head = Head {
            kind: Kind::Import,
            roster_epoch: roster.document().epoch,
            meter: identity.meter,
            seq: self.outbox.next_seq(step.store)?,
            version: 0,
            slots: full.slots,
        };
        let batch = Batch::new(&full.energies, full.close)?;
        let contents = Zeroizing::new(wire::encode(full));
        let rng = &mut hedged(step.rng, &identity.key, &[&wire::encode(&head), &contents]);
        let sealed = seal(&batch, head, &identity.key, roster, step.now.timestamp(), rng)?;
        Ok((head.seq, sealed.into()))
    }

    /// Keeps what was sealed, and gives its messages.
    fn send<R: CryptoRng>(
        &mut self,
        seq: u64,
        entry: Entry,
        step: &mut Step<'_, R>,
    ) -> Result<Vec<Outgoing>, StoreError> {
        self.outbox.insert(seq, &entry, step.now, step.store)?;
        let mut sends = Vec::with_capacity(entry.messages.len());
        for (point, payload) in entry.messages {
            self.outbox.sent(seq, point, step.now, &self.party.pace, step.rng);
            let topic = self.topic_of(entry.cargo, point);
            sends.extend(topic.map(|topic| Outgoing::new(topic, payload)));
        }
        Ok(sends)
    }

    /// Whether every aggregator of the roster has a key at that time.
    fn keys_last(&self, now: Timestamp) -> bool {
        let aggregators = &self.party.roster().document().aggregators;
        aggregators.iter().all(|aggregator| aggregator.box_key_at(now).is_some())
    }

    fn handle_receipt(&mut self, payload: &[u8], store: &mut dyn Store) -> Result<Handled, StoreError> {
        // an aggregator may still be under an older roster
        let receipt = match self.party.rosters.open_peer(payload, |receipt: &Receipt| receipt.point) {
            Ok(receipt) if receipt.meter == self.party.identity.meter => receipt,
            Ok(_) => return Ok(Handled::refused(Rule::Malformed, "a receipt for another meter")),
            Err(refusal) => return Ok(refusal.into()),
        };
        self.outbox.acknowledge(receipt.point, &receipt.stored, store)?;
        // Ranges that no longer fit into a receipt are named by their check values, one by one.
        for check in &receipt.checks {
            self.outbox.acknowledge_one(receipt.point, check.seq, &check.rid, store)?;
        }
        for refused in &receipt.refused {
            match refused.rule {
                Rule::UnknownMeter => self.announce = true,
                // The aggregator will never accept this record, so it is not sent again. Only a record that we signed
                // counts; anybody can send the aggregator forged ones with our numbers.
                Rule::Late
                | Rule::Revoked
                | Rule::Equivocation
                | Rule::BadShare
                | Rule::LoadVector
                | Rule::KeyDeal
                | Rule::Interval => self.outbox.drop_for(receipt.point, refused.seq, store)?,
                _ => {}
            }
        }
        let refusal = receipt.refused.last().map(|refused| {
            let (seq, meaning) = (refused.seq, refused.rule.meaning());
            let text = format_args!("aggregator {} rejected record {seq}. {meaning}", receipt.point);
            Refusal::new(refused.rule, text)
        });
        Ok(Handled { sends: Vec::new(), refusal })
    }

    fn handle_revocation(&mut self, payload: &[u8], store: &mut dyn Store) -> Result<Handled, StoreError> {
        let revocation = match open_revocation(payload, &self.party) {
            Ok(revocation) => revocation,
            Err(error) => return Ok(Handled::refused(Rule::NotTheRegistrar, error)),
        };
        if revocation.meter != self.party.identity.meter {
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
                "the registrar revoked this meter as of {from}: {reason}. Later readings stay in the meter's journal and are \
                 sent to nobody. Ask the registrar"
            ),
        );
        self.revoked = Some(revocation);
        Ok(refusal)
    }

    fn handle_roster(
        &mut self,
        document: &[u8],
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Handled, MeterError> {
        let refused = |error: &dyn std::error::Error| Ok(Handled::refused(Rule::RosterOld, error));
        let next = match Roster::accept(document, &self.party.identity.registrar) {
            Ok(next) => next,
            Err(error) => return refused(&error),
        };
        // Rosters are published again and again, for parties that do not have them yet.
        if self.party.rosters.all().any(|known| known.hash() == next.hash()) {
            return Ok(Handled::quietly());
        }
        let mut rosters = self.party.rosters.clone();
        if let Err(error) = rosters.follow(next) {
            return refused(&error);
        }
        if let Err(error) = self.floor.admits(rosters.current(), now.timestamp()) {
            return refused(&error);
        }
        save_roster(rosters.current(), Some(self.party.roster()), store)?;
        self.party.rosters = rosters;
        // A collective key ends with its roster.
        if self.levelled.is_some() {
            self.levelled = Some(Levelled::load(&self.party, store, now)?);
        }
        Ok(Handled::quietly())
    }
}

fn open_revocation(bytes: &[u8], party: &Party) -> Result<Signed<Revocation>, OpenError> {
    Revocation::open(bytes, &party.identity.registrar, &party.roster().document().deployment)
}
