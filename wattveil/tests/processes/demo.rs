//! The demonstration as a person starts it: what it claims, and how it answers mistakes. README has more of them, which run
//! with its commands.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{alone, wattveil};

/// The acts of a demonstration with four aggregators, each with the rule that refuses it.
const ACTS: [(&str, Option<&str>); 12] = [
    ("agg-3 is killed half-way (SIGKILL)", None),
    ("an honest message is replayed", Some("replay")),
    ("a meter's message is forged", Some("forged")),
    ("a meter is made up", Some("unknown-meter")),
    ("a meter tells two stories of the same slots", Some("equivocation")),
    ("a meter deals a bad share", Some("bad-share")),
    ("agg-3 starts again", None),
    ("agg-2 lies about every bill", None),
    ("the utility's cut leaves a record out", None),
    ("the utility shows two cuts (split view)", Some("split-view")),
    ("a crafted tariff spells single readings", Some("cell")),
    ("a second query overlaps the first", Some("already-released")),
];

fn demo(arguments: &[&str]) -> Output {
    // many developers have it set, and no person is to see one
    let mut command = wattveil(&[&["demo"], arguments].concat());
    command.env("RUST_BACKTRACE", "1").output().unwrap()
}

/// A demonstration in which everything held; its report.
#[track_caller]
fn held(arguments: &[&str]) -> Value {
    let _alone = alone();
    let Output { status, stdout, stderr } = demo(&[&["--json"], arguments].concat());
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(0), "{stderr}{stdout}");
    assert_eq!(stderr, "");
    let report: Value = serde_json::from_str(&stdout).expect("it prints JSON and nothing else");
    assert_eq!(report["held"], true, "{stdout}");
    for bill in report["bills"].as_array().unwrap() {
        assert_eq!(bill["exact"], true, "{bill}");
        assert_eq!(bill["energy_wh"], bill["oracle_wh"], "{bill}");
    }
    assert_eq!(report["curve"]["equal"], report["curve"]["slots"]);
    for act in report["acts"].as_array().unwrap() {
        assert_eq!(act["held"], true, "{act}");
    }
    report
}

fn acts(report: &Value) -> Vec<&str> {
    report["acts"].as_array().unwrap().iter().map(|act| act["act"].as_str().unwrap()).collect()
}

fn left_out(report: &Value) -> usize {
    let acts = report["acts"].as_array().unwrap().iter();
    acts.filter(|act| act["evidence"].as_str().unwrap().starts_with("left out")).count()
}

