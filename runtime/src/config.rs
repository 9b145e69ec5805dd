//! A role's configuration: one TOML file, over it the environment (`WATTVEIL_PACE__BATCH_SLOTS=8`), over that the command
//! line (`--set pace.batch_slots=8`).
//!
//! Whatever is wrong is said with where it was said: the file's line, the variable, the flag. Values are not repeated beyond
//! what is needed to find them.

use std::fmt;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::Env;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::de::{DeTable, DeValue};

/// What variables of the environment begin with.
const PREFIX: &str = "WATTVEIL_";

/// The flags that say what the configuration is.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigArguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Set a parameter over the file and the environment, such as --set log=json
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl ConfigArguments {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        read(&self.config, &self.set)
    }

    /// The directory that the configuration's paths are of.
    pub fn directory(&self) -> &Path {
        self.config.parent().unwrap_or_else(|| Path::new("."))
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{}, line {line}: {reason}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A parameter that is unknown, missing or not what it should be.
    #[error("{place}: {reason}")]
    Parameter {
        /// The file and line, the variable, or the flag.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A flag that sets nothing.
    #[error("--set {0} is not KEY=VALUE, such as --set log=json")]
    Set(String),
}

/// Reads a configuration file, the environment over it, and `set` over that.
///
/// # Errors
///
/// [`ConfigError`].
pub fn read<T: DeserializeOwned>(path: &Path, set: &[String]) -> Result<T, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
    layered(path, &text, set)
}

/// Reads what the environment says and `set` over it, for a role that can do without a file.
///
/// # Errors
///
/// [`ConfigError`].
pub fn read_without_file<T: DeserializeOwned>(set: &[String]) -> Result<T, ConfigError> {
    layered(Path::new("without a configuration file"), "", set)
}

/// A choice between tables, such as `[source.KIND]`: exactly one may be there, of all layers together.
///
/// For `deserialize_with`; serde by itself takes one of several and says nothing of the others.
///
/// # Errors
///
/// Those of the choice, none, and more than one.
pub fn only_one<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct OnlyOne<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyOne<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("one table")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
            let one = T::deserialize(MapAccessDeserializer::new(&mut map))?;
            match map.next_key::<String>()? {
                None => Ok(one),
                Some(other) => {
                    Err(A::Error::custom(format_args!("`{other}` is not the only one there; keep one")))
                }
            }
        }
    }

    deserializer.deserialize_map(OnlyOne(PhantomData))
}

fn layered<T: DeserializeOwned>(path: &Path, text: &str, set: &[String]) -> Result<T, ConfigError> {
    let table: toml::Table = toml::from_str(text).map_err(|error| ConfigError::Toml {
        path: path.into(),
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        reason: error.message().to_owned(),
    })?;
    let mut figment = Figment::new().merge(Layer::new(Place::File, dict(table)));
    figment = figment.merge(Env::prefixed(PREFIX).ignore(&["backtrace"]).split("__"));
    for flag in set {
        let (key, value) = flag.split_once('=').ok_or_else(|| ConfigError::Set(flag.clone()))?;
        figment = figment.merge(Layer::new(Place::Flag, nested(key.trim(), flag_value(value))));
    }
    figment.extract().map_err(|error| explain(error, &figment, path, text))
}

/// Where a layer of parameters comes from.
#[derive(Clone, Copy)]
enum Place {
    File,
    Flag,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Flag => "flag",
        }
    }
}

struct Layer {
    place: Place,
    dict: Dict,
}

impl Layer {
    fn new(place: Place, dict: Dict) -> Self {
        Self { place, dict }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.place.name())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

fn dict(table: toml::Table) -> Dict {
    table.into_iter().map(|(key, value)| (key, figment_value(value))).collect()
}

fn figment_value(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(is) => is.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(figment_value).collect::<Vec<_>>().into(),
        toml::Value::Table(table) => dict(table).into(),
    }
}

