//! The slots that releases have covered: a slot of a service point is in one bill and in one curve.
//!
//! Rows: `taken` path ‖ service point ‖ first slot → the end of a range that a release covers; `billed` meter → the end of its last
//! bill.

use protocol::id::{MeterId, ServicePoint};
use protocol::release::query::Path;
use protocol::unit::{Slot, SlotRange};
use store::{Store, StoreError, Table};

pub(super) const TAKEN: Table = Table("taken");
pub(super) const BILLED: Table = Table("billed");

/// The end of a meter's last bill.
pub(super) fn billed_until(meter: MeterId, store: &dyn Store) -> Result<Option<Slot>, StoreError> {
    let bytes = store.get(BILLED, meter.as_bytes())?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(|bytes| Slot(u32::from_be_bytes(bytes))))
}

pub(super) fn taken_key(path: Path, service_point: &ServicePoint, first: Slot) -> Vec<u8> {
    let kind = match path {
        Path::Bill => b'b',
        Path::Group => b'g',
    };
    // A name holds no byte below `-`, so that 0 ends it.
    [&[kind], service_point.as_ref().as_bytes(), &[0], &first.0.to_be_bytes()].concat()
}

/// Whether a release covers a slot of `range` of a service point.
pub(super) fn is_taken(
    path: Path,
    service_point: &ServicePoint,
    range: SlotRange,
    store: &dyn Store,
) -> Result<bool, StoreError> {
    let (from, to) = (taken_key(path, service_point, Slot(0)), taken_key(path, service_point, range.end()));
    Ok(store::entries_within(TAKEN, &from, &to, store)?.into_iter().any(|(_, end)| {
        <[u8; 4]>::try_from(&end[..]).is_ok_and(|end| u32::from_be_bytes(end) > range.start().0)
    }))
}
