//! Intervals of the grid path: asked one by one, all of a window of the same members.

use protocol::id::{GroupId, MeterId, QueryId};
use protocol::release::query::{Ask, GridAsk, Query};
use protocol::rule::Rule;
use protocol::signature::hash;
use protocol::topic::Outgoing;
use protocol::unit::{Moment, SlotRange};
use rand::CryptoRng;
use store::{Store, StoreError};

use super::release::{self, Release};
use super::{Sink, SinkError, ledger, rules};

impl Sink {
    /// Asks for an interval of a group on the grid path, of the bill window that it is in. The members are those of the
    /// window's other intervals, if there are any; else `members`, and while no aggregator has voted those of them that
    /// have sent nothing are left out in time.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub fn ask_interval<R: CryptoRng>(
        &mut self,
        (interval, window): (SlotRange, SlotRange),
        group: GroupId,
        members: &[MeterId],
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<(QueryId, Vec<Outgoing>), SinkError> {
        let (ask, members) = interval_ask(group, window, members, store)?;
        self.ask(interval, ask, &members, now, store, rng)
    }

    /// Whether the rules allow to ask for an interval of a group, as [`Self::ask_interval`] would.
    ///
    /// # Errors
    ///
    /// [`SinkError::Refused`] if they don't.
    pub fn check_interval<R: CryptoRng>(
        &self,
        (interval, window): (SlotRange, SlotRange),
        group: GroupId,
        members: &[MeterId],
        store: &dyn Store,
        rng: &mut R,
    ) -> Result<(), SinkError> {
        let (ask, members) = interval_ask(group, window, members, store)?;
        let query = self.query(interval, ask, &members, store, rng)?;
        rules::check(&query, &self.party.rosters, &[]).map_err(SinkError::Refused)
    }

    /// Asks again without the members that lack something, where patience is over and no interval has fixed the set.
    pub(super) fn narrow(&mut self, now: Moment, store: &mut dyn Store) -> Result<Vec<Outgoing>, SinkError> {
        let mut sends = Vec::new();
        let patience = self.party.pace.settle * release::HESITATION;
        let ids: Vec<QueryId> = self.releases.keys().copied().collect();
        for id in ids {
            let Some(release) = self.releases.get(&id) else { continue };
            let Ask::Grid(ask) = &release.query().ask else { continue };
            let lacking = release.lacking(self.party.roster(), patience, now);
            if lacking.is_empty() {
                continue;
            }
            let members = match ledger::members_of(&ask.group, ask.window, store)? {
                Some(fixed) => fixed,
                None => ask.members.iter().filter(|meter| !lacking.contains(meter)).copied().collect(),
            };
            let too_few = self.party.roster().policy().check_group(members.len()).is_err();
            if too_few || members == ask.members {
                let Some(release) = self.releases.get_mut(&id) else { continue };
                release.needs(&lacking, self.party.rosters.current());
                continue;
            }
            // The new name follows from the old one, so that nothing depends on when this happens.
            let name = hash("narrowed query", &[id.as_bytes()]);
            let name: [u8; 16] = name.as_bytes()[..16].try_into().expect("a hash has 32 bytes");
            let (group, window, period) = (ask.group.clone(), ask.window, release.query().period);
            let excluded = self.party.checks.exclusions(&members, store)?;
            let ask = Ask::Grid(GridAsk { group, members, window });
            let query = self.party.sign(Query { id: QueryId::from(name), period, ask, excluded });
            release::withdraw(id, store)?;
            self.releases.remove(&id);
            let narrowed = Release::begin(query, Vec::new(), Vec::new(), now, store)?;
            sends.extend(narrowed.sends(&self.party));
            self.releases.insert(narrowed.id(), narrowed);
        }
        Ok(sends)
    }

    /// The open release of a group's interval.
    fn of_interval(&self, group: &GroupId, interval: SlotRange) -> Option<&Release> {
        self.releases.values().find(|release| is_of_interval(release.query(), group, interval))
    }

    /// Whether an interval of a group is asked for.
    pub fn is_asked(&self, group: &GroupId, interval: SlotRange) -> bool {
        self.of_interval(group, interval).is_some()
    }

    /// What the release of an interval waits for, in words, if it is asked for and has not ended.
    pub fn interval_stage(&self, group: &GroupId, interval: SlotRange) -> Option<String> {
        let release = self.of_interval(group, interval).filter(|release| release.finished().is_none())?;
        Some(release.stage(self.party.roster()))
    }

    /// The rule by which an interval was given up since this start, if it was asked for with the members that it would be asked for
    /// with now.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn interval_refused(
        &self,
        group: &GroupId,
        (interval, window): (SlotRange, SlotRange),
        members: &[MeterId],
        store: &dyn Store,
    ) -> Result<Option<Rule>, StoreError> {
        let mut of_interval =
            self.given_up.values().filter(|(query, _)| is_of_interval(query, group, interval)).peekable();
        if of_interval.peek().is_none() {
            return Ok(None);
        }
        let fixed = ledger::members_of(group, window, store)?;
        let wanted = fixed.unwrap_or_else(|| members.to_vec());
        Ok(of_interval.find(|(query, _)| query.meters() == wanted).map(|(_, rule)| *rule))
    }
}

/// What is asked of an interval: of the members that the window's other intervals have, if there are any; else of these.
fn interval_ask(
    group: GroupId,
    window: SlotRange,
    members: &[MeterId],
    store: &dyn Store,
) -> Result<(Ask, Vec<MeterId>), StoreError> {
    let fixed = ledger::members_of(&group, window, store)?;
    let members = fixed.unwrap_or_else(|| members.to_vec());
    Ok((Ask::Grid(GridAsk { group, members: members.clone(), window }), members))
}

fn is_of_interval(query: &Query, group: &GroupId, interval: SlotRange) -> bool {
    matches!(&query.ask, Ask::Grid(ask) if ask.group == *group && query.period == interval)
}
