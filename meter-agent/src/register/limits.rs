//! What is believed of registers.

use protocol::unit::{MAX_SLOT_WH, SlotLength};
use rust_decimal::Decimal;

/// What is believed of registers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The roster's slots.
    pub slot: SlotLength,
    /// The most that the connection carries, in watts.
    pub most_watts: Decimal,
    /// How far from a slot's start a register may have been read to count as read then, in seconds.
    pub tolerance: u64,
    /// How far the meter's clock may be ahead of the host's, in seconds.
    pub ahead: u64,
    /// The longest pause between two powers over which their energy is computed, in seconds.
    pub pause: u64,
}

impl Limits {
    /// The defaults: as much as a slot can carry, a sixth of a slot, five minutes, five minutes.
    pub fn new(slot: SlotLength) -> Self {
        let most_watts = Decimal::from(MAX_SLOT_WH) * Decimal::from(3_600) / Decimal::from(slot.seconds());
        Self { slot, most_watts, tolerance: u64::from(slot.seconds()) / 6, ahead: 300, pause: 300 }
    }

    /// What the connection carries in so many seconds, in watt-hours.
    pub(super) fn carried(&self, seconds: u64) -> Decimal {
        let energy = self.most_watts.checked_mul(Decimal::from(seconds)).unwrap_or(Decimal::MAX);
        energy / Decimal::from(3_600)
    }

    /// What it carries in a slot, and at least a kilowatt-hour: a coarse register stands still and then steps.
    pub(super) fn slot_energy(&self) -> Decimal {
        self.carried(self.slot.seconds().into()).max(Decimal::from(1_000))
    }
}
