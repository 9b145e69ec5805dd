//! One release at the sink: asked → cut → certified → decoded.
//!
//! Rows: `query`, `cut`, `inventories`, `outcome`: query id → bytes; `vote`, `result`: query id ‖ point → bytes.
//!
//! A release ends for its bills when enough answers are there; it is repeated, ever more rarely, until every aggregator
//! has answered: who was away must learn what was released, or it would refuse whatever follows.

use std::collections::{BTreeMap, BTreeSet};

use protocol::decode::DecodeError;
use protocol::id::{Hash, MeterId, QueryId};
use protocol::release::cut::Cut;
use protocol::release::inventory::{Inventory, InventoryAnswer};
use protocol::release::outcome::Outcome;
use protocol::release::query::{Ask, Query};
use protocol::release::result::{Answers, Pieces, ResultError, ResultShare};
use protocol::release::selection::Selection;
use protocol::release::vote::{Vote, Votes};
use protocol::roster::Roster;
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::signature::{Signed, Unverified, hash};
use protocol::tariff::Tariff;
use protocol::topic::{Channel, Handled, Outgoing};
use protocol::unit::Moment;
use protocol::wire;
use serde_bytes::ByteBuf;
use store::{Store, StoreError, Table};

use super::{Party, SinkError, beside};

mod entries;
pub(super) mod lagging;
pub(crate) mod refusals;

use self::entries::{is_whole, meters, taken};

const QUERY: Table = Table("query");
const CUT: Table = Table("cut");
const INVENTORIES: Table = Table("inventories");
const OUTCOME: Table = Table("outcome");
const VOTE: Table = Table("vote");
const RESULT: Table = Table("result");

/// How often the pause between repeats doubles once a release has ended.
const DOUBLINGS: u32 = 8;

/// How many times the settling time a release waits for entries that do not decode while others do.
pub(super) const HESITATION: u64 = 8;

/// One release.
#[derive(Debug)]
pub struct Release {
    query: Signed<Query>,
    tariffs: Vec<Tariff>,
    /// The messages that publish the tariffs, for whoever missed them.
    published: Vec<Outgoing>,
    inventories: BTreeMap<Point, Signed<Inventory>>,
    cut: Option<(Signed<Cut>, Selection)>,
    votes: BTreeMap<Point, Signed<Vote>>,
    /// Who said that it does not vote for the cut, and by which rule, and has not voted since.
    objections: BTreeMap<Point, Rule>,
    answers: BTreeMap<Point, Answers>,
    /// Pieces of an opening, of those that gave any.
    pieces: BTreeMap<Point, Pieces>,
    /// Who answered with a box that does not open or holds something else.
    garbled: BTreeSet<Point>,
    outcome: Option<Signed<Outcome>>,
    /// How many answers there were when the outcome was last looked at.
    judged: usize,
    /// How many inventories there were when the selection was found lacking.
    lacking: usize,
    /// When the present stage had its quorum.
    quorum_at: Option<Moment>,
    sent_at: Moment,
    /// Repeats since the release ended, or since no quorum was left for its cut.
    repeats: u32,
    certificate_sent: bool,
    waiting: Option<DecodeError>,
    /// Why no cut of it will ever be voted for, if the sink sees that before it makes one.
    hopeless: Option<Rule>,
    /// The targets because of which, if it is because of some.
    unfit: Vec<MeterId>,
}

fn read_outcome(bytes: &[u8], party: &Party) -> Result<Signed<Outcome>, SinkError> {
    party.rosters.open_utility(bytes).map_err(|_| SinkError::Damaged("an outcome can't be read"))
}

/// Opens a result with the key that it was sealed to: that of the roster of its query.
fn open_result(
    result: &ResultShare,
    query: &Signed<Query>,
    party: &Party,
    lengths: &[usize],
) -> Result<(Answers, Option<Pieces>), ResultError> {
    let roster = party.rosters.of(query);
    let key = party.box_key(roster).expect("a release is not begun or taken up without its roster's box key");
    result.open(key, roster, lengths)
}

