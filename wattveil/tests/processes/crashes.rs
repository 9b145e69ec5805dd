//! Whoever is killed, whenever: the bills are exact.

use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::town::Town;

/// The broker keeps nothing over its death: every message that it held is sent again by whoever is answerable for it.
#[test]
fn the_broker_is_killed() {
    let mut town = Town::start();
    town.replayed(20);
    town.broker.kill().unwrap();
    town.restart_broker().unwrap();
    town.replayed(50);
    town.broker.kill().unwrap();
    thread::sleep(Duration::from_millis(700));
    assert!(town.is_replaying());
    town.restart_broker().unwrap();
    town.delivered();
    let mut sink = town.ask();
    town.observer.wait("a cut", |seen| seen.cuts > 0);
    town.broker.kill().unwrap();
    town.restart_broker().unwrap();
    town.is_exact(&mut sink);
}

/// An aggregator takes up from its store, and gets from the meters what it has missed.
#[test]
fn an_aggregator_is_killed() {
    let mut town = Town::start();
    town.replayed(25);
    town.aggregators[2].kill().unwrap();
    town.replayed(50);
    town.aggregators[2].restart().unwrap();
    town.replayed(60);
    town.aggregators[0].kill().unwrap();
    town.aggregators[0].restart().unwrap();
    assert!(town.is_replaying());
    town.delivered();
    let mut sink = town.ask();
    town.observer.wait("a cut", |seen| seen.cuts > 0);
    town.aggregators[1].kill().unwrap();
    town.aggregators[1].restart().unwrap();
    town.is_exact(&mut sink);
}

/// Three of four are enough. Who was away when the bills went out catches up all the same, so that somebody else may
/// fail next: what the broker had kept for it is lost, but the meters have it still.
#[test]
fn an_aggregator_is_killed_for_good_or_nearly() {
    let mut town = Town::start();
    town.replayed(30);
    town.aggregators[3].kill().unwrap();
    town.stored_by(&[0, 1, 2]);
    assert!(town.is_replaying());
    let mut sink = town.ask();
    town.is_exact(&mut sink);
    town.broker.kill().unwrap();
    town.restart_broker().unwrap();
    town.aggregators[3].restart().unwrap();
    town.delivered();
    town.stored_by(&[3]);
}

/// A meter measures and sends nothing twice and leaves nothing out, however often it dies.
#[test]
fn a_meter_agent_is_killed() {
    let mut town = Town::start();
    town.replayed(20);
    town.meters[3].kill().unwrap();
    town.replayed(40);
    town.meters[3].restart().unwrap();
    for again in 0..4 {
        town.replayed(50 + again * 5);
        town.meters[7].kill().unwrap();
        town.meters[7].restart().unwrap();
    }
    assert!(town.is_replaying());
    town.delivered();
    let mut sink = town.ask();
    town.is_exact(&mut sink);
}

/// The sink asks each of its questions once in its life, and takes up every stage of a release from its store.
#[test]
fn the_sink_is_killed() {
    let mut town = Town::start();
    town.delivered();
    let mut sink = town.ask();
    town.observer.wait("a query", |seen| seen.queries > 0);
    sink.kill().unwrap();
    sink.restart().unwrap();
    town.observer.wait("a cut", |seen| seen.cuts > 0);
    sink.kill().unwrap();
    sink.restart().unwrap();
    town.observer.wait("a result", |seen| seen.results > 0);
    sink.kill().unwrap();
    sink.restart().unwrap();
    town.is_exact(&mut sink);
}

/// Any of them at any time, several at once. `WATTVEIL_SEED` gives another schedule.
#[test]
fn anybody_is_killed_at_any_time() {
    let seed = std::env::var("WATTVEIL_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut dice = StdRng::seed_from_u64(seed);
    let mut town = Town::start();
    let mut restarts: Vec<String> = Vec::new();
    for strike in 1..=8 {
        town.replayed(10 * strike);
        for _ in 0..dice.random_range(1..=3) {
            match dice.random_range(0..4) {
                0 => {
                    town.broker.kill().unwrap();
                    town.restart_broker().unwrap();
                    restarts.push("broker".into());
                }
                1 => {
                    let index = dice.random_range(0..4);
                    town.aggregators[index].kill().unwrap();
                    thread::sleep(Duration::from_millis(dice.random_range(0..300)));
                    town.aggregators[index].restart().unwrap();
                    restarts.push(format!("aggregator {index}"));
                }
                _ => {
                    let index = dice.random_range(0..13);
                    if !town.meters[index].has_ended() {
                        town.meters[index].kill().unwrap();
                        thread::sleep(Duration::from_millis(dice.random_range(0..300)));
                        town.meters[index].restart().unwrap();
                        restarts.push(format!("meter {index}"));
                    }
                }
            }
        }
    }
    println!("seed {seed} in {}: killed {}", town.path().display(), restarts.join(", "));
    town.delivered();
    let mut sink = town.ask();
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(dice.random_range(0..400)));
        match dice.random_range(0..3) {
            0 if !sink.has_ended() => {
                sink.kill().unwrap();
                sink.restart().unwrap();
            }
            1 => {
                town.broker.kill().unwrap();
                town.restart_broker().unwrap();
            }
            _ => {
                let index = dice.random_range(0..4);
                town.aggregators[index].kill().unwrap();
                town.aggregators[index].restart().unwrap();
            }
        }
    }
    town.is_exact(&mut sink);
}

/// On the grid path too: whoever is killed, and whenever, every day is opened, exact by shares and by ciphertexts.
#[test]
fn everybody_is_killed_on_the_grid_path() {
    let mut town = Town::start_with_grid();
    town.observer.wait("the first chunks of key deals", |seen| seen.chunks > 40);
    town.aggregators[2].kill().unwrap();
    town.meters[4].kill().unwrap();
    town.aggregators[2].restart().unwrap();
    town.meters[4].restart().unwrap();
    town.replayed(30);
    town.broker.kill().unwrap();
    town.restart_broker().unwrap();
    town.meters[9].kill().unwrap();
    town.meters[9].restart().unwrap();
    assert!(town.is_replaying());
    town.delivered();
    let mut sink = town.ask();
    town.observer.wait("a cut", |seen| seen.cuts > 0);
    sink.kill().unwrap();
    town.aggregators[0].kill().unwrap();
    sink.restart().unwrap();
    town.observer.wait("an outcome", |seen| seen.outcomes > 0);
    town.aggregators[1].kill().unwrap();
    town.aggregators[0].restart().unwrap();
    town.aggregators[1].restart().unwrap();
    town.is_exact(&mut sink);
}
