//! Releases: queries answered with inventories, cuts with votes, certified cuts with results.
//!
//! Rows: `query`, `inventory`, `cut`, `own-vote`, `selection`, `result`: query id → bytes; `taken` path ‖ service point ‖
//! first slot → the end of a slot range that a release took; `billed` meter → where its last bill ended.
//!
//! Only the utility opens a release, by a query that is stored before anything is kept about it. What peers say of a query may
//! come before it, since MQTT gives no order across topics: of that a little is kept for each peer, and goes first.

use std::collections::{BTreeMap, VecDeque};

use protocol::hedge::hedged;
use protocol::id::{Hash, QueryId};
use protocol::release::answer::answers;
use protocol::release::cut::Cut;
use protocol::release::inventory::{Holding, Inventory, InventoryAnswer};
use protocol::release::objection::Objection;
use protocol::release::query::{Ask, Query};
use protocol::release::result::ResultShare;
use protocol::release::selection::Selection;
use protocol::release::vote::Vote;
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::share::ShareVector;
use protocol::signature::Signed;
use protocol::tariff::Tariff;
use protocol::topic::{Channel, Handled, Outgoing};
use protocol::unit::Moment;
use protocol::wire;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use store::{Store, StoreError, Table};

use super::ledger::Ledger;
use super::taken::{BILLED, TAKEN, taken_key};
use super::vectors::Vectors;
use super::{AggregatorError, Party, Registry, differencing, intake};

mod holdings;
mod inbox;
#[cfg(test)]
mod tests;

use self::holdings::{holdings, takes};
use self::inbox::Inbox;

const QUERY: Table = Table("query");
const INVENTORY: Table = Table("inventory");
const OWN_VOTE: Table = Table("own-vote");
const SELECTION: Table = Table("selection");
const RESULT: Table = Table("result");

/// The most releases in memory; the oldest that is finished goes first. Each comes back from the store when it is needed.
const MAX_RELEASES: usize = 512;

/// Bytes of memory for each peer's inventories of queries that are here and not voted for: some fifteen of the longest.
const INVENTORY_ROOM: usize = 32 << 20;

/// Bytes of memory for each peer's inventories of queries that are not here: the longest one fits in.
const EARLY_ROOM: usize = 4 << 20;

/// The most inventories of a peer for a query: it has one; a second is a lie and a third is a flood. But the one that the utility's
/// cut cites is wanted, whatever its maker sent us before.
const MAX_INVENTORIES: usize = 2;

/// The most votes of each peer for queries that are not here.
const MAX_EARLY_VOTES: usize = 64;

/// Milliseconds until records that were missing are looked for again.
const LOOK_AGAIN: u64 = 1_000;

/// One release, as far as it has come here.
#[derive(Debug, Default)]
struct Release {
    query: Option<Signed<Query>>,
    tariffs: Vec<Tariff>,
    /// The inventory that was made here.
    own_inventory: Option<Hash>,
    /// A cut that waits for inventories that it cites.
    pending: Option<Signed<Cut>>,
    selection: Option<Selection>,
    own_vote: Option<Signed<Vote>>,
    votes: BTreeMap<Point, Signed<Vote>>,
    certified_at: Option<Moment>,
    /// When records were last found missing.
    lacked_at: Option<Moment>,
    answered: bool,
    arrived: u64,
}

/// All releases.
#[derive(Debug)]
pub(super) struct Releases {
    /// Of queries that are in the store, and of no others.
    open: BTreeMap<QueryId, Release>,
    arrivals: u64,
    /// Peers' inventories of queries that are in the store and not voted for.
    inventories: Inbox,
    /// What peers said of queries that are not in the store.
    early: Inbox,
    early_votes: BTreeMap<Point, VecDeque<Signed<Vote>>>,
}

impl Default for Releases {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            arrivals: 0,
            inventories: Inbox::new(INVENTORY_ROOM),
            early: Inbox::new(EARLY_ROOM),
            early_votes: BTreeMap::new(),
        }
    }
}

/// A record of a meter, in a selection.
#[derive(Deserialize, Serialize)]
struct Kept(Selection);

impl Releases {
    /// Takes up the releases that were voted for and not answered.
    pub(super) fn load(
        party: &Party,
        registry: &Registry,
        store: &dyn Store,
    ) -> Result<Self, AggregatorError> {
        let mut releases = Self::default();
        for (key, bytes) in store::entries(OWN_VOTE, store)? {
            let vote = party
                .rosters
                .open_peer(&bytes, |vote: &Vote| vote.point)
                .map_err(|_| AggregatorError::Damaged("our vote can't be read"))?;
            if store.get(RESULT, &key)?.is_none() {
                releases.recall(vote.query, party, registry, store)?;
            }
        }
        Ok(releases)
    }

