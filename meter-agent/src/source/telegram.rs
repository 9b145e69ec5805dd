//! A text telegram of a meter: P1 (DSMR and its kin) and IEC 62056-21 D0.
//!
//! It begins with `/`, has a data line for each [OBIS] address, such as `1-0:1.8.1(000002.074*kWh)`, and ends with `!`.
//! Dialects that report the time (`0-0:1.0.0`, since DSMR 4) put a CRC16/ARC of everything up to the `!` behind it. Older
//! ones and D0 have none, and then only the text can be checked.
//!
//! Tolerant of what it does not need, strict with what it bills from: an unknown line is skipped, an import register that
//! can't be read rejects the telegram.
//!
//! [OBIS]: https://www.dlms.com/files/Blue-Book-Ed-122-Excerpt.pdf

use std::collections::BTreeMap;
use std::fmt;

use crc::{CRC_16_ARC, Crc};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use protocol::unit::Timestamp;
use rust_decimal::Decimal;

use crate::measurement::{Measurement, Quantity, Unit};

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_ARC);

/// The longest telegram; the longest real ones have some 4 KiB.
const LONGEST: usize = 16 << 10;

/// Why a telegram was left out.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TelegramError {
    /// It ended, or the next one began, before its `!`.
    #[error("a telegram was cut off before its `!`")]
    Cut,
    /// More bytes than any telegram has.
    #[error("no telegram ended within {LONGEST} bytes. Is this a meter's port, at the right speed?")]
    TooLong,
    /// Bytes that are no text.
    #[error("expected a telegram in text; found other bytes. Are the port's speed and parity right?")]
    NotText,
    /// Another CRC than the telegram's.
    #[error(
        "expected the CRC {wanted:04X} of the telegram's text; found {found:04X}: bytes were lost or changed"
    )]
    Crc {
        /// What stands behind the `!`.
        found: u16,
        /// What the text has.
        wanted: u16,
    },
    /// Something else than a CRC.
    #[error("expected the telegram's CRC, four hexadecimal digits; found `{0}`")]
    NotCrc(String),
    /// A dialect that has a CRC, without one.
    #[error("the telegram has a time, as dialects with a CRC have, and no CRC: it was cut off")]
    NoCrc,
    /// A value that can't be read, in a line of the telegram, from 1.
    #[error("line {0}: expected an energy, for example `000123.456*kWh`; found `{1}`")]
    Value(usize, String),
    /// One address twice.
    #[error("line {0}: the register {1} is there twice")]
    Twice(usize, String),
    /// A time that is none.
    #[error("line {0}: expected a time, for example `261122060000W`; found `{1}`")]
    Time(usize, String),
    /// No import register.
    #[error("expected an import register, 1.8.0 or 1.8.1 and so on; found none in the telegram")]
    NoImport,
    /// Import registers of several channels, and none of channel 0.
    #[error("expected one import register; found those of channels {0} and {1}, and none of channel 0")]
    Channels(u8, u8),
    /// Other tariffs than before: a sum of others would jump.
    #[error(
        "expected the import registers {before}, as in the telegram before; found {found}. Their sum has another meaning and is \
         not billed. If the meter's tariffs were changed, stop the agent and type: meter-agent rebase --config FILE"
    )]
    Tariffs {
        /// Those of the telegrams before.
        before: String,
        /// Those of this one.
        found: String,
    },
}

/// Cuts telegrams out of a stream of bytes.
#[derive(Debug, Default)]
pub struct Telegrams {
    bytes: Vec<u8>,
    /// A `/` was there, and no `!` yet.
    inside: bool,
}

impl Telegrams {
    /// Cuts off the telegrams that end in some bytes. `None` is the end of the stream: a last line may lack its end.
    pub fn cut(&mut self, bytes: Option<&[u8]>) -> Vec<Result<Vec<u8>, TelegramError>> {
        let mut telegrams = Vec::new();
        for byte in bytes.unwrap_or(b"\n") {
            self.push(*byte, &mut telegrams);
        }
        if bytes.is_none() && std::mem::take(self).inside {
            telegrams.push(Err(TelegramError::Cut));
        }
        telegrams
    }

