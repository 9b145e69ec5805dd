//! Who gets in, as whom, and what it may do then.

use std::net::SocketAddr;
use std::time::Duration;

use broker::{Broker, Config, Role, User};

use super::client::{Client, connect, connect_with, login, packet, puback, publish, subscribe, text};
use super::start_with;

/// Two meters, two aggregators, a sink and an observer of the deployment `town`, whose passwords are their names.
pub(crate) fn town() -> Config {
    let users = [
        ("m1", "meter"),
        ("m2", "meter"),
        ("a1", "aggregator"),
        ("a2", "aggregator"),
        ("sink", "sink"),
        ("registrar", "registrar"),
        ("eve", "observer"),
    ];
    Config {
        deployment: Some("town".into()),
        users: users.map(|(name, role)| User::with_random_password(name, role, name)).to_vec(),
        ..Config::default()
    }
}

async fn start() -> Broker {
    start_with(town()).await
}

fn topic(below: &str) -> String {
    format!("wv/1/town/{below}")
}

/// What a broker says to this CONNECT.
async fn answer(broker: SocketAddr, connect: &[u8]) -> Option<u8> {
    let mut client = Client::open(broker).await;
    client.send(connect).await;
    client.receive().await.map(|(first, body)| {
        assert_eq!(first, 0x20);
        body[1]
    })
}

