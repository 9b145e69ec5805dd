//! The task that owns the connection of a publisher.

use std::future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet, QoS};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::window::Window;
use super::{LinkState, Message};
use crate::Settings;
use crate::connection::{End, Pauses};

/// How long saying goodbye may take.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

struct Task {
    options: MqttOptions,
    stall: Duration,
    /// How many messages may be on their way; the queue holds back the rest.
    room: usize,
    queue: mpsc::Receiver<Message>,
    window: Window,
    state: Arc<watch::Sender<LinkState>>,
    closing: watch::Receiver<Option<Instant>>,
    /// Whether a connection was accepted before.
    connected_before: bool,
    /// Whether an acknowledgement came on the present connection.
    of_use: bool,
}

pub(super) async fn run(
    settings: Settings,
    queue: mpsc::Receiver<Message>,
    state: Arc<watch::Sender<LinkState>>,
    closing: watch::Receiver<Option<Instant>>,
) {
    let mut options = settings.options("pub");
    // what is not acknowledged is kept here, and nothing is received
    options.set_clean_session(true);
    if let Some(will) = settings.will() {
        options.set_last_will(will);
    }
    let client = options.client_id();
    let mut pauses = Pauses::new(&settings);
    let mut task = Task {
        room: options.inflight().into(),
        options,
        stall: settings.stall,
        queue,
        window: Window::default(),
        state,
        closing,
        connected_before: false,
        of_use: false,
    };
    loop {
        let start = Instant::now();
        let end = task.connection().await;
        task.state.send_modify(|state| {
            state.connected = false;
            state.queued += state.in_flight;
            state.in_flight = 0;
            state.trouble = match end {
                End::Closed => None,
                _ => Some(end.to_string()),
            };
        });
        if matches!(end, End::Closed) {
            break;
        }
        let closing = task.closing.clone();
        tokio::select! {
            () = pauses.after(&client, start, task.of_use, &end) => (),
            () = given_up(closing, &task.window, &task.queue) => break,
        }
    }
}

impl Drop for Task {
    /// However it ends: nobody is to wait any longer.
    fn drop(&mut self) {
        self.state.send_modify(|state| {
            state.connected = false;
            state.closed = true;
        });
    }
}

/// Completes when there is no reason to connect again.
async fn given_up(
    mut closing: watch::Receiver<Option<Instant>>,
    window: &Window,
    queue: &mpsc::Receiver<Message>,
) {
    match closing.wait_for(Option::is_some).await.map(|deadline| *deadline) {
        Ok(Some(deadline)) if !window.is_empty() || !queue.is_empty() => {
            sleep_until(deadline).await;
        }
        // closed with nothing left, or dropped
        _ => (),
    }
}

/// Completes at the deadline, if there is one.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => future::pending::<()>().await,
    }
}

/// Gives a message to the event loop, which sends it when it is polled.
fn hand_over(client: &AsyncClient, message: &Message) {
    let Message { topic, payload, retain } = message;
    client
        .try_publish(topic, QoS::AtLeastOnce, *retain, payload.as_slice())
        .expect("the channel holds the whole window, and topics with wildcards were refused");
}

impl Task {
    /// One connection, from connecting to its end.
    async fn connection(&mut self) -> End {
        self.of_use = false;
        let (client, mut events) = AsyncClient::new(self.options.clone(), self.room + 1);
        let mut connected = false;
        let mut progress = Instant::now();
        let mut closing = self.closing.clone();
        let mut deadline = None;
        let mut goodbye = false;
        loop {
            // never cancelled but to throw the whole connection away: a cancelled poll may lose a packet
            let mut poll = pin!(events.poll());
            let event = loop {
                let none_left = self.window.is_empty() && self.queue.is_empty();
                if deadline.is_some() && none_left && !goodbye {
                    if !connected {
                        return End::Closed;
                    }
                    goodbye = client.try_disconnect().is_ok();
                }
                let room = connected && !goodbye && self.window.len() < self.room;
                // a closed queue that is empty would say so at once, each time
                let more = !self.queue.is_closed() || !self.queue.is_empty();
                tokio::select! {
                    event = &mut poll => break event,
                    Some(message) = self.queue.recv(), if room && more => {
                        if self.window.is_empty() {
                            progress = Instant::now();
                        }
                        hand_over(&client, &message);
                        self.window.push(message);
                        self.state.send_modify(|state| {
                            state.queued -= 1;
                            state.in_flight += 1;
                        });
                    }
                    () = sleep_until(progress + self.stall), if connected && !self.window.is_empty() => {
                        return End::Stalled(self.stall);
                    }
                    asked = closing.wait_for(Option::is_some), if deadline.is_none() => match asked {
                        Ok(asked) => {
                            deadline = *asked;
                            self.queue.close();
                        }
                        // dropped, by everybody who could close it
                        Err(_) => return End::Closed,
                    },
                    () = until(deadline) => return End::Closed,
                }
            };
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    connected = true;
                    progress = Instant::now();
                    self.accepted(&client);
                }
                Ok(Event::Outgoing(Outgoing::Publish(identifier))) => self.window.sent(identifier),
                Ok(Event::Incoming(Packet::PubAck(ack))) => {
                    if self.window.acknowledged(ack.pkid) {
                        self.of_use = true;
                        progress = Instant::now();
                        self.state.send_modify(|state| {
                            state.in_flight -= 1;
                            state.acknowledged += 1;
                        });
                    }
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return End::Closed,
                Ok(_) => (),
                Err(error) => return error.into(),
            }
        }
    }

    /// The broker has accepted a connection: what was on its way on the last one is sent again, first of all.
    fn accepted(&mut self, client: &AsyncClient) {
        for message in self.window.restart() {
            hand_over(client, message);
        }
        let again = self.window.len();
        let reconnected = std::mem::replace(&mut self.connected_before, true);
        self.state.send_modify(|state| {
            state.connected = true;
            state.trouble = None;
            state.queued -= again;
            state.in_flight = again;
            state.resent += again as u64;
            state.reconnects += u64::from(reconnected);
        });
    }
}
