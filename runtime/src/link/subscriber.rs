//! The receiving half.

mod inbox;
mod task;

use std::fmt;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use self::inbox::Token;
use self::task::Told;
use crate::link::Settings;

/// Receives messages, and acknowledges each when told to.
///
/// The broker keeps its session over a lost connection, with the messages that come meanwhile, as far as the broker
/// does; after that, and whenever an acknowledgement is lost, messages come again. A broker sends only so many
/// messages before it wants acknowledgements (rumqttd 100, mosquitto 20): up to so many can be gathered for one
/// commit.
///
/// A message over [`Settings::max_packet`], whatever its length, or with a topic that is not UTF-8 is passed over: no
/// publisher of ours sends one, and a connection that ended with it would be sent it again, for ever.
#[derive(Debug)]
pub struct Subscriber {
    deliveries: mpsc::Receiver<Delivery>,
    acks: mpsc::UnboundedSender<Token>,
    subscribed: watch::Receiver<bool>,
    trouble: watch::Receiver<Option<String>>,
    passed_over: watch::Receiver<u64>,
    close: watch::Sender<bool>,
}

/// A message that was received, and is to be given back to [`Subscriber::ack`]. If it is dropped instead, the broker
/// sends it again on the next connection, and nothing that came after it counts as acknowledged before that.
#[derive(Eq, PartialEq)]
#[must_use = "a delivery that is not acknowledged holds up those after it"]
pub struct Delivery {
    /// The topic.
    pub topic: String,
    /// The message.
    pub payload: Vec<u8>,
    token: Token,
}

impl Subscriber {
    /// Starts to connect and to subscribe to the filters at QoS 1, on the current tokio runtime, and goes on until it
    /// is closed or dropped.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime; when there is no filter, or one with a wildcard in the wrong place.
    pub fn connect(settings: Settings, filters: Vec<String>) -> Self {
        assert!(!filters.is_empty(), "a subscriber needs a filter");
        for filter in &filters {
            assert!(rumqttc::valid_filter(filter), "{filter:?} is not a filter");
        }
        let (sender, deliveries) = mpsc::channel(settings.queue.max(1));
        let (acks, acked) = mpsc::unbounded_channel();
        let (subscribed, is_subscribed) = watch::channel(false);
        let (close, closing) = watch::channel(false);
        let (troubled, trouble) = watch::channel(None);
        let (passing_over, passed_over) = watch::channel(0);
        let told = Told { subscribed, trouble: troubled, passed_over: passing_over };
        tokio::spawn(task::run(settings, filters, sender, acked, told, closing));
        Self { deliveries, acks, subscribed: is_subscribed, trouble, passed_over, close }
    }

    /// The next delivery; `None` after the end. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }

    /// The next delivery if there is one already, to gather a group for one commit.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        self.deliveries.try_recv().ok()
    }

    /// Acknowledges a delivery to the broker, which then does not send it again. Acknowledgements leave in the order
    /// in which the deliveries came, whatever the order of these calls. Those for deliveries of an earlier connection
    /// are ignored, since the broker has sent them again.
    pub fn ack(&self, delivery: Delivery) {
        // an error is that the task has ended, with the connection
        drop(self.acks.send(delivery.token));
    }

    /// Whether the broker has confirmed the subscription on the present connection.
    pub fn subscribed(&self) -> watch::Receiver<bool> {
        self.subscribed.clone()
    }

    /// Why there was no connection, or no subscription, the last time there was none, and what to look at.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.clone()
    }

    /// How many messages were passed over: acknowledged, and not delivered.
    pub fn passed_over(&self) -> u64 {
        *self.passed_over.borrow()
    }

    /// Sends the acknowledgements that were asked for, says goodbye to the broker, which keeps the session, and ends;
    /// within about a second.
    pub async fn close(self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        let Self { deliveries, acks, mut subscribed, close, .. } = self;
        // no more acknowledgements: the task takes what was asked for first
        drop(acks);
        close.send_replace(true);
        // an error is the news: the task has ended
        let ended = async { while subscribed.changed().await.is_ok() {} };
        drop(timeout(PATIENCE, ended).await);
        drop(deliveries);
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("topic", &self.topic)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}
