//! The `[source.KIND]` table: where readings come from.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::tz::Offset;
use protocol::id::MeterId;
use protocol::unit::{MAX_REGISTER_WH, Register, Slot, SlotLength};
use runtime::link::Endpoint;
use serde::{Deserialize, Serialize};
use store::Store;
use tracing::warn;

use super::csv::{self, CellQuantity, Format};
use super::input::{Input, Line};
use super::message::{Field, PRESETS, Preset};
use super::{Live, synthetic};
use crate::feed::{Base, Feed};
use crate::measurement::Unit;
use crate::meter::{MeterError, Reading};
use crate::register::Limits;

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
        /// The register before the first interval, in watt-hours, where the cells are energies. Without it they go on from the
        /// last register that was taken, and begin at 0 where there is none.
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
        /// The broker, which is always to be said: the one that the agent sends to carries nothing but its own topics.
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

/// A source whose configuration is what it should be.
#[derive(Debug)]
pub enum Source {
    /// Readings that there are already.
    Replay(Feed),
    /// A meter that is to be listened to.
    Live(Box<Live>),
}

impl Source {
    /// What feeds the role with it.
    ///
    /// # Errors
    ///
    /// [`MeterError`] if the store is damaged.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn feed(self, directory: &Path, limits: Limits, store: &dyn Store) -> Result<Feed, MeterError> {
        match self {
            Self::Replay(feed) => feed.looking(limits, store),
            Self::Live(live) => {
                let at_once = live.is_at_once();
                let feed = Feed::live(live.listen(directory), limits, store)?;
                Ok(if at_once { feed.at_once() } else { feed })
            }
        }
    }
}

impl SourceConfig {
    /// Opens files and checks everything that can be wrong before a role starts.
    ///
    /// # Errors
    ///
    /// A file that can't be read, a column that it does not have, a topic that is missing.
    pub fn open(&self, directory: &Path, slot: SlotLength, meter: &MeterId) -> anyhow::Result<Source> {
        let live = |live| Ok(Source::Live(Box::new(live)));
        match self {
            Self::Csv { file, column, register, slots_per_second, own_time, format } => {
                let path = directory.join(file);
                let (readings, base) = read_csv(&path, column, *register, slot, format)
                    .with_context(|| format!("the load data {} was refused", path.display()))?;
                anyhow::ensure!(
                    !(*own_time && *slots_per_second != 0.0),
                    "own_time and slots_per_second are two speeds: say one of them"
                );
                let feed = if *own_time {
                    Feed::at_own_time(readings, slot)
                } else {
                    Feed::replay(readings, checked_speed(*slots_per_second)?)
                };
                Ok(Source::Replay(feed.based(base)))
            }
            Self::Synthetic { seed, index, start, slots, slots_per_second } => {
                let home = synthetic::home(*seed, *index, Slot(*start), *slots, slot);
                let readings = home.readings(Register::try_from(0)?).collect();
                Ok(Source::Replay(Feed::replay(readings, checked_speed(*slots_per_second)?)))
            }
            Self::Lines { input } => {
                input.check(directory)?;
                live(Live::Lines(input.clone()))
            }
            Self::P1 { input, line, winter_offset } => {
                input.check(directory)?;
                let offset = Offset::from_hours(*winter_offset)
                    .ok()
                    .with_context(|| format!("a winter_offset of {winter_offset} hours is none"))?;
                live(Live::Telegrams(input.clone(), *line, offset))
            }
            Self::Sml { input, line } => {
                input.check(directory)?;
                live(Live::Sml(input.clone(), *line))
            }
            Self::Mqtt { broker, .. } => {
                let endpoint = broker.as_ref().context(
                    "an mqtt source needs its broker: the one that the agent sends to lets a meter read nothing but what is meant \
                     for it. Say where the devices publish: broker = { address = \"192.168.1.10:1883\" }, with user and \
                     password_file if it asks for them",
                )?;
                let settings = endpoint.settings(directory, &format!("source-{meter}"))?;
                live(Live::Messages(Box::new(settings), self.field()?))
            }
        }
    }

    /// Where an MQTT source has its values: the preset's places, with what is said otherwise.
    fn field(&self) -> anyhow::Result<Field> {
        let Self::Mqtt { preset, device, topic, import, export, time, unit, .. } = self else {
            anyhow::bail!("only an mqtt source has messages");
        };
        let known = match preset {
            Some(name) => {
                let known = Preset::named(name).with_context(|| {
                    let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
                    format!("there is no preset `{name}`; there are {}", names.join(", "))
                })?;
                anyhow::ensure!(
                    device.is_some() || topic.is_some(),
                    "the preset `{name}` needs the device's name in its topic, such as device = \"kitchen\""
                );
                Some(known.field(device.as_deref().unwrap_or_default()))
            }
            None => None,
        };
        let missing = |what: &str| {
            format!("an mqtt source needs a preset, or topic, import and unit; there is no {what}")
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
                "`{pointer}` is not a JSON pointer, such as /ENERGY/Total"
            );
        }
        let levels = field.topic.split('/').any(|level| level == "+" || level == "#" || level.is_empty());
        anyhow::ensure!(
            !levels && !field.topic.contains('\0'),
            "`{}` is not one device's topic: a wildcard would mix several meters",
            field.topic
        );
        Ok(field)
    }
}

