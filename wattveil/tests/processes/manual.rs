//! Completions and manual pages are made of the commands that there are.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::shell::Shell;

/// Bash takes its completions, and they know a flag of a subcommand's subcommand.
#[test]
fn bash_takes_its_completions() {
    let shell = Shell::new();
    let script = shell.says("completions bash");
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
    assert!(script.contains("--jump-is-real"));
    for other in ["zsh", "fish", "elvish", "powershell"] {
        assert!(!shell.says(&format!("completions {other}")).is_empty());
    }
}

/// Every command has its page.
#[test]
fn every_command_has_its_page() {
    let shell = Shell::new();
    shell.says("man --to man");
    for (page, words) in [
        ("wattveil.1", "meter\\-agent"),
        ("wattveil-meter-agent.1", "dry\\-run"),
        ("wattveil-meter-agent-rebase.1", "jump\\-is\\-real"),
        ("wattveil-aggregator-worker.1", "KEY=VALUE"),
        ("wattveil-utility-sink.1", "until\\-done"),
        ("wattveil-broker.1", "listen"),
    ] {
        let text = shell.text(&format!("man/{page}"));
        assert!(text.contains(words), "{page}: {text}");
    }
}
