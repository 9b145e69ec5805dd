//! The task that owns the connection of a subscriber.

use std::time::Duration;

use rumqttc::mqttbytes::v4;
use rumqttc::{Packet, QoS, SubscribeFilter, SubscribeReasonCode};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::warn;

use super::Delivery;
use super::inbox::{Inbox, Token};
use crate::link::Settings;
use crate::link::connection::{End, Pauses};
use crate::link::wire::{Incoming, Unfit, Wire};

/// For how long a connection is subscribed until it counts as one of use though nothing came.
const WHILE: Duration = Duration::from_secs(5);
/// How long nothing is said of messages that can't be delivered after something was.
const PAUSE: Duration = Duration::from_mins(1);
/// How many characters are said of a topic, which is anybody's.
const TOPIC: usize = 128;

struct Task {
    settings: Settings,
    connect: v4::Connect,
    filters: Vec<String>,
    deliveries: mpsc::Sender<Delivery>,
    acks: mpsc::UnboundedReceiver<Token>,
    inbox: Inbox,
    subscribed: watch::Sender<bool>,
    /// How many messages could not be delivered, ever, and when that was last said.
    passed_over: watch::Sender<u64>,
    said: Option<Instant>,
    closing: watch::Receiver<bool>,
    /// Whether something was acknowledged on the present connection, or it was subscribed for a while.
    of_use: bool,
    /// Connections that were tried before.
    attempt: usize,
}

/// What others are told of the task.
pub(super) struct Told {
    pub(super) subscribed: watch::Sender<bool>,
    pub(super) trouble: watch::Sender<Option<String>>,
    pub(super) passed_over: watch::Sender<u64>,
}

pub(super) async fn run(
    settings: Settings,
    filters: Vec<String>,
    deliveries: mpsc::Sender<Delivery>,
    acks: mpsc::UnboundedReceiver<Token>,
    Told { subscribed, trouble, passed_over }: Told,
    closing: watch::Receiver<bool>,
) {
    let mut connect = settings.connect("sub");
    // what comes while there is no connection is kept by the broker, as far as it goes
    connect.clean_session = !settings.keep_session;
    let client = connect.client_id.clone();
    let mut pauses = Pauses::new(&settings);
    let mut task = Task {
        settings,
        connect,
        filters,
        deliveries,
        acks,
        inbox: Inbox::default(),
        subscribed,
        passed_over,
        said: None,
        closing,
        of_use: false,
        attempt: 0,
    };
    loop {
        let start = Instant::now();
        let end = task.connection().await;
        task.attempt += 1;
        task.subscribed.send_replace(false);
        trouble.send_replace(Some(end.told(&task.settings)));
        let mut closing = task.closing.clone();
        tokio::select! {
            biased;
            // closed, or dropped
            _ = closing.wait_for(|closing| *closing) => break,
            () = pauses.after(&task.settings, &client, (start, task.of_use), &end) => (),
        }
    }
}

impl Task {
    /// One connection, from connecting to its end.
    async fn connection(&mut self) -> End {
        self.of_use = false;
        self.inbox.restart();
        let mut closing = self.closing.clone();
        let opened = tokio::select! {
            opened = Wire::open(&self.settings, self.attempt, self.connect.clone()) => opened,
            // closed, or dropped
            _ = closing.wait_for(|closing| *closing) => Err(End::Closed),
        };
        let mut wire = match opened {
            Ok(wire) => wire,
            Err(end) => return end,
        };
        // also when the broker says that it has kept the session: it may have kept other filters
        let filters =
            self.filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
        let mut subscribe = v4::Subscribe::new_many(filters);
        subscribe.pkid = 1;
        if let Err(end) = wire.send(&Packet::Subscribe(subscribe)) {
            return end;
        }
        let (mut asked, mut since) = (false, None::<Instant>);
        loop {
            if let Err(end) = self.acknowledge(&mut wire) {
                return end;
            }
            if asked && self.acks.is_closed() && self.acks.is_empty() && self.inbox.next().is_none() {
                return wire.close().await.err().unwrap_or(End::Closed);
            }
            let packet = tokio::select! {
                packet = wire.next() => packet,
                Some(token) = self.acks.recv() => {
                    self.inbox.done(&token);
                    continue;
                }
                closing = closing.wait_for(|closing| *closing), if !asked => match closing {
                    Ok(_) => {
                        asked = true;
                        continue;
                    }
                    Err(_) => return End::Closed,
                },
            };
            match packet {
                Ok(Incoming::Packet(Packet::SubAck(answer))) => {
                    let refused =
                        answer.return_codes.iter().position(|code| *code == SubscribeReasonCode::Failure);
                    if let Some(refused) = refused {
                        let filter = self.filters.get(refused).cloned().unwrap_or_default();
                        return End::SubscriptionRefused(filter);
                    }
                    self.subscribed.send_replace(true);
                    since = Some(Instant::now());
                }
                Ok(Incoming::Packet(Packet::Publish(publish))) => {
                    let token = self.inbox.received(publish.pkid);
                    let v4::Publish { topic, payload, .. } = publish;
                    let delivery = Delivery { topic, payload: payload.into(), token };
                    // Waits when the consumer is behind by the whole queue, which it can be only at QoS 0 or with a
                    // broker that sends more than the queue holds. The connection then waits with it, unread.
                    if self.deliveries.send(delivery).await.is_err() {
                        return End::Closed;
                    }
                }
                Ok(Incoming::Unfit(message)) => {
                    // done with: it would come again on every connection
                    let token = self.inbox.received(message.identifier);
                    self.inbox.done(&token);
                    self.passed_over(&message);
                }
                Ok(_) => (),
                Err(end) => {
                    self.of_use |= since.is_some_and(|since| since.elapsed() >= WHILE);
                    return end;
                }
            }
        }
    }

    /// Counts a message that can't be delivered, and says so once in a while: whoever sends one can send many.
    fn passed_over(&mut self, Unfit { topic, bytes, .. }: &Unfit) {
        let total = *self.passed_over.borrow() + 1;
        self.passed_over.send_replace(total);
        let now = Instant::now();
        if self.said.is_none_or(|said| now - said >= PAUSE) {
            self.said = Some(now);
            let topic: String = topic.chars().take(TOPIC).collect();
            warn!(
                client = self.connect.client_id,
                topic,
                bytes,
                limit = self.settings.max_packet,
                total,
                "passed over a message that is over the limit, or whose topic is no text"
            );
        }
    }

    /// Queues the acknowledgements that are due.
    fn acknowledge(&mut self, wire: &mut Wire) -> Result<(), End> {
        while let Some(identifier) = self.inbox.next() {
            if identifier != 0 {
                wire.send(&Packet::PubAck(v4::PubAck::new(identifier)))?;
            }
            self.of_use = true;
            self.inbox.advance();
        }
        Ok(())
    }
}
