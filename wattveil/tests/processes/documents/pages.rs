//! The pages on meters, configuration, the grid path and contributing.

use std::fs;

use super::page::{Page, root};
use crate::shell::Shell;
use crate::town::{Town, free_address};

/// What was released is in all three files.
pub(super) fn statistics(page: &mut Page) {
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

/// One test, one seed, more seeds.
pub(super) fn contributing(page: &mut Page) {
    let out = Shell::in_repository().walk(&page.rest());
    assert!(out.matches("test result: ok. 1 passed").count() >= 2, "{out}");
}

/// Whoever has the observer's directory sees what an aggregator says; the first line ends when it is stopped.
pub(super) fn watching(page: &mut Page) {
    let shell = Shell::with_town("");
    let lines: Vec<String> = page.rest().into_iter().map(|shown| shown.text).collect();
    let [whole, short] = &lines[..] else { panic!("{lines:?}") };
    let out = shell.run(&format!(
        "wattveil broker --config town/broker/broker.toml 2> broker.log &
        again 'grep -q ready broker.log'
        again '{short} > short'
        {whole} > whole &
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
    assert!(out.contains("stored: the new device's registers continue the old one's"), "{out}");
    assert!(out.contains("--jump-is-real"), "{out}");
}
