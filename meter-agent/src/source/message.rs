//! JSON messages of a broker in the home: what plugs, clamps and gateways publish.

use protocol::unit::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;

use super::lines::{NumberError, exact, time};
use crate::measurement::{Measurement, Quantity, Unit};

/// Where a message has its values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    /// The topic to subscribe to.
    pub topic: String,
    /// The JSON pointer [RFC 6901] of the import; empty for a message that is a number.
    pub import: String,
    /// The JSON pointer of the export.
    pub export: Option<String>,
    /// The JSON pointer of the time; without one it is the host's.
    pub time: Option<String>,
    /// The unit: one of energy is a cumulative register, one of power is power.
    pub unit: Unit,
}

/// Why a message was left out; the text continues "the message on TOPIC".
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MessageFault {
    /// Not JSON.
    #[error("is not JSON")]
    Json,
    /// Nothing at the pointer.
    #[error("has nothing at `{0}`. To see a message, type: mosquitto_sub -t TOPIC -C 1")]
    Pointer(String),
    /// A number that is none.
    #[error("has no number at `{0}`: {1}")]
    Number(String, NumberError),
    /// Exported power below zero.
    #[error(
        "has a power below zero at `{0}`; expected exported power as 0 or more. If the device reports export as `import` below \
         zero, leave out `export`"
    )]
    Below(String),
    /// A time that is none.
    #[error("has another value at `{0}`; expected a time with an offset or Unix time in seconds")]
    Time(String),
}

/// The pointers of a device family's messages.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name in the configuration.
    pub name: &'static str,
    /// The topic, `{}` for the device.
    topic: &'static str,
    import: &'static str,
    export: Option<&'static str>,
    unit: Unit,
}

/// What is known of devices that many people have.
pub const PRESETS: [Preset; 5] = [
    // https://tasmota.github.io/docs/Power-Monitoring-Calibration
    Preset {
        name: "tasmota",
        topic: "tele/{}/SENSOR",
        import: "/ENERGY/Total",
        export: Some("/ENERGY/ExportActive"),
        unit: Unit::KWh,
    },
    // https://shelly-api-docs.shelly.cloud/gen2/ComponentsAndServices/EMData
    Preset {
        name: "shelly-3em",
        topic: "{}/status/emdata:0",
        import: "/total_act",
        export: Some("/total_act_ret"),
        unit: Unit::Wh,
    },
    // https://shelly-api-docs.shelly.cloud/gen2/ComponentsAndServices/Switch
    Preset {
        name: "shelly-plug",
        topic: "{}/status/switch:0",
        import: "/aenergy/total",
        export: Some("/ret_aenergy/total"),
        unit: Unit::Wh,
    },
    // https://shelly-api-docs.shelly.cloud/gen1: the message is the number
    Preset {
        name: "shelly-em",
        topic: "shellies/{}/emeter/0/total",
        import: "",
        export: None,
        unit: Unit::Wh,
    },
    // https://www.zigbee2mqtt.io/guide/usage/exposes.html
    Preset {
        name: "zigbee2mqtt",
        topic: "zigbee2mqtt/{}",
        import: "/energy",
        export: Some("/produced_energy"),
        unit: Unit::KWh,
    },
];

impl Preset {
    /// The preset of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// The field of a device.
    pub fn field(&self, device: &str) -> Field {
        Field {
            topic: self.topic.replace("{}", device),
            import: self.import.to_owned(),
            export: self.export.map(str::to_owned),
            time: None,
            unit: self.unit,
        }
    }
}

impl Field {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// [`MessageFault`].
    pub fn read(&self, payload: &[u8], now: Timestamp) -> Result<Measurement, MessageFault> {
        let json: Value = serde_json::from_slice(payload).map_err(|_| MessageFault::Json)?;
        let import =
            self.number(&json, &self.import)?.ok_or_else(|| MessageFault::Pointer(self.import.clone()))?;
        let export = match &self.export {
            Some(pointer) => self.number(&json, pointer)?,
            None => None,
        };
        let at = match &self.time {
            Some(pointer) => {
                json.pointer(pointer).and_then(time).ok_or_else(|| MessageFault::Time(pointer.clone()))?
            }
            None => now,
        };
        let (import, export) = match export {
            _ if !self.unit.is_power() => (Quantity::Register(import), export.map(Quantity::Register)),
            // one power has a sign, whose channels are parted later
            None => (Quantity::Power(import), None),
            Some(export) if export.is_sign_negative() && !export.is_zero() => {
                return Err(MessageFault::Below(self.export.clone().unwrap_or_default()));
            }
            Some(export) => {
                let (into, out) = (import.max(Decimal::ZERO), (-import).max(export));
                (Quantity::Power(into), Some(Quantity::Power(out)))
            }
        };
        Ok(Measurement { at, import, export, device: None })
    }

    /// The value at a pointer in watt-hours or watts; `None` where there is nothing, or `null`: a device that has no export
    /// may say so.
    fn number(&self, json: &Value, pointer: &str) -> Result<Option<Decimal>, MessageFault> {
        let Some(value) = json.pointer(pointer).filter(|value| !value.is_null()) else { return Ok(None) };
        let at = |error| MessageFault::Number(pointer.to_owned(), error);
        let number = nearest(value).map_err(at)?;
        let base = self.unit.to_base(number).ok_or_else(|| at(NumberError::Not(number.to_string())))?;
        Ok(Some(base))
    }
}