    fn push(&mut self, byte: u8, telegrams: &mut Vec<Result<Vec<u8>, TelegramError>>) {
        // no data has a `/` [IEC 62056-21, 5.2], so this is a beginning wherever it stands
        if byte == b'/' {
            if self.inside {
                telegrams.push(Err(TelegramError::Cut));
            }
            self.bytes.clear();
            self.inside = true;
        }
        if !self.inside {
            return;
        }
        self.bytes.push(byte);
        if self.bytes.len() > LONGEST {
            telegrams.push(Err(TelegramError::TooLong));
            (self.bytes, self.inside) = (Vec::new(), false);
        } else if byte == b'\n' && last_line(&self.bytes).starts_with(b"!") {
            telegrams.push(Ok(std::mem::take(&mut self.bytes)));
            self.inside = false;
        }
    }
}

fn last_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.len().saturating_sub(1);
    let start = bytes[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    &bytes[start..]
}

/// An OBIS address; what a telegram leaves out is `None`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Address {
    medium: Option<u8>,
    channel: Option<u8>,
    /// C.D.E; E is 0 where it is left out.
    value: (u8, u8, u8),
    /// F, an older billing period; 255 is the present one.
    period: u8,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let (group, rest) = text.split_once(':').map_or((None, text), |(group, rest)| (Some(group), rest));
        let (medium, channel) = match group {
            Some(group) => {
                let (medium, channel) = group.split_once('-')?;
                (Some(medium.parse().ok()?), Some(channel.parse().ok()?))
            }
            None => (None, None),
        };
        let (rest, period) =
            rest.split_once(['*', '&']).map_or((rest, Some(255)), |(rest, f)| (rest, f.parse().ok()));
        let mut parts = rest.split('.').map(|part| part.parse::<u8>().ok());
        let value = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self { medium, channel, value, period: period? })
    }

    /// Whether it is of the electricity meter itself: not of a gas or water meter behind it, not of an older period. Some meters
    /// report their electricity in another channel than 0.
    fn is_ours(self) -> bool {
        let nothing_behind = self.channel.is_none_or(|channel| channel == 0) || self.medium == Some(1);
        self.medium.is_none_or(|medium| medium <= 1) && nothing_behind && self.period == 255
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (c, d, e) = self.value;
        write!(f, "{c}.{d}.{e}")
    }
}

/// The registers of one direction: a total, or one a tariff.
#[derive(Default)]
struct Direction {
    seen: Vec<(u8, Decimal)>,
}

impl Direction {
    fn add(&mut self, line: usize, address: Address, value: &str) -> Result<(), TelegramError> {
        let tariff = address.value.2;
        if self.seen.iter().any(|(seen, _)| *seen == tariff) {
            return Err(TelegramError::Twice(line, address.to_string()));
        }
        let energy = energy(value).ok_or_else(|| TelegramError::Value(line, shortened(value)))?;
        self.seen.push((tariff, energy));
        Ok(())
    }

    /// Which registers make the total.
    fn tariffs(&self) -> Tariffs {
        let mut tariffs: Vec<u8> = self.seen.iter().map(|(tariff, _)| *tariff).collect();
        if tariffs.contains(&0) {
            return Tariffs(vec![0]);
        }
        tariffs.sort_unstable();
        Tariffs(tariffs)
    }

    /// The total; where the meter reports none, its tariffs' sum.
    fn total(&self) -> Option<Decimal> {
        let total = self.seen.iter().find(|(tariff, _)| *tariff == 0);
        match total {
            Some((_, total)) => Some(*total),
            None if self.seen.is_empty() => None,
            None => Some(self.seen.iter().map(|(_, energy)| *energy).sum()),
        }
    }
}

/// The registers of which an import is the sum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tariffs(Vec<u8>);