    /// A release, brought back from the store as far as it is there; none if its query is not.
    fn recall(
        &mut self,
        id: QueryId,
        party: &Party,
        registry: &Registry,
        store: &dyn Store,
    ) -> Result<Option<&mut Release>, StoreError> {
        if !self.open.contains_key(&id) {
            let Some(release) = Self::read(id, party, registry, store)? else { return Ok(None) };
            self.make_room();
            self.arrivals += 1;
            self.open.insert(id, Release { arrived: self.arrivals, ..release });
        }
        Ok(self.open.get_mut(&id))
    }

    fn read(
        id: QueryId,
        party: &Party,
        registry: &Registry,
        store: &dyn Store,
    ) -> Result<Option<Release>, StoreError> {
        let key = id.as_bytes();
        let Some(bytes) = store.get(QUERY, key)? else { return Ok(None) };
        let mut release = Release { query: party.rosters.open_utility(&bytes).ok(), ..Release::default() };
        release.tariffs =
            release.query.as_ref().and_then(|query| tariffs_of(query, registry)).unwrap_or_default();
        release.own_inventory = own_inventory(id, party, store)?.map(|inventory| inventory.hash());
        if let Some(bytes) = store.get(SELECTION, key)? {
            release.selection = wire::decode_own::<Kept>(&bytes).ok().map(|kept| kept.0);
        }
        if let Some(bytes) = store.get(OWN_VOTE, key)? {
            release.own_vote = party.rosters.open_peer(&bytes, |vote: &Vote| vote.point).ok();
            if let Some(vote) = &release.own_vote {
                release.votes.insert(vote.point, vote.clone());
            }
        }
        release.answered = store.get(RESULT, key)?.is_some();
        Ok(Some(release))
    }

    fn make_room(&mut self) {
        while self.open.len() >= MAX_RELEASES {
            let wanted =
                |r: &Release| (!r.answered && r.own_vote.is_some(), !r.answered && r.pending.is_some());
            let oldest = self.open.iter().min_by_key(|(_, release)| (wanted(release), release.arrived));
            let Some(id) = oldest.map(|(id, _)| *id) else { return };
            self.open.remove(&id);
        }
    }

    /// Takes a query: says again what was said, or makes the inventory.
    pub(super) fn take_query(
        &mut self,
        query: &Signed<Query>,
        party: &Party,
        registry: &Registry,
        vectors: &Vectors,
        ledger: &Ledger,
        store: &mut dyn Store,
    ) -> Result<Handled, AggregatorError> {
        let id = query.id;
        if let Some(kept) = store.get(QUERY, id.as_bytes())? {
            if kept != query.bytes() {
                return Ok(Handled::refused(Rule::SplitView, format_args!("another query was sent as {id}")));
            }
            self.recall(id, party, registry, store)?;
            return Ok(Handled::sending(inventory_again(id, party, store)?));
        }
        let Some(tariffs) = tariffs_of(query, registry) else {
            return Ok(Handled::refused(
                Rule::TariffUnknown,
                format_args!("query {id} names a tariff that is not published"),
            ));
        };
        let permitted = match query.check(&party.rosters, &tariffs) {
            Ok(()) => differencing::check_window(query, store)?.map(|_| ()),
            refused => refused,
        };
        let (answer, refusal) = match permitted {
            Ok(()) => (holdings(query, registry, vectors, store)?, None),
            Err(rule) => {
                (InventoryAnswer::Refused(rule), Some(Refusal::new(rule, format_args!("query {id}"))))
            }
        };
        let mut inventory = Inventory { query: id, point: party.identity.point, answer, seen: ledger.seen() };
        let telling = differencing::telling(query, &inventory, &tariffs, party.roster(), registry, store)?;
        if let InventoryAnswer::Holdings(holdings) = &mut inventory.answer {
            for (meter, holding) in query.meters().iter().zip(holdings) {
                if let Some((_, rule)) = telling.iter().find(|(other, _)| other == meter) {
                    *holding = Holding::Refused(*rule);
                }
            }
        }
        let inventory = party.sign_under(inventory, query.context());
        store.put(QUERY, id.as_bytes(), query.bytes())?;
        store.put(INVENTORY, id.as_bytes(), inventory.bytes())?;
        let sends = Outgoing::parts(&party.topic(Channel::Inventory(party.name.clone())), inventory.bytes());
        self.recall(id, party, registry, store)?;
        self.take_early(id);
        Ok(Handled { sends, refusal })
    }

