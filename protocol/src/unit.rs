//! Quantities with units: slots, energy, registers, prices, times.

use std::fmt;
use std::ops::Range;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Seconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This time plus `seconds`, saturating.
    #[must_use]
    pub fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this time; 0 if `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// In UTC, as RFC 3339 has it; beyond the year 9999 in seconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0).ok();
        match seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()) {
            Some(time) => time.fmt(f),
            None => write!(f, "second {}", self.0),
        }
    }
}

/// Milliseconds since the Unix epoch, UTC: the clock that roles are handed.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(pub u64);

impl From<SystemTime> for Moment {
    /// The epoch's start for a time before it.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<SystemTime> for Timestamp {
    /// The epoch's start for a time before it.
    fn from(time: SystemTime) -> Self {
        Moment::from(time).timestamp()
    }
}

impl Moment {
    /// The whole seconds of it.
    pub fn timestamp(self) -> Timestamp {
        Timestamp(self.0 / 1000)
    }

    /// This moment plus `milliseconds`, saturating.
    #[must_use]
    pub fn plus(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds from `earlier` to this moment; 0 if `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whether a pause of so many milliseconds that began at `earlier` is over. It is if `earlier` is later: the clock was set back,
    /// and the pause would last until it has caught up.
    pub fn is_past(self, earlier: Self, pause: u64) -> bool {
        self < earlier || self.since(earlier) >= pause
    }
}

/// A slot's number: Unix time in UTC divided by the slot length.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Slot(pub u32);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Slots from `start` up to and not including `end`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SlotRange {
    start: Slot,
    end: Slot,
}

/// A range that ends before it starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("slots {start}..{end} are empty or run backwards")]
pub struct SlotRangeError {
    start: Slot,
    end: Slot,
}

impl SlotRange {
    /// The slots `start..end`.
    ///
    /// # Errors
    ///
    /// [`SlotRangeError`] unless `start < end`.
    pub fn new(start: Slot, end: Slot) -> Result<Self, SlotRangeError> {
        if start < end { Ok(Self { start, end }) } else { Err(SlotRangeError { start, end }) }
    }

    /// First slot.
    pub fn start(self) -> Slot {
        self.start
    }

    /// The slot after the last.
    pub fn end(self) -> Slot {
        self.end
    }

    /// Number of slots, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(self) -> usize {
        (self.end.0 - self.start.0) as usize
    }

    /// The slot numbers.
    pub fn numbers(self) -> Range<u32> {
        self.start.0..self.end.0
    }

    /// Whether the two have a slot in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether `slot` is one of these.
    pub fn contains(self, slot: Slot) -> bool {
        (self.start..self.end).contains(&slot)
    }

    /// Whether all of `other` is within this.
    pub fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

impl fmt::Display for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl Serialize for SlotRange {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.start, self.end).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SlotRange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (start, end) = Deserialize::deserialize(deserializer)?;
        Self::new(start, end).map_err(serde::de::Error::custom)
    }
}

/// A slot's length: 900, 1800 or 3600 s.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SlotLength(u32);

/// A slot length that no roster allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a slot of {0} s is not one of 900, 1800, 3600")]
pub struct SlotLengthError(u32);

impl TryFrom<u32> for SlotLength {
    type Error = SlotLengthError;

    fn try_from(seconds: u32) -> Result<Self, SlotLengthError> {
        if matches!(seconds, 900 | 1800 | 3600) { Ok(Self(seconds)) } else { Err(SlotLengthError(seconds)) }
    }
}

impl From<SlotLength> for u32 {
    fn from(length: SlotLength) -> Self {
        length.0
    }
}

impl SlotLength {
    /// Seconds a slot.
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// Slots a UTC day: 96, 48 or 24.
    pub fn per_day(self) -> u32 {
        86_400 / self.0
    }

    /// The slot that `time` lies in, or `None` beyond slot 2^32.
    pub fn slot_at(self, time: Timestamp) -> Option<Slot> {
        u32::try_from(time.0 / u64::from(self.0)).ok().map(Slot)
    }

    /// The time at which `slot` starts.
    pub fn start_of(self, slot: Slot) -> Timestamp {
        Timestamp(u64::from(slot.0) * u64::from(self.0))
    }
}

/// Energy in whole watt-hours; negative for a net export.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct WattHours(pub i64);

impl fmt::Display for WattHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Wh", self.0)
    }
}

