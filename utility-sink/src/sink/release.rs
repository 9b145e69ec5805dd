//! One release at the sink: asked → cut → certified → decoded.
//!
//! Rows: `query`, `cut`, `inventories`, `outcome`: query id → bytes; `vote`, `result`: query id ‖ point → bytes.

use std::collections::BTreeMap;

use protocol::decode::{DecodeError, decode_vector};
use protocol::field::Fe;
use protocol::id::{Hash, QueryId};
use protocol::release::cut::Cut;
use protocol::release::inventory::{Inventory, InventoryAnswer};
use protocol::release::outcome::Outcome;
use protocol::release::query::{Ask, Query};
use protocol::release::result::{Answers, ResultShare};
use protocol::release::selection::{Billed, Day, Scope, Selection};
use protocol::release::vote::{Vote, Votes};
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::signature::{Signed, hash};
use protocol::tariff::Tariff;
use protocol::topic::{Channel, Handled, Outgoing};
use protocol::unit::{Amount, MAX_REGISTER_WH, Moment, WattHours};
use protocol::wire;
use serde_bytes::ByteBuf;
use store::{Store, StoreError, Table};
use zeroize::Zeroizing;

use super::ledger::{Bill, Curve, keep_bill, keep_curve};
use super::{Party, SinkError, rows};

const QUERY: Table = Table("query");
const CUT: Table = Table("cut");
const INVENTORIES: Table = Table("inventories");
const OUTCOME: Table = Table("outcome");
const VOTE: Table = Table("vote");
const RESULT: Table = Table("result");

/// One release.
#[derive(Debug)]
pub struct Release {
    query: Signed<Query>,
    tariffs: Vec<Tariff>,
    inventories: BTreeMap<Point, Signed<Inventory>>,
    cut: Option<(Signed<Cut>, Selection)>,
    votes: BTreeMap<Point, Signed<Vote>>,
    answers: BTreeMap<Point, Answers>,
    outcome: Option<Signed<Outcome>>,
    /// When the present stage had its quorum.
    quorum_at: Option<Moment>,
    sent_at: Moment,
    certificate_sent: bool,
    waiting: Option<DecodeError>,
}

/// The queries that have no outcome yet.
pub(super) fn unfinished(party: &Party, store: &dyn Store) -> Result<Vec<Signed<Query>>, SinkError> {
    let mut queries = Vec::new();
    for (key, bytes) in rows(QUERY, store)? {
        if store.get(OUTCOME, &key)?.is_none() {
            let key = party.identity.key.verifying_key();
            let query = Signed::open(&bytes, &key, &party.roster.context());
            queries.push(query.map_err(|_| SinkError::Damaged("a query can't be read"))?);
        }
    }
    Ok(queries)
}

/// Whether a query has an outcome.
pub(super) fn has_outcome(id: QueryId, store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.get(OUTCOME, id.as_bytes())?.is_some())
}

