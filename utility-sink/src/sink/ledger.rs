//! The ledger of bills and curves: what the utility may know, and all that it knows.
//!
//! Rows: `bill` meter ‖ first slot → a bill; `billed` meter → where its last bill ended, decoded or not; `curve` group
//! ‖ 0 ‖ first slot → a day of a curve.

use protocol::id::{GroupId, Hash, MeterId, QueryId};
use protocol::release::selection::Scope;
use protocol::unit::{Amount, Slot, SlotRange, WattHours};
use protocol::wire;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use store::{Store, StoreError, Table};

const BILL: Table = Table("bill");
const BILLED: Table = Table("billed");
const CURVE: Table = Table("curve");

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
pub(super) fn billed_until(meter: MeterId, store: &dyn Store) -> Result<Option<Slot>, StoreError> {
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
    let from = [&meter.as_bytes()[..], &[0; 4]].concat();
    let to = [&meter.as_bytes()[..], &[0xff; 5]].concat();
    let rows = store.range(BILL, &from[..]..&to[..], usize::MAX)?;
    Ok(rows.into_iter().filter_map(|(_, bytes)| wire::decode(&bytes).ok()).collect())
}

/// A group's curve, oldest day first.
///
/// # Errors
///
/// [`StoreError`].
pub fn curve_of(group: &GroupId, store: &dyn Store) -> Result<Vec<Curve>, StoreError> {
    let (from, to) = (curve_key(group, Slot(0)), curve_key(group, Slot(u32::MAX)));
    let rows = store.range(CURVE, &from[..]..&to[..], usize::MAX)?;
    Ok(rows.into_iter().filter_map(|(_, bytes)| wire::decode(&bytes).ok()).collect())
}

fn curve_key(group: &GroupId, first: Slot) -> Vec<u8> {
    [group.as_ref().as_bytes(), &[0], &first.0.to_be_bytes()].concat()
}
