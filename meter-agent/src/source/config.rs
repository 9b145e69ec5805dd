//! The `[source.KIND]` table: where readings come from.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::tz::Offset;
use protocol::id::MeterId;
use protocol::unit::{MAX_REGISTER_WH, Register, Slot, SlotLength};
use runtime::link::Endpoint;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::csv::{self, CellQuantity, Format};
use super::input::{Input, Line};
use super::live::Live;
use super::message::{Field, PRESETS, Preset};
use super::replay::{Base, Replay};
use super::synthetic;
use crate::measurement::Unit;
use crate::reading::Reading;

/// The most slots of a synthetic home: 28 years of quarter-hours.
const MAX_SYNTHETIC: u32 = 1_000_000;

/// Where readings come from.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SourceConfig {
    /// A column of a CSV file, replayed.
    Csv {
        /// The file.
        file: PathBuf,
        /// The home's column.
        column: String,
        /// The register before the first interval, in watt-hours, where the cells are energies. Without it they continue the
        /// last reading, and begin at 0 where there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        register: Option<u64>,
        /// Slots a second; 0 is as fast as receipts allow.
        #[serde(default)]
        slots_per_second: f64,
        /// Each reading at its own time instead, those of the past at once.
        #[serde(default)]
        own_time: bool,
        /// What the cells are.
        #[serde(default)]
        format: Format,
    },
    /// A synthetic home, replayed.
    Synthetic {
        /// The seed of all homes.
        seed: u64,
        /// Which home.
        index: u32,
        /// The first slot.
        start: u32,
        /// How many slots.
        slots: u32,
        /// Slots a second; 0 is as fast as receipts allow.
        #[serde(default)]
        slots_per_second: f64,
    },
    /// One JSON object a line.
    Lines {
        /// Where from; `file:-` is standard input.
        #[serde(default = "standard_input")]
        input: Input,
    },
    /// P1 or IEC 62056-21 text telegrams.
    P1 {
        /// Where from.
        input: Input,
        /// A serial port's speed and frame.
        #[serde(default = "p1_line")]
        line: Line,
        /// The offset of the meter's winter time from UTC, in hours; summer time is an hour more.
        #[serde(default = "central_europe")]
        winter_offset: i8,
    },
    /// SML transmissions.
    Sml {
        /// Where from.
        input: Input,
        /// A serial port's speed and frame.
        #[serde(default = "sml_line")]
        line: Line,
    },
    /// JSON messages of a broker.
    Mqtt {
        /// The broker. It is always another one than the agent sends to, which carries nothing but its own topics.
        broker: Option<Endpoint>,
        /// A family of devices whose messages are known.
        preset: Option<String>,
        /// The device's name in the preset's topic.
        device: Option<String>,
        /// The topic, instead of the preset's.
        topic: Option<String>,
        /// The JSON pointer of the import, instead of the preset's; empty where the message is the number.
        import: Option<String>,
        /// The JSON pointer of the export, instead of the preset's.
        export: Option<String>,
        /// The JSON pointer of the time; without one it is the host's.
        time: Option<String>,
        /// The unit, instead of the preset's: `Wh` and `kWh` are of a register, `W` and `kW` of power.
        unit: Option<Unit>,
    },
}

fn standard_input() -> Input {
    Input::File("-".into())
}

fn p1_line() -> Line {
    Line::P1
}

fn sml_line() -> Line {
    Line::SML
}

fn central_europe() -> i8 {
    1
}

/// A source whose configuration is valid.
#[derive(Debug)]
pub enum Source {
    /// Readings that are known already.
    Replay(Replay),
    /// A meter that reports live.
    Live(Box<Live>),
}

