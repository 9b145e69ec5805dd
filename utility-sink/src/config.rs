//! The utility sink's configuration file.

use protocol::signature::SigningKey;
use protocol::signature::VerifyingKey;
use runtime::file;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use protocol::hpke_box::OpeningKey;
use protocol::id::{GroupId, MeterId};
use protocol::roster::Roster;
use protocol::tariff::TariffDocument;
use protocol::unit::{Slot, SlotLength, SlotRange};
use runtime::config::ConfigError;
use runtime::link::Endpoint;
use runtime::telemetry::LogFormat;
use serde::{Deserialize, Serialize};

use crate::sink::{Identity, Pace};

pub use self::levelled::{KeyConfig, LevelledConfig, QuestionConfig, SubjectConfig};

mod levelled;

/// The sink's configuration; relative paths are relative to the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The broker.
    pub broker: Endpoint,
    /// The key it signs with.
    pub key: PathBuf,
    /// The key that results are sealed to.
    pub box_key: PathBuf,
    /// More keys that results are sealed to under earlier or later rosters.
    #[serde(default)]
    pub more_box_keys: Vec<PathBuf>,
    /// The registrar's public key.
    pub registrar: PathBuf,
    /// The roster.
    pub roster: PathBuf,
    /// Queries, cuts, bills and curves.
    pub store: PathBuf,
    /// The format of log lines.
    #[serde(default)]
    pub log: LogFormat,
    /// The loopback address of the metrics.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// Tariff files to publish.
    #[serde(default)]
    pub tariffs: Vec<PathBuf>,
    /// The releases to ask for.
    #[serde(default, rename = "release", skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseConfig>,
    /// How long it waits.
    #[serde(default)]
    pub pace: Pace,
    /// Mode `levelled`: off without this section. It trusts the meters to encrypt honestly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levelled: Option<LevelledConfig>,
}

/// A release. It is asked for once, by its name.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum ReleaseConfig {
    /// Bills of meters.
    Bill {
        /// Its name, unique in the file.
        name: String,
        /// First slot and the slot after the last.
        period: (u32, u32),
        /// The names of tariffs that this sink publishes.
        tariffs: Vec<String>,
        /// The meters' pseudonyms.
        meters: Vec<String>,
    },
    /// A group's curve.
    Curve {
        /// Its name, unique in the file.
        name: String,
        /// First slot and the slot after the last: whole days.
        period: (u32, u32),
        /// The group.
        group: String,
        /// The members' pseudonyms.
        meters: Vec<String>,
    },
    /// A group's curve and statistics: each interval as it ends.
    Grid {
        /// Its name, unique in the file.
        name: String,
        /// The bill window of the intervals: its first slot and the slot after its last.
        period: (u32, u32),
        /// The group.
        group: String,
        /// The members' pseudonyms. A member without data in the window's first interval is in no interval.
        meters: Vec<String>,
    },
}

impl ReleaseConfig {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Bill { name, .. } | Self::Curve { name, .. } | Self::Grid { name, .. } => name,
        }
    }

    /// Its period.
    ///
    /// # Errors
    ///
    /// For slots that run backwards.
    pub fn period(&self) -> anyhow::Result<SlotRange> {
        let (Self::Bill { period, .. } | Self::Curve { period, .. } | Self::Grid { period, .. }) = self;
        Ok(SlotRange::new(Slot(period.0), Slot(period.1))?)
    }

    /// Its meters.
    ///
    /// # Errors
    ///
    /// For a pseudonym that is none.
    pub fn meters(&self) -> anyhow::Result<Vec<MeterId>> {
        let (Self::Bill { meters, .. } | Self::Curve { meters, .. } | Self::Grid { meters, .. }) = self;
        meters.iter().map(|meter| Ok(meter.parse()?)).collect()
    }

    /// Its group, if it is of one.
    ///
    /// # Errors
    ///
    /// For a name that is none.
    pub fn group(&self) -> anyhow::Result<Option<GroupId>> {
        match self {
            Self::Bill { .. } => Ok(None),
            Self::Curve { group, .. } | Self::Grid { group, .. } => Ok(Some(group.parse()?)),
        }
    }
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
        let key = file::read_secret(&directory.join(&self.key), str::parse::<SigningKey>)?;
        let files = [&self.box_key].into_iter().chain(&self.more_box_keys).map(|file| directory.join(file));
        let box_keys: Vec<OpeningKey> =
            files.map(|file| file::read_secret(&file, str::parse::<OpeningKey>)).collect::<Result<_, _>>()?;
        let listed = &roster.document().utility.box_key;
        anyhow::ensure!(
            box_keys.iter().any(|held| held.sealing_key() == *listed),
            "the roster {} lists box key {} of the utility, but neither {} nor a file of `more_box_keys` has its secret; add the file \
             to `more_box_keys`",
            path.display(),
            listed.key_id,
            directory.join(&self.box_key).display()
        );
        Ok((Identity { key, box_keys, registrar }, roster))
    }

    /// Reads the tariffs that the configuration names.
    ///
    /// # Errors
    ///
    /// A file that can't be read or is not a tariff.
    pub fn read_tariffs(&self, directory: &Path, slot: SlotLength) -> anyhow::Result<Vec<TariffDocument>> {
        let read = |file: &PathBuf| {
            let path = directory.join(file);
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read the tariff {}", path.display()))?;
            crate::tariff_file::parse(&text, slot)
                .with_context(|| format!("the tariff {} has an error", path.display()))
        };
        self.tariffs.iter().map(read).collect()
    }
}
