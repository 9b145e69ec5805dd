//! The aggregator: stores shares, and answers certified releases only. Pure.
//!
//! What must stay true:
//! * a receipt leaves only for what is durable: the caller commits the store, then publishes;
//! * a record is stored once, whatever is delivered how often; another record for the same slots is kept as evidence;
//! * a slot of a service point enters at most one release of each kind, ever;
//! * one vote a query, written to the ledger before it is sent, final; no vote after a restore from an old backup;
//! * an answer is computed once, stored, and sent again byte for byte;
//! * the rosters that were in force stay known: a record, a query and a vote belong to the one that they were made under.

use std::collections::BTreeMap;
use std::fmt;

use protocol::certificate::{MeterCertificate, deployment_context};
use protocol::hpke_box::{BoxError, OpeningKey};
use protocol::id::{Deployment, Hash, MeterId};
use protocol::part::Assembly;
use protocol::release::cut::Cut;
use protocol::release::inventory::Inventory;
use protocol::revocation::Revocation;
use protocol::roster::Roster;
use protocol::roster::chain::{Chain, ChainError};
use protocol::rule::Rule;
use protocol::shamir::Point;
use protocol::signature::{self, Document, Signed, SigningKey, VerifyingKey};
use protocol::status::{Report, Status};
use protocol::tariff::{Tariff, TariffDocument};
use protocol::topic::{Channel, Handled, Outgoing, Role, Topic};
use protocol::unit::{Moment, Slot, SlotRange};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use store::{Store, StoreError, Table};

use self::intake::Intake;
use self::ledger::Ledger;
use self::levelled::{Delivery, Levelled};
use self::releases::Releases;
use self::vectors::Vectors;

mod differencing;
mod intake;
mod ledger;
mod levelled;
mod releases;
mod taken;
mod vectors;

pub use self::levelled::LevelledPace;

/// The rosters that were in force, and the one that is: epoch → the roster as it came.
pub const ROSTER: Table = Table("roster");
const CERTIFICATE: Table = Table("certificate");
const REVOKED: Table = Table("revoked");
const TARIFF: Table = Table("tariff");

/// The most tariffs that are kept in memory.
const MAX_TARIFFS: usize = 1_024;

/// Who an aggregator is.
#[derive(Debug)]
pub struct Identity {
    /// Its evaluation point.
    pub point: Point,
    /// The key it signs with.
    pub key: SigningKey,
    /// The keys that shares are sealed to, old ones included.
    pub box_keys: Vec<OpeningKey>,
    /// The registrar's key.
    pub registrar: VerifyingKey,
}

/// How an aggregator paces itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// Milliseconds between two receipts for one meter, at least.
    #[serde(with = "runtime::millis")]
    pub receipt_every: u64,
    /// Milliseconds to wait for records that a certified cut names and that are not here yet; then the answer goes
    /// without them.
    #[serde(with = "runtime::millis")]
    pub patience: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { receipt_every: 2_000, patience: 3_600_000 }
    }
}

/// Why an aggregator can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AggregatorError {
    /// The store failed: nothing is known to be durable any more.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store holds is not what this program wrote.
    #[error("the aggregator's store is damaged: {0}")]
    Damaged(&'static str),
    /// The roster is no successor of the one in force.
    #[error("the roster does not follow the stored one")]
    Roster(#[from] ChainError),
    /// The roster names another key for this point, or no such point.
    #[error(
        "the roster lists another key for aggregator {0}, or no such aggregator; check `key` and `roster`"
    )]
    NotInRoster(Point),
    /// The utility's key can't be sealed to.
    #[error("a result can't be sealed to the utility")]
    Seal(#[from] BoxError),
}

/// What is the same for every message: who is who.
#[derive(Debug)]
struct Party {
    identity: Identity,
    rosters: Chain,
    pace: Pace,
    name: protocol::id::AggregatorId,
}

impl Party {
    /// The roster in force.
    fn roster(&self) -> &Roster {
        self.rosters.current()
    }

