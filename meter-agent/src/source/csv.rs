//! Load data from a CSV file: a column of times, and one column of energies or of registers a home.
//!
//! Nothing is guessed: an empty cell, a repeated or missing interval, a number that is none is rejected with its line
//! and column. Where a register may be missing ([`Format::allow_missing`]), what was used over the gap is in the next one.
//! An hour that comes twice must then be there twice and whole, or have offsets.

use std::io::{Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use protocol::unit::{MAX_REGISTER_WH, MAX_SLOT_WH, Register, Slot, SlotLength, WattHours};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::{Deserialize, Serialize};

use super::series::Series;
use crate::measurement::Unit;
use crate::reading::Reading;

/// What the cells of a file are.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Format {
    /// Energies of the intervals that begin at the times, or registers read at the times.
    pub quantity: CellQuantity,
    /// `Wh` or `kWh`.
    pub unit: Unit,
    /// The zone of times without an offset, for example `Europe/Berlin`; without it every time needs an offset.
    pub zone: Option<String>,
    /// Registers may be missing: what was used over the gap is billed by the registers' difference.
    pub allow_missing: bool,
}

/// What a cell is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CellQuantity {
    /// The energy of an interval; the times' column is `interval_start`.
    #[default]
    Energy,
    /// The cumulative register at a time; the times' column is `time`.
    Register,
}

impl Default for Format {
    fn default() -> Self {
        Self { quantity: CellQuantity::Energy, unit: Unit::Wh, zone: None, allow_missing: false }
    }
}

/// The registers of a home.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Readings {
    /// Those that there are.
    pub readings: Vec<Reading>,
    /// How many are missing between the first and the last.
    pub missing: usize,
}

/// Why a file of load data was rejected.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The file can't be read.
    #[error("cannot read {}", _0.display())]
    Open(PathBuf, #[source] std::io::Error),
    /// A header that is not `interval_start,NAME,…`.
    #[error(
        "line 1: expected the header `{wanted}` and then one name a home, separated by commas; found {found}"
    )]
    Header {
        /// The first column's name that was wanted.
        wanted: &'static str,
        /// What was found.
        found: String,
    },
    /// A line that can't be read, or a cell of it.
    #[error("line {line}{}: {reason}", column.as_ref().map(|name| format!(", column {name}")).unwrap_or_default())]
    Line {
        /// The line, from 1.
        line: u64,
        /// The column, if the reason is a cell.
        column: Option<String>,
        /// What was expected and found.
        reason: String,
    },
    /// No such home: its name, and those that there are.
    #[error("expected a column `{0}`; found {1}")]
    Column(String, String),
    /// No such zone.
    #[error("expected a time zone, for example `Europe/Berlin`; found `{0}`")]
    Zone(String),
    /// A unit that is neither.
    #[error("expected the unit Wh or kWh; found {0:?}")]
    Unit(Unit),
    /// Fewer than two rows: the interval is unknown.
    #[error("expected at least two rows; found {0}")]
    Short(usize),
}

impl CsvError {
    fn cell(line: u64, column: &str, reason: String) -> Self {
        Self::Line { line, column: Some(column.to_owned()), reason }
    }
}

/// Reads every home's integer watt-hours of a file.
///
/// # Errors
///
/// [`CsvError`].
pub fn read_file(path: &Path) -> Result<Vec<Series>, CsvError> {
    read_energies(open(path)?, &Format::default())
}

/// Whether a file's last line has no end, as one that was cut off.
///
/// # Errors
///
/// [`CsvError::Open`].
pub fn ends_within_a_line(path: &Path) -> Result<bool, CsvError> {
    let refused = |error| CsvError::Open(path.into(), error);
    let mut file = std::fs::File::open(path).map_err(refused)?;
    if !file.metadata().map_err(refused)?.is_file() || file.seek(SeekFrom::End(0)).map_err(refused)? == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(refused)?;
    Ok(last != *b"\n")
}

