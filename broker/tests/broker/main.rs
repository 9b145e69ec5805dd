//! The broker as its clients see it, the well-behaved, the careless and the hostile.

// So that lints know the helpers as tests too.
#![cfg(test)]

mod blackbox;
mod client;
mod crowd;
mod hostile;
mod mosquitto;
mod permissions;
mod program;
mod reload;
mod retained;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use broker::{Broker, BrokerError, Config, FilterQueue, QueueSize};
use client::{Client, PATIENCE, connect, connect_with, packet, puback, publish, subscribe, text};
use tokio::time::{Instant, timeout};

async fn start() -> Broker {
    start_with(Config::default()).await
}

async fn start_with(config: Config) -> Broker {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Broker::start(Config { listen, ..config }).await.expect("the broker starts")
}

#[tokio::test]
async fn after_a_stop_the_port_is_free_and_everybody_is_cut_off() {
    let broker = start().await;
    let address = broker.address();
    let mut client = Client::subscribed(address, "client", "#", 1).await;
    let taken = Broker::start(Config { listen: address, ..Config::default() }).await.unwrap_err();
    assert!(matches!(taken, BrokerError::InUse { .. }), "{taken:?}");
    assert!(taken.to_string().starts_with(&format!("{address} is in use; stop")), "{taken}");
    timeout(PATIENCE, broker.stop()).await.expect("in time");
    assert!(client.is_cut_off().await);
    let again = Broker::start(Config { listen: address, ..Config::default() }).await.unwrap();
    assert!(Client::connected(address, "client").await.is_served().await);
    again.stop().await;
}

#[tokio::test]
async fn messages_go_to_whoever_subscribed() {
    let broker = start().await;
    let mut one = Client::subscribed(broker.address(), "one", "a/+", 1).await;
    let mut two = Client::subscribed(broker.address(), "two", "#", 0).await;
    let mut sender = Client::connected(broker.address(), "sender").await;
    sender.send(&publish(7, "a/b", b"hello")).await;
    assert_eq!(sender.receive().await, Some((0x40, vec![0, 7])));
    let at_qos_1 = [&text("a/b")[..], &[0, 1], b"hello"].concat();
    assert_eq!(one.receive().await, Some((0x32, at_qos_1)));
    let at_qos_0 = [&text("a/b")[..], b"hello"].concat();
    assert_eq!(two.receive().await, Some((0x30, at_qos_0)));
    // a retained one also to who comes later
    sender.send(&packet(0x33, &[&text("a/c")[..], &[0, 8], b"kept"].concat())).await;
    let mut late = Client::subscribed(broker.address(), "late", "a/c", 1).await;
    let kept = [&text("a/c")[..], &[0, 101], b"kept"].concat();
    assert_eq!(late.receive().await, Some((0x33, kept)));
    broker.stop().await;
}

/// rumqttd itself cuts off who acknowledges out of order.
#[tokio::test]
async fn acknowledgements_may_come_in_any_order() {
    let broker = start().await;
    let mut reader = Client::subscribed(broker.address(), "reader", "#", 1).await;
    let mut writer = Client::connected(broker.address(), "writer").await;
    let mut identifiers = Vec::new();
    for round in 0..4_u16 {
        for number in 1..=100 {
            writer.send(&publish(number, "t", &round.to_be_bytes())).await;
        }
        for _ in 0..100 {
            let (first, body) = reader.receive().await.unwrap();
            assert_eq!((first, &body[5..]), (0x32, round.to_be_bytes().as_slice()));
            identifiers.push([body[3], body[4]]);
        }
        for identifier in identifiers.drain(..).rev() {
            reader.send(&puback(identifier)).await;
        }
        // none that was never given
        reader.send(&puback([9, 9])).await;
    }
    assert!(reader.is_served().await);
    broker.stop().await;
}

#[tokio::test]
async fn a_kept_session_gets_what_came_while_it_was_away() {
    let broker = start().await;
    let keep = connect_with(4, 0, 0, &[text("keeper")]);
    let mut keeper = Client::open(broker.address()).await;
    keeper.send(&keep).await;
    assert_eq!(keeper.receive().await, Some((0x20, vec![0, 0])));
    keeper.send(&subscribe(1, "#", 1)).await;
    keeper.receive().await.unwrap();
    let mut writer = Client::connected(broker.address(), "writer").await;
    writer.send(&publish(1, "t", b"unacknowledged")).await;
    keeper.receive().await.unwrap();
    keeper.reset();
    writer.send(&publish(2, "t", b"missed")).await;
    writer.receive().await.unwrap();
    writer.receive().await.unwrap();

    let mut keeper = Client::open(broker.address()).await;
    keeper.send(&keep).await;
    assert_eq!(keeper.receive().await, Some((0x20, vec![1, 0])), "the session is there");
    for expected in ["unacknowledged", "missed"] {
        let (_, body) = keeper.receive().await.unwrap();
        assert_eq!(&body[5..], expected.as_bytes());
        keeper.send(&puback([body[3], body[4]])).await;
    }
    broker.stop().await;
}

