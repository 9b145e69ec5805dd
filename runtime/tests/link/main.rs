//! Publisher and subscriber against the real broker, over connections that are cut, stalled and refused.

#![expect(clippy::unwrap_used, reason = "a test file: a panic is the report")]

mod proxy;
mod tls;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use broker::{Broker, Config};
use proxy::{Mode, Proxy};
use runtime::link::{Delivery, LinkState, Message, PublishError, Publisher, Settings, Subscriber, Will};
use tokio::sync::watch;
use tokio::time::timeout;

const ANYWHERE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
const PATIENCE: Duration = Duration::from_secs(20);

async fn broker_at(listen: SocketAddr) -> Broker {
    Broker::start(Config { listen, ..Config::default() }).await.expect("the broker starts")
}

fn settings(address: SocketAddr, client: &str) -> Settings {
    Settings {
        reconnect_min: Duration::from_millis(10),
        reconnect_max: Duration::from_millis(100),
        ..Settings::new(address.ip().to_string(), address.port(), client)
    }
}

fn message(number: u32) -> Message {
    Message { topic: format!("test/{}", number % 7), payload: number.to_be_bytes().to_vec(), retain: false }
}

fn number(delivery: &Delivery) -> u32 {
    u32::from_be_bytes(delivery.payload.as_slice().try_into().expect("a number"))
}

async fn subscriber(address: SocketAddr) -> Subscriber {
    let subscriber = Subscriber::connect(settings(address, "consumer"), vec!["test/#".into()]);
    subscribed(&subscriber).await;
    subscriber
}

async fn subscribed(subscriber: &Subscriber) {
    let mut subscribed = subscriber.subscribed();
    let confirmed = timeout(PATIENCE, subscribed.wait_for(|subscribed| *subscribed)).await;
    confirmed.expect("in time").expect("the subscriber runs");
}

async fn state(publisher: &Publisher, condition: impl FnMut(&LinkState) -> bool) -> LinkState {
    let mut state = publisher.state();
    let state = timeout(PATIENCE, state.wait_for(condition)).await.expect("in time");
    state.expect("the publisher runs").clone()
}

async fn next(subscriber: &mut Subscriber) -> Delivery {
    timeout(PATIENCE, subscriber.recv()).await.expect("in time").expect("the subscriber runs")
}

/// Numbers in the order of their first arrival, each acknowledged, until there are `count` different ones.
async fn collect(subscriber: &mut Subscriber, count: usize) -> Vec<u32> {
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    while order.len() < count {
        let delivery = next(subscriber).await;
        if seen.insert(number(&delivery)) {
            order.push(number(&delivery));
        }
        subscriber.ack(delivery);
    }
    order
}

fn publish_all(publisher: &Publisher, numbers: std::ops::Range<u32>) -> tokio::task::JoinHandle<()> {
    let publisher = publisher.clone();
    tokio::spawn(async move {
        for number in numbers {
            publisher.publish(message(number)).await.expect("the publisher runs");
        }
        publisher.flush().await;
    })
}

#[tokio::test]
async fn everything_arrives_in_order() {
    let broker = broker_at(ANYWHERE.into()).await;
    let mut subscriber = subscriber(broker.address()).await;
    let publisher = Publisher::connect(settings(broker.address(), "producer"));
    let publishing = publish_all(&publisher, 0..3000);
    let order = collect(&mut subscriber, 3000).await;
    assert_eq!(order, (0..3000).collect::<Vec<_>>());
    publishing.await.unwrap();
    let state = state(&publisher, |_| true).await;
    assert_eq!((state.acknowledged, state.queued, state.in_flight, state.resent), (3000, 0, 0, 0));
    assert_eq!(publisher.close(PATIENCE).await, 0);
    subscriber.close().await;
    broker.stop().await;
}

/// A hundred can be gathered for one commit, and acknowledged in any order.
#[tokio::test]
async fn a_hundred_deliveries_wait_for_their_acknowledgement() {
    let broker = broker_at(ANYWHERE.into()).await;
    let mut subscriber = subscriber(broker.address()).await;
    let publisher = Publisher::connect(settings(broker.address(), "producer"));
    publish_all(&publisher, 0..150).await.unwrap();
    let mut group = vec![next(&mut subscriber).await];
    while group.len() < 100 {
        group.push(next(&mut subscriber).await);
    }
    assert!(subscriber.try_recv().is_none());
    for delivery in group.into_iter().rev() {
        subscriber.ack(delivery);
    }
    assert_eq!(collect(&mut subscriber, 50).await, (100..150).collect::<Vec<_>>());
    broker.stop().await;
}