    /// Takes what peers said of a query before it came.
    fn take_early(&mut self, id: QueryId) {
        for inventory in self.early.take(id) {
            if self.inventories.count(id, inventory.point) < MAX_INVENTORIES {
                self.inventories.keep(inventory);
            }
        }
        let Some(release) = self.open.get_mut(&id) else { return };
        for votes in self.early_votes.values_mut() {
            if let Some(at) = votes.iter().position(|vote| vote.query == id)
                && let Some(vote) = votes.remove(at)
            {
                release.votes.entry(vote.point).or_insert(vote);
            }
        }
    }

    /// Takes a peer's verified inventory; gives the cut that waited for it, if it has all that it cites now.
    pub(super) fn take_inventory(
        &mut self,
        inventory: Signed<Inventory>,
        party: &Party,
        registry: &Registry,
        store: &dyn Store,
    ) -> Result<Option<Signed<Cut>>, StoreError> {
        let (id, point, hash) = (inventory.query, inventory.point, inventory.hash());
        if !self.open.contains_key(&id) && store.get(OWN_VOTE, id.as_bytes())?.is_some() {
            return Ok(None);
        }
        let Some(release) = self.recall(id, party, registry, store)? else {
            self.early.keep(inventory);
            return Ok(None);
        };
        if release.selection.is_some() || release.own_inventory == Some(hash) {
            return Ok(None);
        }
        let (own, pending) = (release.own_inventory, release.pending.take());
        let cited = |cut: &Signed<Cut>| cut.cited.iter().any(|(_, cited)| *cited == hash);
        if self.inventories.count(id, point) < MAX_INVENTORIES || pending.as_ref().is_some_and(cited) {
            self.inventories.keep(inventory);
        }
        let Some(cut) = pending else { return Ok(None) };
        let here =
            |(point, hash): &(Point, Hash)| own == Some(*hash) || self.inventories.contains(id, *point, hash);
        if cut.cited.iter().all(here) {
            return Ok(Some(cut));
        }
        if let Some(release) = self.open.get_mut(&id) {
            release.pending = Some(cut);
        }
        Ok(None)
    }

    /// Takes a cut: votes for it, once, if it follows from the inventories and no rule speaks against it. If one does, the
    /// utility is told by which we don't vote, each time that the cut comes; nothing is kept of that.
    pub(super) fn take_cut(
        &mut self,
        cut: &Signed<Cut>,
        now: Moment,
        party: &Party,
        registry: &Registry,
        ledger: &mut Ledger,
        store: &mut dyn Store,
    ) -> Result<Handled, AggregatorError> {
        let mut handled = self.vote_for(cut, now, party, registry, ledger, store)?;
        // Of what is on its way it need not hear.
        let passing = [Rule::QueryUnknown, Rule::InventoryMissing];
        if let Some(rule) = handled.refusal.as_ref().map(|refusal| refusal.rule)
            && !passing.contains(&rule)
        {
            let objection =
                Objection { query: cut.query, cut: cut.hash(), point: party.identity.point, rule };
            let objection = party.sign_under(objection, cut.context());
            let topic = party.topic(Channel::Objection(party.name.clone()));
            handled.sends.extend(Outgoing::parts(&topic, objection.bytes()));
        }
        Ok(handled)
    }

