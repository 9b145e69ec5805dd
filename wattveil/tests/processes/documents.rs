//! Each command that a document shows is run by a test here.
//!
//! A command is a line that begins with `$ ` in a `console` block of any `*.md` of the repository; a command anywhere else (in
//! another block, or a whole one with its arguments between backticks) fails a test, so that there is one place to look.
//! What is left in prose are names of commands, which have to exist. Each heading under which there are commands has one
//! runner in the table below, which takes them one by one; one that is left over, and a heading without a runner, fail.
//!
//! Lines run as they are written, by bash. What they run is what they name, but for these:
//!
//! | shown | here |
//! |---|---|
//! | `cargo run` | the program as this build has it; a role's is `wattveil ROLE`, the same code |
//! | `cargo test` of a target | the program that was built last for it, with the line's filter and variables |
//! | `cargo test` of a crate or of all, `cargo deb`, `apt-get` | not run again: `.ci/run` has to have it |
//! | `cargo bench`, `cargo fuzz`, `cargo install` | not run, they take minutes: the benchmark or fuzz target has to exist |
//! | `scp`, `python3` | a stand-in: what it copies has to be there, what it runs has to be Python |
//! | `mosquitto`, `nats-server` | themselves, in tests that are ignored unless asked for, as `.ci/run` does |
//! | `mosquitto_sub` | itself, in such a test, at this deployment's broker, until it has subscribed |
//! | 127.0.0.1:8883 and broker.example.org:8883 | a port that is free |

use std::collections::BTreeSet;

use self::page::{Document, Page, Shown, documents};
use crate::shell::Shell;

mod any_broker;
mod crates;
pub(crate) mod page;
mod pages;
mod readme;
mod walks;