/// The broker forgets everything, while messages are on their way to it.
#[tokio::test]
async fn everything_arrives_over_a_broker_restart_that_loses_the_session() {
    let first = broker_at(ANYWHERE.into()).await;
    let address = first.address();
    let proxy = Proxy::start(address).await;
    let mut subscriber = subscriber(address).await;
    let publisher = Publisher::connect(settings(proxy.address, "producer"));
    let publishing = publish_all(&publisher, 0..3000);
    let mut order = collect(&mut subscriber, 1000).await;
    // what the broker has acknowledged it must also have delivered: so it gets no more, and then a last one
    proxy.set(Mode::Refuse);
    let marker = Publisher::connect(settings(address, "marker"));
    marker.publish(message(u32::MAX)).await.unwrap();
    loop {
        let delivery = next(&mut subscriber).await;
        let number = number(&delivery);
        subscriber.ack(delivery);
        if number == u32::MAX {
            break;
        }
        order.push(number);
    }
    assert_eq!(marker.close(PATIENCE).await, 0);
    first.stop().await;
    let second = broker_at(address).await;
    let mut is_subscribed = subscriber.subscribed();
    timeout(PATIENCE, is_subscribed.wait_for(|subscribed| !*subscribed))
        .await
        .expect("in time")
        .expect("runs");
    subscribed(&subscriber).await;
    proxy.set(Mode::Forward);
    let mut seen: BTreeSet<u32> = order.into_iter().collect();
    while seen.len() < 3000 {
        let delivery = next(&mut subscriber).await;
        seen.insert(number(&delivery));
        subscriber.ack(delivery);
    }
    assert_eq!(seen, (0..3000).collect());
    publishing.await.unwrap();
    let state = state(&publisher, |_| true).await;
    assert_eq!((state.acknowledged, state.reconnects), (3000, 1));
    assert!(state.resent > 0, "nothing was on its way: {state:?}");
    second.stop().await;
}

/// Either side is cut off again and again; what is new arrives in order.
#[tokio::test]
async fn everything_arrives_over_connections_that_are_cut() {
    let broker = broker_at(ANYWHERE.into()).await;
    let near = Proxy::start(broker.address()).await;
    let far = Proxy::start(broker.address()).await;
    let mut subscriber = subscriber(far.address).await;
    let publisher = Publisher::connect(settings(near.address, "producer"));
    let publishing = publish_all(&publisher, 0..3000);
    let mut seen = BTreeSet::new();
    let mut received = 0;
    while seen.len() < 3000 {
        let delivery = next(&mut subscriber).await;
        let number = number(&delivery);
        assert!(
            seen.contains(&number) || number as usize == seen.len(),
            "{number} came after {}",
            seen.len()
        );
        seen.insert(number);
        subscriber.ack(delivery);
        received += 1;
        match received % 400 {
            150 => near.cut(),
            300 => far.cut(),
            _ => (),
        }
    }
    publishing.await.unwrap();
    let state = state(&publisher, |_| true).await;
    assert!(state.reconnects >= 3, "{state:?}");
    assert_eq!(state.acknowledged, 3000);
    broker.stop().await;
}

/// The connection stands, and nothing comes back.
#[tokio::test]
async fn a_stalled_connection_is_replaced() {
    let broker = broker_at(ANYWHERE.into()).await;
    let proxy = Proxy::start(broker.address()).await;
    let mut subscriber = subscriber(broker.address()).await;
    let publisher = Publisher::connect(Settings {
        stall: Duration::from_millis(200),
        ..settings(proxy.address, "producer")
    });
    publish_all(&publisher, 0..10).await.unwrap();
    proxy.set(Mode::Swallow);
    let publishing = publish_all(&publisher, 10..500);
    let stalled = state(&publisher, |state| state.trouble.is_some()).await;
    assert!(stalled.trouble.unwrap().starts_with("no acknowledgement for 200ms; "));
    proxy.set(Mode::Forward);
    proxy.cut();
    assert_eq!(collect(&mut subscriber, 500).await, (0..500).collect::<Vec<_>>());
    publishing.await.unwrap();
    assert!(state(&publisher, |_| true).await.resent >= 100);
    broker.stop().await;
}

