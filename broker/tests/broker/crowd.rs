//! Many clients at once, and greedy ones.

use std::time::Duration;

use broker::Config;
use tokio::time::Instant;

use super::client::{Client, connect, login, puback, publish};
use super::permissions::town;
use super::start_with;

/// Those who say nothing leave for those who do.
#[tokio::test]
async fn silent_connections_do_not_keep_others_out() {
    let broker = start_with(Config { max_handshakes: 8, ..Config::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(Client::open(broker.address()).await);
    }
    let start = Instant::now();
    // some of the silent are before it in the listen queue, eight of which have to leave each second
    assert!(Client::connected(broker.address(), "honest").await.is_served().await);
    assert!(start.elapsed() < Duration::from_secs(8), "after {:?}", start.elapsed());
    assert!(broker.counters().evicted >= 8, "{:?}", broker.counters());
    broker.stop().await;
}

#[tokio::test]
async fn whoever_does_not_say_who_it_is_is_cut_off_in_time() {
    let broker = start_with(Config { connect_timeout: Duration::from_secs(1), ..Config::default() }).await;
    let start = Instant::now();
    let mut silent = Client::open(broker.address()).await;
    let mut slow = Client::open(broker.address()).await;
    slow.send(&connect("slow")[..5]).await;
    assert!(silent.is_cut_off().await && slow.is_cut_off().await);
    assert!(start.elapsed() >= Duration::from_millis(900), "after {:?}", start.elapsed());
    broker.stop().await;
}

#[tokio::test]
async fn a_user_has_so_many_connections() {
    let broker = start_with(Config { max_connections_per_user: 2, ..town() }).await;
    let mut one = Client::logged_in(broker.address(), "eve", "").await;
    let two = Client::logged_in(broker.address(), "eve", "").await;
    let mut three = Client::open(broker.address()).await;
    three.send(&login("eve", "eve", "")).await;
    assert_eq!(three.receive().await, Some((0x20, vec![0, 3])));
    Client::logged_in(broker.address(), "m1", "m1").await;
    drop(two);
    // until it is noticed
    loop {
        let mut again = Client::open(broker.address()).await;
        again.send(&login("eve", "eve", "")).await;
        if again.receive().await == Some((0x20, vec![0, 0])) {
            break;
        }
    }
    assert!(one.is_served().await);
    broker.stop().await;
}

/// Nothing is lost: it only takes its time.
#[tokio::test]
async fn a_client_that_sends_too_fast_is_read_from_more_slowly() {
    let broker = start_with(Config { packets_per_second: 100, ..Config::default() }).await;
    let mut reader = Client::subscribed(broker.address(), "reader", "t", 1).await;
    let mut other = Client::connected(broker.address(), "other").await;
    let mut fast = Client::connected(broker.address(), "fast").await;
    let start = Instant::now();
    for identifier in 1..=200_u16 {
        fast.send(&publish(identifier, "t", &identifier.to_be_bytes())).await;
    }
    assert!(other.is_served().await, "another one is not held up");
    assert!(start.elapsed() < Duration::from_millis(500), "after {:?}", start.elapsed());
    for identifier in 1..=200_u16 {
        assert_eq!(fast.receive().await, Some((0x40, identifier.to_be_bytes().to_vec())));
        let (_, body) = reader.receive().await.unwrap();
        assert_eq!(body[5..], identifier.to_be_bytes());
        reader.send(&puback([body[3], body[4]])).await;
    }
    // a second's worth may come at once, and whatever comes next has to wait
    assert!(fast.is_served().await);
    assert!(start.elapsed() >= Duration::from_millis(900), "after {:?}", start.elapsed());
    broker.stop().await;
}

/// 120 % of the connection cap come again and again; whoever finds no seat finds one as soon as there is one.
#[tokio::test]
async fn more_than_there_may_be_do_no_lasting_damage() {
    const CAP: usize = 100;
    let broker = start_with(Config { max_connections: CAP, ..Config::default() }).await;
    for round in 0..5 {
        let mut clients = Vec::new();
        let mut refused = 0;
        for number in 0..CAP * 6 / 5 {
            let mut client = Client::open(broker.address()).await;
            client.send(&connect(&format!("client-{number}"))).await;
            match client.receive().await {
                Some((0x20, code)) if code == [0, 0] => clients.push(client),
                Some((0x20, code)) if code == [0, 3] => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((clients.len(), refused), (CAP, CAP / 5), "round {round}");
        for client in &mut clients {
            assert!(client.is_served().await, "round {round}");
        }
        for mut client in clients {
            client.send(&[0xe0, 0]).await;
            assert!(client.is_cut_off().await);
        }
    }
    broker.stop().await;
}
