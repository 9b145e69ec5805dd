//! The task that owns the connection of a publisher.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::mqttbytes::v4;
use rumqttc::{Packet, QoS};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::window::Window;
use super::{LinkState, Message};
use crate::link::Settings;
use crate::link::connection::{End, Pauses};
use crate::link::wire::{Incoming, Wire};

/// How long saying goodbye may take.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

struct Task {
    settings: Settings,
    connect: v4::Connect,
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
    /// Connections that were tried before.
    attempt: usize,
}

pub(super) async fn run(
    settings: Settings,
    queue: mpsc::Receiver<Message>,
    state: Arc<watch::Sender<LinkState>>,
    closing: watch::Receiver<Option<Instant>>,
) {
    // what is not acknowledged is kept here, and nothing is received
    let mut connect = settings.connect("pub");
    connect.last_will = settings.will();
    let client = connect.client_id.clone();
    let mut pauses = Pauses::new(&settings);
    let mut task = Task {
        room: settings.inflight.max(1).into(),
        settings,
        connect,
        queue,
        window: Window::default(),
        state,
        closing,
        connected_before: false,
        of_use: false,
        attempt: 0,
    };
    loop {
        let start = Instant::now();
        let end = task.connection().await;
        task.attempt += 1;
        let trouble = end.told(&task.settings);
        task.state.send_modify(|state| {
            state.connected = false;
            state.queued += state.in_flight;
            state.in_flight = 0;
            state.trouble = match end {
                End::Closed => None,
                _ => Some(trouble),
            };
        });
        if matches!(end, End::Closed) {
            break;
        }
        let closing = task.closing.clone();
        tokio::select! {
            () = pauses.after(&task.settings, &client, (start, task.of_use), &end) => (),
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

/// A message as a packet.
fn packet(message: &Message, identifier: u16) -> Packet {
    let mut publish = v4::Publish::new(&message.topic, QoS::AtLeastOnce, message.payload.as_slice());
    publish.retain = message.retain;
    publish.pkid = identifier;
    Packet::Publish(publish)
}

impl Task {
    /// One connection, from connecting to its end.
    async fn connection(&mut self) -> End {
        self.of_use = false;
        let mut closing = self.closing.clone();
        let opened = tokio::select! {
            opened = Wire::open(&self.settings, self.attempt, self.connect.clone()) => opened,
            () = given_up(closing.clone(), &self.window, &self.queue) => Err(End::Closed),
        };
        let mut wire = match opened {
            Ok(wire) => wire,
            Err(end) => return end,
        };
        if let Err(end) = self.accepted(&mut wire) {
            return end;
        }
        let mut progress = Instant::now();
        let mut deadline = None;
        loop {
            if deadline.is_some() && self.window.is_empty() && self.queue.is_empty() {
                return wire.close().await.err().unwrap_or(End::Closed);
            }
            // a closed queue that is empty would say so at once, each time
            let more = !self.queue.is_closed() || !self.queue.is_empty();
            let stall = self.settings.stall;
            tokio::select! {
                packet = wire.next() => match packet {
                    Ok(Incoming::Packet(Packet::PubAck(ack))) => if self.window.acknowledged(ack.pkid) {
                        self.of_use = true;
                        progress = Instant::now();
                        self.state.send_modify(|state| {
                            state.in_flight -= 1;
                            state.acknowledged += 1;
                        });
                    },
                    Ok(_) => (),
                    Err(end) => return end,
                },
                Some(message) = self.queue.recv(), if more && self.window.len() < self.room => {
                    if self.window.is_empty() {
                        progress = Instant::now();
                    }
                    let identifier = self.window.push(message);
                    let sent = self.window.last().map_or(Ok(()), |message| wire.send(&packet(message, identifier)));
                    self.state.send_modify(|state| {
                        state.queued -= 1;
                        state.in_flight += 1;
                    });
                    if let Err(end) = sent {
                        return end;
                    }
                }
                () = sleep_until(progress + stall), if !self.window.is_empty() => {
                    return End::Stalled(stall);
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
        }
    }

    /// The broker has accepted a connection: what was on its way on the last one is sent again, first of all.
    fn accepted(&mut self, wire: &mut Wire) -> Result<(), End> {
        for (message, identifier) in self.window.restart() {
            wire.send(&packet(message, identifier))?;
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
        Ok(())
    }
}
