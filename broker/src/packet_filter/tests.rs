use super::*;
use crate::Config;
use crate::router::{Router, RouterLink};

const ROOM: usize = 64 << 10;

/// A front at a router of its own, without a network: bytes in, bytes out.
struct Wired {
    front: PacketFilter,
    link: RouterLink,
    output: BytesMut,
}

/// What a broker has for all of its clients.
struct Inside {
    router: Router,
    budget: Arc<Budget>,
    retained: Arc<Retained>,
}

impl Inside {
    fn new() -> Self {
        let config = Config::default();
        Self {
            router: Router::spawn(&config),
            retained: Arc::new(Retained::new(config.max_retained_bytes)),
            budget: Arc::new(Budget::new(config)),
        }
    }

    fn attach(&self, client: &str) -> Wired {
        let (link, _) = self.router.attach(client, true).unwrap();
        let (budget, retained) = (Arc::clone(&self.budget), Arc::clone(&self.retained));
        let front = PacketFilter::new(ROOM, None, budget, retained, LogOffsets::default());
        Wired { front, link, output: BytesMut::new() }
    }
}

impl Wired {
    /// The client sends this; what of it the router gets.
    async fn say(&mut self, bytes: &[u8]) -> Vec<Packet> {
        let mut packets = Vec::new();
        self.front.incoming(&mut bytes.into(), &mut packets, &mut self.output).unwrap();
        self.link.send(packets.clone()).await.unwrap();
        packets
    }

    /// Writes what the router has for the client, after having waited for some of it.
    async fn hear(&mut self) {
        let before = self.output.len();
        while self.output.len() == before {
            if let Some(notification) = self.link.recv().await.unwrap()
                && !self.front.outgoing(notification, &mut self.output).unwrap()
            {
                self.link.caught_up().await.unwrap();
            }
        }
    }

    fn recited(&mut self) -> BytesMut {
        self.output.clear();
        while self.front.can_replay() {
            self.front.replay(&mut self.output, ROOM);
        }
        self.output.split()
    }
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(body.len()).unwrap()], body].concat()
}

fn subscribe(filter: &str) -> Vec<u8> {
    packet(0x82, &[&[0, 7][..], &text(filter), &[1]].concat())
}

const SUBACK: [u8; 5] = [0x90, 3, 0, 7, 1];

#[tokio::test]
async fn what_is_retained_follows_each_suback() {
    let inside = Inside::new();
    inside.retained.keep(b"a/b", Bytes::from_static(b"x"), QoS::AtMostOnce).unwrap();
    let mut client = inside.attach("client");
    for _ in 0..2 {
        client.say(&subscribe("a/+")).await;
        assert!(!client.front.can_replay(), "before the answer");
        client.hear().await;
        assert_eq!(client.output[..], SUBACK);
        assert_eq!(client.recited()[..], [0x31, 6, 0, 3, b'a', b'/', b'b', b'x']);
    }
    // who has unsubscribed before the answer came gets nothing
    client.say(&subscribe("a/+")).await;
    client.say(&packet(0xa2, &[&[0, 8][..], &text("a/+")].concat())).await;
    client.output.clear();
    client.hear().await;
    assert_eq!(client.output[..], SUBACK);
    assert!(client.recited().is_empty());
}

/// The router keeps nothing: it gets the message as any other, and no acknowledgement of what it has not sent.
#[tokio::test]
async fn the_router_sees_nothing_of_it() {
    let inside = Inside::new();
    let mut client = inside.attach("client");
    let kept = |topic: &str| matches!(inside.retained.next(topic, None), retained::Next::Message(..));
    for (first, payload, is_kept) in [
        (0x30, &b"x"[..], false),
        (0x31, b"x", true),
        (0x30, b"", true),
        (0x30, b"y", true),
        (0x31, b"", false),
    ] {
        let packets = client.say(&packet(first, &[&text("a")[..], payload].concat())).await;
        let [Packet::Publish(publish, None)] = &packets[..] else { panic!("{packets:?}") };
        assert_eq!((publish.retain, &publish.topic[..], &publish.payload[..]), (false, &b"a"[..], payload));
        assert_eq!(kept("a"), is_kept, "after {first:#x} {payload:?}");
    }
    inside.retained.keep(b"a", Bytes::from_static(b"x"), QoS::AtLeastOnce).unwrap();
    client.say(&subscribe("a")).await;
    client.hear().await;
    assert_eq!(client.recited()[..], [0x33, 6, 0, 1, b'a', 0, 101, b'x']);
    assert!(client.say(&[0x40, 2, 0, 101]).await.is_empty());
}

/// Live messages of 1 to 3,000 on one topic, and the last of them again for each of many subscriptions, as the router's thread and
/// this one come: after a live one none that is older is recited.
#[tokio::test]
async fn nothing_older_is_recited_after_a_live_message() {
    const LAST: u16 = 3000;
    let inside = Inside::new();
    let (mut writer, mut reader) = (inside.attach("writer"), inside.attach("reader"));
    reader.say(&subscribe("t")).await;
    reader.hear().await;
    let (mut state, mut published, mut live) = (0x2545_f491_4f6c_dd1d_u64, 0_u16, 0);
    let (mut recited, mut together) = (0, 0);
    while live < LAST {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match state >> 61 {
            0..=2 if published < LAST => {
                published += 1;
                writer.say(&packet(0x31, &[&text("t")[..], &published.to_be_bytes()].concat())).await;
            }
            3 => drop(reader.say(&subscribe("t")).await),
            4 => drop(reader.front.replay(&mut reader.output, ROOM)),
            5 if live < published => reader.hear().await,
            _ => tokio::task::yield_now().await,
        }
        let written = reader.output.split();
        let mut rest = &written[..];
        while let [first, length, body @ ..] = rest {
            let (body, next) = body.split_at(usize::from(*length));
            rest = next;
            if first >> 4 == packet_type::PUBLISH {
                let identifier = [body[3], body[4]];
                let number = u16::from_be_bytes([body[body.len() - 2], body[body.len() - 1]]);
                if first & 1 == 1 {
                    assert!(number >= live, "{number} after {live}");
                    recited += 1;
                    together += usize::from(number == live);
                } else {
                    assert_eq!(number, live + 1);
                    live = number;
                }
                if first & 0b10 != 0 {
                    reader.say(&packet(0x40, &identifier)).await;
                }
            }
        }
    }
    assert!(recited > 20 && together < recited, "{recited} were recited, {together} when nothing newer was");
}
