//! Completions and manual pages are made of the commands that there are.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

fn wattveil(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_wattveil")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Bash takes its completions, and they know a flag of a subcommand's subcommand.
#[test]
fn bash_takes_its_completions() {
    let script = wattveil(&["completions", "bash"]);
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(&script).unwrap();
    assert!(bash.wait().unwrap().success());
    assert!(String::from_utf8(script).unwrap().contains("--jump-is-real"));
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(!wattveil(&["completions", shell]).is_empty());
    }
}

/// Every command has its page.
#[test]
fn every_command_has_its_page() {
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("man");
    wattveil(&["man", "--to", to.to_str().unwrap()]);
    for (page, words) in [
        ("wattveil.1", "meter\\-agent"),
        ("wattveil-meter-agent.1", "dry\\-run"),
        ("wattveil-meter-agent-rebase.1", "jump\\-is\\-real"),
        ("wattveil-aggregator-worker.1", "KEY=VALUE"),
        ("wattveil-utility-sink.1", "until\\-done"),
        ("wattveil-broker.1", "listen"),
    ] {
        let text = fs::read_to_string(to.join(page)).unwrap();
        assert!(text.contains(words), "{page}: {text}");
    }
}
