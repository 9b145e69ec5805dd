//! The aggregator worker's configuration file.

use protocol::signature::SigningKey;
use protocol::signature::VerifyingKey;
use runtime::file;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use protocol::hpke_box::OpeningKey;
use protocol::id::AggregatorId;
use protocol::roster::Roster;
use runtime::config::ConfigError;
use runtime::link::Endpoint;
use runtime::telemetry::LogFormat;
use serde::{Deserialize, Serialize};

use crate::aggregator::{Identity, LevelledPace, Pace};

/// An aggregator worker's configuration; relative paths are relative to the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The aggregator's name in the roster.
    pub aggregator: String,
    /// The broker.
    pub broker: Endpoint,
    /// The key it signs with.
    pub key: PathBuf,
    /// The keys that shares are sealed to, old ones included.
    pub box_keys: Vec<PathBuf>,
    /// The registrar's public key.
    pub registrar: PathBuf,
    /// The roster.
    pub roster: PathBuf,
    /// Shares, votes and results.
    pub store: PathBuf,
    /// The store's cache in MiB.
    #[serde(default = "default_cache_mib")]
    pub cache_mib: usize,
    /// How log lines look.
    #[serde(default)]
    pub log: LogFormat,
    /// Where counters are served, on loopback.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// Receipts and patience.
    #[serde(default)]
    pub pace: PaceConfig,
    /// Mode `levelled`: off unless this section is there. They trust meters to encrypt honestly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levelled: Option<LevelledConfig>,
}

/// The pace of mode `levelled`; see [`LevelledPace`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LevelledConfig {
    /// Milliseconds until a contribution to a key is sent again for the first time.
    pub resend_first_ms: u64,
    /// Milliseconds between repeats at most.
    pub resend_last_ms: u64,
}

impl Default for LevelledConfig {
    fn default() -> Self {
        let LevelledPace { resend_first, resend_last } = LevelledPace::default();
        Self { resend_first_ms: resend_first, resend_last_ms: resend_last }
    }
}

impl LevelledConfig {
    /// The role's pace.
    pub fn to_pace(&self) -> LevelledPace {
        LevelledPace { resend_first: self.resend_first_ms, resend_last: self.resend_last_ms }
    }
}

/// The store's cache in MiB, where nothing else is said.
pub const DEFAULT_CACHE_MIB: usize = 16;

fn default_cache_mib() -> usize {
    DEFAULT_CACHE_MIB
}

/// How an aggregator paces itself; see [`Pace`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaceConfig {
    /// Milliseconds between two receipts for one meter, at least.
    pub receipt_every_ms: u64,
    /// Seconds to wait for records that a certified cut names and that are not here yet.
    pub patience_s: u64,
}

impl Default for PaceConfig {
    fn default() -> Self {
        let Pace { receipt_every, patience } = Pace::default();
        Self { receipt_every_ms: receipt_every, patience_s: patience / 1_000 }
    }
}

impl PaceConfig {
    /// The role's pace.
    pub fn to_pace(&self) -> Pace {
        Pace { receipt_every: self.receipt_every_ms, patience: self.patience_s.saturating_mul(1_000) }
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

    /// Reads the keys and documents that the configuration names.
    ///
    /// # Errors
    ///
    /// A file that is missing, open to others, or not what it should be.
    pub fn identity(&self, directory: &Path) -> anyhow::Result<(Identity, Roster)> {
        let path = directory.join(&self.roster);
        let registrar = file::read_text(&directory.join(&self.registrar), str::parse::<VerifyingKey>)?;
        let roster = file::read(&path, |bytes| Roster::accept(bytes, &registrar))?;
        let name: AggregatorId = self.aggregator.parse()?;
        let listed = roster
            .aggregator_named(&name)
            .with_context(|| format!("the roster {} has no aggregator `{name}`", path.display()))?;
        let key = file::read_secret(&directory.join(&self.key), str::parse::<SigningKey>)?;
        let box_keys: Vec<OpeningKey> = self
            .box_keys
            .iter()
            .map(|path| file::read_secret(&directory.join(path), str::parse::<OpeningKey>))
            .collect::<Result<_, _>>()?;
        for listed in &listed.box_keys {
            anyhow::ensure!(
                box_keys.iter().any(|held| held.sealing_key() == listed.key),
                "no file of box_keys holds the secret of box key {} of `{name}` in the roster {}",
                listed.key.key_id,
                path.display()
            );
        }
        Ok((Identity { point: listed.point, key, box_keys, registrar }, roster))
    }
}
