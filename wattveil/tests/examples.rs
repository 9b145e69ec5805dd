//! The roles' example configurations: they can be read as they are, they have every parameter that there is, and the defaults
//! they show are the defaults.

#![expect(clippy::unwrap_used, reason = "a test file: a panic is the report")]

use std::fs;
use std::path::{Path, PathBuf};

use runtime::config::ConfigError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// What every role says of its connection.
const BROKER: [&[&str]; 3] = [&["broker"], &["broker", "tls"], &["broker", "tls", "identity"]];

fn example(role: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(role).join("example.toml");
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

/// The example with all that is commented out.
fn everything(text: &str) -> Table {
    let bare = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = text.lines().map(bare).collect();
    lines.join("\n").parse().unwrap()
}

fn read<T: DeserializeOwned>(table: &Table) -> Result<T, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), toml::to_string(table).unwrap()).unwrap();
    runtime::config::read(file.path(), &[])
}

/// The table at `path`, in which `#` is the first of an array.
fn at<'a>(table: &'a mut Table, path: &[&str]) -> &'a mut Table {
    path.iter().fold(table, |table, key| match &mut table[*key] {
        Value::Table(table) => table,
        Value::Array(values) => values[0].as_table_mut().expect("tables"),
        other => panic!("{key} is {other}"),
    })
}

/// Each table of the example has just the parameters that the program knows there.
#[track_caller]
fn has_every_parameter<T: DeserializeOwned + Serialize>(full: &Table, paths: &[&[&str]]) {
    if let Err(error) = read::<T>(full) {
        panic!("{error}");
    }
    for path in paths {
        let mut asked = full.clone();
        at(&mut asked, path).insert("zzz".to_owned(), Value::Integer(1));
        let Err(ConfigError::Parameter { reason, .. }) = read::<T>(&asked) else {
            panic!("{path:?} takes `zzz`")
        };
        let known = reason
            .strip_prefix("unknown field `zzz`, expected ")
            .unwrap_or_else(|| panic!("{path:?}: {reason}"));
        let mut known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        let mut full = full.clone();
        let mut shown: Vec<&str> = at(&mut full, path).keys().map(String::as_str).collect();
        known.sort_unstable();
        shown.sort_unstable();
        assert_eq!(shown, known, "{path:?}");
    }
}

/// What the example shows as defaults of a table is what the program takes without them.
#[track_caller]
fn shows_the_defaults<T: DeserializeOwned + Serialize>(
    text: &str,
    full: &Table,
    path: &[&str],
    keys: &[&str],
) {
    let config: T = read(&text.parse().unwrap()).unwrap();
    let mut bare = Table::try_from(&config).unwrap();
    let mut full = full.clone();
    for key in keys {
        assert_eq!(at(&mut bare, path)[*key], at(&mut full, path)[*key], "{path:?} {key}");
    }
}

#[test]
fn the_meter_agents_example_is_whole() {
    use meter_agent::config::Config;
    let (path, text) = example("meter-agent");
    Config::read(&path).unwrap();
    let full = everything(&text);
    let sources = full["source"].as_table().unwrap().clone();
    assert_eq!(sources.len(), 6);
    for (kind, source) in &sources {
        let mut one = full.clone();
        one.insert("source".to_owned(), Table::from_iter([(kind.clone(), source.clone())]).into());
        let paths: [&[&str]; 4] = [&[], &["pace"], &["registers"], &["source", kind]];
        has_every_parameter::<Config>(&one, &paths);
        has_every_parameter::<Config>(&one, &BROKER);
        if kind == "csv" {
            has_every_parameter::<Config>(&one, &[&["source", "csv", "format"]]);
        }
    }
    shows_the_defaults::<Config>(&text, &full, &[], &["log"]);
    shows_the_defaults::<Config>(
        &text,
        &full,
        &["pace"],
        &["batch_slots", "resend_first", "resend_last", "retention"],
    );
}

#[test]
fn the_aggregator_workers_example_is_whole() {
    use aggregator_worker::config::Config;
    let (path, text) = example("aggregator-worker");
    Config::read(&path).unwrap();
    let full = everything(&text);
    has_every_parameter::<Config>(&full, &[&[], &["pace"], &["levelled"]]);
    has_every_parameter::<Config>(&full, &BROKER);
    shows_the_defaults::<Config>(&text, &full, &[], &["log", "cache_mib"]);
    shows_the_defaults::<Config>(&text, &full, &["pace"], &["receipt_every", "patience"]);
}

#[test]
fn the_utility_sinks_example_is_whole() {
    use utility_sink::config::Config;
    let (path, text) = example("utility-sink");
    Config::read(&path).unwrap();
    let full = everything(&text);
    let levelled: [&[&str]; 3] = [&["levelled"], &["levelled", "key"], &["levelled", "question"]];
    has_every_parameter::<Config>(&full, &[&[], &["pace"]]);
    has_every_parameter::<Config>(&full, &levelled);
    has_every_parameter::<Config>(&full, &BROKER);
    shows_the_defaults::<Config>(&text, &full, &[], &["log"]);
    shows_the_defaults::<Config>(&text, &full, &["pace"], &["settle", "resend"]);
}

#[test]
fn the_brokers_example_is_whole() {
    use broker::Config;
    let (path, text) = example("broker");
    Config::read(Some(&path), &[]).unwrap();
    let full = everything(&text);
    for path in [
        &[][..],
        &["queue"],
        &["tls"],
        &["filter_queues"],
        &["filter_queues", "size"],
        &["users"],
        &["roles"],
    ] {
        has_every_parameter::<Config>(&full, &[path]);
    }
    let defaults = Table::try_from(Config::default()).unwrap();
    for (parameter, value) in defaults {
        let is_shown =
            text.contains(&format!("#{parameter} = ")) && !text.contains(&format!("#[[{parameter}]]"));
        assert!(!is_shown || full[&parameter] == value, "{parameter}");
    }
}
