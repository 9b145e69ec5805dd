//! Releases of mode `levelled`: ask, holdings, cut, vote, open, answer; and the ledger of what was released.
//!
//! Rows: `levelled-ask` request → the signed question; `levelled-vote` request → our signed vote, `levelled-cut` request → the
//! signed cut that it is for; `levelled-set` key ‖ group ‖ 0 ‖ window → the member set, fixed by the first vote; `levelled-released`
//! function and subjects → the request that they were voted for in; `levelled-result` request → the result that we computed;
//! `levelled-answer` request ‖ active set → the signed answer; `levelled-openings` key → how many answers were given;
//! `levelled-rolled-back` → a vote of ours that should be here and is not.

use std::collections::BTreeSet;

use grid::levelled::accuracy::{Accuracy, Extent};
use grid::levelled::setup::Setup;
use protocol::hedge::hedged;
use protocol::id::{GroupId, Hash, MeterId, QueryId, ServicePoint};
use protocol::levelled::direction::{Ask, Direction, DirectionStep, Open};
use protocol::levelled::function::{Member, Subject, release_hash};
use protocol::levelled::plan::Plan;
use protocol::levelled::reply::{Answer, Opened, Reply, ReplyStep};
use protocol::release::query::Path;
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::signature::Signed;
use protocol::topic::{Handled, LevelledChannel, Outgoing};
use protocol::unit::SlotRange;
use protocol::wire;
use rand::CryptoRng;
use serde_bytes::ByteBuf;
use store::{Store, Table};

use super::making::{Makings, Ready};
use super::{parts, uploads};
use crate::aggregator::taken::{TAKEN, is_taken, taken_key};
use crate::aggregator::{AggregatorError, Context, Party, differencing};

const ASK: Table = Table("levelled-ask");
const VOTE: Table = Table("levelled-vote");
const CUT: Table = Table("levelled-cut");
const SET: Table = Table("levelled-set");
const RELEASED: Table = Table("levelled-released");
const RESULT: Table = Table("levelled-result");
const ANSWER: Table = Table("levelled-answer");
const OPENINGS: Table = Table("levelled-openings");
const ROLLED_BACK: Table = Table("levelled-rolled-back");

/// The releases.
#[derive(Debug)]
pub(super) struct Releases {
    /// A vote of ours was seen that is not here: this store was restored from a backup, and votes no more.
    rolled_back: bool,
}

/// What a vote needs, or why there is none.
type Checked<T> = Result<Result<T, Refusal>, AggregatorError>;

/// What a cut that is voted for adds to the ledger.
struct Additions {
    sets: Vec<(Vec<u8>, Vec<Member>)>,
    taken: Vec<(ServicePoint, SlotRange)>,
    levelled: Vec<(GroupId, Hash)>,
}

#[expect(clippy::unnecessary_wraps, reason = "refusing is how checks return early")]
fn refuse<T>(rule: Rule, detail: impl std::fmt::Display) -> Checked<T> {
    Ok(Err(Refusal::new(rule, detail)))
}

impl Releases {
    pub(super) fn load(store: &dyn Store) -> Result<Self, AggregatorError> {
        Ok(Self { rolled_back: store.get(ROLLED_BACK, b"")?.is_some() })
    }

    /// Takes a direction of the utility.
    pub(super) fn take<R: CryptoRng>(
        &mut self,
        direction: &Signed<Direction>,
        makings: &Makings,
        context: Context<'_>,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Handled, AggregatorError> {
        let party = context.party;
        let id = direction.request;
        let done = match &direction.step {
            DirectionStep::Ask(ask) => take_ask(direction, ask, makings, context, store)?,
            DirectionStep::Cut(sets) => self.take_cut(direction, sets, makings, context, store)?,
            DirectionStep::Open(open) => self.take_open(id, open, makings, context, store, rng)?,
        };
        Ok(match done {
            Ok(sends) => Handled::sending(sends),
            Err(refusal) => {
                let detail = format!("levelled {id}: {}", refusal.detail);
                // It binds nobody: the same may come again when more has come here. Of what is on its way the utility need not hear.
                let sends = if refusal.rule == Rule::QueryUnknown {
                    Vec::new()
                } else {
                    reply(id, ReplyStep::Refused(refusal.rule), party)
                };
                Handled { sends, refusal: Some(Refusal::new(refusal.rule, detail)) }
            }
        })
    }

