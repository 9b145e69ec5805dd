//! The same roles through brokers that are not ours, set up as the page says: nothing that they need is ours alone. Programs
//! that anybody may use to watch do so.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use deployment::Files;

use super::page::{Page, root};
use crate::oracle::Homes;
use lab::town::Process;

use crate::process::wait_until;
use crate::shell::{Shell, without_comment};
use crate::town::{Kind, Town, free_address, write};

/// Where the documentation's configurations are.
fn packaging() -> PathBuf {
    root().join("packaging/brokers")
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
    let (deployment, _, files) = write(directory.path(), &Homes::read(2), &[free_address()], Kind::Curve);
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

/// Replaces words of a configuration, each of which has to be there.
fn edit(path: &Path, changes: &[(String, String)]) {
    let mut text = fs::read_to_string(path).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{} has no {from}", path.display());
        text = text.replace(from, to);
    }
    fs::write(path, text).unwrap();
}

/// A shell beside a town, as one is in that has been made by `init`.
fn beside(files: &Files) -> Shell {
    let shell = Shell::new();
    symlink(files.broker.parent().unwrap().parent().unwrap(), shell.path("town")).unwrap();
    shell
}

/// The program that the page starts last, in the directory of its configuration.
fn start(line: &str, home: &Path) -> Process {
    let words: Vec<&str> = line.split_whitespace().collect();
    let config = words.last().expect("a configuration");
    Process::foreign(words[0], &home.join(config), &words[1..]).unwrap()
}

/// What is to be installed is what `.ci/run` installs, and the tests here are what it runs.
pub(super) fn programs(page: &mut Page) {
    Shell::in_repository().walk(&page.rest());
}

/// The deployment is made as any other.
pub(super) fn a_deployment(page: &mut Page) {
    let shell = Shell::new();
    shell.walk(&page.rest());
    assert_eq!(fs::read_dir(shell.path("town/meters")).unwrap().count(), 15);
}

/// mosquitto, which keeps nothing over its death, killed and started again.
pub(super) fn mosquitto_carries_a_town(page: &mut Page) {
    has("mosquitto");
    let address = free_address();
    let mosquitto = |files: &Files| {
        let home = files.broker.parent().unwrap();
        let shell = beside(files);
        let made: Vec<String> = (0..3).map(|_| page.next().text).collect();
        let started = page.next().text;
        // who comes later
        let meter = files.meters[0].parent().unwrap().file_name().unwrap().to_str().unwrap();
        let later = page.next().text.replace("home-1", meter);
        shell.run(&format!("set -e\nBROKERS={}\n{}\n{later}", packaging().display(), made.join("\n")));
        let passwords = fs::read_to_string(home.join("passwords")).unwrap();
        assert!(passwords.lines().all(|line| line.contains(":$7$")), "{passwords}");
        assert!(passwords.contains("00112233445566778899aabbccddeeff:"), "{passwords}");
        // started by root it would become a user who may not read the town's directory
        let listener = format!("user root\nlistener {} 127.0.0.1", address.port());
        edit(&home.join("mosquitto.conf"), &[("listener 8883".into(), listener)]);
        let broker = start(&started, home);
        wait_until("mosquitto's start", || accepts(address));
        vec![broker]
    };
    let mut town = Town::through(&[address], true, mosquitto);
    town.replayed(30);
    assert!(town.is_replaying());
    town.broker.kill().unwrap();
    town.broker.restart().unwrap();
    town.delivered();
    let mut sink = town.ask();
    town.is_exact(&mut sink);
}

