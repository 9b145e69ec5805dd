//! Releases that have ended and that some aggregator has not answered: who was away must learn what was released, or it would refuse
//! whatever follows.
//!
//! There may be many, and each of them takes memory. So some are taken up at a time, bills first and the oldest first, which is the order
//! in which they can be followed; once they have been said often enough the next ones have their turn, round and round.

use std::collections::VecDeque;

use protocol::id::QueryId;
use protocol::release::query::{Ask, Query};
use protocol::signature::Signed;
use protocol::unit::Moment;
use store::Store;

use super::{DOUBLINGS, OUTCOME, QUERY, RESULT, Release, of_query, read_outcome};
use crate::sink::{Party, Sink, SinkError};

/// The releases that were not at their end when the sink stopped.
#[derive(Debug, Default)]
pub(in crate::sink) struct Unfinished {
    /// The queries that have no outcome.
    pub(in crate::sink) open: Vec<Signed<Query>>,
    /// Those that have one, and that some aggregator has not answered, in the order in which they are taken up.
    pub(in crate::sink) lagging: VecDeque<QueryId>,
}

impl Unfinished {
    /// Finds them in the store.
    pub(in crate::sink) fn find(party: &Party, store: &dyn Store) -> Result<Self, SinkError> {
        let (mut open, mut lagging) = (Vec::new(), Vec::new());
        for (key, bytes) in store::entries(QUERY, store)? {
            let outcome = store.get(OUTCOME, &key)?;
            let query = open_query(&bytes, party)?;
            let roster = party.rosters.of(&query);
            let has_key = party.box_key(roster).is_some();
            match outcome {
                None if !has_key => {
                    let (key_id, epoch) = (roster.document().utility.box_key.key_id, roster.document().epoch);
                    return Err(SinkError::NoBoxKey { key_id, epoch });
                }
                None => open.push(query),
                // Without its key nothing more can be read of a release, and it has ended.
                Some(bytes) if has_key && of_query(RESULT, query.id, store)?.len() < party.roster().n() => {
                    let curve = !matches!(query.ask, Ask::Bill(_));
                    lagging.push((curve, read_outcome(&bytes, party)?.at, query.id));
                }
                Some(_) => {}
            }
        }
        lagging.sort_unstable();
        Ok(Self { open, lagging: lagging.into_iter().map(|(_, _, id)| id).collect() })
    }
}

fn open_query(bytes: &[u8], party: &Party) -> Result<Signed<Query>, SinkError> {
    party.rosters.open_utility(bytes).map_err(|_| SinkError::Damaged("a query can't be read"))
}

impl Release {
    /// Whether it has ended and was said as often as it is worth for now.
    fn has_had_its_turn(&self) -> bool {
        self.outcome.is_some() && self.repeats >= DOUBLINGS
    }
}

impl Sink {
    /// Takes up what lags, as far as there is room; what has had its turn makes room, and comes again if it still lags.
    pub(in crate::sink) fn take_up(&mut self, now: Moment, store: &dyn Store) -> Result<(), SinkError> {
        if self.lagging.is_empty() {
            return Ok(());
        }
        let n = self.party.roster().n();
        let lagging = &mut self.lagging;
        self.releases.retain(|id, release| {
            let over = release.has_had_its_turn();
            if over && release.answered() < n {
                lagging.push_back(*id);
            }
            !over
        });
        let mut ended = self.releases.values().filter(|release| release.outcome.is_some()).count();
        while ended < self.party.pace.lagging
            && let Some(id) = self.lagging.pop_front()
        {
            let damaged = || SinkError::Damaged("a query is gone");
            let query = open_query(&store.get(QUERY, id.as_bytes())?.ok_or_else(damaged)?, &self.party)?;
            self.resume(query, now, store)?;
            ended += 1;
        }
        Ok(())
    }
}