#[tokio::test]
async fn a_publisher_waits_for_a_broker_and_keeps_its_queue() {
    let probe = broker_at(ANYWHERE.into()).await;
    let address = probe.address();
    probe.stop().await;
    let publisher = Publisher::connect(Settings { queue: 10, ..settings(address, "producer") });
    state(&publisher, |state| state.trouble.is_some()).await;
    for number in 0..10 {
        publisher.try_publish(message(number)).unwrap();
    }
    let Err(PublishError::Full(back)) = publisher.try_publish(message(10)) else { panic!("there was room") };
    assert_eq!(back, message(10));
    let mut waiting = std::pin::pin!(publisher.publish(back));
    assert!(timeout(Duration::from_millis(50), &mut waiting).await.is_err(), "there was room");
    let mut flushing = std::pin::pin!(publisher.flush());
    assert!(timeout(Duration::from_millis(50), &mut flushing).await.is_err(), "nothing is acknowledged");
    assert_eq!(state(&publisher, |_| true).await.queued, 10);

    let broker = broker_at(address).await;
    timeout(PATIENCE, waiting).await.expect("in time").unwrap();
    timeout(PATIENCE, flushing).await.expect("in time");
    publisher.flush().await;
    assert_eq!(state(&publisher, |_| true).await.acknowledged, 11);
    broker.stop().await;
    // closing with something left says so, in time
    state(&publisher, |state| !state.connected).await;
    publisher.publish(message(11)).await.unwrap();
    assert_eq!(publisher.clone().close(Duration::from_millis(50)).await, 1);
}

#[tokio::test]
async fn what_a_broker_would_cut_us_off_for_is_refused_and_given_back() {
    let broker = broker_at(ANYWHERE.into()).await;
    let mut subscriber = subscriber(broker.address()).await;
    let publisher = Publisher::connect(settings(broker.address(), "producer"));
    let with = |topic: &str, bytes| Message { topic: topic.into(), payload: vec![1; bytes], retain: false };
    let largest = (64 << 10) - 4 - "test/0".len();
    let error = publisher.publish(with("test/0", largest + 1)).await.unwrap_err();
    assert!(matches!(&error, PublishError::TooLong { bytes: 65537, limit: 65536, .. }), "{error:?}");
    assert_eq!(error.to_string(), "a packet of 65537 bytes on test/0 is over the limit of 65536");
    for topic in ["", "test/+", "test/#", "$SYS", "tést"] {
        let error = publisher.try_publish(with(topic, 1)).unwrap_err();
        assert!(matches!(error, PublishError::Topic(_)), "{error:?}");
    }
    // the largest that is not refused arrives
    publisher.publish(with("test/0", largest)).await.unwrap();
    let delivery = next(&mut subscriber).await;
    assert_eq!(delivery.payload.len(), largest);
    subscriber.ack(delivery);
    assert_eq!(state(&publisher, |state| state.acknowledged == 1).await.reconnects, 0);
    let other = publisher.clone();
    assert_eq!(publisher.close(PATIENCE).await, 0);
    assert!(matches!(other.publish(with("test/0", 1)).await, Err(PublishError::Closed(_))));
    broker.stop().await;
}

/// Whatever a broker's limit lets through, a subscriber goes on, on the same connection, and is never sent it again.
#[tokio::test]
async fn a_message_over_the_limit_is_passed_over() {
    let config = Config { listen: ANYWHERE.into(), max_packet_bytes: 600 << 10, ..Config::default() };
    let broker = Broker::start(config).await.expect("the broker starts");
    let proxy = Proxy::start(broker.address()).await;
    let mut subscriber = subscriber(proxy.address).await;
    let mut is_subscribed = subscriber.subscribed();
    is_subscribed.mark_unchanged();
    let limit = 64 << 10;
    let careless = Settings { max_packet: 600 << 10, ..settings(broker.address(), "careless") };
    let publisher = Publisher::connect(careless);
    let long = |bytes| Message {
        topic: "test/0".into(),
        payload: vec![1; bytes - 4 - "test/0".len()],
        retain: false,
    };
    let mut sent = 0..;
    for bytes in [limit, limit + 1, limit + 2, 600 << 10, limit] {
        publisher.publish(long(bytes)).await.unwrap();
        publisher.publish(message(sent.next().unwrap())).await.unwrap();
    }
    let mut lengths = Vec::new();
    while lengths.len() < 7 {
        let delivery = next(&mut subscriber).await;
        lengths.push(delivery.payload.len());
        subscriber.ack(delivery);
    }
    let largest = limit - 4 - "test/0".len();
    assert_eq!(lengths, [largest, 4, 4, 4, 4, largest, 4]);
    assert_eq!(subscriber.passed_over(), 3);
    assert!(!is_subscribed.has_changed().unwrap(), "the connection did not stay");

    // more than there may be on its way unacknowledged
    for _ in 0..150 {
        publisher.publish(long(limit + 2)).await.unwrap();
    }
    publisher.publish(message(5)).await.unwrap();
    assert_eq!(collect(&mut subscriber, 1).await, [5]);
    assert_eq!(subscriber.passed_over(), 153);
    // once the acknowledgements are there, none comes again
    publisher.publish(message(6)).await.unwrap();
    assert_eq!(collect(&mut subscriber, 1).await, [6]);
    proxy.cut();
    timeout(PATIENCE, is_subscribed.wait_for(|subscribed| !*subscribed))
        .await
        .expect("in time")
        .expect("runs");
    subscribed(&subscriber).await;
    publisher.publish(message(7)).await.unwrap();
    while number(&next(&mut subscriber).await) != 7 {}
    assert_eq!(subscriber.passed_over(), 153);
    broker.stop().await;
}