impl fmt::Display for Tariffs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|tariff| format!("1.8.{tariff}")).collect();
        f.write_str(&names.join(", "))
    }
}

/// One meter's telegrams, one after the other.
#[derive(Clone, Debug)]
pub struct Reader {
    standard: Offset,
    device: Option<String>,
    tariffs: Option<Tariffs>,
}

impl Reader {
    /// A reader of telegrams whose winter time has the offset `standard`.
    pub fn new(standard: Offset) -> Self {
        Self { standard, device: None, tariffs: None }
    }

    /// Reads the next telegram; `now` is its time if it has none.
    ///
    /// # Errors
    ///
    /// [`TelegramError`], also for one whose import is the sum of other registers than that device's before.
    pub fn read(&mut self, telegram: &[u8], now: Timestamp) -> Result<Measurement, TelegramError> {
        let (measurement, found) = read(telegram, now, self.standard)?;
        if let Some(device) = &measurement.device
            && self.device.replace(device.clone()).is_some_and(|before| before != *device)
        {
            self.tariffs = None;
        }
        let before = self.tariffs.get_or_insert_with(|| found.clone());
        if *before != found {
            let (before, found) = (before.to_string(), found.to_string());
            return Err(TelegramError::Tariffs { before, found });
        }
        Ok(measurement)
    }
}

/// Reads a telegram, and which registers its import is the sum of; `now` is its time if it has none, `standard` the offset of
/// its winter time.
///
/// # Errors
///
/// [`TelegramError`].
pub fn read(
    telegram: &[u8],
    now: Timestamp,
    standard: Offset,
) -> Result<(Measurement, Tariffs), TelegramError> {
    let end = telegram.iter().rposition(|byte| *byte == b'!').ok_or(TelegramError::Cut)?;
    let text = std::str::from_utf8(telegram).map_err(|_| TelegramError::NotText)?;
    let crc = crc(&telegram[..=end], text[end + 1..].trim())?;
    let mut channels: BTreeMap<u8, [Direction; 2]> = BTreeMap::new();
    let (mut time, mut device) = (None, None);
    for (line, data) in (1..).zip(text[..end].lines()) {
        let Some((address, values)) = data.trim().split_once('(') else { continue };
        let Some(address) = Address::parse(address).filter(|address| address.is_ours()) else { continue };
        let value = values.strip_suffix(')').unwrap_or(values);
        let channel = address.channel.unwrap_or(0);
        match address.value {
            (direction @ (1 | 2), 8, _) => {
                let [import, export] = channels.entry(channel).or_default();
                let direction = if direction == 1 { import } else { export };
                direction.add(line, address, value)?;
            }
            (1, 0, 0) if address.medium == Some(0) => {
                let at = clock(value, standard);
                time = Some(at.ok_or_else(|| TelegramError::Time(line, shortened(value)))?);
            }
            (96, 1, 0 | 1) if device.is_none() && channel == 0 => {
                device = Some(value.to_owned()).filter(|number| number.bytes().any(|byte| byte != b'0'));
            }
            _ => {}
        }
    }
    if crc.is_none() && time.is_some() {
        return Err(TelegramError::NoCrc);
    }
    channels.retain(|_, [import, _]| !import.seen.is_empty());
    let mut channels = channels.into_iter();
    let (channel, [import, export]) = channels.next().ok_or(TelegramError::NoImport)?;
    if let Some((other, _)) = channels.next().filter(|_| channel != 0) {
        return Err(TelegramError::Channels(channel, other));
    }
    let total = import.total().ok_or(TelegramError::NoImport)?;
    let export = export.total().map(Quantity::Register);
    let measurement =
        Measurement { at: time.unwrap_or(now), import: Quantity::Register(total), export, device };
    Ok((measurement, import.tariffs()))
}