    /// Votes for a cut, once, if no rule speaks against it.
    fn take_cut(
        &mut self,
        cut: &Signed<Direction>,
        sets: &[Vec<Member>],
        makings: &Makings,
        context: Context<'_>,
        store: &mut dyn Store,
    ) -> Checked<Vec<Outgoing>> {
        let party = context.party;
        let id = cut.request;
        if let Some(vote) = store.get(VOTE, id.as_bytes())? {
            let vote = own_reply(&vote, party)?;
            if vote.step != ReplyStep::Vote(cut.hash()) {
                return refuse(Rule::SplitView, "our vote is for another cut");
            }
            return Ok(Ok(parts(party, LevelledChannel::Reply(party.name.clone()), &vote)));
        }
        if self.rolled_back {
            return refuse(Rule::LedgerRollback, "a vote of ours was seen that is not in this ledger");
        }
        let (ask, ready) = match asked(id, makings, party, store)? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let additions = match check(&ask, ready, sets, context, store)? {
            Ok(additions) => additions,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let released = release_row(&ask);
        if let Some(other) = store.get(RELEASED, &released)?
            && other != id.as_bytes()
        {
            return refuse(Rule::AlreadyReleased, "the function of these subjects was voted for before");
        }
        for (row, set) in &additions.sets {
            store.put(SET, row, &wire::encode(set))?;
        }
        for (group, set) in &additions.levelled {
            differencing::keep_levelled(group, *set, store)?;
        }
        for (service_point, span) in &additions.taken {
            let row = taken_key(Path::Group, service_point, span.start());
            store.put(TAKEN, &row, &span.end().0.to_be_bytes())?;
        }
        store.put(RELEASED, &released, id.as_bytes())?;
        let point = party.identity.point;
        let vote = party.sign(Reply { request: id, point, step: ReplyStep::Vote(cut.hash()) });
        store.put(CUT, id.as_bytes(), cut.bytes())?;
        store.put(VOTE, id.as_bytes(), vote.bytes())?;
        Ok(Ok(parts(party, LevelledChannel::Reply(party.name.clone()), &vote)))
    }

    /// Opens the result of a certified cut as a member of an active set, once a set.
    fn take_open<R: CryptoRng>(
        &mut self,
        id: QueryId,
        open: &Open,
        makings: &Makings,
        context: Context<'_>,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Checked<Vec<Outgoing>> {
        let party = context.party;
        if let Err(refusal) = self.certify(id, open, party, store)? {
            return Ok(Err(refusal));
        }
        if !open.members.contains(&party.identity.point) {
            return Ok(Ok(Vec::new()));
        }
        let row = answer_row(id, &open.members);
        if let Some(answer) = store.get(ANSWER, &row)? {
            let answer = own_reply(&answer, party)?;
            return Ok(Ok(parts(party, LevelledChannel::Reply(party.name.clone()), &answer)));
        }
        let (ask, ready) = match asked(id, makings, party, store)? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let damaged = AggregatorError::Damaged("a cut that was voted for can't be read");
        let cut =
            store.get(CUT, id.as_bytes())?.and_then(|bytes| party.open_utility::<Direction>(&bytes).ok());
        let Some(DirectionStep::Cut(sets)) = cut.as_ref().map(|cut| &cut.step) else { return Err(damaged) };
        let opened = openings(&ask.key, store)?;
        let wanted = opened + Setup::outputs(&ask.function) as u64;
        if wanted > 1 << ready.setup.plan().log_openings {
            return refuse(Rule::Exhausted, format_args!("{opened} results were opened under this key"));
        }
        let result = match store.get(RESULT, id.as_bytes())? {
            Some(result) => result,
            None => match evaluate(&ask, ready, sets, context, store)? {
                Ok(result) => result,
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        store.put(RESULT, id.as_bytes(), &result)?;
        let extents: Vec<Extent> = sets.iter().map(|set| Extent::of(set)).collect();
        // two results under the same smudging would open this aggregator's secret
        let set: Vec<u8> = open.members.iter().map(|member| u8::from(*member)).collect();
        let rng = &mut hedged(rng, &party.identity.key, &[b"opening", id.as_bytes(), &set, &result]);
        let partials = ready.trustee.open(&ask.function, &extents, &result, &open.members, rng);
        let partials = match partials {
            Ok(partials) => partials,
            Err(error) => return refuse(Rule::ActiveSet, error),
        };
        let (point, members) = (party.identity.point, open.members.clone());
        let opened = Opened { result: ByteBuf::from(result), partials: ByteBuf::from(partials) };
        let answer = Answer::seal(open.cut, members, point, &opened, party.roster(), rng)?;
        let answer = party.sign(Reply { request: id, point, step: ReplyStep::Answer(answer) });
        store.put(OPENINGS, ask.key.as_bytes(), &wanted.to_be_bytes())?;
        store.put(ANSWER, &row, answer.bytes())?;
        Ok(Ok(parts(party, LevelledChannel::Reply(party.name.clone()), &answer)))
    }

    /// Whether a quorum voted for what we voted for, and the members are an active set.
    fn certify(&mut self, id: QueryId, open: &Open, party: &Party, store: &mut dyn Store) -> Checked<()> {
        let mut voted = BTreeSet::new();
        for bytes in open.votes.iter().take(party.roster().n()) {
            let Ok(vote) = party.open_peer(bytes, |reply: &Reply| reply.point) else { continue };
            if vote.request != id || vote.step != ReplyStep::Vote(open.cut) {
                continue;
            }
            if vote.point == party.identity.point
                && store.get(VOTE, id.as_bytes())?.as_deref() != Some(vote.bytes())
            {
                self.rolled_back = true;
                store.put(ROLLED_BACK, b"", vote.bytes())?;
                return refuse(Rule::LedgerRollback, "a vote of ours is not in this ledger");
            }
            voted.insert(vote.point);
        }
        if voted.len() < party.roster().q() {
            return refuse(Rule::ActiveSet, format_args!("{} votes are no quorum", voted.len()));
        }
        let Some(own) = store.get(VOTE, id.as_bytes())? else {
            return refuse(Rule::QueryUnknown, "we did not vote for its cut");
        };
        if own_reply(&own, party)?.step != ReplyStep::Vote(open.cut) {
            return refuse(Rule::SplitView, "our vote is for another cut");
        }
        let known = open.members.iter().all(|point| party.roster().aggregator(*point).is_some());
        if !known || open.members.len() != party.roster().t() || !open.members.is_sorted_by(|a, b| a < b) {
            return refuse(Rule::ActiveSet, "the members are no active set");
        }
        Ok(Ok(()))
    }
}

/// Answers a question with what is held.
fn take_ask(
    direction: &Signed<Direction>,
    ask: &Ask,
    makings: &Makings,
    context: Context<'_>,
    store: &mut dyn Store,
) -> Checked<Vec<Outgoing>> {
    let party = context.party;
    let id = direction.request;
    match store.get(ASK, id.as_bytes())? {
        Some(known) if known != direction.bytes() => {
            return refuse(Rule::SplitView, "another question had this name");
        }
        _ => {}
    }
    let Some(ready) = makings.key(&ask.key) else {
        return refuse(Rule::KeyUnknown, format_args!("key {} is not made here", ask.key));
    };
    let plan = ready.setup.plan();
    let apart = ask.subjects.iter().collect::<BTreeSet<_>>().len() == ask.subjects.len();
    let within = ask.subjects.iter().all(|subject| plan.slots_of(subject.window).is_some());
    if !ready.setup.allows(&ask.function)
        || ask.subjects.len() != ask.function.subjects()
        || !apart
        || !within
    {
        return refuse(Rule::Function, "the key does not allow this function of these subjects");
    }
    store.put(ASK, id.as_bytes(), direction.bytes())?;
    let mut holdings = Vec::new();
    for subject in &ask.subjects {
        holdings.push(holding(&ask.key, plan, subject, context, store)?);
    }
    Ok(Ok(reply(id, ReplyStep::Holdings(holdings), party)))
}

/// The members of a subject as they are fixed, or all that could be.
fn holding(
    key: &Hash,
    plan: &Plan,
    subject: &Subject,
    context: Context<'_>,
    store: &dyn Store,
) -> Result<Vec<Member>, AggregatorError> {
    let registry = context.registry;
    if let Some(fixed) = fixed_set(key, subject, store)? {
        return Ok(fixed);
    }
    let mut members = Vec::new();
    let Some(span) = plan.slots_of(subject.window) else { return Ok(members) };
    for (meter, certificate) in &registry.certificates {
        if certificate.group != subject.group
            || is_taken(Path::Group, &certificate.service_point, span, store)?
        {
            continue;
        }
        members.extend(uploads::member(key, plan, subject.window, *meter, context, store)?);
    }
    Ok(members)
}

/// Whether every set of a cut may be released: held, whole, of one group, large enough, and no other than before.
fn check(
    ask: &Ask,
    ready: &Ready,
    sets: &[Vec<Member>],
    context: Context<'_>,
    store: &dyn Store,
) -> Checked<Additions> {
    let Context { party, registry, .. } = context;
    let plan = ready.setup.plan();
    let mut additions = Additions { sets: Vec::new(), taken: Vec::new(), levelled: Vec::new() };
    if sets.len() != ask.subjects.len() {
        return refuse(Rule::MemberSet, "not one set a subject");
    }
    for (subject, set) in ask.subjects.iter().zip(sets) {
        let least = usize::from(plan.k.max(party.roster().policy().k));
        if set.len() < least {
            return refuse(Rule::GroupSize, format_args!("{} members are fewer than k = {least}", set.len()));
        }
        if !set.is_sorted_by(|a, b| a.meter < b.meter) {
            return refuse(Rule::MemberSet, "its members do not ascend");
        }
        let fixed = fixed_set(&ask.key, subject, store)?;
        if fixed.as_ref().is_some_and(|fixed| fixed != set) {
            return refuse(Rule::MemberSet, "another set is fixed for this group and window");
        }
        let Some(span) = plan.slots_of(subject.window) else {
            return refuse(Rule::Window, "no such window");
        };
        for member in set {
            let Some(certificate) = registry.certificates.get(&member.meter) else {
                return refuse(Rule::UnknownMeter, format_args!("no certificate of meter {}", member.meter));
            };
            if certificate.group != subject.group {
                return refuse(
                    Rule::ForeignGroup,
                    format_args!("meter {} is not in the group", member.meter),
                );
            }
            let held = uploads::member(&ask.key, plan, subject.window, member.meter, context, store)?;
            if held.as_ref() != Some(member) {
                return refuse(Rule::MemberSet, format_args!("we do not hold all of meter {}", member.meter));
            }
            if fixed.is_some() {
                continue;
            }
            let service_point = certificate.service_point.clone();
            let twice =
                additions.taken.iter().any(|(other, taken)| *other == service_point && taken.overlaps(span));
            if twice || is_taken(Path::Group, &service_point, span, store)? {
                return refuse(
                    Rule::AlreadyReleased,
                    format_args!("slots of meter {} are in another release of groups", member.meter),
                );
            }
            additions.taken.push((service_point, span));
        }
        let meters: Vec<MeterId> = set.iter().map(|member| member.meter).collect();
        let name = differencing::set_of(&meters);
        let differs =
            additions.levelled.iter().any(|(group, other)| *group == subject.group && *other != name);
        let levelled = if differs {
            Err(Rule::MemberSet)
        } else {
            differencing::check_levelled(&subject.group, name, store)?
        };
        if let Err(rule) = levelled {
            return refuse(
                rule,
                format_args!(
                    "all windows of group {} have one member set, and it has no other curves",
                    subject.group
                ),
            );
        }
        additions.levelled.push((subject.group.clone(), name));
        if fixed.is_none() {
            additions.sets.push((set_row(&ask.key, subject), set.clone()));
        }
    }
    let extents: Vec<Extent> = sets.iter().map(|set| Extent::of(set)).collect();
    if let Err(error) = Accuracy::of(&ready.setup, &ask.function, &extents) {
        return refuse(Rule::Function, error);
    }
    Ok(Ok(additions))
}

/// The result, from the ciphertexts that the cut names.
fn evaluate(
    ask: &Ask,
    ready: &Ready,
    sets: &[Vec<Member>],
    context: Context<'_>,
    store: &dyn Store,
) -> Checked<Vec<u8>> {
    let mut evaluation = match ready.evaluator.begin(&ask.function) {
        Ok(evaluation) => evaluation,
        Err(error) => return refuse(Rule::Function, error),
    };
    let plan = ready.setup.plan();
    for (index, (subject, set)) in ask.subjects.iter().zip(sets).enumerate() {
        for member in set {
            let all = uploads::ciphertexts(&ask.key, plan, subject.window, member, context, store)?;
            let Some(all) = all else {
                return refuse(
                    Rule::MemberSet,
                    format_args!("we do not hold what was voted for of meter {}", member.meter),
                );
            };
            if let Err(error) = evaluation.add(index, &all) {
                return refuse(Rule::Ciphertext, error);
            }
        }
    }
    match evaluation.finish() {
        Ok(result) => Ok(Ok(result)),
        Err(error) => refuse(Rule::Function, error),
    }
}

/// The question of a request and its key.
fn asked<'a>(
    id: QueryId,
    makings: &'a Makings,
    party: &Party,
    store: &dyn Store,
) -> Checked<(Ask, &'a Ready)> {
    let direction = store.get(ASK, id.as_bytes())?;
    let direction = direction.and_then(|bytes| party.open_utility::<Direction>(&bytes).ok());
    let Some(DirectionStep::Ask(ask)) = direction.map(|direction| direction.step.clone()) else {
        return refuse(Rule::QueryUnknown, "its question has not arrived");
    };
    match makings.key(&ask.key) {
        Some(ready) => Ok(Ok((ask, ready))),
        None => refuse(Rule::KeyUnknown, format_args!("key {} is not made here", ask.key)),
    }
}

fn reply(id: QueryId, step: ReplyStep, party: &Party) -> Vec<Outgoing> {
    let signed = party.sign(Reply { request: id, point: party.identity.point, step });
    parts(party, LevelledChannel::Reply(party.name.clone()), &signed)
}

/// A reply of our own, from the store; under whichever roster it was given, since the utility may name an old request again.
fn own_reply(bytes: &[u8], party: &Party) -> Result<Signed<Reply>, AggregatorError> {
    let own = party.rosters.open_peer(bytes, |reply: &Reply| reply.point);
    own.map_err(|_| AggregatorError::Damaged("a reply of our own can't be read"))
}

fn openings(key: &Hash, store: &dyn Store) -> Result<u64, AggregatorError> {
    let bytes = store.get(OPENINGS, key.as_bytes())?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes))
}

fn fixed_set(
    key: &Hash,
    subject: &Subject,
    store: &dyn Store,
) -> Result<Option<Vec<Member>>, AggregatorError> {
    let bytes = store.get(SET, &set_row(key, subject))?;
    let set = bytes.map(|bytes| wire::decode_own(&bytes)).transpose();
    set.map_err(|_| AggregatorError::Damaged("a member set can't be read"))
}

fn set_row(key: &Hash, subject: &Subject) -> Vec<u8> {
    // A name holds no byte below `-`, so that 0 ends it.
    [key.as_bytes(), subject.group.as_ref().as_bytes(), &[0], &subject.window.to_be_bytes()].concat()
}

fn release_row(ask: &Ask) -> Vec<u8> {
    [&ask.key.as_bytes()[..], release_hash(&ask.function, &ask.subjects).as_bytes()].concat()
}

fn answer_row(id: QueryId, members: &[Point]) -> Vec<u8> {
    id.as_bytes().iter().copied().chain(members.iter().map(|point| u8::from(*point))).collect()
}