impl SourceConfig {
    /// Opens files and checks everything that can be wrong before a role starts.
    ///
    /// # Errors
    ///
    /// A file that can't be read, a column that it does not have, a topic that is missing.
    pub fn open(&self, directory: &Path, slot: SlotLength, meter: &MeterId) -> anyhow::Result<Source> {
        let live = match self {
            Self::Csv { file, column, register, slots_per_second, own_time, format } => {
                let path = directory.join(file);
                let (readings, base) = read_csv(&path, column, *register, slot, format)
                    .with_context(|| format!("cannot use the load data {}", path.display()))?;
                anyhow::ensure!(
                    !*own_time || *slots_per_second == 0.0,
                    "expected one of own_time and slots_per_second; found both. Leave one out"
                );
                let replay = if *own_time {
                    Replay::at_own_time(readings, slot)
                } else {
                    Replay::new(readings, checked_speed(*slots_per_second)?)
                };
                return Ok(Source::Replay(replay.based(base)));
            }
            Self::Synthetic { seed, index, start, slots, slots_per_second } => {
                anyhow::ensure!(
                    *slots <= MAX_SYNTHETIC && start.checked_add(*slots).is_some(),
                    "expected at most {MAX_SYNTHETIC} slots and a last slot of at most {}, for example `start = 490992` and \
                     `slots = 672`; found `start = {start}` and `slots = {slots}`",
                    u32::MAX
                );
                let home = synthetic::home(*seed, *index, Slot(*start), *slots, slot);
                let readings = home.readings(Register::try_from(0)?).collect();
                return Ok(Source::Replay(Replay::new(readings, checked_speed(*slots_per_second)?)));
            }
            Self::Lines { input } => Live::Lines(input.within(directory)?),
            Self::P1 { input, line, winter_offset } => {
                let offset = Offset::from_hours(*winter_offset).ok().with_context(|| {
                    format!("expected winter_offset in hours, for example `winter_offset = 1`; found {winter_offset}")
                })?;
                Live::Telegrams(input.within(directory)?, *line, offset)
            }
            Self::Sml { input, line } => Live::Sml(input.within(directory)?, *line),
            Self::Mqtt { broker, .. } => {
                let endpoint = broker.as_ref().context(
                    "expected the broker of the devices in [source.mqtt], for example \
                     `broker = { address = \"192.168.1.10:1883\" }`, with user and password_file if it requires them; found \
                     none. The broker that the agent sends to lets a meter read its own topics only",
                )?;
                let settings = endpoint.settings(directory, &format!("source-{meter}"))?;
                Live::Messages(Box::new(settings), self.field()?)
            }
        };
        Ok(Source::Live(Box::new(live)))
    }

    /// Where an MQTT source has its values: the preset's places, unless the configuration names others.
    fn field(&self) -> anyhow::Result<Field> {
        let Self::Mqtt { preset, device, topic, import, export, time, unit, .. } = self else {
            anyhow::bail!("only an mqtt source has messages");
        };
        let known = match preset {
            Some(name) => {
                let known = Preset::named(name).with_context(|| {
                    let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
                    format!("expected a preset, one of {}; found `{name}`", names.join(", "))
                })?;
                anyhow::ensure!(
                    device.is_some() || topic.is_some(),
                    "expected the device's name with the preset `{name}`, for example `device = \"kitchen\"`; found none"
                );
                Some(known.field(device.as_deref().unwrap_or_default()))
            }
            None => None,
        };
        let missing = |what: &str| {
            format!("expected a preset, or topic, import and unit, in [source.mqtt]; found no {what}")
        };
        let or_known = |own: &Option<String>, known: Option<String>| own.clone().or(known);
        // a preset's export is of its own quantity: beside a power, a register would be read as watts
        let same =
            known.as_ref().is_some_and(|k| unit.is_none_or(|unit| unit.is_power() == k.unit.is_power()));
        let field = Field {
            topic: or_known(topic, known.as_ref().map(|k| k.topic.clone()))
                .with_context(|| missing("topic"))?,
            import: or_known(import, known.as_ref().map(|k| k.import.clone()))
                .with_context(|| missing("import"))?,
            export: or_known(export, known.as_ref().filter(|_| same).and_then(|k| k.export.clone())),
            time: time.clone(),
            unit: unit.or(known.as_ref().map(|k| k.unit)).with_context(|| missing("unit"))?,
        };
        let pointers = [Some(&field.import), field.export.as_ref(), field.time.as_ref()];
        for pointer in pointers.into_iter().flatten() {
            anyhow::ensure!(
                pointer.is_empty() || pointer.starts_with('/'),
                "expected a JSON pointer, for example `/ENERGY/Total`; found `{pointer}`"
            );
        }
        let levels = field.topic.split('/').any(|level| level == "+" || level == "#" || level.is_empty());
        anyhow::ensure!(
            !levels && !field.topic.contains('\0'),
            "expected the topic of one device, for example `tele/kitchen/SENSOR`; found `{}`. A wildcard would mix several meters",
            field.topic
        );
        Ok(field)
    }
}