fn checked_speed(slots_per_second: f64) -> anyhow::Result<f64> {
    let sane = slots_per_second == 0.0 || (1e-6..=1e9).contains(&slots_per_second);
    anyhow::ensure!(sane, "{slots_per_second} slots a second is no speed; 0 is as fast as receipts allow");
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
            "the file does not end with the end of a line: its last row is taken as it stands; was the file cut off in it?"
        );
    }
    if format.quantity == CellQuantity::Register {
        anyhow::ensure!(
            register.is_none(),
            "register is said, and the cells are registers themselves: leave it out, or say format.quantity = \"energy\""
        );
        let read = csv::read_registers(text, column, slot, format)?;
        let apart = read.readings.windows(2).map(|pair| pair[1].at.0 - pair[0].at.0).min();
        if let Some(apart @ 2..) = apart {
            anyhow::bail!(
                "the registers are {} s apart or more and the roster's slots are {} s: no slot's energy would be known, and no record \
                 made. Replay registers of every slot's start, or make a roster of longer slots (wattveil init --slot-minutes 15, 30 \
                 or 60)",
                u64::from(apart) * u64::from(slot.seconds()),
                slot.seconds()
            );
        }
        if read.missing > 0 {
            warn!(
                home = column,
                readings = read.readings.len(),
                missing = read.missing,
                "the home is incomplete: what it used over the gaps is billed by its registers' difference only"
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
        "the data's intervals are {} s, the roster's slots {} s: replay data of such intervals, or make a roster of such slots \
         (wattveil init --slot-minutes {})",
        home.slot.seconds(),
        slot.seconds(),
        home.slot.seconds() / 60
    );
    let base = if register.is_some() { Base::Said } else { Base::Open };
    let readings: Vec<Reading> = home.readings(Register::try_from(register.unwrap_or(0))?).collect();
    anyhow::ensure!(
        readings.len() == home.energies.len() + 1,
        "the register would pass the largest there can be, {MAX_REGISTER_WH} Wh, in interval {} of {}: is register, in Wh, what it \
         should be?",
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

    /// A preset needs a device; each of its places can be said otherwise; without one, all is to be said.
    #[test]
    fn presets_can_be_changed() {
        let field = mqtt("preset = \"tasmota\"\ndevice = \"cellar\"\nimport = \"/SML/total_in\"").unwrap();
        assert_eq!((field.topic.as_str(), field.import.as_str()), ("tele/cellar/SENSOR", "/SML/total_in"));
        let own = mqtt("topic = \"a/b\"\nimport = \"\"\nunit = \"kW\"").unwrap();
        assert!(own.unit.is_power());
        for (text, message) in [
            ("preset = \"toaster\"", "there is no preset `toaster`; there are tasmota, shelly-3em"),
            ("preset = \"tasmota\"", "needs the device's name in its topic, such as device = \"kitchen\""),
            ("topic = \"a\"\nunit = \"Wh\"", "there is no import"),
            ("topic = \"a/+\"\nimport = \"/x\"\nunit = \"Wh\"", "a wildcard would mix several meters"),
            (
                "topic = \"a\"\nimport = \"x\"\nunit = \"Wh\"",
                "`x` is not a JSON pointer, such as /ENERGY/Total",
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

    /// What could only fail silently later is refused before a role starts.
    #[test]
    fn what_gives_nothing_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path();
        for kind in ["lines", "p1", "sml"] {
            let message = refused(&format!("[{kind}]\ninput = \"file:none.txt\""), here);
            assert!(message.contains("none.txt; say a file that is there"), "{message}");
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
            message.contains("3600 s, the roster's slots 900 s") && message.contains("--slot-minutes 60"),
            "{message}"
        );
        let coarse = "time,a\n2026-01-01T00:00Z,1\n2026-01-01T00:30Z,2\n2026-01-01T01:00Z,3\n";
        let registers = "[csv.format]\nquantity = \"register\"\nallow_missing = true";
        let message = refused(&csv(coarse, registers), here);
        assert!(message.contains("1800 s apart or more and the roster's slots are 900 s"), "{message}");
        let message = refused(&csv(coarse, &format!("register = 5\n{registers}")), here);
        assert!(message.contains("the cells are registers themselves"), "{message}");
    }

    /// A file that was cut off in its last line is seen, a whole one and an empty one are not taken for it.
    #[test]
    fn a_cut_line_is_seen() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, cut) in [("", false), ("a,1\n", false), ("a,1\r\n", false), ("a,1", true)] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(csv::ends_within_a_line(file.path()).unwrap(), cut, "{text:?}");
        }
    }
}
