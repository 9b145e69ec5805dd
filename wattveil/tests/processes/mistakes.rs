//! What a person gets wrong ends the process at once, not in silence: what was found, and what to do.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use deployment::Files;
use tempfile::TempDir;

use crate::oracle::Homes;
use crate::process::{start, wait_until, wattveil};
use crate::town::{self, Kind, free_address};

/// A deployment of which nothing runs.
pub(crate) struct Still {
    directory: TempDir,
    pub(crate) files: Files,
}

impl Still {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (_, _, files) = town::write(directory.path(), &Homes::read(2), &[free_address()], Kind::Curve);
        Self { directory, files }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces some text of a file.
    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    pub(crate) fn meter(&self) -> &Path {
        &self.files.meters[0]
    }

    fn aggregator(&self) -> &Path {
        &self.files.aggregators[0]
    }
}

/// Runs a role that has to fail by itself, and checks that its message has all of `words`.
#[track_caller]
fn refuses(role: &str, config: &Path, words: &[&str]) {
    refuses_with(&[], role, config, words);
}

#[track_caller]
fn refuses_with(flags: &[&str], role: &str, config: &Path, words: &[&str]) {
    let line = [&[role, "--config", config.to_str().unwrap()], flags].concat();
    let mut command = wattveil(&line);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("a refusal", || child.try_wait().unwrap().is_some());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let message = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{message}");
    assert!(message.contains("error: "), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    for word in words {
        assert!(message.contains(word), "the message lacks `{word}`:\n{message}");
    }
}

#[test]
fn a_port_that_is_taken() {
    let still = Still::new();
    let address = broker::Config::read(Some(&still.files.broker), &[]).unwrap().listen;
    let taken = TcpListener::bind(address).unwrap();
    refuses("broker", &still.files.broker, &[&address.to_string(), "is in use", "--listen HOST:PORT"]);
    drop(taken);
}

#[test]
fn a_file_that_is_not_there() {
    let missing = Path::new("/no/such/file.toml");
    for role in ["broker", "meter-agent", "aggregator-worker", "utility-sink"] {
        refuses(role, missing, &["cannot read", "/no/such/file.toml", "No such file"]);
    }
    let still = Still::new();
    for (file, role, config) in [
        ("meters/h01/roster.wv", "meter-agent", still.meter()),
        ("agg-1/registrar.pub", "aggregator-worker", still.aggregator()),
        ("sink/box-1.key", "utility-sink", &still.files.sink),
    ] {
        fs::remove_file(still.path(file)).unwrap();
        refuses(role, config, &[file, "No such file"]);
    }
    fs::remove_file(still.path("agg-2/password")).unwrap();
    refuses("aggregator-worker", &still.files.aggregators[1], &["agg-2/password", "No such file"]);
    fs::remove_file(still.path("homes.csv")).unwrap();
    refuses("meter-agent", &still.files.meters[1], &["homes.csv", "No such file"]);
}

#[test]
fn a_key_that_no_configuration_has() {
    let still = Still::new();
    for (file, role, known) in [
        ("broker/broker.toml", "broker", "`listen`"),
        ("agg-1/worker.toml", "aggregator-worker", "`aggregator`"),
        ("sink/sink.toml", "utility-sink", "`release`"),
        ("meters/h01/agent.toml", "meter-agent", "`meter`"),
    ] {
        let text = fs::read_to_string(still.path(file)).unwrap();
        fs::write(still.path(file), format!("colour = \"blue\"\n{text}")).unwrap();
        refuses(role, &still.path(file), &[file, "line 1", "unknown field `colour`", known]);
    }
}

#[test]
fn a_value_that_is_none() {
    let still = Still::new();
    still.edit("agg-1/worker.toml", "receipt_every = \"100ms\"", "receipt_every = \"often\"");
    refuses("aggregator-worker", still.aggregator(), &["worker.toml", "line ", "receipt_every", "\"often\""]);
    still.edit("meters/h01/agent.toml", "address = \"127.0.0.1:", "address = \"127.0.0.1/");
    refuses("meter-agent", still.meter(), &["is not HOST:PORT, such as 127.0.0.1:1883"]);
    still.edit("meters/h02/agent.toml", "column = \"h02\"", "column = \"h99\"");
    refuses("meter-agent", &still.files.meters[1], &["expected a column `h99`", "h01, h02"]);
    still.edit("meters/h03/agent.toml", "#batch_slots = 4", "batch_slots = 400");
    refuses("meter-agent", &still.files.meters[2], &["expected 1 to 192 slots a batch", "found 400"]);
    still.edit("sink/sink.toml", "\"flat\"", "\"flatt\"");
    refuses("utility-sink", &still.files.sink, &["tariffs flat, tou", "found `flatt`"]);
    still.edit("sink/tou.toml", "America/Los_Angeles", "California");
    refuses(
        "utility-sink",
        &still.files.sink,
        &["tou.toml", "expected a time zone, for example Europe/Berlin; found `California`"],
    );
}

#[test]
fn a_cell_of_load_data_that_is_none() {
    let still = Still::new();
    still.edit("homes.csv", "835,1101", "835,");
    refuses("meter-agent", still.meter(), &["homes.csv", "line 3, column h02"]);
}

#[test]
fn a_secret_that_others_may_read() {
    let still = Still::new();
    for (file, role, config) in [
        ("agg-1/sign.key", "aggregator-worker", still.aggregator()),
        ("sink/box-1.key", "utility-sink", &still.files.sink),
        ("meters/h01/sign.key", "meter-agent", still.meter()),
        ("meters/h02/password", "meter-agent", &still.files.meters[1]),
    ] {
        fs::set_permissions(still.path(file), Permissions::from_mode(0o644)).unwrap();
        refuses(role, config, &[file, "other users may read it", "chmod 600"]);
    }
}

#[test]
fn keys_and_documents_that_do_not_belong_together() {
    let (ours, theirs) = (Still::new(), Still::new());
    let swap = |file: &str| fs::copy(theirs.path(file), ours.path(file)).unwrap();
    // another deployment's roster, which another registrar signed
    for (party, role, config) in [
        ("agg-1", "aggregator-worker", ours.aggregator()),
        ("sink", "utility-sink", &ours.files.sink),
        ("meters/h01", "meter-agent", ours.meter()),
    ] {
        swap(&format!("{party}/roster.wv"));
        refuses(role, config, &[&format!("{party}/roster.wv"), "was refused", "registrar"]);
    }
    // and its registrar: the floor pins ours
    swap("meters/h01/registrar.pub");
    refuses("meter-agent", ours.meter(), &["fingerprint", "which the floor pins"]);
    // another's key
    swap("agg-2/sign.key");
    refuses("aggregator-worker", &ours.files.aggregators[1], &["lists another key for aggregator 2"]);
    // a key of another kind
    fs::copy(ours.path("agg-3/sign.key"), ours.path("agg-3/box-1.key")).unwrap();
    refuses(
        "aggregator-worker",
        &ours.files.aggregators[2],
        &["box-1.key", "expected a line `wattveil-x25519-secret HEX`"],
    );
    // another box key than the roster's
    fs::copy(ours.path("agg-4/box-1.key"), ours.path("agg-3/box-1.key")).unwrap();
    refuses("aggregator-worker", &ours.files.aggregators[2], &["box key 1", "roster"]);
    // another meter's key, and another meter's certificate
    fs::copy(ours.path("meters/h03/sign.key"), ours.path("meters/h02/sign.key")).unwrap();
    refuses("meter-agent", &ours.files.meters[1], &["signing key that the certificate of meter"]);
    // a dry run refuses what a run would
    let dry = &["--dry-run"];
    refuses_with(dry, "meter-agent", &ours.files.meters[1], &["signing key that the certificate of meter"]);
    fs::copy(ours.path("meters/h05/certificate.wv"), ours.path("meters/h04/certificate.wv")).unwrap();
    refuses(
        "meter-agent",
        &ours.files.meters[3],
        &["expected the certificate of meter", "found that of meter"],
    );
}

#[test]
fn a_store_that_another_process_has_or_that_is_none() {
    let still = Still::new();
    let mut first = start("aggregator-worker", still.aggregator(), &[]);
    wait_until("its store", || still.path("agg-1/worker.redb").exists());
    refuses("aggregator-worker", still.aggregator(), &["worker.redb", "is in use by another process"]);
    first.kill().unwrap();
    fs::write(still.path("agg-2/worker.redb"), "not a store").unwrap();
    refuses("aggregator-worker", &still.files.aggregators[1], &["worker.redb", "damaged or not a store"]);
}