    fn vote_for(
        &mut self,
        cut: &Signed<Cut>,
        now: Moment,
        party: &Party,
        registry: &Registry,
        ledger: &mut Ledger,
        store: &mut dyn Store,
    ) -> Result<Handled, AggregatorError> {
        let id = cut.query;
        let refuse = |rule, detail: &dyn std::fmt::Display| {
            Ok(Handled::refused(rule, format_args!("cut {} of query {id}: {detail}", cut.hash())))
        };
        if self.recall(id, party, registry, store)?.is_none() {
            return refuse(Rule::QueryUnknown, &"its query has not arrived");
        }
        let Self { open, inventories, .. } = self;
        let release = open.get_mut(&id).expect("it was recalled");
        if let Some(vote) = &release.own_vote {
            if vote.cut != cut.hash() {
                return refuse(Rule::SplitView, &format_args!("our vote is for cut {}", vote.cut));
            }
            return Ok(Handled::sending(answer_again(id, party, store)?));
        }
        let Some(query) = release.query.clone() else {
            return refuse(Rule::QueryUnknown, &"its query can't be read");
        };
        if release.tariffs.len() != tariff_count(&query) {
            return refuse(Rule::TariffUnknown, &"a tariff is not published");
        }
        let own = own_inventory(id, party, store)?;
        match own.as_ref().map(|own| &own.answer) {
            Some(InventoryAnswer::Holdings(_)) => {}
            Some(InventoryAnswer::Refused(rule)) => return refuse(*rule, &"its query was refused"),
            None => return refuse(Rule::QueryUnknown, &"we have said nothing to its query"),
        }
        let here = |(point, hash): &(Point, Hash)| {
            let own = own.as_ref().filter(|own| own.hash() == *hash);
            own.or_else(|| inventories.get(id, *point, hash)).cloned()
        };
        let cited: Vec<Signed<Inventory>> = cut.cited.iter().filter_map(here).collect();
        let by_hash = |hash: &Hash| cited.iter().find(|inventory| inventory.hash() == *hash).cloned();
        let selection = match cut.check(&query, by_hash, &release.tariffs, party.roster()) {
            Ok(selection) => selection,
            Err(rule) => {
                if rule == Rule::InventoryMissing && cut.cited.len() <= party.roster().n() {
                    release.pending = Some(cut.clone());
                }
                return refuse(rule, &"it is not what the inventories give");
            }
        };
        if let Err(refusal) = ledger.check(&cited, party, store)? {
            return Ok(Handled { sends: Vec::new(), refusal: Some(refusal) });
        }
        let takes = match takes(&query, &selection, registry, store)? {
            Ok(takes) => takes,
            Err(rule) => return refuse(rule, &"a slot of it was released before"),
        };
        let window = match differencing::check_window(&query, store)? {
            Ok(window) => window,
            Err(rule) => return refuse(rule, &"the group has another window or member set"),
        };
        let fixed =
            match differencing::check(&query, &selection, &release.tariffs, party.roster(), registry, store)?
            {
                Ok(fixed) => fixed,
                Err(rule) => {
                    return refuse(rule, &"with the group's other releases it would tell one member's use");
                }
            };
        differencing::keep(&fixed, store)?;
        if selection.interval().is_some() || selection.days().next().is_some() {
            differencing::keep_window(window, store)?;
        }
        for (service_point, range) in takes {
            store.put(
                TAKEN,
                &taken_key(query.path(), &service_point, range.start()),
                &range.end().0.to_be_bytes(),
            )?;
        }
        for billed in selection.billed() {
            store.put(BILLED, billed.meter.as_bytes(), &billed.window.end().0.to_be_bytes())?;
        }
        let vote = ledger.vote(cut, party, store)?;
        store.put(SELECTION, id.as_bytes(), &wire::encode(&Kept(selection.clone())))?;
        store.put(OWN_VOTE, id.as_bytes(), vote.bytes())?;
        release.selection = Some(selection);
        drop(inventories.take(id));
        release.own_vote = Some(vote.clone());
        release.votes.insert(vote.point, vote.clone());
        certify(release, now, party.roster().q());
        Ok(Handled::sending(Outgoing::parts(&party.topic(Channel::Vote(party.name.clone())), vote.bytes())))
    }

    /// Takes a verified vote of any aggregator.
    pub(super) fn take_vote(
        &mut self,
        vote: Signed<Vote>,
        party: &Party,
        registry: &Registry,
        store: &dyn Store,
    ) -> Result<Option<Refusal>, StoreError> {
        let id = vote.query;
        if !self.open.contains_key(&id) && store.get(RESULT, id.as_bytes())?.is_some() {
            return Ok(None);
        }
        let Some(release) = self.recall(id, party, registry, store)? else {
            let votes = self.early_votes.entry(vote.point).or_default();
            votes.retain(|early| early.query != id);
            votes.push_back(vote);
            if votes.len() > MAX_EARLY_VOTES {
                votes.pop_front();
            }
            return Ok(None);
        };
        match release.votes.get(&vote.point) {
            Some(first) if first.cut != vote.cut => {
                let detail = format!("aggregator {} voted twice on query {}", vote.point, vote.query);
                return Ok(Some(Refusal::new(Rule::SplitView, detail)));
            }
            Some(_) => {}
            None => {
                release.votes.insert(vote.point, vote);
            }
        }
        Ok(None)
    }

