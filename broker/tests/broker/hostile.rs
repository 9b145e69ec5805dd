//! What kills other brokers, or this one's router. After each the others are served as before.

use std::net::SocketAddr;

use super::client::{Client, connect, connect_with, login, packet, puback, publish, subscribe, text};
use super::permissions::town;
use super::{start, start_with};

/// Two clients that have nothing to do with it: a message goes from one to the other.
struct Witnesses {
    reader: Client,
    writer: Client,
    topic: &'static str,
}

impl Witnesses {
    async fn new(broker: SocketAddr) -> Self {
        let reader = Client::subscribed(broker, "reader", "witness", 1).await;
        let writer = Client::connected(broker, "writer").await;
        Self { reader, writer, topic: "witness" }
    }

    /// Of a town: an observer and a meter.
    async fn logged_in(broker: SocketAddr) -> Self {
        let topic = "wv/1/town/status/meter/m1";
        let mut reader = Client::logged_in(broker, "eve", "eve").await;
        reader.send(&subscribe(1, topic, 1)).await;
        assert_eq!(reader.receive().await, Some((0x90, vec![0, 1, 1])));
        Self { reader, writer: Client::logged_in(broker, "m1", "m1").await, topic }
    }

    async fn are_served(&mut self, after: &str) {
        self.writer.send(&publish(1, self.topic, after.as_bytes())).await;
        assert_eq!(self.writer.receive().await, Some((0x40, vec![0, 1])), "after {after}");
        let (_, body) = self.reader.receive().await.expect(after);
        assert!(body.ends_with(after.as_bytes()), "after {after}");
        let end = 2 + self.topic.len();
        self.reader.send(&puback([body[end], body[end + 1]])).await;
    }
}

