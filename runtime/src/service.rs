//! The one service loop: deliveries, time, and what a role receives from elsewhere, under group commits.
//!
//! A [`Role`] is pure but for its store. The loop around it owns the connections to the broker. What must stay true:
//! * a delivery is acknowledged, and an answer is published, only after the commit that makes both durable;
//! * a delivery waits at most 20 ms ([`GATHER`]) for others under the same commit, and not at all when it has an answer;
//! * an error of the role or its store ends the service: the process is to stop and to be started again.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tracing::{debug, error, info, warn};

use crate::link::{Delivery, Message, PublishError, Publisher, Settings, Subscriber, Will};
use crate::telemetry;

/// How long changes wait at most for others under their commit.
pub const GATHER: Duration = Duration::from_millis(20);

/// The most deliveries under one commit; a broker may send no more before it has acknowledgements (rumqttd 100).
const GROUP: usize = 96;

/// How long a role waits at its end for the broker to acknowledge what it has published.
const FAREWELL: Duration = Duration::from_secs(1);

/// Topic, payload, and whether the broker retains the message: a message, for crates that do not know this one.
pub type Parts = (String, Vec<u8>, bool);

/// One party's role, as the loop drives it.
pub trait Role: Send {
    /// What the role receives from elsewhere than the broker: readings, or an operator's requests.
    type Input: Send;
    /// A message to publish.
    type Outgoing: Into<Parts> + Send;

    /// How often time passes for the role.
    const TICK: Duration;
    /// Messages that may wait for the broker.
    const QUEUE: usize;
    /// Whether the role does its work before the broker is reachable.
    const READY_AT_ONCE: bool;

    /// The subscriptions.
    fn filters(&self) -> Vec<String>;

    /// The last message of all; also the last will.
    fn goodbye(&self) -> Self::Outgoing;

    /// The status message, if one is due; `connection` is another number on every connection.
    fn status(&mut self, connection: u64) -> Option<Self::Outgoing>;

    /// What to publish as soon as the broker has confirmed the subscriptions.
    fn greeting(&mut self) -> Vec<Self::Outgoing> {
        Vec::new()
    }

    /// Receives a delivery.
    ///
    /// # Errors
    ///
    /// If the store fails.
    fn receive(&mut self, topic: &str, payload: &[u8]) -> anyhow::Result<Outcome<Self::Outgoing>>;

    /// Lets time pass.
    ///
    /// # Errors
    ///
    /// If the store fails.
    fn tick(&mut self) -> anyhow::Result<Vec<Self::Outgoing>>;

    /// Whether the role accepts another input now.
    fn accepts_input(&self) -> bool {
        true
    }

    /// Waits for the next input; cancel-safe.
    fn input(&mut self) -> impl Future<Output = Self::Input> + Send;

    /// Processes an input.
    ///
    /// # Errors
    ///
    /// If the store fails, or as the role says.
    fn process(&mut self, input: Self::Input) -> anyhow::Result<Vec<Self::Outgoing>>;

    /// Makes everything durable.
    ///
    /// # Errors
    ///
    /// If the store fails.
    fn commit(&mut self) -> anyhow::Result<()>;

    /// Called after every commit; whether the role has ended by itself.
    fn has_ended(&mut self) -> bool {
        false
    }