/// One test a line, and the table of what each of them runs.
macro_rules! runners {
    ($($(#[$attribute:meta])? $module:ident::$name:ident runs $($document:literal $heading:literal),+;)+) => {
        const RUNNERS: &[(&str, &str, &str)] = &[$($((stringify!($name), $document, $heading),)+)+];
        $(
            #[test]
            $(#[$attribute])?
            fn $name() {
                runs(Page::of(&[$(($document, $heading)),+]), $module::$name);
            }
        )+
    };
}

runners! {
    readme::demonstrations runs
        "README.md" "Two commands", "docs/demonstration.md" "*", "docs/benchmarks.md" "*";
    readme::a_small_town runs "README.md" "A small town of your own";
    pages::statistics runs "docs/grid.md" "*";
    pages::watching runs "docs/configuration.md" "Watching";
    pages::a_shell_and_a_manual runs "docs/configuration.md" "Shell and manual";
    pages::a_real_meter runs "docs/meters.md" "*";
    pages::contributing runs "CONTRIBUTING.md" "*";
    walks::several_machines runs "docs/several-machines.md" "*";
    walks::mode_levelled runs "docs/levelled.md" "*";
    walks::packages runs "docs/operating.md" "Services";
    walks::operating runs "docs/operating.md" "Rotation", "docs/operating.md" "Revocation", "docs/operating.md" "What ends";
    crates::a_broker runs "broker/README.md" "The broker";
    crates::the_brokers_tests runs "broker/README.md" "Tests and measurements";
    crates::lattices runs "ckks/README.md" "*";
    any_broker::programs runs "docs/any-broker.md" "Any broker";
    any_broker::a_deployment runs "docs/any-broker.md" "The deployment";
    #[ignore = "it wants Debian's mosquitto"]
    any_broker::mosquitto_carries_a_town runs "docs/any-broker.md" "mosquitto";
    #[ignore = "it wants Debian's nats-server"]
    any_broker::a_cluster_of_nats_server_carries_a_town runs "docs/any-broker.md" "A cluster of nats-server";
    #[ignore = "it wants Debian's mosquitto"]
    any_broker::questions_to_other_brokers runs "broker/README.md" "Beside mosquitto";
    #[ignore = "it wants Debian's mosquitto-clients"]
    any_broker::everybody_can_watch runs
        "docs/configuration.md" "Watching with any client", "mqtt-topics.md" "Recipes", "docs/any-broker.md" "Looking at it";
}

/// Has a runner take all commands of its page.
fn runs(mut page: Page, runner: fn(&mut Page)) {
    runner(&mut page);
    if let Some(left) = page.take() {
        panic!("nothing ran {left}");
    }
}

/// No document shows a command that nobody runs, and nobody runs what no document shows.
#[test]
fn every_command_has_its_runner() {
    let mut idle: BTreeSet<(&str, &str)> =
        RUNNERS.iter().map(|(_, document, heading)| (*document, *heading)).collect();
    let mut seen = 0;
    for shown in documents().iter().flat_map(|name| Document::read(name).commands) {
        let of = |(_, document, heading): &&(&str, &str, &str)| {
            shown.document == *document && [&shown.heading, "*"].contains(heading)
        };
        let runners: Vec<_> = RUNNERS.iter().filter(of).collect();
        let [(_, document, heading)] = runners[..] else {
            panic!("one test has to run each command, and of {runners:?} does {shown}");
        };
        idle.remove(&(document, heading));
        seen += 1;
    }
    assert!(idle.is_empty(), "no command is under {idle:?}");
    assert!(seen >= 75, "the documents show {seen} commands");
}

/// Programs that documents run. What begins with another one is known as a command by its flags.
const PROGRAMS: [&str; 11] = [
    "wattveil",
    "meter-agent",
    "aggregator-worker",
    "utility-sink",
    "broker",
    "cargo",
    "apt-get",
    "scp",
    "mosquitto_sub",
    "mosquitto_passwd",
    "nats-server",
];

/// Whether this is a command with arguments: a program that documents run, or something with a flag behind it.
fn is_command(text: &str) -> bool {
    let mut words = text.split_whitespace().skip_while(|word| {
        let name = word.split('=').next().expect("there is a first piece");
        name.len() < word.len() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    });
    let Some(program) = words.next() else { return false };
    let is_program = program.starts_with(|first: char| first.is_ascii_lowercase() || "./$".contains(first))
        && program.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./$".contains(&byte));
    let is_flag = |word: &str| {
        let name = word.trim_start_matches('-');
        name.len() < word.len() && name.starts_with(|first: char| first.is_ascii_alphabetic())
    };
    let arguments: Vec<&str> = words.collect();
    is_program
        && (arguments.iter().any(|word| is_flag(word))
            || (PROGRAMS.contains(&program) && !arguments.is_empty()))
}

/// Commands stand in `console` blocks; in prose there are names only, and only of what there is.
#[test]
fn commands_are_nowhere_else() {
    let shell = Shell::new();
    shell.says("man --to man");
    let is_name = |shown: &Shown| {
        let words: Vec<&str> = shown.text.split_whitespace().collect();
        let page =
            if words[0] == "wattveil" { words.join("-") } else { format!("wattveil-{}", words.join("-")) };
        shell.path(&format!("man/{page}.1")).exists()
    };
    let (mut names, mut wrong) = (0, Vec::new());
    for name in documents() {
        let Document { blocks, spans, .. } = Document::read(&name);
        wrong.extend(blocks.iter().filter(|shown| is_command(&shown.text)).map(ToString::to_string));
        for span in spans.iter().filter(|shown| is_command(&shown.text)) {
            if is_name(span) {
                names += 1;
            } else {
                wrong.push(span.to_string());
            }
        }
    }
    assert!(wrong.is_empty(), "these belong in console blocks, or are not there:\n{}", wrong.join("\n"));
    assert!(names >= 10, "{names} names");
}

/// What is a command and what is none.
#[test]
fn commands_are_told_from_names() {
    for text in
        ["cargo deb", "SIM_SEED=7 cargo test", "kill -TERM 7", "../users.sh --nats ..", "wattveil status"]
    {
        assert!(is_command(text), "{text}");
    }
    for text in ["wattveil", "A=1", "--keep", "core %", "log = \"json\"", "a -> b", "t - 1", "N = 2048", ""] {
        assert!(!is_command(text), "{text}");
    }
}
