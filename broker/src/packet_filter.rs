//! What may pass between a client and the router. No I/O: bytes in, packets and bytes out.

mod budget;
mod connect;
mod log_offsets;
mod permission;
mod rate_limit;
mod refusal;
mod retained;
mod retained_replay;
mod topic;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use rumqttd::Notification;
use rumqttd::protocol::v4::V4;
use rumqttd::protocol::{
    self, Filter, Packet, Protocol, PubAck, PubAckReason, Publish, QoS, Subscribe, Unsubscribe,
};

pub(crate) use budget::Budget;
pub(crate) use connect::{Connect, MADE_UP};
pub(crate) use log_offsets::LogOffsets;
pub(crate) use permission::{Grant, Grants, Identity};
pub(crate) use rate_limit::RateLimit;
pub(crate) use refusal::Refusal;
pub(crate) use retained::Retained;

use retained_replay::RetainedReplay;

use crate::internal;

/// Packet types, in the upper half of a packet's first byte [MQTT 3.1.1, 2.2.1].
mod packet_type {
    pub(super) const CONNECT: u8 = 1;
    pub(super) const PUBLISH: u8 = 3;
    pub(super) const PUBACK: u8 = 4;
    pub(super) const SUBSCRIBE: u8 = 8;
    pub(super) const SUBACK: u8 = 9;
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
pub(crate) struct PacketFilter {
    max_packet: usize,
    /// Who the client has proved to be; nobody in particular may do anything.
    identity: Option<Arc<Identity>>,
    budget: Arc<Budget>,
    retained: Arc<Retained>,
    /// The topics that the budget knows of this user's.
    topics: HashSet<u64>,
    /// The messages on their way to the client, oldest first, and whether it has acknowledged them. The router takes
    /// acknowledgements in this order only.
    unacknowledged: VecDeque<(u16, bool)>,
    /// The subscriptions that the router is to answer, oldest first: their filters, but for those that were refused here.
    subscribing: VecDeque<Vec<Option<Filter>>>,
    retained_replay: RetainedReplay,
    log_offsets: LogOffsets,
    /// What the session is to log and to count.
    refused: Vec<Refusal>,
    lost: u64,
    /// Acknowledgements of what the client is not to see.
    hidden: Vec<Packet>,
}

impl PacketFilter {
    /// A client's front; `log_offsets` is of its earlier connection, if its session was kept.
    pub(crate) fn new(
        max_packet: usize,
        identity: Option<Arc<Identity>>,
        budget: Arc<Budget>,
        retained: Arc<Retained>,
        mut log_offsets: LogOffsets,
    ) -> Self {
        Self {
            max_packet,
            identity,
            budget,
            retained,
            topics: HashSet::new(),
            unacknowledged: VecDeque::new(),
            subscribing: VecDeque::new(),
            retained_replay: RetainedReplay::resumed(log_offsets.take_walks()),
            log_offsets,
            refused: Vec::new(),
            lost: 0,
            hidden: Vec::new(),
        }
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
            // what a PUBLISH says of its QoS has no public name
            let at_least_once = input.first().is_some_and(|first| first & 0b0010 != 0);
            let packet = match decode(input, self.max_packet) {
                Ok(packet) => packet,
                Err(DecodeError::Incomplete(bytes)) => return Ok(Flow::Read(bytes)),
                Err(DecodeError::Refused(refusal)) => return Err(refusal),
            };
            match packet {
                Packet::Publish(publish, _) => router.push(self.admit_publish(publish, at_least_once)?),
                Packet::PubAck(ack, _) if self.retained_replay.acknowledged(ack.pkid) => (),
                Packet::PubAck(ack, _) => router.extend(self.acknowledged(ack.pkid)),
                Packet::Subscribe(subscribe, _) => {
                    router.extend(self.admit_subscribe(subscribe, output)?);
                }
                Packet::Unsubscribe(unsubscribe, _) => {
                    router.push(self.admit_unsubscribe(unsubscribe, output)?);
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
        let mut hidden = false;
        if let Notification::Forward(forward) = &notification {
            let topic = std::str::from_utf8(&forward.publish.topic).unwrap_or_default();
            // the router goes on with a filter of a resumed session after it was unsubscribed from
            hidden = !self.log_offsets.leads_to(topic)
                || is_hidden(self.identity.as_deref(), &forward.publish.topic);
            if let (false, Some((_, number))) = (hidden, forward.cursor) {
                self.lost += self.log_offsets.sent(topic, number);
            }
        }
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
                self.unacknowledged.push_back((identifier, hidden));
            }
            (packet_type::SUBACK, _) => {
                let filters = self.subscribing.pop_front().unwrap_or_default();
                if filters.contains(&None) {
                    let answer = output.split_off(start);
                    write_suback(&answer[2..4], &filters, &answer[4..], output);
                }
                // unless it has unsubscribed since
                for filter in filters.iter().flatten().filter(|filter| self.log_offsets.knows(&filter.path)) {
                    self.retained_replay.begin(&filter.path, filter.qos);
                }
            }
            // answered already
            (packet_type::UNSUBACK, _) => output.truncate(start),
            _ => (),
        }
        if hidden {
            output.truncate(start);
            let acknowledged = self.in_order();
            self.hidden.extend(acknowledged);
        }
        Ok(true)
    }

