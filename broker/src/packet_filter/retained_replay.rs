//! What of the retained messages a client is still to get, and what of that it has not acknowledged.
//!
//! Nothing of a message is kept here, only how far the client has come under each filter: as much is written as there is room for, and
//! read from what is retained at that moment.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use rumqttd::protocol::QoS;

use super::packet_type;
use super::retained::{Message, Next, Retained};

/// The router gives the packet identifiers 1 to 100; these are ours, and with them the most messages that may be unacknowledged.
const IDENTIFIERS: std::ops::Range<u16> = 101..201;
/// How many messages are written in one go.
const PIECE: usize = 64;

/// A client's way through what is retained, under one of its filters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ReplayCursor {
    filter: Arc<str>,
    granted: QoS,
    /// The topic it has come to.
    at: Option<Arc<str>>,
}

/// What a client is still to get.
#[derive(Debug)]
pub(super) struct RetainedReplay {
    /// One a filter, the first of which goes on.
    walks: VecDeque<ReplayCursor>,
    /// The identifiers of what was not acknowledged, each with its walk before that message, unless that counts no more.
    unacknowledged: BTreeMap<u16, Option<ReplayCursor>>,
    /// The identifier that was given last.
    last: u16,
}

impl RetainedReplay {
    /// Goes on where an earlier connection ended.
    pub(super) fn resumed(walks: Vec<ReplayCursor>) -> Self {
        Self { walks: walks.into(), unacknowledged: BTreeMap::new(), last: IDENTIFIERS.end - 1 }
    }

    /// A filter was subscribed to, perhaps again: all that it finds is to be sent, from the beginning.
    pub(super) fn begin(&mut self, filter: &str, granted: QoS) {
        self.end(filter);
        self.walks.push_back(ReplayCursor { filter: filter.into(), granted, at: None });
    }

    /// A filter counts no more.
    pub(super) fn end(&mut self, filter: &str) {
        self.walks.retain(|walk| *walk.filter != *filter);
        for before in self.unacknowledged.values_mut() {
            if before.as_ref().is_some_and(|walk| *walk.filter == *filter) {
                *before = None;
            }
        }
    }

    /// Takes an acknowledgement; whether it is one of these.
    pub(super) fn acknowledged(&mut self, identifier: u16) -> bool {
        let is_ours = IDENTIFIERS.contains(&identifier);
        if is_ours {
            self.unacknowledged.remove(&identifier);
        }
        is_ours
    }

    /// Whether there may be something to write.
    pub(super) fn can_go_on(&self) -> bool {
        !self.walks.is_empty() && self.unacknowledged.len() < IDENTIFIERS.len()
    }

    /// Writes the next messages while `output` is shorter than `room`, but for those on topics that are hidden; how many.
    pub(super) fn go_on(
        &mut self,
        retained: &Retained,
        is_hidden: impl Fn(&str) -> bool,
        output: &mut BytesMut,
        room: usize,
    ) -> usize {
        let mut messages = 0;
        while messages < PIECE && output.len() < room && self.can_go_on() {
            let Some(walk) = self.walks.front_mut() else { break };
            match retained.next(&walk.filter, walk.at.as_deref()) {
                Next::End => drop(self.walks.pop_front()),
                Next::NotYet(topic) => {
                    walk.at = Some(topic);
                    break;
                }
                Next::Message(topic, _) if is_hidden(&topic) => walk.at = Some(topic),
                Next::Message(topic, message) => {
                    let before = walk.clone();
                    walk.at = Some(Arc::clone(&topic));
                    let both = [before.granted, message.qos];
                    let identifier =
                        both.iter().all(|qos| *qos != QoS::AtMostOnce).then(|| self.send(before));
                    write(&topic, &message, identifier, output);
                    messages += 1;
                }
            }
        }
        messages
    }

    /// An identifier for what is to be acknowledged, the one that has been free for longest.
    fn send(&mut self, before: ReplayCursor) -> u16 {
        let mut others = (self.last + 1..IDENTIFIERS.end).chain(IDENTIFIERS.start..=self.last);
        let free = others.find(|identifier| !self.unacknowledged.contains_key(identifier));
        self.last = free.expect("there is one when it can go on");
        self.unacknowledged.insert(self.last, Some(before));
        self.last
    }

    /// What is left for the client's next connection: each filter from its first message that was not acknowledged.
    pub(super) fn rest(self) -> Vec<ReplayCursor> {
        let mut walks = Vec::from(self.walks);
        for before in self.unacknowledged.into_values().flatten() {
            match walks.iter_mut().find(|walk| walk.filter == before.filter) {
                Some(walk) if before.at < walk.at => *walk = before,
                Some(_) => (),
                None => walks.push(before),
            }
        }
        walks
    }
}

