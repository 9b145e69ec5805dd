//! Sources of readings.

use protocol::unit::{Register, Slot, SlotLength, WattHours};

use crate::meter::Reading;

pub mod csv;
pub mod synthetic;

/// A home's energy over consecutive slots, from which registers are replayed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Series {
    /// The home's name.
    pub name: String,
    /// Its first slot.
    pub start: Slot,
    /// The slot length.
    pub slot: SlotLength,
    /// One energy a slot.
    pub energies: Vec<WattHours>,
}

impl Series {
    /// The cumulative register at the start of every slot and at the end of the last, beginning with `register`.
    ///
    /// Registers beyond the largest, and energies below zero, end the replay.
    pub fn readings(&self, register: Register) -> impl Iterator<Item = Reading> {
        let first = Some(register);
        let registers = std::iter::successors(first.map(|r| (0_usize, r)), |(index, register)| {
            let energy = u64::try_from(self.energies.get(*index)?.0).ok()?;
            let next = Register::try_from(register.watt_hours().checked_add(energy)?).ok()?;
            Some((index + 1, next))
        });
        registers.filter_map(|(index, register)| {
            let at = self.start.0.checked_add(u32::try_from(index).ok()?)?;
            Some(Reading { at: Slot(at), register })
        })
    }

    /// The sum of all energies.
    pub fn total(&self) -> WattHours {
        WattHours(self.energies.iter().map(|energy| energy.0).sum())
    }
}