    /// Whether there may be retained messages to write.
    pub(crate) fn can_replay(&self) -> bool {
        self.retained_replay.can_go_on()
    }

    /// Writes some of the retained messages that the client is still to get, while `output` is shorter than `room`; how many.
    pub(crate) fn replay(&mut self, output: &mut BytesMut, room: usize) -> usize {
        let Self { retained_replay, retained, identity, .. } = self;
        let is_hidden = |topic: &str| is_hidden(identity.as_deref(), topic.as_bytes());
        retained_replay.go_on(retained, is_hidden, output, room)
    }

    /// Acknowledgements of what was hidden since the last call, for the router.
    pub(crate) fn take_hidden(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.hidden)
    }

    /// Subscriptions that were refused since the last call: to be logged, and counted.
    pub(crate) fn take_refused(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.refused)
    }

    /// How many messages this client was found never to get, since the last call: to be logged, and counted.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// What is to be known of this connection on the next one.
    pub(crate) fn into_offsets(self) -> LogOffsets {
        self.log_offsets.left(self.retained_replay.rest())
    }

    /// The acknowledgements that can go to the router, now that the client has sent this one.
    fn acknowledged(&mut self, identifier: u16) -> Vec<Packet> {
        if let Some(entry) = self.unacknowledged.iter_mut().find(|(pkid, _)| *pkid == identifier) {
            entry.1 = true;
        }
        self.in_order()
    }

    fn in_order(&mut self) -> Vec<Packet> {
        let mut acks = Vec::new();
        while let Some((pkid, true)) = self.unacknowledged.front().copied() {
            self.unacknowledged.pop_front();
            acks.push(Packet::PubAck(PubAck { pkid, reason: PubAckReason::Success }, None));
        }
        acks
    }

    fn admit_publish(&mut self, mut publish: Publish, at_least_once: bool) -> Result<Packet, Refusal> {
        topic::admit(&publish.topic)?;
        // The router forwards at the QoS of the subscription: with an identifier, also what came without one. Nothing is to
        // go out longer than it may come in, or subscribers that have the same limit could not take it.
        let bytes = 2 + publish.topic.len() + 2 + publish.payload.len();
        if bytes > self.max_packet {
            return Err(Refusal::TooLong { bytes, limit: self.max_packet });
        }
        if self.identity.is_some() || publish.topic == internal::TOPIC {
            let hash = self.budget.hash(&publish.topic);
            if !self.topics.contains(&hash) {
                may_publish(self.identity.as_deref(), &self.budget, &publish.topic)?;
                if self.topics.len() < REMEMBERED {
                    self.topics.insert(hash);
                }
            }
        }
        (publish.topic, publish.payload) = copied(&publish.topic, &publish.payload);
        if publish.retain {
            // here before the router gets it, as `retained` wants it
            let qos = if at_least_once { QoS::AtLeastOnce } else { QoS::AtMostOnce };
            self.retained.keep(&publish.topic, publish.payload.clone(), qos)?;
            publish.retain = false;
        }
        Ok(Packet::Publish(publish, None))
    }

    /// The filters that may not be are answered with "failure", and the router does not see them.
    fn admit_subscribe(
        &mut self,
        mut subscribe: Subscribe,
        output: &mut BytesMut,
    ) -> Result<Option<Packet>, Refusal> {
        if subscribe.pkid == 0 {
            return Err(Refusal::Malformed(protocol::Error::PacketIdZero));
        }
        if subscribe.filters.len() > MAX_FILTERS {
            return Err(Refusal::Filters);
        }
        let mut filters = Vec::with_capacity(subscribe.filters.len());
        for mut filter in std::mem::take(&mut subscribe.filters) {
            if filter.qos == QoS::ExactlyOnce {
                filter.qos = QoS::AtLeastOnce;
            }
            let admitted = self.admit_filter(&filter.path);
            filters.push(admitted.is_ok().then_some(filter));
            self.refused.extend(admitted.err());
        }
        subscribe.filters.extend(filters.iter().flatten().cloned());
        if subscribe.filters.is_empty() {
            write_suback(&subscribe.pkid.to_be_bytes(), &filters, &[], output);
            return Ok(None);
        }
        self.subscribing.push_back(filters);
        Ok(Some(Packet::Subscribe(subscribe, None)))
    }

    fn admit_filter(&mut self, filter: &str) -> Result<(), Refusal> {
        topic::admit_filter(filter)?;
        if self.identity.as_ref().is_some_and(|identity| !identity.may_subscribe(filter)) {
            return Err(Refusal::Subscribe(filter.to_owned()));
        }
        let first = self.budget.filter(self.identity.as_deref(), filter)?;
        self.log_offsets.subscribed(filter, first);
        Ok(())
    }

    /// Answered here: the router does not answer for a filter that was not subscribed to, and once for each of the others.
    fn admit_unsubscribe(
        &mut self,
        unsubscribe: Unsubscribe,
        output: &mut BytesMut,
    ) -> Result<Packet, Refusal> {
        if unsubscribe.filters.len() > MAX_FILTERS {
            return Err(Refusal::Filters);
        }
        // all of them first: the router sees none of a packet that is refused
        unsubscribe.filters.iter().try_for_each(|filter| topic::admit_filter(filter))?;
        for filter in &unsubscribe.filters {
            self.log_offsets.unsubscribed(filter);
            self.retained_replay.end(filter);
        }
        output.put_slice(&[0xb0, 2]);
        output.put_u16(unsubscribe.pkid);
        Ok(Packet::Unsubscribe(unsubscribe, None))
    }
}

