//! Tariffs: what a slot costs, in a document that says everything itself.
//!
//! Bands have names and prices; windows of local time name bands. The document lists the zone's offsets from UTC with
//! the times at which they begin, resolved once by its author, so that all parties price alike whatever time-zone
//! database they have, and days of 23 and 25 hours are priced as the law has it.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::TariffId;
use crate::signature::Document;
use crate::unit::{Price, Slot, SlotLength, SlotRange, Timestamp};

/// The most bands.
pub const MAX_BANDS: usize = 16;

/// The most windows, and the most offsets.
pub const MAX_ROWS: usize = 128;

/// A named price.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Band {
    /// Its name, for people.
    pub name: String,
    /// Its price.
    pub price: Price,
}

/// A window of local time in which a band holds.
#[derive(Clone, Copy, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Window {
    /// Days of the week: bit 0 is Monday, bit 6 Sunday.
    pub days: u8,
    /// First minute of the local day, 0 to 1,439.
    pub from_minute: u16,
    /// First minute after, 1 to 1,440.
    pub to_minute: u16,
    /// The band's index.
    pub band: u8,
}

/// An offset from UTC, and from when on it holds.
#[derive(Clone, Copy, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Offset {
    /// From when on.
    pub from: Timestamp,
    /// Seconds east of Greenwich.
    pub seconds: i32,
}

/// A tariff as its utility signs and publishes it.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct TariffDocument {
    /// Its name.
    pub id: TariffId,
    /// The currency, three letters, for people.
    pub currency: String,
    /// The time zone, for people; the offsets below decide.
    pub zone: String,
    /// First slot it may price.
    pub valid_from: Slot,
    /// First slot it may not.
    pub valid_to: Slot,
    /// The bands.
    pub bands: Vec<Band>,
    /// Windows in order: the first that fits a slot's start names its band.
    pub windows: Vec<Window>,
    /// The band of slots that fit no window.
    pub otherwise: u8,
    /// The band of slots without a record.
    pub substitute: u8,
    /// The offsets, ascending, the first at or before `valid_from`.
    pub offsets: Vec<Offset>,
}

impl Document for TariffDocument {
    const KIND: &'static str = "tariff";
}

/// Why a tariff can't price a period.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TariffError {
    /// A band's index that names no band, or too many or no bands.
    #[error("band {0} is not one of the tariff's 1 to {MAX_BANDS} bands")]
    Band(u8),
    /// A window that is empty or outside the day, or too many.
    #[error("window {0} is not a range of minutes within a day")]
    Window(usize),
    /// No offsets, too many, or out of order.
    #[error("the offsets are not ascending from before slot {0}")]
    Offsets(Slot),
    /// Slots that the tariff does not cover.
    #[error("slots {period} are not within the tariff's {from}..{to}")]
    Period {
        /// The slots to price.
        period: SlotRange,
        /// First slot it may price.
        from: Slot,
        /// First slot it may not.
        to: Slot,
    },
}

/// A tariff whose numbers fit together: it prices every slot it covers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tariff(TariffDocument);

impl Tariff {
    /// Checks a document.
    ///
    /// # Errors
    ///
    /// [`TariffError`].
    pub fn new(document: TariffDocument, slot: SlotLength) -> Result<Self, TariffError> {
        let bands = document.bands.len();
        if bands == 0 || bands > MAX_BANDS {
            return Err(TariffError::Band(0));
        }
        let named = document.windows.iter().map(|window| window.band);
        if let Some(bad) =
            named.chain([document.otherwise, document.substitute]).find(|band| usize::from(*band) >= bands)
        {
            return Err(TariffError::Band(bad));
        }
        let fits = |w: &Window| w.from_minute < w.to_minute && w.to_minute <= 1440 && w.days < 1 << 7;
        if let Some(bad) = document.windows.iter().position(|w| !fits(w)) {
            return Err(TariffError::Window(bad));
        }
        if document.windows.len() > MAX_ROWS {
            return Err(TariffError::Window(MAX_ROWS));
        }
        let start = slot.start_of(document.valid_from);
        let ascending = document.offsets.windows(2).all(|pair| pair[0].from < pair[1].from);
        let plausible = document.offsets.iter().all(|offset| offset.seconds.unsigned_abs() <= 86_400);
        let first = document.offsets.first().is_some_and(|first| first.from <= start);
        if !(ascending && plausible && first) || document.offsets.len() > MAX_ROWS {
            return Err(TariffError::Offsets(document.valid_from));
        }
        Ok(Self(document))
    }

    /// The document.
    pub fn document(&self) -> &TariffDocument {
        &self.0
    }

