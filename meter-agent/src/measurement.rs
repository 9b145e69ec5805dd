//! What a source measures: energy as the meter reports it, before anything checks whether it can be true.

use std::fmt;

use protocol::unit::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// What a meter reported at one time. It does not print its values.
#[derive(Clone, Eq, PartialEq)]
pub struct Measurement {
    /// When: by the meter's clock if it has one, else by the host's.
    pub at: Timestamp,
    /// Energy from the grid.
    pub import: Quantity,
    /// Energy into the grid, if the meter reports it: a channel of its own, never netted with the other.
    pub export: Option<Quantity>,
    /// The device's own number, if it reports one.
    pub device: Option<String>,
}

/// A quantity of one channel.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Quantity {
    /// A cumulative register in watt-hours.
    Register(Decimal),
    /// The energy of the `seconds` before, in watt-hours.
    Energy {
        /// Watt-hours.
        energy: Decimal,
        /// The interval's length.
        seconds: u32,
    },
    /// The power just now, in watts; what is below zero is the other channel's.
    Power(Decimal),
}

impl fmt::Debug for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measurement").field("at", &self.at).finish_non_exhaustive()
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Register(_) => "Register",
            Self::Energy { .. } => "Energy",
            Self::Power(_) => "Power",
        })
    }
}

/// A unit of energy or power.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Unit {
    /// Watt-hours.
    Wh,
    /// Kilowatt-hours.
    #[serde(rename = "kWh")]
    KWh,
    /// Megawatt-hours.
    MWh,
    /// Watts.
    W,
    /// Kilowatts.
    #[serde(rename = "kW")]
    KW,
}

impl Unit {
    /// The unit of a name, as meters print it.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Wh" => Self::Wh,
            "kWh" => Self::KWh,
            "MWh" => Self::MWh,
            "W" => Self::W,
            "kW" => Self::KW,
            _ => return None,
        })
    }

    /// Whether it is one of power.
    pub fn is_power(self) -> bool {
        matches!(self, Self::W | Self::KW)
    }

    /// `value` of this unit in watt-hours or watts, exactly; `None` beyond what a decimal holds.
    pub fn to_base(self, value: Decimal) -> Option<Decimal> {
        let factor = match self {
            Self::Wh | Self::W => return Some(value),
            Self::KWh | Self::KW => 1_000,
            Self::MWh => 1_000_000,
        };
        value.checked_mul(Decimal::from(factor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kilowatt-hours with decimals become watt-hours exactly, and nothing of a measurement is printed but its time.
    #[test]
    fn units_are_exact_and_values_are_not_printed() {
        let kwh: Decimal = "12345.6789".parse().unwrap();
        assert_eq!(Unit::KWh.to_base(kwh).unwrap().to_string(), "12345678.9000");
        assert_eq!(Unit::named("MWh").unwrap().to_base(Decimal::ONE), Some(Decimal::from(1_000_000)));
        assert_eq!(Unit::KWh.to_base(Decimal::MAX), None);
        let register = Quantity::Register(kwh);
        let all = Measurement { at: Timestamp(7), import: register, export: Some(register), device: None };
        let printed = format!("{all:?} {register:?}");
        assert!(printed.contains('7') && !printed.contains("12345"), "{printed}");
    }
}