/// A delivery comes again until it is acknowledged on the connection that it came on, and then no more.
#[tokio::test]
async fn a_delivery_comes_again_until_it_is_acknowledged() {
    let broker = broker_at(ANYWHERE.into()).await;
    let proxy = Proxy::start(broker.address()).await;
    let mut subscriber = subscriber(proxy.address).await;
    let publisher = Publisher::connect(settings(broker.address(), "producer"));
    publish_all(&publisher, 0..1).await.unwrap();
    let stale = next(&mut subscriber).await;
    proxy.cut();
    let again = next(&mut subscriber).await;
    assert_eq!((number(&stale), number(&again)), (0, 0));
    subscriber.ack(stale);
    proxy.cut();
    let again = next(&mut subscriber).await;
    assert_eq!(number(&again), 0, "an acknowledgement of an earlier connection counted");
    subscriber.ack(again);
    subscriber.close().await;

    let mut successor = self::subscriber(broker.address()).await;
    publish_all(&publisher, 1..2).await.unwrap();
    assert_eq!(number(&next(&mut successor).await), 1);
    broker.stop().await;
}

#[tokio::test]
async fn the_last_will_is_published_for_who_is_lost_and_not_for_who_says_goodbye() {
    let broker = broker_at(ANYWHERE.into()).await;
    let proxy = Proxy::start(broker.address()).await;
    let mut subscriber = subscriber(broker.address()).await;
    let with_will = |number: u32| Settings {
        last_will: Some(Will {
            topic: "test/will".into(),
            payload: number.to_be_bytes().into(),
            retain: true,
        }),
        ..settings(proxy.address, "producer")
    };
    let polite = Publisher::connect(with_will(1));
    state(&polite, |state| state.connected).await;
    polite.close(PATIENCE).await;
    let lost = Publisher::connect(with_will(2));
    state(&lost, |state| state.connected).await;
    proxy.set(Mode::Refuse);
    let will = next(&mut subscriber).await;
    assert_eq!((will.topic.as_str(), number(&will)), ("test/will", 2));
    broker.stop().await;
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told_why_and_goes_on_trying() {
    let broker = Broker::start(Config {
        listen: ANYWHERE.into(),
        users: vec![broker::User::with_random_password("producer", "observer", "right")],
        ..Config::default()
    });
    let broker = broker.await.unwrap();
    let with = |password: &str| Settings {
        login: Some(runtime::link::Login { user: "producer".into(), password: password.into() }),
        ..settings(broker.address(), "producer")
    };
    let refused = Publisher::connect(with("wrong"));
    let trouble = state(&refused, |state| state.trouble.is_some()).await.trouble.unwrap();
    assert!(trouble.contains("BadUserNamePassword; compare this user in broker.toml"), "{trouble}");
    let admitted = Publisher::connect(with("right"));
    state(&admitted, |state| state.connected).await;
    broker.stop().await;
}

#[tokio::test]
async fn dropping_ends_the_task() {
    let broker = broker_at(ANYWHERE.into()).await;
    let publisher = Publisher::connect(settings(broker.address(), "producer"));
    let mut ended: watch::Receiver<LinkState> = publisher.state();
    state(&publisher, |state| state.connected).await;
    drop(publisher);
    timeout(PATIENCE, ended.wait_for(|state| state.closed)).await.expect("in time").expect("closed first");
    let subscriber = subscriber(broker.address()).await;
    let mut ended = subscriber.subscribed();
    drop(subscriber);
    while timeout(PATIENCE, ended.changed()).await.expect("in time").is_ok() {}
    broker.stop().await;
}
