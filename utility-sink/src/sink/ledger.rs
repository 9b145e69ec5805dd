//! The ledger of bills and curves: what the utility may know, and all that it knows.
//!
//! Rows: `bill` meter ‖ first slot → a bill; `billed` meter → where its last bill ended, decoded or not; `curve` group
//! ‖ 0 ‖ first slot → a day of a curve; `interval` the same key → an interval of the grid path; `members` group ‖ 0 ‖ first slot
//! of a window → whose intervals are released in it.

use grid::sum::Sums;
use protocol::id::{GroupId, Hash, MeterId, QueryId};
use protocol::release::selection::Scope;
use protocol::unit::{Amount, Slot, SlotRange, WattHours};
use protocol::wire;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use store::{Store, StoreError, Table};

const BILL: Table = Table("bill");
const BILLED: Table = Table("billed");
const CURVE: Table = Table("curve");
const INTERVAL: Table = Table("interval");
const MEMBERS: Table = Table("members");

/// A meter's bill.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Bill {
    /// The meter.
    pub meter: MeterId,
    /// From the opening register to the closing one.
    pub window: SlotRange,
    /// The register difference.
    pub energy: WattHours,
    /// The price under each tariff, with the tariff's hash; none if only registers were released.
    pub amounts: Vec<(Hash, Amount)>,
    /// How much was released.
    pub scope: Scope,
    /// Slots without a record, priced at the substitute.
    pub missing: u32,
    /// How far the slots' sum is from the register difference, where no slot is missing: not 0 means that the meter
    /// contradicts itself.
    pub unaccounted: Option<WattHours>,
    /// The query it was released by.
    pub query: QueryId,
}

/// A day of a group's load curve.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Curve {
    /// The group.
    pub group: GroupId,
    /// The day's slots.
    pub slots: SlotRange,
    /// How many members are in it.
    pub members: u32,
    /// The members' energy, one a slot.
    pub energies: Vec<WattHours>,
    /// The query it was released by.
    pub query: QueryId,
}

/// An interval of a group: its curve from the shares, and what the ciphertexts say.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Interval {
    /// The group.
    pub group: GroupId,
    /// The interval's slots.
    pub slots: SlotRange,
    /// The members, whose bills have the same window.
    pub members: Vec<MeterId>,
    /// The members' energy from the shares, one a slot.
    pub energies: Vec<WattHours>,
    /// The sums of the load vectors, if they make any.
    pub sums: Option<Sums>,
    /// Whether the two paths agree.
    pub agreement: Agreement,
    /// The query it was released by.
    pub query: QueryId,
}

/// What shares and ciphertexts say of one another: two paths to one curve.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Agreement {
    /// The same energy in every slot.
    Agrees,
    /// Another energy in so many slots: a member told the two paths different things.
    Differs(u32),
    /// The ciphertexts hold values that no honest members make: a member sent something else than its loads.
    Implausible,
    /// The ciphertexts were not opened: too few pieces fit together, or a member dealt its key badly.
    Unopened,
}

/// Keeps an interval, and its members for the rest of the window.
pub(super) fn keep_interval(
    interval: &Interval,
    window: SlotRange,
    store: &mut dyn Store,
) -> Result<(), StoreError> {
    store.put(INTERVAL, &curve_key(&interval.group, interval.slots.start()), &wire::encode(interval))?;
    store.put(MEMBERS, &curve_key(&interval.group, window.start()), &wire::encode(&interval.members))
}

/// The members of a group's window, once an interval of it was released.
pub(super) fn members_of(
    group: &GroupId,
    window: SlotRange,
    store: &dyn Store,
) -> Result<Option<Vec<MeterId>>, StoreError> {
    let bytes = store.get(MEMBERS, &curve_key(group, window.start()))?;
    Ok(bytes.and_then(|bytes| wire::decode(&bytes).ok()))
}

/// A group's intervals, oldest first.
///
/// # Errors
///
/// [`StoreError`].
pub fn intervals_of(group: &GroupId, store: &dyn Store) -> Result<Vec<Interval>, StoreError> {
    rows(INTERVAL, &curve_key(group, Slot(0)), &curve_key(group, Slot(u32::MAX)), store)
}

/// Every group that has an interval.
///
/// # Errors
///
/// [`StoreError`].
pub fn groups(store: &dyn Store) -> Result<Vec<GroupId>, StoreError> {
    let rows = store::entries(INTERVAL, store)?;
    let mut groups: Vec<GroupId> =
        rows.iter().filter_map(|(_, bytes)| wire::decode::<Interval>(bytes).ok()).map(|i| i.group).collect();
    groups.dedup();
    Ok(groups)
}

/// Keeps a bill.
pub(super) fn keep_bill(bill: &Bill, store: &mut dyn Store) -> Result<(), StoreError> {
    let key = [&bill.meter.as_bytes()[..], &bill.window.start().0.to_be_bytes()].concat();
    store.put(BILL, &key, &wire::encode(bill))
}

/// Notes where a meter's bill ended; it never goes back.
pub(super) fn keep_billed_until(meter: MeterId, end: Slot, store: &mut dyn Store) -> Result<(), StoreError> {
    if billed_until(meter, store)?.is_none_or(|before| before < end) {
        store.put(BILLED, meter.as_bytes(), &end.0.to_be_bytes())?;
    }
    Ok(())
}

/// Where a meter's last bill ended.
///
/// # Errors
///
/// [`StoreError`].
pub fn billed_until(meter: MeterId, store: &dyn Store) -> Result<Option<Slot>, StoreError> {
    let bytes = store.get(BILLED, meter.as_bytes())?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(|bytes| Slot(u32::from_be_bytes(bytes))))
}

/// Keeps a day of a curve.
pub(super) fn keep_curve(curve: &Curve, store: &mut dyn Store) -> Result<(), StoreError> {
    store.put(CURVE, &curve_key(&curve.group, curve.slots.start()), &wire::encode(curve))
}

/// A meter's bills, oldest first.
///
/// # Errors
///
/// [`StoreError`].
pub fn bills_of(meter: MeterId, store: &dyn Store) -> Result<Vec<Bill>, StoreError> {
    rows(BILL, meter.as_bytes(), &[&meter.as_bytes()[..], &[0xff; 5]].concat(), store)
}

/// A group's curve, oldest day first.
///
/// # Errors
///
/// [`StoreError`].
pub fn curve_of(group: &GroupId, store: &dyn Store) -> Result<Vec<Curve>, StoreError> {
    rows(CURVE, &curve_key(group, Slot(0)), &curve_key(group, Slot(u32::MAX)), store)
}

/// The values from one key to another, in the keys' order.
fn rows<T: Serialize + DeserializeOwned>(
    table: Table,
    from: &[u8],
    to: &[u8],
    store: &dyn Store,
) -> Result<Vec<T>, StoreError> {
    let rows = store.range(table, from..to, usize::MAX)?;
    Ok(rows.into_iter().filter_map(|(_, bytes)| wire::decode(&bytes).ok()).collect())
}

fn curve_key(group: &GroupId, first: Slot) -> Vec<u8> {
    [group.as_ref().as_bytes(), &[0], &first.0.to_be_bytes()].concat()
}