/// Opens a file.
///
/// # Errors
///
/// [`CsvError::Open`].
pub fn open(path: &Path) -> Result<impl Read, CsvError> {
    let file = std::fs::File::open(path).map_err(|error| CsvError::Open(path.into(), error))?;
    Ok(std::io::BufReader::new(file))
}

/// Reads every home's energies of CSV text.
///
/// # Errors
///
/// [`CsvError`].
pub fn read_energies(text: impl Read, format: &Format) -> Result<Vec<Series>, CsvError> {
    let table = Table::read(text, "interval_start", format)?;
    let (start, slot) = intervals(&table.rows)?;
    // a cell of kWh may have parts of a watt-hour: the whole ones of the sum are what counts
    let mut sums: Vec<(Decimal, i64)> = vec![(Decimal::ZERO, 0); table.names.len()];
    let mut columns: Vec<Vec<WattHours>> = vec![Vec::new(); table.names.len()];
    for row in &table.rows {
        for (((cell, name), column), (exact, whole)) in
            row.cells().zip(&table.names).zip(&mut columns).zip(&mut sums)
        {
            *exact += energy(row.line, name, cell, format.unit)?;
            let next = exact.floor().to_i64().unwrap_or(i64::MAX);
            column.push(WattHours(next - *whole));
            *whole = next;
        }
    }
    let series = |(name, energies)| Series { name, start, slot, energies };
    Ok(table.names.into_iter().zip(columns).map(series).collect())
}

/// Reads one home's registers of CSV text; each has to be of a slot's start.
///
/// # Errors
///
/// [`CsvError`].
pub fn read_registers(
    text: impl Read,
    column: &str,
    slot: SlotLength,
    format: &Format,
) -> Result<Readings, CsvError> {
    let table = Table::read(text, "time", format)?;
    let Some(index) = table.names.iter().position(|name| name == column) else {
        return Err(no_column(column, &table.names));
    };
    let refused = |line, reason| CsvError::cell(line, column, reason);
    if format.allow_missing || table.rows.iter().all(|row| row.twice > 0) {
        whole_nights(&table.rows, slot)?;
    }
    let mut readings: Vec<Reading> = Vec::new();
    let (mut before, mut above): (Option<&Row>, u64) = (None, 0);
    for row in &table.rows {
        let at = row.slot(slot)?;
        if let Some(before) = before {
            follows(before, row, slot, format.allow_missing)?;
        }
        before = Some(row);
        let cell = row.cells().nth(index).unwrap_or_default().trim();
        if cell.is_empty() {
            if format.allow_missing {
                continue;
            }
            let reason = "expected a register; found an empty cell. To bill the gap by the registers' difference, set \
                          format.allow_missing = true";
            return Err(refused(row.line, reason.to_owned()));
        }
        let register = register(cell, format.unit).ok_or_else(|| {
            let (name, cell) = (unit_name(format.unit), short(cell));
            refused(row.line, format!("expected a register in {name}; found `{cell}`"))
        })?;
        if let Some(last) = readings.last() {
            let (was, is) = (last.register.watt_hours(), register.watt_hours());
            let slots = u64::from(at.0 - last.at.0);
            let most = slots.saturating_mul(MAX_SLOT_WH.unsigned_abs());
            if is < was {
                let by = was - is;
                let reason = format!(
                    "the register is {by} Wh below the one of line {above}. Was the meter reset or swapped? End the file before \
                     this line and replay it. Then type: meter-agent rebase --config FILE (see --help for a swap). Then replay \
                     the rest as a file of its own"
                );
                return Err(refused(row.line, reason));
            }
            if is - was > most {
                let by = is - was;
                let reason = format!(
                    "the register is {by} Wh above the one of line {above}; expected at most {most} Wh in {slots} slots. If it \
                     is an error, correct the file. If the energy was used, end the file before this line and replay it. Then \
                     replay the rest as a file of its own: the agent reports the jump. Then stop the agent, type: meter-agent \
                     rebase --config FILE --jump-is-real, and replay the rest again"
                );
                return Err(refused(row.line, reason));
            }
        }
        above = row.line;
        readings.push(Reading::new(at, register));
    }
    let [first, .., last] = readings[..] else { return Err(CsvError::Short(readings.len())) };
    let slots = (last.at.0 - first.at.0) as usize + 1;
    Ok(Readings { missing: slots - readings.len(), readings })
}

