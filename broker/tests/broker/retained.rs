//! Retained messages: for whoever subscribes, each time, all of them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::client::{Client, connect_with, packet, puback, publish, subscribe, text};
use super::start;

/// How many there are of them in a town.
const TOWN: u16 = 1000;

fn retained(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x31, &[&text(topic)[..], payload].concat())
}

/// Somebody who has published the states of a town, at QoS 1.
async fn town(broker: SocketAddr) -> Client {
    let mut writer = Client::connected(broker, "writer").await;
    for number in 1..=TOWN {
        let topic = format!("town/status/meter/{number:04}");
        writer.send(&packet(0x33, &[&text(topic)[..], &number.to_be_bytes(), b"up"].concat())).await;
        assert_eq!(writer.receive().await, Some((0x40, number.to_be_bytes().to_vec())));
    }
    writer
}

/// Reads so many retained messages of QoS 1 and acknowledges them; the topics.
async fn read(client: &mut Client, count: usize) -> BTreeSet<String> {
    let mut topics = BTreeSet::new();
    for _ in 0..count {
        let (topic, identifier) = take(client).await;
        client.send(&puback(identifier)).await;
        topics.insert(topic);
    }
    topics
}

/// One of them, not acknowledged.
async fn take(client: &mut Client) -> (String, [u8; 2]) {
    let (first, body) = client.receive().await.unwrap();
    assert_eq!(first, 0x33, "{body:?}");
    let (topic, rest) = body[2..].split_at(usize::from(u16::from_be_bytes([body[0], body[1]])));
    assert_eq!(&rest[2..], b"up");
    (String::from_utf8(topic.to_vec()).unwrap(), [rest[0], rest[1]])
}

async fn kept(broker: SocketAddr, session_is_there: bool) -> Client {
    let mut client = Client::open(broker).await;
    client.send(&connect_with(4, 0, 0, &[text("keeper")])).await;
    assert_eq!(client.receive().await, Some((0x20, vec![u8::from(session_is_there), 0])));
    client
}

#[tokio::test]
async fn all_of_them_come_with_each_subscription() {
    let broker = start().await;
    let mut writer = town(broker.address()).await;
    let mut reader = kept(broker.address(), false).await;
    for _ in 0..2 {
        reader.send(&subscribe(3, "town/status/#", 1)).await;
        assert_eq!(reader.receive().await, Some((0x90, vec![0, 3, 1])));
        assert_eq!(read(&mut reader, TOWN.into()).await.len(), usize::from(TOWN));
        assert!(reader.is_served().await, "and no more");
    }
    reader.send(&[0xe0, 0]).await;
    assert!(reader.is_cut_off().await);
    // a session that is there has all of it, until it subscribes again
    let mut reader = kept(broker.address(), true).await;
    assert!(reader.is_served().await);
    reader.send(&subscribe(4, "town/status/#", 1)).await;
    assert_eq!(reader.receive().await, Some((0x90, vec![0, 4, 1])));
    assert_eq!(read(&mut reader, TOWN.into()).await.len(), usize::from(TOWN));
    // what is live comes as it always does
    writer.send(&publish(1, "town/status/meter/0001", b"live")).await;
    let live = [&text("town/status/meter/0001")[..], &[0, 1], b"live"].concat();
    assert_eq!(reader.receive().await, Some((0x32, live)));
    broker.stop().await;
}