/// Forgets a query that no cut was made for: nobody has voted, so nothing was released.
pub(super) fn withdraw(id: QueryId, store: &mut dyn Store) -> Result<(), StoreError> {
    store.remove(QUERY, id.as_bytes())
}

/// Whether a query was asked and not withdrawn.
pub(crate) fn is_stored(id: QueryId, store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.get(QUERY, id.as_bytes())?.is_some())
}

/// A query that has a cut and no outcome.
pub(crate) fn being_voted_for(id: QueryId, store: &dyn Store) -> Result<Option<Query>, SinkError> {
    if store.get(CUT, id.as_bytes())?.is_none() || has_outcome(id, store)? {
        return Ok(None);
    }
    // It was signed here before it was stored.
    let damaged = || SinkError::Damaged("a query can't be read");
    let bytes = store.get(QUERY, id.as_bytes())?.ok_or_else(damaged)?;
    let query = Unverified::<Query>::parse(&bytes).map_err(|_| damaged())?;
    Ok(Some(query.claim().clone()))
}

/// Whether a query has an outcome.
pub(crate) fn has_outcome(id: QueryId, store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.get(OUTCOME, id.as_bytes())?.is_some())
}

impl Release {
    /// Begins a release: the query is stored before it is sent.
    pub(super) fn begin(
        query: Signed<Query>,
        tariffs: Vec<Tariff>,
        published: Vec<Outgoing>,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Self, StoreError> {
        store.put(QUERY, query.id.as_bytes(), query.bytes())?;
        Ok(Self::new(query, tariffs, published, now))
    }

    fn new(query: Signed<Query>, tariffs: Vec<Tariff>, published: Vec<Outgoing>, sent_at: Moment) -> Self {
        Self {
            query,
            tariffs,
            published,
            inventories: BTreeMap::new(),
            cut: None,
            votes: BTreeMap::new(),
            objections: BTreeMap::new(),
            answers: BTreeMap::new(),
            pieces: BTreeMap::new(),
            garbled: BTreeSet::new(),
            outcome: None,
            judged: 0,
            lacking: 0,
            quorum_at: None,
            sent_at,
            repeats: 0,
            certificate_sent: false,
            waiting: None,
            hopeless: None,
            unfit: Vec::new(),
        }
    }

    /// Takes a release up again from the store.
    pub(super) fn resume(
        query: Signed<Query>,
        tariffs: Vec<Tariff>,
        published: Vec<Outgoing>,
        party: &Party,
        store: &dyn Store,
        now: Moment,
    ) -> Result<Self, SinkError> {
        let id = query.id;
        // Whatever was sent last may be lost: it is sent again at the first tick.
        let sent_at = Moment(now.0.saturating_sub(party.pace.resend));
        let mut release = Self::new(query, tariffs, published, sent_at);
        if let Some(bytes) = store.get(OUTCOME, id.as_bytes())? {
            release.outcome = Some(read_outcome(&bytes, party)?);
        }
        if let (Some(cut), Some(kept)) =
            (store.get(CUT, id.as_bytes())?, store.get(INVENTORIES, id.as_bytes())?)
        {
            let damaged = || SinkError::Damaged("a cut can't be read");
            let cut = party.rosters.open_utility::<Cut>(&cut).map_err(|_| damaged())?;
            for bytes in wire::decode_own::<Votes>(&kept).map_err(|_| damaged())?.0 {
                let inventory = party
                    .rosters
                    .open_peer(&bytes, |inventory: &Inventory| inventory.point)
                    .map_err(|_| damaged())?;
                release.inventories.insert(inventory.point, inventory);
            }
            let by_hash = |hash: &Hash| release.inventories.values().find(|i| i.hash() == *hash).cloned();
            let selection = cut
                .check(&release.query, by_hash, &release.tariffs, party.roster())
                .map_err(|_| SinkError::Damaged("a cut does not follow from its inventories"))?;
            let lengths = selection.lengths(release.tariffs.len());
            release.cut = Some((cut, selection));
            for bytes in of_query(VOTE, id, store)? {
                let vote =
                    party.rosters.open_peer(&bytes, |vote: &Vote| vote.point).map_err(|_| damaged())?;
                release.votes.insert(vote.point, vote);
            }
            for bytes in of_query(RESULT, id, store)? {
                let share = party
                    .rosters
                    .open_peer(&bytes, |share: &ResultShare| share.point)
                    .map_err(|_| damaged())?;
                match open_result(&share, &release.query, party, &lengths) {
                    Ok(opened) => release.keep_answers(share.point, opened),
                    Err(_) => drop(release.garbled.insert(share.point)),
                }
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

    /// The meters that it may yet bill: those of its cut, or all that it names while it has none; once it has ended, none.
    pub(super) fn may_bill(&self) -> Vec<MeterId> {
        match (&self.query.ask, &self.cut) {
            (Ask::Bill(_), None) => self.query.meters(),
            (Ask::Bill(_), Some((_, selection))) if self.outcome.is_none() => {
                selection.billed().map(|billed| billed.meter).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What the aggregators said they hold or refuse.
    pub fn inventories(&self) -> impl Iterator<Item = &Inventory> {
        self.inventories.values().map(|inventory| &**inventory)
    }

    /// Why it waits, or some of its bills do, if answers are there that do not decode.
    pub fn waiting(&self) -> Option<&DecodeError> {
        self.waiting.as_ref()
    }

    /// How many aggregators have answered: inventories, votes for the cut, results.
    pub fn progress(&self) -> (usize, usize, usize) {
        (self.inventories.len(), self.certificate().len(), self.answered())
    }

    fn keep_answers(&mut self, point: Point, (answers, pieces): (Answers, Option<Pieces>)) {
        self.answers.insert(point, answers);
        if let Some(pieces) = pieces {
            self.pieces.insert(point, pieces);
        }
    }

    /// The members of an interval that keep it from being released, once a quorum has said what it holds and so many
    /// milliseconds have passed since.
    pub(super) fn lacking(&self, roster: &Roster, patience: u64, now: Moment) -> Vec<MeterId> {
        let waited = self.quorum_at.is_some_and(|since| now.since(since) >= patience);
        if self.cut.is_some() || !waited {
            return Vec::new();
        }
        let willing: Vec<&Inventory> = self
            .inventories()
            .filter(|inventory| matches!(inventory.answer, InventoryAnswer::Holdings(_)))
            .collect();
        if willing.len() < roster.q() {
            Vec::new()
        } else {
            Selection::lacking(&self.query, &willing, roster)
        }
    }

    fn answered(&self) -> usize {
        self.answers.len() + self.garbled.len()
    }

    /// Everything that an aggregator needs to come as far as this, whatever it has missed.
    pub(super) fn sends(&self, party: &Party) -> Vec<Outgoing> {
        let mut sends = self.published.clone();
        sends.extend(Outgoing::parts(&party.topic(Channel::Query), self.query.bytes()));
        if let Some((cut, _)) = &self.cut {
            if self.certificate().len() < party.roster().n() {
                sends.extend(self.cited_sends(cut, party));
            }
            sends.extend(Outgoing::parts(&party.topic(Channel::Cut), cut.bytes()));
            if self.certificate().len() >= party.roster().q() {
                sends.extend(self.certificate_sends(party));
            }
        }
        sends.extend(self.outcome_sends(party));
        sends
    }

    fn outcome_sends(&self, party: &Party) -> Vec<Outgoing> {
        let outcome = self.outcome.iter();
        outcome.flat_map(|outcome| Outgoing::parts(&party.topic(Channel::Outcome), outcome.bytes())).collect()
    }

    /// The inventories that the cut cites: whoever made one may be gone, and nobody votes without having seen it.
    fn cited_sends(&self, cut: &Cut, party: &Party) -> Vec<Outgoing> {
        let cited = self.inventories.values().filter(|i| cut.cited.contains(&(i.point, i.hash())));
        cited
            .filter_map(|inventory| Some((party.roster().aggregator(inventory.point)?.id.clone(), inventory)))
            .flat_map(|(id, inventory)| {
                Outgoing::parts(&party.topic(Channel::Inventory(id)), inventory.bytes())
            })
            .collect()
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
            self.objections.remove(&vote.point);
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
        let known = self.answers.contains_key(&result.point) || self.garbled.contains(&result.point);
        if result.cut != cut.hash() || known {
            return Ok(Handled::quietly());
        }
        let lengths = selection.lengths(self.tariffs.len());
        store.put(RESULT, &point_key(result.query, result.point), result.bytes())?;
        let refusal = match open_result(result, &self.query, party, &lengths) {
            Ok(opened) => {
                self.keep_answers(result.point, opened);
                None
            }
            Err(error) => {
                self.garbled.insert(result.point);
                let detail = format_args!("result of aggregator {}: {error}", result.point);
                Some(Refusal::new(Rule::Malformed, detail))
            }
        };
        let sends = self.advance(party, now, store)?;
        Ok(Handled { sends, refusal })
    }

    /// Lets time pass.
    pub(super) fn tick(
        &mut self,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, SinkError> {
        let complete = self.outcome.is_some() && self.answered() == party.roster().n();
        let hopeless = self.blocked(party.roster()).is_some();
        if self.outcome.is_none() && !hopeless {
            self.repeats = 0;
        }
        let mut sends = if complete { Vec::new() } else { self.advance(party, now, store)? };
        let pause = party.pace.resend << self.repeats.min(DOUBLINGS);
        // Once everybody has answered only the outcome is said again, a few times: meters do not acknowledge it.
        if now.is_past(self.sent_at, pause) && !(complete && self.repeats >= DOUBLINGS) {
            self.sent_at = now;
            self.repeats += u32::from(self.outcome.is_some() || hopeless);
            sends.extend(if complete { self.outcome_sends(party) } else { self.sends(party) });
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
        if self.cut.is_some() && !self.certificate_sent && self.certificate().len() >= party.roster().q() {
            self.certificate_sent = true;
            sends.extend(self.certificate_sends(party));
        }
        let due = match self.outcome {
            None => self.cut.is_some() && self.settled(self.answered(), party, now),
            Some(_) => self.judged < self.answered(),
        };
        if due {
            self.judged = self.answered();
            sends.extend(self.settle(party, now, store)?);
        }
        Ok(sends)
    }

    /// Whether all have answered, or a quorum has and the rest had time.
    fn settled(&mut self, answered: usize, party: &Party, now: Moment) -> bool {
        if answered < party.roster().q() {
            return false;
        }
        let since = *self.quorum_at.get_or_insert(now);
        answered == party.roster().n() || now.since(since) >= party.pace.settle
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
        // A record that a quorum holds may be lacking just because one of these aggregators has not got it and another
        // has not answered yet: that is worth some patience, since what is released is released once.
        let hesitates = self.inventories.len() < party.roster().n()
            && self.quorum_at.is_none_or(|since| now.since(since) < HESITATION * party.pace.settle);
        if willing.len() < party.roster().q() || hesitates && self.lacking == self.inventories.len() {
            return Ok(Vec::new());
        }
        let (cut, selection) = Cut::propose(&self.query, &willing, &self.tariffs, party.roster());
        // An interval has all its members or is not released.
        let all_or_none = matches!(selection, Selection::Grid(_));
        if (hesitates || all_or_none) && !is_whole(&selection, &self.query) {
            self.lacking = self.inventories.len();
            return Ok(Vec::new());
        }
        let unfit = beside::unfit(&selection, store)?;
        if !unfit.is_empty() {
            let meters: Vec<String> = unfit.iter().map(ToString::to_string).collect();
            let (query, meters) = (self.id(), meters.join(", "));
            tracing::warn!(%query, meters, "these meters have a gap, or bills of another window, and are in curves: no cut is made with them");
            (self.hopeless, self.unfit) = (Some(Rule::Differencing), unfit);
            return Ok(Vec::new());
        }
        let kept = Votes(willing.iter().map(|inventory| ByteBuf::from(inventory.bytes())).collect());
        let cut = party.sign_under(cut, self.query.context());
        store.put(INVENTORIES, self.id().as_bytes(), &wire::encode(&kept))?;
        store.put(CUT, self.id().as_bytes(), cut.bytes())?;
        beside::keep(&self.query, &selection, store)?;
        let sends = Outgoing::parts(&party.topic(Channel::Cut), cut.bytes());
        self.cut = Some((cut, selection));
        self.quorum_at = None;
        self.sent_at = now;
        Ok(sends)
    }

    /// Decodes, keeps bills and curves, and says how it ended; when a late answer changes anything, says it again.
    fn settle(
        &mut self,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, SinkError> {
        let Some((cut, selection)) = &self.cut else { return Ok(Vec::new()) };
        let entries = self.decode(selection, party);
        let undecided = entries.iter().find_map(|entry| entry.as_ref().err().cloned());
        let opened = selection
            .interval()
            .map(|interval| grid::sum::open(&self.pieces, interval.slots, party.roster()));
        let unopened = matches!(opened, Some(Err(_)));
        let hesitates = self.answered() < party.roster().n()
            && self.quorum_at.is_none_or(|since| now.since(since) < HESITATION * party.pace.settle);
        let nothing = entries.iter().all(Result::is_err);
        self.waiting = undecided;
        if self.outcome.is_none()
            && (self.waiting.is_some() && (nothing || hesitates) || unopened && hesitates)
        {
            return Ok(Vec::new());
        }
        let mut faulty: BTreeSet<Point> = self.garbled.clone();
        let mut result = Vec::new();
        for (meters, entry) in meters(selection).iter().zip(&entries) {
            let Ok(decoded) = entry else { continue };
            // An answer may be off because a meter dealt badly: who is known to hold such shares is not to blame.
            let excused = |point: &Point| meters.iter().any(|meter| party.checks.excuses(*point, *meter));
            faulty.extend(decoded.faulty.iter().filter(|point| !excused(point)));
            result.extend(decoded.value.iter().flat_map(|value| value.to_bytes()));
        }
        let opened = opened.and_then(Result::ok);
        if let Some(opened) = &opened {
            faulty.extend(&opened.faulty);
            result.extend(opened.values.iter().flat_map(|value| value.to_be_bytes()));
        }
        let (faulty, result) = (faulty.into_iter().collect::<Vec<_>>(), self.commitment(&result, party));
        if let Some(before) = &self.outcome
            && (before.faulty == faulty && before.result == result)
        {
            return Ok(Vec::new());
        }
        self.keep(selection, &entries, opened.as_ref(), store)?;
        self.keep_unbilled(selection, party.roster().q(), store)?;
        let outcome = Outcome {
            query: self.id(),
            cut: cut.hash(),
            path: self.query.path(),
            taken: taken(selection, &entries),
            used: self.answers.keys().filter(|point| !faulty.contains(point)).copied().collect(),
            faulty,
            result,
            at: now.timestamp(),
        };
        let outcome = party.sign_under(outcome, self.query.context());
        store.put(OUTCOME, self.id().as_bytes(), outcome.bytes())?;
        let sends = Outgoing::parts(&party.topic(Channel::Outcome), outcome.bytes());
        if self.outcome.replace(outcome).is_none() {
            self.repeats = 0;
            self.objections.clear();
        }
        Ok(sends)
    }

    /// A hash of the released values that nobody can guess at: an outcome is public, and a lone bill has few possible
    /// values. The utility's own key makes it so, and lets it open the hash in a dispute.
    fn commitment(&self, values: &[u8], party: &Party) -> Hash {
        let opening = hash("opening", &[party.identity.key.as_bytes(), self.id().as_bytes()]);
        hash("values", &[opening.as_bytes(), values])
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
