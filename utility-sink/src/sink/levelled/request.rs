//! A release of mode `levelled`, from the question to the finding.
//!
//! Rows: `levelled-ask`, `levelled-cut` request → signed directions; `levelled-members` request → how many members to wait for;
//! `levelled-votes` request ‖ point → signed votes; `levelled-open`
//! request → the last signed direction to open; `levelled-answer` request ‖ point ‖ active set → signed answers.

use std::collections::{BTreeMap, BTreeSet};

use grid::levelled::accuracy::Extent;
use grid::levelled::opening::{self, Values};
use grid::levelled::setup::Setup;
use protocol::id::{Hash, QueryId};
use protocol::levelled::direction::{Ask, Direction, DirectionStep, Open};
use protocol::levelled::function::{Member, Subject};
use protocol::levelled::reply::{Opened, Reply, ReplyStep};
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::signature::{Signed, hash};
use protocol::topic::{Handled, LevelledChannel, Outgoing};
use protocol::unit::Moment;
use serde_bytes::ByteBuf;
use store::{Store, StoreError, Table};

use super::finding::{Finding, finding_of, keep, keep_wrong};
use super::keys::Keys;
use super::{LevelledPace, Question, topic};
use crate::sink::release::refusals::lasting;
use crate::sink::{Party, SinkError};

const ASK: Table = Table("levelled-ask");
const MEMBERS: Table = Table("levelled-members");
const CUT: Table = Table("levelled-cut");
const VOTE: Table = Table("levelled-votes");
const OPEN: Table = Table("levelled-open");
const ANSWER: Table = Table("levelled-answer");

/// A release on its way.
#[derive(Debug)]
pub(super) struct Request {
    ask: Signed<Direction>,
    /// How many members of each subject to wait for.
    members: u32,
    holdings: BTreeMap<Point, Result<Vec<Vec<Member>>, Rule>>,
    cut: Option<Signed<Direction>>,
    votes: BTreeMap<Point, Signed<Reply>>,
    /// Who said that it does not go on with the cut, and by which rule, and has not voted since.
    objections: BTreeMap<Point, Rule>,
    open: Option<Signed<Direction>>,
    /// By active set.
    answers: BTreeMap<Vec<Point>, BTreeMap<Point, Opened>>,
    /// What each active set that answered as a whole came to; nothing if its answers give no values.
    values: BTreeMap<Vec<Point>, Option<Values>>,
    finished: bool,
    quorum_at: Option<Moment>,
    opened_at: Moment,
    sent_at: Moment,
    tries: u32,
}

/// The requests that have no finding yet.
pub(super) fn unfinished(
    party: &Party,
    store: &dyn Store,
    now: Moment,
) -> Result<BTreeMap<QueryId, Request>, SinkError> {
    let mut requests = BTreeMap::new();
    for (_, bytes) in store::entries(ASK, store)? {
        // A question under an earlier roster has no key any more.
        let Ok(ask) = own(&bytes, party) else { continue };
        let id = ask.request;
        if finding_of(id, store)?.is_some() {
            continue;
        }
        let stored = |table| -> Result<Option<Signed<Direction>>, SinkError> {
            store.get(table, id.as_bytes())?.map(|bytes| own(&bytes, party)).transpose()
        };
        let members = store.get(MEMBERS, id.as_bytes())?;
        let members =
            members.and_then(|bytes| <[u8; 4]>::try_from(&bytes[..]).ok()).map_or(0, u32::from_be_bytes);
        let mut request = Request::new(ask, members, now);
        request.cut = stored(CUT)?;
        request.open = stored(OPEN)?;
        for bytes in rows(VOTE, id, store)? {
            let vote = party.open_peer(&bytes, |reply: &Reply| reply.point);
            let vote = vote.map_err(|_| SinkError::Damaged("a vote can't be read"))?;
            request.votes.insert(vote.point, vote);
        }
        for bytes in rows(ANSWER, id, store)? {
            let answer = party.open_peer(&bytes, |reply: &Reply| reply.point);
            let answer = answer.map_err(|_| SinkError::Damaged("an answer can't be read"))?;
            if let ReplyStep::Answer(sealed) = &answer.step
                && let Ok(opened) = sealed.open(answer.point, party.key_of_results(), party.roster())
            {
                request.answers.entry(sealed.members.clone()).or_default().insert(answer.point, opened);
            }
        }
        requests.insert(id, request);
    }
    Ok(requests)
}

