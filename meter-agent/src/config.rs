//! The meter agent's configuration file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use protocol::roster::Roster;
use protocol::roster::floor::Floor;
use protocol::signature::{SigningKey, VerifyingKey};
use protocol::unit::SlotLength;
use runtime::config::ConfigError;
use runtime::file;
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
    /// The form of log lines.
    #[serde(default)]
    pub log: LogFormat,
    /// Where counters are served, on loopback.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// What was pinned at commissioning.
    pub floor: Floor,
    /// Batches and repeats.
    #[serde(default)]
    pub pace: Pace,
    /// What is believed of registers.
    #[serde(default)]
    pub registers: RegistersConfig,
    /// Where readings come from.
    #[serde(deserialize_with = "runtime::config::only_one")]
    pub source: SourceConfig,
}

/// What is believed of registers; see [`Limits`].
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistersConfig {
    /// The most that the connection carries, in watts; without it, as much as a slot can hold.
    pub most_watts: Option<u32>,
    /// How far from a slot's start a register may have been read to count as read then; without it, a sixth of a slot.
    #[serde(with = "humantime_serde")]
    pub tolerance: Option<Duration>,
    /// How far the meter's clock may be ahead of this machine's; without it, five minutes.
    #[serde(with = "humantime_serde")]
    pub ahead: Option<Duration>,
    /// The longest pause between two powers over which their energy is computed; without it, five minutes.
    #[serde(with = "humantime_serde")]
    pub pause: Option<Duration>,
}

impl RegistersConfig {
    /// What is believed.
    ///
    /// # Errors
    ///
    /// For a tolerance beyond half a slot, or a connection that carries nothing or more than a slot can hold.
    pub fn to_limits(&self, slot: SlotLength) -> anyhow::Result<Limits> {
        let default = Limits::new(slot);
        let seconds = |duration: Option<Duration>, default| duration.map_or(default, |d| d.as_secs());
        let tolerance = seconds(self.tolerance, default.tolerance);
        let half = u64::from(slot.seconds()) / 2;
        anyhow::ensure!(
            tolerance <= half,
            "expected registers.tolerance of at most half a slot, `tolerance = \"{half}s\"`; found {tolerance} s. A register would \
             count for two slots"
        );
        let most_watts = self.most_watts.map_or(default.most_watts, Into::into);
        anyhow::ensure!(
            !most_watts.is_zero() && most_watts <= default.most_watts,
            "expected registers.most_watts from 1 to {}, which is what a slot can hold, for example `most_watts = 17250`; found \
             {most_watts}",
            default.most_watts
        );
        let (ahead, pause) = (seconds(self.ahead, default.ahead), seconds(self.pause, default.pause));
        Ok(Limits { most_watts, tolerance, ahead, pause, ..default })
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

    /// Reads the registrar's public key and the roster that it signed.
    ///
    /// # Errors
    ///
    /// A file that is missing or not what it should be.
    pub fn membership(&self, directory: &Path) -> anyhow::Result<(VerifyingKey, Roster)> {
        let registrar = file::read_text(&directory.join(&self.registrar), str::parse::<VerifyingKey>)?;
        let roster = file::read(&directory.join(&self.roster), |bytes| Roster::accept(bytes, &registrar))?;
        Ok((registrar, roster))
    }

    /// Reads the keys and documents that the configuration names.
    ///
    /// # Errors
    ///
    /// A file that is missing, open to others, or not what it should be.
    pub fn identity(&self, directory: &Path) -> anyhow::Result<(Identity, Roster)> {
        let (registrar, roster) = self.membership(directory)?;
        let certificate = directory.join(&self.certificate);
        let certificate = std::fs::read(&certificate)
            .with_context(|| format!("cannot read the certificate {}", certificate.display()))?;
        let key = file::read_secret(&directory.join(&self.key), str::parse::<SigningKey>)?;
        Ok((Identity { meter: self.meter.parse()?, key, certificate, registrar }, roster))
    }
}