    /// Prepares the last commit.
    ///
    /// # Errors
    ///
    /// If the store fails.
    fn stop(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// What comes of a delivery.
#[derive(Debug)]
pub struct Outcome<O> {
    /// What to publish after the commit.
    pub sends: Vec<O>,
    /// Why the delivery was refused, if it was.
    pub refusal: Option<Refusal>,
}

/// Why a delivery was refused; it is acknowledged all the same.
#[derive(Debug)]
pub struct Refusal {
    /// The rule's name.
    pub rule: &'static str,
    /// What was found and what was expected.
    pub detail: String,
    /// How the refusal is logged.
    pub level: tracing::Level,
}

/// Runs a role until `shutdown`, or until it has ended by itself.
///
/// # Errors
///
/// An error of the role or its store.
pub async fn run<R: Role>(
    role: &mut R,
    link: Settings,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (publisher, subscriber) = connect(role, link);
    let mut subscribed = subscriber.subscribed();
    let mut tick = tokio::time::interval(R::TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shutdown = std::pin::pin!(shutdown);
    let mut group = Group::new(publisher, subscriber);
    if R::READY_AT_ONCE {
        telemetry::ready();
    }
    loop {
        let accepts_input = role.accepts_input();
        tokio::select! {
            () = &mut shutdown => break,
            Ok(()) = subscribed.changed() => {
                if *subscribed.borrow_and_update() {
                    info!("listening");
                    telemetry::ready();
                    group.open(role.greeting());
                }
            }
            _ = tick.tick() => {
                group.open(telemetry::timed("tick", || role.tick())?);
                // a role that does not listen is not up
                if *subscribed.borrow() && let Some(connection) = group.publisher.connection() {
                    group.sends.extend(role.status(connection));
                }
                group.due = Instant::now();
            }
            () = tokio::time::sleep_until(group.due), if group.is_open => {}
            input = role.input(), if accepts_input => group.open(role.process(input)?),
            delivery = group.subscriber.recv() => {
                let Some(first) = delivery else { break };
                group.receive(role, first)?;
            }
        }
        if group.is_due() {
            group.close(role)?;
            if role.has_ended() {
                break;
            }
        }
    }
    telemetry::stopping();
    role.stop()?;
    let goodbye = role.goodbye();
    group.open(vec![goodbye]);
    group.close(role)?;
    let Group { publisher, subscriber, .. } = group;
    publisher.close(FAREWELL).await;
    subscriber.close().await;
    Ok(())
}

fn connect<R: Role>(role: &R, mut link: Settings) -> (Publisher, Subscriber) {
    let (topic, payload, retain) = role.goodbye().into();
    let listen = Settings { client_id: format!("{}-in", link.client_id), ..link.clone() };
    link.last_will = Some(Will { topic, payload, retain });
    link.queue = link.queue.max(R::QUEUE);
    (Publisher::connect(link), Subscriber::connect(listen, role.filters()))
}

/// What happened since the last commit.
struct Group<O> {
    publisher: Publisher,
    subscriber: Subscriber,
    deliveries: Vec<Delivery>,
    sends: Vec<O>,
    is_open: bool,
    /// When it is to be committed, if it is open.
    due: Instant,
}

impl<O: Into<Parts>> Group<O> {
    fn new(publisher: Publisher, subscriber: Subscriber) -> Self {
        let (deliveries, sends) = (Vec::with_capacity(GROUP), Vec::new());
        Self { publisher, subscriber, deliveries, sends, is_open: false, due: Instant::now() }
    }

    /// Something happened, and these are its answers.
    fn open(&mut self, sends: Vec<O>) {
        if !self.is_open {
            self.is_open = true;
            self.due = Instant::now() + GATHER;
        }
        self.sends.extend(sends);
    }

    /// Receives a delivery and those that came with it.
    fn receive<R: Role<Outgoing = O>>(&mut self, role: &mut R, first: Delivery) -> anyhow::Result<()> {
        let mut next = Some(first);
        while let Some(delivery) = next {
            let receive = || role.receive(&delivery.topic, &delivery.payload);
            let Outcome { sends, refusal } = telemetry::timed("handle", receive)?;
            if let Some(refusal) = refusal {
                telemetry::count_kind("wattveil_refused_total", refusal.rule, 1);
                log(&delivery.topic, &refusal);
            }
            self.open(sends);
            self.deliveries.push(delivery);
            next = if self.deliveries.len() < GROUP { self.subscriber.try_recv() } else { None };
        }
        Ok(())
    }

    /// Whether it waits no longer: its time is over, it is full, or somebody waits for what is to be sent.
    fn is_due(&self) -> bool {
        let is_full = self.deliveries.len() >= GROUP;
        self.is_open && (is_full || !self.sends.is_empty() || self.due <= Instant::now())
    }

    /// Makes everything durable, then acknowledges and publishes.
    fn close<R: Role>(&mut self, role: &mut R) -> anyhow::Result<()> {
        telemetry::timed("commit", || role.commit())?;
        telemetry::count("wattveil_messages_taken_total", self.deliveries.len() as u64);
        telemetry::total("wattveil_messages_passed_over_total", self.subscriber.passed_over());
        for delivery in self.deliveries.drain(..) {
            self.subscriber.ack(delivery);
        }
        for message in self.sends.drain(..) {
            telemetry::count("wattveil_messages_sent_total", 1);
            publish(&self.publisher, Message::from(message.into()));
        }
        self.is_open = false;
        Ok(())
    }
}

/// Queues a message. Roles repeat what was not answered, so a message that finds no room is not lost.
fn publish(publisher: &Publisher, message: Message) {
    match publisher.try_publish(message) {
        Ok(()) => {}
        Err(refused @ (PublishError::Full(_) | PublishError::Closed(_))) => {
            telemetry::count("wattveil_messages_unqueued_total", 1);
            debug!(error = &refused as &dyn Error, "message left for a repeat");
        }
        Err(refused) => error!(error = &refused as &dyn Error, "message can't be published"),
    }
}

fn log(topic: &str, refusal: &Refusal) {
    let Refusal { rule, detail, level } = refusal;
    match *level {
        tracing::Level::WARN => warn!(topic, rule, detail, "refused"),
        tracing::Level::INFO => info!(topic, rule, detail, "refused"),
        _ => debug!(topic, rule, detail, "refused"),
    }
}
