//! What can be wrong with a register, in words for the person who runs the agent.

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
    /// It is so many watt-hours above the last one, a little more than the connection can carry.
    Steep(Decimal),
    /// It is so many watt-hours below the last one, which was too high: it continues the one before.
    High(Decimal),
    /// It has been at a level that does not follow.
    Stands {
        /// For so many readings.
        readings: u32,
        /// So many watt-hours above the last one that was believed; below zero, below it.
        above: Decimal,
    },
    /// Its interval's energy is more than the connection can carry.
    Energy {
        /// Watt-hours.
        energy: Decimal,
        /// The interval's length.
        seconds: u32,
    },
    /// It is a power of so many watts, more than the connection can carry.
    Power(Decimal),
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
    /// The last measurement was one of a clock that was so many seconds ahead: it is forgotten.
    ClockWasAhead(u64),
    /// Slots begin, and no register is read near enough to their starts.
    OffStarts {
        /// Slots that began since the last one that has a register.
        slots: u32,
        /// Seconds from the latest of them to the nearest register.
        off: u64,
        /// How many there may be.
        tolerance: u64,
    },
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
            Self::ClockWasAhead(_) => "clock_was_ahead",
            Self::OffStarts { .. } => "off_starts",
            Self::Missing { .. } => "missing",
            Self::Doubted { fault, .. } => match fault {
                Fault::Zero => "zero",
                Fault::Decrease(_) => "decrease",
                Fault::Jump(_) => "jump",
                Fault::Steep(_) => "steep",
                Fault::High(_) => "high",
                Fault::Stands { .. } => "stands",
                Fault::Energy { .. } => "energy",
                Fault::Power(_) => "power",
                Fault::Negative => "negative",
                Fault::Beyond => "beyond",
                Fault::Overlap(_) => "overlap",
            },
            Self::Recovered { .. } => "recovered",
            Self::Swapped => "swapped",
            Self::Unmeasured { .. } => "unmeasured",
        }
    }

    /// The names of the anomalies that are over with this one: the next of them is a new one, and worth a line again.
    pub fn ends(&self) -> &'static [&'static str] {
        match self {
            // a glitch now and then stays one matter
            Self::Recovered { after: 3.., .. } => &[
                "zero",
                "decrease",
                "jump",
                "steep",
                "high",
                "stands",
                "negative",
                "beyond",
                "swapped",
                "recovered",
            ],
            Self::Missing { .. } => &["off_starts"],
            Self::ClockWasAhead(_) => &["late"],
            _ => &[],
        }
    }
}

/// What to type when a register does not come back by itself.
const REBASE: &str =
    "stop the agent and type: meter-agent rebase --config FILE (see --help for a swap and a real jump)";

/// The same for an export register.
const REBASE_EXPORT: &str =
    "stop the agent and type: meter-agent rebase --config FILE --export (see --help for a real jump)";

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
                "this machine's clock was never set, so it is unknown when energy was used: the reading is left \
                 out (type: timedatectl set-ntp true)",
            ),
            Self::ClockStep(by) => write!(
                f,
                "this machine's clock was moved by {by} s: slots around now may be missing; a register has their energy, and \
                 if the clock was set back by more than a day, readings count again after an hour"
            ),
            Self::ClockWasAhead(by) => write!(
                f,
                "the last reading's time is {by} s ahead of this machine's clock, and has been for an hour: the clock was \
                 wrong then, and readings count again from here; a register has the energy since"
            ),
            Self::OffStarts { slots, off, tolerance } => write!(
                f,
                "{slots} slots began and no register was read near enough to their starts: the nearest was {off} s off, and \
                 {tolerance} s are allowed. Without such registers nothing is sent: have the meter read when a slot begins, \
                 or set registers.tolerance, to half a slot at most"
            ),
            Self::Missing { first, slots } => write!(
                f,
                "{slots} slots from slot {first} have no reading: their energy is in the register, and billed at the \
                 tariff's substitute band"
            ),
            Self::Doubted { channel, fault: Fault::Stands { readings, above } } => write!(
                f,
                "the {channel} register has been at another level for {readings} readings, now {} Wh {} the last one that \
                 was believed: a reset, a swap or a real jump. Nothing is billed from it; {}",
                above.abs().normalize(),
                if above.is_sign_negative() { "below" } else { "above" },
                match channel {
                    Channel::Import => REBASE,
                    Channel::Export => REBASE_EXPORT,
                }
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
            Self::Steep(by) => write!(
                f,
                "rose by {} Wh, a little more than the connection can carry in that time (registers.most_watts): left out \
                 until the rate since the last one is what it can carry",
                by.normalize()
            ),
            Self::High(by) => write!(
                f,
                "is {} Wh below the last one but continues the one before: the last was too high, and as much was billed \
                 too early. Nothing more is billed until the register has reached it; there is nothing to type",
                by.normalize()
            ),
            Self::Stands { readings, .. } => write!(f, "has been at another level for {readings} readings"),
            Self::Energy { energy, seconds } => write!(
                f,
                "reports {} Wh in {seconds} s, more than the connection can carry (registers.most_watts): left out, and they \
                 are not billed; is the unit right?",
                energy.normalize()
            ),
            Self::Power(watts) => write!(
                f,
                "reports a power of {} W, more than the connection can carry (registers.most_watts): left out, the powers \
                 around it count; is the unit right?",
                watts.normalize()
            ),
            Self::Negative => f.write_str("is below zero: left out"),
            Self::Beyond => f.write_str("is beyond the largest there can be: left out"),
            Self::Overlap(seconds) => {
                write!(
                    f,
                    "reports an interval whose first {seconds} s were reported before: left out, or they would be billed twice"
                )
            }
        }
    }
}
