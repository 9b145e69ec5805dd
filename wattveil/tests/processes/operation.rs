//! What whoever runs a role does with it: look before sending, say what happened to a register, set parameters, watch.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::mistakes::Still;
use crate::process::{PATIENCE, start, wait_until, wattveil};
use crate::town::free_address;

/// A meter that is told its registers by the lines of a file.
fn told_by_lines(still: &Still, lines: &[&str]) -> String {
    let text = fs::read_to_string(still.meter()).unwrap();
    let mut config: toml::Table = toml::from_str(&text).unwrap();
    fs::write(still.meter().with_file_name("lines.json"), lines.join("\n")).unwrap();
    let source: toml::Table = toml::from_str("[lines]\ninput = \"file:lines.json\"").unwrap();
    config.insert("source".to_owned(), source.into());
    fs::write(still.meter(), toml::to_string(&config).unwrap()).unwrap();
    still.meter().to_str().unwrap().to_owned()
}

fn output(command: &mut Command) -> (bool, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A dry run prints slots, gaps, batches and the export that is in no bill; it wants no broker and leaves no store.
#[test]
fn a_dry_run_shows_what_would_be_sent() {
    let still = Still::new();
    let config = told_by_lines(
        &still,
        &[
            r#"{"time":"2025-01-01T00:00:00Z","register_kwh":1000.5}"#,
            r#"{"time":"2025-01-01T01:00:05Z","register_kwh":1001.25,"export_kwh":3.5}"#,
            r#"{"time":"2025-01-01T02:00:00Z","register_kwh":0}"#,
            r#"{"time":"2025-01-01T03:00:00Z","register_kwh":1003.0009}"#,
            r#"{"time":"2025-01-01T04:00:00Z","register":1004}"#,
        ],
    );
    let (done, shown, log) = output(&mut wattveil(&["meter-agent", "--config", &config, "--dry-run"]));
    assert!(done, "{log}");
    assert_eq!(
        shown,
        "2025-01-01T00:00:00Z  import 1000.500 kWh\n\
         2025-01-01T01:00:00Z  import 1001.250 kWh  +750 Wh  export 3.500 kWh\n\
         2025-01-01T03:00:00Z  import 1003.000 kWh  +1750 Wh over 2 slots: no slot's energy is known\n\
         \u{20} would seal slots 482136..482137 (1) as one record, a share for each of 4 aggregators\n\
         3 readings, 1 records, 4 messages. Nothing was sent and nothing was kept\n\
         export is kept apart and is in no bill. This roster has no grid path, so export is not sent\n"
    );
    for words in [
        "the import register fell to zero",
        "1 slots from slot 482138 have no reading",
        "line 5: expected a reading",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
    assert!(!log.contains("1003") && !log.contains("1001"), "a log has no readings: {log}");
    assert!(!still.meter().with_file_name("agent.redb").exists());
}

/// A register that was reset is not billed until somebody says so, while the agent is stopped; then it goes on.
#[test]
fn a_reset_waits_for_a_rebase() {
    let still = Still::new();
    let line =
        |hour: u32, kwh: &str| format!(r#"{{"time":"2025-01-01T{hour:02}:00:00Z","register_kwh":{kwh}}}"#);
    let lines = |from: u32, registers: &[&str]| {
        (from..).zip(registers).map(|(hour, kwh)| line(hour, kwh)).collect::<Vec<_>>()
    };
    let tell = |lines: &[String]| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        told_by_lines(&still, &lines)
    };
    let config = tell(&lines(0, &["500", "501", "1", "2", "3"]));
    let metrics = free_address();
    let watched = format!("metrics=\"{metrics}\"");
    let mut agent = start("meter-agent", still.meter(), &["--set", &watched]);
    wait_until("an explanation", || agent.says("has been at another level for 3 readings") > 0);
    let rebase = |more: &[&str]| {
        let mut command = wattveil(&["meter-agent", "rebase", "--config", &config]);
        output(command.args(more))
    };
    let (done, _, refused) = rebase(&["--closing", "501.2", "--opening", "0.5"]);
    assert!(!done && refused.contains("stop it first"), "{refused}");
    let counted = scrape(&metrics.to_string());
    for line in [
        "wattveil_measurements_total 5",
        "wattveil_readings_total 2",
        "wattveil_register_anomalies_total{kind=\"decrease\"} 2",
        "wattveil_register_anomalies_total{kind=\"stands\"} 1",
    ] {
        assert!(counted.lines().any(|counted| counted == line), "{line}: {counted}");
    }
    assert!(counted.contains("wattveil_stage_seconds_count{stage=\"commit\"}"), "{counted}");
    agent.stop().unwrap();
    let (done, _, refused) = rebase(&["--closing", "499"]);
    assert!(!done && refused.contains("found one 2000 Wh below it"), "{refused}");
    let (done, said, log) = rebase(&["--closing", "501.2", "--opening", "0.5"]);
    assert!(done && said.contains("No energy is lost. This adds 0.2 kWh to the bill"), "{said}{log}");
    let (done, _, refused) = rebase(&["--closing", "501.2", "--opening", "0.5"]);
    assert!(!done && refused.contains("a rebase is already stored"), "{refused}");
    tell(&lines(2, &["1", "2", "3"]));
    let before = agent.says("has been at another level");
    agent.restart().unwrap();
    wait_until("the readings", || scrape(&metrics.to_string()).contains("wattveil_readings_total 3"));
    agent.stop().unwrap();
    assert_eq!(agent.says("has been at another level"), before);
}

/// The counters' page, as soon as it is served.
fn scrape(address: &str) -> String {
    let mut page = String::new();
    wait_until("the counters", || {
        let Ok(mut stream) = TcpStream::connect(address) else { return false };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        page.clear();
        stream.read_to_string(&mut page).is_ok() && page.starts_with("HTTP/1.1 200")
    });
    page
}

/// Environment and flags go over the file, in every role; what they say wrong is answered with where it was said.
#[test]
fn parameters_are_set_over_the_file() {
    let still = Still::new();
    let config = still.meter().to_str().unwrap();
    let agent = |variables: &[(&str, &str)], flags: &[&str]| {
        let mut command = wattveil(&["meter-agent", "--config", config]);
        let (done, _, log) = output(command.args(flags).envs(variables.iter().copied()));
        assert!(!done);
        log
    };
    let batch = ("WATTVEIL_PACE__BATCH_SLOTS", "400");
    let log = agent(&[batch], &[]);
    assert!(
        log.contains("expected 1 to 192 slots a batch, for example `batch_slots = 4`; found 400"),
        "{log}"
    );
    let log = agent(&[batch], &["--set", "pace.batch_slots=500"]);
    assert!(log.contains("slots a batch, for example `batch_slots = 4`; found 500"), "{log}");
    let log = agent(&[("WATTVEIL_COLOUR", "blue")], &[]);
    assert!(
        log.contains("the environment's WATTVEIL_COLOUR: unknown field `colour`, expected one of `meter`"),
        "{log}"
    );
    let log = agent(&[("WATTVEIL_PACE__BATCH_SLOTS", "many")], &[]);
    assert!(
        log.contains(
            "the environment's WATTVEIL_PACE__BATCH_SLOTS: `pace.batch_slots`: found string \"many\""
        ),
        "{log}"
    );
    let log = agent(&[], &["--set", "metrics=0.0.0.0:9464"]);
    assert!(log.contains("say a loopback address, such as 127.0.0.1:9464"), "{log}");
    for (role, config) in
        [("aggregator-worker", &still.files.aggregators[0]), ("utility-sink", &still.files.sink)]
    {
        let config: &Path = config;
        let mut command = wattveil(&[role, "--config", config.to_str().unwrap(), "--set", "pace.hurry=1"]);
        let (done, _, log) = output(&mut command);
        assert!(!done && log.contains("--set pace.hurry: unknown field `hurry`"), "{log}");
    }
}

/// Logs are JSON on request, stages' durations in them too, and systemd is told when a role is ready.
#[test]
fn logs_are_json_and_readiness_is_told() {
    let still = Still::new();
    let socket = still.path("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command =
        wattveil(&["meter-agent", "--config", still.meter().to_str().unwrap(), "--set", "log=json"]);
    let log = fs::File::create(still.path("json.log")).unwrap();
    command.env("NOTIFY_SOCKET", &socket).env("RUST_LOG", "info,performance=debug").stderr(log);
    let mut child = command.spawn().unwrap();
    let mut told = [0; 64];
    let length = systemd.recv(&mut told).unwrap();
    assert_eq!(&told[..length], b"READY=1\n");
    let lines = || fs::read_to_string(still.path("json.log")).unwrap();
    wait_until("a stage's duration", || lines().contains("\"stage\":\"commit\""));
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
}
