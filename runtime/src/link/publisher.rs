//! The sending half.

mod task;
mod topic;
mod window;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::link::Settings;
use crate::service::Parts;

/// Something to publish at QoS 1.
#[derive(Clone, Eq, PartialEq)]
pub struct Message {
    /// 1 to 512 bytes of printable ASCII, without wildcards, not starting with `$`.
    pub topic: String,
    /// Any bytes, as far as the packet stays within [`Settings::max_packet`].
    pub payload: Vec<u8>,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

impl From<Parts> for Message {
    fn from((topic, payload, retain): Parts) -> Self {
        Self { topic, payload, retain }
    }
}

/// Sends messages, and keeps each until the broker has acknowledged it.
///
/// Every clone is the same publisher. When the last one is dropped without [`close`](Self::close), what is not yet
/// sent is lost, and the broker publishes the last will.
#[derive(Clone, Debug)]
pub struct Publisher {
    queue: mpsc::Sender<Message>,
    state: Arc<watch::Sender<LinkState>>,
    close: Arc<watch::Sender<Option<Instant>>>,
    max_packet: usize,
}

/// How a publisher is doing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct LinkState {
    /// Whether the broker has accepted the present connection.
    pub connected: bool,
    /// Messages that wait to be sent.
    pub queued: usize,
    /// Messages that were sent, and are not yet acknowledged.
    pub in_flight: usize,
    /// Messages that the broker has acknowledged, ever.
    pub acknowledged: u64,
    /// Connections that were accepted after the first one.
    pub reconnects: u64,
    /// Messages that were sent again on a later connection.
    pub resent: u64,
    /// Why there was no connection the last time there was none, and what to look at.
    pub trouble: Option<String>,
    /// Whether the publisher has ended.
    pub closed: bool,
}

impl LinkState {
    /// How many messages were ever queued.
    fn accepted(&self) -> u64 {
        self.acknowledged + (self.queued + self.in_flight) as u64
    }
}

impl Publisher {
    /// Starts to connect, on the current tokio runtime, and goes on until it is closed or dropped.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn connect(settings: Settings) -> Self {
        let (queue, messages) = mpsc::channel(settings.queue.max(1));
        let state = Arc::new(watch::Sender::new(LinkState::default()));
        let (close, closing) = watch::channel(None);
        let max_packet = settings.max_packet;
        tokio::spawn(task::run(settings, messages, Arc::clone(&state), closing));
        Self { queue, state, close: Arc::new(close), max_packet }
    }

    /// Queues a message; waits while the queue is full. Cancel-safe: when cancelled, the message is not queued.
    ///
    /// # Errors
    ///
    /// [`PublishError`], never [`PublishError::Full`].
    pub async fn publish(&self, message: Message) -> Result<(), PublishError> {
        let message = self.admit(message)?;
        match self.queue.reserve().await {
            Ok(permit) => {
                self.state.send_modify(|state| state.queued += 1);
                permit.send(message);
                Ok(())
            }
            Err(_) => Err(PublishError::Closed(message)),
        }
    }

    /// Queues a message if there is room.
    ///
    /// # Errors
    ///
    /// [`PublishError`]
    pub fn try_publish(&self, message: Message) -> Result<(), PublishError> {
        let message = self.admit(message)?;
        match self.queue.try_reserve() {
            Ok(permit) => {
                self.state.send_modify(|state| state.queued += 1);
                permit.send(message);
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(())) => Err(PublishError::Full(message)),
            Err(mpsc::error::TrySendError::Closed(())) => Err(PublishError::Closed(message)),
        }
    }

    /// Waits until the broker has acknowledged everything queued so far, or the publisher has ended. Cancel-safe.
    pub async fn flush(&self) {
        let mut state = self.state.subscribe();
        let target = state.borrow().accepted();
        // an error cannot be: we hold the sender
        drop(state.wait_for(|state| state.acknowledged >= target || state.closed).await);
    }

    /// How it is doing, to look at or to wait for changes of.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    /// Which connection this is, counted from 0; `None` while there is none.
    pub fn connection(&self) -> Option<u64> {
        let state = self.state.borrow();
        state.connected.then_some(state.reconnects)
    }

    /// Takes no more messages, waits until all are acknowledged but no longer than `patience`, says goodbye to the
    /// broker, which then does not publish the last will, and ends. Returns how many messages were left over.
    pub async fn close(self, patience: Duration) -> usize {
        let deadline = Instant::now() + patience;
        self.close.send_replace(Some(deadline));
        let mut state = self.state.subscribe();
        let ended = timeout_at(deadline + task::FAREWELL, state.wait_for(|state| state.closed)).await;
        drop(ended);
        let state = self.state.borrow();
        state.queued + state.in_flight
    }

    fn admit(&self, message: Message) -> Result<Message, PublishError> {
        // topic and its length, packet identifier, payload [MQTT 3.1.1, 3.3]
        let bytes = 2 + message.topic.len() + 2 + message.payload.len();
        if !topic::is_fit(&message.topic) {
            Err(PublishError::Topic(message))
        } else if bytes > self.max_packet {
            Err(PublishError::TooLong { bytes, limit: self.max_packet, message })
        } else {
            Ok(message)
        }
    }
}

/// Why a message was not queued; gives it back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The packet would be over the limit.
    #[error("a packet of {bytes} bytes on {} is over the limit of {limit}", message.topic)]
    TooLong {
        /// Its size in bytes.
        bytes: usize,
        /// [`Settings::max_packet`].
        limit: usize,
        /// The message.
        message: Message,
    },
    /// The topic is none that a broker takes.
    #[error("{:?} is not a topic: 1 to 512 bytes of printable ASCII, without + and #, not starting with $", .0.topic)]
    Topic(Message),
    /// The queue is full.
    #[error("the queue is full")]
    Full(Message),
    /// The publisher has ended.
    #[error("the publisher is closed")]
    Closed(Message),
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic)
            .field("bytes", &self.payload.len())
            .field("retain", &self.retain)
            .finish_non_exhaustive()
    }
}
