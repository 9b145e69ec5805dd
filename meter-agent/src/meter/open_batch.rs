//! The batch that is being measured: readings come in, full batches go out.
//!
//! What must stay true:
//! * no slot is measured twice, whatever clocks did: bytes that are sealed once are never sealed in another way, and a load
//!   vector's key encrypts an interval once;
//! * no stretch of slots carries more than so many slots can, unless an operator stated so. What is beyond is rejected, with
//!   the numbers. This is the last bound; registers are checked before, see [`crate::register`].

use std::fmt;

use protocol::unit::{MAX_SLOT_WH, Register, Slot, SlotRange, WattHours};
use serde::{Deserialize, Serialize};
use store::{Store, StoreError, Table};

use super::error::MeterError;
use crate::reading::Reading;

/// The open batch's table: one row.
const OPEN: Table = Table("open");

/// So many slots without a reading, a day at most and six hours at least, are a gap that a clock may come back into.
const LONG: u32 = 24;

/// Why a reading was rejected. Nothing is lost: the next good register covers the energy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadingError {
    /// Not later than the last one.
    #[error("expected a reading after the last one at slot {last}; found one at slot {found}")]
    NotAfter {
        /// Its slot.
        found: Slot,
        /// The last reading's slot.
        last: Slot,
    },
    /// A register that runs backwards: a reset, another device, or a glitch.
    #[error("the register at slot {at} is {by} Wh below the last one. Was the meter reset or swapped?")]
    Backwards {
        /// Its slot.
        at: Slot,
        /// By how much.
        by: u64,
    },
    /// More energy than the slots since the last reading can carry.
    #[error(
        "the register rose by {energy} Wh in {slots} slots up to slot {at}; expected at most {MAX_SLOT_WH} Wh a slot. The          reading is left out until enough slots have passed. Did the register jump?"
    )]
    Jump {
        /// Its slot.
        at: Slot,
        /// The slots since the last reading.
        slots: u32,
        /// Their energy.
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
    /// What was exported, one energy a slot; empty where nothing was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<WattHours>,
}

impl FullBatch {
    /// The slots before `at`, and those from it on.
    pub(super) fn split(mut self, at: Slot) -> (Option<Self>, Option<Self>) {
        let (start, end) = (self.slots.start(), self.slots.end());
        let (Ok(before), Ok(after)) = (SlotRange::new(start, at), SlotRange::new(at, end)) else {
            return if end <= at { (Some(self), None) } else { (None, Some(self)) };
        };
        let rest = self.energies.split_off(before.len());
        let exported_later = self.exports.split_off(before.len().min(self.exports.len()));
        let [exported, exported_later] = [self.exports, exported_later]
            .map(|part| if part.iter().all(|energy| energy.0 == 0) { Vec::new() } else { part });
        let used: u64 = rest.iter().map(|energy| energy.0.unsigned_abs()).sum();
        // The register at `at` is the closing one less what was used since; energies are differences of registers.
        let close = Register::try_from(self.close.watt_hours().saturating_sub(used));
        let close = close.expect("it is at most the closing register");
        let later = Self { slots: after, energies: rest, close: self.close, exports: exported_later };
        (Some(Self { slots: before, energies: self.energies, close, exports: exported }), Some(later))
    }
}

impl fmt::Debug for FullBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FullBatch").field("slots", &self.slots).finish_non_exhaustive()
    }
}

/// The batch that is being measured.
///
/// Exported energy counts in the slot in which the export register is reported: where a reading leaves it out, the next one that
/// has it has the energy. What was exported over a gap is in no slot, as what was imported. A meter that never reports the register counts as
/// one that exports nothing.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct OpenBatch {
    last: Option<(Slot, Register)>,
    energies: Vec<WattHours>,
    /// The last export register, if one was reported since the last gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    export: Option<Register>,
    /// As many as there are energies, or none while nothing was exported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exports: Vec<WattHours>,
    /// The latest long gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gap: Option<Gap>,
    /// Slots that were measured by a clock that was ahead: they are over, and nothing is measured of them when they come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    wrong: Vec<SlotRange>,
}

/// Slots that were never measured.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
struct Gap {
    /// The reading before them, if there is one.
    after: Option<Slot>,
    /// The reading behind them.
    until: Slot,
}

impl fmt::Debug for OpenBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBatch").field("slots", &self.energies.len()).finish_non_exhaustive()
    }
}