/// What stands behind `=` in a flag: a value of TOML, or else text without quotes.
fn flag_value(text: &str) -> Value {
    let parsed: Option<toml::Table> = toml::from_str(&format!("value = {text}")).ok();
    parsed.and_then(|mut table| table.remove("value")).map_or_else(|| text.into(), figment_value)
}

fn nested(key: &str, value: Value) -> Dict {
    match key.split_once('.') {
        Some((table, rest)) => Dict::from([(table.to_owned(), nested(rest, value).into())]),
        None => Dict::from([(key.to_owned(), value)]),
    }
}

fn explain(error: figment::Error, figment: &Figment, path: &Path, text: &str) -> ConfigError {
    // several are found only where several layers could not be merged: the first will do
    let Some(error) = error.into_iter().next() else {
        return ConfigError::Parameter {
            place: path.display().to_string(),
            reason: "it is empty".to_owned(),
        };
    };
    let mut keys = error.path.clone();
    if let Kind::UnknownField(field, _) = &error.kind
        && keys.last() != Some(field)
    {
        keys.push(field.clone());
    }
    let name = keys.join(".");
    let from =
        figment.find_metadata(&name).or(error.metadata.as_ref()).map(|metadata| metadata.name.as_ref());
    let place = match from {
        Some("flag") => format!("--set {name}"),
        Some("file") | None => match locate(text, &keys) {
            Some(at) => format!("{}, line {}", path.display(), line_of(text, at)),
            None => path.display().to_string(),
        },
        Some(_) => format!("the environment's {PREFIX}{}", keys.join("__").to_uppercase()),
    };
    let reason = Reason { name: &name, kind: &error.kind }.to_string();
    ConfigError::Parameter { place, reason }
}

struct Reason<'a> {
    name: &'a str,
    kind: &'a Kind,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.name.is_empty() { String::new() } else { format!("`{}`: ", self.name) };
        match self.kind {
            Kind::UnknownField(field, known) => write!(f, "unknown field `{field}`, {}", OneOf(known)),
            Kind::UnknownVariant(found, known) => write!(f, "{of}unknown `{found}`, {}", OneOf(known)),
            Kind::MissingField(field) if self.name.is_empty() => write!(f, "`{field}` is missing"),
            Kind::MissingField(field) => write!(f, "`{}.{field}` is missing", self.name),
            Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
                write!(f, "{of}found {found}, expected {wanted}")
            }
            kind => write!(f, "{of}{kind}"),
        }
    }
}

struct OneOf<'a>(&'a [&'a str]);

impl fmt::Display for OneOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.len() == 1 { "expected" } else { "expected one of" })?;
        let (last, before) = self.0.split_last().map_or(("", &[][..]), |(last, before)| (*last, before));
        for known in before {
            write!(f, " `{known}`,")?;
        }
        write!(f, " `{last}`")
    }
}

