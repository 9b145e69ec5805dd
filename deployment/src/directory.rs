//! A deployment's directory, as `wattveil init` made it and later commands find it.

use protocol::signature::VerifyingKey;
use runtime::file;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use protocol::id::{GroupId, MeterId};
use protocol::roster::Roster;
use protocol::signature::SigningKey;
use runtime::link::Endpoint;
use serde::{Deserialize, Serialize};

/// The configuration of whoever is no role but has to do with the deployment: the registrar, an observer.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The broker.
    pub broker: Endpoint,
    /// The registrar's signing key, which only the registrar has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// The registrar's public key.
    pub registrar: PathBuf,
    /// The roster.
    pub roster: PathBuf,
}

impl Config {
    /// A configuration with the files' usual names.
    pub fn new(broker: Endpoint, key: Option<PathBuf>) -> Self {
        Self { broker, key, registrar: "registrar.pub".into(), roster: "roster.wv".into() }
    }

    /// Reads the registrar's public key and the roster that it signed; the configuration is in `home`.
    ///
    /// # Errors
    ///
    /// A file that can't be read, or a roster that the registrar did not sign.
    pub fn membership(&self, home: &Path) -> anyhow::Result<(VerifyingKey, Roster)> {
        membership(&home.join(&self.registrar), &home.join(&self.roster))
    }
}

/// Reads the registrar's public key and the roster that it signed.
///
/// # Errors
///
/// A file that can't be read, or a roster that the registrar did not sign.
pub fn membership(registrar: &Path, roster: &Path) -> anyhow::Result<(VerifyingKey, Roster)> {
    let registrar = file::read_text(registrar, str::parse::<VerifyingKey>)?;
    let roster = file::read(roster, |bytes| Roster::accept(bytes, &registrar))?;
    Ok((registrar, roster))
}

/// A deployment's directory, the registrar's part of it at least.
#[derive(Debug)]
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    /// The registrar's configuration.
    pub config: Config,
    /// The registrar's key.
    pub registrar: SigningKey,
    /// The roster in force.
    pub roster: Roster,
}

impl Directory {
    /// Opens a directory.
    ///
    /// # Errors
    ///
    /// If it is none, or the registrar's files are not what they should be.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let home = path.join("registrar");
        let file = home.join("registrar.toml");
        anyhow::ensure!(
            file.is_file(),
            "{} is no deployment's directory: it has no registrar/registrar.toml; name the one that `wattveil init` made{}",
            path.display(),
            or_init(path)
        );
        let config: Config = runtime::config::read(&file, &[])?;
        let key = config
            .key
            .clone()
            .with_context(|| format!("{} names no `key`; write: key = \"sign.key\"", file.display()))?;
        let registrar = file::read_secret(&home.join(key), str::parse::<SigningKey>)?;
        let (public, roster) = config.membership(&home)?;
        anyhow::ensure!(
            public == registrar.verifying_key(),
            "registrar/sign.key and registrar/registrar.pub in {} do not belong together; bring both back from one backup",
            path.display()
        );
        Ok(Self { path: path.to_owned(), config, registrar, roster })
    }

    /// The meters that were enrolled.
    ///
    /// # Errors
    ///
    /// If the file can't be read.
    pub fn meters(&self) -> anyhow::Result<MetersFile> {
        MetersFile::read(&self.path.join("registrar/meters.csv"))
    }

    /// Notes a meter, for the registrar and, where its directory is still here, for the utility.
    ///
    /// # Errors
    ///
    /// If a file can't be written.
    pub fn note_meter(&self, row: &MeterRow) -> anyhow::Result<()> {
        for file in ["registrar/meters.csv", "sink/meters.csv"].map(|file| self.path.join(file)) {
            if file.is_file() {
                append(&file, &row.to_line())?;
            }
        }
        Ok(())
    }
}

/// That a deployment can be made in a directory, if that is there for nothing else yet.
pub fn or_init(path: &Path) -> String {
    let taken = fs::read_dir(path).map_or_else(|_| path.exists(), |mut entries| entries.next().is_some());
    if taken { String::new() } else { format!(", or type: wattveil init {}", path.display()) }
}

/// Adds text to a file that is there.
///
/// # Errors
///
/// If it can't be written.
pub fn append(file: &Path, text: &str) -> anyhow::Result<()> {
    let opened = fs::OpenOptions::new().append(true).open(file);
    let written =
        opened.and_then(|mut opened| opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()));
    written.with_context(|| format!("cannot add to {}", file.display()))
}

/// So many meters, in words.
pub fn meters(count: usize) -> String {
    if count == 1 { "1 meter".to_owned() } else { format!("{count} meters") }
}

/// A meter that was enrolled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MeterRow {
    /// The home's name.
    pub name: String,
    /// Its pseudonym.
    pub meter: MeterId,
    /// Its group.
    pub group: GroupId,
}

/// `meters.csv`: which home has which meter.
#[derive(Clone, Debug, Default)]
pub struct MetersFile(pub Vec<MeterRow>);

impl MetersFile {
    /// The columns.
    const COLUMNS: [&str; 3] = ["name", "meter", "group"];

    /// The whole file's text.
    pub fn to_text(&self) -> String {
        let header = text_of(Self::COLUMNS);
        self.0.iter().map(MeterRow::to_line).fold(header, |text, line| text + &line)
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// A file that can't be read, or that has other columns than `name,meter,group`, or that names a meter twice.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let (wanted, shown) = (Self::COLUMNS.join(","), path.display());
        let cannot_read = || format!("cannot read the meters of {shown}");
        let found = |record: &csv::StringRecord| record.iter().collect::<Vec<_>>().join(",");
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .flexible(true)
            .from_path(path)
            .with_context(cannot_read)?;
        let header = reader.headers().with_context(cannot_read)?;
        anyhow::ensure!(
            *header == Self::COLUMNS[..],
            "{shown}, line 1: expected the columns {wanted}; found `{}`",
            found(header)
        );
        let (mut rows, mut meters) = (Vec::new(), BTreeSet::new());
        for record in reader.records() {
            let record = record.with_context(cannot_read)?;
            if record.iter().all(str::is_empty) {
                continue;
            }
            let line = record.position().map_or(0, csv::Position::line);
            let row = MeterRow::parse(&record).with_context(|| {
                format!("{shown}, line {line}: expected {wanted}; found `{}`", found(&record))
            })?;
            anyhow::ensure!(
                meters.insert(row.meter),
                "{shown}: meter {} ({}) is there twice",
                row.meter,
                row.name
            );
            rows.push(row);
        }
        Ok(Self(rows))
    }

    /// The meter of a home, by its name or its pseudonym.
    pub fn find(&self, name: &str) -> Option<&MeterRow> {
        self.0.iter().rev().find(|row| row.name == name || row.meter.to_string() == name)
    }
}

impl MeterRow {
    fn parse(record: &csv::StringRecord) -> Option<Self> {
        let [name, meter, group] = record.iter().collect::<Vec<_>>()[..] else { return None };
        Some(Self { name: name.to_owned(), meter: meter.parse().ok()?, group: group.parse().ok()? })
    }

    /// Its line in the file.
    pub fn to_line(&self) -> String {
        text_of([&self.name, &self.meter.to_string(), self.group.as_ref()])
    }
}

/// A record as CSV.
fn text_of(cells: [&str; 3]) -> String {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(cells).expect("a Vec accepts every byte");
    String::from_utf8(line.into_inner().expect("a Vec accepts every byte")).expect("cells are UTF-8")
}
