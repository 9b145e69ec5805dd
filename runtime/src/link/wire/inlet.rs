//! Packets out of the bytes that come, and the way past a message that can't be delivered.
//!
//! What a broker delivers it may have taken from anybody, and it delivers again what was not acknowledged. So a message over
//! the limit, or with a topic that is not UTF-8, must not end the connection, which would only bring it back: its bytes are
//! dropped as they come, and it is handed on without them, to be acknowledged like any other. No more of it is held than its
//! topic.

use bytes::{Buf as _, BytesMut};
use rumqttc::Packet;
use rumqttc::mqttbytes::{Error, check};

/// The upper half of the first byte of a PUBLISH [MQTT 3.1.1, 2.2.1].
const PUBLISH: u8 = 3;

/// What came.
#[derive(Debug, PartialEq)]
pub(crate) enum Incoming {
    Packet(Packet),
    /// A message that can't be delivered, when the last of its bytes has come.
    Unfit(Unfit),
}

/// What is known of a message that can't be delivered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Unfit {
    /// Its topic, or what is text in it.
    pub(crate) topic: String,
    /// Its packet identifier; 0 for one that wants no acknowledgement.
    pub(crate) identifier: u16,
    /// The length of its packet, without the fixed header.
    pub(crate) bytes: usize,
}

/// The place where bytes become packets.
#[derive(Debug)]
pub(crate) struct Inlet {
    max_packet: usize,
    /// The message that is being read past, and how many of its bytes are still to come.
    passing: Option<(Unfit, usize)>,
}

impl Inlet {
    pub(crate) fn new(max_packet: usize) -> Self {
        Self { max_packet, passing: None }
    }

    /// Takes what is complete out of `input`; if nothing is, the error [`Error::InsufficientBytes`] says how much to read.
    pub(crate) fn take(&mut self, input: &mut BytesMut) -> Result<Incoming, Error> {
        let (message, left) = match self.passing.take() {
            Some(passing) => passing,
            None => match check(input.iter(), self.max_packet) {
                Err(Error::PayloadSizeLimitExceeded(bytes)) if input[0] >> 4 == PUBLISH => {
                    head(input, bytes)?
                }
                Ok(frame) if input[0] >> 4 == PUBLISH && !is_text(topic(input)) => {
                    let bytes = frame.frame_length() - body(input);
                    head(input, bytes)?
                }
                _ => return Packet::read(input, self.max_packet).map(Incoming::Packet),
            },
        };
        let come = left.min(input.len());
        input.advance(come);
        if come == left {
            return Ok(Incoming::Unfit(message));
        }
        self.passing = Some((message, left - come));
        Err(Error::InsufficientBytes(1))
    }
}