/// The error for a home that is not there.
pub(crate) fn no_column(wanted: &str, names: &[String]) -> CsvError {
    CsvError::Column(wanted.to_owned(), names.join(", "))
}

struct Table {
    names: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    line: u64,
    /// The name of the times' column.
    column: &'static str,
    /// Unix time.
    at: i64,
    /// The length in seconds of the hour that comes twice, if the row's local time is in one; else 0.
    twice: i64,
    record: StringRecord,
}

impl Row {
    fn cells(&self) -> impl Iterator<Item = &str> {
        self.record.iter().skip(1)
    }

    fn refused(&self, reason: String) -> CsvError {
        CsvError::cell(self.line, self.column, reason)
    }

    fn slot(&self, length: SlotLength) -> Result<Slot, CsvError> {
        let seconds = i64::from(length.seconds());
        let number = u32::try_from(self.at / seconds).ok().filter(|_| self.at % seconds == 0 && self.at >= 0);
        let off = || {
            self.refused(format!(
                "expected a slot's start, at a multiple of {seconds} s of UTC; found another time"
            ))
        };
        number.map(Slot).ok_or_else(off)
    }
}

impl Table {
    fn read(text: impl Read, times: &'static str, format: &Format) -> Result<Self, CsvError> {
        let zone = match &format.zone {
            Some(name) => Some(TimeZone::get(name).map_err(|_| CsvError::Zone(name.clone()))?),
            None => None,
        };
        if !matches!(format.unit, Unit::Wh | Unit::KWh) {
            return Err(CsvError::Unit(format.unit));
        }
        let mut reader = csv::Reader::from_reader(text);
        let header = reader.headers().map_err(|error| row_error(&error))?.clone();
        one_line(1, &header)?;
        let names = names(&header, times)?;
        let mut rows: Vec<Row> = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| row_error(&error))?;
            let line = record.position().map_or(0, csv::Position::line);
            one_line(line, &record)?;
            let cell = record.get(0).unwrap_or_default().trim();
            let before = rows.last().map(|row| row.at);
            let parsed = time(cell, zone.as_ref(), before);
            let (at, twice) = parsed.map_err(|reason| CsvError::cell(line, times, reason))?;
            rows.push(Row { line, column: times, at, twice, record });
        }
        Ok(Self { names, rows })
    }
}

fn names(header: &StringRecord, times: &'static str) -> Result<Vec<String>, CsvError> {
    let first = header.get(0).unwrap_or_default();
    let names: Vec<String> = header.iter().skip(1).map(|name| name.trim().to_owned()).collect();
    let refused = |found: String| CsvError::Header { wanted: times, found };
    if first.trim() != times || names.is_empty() {
        let found = if header.is_empty() { "nothing".to_owned() } else { format!("`{}`", short(first)) };
        return Err(refused(found));
    }
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(refused(format!("no name in column {}", index + 2)));
        }
        if names[..index].contains(name) {
            return Err(refused(format!("`{}` twice", short(name))));
        }
    }
    Ok(names)
}

/// A quote that is left open makes one cell of all that follows it, in whichever column it is.
fn one_line(line: u64, record: &StringRecord) -> Result<(), CsvError> {
    let broken = record.iter().position(|cell| cell.contains(['\n', '\r']));
    let Some(index) = broken else { return Ok(()) };
    let reason =
        format!("the cell in column {} continues on the next line. Is a quote left open in it?", index + 1);
    Err(CsvError::Line { line, column: None, reason })
}