/// A number of a device: its floating-point ones have some 17 digits, of which 15 are its own.
fn nearest(value: &Value) -> Result<Decimal, NumberError> {
    let long = match value {
        Value::Number(number) if number.is_f64() => number.as_f64(),
        _ => None,
    };
    match long {
        // what is left of a difference of equal numbers, below what a decimal holds to 15 digits
        Some(double) if double.abs() < 1e-13 => Ok(Decimal::ZERO),
        Some(double) if exact(value).is_err() => {
            let number = Decimal::from_scientific(&format!("{double:.14e}")).ok();
            number.map(|number| number.normalize()).ok_or_else(|| NumberError::Not(value.to_string()))
        }
        _ => exact(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000);

    /// What the families publish, abridged from their documentation, is read with nothing but the device's name.
    #[test]
    fn presets_read_what_devices_publish() {
        for (preset, topic, payload, import, export) in [
            (
                "tasmota",
                "tele/kitchen/SENSOR",
                r#"{"Time":"2026-11-22T06:00:00","ENERGY":{"TotalStartTime":"2026-01-01T00:00:00","Total":12.345,"Yesterday":1.2,"Power":90}}"#,
                "12345",
                None,
            ),
            (
                "shelly-3em",
                "kitchen/status/emdata:0",
                r#"{"id":0,"a_total_act_energy":1.5,"total_act":40823.07,"total_act_ret":0.29}"#,
                "40823.07",
                Some("0.29"),
            ),
            (
                "shelly-plug",
                "kitchen/status/switch:0",
                r#"{"id":0,"output":true,"apower":8.9,"aenergy":{"total":6.532,"by_minute":[45.199,47.141,88.397],"minute_ts":1626935779}}"#,
                "6.532",
                None,
            ),
            ("shelly-em", "shellies/kitchen/emeter/0/total", "1234.5", "1234.5", None),
            (
                "zigbee2mqtt",
                "zigbee2mqtt/kitchen",
                r#"{"current":0.12,"energy":3.07,"linkquality":120,"power":22,"voltage":229}"#,
                "3070",
                None,
            ),
        ] {
            let field = Preset::named(preset).unwrap().field("kitchen");
            assert_eq!(field.topic, topic);
            let read = field.read(payload.as_bytes(), NOW).unwrap();
            assert_eq!(read.at, NOW);
            assert!(read.import == Quantity::Register(import.parse().unwrap()), "{preset}");
            assert!(
                read.export == export.map(|export| Quantity::Register(export.parse().unwrap())),
                "{preset}"
            );
        }
        assert!(Preset::named("toaster").is_none());
    }

    /// Any pointer, power with its sign, a time of the message's own; what is wrong is reported.
    #[test]
    fn fields_are_where_the_configuration_places_them() {
        let field = Field {
            topic: "home/meter".into(),
            import: "/a/0/w".into(),
            export: None,
            time: Some("/t".into()),
            unit: Unit::KW,
        };
        let read = field.read(br#"{"a":[{"w":-1.25}],"t":1795323600}"#, NOW).unwrap();
        assert_eq!(read.at, Timestamp(1_795_323_600));
        assert!(read.import == Quantity::Power((-1_250).into()));
        for (payload, message) in [
            ("{", "is not JSON"),
            (
                r#"{"a":[],"t":1}"#,
                "has nothing at `/a/0/w`. To see a message, type: mosquitto_sub -t TOPIC -C 1",
            ),
            (
                r#"{"a":[{"w":"on"}],"t":1}"#,
                "has no number at `/a/0/w`: expected a number, for example 12345.678; found `on`",
            ),
            (
                r#"{"a":[{"w":1}]}"#,
                "has another value at `/t`; expected a time with an offset or Unix time in seconds",
            ),
            (
                r#"{"a":[{"w":1}],"t":"2026-11-22T06:00:00"}"#,
                "has another value at `/t`; expected a time with an offset or Unix time in seconds",
            ),
        ] {
            assert_eq!(field.read(payload.as_bytes(), NOW).unwrap_err().to_string(), message);
        }
    }

    /// Whatever its sign, a power is read into the channel it belongs to; an export that is `null` is none; the digits that a
    /// device's arithmetic adds are not read.
    #[test]
    fn devices_are_read_as_they_are() {
        let mut field = Field {
            topic: "t".into(),
            import: "/w".into(),
            export: Some("/out".into()),
            time: None,
            unit: Unit::W,
        };
        let power = |watts: i32| Quantity::Power(watts.into());
        for (payload, import, export) in [
            (r#"{"w":500,"out":0}"#, power(500), Some(power(0))),
            (r#"{"w":-1000,"out":0}"#, power(0), Some(power(1_000))),
            (r#"{"w":-1000,"out":1000}"#, power(0), Some(power(1_000))),
            (r#"{"w":-1000,"out":null}"#, power(-1_000), None),
            (r#"{"w":-1000}"#, power(-1_000), None),
        ] {
            let read = field.read(payload.as_bytes(), NOW).unwrap();
            assert!(read.import == import && read.export == export, "{payload}");
        }
        let below = field.read(br#"{"w":0,"out":-5}"#, NOW).unwrap_err().to_string();
        assert!(below.contains("a power below zero at `/out`"), "{below}");
        assert!(field.read(br#"{"w":null}"#, NOW).is_err());
        field.unit = Unit::KWh;
        for (number, wanted) in [
            ("0.30000000000000004", "300"),
            ("1.1102230246251565e-16", "0"),
            ("12345.678900000001", "12345678.9"),
            ("4.35", "4350"),
        ] {
            let read = field.read(format!("{{\"w\":{number}}}").as_bytes(), NOW).unwrap();
            assert!(read.import == Quantity::Register(wanted.parse().unwrap()), "{number}");
        }
    }
}