/// Three nodes, one of which is killed during the replay, and comes back before it ends; and another while bills are made.
pub(super) fn a_cluster_of_nats_server_carries_a_town(page: &mut Page) {
    has("nats-server");
    let addresses = [free_address(), free_address(), free_address()];
    let routes = [free_address(), free_address(), free_address()];
    let made: Vec<String> = (0..3).map(|_| page.next().text).collect();
    let started = page.next().text;
    let node = |node: usize, files: &Files| {
        // the page is of the first node
        let of_node = |line: &str| line.replace("nats-1", &format!("nats-{node}"));
        let script = format!("set -e\nBROKERS={}\n{}", packaging().display(), of_node(&made.join("\n")));
        beside(files).run(&script);
        let home = files.broker.parent().unwrap();
        let mut changes = vec![
            (format!("127.0.0.1:188{node}"), addresses[node - 1].to_string()),
            (format!("127.0.0.1:422{node}"), free_address().to_string()),
        ];
        changes.extend((1..=3).map(|other| (format!("127.0.0.1:622{other}"), routes[other - 1].to_string())));
        edit(&home.join(format!("nats-{node}.conf")), &changes);
        start(&of_node(&started), home)
    };
    let cluster = |files: &Files| {
        let nodes: Vec<Process> = (1..=3).map(|number| node(number, files)).collect();
        wait_until("the cluster's start", || {
            let leader = nodes.iter().any(|node| node.says("new metadata leader") > 0);
            leader && addresses.iter().all(|address| accepts(*address))
        });
        nodes
    };
    let mut town = Town::through(&addresses, true, cluster);
    town.replayed(25);
    assert!(town.is_replaying());
    town.nodes[0].kill().unwrap();
    town.replayed(60);
    town.nodes[0].restart().unwrap();
    town.delivered();
    let mut sink = town.ask();
    town.observer.wait("a cut", |seen| seen.cuts > 0);
    town.nodes[1].kill().unwrap();
    town.is_exact(&mut sink);
}

/// The questions are put to mosquitto, and to what listens at an address.
pub(super) fn questions_to_other_brokers(page: &mut Page) {
    has("mosquitto");
    let shell = Shell::in_repository();
    let out = shell.walk(&[page.next()]);
    assert!(out.contains("ours  mosquitto") && out.contains("1 passed"), "{out}");
    let here = free_address().to_string();
    let asked = page.next().text.replace("127.0.0.1:1883", &here);
    let out = shell.run(&format!(
        "WATTVEIL_LISTEN={here} broker 2> broker.log & again 'grep -q listening broker.log' && {asked}"
    ));
    assert!(out.matches(" yes\n").count() > 40, "{out}");
}

/// Whatever is shown of `mosquitto_sub` subscribes: the line as it stands, with the broker, the port and the certificate of a
/// deployment here, and its end as soon as the broker has said yes.
pub(super) fn everybody_can_watch(page: &mut Page) {
    has("mosquitto_sub");
    let shell = Shell::new();
    let address = free_address();
    shell.says(&format!("init town --meters 2 --broker {address}"));
    let port = address.port();
    let lines: Vec<String> = page
        .rest()
        .iter()
        .map(|shown| {
            format!(
                "{} || {{ echo failed: '{}'; exit 1; }}",
                without_comment(&shown.text),
                shown.to_string().replace('\'', "")
            )
        })
        .collect();
    assert!(lines.len() >= 8, "{lines:?}");
    shell.run(&format!(
        "wattveil broker --config town/broker/broker.toml 2> broker.log &
        again 'grep -q ready broker.log'
        PASSWORD=$(cat town/observer/password)
        mosquitto_sub() {{
            local all=()
            while [ $# -gt 0 ]; do case $1 in
                -h|-p|--cafile|-u|-P|-C|-W) shift 2;;
                *) all+=(\"$1\"); shift;;
            esac; done
            command mosquitto_sub -h 127.0.0.1 -p {port} --cafile town/observer/broker-ca.pem -u observer -P \"$PASSWORD\" -E \"${{all[@]}}\" 2>&1 |
                {{ ! grep -E 'denied|not authorised|rror'; }}
        }}
        set -o pipefail
        {}",
        lines.join("\n")
    ));
}