fn row_error(error: &csv::Error) -> CsvError {
    let line = error.position().map_or(1, csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("expected {expected_len} cells, as in the header; found {len}")
        }
        csv::ErrorKind::Utf8 { .. } => "expected text in UTF-8; found other bytes".to_owned(),
        _ => format!("cannot read the row: {error}"),
    };
    CsvError::Line { line, column: None, reason }
}

/// The Unix time of a cell, and the length of the hour that comes twice that it is in.
fn time(cell: &str, zone: Option<&TimeZone>, before: Option<i64>) -> Result<(i64, i64), String> {
    if let Ok(time) = cell.parse::<jiff::Timestamp>() {
        return Ok((time.as_second(), 0));
    }
    let found = short(cell);
    let Some(zone) = zone else {
        let hint = match cell.parse::<DateTime>() {
            Ok(_) => ". If it is local time, set format.zone, for example to \"Europe/Berlin\"",
            Err(_) => "",
        };
        return Err(format!(
            "expected a time with an offset, for example 2026-01-31T23:45:00+01:00; found `{found}`{hint}"
        ));
    };
    let local: DateTime = cell.parse().map_err(|_| {
        format!("expected a time, for example 2026-01-31T23:45:00 or 2026-01-31 23:45; found `{found}`")
    })?;
    let second = |offset: jiff::tz::Offset| {
        let time = offset.to_timestamp(local).map_err(|error| format!("cannot read `{found}`: {error}"))?;
        Ok::<i64, String>(time.as_second())
    };
    match zone.to_ambiguous_zoned(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => Ok((second(offset)?, 0)),
        AmbiguousOffset::Fold { before: summer, after: winter } => {
            // the hour that comes twice: in summer time, until the rows have been there
            let (first, again) = (second(summer)?, second(winter)?);
            Ok((if before.is_some_and(|before| before >= first) { again } else { first }, again - first))
        }
        AmbiguousOffset::Gap { .. } => {
            let name = zone.iana_name().unwrap_or("this zone");
            Err(format!(
                "{local} does not exist in {name}: the clocks went forward then. Is it the time of another zone?"
            ))
        }
    }
}

fn energy(line: u64, column: &str, cell: &str, unit: Unit) -> Result<Decimal, CsvError> {
    let cell = cell.trim();
    let refused = |reason| CsvError::cell(line, column, reason);
    if cell.is_empty() {
        let reason = "expected an energy; found an empty cell. Fill it in, or replay the meter's registers \
                      (format.quantity = \"register\")";
        return Err(refused(reason.to_owned()));
    }
    let most = Decimal::from(MAX_SLOT_WH);
    let parsed = number(cell, unit).filter(|energy| (Decimal::ZERO..=most).contains(energy));
    parsed.ok_or_else(|| {
        let wanted = match unit {
            Unit::Wh => format!("a whole number of watt-hours from 0 to {MAX_SLOT_WH}"),
            _ => format!("a number of kilowatt-hours from 0 to {}", most / Decimal::from(1_000)),
        };
        refused(format!("expected {wanted}; found `{}`", short(cell)))
    })
}

fn register(cell: &str, unit: Unit) -> Option<Register> {
    let exact = number(cell, unit).filter(|register| *register <= Decimal::from(MAX_REGISTER_WH))?;
    Register::try_from(exact.floor().to_u64()?).ok()
}

/// A number in watt-hours; those of the unit `Wh` have no decimals.
fn number(cell: &str, unit: Unit) -> Option<Decimal> {
    let digits = |byte: u8| byte.is_ascii_digit() || (byte == b'.' && unit != Unit::Wh);
    let number: Decimal = cell.parse().ok().filter(|_| cell.bytes().all(digits))?;
    unit.to_base(number)
}

fn unit_name(unit: Unit) -> &'static str {
    if unit == Unit::Wh { "whole Wh" } else { "kWh" }
}

fn short(cell: &str) -> String {
    cell.chars().take(40).collect()
}

