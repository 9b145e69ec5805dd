//! Bills: asked so that a meter is in one open query at a time.
//!
//! An aggregator's vote takes the slots of a bill, and where a meter's bills have come to, for good. Of two queries that bill the same
//! meter over the same slots each aggregator votes for the one whose cut it sees first: if that is not the same one for a quorum, neither
//! is ever certified, and the meter can't be billed any more. So a query that no cut was made for gives way to a later one: nobody can
//! have voted for it, see [`release::refusals`]. One that has a cut keeps the meters that it bills until it has ended.

use std::collections::BTreeSet;

use protocol::id::{Hash, MeterId, QueryId};
use protocol::release::query::{Ask, BillAsk, BillTarget};
use protocol::rule::{Refusal, Rule};
use protocol::topic::Outgoing;
use protocol::unit::{Moment, SlotRange};
use rand::CryptoRng;
use store::Store;

use super::ledger::billed_until;
use super::release::{self, Release};
use super::{Sink, SinkError, rules};

impl Sink {
    /// Asks for the bills of meters over a period, under published tariffs. Each bill starts where the meter's last one
    /// ended. Open queries for bills of some of these meters are withdrawn if they have no cut.
    ///
    /// # Errors
    ///
    /// [`SinkError::Refused`] if the rules do not allow it, or one of the meters is billed by a cut that has not ended; else
    /// [`SinkError`].
    pub fn ask_bills<R: CryptoRng>(
        &mut self,
        period: SlotRange,
        tariffs: &[Hash],
        meters: &[MeterId],
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<(QueryId, Vec<Outgoing>), SinkError> {
        let mut targets = Vec::new();
        for meter in meters {
            targets.push(BillTarget { meter: *meter, opening: billed_until(*meter, store)? });
        }
        let ask = Ask::Bill(BillAsk { tariffs: tariffs.to_vec(), targets });
        let query = self.query(period, ask, meters, store, rng)?;
        rules::check(&query, &self.party.rosters, &self.tariffs_of(&query)?).map_err(SinkError::Refused)?;
        let before = self.billing(meters);
        if let Some(id) = before.iter().find(|id| self.releases[*id].selection().is_some()) {
            return Err(SinkError::Refused(self.on_its_way(*id, meters)));
        }
        for id in before {
            tracing::warn!(query = %id, "withdrawn without a release: another query asks for bills of its meters");
            release::withdraw(id, store)?;
            self.releases.remove(&id);
        }
        self.begin(query, now, store)
    }

    /// Asks for bills as if none had been given before and whatever the rules say: aggregators refuse what they have released,
    /// and what is against the rules. For those who want to see that they do.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub fn ask_bills_unanchored<R: CryptoRng>(
        &mut self,
        period: SlotRange,
        tariffs: &[Hash],
        meters: &[MeterId],
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<(QueryId, Vec<Outgoing>), SinkError> {
        let targets = meters.iter().map(|meter| BillTarget { meter: *meter, opening: None }).collect();
        let ask = Ask::Bill(BillAsk { tariffs: tariffs.to_vec(), targets });
        let query = self.query(period, ask, meters, store, rng)?;
        self.begin(query, now, store)
    }

    /// The open queries that may still bill one of these meters.
    pub(crate) fn billing(&self, meters: &[MeterId]) -> Vec<QueryId> {
        let meters: BTreeSet<MeterId> = meters.iter().copied().collect();
        let billing = |release: &&Release| release.may_bill().iter().any(|meter| meters.contains(meter));
        self.releases.values().filter(billing).map(Release::id).collect()
    }

    /// Whether bills of some of these meters over slots of a window are on their way: what the meters are in meanwhile they may not be
    /// billed beside.
    pub(crate) fn is_billing(&self, meters: &[MeterId], window: SlotRange) -> bool {
        let over =
            |id: &QueryId| self.release(*id).is_some_and(|release| release.query().period.overlaps(window));
        self.billing(meters).iter().any(over)
    }

    /// Why meters are not asked for while another query may bill them.
    pub(crate) fn on_its_way(&self, id: QueryId, meters: &[MeterId]) -> Refusal {
        let billed = self.release(id).map(Release::may_bill).unwrap_or_default();
        let count = meters.iter().filter(|meter| billed.contains(meter)).count();
        let detail = format_args!(
            "query {id} is open and bills {count} of these {} meters; a bill starts where the last one ended, so ask again after \
             the query has ended",
            meters.len()
        );
        Refusal::new(Rule::Continuity, detail)
    }
}
