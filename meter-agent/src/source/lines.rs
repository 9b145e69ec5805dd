//! One JSON object a line: what one's own script prints.
//!
//! ```json
//! {"time": "2026-01-31T23:45:00+01:00", "register_kwh": 12345.678, "export_kwh": 17.5, "device": "1EMH0012345678"}
//! {"time": 1769899500, "energy_wh": 212, "seconds": 900}
//! ```
//!
//! `register_…` is cumulative, `energy_…` that of the `seconds` before `time`, and `export_…` of the same kind. Numbers are
//! exact up to 15 digits; longer ones are put in quotes.

use protocol::unit::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;

use crate::measurement::{Measurement, Quantity, Unit};

/// The longest line.
const LONGEST: usize = 4 << 10;

/// A line that was left out.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {0}: {1}")]
pub struct LineError(u64, LineFault);

/// Why a line was left out.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LineFault {
    /// Not such an object.
    #[error("expected a reading as a JSON object; {0}")]
    Shape(String),
    /// Not one quantity.
    #[error("expected one of register_wh, register_kwh, energy_wh, energy_kwh; found {0} of them")]
    Quantity(usize),
    /// Both exports.
    #[error("expected at most one of export_wh, export_kwh; found both")]
    Export,
    /// An interval without a length, or a register with one.
    #[error("expected `seconds`, 1 to 86400, with energy_… and only there: it is the length of the interval")]
    Seconds,
    /// A number that is none.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// A time that is none.
    #[error(
        "expected a time with an offset, for example \"2026-01-31T23:45:00+01:00\", or Unix time in seconds; found `{0}`"
    )]
    Time(String),
    /// A line without an end.
    #[error("expected at most {LONGEST} bytes; found more")]
    TooLong,
}

/// Not a number that can be read exactly.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NumberError {
    /// No number.
    #[error("expected a number, for example 12345.678; found `{0}`")]
    Not(String),
    /// One that JSON's readers round.
    #[error("`{0}` has more than 15 digits, and JSON readers keep no more. Put it in quotes")]
    Long(String),
}

/// A number of JSON, or one in quotes, exactly.
///
/// # Errors
///
/// [`NumberError`].
pub fn exact(value: &Value) -> Result<Decimal, NumberError> {
    let (text, most) = match value {
        // up to 15 digits a double gives back as they were [IEEE 754, DBL_DIG]
        Value::Number(number) => (number.to_string(), if number.is_f64() { 15 } else { 28 }),
        Value::String(text) => (text.trim().to_owned(), 28),
        other => return Err(NumberError::Not(other.to_string().chars().take(40).collect())),
    };
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').count();
    let shown = || text.chars().take(40).collect();
    if digits > most {
        return Err(NumberError::Long(shown()));
    }
    let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-'));
    let number = if plain { text.parse().ok() } else { Decimal::from_scientific(&text).ok() };
    number.ok_or_else(|| NumberError::Not(shown()))
}

/// A time of JSON: RFC 3339 with an offset, or Unix time in seconds.
pub fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => number.as_u64().map(Timestamp),
        Value::String(text) => {
            let time: jiff::Timestamp = text.parse().ok()?;
            u64::try_from(time.as_second()).ok().map(Timestamp)
        }
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    time: Value,
    register_wh: Option<Value>,
    register_kwh: Option<Value>,
    energy_wh: Option<Value>,
    energy_kwh: Option<Value>,
    seconds: Option<u32>,
    export_wh: Option<Value>,
    export_kwh: Option<Value>,
    device: Option<String>,
}

