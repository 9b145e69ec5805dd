//! README's commands, and its table of rosters.

use std::fs;

use super::page::{Page, Shown, root};
use crate::shell::Shell;
use crate::town::{Town, free_address};

/// Each command ends well; the demonstrations say that every claim held.
pub(super) fn demonstrations(page: &mut Page) {
    let shell = Shell::in_repository();
    let (demonstrations, others): (Vec<Shown>, Vec<Shown>) =
        page.rest().into_iter().partition(|shown| shown.text.contains(" demo"));
    // demonstrations wait for most of their time
    std::thread::scope(|scope| {
        for lane in [demonstrations, others] {
            let shell = &shell;
            scope.spawn(move || lane.iter().for_each(|shown| demonstrates(shell, shown)));
        }
    });
    assert!(shell.path("kept/agg-1/worker.redb").exists() && shell.path("kept/demo.log").exists());
}

fn demonstrates(shell: &Shell, shown: &Shown) {
    let out = shell.walk(std::slice::from_ref(shown));
    let Some((_, arguments)) = shown.text.split_once(" -- ") else { return };
    let wanted = match arguments.split(' ').take(2).collect::<Vec<_>>()[..] {
        ["demo", ..] if arguments.contains("--json") => "\"held\": true",
        ["demo", ..] => "every claim was checked and held",
        ["bench", "grid"] => "four aggregators and the sink included",
        ["bench", "levelled"] => "a collective key",
        ["bench", "pipeline"] => "floor of a message",
        ["bench", "memory"] => "a meter agent that waits",
        _ => "every message's way",
    };
    assert!(out.contains(wanted), "{shown}\n{out}");
    // what so few can't show is left out, and nothing else
    if arguments.starts_with("demo --meters 20 ") {
        assert!(out.contains("20 of 20 bills equal") && !out.contains("not tried"), "{out}");
    } else if arguments.starts_with("demo --meters 3 ") {
        assert!(out.contains("3 of 3 bills equal") && out.contains("not tried"), "{out}");
    }
}

/// What was released is in all three files.
pub(super) fn analytics(page: &mut Page) {
    let mut town = Town::start_with_grid();
    town.delivered();
    let mut sink = town.ask();
    town.is_exact(&mut sink);
    let shell = Shell::new();
    let from = town.files.sink.parent().unwrap();
    fs::create_dir(shell.path("sink")).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), shell.path("sink").join(file.file_name())).unwrap();
    }
    let out = shell.walk(&page.rest());
    assert!(out.contains("group-1"), "{out}");
    assert!(shell.text("days.csv").lines().count() > 13 * 24);
    let days: serde_json::Value = serde_json::from_str(&shell.text("days.json")).unwrap();
    assert!(days.as_array().is_some_and(|days| days.len() == 13), "{days}");
    assert!(shell.text("days.svg").starts_with("<svg"));
}

/// More seeds of a history.
pub(super) fn more_seeds(page: &mut Page) {
    let out = Shell::in_repository().walk(&page.rest());
    assert!(out.contains("test result: ok. 1 passed"), "{out}");
}

/// A meter has its receipts from roles that were started one by one.
pub(super) fn roles(page: &mut Page) {
    let shell = Shell::in_repository();
    shell.walk(&[page.next()]);
    // all then meet at 127.0.0.1:8883, where somebody else may be
    let port = format!(":{}", free_address().port());
    let mut directories = vec![shell.path("town")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                fs::write(&path, fs::read_to_string(&path).unwrap().replace(":8883", &port)).unwrap();
            }
        }
    }
    shell.walk(&page.rest());
    assert!(shell.path("town/meters/home-1/agent.redb").exists());
}

/// Whoever has the observer's directory sees what an aggregator says; the first line ends when it is stopped.
pub(super) fn watching(page: &mut Page) {
    let shell = Shell::with_town("");
    let lines: Vec<String> = page.rest().into_iter().map(|shown| shown.text).collect();
    let [whole, short] = &lines[..] else { panic!("{lines:?}") };
    let out = shell.run(&format!(
        "wattveil broker --config town/broker/broker.toml 2> broker.log &
        again 'grep -q ready broker.log'
        {whole} > whole &
        again '{short} > short && test -f whole'
        wattveil aggregator-worker --config town/agg-1/worker.toml 2> agg-1.log &
        again 'grep -q \"status/agg/agg-1  up, version\" whole'
        kill -TERM %2; wait %2 || exit 1
        {short}"
    ));
    assert!(out.contains("wv/1/town/status/agg/agg-1") && out.contains("up, version"), "{out}");
}

/// Bash takes its completions, and every command has a page.
pub(super) fn a_shell_and_a_manual(page: &mut Page) {
    let shell = Shell::new();
    shell.walk(&page.rest());
    shell.run("bash -n wattveil.bash");
    assert!(shell.path("man/wattveil-meter-agent-rebase.1").exists());
}

/// A dry run shows what a telegram gives; after a swap, the register goes on as it is told.
pub(super) fn a_real_meter(page: &mut Page) {
    let shell = Shell::new();
    shell.says(&format!("init town --meters home-1 --broker {}", free_address()));
    shell.run("mv town/meters/home-1/* .");
    let config = shell.text("agent.toml");
    let (config, _) = config.split_once("\n[source").expect("it has a source");
    let telegram = root().join("data/telegrams/be_fluvius.txt");
    let source = format!("[source.p1]\ninput = \"file:{}\"", telegram.display());
    fs::write(shell.path("agent.toml"), format!("{config}\n{source}\n")).unwrap();
    let out = shell.walk(&[page.next()]);
    assert!(out.contains("import 2.957 kWh") && out.contains("nothing was kept"), "{out}");
    // the agent runs until it has read the telegram; there is no broker that would take it
    shell
        .run("meter-agent --config agent.toml 2> agent.log & again 'grep -q \"source has ended\" agent.log'");
    let out = shell.walk(&page.rest());
    assert!(out.contains("taken down: the new device's registers go on from the old one's"), "{out}");
    assert!(out.contains("--jump-is-real"), "{out}");
}

/// README's table of rosters is what the protocol computes.
#[test]
fn rosters_are_what_they_say() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
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
