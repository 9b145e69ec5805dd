//! The same roles through brokers that are not ours, with the configurations that the documentation names: nothing that they
//! need is ours alone.
//!
//! They want Debian's `mosquitto` and `nats-server`: `cargo test -p wattveil --test processes any_broker -- --ignored`

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wattveil::deployment::Files;

use crate::oracle::Homes;
use crate::process::{Process, wait_until};
use crate::town::{Town, free_address, write};

/// Where the documentation's configurations are.
fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("packaging/brokers")
}

/// Copies a configuration to the broker's directory, with other words in some places, each of which has to be there.
fn install(file: &str, home: &Path, changes: &[(&str, String)]) -> PathBuf {
    let mut text = fs::read_to_string(packaging().join(file)).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{file} has no {from}");
        text = text.replace(from, to);
    }
    let path = home.join(file);
    fs::write(&path, text).unwrap();
    path
}

/// The users of a town, as the script prints them.
fn users(files: &Files, options: &[&str]) -> String {
    let town = files.broker.parent().unwrap().parent().unwrap();
    let output = Command::new(packaging().join("users.sh")).args(options).arg(town).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("agg-4") && text.contains("sink"));
    text
}

/// What a role may do at our broker, it may do at the others, with the same words but for the wildcards.
#[test]
fn permissions_are_ours() {
    let directory = tempfile::tempdir().unwrap();
    let (deployment, _, files) = write(directory.path(), &Homes::read(2), &[free_address()], false);
    let meter = deployment.meters[0].meter.to_string();
    let acl = fs::read_to_string(packaging().join("mosquitto.acl")).unwrap();
    let nats = users(&files, &["--nats"]);
    let mut compared = 0;
    for role in broker::Role::defaults() {
        let user = match role.name.as_str() {
            "meter" => &meter,
            "aggregator" => "agg-1",
            // the registrar has no login in this town
            "registrar" => continue,
            name => name,
        };
        let (_, of_user) = nats.split_once(&format!("user: \"{user}\"")).unwrap();
        let (of_user, _) = of_user.split_once("user:").unwrap_or((of_user, ""));
        let (publish, subscribe) = of_user.split_once("subscribe:").unwrap();
        for (word, patterns, subjects) in
            [("write", &role.publish, publish), ("read", &role.subscribe, subscribe)]
        {
            for pattern in patterns {
                let topic = pattern.replace("{deployment}", "town");
                let of_many = ["meter", "aggregator"].contains(&role.name.as_str());
                let (kind, name) = if of_many { ("pattern", "%u") } else { ("topic", user) };
                let line = format!("{kind} {word} {}", topic.replace("{user}", name));
                let of_all = format!("pattern {word} {topic}");
                assert!(acl.lines().any(|found| found == line || found == of_all), "{line}");
                let subject = match topic.as_str() {
                    "#" => "wv.1.>".to_owned(),
                    topic => {
                        topic.replace("{user}", user).replace('/', ".").replace('+', "*").replace('#', ">")
                    }
                };
                assert!(subjects.contains(&format!("\"{subject}\"")), "{user} {word} {subject}");
                compared += 1;
            }
        }
    }
    assert!(compared > 50);
}

/// Whether a program is here.
fn has(program: &str) {
    let found = Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(found.is_ok(), "{program} is not installed: apt-get install mosquitto nats-server");
}

fn accepts(address: SocketAddr) -> bool {
    std::net::TcpStream::connect(address).is_ok()
}

fn mosquitto(address: SocketAddr, files: &Files) -> Vec<Process> {
    let home = files.broker.parent().unwrap();
    let passwords = home.join("passwords");
    fs::write(&passwords, users(files, &[])).unwrap();
    let hashed = Command::new("mosquitto_passwd").arg("-U").arg(&passwords).status().unwrap();
    assert!(hashed.success());
    install("mosquitto.acl", home, &[]);
    // started by root it would become a user who may not read the town's directory
    let listener = format!("user root\nlistener {} 127.0.0.1", address.port());
    let config = install("mosquitto.conf", home, &[("listener 8883", listener)]);
    let broker = Process::foreign("mosquitto", &config, &["-c", "mosquitto.conf"]);
    wait_until("mosquitto's start", || accepts(address));
    vec![broker]
}

/// mosquitto, which keeps nothing over its death, killed and started again.
#[test]
#[ignore = "it wants Debian's mosquitto"]
fn mosquitto_carries_a_town() {
    has("mosquitto");
    let address = free_address();
    let mut town = Town::through(&[address], true, |files| mosquitto(address, files));
    town.replayed(30);
    assert!(town.is_replaying());
    town.broker.kill();
    town.broker.restart();
    town.delivered();
    let mut sink = town.ask();
    town.is_exact(&mut sink);
}

fn nats(addresses: &[SocketAddr], files: &Files) -> Vec<Process> {
    let home = files.broker.parent().unwrap();
    fs::write(home.join("users.conf"), users(files, &["--nats"])).unwrap();
    let routes = [free_address(), free_address(), free_address()];
    let nodes = (1..=3).map(|node| {
        let mut changes = vec![
            (format!("127.0.0.1:188{node}"), addresses[node - 1].to_string()),
            (format!("127.0.0.1:422{node}"), free_address().to_string()),
        ];
        let others = (1..=3).map(|other| (format!("127.0.0.1:622{other}"), routes[other - 1].to_string()));
        changes.extend(others);
        let changes: Vec<(&str, String)> =
            changes.iter().map(|(from, to)| (from.as_str(), to.clone())).collect();
        let file = format!("nats-{node}.conf");
        let config = install(&file, home, &changes);
        Process::foreign("nats-server", &config, &["-c", &file])
    });
    let nodes: Vec<Process> = nodes.collect();
    wait_until("the cluster's start", || {
        let leader = nodes.iter().any(|node| node.says("new metadata leader") > 0);
        leader && addresses.iter().all(|address| accepts(*address))
    });
    nodes
}

/// Three nodes, one of which is killed during the replay, and comes back before it ends; and another while bills are made.
#[test]
#[ignore = "it wants Debian's nats-server"]
fn a_cluster_of_nats_server_carries_a_town() {
    has("nats-server");
    let addresses = [free_address(), free_address(), free_address()];
    let mut town = Town::through(&addresses, true, |files| nats(&addresses, files));
    town.replayed(25);
    assert!(town.is_replaying());
    town.nodes[0].kill();
    town.replayed(60);
    town.nodes[0].restart();
    town.delivered();
    let mut sink = town.ask();
    town.observer.wait("a cut", |seen| seen.cuts > 0);
    town.nodes[1].kill();
    town.is_exact(&mut sink);
}