/// The most energy a slot may carry: 2^15 − 1 Wh.
pub const MAX_SLOT_WH: i64 = (1 << 15) - 1;

/// The largest register: 2^40 − 1 Wh, 1,100 GWh. Every release stays below 2^62 with it.
pub const MAX_REGISTER_WH: u64 = (1 << 40) - 1;

/// A meter's cumulative register in watt-hours, at most [`MAX_REGISTER_WH`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Register(u64);

/// A register beyond the largest.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a register of {0} Wh is over the limit of {MAX_REGISTER_WH} Wh")]
pub struct RegisterError(u64);

impl TryFrom<u64> for Register {
    type Error = RegisterError;

    fn try_from(watt_hours: u64) -> Result<Self, RegisterError> {
        if watt_hours <= MAX_REGISTER_WH { Ok(Self(watt_hours)) } else { Err(RegisterError(watt_hours)) }
    }
}

impl From<Register> for u64 {
    fn from(register: Register) -> Self {
        register.0
    }
}

impl Register {
    /// Watt-hours since the register was zero.
    pub fn watt_hours(self) -> u64 {
        self.0
    }
}

/// The largest price, 2^20: 10.48 currency units a kilowatt-hour.
pub const MAX_PRICE: u32 = 1 << 20;

/// A price in hundred-thousandths of a currency unit a kilowatt-hour, at most [`MAX_PRICE`].
///
/// Times watt-hours it gives hundred-millionths (10^−8) of a currency unit.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Price(u32);

/// A price beyond the largest.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a price of {0} is over the limit of {MAX_PRICE} hundred-thousandths of a currency unit a kWh")]
pub struct PriceError(u32);

impl TryFrom<u32> for Price {
    type Error = PriceError;

    fn try_from(price: u32) -> Result<Self, PriceError> {
        if price <= MAX_PRICE { Ok(Self(price)) } else { Err(PriceError(price)) }
    }
}

impl From<Price> for u32 {
    fn from(price: Price) -> Self {
        price.0
    }
}

/// An amount of money in hundred-millionths (10^−8) of a currency unit: price × watt-hours, exact.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Amount(pub i64);

impl Amount {
    /// Whole cents, rounded half away from zero.
    pub fn to_cents(self) -> i64 {
        const CENT: i64 = 1_000_000;
        let (whole, rest) = (self.0 / CENT, self.0 % CENT);
        whole + if rest.abs() * 2 >= CENT { rest.signum() } else { 0 }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.to_cents();
        let sign = if cents < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Money rounds half away from zero, once, at the end.
    #[test]
    fn amounts_round_to_the_cent() {
        for (amount, shown) in [
            (0, "0.00"),
            (499_999, "0.00"),
            (500_000, "0.01"),
            (1_499_999, "0.01"),
            (123_456_789_000, "1234.57"),
            (-500_000, "-0.01"),
            (-499_999, "0.00"),
        ] {
            assert_eq!(Amount(amount).to_string(), shown, "{amount}");
        }
    }

    /// 2016-08-01T08:00:00Z is hour 408,344 of the epoch.
    #[test]
    fn slots_count_utc() {
        let hour = SlotLength::try_from(3600).unwrap();
        assert_eq!(hour.slot_at(Timestamp(1_470_038_400)), Some(Slot(408_344)));
        assert_eq!(hour.start_of(Slot(408_344)), Timestamp(1_470_038_400));
        assert!(SlotLength::try_from(60).is_err());
    }

    /// A pause ends when its time is over, and when the clock goes back behind its beginning.
    #[test]
    fn pauses_end_when_the_clock_goes_back() {
        let begun = Moment(1_000_000);
        assert!(!begun.is_past(begun, 1) && begun.is_past(begun, 0));
        assert!(!begun.plus(9).is_past(begun, 10) && begun.plus(10).is_past(begun, 10));
        assert!(Moment(0).is_past(begun, 10) && Moment(999_999).is_past(begun, u64::MAX));
    }

    /// Ranges are half-open and never empty.
    #[test]
    fn ranges_are_half_open() {
        let range = |a, b| SlotRange::new(Slot(a), Slot(b)).unwrap();
        assert!(SlotRange::new(Slot(4), Slot(4)).is_err());
        assert!(range(0, 4).overlaps(range(3, 5)) && !range(0, 4).overlaps(range(4, 5)));
        assert!(range(0, 4).covers(range(1, 4)) && !range(0, 4).covers(range(1, 5)));
    }
}
