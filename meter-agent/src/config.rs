//! The meter agent's configuration file.

use protocol::signature::SigningKey;
use protocol::signature::VerifyingKey;
use runtime::file;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use protocol::id::MeterId;
use protocol::record::MAX_BATCH;
use protocol::roster::Roster;
use protocol::roster::floor::Floor;
use protocol::unit::SlotLength;
use runtime::config::ConfigError;
use runtime::link::Endpoint;
use runtime::telemetry::LogFormat;
use serde::{Deserialize, Serialize};

use crate::meter::{Identity, Pace};
use crate::register::Limits;

pub use crate::source::config::SourceConfig;

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
    pub levelled: bool,
    /// How log lines look.
    #[serde(default)]
    pub log: LogFormat,
    /// Where counters are served, on loopback.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// What was pinned at commissioning.
    pub floor: Floor,
    /// Batches and repeats.
    #[serde(default)]
    pub pace: PaceConfig,
    /// What is believed of registers.
    #[serde(default)]
    pub registers: RegistersConfig,
    /// Where readings come from.
    #[serde(deserialize_with = "runtime::config::only_one")]
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

/// What is believed of registers; see [`Limits`].
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistersConfig {
    /// The most that the connection carries, in watts; without it, as much as a slot can hold.
    pub most_watts: Option<u32>,
    /// How far from a slot's start a register may have been read to count as read then, in seconds; without it, a sixth of a
    /// slot.
    pub tolerance_s: Option<u32>,
    /// How far the meter's clock may be ahead of this machine's, in seconds; without it, 300.
    pub ahead_s: Option<u32>,
    /// The longest pause between two powers that still says what was used between them, in seconds; without it, 300.
    pub pause_s: Option<u32>,
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
    /// For a batch that no record holds, and for seconds that are none.
    pub fn to_pace(&self) -> anyhow::Result<Pace> {
        anyhow::ensure!(
            self.batch_slots > 0 && self.batch_slots as usize <= MAX_BATCH,
            "pace.batch_slots is {}, and a record holds 1 to {MAX_BATCH} slots",
            self.batch_slots
        );
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

impl RegistersConfig {
    /// What is believed.
    ///
    /// # Errors
    ///
    /// For a tolerance beyond half a slot, or a connection that carries nothing or more than a slot can hold.
    pub fn to_limits(&self, slot: SlotLength) -> anyhow::Result<Limits> {
        let default = Limits::new(slot);
        let tolerance = self.tolerance_s.unwrap_or(default.tolerance);
        anyhow::ensure!(
            tolerance <= slot.seconds() / 2,
            "a tolerance_s of {tolerance} is over half a slot of {} s: a register would count for two slots",
            slot.seconds()
        );
        let most_watts = self.most_watts.map_or(default.most_watts, Into::into);
        anyhow::ensure!(!most_watts.is_zero(), "a connection of 0 most_watts carries nothing");
        anyhow::ensure!(
            most_watts <= default.most_watts,
            "a connection of {most_watts} most_watts carries more than a slot can hold: {} W at most",
            default.most_watts
        );
        Ok(Limits {
            most_watts,
            tolerance,
            ahead: self.ahead_s.unwrap_or(default.ahead),
            hold: self.pause_s.unwrap_or(default.hold),
            ..default
        })
    }
}

impl Config {
    /// Reads a file, and the environment over it.
    ///
    /// # Errors
    ///
    /// A file that can't be read, is no TOML, or has unknown keys; the text names the line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        runtime::config::read(path, &[])
    }

    /// Reads the roster alone.
    ///
    /// # Errors
    ///
    /// A file that is missing or not what it should be.
    pub fn read_roster(&self, directory: &Path) -> anyhow::Result<Roster> {
        let registrar = file::read_text(&directory.join(&self.registrar), str::parse::<VerifyingKey>)?;
        Ok(file::read(&directory.join(&self.roster), |bytes| Roster::accept(bytes, &registrar))?)
    }

    /// Reads the keys and documents that the configuration names.
    ///
    /// # Errors
    ///
    /// A file that is missing, open to others, or not what it should be.
    pub fn identity(&self, directory: &Path) -> anyhow::Result<(Identity, Roster)> {
        let registrar = file::read_text(&directory.join(&self.registrar), str::parse::<VerifyingKey>)?;
        let roster = self.read_roster(directory)?;
        let certificate = directory.join(&self.certificate);
        let certificate = std::fs::read(&certificate)
            .with_context(|| format!("cannot read the certificate {}", certificate.display()))?;
        let key = file::read_secret(&directory.join(&self.key), str::parse::<SigningKey>)?;
        Ok((Identity { meter: self.meter()?, key, certificate, registrar }, roster))
    }

    /// The meter's pseudonym.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn meter(&self) -> anyhow::Result<MeterId> {
        Ok(self.meter.parse()?)
    }
}