/// The shipped homes, every act, and everything it made is kept where it was asked to be.
#[test]
fn the_shipped_homes() {
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("kept");
    let report = held(&["--keep", kept.to_str().unwrap()]);
    assert_eq!(report["total_wh"], 12_838_123);
    // counted by another program
    let counted: Value = serde_json::from_str(include_str!("../../../data/expected_totals.json")).unwrap();
    let counted = counted["fontana13_load_wh_60min_4w.csv"]["total_wh_per_meter"].as_object().unwrap();
    let bills = report["bills"].as_array().unwrap();
    assert!(bills.iter().map(|bill| &bill["energy_wh"]).eq(counted.values()), "{counted:?}");
    assert_eq!(
        (&report["aggregators"], &report["threshold"], &report["quorum"]),
        (&4.into(), &2.into(), &3.into())
    );
    assert_eq!((report["bills"].as_array().unwrap().len(), left_out(&report)), (13, 0));
    assert_eq!(acts(&report).len(), ACTS.len());
    for (name, rule) in ACTS {
        let acts = report["acts"].as_array().unwrap();
        let act = acts.iter().find(|act| act["act"] == name).expect(name);
        assert!(rule.is_none_or(|rule| act["rule"] == rule), "{act}");
    }

    for file in ["agg-1/worker.toml", "agg-4/worker.redb", "agg-2/worker.log", "sink/sink.redb", "demo.log"] {
        assert!(kept.join(file).exists(), "{file} is not there");
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for secret in ["sign.key", "box-1.key", "password", "worker.redb"] {
        assert_eq!(mode(&kept.join("agg-3").join(secret)), 0o600, "{secret}");
    }
    assert_eq!(mode(&kept.join("sink/sink.redb")), 0o600);
    assert_eq!(mode(&kept), 0o700);
    let Output { status, stderr, .. } = demo(&["--keep", kept.to_str().unwrap()]);
    let message = String::from_utf8(stderr).unwrap();
    assert!(!status.success());
    assert!(message.contains("expected a directory that does not exist yet"), "{message}");
    starts_again(&kept);
}

/// The commands that were left in the directory start the roles again, and the operator's commands work on it.
#[track_caller]
fn starts_again(kept: &Path) {
    let _alone = alone();
    let text = fs::read_to_string(kept.join("START-AGAIN.md")).unwrap();
    let commands: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("$ wattveil ")).collect();
    let (roles, looks): (Vec<&str>, Vec<&str>) =
        commands.into_iter().partition(|line| line.contains(".toml") && !line.starts_with("statistics"));
    assert_eq!((roles.len(), looks.len()), (1 + 4 + 1 + 1, 4), "{text}");
    let mut running = Vec::new();
    for line in roles {
        let log = kept.join(format!("again-{}.log", running.len()));
        let mut command = wattveil(&line.split(' ').collect::<Vec<_>>());
        command.stdout(Stdio::null());
        running.push((line, command.stderr(fs::File::create(&log).unwrap()).spawn().unwrap(), log));
        // the broker listens before the others come
        std::thread::sleep(Duration::from_millis(300));
    }
    for line in looks {
        let deadline = Instant::now() + Duration::from_mins(1);
        let wanted = match line.split(' ').next().unwrap() {
            "check" => "All is well.",
            // four aggregators, the sink, one meter
            "status" => " up ",
            "explain" => "agg-1",
            _ => "group-1",
        };
        let count = if wanted == " up " { 6 } else { 1 };
        loop {
            let mut command = wattveil(&line.split(' ').collect::<Vec<_>>());
            let Output { stdout, stderr, .. } = command.output().unwrap();
            let shown = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
            if shown.matches(wanted).count() >= count {
                break;
            }
            assert!(Instant::now() < deadline, "wattveil {line}\n{shown}");
        }
    }
    for (line, mut child, log) in running {
        let log = fs::read_to_string(log).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "wattveil {line} has ended\n{log}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// Data of any year: the tariffs are valid when the homes were measured.
#[test]
fn homes_of_long_ago() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("homes.csv");
    let mut csv = "interval_start,a,b\n".to_owned();
    for hour in 0..72 {
        writeln!(csv, "1987-06-{:02}T{:02}:00:00Z,{},{}", 1 + hour / 24, hour % 24, 300 + hour, 900 - hour)
            .unwrap();
    }
    fs::write(&file, csv).unwrap();
    let report = held(&["--data", file.to_str().unwrap()]);
    assert_eq!(report["bills"].as_array().unwrap().len(), 2);
}

/// Two aggregators survive no crash and correct no lie, and the report says so.
#[test]
fn five_aggregators_of_which_three_give_a_value() {
    let report = held(&["--aggregators", "5", "--threshold", "3"]);
    assert_eq!((&report["quorum"], left_out(&report)), (&4.into(), 0));
    assert_eq!(acts(&report).len(), ACTS.len());
}

/// What can't be shown is said at once.
#[test]
fn mistakes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("homes.csv");
    let csv = "interval_start,a,b\n2026-01-01T00:00:00Z,1,2\n2026-01-01T01:00:00Z,3,x\n";
    fs::write(&file, csv).unwrap();
    let file = file.to_str().unwrap();
    for (arguments, words) in [
        (
            &["--data", file][..],
            "line 3, column b: expected a whole number of watt-hours from 0 to 32767; found `x`",
        ),
        (&["--data", "/no/such.csv"], "cannot read /no/such.csv"),
        (&["--data", "/dev/null"], "error: /dev/null was refused\nbecause: line 1"),
        (&["--meters", "0"], "expected a number from 2 to 10000, for example 20"),
        (&["--meters", "1"], "expected a number from 2 to 10000, for example 20"),
        (&["--aggregators", "3", "--threshold", "4"], "type --threshold 3 or --aggregators 4"),
        (&["--aggregators", "0"], "expected a number from 1 to 10, for example 4"),
        (&["--aggregators", "11"], "expected a number from 1 to 10, for example 4"),
        (&["--speed", "-1"], "expected slots a second, for example 200"),
        (&["--keep", "/tmp"], "expected a directory that does not exist yet"),
        (&["--colour"], "unexpected argument '--colour'"),
    ] {
        let Output { status, stdout, stderr } = demo(arguments);
        let message = String::from_utf8(stderr).unwrap();
        assert!(!status.success() && stdout.is_empty(), "{arguments:?}: {message}");
        assert!(message.contains(words), "{arguments:?}: {message}");
        assert!(message.starts_with("error: ") && !message.contains("panicked"), "{arguments:?}: {message}");
        assert!(
            !message.contains("stack backtrace") && !message.contains("   0: "),
            "{arguments:?}: {message}"
        );
    }
}
