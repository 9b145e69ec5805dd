//! A disk that is full: whoever has no room stops and says so, and goes on when there is some.

use std::fs;
use std::path::Path;

use lab::town::Process;

use crate::process::wait_until;
use crate::town::Town;

/// Kills it, lets it start again with room for half of its store, waits until it gives up, and gives it room again.
fn fill_the_disk(process: &mut Process, store: &Path) {
    process.kill().unwrap();
    process.restart_with_room(fs::metadata(store).unwrap().len() / 2).unwrap();
    wait_until("the end of a process without room", || process.has_ended());
    let status = process.forget().expect("it was started");
    let said = process.log();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("cannot read or write the store"), "{said}");
    assert!(said.contains("File too large"), "{said}");
    process.restart().unwrap();
}

/// An aggregator confirms nothing that it could not keep, so that it gets it again; a meter goes on from what it has.
#[test]
fn a_full_disk_costs_nothing() {
    let mut town = Town::start();
    town.replayed(15);
    let worker = town.files.aggregators[2].with_file_name("worker.redb");
    fill_the_disk(&mut town.aggregators[2], &worker);
    let agent = town.files.meters[4].with_file_name("agent.redb");
    fill_the_disk(&mut town.meters[4], &agent);
    town.delivered();
    let mut sink = town.ask();
    town.is_exact(&mut sink);
}
