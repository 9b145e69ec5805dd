//! The commands of people: what they print, the mistakes that people make, and the walk-through as it is written.

#![expect(clippy::unwrap_used, reason = "a test file: a panic is the report")]

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use protocol::roster::{Roster, sign};
use serde_json::Value;
use tempfile::TempDir;

/// Runs `wattveil` in a directory.
fn wattveil(home: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wattveil"));
    command.args(line.split_whitespace()).current_dir(home).env("NO_COLOR", "1").env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null()).output().expect("it can be run")
}

/// What a command that has to succeed prints.
#[track_caller]
fn says(home: &Path, line: &str) -> String {
    let output = wattveil(home, line);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "wattveil {line}\n{out}\n{err}");
    out.into_owned()
}

/// A command has to fail, and what it prints has all of `words`.
#[track_caller]
fn refuses(home: &Path, line: &str, words: &[&str]) {
    let output = wattveil(home, line);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(!output.status.success() && !text.contains("panicked"), "wattveil {line}\n{text}");
    for word in words {
        assert!(text.contains(word), "wattveil {line}\nlacks `{word}`:\n{text}");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    listener.local_addr().expect("it is bound").port()
}

/// A town of which nothing runs.
fn town(more: &str) -> TempDir {
    let home = tempfile::tempdir().expect("there is room");
    says(home.path(), &format!("init town --meters a,b --broker 127.0.0.1:{} {more}", free_port()));
    home
}

/// A town all of whose aggregators are needed.
fn town_of_two() -> TempDir {
    town("--aggregators 2 --threshold 2")
}

/// What `init` makes is well, secret where it has to be, and never overwritten.
#[test]
fn a_new_directory_is_well() {
    let home = town("");
    let text = says(home.path(), "check town --offline");
    assert!(text.ends_with("All is well.\n"), "{text}");
    assert!(
        text.contains("group-1 has 2 meters; for its curve there are to be 15: wattveil enrol town NAME"),
        "{text}"
    );
    for secret in [
        "registrar/sign.key",
        "registrar/password",
        "authority/ca.key",
        "agg-1/box-1.key",
        "meters/a/sign.key",
        "broker/broker.toml",
    ] {
        let mode = fs::metadata(home.path().join("town").join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    let config = fs::read_to_string(home.path().join("town/agg-2/worker.toml")).unwrap();
    assert!(
        config.contains("\n# The aggregator's name in the roster.\naggregator = \"agg-2\"\n"),
        "{config}"
    );
    assert!(config.contains("\n#patience_s = 3600\n"), "defaults stay comments: {config}");
    refuses(home.path(), "init town", &["is a deployment's directory already", "wattveil enrol town NAME"]);
}

/// What people get wrong at the beginning ends in what to type instead.
#[test]
fn mistakes_at_init_say_what_to_type() {
    let home = tempfile::tempdir().unwrap();
    for (line, words) in [
        ("init Town", &["`Town` is not a name", "--name NAME"][..]),
        ("init t --meters a,a", &["meter `a` is named twice"]),
        ("init t --meters Main-Street-5", &["is not a name", "--meters NAME,NAME"]),
        ("init t --slot-minutes 20", &["a slot of 20 minutes is none", "--slot-minutes 15, 30 or 60"]),
        (
            "init t --broker example.org",
            &["`example.org` is not HOST:PORT", "--broker broker.example.org:8883"],
        ),
        ("init t --aggregators 3 --threshold 4", &["n = 3, t = 4"]),
        (
            "init t --grid-hours 5",
            &["a grid interval of 18000 s must be 0 or whole slots and a part of a day"],
        ),
        ("check nowhere", &["has no configuration of a role", "wattveil init nowhere"]),
        ("explain .", &["has no roster.wv"]),
        ("enrol . x", &["is no deployment's directory", "wattveil init ."]),
    ] {
        refuses(home.path(), line, words);
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "nothing is half made");
}

/// Each thing that `check` finds wrong comes with what to type.
#[test]
fn check_says_what_to_type() {
    let home = town("");
    let path = |name: &str| home.path().join("town").join(name);
    fs::set_permissions(path("agg-1/sign.key"), Permissions::from_mode(0o644)).unwrap();
    refuses(
        home.path(),
        "check town --offline",
        &["WRONG  agg-1/worker.toml", "chmod 600 town/agg-1/sign.key", "1 thing is wrong"],
    );
    fs::set_permissions(path("agg-1/sign.key"), Permissions::from_mode(0o600)).unwrap();
    fs::copy(path("meters/a/sign.key"), path("meters/b/sign.key")).unwrap();
    refuses(
        home.path(),
        "check town/meters/b --offline",
        &["the certificate is of meter", "adopt the enrolment"],
    );
    let config = fs::read_to_string(path("sink/sink.toml")).unwrap();
    fs::write(path("sink/sink.toml"), format!("colour = 1\n{config}")).unwrap();
    refuses(home.path(), "check town/sink --offline", &["line 1: unknown field `colour`"]);
    // nobody listens there
    refuses(
        home.path(),
        "check town/agg-2",
        &["no use of the broker at 127.0.0.1:", "as agg-2", "wattveil broker --config broker.toml"],
    );
    refuses(home.path(), "status town", &["no use of the broker at", "wattveil broker --config broker.toml"]);
    refuses(home.path(), "bill --config town/sink/sink.toml --period 2026-01", &["unknown field `colour`"]);
    fs::write(path("sink/sink.toml"), config).unwrap();
    refuses(
        home.path(),
        "bill --config town/sink/sink.toml --period soon",
        &["`soon` is no period", "--period 2026-10"],
    );
    refuses(home.path(), "bill --config town/sink/sink.toml --period 7d", &["wants 28 days", "--period 28d"]);
    refuses(
        home.path(),
        "bill --config town/sink/sink.toml --period 28d --tariffs peek",
        &["no tariff `peek`", "flat,tou"],
    );
}

/// A meter is enrolled once, and its line makes a directory that is well; half a line does not.
#[test]
fn a_meter_is_enrolled_and_adopted() {
    let home = town("--no-tls");
    let line = says(home.path(), "enrol town cellar");
    let line = line.trim();
    assert!(line.starts_with("wv1-") && line.lines().count() == 1, "{line}");
    refuses(home.path(), "enrol town cellar", &["is enrolled already", "wattveil enrol town cellar-2"]);
    refuses(
        home.path(),
        &format!("adopt cellar {}", &line[..line.len() - 9]),
        &["a part of the enrolment is missing"],
    );
    refuses(home.path(), "adopt cellar hello", &["this is no enrolment", "wattveil enrol"]);
    says(home.path(), &format!("adopt cellar {line}"));
    assert!(says(home.path(), "check cellar --offline").ends_with("All is well.\n"));
    refuses(home.path(), &format!("adopt cellar {line}"), &["agent.toml is there already"]);

    // the key is made on the device, and the line is for no other
    let public = says(home.path(), "key attic");
    let line = says(home.path(), &format!("enrol town attic --public-key {public}"));
    refuses(home.path(), &format!("adopt elsewhere {line}"), &["the one that `wattveil key` made"]);
    says(home.path(), "key third");
    refuses(home.path(), &format!("adopt third {line}"), &["for another device's key", "--public-key"]);
    says(home.path(), &format!("adopt attic {line}"));
    assert!(says(home.path(), "check attic --offline").ends_with("All is well.\n"));
    let meters = fs::read_to_string(home.path().join("town/sink/meters.csv")).unwrap();
    assert_eq!(meters.lines().count(), 1 + 4, "{meters}");
    refuses(home.path(), "key attic", &["never overwritten"]);
}

/// Who can learn what follows from the numbers.
#[test]
fn explanations_follow_the_roster() {
    let home = town("--aggregators 5 --threshold 3 --smallest-group 20 --grid-hours 0");
    let text = says(home.path(), "explain town");
    for words in [
        "any 3 of them give a value together, 4 must vote",
        "each group of 20 homes or more: its load curve, once, after the period",
        "Nor do 2 of them together",
        "3 aggregators that collude read EVERY reading",
        "1 aggregator may be away",
        "NOT PROTECTED",
    ] {
        assert!(text.contains(words), "lacks `{words}`:\n{text}");
    }
    assert!(!text.contains("crafted ciphertext"));
    let text = says(home.path(), "explain town/sink --analytics");
    assert!(text.contains(protocol::analysis::CAUTION), "{text}");
    assert!(text.contains("decrypts its part wrongly is noticed"), "{text}");
    let home = town_of_two();
    assert!(says(home.path(), "explain town --analytics").contains("wrongly is NOT noticed"));
}

/// Analytics are asked for by name, and only with what makes sense.
#[test]
fn mistakes_at_ask_say_what_to_type() {
    let home = town("--slot-minutes 60");
    let asked = "ask --config town/sink/sink.toml --group group-1 --day 2026-01-02 --function";
    refuses(home.path(), &format!("{asked} sum"), &["has no [analysis] section", "docs/analytics.md"]);
    refuses(
        home.path(),
        "init x --analytics huge",
        &["`huge` is no profile", "light, medium, strong, largest"],
    );
    let home = town("--slot-minutes 60 --analytics light --smallest-group 2");
    for (line, words) in [
        ("median", &["asks for `median`", "time-variance"][..]),
        ("max", &["max is a function of 2 (group, day)s; 1 were typed"]),
        ("forecast --weights 1,-2", &["there are 2 weights for the 24 slots of a window"]),
        ("weighted --weights -1", &["has a weight out of range"]),
        ("sum --key other", &["there is no [[analysis.key]] `other`", "--key with one of: loads"]),
        ("sum --day 2026-01-03", &["sum is a function of 1 (group, day)s; 2 were typed"]),
    ] {
        refuses(home.path(), &format!("{asked} {line}"), words);
    }
}

/// Runs shell lines in a directory, with `wattveil` in the path.
fn shell(home: &Path, script: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_wattveil")).parent().expect("it is in a directory");
    let path = std::env::var("PATH").expect("there is a path");
    let path = format!("{}:{path}", program.display());
    Command::new("bash")
        .args(["-c", script])
        .current_dir(home)
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("bash can be run")
}

/// The operator's page runs as written: rotation and revocation, and everybody's directory is well afterwards. What is missing,
/// foreign or older is refused with what to type.
#[test]
fn the_operators_page_runs_as_written() {
    let commands = commands("docs/operating.md");
    assert!(commands.len() >= 9, "the page has {} commands", commands.len());
    let home = tempfile::tempdir().unwrap();
    let (town, port) = (home.path().join("town"), free_port());
    says(home.path(), &format!("init town --meters 3 --broker 127.0.0.1:{port}"));
    let first = fs::read(town.join("agg-1/roster.wv")).unwrap();
    let script = commands.join(" || exit 1\n") + " || exit 1\n";
    let output = shell(home.path(), &script);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("home-3") && out.contains("is revoked as of"), "{out}\n{err}");
    for key in ["agg-1/box-1.key", "agg-1/box-2.key", "sink/box-1.key", "sink/box-2.key"] {
        let mode = fs::metadata(town.join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    assert_eq!(fs::read(town.join("agg-1/roster-1.wv")).unwrap(), first, "the roster before is kept");
    let sink = fs::read_to_string(town.join("sink/sink.toml")).unwrap();
    assert!(sink.contains("more_box_keys = [\"box-2.key\"]"), "{sink}");

    // every step again changes nothing
    says(home.path(), "rotate adopt town/agg-1 town/registrar/roster-2.wv");
    // a meter that is at hand need not wait for the utility
    says(home.path(), "rotate adopt town/meters/home-1 town/registrar/roster-2.wv");
    says(home.path(), "check town/meters/home-1 --offline");
    says(home.path(), "revoke town home-3 --reason again --offline");
    assert_eq!(fs::read_dir(town.join("registrar/revoked")).unwrap().count(), 2);
    // and mistakes say what to type
    for (line, words) in [
        ("rotate adopt town/agg-2 town/agg-2/roster-1.wv", &["roster 1 is older than roster 2"][..]),
        ("rotate adopt town/broker town/registrar/roster-2.wv", &["has no worker.toml"]),
        ("rotate key town/meters/home-1", &["has no box keys"]),
        ("rotate accept town/agg-3 town/registrar/roster-2.draft", &["does not follow roster 2"]),
        ("rotate accept town/sink town/registrar/roster-2.draft", &["only aggregators accept"]),
        ("rotate key town/observer", &["has no box keys"]),
        ("rotate draft town --key wvk1-AAAAAAAA", &["a part of the line is missing"]),
        ("revoke town home-9 --reason x --offline", &["no meter `home-9`", "home-1, home-2, home-3"]),
        ("revoke town home-1 --reason x --from 2020-01-01T00:00:00Z --offline", &["is past", "--from"]),
        ("revoke town home-1 --reason x --from soon --offline", &["`soon` is no time", "--from 2026-12-01T"]),
        (
            "revoke town home-1 --reason x",
            &["it is signed and kept, and not published", "type the same again"],
        ),
    ] {
        refuses(home.path(), line, words);
    }
    // a second draft of a number is not accepted by whoever has accepted the first
    says(home.path(), "rotate draft town --days 10");
    says(home.path(), "rotate accept town/agg-1 town/registrar/roster-3.draft");
    fs::remove_file(town.join("registrar/roster-3.draft")).unwrap();
    says(home.path(), "rotate draft town --days 20");
    refuses(
        home.path(),
        "rotate accept town/agg-1 town/registrar/roster-3.draft",
        &["another draft of roster 3 was accepted here"],
    );
    a_registrar_makes_no_second_history(home.path(), &town);
    fs::write(home.path().join("none"), "").unwrap();
    refuses(
        home.path(),
        "rotate finish town --acceptances none",
        &["exactly one valid acceptance of aggregator 1", "wattveil rotate accept"],
    );
}

/// A draft that skips a number would be a second successor of one roster, and one that goes back to an older box key would seal to
/// what may have leaked: nobody accepts either, whatever the registrar signs.
fn a_registrar_makes_no_second_history(home: &Path, town: &Path) {
    let registrar = keyfile::read_signing_key(&town.join("registrar/sign.key")).unwrap();
    let roster = |path: &str| {
        let bytes = fs::read(town.join(path)).unwrap();
        Roster::accept(&bytes, &registrar.verifying_key()).unwrap()
    };
    let (first, current) = (roster("agg-1/roster-1.wv"), roster("agg-1/roster.wv"));
    let draft = |epoch, box_keys: &Roster| {
        let mut document = current.document().clone();
        (document.epoch, document.previous) = (epoch, Some(current.hash()));
        document.aggregators.clone_from(&box_keys.document().aggregators);
        fs::write(home.join("odd.draft"), sign(document, &registrar).bytes()).unwrap();
    };
    draft(4, &current);
    refuses(home, "rotate accept town/agg-2 odd.draft", &["draft of roster 4 does not follow roster 2"]);
    draft(3, &first);
    refuses(home, "rotate accept town/agg-1 odd.draft", &["goes back to an older box key of `agg-1`"]);
}

/// The commands of a document, in order.
fn commands(document: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document);
    let text = fs::read_to_string(path).expect("it can be read");
    text.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
}

/// Runs a document's commands as written, with the broker here, in a directory of their own; gives what they printed.
fn run_as_written(commands: &[String], home: &Path) -> String {
    let here = format!("127.0.0.1:{}", free_port());
    // A person looks whether a process is up before the next line; here the line is tried again.
    let mut script = "set -u\ntrap 'kill $(jobs -p); wait' EXIT\n\
        again() { for _ in $(seq 100); do if bash -c \"$1\"; then return; fi; sleep 0.2; done; echo \"failed: $1\"; exit 1; }\n"
        .to_owned();
    for command in commands {
        let command = command.replace("broker.example.org:8883", &here);
        let runs_on = command.ends_with('&');
        let line = match command.as_str() {
            _ if runs_on => command,
            _ if command.contains("check") => format!("again '{command}'"),
            _ => format!("{command} || exit 1"),
        };
        script.extend([line.as_str(), "\n"]);
    }
    let output = shell(home, &script);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

/// Mode levelled runs as written: the day's mean curve of all homes comes out, and what it is off by is told.
#[test]
fn analytics_run_as_written() {
    let commands = commands("docs/analytics.md");
    assert!(commands.len() >= 8, "the page has {} commands", commands.len());
    let home = tempfile::tempdir().unwrap();
    let out = run_as_written(&commands, home.path());
    let mean: Value = serde_json::from_slice(&fs::read(home.path().join("mean.json")).unwrap()).unwrap();
    assert_eq!((&mean["function"], &mean["unit"]), (&"mean".into(), &"Wh".into()), "{out}");
    assert_eq!(mean["subjects"][0]["members"], 6, "{mean}");
    let values: Vec<f64> = mean["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert_eq!(values.len(), 24, "{mean}");
    // a made-up home uses some hundred watt-hours an hour
    assert!(values.iter().all(|value| (10.0..5_000.0).contains(value)), "{mean}");
    assert!(mean["standard_deviation_of_the_error"].as_f64().unwrap() < 1.0, "{mean}");
    assert!(out.contains("mean of group-1 (6 members), Wh") && out.contains("T23:00:00Z"), "{out}");
}

/// The walk-through runs as written, with the broker here; every home has a bill without a gap.
#[test]
fn several_machines_run_as_written() {
    let commands = commands("docs/several-machines.md");
    assert!(commands.len() >= 16, "the walk-through has {} commands", commands.len());
    let home = tempfile::tempdir().unwrap();
    let out = run_as_written(&commands, home.path());
    assert!(out.contains("home-1, meter ") && out.contains("Published."), "{out}");
    let bills: Vec<Value> =
        serde_json::from_slice(&fs::read(home.path().join("bills.json")).unwrap()).unwrap();
    assert_eq!(bills.len(), 15, "{out}");
    for bill in &bills {
        assert_eq!((&bill["missing_slots"], &bill["released"]), (&0.into(), &"complete".into()), "{bill}");
        assert!(bill["energy_wh"].as_u64().unwrap() > 100_000, "{bill}");
    }
    let csv = fs::read_to_string(home.path().join("bills.csv")).unwrap();
    assert!(
        csv.starts_with(
            "name,meter,group,from,to,energy_wh,flat USD,tou USD,missing_slots,released\nhome-1,"
        ),
        "{csv}"
    );
    let status: Vec<Value> =
        serde_json::from_slice(&fs::read(home.path().join("status.json")).unwrap()).unwrap();
    let up = status.iter().filter(|party| party["role"] == "aggregator" && party["state"] == "up").count();
    assert_eq!((up, status.len()), (4, 4 + 1 + 16), "{status:?}");
}

/// What every document shows between fences, its comments aside.
fn shown() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = vec![root.join("README.md"), root.join("mqtt-topics.md"), root.join("broker/README.md")];
    files.extend(
        fs::read_dir(root.join("docs"))
            .expect("there are documents")
            .map(|entry| entry.expect("it can be read").path()),
    );
    let mut lines = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("it can be read");
        // every second piece is within fences
        for piece in text.split("```").skip(1).step_by(2) {
            lines.extend(
                piece.lines().skip(1).map(|line| line.split("  #").next().unwrap_or(line).trim().to_owned()),
            );
        }
    }
    lines
}

/// Whatever the documents show of `wattveil` and of the roles is taken by the command line as it is now.
#[test]
fn every_command_that_is_shown_is_known() {
    let mut seen = 0;
    for line in shown() {
        let line = line.strip_prefix("$ ").unwrap_or(&line);
        let words: Vec<&str> = line.split_whitespace().collect();
        let arguments = match words[..] {
            ["wattveil", ..] => &words[1..],
            ["meter-agent" | "aggregator-worker" | "utility-sink" | "broker", flag, ..]
                if flag.starts_with('-') || flag == "rebase" =>
            {
                &words[..]
            }
            _ => continue,
        };
        let end = arguments
            .iter()
            .position(|word| ["|", "&", ">", "<", "||", "&&"].iter().any(|sign| word.starts_with(sign)));
        let known = arguments[..end.unwrap_or(arguments.len())].join(" ");
        // what the shell would put there
        if known.contains("$(") {
            continue;
        }
        let output = shell(Path::new("."), &format!("wattveil {known} --help"));
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        seen += 1;
    }
    assert!(seen >= 25, "the documents show {seen} commands");
}

/// Whatever the documents show of `mosquitto_sub` subscribes, where that is installed: the line as it stands, with the broker, the
/// port and the certificate of a deployment here, and its end as soon as the broker has said yes.
#[test]
fn every_recipe_of_mosquitto_sub_subscribes() {
    let recipes: Vec<String> = shown().into_iter().filter(|line| line.starts_with("mosquitto_sub")).collect();
    assert!(recipes.len() >= 7, "the documents show {recipes:?}");
    if Command::new("mosquitto_sub").arg("--help").output().is_err() {
        println!("mosquitto_sub is not installed, so its recipes were not run");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let port = free_port();
    says(home.path(), &format!("init town --meters 2 --broker 127.0.0.1:{port}"));
    let checked: Vec<String> = recipes
        .iter()
        .map(|recipe| format!("{recipe} || {{ echo 'refused: {}'; exit 1; }}\n", recipe.replace('\'', "")))
        .collect();
    let script = format!(
        "set -u\n\
        wattveil broker --config town/broker/broker.toml 2> broker.log & trap 'kill %1; wait' EXIT\n\
        for _ in $(seq 100); do grep -q ready broker.log && break; sleep 0.1; done\n\
        PASSWORD=$(cat town/observer/password)\n\
        mosquitto_sub() {{\n\
            local all=()\n\
            while [ $# -gt 0 ]; do case $1 in\n\
                -h|-p|--cafile|-u|-P|-C|-W) shift 2;;\n\
                *) all+=(\"$1\"); shift;;\n\
            esac; done\n\
            command mosquitto_sub -h 127.0.0.1 -p {port} --cafile town/observer/broker-ca.pem -u observer -P \"$PASSWORD\" -E \"${{all[@]}}\"\n\
        }}\n{}\n",
        checked.concat()
    );
    let output = shell(home.path(), &script);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(!err.contains("denied") && !err.contains("not authorised"), "{err}");
}