/// The first slot and the slot length; every row must follow the one before by exactly one interval.
fn intervals(rows: &[Row]) -> Result<(Slot, SlotLength), CsvError> {
    let [first, second, ..] = rows else { return Err(CsvError::Short(rows.len())) };
    let length =
        u32::try_from(second.at - first.at).ok().and_then(|seconds| SlotLength::try_from(seconds).ok());
    let slot = length.ok_or_else(|| {
        let reason = match second.at - first.at {
            ..=0 => disorder(second.at - first.at),
            seconds => format!("expected an interval of 900, 1800 or 3600 s; found {seconds} s"),
        };
        second.refused(reason)
    })?;
    for pair in rows.windows(2) {
        follows(&pair[0], &pair[1], slot, false)?;
    }
    if rows.iter().all(|row| row.twice > 0) {
        whole_nights(rows, slot)?;
    }
    Ok((first.slot(slot)?, slot))
}

/// Where rows may be missing, a local time in an hour that comes twice is clear only if both are whole.
fn whole_nights(rows: &[Row], slot: SlotLength) -> Result<(), CsvError> {
    let slot = i64::from(slot.seconds());
    for night in rows.chunk_by(|before, row| before.twice > 0 && row.twice > 0) {
        let (first, wanted) = (&night[0], 2 * night[0].twice / slot);
        if wanted > 0 && usize::try_from(wanted) != Ok(night.len()) {
            return Err(first.refused(format!(
                "the time is in an hour that comes twice that night: expected {wanted} rows of it, found {}. As rows may be \
                 missing, it is unclear which hour this is. Write these times with their offset, for example \
                 2026-10-25T02:45:00+01:00",
                night.len()
            )));
        }
    }
    Ok(())
}

fn follows(before: &Row, row: &Row, slot: SlotLength, may_skip: bool) -> Result<(), CsvError> {
    let seconds = i64::from(slot.seconds());
    let elapsed = row.at - before.at;
    if elapsed == seconds || (may_skip && elapsed > 0) {
        return Ok(());
    }
    let missing = elapsed - seconds;
    let reason = match elapsed {
        ..=0 => disorder(elapsed),
        elapsed if elapsed % seconds != 0 => {
            format!("expected an interval of {seconds} s, as before; found {elapsed} s")
        }
        _ if before.twice > 0 => {
            format!(
                "{missing} s are missing before it. The clocks went back then, so that hour must be there twice"
            )
        }
        _ => format!("{missing} s are missing before it. Intervals are {seconds} s"),
    };
    Err(row.refused(reason))
}

