//! The commands of README, of the demonstration and of the benchmarks, and the table of rosters in SECURITY.

use std::fs;

use protocol::decode::correctable;

use super::page::{Page, Shown, root};
use crate::shell::Shell;
use crate::town::free_address;

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

/// A town of one's own has a bill for each of its homes.
pub(super) fn a_small_town(page: &mut Page) {
    let shell = Shell::in_repository();
    shell.walk(&[page.next(), page.next()]);
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
    // a person types the next line once the directory's roles run
    let mut rest = page.rest();
    let run = rest[0].text.strip_suffix(" &").expect("it runs in the background").to_owned();
    rest[0].text = format!("{run} > run.log & again 'test -S town/run.sock'");
    let out = shell.walk(&rest);
    let said = shell.text("run.log");
    assert!(
        said.contains("21 roles run") && said.contains("wattveil bill --config town/sink/sink.toml"),
        "{said}"
    );
    assert_eq!(shell.text("bills.csv").lines().count(), 1 + 15, "{out}");
    assert!(out.contains("aggregators"), "{out}");
}

/// The table of rosters is what the protocol computes.
#[test]
fn rosters_are_what_they_say() {
    let page = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let mut rows = 0;
    for line in page.lines() {
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
        // a wrong value passes if liars and t - 1 honest answers are as many as have to agree
        let noticed = (quorum..=n).map(|answers| answers - correctable(answers, t) - t).min().unwrap();
        assert_eq!(numbers, [quorum, n - quorum, correctable(n, t), noticed], "{line}");
        rows += 1;
    }
    assert_eq!(rows, 5);
}