/// Reads a line.
///
/// # Errors
///
/// [`LineFault`].
pub fn read(line: &str) -> Result<Measurement, LineFault> {
    let fields: Fields = serde_json::from_str(line).map_err(|error| LineFault::Shape(error.to_string()))?;
    let at = time(&fields.time)
        .ok_or_else(|| LineFault::Time(fields.time.to_string().chars().take(40).collect()))?;
    let given: Vec<(bool, Unit, &Value)> = [
        (true, Unit::Wh, &fields.register_wh),
        (true, Unit::KWh, &fields.register_kwh),
        (false, Unit::Wh, &fields.energy_wh),
        (false, Unit::KWh, &fields.energy_kwh),
    ]
    .into_iter()
    .filter_map(|(register, unit, value)| Some((register, unit, value.as_ref()?)))
    .collect();
    let [(register, unit, value)] = given[..] else { return Err(LineFault::Quantity(given.len())) };
    let quantity = |unit: Unit, value: &Value| {
        let number = exact(value)?;
        let base = unit.to_base(number).ok_or_else(|| NumberError::Not(number.to_string()))?;
        match (register, fields.seconds) {
            (true, None) => Ok(Quantity::Register(base)),
            (false, Some(seconds @ 1..=86_400)) => Ok(Quantity::Energy { energy: base, seconds }),
            _ => Err(LineFault::Seconds),
        }
    };
    let import = quantity(unit, value)?;
    let export = match (&fields.export_wh, &fields.export_kwh) {
        (None, None) => None,
        (Some(value), None) => Some(quantity(Unit::Wh, value)?),
        (None, Some(value)) => Some(quantity(Unit::KWh, value)?),
        (Some(_), Some(_)) => return Err(LineFault::Export),
    };
    Ok(Measurement { at, import, export, device: fields.device })
}

/// Cuts lines out of a stream of bytes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    number: u64,
    /// The rest of a line that was too long.
    skipping: bool,
}

