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
    /// The format of log lines.
    #[serde(default)]
    pub log: LogFormat,
    /// The loopback address of the metrics.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// How often it answers, and how long it waits.
    #[serde(default)]
    pub pace: Pace,
    /// Mode `levelled`: off without this section. It trusts the meters to encrypt honestly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levelled: Option<LevelledPace>,
}

/// The default of the store's cache in MiB.
pub const DEFAULT_CACHE_MIB: usize = 16;

fn default_cache_mib() -> usize {
    DEFAULT_CACHE_MIB
}

impl Config {
    /// Reads a file, and the environment over it.
    ///
    /// # Errors
    ///
    /// A file that can't be read, or is not TOML, or has an unknown key; the error names the line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        runtime::config::read(path, &[])
    }

    /// Reads the keys and documents that the configuration names.
    ///
    /// # Errors
    ///
    /// A file that is missing, that others can read, or that has an error.
    pub fn identity(&self, directory: &Path) -> anyhow::Result<(Identity, Roster)> {
        let path = directory.join(&self.roster);
        let registrar = file::read_text(&directory.join(&self.registrar), str::parse::<VerifyingKey>)?;
        let roster = file::read(&path, |bytes| Roster::accept(bytes, &registrar))?;
        let name: AggregatorId = self.aggregator.parse()?;
        let listed = roster.aggregator_named(&name).with_context(|| {
            let known: Vec<&str> =
                roster.document().aggregators.iter().map(|listed| listed.id.as_ref()).collect();
            format!(
                "`aggregator`: expected a name from the roster {}, one of {}; found `{name}`",
                path.display(),
                known.join(", ")
            )
        })?;
        let key = file::read_secret(&directory.join(&self.key), str::parse::<SigningKey>)?;
        let box_keys: Vec<OpeningKey> = self
            .box_keys
            .iter()
            .map(|path| file::read_secret(&directory.join(path), str::parse::<OpeningKey>))
            .collect::<Result<_, _>>()?;
        for listed in &listed.box_keys {
            anyhow::ensure!(
                box_keys.iter().any(|held| held.sealing_key() == listed.key),
                "the roster {2} lists box key {0} of `{1}`, but no file of `box_keys` has its secret; add the file",
                listed.key.key_id,
                name,
                path.display()
            );
        }
        Ok((Identity { point: listed.point, key, box_keys, registrar }, roster))
    }
}
