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
use protocol::unit::{Slot, SlotRange};
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
    /// More keys that results were or will be sealed to, as rosters follow one another.
    #[serde(default)]
    pub more_box_keys: Vec<PathBuf>,
    /// The registrar's public key.
    pub registrar: PathBuf,
    /// The roster.
    pub roster: PathBuf,
    /// Queries, cuts, bills and curves.
    pub store: PathBuf,
    /// How log lines look.
    #[serde(default)]
    pub log: LogFormat,
    /// Where counters are served, on loopback.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// Tariff files to publish.
    #[serde(default)]
    pub tariffs: Vec<PathBuf>,
    /// What to ask for.
    #[serde(default, rename = "release", skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseConfig>,
    /// Patience.
    #[serde(default)]
    pub pace: PaceConfig,
    /// Mode `levelled`: off unless this section is there. They trust meters to encrypt honestly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levelled: Option<LevelledConfig>,
}

/// How the sink paces itself; see [`Pace`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaceConfig {
    /// Milliseconds to wait for aggregators that have not answered, once a quorum has.
    pub settle_ms: u64,
    /// Milliseconds until an unanswered message is sent again.
    pub resend_ms: u64,
}

/// A release to ask for, once: its name is remembered.
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
    /// A group's curve and statistics, interval by interval as they end.
    Grid {
        /// Its name, unique in the file.
        name: String,
        /// First slot and the slot after the last of the bill window that the intervals are in.
        period: (u32, u32),
        /// The group.
        group: String,
        /// The members' pseudonyms. Who has sent nothing for the window's first interval is left out of all.
        meters: Vec<String>,
    },
}

impl Default for PaceConfig {
    fn default() -> Self {
        let Pace { settle, resend, .. } = Pace::default();
        Self { settle_ms: settle, resend_ms: resend }
    }
}

impl PaceConfig {
    /// The role's pace.
    pub fn to_pace(&self) -> Pace {
        Pace { settle: self.settle_ms, resend: self.resend_ms, ..Pace::default() }
    }
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
        let key = file::read_secret(&directory.join(&self.key), str::parse::<SigningKey>)?;
        let files = [&self.box_key].into_iter().chain(&self.more_box_keys).map(|file| directory.join(file));
        let box_keys: Vec<OpeningKey> =
            files.map(|file| file::read_secret(&file, str::parse::<OpeningKey>)).collect::<Result<_, _>>()?;
        let listed = &roster.document().utility.box_key;
        anyhow::ensure!(
            box_keys.iter().any(|held| held.sealing_key() == *listed),
            "neither {} nor a file of more_box_keys is the secret of the utility's box key {} in the roster {}",
            directory.join(&self.box_key).display(),
            listed.key_id,
            path.display()
        );
        Ok((Identity { key, box_keys, registrar }, roster))
    }

    /// Reads the tariffs that the configuration names.
    ///
    /// # Errors
    ///
    /// A file that can't be read or is no tariff.
    pub fn read_tariffs(
        &self,
        directory: &Path,
        slot: protocol::unit::SlotLength,
    ) -> anyhow::Result<Vec<TariffDocument>> {
        let read = |file: &PathBuf| {
            let path = directory.join(file);
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read the tariff {}", path.display()))?;
            crate::tariff_file::parse(&text, slot)
                .with_context(|| format!("the tariff {} was refused", path.display()))
        };
        self.tariffs.iter().map(read).collect()
    }
}