    fn deployment(&self) -> &Deployment {
        &self.roster().document().deployment
    }

    fn topic(&self, channel: Channel) -> Topic {
        channel.of(self.deployment())
    }

    /// Takes a document of an aggregator, under the roster in force.
    fn open_peer<T: Document>(
        &self,
        bytes: &[u8],
        point: impl Fn(&T) -> Point,
    ) -> Result<Signed<T>, Handled> {
        Ok(self.roster().open_peer(bytes, point)?)
    }

    /// Takes a document of the utility, under the roster in force.
    fn open_utility<T: Document>(&self, bytes: &[u8]) -> Result<Signed<T>, Handled> {
        let key = &self.roster().document().utility.key;
        Signed::open(bytes, key, &self.roster().context())
            .map_err(|error| Handled::refused(Rule::NotTheUtility, error))
    }

    fn sign<T: Document>(&self, document: T) -> Signed<T> {
        self.sign_under(document, self.roster().context())
    }

    /// Signs what belongs to a release, under the roster of its query.
    fn sign_under<T: Document>(&self, document: T, context: signature::Context) -> Signed<T> {
        Signed::sign(document, &self.identity.key, &context)
    }
}

/// What the public documents say: which meters there are and were, and which tariffs.
#[derive(Debug, Default)]
struct Registry {
    certificates: BTreeMap<MeterId, Signed<MeterCertificate>>,
    revoked: BTreeMap<MeterId, Signed<Revocation>>,
    tariffs: BTreeMap<Hash, Tariff>,
}

/// What a meter's message is checked against.
#[derive(Clone, Copy, Debug)]
struct Context<'a> {
    party: &'a Party,
    registry: &'a Registry,
    now: Moment,
}

/// An aggregator.
pub struct Aggregator {
    party: Party,
    registry: Registry,
    intake: Intake,
    vectors: Vectors,
    ledger: Ledger,
    releases: Releases,
    assembly: Assembly,
    levelled: Option<Levelled>,
}

impl fmt::Debug for Aggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregator").field("name", &self.party.name).finish_non_exhaustive()
    }
}

impl Aggregator {
    /// Takes up where the store left off, under the roster that was in force or its successor.
    ///
    /// # Errors
    ///
    /// [`AggregatorError`].
    pub fn open(
        identity: Identity,
        roster: Roster,
        pace: Pace,
        store: &mut dyn Store,
    ) -> Result<Self, AggregatorError> {
        let aggregator = roster.aggregator(identity.point).filter(|a| a.key == identity.key.verifying_key());
        let name = aggregator.ok_or(AggregatorError::NotInRoster(identity.point))?.id.clone();
        let stored: Vec<Vec<u8>> = store::entries(ROSTER, store)?.into_iter().map(|(_, row)| row).collect();
        let (rosters, new) = Chain::resume(&stored, roster, &identity.registrar)?;
        if new {
            let current = rosters.current();
            store.put(ROSTER, &current.document().epoch.to_be_bytes(), current.bytes())?;
        }
        let party = Party { identity, rosters, pace, name };
        let registry = Registry::load(&party, store)?;
        let mut intake = Intake::load(store)?;
        let vectors = Vectors::load(&mut intake, store)?;
        let ledger = Ledger::load(&party, store)?;
        let releases = Releases::load(&party, &registry, store)?;
        let assembly = Assembly::default();
        Ok(Self { party, registry, intake, vectors, ledger, releases, assembly, levelled: None })
    }

    /// Turns on mode `levelled`, and takes up where the store left off. It trusts the meters to encrypt
    /// honestly: see [`protocol::levelled::CAUTION`].
    ///
    /// # Errors
    ///
    /// [`AggregatorError`].
    pub fn with_levelled(
        mut self,
        pace: LevelledPace,
        store: &mut dyn Store,
    ) -> Result<Self, AggregatorError> {
        tracing::warn!("mode `levelled` is on: {}", protocol::levelled::CAUTION);
        self.levelled = Some(Levelled::load(pace, &self.party, store)?);
        Ok(self)
    }

