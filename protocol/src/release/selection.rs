//! The selection: which records a release is computed from.
//!
//! It follows from the query and the cited inventories. A record is selected if at least Q of the cited inventories list
//! it: dropping one aggregator's shares changes nothing if all inventories are cited, and a record that every honest
//! aggregator holds is in. Which Q or more inventories count is the sink's choice, so a record that somebody lacks can
//! be left out by citing Q inventories with that one's among them: it becomes a gap, which the cell rule covers.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{Hash, MeterId, Rid};
use crate::policy::Policy;
use crate::release::inventory::{Held, HeldVector, Holding, Inventory, InventoryAnswer};
use crate::release::query::{Ask, BillTarget, Query};
use crate::roster::Roster;
use crate::rule::Rule;
use crate::signature::hash;
use crate::tariff::Tariff;
use crate::unit::{Price, Slot, SlotLength, SlotRange};
use crate::wire;

/// What a release is computed from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Selection {
    /// One entry a target, in the query's order.
    Bill(Vec<BillEntry>),
    /// One entry a day of the period, in order.
    Group(Vec<DayEntry>),
    /// The interval.
    Grid(IntervalEntry),
}

/// A target of a bill.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum BillEntry {
    /// It is billed.
    Billed(Billed),
    /// It is not, and by which rule.
    Refused(MeterId, Rule),
}

/// A meter that is billed.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Billed {
    /// The meter.
    pub meter: MeterId,
    /// From the opening register to the closing one.
    pub window: SlotRange,
    /// The record that closes with the opening register, if the meter was billed before.
    pub anchor: Option<Held>,
    /// The records of the window, ascending, not overlapping.
    pub records: Vec<Held>,
    /// What is released.
    pub scope: Scope,
}

/// What is released of a billed meter.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Scope {
    /// The register difference; the price under each tariff; and, no slot being without a record, how far the
    /// slots' sum is from the register difference.
    Complete,
    /// The register difference and the price under each tariff, slots without a record at the substitute price.
    Substituted,
    /// Too few records: the register difference only.
    Registers,
}

/// A day of a group's curve.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum DayEntry {
    /// It is released.
    Released(Day),
    /// It is not: too few members have records for all of the period.
    Refused(SlotRange, Rule),
}

/// A day that is released.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Day {
    /// Its slots.
    pub slots: SlotRange,
    /// The members whose records cover all days of the period, in the query's order, each with its records of this day.
    pub members: Vec<(MeterId, Vec<Held>)>,
}

/// An interval of the grid path.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum IntervalEntry {
    /// It is released.
    Released(Interval),
    /// It is not: some member lacks a record or its load vector.
    Refused(SlotRange, Rule),
}

/// An interval that is released.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Interval {
    /// Its slots.
    pub slots: SlotRange,
    /// All members that the query names, in its order.
    pub members: Vec<Member>,
}

/// A member of an interval.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Member {
    /// The meter.
    pub meter: MeterId,
    /// The records that cover the interval.
    pub records: Vec<Held>,
    /// Its load vector.
    pub vector: HeldVector,
}

impl Scope {
    /// Values released under so many tariffs.
    pub fn values(self, tariffs: usize) -> usize {
        match self {
            Self::Complete => 2 + tariffs,
            Self::Substituted => 1 + tariffs,
            Self::Registers => 1,
        }
    }
}

impl Selection {
    /// Derives the selection of a query from the inventories that a cut cites.
    pub fn derive(query: &Query, inventories: &[&Inventory], tariffs: &[Tariff], roster: &Roster) -> Self {
        let records = |index: usize| quorum_records(query, index, inventories, roster.q());
        match &query.ask {
            Ask::Bill(ask) => Self::Bill(
                ask.targets
                    .iter()
                    .enumerate()
                    .map(|(index, target)| {
                        let window = query.span(index);
                        bill(*target, window, &records(index), tariffs, roster)
                            .map_or_else(|rule| BillEntry::Refused(target.meter, rule), BillEntry::Billed)
                    })
                    .collect(),
            ),
            Ask::Group(ask) => {
                let of_members: Vec<(MeterId, Vec<Held>)> =
                    ask.members.iter().enumerate().map(|(index, meter)| (*meter, records(index))).collect();
                let of_members: Vec<(MeterId, Vec<Held>)> = of_members
                    .into_iter()
                    .filter(|(_, records)| days(query.period, roster.slot()).all(|day| cover(records, day)))
                    .collect();
                Self::Group(
                    days(query.period, roster.slot())
                        .map(|day| day_entry(day, &of_members, roster.policy()))
                        .collect(),
                )
            }
            Ask::Grid(ask) => {
                let members = ask.members.iter().enumerate();
                let members = members.map(|(index, meter)| member(query, index, *meter, inventories, roster));
                let slots = query.period;
                Self::Grid(match members.collect::<Option<Vec<Member>>>() {
                    Some(members) => IntervalEntry::Released(Interval { slots, members }),
                    None => IntervalEntry::Refused(slots, Rule::MemberSet),
                })
            }
        }
    }

