//! SML telegrams: what German meters send on their optical port.
//!
//! They report registers with a unit and a power of ten, so they are exact. The time is the host's, since few of these
//! meters know it.

use data_encoding::HEXUPPER;
use protocol::unit::Timestamp;
use rust_decimal::Decimal;
use sml_rs::parser::common::{ListEntry, Value};
use sml_rs::parser::complete::{GetListResponse, MessageBody, parse};
use sml_rs::transport::{DecodeErr, Decoder};

use crate::measurement::{Measurement, Quantity};

/// 1.8.0 and 2.8.0 of an electricity meter, present period.
const IMPORT: [u8; 6] = [1, 0, 1, 8, 0, 255];
const EXPORT: [u8; 6] = [1, 0, 2, 8, 0, 255];

/// Watt-hours [IEC 62056-62, unit 30].
const WATT_HOURS: u8 = 30;

/// The longest transmission; the longest real ones have some 2 KiB.
const LONGEST: usize = 16 << 10;

/// Why a transmission was left out.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SmlError {
    /// Its checksum is another.
    #[error("a transmission's checksum is wrong: bytes were lost or changed on the way")]
    Checksum,
    /// The port or the socket ended in the middle of it.
    #[error("a transmission was cut off before its end")]
    Cut,
    /// Bytes between transmissions that belong to none.
    #[error("{0} bytes belong to no SML transmission. Is this a meter's port, at 9600 baud, 8N1?")]
    Noise(usize),
    /// More bytes than any transmission has.
    #[error("no transmission ended within {LONGEST} bytes")]
    TooLong,
    /// Not SML within.
    #[error("expected a transmission in SML; found bytes of another form ({0})")]
    Shape(String),
    /// No import register.
    #[error(
        "the transmission has no import register 1-0:1.8.0. Some meters report it only after their PIN was entered"
    )]
    NoImport,
    /// A register that can't be read.
    #[error("expected an energy in watt-hours in the register 1-0:{0}.8.0; found another value")]
    Value(u8),
}

/// Cuts transmissions out of a stream of bytes.
#[derive(Default)]
pub struct Transmissions {
    decoder: Decoder<Vec<u8>>,
    since: usize,
}

impl std::fmt::Debug for Transmissions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transmissions").finish_non_exhaustive()
    }
}

impl Transmissions {
    /// Reads the transmissions that end in some bytes. `None` is the end of the stream: what comes after it is no part of
    /// what was cut off.
    pub fn read(&mut self, bytes: Option<&[u8]>, now: Timestamp) -> Vec<Result<Measurement, SmlError>> {
        let Some(bytes) = bytes else {
            self.since = 0;
            return self.decoder.finalize().map(|_| Err(SmlError::Cut)).into_iter().collect();
        };
        let mut results = Vec::new();
        for byte in bytes {
            self.since += 1;
            match self.decoder.push_byte(*byte) {
                Ok(None) if self.since <= LONGEST => continue,
                Ok(None) => {
                    self.decoder.reset();
                    results.push(Err(SmlError::TooLong));
                }
                Ok(Some(transmission)) => results.push(read(transmission, now)),
                Err(DecodeErr::DiscardedBytes(bytes)) => results.push(Err(SmlError::Noise(bytes))),
                Err(_) => results.push(Err(SmlError::Checksum)),
            }
            self.since = 0;
        }
        results
    }
}

fn read(transmission: &[u8], now: Timestamp) -> Result<Measurement, SmlError> {
    let file = parse(transmission).map_err(|error| SmlError::Shape(format!("{error:?}")))?;
    let lists = file.messages.iter().filter_map(|message| match &message.message_body {
        MessageBody::GetListResponse(list) => Some(list),
        _ => None,
    });
    let find = |list: &GetListResponse<'_>, name: [u8; 6]| {
        let entry = list.val_list.iter().find(|entry| entry.obj_name == name);
        entry.map(|entry| energy(entry).ok_or(SmlError::Value(name[2]))).transpose()
    };
    for list in lists {
        let Some(import) = find(list, IMPORT)? else { continue };
        let device = HEXUPPER.encode(list.server_id);
        return Ok(Measurement {
            at: now,
            import: Quantity::Register(import),
            export: find(list, EXPORT)?.map(Quantity::Register),
            device: Some(device).filter(|device| !device.is_empty()),
        });
    }
    Err(SmlError::NoImport)
}

/// A register in watt-hours: its value times a power of ten, exactly.
fn energy(entry: &ListEntry<'_>) -> Option<Decimal> {
    let value = match entry.value {
        Value::I8(value) => value.into(),
        Value::I16(value) => value.into(),
        Value::I32(value) => value.into(),
        Value::I64(value) => value.into(),
        Value::U8(value) => value.into(),
        Value::U16(value) => value.into(),
        Value::U32(value) => value.into(),
        Value::U64(value) => i128::from(value),
        _ => return None,
    };
    if entry.unit != Some(WATT_HOURS) {
        return None;
    }
    let scaler = i32::from(entry.scaler.unwrap_or(0));
    if scaler <= 0 {
        return Decimal::try_from_i128_with_scale(value, scaler.unsigned_abs()).ok();
    }
    let factor = 10_i128.checked_pow(scaler.unsigned_abs())?;
    Decimal::try_from_i128_with_scale(value.checked_mul(factor)?, 0).ok()
}

