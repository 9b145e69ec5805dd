//! What an operator states of a register that does not follow from the last one.

use rust_decimal::Decimal;

/// What an operator states of a register that does not follow. Registers are in watt-hours here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rebase {
    /// The register was reset, or the device swapped.
    NewLevel {
        /// The old device's last import register; without it, what it counted after its last reading is not billed.
        closing: Option<Decimal>,
        /// The new device's first import register; without it, the next one that is read.
        opening: Option<Decimal>,
    },
    /// The import register jumped, and the energy was used.
    JumpIsReal,
    /// The export register was reset; the import register was not.
    NewExportLevel,
    /// The export register jumped, and the energy was fed in.
    ExportJumpIsReal,
}

/// Why a rebase was rejected.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RebaseError {
    /// There is nothing to continue from.
    #[error(
        "no register was read on this device yet. There is nothing to rebase: the next register is the first"
    )]
    Nothing,
    /// A second one before anything was read.
    #[error(
        "a rebase is already stored, and no register was read since. Start the agent and check its log. To replace the stored \
         rebase, add --force"
    )]
    Again,
    /// There is no jump.
    #[error(
        "expected a register that jumped above the last believed one; found none. For a reset or a swap, leave out --jump-is-real"
    )]
    NoJump,
    /// A register that returns by itself.
    #[error(
        "the last register was {} Wh too high, and the meter's register will reach it by itself. There is nothing to rebase. To \
         bill these {} Wh for good, add --force",
        by.normalize(), by.normalize()
    )]
    Heals {
        /// Watt-hours.
        by: Decimal,
    },
    /// A closing register below what was read already.
    #[error(
        "expected a closing register at or above the last one that was read; found one {below} Wh below it. Is it the old \
         device's register?"
    )]
    Closing {
        /// By how many watt-hours.
        below: Decimal,
    },
    /// A closing register further above what was read than the connection carries.
    #[error(
        "the closing register is {} kWh above the last one that was read, and the connection carries {} kWh in that time at \
         most. Is the register in kWh? If this much was used, add --force",
        kilowatt_hours(*adds), kilowatt_hours(*most)
    )]
    Implausible {
        /// By how many watt-hours.
        adds: Decimal,
        /// How many there may be.
        most: Decimal,
    },
    /// A register that there can't be.
    #[error("expected a register in kWh, at least 0 and at most the largest register; found another")]
    Beyond,
}

/// Watt-hours in kilowatt-hours, to the watt-hour.
pub(crate) fn kilowatt_hours(watt_hours: Decimal) -> Decimal {
    (watt_hours / Decimal::from(1_000)).round_dp(3).normalize()
}
