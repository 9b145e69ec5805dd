//! systemd's units: what is in them is what systemd knows, what the packages install and what the documents say.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::documents::page::root;

/// The roles with the names of their configurations.
const ROLES: [(&str, &str); 4] = [
    ("meter-agent", "agent.toml"),
    ("aggregator-worker", "worker.toml"),
    ("utility-sink", "sink.toml"),
    ("broker", "broker.toml"),
];

/// A unit's lines of a key.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn unit(role: &str) -> String {
    fs::read_to_string(root().join(format!("packaging/systemd/wattveil-{role}.service"))).unwrap()
}

/// Each unit starts its package's program on the configuration in /etc/wattveil, as a user of its own whom the package makes,
/// with a store in /var/lib, and is told when the role is ready.
#[test]
fn units_are_what_the_documents_say() {
    let page = fs::read_to_string(root().join("docs/operating.md")).unwrap();
    assert!(page.contains("`/etc/wattveil/ROLE`") && page.contains("`/var/lib/wattveil-ROLE`"));
    for (role, configuration) in ROLES {
        let unit = unit(role);
        let manifest: toml::Table =
            fs::read_to_string(root().join(role).join("Cargo.toml")).unwrap().parse().unwrap();
        let deb = &manifest["package"]["metadata"]["deb"];
        let program = deb["assets"][0][1].as_str().unwrap();
        let program = if program.ends_with('/') { format!("{program}{role}") } else { program.to_owned() };
        let started = format!("/{program} --config /etc/wattveil/{role}/{configuration}");
        assert_eq!(values(&unit, "ExecStart"), [started]);
        assert_eq!(deb["systemd-units"]["unit-name"].as_str(), Some(&*format!("wattveil-{role}")));
        let user = format!("wattveil-{role}");
        assert_eq!([values(&unit, "User"), values(&unit, "Group")].concat(), [&user, &user]);
        let made = fs::read_to_string(root().join(format!("packaging/deb/{role}/postinst"))).unwrap();
        for line in [
            format!("--home /var/lib/{user} {user}\n"),
            format!("install -d -o {user} -g {user} -m 0700 /etc/wattveil/{role}\n"),
        ] {
            assert!(made.contains(&line), "{made}\nlacks {line}");
        }
        // a broker keeps nothing
        let store: &[&str] = if role == "broker" { &[] } else { &[&user] };
        assert_eq!(values(&unit, "StateDirectory"), store);
        assert_eq!([values(&unit, "Type"), values(&unit, "Restart")].concat(), ["notify", "always"]);
    }
}

/// All units are as hard: what one role does without, every role does without.
#[test]
fn units_are_hardened_alike() {
    let hard = |role: &str| -> BTreeSet<String> {
        let unit = unit(role);
        let (_, rest) = unit.split_once("\n# nothing but").expect("what it does without");
        rest.lines().skip(1).map(str::to_owned).collect()
    };
    let first = hard(ROLES[0].0);
    assert!(first.len() > 20, "{first:?}");
    for (role, _) in ROLES {
        assert_eq!(hard(role), first, "{role}");
    }
}

/// systemd takes them, where it is installed.
#[test]
fn systemd_takes_the_units() {
    let home = tempfile::tempdir().unwrap();
    let units = home.path().join("etc/systemd/system");
    fs::create_dir_all(&units).unwrap();
    for directory in ["usr/bin", "bin"] {
        fs::create_dir_all(home.path().join(directory)).unwrap();
    }
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--root"]).arg(home.path());
    for (role, _) in ROLES {
        let unit = unit(role);
        for line in [values(&unit, "ExecStart"), values(&unit, "ExecReload")].concat() {
            let program = line.split(' ').next().unwrap().trim_start_matches('/').to_owned();
            fs::write(home.path().join(&program), "").unwrap();
            fs::set_permissions(home.path().join(program), Permissions::from_mode(0o755)).unwrap();
        }
        let name = format!("wattveil-{role}.service");
        fs::write(units.join(&name), unit).unwrap();
        command.arg(name);
    }
    let Ok(output) = command.output() else {
        println!("systemd-analyze is not installed: the units were only read");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // what else a machine has is not there
    let ours: Vec<&str> =
        said.lines().filter(|line| line.contains("wattveil-") && !line.contains("not found")).collect();
    assert!(ours.is_empty(), "{said}");
}