/// The CRC, if there is one and it is right.
fn crc(text: &[u8], found: &str) -> Result<Option<u16>, TelegramError> {
    if found.is_empty() {
        return Ok(None);
    }
    let parsed = u16::from_str_radix(found, 16).ok().filter(|_| found.len() == 4);
    let found = parsed.ok_or_else(|| TelegramError::NotCrc(shortened(found)))?;
    let wanted = CRC.checksum(text);
    if found == wanted { Ok(Some(found)) } else { Err(TelegramError::Crc { found, wanted }) }
}

/// `000123.456*kWh` in watt-hours, exactly.
fn energy(value: &str) -> Option<Decimal> {
    let (number, unit) = value.split_once('*')?;
    let unit = Unit::named(unit).filter(|unit| !unit.is_power())?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: Decimal = number.parse().ok().filter(|_| digits)?;
    unit.to_base(number)
}

/// `YYMMDDhhmmssX`, X being `W` in winter and `S` in summer.
fn clock(value: &str, standard: Offset) -> Option<Timestamp> {
    let (digits, season) = value.split_at_checked(12)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let two = |at: usize| digits.get(2 * at..2 * at + 2)?.parse::<i8>().ok();
    let year = 2000 + i16::from(two(0)?);
    let local = DateTime::new(year, two(1)?, two(2)?, two(3)?, two(4)?, two(5)?, 0).ok()?;
    let summer = match season {
        "W" => 0,
        "S" => 3_600,
        _ => return None,
    };
    let offset = Offset::from_seconds(standard.seconds() + summer).ok()?;
    let second = offset.to_timestamp(local).ok()?.as_second();
    u64::try_from(second).ok().map(Timestamp)
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NL5: &[u8] = include_bytes!("../../../data/telegrams/nl5.txt");
    const NL5_BAD: &[u8] = include_bytes!("../../../data/telegrams/nl5_badcrc.txt");
    const NL22: &[u8] = include_bytes!("../../../data/telegrams/nl22.txt");
    const BE: &[u8] = include_bytes!("../../../data/telegrams/be_fluvius.txt");
    const SE: &[u8] = include_bytes!("../../../data/telegrams/se_total.txt");
    const D0: &[u8] = include_bytes!("../../../data/telegrams/de_d0.txt");

    const NOW: Timestamp = Timestamp(1_795_000_000);

    /// 2026-11-22T06:00:00+01:00.
    const THEIRS: Timestamp = Timestamp(1_795_323_600);

    fn read_one(telegram: &[u8]) -> Result<Measurement, TelegramError> {
        read(telegram, NOW, Offset::constant(1)).map(|(measurement, _)| measurement)
    }

    fn wh(text: &str) -> Quantity {
        Quantity::Register(text.parse().unwrap())
    }

    /// All six shipped telegrams: sums of tariffs, totals, exact decimals, the meter's time or ours, a bad CRC.
    #[test]
    fn reads_every_dialect() {
        for (telegram, at, import, export, device) in [
            (NL5, THEIRS, "246913578", "3003", Some("4B384547303034303436333935353037")),
            (NL22, NOW, "2002", "2002", None),
            (BE, THEIRS, "2957", "30", Some("3153414733313031303231363035")),
            (SE, THEIRS, "6678394", "0", None),
            (D0, NOW, "12345678.9", "123456.7", Some("0901454D4800002CD54C")),
        ] {
            let read = read_one(telegram).unwrap();
            assert_eq!(read.at, at);
            assert!(read.import == wh(import), "{import}");
            assert!(read.export == Some(wh(export)), "{export}");
            assert_eq!(read.device.as_deref(), device);
        }
        assert_eq!(
            read_one(NL5_BAD),
            Err(TelegramError::Crc { found: 0x1FB9, wanted: CRC.checksum(&NL5_BAD[..NL5_BAD.len() - 6]) })
        );
    }

    /// One changed byte of a telegram with a CRC is found wherever it is.
    #[test]
    fn any_changed_byte_is_found() {
        for at in 0..NL5.len() - 2 {
            let mut changed = NL5.to_vec();
            changed[at] ^= 1;
            assert!(read_one(&changed).is_err(), "byte {at}");
        }
    }

    /// A dialect that has a CRC must have it; what is wrong in one that has none is named by its line.
    #[test]
    fn what_is_wrong_is_named() {
        let cut = |text: &[u8]| text[..text.iter().rposition(|byte| *byte == b'!').unwrap()].to_vec();
        let with = |text: &[u8], end: &str| [&cut(text)[..], end.as_bytes()].concat();
        assert_eq!(read_one(&with(NL5, "!\r\n")), Err(TelegramError::NoCrc));
        assert_eq!(read_one(&with(NL5, "!1FB\r\n")), Err(TelegramError::NotCrc("1FB".into())));
        assert_eq!(read_one(&cut(NL5)), Err(TelegramError::Cut));
        assert_eq!(read_one(&[&D0[..20], &[0xff], &D0[20..]].concat()), Err(TelegramError::NotText));
        let edit = |from: &str, to: &str| std::str::from_utf8(D0).unwrap().replace(from, to);
        for (from, to, message) in [
            (
                "012345.6789*kWh",
                "012345.6789",
                "line 4: expected an energy, for example `000123.456*kWh`; found `012345.6789`",
            ),
            (
                "012345.6789*kWh",
                "012345.6789*kW",
                "line 4: expected an energy, for example `000123.456*kWh`; found `012345.6789*kW`",
            ),
            (
                "012345.6789*kWh",
                "0123x5.6789*kWh",
                "line 4: expected an energy, for example `000123.456*kWh`; found `0123x5.6789*kWh`",
            ),
            (
                "012345.6789*kWh",
                "-12345.6789*kWh",
                "line 4: expected an energy, for example `000123.456*kWh`; found `-12345.6789*kWh`",
            ),
            ("2.8.0", "1.8.0", "line 5: the register 1.8.0 is there twice"),
            (
                "1.8.0",
                "1.7.0",
                "expected an import register, 1.8.0 or 1.8.1 and so on; found none in the telegram",
            ),
            (
                "1-0:1.8.0",
                "0-1:1.8.0",
                "expected an import register, 1.8.0 or 1.8.1 and so on; found none in the telegram",
            ),
            (
                "1.8.0*255",
                "1.8.0*01",
                "expected an import register, 1.8.0 or 1.8.1 and so on; found none in the telegram",
            ),
            (
                "1-0:16.7.0*255",
                "0-0:1.0.0",
                "line 6: expected a time, for example `261122060000W`; found `000450*W`",
            ),
        ] {
            assert_eq!(read_one(edit(from, to).as_bytes()).unwrap_err().to_string(), message);
        }
        assert_eq!(read_one(edit("1-0:1.8.0*255", "1.8.0").as_bytes()).unwrap().import, wh("12345678.9"));
    }

    /// The total is used where there is one, else the tariffs' sum: never both.
    #[test]
    fn totals_are_not_added_to_their_parts() {
        let text = |lines: &str| format!("/X\r\n\r\n{lines}!\r\n");
        let both = "1-0:1.8.0(5*kWh)\r\n1-0:1.8.1(2*kWh)\r\n1-0:1.8.2(3*kWh)\r\n";
        assert_eq!(read_one(text(both).as_bytes()).unwrap().import, wh("5000"));
        let four = "1.8.1(1*kWh)\r\n1.8.2(2*kWh)\r\n1.8.3(3*kWh)\r\n1.8.4(4000*Wh)\r\n";
        assert_eq!(read_one(text(four).as_bytes()).unwrap().import, wh("10000"));
    }

    /// Electricity in another channel than 0 is read where there is none in 0; of several, none is chosen.
    #[test]
    fn channels_are_kept_apart() {
        let text = |lines: &str| format!("/X\r\n\r\n{lines}!\r\n");
        let import = |lines: &str| read_one(text(lines).as_bytes()).map(|read| read.import);
        assert!(import("1-1:1.8.0(5*kWh)\r\n") == Ok(wh("5000")));
        assert!(import("1-1:1.8.0(5*kWh)\r\n1-0:1.8.0(2*kWh)\r\n") == Ok(wh("2000")));
        assert!(import("1-1:1.8.0(5*kWh)\r\n1-2:1.8.0(2*kWh)\r\n") == Err(TelegramError::Channels(1, 2)));
        assert!(import("0-1:1.8.0(5*kWh)\r\n") == Err(TelegramError::NoImport));
    }

    /// A telegram whose sum has another tariff more or less is left out: it would be energy that nobody used.
    #[test]
    fn other_tariffs_are_another_sum() {
        let text = |lines: &str| format!("/X\r\n\r\n{lines}!\r\n");
        let one = text("1-0:1.8.1(100*kWh)\r\n");
        let both = text("1-0:1.8.2(5*kWh)\r\n1-0:1.8.1(100*kWh)\r\n");
        let total = text("1-0:1.8.0(105*kWh)\r\n1-0:1.8.1(100*kWh)\r\n");
        for (first, other, names) in [
            (&one, &both, ["found 1.8.1, 1.8.2.", "registers 1.8.1,"]),
            (&both, &one, ["found 1.8.1.", "registers 1.8.1, 1.8.2,"]),
        ] {
            let mut reader = Reader::new(Offset::constant(1));
            assert!(reader.read(first.as_bytes(), NOW).is_ok());
            let error = reader.read(other.as_bytes(), NOW).unwrap_err().to_string();
            assert!(names.iter().all(|name| error.contains(name)), "{error}");
            assert!(reader.read(total.as_bytes(), NOW).is_err());
            assert!(reader.read(first.as_bytes(), NOW).is_ok());
        }
    }

    /// Summer and winter are as the telegram states; the hour that comes twice is two hours.
    #[test]
    fn seasons_are_the_telegrams() {
        let standard = Offset::constant(1);
        let (summer, winter) =
            (clock("261025023000S", standard).unwrap(), clock("261025023000W", standard).unwrap());
        assert_eq!(winter.since(summer), 3_600);
        for bad in ["", "261025023000", "261325023000W", "2610250230é0W", "261025023000X", "261025023000WW"]
        {
            assert_eq!(clock(bad, standard), None, "{bad}");
        }
    }

    /// A stream may begin in the middle of a telegram, break one off, and be cut into any pieces.
    #[test]
    fn telegrams_are_cut_out_of_a_stream() {
        let stream = [&NL5[300..], NL22, &BE[..200], D0, SE, b"noise\r\n", &NL5[..100]].concat();
        for size in [1, 2, 7, 64, 10_000] {
            let mut telegrams = Telegrams::default();
            let mut found: Vec<_> =
                stream.chunks(size).flat_map(|chunk| telegrams.cut(Some(chunk))).collect();
            found.extend(telegrams.cut(None));
            let wanted = [
                Ok(NL22.to_vec()),
                Err(TelegramError::Cut),
                Ok(D0.to_vec()),
                Ok(SE.to_vec()),
                Err(TelegramError::Cut),
            ];
            assert_eq!(found, wanted, "pieces of {size}");
        }
        let mut telegrams = Telegrams::default();
        assert_eq!(
            telegrams.cut(Some(&[b"/".as_slice(), &[b'x'; LONGEST]].concat())),
            [Err(TelegramError::TooLong)]
        );
        assert_eq!(telegrams.cut(Some(D0)), [Ok(D0.to_vec())]);
        let unended = &D0[..D0.len() - 2];
        assert_eq!(telegrams.cut(Some(unended)), []);
        assert_eq!(telegrams.cut(None).len(), 1);
    }

    proptest! {
        /// No bytes whatever make it panic, and what has no CRC yields no energy but what stands there.
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0..600_usize) {
            let mut telegrams = Telegrams::default();
            let mixed = [&NL22[..at.min(NL22.len())], &bytes[..], b"\n!\r\n"].concat();
            for telegram in telegrams.cut(Some(&mixed)).into_iter().chain(telegrams.cut(None)).flatten() {
                drop(read_one(&telegram));
            }
        }
    }
}
