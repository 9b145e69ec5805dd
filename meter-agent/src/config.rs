//! The meter agent's configuration file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use link::Endpoint;
use protocol::id::MeterId;
use protocol::roster::Roster;
use protocol::roster::floor::Floor;
use protocol::unit::Register;
use serde::{Deserialize, Serialize};

use crate::meter::{Identity, Pace};

/// A meter agent's configuration; relative paths are relative to the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The meter's pseudonym, 32 hexadecimal digits.
    pub meter: String,
    /// The broker.
    pub broker: Endpoint,
    /// The meter's signing key.
    pub key: PathBuf,
    /// The meter's certificate.
    pub certificate: PathBuf,
    /// The registrar's public key.
    pub registrar: PathBuf,
    /// The roster.
    pub roster: PathBuf,
    /// The outbox and open batch.
    pub store: PathBuf,
    /// Whether batches are also encrypted under the utility's collective key. That trusts meters to encrypt honestly.
    #[serde(default)]
    pub analysis: bool,
    /// What was pinned at commissioning.
    pub floor: Floor,
    /// Batches and repeats.
    #[serde(default)]
    pub pace: PaceConfig,
    /// Where readings come from.
    pub source: SourceConfig,
}

/// How a meter batches and repeats; see [`Pace`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaceConfig {
    /// Slots a batch.
    pub batch_slots: u32,
    /// Seconds until the first repeat.
    pub resend_first: f64,
    /// Seconds between repeats at most.
    pub resend_last: f64,
    /// Days in the outbox at most.
    pub retention_days: u64,
}

/// Where readings come from.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum SourceConfig {
    /// A column of a CSV file, replayed.
    Csv {
        /// The file.
        file: PathBuf,
        /// The home's column.
        column: String,
        /// The register before the first interval, in watt-hours.
        #[serde(default)]
        register: u64,
        /// Slots a second; 0 is as fast as receipts allow.
        #[serde(default)]
        slots_per_second: f64,
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
}

impl Default for PaceConfig {
    fn default() -> Self {
        Self { batch_slots: 4, resend_first: 5.0, resend_last: 3_600.0, retention_days: 92 }
    }
}

impl PaceConfig {
    /// The role's pace.
    ///
    /// # Errors
    ///
    /// For seconds that are none.
    pub fn to_pace(&self) -> anyhow::Result<Pace> {
        let millis = |seconds: f64| {
            let time = std::time::Duration::try_from_secs_f64(seconds);
            let time = time.with_context(|| format!("{seconds} is not a number of seconds"))?;
            u64::try_from(time.as_millis()).context("too many seconds")
        };
        Ok(Pace {
            batch_slots: self.batch_slots,
            resend_first: millis(self.resend_first)?,
            resend_last: millis(self.resend_last)?,
            retention: self.retention_days.saturating_mul(86_400_000),
            ..Pace::default()
        })
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// A file that can't be read, is no TOML, or has unknown keys; the text names the line.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        toml::from_str(&text)
            .with_context(|| format!("{} is not a meter agent's configuration", path.display()))
    }

    /// Reads the keys and documents that the configuration names.
    ///
    /// # Errors
    ///
    /// A file that is missing, open to others, or not what it should be.
    pub fn identity(&self, directory: &Path) -> anyhow::Result<(Identity, Roster)> {
        let registrar = keyfile::read_verifying_key(&directory.join(&self.registrar))?;
        let certificate = directory.join(&self.certificate);
        let certificate = std::fs::read(&certificate)
            .with_context(|| format!("cannot read the certificate {}", certificate.display()))?;
        let path = directory.join(&self.roster);
        let roster =
            std::fs::read(&path).with_context(|| format!("cannot read the roster {}", path.display()))?;
        let roster = Roster::accept(&roster, &registrar)
            .with_context(|| format!("the roster {} was refused", path.display()))?;
        let key = keyfile::read_signing_key(&directory.join(&self.key))?;
        let meter: MeterId = self.meter.parse()?;
        Ok((Identity { meter, key, certificate, registrar }, roster))
    }
}

impl SourceConfig {
    /// The home's series, the register it starts with, and its speed in slots a second.
    ///
    /// # Errors
    ///
    /// A file that can't be read, or a column that it does not have.
    pub fn open(
        &self,
        directory: &Path,
        slot: protocol::unit::SlotLength,
    ) -> anyhow::Result<(crate::source::Series, Register, f64)> {
        match self {
            Self::Csv { file, column, register, slots_per_second } => {
                let path = directory.join(file);
                let homes = crate::source::csv::read_file(&path)
                    .with_context(|| format!("the load data {} was refused", path.display()))?;
                let names: Vec<String> = homes.iter().map(|home| home.name.clone()).collect();
                let home = homes.into_iter().find(|home| home.name == *column);
                let home = home.with_context(|| {
                    format!("{} has no column `{column}`; it has {}", path.display(), names.join(", "))
                })?;
                anyhow::ensure!(
                    home.slot == slot,
                    "the data's intervals are {} s, the roster's slots {} s",
                    home.slot.seconds(),
                    slot.seconds()
                );
                Ok((home, Register::try_from(*register)?, *slots_per_second))
            }
            Self::Synthetic { seed, index, start, slots, slots_per_second } => {
                let start = protocol::unit::Slot(*start);
                let home = crate::source::synthetic::home(*seed, *index, start, *slots, slot);
                Ok((home, Register::try_from(0)?, *slots_per_second))
            }
        }
    }
}