impl Lines {
    /// Decodes the lines that end in some bytes, or at the end; empty lines are skipped.
    pub(super) fn decode(&mut self, bytes: Option<&[u8]>) -> Vec<Result<Measurement, LineError>> {
        let mut results = Vec::new();
        for byte in bytes.unwrap_or(b"\n") {
            if *byte != b'\n' {
                if self.bytes.len() < LONGEST {
                    self.bytes.push(*byte);
                } else {
                    self.skipping = true;
                }
                continue;
            }
            self.number += 1;
            let line = std::mem::take(&mut self.bytes);
            let result = if std::mem::take(&mut self.skipping) {
                Err(LineFault::TooLong)
            } else {
                // some editors and shells begin a file with a byte order mark
                let line = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| self.number == 1).unwrap_or(&line);
                match std::str::from_utf8(line).map(str::trim) {
                    Ok("") => continue,
                    Ok(line) => read(line),
                    Err(_) => Err(LineFault::Shape("the text is not UTF-8".to_owned())),
                }
            };
            results.push(result.map_err(|fault| LineError(self.number, fault)));
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Registers and energies in either unit, times in either form, numbers to the last digit.
    #[test]
    fn reads_lines_exactly() {
        let line =
            r#"{"time":"2026-11-22T06:00:00+01:00","register_kwh":12345.6789,"export_wh":"17","device":"x"}"#;
        let read_line = read(line).unwrap();
        assert_eq!((read_line.at, read_line.device.as_deref()), (Timestamp(1_795_323_600), Some("x")));
        assert!(read_line.import == Quantity::Register("12345678.9".parse().unwrap()));
        assert!(read_line.export == Some(Quantity::Register(17.into())));
        let read_line = read(r#"{"time":1795323600,"energy_wh":0.1,"seconds":900}"#).unwrap();
        assert!(read_line.import == Quantity::Energy { energy: "0.1".parse().unwrap(), seconds: 900 });
        for (text, wanted) in [
            ("1e3", "1000"),
            ("0.000123", "0.000123"),
            ("1.5E-2", "0.015"),
            ("123456789012.345", "123456789012.345"),
        ] {
            let line = format!(r#"{{"time":1,"register_wh":{text}}}"#);
            assert!(read(&line).unwrap().import == Quantity::Register(wanted.parse().unwrap()), "{text}");
        }
    }

    /// What is wrong is reported.
    #[test]
    fn what_is_wrong_is_reported() {
        for (line, message) in [
            (
                "7",
                "expected a reading as a JSON object; invalid type: integer `7`, expected struct Fields at line 1 column 1",
            ),
            (
                r#"{"time":1,"#,
                "expected a reading as a JSON object; EOF while parsing a value at line 1 column 10",
            ),
            (
                r#"{"time":1,"wh":5}"#,
                "expected a reading as a JSON object; unknown field `wh`, expected one of `time`, `register_wh`, `register_kwh`, `energy_wh`, \
                 `energy_kwh`, `seconds`, `export_wh`, `export_kwh`, `device` at line 1 column 14",
            ),
            (
                r#"{"time":1}"#,
                "expected one of register_wh, register_kwh, energy_wh, energy_kwh; found 0 of them",
            ),
            (
                r#"{"time":1,"register_wh":1,"energy_wh":1}"#,
                "expected one of register_wh, register_kwh, energy_wh, energy_kwh; found 2 of them",
            ),
            (
                r#"{"register_wh":1}"#,
                "expected a reading as a JSON object; missing field `time` at line 1 column 17",
            ),
            (
                r#"{"time":"2026-11-22T06:00:00","register_wh":1}"#,
                "expected a time with an offset, for example \"2026-01-31T23:45:00+01:00\", or Unix time in seconds; found \
                 `\"2026-11-22T06:00:00\"`",
            ),
            (r#"{"time":1,"register_wh":"1,5"}"#, "expected a number, for example 12345.678; found `1,5`"),
            (
                r#"{"time":1,"register_wh":null}"#,
                "expected one of register_wh, register_kwh, energy_wh, energy_kwh; found 0 of them",
            ),
            (r#"{"time":1,"register_wh":true}"#, "expected a number, for example 12345.678; found `true`"),
            (
                r#"{"time":1,"register_wh":1234567890123.456}"#,
                "`1234567890123.456` has more than 15 digits, and JSON readers keep no more. Put it in quotes",
            ),
            (
                r#"{"time":1,"energy_wh":1}"#,
                "expected `seconds`, 1 to 86400, with energy_… and only there: it is the length of the interval",
            ),
            (
                r#"{"time":1,"register_wh":1,"seconds":900}"#,
                "expected `seconds`, 1 to 86400, with energy_… and only there: it is the length of the interval",
            ),
            (
                r#"{"time":1,"register_wh":1,"export_wh":1,"export_kwh":1}"#,
                "expected at most one of export_wh, export_kwh; found both",
            ),
        ] {
            assert_eq!(read(line).unwrap_err().to_string(), message);
        }
    }

    /// A byte order mark before the first line costs no reading.
    #[test]
    fn a_byte_order_mark_is_no_reading() {
        let text = "\u{feff}{\"time\":1,\"register_wh\":1}\n{\"time\":2,\"register_wh\":1}\n";
        let results = Lines::default().decode(Some(text.as_bytes()));
        assert!(results.len() == 2 && results.iter().all(Result::is_ok), "{results:?}");
    }

    /// Lines are cut out of pieces of any size, numbered, and a bad one costs itself only.
    #[test]
    fn lines_are_cut_and_numbered() {
        let good = r#"{"time":1,"register_wh":1}"#;
        let text = format!("{good}\n\nnonsense\r\n{}\n{good}", "x".repeat(2 * LONGEST));
        for size in [1, 3, 1024, 100_000] {
            let mut lines = Lines::default();
            let mut results: Vec<_> =
                text.as_bytes().chunks(size).flat_map(|piece| lines.decode(Some(piece))).collect();
            results.extend(lines.decode(None));
            let shown: Vec<_> =
                results.iter().map(|result| result.as_ref().map_err(ToString::to_string)).collect();
            assert_eq!(shown.len(), 4);
            assert!(shown[0].is_ok() && shown[3].is_ok());
            assert!(shown[1].as_ref().unwrap_err().starts_with("line 3: expected a reading"), "{shown:?}");
            assert_eq!(shown[2].as_ref().unwrap_err(), "line 4: expected at most 4096 bytes; found more");
        }
    }
}