/// Where the fixed header ends that is complete in `input`.
fn body(input: &[u8]) -> usize {
    input[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 2
}

/// The topic of a PUBLISH, if as much is there.
fn topic(input: &[u8]) -> Option<&[u8]> {
    let (length, rest) = input.get(body(input)..)?.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// Whether a topic is UTF-8. One that is not there is for others to judge.
fn is_text(topic: Option<&[u8]>) -> bool {
    topic.is_none_or(|topic| std::str::from_utf8(topic).is_ok())
}

/// Takes the head of a PUBLISH whose fixed header is complete and says `bytes`, up to the payload [MQTT 3.1.1, 3.3]; the
/// payload's length beside it. What it waits for is 64 KiB at most, for the topic's length has 16 bits.
fn head(input: &mut BytesMut, bytes: usize) -> Result<(Unfit, usize), Error> {
    let identified = input[0] & 0b0110 != 0;
    let topic = body(input) + 2;
    let Some([high, low]) = input.get(topic - 2..topic) else {
        return Err(Error::InsufficientBytes(topic - input.len()));
    };
    let identifier = topic + usize::from(u16::from_be_bytes([*high, *low]));
    let payload = identifier + if identified { 2 } else { 0 };
    let left = (topic - 2 + bytes).checked_sub(payload).ok_or(Error::BoundaryCrossed(payload))?;
    if input.len() < payload {
        return Err(Error::InsufficientBytes(payload - input.len()));
    }
    let message = Unfit {
        topic: String::from_utf8_lossy(&input[topic..identifier]).into_owned(),
        identifier: if identified {
            u16::from_be_bytes([input[identifier], input[identifier + 1]])
        } else {
            0
        },
        bytes,
    };
    input.advance(payload);
    Ok((message, left))
}

#[cfg(test)]
mod tests {
    use rumqttc::QoS;
    use rumqttc::mqttbytes::v4;

    use super::*;

    const LIMIT: usize = 100;
    /// As much as is read at a time in these tests, at most.
    const READ: usize = 7;

    fn publish(qos: QoS, topic: &str, payload: usize) -> Packet {
        let mut publish = v4::Publish::new(topic, qos, vec![b'x'; payload]);
        publish.pkid = if qos == QoS::AtMostOnce { 0 } else { 0x0102 };
        Packet::Publish(publish)
    }

    /// What comes of packets that come in pieces, and the most that was held at a time.
    fn taken(packets: &[Packet]) -> (Vec<Incoming>, usize) {
        let mut bytes = BytesMut::new();
        for packet in packets {
            packet.write(&mut bytes, usize::MAX).unwrap();
        }
        let (mut inlet, mut input, mut taken, mut held) = (Inlet::new(LIMIT), BytesMut::new(), Vec::new(), 0);
        loop {
            match inlet.take(&mut input) {
                Ok(incoming) => taken.push(incoming),
                Err(Error::InsufficientBytes(more)) if !bytes.is_empty() => {
                    assert!(more > 0, "it would never go on");
                    let read = bytes.len().min(READ);
                    input.extend_from_slice(&bytes.split_to(read));
                    held = held.max(input.len());
                }
                Err(Error::InsufficientBytes(_)) => return (taken, held),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Around the limit, far beyond it, with and without an acknowledgement: what comes next is there, and little was held.
    #[test]
    fn what_is_too_long_is_read_past() {
        let next = || [publish(QoS::AtLeastOnce, "next", 3), Packet::PingResp];
        for (qos, overhead) in [(QoS::AtMostOnce, 3), (QoS::AtLeastOnce, 5)] {
            for bytes in [LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 2, 127, 128, 16_383, 16_384, 2_097_152] {
                let long = publish(qos, "t", bytes - overhead);
                let [one, two] = next();
                let (taken, held) = taken(&[long.clone(), one, two]);
                let identifier = if qos == QoS::AtMostOnce { 0 } else { 0x0102 };
                let first = match bytes {
                    ..=LIMIT => Incoming::Packet(long),
                    _ => Incoming::Unfit(Unfit { topic: "t".into(), identifier, bytes }),
                };
                let [one, two] = next().map(Incoming::Packet);
                assert_eq!(taken, [first, one, two]);
                assert!(held <= LIMIT + 5 + READ, "{held} bytes were held of {bytes}");
            }
        }
    }

    /// Of a topic that is itself over the limit too.
    #[test]
    fn a_topic_may_be_longer_than_a_packet() {
        let topic = "t".repeat(65_535);
        let (taken, held) = taken(&[publish(QoS::AtLeastOnce, &topic, 0), Packet::PingResp]);
        let long = Unfit { topic, identifier: 0x0102, bytes: 2 + 65_535 + 2 };
        assert_eq!(taken, [Incoming::Unfit(long), Incoming::Packet(Packet::PingResp)]);
        assert!(held <= 4 + 2 + 65_535 + 2 + READ, "{held}");
    }

    /// A broker that does not look at topics forwards them as they are: nats-server 2.9 does.
    #[test]
    fn a_topic_may_be_no_text() {
        for (first, identifier, head) in [(0x30, 0, &[][..]), (0x32, 0x0102, &[1, 2])] {
            let bytes = [&[0, 3, b't', 0xff, 0xfe][..], head, b"x"].concat();
            let mut input = BytesMut::from(
                &[&[first, u8::try_from(bytes.len()).unwrap()][..], &bytes, &[0xd0, 0]].concat()[..],
            );
            let mut inlet = Inlet::new(LIMIT);
            let unfit = Unfit { topic: "t\u{fffd}\u{fffd}".into(), identifier, bytes: bytes.len() };
            assert_eq!(inlet.take(&mut input).unwrap(), Incoming::Unfit(unfit));
            assert_eq!(inlet.take(&mut input).unwrap(), Incoming::Packet(Packet::PingResp));
            assert!(input.is_empty());
        }
    }

    /// Where packets begin and end is not known any more, or nothing but a message was too long.
    #[test]
    fn what_is_malformed_is_refused() {
        let refused = |bytes: &[u8]| {
            let mut inlet = Inlet::new(LIMIT);
            match inlet.take(&mut BytesMut::from(bytes)) {
                Err(Error::InsufficientBytes(_)) | Ok(_) => None,
                Err(error) => Some(error),
            }
        };
        // 128 bytes, of which the topic has 200; 127 and an identifier; as many as there may be
        assert!(matches!(refused(&[0x30, 0x80, 1, 0, 200]), Some(Error::BoundaryCrossed(_))));
        assert!(matches!(refused(&[0x32, 0x80, 1, 0, 125]), Some(Error::BoundaryCrossed(_))));
        assert!(refused(&[0x32, 0x80, 1, 0, 124]).is_none());
        assert!(matches!(refused(&[0x90, 0x80, 1]), Some(Error::PayloadSizeLimitExceeded(128))));
        assert!(matches!(refused(&[0x30, 0xff, 0xff, 0xff, 0xff]), Some(Error::MalformedRemainingLength)));
        // nothing yet
        for bytes in [
            &[][..],
            &[0x32],
            &[0x32, 0xff, 0xff, 0xff],
            &[0x32, 0xff, 0xff, 0xff, 0x7f],
            &[0x32, 0x80, 1, 0],
        ] {
            assert!(refused(bytes).is_none(), "{bytes:?}");
        }
    }
}
