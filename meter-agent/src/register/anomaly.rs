//! What can be wrong with a register, in words for whoever runs the agent.

use std::fmt;

use protocol::unit::{Slot, Timestamp};
use rust_decimal::Decimal;

/// A direction of energy; the two are never netted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Channel {
    /// From the grid.
    Import,
    /// Into the grid.
    Export,
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Import => "import",
            Self::Export => "export",
        })
    }
}

/// What is wrong with a channel's register.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It is zero, and was not.
    Zero,
    /// It is below the last one, by so many watt-hours.
    Decrease(Decimal),
    /// It is further above the last one than the connection can carry, by so many watt-hours.
    Jump(Decimal),
    /// It has been at a level that does not follow for so many readings.
    Stands(u32),
    /// It is below zero.
    Negative,
    /// It is beyond the largest register.
    Beyond,
    /// Its interval begins this many seconds before the last one ended.
    Overlap(u64),
}

/// Something that a meter should not do. Nothing is ever billed from it silently.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Anomaly {
    /// A measurement that is older than the last one.
    Late {
        /// Its time.
        at: Timestamp,
        /// The last one's.
        last: Timestamp,
    },
    /// A second measurement of the same second.
    Repeated,
    /// A measurement from the future, by so many seconds.
    Ahead(u64),
    /// The host's clock was never set.
    ClockUnset,
    /// The host's clock was moved, by so many seconds.
    ClockStep(i64),
    /// Slots began without a reading.
    Missing {
        /// The first of them.
        first: Slot,
        /// How many.
        slots: u32,
    },
    /// A register that was not believed.
    Doubted {
        /// Whose.
        channel: Channel,
        /// Why.
        fault: Fault,
    },
    /// The register is believable again.
    Recovered {
        /// Whose.
        channel: Channel,
        /// How many readings were not.
        after: u32,
    },
    /// Another device than before.
    Swapped,
    /// Seconds in which nobody measured; only interval energies and powers have them, a register does not.
    Unmeasured {
        /// Whose.
        channel: Channel,
        /// How long.
        seconds: u64,
    },
}

impl Anomaly {
    /// Its name in counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Late { .. } => "late",
            Self::Repeated => "repeated",
            Self::Ahead(_) => "ahead",
            Self::ClockUnset => "clock_unset",
            Self::ClockStep(_) => "clock_step",
            Self::Missing { .. } => "missing",
            Self::Doubted { fault, .. } => match fault {
                Fault::Zero => "zero",
                Fault::Decrease(_) => "decrease",
                Fault::Jump(_) => "jump",
                Fault::Stands(_) => "stands",
                Fault::Negative => "negative",
                Fault::Beyond => "beyond",
                Fault::Overlap(_) => "overlap",
            },
            Self::Recovered { .. } => "recovered",
            Self::Swapped => "swapped",
            Self::Unmeasured { .. } => "unmeasured",
        }
    }

    /// Whether it is only worth a line for whoever looks for it.
    pub fn is_everyday(&self) -> bool {
        matches!(self, Self::Repeated)
    }
}

/// What to type when a register does not come back by itself.
const REBASE: &str =
    "stop the agent and type: meter-agent rebase --config FILE (see --help for a swap and a real jump)";

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late { at, last } => write!(
                f,
                "the reading of {at} came after the one of {last}: left out, the next register has its energy"
            ),
            Self::Repeated => f.write_str("a second reading within a second: left out"),
            Self::Ahead(by) => write!(
                f,
                "the reading's time is {by} s ahead of this machine's clock: left out; is the meter's clock right, and \
                 this machine's (type: timedatectl)?"
            ),
            Self::ClockUnset => f.write_str(
                "this machine's clock was never set, so nothing can be said of when energy was used: the reading is left \
                 out (type: timedatectl set-ntp true)",
            ),
            Self::ClockStep(by) => write!(
                f,
                "this machine's clock was moved by {by} s: slots around now may be missing, no energy is lost by it"
            ),
            Self::Missing { first, slots } => write!(
                f,
                "{slots} slots from slot {first} have no reading: their energy is in the register, and billed at the \
                 tariff's substitute band"
            ),
            Self::Doubted { channel, fault } => write!(f, "the {channel} register {fault}"),
            Self::Recovered { channel, after } => write!(
                f,
                "the {channel} register is believable again after {after} readings that were not: they were left out and \
                 the register has their energy"
            ),
            Self::Swapped => write!(
                f,
                "the meter has another device number than before: nothing is billed from it; if it was swapped, {REBASE}"
            ),
            Self::Unmeasured { channel, seconds } => write!(
                f,
                "{channel} of {seconds} s was never measured and is in no register: it is not billed, and the slots \
                 around it count as missing"
            ),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("fell to zero: left out until it comes back"),
            Self::Decrease(by) => {
                write!(f, "is {} Wh below the last one: left out until it comes back", by.normalize())
            }
            Self::Jump(by) => write!(
                f,
                "rose by {} Wh, more than the connection can carry in that time: left out until it comes back",
                by.normalize()
            ),
            Self::Stands(readings) => write!(
                f,
                "has been at another level for {readings} readings: a reset, a swap or a real jump. Nothing is billed \
                 from it; {REBASE}"
            ),
            Self::Negative => f.write_str("is below zero: left out"),
            Self::Beyond => f.write_str("is beyond the largest there can be: left out"),
            Self::Overlap(seconds) => {
                write!(
                    f,
                    "tells an interval whose first {seconds} s were told before: left out, or they would be billed twice"
                )
            }
        }
    }
}