#[tokio::test]
async fn each_comes_at_the_lower_of_both_qos() {
    let broker = start().await;
    let mut writer = Client::connected(broker.address(), "writer").await;
    writer.send(&retained("t/0", b"x")).await;
    writer.send(&packet(0x33, &[&text("t/1")[..], &[0, 1], b"x"].concat())).await;
    writer.receive().await.unwrap();
    for (qos, topic, expected) in [
        (0, "t/0", (0x31, [&text("t/0")[..], b"x"].concat())),
        (0, "t/1", (0x31, [&text("t/1")[..], b"x"].concat())),
        (1, "t/0", (0x31, [&text("t/0")[..], b"x"].concat())),
        (1, "t/1", (0x33, [&text("t/1")[..], &[0, 101], b"x"].concat())),
        (2, "t/1", (0x33, [&text("t/1")[..], &[0, 101], b"x"].concat())),
    ] {
        let mut reader = Client::subscribed(broker.address(), "reader", topic, qos).await;
        assert_eq!(reader.receive().await, Some(expected), "{topic} at {qos}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn an_empty_one_takes_it_back_and_no_other() {
    let broker = start().await;
    let mut writer = Client::connected(broker.address(), "writer").await;
    let mut present = Client::subscribed(broker.address(), "present", "t", 0).await;
    for (bytes, is_kept) in [
        (retained("t", b"1"), Some(b"1")),
        (packet(0x30, &[&text("t")[..], b"2"].concat()), Some(b"1")),
        (packet(0x30, &text("t")), Some(b"1")),
        (retained("t", b"3"), Some(b"3")),
        (retained("t", b""), None),
        (retained("t", b""), None),
    ] {
        writer.send(&bytes).await;
        assert!(writer.is_served().await);
        // to who is there they are live
        assert_eq!(present.receive().await, Some((0x30, bytes[2..].to_vec())));
        let mut late = Client::subscribed(broker.address(), "late", "+", 1).await;
        if let Some(payload) = is_kept {
            assert_eq!(late.receive().await, Some((0x31, [&text("t")[..], payload].concat())));
        }
        assert!(late.is_served().await);
    }
    broker.stop().await;
}

/// 60 MB for who reads nothing: little of it leaves the broker, and others are served; once it reads it gets all, and what is live
/// does not wait for the end.
#[tokio::test]
async fn a_slow_reader_has_it_as_it_reads() {
    const MESSAGES: u64 = 6000;
    let broker = start().await;
    let mut writer = Client::connected(broker.address(), "writer").await;
    for number in 0..MESSAGES {
        writer.send(&retained(&format!("t/{number}"), &[7; 10_000])).await;
    }
    assert!(writer.is_served().await);
    let mut slow = Client::subscribed(broker.address(), "slow", "t/+", 0).await;
    let mut written = u64::MAX;
    while written != broker.counters().messages_out || written < 10 {
        written = broker.counters().messages_out;
        sleep(Duration::from_millis(200)).await;
    }
    assert!(written < MESSAGES / 2, "{written} messages were written for nobody");
    writer.send(&publish(1, "t/live", b"live")).await;
    assert_eq!(writer.receive().await, Some((0x40, vec![0, 1])));
    let (mut messages, mut live_after) = (0, 0);
    while messages < MESSAGES {
        match slow.receive().await.unwrap() {
            (0x31, body) => messages += u64::from(body.len() > 10_000),
            (0x30, _) => live_after = messages,
            other => panic!("{other:?}"),
        }
    }
    assert!((1..MESSAGES - 500).contains(&live_after), "after {live_after} of {MESSAGES}");
    assert!(slow.is_served().await);
    broker.stop().await;
}

/// A wildcard that finds little among much, and a client that asks for it again and again, hold up nobody.
#[tokio::test]
async fn a_search_in_vain_holds_up_nobody() {
    let broker = start().await;
    let mut writer = town(broker.address()).await;
    let mut greedy = Client::connected(broker.address(), "greedy").await;
    let asked = subscribe(5, "+/+/+/+/none", 1).repeat(2000);
    greedy.send(&asked).await;
    let served = async {
        for _ in 0..100 {
            assert!(writer.is_served().await);
        }
    };
    timeout(Duration::from_secs(5), served).await.expect("in time");
    for _ in 0..2000 {
        assert_eq!(greedy.receive().await, Some((0x90, vec![0, 5, 1])));
    }
    assert!(greedy.is_served().await);
    broker.stop().await;
}

#[tokio::test]
async fn a_will_is_retained_when_it_says_so() {
    let broker = start().await;
    let mut present = Client::subscribed(broker.address(), "present", "will/+", 0).await;
    // a will, retained, at QoS 1 and a clean session
    let with_will = |payload: &str| {
        connect_with(4, 0b0010_1110, 0, &[text("mortal"), text("will/mortal"), text(payload)])
    };
    for (payload, goodbye, is_kept) in [("1", false, Some("1")), ("2", true, Some("1")), ("", false, None)] {
        let mut mortal = Client::open(broker.address()).await;
        mortal.send(&with_will(payload)).await;
        assert_eq!(mortal.receive().await, Some((0x20, vec![0, 0])));
        if goodbye {
            mortal.send(&[0xe0, 0]).await;
            assert!(mortal.is_cut_off().await);
        } else {
            mortal.reset();
            let live = [text("will/mortal"), payload.into()].concat();
            assert_eq!(present.receive().await, Some((0x30, live)));
        }
        let mut late = Client::subscribed(broker.address(), "late", "will/#", 1).await;
        if let Some(payload) = is_kept {
            let kept = [&text("will/mortal")[..], &[0, 101], payload.as_bytes()].concat();
            assert_eq!(late.receive().await, Some((0x33, kept)));
        }
        assert!(late.is_served().await);
    }
    broker.stop().await;
}

/// What a kept session has not acknowledged comes again, on a connection that takes the seat over too, and what it has does not.
#[tokio::test]
async fn what_was_not_acknowledged_comes_again_also_to_a_successor() {
    let broker = start().await;
    town(broker.address()).await;
    let mut reader = kept(broker.address(), false).await;
    reader.send(&subscribe(3, "town/#", 1)).await;
    reader.receive().await.unwrap();
    let first = read(&mut reader, 150).await;
    let mut unacknowledged = Vec::new();
    for _ in 0..100 {
        unacknowledged.push(take(&mut reader).await.0);
    }
    assert!(reader.is_served().await, "100 are on their way, and no more");
    for _ in 0..2 {
        let mut successor = kept(broker.address(), true).await;
        assert!(reader.is_cut_off().await);
        for expected in &unacknowledged {
            assert_eq!(take(&mut successor).await.0, *expected);
        }
        reader = successor;
    }
    drop(reader);
    let mut reader = kept(broker.address(), true).await;
    let rest = read(&mut reader, usize::from(TOWN) - 150).await;
    assert_eq!(first.union(&rest).count(), usize::from(TOWN));
    assert!(reader.is_served().await, "and no more");
    // a clean session forgets it
    drop(reader);
    Client::connected(broker.address(), "keeper").await;
    assert!(kept(broker.address(), false).await.is_served().await);
    broker.stop().await;
}

/// The watchdog's messages, whatever filter finds them.
#[tokio::test]
async fn what_is_hidden_stays_so() {
    let broker = start().await;
    let mut writer = Client::connected(broker.address(), "writer").await;
    writer.send(&retained("broker/x", b"seen")).await;
    assert!(writer.is_served().await);
    for filter in ["#", "broker/#", "+/+"] {
        let mut reader = Client::subscribed(broker.address(), "reader", filter, 1).await;
        assert_eq!(reader.receive().await, Some((0x31, [&text("broker/x")[..], b"seen"].concat())));
        assert!(reader.is_served().await);
    }
    broker.stop().await;
}

/// What is unsubscribed from in a session that came back stays away, and one bad filter changes none of the others.
#[tokio::test]
async fn a_session_that_came_back_can_unsubscribe() {
    let broker = start().await;
    let mut reader = kept(broker.address(), false).await;
    reader.send(&subscribe(1, "a/#", 1)).await;
    reader.receive().await.unwrap();
    let unsubscribe = |filters: &[&str]| {
        let filters: Vec<u8> = filters.iter().flat_map(text).collect();
        packet(0xa2, &[&[0, 9][..], &filters].concat())
    };
    reader.send(&unsubscribe(&["a/#", "b+"])).await;
    assert!(reader.is_cut_off().await);
    let mut writer = Client::connected(broker.address(), "writer").await;
    let mut reader = kept(broker.address(), true).await;
    writer.send(&publish(1, "a/1", b"still")).await;
    writer.receive().await.unwrap();
    let (first, body) = reader.receive().await.unwrap();
    assert!(first == 0x32 && body.ends_with(b"still"), "the packet was refused whole");
    reader.send(&puback([body[5], body[6]])).await;
    reader.send(&unsubscribe(&["a/#"])).await;
    assert_eq!(reader.receive().await, Some((0xb0, vec![0, 9])));
    writer.send(&publish(2, "a/1", b"no more")).await;
    writer.receive().await.unwrap();
    assert!(reader.is_served().await);
    // and what it is not to see does not stand in the way of what it is
    reader.send(&subscribe(2, "b", 1)).await;
    reader.receive().await.unwrap();
    for number in 0..300 {
        writer.send(&publish(3, if number % 3 == 0 { "b" } else { "a/1" }, &[1])).await;
        writer.receive().await.unwrap();
    }
    for _ in 0..100 {
        let (_, body) = reader.receive().await.unwrap();
        assert_eq!(body[..3], text("b"));
        reader.send(&puback([body[3], body[4]])).await;
    }
    broker.stop().await;
}

/// The watchdog's topic is nobody's to publish to: what is not its own would put it out of step.
#[tokio::test]
async fn the_watchdogs_topic_is_its_own() {
    let broker = start().await;
    let mut client = Client::connected(broker.address(), "x").await;
    client.send(&publish(1, "broker/watchdog", &[7; 200])).await;
    assert!(client.is_cut_off().await);
    let mut client = Client::open(broker.address()).await;
    let will = [text("y"), text("broker/watchdog"), text("last")];
    client.send(&connect_with(4, 0b0000_0110, 0, &will)).await;
    assert_eq!(client.receive().await, Some((0x20, vec![0, 5])));
    let mut client = Client::connected(broker.address(), "z").await;
    assert!(client.is_served().await);
    broker.stop().await;
}