/// How many filters one SUBSCRIBE may have, so that its answer's length is one byte, and one UNSUBSCRIBE, so that it is short work.
const MAX_FILTERS: usize = 100;
/// How many topics a connection remembers that it may publish to, so as not to ask again.
const REMEMBERED: usize = 4096;

/// Whether somebody, or nobody in particular, may publish to a topic that is one.
fn may_publish(identity: Option<&Identity>, budget: &Budget, topic: &[u8]) -> Result<(), Refusal> {
    let text = std::str::from_utf8(topic).map_err(|_| Refusal::Topic)?;
    // what is not the watchdog's would put it out of step, and that is the end of the process
    if text == internal::TOPIC && !is_watchdog(identity) {
        return Err(Refusal::Publish(text.to_owned()));
    }
    let Some(identity) = identity else {
        return Ok(());
    };
    if !identity.may_publish(text) {
        return Err(Refusal::Publish(text.to_owned()));
    }
    budget.topic(identity, budget.hash(topic))
}

/// The watchdog's messages are nobody else's business, whatever filter finds them.
fn is_hidden(identity: Option<&Identity>, topic: &[u8]) -> bool {
    topic == internal::TOPIC.as_bytes() && !is_watchdog(identity)
}

fn is_watchdog(identity: Option<&Identity>) -> bool {
    identity.is_some_and(|identity| *identity.user == *internal::USER)
}

/// A copy of topic and payload, since the logs, and what is retained, would keep the whole network buffer for them.
fn copied(topic: &[u8], payload: &[u8]) -> (Bytes, Bytes) {
    let mut copy = BytesMut::with_capacity(topic.len() + payload.len());
    copy.put_slice(topic);
    copy.put_slice(payload);
    let mut payload = copy.freeze();
    (payload.split_to(topic.len()), payload)
}

/// A SUBACK: "failure" for those that were refused, the router's answers for the others.
fn write_suback(identifier: &[u8], filters: &[Option<Filter>], answers: &[u8], output: &mut BytesMut) {
    const FAILURE: u8 = 0x80;
    let mut answers = answers.iter();
    let length = u8::try_from(2 + filters.len()).expect("there are at most MAX_FILTERS");
    output.put_slice(&[0x90, length]);
    output.put_slice(identifier);
    output.extend(filters.iter().map(|filter| match filter {
        None => FAILURE,
        Some(_) => answers.next().copied().unwrap_or(FAILURE),
    }));
}

/// Why there is no packet yet.
enum DecodeError {
    /// At least so many more bytes are needed.
    Incomplete(usize),
    Refused(Refusal),
}

impl From<Refusal> for DecodeError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Takes one packet of those that a client may send out of `input`.
fn decode(input: &mut BytesMut, max_packet: usize) -> Result<Packet, DecodeError> {
    let first = input.first().ok_or(DecodeError::Incomplete(2))?;
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
        protocol::Error::InsufficientBytes(bytes) => DecodeError::Incomplete(bytes),
        protocol::Error::PayloadSizeLimitExceeded(bytes) => {
            Refusal::TooLong { bytes, limit: max_packet }.into()
        }
        error => DecodeError::Refused(error.into()),
    })
}

/// "Connection accepted" is the router's to say; these are the answers that refuse [MQTT 3.1.1, 3.2.2.3].
pub(crate) fn refused_connack(refusal: &Refusal) -> Option<Bytes> {
    let code = match refusal {
        Refusal::Version => 1,
        Refusal::ClientId | Refusal::ForeignId(_) => 2,
        Refusal::Full | Refusal::UserFull => 3,
        Refusal::Credentials => 4,
        Refusal::Will(_) | Refusal::Retained => 5,
        _ => return None,
    };
    Some(Bytes::copy_from_slice(&[0x20, 2, 0, code]))
}

#[cfg(test)]
mod tests;
