//! The walk-throughs, each from its beginning to its end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::page::Page;
use crate::shell::Shell;
use crate::town::free_address;

/// Every home has a bill without a gap, and everybody is seen.
pub(super) fn several_machines(page: &mut Page) {
    let shell = Shell::new();
    let out = shell.walk(&page.rest());
    assert!(out.contains("home-1, meter ") && out.contains("Published."), "{out}");
    let bills: Vec<Value> = serde_json::from_str(&shell.text("bills.json")).unwrap();
    assert_eq!(bills.len(), 15, "{out}");
    for bill in &bills {
        assert_eq!((&bill["missing_slots"], &bill["released"]), (&0.into(), &"complete".into()), "{bill}");
        assert!(bill["energy_wh"].as_u64().unwrap() > 100_000, "{bill}");
    }
    let csv = shell.text("bills.csv");
    let columns = "name,meter,group,from,to,energy_wh,flat USD,tou USD,missing_slots,released\nhome-1,";
    assert!(csv.starts_with(columns), "{csv}");
    let status: Vec<Value> = serde_json::from_str(&shell.text("status.json")).unwrap();
    let said = |party: &Value| party["said_seconds_ago"].as_u64().is_some();
    assert!(status.iter().any(|party| party["role"] == "broker" && party["state"] == "up"), "{status:?}");
    assert!(status.iter().all(|party| party["role"] != "aggregator" || said(party)), "{status:?}");
    let up = status.iter().filter(|party| party["role"] == "aggregator" && party["state"] == "up").count();
    assert_eq!((up, status.len()), (4, 4 + 1 + 16 + 1), "{status:?}");
}

/// The day's mean curve of all homes comes out, and what it is off by is told; what this profile or this town lacks is refused.
pub(super) fn mode_levelled(page: &mut Page) {
    let shell = Shell::new();
    let mut commands = page.rest();
    for command in &mut commands {
        if command.text.contains("--function max") {
            let why = "of profile largest|found `group-2`";
            command.text = format!("! {} 2> refused && grep -qE '{why}' refused", command.text);
        }
    }
    let out = shell.walk(&commands);
    let mean: Value = serde_json::from_str(&shell.text("mean.json")).unwrap();
    assert_eq!((&mean["function"], &mean["unit"]), (&"mean".into(), &"Wh".into()), "{out}");
    assert_eq!(mean["subjects"][0]["members"], 6, "{mean}");
    let values: Vec<f64> = mean["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert_eq!(values.len(), 24, "{mean}");
    // a made-up home uses some hundred watt-hours an hour
    assert!(values.iter().all(|value| (10.0..5_000.0).contains(value)), "{mean}");
    assert!(mean["standard_deviation_of_the_error"].as_f64().unwrap() < 1.0, "{mean}");
    assert!(out.contains("mean of group-1 (6 members), Wh") && out.contains("T23:00:00Z"), "{out}");
}

/// `.ci/run` makes the device's package, and looks into it.
pub(super) fn packages(page: &mut Page) {
    Shell::in_repository().walk(&page.rest());
}

/// Rotation and revocation: new box keys, the roster before kept, and everybody's directory well afterwards.
pub(super) fn operating(page: &mut Page) {
    let shell = Shell::new();
    shell.says(&format!("init town --meters 3 --broker {}", free_address()));
    let first = fs::read(shell.path("town/agg-1/roster.wv")).unwrap();
    let out = shell.walk(&page.rest());
    assert!(out.contains("home-3") && out.contains("is revoked as of"), "{out}");
    for key in ["agg-1/box-1.key", "agg-1/box-2.key", "sink/box-1.key", "sink/box-2.key"] {
        let mode = fs::metadata(shell.path(&format!("town/{key}"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let kept = fs::read(shell.path("town/agg-1/roster-1.wv")).unwrap();
    assert_eq!(kept, first, "the roster before is kept");
    let sink = shell.text("town/sink/sink.toml");
    assert!(sink.contains("more_box_keys = [\"box-2.key\"]"), "{sink}");
    assert_eq!(fs::read_dir(shell.path("town/registrar/revoked")).unwrap().count(), 2);
}