impl Release {
    /// Begins a release: the query is stored before it is sent.
    pub(super) fn begin(
        query: Signed<Query>,
        tariffs: Vec<Tariff>,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Self, StoreError> {
        store.put(QUERY, query.id.as_bytes(), query.bytes())?;
        Ok(Self {
            query,
            tariffs,
            inventories: BTreeMap::new(),
            cut: None,
            votes: BTreeMap::new(),
            answers: BTreeMap::new(),
            outcome: None,
            quorum_at: None,
            sent_at: now,
            certificate_sent: false,
            waiting: None,
        })
    }

    /// Takes a release up again from the store.
    pub(super) fn resume(
        query: Signed<Query>,
        tariffs: Vec<Tariff>,
        party: &Party,
        store: &dyn Store,
        now: Moment,
    ) -> Result<Self, SinkError> {
        let id = query.id;
        let mut release = Self {
            query,
            tariffs,
            inventories: BTreeMap::new(),
            cut: None,
            votes: BTreeMap::new(),
            answers: BTreeMap::new(),
            outcome: None,
            quorum_at: None,
            // Whatever was sent last may be lost: it is sent again at the first tick.
            sent_at: Moment(now.0.saturating_sub(party.pace.resend)),
            certificate_sent: false,
            waiting: None,
        };
        if let (Some(cut), Some(kept)) =
            (store.get(CUT, id.as_bytes())?, store.get(INVENTORIES, id.as_bytes())?)
        {
            let damaged = || SinkError::Damaged("a cut can't be read");
            let key = party.identity.key.verifying_key();
            let cut = Signed::<Cut>::open(&cut, &key, &party.roster.context()).map_err(|_| damaged())?;
            for bytes in wire::decode::<Votes>(&kept).map_err(|_| damaged())?.0 {
                let inventory = party
                    .open_peer(&bytes, |inventory: &Inventory| inventory.point)
                    .map_err(|_| damaged())?;
                release.inventories.insert(inventory.point, inventory);
            }
            let by_hash = |hash: &Hash| release.inventories.values().find(|i| i.hash() == *hash).cloned();
            let selection = cut
                .check(&release.query, by_hash, &release.tariffs, &party.roster)
                .map_err(|_| SinkError::Damaged("a cut does not follow from its inventories"))?;
            let lengths = selection.lengths(release.tariffs.len());
            release.cut = Some((cut, selection));
            for bytes in of_query(VOTE, id, store)? {
                let vote = party.open_peer(&bytes, |vote: &Vote| vote.point).map_err(|_| damaged())?;
                release.votes.insert(vote.point, vote);
            }
            for bytes in of_query(RESULT, id, store)? {
                let share =
                    party.open_peer(&bytes, |share: &ResultShare| share.point).map_err(|_| damaged())?;
                let answers = share.open(&party.identity.box_key, &party.roster, &lengths);
                release.answers.insert(share.point, answers.map_err(|_| damaged())?);
            }
        }
        Ok(release)
    }

    /// Its name.
    pub fn id(&self) -> QueryId {
        self.query.id
    }

    /// The query.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// The selection, once the cut was made.
    pub fn selection(&self) -> Option<&Selection> {
        self.cut.as_ref().map(|(_, selection)| selection)
    }

    /// The outcome, once it has ended.
    pub fn finished(&self) -> Option<&Signed<Outcome>> {
        self.outcome.as_ref()
    }

    /// What the aggregators said they hold or refuse.
    pub fn inventories(&self) -> impl Iterator<Item = &Inventory> {
        self.inventories.values().map(|inventory| &**inventory)
    }

    /// The rule by which so many aggregators refused that no quorum is left, if they did.
    pub fn refused(&self, roster_n: usize, quorum: usize) -> Option<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        for inventory in self.inventories.values() {
            if let InventoryAnswer::Refused(rule) = inventory.answer {
                rules.push(rule);
            }
        }
        (roster_n - rules.len() < quorum).then(|| rules.first().copied()).flatten()
    }

    /// Why it waits, if answers are there that do not decode.
    pub fn waiting(&self) -> Option<&DecodeError> {
        self.waiting.as_ref()
    }

    /// How many aggregators have answered: inventories, votes for the cut, results.
    pub fn progress(&self) -> (usize, usize, usize) {
        (self.inventories.len(), self.certificate().len(), self.answers.len())
    }

    /// The messages of the present stage.
    pub(super) fn sends(&self, party: &Party) -> Vec<Outgoing> {
        let mut sends = Outgoing::parts(&party.topic(Channel::Query), self.query.bytes());
        if let Some((cut, _)) = &self.cut {
            sends.extend(Outgoing::parts(&party.topic(Channel::Cut), cut.bytes()));
            if self.certificate().len() >= party.roster.q() {
                sends.extend(self.certificate_sends(party));
            }
        }
        sends
    }

    fn certificate(&self) -> Vec<&Signed<Vote>> {
        let Some((cut, _)) = &self.cut else { return Vec::new() };
        self.votes.values().filter(|vote| vote.cut == cut.hash()).collect()
    }

    fn certificate_sends(&self, party: &Party) -> Vec<Outgoing> {
        let votes = Votes(self.certificate().into_iter().map(|vote| ByteBuf::from(vote.bytes())).collect());
        Outgoing::parts(&party.topic(Channel::Votes), &wire::encode(&votes))
    }