impl OpenBatch {
    /// Continues from what the store holds.
    ///
    /// # Errors
    ///
    /// [`MeterError`].
    pub fn load(store: &dyn Store) -> Result<Self, MeterError> {
        Ok(MeterError::read(OPEN, b"", "the open batch", store)?.unwrap_or_default())
    }

    pub(super) fn save(&self, store: &mut dyn Store) -> Result<(), StoreError> {
        store.put(OPEN, b"", &protocol::wire::encode(self))
    }

    /// The last reading's slot and import register.
    pub fn last(&self) -> Option<(Slot, Register)> {
        self.last
    }

    /// Adds a reading and gives the batch it completes, which ends at a multiple of `batch_slots` or before a gap.
    ///
    /// # Errors
    ///
    /// [`ReadingError`], with the batch unchanged.
    pub fn observe(
        &mut self,
        reading: &Reading,
        batch_slots: u32,
    ) -> Result<Option<FullBatch>, ReadingError> {
        let Some((last, before)) = self.last else {
            self.gap = Some(Gap { after: None, until: reading.at });
            return Ok(self.go_on_from(reading));
        };
        if let Some(Gap { after, until }) = self.gap
            && reading.anew
            && reading.at < until
            && after.is_none_or(|after| reading.at > after)
        {
            // the clock was ahead and was set back into the gap that it had made
            energy(reading, Slot(0), before)?;
            // what was measured at a wrong time, and is not sealed yet, is in the register
            (self.energies, self.exports) = (Vec::new(), Vec::new());
            self.wrong.extend(SlotRange::new(until, last));
            self.gap = Some(Gap { after, until: reading.at });
            return Ok(self.go_on_from(reading));
        }
        let energy = energy(reading, last, before)?;
        let slots = reading.at.0 - last.0;
        // an operator may have stated that it is any amount above the last one
        if !reading.anew && energy > u64::from(slots).saturating_mul(MAX_SLOT_WH.unsigned_abs()) {
            return Err(ReadingError::Jump { at: reading.at, slots, energy });
        }
        Ok(self.add(reading, slots, energy, batch_slots))
    }

    fn add(&mut self, reading: &Reading, slots: u32, energy: u64, batch_slots: u32) -> Option<FullBatch> {
        let Reading { at, export, .. } = *reading;
        let last = at.0.checked_sub(slots).map(Slot)?;
        let known = i64::try_from(energy).ok().filter(|energy| *energy <= MAX_SLOT_WH && slots == 1);
        let known = known.filter(|_| !self.wrong.iter().any(|wrong| wrong.contains(last)));
        self.wrong.retain(|wrong| wrong.end() > last);
        let Some(energy) = known else {
            // The slots between are unknown; what they carried is between the two registers.
            if slots >= LONG {
                self.gap = Some(Gap { after: Some(last), until: at });
            }
            return self.go_on_from(reading);
        };
        let exported = self.exported(export);
        if exported > 0 || !self.exports.is_empty() {
            self.exports.resize(self.energies.len(), WattHours(0));
            self.exports.push(WattHours(exported));
        }
        self.energies.push(WattHours(energy));
        self.last = Some((at, reading.register));
        if at.0.is_multiple_of(batch_slots) { self.flush() } else { None }
    }

    /// Ends the batch and begins one behind a gap.
    fn go_on_from(&mut self, reading: &Reading) -> Option<FullBatch> {
        let cut = self.flush();
        (self.last, self.export) = (Some((reading.at, reading.register)), reading.export);
        cut
    }

    /// What was exported since the export register was last reported. A register that runs backwards begins anew, and no slot exports
    /// more than a slot can carry: what is beyond is another device's register.
    fn exported(&mut self, export: Option<Register>) -> i64 {
        let Some(now) = export else { return 0 };
        let before = self.export.replace(now);
        let energy = before.and_then(|before| now.watt_hours().checked_sub(before.watt_hours()));
        energy
            .and_then(|energy| i64::try_from(energy).ok())
            .filter(|energy| *energy <= MAX_SLOT_WH)
            .unwrap_or(0)
    }

