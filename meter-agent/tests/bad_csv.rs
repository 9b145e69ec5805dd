//! Bad load data is refused with the very words that stand beside each file of `bad_csv`: line, column, what to do.

#![expect(clippy::unwrap_used, reason = "a test file: a panic is the report")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use meter_agent::measurement::Unit;
use meter_agent::source::csv::{CellQuantity, Format, read_energies, read_registers};
use protocol::unit::SlotLength;

/// The first word of a file's name says how it is read.
fn refusal(name: &str, text: &[u8]) -> String {
    let (how, _) = name.split_once('-').expect("a name of several words");
    let zone = match how {
        "berlin" => Some("Europe/Berlin".to_owned()),
        "zone" => Some("Europe/Berln".to_owned()),
        _ => None,
    };
    let unit = if how == "kwh" { Unit::KWh } else { Unit::Wh };
    let register =
        Format { quantity: CellQuantity::Register, allow_missing: how == "gaps", ..Format::default() };
    let hour = SlotLength::try_from(3_600).unwrap();
    let error = match how {
        "register" | "gaps" => read_registers(text, "h01", hour, &register).map(drop),
        _ => read_energies(text, &Format { unit, zone, ..Format::default() }).map(drop),
    };
    error.expect_err(name).to_string()
}

#[test]
fn bad_files_are_refused_with_these_words() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_csv");
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            files.insert(
                name,
                (fs::read(&path).unwrap(), fs::read_to_string(path.with_extension("txt")).unwrap()),
            );
        }
    }
    assert!(files.len() > 50, "{} files", files.len());
    let wrong: Vec<_> = files
        .iter()
        .filter_map(|(name, (text, wanted))| {
            let found = refusal(name, text);
            (found != wanted.trim_end()).then(|| format!("{name}\n  found  {found}\n  wanted {wanted}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
