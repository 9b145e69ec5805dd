//! The batch that is being measured: readings come in, full batches go out.

use std::fmt;

use protocol::unit::{MAX_SLOT_WH, Register, Slot, SlotRange, WattHours};
use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use store::{Store, StoreError, Table};

use super::MeterError;

/// The open batch's table: one row.
const OPEN: Table = Table("open");

/// A reading: the cumulative register at the start of a slot. It does not print its register.
#[derive(Clone, Copy, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Reading {
    /// The slot that begins when the register is read.
    pub at: Slot,
    /// The register.
    pub register: Register,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Why a reading was refused; nothing is lost by it, the next good register covers the energy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadingError {
    /// Not later than the last one.
    #[error("the reading at slot {found} is not after the last one at slot {last}")]
    NotAfter {
        /// Its slot.
        found: Slot,
        /// The last reading's slot.
        last: Slot,
    },
    /// A register that runs backwards: a reset, another device, or a glitch.
    #[error("the register at slot {at} is {by} Wh below the last one: was the meter reset or swapped?")]
    Backwards {
        /// Its slot.
        at: Slot,
        /// By how much.
        by: u64,
    },
    /// More energy than a slot can carry.
    #[error("slot {slot} would carry {energy} Wh, more than {MAX_SLOT_WH}: a jump of the register?")]
    Jump {
        /// The slot.
        slot: Slot,
        /// Its energy.
        energy: u64,
    },
}

/// A batch whose slots are all measured, not yet sealed.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct FullBatch {
    /// Its slots.
    pub slots: SlotRange,
    /// One energy a slot.
    pub energies: Vec<WattHours>,
    /// The register at its end.
    pub close: Register,
}

impl FullBatch {
    /// The slots before `at`, and those from it on.
    pub(super) fn split(mut self, at: Slot) -> (Option<Self>, Option<Self>) {
        let (start, end) = (self.slots.start(), self.slots.end());
        let (Ok(before), Ok(after)) = (SlotRange::new(start, at), SlotRange::new(at, end)) else {
            return if end <= at { (Some(self), None) } else { (None, Some(self)) };
        };
        let rest = self.energies.split_off(before.len());
        let used: u64 = rest.iter().map(|energy| energy.0.unsigned_abs()).sum();
        // The register at `at` is the closing one less what was used since; energies are differences of registers.
        let Ok(register) = Register::try_from(self.close.watt_hours().saturating_sub(used)) else {
            return (None, Some(Self { slots: after, energies: rest, close: self.close }));
        };
        let first = Self { slots: before, energies: self.energies, close: register };
        (Some(first), Some(Self { slots: after, energies: rest, close: self.close }))
    }
}

impl fmt::Debug for FullBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FullBatch").field("slots", &self.slots).finish_non_exhaustive()
    }
}

/// The batch that is being measured.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct OpenBatch {
    last: Option<Reading>,
    energies: Vec<WattHours>,
}

impl fmt::Debug for OpenBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBatch").field("slots", &self.energies.len()).finish_non_exhaustive()
    }
}

impl OpenBatch {
    /// Takes up where the store left off.
    ///
    /// # Errors
    ///
    /// [`MeterError`].
    pub(super) fn load(store: &dyn Store) -> Result<Self, MeterError> {
        let Some(bytes) = store.get(OPEN, b"")? else { return Ok(Self::default()) };
        protocol::wire::decode(&bytes).map_err(|_| MeterError::Damaged("the open batch can't be read"))
    }

    pub(super) fn save(&self, store: &mut dyn Store) -> Result<(), StoreError> {
        store.put(OPEN, b"", &protocol::wire::encode(self))
    }

    /// The last reading.
    pub fn last(&self) -> Option<Reading> {
        self.last
    }