#[tokio::test]
async fn who_is_named_gets_in_with_the_right_password_under_its_own_ids() {
    let broker = start().await;
    for (connect, code) in [
        (login("m1", "m1", "m1"), 0),
        (login("m1", "m1", "m1-pub"), 0),
        (login("m1", "m1", "meter-m1-in-sub"), 0),
        (login("a1", "a1", "agg-a1-pub"), 0),
        (login("eve", "eve", ""), 0),
        (login("m1", "m2", "m1"), 4),
        (login("m1", "", "m1"), 4),
        (login("", "", "m1"), 4),
        (login("nobody", "m1", "nobody"), 4),
        (connect("m1"), 4),
        (login("m1", "m1", "m2"), 2),
        (login("m1", "m1", "m2-pub"), 2),
        (login("m1", "m1", "meter-m11"), 2),
        (login("eve", "eve", "sink"), 2),
        (login("m1", "m1", "anything"), 2),
    ] {
        assert_eq!(answer(broker.address(), &connect).await, Some(code), "{connect:?}");
    }
    // the broker's own watchdog is the sixth, and may come after all others
    for _ in 0..100 {
        if broker.counters().connected >= 6 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let counters = broker.counters();
    assert_eq!((counters.connected, counters.refused_connections), (6, 10));
    broker.stop().await;
}

/// Another one's connection is not cut by whoever tries to come as it.
#[tokio::test]
async fn nobody_takes_another_ones_seat() {
    let broker = start().await;
    let mut meter = Client::logged_in(broker.address(), "m1", "m1-pub").await;
    assert_eq!(answer(broker.address(), &login("m2", "m2", "m1-pub")).await, Some(2));
    assert_eq!(answer(broker.address(), &login("m1", "guess", "m1-pub")).await, Some(4));
    assert!(meter.is_served().await);
    broker.stop().await;
}

#[tokio::test]
async fn each_role_publishes_its_own_and_is_cut_off_for_anything_else() {
    let broker = start().await;
    let mut eve = Client::logged_in(broker.address(), "eve", "eve").await;
    eve.send(&subscribe(1, "#", 1)).await;
    assert_eq!(eve.receive().await, Some((0x90, vec![0, 1, 1])));
    let own = [
        ("m1", "agg/a1/share/m1"),
        ("m1", "agg/a2/grid/m1"),
        ("m1", "status/meter/m1"),
        ("m1", "cert/m1"),
        ("a1", "receipt/m1/a1"),
        ("a1", "vote/a1"),
        ("a1", "objection/a1"),
        ("sink", "query"),
        ("sink", "roster"),
        ("sink", "levelled/plan"),
        ("m1", "levelled/upload/m1"),
        ("a1", "levelled/make/a1"),
        ("registrar", "roster"),
        ("registrar", "revoked/m1"),
        ("sink", "revoked/m1"),
    ];
    for (user, own) in own {
        let mut client = Client::logged_in(broker.address(), user, user).await;
        client.send(&publish(1, topic(own), user.as_bytes())).await;
        assert_eq!(client.receive().await, Some((0x40, vec![0, 1])), "{user} {own}");
        let (_, body) = eve.receive().await.unwrap();
        assert!(body.ends_with(user.as_bytes()) && body[2..].starts_with(topic(own).as_bytes()));
        eve.send(&puback([body[topic(own).len() + 2], body[topic(own).len() + 3]])).await;
    }
    let others = [
        ("m1", "agg/a1/share/m2"),
        ("m1", "status/meter/m2"),
        ("m1", "receipt/m1/a1"),
        ("m1", "query"),
        ("a1", "receipt/m1/a2"),
        ("a1", "vote/a2"),
        ("a1", "agg/a1/share/m1"),
        ("sink", "vote/a1"),
        ("sink", "cert/m1"),
        ("m1", "revoked/m1"),
        ("a1", "revoked/m1"),
        ("eve", "status/meter/eve"),
        ("eve", "anything"),
        ("registrar", "query"),
    ];
    for (user, other) in others {
        let id = if user == "eve" { "" } else { user };
        let mut client = Client::open(broker.address()).await;
        client.send(&login(user, user, id)).await;
        client.receive().await.unwrap();
        client.send(&publish(1, topic(other), b"forged")).await;
        assert!(client.is_cut_off().await, "{user} {other}");
    }
    let mut stranger = Client::logged_in(broker.address(), "m1", "m1").await;
    stranger.send(&publish(1, "wv/1/city/agg/a1/share/m1", b"forged")).await;
    assert!(stranger.is_cut_off().await, "another deployment's");
    assert_eq!(broker.counters().refused_publishes, others.len() as u64 + 1);
    // nothing of it came through
    let mut last = Client::logged_in(broker.address(), "m2", "m2").await;
    last.send(&publish(1, topic("status/meter/m2"), b"last")).await;
    assert!(eve.receive().await.unwrap().1.ends_with(b"last"));
    broker.stop().await;
}

#[tokio::test]
async fn each_role_reads_its_own_and_is_told_so_of_anything_else() {
    let broker = start().await;
    for (user, own, other) in [
        (
            "m1",
            vec!["receipt/m1/+", "receipt/m1/a1", "roster", "revoked/m1", "tariff/+", "outcome"],
            vec!["revoked/m2", "receipt/m2/+", "receipt/+/a1", "receipt/#", "agg/a1/#", "query", "#", "+"],
        ),
        (
            "a1",
            vec!["agg/a1/#", "cert/+", "revoked/+", "query", "vote/+"],
            vec!["agg/a2/#", "agg/+/share/m1", "agg/#", "result/+", "#"],
        ),
        ("sink", vec!["result/+", "receipt/+/+", "objection/+"], vec!["agg/a1/#", "agg/#", "#"]),
        ("eve", vec!["#", "agg/#"], vec![]),
    ] {
        let mut client = Client::logged_in(broker.address(), user, user).await;
        for own in own {
            client.send(&subscribe(7, &topic(own), 1)).await;
            assert_eq!(client.receive().await, Some((0x90, vec![0, 7, 1])), "{user} {own}");
        }
        for other in other {
            client.send(&subscribe(7, &topic(other), 1)).await;
            assert_eq!(client.receive().await, Some((0x90, vec![0, 7, 0x80])), "{user} {other}");
        }
        assert!(client.is_served().await, "{user}");
    }
    assert_eq!(broker.counters().refused_subscriptions, 16);
    broker.stop().await;
}

/// Of several filters in one packet each has its answer, and what is admitted is served.
#[tokio::test]
async fn filters_are_answered_one_by_one() {
    let broker = start().await;
    let mut meter = Client::logged_in(broker.address(), "m1", "m1-sub").await;
    let filters =
        ["receipt/m2/+", "receipt/m1/+", "#", "roster"].map(|below| [text(topic(below)), vec![1]].concat());
    meter.send(&packet(0x82, &[&[0, 9][..], &filters.concat()].concat())).await;
    assert_eq!(meter.receive().await, Some((0x90, vec![0, 9, 0x80, 1, 0x80, 1])));
    let mut aggregator = Client::logged_in(broker.address(), "a1", "a1").await;
    for (identifier, meter) in [(1, "m2"), (2, "m1")] {
        aggregator.send(&publish(identifier, topic(&format!("receipt/{meter}/a1")), meter.as_bytes())).await;
        aggregator.receive().await.unwrap();
    }
    assert!(meter.receive().await.unwrap().1.ends_with(b"m1"), "its own only");
    assert!(meter.is_served().await);
    broker.stop().await;
}

#[tokio::test]
async fn a_will_is_published_in_its_own_name_only() {
    let broker = start().await;
    let with_will = |user: &str, below: &str| {
        let payload = [text(user), text(topic(below)), text("gone"), text(user), text(user)];
        connect_with(4, 0b1110_1110, 0, &payload)
    };
    for (user, below, code) in [
        ("m1", "status/meter/m1", 0),
        ("m1", "status/meter/m2", 5),
        ("m1", "outcome", 5),
        ("eve", "status/meter/eve", 5),
    ] {
        assert_eq!(answer(broker.address(), &with_will(user, below)).await, Some(code), "{user} {below}");
    }
    broker.stop().await;
}

/// What the router would remember of a user for ever is bounded.
#[tokio::test]
async fn topics_and_filters_of_a_user_are_counted() {
    let role = Role {
        name: "meter".into(),
        ids: vec!["{user}".into()],
        publish: vec!["mine/#".into()],
        subscribe: vec!["mine/#".into()],
        topics: 3,
        filters: 2,
    };
    let broker =
        start_with(Config { roles: vec![role], users: town().users[..1].to_vec(), ..Config::default() })
            .await;
    let mut meter = Client::logged_in(broker.address(), "m1", "m1").await;
    for round in 0..3 {
        for number in 0..3 {
            meter.send(&publish(1, format!("mine/{number}"), b"x")).await;
            assert_eq!(meter.receive().await, Some((0x40, vec![0, 1])), "round {round}");
        }
    }
    for (filter, code) in [("mine/a", 1), ("mine/b", 1), ("mine/c", 0x80), ("mine/a", 1)] {
        meter.send(&subscribe(1, filter, 1)).await;
        assert_eq!(meter.receive().await, Some((0x90, vec![0, 1, code])), "{filter}");
    }
    meter.send(&publish(1, "mine/3", b"x")).await;
    assert!(meter.is_cut_off().await, "one topic too many");
    // also on another connection
    let mut meter = Client::logged_in(broker.address(), "m1", "m1-pub").await;
    meter.send(&publish(1, "mine/4", b"x")).await;
    assert!(meter.is_cut_off().await);
    broker.stop().await;
}

#[tokio::test]
async fn what_is_retained_and_kept_is_bounded() {
    let broker =
        start_with(Config { max_retained_bytes: 1500, max_queue_bytes: 20 << 20, ..Config::default() }).await;
    let mut client = Client::connected(broker.address(), "client").await;
    let retained = |topic: &str, bytes| packet(0x31, &[&text(topic)[..], &vec![0; bytes]].concat());
    client.send(&retained("a", 900)).await;
    client.send(&retained("a", 0)).await;
    client.send(&retained("b", 900)).await;
    assert!(client.is_served().await);
    client.send(&retained("c", 900)).await;
    assert!(client.is_cut_off().await);
    // one log of the default size fits, and not another one
    let mut client = Client::subscribed(broker.address(), "client", "a", 1).await;
    client.send(&subscribe(1, "b", 1)).await;
    assert_eq!(client.receive().await, Some((0x90, vec![0, 1, 0x80])));
    client.send(&subscribe(1, "a", 1)).await;
    assert_eq!(client.receive().await, Some((0x90, vec![0, 1, 1])));
    broker.stop().await;
}
