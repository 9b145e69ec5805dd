//! What may pass between a client and the router. No I/O: bytes in, packets and bytes out.

mod connect;
mod refusal;
mod topic;

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use rumqttd::Notification;
use rumqttd::protocol::v4::V4;
use rumqttd::protocol::{self, Packet, Protocol, PubAck, PubAckReason, Publish, QoS, Subscribe, Unsubscribe};

pub(crate) use connect::Connect;
pub(crate) use refusal::Refusal;

/// Packet types, in the upper half of a packet's first byte [MQTT 3.1.1, 2.2.1].
mod packet_type {
    pub(super) const CONNECT: u8 = 1;
    pub(super) const PUBLISH: u8 = 3;
    pub(super) const PUBACK: u8 = 4;
    pub(super) const SUBSCRIBE: u8 = 8;
    pub(super) const UNSUBSCRIBE: u8 = 10;
    pub(super) const UNSUBACK: u8 = 11;
    pub(super) const PINGREQ: u8 = 12;
    pub(super) const DISCONNECT: u8 = 14;
}

/// How it goes on after what was received so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flow {
    /// At least so many more bytes make the next packet.
    Read(usize),
    /// The client said goodbye.
    Leave,
}

/// One connected client's front.
#[derive(Debug)]
pub(crate) struct Front {
    max_packet: usize,
    /// The messages on their way to the client, oldest first, and whether it has acknowledged them. The router takes
    /// acknowledgements in this order only.
    unacknowledged: VecDeque<(u16, bool)>,
}

impl Front {
    pub(crate) fn new(max_packet: usize) -> Self {
        Self { max_packet, unacknowledged: VecDeque::new() }
    }

    /// Takes the packets that are complete out of `input`; what they are answered with at once goes to `output`, what
    /// the router is to see to `router`, also when a later one is refused.
    ///
    /// # Errors
    ///
    /// [`Refusal`], after which the client is to be cut off.
    pub(crate) fn incoming(
        &mut self,
        input: &mut BytesMut,
        router: &mut Vec<Packet>,
        output: &mut BytesMut,
    ) -> Result<Flow, Refusal> {
        loop {
            let packet = match decode(input, self.max_packet) {
                Ok(packet) => packet,
                Err(Undecoded::Incomplete(bytes)) => return Ok(Flow::Read(bytes)),
                Err(Undecoded::Refused(refusal)) => return Err(refusal),
            };
            match packet {
                Packet::Publish(publish, _) => router.push(admit_publish(publish)?),
                Packet::PubAck(ack, _) => router.extend(self.acknowledged(ack.pkid)),
                Packet::Subscribe(subscribe, _) => {
                    router.extend(admit_subscribe(subscribe, output)?);
                }
                Packet::Unsubscribe(unsubscribe, _) => {
                    router.push(admit_unsubscribe(unsubscribe, output)?);
                }
                Packet::PingReq(_) => router.push(packet),
                Packet::Disconnect(..) => return Ok(Flow::Leave),
                _ => return Err(Refusal::Unexpected),
            }
        }
    }

    /// Writes what the router has for the client; `false` when it is no packet but the question to say when all is
    /// written, [`Notification::Unschedule`].
    pub(crate) fn outgoing(
        &mut self,
        notification: Notification,
        output: &mut BytesMut,
    ) -> Result<bool, Refusal> {
        let Some(packet): Option<Packet> = notification.into() else {
            return Ok(false);
        };
        let payload = match &packet {
            Packet::Publish(publish, _) => publish.payload.len(),
            _ => 0,
        };
        let start = output.len();
        V4.write(packet, output)?;
        match (output[start] >> 4, output[start] & 0b0110) {
            (packet_type::PUBLISH, 0b0010) => {
                // the identifier has no public name; it stands before the payload
                let end = output.len() - payload;
                let identifier = u16::from_be_bytes([output[end - 2], output[end - 1]]);
                self.unacknowledged.push_back((identifier, false));
            }
            // answered already
            (packet_type::UNSUBACK, _) => output.truncate(start),
            _ => (),
        }
        Ok(true)
    }

    /// The acknowledgements that can go to the router, now that the client has sent this one.
    fn acknowledged(&mut self, identifier: u16) -> Vec<Packet> {
        if let Some(entry) = self.unacknowledged.iter_mut().find(|(pkid, _)| *pkid == identifier) {
            entry.1 = true;
        }
        let mut acks = Vec::new();
        while let Some((pkid, true)) = self.unacknowledged.front().copied() {
            self.unacknowledged.pop_front();
            acks.push(Packet::PubAck(PubAck { pkid, reason: PubAckReason::Success }, None));
        }
        acks
    }
}