    /// The topics it listens to.
    pub fn filters(&self) -> Vec<String> {
        let root = format!("wv/1/{}", self.party.deployment());
        let inbox = format!("{root}/agg/{}/#", self.party.name);
        let others = ["cert/+", "revoked/+", "tariff/+", "query", "cut", "votes", "inventory/+", "vote/+"];
        let levelled = self.levelled.iter().flat_map(|_| Levelled::TOPICS);
        others.into_iter().chain(levelled).map(|topic| format!("{root}/{topic}")).chain([inbox]).collect()
    }

    /// Takes a delivery.
    ///
    /// # Errors
    ///
    /// [`AggregatorError`] if the aggregator can't go on; what a peer got wrong is in [`Handled`].
    pub fn handle<R: CryptoRng>(
        &mut self,
        topic: &str,
        payload: &[u8],
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Handled, AggregatorError> {
        let Ok(parsed) = topic.parse::<Topic>() else {
            return Ok(Handled::refused(Rule::Malformed, "the topic is not in wv/1"));
        };
        if parsed.deployment != *self.party.deployment() {
            return Ok(Handled::refused(Rule::Malformed, "the topic is of another deployment"));
        }
        let context = Context { party: &self.party, registry: &self.registry, now };
        match parsed.channel {
            Channel::Share(to, meter) if to == self.party.name => {
                return Ok(self.intake.take(meter, payload, context, store)?);
            }
            Channel::Grid(to, meter) if to == self.party.name => {
                return Ok(Vectors::take_vector(meter, payload, context, &mut self.intake, store)?);
            }
            Channel::Deal(to, meter) if to == self.party.name => {
                return Ok(self.vectors.take_chunk(meter, payload, context, &mut self.intake, store)?);
            }
            Channel::Certificate(_) => {
                return Ok(self.registry.take_certificate(payload, &self.party, store)?);
            }
            Channel::Revoked(_) => {
                return Ok(self.registry.take_revocation(payload, &self.party, store)?);
            }
            Channel::Levelled(channel) => {
                let Some(levelled) = &mut self.levelled else {
                    return Ok(Handled::refused(Rule::Malformed, "mode `levelled` is off here"));
                };
                let delivery = Delivery { topic, channel: &channel, payload };
                return levelled.handle(delivery, context, store, rng);
            }
            _ => {}
        }
        if let Channel::Inventory(name) | Channel::Vote(name) = &parsed.channel
            && self.party.roster().aggregator_named(name).is_none()
        {
            return Ok(Handled::refused(Rule::NotTheAggregator, "the roster has no aggregator of this name"));
        }
        let document = match self.assembly.take(topic, payload) {
            Ok(Some(document)) => document,
            Ok(None) => return Ok(Handled::quietly()),
            Err(error) => return Ok(Handled::refused(Rule::Malformed, error)),
        };
        match parsed.channel {
            Channel::Tariff(_) => Ok(self.registry.take_tariff(&document, &self.party, store)?),
            Channel::Query => Ok(self.take_query(&document, store)?),
            Channel::Inventory(_) => self.take_inventory(&document, now, store, rng),
            Channel::Cut => self.take_cut(&document, now, store, rng),
            Channel::Vote(_) => self.take_votes(&[document], now, store, rng),
            Channel::Votes => match protocol::wire::decode::<protocol::release::vote::Votes>(&document) {
                Ok(votes) => {
                    let votes: Vec<Vec<u8>> =
                        votes.0.into_iter().map(serde_bytes::ByteBuf::into_vec).collect();
                    self.take_votes(&votes, now, store, rng)
                }
                Err(error) => Ok(Handled::refused(Rule::Malformed, error)),
            },
            _ => Ok(Handled::refused(Rule::Malformed, "an aggregator does not use this topic")),
        }
    }

    /// Lets time pass: receipts go out, answers that waited for records are tried again.
    ///
    /// # Errors
    ///
    /// [`AggregatorError`].
    pub fn tick<R: CryptoRng>(
        &mut self,
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Vec<Outgoing>, AggregatorError> {
        let mut sends = self.intake.receipts(now, &self.party);
        sends.extend(self.releases.answer_certified(now, &self.party, &mut self.vectors, store, rng)?);
        if let Some(levelled) = &mut self.levelled {
            sends.extend(levelled.tick(now, &self.party, store, rng)?);
        }
        Ok(sends)
    }

    /// All that this aggregator knows of a meter's slots: its shares of them, as residues below p.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn shares_of(
        meter: MeterId,
        span: SlotRange,
        store: &dyn Store,
    ) -> Result<Vec<(Slot, u64)>, StoreError> {
        intake::residues(meter, span, store)
    }

    /// Records stored.
    pub fn records(&self) -> u64 {
        self.intake.records()
    }

    /// Its status.
    pub fn status(&self, state: &str, now: Moment) -> Report {
        let status = Status {
            state: state.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            roster_epoch: self.party.roster().document().epoch,
            backlog: self.intake.owed() as u64,
            at: now.timestamp(),
        };
        let topic = self.party.topic(Channel::Status(Role::Aggregator, self.party.name.to_string()));
        Report { topic, status }
    }

    fn take_query(&mut self, document: &[u8], store: &mut dyn Store) -> Result<Handled, AggregatorError> {
        let query = match self.party.rosters.open_utility(document) {
            Ok(query) => query,
            Err(error) => return Ok(Handled::refused(Rule::NotTheUtility, error)),
        };
        self.releases.take_query(&query, &self.party, &self.registry, &self.vectors, &self.ledger, store)
    }

    fn take_inventory<R: CryptoRng>(
        &mut self,
        document: &[u8],
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Handled, AggregatorError> {
        let inventory = match self.party.rosters.open_peer(document, |inventory: &Inventory| inventory.point)
        {
            Ok(inventory) => inventory,
            Err(refused) => return Ok(refused.into()),
        };
        match self.releases.take_inventory(inventory, &self.party, &self.registry, store)? {
            Some(cut) => self.vote_on(&cut, now, store, rng),
            None => Ok(Handled::quietly()),
        }
    }

    fn take_cut<R: CryptoRng>(
        &mut self,
        document: &[u8],
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Handled, AggregatorError> {
        match self.party.rosters.open_utility(document) {
            Ok(cut) => self.vote_on(&cut, now, store, rng),
            Err(error) => Ok(Handled::refused(Rule::NotTheUtility, error)),
        }
    }

    fn vote_on<R: CryptoRng>(
        &mut self,
        cut: &Signed<Cut>,
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Handled, AggregatorError> {
        let mut handled =
            self.releases.take_cut(cut, now, &self.party, &self.registry, &mut self.ledger, store)?;
        handled.sends.extend(self.releases.answer_certified(
            now,
            &self.party,
            &mut self.vectors,
            store,
            rng,
        )?);
        Ok(handled)
    }

    fn take_votes<R: CryptoRng>(
        &mut self,
        votes: &[Vec<u8>],
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Handled, AggregatorError> {
        let mut handled = Handled::quietly();
        for vote in votes.iter().take(protocol::shamir::MAX_PARTIES) {
            match self.party.rosters.open_peer(vote, |vote: &protocol::release::vote::Vote| vote.point) {
                Ok(vote) => {
                    let refusal = self.ledger.witness(&vote, &self.party, store)?;
                    handled.refusal = handled.refusal.or(refusal);
                    let refusal = self.releases.take_vote(vote, &self.party, &self.registry, store)?;
                    handled.refusal = handled.refusal.or(refusal);
                }
                Err(refused) => handled.refusal = handled.refusal.or(Some(refused)),
            }
        }
        handled.sends.extend(self.releases.answer_certified(
            now,
            &self.party,
            &mut self.vectors,
            store,
            rng,
        )?);
        Ok(handled)
    }
}

impl Registry {
    fn load(party: &Party, store: &dyn Store) -> Result<Self, AggregatorError> {
        let mut registry = Self::default();
        for (_, bytes) in store::entries(CERTIFICATE, store)? {
            if let Ok(certificate) =
                MeterCertificate::open(&bytes, &party.identity.registrar, party.deployment())
            {
                registry.certificates.insert(certificate.meter, certificate);
            }
        }
        for (_, bytes) in store::entries(REVOKED, store)? {
            let revocation = Revocation::open(&bytes, &party.identity.registrar, party.deployment())
                .map_err(|_| AggregatorError::Damaged("a revocation can't be read"))?;
            registry.revoked.insert(revocation.meter, revocation);
        }
        for (_, bytes) in store::entries(TARIFF, store)? {
            if let Ok((hash, tariff)) = open_tariff(&bytes, party) {
                registry.tariffs.insert(hash, tariff);
            }
        }
        Ok(registry)
    }

    fn take_certificate(
        &mut self,
        payload: &[u8],
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Handled, StoreError> {
        let certificate = match MeterCertificate::open(payload, &party.identity.registrar, party.deployment())
        {
            Ok(certificate) => certificate,
            Err(error) => return Ok(Handled::refused(Rule::UnknownMeter, error)),
        };
        let known = self.certificates.get(&certificate.meter);
        if known.is_some_and(|known| !certificate.renews(known)) {
            let detail = format_args!(
                "the certificate of meter {} has another key, service point or group than the stored one, or starts later",
                certificate.meter
            );
            return Ok(Handled::refused(Rule::UnknownMeter, detail));
        }
        if known.is_none_or(|known| known.valid_to < certificate.valid_to) {
            store.put(CERTIFICATE, certificate.meter.as_bytes(), payload)?;
            self.certificates.insert(certificate.meter, certificate);
        }
        Ok(Handled::quietly())
    }

    fn take_revocation(
        &mut self,
        payload: &[u8],
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Handled, StoreError> {
        let revocation = match Revocation::open(payload, &party.identity.registrar, party.deployment()) {
            Ok(revocation) => revocation,
            Err(error) => return Ok(Handled::refused(Rule::NotTheRegistrar, error)),
        };
        if revocation.precedes(self.revoked.get(&revocation.meter).map(|known| &**known)) {
            store.put(REVOKED, revocation.meter.as_bytes(), payload)?;
            self.revoked.insert(revocation.meter, revocation);
        }
        Ok(Handled::quietly())
    }

    /// The revocation that speaks against a meter's slots, if there is one.
    fn stopping(&self, meter: MeterId, slots: SlotRange, party: &Party) -> Option<&Revocation> {
        let revocation = self.revoked.get(&meter).map(|signed| &**signed);
        revocation.filter(|revocation| revocation.stops(slots, party.roster().slot()))
    }

    fn take_tariff(
        &mut self,
        bytes: &[u8],
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Handled, StoreError> {
        match open_tariff(bytes, party) {
            Ok((hash, _)) if self.tariffs.contains_key(&hash) => Ok(Handled::quietly()),
            Ok(_) if self.tariffs.len() >= MAX_TARIFFS => {
                Ok(Handled::refused(Rule::TariffUnknown, "there are too many tariffs"))
            }
            Ok((hash, tariff)) => {
                store.put(TARIFF, hash.as_bytes(), bytes)?;
                self.tariffs.insert(hash, tariff);
                Ok(Handled::quietly())
            }
            Err(refused) => Ok(refused),
        }
    }
}

fn open_tariff(bytes: &[u8], party: &Party) -> Result<(Hash, Tariff), Handled> {
    // A tariff outlives rosters, so it is bound to the deployment.
    let key = &party.roster().document().utility.key;
    let signed = Signed::<TariffDocument>::open(bytes, key, &deployment_context(party.deployment()))
        .map_err(|error| Handled::refused(Rule::NotTheUtility, error))?;
    let tariff = Tariff::new((*signed).clone(), party.roster().slot())
        .map_err(|error| Handled::refused(Rule::TariffUnknown, error))?;
    Ok((signed.hash(), tariff))
}
