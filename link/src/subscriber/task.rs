//! The task that owns the connection of a subscriber.

use std::pin::pin;

use rumqttc::{
    AsyncClient, Event, MqttOptions, Outgoing, Packet, Publish, QoS, SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Delivery;
use super::inbox::{Inbox, Token};
use crate::Settings;
use crate::connection::{End, Pauses};

/// How many requests may lie before the event loop; acknowledgements that find no room wait here.
const REQUESTS: usize = 1000;

struct Task {
    options: MqttOptions,
    filters: Vec<String>,
    deliveries: mpsc::Sender<Delivery>,
    acks: mpsc::UnboundedReceiver<Token>,
    inbox: Inbox,
    subscribed: watch::Sender<bool>,
    closing: watch::Receiver<bool>,
    /// Whether something was acknowledged on the present connection.
    of_use: bool,
}

pub(super) async fn run(
    settings: Settings,
    filters: Vec<String>,
    deliveries: mpsc::Sender<Delivery>,
    acks: mpsc::UnboundedReceiver<Token>,
    subscribed: watch::Sender<bool>,
    closing: watch::Receiver<bool>,
) {
    let mut options = settings.options("sub");
    // what comes while there is no connection is kept by the broker, as far as it goes
    options.set_clean_session(false).set_manual_acks(true);
    let client = options.client_id();
    let mut pauses = Pauses::new(&settings);
    let mut task = Task {
        options,
        filters,
        deliveries,
        acks,
        inbox: Inbox::default(),
        subscribed,
        closing,
        of_use: false,
    };
    loop {
        let start = Instant::now();
        let end = task.connection().await;
        task.subscribed.send_replace(false);
        let mut closing = task.closing.clone();
        tokio::select! {
            biased;
            // closed, or dropped
            _ = closing.wait_for(|closing| *closing) => break,
            () = pauses.after(&client, start, task.of_use, &end) => (),
        }
    }
}

impl Task {
    /// One connection, from connecting to its end.
    async fn connection(&mut self) -> End {
        self.of_use = false;
        self.inbox.restart();
        let (client, mut events) = AsyncClient::new(self.options.clone(), REQUESTS);
        let mut connected = false;
        let mut closing = self.closing.clone();
        let mut asked = false;
        let mut goodbye = false;
        loop {
            // never cancelled but to throw the whole connection away: a cancelled poll may lose a packet
            let mut poll = pin!(events.poll());
            let event = loop {
                self.acknowledge(&client);
                if asked
                    && !goodbye
                    && self.acks.is_closed()
                    && self.acks.is_empty()
                    && self.inbox.next().is_none()
                {
                    if !connected {
                        return End::Closed;
                    }
                    goodbye = client.try_disconnect().is_ok();
                }
                tokio::select! {
                    event = &mut poll => break event,
                    Some(token) = self.acks.recv() => self.inbox.done(&token),
                    closing = closing.wait_for(|closing| *closing), if !asked => match closing {
                        Ok(_) => asked = true,
                        Err(_) => return End::Closed,
                    },
                }
            };
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    connected = true;
                    // also when the broker says that it has kept the session: it may have kept other filters
                    let filters = self
                        .filters
                        .iter()
                        .map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
                    client
                        .try_subscribe_many(filters)
                        .expect("the channel is empty, and the filters were checked");
                }
                Ok(Event::Incoming(Packet::SubAck(answer))) => {
                    let refused =
                        answer.return_codes.iter().position(|code| *code == SubscribeReasonCode::Failure);
                    if let Some(refused) = refused {
                        let filter = self.filters.get(refused).cloned().unwrap_or_default();
                        return End::SubscriptionRefused(filter);
                    }
                    self.subscribed.send_replace(true);
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let token = self.inbox.received(publish.pkid);
                    let Publish { topic, payload, .. } = publish;
                    let delivery = Delivery { topic, payload: payload.into(), token };
                    // Waits when the consumer is behind by the whole queue, which it can be only at QoS 0 or with a
                    // broker that sends more than the queue holds. The connection then waits with it, unread.
                    if self.deliveries.send(delivery).await.is_err() {
                        return End::Closed;
                    }
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return End::Closed,
                Ok(_) => (),
                Err(error) => return error.into(),
            }
        }
    }

    /// Hands the acknowledgements that are due to the event loop, as far as it has room.
    fn acknowledge(&mut self, client: &AsyncClient) {
        while let Some(identifier) = self.inbox.next() {
            let mut publish = Publish::new("", QoS::AtLeastOnce, []);
            publish.pkid = identifier;
            if identifier != 0 && client.try_ack(&publish).is_err() {
                return;
            }
            self.of_use = true;
            self.inbox.advance();
        }
    }
}
