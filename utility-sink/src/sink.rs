//! The sink: asks, cuts, collects, decodes, keeps. Pure.
//!
//! What must stay true:
//! * a query is stored before it is sent, and everything it leads to can be replayed from the store;
//! * a value is accepted only from a quorum of answers that agree up to what decoding corrects; else it waits;
//! * whoever answered wrongly is named, also when the answer comes late;
//! * a bill is kept once, in whole watt-hours and exact amounts;
//! * no two queries that may still be voted for bill the same meter;
//! * a revocation that it has is said again whenever it connects, and now and then: the broker may forget.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use protocol::certificate::deployment_context;
use protocol::hpke_box::OpeningKey;
use protocol::id::{GroupId, Hash, MeterId, QueryId};
use protocol::part::Assembly;
use protocol::receipt::Receipt;
use protocol::release::objection::Objection;
use protocol::release::query::{Ask, GroupAsk, Query};
use protocol::revocation::Revocation;
use protocol::roster::Roster;
use protocol::roster::chain::{Chain, ChainError};
use protocol::rule::{Refusal, Rule};
use protocol::signature::{Context, Document, OpenError, Signed, SigningKey, Unverified, VerifyingKey};
use protocol::status::{Report, Status};
use protocol::tariff::{Tariff, TariffDocument, TariffError};
use protocol::topic::{Channel, Handled, Outgoing, Role, Topic};
use protocol::unit::{Moment, SlotRange};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use store::{Store, StoreError, Table};

use self::checks::Checks;
use self::levelled::Levelled;
use self::release::Release;
use self::release::lagging::Unfinished;

mod beside;
mod bills;
pub mod checks;
mod intervals;
pub mod ledger;
pub mod levelled;
pub mod release;
mod rules;
mod tariffs;

pub use self::ledger::{Agreement, Bill, Curve, Interval};

/// The rosters that were in force, and the one that is: epoch → the roster as it came.
pub const ROSTER: Table = Table("roster");
const TARIFF: Table = Table("tariff");
const REVOKED: Table = Table("revoked");

/// The longest pause, in milliseconds, until the registrar's documents are said again.
const SAY_AGAIN_LAST: u64 = 86_400_000;

/// Who the sink is.
#[derive(Debug)]
pub struct Identity {
    /// The key it signs with.
    pub key: SigningKey,
    /// The keys that results are and were sealed to.
    pub box_keys: Vec<OpeningKey>,
    /// The registrar's key.
    pub registrar: VerifyingKey,
}

/// How the sink paces itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// Milliseconds to wait for aggregators that have not answered, once a quorum has.
    #[serde(with = "runtime::millis")]
    pub settle: u64,
    /// Milliseconds until an unanswered message is sent again.
    #[serde(with = "runtime::millis")]
    pub resend: u64,
    /// The most ended releases in memory at which another one, of before the start, is taken up for who has not answered it.
    #[serde(skip)]
    pub lagging: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { settle: 10_000, resend: 15_000, lagging: 256 }
    }
}