fn own(bytes: &[u8], party: &Party) -> Result<Signed<Direction>, SinkError> {
    Signed::open(bytes, &party.key(), &party.roster().context())
        .map_err(|_| SinkError::Damaged("a direction can't be read"))
}

fn rows(table: Table, id: QueryId, store: &dyn Store) -> Result<Vec<Vec<u8>>, StoreError> {
    let (from, to) = ([&id.as_bytes()[..], &[0]].concat(), [&id.as_bytes()[..], &[0xff]].concat());
    Ok(store::entries_within(table, &from, &to, store)?.into_iter().map(|(_, bytes)| bytes).collect())
}

impl Request {
    fn new(ask: Signed<Direction>, members: u32, now: Moment) -> Self {
        Self {
            ask,
            members,
            holdings: BTreeMap::new(),
            cut: None,
            votes: BTreeMap::new(),
            objections: BTreeMap::new(),
            open: None,
            answers: BTreeMap::new(),
            values: BTreeMap::new(),
            finished: false,
            quorum_at: None,
            opened_at: now,
            sent_at: now,
            tries: 0,
        }
    }

    /// Begins: stores the question.
    pub(super) fn begin(
        id: QueryId,
        question: Question,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Self, StoreError> {
        let Question { key, function, subjects, members } = question;
        let step = DirectionStep::Ask(Ask { key, function, subjects });
        let ask = party.sign(Direction { request: id, step });
        store.put(MEMBERS, id.as_bytes(), &members.to_be_bytes())?;
        store.put(ASK, id.as_bytes(), ask.bytes())?;
        Ok(Self::new(ask, members, now))
    }

    fn id(&self) -> QueryId {
        self.ask.request
    }

    fn asked(&self) -> &Ask {
        match &self.ask.step {
            DirectionStep::Ask(ask) => ask,
            _ => unreachable!("a request begins with a question"),
        }
    }

    fn sets(&self) -> Option<&Vec<Vec<Member>>> {
        match &self.cut.as_ref()?.step {
            DirectionStep::Cut(sets) => Some(sets),
            _ => None,
        }
    }

    fn opening(&self) -> Option<&Open> {
        match &self.open.as_ref()?.step {
            DirectionStep::Open(open) => Some(open),
            _ => None,
        }
    }

    /// Why it is refused, or its cut is not voted for, if so many refuse that no quorum is left and time does not heal it.
    pub(super) fn refused(&self, party: &Party) -> Option<Rule> {
        let rules: Vec<Rule> = match &self.cut {
            None => self.holdings.values().filter_map(|holding| holding.as_ref().err()).copied().collect(),
            Some(_) => self.objections.values().copied().collect(),
        };
        lasting(rules.into_iter(), party.roster().n(), party.roster().q())
    }

    /// What it waits for, in words.
    pub(super) fn stage(&self, party: &Party) -> String {
        let (t, q) = (party.roster().t(), party.roster().q());
        let says = |(point, rule): (&Point, &Rule)| format!("; aggregator {point} rejects it (rule {rule})");
        let objections: String = self.objections.iter().map(says).collect();
        if self.cut.is_some() && self.votes.len() < q {
            return format!("votes: {} of {q} needed{objections}", self.votes.len());
        }
        if let Some(open) = self.opening() {
            let sets = self.values.values().flatten().count();
            let answers = self.answers.get(&open.members).map_or(0, BTreeMap::len);
            return format!(
                "openings: {sets} sets of {t} aggregators have opened it; {answers} of the next {t} have answered{objections}"
            );
        }
        let willing = self.holdings.values().filter(|holding| holding.is_ok()).count();
        if willing < q {
            let refused = self.holdings.values().filter_map(|holding| holding.as_ref().err());
            let says = |rule: &Rule| format!("; one rejects it (rule {rule})");
            let refused: Vec<String> = refused.map(says).collect();
            let refused = refused.concat();
            return format!("loads: {willing} of {q} aggregators needed have answered{refused}");
        }
        let least = usize::from(party.roster().policy().k).max(self.members as usize);
        let subjects = self.asked().subjects.iter().zip(self.held_by_quorum(q));
        let of = |(subject, set): (&Subject, Vec<Member>)| {
            format!("{} homes of {} for the whole window; {least} are needed", set.len(), subject.group)
        };
        format!(
            "loads: a quorum of aggregators holds the loads of {}",
            subjects.map(of).collect::<Vec<_>>().join(" and ")
        )
    }

    /// The members of each subject that a quorum holds all of.
    fn held_by_quorum(&self, quorum: usize) -> Vec<Vec<Member>> {
        let willing = || self.holdings.values().filter_map(|holding| holding.as_ref().ok());
        let of = |index: usize| {
            let mut holders: BTreeMap<&Member, usize> = BTreeMap::new();
            for member in willing().filter_map(|held| held.get(index)).flatten() {
                *holders.entry(member).or_default() += 1;
            }
            holders
                .into_iter()
                .filter(|(_, count)| *count >= quorum)
                .map(|(member, _)| member.clone())
                .collect()
        };
        (0..self.asked().subjects.len()).map(of).collect()
    }

    /// What it waits to be answered, as stored.
    pub(super) fn sends(&self, party: &Party) -> Vec<Outgoing> {
        let parts = |direction: &Signed<Direction>| {
            Outgoing::parts(&topic(party, LevelledChannel::Direction), direction.bytes())
        };
        match (&self.open, &self.cut) {
            (Some(open), Some(cut)) => {
                // Who comes back from a crash may have missed all that went before.
                [&self.ask, cut, open].into_iter().flat_map(parts).collect()
            }
            (None, Some(cut)) => [&self.ask, cut].into_iter().flat_map(parts).collect(),
            _ => parts(&self.ask),
        }
    }

    /// Takes an aggregator's reply.
    pub(super) fn take(
        &mut self,
        reply: Signed<Reply>,
        keys: &Keys,
        pace: &LevelledPace,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Handled, SinkError> {
        if self.finished {
            return Ok(Handled::quietly());
        }
        let point = reply.point;
        let mut refusal = None;
        match &reply.step {
            ReplyStep::Holdings(sets) => {
                if self.cut.is_none() && sets.len() == self.asked().subjects.len() {
                    self.holdings.insert(point, Ok(sets.clone()));
                }
            }
            ReplyStep::Refused(rule) => {
                let detail = format_args!("aggregator {point} rejected question {}", self.id());
                refusal = Some(Refusal::new(*rule, detail));
                if self.cut.is_none() {
                    self.holdings.insert(point, Err(*rule));
                } else if self.objections.insert(point, *rule) == Some(*rule) {
                    refusal = None;
                }
            }
            ReplyStep::Vote(cut) => {
                if self.cut.as_ref().is_none_or(|ours| ours.hash() != *cut) {
                    return Ok(Handled::refused(Rule::SplitView, "the vote is for another cut"));
                }
                self.objections.remove(&point);
                if !self.votes.contains_key(&point) {
                    store.put(VOTE, &row(self.id(), point, &[]), reply.bytes())?;
                    self.votes.insert(point, reply);
                }
            }
            ReplyStep::Answer(answer) => {
                let cut = self.cut.as_ref().map(Signed::hash);
                let known =
                    self.answers.get(&answer.members).is_some_and(|of_set| of_set.contains_key(&point));
                if Some(answer.cut) != cut || known || !answer.members.contains(&point) {
                    return Ok(Handled::quietly());
                }
                match answer.open(point, party.key_of_results(), party.roster()) {
                    Ok(opened) => {
                        store.put(ANSWER, &row(self.id(), point, &answer.members), reply.bytes())?;
                        self.answers.entry(answer.members.clone()).or_default().insert(point, opened);
                    }
                    Err(error) => refusal = Some(Refusal::new(Rule::Malformed, error)),
                }
            }
        }
        let sends = self.advance(keys, pace, party, now, store)?;
        Ok(Handled { sends, refusal })
    }

    /// Lets time pass.
    pub(super) fn tick(
        &mut self,
        keys: &Keys,
        pace: &LevelledPace,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, SinkError> {
        if self.finished {
            return Ok(Vec::new());
        }
        let mut sends = self.advance(keys, pace, party, now, store)?;
        let pause = (pace.resend << self.tries.min(20)).min(pace.resend_last);
        if sends.is_empty() && now.is_past(self.sent_at, pause) {
            self.tries += 1;
            self.sent_at = now;
            sends = self.sends(party);
        }
        Ok(sends)
    }

    fn advance(
        &mut self,
        keys: &Keys,
        pace: &LevelledPace,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, SinkError> {
        if self.cut.is_none() {
            return self.propose(pace, party, now, store);
        }
        if self.votes.len() < party.roster().q() {
            return Ok(Vec::new());
        }
        // A key under an earlier roster is gone: the request waits.
        let Some(setup) = keys.setup(&self.asked().key) else { return Ok(Vec::new()) };
        self.combine(setup, party);
        if self.conclude(pace, party, store)? {
            return Ok(Vec::new());
        }
        let tired = now.since(self.opened_at) >= pace.patience;
        let answered = self.opening().is_some_and(|open| self.values.contains_key(&open.members));
        if self.open.is_some() && !tired && !answered {
            return Ok(Vec::new());
        }
        let next = self.next_set(party);
        let (Some(cut), Some(members)) = (&self.cut, next) else { return Ok(Vec::new()) };
        let votes = self.votes.values().map(|vote| ByteBuf::from(vote.bytes())).collect();
        let open = Open { cut: cut.hash(), members, votes };
        let open = party.sign(Direction { request: self.id(), step: DirectionStep::Open(open) });
        store.put(OPEN, self.id().as_bytes(), open.bytes())?;
        let sends = Outgoing::parts(&topic(party, LevelledChannel::Direction), open.bytes());
        self.open = Some(open);
        (self.opened_at, self.sent_at, self.tries) = (now, now, 0);
        Ok(sends)
    }

    /// Makes the cut once a quorum said what it holds and the others had time.
    fn propose(
        &mut self,
        pace: &LevelledPace,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, SinkError> {
        let willing = self.holdings.values().filter(|holding| holding.is_ok()).count();
        let q = party.roster().q();
        if willing < q {
            return Ok(Vec::new());
        }
        let since = *self.quorum_at.get_or_insert(now);
        if willing < party.roster().n() && now.since(since) < pace.settle {
            return Ok(Vec::new());
        }
        let sets = self.held_by_quorum(q);
        let least = usize::from(party.roster().policy().k).max(self.members as usize);
        if sets.iter().any(|set| set.len() < least) {
            // Too few yet: the question goes again, and more may have come by then.
            return Ok(Vec::new());
        }
        let cut = party.sign(Direction { request: self.id(), step: DirectionStep::Cut(sets) });
        store.put(CUT, self.id().as_bytes(), cut.bytes())?;
        let sends = Outgoing::parts(&topic(party, LevelledChannel::Direction), cut.bytes());
        self.cut = Some(cut);
        (self.sent_at, self.tries) = (now, 0);
        Ok(sends)
    }

    /// The active set whose turn it is, of those that have not answered: those first whose members all voted, and that have fewest
    /// members in common with all that agree so far; and after the last the first again.
    fn next_set(&self, party: &Party) -> Option<Vec<Point>> {
        let common = self.agreeing().map(|(_, common)| common).unwrap_or_default();
        let mut sets = Point::sets(&party.roster().points(), party.roster().t());
        sets.retain(|set| !self.values.contains_key(set));
        let count = |set: &[Point], of: &dyn Fn(&Point) -> bool| set.iter().filter(|point| of(point)).count();
        sets.sort_by_key(|set| {
            (
                count(set, &|point| !self.votes.contains_key(point)),
                count(set, &|point| common.contains(point)),
            )
        });
        let last = self.opening().and_then(|open| sets.iter().position(|set| *set == open.members));
        let next = last.map_or(0, |last| (last + 1) % sets.len().max(1));
        sets.into_iter().nth(next)
    }

    /// Opens the result with every active set that has answered as a whole since.
    fn combine(&mut self, setup: &Setup, party: &Party) {
        let Some(sets) = self.sets() else { return };
        let extents: Vec<Extent> = sets.iter().map(|set| Extent::of(set)).collect();
        let mut values = Vec::new();
        for (members, answers) in &self.answers {
            if members.len() != party.roster().t()
                || answers.len() < members.len()
                || self.values.contains_key(members)
            {
                continue;
            }
            let results: Vec<&ByteBuf> = answers.values().map(|opened| &opened.result).collect();
            if results.iter().any(|result| *result != results[0]) {
                tracing::warn!(request = %self.id(), "aggregators {members:?} computed different results");
                values.push((members.clone(), None));
                continue;
            }
            let partials: Vec<(Point, Vec<u8>)> =
                answers.iter().map(|(point, opened)| (*point, opened.partials.to_vec())).collect();
            let opened = opening::open(setup, &self.asked().function, &extents, results[0], &partials);
            let opened = opened.inspect_err(|error| {
                tracing::warn!(request = %self.id(), "answers of {members:?} give no values: {error}");
            });
            values.push((members.clone(), opened.ok()));
        }
        self.values.extend(values);
    }

    /// The active set with which most agree, itself included, and who is in all of these.
    fn agreeing(&self) -> Option<(&Vec<Point>, Vec<Point>)> {
        let opened = || self.values.iter().filter_map(|(members, values)| Some((members, values.as_ref()?)));
        let of = |(members, values): (&'_ Vec<Point>, &Values)| {
            let agreeing: Vec<&Vec<Point>> =
                opened().filter(|(_, other)| values.agrees(other)).map(|(members, _)| members).collect();
            let mut common = members.clone();
            common.retain(|point| agreeing.iter().all(|set| set.contains(point)));
            (agreeing.len(), common)
        };
        let best = opened().map(|(members, values)| (members, of((members, values))));
        best.max_by_key(|(_, (count, _))| *count).map(|(members, (_, common))| (members, common))
    }

    /// Keeps the values, if a whole active set answered and agrees on the result, and nobody could have made it up alone.
    fn conclude(
        &mut self,
        pace: &LevelledPace,
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<bool, SinkError> {
        let (Some(sets), Some((members, common))) = (self.sets(), self.agreeing()) else { return Ok(false) };
        // Where all aggregators are needed there is no other set to ask.
        if pace.confirm && !common.is_empty() && party.roster().n() > party.roster().t() {
            return Ok(false);
        }
        let Some(Some(values)) = self.values.get(members) else { return Ok(false) };
        let agreed = self.answers[members].values().next().map(|opened| digest(&opened.result));
        let other = |opened: &Opened| Some(digest(&opened.result)) != agreed;
        let differing: BTreeSet<Point> = self
            .answers
            .values()
            .flatten()
            .filter(|(_, opened)| other(opened))
            .map(|(point, _)| *point)
            .collect();
        let wrong = |(set, opened): (&Vec<Point>, &Option<Values>)| {
            let disagrees = opened.as_ref().is_none_or(|opened| !values.agrees(opened));
            (disagrees && !set.iter().any(|point| differing.contains(point))).then(|| set.clone())
        };
        let wrong: Vec<Vec<Point>> = self.values.iter().filter_map(wrong).collect();
        for set in &wrong {
            tracing::warn!(request = %self.id(), "one of the aggregators {set:?} decrypts wrongly");
        }
        let ask = self.asked();
        #[expect(clippy::cast_possible_truncation, reason = "sets have a few thousand members at most")]
        let counts = sets.iter().map(|set| set.len() as u32).collect();
        let finding = Finding {
            request: self.id(),
            key: ask.key,
            function: ask.function.clone(),
            subjects: ask.subjects.clone(),
            members: counts,
            values: values.values.clone(),
            error: values.error,
            opened_by: members.clone(),
            differing: differing.into_iter().collect(),
        };
        keep_wrong(finding.request, &wrong, store)?;
        keep(&finding, store)?;
        tracing::info!(request = %finding.request, function = finding.function.name(), "the question has its values");
        self.finished = true;
        self.answers.clear();
        self.values.clear();
        Ok(true)
    }
}

fn digest(result: &[u8]) -> Hash {
    hash("levelled result", &[result])
}

fn row(id: QueryId, point: Point, members: &[Point]) -> Vec<u8> {
    let points = [point].into_iter().chain(members.iter().copied()).map(u8::from);
    id.as_bytes().iter().copied().chain(points).collect()
}