fn checked_speed(slots_per_second: f64) -> anyhow::Result<f64> {
    let sane = slots_per_second == 0.0 || (1e-6..=1e9).contains(&slots_per_second);
    anyhow::ensure!(
        sane,
        "expected slots_per_second from 0.000001 to 1000000000, or 0 for as fast as receipts allow; found {slots_per_second}"
    );
    Ok(slots_per_second)
}

fn read_csv(
    path: &Path,
    column: &str,
    register: Option<u64>,
    slot: SlotLength,
    format: &Format,
) -> anyhow::Result<(Vec<Reading>, Base)> {
    let text = csv::open(path)?;
    if csv::ends_within_a_line(path)? {
        warn!(
            file = %path.display(),
            "the last line of the file has no end. Its row is used as it is. Was the file cut off?"
        );
    }
    if format.quantity == CellQuantity::Register {
        anyhow::ensure!(
            register.is_none(),
            "expected no `register`, because the cells are registers; found one. Leave it out, or set format.quantity = \"energy\""
        );
        let read = csv::read_registers(text, column, slot, format)?;
        let apart = read.readings.windows(2).map(|pair| pair[1].at.0 - pair[0].at.0).min();
        if let Some(apart @ 2..) = apart {
            anyhow::bail!(
                "expected a register at every slot's start; found registers {} s apart or more, and slots of {} s. No slot's energy \
                 would be known. Replay more registers, or make a roster with longer slots (wattveil init --slot-minutes 15, 30 or \
                 60)",
                u64::from(apart) * u64::from(slot.seconds()),
                slot.seconds()
            );
        }
        if read.missing > 0 {
            warn!(
                home = column,
                readings = read.readings.len(),
                missing = read.missing,
                "registers are missing: the energy of the gaps is billed by the registers' difference only"
            );
        }
        return Ok((read.readings, Base::Measured));
    }
    let homes = csv::read_energies(text, format)?;
    let names: Vec<String> = homes.iter().map(|home| home.name.clone()).collect();
    let home = homes.into_iter().find(|home| home.name == column);
    let home = home.ok_or_else(|| csv::no_column(column, &names))?;
    anyhow::ensure!(
        home.slot == slot,
        "expected intervals of {} s, as the roster's slots; found {} s. Replay other data, or make a roster with these slots \
         (wattveil init --slot-minutes {})",
        slot.seconds(),
        home.slot.seconds(),
        home.slot.seconds() / 60
    );
    let base = if register.is_some() { Base::Stated } else { Base::Open };
    let readings: Vec<Reading> = home.readings(Register::try_from(register.unwrap_or(0))?).collect();
    anyhow::ensure!(
        readings.len() == home.energies.len() + 1,
        "the register would exceed the largest, {MAX_REGISTER_WH} Wh, in interval {} of {}. Is `register` right, in Wh?",
        readings.len(),
        home.energies.len()
    );
    Ok((readings, base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mqtt(text: &str) -> anyhow::Result<Field> {
        let config: SourceConfig = toml::from_str(&format!("[mqtt]\n{text}"))?;
        config.field()
    }

    /// A preset needs a device; each of its places can be changed; without a preset, all are required.
    #[test]
    fn presets_can_be_changed() {
        let field = mqtt("preset = \"tasmota\"\ndevice = \"cellar\"\nimport = \"/SML/total_in\"").unwrap();
        assert_eq!((field.topic.as_str(), field.import.as_str()), ("tele/cellar/SENSOR", "/SML/total_in"));
        let own = mqtt("topic = \"a/b\"\nimport = \"\"\nunit = \"kW\"").unwrap();
        assert!(own.unit.is_power());
        for (text, message) in [
            ("preset = \"toaster\"", "expected a preset, one of tasmota, shelly-3em"),
            (
                "preset = \"tasmota\"",
                "with the preset `tasmota`, for example `device = \"kitchen\"`; found none",
            ),
            ("topic = \"a\"\nunit = \"Wh\"", "found no import"),
            ("topic = \"a/+\"\nimport = \"/x\"\nunit = \"Wh\"", "A wildcard would mix several meters"),
            (
                "topic = \"a\"\nimport = \"x\"\nunit = \"Wh\"",
                "expected a JSON pointer, for example `/ENERGY/Total`; found `x`",
            ),
        ] {
            let error = mqtt(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    /// A preset's export is not kept beside a quantity that it is not of, nor dropped beside its own.
    #[test]
    fn a_preset_s_export_is_of_its_own_quantity() {
        let export = |text: &str| mqtt(text).unwrap().export;
        let power = "preset = \"tasmota\"\ndevice = \"a\"\nimport = \"/ENERGY/Power\"\nunit = \"W\"";
        assert_eq!(export(power), None);
        assert_eq!(export(&format!("{power}\nexport = \"/out\"")).as_deref(), Some("/out"));
        let energy = "preset = \"tasmota\"\ndevice = \"a\"\nunit = \"Wh\"";
        assert_eq!(export(energy).as_deref(), Some("/ENERGY/ExportActive"));
    }

    fn opened(text: &str, directory: &Path) -> anyhow::Result<Source> {
        let config: SourceConfig = toml::from_str(text)?;
        let meter: MeterId = "00112233445566778899aabbccddeeff".parse()?;
        config.open(directory, SlotLength::try_from(900)?, &meter)
    }

    fn refused(text: &str, directory: &Path) -> String {
        format!("{:#}", opened(text, directory).expect_err(text))
    }

    /// What could only fail silently later is rejected before a role starts.
    #[test]
    fn what_gives_nothing_is_rejected_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path();
        for kind in ["lines", "p1", "sml"] {
            let message = refused(&format!("[{kind}]\ninput = \"file:none.txt\""), here);
            assert!(message.contains("none.txt. Configure a file that exists"), "{message}");
            assert!(refused(&format!("[{kind}]\ninput = \"file:.\""), here).contains("cannot read"));
            std::fs::write(here.join("some.txt"), "").unwrap();
            assert!(opened(&format!("[{kind}]\ninput = \"file:some.txt\""), here).is_ok());
        }
        let message = refused("[mqtt]\npreset = \"tasmota\"\ndevice = \"a\"", here);
        assert!(message.contains("broker = { address = "), "{message}");
        let csv = |text: &str, more: &str| {
            std::fs::write(here.join("a.csv"), text).unwrap();
            format!("[csv]\nfile = \"a.csv\"\ncolumn = \"a\"\n{more}")
        };
        let energies =
            "interval_start,a\n2026-01-01T00:00Z,1000\n2026-01-01T00:15Z,1000\n2026-01-01T00:30Z,1000\n";
        let message = refused(&csv(energies, "register = 1099511625000"), here);
        assert!(
            message.contains("in interval 3 of 3") || message.contains("in interval 2 of 3"),
            "{message}"
        );
        assert!(opened(&csv(energies, "register = 7"), here).is_ok());
        let hours = "interval_start,a\n2026-01-01T00:00Z,1\n2026-01-01T01:00Z,1\n";
        let message = refused(&csv(hours, ""), here);
        assert!(
            message.contains("900 s, as the roster's slots; found 3600 s")
                && message.contains("--slot-minutes 60"),
            "{message}"
        );
        let coarse = "time,a\n2026-01-01T00:00Z,1\n2026-01-01T00:30Z,2\n2026-01-01T01:00Z,3\n";
        let registers = "[csv.format]\nquantity = \"register\"\nallow_missing = true";
        let message = refused(&csv(coarse, registers), here);
        assert!(message.contains("1800 s apart or more, and slots of 900 s"), "{message}");
        let message = refused("[synthetic]\nseed = 1\nindex = 0\nstart = 1\nslots = 4294967295", here);
        assert!(message.contains("expected at most 1000000 slots"), "{message}");
        let message = refused(&csv(coarse, &format!("register = 5\n{registers}")), here);
        assert!(message.contains("because the cells are registers"), "{message}");
    }

    /// A file that was cut off in its last line is detected, a whole one and an empty one are not.
    #[test]
    fn a_cut_line_is_seen() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, cut) in [("", false), ("a,1\n", false), ("a,1\r\n", false), ("a,1", true)] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(csv::ends_within_a_line(file.path()).unwrap(), cut, "{text:?}");
        }
    }
}