/// Why a sink can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The store failed: nothing is known to be durable any more.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store holds is not what this program wrote.
    #[error("the sink's store is damaged: {0}")]
    Damaged(&'static str),
    /// The roster is no successor of the one in force.
    #[error("the roster does not follow the stored one")]
    Roster(#[from] ChainError),
    /// No secret for a box key of the utility.
    #[error(
        "roster {epoch} seals results to box key {key_id} of the utility, but no configured file has its secret; add the file to `more_box_keys`"
    )]
    NoBoxKey {
        /// The key's number.
        key_id: u32,
        /// The roster's epoch.
        epoch: u32,
    },
    /// The roster names another key for the utility.
    #[error("the roster lists another key for the utility; check `key` and `roster`")]
    NotInRoster,
    /// A tariff whose numbers do not fit together.
    #[error(transparent)]
    Tariff(#[from] TariffError),
    /// A query names a tariff that was not published.
    #[error("tariff {0} was not published by this sink")]
    TariffUnknown(Hash),
    /// Every aggregator would refuse the query, so that it is not asked.
    #[error("the rules do not allow the query")]
    Refused(#[source] Refusal),
}

/// What is the same for every message.
#[derive(Debug)]
struct Party {
    identity: Identity,
    rosters: Chain,
    pace: Pace,
    checks: Checks,
}

impl Party {
    /// The key that it signs with, public half.
    fn key(&self) -> VerifyingKey {
        self.identity.key.verifying_key()
    }

    fn topic(&self, channel: Channel) -> Topic {
        channel.of(&self.roster().document().deployment)
    }

    fn open_revocation(&self, bytes: &[u8]) -> Result<Signed<Revocation>, OpenError> {
        Revocation::open(bytes, &self.identity.registrar, &self.roster().document().deployment)
    }

    /// The roster in force.
    fn roster(&self) -> &Roster {
        self.rosters.current()
    }

    /// The secret that results under a roster are sealed to.
    fn box_key(&self, roster: &Roster) -> Option<&OpeningKey> {
        let listed = &roster.document().utility.box_key;
        self.identity.box_keys.iter().find(|held| held.sealing_key() == *listed)
    }

    /// The secret that results under the roster in force are sealed to.
    fn key_of_results(&self) -> &OpeningKey {
        self.box_key(self.roster()).expect("a sink is not opened without it")
    }

    fn sign<T: Document>(&self, document: T) -> Signed<T> {
        self.sign_under(document, self.roster().context())
    }

    /// Signs what belongs to a release, under the roster of its query.
    fn sign_under<T: Document>(&self, document: T, context: Context) -> Signed<T> {
        Signed::sign(document, &self.identity.key, &context)
    }

    /// Takes a document of an aggregator, under the roster in force.
    fn open_peer<T: Document>(
        &self,
        bytes: &[u8],
        point: impl Fn(&T) -> protocol::shamir::Point,
    ) -> Result<Signed<T>, Handled> {
        Ok(self.roster().open_peer(bytes, point)?)
    }
}

/// The sink.
pub struct Sink {
    party: Party,
    tariffs: BTreeMap<Hash, (Tariff, Vec<u8>)>,
    releases: BTreeMap<QueryId, Release>,
    /// Releases that have ended, that some aggregator has not answered, and whose turn it is not.
    lagging: VecDeque<QueryId>,
    /// Queries that were given up since this start.
    given_up: BTreeMap<QueryId, (Query, Rule)>,
    revoked: BTreeMap<MeterId, Signed<Revocation>>,
    /// When the registrar's documents were said last, and how long after that they are said again.
    said: (Moment, u64),
    assembly: Assembly,
    levelled: Option<Levelled>,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("releases", &self.releases.len()).finish_non_exhaustive()
    }
}

/// The meters that are revoked, as far as a sink has heard.
///
/// # Errors
///
/// [`SinkError`].
pub fn revoked_in(store: &dyn Store) -> Result<Vec<Revocation>, SinkError> {
    let damaged = || SinkError::Damaged("a revocation can't be read");
    // It was verified before it was stored.
    let claimed = |bytes: &[u8]| Unverified::<Revocation>::parse(bytes).map(|it| it.claim().clone());
    let rows = store::entries(REVOKED, store)?;
    rows.iter().map(|(_, bytes)| claimed(bytes).map_err(|_| damaged())).collect()
}