    /// Ends the batch where it stands.
    pub fn flush(&mut self) -> Option<FullBatch> {
        let (end, close) = self.last?;
        let (energies, exports) = (std::mem::take(&mut self.energies), std::mem::take(&mut self.exports));
        let start = Slot(end.0.checked_sub(u32::try_from(energies.len()).ok()?)?);
        let slots = SlotRange::new(start, end).ok()?;
        Some(FullBatch { slots, energies, close, exports })
    }
}

/// What a reading has above the last one.
fn energy(reading: &Reading, last: Slot, before: Register) -> Result<u64, ReadingError> {
    let Reading { at, register, .. } = *reading;
    if at <= last {
        return Err(ReadingError::NotAfter { found: at, last });
    }
    let (now, before) = (register.watt_hours(), before.watt_hours());
    now.checked_sub(before).ok_or_else(|| ReadingError::Backwards { at, by: before - now })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: u32, register: u64) -> Reading {
        Reading::new(Slot(at), Register::try_from(register).unwrap())
    }

    fn anew(at: u32, register: u64) -> Reading {
        Reading { anew: true, ..reading(at, register) }
    }

    fn exporting(at: u32, import: u64, export: Option<u64>) -> Reading {
        Reading { export: export.map(|export| Register::try_from(export).unwrap()), ..reading(at, import) }
    }

    /// Every batch's exports, slot by slot.
    fn exports(readings: &[(u32, u64, Option<u64>)]) -> Vec<(u32, Vec<i64>)> {
        let mut open = OpenBatch::default();
        let mut batches = Vec::new();
        for (at, import, export) in readings {
            batches.extend(open.observe(&exporting(*at, *import, *export), 4).unwrap());
            // as it would be after a restart
            let bytes = protocol::wire::encode(&open);
            assert!(protocol::wire::decode::<OpenBatch>(&bytes).unwrap() == open);
        }
        batches.extend(open.flush());
        batches.iter().map(|b| (b.slots.start().0, b.exports.iter().map(|e| e.0).collect())).collect()
    }

    /// Exports are differences of the export register; what a reading leaves out is in the next that has it; a gap's are in no
    /// slot; a register that falls or leaps begins anew.
    #[test]
    fn exports_are_differences_of_their_register() {
        for (readings, wanted) in [
            (
                &[
                    (4, 0, Some(100)),
                    (5, 9, Some(130)),
                    (6, 9, Some(130)),
                    (7, 9, Some(145)),
                    (8, 9, Some(146)),
                ][..],
                vec![(4, vec![30, 0, 15, 1])],
            ),
            // the register comes late, and left out in between
            (
                &[
                    (4, 0, None),
                    (5, 9, Some(50)),
                    (6, 9, None),
                    (7, 9, None),
                    (8, 9, Some(80)),
                    (9, 9, Some(90)),
                ],
                vec![(4, vec![0, 0, 0, 30]), (8, vec![10])],
            ),
            // a gap, with and without the register behind it
            (
                &[(4, 0, Some(1)), (5, 1, Some(2)), (8, 2, Some(60)), (9, 3, Some(61)), (10, 4, Some(63))],
                vec![(4, vec![1]), (8, vec![1, 2])],
            ),
            (&[(4, 0, Some(1)), (6, 1, None), (7, 2, Some(70)), (8, 2, Some(75))], vec![(6, vec![0, 5])]),
            // another device's register; a leap
            (
                &[(4, 0, Some(90)), (5, 1, Some(3)), (6, 2, Some(4)), (7, 3, Some(40_000))],
                vec![(4, vec![0, 1, 0])],
            ),
            // never reported
            (&[(4, 0, None), (5, 1, None), (6, 2, None)], vec![(4, vec![])]),
        ] {
            assert_eq!(exports(readings), wanted, "{readings:?}");
        }
    }

    /// What an agent wrote that knew no export is read as it was, and a journal without export is written as then.
    #[test]
    fn journals_without_export_are_what_they_were() {
        // {"last": [7, 130], "energies": [10, 20]}
        let open = b"\xa2\x64last\x82\x07\x18\x82\x68energies\x82\x0a\x14";
        let read: OpenBatch = protocol::wire::decode(open).unwrap();
        assert_eq!((read.last().unwrap().0, read.energies.len()), (Slot(7), 2));
        assert_eq!(protocol::wire::encode(&read), open);
        // {"slots": [5, 7], "energies": [10, 20], "close": 130}
        let full = b"\xa3\x65slots\x82\x05\x07\x68energies\x82\x0a\x14\x65close\x18\x82";
        let read: FullBatch = protocol::wire::decode(full).unwrap();
        assert!(read.exports.is_empty() && read.close.watt_hours() == 130);
        assert_eq!(protocol::wire::encode(&read), full);
    }

    /// Slots are differences of registers; batches end at multiples and before gaps; the registers telescope.
    #[test]
    fn registers_are_the_truth() {
        let mut open = OpenBatch::default();
        let mut batches = Vec::new();
        for (at, register) in [(6, 100), (7, 110), (8, 130), (9, 130), (12, 190), (13, 200), (14, 205)] {
            batches.extend(open.observe(&reading(at, register), 4).unwrap());
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
        let readings = [(6, 100, 7), (7, 110, 7), (8, 130, 9), (9, 135, 9), (10, 190, 12)];
        let readings = readings.map(|(at, wh, out)| exporting(at, wh, Some(out)));
        let through = |readings: &[Reading]| {
            let mut open = OpenBatch::default();
            for reading in readings {
                assert!(open.observe(reading, 100).unwrap().is_none());
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

    /// A gap carries what its slots can, also over batches and restarts; what an operator stated may be more, and its slot is not known
    /// then.
    #[test]
    fn gaps_are_bounded() {
        let mut open = OpenBatch::default();
        open.observe(&reading(4, 1_000), 4).unwrap();
        open.observe(&reading(5, 1_010), 4).unwrap();
        let (mut before, most) = (open.clone(), 1_010 + 3 * 32_767);
        let error = open.observe(&reading(8, most + 1), 4).unwrap_err();
        let wanted =
            "the register rose by 98302 Wh in 3 slots up to slot 8; expected at most 32767 Wh a slot";
        assert!(error.to_string().starts_with(wanted) && open == before, "{error}");
        assert!(before.observe(&reading(8, most), 4).is_ok());
        let stated = open.observe(&anew(6, 7_000_000), 4).unwrap().unwrap();
        assert_eq!((stated.slots.end(), stated.close.watt_hours()), (Slot(5), 1_010));
        assert_eq!(open.observe(&reading(7, 7_000_100), 4).unwrap(), None);
        assert!(open.flush().unwrap().energies == [WattHours(100)]);
    }

    /// A clock that was ahead and is right again takes the batch back into the gap that it made, and no further; the slots that were
    /// measured ahead are not measured again when they come.
    #[test]
    fn clocks_that_were_ahead_come_back() {
        let mut open = OpenBatch::default();
        for at in [100, 101, 9_000, 9_001, 9_002] {
            open.observe(&reading(at, u64::from(at)), 100).unwrap();
        }
        for at in [100, 101, 9_000, 9_001] {
            let before = open.clone();
            open.observe(&anew(at, 9_100), 100).unwrap_err();
            assert_eq!(open, before);
        }
        open.observe(&reading(103, 9_100), 100).unwrap_err();
        open.observe(&anew(103, 9_001), 100).unwrap_err();
        assert_eq!(open.observe(&anew(103, 9_100), 100).unwrap(), None);
        let bytes = protocol::wire::encode(&open);
        assert!(protocol::wire::decode::<OpenBatch>(&bytes).unwrap() == open);
        let mut slots = Vec::new();
        for at in (104..110).chain(8_998..9_006) {
            let full = open.observe(&reading(at, 9_000 + u64::from(at)), 1).unwrap();
            slots.extend(full.map(|full| full.slots.start().0));
        }
        assert_eq!(slots, [103, 104, 105, 106, 107, 108, 8_998, 8_999, 9_002, 9_003, 9_004]);
    }

    /// A bad register is refused and changes nothing; the next good one covers its energy.
    #[test]
    fn bad_registers_change_nothing() {
        let mut open = OpenBatch::default();
        open.observe(&reading(4, 1_000), 4).unwrap();
        open.observe(&reading(5, 1_010), 4).unwrap();
        let before = open.clone();
        for (at, register) in [(5, 1_020), (6, 0), (6, 1_009), (6, 1_010 + 32_768)] {
            open.observe(&reading(at, register), 4).unwrap_err();
            assert_eq!(open, before);
        }
        assert!(open.observe(&reading(7, 1_030), 4).unwrap().is_some(), "the gap cuts the batch");
        assert_eq!(open.last(), Some((Slot(7), reading(7, 1_030).register)));
    }
}