#[tokio::test]
async fn who_sends_what_may_not_be_is_cut_off_alone() {
    let broker = start().await;
    let mut witnesses = Witnesses::new(broker.address()).await;
    let long = "t".repeat(600);
    for (name, bytes) in [
        ("a topic in UTF-8", publish(1, "é/a", b"x")),
        ("a topic not in UTF-8", publish(1, [0xff, 0xfe], b"x")),
        ("an empty topic", publish(1, "", b"x")),
        ("a topic with +", publish(1, "a/+", b"x")),
        ("a topic with #", publish(1, "a/#", b"x")),
        ("a topic with NUL", publish(1, "a\0b", b"x")),
        ("a topic with $", publish(1, "$SYS/a", b"x")),
        ("a long topic", publish(1, long, b"x")),
        ("a message without identifier", publish(0, "a", b"x")),
        ("a QoS 2 message", packet(0x34, &[&text("a")[..], &[0, 1]].concat())),
        ("a QoS 3 message", packet(0x36, &[&text("a")[..], &[0, 1]].concat())),
        ("a message that is too long", publish(1, "a", &vec![0; 64 << 10])),
        (
            "a message that is too long to be forwarded",
            packet(0x30, &[text("a"), vec![0; (64 << 10) - 4]].concat()),
        ),
        ("a length that is too long", vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ("a topic longer than its packet", packet(0x30, &[0, 200, b'a'])),
        ("a second CONNECT", connect("hostile")),
        ("CONNACK", vec![0x20, 2, 0, 0]),
        ("PUBREC", vec![0x50, 2, 0, 1]),
        ("PUBREL", vec![0x62, 2, 0, 1]),
        ("PUBCOMP", vec![0x70, 2, 0, 1]),
        ("SUBACK", vec![0x90, 3, 0, 1, 0]),
        ("UNSUBACK", vec![0xb0, 2, 0, 1]),
        ("PINGRESP", vec![0xd0, 0]),
        ("type 0", vec![0, 0]),
        ("type 15", vec![0xf0, 0]),
        ("PINGREQ with flags", vec![0xc1, 0]),
        ("SUBSCRIBE without flags", packet(0x80, &[&[0, 1][..], &text("a"), &[1]].concat())),
        ("SUBSCRIBE without identifier", subscribe(0, "a", 1)),
        ("SUBSCRIBE without filter", vec![0x82, 2, 0, 1]),
        ("SUBSCRIBE at QoS 3", subscribe(1, "a", 3)),
        ("UNSUBSCRIBE from a bad filter", packet(0xa2, &[&[0, 1][..], &text("a#")].concat())),
        ("an empty SUBSCRIBE", vec![0x82, 0]),
        ("an empty PUBLISH", vec![0x30, 0]),
        ("a long PUBACK", vec![0x40, 3, 0, 1, 0]),
        ("DISCONNECT of MQTT 5", vec![0xe0, 1, 0]),
    ] {
        let mut hostile = Client::connected(broker.address(), "hostile").await;
        hostile.send(&bytes).await;
        assert!(hostile.is_cut_off().await, "{name} is accepted");
        witnesses.are_served(name).await;
    }
    broker.stop().await;
}

/// A subscriber with the broker's own limit can take whatever the broker takes, at either QoS.
#[tokio::test]
async fn nothing_goes_out_longer_than_it_may_come_in() {
    let broker = start().await;
    let limit = 64 << 10;
    let mut reader = Client::subscribed(broker.address(), "reader", "a", 1).await;
    let payload = vec![1; limit - 2 - 1 - 2];
    for bytes in [packet(0x30, &[text("a"), payload.clone()].concat()), publish(1, "a", &payload)] {
        let mut writer = Client::connected(broker.address(), "writer").await;
        writer.send(&bytes).await;
        let (first, body) = reader.receive().await.expect("it is forwarded");
        assert_eq!((first, body.len()), (0x32, limit));
        reader.send(&puback([body[3], body[4]])).await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn who_may_not_connect_is_told_why_as_far_as_there_is_a_word_for_it() {
    let broker = start().await;
    let mut witnesses = Witnesses::new(broker.address()).await;
    let will = |topic: &str, flags| connect_with(4, flags, 0, &[text("a"), text(topic), text("x")]);
    for (name, bytes, code) in [
        ("MQTT 5", connect_with(5, 2, 0, &[vec![0], text("a")]), Some(1)),
        ("MQTT 3.1", packet(0x10, &[&text("MQIsdp")[..], &[3, 2, 0, 0], &text("a")].concat()), Some(1)),
        ("an id with /", connect("a/b"), Some(2)),
        ("an id with +", connect("a+"), Some(2)),
        ("an id with #", connect("#"), Some(2)),
        ("an id with $", connect("$a"), Some(2)),
        ("an id with a space", connect("a b"), Some(2)),
        ("an id with NUL", connect("a\0"), Some(2)),
        ("an id in UTF-8", connect("é"), Some(2)),
        ("a long id", connect(&"a".repeat(200)), Some(2)),
        ("an id of the broker's", connect("broker:1"), Some(2)),
        ("no id for a session to be kept", connect_with(4, 0, 0, &[text("")]), Some(2)),
        ("an id that is not UTF-8", connect_with(4, 2, 0, &[text([0xff])]), None),
        ("a will on a bad topic", will("é", 0b0000_0110), None),
        ("a will on a wildcard", will("#", 0b0000_0110), None),
        ("a will at QoS 2", will("a", 0b0001_0110), None),
        ("no id at all", connect_with(4, 2, 0, &[]), None),
        ("another packet first", publish(1, "a", b"x"), None),
        ("PINGREQ first", vec![0xc0, 0], None),
        ("a web browser", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), None),
        ("TLS", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc], None),
    ] {
        let mut hostile = Client::open(broker.address()).await;
        hostile.send(&bytes).await;
        if let Some(code) = code {
            assert_eq!(hostile.receive().await, Some((0x20, vec![0, code])), "{name}");
        }
        assert!(hostile.is_cut_off().await, "{name} is accepted");
        witnesses.are_served(name).await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn subscriptions_that_may_not_be_fail_and_the_client_stays() {
    let broker = start().await;
    let mut client = Client::connected(broker.address(), "client").await;
    for filter in ["$share/group/a", "$SYS/#", "a#", "#/a", "é/#", "", "a\0"] {
        client.send(&subscribe(3, filter, 1)).await;
        assert_eq!(client.receive().await, Some((0x90, vec![0, 3, 0x80])), "{filter:?}");
    }
    assert!(client.is_served().await);
    broker.stop().await;
}

/// Subscribers at both QoS that read nothing are flooded, and leave while the router waits for them.
#[tokio::test]
async fn subscribers_that_do_not_read_may_leave_at_any_time() {
    let broker = start().await;
    let mut witnesses = Witnesses::new(broker.address()).await;
    let mut writer = Client::connected(broker.address(), "flood").await;
    for round in 0..10_u16 {
        let mut readers = Vec::new();
        for number in 0..6_u8 {
            readers.push(
                Client::subscribed(broker.address(), &format!("deaf-{number}"), "flood/#", number % 2).await,
            );
        }
        for identifier in 1..=400 {
            writer.send(&publish(identifier, "flood/t", &[0; 4000])).await;
        }
        for identifier in 1..=400_u16 {
            assert_eq!(
                writer.receive().await,
                Some((0x40, identifier.to_be_bytes().to_vec())),
                "round {round}"
            );
        }
        for (number, mut reader) in readers.into_iter().enumerate() {
            match number {
                0 | 1 => reader.reset(),
                2 | 3 => reader.send(&[0xe0, 0]).await,
                // somebody else takes the seat
                _ => drop(Client::connected(broker.address(), &format!("deaf-{number}")).await),
            }
        }
        witnesses.are_served(&format!("round {round}")).await;
    }
    broker.stop().await;
}

/// Many connections of ten packets each: whole ones, and ones with some bytes changed, cut or repeated; to a broker for
/// everybody, and to one with users, as nobody and as some of them. `HOSTILE=100000` is a million packets.
#[tokio::test]
async fn mutated_packets_disturb_nobody() {
    let connections = std::env::var("HOSTILE").map_or(1000, |count| count.parse().expect("HOSTILE=NUMBER"));
    let (open, guarded) = (start().await, start_with(town()).await);
    let mut witnesses = [Witnesses::new(open.address()).await, Witnesses::logged_in(guarded.address()).await];
    let own = "wv/1/town/agg/a1/share/m2";
    let will = connect_with(4, 0b0000_0110, 0, &[text("mutant"), text("mutant/will"), text("gone")]);
    let seeds = [
        connect("mutant"),
        will,
        login("m2", "m2", "m2"),
        publish(1, "mutant/a", b"payload"),
        publish(2, own, b"payload"),
        publish(3, "wv/1/town/agg/a1/share/m1", b"forged"),
        packet(0x31, &[&text("mutant/b")[..], b"kept"].concat()),
        packet(0x33, &[&text(own)[..], &[0, 4], b"kept"].concat()),
        subscribe(2, "mutant/#", 1),
        subscribe(3, "+/a", 0),
        subscribe(4, "wv/1/town/receipt/m2/+", 1),
        subscribe(5, "$share/g/mutant/a", 1),
        packet(0x82, &[&[0, 6][..], &text("#"), &[2], &text("a#"), &[1], &text("é"), &[0]].concat()),
        packet(0xa2, &[&[0, 4][..], &text("mutant/#")].concat()),
        puback([0, 1]),
        puback([0, 2]),
        vec![0xc0, 0],
        vec![0xe0, 0],
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    for connection in 0..connections {
        let broker = if connection % 2 == 0 { &open } else { &guarded };
        let mut bytes = match random(8) {
            // what comes is the first of it
            0 => Vec::new(),
            1 | 2 => connect(&format!("mutant-{}", random(5))),
            3 => login("m2", "wrong", "m2"),
            _ => {
                let user = ["m2", "a1", "a2", "sink", "registrar"][random(5)];
                login(user, user, user)
            }
        };
        for _ in 0..10 {
            let mut packet = seeds[random(seeds.len())].clone();
            let place = random(packet.len());
            match random(7) {
                0 => packet[place] = u8::try_from(random(256)).expect("a byte"),
                1 => packet[place] ^= 1 << random(8),
                2 => packet.truncate(place),
                3 => packet.extend_from_within(place..),
                _ => (),
            }
            bytes.extend(packet);
        }
        let mut mutant = Client::open(broker.address()).await;
        mutant.send(&bytes).await;
        if random(2) == 0 {
            // some say that this was all, and wait for what comes back
            mutant.finish().await;
            while mutant.receive().await.is_some() {}
        }
        mutant.reset();
        if connection % 50 == 0 {
            for witnesses in &mut witnesses {
                witnesses.are_served(&format!("connection {connection}")).await;
            }
        }
    }
    for (broker, witnesses) in [open, guarded].into_iter().zip(&mut witnesses) {
        witnesses.are_served("all of them").await;
        let counters = broker.counters();
        assert_eq!(counters.panics, 0);
        assert!(counters.refused_packets + counters.refused_publishes > 0, "{counters:?}");
        println!("{counters:?}");
        broker.stop().await;
    }
}