#[cfg(test)]
mod tests {
    use sml_rs::transport::encode_streaming;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000);

    /// One message: a list of six [SML 1.03, section 6], its CRC16/X.25 over all before it.
    fn message(body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![
            0x76, // list of 6
            0x02, 0x01, // transaction id, 1 byte
            0x62, 0x00, // group number
            0x62, 0x00, // abort on error
            0x72, // list of 2: the body's tag and the body
        ];
        bytes.extend(body);
        let crc = crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC).checksum(&bytes).to_le_bytes();
        bytes.extend([0x63, crc[0], crc[1], 0x00]);
        bytes
    }

    /// A list entry of seven: name, no status, no time, unit, scaler, value, no signature.
    fn entry(name: [u8; 6], unit: u8, scaler: i8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x77, 0x07];
        bytes.extend(name);
        bytes.extend([0x01, 0x01, 0x62, unit, 0x52, scaler.to_le_bytes()[0]]);
        bytes.extend(value);
        bytes.push(0x01);
        bytes
    }

    fn transmission(entries: &[Vec<u8>]) -> Vec<u8> {
        // GetList.Res 0x0701: client, server, list name, sensor time, entries, signature, gateway time
        let mut list = vec![0x63, 0x07, 0x01, 0x77, 0x01, 0x05, 0x0a, 0x01, 0x45, 0x4d, 0x01, 0x01];
        list.push(0x70 | u8::try_from(entries.len()).unwrap());
        list.extend(entries.concat());
        list.extend([0x01, 0x01]);
        encode_streaming(message(&list)).collect()
    }

    const EIGHT: [u8; 9] = [0x59, 0, 0, 0, 0, 0x07, 0x5b, 0xcd, 0x15]; // i64 123,456,789
    const FIVE: [u8; 6] = [0x65, 0, 0, 0x30, 0x39, 0]; // one byte too many for a u32

    /// Registers with their powers of ten are exact, and the meter's number is read; noise before is named.
    #[test]
    fn reads_registers_exactly() {
        let four = [0x65, 0, 0, 0x30, 0x39]; // u32 12,345
        let bytes = transmission(&[
            entry([1, 0, 16, 7, 0, 255], 27, 0, &[0x52, 0x10]),
            entry(IMPORT, WATT_HOURS, -1, &EIGHT),
            entry(EXPORT, WATT_HOURS, 2, &four),
        ]);
        let mut transmissions = Transmissions::default();
        let results = transmissions.read(Some(&[&[1, 2, 3][..], &bytes, &bytes].concat()), NOW);
        assert_eq!(results[0], Err(SmlError::Noise(3)));
        assert_eq!(results.len(), 3);
        for result in &results[1..] {
            let read = result.as_ref().unwrap();
            assert_eq!((read.at, read.device.as_deref()), (NOW, Some("0A01454D")));
            assert!(read.import == Quantity::Register("12345678.9".parse().unwrap()));
            assert!(read.export == Some(Quantity::Register(1_234_500.into())));
        }
    }

    /// What is wrong is named, and what comes after it is read.
    #[test]
    fn what_is_wrong_is_named() {
        let good = transmission(&[entry(IMPORT, WATT_HOURS, -1, &EIGHT)]);
        let cases = [
            (transmission(&[entry(EXPORT, WATT_HOURS, -1, &EIGHT)]), SmlError::NoImport),
            (transmission(&[entry(IMPORT, 27, -1, &EIGHT)]), SmlError::Value(1)),
            (transmission(&[entry(IMPORT, WATT_HOURS, -1, &[0x03, 0x41, 0x42])]), SmlError::Value(1)),
            (transmission(&[entry(IMPORT, WATT_HOURS, 40, &EIGHT)]), SmlError::Value(1)),
        ];
        let mut transmissions = Transmissions::default();
        for (bytes, wanted) in cases {
            assert_eq!(transmissions.read(Some(&bytes), NOW), [Err(wanted)]);
            assert!(transmissions.read(Some(&good), NOW)[0].is_ok());
        }
        for at in 12..good.len() - 4 {
            let mut changed = good.clone();
            changed[at] ^= 0x40;
            assert!(transmissions.read(Some(&changed), NOW).iter().all(Result::is_err), "byte {at}");
            transmissions = Transmissions::default();
        }
        let bad = transmission(&[entry(IMPORT, WATT_HOURS, 0, &FIVE)]);
        assert!(matches!(transmissions.read(Some(&bad), NOW)[..], [Err(SmlError::Shape(_))]));
        assert_eq!(transmissions.read(None, NOW), []);
        // wherever a stream ends, the next one is read from its beginning
        for end in 1..good.len() {
            assert_eq!(transmissions.read(Some(&good[..end]), NOW), []);
            assert_eq!(transmissions.read(None, NOW), [Err(SmlError::Cut)]);
            assert!(transmissions.read(Some(&good), NOW)[0].is_ok(), "cut at {end}");
        }
        assert_eq!(
            transmissions.read(Some(&vec![0; 2 * LONGEST + 2]), NOW),
            [Err(SmlError::TooLong), Err(SmlError::TooLong)]
        );
    }
}
