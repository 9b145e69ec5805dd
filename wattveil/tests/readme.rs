//! README's commands run as they stand there.

use std::path::Path;
use std::process::Command;

/// The arguments of every `wattveil` command in a console block.
fn commands() -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README can be read");
    let prefix = "$ cargo run --release -p wattveil -- ";
    let lines = readme.lines().filter_map(|line| line.strip_prefix(prefix));
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace")
}

/// Each command of README ends well; the demonstrations say that every claim held.
#[test]
fn commands_run_as_written() {
    let commands = commands();
    assert!(commands.len() >= 8, "README shows {} commands", commands.len());
    for arguments in commands {
        let output = Command::new(env!("CARGO_BIN_EXE_wattveil"))
            .args(&arguments)
            .current_dir(root())
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?} failed\n{out}\n{err}");
        match (arguments[0].as_str(), arguments.iter().any(|argument| argument == "--json")) {
            ("demo", true) => assert!(out.contains("\"held\": true"), "{out}"),
            ("demo", false) => assert!(out.contains("every claim was checked and held"), "{out}"),
            _ => {
                let wanted = match arguments.get(1).map(String::as_str) {
                    Some("grid") => "four aggregators and the sink included",
                    Some("levelled") => "a collective key",
                    Some("pipeline") => "floor of a message",
                    _ => "every message's way",
                };
                assert!(out.contains(wanted), "{out}");
            }
        }
    }
}

/// README's table of rosters is what the protocol computes.
#[test]
fn rosters_are_what_they_say() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut rows = 0;
    for line in readme.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some((n, t)) = cells
            .get(1)
            .and_then(|cell| cell.split(' ').next()?.strip_suffix(',').zip(cell.split(' ').nth(1)))
        else {
            continue;
        };
        let (Ok(n), Ok(t)) = (n.parse::<usize>(), t.parse::<usize>()) else { continue };
        let numbers: Vec<usize> = cells[2..6].iter().map(|cell| cell.parse().unwrap()).collect();
        let quorum = protocol::roster::smallest_quorum(n, t);
        assert_eq!(numbers, [quorum, n - quorum, protocol::decode::correctable(n, t), n - t], "{line}");
        rows += 1;
    }
    assert_eq!(rows, 5);
}