    pub(super) fn take_inventory(
        &mut self,
        inventory: Signed<Inventory>,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Handled, SinkError> {
        if self.cut.is_some() {
            return Ok(Handled::quietly());
        }
        let refusal = match &inventory.answer {
            InventoryAnswer::Refused(rule) => Some(Refusal::new(
                *rule,
                format_args!("aggregator {} refused query {}", inventory.point, self.id()),
            )),
            InventoryAnswer::Holdings(_) => None,
        };
        self.inventories.entry(inventory.point).or_insert(inventory);
        let sends = self.advance(party, now, store)?;
        Ok(Handled { sends, refusal })
    }

    pub(super) fn take_vote(
        &mut self,
        vote: Signed<Vote>,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Handled, SinkError> {
        if self.cut.is_none() {
            return Ok(Handled::refused(Rule::QueryUnknown, "a vote before its cut"));
        }
        if !self.votes.contains_key(&vote.point) {
            store.put(VOTE, &point_key(self.id(), vote.point), vote.bytes())?;
            self.votes.insert(vote.point, vote);
        }
        Ok(Handled::sending(self.advance(party, now, store)?))
    }

    pub(super) fn take_result(
        &mut self,
        result: &Signed<ResultShare>,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Handled, SinkError> {
        let Some((cut, selection)) = &self.cut else {
            return Ok(Handled::refused(Rule::QueryUnknown, "a result before its cut"));
        };
        if result.cut != cut.hash() || self.answers.contains_key(&result.point) {
            return Ok(Handled::quietly());
        }
        let lengths = selection.lengths(self.tariffs.len());
        match result.open(&party.identity.box_key, &party.roster, &lengths) {
            Ok(answers) => {
                store.put(RESULT, &point_key(result.query, result.point), result.bytes())?;
                self.answers.insert(result.point, answers);
                if self.outcome.is_some() {
                    return self.settle(party, now, store).map(Handled::sending);
                }
                Ok(Handled::sending(self.advance(party, now, store)?))
            }
            Err(error) => Ok(Handled::refused(
                Rule::Malformed,
                format_args!("result of aggregator {}: {error}", result.point),
            )),
        }
    }

    /// Lets time pass.
    pub(super) fn tick(
        &mut self,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, SinkError> {
        if self.outcome.is_some() && self.answers.len() == party.roster.n() {
            return Ok(Vec::new());
        }
        let mut sends = self.advance(party, now, store)?;
        if self.outcome.is_none() && now.since(self.sent_at) >= party.pace.resend {
            self.sent_at = now;
            sends.extend(self.sends(party));
        }
        Ok(sends)
    }

    /// Goes on as far as what has arrived allows.
    fn advance(
        &mut self,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, SinkError> {
        let mut sends = Vec::new();
        if self.cut.is_none() && self.settled(self.inventories.len(), party, now) {
            sends.extend(self.propose(party, now, store)?);
        }
        if self.cut.is_some() && !self.certificate_sent && self.certificate().len() >= party.roster.q() {
            self.certificate_sent = true;
            sends.extend(self.certificate_sends(party));
        }
        if self.outcome.is_none() && self.cut.is_some() && self.settled(self.answers.len(), party, now) {
            sends.extend(self.settle(party, now, store)?);
        }
        Ok(sends)
    }

    /// Whether all have answered, or a quorum has and the rest had time.
    fn settled(&mut self, answered: usize, party: &Party, now: Moment) -> bool {
        if answered < party.roster.q() {
            return false;
        }
        let since = *self.quorum_at.get_or_insert(now);
        answered == party.roster.n() || now.since(since) >= party.pace.settle
    }

    /// Makes the cut, unless no quorum holds anything: then it asks on.
    fn propose(
        &mut self,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, SinkError> {
        let willing: Vec<&Signed<Inventory>> = self
            .inventories
            .values()
            .filter(|inventory| matches!(inventory.answer, InventoryAnswer::Holdings(_)))
            .collect();
        if willing.len() < party.roster.q() {
            return Ok(Vec::new());
        }
        let (cut, selection) = Cut::propose(&self.query, &willing, &self.tariffs, &party.roster);
        let kept = Votes(willing.iter().map(|inventory| ByteBuf::from(inventory.bytes())).collect());
        let cut = party.sign(cut);
        store.put(INVENTORIES, self.id().as_bytes(), &wire::encode(&kept))?;
        store.put(CUT, self.id().as_bytes(), cut.bytes())?;
        let sends = Outgoing::parts(&party.topic(Channel::Cut), cut.bytes());
        self.cut = Some((cut, selection));
        self.quorum_at = None;
        self.sent_at = now;
        Ok(sends)
    }

    /// Decodes, keeps bills and curves, and says how it ended; with a late answer, says it again.
    fn settle(
        &mut self,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, SinkError> {
        let Some((cut, selection)) = &self.cut else { return Ok(Vec::new()) };
        let decoded = match self.decode(selection, party) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.waiting = Some(error);
                return Ok(Vec::new());
            }
        };
        self.waiting = None;
        let (values, faulty) = decoded;
        let mut result = Vec::new();
        for value in values.iter().flatten() {
            result.extend_from_slice(&value.to_bytes());
        }
        if let Some(before) = &self.outcome
            && before.faulty == faulty
        {
            return Ok(Vec::new());
        }
        if self.outcome.is_none() {
            self.keep(selection, &values, store)?;
        }
        let outcome = party.sign(Outcome {
            query: self.id(),
            cut: cut.hash(),
            path: self.query.path(),
            taken: selection.takes(),
            used: self.answers.keys().filter(|point| !faulty.contains(point)).copied().collect(),
            faulty,
            result: self.commitment(&result, party),
            at: now.timestamp(),
        });
        store.put(OUTCOME, self.id().as_bytes(), outcome.bytes())?;
        let sends = Outgoing::parts(&party.topic(Channel::Outcome), outcome.bytes());
        self.outcome = Some(outcome);
        Ok(sends)
    }

    /// A hash of the released values that nobody can guess at: an outcome is public, and a lone bill has few possible
    /// values. The utility's own key makes it so, and lets it open the hash in a dispute.
    fn commitment(&self, values: &[u8], party: &Party) -> Hash {
        let opening = hash("opening", &[party.identity.key.as_bytes(), self.id().as_bytes()]);
        hash("values", &[opening.as_bytes(), values])
    }

    /// Decodes every released entry from the answers that have it, at least a quorum; names everyone who was wrong in
    /// any of them.
    fn decode(
        &self,
        selection: &Selection,
        party: &Party,
    ) -> Result<(Vec<Vec<Fe>>, Vec<Point>), DecodeError> {
        let (mut values, mut faulty) = (Vec::new(), Vec::new());
        for (index, len) in selection.lengths(self.tariffs.len()).into_iter().enumerate() {
            let word: Vec<(Point, Zeroizing<Vec<Fe>>)> = self
                .answers
                .iter()
                .filter_map(|(point, answers)| Some((*point, answers.get(index)?.clone()?)))
                .collect();
            if word.len() < party.roster.q() {
                return Err(DecodeError::TooFew { found: word.len(), wanted: party.roster.q() });
            }
            let decoded = decode_vector(&word, party.roster.t(), len)?;
            values.push(decoded.value);
            faulty.extend(decoded.faulty);
        }
        faulty.sort_unstable();
        faulty.dedup();
        Ok((values, faulty))
    }

    fn keep(
        &self,
        selection: &Selection,
        values: &[Vec<Fe>],
        store: &mut dyn Store,
    ) -> Result<(), SinkError> {
        match &self.query.ask {
            Ask::Bill(ask) => {
                for (billed, values) in selection.billed().zip(values) {
                    keep_bill(&bill(billed, values, &ask.tariffs, self.id()), store)?;
                }
            }
            Ask::Group(ask) => {
                for (day, values) in selection.days().zip(values) {
                    keep_curve(&curve(day, values, ask.group.clone(), self.id()), store)?;
                }
            }
        }
        Ok(())
    }
}

fn point_key(id: QueryId, point: Point) -> Vec<u8> {
    [&id.as_bytes()[..], &[u8::from(point)]].concat()
}

/// The rows of a query, one a point.
fn of_query(table: Table, id: QueryId, store: &dyn Store) -> Result<Vec<Vec<u8>>, StoreError> {
    let (from, to) = ([&id.as_bytes()[..], &[0]].concat(), [&id.as_bytes()[..], &[0xff]].concat());
    let rows = store.range(table, &from[..]..&to[..], protocol::shamir::MAX_PARTIES)?;
    Ok(rows.into_iter().map(|(_, bytes)| bytes).collect())
}

fn bill(billed: &Billed, values: &[Fe], tariffs: &[Hash], query: QueryId) -> Bill {
    let values: Vec<i64> = values.iter().map(|value| value.to_centred()).collect();
    let amounts = if billed.scope == Scope::Registers { &[] } else { &values[1..=tariffs.len()] };
    let energy = values[0];
    debug_assert!(
        energy.unsigned_abs() <= MAX_REGISTER_WH,
        "a register difference is below the largest register"
    );
    Bill {
        meter: billed.meter,
        window: billed.window,
        energy: WattHours(energy),
        amounts: tariffs.iter().copied().zip(amounts.iter().map(|amount| Amount(*amount))).collect(),
        scope: billed.scope,
        missing: u32::try_from(billed.missing()).unwrap_or(u32::MAX),
        unaccounted: (billed.scope == Scope::Complete)
            .then(|| values.last().map(|rest| WattHours(*rest)))
            .flatten(),
        query,
    }
}

fn curve(day: &Day, values: &[Fe], group: protocol::id::GroupId, query: QueryId) -> Curve {
    Curve {
        group,
        slots: day.slots,
        members: u32::try_from(day.members.len()).unwrap_or(u32::MAX),
        energies: values.iter().map(|value| WattHours(value.to_centred())).collect(),
        query,
    }
}