    /// Takes a reading and gives the batches it completes, which end at multiples of `batch_slots` or before a gap.
    ///
    /// # Errors
    ///
    /// [`ReadingError`], with the batch unchanged.
    pub fn observe(&mut self, reading: Reading, batch_slots: u32) -> Result<Option<FullBatch>, ReadingError> {
        let Some(last) = self.last else {
            self.last = Some(reading);
            return Ok(None);
        };
        if reading.at <= last.at {
            return Err(ReadingError::NotAfter { found: reading.at, last: last.at });
        }
        let (now, before) = (reading.register.watt_hours(), last.register.watt_hours());
        let energy = now
            .checked_sub(before)
            .ok_or_else(|| ReadingError::Backwards { at: reading.at, by: before - now })?;
        let gap = reading.at.0 - last.at.0 > 1;
        if gap {
            // The slots between are unknown; what they carried is between the two registers.
            let cut = self.flush();
            self.last = Some(reading);
            return Ok(cut);
        }
        let energy = i64::try_from(energy)
            .ok()
            .filter(|energy| *energy <= MAX_SLOT_WH)
            .ok_or(ReadingError::Jump { slot: last.at, energy })?;
        self.energies.push(WattHours(energy));
        self.last = Some(reading);
        Ok(if reading.at.0.is_multiple_of(batch_slots) { self.flush() } else { None })
    }

    /// Ends the batch where it stands.
    pub fn flush(&mut self) -> Option<FullBatch> {
        let close = self.last?;
        let energies = std::mem::take(&mut self.energies);
        let start = Slot(close.at.0.checked_sub(u32::try_from(energies.len()).ok()?)?);
        let slots = SlotRange::new(start, close.at).ok()?;
        Some(FullBatch { slots, energies, close: close.register })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: u32, register: u64) -> Reading {
        Reading { at: Slot(at), register: Register::try_from(register).unwrap() }
    }

    /// Slots are differences of registers; batches end at multiples and before gaps; the registers telescope.
    #[test]
    fn registers_are_the_truth() {
        let mut open = OpenBatch::default();
        let mut batches = Vec::new();
        for (at, register) in [(6, 100), (7, 110), (8, 130), (9, 130), (12, 190), (13, 200), (14, 205)] {
            batches.extend(open.observe(reading(at, register), 4).unwrap());
        }
        batches.extend(open.flush());
        let shape: Vec<_> = batches
            .iter()
            .map(|b| {
                let energies: Vec<i64> = b.energies.iter().map(|e| e.0).collect();
                (b.slots.start().0, energies, b.close.watt_hours())
            })
            .collect();
        assert_eq!(shape, [(6, vec![10, 20], 130), (8, vec![0], 130), (12, vec![10, 5], 205)]);
    }

    /// A batch is split at a slot: the same slots, energies and registers as if it had been flushed there.
    #[test]
    fn batches_split_where_they_would_be_flushed() {
        let readings = [(6, 100), (7, 110), (8, 130), (9, 135), (10, 190)].map(|(at, wh)| reading(at, wh));
        let through = |readings: &[Reading]| {
            let mut open = OpenBatch::default();
            for reading in readings {
                assert!(open.observe(*reading, 100).unwrap().is_none());
            }
            open.flush()
        };
        let whole = through(&readings).unwrap();
        for at in 0..15 {
            let before: Vec<Reading> = readings.into_iter().filter(|r| r.at.0 <= at).collect();
            let after: Vec<Reading> = readings.into_iter().filter(|r| r.at.0 >= at).collect();
            let (before, after) = (through(&before), through(&after));
            assert!(whole.clone().split(Slot(at)) == (before, after), "at {at}");
        }
    }

    /// A bad register is refused and changes nothing; the next good one covers its energy.
    #[test]
    fn bad_registers_change_nothing() {
        let mut open = OpenBatch::default();
        open.observe(reading(4, 1_000), 4).unwrap();
        open.observe(reading(5, 1_010), 4).unwrap();
        let before = open.clone();
        for (at, register) in [(5, 1_020), (6, 0), (6, 1_009), (6, 1_010 + 32_768)] {
            open.observe(reading(at, register), 4).unwrap_err();
            assert_eq!(open, before);
        }
        assert!(open.observe(reading(7, 1_030), 4).unwrap().is_some(), "the gap cuts the batch");
        assert_eq!(open.last(), Some(reading(7, 1_030)));
    }
}