/// PUBLISH [MQTT 3.1.1, 3.3], marked as retained.
fn write(topic: &str, message: &Message, identifier: Option<u16>, output: &mut BytesMut) {
    const RETAIN: u8 = 1;
    const AT_LEAST_ONCE: u8 = 0b10;
    let qos = if identifier.is_some() { AT_LEAST_ONCE } else { 0 };
    let mut length = 2 + topic.len() + 2 * usize::from(identifier.is_some()) + message.payload.len();
    output.put_u8(packet_type::PUBLISH << 4 | qos | RETAIN);
    loop {
        let more = if length >= 0x80 { 0x80 } else { 0 };
        output.put_u8(u8::try_from(length & 0x7f).expect("7 bits") | more);
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    output.put_u16(u16::try_from(topic.len()).expect("it was admitted"));
    output.put_slice(topic.as_bytes());
    if let Some(identifier) = identifier {
        output.put_u16(identifier);
    }
    output.put_slice(&message.payload);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// How many may be unacknowledged.
    const MOST: usize = 100;
    const ROOM: usize = 64 << 10;

    fn retained(messages: impl IntoIterator<Item = (String, QoS)>) -> Retained {
        let retained = Retained::new(1 << 30);
        for (topic, qos) in messages {
            retained.keep(topic.as_bytes(), Bytes::from_static(b"x"), qos).unwrap();
        }
        retained
    }

    fn town(meters: usize) -> Retained {
        retained((0..meters).map(|number| (format!("town/{number:03}"), QoS::AtLeastOnce)))
    }

    fn new(filter: &str, granted: QoS) -> RetainedReplay {
        let mut retained_replay = RetainedReplay::resumed(Vec::new());
        retained_replay.begin(filter, granted);
        retained_replay
    }

    /// What is written until it can't go on, or there is no more: topics and identifiers.
    fn write_all(retained_replay: &mut RetainedReplay, retained: &Retained) -> Vec<(String, Option<u16>)> {
        let mut sent = Vec::new();
        while retained_replay.can_go_on() {
            let mut output = BytesMut::new();
            let messages =
                retained_replay.go_on(retained, |topic| topic.starts_with("hidden"), &mut output, ROOM);
            let before = sent.len();
            let mut rest = &output[..];
            while let [first, length, _, topic, body @ ..] = rest {
                let (body, next) = body.split_at(usize::from(*length) - 2);
                let (topic, body) = body.split_at(usize::from(*topic));
                let identifier = match (first, body) {
                    (0x31, b"x") => None,
                    (0x33, [high, low, b'x']) => Some(u16::from_be_bytes([*high, *low])),
                    other => panic!("{other:?}"),
                };
                sent.push((String::from_utf8(topic.to_vec()).unwrap(), identifier));
                rest = next;
            }
            assert_eq!(sent.len() - before, messages);
            assert!(messages <= PIECE);
        }
        sent
    }

    /// The bytes of both kinds, and of a length of two bytes.
    #[test]
    fn messages_are_marked_as_retained() {
        let retained = Retained::new(1 << 20);
        retained.keep(b"a/b", Bytes::from_static(b"hi"), QoS::AtLeastOnce).unwrap();
        retained.keep(b"a/c", Bytes::from(vec![9; 200]), QoS::AtMostOnce).unwrap();
        let mut output = BytesMut::new();
        assert_eq!(new("a/+", QoS::AtLeastOnce).go_on(&retained, |_| false, &mut output, ROOM), 2);
        let first = [
            0x33, // PUBLISH, QoS 1, retain
            9,    // bytes
            0, 3, b'a', b'/', b'b', // topic
            0, 101, // identifier
            b'h', b'i', // payload
        ];
        let second = [
            0x31, // PUBLISH, QoS 0, retain
            0xcd, 0x01, // 205 bytes
            0, 3, b'a', b'/', b'c', // topic
        ];
        assert_eq!(output[..], [&first[..], &second[..], &[9; 200]].concat());
        // at the lower of both
        output.clear();
        new("a/b", QoS::AtMostOnce).go_on(&retained, |_| false, &mut output, ROOM);
        assert_eq!(output[..], [0x31, 7, 0, 3, b'a', b'/', b'b', b'h', b'i']);
    }

    /// 100 are on their way at a time, under identifiers that are not the router's, until all are through.
    #[test]
    fn so_many_are_unacknowledged_at_a_time() {
        let retained = town(250);
        let mut retained_replay = new("town/+", QoS::AtLeastOnce);
        let first = write_all(&mut retained_replay, &retained);
        assert_eq!(first.len(), MOST);
        let identifiers: Vec<u16> = first.iter().filter_map(|(_, identifier)| *identifier).collect();
        assert_eq!(identifiers, (101..=200).collect::<Vec<_>>());
        assert!(
            !retained_replay.acknowledged(100)
                && !retained_replay.acknowledged(201)
                && !retained_replay.can_go_on()
        );
        // in any order
        assert!(retained_replay.acknowledged(150) && retained_replay.acknowledged(102));
        let more = write_all(&mut retained_replay, &retained);
        assert_eq!(more, [("town/100".to_owned(), Some(102)), ("town/101".to_owned(), Some(150))]);
        let mut topics = first.len() + more.len();
        while topics < 250 {
            for identifier in 101..=200 {
                retained_replay.acknowledged(identifier);
            }
            topics += write_all(&mut retained_replay, &retained).len();
        }
        assert_eq!(topics, 250);
        // at QoS 0 nothing is waited for
        assert_eq!(write_all(&mut new("#", QoS::AtMostOnce), &retained).len(), 250);
    }

    #[test]
    fn nothing_is_written_without_room() {
        let retained = town(100);
        let mut retained_replay = new("#", QoS::AtMostOnce);
        let mut output = BytesMut::new();
        let message = 4 + "town/000".len() + 1;
        assert_eq!(retained_replay.go_on(&retained, |_| false, &mut output, 3 * message), 3);
        assert_eq!(retained_replay.go_on(&retained, |_| false, &mut output, 3 * message), 0);
        assert_eq!(write_all(&mut retained_replay, &retained).len(), 97);
    }

    /// What is newer when its turn comes is sent as it is then, and what is gone is not.
    #[test]
    fn it_is_read_when_it_is_written() {
        let retained = town(MOST + 2);
        let mut retained_replay = new("#", QoS::AtLeastOnce);
        write_all(&mut retained_replay, &retained);
        retained.keep(b"town/100", Bytes::new(), QoS::AtLeastOnce).unwrap();
        retained.keep(b"town/101", Bytes::from_static(b"x"), QoS::AtMostOnce).unwrap();
        retained_replay.acknowledged(101);
        assert_eq!(write_all(&mut retained_replay, &retained), [("town/101".to_owned(), None)]);
    }

    #[test]
    fn a_repeated_subscription_begins_again() {
        let retained = town(150);
        let mut retained_replay = new("town/+", QoS::AtLeastOnce);
        write_all(&mut retained_replay, &retained);
        retained_replay.begin("town/+", QoS::AtMostOnce);
        assert!(!retained_replay.can_go_on(), "what was on its way still is");
        retained_replay.acknowledged(101);
        assert_eq!(write_all(&mut retained_replay, &retained).len(), 150);
        // also when the first time was over
        retained_replay.begin("town/+", QoS::AtMostOnce);
        assert_eq!(write_all(&mut retained_replay, &retained).len(), 150);
        // and ends when it is taken back
        retained_replay.begin("town/+", QoS::AtMostOnce);
        retained_replay.end("town/+");
        assert!(!retained_replay.can_go_on() && retained_replay.rest().is_empty());
    }

    #[test]
    fn what_was_not_acknowledged_is_left_for_the_next_time() {
        let retained = town(150);
        let mut retained_replay = new("town/+", QoS::AtLeastOnce);
        retained_replay.begin("town/003", QoS::AtLeastOnce);
        write_all(&mut retained_replay, &retained);
        for identifier in (101..=110).chain(115..=200) {
            retained_replay.acknowledged(identifier);
        }
        let mut retained_replay = RetainedReplay::resumed(retained_replay.rest());
        let again = write_all(&mut retained_replay, &retained);
        assert_eq!(again[0], ("town/010".to_owned(), Some(101)), "the first that was not acknowledged");
        for identifier in 101..=200 {
            retained_replay.acknowledged(identifier);
        }
        let rest = write_all(&mut retained_replay, &retained);
        let last = |sent: &[(String, Option<u16>)]| sent.last().unwrap().0.clone();
        assert_eq!((last(&rest), rest.len() + again.len()), ("town/003".to_owned(), 140 + 1));
        // nothing else is sent again
        for identifier in 101..=139 {
            retained_replay.acknowledged(identifier);
        }
        let last = write_all(&mut RetainedReplay::resumed(retained_replay.rest()), &retained);
        assert_eq!(last, [("town/149".to_owned(), Some(101)), ("town/003".to_owned(), Some(102))]);
    }

    #[test]
    fn what_is_hidden_is_passed_over() {
        let messages = ["a", "hidden/1", "hidden/2", "z"].map(|topic| (topic.to_owned(), QoS::AtMostOnce));
        let sent = write_all(&mut new("#", QoS::AtLeastOnce), &retained(messages));
        assert_eq!(sent, [("a".to_owned(), None), ("z".to_owned(), None)]);
    }
}