    /// The members of an interval that keep it from being released: a record or the load vector is not held by a quorum.
    pub fn lacking(query: &Query, inventories: &[&Inventory], roster: &Roster) -> Vec<MeterId> {
        let Ask::Grid(ask) = &query.ask else { return Vec::new() };
        let whole =
            |index: usize| member(query, index, MeterId::from([0; 16]), inventories, roster).is_some();
        ask.members.iter().enumerate().filter(|(index, _)| !whole(*index)).map(|(_, meter)| *meter).collect()
    }

    /// The hash that a cut names it by.
    pub fn hash(&self) -> Hash {
        hash("selection", &[&wire::encode(self)])
    }

    /// How many values each released entry has, in order.
    pub fn lengths(&self, tariffs: usize) -> Vec<usize> {
        match self {
            Self::Bill(_) => self.billed().map(|billed| billed.scope.values(tariffs)).collect(),
            Self::Group(_) => self.days().map(|day| day.slots.len()).collect(),
            Self::Grid(_) => self.interval().map(|interval| interval.slots.len()).into_iter().collect(),
        }
    }

    /// The meters that are billed.
    pub fn billed(&self) -> impl Iterator<Item = &Billed> {
        let entries = match self {
            Self::Bill(entries) => &entries[..],
            Self::Group(_) | Self::Grid(_) => &[],
        };
        entries.iter().filter_map(|entry| match entry {
            BillEntry::Billed(billed) => Some(billed),
            BillEntry::Refused(..) => None,
        })
    }

    /// The days that are released.
    pub fn days(&self) -> impl Iterator<Item = &Day> {
        let entries = match self {
            Self::Bill(_) | Self::Grid(_) => &[],
            Self::Group(entries) => &entries[..],
        };
        entries.iter().filter_map(|entry| match entry {
            DayEntry::Released(day) => Some(day),
            DayEntry::Refused(..) => None,
        })
    }

    /// The interval of the grid path, if it is released.
    pub fn interval(&self) -> Option<&Interval> {
        match self {
            Self::Grid(IntervalEntry::Released(interval)) => Some(interval),
            _ => None,
        }
    }

    /// Every record that it is computed from, with its meter.
    pub fn records(&self) -> impl Iterator<Item = (MeterId, Held)> {
        let bills = self
            .billed()
            .flat_map(|billed| billed.records.iter().chain(&billed.anchor).map(|held| (billed.meter, *held)));
        let days = self.days().flat_map(|day| &day.members);
        let members = self.interval().into_iter().flat_map(|interval| &interval.members);
        let days = days.flat_map(|(meter, records)| records.iter().map(|held| (*meter, *held)));
        let interval = members.flat_map(|member| member.records.iter().map(|held| (member.meter, *held)));
        bills.chain(days).chain(interval)
    }

    /// Every slot range that it takes from a meter: a slot may be in one release of its kind only.
    pub fn takes(&self) -> Vec<(MeterId, SlotRange)> {
        let bills = self.billed().map(|billed| (billed.meter, billed.window));
        let days = self.days().flat_map(|day| day.members.iter().map(|(meter, _)| (*meter, day.slots)));
        let interval = self
            .interval()
            .into_iter()
            .flat_map(|interval| interval.members.iter().map(|member| (member.meter, interval.slots)));
        bills.chain(days).chain(interval).collect()
    }
}

impl Billed {
    /// The slots that have records, ascending.
    pub fn known(&self) -> impl Iterator<Item = Slot> {
        self.records.iter().flat_map(|held| held.slots.numbers()).map(Slot)
    }

    /// Slots of the window without a record.
    pub fn missing(&self) -> usize {
        self.window.len() - self.known().count()
    }
}

/// The days of a period; a rest shorter than a day makes none.
fn days(period: SlotRange, slot: SlotLength) -> impl Iterator<Item = SlotRange> {
    let per_day = slot.per_day();
    (0..).map_while(move |day: u32| {
        let start = period.start().0.checked_add(day.checked_mul(per_day)?)?;
        let end = start.checked_add(per_day)?;
        (end <= period.end().0).then(|| SlotRange::new(Slot(start), Slot(end)).ok()).flatten()
    })
}

/// The records of a target that at least `quorum` inventories list and nobody proved bad, ascending; of two that
/// overlap (no honest quorum lists both) the earlier.
fn quorum_records(query: &Query, index: usize, inventories: &[&Inventory], quorum: usize) -> Vec<Held> {
    let mut listed: Vec<Held> = Vec::new();
    for inventory in inventories {
        if let InventoryAnswer::Holdings(holdings) = &inventory.answer
            && let Some(records) = holdings.get(index).and_then(Holding::records)
        {
            let mut once = records.to_vec();
            once.sort_unstable();
            once.dedup();
            listed.extend(once);
        }
    }
    listed.sort_unstable();
    let excluded = |rid: &Rid| query.excluded.iter().any(|exclusion| exclusion.rid == *rid);
    let mut selected: Vec<Held> = Vec::new();
    for same in listed.chunk_by(|a, b| a == b) {
        let held = same[0];
        let apart = selected.last().is_none_or(|last| last.slots.end() <= held.slots.start());
        if same.len() >= quorum && !excluded(&held.rid) && apart {
            selected.push(held);
        }
    }
    selected
}

