//! A query: what the utility asks for.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{GroupId, Hash, MeterId, QueryId};
use crate::release::exclusion::Exclusion;
use crate::roster::chain::Chain;
use crate::rule::Rule;
use crate::signature::Document;
use crate::tariff::Tariff;
use crate::unit::{Slot, SlotRange};

/// The most meters in one query for bills.
pub const MAX_TARGETS: usize = 256;

/// The most members of a group whose curve or interval is asked for.
pub const MAX_MEMBERS: usize = 2_048;

/// The longest period of a query, and the longest span of a target, in days: memory follows it.
pub const MAX_PERIOD_DAYS: u32 = 800;

/// The most excluded records in one query.
pub const MAX_EXCLUDED: usize = 16;

/// What the utility asks for.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Query {
    /// Its name, stored by the sink before it is sent.
    pub id: QueryId,
    /// The period.
    pub period: SlotRange,
    /// Bills or a curve.
    pub ask: Ask,
    /// Records to be left out, with the proof that they were dealt badly.
    pub excluded: Vec<Exclusion>,
}

impl Document for Query {
    const KIND: &'static str = "query";
}

/// What is asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Ask {
    /// Each meter's energy and its price under each tariff.
    Bill(BillAsk),
    /// A group's energy in each slot.
    Group(GroupAsk),
    /// A group's energy in each slot of one interval, and the sums of its load vectors.
    Grid(GridAsk),
}

/// One interval of a group's curve, with the sums of its members' load vectors.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct GridAsk {
    /// The group.
    pub group: GroupId,
    /// Its members: all of them or none, and the same in every interval of the window.
    pub members: Vec<MeterId>,
    /// The bill window that the interval belongs to.
    pub window: SlotRange,
}

/// Bills of meters.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct BillAsk {
    /// The hashes of the published tariffs; with none, a bill is the register difference only.
    pub tariffs: Vec<Hash>,
    /// The meters.
    pub targets: Vec<BillTarget>,
}

/// A meter to be billed.
#[derive(Clone, Copy, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct BillTarget {
    /// The meter.
    pub meter: MeterId,
    /// Where its last bill ended, if it had one: the bill starts there, so that every watt-hour is billed once.
    pub opening: Option<Slot>,
}

/// A group's curve.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct GroupAsk {
    /// The group.
    pub group: GroupId,
    /// Its members.
    pub members: Vec<MeterId>,
}

/// Bills or curves: a slot is released once for each.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Path {
    /// Bills.
    Bill,
    /// Curves.
    Group,
}

impl Query {
    /// Which path it is on.
    pub fn path(&self) -> Path {
        match self.ask {
            Ask::Bill(_) => Path::Bill,
            Ask::Group(_) | Ask::Grid(_) => Path::Group,
        }
    }

    /// The meters it names, in its order.
    pub fn meters(&self) -> Vec<MeterId> {
        match &self.ask {
            Ask::Bill(ask) => ask.targets.iter().map(|target| target.meter).collect(),
            Ask::Group(GroupAsk { members, .. }) | Ask::Grid(GridAsk { members, .. }) => members.clone(),
        }
    }

    /// The slots whose records matter for target `index`: from its last bill's end, or from the period's start.
    pub fn span(&self, index: usize) -> SlotRange {
        let opening = match &self.ask {
            Ask::Bill(ask) => ask.targets.get(index).and_then(|target| target.opening),
            Ask::Group(_) | Ask::Grid(_) => None,
        };
        opening.and_then(|opening| SlotRange::new(opening, self.period.end()).ok()).unwrap_or(self.period)
    }

    /// What every aggregator demands of a query before it looks at records. It does not matter which of the rosters it was
    /// signed under: policy and slots are the same in all. `tariffs` are those the query names, in its order.
    ///
    /// # Errors
    ///
    /// The [`Rule`] that refuses it.
    pub fn check(&self, rosters: &Chain, tariffs: &[Tariff]) -> Result<(), Rule> {
        let roster = rosters.current();
        let (policy, slot) = (roster.policy(), roster.slot());
        let mut meters = self.meters();
        let targets = meters.len();
        meters.sort_unstable();
        meters.dedup();
        let most = if self.path() == Path::Bill { MAX_TARGETS } else { MAX_MEMBERS };
        if meters.is_empty() || meters.len() != targets || targets > most {
            return Err(Rule::Targets);
        }
        let longest = (MAX_PERIOD_DAYS * slot.per_day()) as usize;
        if (0..targets).map(|index| self.span(index)).chain([self.period]).any(|span| span.len() > longest) {
            return Err(Rule::Window);
        }
        if self.excluded.len() > MAX_EXCLUDED {
            return Err(Rule::Exclusion);
        }
        for exclusion in &self.excluded {
            exclusion.verify(rosters)?;
        }
        match &self.ask {
            Ask::Bill(ask) if ask.tariffs.is_empty() => policy.check_bill_period(self.period, slot),
            Ask::Bill(ask) => {
                policy.check_bill_period(self.period, slot)?;
                policy.check_tariffs(ask.tariffs.len(), targets)?;
                if tariffs.len() != ask.tariffs.len() {
                    return Err(Rule::TariffUnknown);
                }
                let columns: Result<Vec<_>, _> =
                    tariffs.iter().map(|tariff| tariff.prices(self.period, slot)).collect();
                policy.check_cells(&columns.map_err(|_| Rule::TariffUnknown)?)
            }
            Ask::Group(_) if !self.period.len().is_multiple_of(slot.per_day() as usize) => Err(Rule::Window),
            Ask::Group(_) => {
                policy.check_bill_period(self.period, slot)?;
                policy.check_group(targets)
            }
            Ask::Grid(ask) => {
                let interval = policy.interval_slots(slot).ok_or(Rule::Interval)?;
                let whole =
                    self.period.len() == interval as usize && self.period.start().0.is_multiple_of(interval);
                // A window of local days need not begin with an interval: its edges are in none, for all members.
                if !whole || !ask.window.covers(self.period) {
                    return Err(Rule::Interval);
                }
                if ask.window.len() > longest {
                    return Err(Rule::Window);
                }
                policy.check_bill_period(ask.window, slot)?;
                policy.check_group(targets)
            }
        }
    }
}