    /// One price a slot of `period`.
    ///
    /// # Errors
    ///
    /// [`TariffError::Period`] unless the tariff covers all of it.
    pub fn prices(&self, period: SlotRange, slot: SlotLength) -> Result<Vec<Price>, TariffError> {
        let TariffDocument { valid_from: from, valid_to: to, .. } = self.0;
        if period.start() < from || to < period.end() {
            return Err(TariffError::Period { period, from, to });
        }
        Ok(period.numbers().map(|t| self.price_at(slot.start_of(Slot(t)))).collect())
    }

    /// The price of slots without a record.
    pub fn substitute(&self) -> Price {
        self.price_of(self.0.substitute)
    }

    fn price_of(&self, band: u8) -> Price {
        self.0.bands[usize::from(band)].price
    }

    fn price_at(&self, time: Timestamp) -> Price {
        let after = self.0.offsets.partition_point(|offset| offset.from <= time);
        let offset = self.0.offsets[after.saturating_sub(1)].seconds;
        let local = i64::try_from(time.0).unwrap_or(i64::MAX).saturating_add(i64::from(offset));
        let (day, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        // 1970-01-01 was a Thursday: day 0 has weekday 3, counted from Monday.
        let weekday = (day + 3).rem_euclid(7);
        let minute = second / 60;
        let window = self.0.windows.iter().find(|w| {
            w.days >> weekday & 1 == 1 && (i64::from(w.from_minute)..i64::from(w.to_minute)).contains(&minute)
        });
        self.price_of(window.map_or(self.0.otherwise, |window| window.band))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TariffDocument {
        TariffDocument {
            id: "tou".parse().unwrap(),
            currency: "EUR".into(),
            zone: "Europe/Berlin".into(),
            valid_from: Slot(0),
            valid_to: Slot(u32::MAX),
            bands: vec![
                Band { name: "base".into(), price: Price::try_from(20_000).unwrap() },
                Band { name: "peak".into(), price: Price::try_from(40_000).unwrap() },
            ],
            windows: vec![Window { days: 0b001_1111, from_minute: 17 * 60, to_minute: 21 * 60, band: 1 }],
            otherwise: 0,
            substitute: 0,
            // 2026: summer time from March 29 to October 25, 01:00 UTC
            offsets: vec![
                Offset { from: Timestamp(0), seconds: 3_600 },
                Offset { from: Timestamp(1_774_746_000), seconds: 7_200 },
                Offset { from: Timestamp(1_792_890_000), seconds: 3_600 },
            ],
        }
    }

    /// A peak of 4 hours is 16 quarter-hours on every working day, also on days of 92 and 100 slots, and none on
    /// Saturdays and Sundays.
    #[test]
    fn local_days_have_their_hours() {
        let quarter = SlotLength::try_from(900).unwrap();
        let tariff = Tariff::new(berlin(), quarter).unwrap();
        // local midnights of Monday 2026-03-23 to Monday 2026-04-06, and 2026-10-19 to 2026-11-02
        for (from, to, slots) in
            [(1_774_220_400, 1_775_426_400, 14 * 96 - 4), (1_792_360_800, 1_793_574_000, 14 * 96 + 4)]
        {
            let period = SlotRange::new(
                quarter.slot_at(Timestamp(from)).unwrap(),
                quarter.slot_at(Timestamp(to)).unwrap(),
            )
            .unwrap();
            let prices = tariff.prices(period, quarter).unwrap();
            assert_eq!(prices.len(), slots);
            assert_eq!(prices.iter().filter(|p| u32::from(**p) == 40_000).count(), 10 * 16);
        }
    }

    /// Malformed tariffs are refused with the row that is wrong.
    #[test]
    fn refuses_malformed_tariffs() {
        let hour = SlotLength::try_from(3600).unwrap();
        let refused = |change: fn(&mut TariffDocument)| {
            let mut document = berlin();
            change(&mut document);
            Tariff::new(document, hour).unwrap_err()
        };
        assert_eq!(refused(|d| d.otherwise = 2), TariffError::Band(2));
        assert_eq!(refused(|d| d.bands.clear()), TariffError::Band(0));
        assert_eq!(refused(|d| d.windows[0].to_minute = 1441), TariffError::Window(0));
        assert_eq!(refused(|d| d.windows[0].days = 128), TariffError::Window(0));
        assert_eq!(refused(|d| d.offsets.clear()), TariffError::Offsets(Slot(0)));
        assert_eq!(refused(|d| d.offsets.swap(0, 1)), TariffError::Offsets(Slot(0)));
        assert_eq!(refused(|d| d.offsets[0].seconds = i32::MIN), TariffError::Offsets(Slot(0)));
        let mut short = berlin();
        short.valid_to = Slot(10);
        let period = SlotRange::new(Slot(5), Slot(11)).unwrap();
        assert!(matches!(
            Tariff::new(short, hour).unwrap().prices(period, hour),
            Err(TariffError::Period { .. })
        ));
    }
}