impl Sink {
    /// Takes up where the store left off.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub fn open(
        identity: Identity,
        roster: Roster,
        pace: Pace,
        store: &mut dyn Store,
        now: Moment,
    ) -> Result<Self, SinkError> {
        if roster.document().utility.key != identity.key.verifying_key() {
            return Err(SinkError::NotInRoster);
        }
        let stored: Vec<Vec<u8>> = store::entries(ROSTER, store)?.into_iter().map(|(_, row)| row).collect();
        let (rosters, new) = Chain::resume(&stored, roster, &identity.registrar)?;
        let epoch = rosters.current().document().epoch;
        if new {
            store.put(ROSTER, &epoch.to_be_bytes(), rosters.current().bytes())?;
        }
        let checks =
            Checks::load(store)?.ok_or(SinkError::Damaged("what is known of check values can't be read"))?;
        let party = Party { identity, rosters, pace, checks };
        if party.box_key(party.roster()).is_none() {
            let key_id = party.roster().document().utility.box_key.key_id;
            return Err(SinkError::NoBoxKey { key_id, epoch });
        }
        let mut tariffs = BTreeMap::new();
        for (_, bytes) in store::entries(TARIFF, store)? {
            let signed = Signed::<TariffDocument>::open(
                &bytes,
                &party.identity.key.verifying_key(),
                &deployment_context(&party.roster().document().deployment),
            )
            .map_err(|_| SinkError::Damaged("a tariff can't be read"))?;
            let tariff = Tariff::new((*signed).clone(), party.roster().slot())?;
            tariffs.insert(signed.hash(), (tariff, bytes));
        }
        let mut revoked = BTreeMap::new();
        for (_, bytes) in store::entries(REVOKED, store)? {
            let revocation = party
                .open_revocation(&bytes)
                .map_err(|_| SinkError::Damaged("a revocation can't be read"))?;
            revoked.insert(revocation.meter, revocation);
        }
        let (releases, given_up, assembly) = (BTreeMap::new(), BTreeMap::new(), Assembly::default());
        let said = (now, 0);
        let mut sink = Self {
            party,
            tariffs,
            releases,
            lagging: VecDeque::new(),
            given_up,
            revoked,
            said,
            assembly,
            levelled: None,
        };
        let Unfinished { open, lagging } = Unfinished::find(&sink.party, store)?;
        for query in open {
            sink.resume(query, now, store)?;
        }
        sink.lagging = lagging;
        sink.take_up(now, store)?;
        Ok(sink)
    }

    /// Takes a release up again.
    fn resume(&mut self, query: Signed<Query>, now: Moment, store: &dyn Store) -> Result<(), SinkError> {
        let tariffs = self.tariffs_of(&query)?;
        let published = self.publishing(&query);
        let release = Release::resume(query, tariffs, published, &self.party, store, now)?;
        self.releases.insert(release.id(), release);
        Ok(())
    }

    /// The topics it listens to.
    pub fn filters(&self) -> Vec<String> {
        let root = format!("wv/1/{}", self.party.roster().document().deployment);
        let levelled = self.levelled.iter().flat_map(|_| Levelled::TOPICS);
        let topics = ["inventory/+", "vote/+", "result/+", "objection/+", "receipt/#", "revoked/+"]
            .into_iter()
            .chain(levelled);
        topics.map(|topic| format!("{root}/{topic}")).collect()
    }

    /// The roster, all revocations and tariffs and the messages of open releases, to be published whenever the sink has connected.
    pub fn announcements(&self) -> Vec<Outgoing> {
        let rosters = self.rosters();
        let tariffs = self.tariffs.values().flat_map(|published| self.tariff_sends(published));
        let open = self.releases.values().filter(|release| release.finished().is_none());
        let open = open.flat_map(|release| release.sends(&self.party));
        let levelled = self.levelled.iter().flat_map(|levelled| levelled.announcements(&self.party));
        rosters.into_iter().chain(self.revocations()).chain(tariffs).chain(open).chain(levelled).collect()
    }

    /// All rosters, oldest first: whoever was away for two needs the one between. The last is what a broker retains.
    fn rosters(&self) -> Vec<Outgoing> {
        let topic = self.party.topic(Channel::Roster);
        self.party.rosters.all().flat_map(|roster| Outgoing::retained_parts(&topic, roster.bytes())).collect()
    }

    fn revocations(&self) -> impl Iterator<Item = Outgoing> {
        self.revoked.values().map(|revocation| {
            let topic = self.party.topic(Channel::Revoked(revocation.meter));
            Outgoing::new(topic, revocation.bytes().to_vec()).retained()
        })
    }

    /// What the registrar has said, ever more rarely: nobody acknowledges it, and who missed it sends in vain.
    fn say_again(&mut self, now: Moment) -> Vec<Outgoing> {
        let (said, pause) = self.said;
        if !now.is_past(said, pause) {
            return Vec::new();
        }
        self.said = (now, (2 * pause).min(SAY_AGAIN_LAST).max(self.party.pace.resend));
        let rosters = if self.party.rosters.is_single() { Vec::new() } else { self.rosters() };
        rosters.into_iter().chain(self.revocations()).collect()
    }

    /// Asks for a group's curve over a period of whole days.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub fn ask_curve<R: CryptoRng>(
        &mut self,
        period: SlotRange,
        group: GroupId,
        members: &[MeterId],
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<(QueryId, Vec<Outgoing>), SinkError> {
        let ask = Ask::Group(GroupAsk { group, members: members.to_vec() });
        self.ask(period, ask, members, now, store, rng)
    }

    fn ask<R: CryptoRng>(
        &mut self,
        period: SlotRange,
        ask: Ask,
        meters: &[MeterId],
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<(QueryId, Vec<Outgoing>), SinkError> {
        let query = self.query(period, ask, meters, store, rng)?;
        rules::check(&query, &self.party.rosters, &self.tariffs_of(&query)?).map_err(SinkError::Refused)?;
        self.begin(query, now, store)
    }

    fn query<R: CryptoRng>(
        &self,
        period: SlotRange,
        ask: Ask,
        meters: &[MeterId],
        store: &dyn Store,
        rng: &mut R,
    ) -> Result<Query, SinkError> {
        let excluded = self.party.checks.exclusions(meters, store)?;
        Ok(Query { id: QueryId::random(rng), period, ask, excluded })
    }

    /// Stores a query, and gives what is to be sent.
    fn begin(
        &mut self,
        query: Query,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<(QueryId, Vec<Outgoing>), SinkError> {
        let query = self.party.sign(query);
        let tariffs = self.tariffs_of(&query)?;
        let published = self.publishing(&query);
        let release = Release::begin(query, tariffs, published, now, store)?;
        let id = release.id();
        let sends = release.sends(&self.party);
        self.releases.insert(id, release);
        Ok((id, sends))
    }

    /// Takes a delivery.
    ///
    /// # Errors
    ///
    /// [`SinkError`] if the sink can't go on; what a peer got wrong is in [`Handled`].
    pub fn handle(
        &mut self,
        topic: &str,
        payload: &[u8],
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Handled, SinkError> {
        let Ok(parsed) = topic.parse::<Topic>() else {
            return Ok(Handled::refused(Rule::Malformed, "the topic is not in wv/1"));
        };
        if let Channel::Receipt(..) = parsed.channel {
            let Party { checks, rosters, .. } = &mut self.party;
            return Ok(match rosters.open_peer(payload, |receipt: &Receipt| receipt.point) {
                Ok(receipt) => checks.take(&receipt, rosters, store)?,
                Err(refused) => refused.into(),
            });
        }
        if let Channel::Revoked(_) = parsed.channel {
            return Ok(self.take_revocation(payload, now, store)?);
        }
        if let Channel::Levelled(channel) = &parsed.channel {
            let Some(levelled) = &mut self.levelled else {
                return Ok(Handled::refused(Rule::Malformed, "mode `levelled` is off here"));
            };
            return levelled.handle(topic, channel, payload, now, &self.party, store);
        }
        if let Channel::Inventory(name)
        | Channel::Vote(name)
        | Channel::Result(name)
        | Channel::Objection(name) = &parsed.channel
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
            Channel::Inventory(_) => {
                self.take(&document, Release::take_inventory, |i| (i.query, i.point), now, store)
            }
            Channel::Vote(_) => self.take(&document, Release::take_vote, |v| (v.query, v.point), now, store),
            Channel::Objection(_) => self.take(
                &document,
                |release, objection, _, _, _| Ok(release.take_objection(&objection)),
                |objection: &Objection| (objection.query, objection.point),
                now,
                store,
            ),
            Channel::Result(_) => self.take(
                &document,
                |r, share, p, now, s| r.take_result(&share, p, now, s),
                |r| (r.query, r.point),
                now,
                store,
            ),
            _ => Ok(Handled::refused(Rule::Malformed, "a sink does not use this topic")),
        }
    }

    fn take_revocation(
        &mut self,
        payload: &[u8],
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Handled, StoreError> {
        let revocation = match self.party.open_revocation(payload) {
            Ok(revocation) => revocation,
            Err(error) => return Ok(Handled::refused(Rule::NotTheRegistrar, error)),
        };
        if revocation.precedes(self.revoked.get(&revocation.meter).map(|known| &**known)) {
            store.put(REVOKED, revocation.meter.as_bytes(), payload)?;
            self.revoked.insert(revocation.meter, revocation);
            self.said = (now, 0);
        }
        Ok(Handled::quietly())
    }

    fn take<T: Document>(
        &mut self,
        document: &[u8],
        take: impl Fn(&mut Release, Signed<T>, &Party, Moment, &mut dyn Store) -> Result<Handled, SinkError>,
        claim: impl Fn(&T) -> (QueryId, protocol::shamir::Point),
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Handled, SinkError> {
        let signed = match self.party.rosters.open_peer(document, |document: &T| claim(document).1) {
            Ok(signed) => signed,
            Err(refused) => return Ok(refused.into()),
        };
        let id = claim(&signed).0;
        match self.releases.get_mut(&id) {
            Some(release) => take(release, signed, &self.party, now, store),
            None => Ok(Handled::refused(Rule::QueryUnknown, format_args!("query {id} is not open"))),
        }
    }

    /// Lets time pass: what is not answered is asked again, what has settled goes on.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub fn tick(&mut self, now: Moment, store: &mut dyn Store) -> Result<Vec<Outgoing>, SinkError> {
        self.give_up(store)?;
        self.take_up(now, store)?;
        let mut sends = self.narrow(now, store)?;
        sends.extend(self.say_again(now));
        for release in self.releases.values_mut() {
            sends.extend(release.tick(&self.party, now, store)?);
        }
        if let Some(levelled) = &mut self.levelled {
            sends.extend(levelled.tick(&self.party, now, store)?);
        }
        Ok(sends)
    }

    /// Withdraws the queries that were refused by so many that no cut of them can be certified; see [`release::refusals`].
    fn give_up(&mut self, store: &mut dyn Store) -> Result<(), SinkError> {
        let roster = self.party.roster();
        let refused = self.releases.values().filter(|release| release.selection().is_none());
        let refused: Vec<(QueryId, Rule)> =
            refused.filter_map(|release| Some((release.id(), release.refused(roster)?))).collect();
        for (id, rule) in refused {
            let Some(release) = self.releases.remove(&id) else { continue };
            tracing::warn!(
                query = %id, rule = rule.name(),
                "too many aggregators reject the query, so it was given up and released nothing: {}", rule.meaning()
            );
            release::withdraw(id, store)?;
            release::refusals::keep_given_up(&release, rule, store)?;
            self.given_up.insert(id, (release.query().clone(), rule));
        }
        Ok(())
    }

    /// A release that was asked for since the store began, as far as it has come.
    pub fn release(&self, id: QueryId) -> Option<&Release> {
        self.releases.get(&id)
    }

    /// The rule that a query was given up by: so many aggregators refused it that nothing will come of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn given_up(&self, id: QueryId, store: &dyn Store) -> Result<Option<Rule>, StoreError> {
        release::refusals::given_up(id, store)
    }

    /// Whether a release has ended with an outcome, now or before the sink was started.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn has_ended(&self, id: QueryId, store: &dyn Store) -> Result<bool, StoreError> {
        match self.release(id) {
            Some(release) => Ok(release.finished().is_some()),
            None => release::has_outcome(id, store),
        }
    }

    /// Meters that dealt badly and aggregators whose check values are odd, as receipts tell.
    pub fn checks(&self) -> &Checks {
        &self.party.checks
    }

    /// Its status.
    pub fn status(&self, state: &str, now: Moment) -> Report {
        let open = self.releases.values().filter(|release| release.finished().is_none()).count();
        let status = Status {
            state: state.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            roster_epoch: self.party.roster().document().epoch,
            backlog: open as u64,
            at: now.timestamp(),
        };
        let topic = self.party.topic(Channel::Status(Role::Sink, "utility".to_owned()));
        Report { topic, status }
    }

    /// The roster it works under.
    pub fn roster(&self) -> &Roster {
        self.party.roster()
    }
}
