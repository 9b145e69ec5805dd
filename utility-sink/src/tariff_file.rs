//! Tariffs as people write them: TOML with prices in currency a kilowatt-hour, local times and a zone's name.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::id::{IdError, TariffId};
use protocol::tariff::{Band, Offset, Tariff, TariffDocument, TariffError, Window};
use protocol::unit::{Price, PriceError, SlotLength, Timestamp};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Deserialize;

/// Why a tariff file was refused.
#[derive(Debug, thiserror::Error)]
pub enum TariffFileError {
    /// Not TOML, or not a tariff's keys; the text names the line.
    #[error(transparent)]
    Toml(#[from] Box<toml::de::Error>),
    /// A name that is none.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A zone that the time-zone database does not have.
    #[error("expected a time zone, for example Europe/Berlin; found `{0}`")]
    Zone(String),
    /// A price with more than five decimals, or below zero.
    #[error("expected a price from 0 to 10.48576 with at most five decimals, for example 0.21; found {0}")]
    Price(Decimal),
    /// A price above the largest.
    #[error(transparent)]
    PriceRange(#[from] PriceError),
    /// A band that is not defined.
    #[error("expected a band that is defined under [bands]; found `{0}`")]
    Band(String),
    /// A day or a range of days that is none.
    #[error("expected days, for example mon-fri, sat or daily; found `{0}`")]
    Days(String),
    /// A time of day that is none.
    #[error("expected a time of day from 00:00 to 24:00, for example 17:00; found `{0}`")]
    Time(String),
    /// A date that is out of range.
    #[error("expected a date, for example 2026-01-31; found `{0}`")]
    Date(String),
    /// Numbers that do not fit together.
    #[error(transparent)]
    Tariff(#[from] TariffError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: String,
    currency: String,
    zone: String,
    valid_from: String,
    valid_to: String,
    otherwise: String,
    substitute: Option<String>,
    bands: std::collections::BTreeMap<String, Decimal>,
    #[serde(default)]
    windows: Vec<FileWindow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileWindow {
    days: String,
    from: String,
    to: String,
    band: String,
}

/// Makes a tariff document of a file's text, for slots of a length.
///
/// # Errors
///
/// [`TariffFileError`].
pub fn parse(text: &str, slot: SlotLength) -> Result<TariffDocument, TariffFileError> {
    let file: File = toml::from_str(text).map_err(Box::new)?;
    let zone = TimeZone::get(&file.zone).map_err(|_| TariffFileError::Zone(file.zone.clone()))?;
    let names: Vec<&String> = file.bands.keys().collect();
    let band = |name: &String| {
        let index = names.iter().position(|known| *known == name).and_then(|index| u8::try_from(index).ok());
        index.ok_or_else(|| TariffFileError::Band(name.clone()))
    };
    let mut bands = Vec::new();
    for (name, price) in &file.bands {
        bands.push(Band { name: name.clone(), price: to_price(*price)? });
    }
    let mut windows = Vec::new();
    for window in &file.windows {
        windows.push(Window {
            days: days(&window.days)?,
            from_minute: minute(&window.from)?,
            to_minute: minute(&window.to)?,
            band: band(&window.band)?,
        });
    }
    let (from, to) = (midnight(&file.valid_from, &zone)?, midnight(&file.valid_to, &zone)?);
    let slot_of = |time: &jiff::Timestamp, text: &str| {
        let seconds = u64::try_from(time.as_second()).ok().map(Timestamp);
        seconds.and_then(|s| slot.slot_at(s)).ok_or_else(|| TariffFileError::Date(text.to_owned()))
    };
    let document = TariffDocument {
        id: file.id.parse::<TariffId>()?,
        currency: file.currency.clone(),
        zone: file.zone.clone(),
        valid_from: slot_of(&from, &file.valid_from)?,
        valid_to: slot_of(&to, &file.valid_to)?,
        otherwise: band(&file.otherwise)?,
        substitute: band(file.substitute.as_ref().unwrap_or(&file.otherwise))?,
        bands,
        windows,
        offsets: offsets(&zone, from, to),
    };
    Tariff::new(document.clone(), slot)?;
    Ok(document)
}

/// Currency a kilowatt-hour, as hundred-thousandths.
fn to_price(price: Decimal) -> Result<Price, TariffFileError> {
    let scaled = price.checked_mul(Decimal::from(100_000)).filter(|scaled| scaled.fract().is_zero());
    let whole = scaled.and_then(|scaled| scaled.to_u32()).ok_or(TariffFileError::Price(price))?;
    Ok(Price::try_from(whole)?)
}

const WEEK: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// `mon-fri`, `sat,sun`, `daily`: bit 0 is Monday.
fn days(text: &str) -> Result<u8, TariffFileError> {
    let refused = || TariffFileError::Days(text.to_owned());
    let day = |name: &str| WEEK.iter().position(|day| *day == name.trim()).ok_or_else(refused);
    if text == "daily" {
        return Ok(0b111_1111);
    }
    let mut mask = 0;
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (day(from)?, day(to)?);
        if from > to {
            return Err(refused());
        }
        mask |= (from..=to).fold(0, |mask, day| mask | 1 << day);
    }
    Ok(mask)
}

/// `HH:MM`, up to 24:00.
fn minute(text: &str) -> Result<u16, TariffFileError> {
    let parsed = text.split_once(':').and_then(|(hour, minute)| {
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60 && hour * 60 + minute <= 1440).then_some(hour * 60 + minute)
    });
    parsed.ok_or_else(|| TariffFileError::Time(text.to_owned()))
}

fn midnight(text: &str, zone: &TimeZone) -> Result<jiff::Timestamp, TariffFileError> {
    let date: Date = text.parse().map_err(|_| TariffFileError::Date(text.to_owned()))?;
    let start = date.to_zoned(zone.clone()).map_err(|_| TariffFileError::Date(text.to_owned()))?;
    Ok(start.timestamp())
}

/// The zone's offsets from before `from` to `to`.
fn offsets(zone: &TimeZone, from: jiff::Timestamp, to: jiff::Timestamp) -> Vec<Offset> {
    let seconds = |time: jiff::Timestamp| Timestamp(u64::try_from(time.as_second()).unwrap_or(0));
    let first = Offset { from: Timestamp(0), seconds: zone.to_offset(from).seconds() };
    let later = zone.following(from).take_while(|transition| transition.timestamp() < to).map(|transition| {
        Offset { from: seconds(transition.timestamp()), seconds: transition.offset().seconds() }
    });
    std::iter::once(first).chain(later).collect()
}

#[cfg(test)]
mod tests {
    use protocol::unit::SlotRange;

    use super::*;

    const TOU: &str = r#"
        id = "tou-d"
        currency = "EUR"
        zone = "Europe/Berlin"
        valid_from = "2026-01-01"
        valid_to = "2027-01-01"
        otherwise = "base"
        [bands]
        base = 0.21
        peak = 0.45678
        [[windows]]
        days = "mon-fri"
        from = "17:00"
        to = "21:00"
        band = "peak"
    "#;

    /// A person's file becomes exact prices, with both changes of the clock.
    #[test]
    fn files_become_documents() {
        let quarter = SlotLength::try_from(900).unwrap();
        let document = parse(TOU, quarter).unwrap();
        assert_eq!(document.bands.iter().map(|b| u32::from(b.price)).collect::<Vec<_>>(), [21_000, 45_678]);
        assert_eq!(
            document.offsets,
            [(0, 3_600), (1_774_746_000, 7_200), (1_792_890_000, 3_600)]
                .map(|(from, seconds)| Offset { from: Timestamp(from), seconds })
        );
        let year = SlotRange::new(document.valid_from, document.valid_to).unwrap();
        assert_eq!(year.len(), 365 * 96);
        let tariff = Tariff::new(document, quarter).unwrap();
        let prices = tariff.prices(year, quarter).unwrap();
        assert_eq!(prices.iter().filter(|p| u32::from(**p) == 45_678).count(), 261 * 16);
    }

    /// A person's mistake ends in what to type instead.
    #[test]
    fn mistakes_are_explained() {
        let hour = SlotLength::try_from(3600).unwrap();
        for (from, to, message) in [
            ("Europe/Berlin", "Berlin", "expected a time zone"),
            ("0.21", "0.2100001", "at most five decimals"),
            ("0.21", "-1", "from 0 to"),
            ("0.21", "11.0", "over the limit"),
            ("mon-fri", "fri-mon", "expected days"),
            ("mon-fri", "weekdays", "expected days"),
            ("21:00", "25:00", "expected a time of day"),
            ("otherwise = \"base\"", "otherwise = \"night\"", "expected a band"),
            ("2026-01-01", "2026-13-01", "expected a date"),
            ("currency", "curency", "unknown field `curency`"),
        ] {
            let error = parse(&TOU.replace(from, to), hour).unwrap_err().to_string();
            assert!(error.contains(message), "{error} lacks {message}");
        }
    }
}