/// Why there is no packet yet.
enum Undecoded {
    /// At least so many more bytes are needed.
    Incomplete(usize),
    Refused(Refusal),
}

impl From<Refusal> for Undecoded {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Takes one packet of those that a client may send out of `input`.
fn decode(input: &mut BytesMut, max_packet: usize) -> Result<Packet, Undecoded> {
    let first = input.first().ok_or(Undecoded::Incomplete(2))?;
    match (first >> 4, first & 0b1111) {
        (packet_type::PUBLISH, flags) => match (flags >> 1) & 0b11 {
            0 | 1 => {}
            2 => return Err(Refusal::ExactlyOnce.into()),
            _ => return Err(Refusal::Malformed(protocol::Error::InvalidQoS(3)).into()),
        },
        (packet_type::SUBSCRIBE | packet_type::UNSUBSCRIBE, 0b0010)
        | (packet_type::CONNECT | packet_type::PUBACK | packet_type::PINGREQ | packet_type::DISCONNECT, 0) => {
        }
        _ => return Err(Refusal::Unexpected.into()),
    }
    V4.read_mut(input, max_packet).map_err(|error| match error {
        protocol::Error::InsufficientBytes(bytes) => Undecoded::Incomplete(bytes),
        protocol::Error::PayloadSizeLimitExceeded(bytes) => {
            Refusal::TooLong { bytes, limit: max_packet }.into()
        }
        error => Undecoded::Refused(error.into()),
    })
}

fn admit_publish(mut publish: Publish) -> Result<Packet, Refusal> {
    topic::admit(&publish.topic)?;
    // a copy, since the logs would keep the whole network buffer for it
    let mut copy = BytesMut::with_capacity(publish.topic.len() + publish.payload.len());
    copy.put_slice(&publish.topic);
    copy.put_slice(&publish.payload);
    let mut copy = copy.freeze();
    publish.topic = copy.split_to(publish.topic.len());
    publish.payload = copy;
    Ok(Packet::Publish(publish, None))
}

/// A subscription that has a filter which may not be is answered with "failure" and changes nothing.
fn admit_subscribe(mut subscribe: Subscribe, output: &mut BytesMut) -> Result<Option<Packet>, Refusal> {
    const FAILURE: u8 = 0x80;
    if subscribe.pkid == 0 {
        return Err(Refusal::Malformed(protocol::Error::PacketIdZero));
    }
    for filter in &mut subscribe.filters {
        if let Err(refusal) = topic::admit_filter(&filter.path) {
            tracing::warn!(filter = filter.path, refusal = refusal.to_string(), "subscription refused");
            let codes = vec![FAILURE; subscribe.filters.len()];
            let length = u8::try_from(2 + codes.len()).ok().filter(|length| *length < 128);
            output.put_slice(&[0x90, length.ok_or(Refusal::Unexpected)?]);
            output.put_u16(subscribe.pkid);
            output.put_slice(&codes);
            return Ok(None);
        }
        if filter.qos == QoS::ExactlyOnce {
            filter.qos = QoS::AtLeastOnce;
        }
    }
    Ok(Some(Packet::Subscribe(subscribe, None)))
}

/// Answered here: the router does not answer for a filter that was not subscribed to, and once for each of the others.
fn admit_unsubscribe(unsubscribe: Unsubscribe, output: &mut BytesMut) -> Result<Packet, Refusal> {
    for filter in &unsubscribe.filters {
        topic::admit_filter(filter)?;
    }
    output.put_slice(&[0xb0, 2]);
    output.put_u16(unsubscribe.pkid);
    Ok(Packet::Unsubscribe(unsubscribe, None))
}

/// "Connection accepted" is the router's to say; these are the answers that refuse [MQTT 3.1.1, 3.2.2.3].
pub(crate) fn refused_connack(refusal: &Refusal) -> Option<Bytes> {
    let code = match refusal {
        Refusal::Version => 1,
        Refusal::ClientId => 2,
        Refusal::Full => 3,
        Refusal::Credentials => 4,
        _ => return None,
    };
    Some(Bytes::copy_from_slice(&[0x20, 2, 0, code]))
}
