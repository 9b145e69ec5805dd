//! SIGTERM ends every role in good order, and it takes up again where it stopped.

use std::net::TcpListener;

use crate::town::Town;

#[test]
fn every_role_stops_when_told_and_takes_up_again() {
    let mut town = Town::start();
    town.replayed(20);
    town.meters[5].stop().unwrap();
    town.aggregators[1].stop().unwrap();
    town.replayed(40);
    town.meters[5].restart().unwrap();
    town.aggregators[1].restart().unwrap();
    town.broker.stop().unwrap();
    town.restart_broker().unwrap();
    assert!(town.is_replaying());
    town.delivered();
    let mut sink = town.ask();
    town.observer.wait("a query", |seen| seen.queries > 0);
    sink.stop().unwrap();
    sink.restart().unwrap();
    town.is_exact(&mut sink);

    for worker in &mut town.aggregators {
        worker.stop().unwrap();
    }
    town.broker.stop().unwrap();
    let address = broker::Config::read(Some(&town.files.broker), &[]).unwrap().listen;
    TcpListener::bind(address).expect("the port is free");
    for process in town.aggregators.iter().chain([&town.broker]) {
        let log = process.log();
        let own = log.lines().filter(|line| !line.contains("rumqttd::"));
        assert_eq!(own.filter(|line| line.contains("ERROR")).count(), 0, "{log}");
    }
}