/// The stated capacity: `segment_bytes` × (`segments` − 1) are there after any outage.
#[tokio::test]
async fn an_outage_within_the_log_costs_nothing() {
    let size = |segment_bytes| QueueSize { segment_bytes, segments: 5 };
    let broker = start_with(Config {
        queue: size(1024),
        filter_queues: vec![FilterQueue { filter: "big/#".into(), size: size(10_000) }],
        ..Config::default()
    })
    .await;
    let keep = connect_with(4, 0, 0, &[text("keeper")]);
    let mut keeper = Client::open(broker.address()).await;
    keeper.send(&keep).await;
    keeper.receive().await.unwrap();
    keeper.send(&subscribe(1, "big/+/a", 1)).await;
    keeper.receive().await.unwrap();
    drop(keeper);
    let mut writer = Client::connected(broker.address(), "writer").await;
    // 3 segments are older and lost, 4 are stated to be kept; the router counts 4 bytes besides topic and payload, so that 100 messages fill one
    let (older, kept) = (300_u16, 400_u16);
    for number in 0..older + kept {
        writer.send(&publish(1, "big/t/a", &[&number.to_be_bytes()[..], &[0; 87]].concat())).await;
        writer.receive().await.unwrap();
    }
    let mut keeper = Client::open(broker.address()).await;
    keeper.send(&keep).await;
    keeper.receive().await.unwrap();
    let mut numbers = Vec::new();
    while numbers.last() != Some(&(older + kept - 1)) {
        let (_, body) = keeper.receive().await.unwrap();
        numbers.push(u16::from_be_bytes([body[11], body[12]]));
        keeper.send(&puback([body[9], body[10]])).await;
    }
    assert!(
        numbers.is_sorted() && numbers.ends_with(&(older..older + kept).collect::<Vec<_>>()),
        "{numbers:?}"
    );
    // and what was lost beyond it is counted
    assert_eq!(broker.counters().lost, u64::from(older + kept) - numbers.len() as u64);
    broker.stop().await;
}

#[tokio::test]
async fn one_id_has_one_client() {
    let broker = start().await;
    let mut first = Client::subscribed(broker.address(), "twin", "#", 1).await;
    let mut second = Client::connected(broker.address(), "twin").await;
    assert!(first.is_cut_off().await);
    assert!(second.is_served().await);
    broker.stop().await;
}

/// What poisons a lock of rumqttd's own listener for ever.
#[tokio::test]
async fn an_id_may_connect_and_reset_again_and_again() {
    let broker = start().await;
    for _ in 0..300 {
        let mut client = Client::open(broker.address()).await;
        client.send(&connect("flapping")).await;
        client.reset();
    }
    let mut crowd = Vec::new();
    for _ in 0..50 {
        let mut client = Client::open(broker.address()).await;
        client.send(&connect("flapping")).await;
        crowd.push(client);
    }
    // whoever of the crowd is late takes the seat over, until none is left
    while !Client::connected(broker.address(), "flapping").await.is_served().await {}
    broker.stop().await;
}

#[tokio::test]
async fn one_too_many_is_told_so_and_may_come_back() {
    let broker = start_with(Config { max_connections: 3, ..Config::default() }).await;
    let mut seated = Vec::new();
    for number in 0..3 {
        seated.push(Client::connected(broker.address(), &format!("client-{number}")).await);
    }
    for _ in 0..20 {
        let mut client = Client::open(broker.address()).await;
        client.send(&connect("late")).await;
        assert_eq!(client.receive().await, Some((0x20, vec![0, 3])));
        assert!(client.is_cut_off().await);
    }
    let mut left = seated.pop().unwrap();
    left.send(&[0xe0, 0]).await;
    assert!(left.is_cut_off().await);
    assert!(Client::connected(broker.address(), "late").await.is_served().await);
    for mut client in seated {
        assert!(client.is_served().await);
    }
    broker.stop().await;
}

#[tokio::test]
async fn whoever_is_silent_for_too_long_is_cut_off_and_its_will_is_done() {
    let broker = start().await;
    let mut heir = Client::subscribed(broker.address(), "heir", "will/#", 1).await;
    let mut patient = Client::connected(broker.address(), "patient").await;
    let will = [text("silent"), text("will/silent"), text("gone")];
    let mut silent = Client::open(broker.address()).await;
    silent.send(&connect_with(4, 0b0000_1110, 1, &will)).await;
    silent.receive().await.unwrap();
    let start = Instant::now();
    assert!(silent.is_cut_off().await);
    assert!(start.elapsed() >= Duration::from_millis(1400), "after {:?}", start.elapsed());
    assert_eq!(heir.receive().await.unwrap().1, [&text("will/silent")[..], &[0, 1], b"gone"].concat());
    assert!(patient.is_served().await);
    // a goodbye has no will
    let mut polite = Client::open(broker.address()).await;
    polite.send(&connect_with(4, 0b0000_1110, 1, &[text("polite"), text("will/polite"), text("gone")])).await;
    polite.receive().await.unwrap();
    polite.send(&[0xe0, 0]).await;
    assert!(polite.is_cut_off().await);
    patient.send(&publish(1, "will/last", b"")).await;
    assert_eq!(heir.receive().await.unwrap().1, [&text("will/last")[..], &[0, 2]].concat());
    broker.stop().await;
}

#[tokio::test]
async fn every_unsubscription_is_answered_once() {
    let broker = start().await;
    let mut client = Client::subscribed(broker.address(), "client", "a", 1).await;
    client.send(&packet(0xa2, &[&[0, 5][..], &text("a"), &text("never")].concat())).await;
    assert_eq!(client.receive().await, Some((0xb0, vec![0, 5])));
    client.send(&publish(1, "a", b"unwanted")).await;
    assert_eq!(client.receive().await, Some((0x40, vec![0, 1])));
    assert!(client.is_served().await);
    broker.stop().await;
}

/// A client that leaves the id to the broker, and a subscription at QoS 2.
#[tokio::test]
async fn what_can_be_met_half_way_is() {
    let broker = start().await;
    let mut one = Client::subscribed(broker.address(), "", "#", 2).await;
    let mut two = Client::connected(broker.address(), "").await;
    assert!(one.is_served().await && two.is_served().await);
    broker.stop().await;
}