/// What is wrong with a time that is not after the one of the line before.
fn disorder(elapsed: i64) -> String {
    if elapsed == 0 { "the time is there twice" } else { "the time is before that of the line before" }
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shipped homes have the totals of an independent count.
    #[test]
    fn reads_the_real_homes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/fontana13_load_wh_60min_4w.csv");
        let homes = read_file(&path).unwrap();
        assert_eq!(homes.len(), 13);
        assert_eq!(homes.iter().map(|home| home.total().0).sum::<i64>(), 12_838_123);
        assert_eq!(homes[0].energies.len(), 672);
        assert_eq!((homes[0].start, homes[0].slot.seconds()), (Slot(408_344), 3_600));
    }

    /// Parts of a watt-hour are not lost: the whole ones of the sum count.
    #[test]
    fn kilowatt_hours_add_up() {
        let format = Format { unit: Unit::KWh, ..Format::default() };
        let text = "interval_start,a\n2026-01-01T00:00Z,0.0004\n2026-01-01T01:00Z,0.0004\n2026-01-01T02:00Z,1.0004\n";
        let homes = read_energies(text.as_bytes(), &format).unwrap();
        assert_eq!(homes[0].energies, [WattHours(0), WattHours(0), WattHours(1_001)]);
    }

    /// A local day of 25 hours has 25 slots, one of 23 hours 23.
    #[test]
    fn local_days_have_their_slots() {
        let format = Format { zone: Some("Europe/Berlin".into()), ..Format::default() };
        let day = |date: &str, hours: &[u32]| {
            let rows: Vec<String> = hours.iter().map(|hour| format!("{date} {hour:02}:00,1\n")).collect();
            let rows = rows.concat();
            read_energies(format!("interval_start,a\n{rows}").as_bytes(), &format).unwrap().remove(0)
        };
        let autumn: Vec<u32> = [0, 1, 2, 2].into_iter().chain(3..24).collect();
        let spring: Vec<u32> = [0, 1].into_iter().chain(3..24).collect();
        assert_eq!(day("2026-10-25", &autumn).energies.len(), 25);
        assert_eq!(day("2026-03-29", &spring).energies.len(), 23);
    }

    /// Registers may be missing where that is allowed; what was used meanwhile is in the next one.
    #[test]
    fn missing_registers_are_counted() {
        let slot = SlotLength::try_from(900).unwrap();
        let format = Format {
            quantity: CellQuantity::Register,
            unit: Unit::KWh,
            allow_missing: true,
            ..Format::default()
        };
        let text = "time,a,b\n2026-01-01T00:00Z,,7\n2026-01-01T00:15Z,1.5,\n2026-01-01T00:30Z,,\n2026-01-01T01:15Z,2.0019,\n";
        let read = read_registers(text.as_bytes(), "a", slot, &format).unwrap();
        let shown: Vec<_> = read.readings.iter().map(|r| (r.at.0 % 96, r.register.watt_hours())).collect();
        assert_eq!((shown, read.missing), (vec![(1, 1_500), (5, 2_001)], 3));
        assert!(matches!(read_registers(text.as_bytes(), "b", slot, &format), Err(CsvError::Short(1))));
    }

    /// Where rows may be missing, an hour that comes twice is both hours or none: a row of it is not put into one of them.
    #[test]
    fn an_hour_that_comes_twice_is_not_guessed() {
        let slot = SlotLength::try_from(900).unwrap();
        let format = Format {
            quantity: CellQuantity::Register,
            zone: Some("Europe/Berlin".into()),
            allow_missing: true,
            ..Format::default()
        };
        let read = |times: &[&str]| {
            let rows: Vec<String> =
                times.iter().zip(1..).map(|(time, wh)| format!("{time},{wh}\n")).collect();
            read_registers(format!("time,a\n{}", rows.concat()).as_bytes(), "a", slot, &format)
        };
        let hour = ["02:00", "02:15", "02:30", "02:45"].map(|time| format!("2026-10-25 {time}"));
        let hour = hour.each_ref().map(String::as_str);
        let [first, second, third, last] = hour;
        let whole = [&["2026-10-25 01:45"][..], &hour, &hour, &["2026-10-25 03:00"]].concat();
        assert_eq!(read(&whole).unwrap().missing, 0);
        for (times, line, rows) in [
            (vec![last, first, second], 2, 3),
            (vec!["2026-10-25 01:45", first, second, second, third, last, "2026-10-25 03:00"], 3, 5),
            (hour.to_vec(), 2, 4),
        ] {
            let error = read(&times).unwrap_err().to_string();
            let wanted = format!(
                "line {line}, column time: the time is in an hour that comes twice that night: expected 8 rows of it, found \
                 {rows}."
            );
            assert!(error.starts_with(&wanted), "{error}");
        }
        assert!(read(&["2026-10-25T02:45+01:00", "2026-10-25 03:00"]).is_ok());
        let strict = Format { allow_missing: false, quantity: CellQuantity::Energy, ..format };
        let text = hour.map(|time| format!("{time},1\n")).concat();
        assert!(read_energies(format!("interval_start,a\n{text}").as_bytes(), &strict).is_err());
    }

    /// A file's unit is Wh or kWh, as its errors say.
    #[test]
    fn other_units_are_refused() {
        for unit in [Unit::MWh, Unit::W, Unit::KW] {
            let format = Format { unit, ..Format::default() };
            assert!(matches!(read_energies(&b"interval_start,a\n"[..], &format), Err(CsvError::Unit(_))));
        }
    }
}
