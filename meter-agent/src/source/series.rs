//! Load data: a home's energies, slot by slot.

use protocol::unit::{Register, Slot, SlotLength, WattHours};

use crate::reading::Reading;

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
    /// A register beyond the largest, or an energy below zero, ends them: there are fewer readings then.
    pub fn readings(&self, register: Register) -> impl Iterator<Item = Reading> {
        let registers = std::iter::successors(Some((0_usize, register)), |(index, register)| {
            let energy = u64::try_from(self.energies.get(*index)?.0).ok()?;
            let next = Register::try_from(register.watt_hours().checked_add(energy)?).ok()?;
            Some((index + 1, next))
        });
        registers.filter_map(|(index, register)| {
            let at = self.start.0.checked_add(u32::try_from(index).ok()?)?;
            Some(Reading::new(Slot(at), register))
        })
    }

    /// The sum of all energies.
    pub fn total(&self) -> WattHours {
        WattHours(self.energies.iter().map(|energy| energy.0).sum())
    }
}
