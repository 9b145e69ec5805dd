//! The next roster is taken while homes send and whoever takes it is killed: the bills are exact.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::process::wattveil;
use crate::town::Town;

/// Types a step of `wattveil rotate`; gives the line that it prints.
#[track_caller]
fn rotate(arguments: &[&str]) -> String {
    let output = wattveil(&[&["rotate"], arguments].concat()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes roster 2, with new box keys of an aggregator and of the sink.
fn next_roster(root: &Path) -> String {
    let text = |path: &str| root.join(path).to_str().unwrap().to_owned();
    let keys = ["agg-2", "sink"].map(|party| rotate(&["key", &text(party)]));
    rotate(&["draft", &text(""), "--key", keys[0].trim(), "--key", keys[1].trim()]);
    let draft = text("registrar/roster-2.draft");
    let accepted = (1..=4).map(|index| rotate(&["accept", &text(&format!("agg-{index}")), &draft]));
    fs::write(root.join("acceptances"), accepted.collect::<String>()).unwrap();
    rotate(&["finish", &text(""), "--acceptances", &text("acceptances")]);
    text("registrar/roster-2.wv")
}

/// Records of both rosters are billed together, and a question that was asked under the first one ends under the second.
#[test]
fn everybody_is_killed_while_the_roster_rotates() {
    let mut town = Town::start();
    town.replayed(20);
    let root = town.path().to_owned();
    let next = next_roster(&root);
    for index in [2, 0] {
        town.aggregators[index].kill().unwrap();
        rotate(&["adopt", root.join(format!("agg-{}", index + 1)).to_str().unwrap(), &next]);
        // killed at any moment of its first start under it
        for pause in [5, 40, 200] {
            town.aggregators[index].restart().unwrap();
            thread::sleep(Duration::from_millis(pause));
            town.aggregators[index].kill().unwrap();
        }
        town.aggregators[index].restart().unwrap();
    }
    town.delivered();
    let mut sink = town.ask();
    town.observer.wait("a cut", |seen| seen.cuts > 0);
    sink.kill().unwrap();
    rotate(&["adopt", root.join("sink").to_str().unwrap(), &next]);
    for index in [3, 1] {
        town.aggregators[index].kill().unwrap();
        rotate(&["adopt", root.join(format!("agg-{}", index + 1)).to_str().unwrap(), &next]);
        town.aggregators[index].restart().unwrap();
    }
    sink.restart().unwrap();
    town.is_exact(&mut sink);
}