/// A member of an interval, if a quorum holds all that is needed of it.
fn member(
    query: &Query,
    index: usize,
    meter: MeterId,
    inventories: &[&Inventory],
    roster: &Roster,
) -> Option<Member> {
    let mut records = quorum_records(query, index, inventories, roster.q());
    records.retain(|held| held.slots.overlaps(query.period));
    let vector = quorum_vector(index, inventories, roster.q())?;
    cover(&records, query.period).then_some(Member { meter, records, vector })
}

/// The load vector of a target that at least `quorum` inventories list; no two can.
fn quorum_vector(index: usize, inventories: &[&Inventory], quorum: usize) -> Option<HeldVector> {
    let of = |inventory: &&Inventory| match &inventory.answer {
        InventoryAnswer::Holdings(holdings) => match holdings.get(index)? {
            Holding::Vector(_, vector) => *vector,
            _ => None,
        },
        InventoryAnswer::Refused(_) => None,
    };
    let mut listed: Vec<HeldVector> = inventories.iter().filter_map(of).collect();
    listed.sort_unstable();
    listed.chunk_by(|a, b| a == b).find(|same| same.len() >= quorum).map(|same| same[0])
}

fn bill(
    target: BillTarget,
    span: SlotRange,
    records: &[Held],
    tariffs: &[Tariff],
    roster: &Roster,
) -> Result<Billed, Rule> {
    let anchor = match target.opening {
        Some(opening) => Some(*records.iter().find(|held| held.slots.end() == opening).ok_or(Rule::Anchor)?),
        None => None,
    };
    let records: Vec<Held> = records.iter().filter(|held| span.covers(held.slots)).copied().collect();
    let (first, last) = (records.first().ok_or(Rule::Anchor)?, records.last().ok_or(Rule::Anchor)?);
    let start = target.opening.unwrap_or_else(|| first.slots.start());
    let window = SlotRange::new(start, last.slots.end()).map_err(|_| Rule::Anchor)?;
    roster.policy().check_bill_window(window, roster.slot())?;
    let mut billed = Billed { meter: target.meter, window, anchor, records, scope: Scope::Registers };
    billed.scope = scope(&billed, tariffs, roster)?;
    Ok(billed)
}

/// How much of a meter may be released: what its records and gaps leave of the cells decides.
fn scope(billed: &Billed, tariffs: &[Tariff], roster: &Roster) -> Result<Scope, Rule> {
    let policy = roster.policy();
    let columns: Result<Vec<Vec<Price>>, Rule> = tariffs
        .iter()
        .map(|tariff| effective_prices(billed, tariff, roster.slot()).ok_or(Rule::TariffUnknown))
        .collect();
    let missing = billed.missing();
    Ok(
        if tariffs.is_empty()
            || !policy.covered(billed.window.len() - missing, billed.window.len())
            || policy.check_cells(&columns?).is_err()
        {
            Scope::Registers
        } else if missing == 0 {
            Scope::Complete
        } else {
            Scope::Substituted
        },
    )
}

/// One price a slot of a billed window: the tariff's where there is a record, the substitute's where there is none.
/// `None` if the tariff does not cover the window.
pub fn effective_prices(billed: &Billed, tariff: &Tariff, slot: SlotLength) -> Option<Vec<Price>> {
    let priced = tariff.prices(billed.window, slot).ok()?;
    let mut effective = vec![tariff.substitute(); priced.len()];
    for known in billed.known() {
        let index = (known.0 - billed.window.start().0) as usize;
        effective[index] = priced[index];
    }
    Some(effective)
}

/// Whether records cover all of a day.
fn cover(records: &[Held], day: SlotRange) -> bool {
    let known = records.iter().flat_map(|held| held.slots.numbers()).filter(|t| day.contains(Slot(*t)));
    known.count() == day.len()
}

/// A day of the members that are in all days of the period: were one in some only, the bills of all less the curves of
/// all would be what it used on the others.
fn day_entry(day: SlotRange, of_members: &[(MeterId, Vec<Held>)], policy: &Policy) -> DayEntry {
    let within = |records: &[Held]| records.iter().filter(|held| held.slots.overlaps(day)).copied().collect();
    let members: Vec<(MeterId, Vec<Held>)> =
        of_members.iter().map(|(meter, records)| (*meter, within(records))).collect();
    match policy.check_group(members.len()) {
        Ok(()) => DayEntry::Released(Day { slots: day, members }),
        Err(rule) => DayEntry::Refused(day, rule),
    }
}