    /// Answers every certified release whose records are here, or whose patience is over.
    pub(super) fn answer_certified<R: CryptoRng>(
        &mut self,
        now: Moment,
        party: &Party,
        vectors: &mut Vectors,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Vec<Outgoing>, AggregatorError> {
        let mut sends = Vec::new();
        for (id, release) in &mut self.open {
            certify(release, now, party.roster().q());
            let (Some(since), false) = (release.certified_at, release.answered) else { continue };
            let (Some(selection), Some(vote)) = (&release.selection, &release.own_vote) else { continue };
            if release.lacked_at.is_some_and(|lacked| !now.is_past(lacked, LOOK_AGAIN)) {
                continue;
            }
            let mut lookup = BTreeMap::new();
            for (meter, held) in selection.records() {
                lookup.insert(held.rid, (meter, held));
            }
            let mut failed = None;
            let found = answers(selection, &release.tariffs, party.roster().slot(), |rid| {
                let (meter, held) = lookup.get(rid)?;
                intake::shares(*meter, held, store).unwrap_or_else(|error| {
                    failed = Some(error);
                    None::<ShareVector>
                })
            });
            if let Some(error) = failed {
                return Err(error.into());
            }
            let patient = now.since(since) < party.pace.patience;
            if patient && !found.iter().all(Option::is_some) {
                release.lacked_at = Some(now);
                continue;
            }
            // neither noise nor boxes are made twice of one state for different contents, which follow from the cut and from
            // which records are held
            let mut held: Vec<u8> = found.iter().map(|answer| u8::from(answer.is_some())).collect();
            let about: [&[u8]; 2] = [id.as_bytes(), vote.cut.as_bytes()];
            let rng = &mut hedged(rng, &party.identity.key, &[b"pieces", about[0], about[1]]);
            let pieces = match selection.interval() {
                Some(interval) => vectors.pieces(interval, party, store, rng)?,
                None => None,
            };
            if patient && pieces.is_some() != selection.interval().is_some() {
                release.lacked_at = Some(now);
                continue;
            }
            let point = party.identity.point;
            let roster = party.rosters.of(vote);
            held.push(u8::from(pieces.is_some()));
            let rng = &mut hedged(rng, &party.identity.key, &[b"answer", about[0], about[1], &held]);
            let share = ResultShare::seal(*id, vote.cut, point, &found, pieces, roster, rng)?;
            let share = party.sign_under(share, vote.context());
            store.put(RESULT, id.as_bytes(), share.bytes())?;
            release.answered = true;
            sends.extend(Outgoing::parts(&party.topic(Channel::Result(party.name.clone())), share.bytes()));
        }
        Ok(sends)
    }
}

/// Notes that a quorum voted for the cut that we voted for.
fn certify(release: &mut Release, now: Moment, quorum: usize) {
    if let (None, Some(own)) = (release.certified_at, &release.own_vote) {
        let same = release.votes.values().filter(|vote| vote.cut == own.cut).count();
        release.certified_at = (same >= quorum).then_some(now);
    }
}

/// The inventory that was made here for a query.
fn own_inventory(
    id: QueryId,
    party: &Party,
    store: &dyn Store,
) -> Result<Option<Signed<Inventory>>, StoreError> {
    let bytes = store.get(INVENTORY, id.as_bytes())?;
    Ok(bytes.and_then(|bytes| party.rosters.open_peer(&bytes, |own: &Inventory| own.point).ok()))
}

/// The inventory that was sent for a query, byte for byte.
fn inventory_again(id: QueryId, party: &Party, store: &dyn Store) -> Result<Vec<Outgoing>, StoreError> {
    again(INVENTORY, Channel::Inventory(party.name.clone()), id, party, store)
}

/// The vote and the result that were sent for a cut, byte for byte.
fn answer_again(id: QueryId, party: &Party, store: &dyn Store) -> Result<Vec<Outgoing>, StoreError> {
    let mut sends = again(OWN_VOTE, Channel::Vote(party.name.clone()), id, party, store)?;
    sends.extend(again(RESULT, Channel::Result(party.name.clone()), id, party, store)?);
    Ok(sends)
}

fn again(
    table: Table,
    channel: Channel,
    id: QueryId,
    party: &Party,
    store: &dyn Store,
) -> Result<Vec<Outgoing>, StoreError> {
    let bytes = store.get(table, id.as_bytes())?;
    Ok(bytes.map(|bytes| Outgoing::parts(&party.topic(channel), &bytes)).unwrap_or_default())
}

fn tariff_count(query: &Query) -> usize {
    match &query.ask {
        Ask::Bill(ask) => ask.tariffs.len(),
        Ask::Group(_) | Ask::Grid(_) => 0,
    }
}

/// The tariffs that a query names, if all are published.
fn tariffs_of(query: &Query, registry: &Registry) -> Option<Vec<Tariff>> {
    match &query.ask {
        Ask::Bill(ask) => ask.tariffs.iter().map(|hash| registry.tariffs.get(hash).cloned()).collect(),
        Ask::Group(_) | Ask::Grid(_) => Some(Vec::new()),
    }
}