/// Where in the text a parameter stands, or the innermost table around it that does.
fn locate(text: &str, keys: &[String]) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut found = None;
    let mut here = DeValue::Table(table.into_inner());
    for key in keys {
        let next = match here {
            DeValue::Table(table) => {
                let (at, value) = table.into_iter().find(|(name, _)| name.get_ref() == key)?;
                found = Some(at.span().start);
                value
            }
            DeValue::Array(values) => {
                let value = values.into_iter().nth(key.parse().ok()?)?;
                found = Some(value.span().start);
                value
            }
            _ => return found,
        };
        here = next.into_inner();
    }
    found
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.get(..at).map_or(0, |before| before.matches('\n').count())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Config {
        name: String,
        pace: Pace,
        #[serde(default)]
        release: Vec<Release>,
        #[serde(deserialize_with = "only_one")]
        source: Source,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Pace {
        slots: u32,
        #[serde(default)]
        seconds: f64,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Release {
        period: (u32, u32),
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase", deny_unknown_fields)]
    enum Source {
        Csv { file: PathBuf },
        Lines { file: PathBuf },
    }

    const TEXT: &str = "# a comment\nname = \"a\"\n[pace]\nslots = 4\nseconds = 2\n[source.csv]\nfile = \"x.csv\"\n\
        [[release]]\nperiod = [1, 2]\n[[release]]\nperiod = [3, 4]\n";

    fn read_text(text: &str, set: &[&str]) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let set: Vec<String> = set.iter().map(|flag| (*flag).to_owned()).collect();
        let file_name = file.path().display().to_string();
        read(file.path(), &set).map_err(|error| error.to_string().replace(&file_name, "FILE"))
    }

    /// The file's values, and the command line's over them: numbers, text with and without quotes, tables.
    #[test]
    fn flags_go_over_the_file() {
        let config = read_text(TEXT, &[]).unwrap();
        assert_eq!((config.pace.slots, config.pace.seconds), (4, 2.0));
        assert_eq!(config.source, Source::Csv { file: "x.csv".into() });
        assert_eq!(config.release.len(), 2);
        let config =
            read_text(TEXT, &["pace.slots=8", "name=b c", "pace.seconds = 0.5", "source.csv.file=\"y\""])
                .unwrap();
        assert_eq!((config.name.as_str(), config.pace.slots, config.pace.seconds), ("b c", 8, 0.5));
        assert_eq!(config.source, Source::Csv { file: "y".into() });
        // what only a flag says need not be in the file
        assert_eq!(
            read_text("[pace]\n", &["name=x", "pace.slots=1", "source.csv.file=x"]).unwrap().pace.slots,
            1
        );
    }

    /// What is wrong is said with its line, or its flag.
    #[test]
    fn mistakes_are_said_with_their_place() {
        let edit = |from: &str, to: &str| read_text(&TEXT.replacen(from, to, 1), &[]).unwrap_err();
        for (from, to, message) in [
            (
                "slots = 4",
                "slots = 4\nslits = 5",
                "FILE, line 5: unknown field `slits`, expected one of `slots`, `seconds`",
            ),
            (
                "slots = 4",
                "slots = \"four\"",
                "FILE, line 4: `pace.slots`: found string \"four\", expected u32",
            ),
            ("slots = 4", "slots = -4", "FILE, line 4: `pace.slots`: found signed int `-4`, expected u32"),
            ("slots = 4", "", "FILE, line 3: `pace.slots` is missing"),
            ("name = \"a\"", "", "FILE: `name` is missing"),
            (
                "name = \"a\"",
                "colour = \"a\"",
                "FILE, line 2: unknown field `colour`, expected one of `name`, `pace`, `release`, `source`",
            ),
            (
                "name = \"a\"",
                "name = a",
                "FILE, line 2: string values must be quoted, expected literal string",
            ),
            ("[3, 4]", "[3, \"x\"]", "FILE, line 11: `release.1.period.1`: found string \"x\", expected u32"),
            ("file = ", "flie = ", "FILE, line 7: unknown field `flie`, expected `file`"),
            (
                "source.csv",
                "source.cvs",
                "FILE, line 6: `source.cvs`: unknown `cvs`, expected one of `csv`, `lines`",
            ),
            (
                "[source.csv]",
                "[source.lines]\nfile = \"-\"\n[source.csv]",
                "FILE, line 6: `source`: `lines` is not the only one there; keep one",
            ),
        ] {
            assert_eq!(edit(from, to), message);
        }
        for (flag, message) in [
            ("pace.slots=x", "--set pace.slots: `pace.slots`: found string \"x\", expected u32"),
            ("pace.slits=4", "--set pace.slits: unknown field `slits`, expected one of `slots`, `seconds`"),
            ("slots", "--set slots is not KEY=VALUE, such as --set log=json"),
        ] {
            assert_eq!(read_text(TEXT, &[flag]).unwrap_err(), message);
        }
        let missing = read::<BTreeMap<String, String>>(Path::new("/no/such/file"), &[]).unwrap_err();
        assert_eq!(missing.to_string(), "cannot read the configuration /no/such/file");
    }
}
