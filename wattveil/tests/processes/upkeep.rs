//! What `check`, `status` and `rotate broker` say of a deployment and do for it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use protocol::status::{Report, Status};
use protocol::topic::{Channel, Outgoing, Role};
use protocol::unit::Timestamp;
use runtime::link::{Message, Publisher};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use lab::town::Process;

use crate::process::{start, wait_until, wattveil};
use crate::town::free_address;

/// A deployment that `init` made, with a broker that runs.
struct Made {
    directory: TempDir,
    broker: Process,
}

/// Types a command; gives whether it ended well, and all that it said.
fn types(arguments: &[&str]) -> (bool, String) {
    let output = wattveil(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

impl Made {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (town, address) = (directory.path().join("town"), free_address().to_string());
        let arguments = [
            "--meters",
            "a,b",
            "--smallest-group",
            "2",
            "--synthetic",
            "--slot-minutes",
            "60",
            "--broker",
            &address,
        ];
        let (done, said) = types(&[&["init", town.to_str().unwrap()], &arguments[..]].concat());
        assert!(done, "{said}");
        let broker = start("broker", &town.join("broker/broker.toml"), &[]);
        wait_until("the broker's start", || broker.says("ready") > 0);
        Self { directory, broker }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join("town").join(name).to_str().unwrap().to_owned()
    }

    /// Checks a part of it.
    fn check(&self, name: &str) -> (bool, String) {
        types(&["check", &self.path(name)])
    }

    /// An aggregator says that it is up, and what time it is there.
    fn says_the_time(&self, name: &str, at: u64) {
        let home = self.path(name);
        let config = aggregator_worker::config::Config::read(&Path::new(&home).join("worker.toml")).unwrap();
        let settings = config.broker.settings(Path::new(&home), name).unwrap();
        let topic = Channel::Status(Role::Aggregator, name.to_owned()).of(&"town".parse().unwrap());
        let (state, version) = ("up".to_owned(), "0.1.0".to_owned());
        let status = Status { state, version, roster_epoch: 1, backlog: 0, at: Timestamp(at) };
        let Outgoing { topic, payload, retain } = Report { topic, status }.outgoing();
        Runtime::new().unwrap().block_on(async {
            let publisher = Publisher::connect(settings);
            let message = Message { topic: topic.to_string(), payload, retain };
            publisher.publish(message).await.unwrap();
            assert_eq!(publisher.close(Duration::from_secs(10)).await, 0);
        });
    }
}

/// A device whose clock is slow learns it from what two aggregators say; one alone proves nothing.
#[test]
fn a_slow_clock_is_told() {
    let made = Made::new();
    let now = runtime::now::<Timestamp>().0;
    let (well, said) = made.check("meters/a");
    assert!(well && said.contains("no aggregator says what time it is"), "{said}");
    made.says_the_time("agg-1", now + 3_600);
    let (well, said) = made.check("meters/a");
    assert!(well && said.contains("s behind that of agg-1; one of them is wrong"), "{said}");
    made.says_the_time("agg-2", now + 3_600);
    for party in ["meters/a", "agg-3", "sink"] {
        let (well, said) = made.check(party);
        assert!(!well && said.contains("s behind those of agg-") && said.contains("set-ntp true"), "{said}");
    }
    made.says_the_time("agg-1", now);
    made.says_the_time("agg-2", now);
    let (well, said) = made.check("meters/b");
    assert!(well && said.contains("the clock agrees with those of 2 of 2 aggregators"), "{said}");
}

/// Everybody who runs is up for whoever asks, also where the broker was killed and has forgotten all.
#[test]
fn everybody_is_up_after_the_brokers_restart() {
    let mut made = Made::new();
    let configs = ["agg-1", "agg-2", "agg-3", "agg-4"].map(|name| made.path(&format!("{name}/worker.toml")));
    let mut running: Vec<Process> =
        configs.iter().map(|config| start("aggregator-worker", Path::new(config), &[])).collect();
    running.push(start("utility-sink", Path::new(&made.path("sink/sink.toml")), &[]));
    for home in ["a", "b"] {
        let config = made.path(&format!("meters/{home}/agent.toml"));
        running.push(start("meter-agent", Path::new(&config), &[]));
    }
    let town = made.path("");
    let all_up = || types(&["status", &town, "--seconds", "1", "--expect-up"]).0;
    wait_until("everybody's start", all_up);
    made.broker.kill().unwrap();
    made.broker.restart().unwrap();
    wait_until("everybody's return", all_up);
    running[6].kill().unwrap();
    wait_until("a meter's last will", || !all_up());
    let (_, said) = types(&["status", &town, "--seconds", "1"]);
    let of_b = said.lines().find(|line| line.starts_with("meter") && line.contains(" b ")).unwrap();
    assert!(of_b.contains("down") && of_b.ends_with("ago"), "{said}");
    // of whom is revoked nothing is expected
    let (done, said) = types(&["revoke", &town, "b", "--reason", "moved out"]);
    assert!(done, "{said}");
    wait_until("the revocation", all_up);
    let (_, said) = types(&["status", &town, "--seconds", "1"]);
    let of_b = said.lines().find(|line| line.starts_with("meter") && line.contains(" b ")).unwrap();
    assert!(of_b.contains("revoked"), "{said}");
}

/// The broker's next certificate is taken by those who took the one before; a batch that no record holds is told.
#[test]
fn what_a_person_keeps_up() {
    let mut made = Made::new();
    let (done, said) = types(&["rotate", "broker", &made.path("")]);
    assert!(done && said.contains("systemctl reload wattveil-broker"), "{said}");
    for file in ["broker.pem", "broker.key"] {
        let (old, new) = (made.path(&format!("broker/{file}")), made.path(&format!("broker-2/{file}")));
        assert_ne!(fs::read(&old).unwrap(), fs::read(&new).unwrap(), "{file}");
        fs::copy(new, old).unwrap();
    }
    made.broker.stop().unwrap();
    made.broker.restart().unwrap();
    wait_until("the broker's second start", || made.broker.says("ready") > 1);
    let (well, said) = made.check("");
    assert!(well && said.contains("connected, logged in and subscribed"), "{said}");
    // another's certificate with this key is none
    fs::copy(made.path("authority/ca.pem"), made.path("broker/broker.pem")).unwrap();
    let (well, said) = made.check("broker");
    assert!(!well && said.contains("is it the key of"), "{said}");

    let agent = made.path("meters/a/agent.toml");
    let text = fs::read_to_string(&agent).unwrap();
    assert!(text.contains("\n#batch_slots = 4\n"), "{text}");
    fs::write(&agent, text.replace("\n#batch_slots = 4\n", "\nbatch_slots = 312\n")).unwrap();
    let wanted = "expected 1 to 192 slots a batch, for example `batch_slots = 4`; found 312";
    let (well, said) = made.check("meters/a");
    assert!(!well && said.contains(wanted), "{said}");
    let (well, said) = types(&["meter-agent", "--config", &agent, "--dry-run"]);
    assert!(!well && said.contains(wanted), "{said}");
    // a certificate is for longer than a meter lasts
    let (_, said) = types(&["enrol", &made.path(""), "c"]);
    let line = said.lines().find(|line| line.starts_with("wv1-")).unwrap();
    let enrolment = wattveil::enrol::Enrolment::parse(line).unwrap();
    let claimed = protocol::signature::Unverified::<protocol::certificate::MeterCertificate>::parse(
        &enrolment.certificate,
    );
    let years = claimed.unwrap().claim().valid_to.since(runtime::now::<Timestamp>()) / 86_400 / 365;
    assert_eq!(years, 20);
}
