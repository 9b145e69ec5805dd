//! The service around the aggregator role: take deliveries as they come, commit many at once, then answer and acknowledge.

use runtime::now;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use protocol::rule::{Refusal, Rule};
use protocol::status::Beat;
use protocol::topic::Outgoing;
use runtime::link::{Delivery, Message, Publisher, Settings, Subscriber, Will};
use runtime::{entropy, telemetry};
use store::{FileStore, Store, StoreError};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{debug, info, warn};

use crate::aggregator::Aggregator;
use crate::config::Config;

/// How often time passes for the role.
const TICK: Duration = Duration::from_millis(100);

/// As many deliveries go under one commit; a broker may send no more before it has acknowledgements (rumqttd 100).
const GROUP: usize = 96;

/// How long a delivery waits at most for others under its commit: of the time until its receipt, which goes with a tick, a
/// small part.
const GATHER: Duration = Duration::from_millis(20);

/// Milliseconds until a changed backlog is said in the status, and until the same status is said again.
const STATUS_PAUSE: u64 = 10_000;
const STATUS_EVERY: u64 = 60_000;

/// Messages that may wait for the broker.
const QUEUE: usize = 16_384;

/// Runs what a configuration says until `shutdown`.
///
/// # Errors
///
/// If a file is not what it should be; and as [`run`].
pub async fn run_configured(
    config: &Config,
    directory: &Path,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (identity, roster) = config.identity(directory)?;
    let mut store = FileStore::open(&directory.join(&config.store), config.cache_mib << 20)?;
    let link = config.broker.settings(directory, &format!("agg-{}", config.aggregator))?;
    let mut aggregator = Aggregator::open(identity, roster, config.pace.clone(), &mut store)?;
    // A roster that is new is durable before anything is said under it.
    store.commit()?;
    if let Some(levelled) = &config.levelled {
        aggregator = aggregator.with_levelled(levelled.clone(), &mut store)?;
    }
    run(aggregator, store, link, shutdown).await
}

/// Runs an aggregator until `shutdown`.
///
/// # Errors
///
/// If the store fails, or there is no entropy: the process is to stop and to be started again.
pub async fn run<S: Store>(
    mut aggregator: Aggregator,
    mut store: S,
    link: Settings,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut rng = entropy()?;
    let (publisher, mut subscriber) = connect(&aggregator, link);
    let mut subscribed = subscriber.subscribed();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beat = Beat::new(STATUS_PAUSE, STATUS_EVERY);
    let mut group = Group::default();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Ok(()) = subscribed.changed() => {
                let listening = *subscribed.borrow_and_update();
                if listening {
                    info!(records = aggregator.records(), "listening");
                    telemetry::ready();
                }
            }
            _ = tick.tick() => {
                group.sends.extend(telemetry::timed("tick", || aggregator.tick(now(), &mut store, &mut rng))?);
                if let Some(connection) = publisher.connection()
                    // who can't listen is not up
                    && *subscribed.borrow()
                {
                    let now = now();
                    group.sends.extend(beat.say(&aggregator.status("up", now), connection, now));
                }
                group.close(&mut store, &subscriber, &publisher)?;
                telemetry::level("wattveil_records", aggregator.records());
            }
            () = tokio::time::sleep_until(group.due), if !group.deliveries.is_empty() => {
                group.close(&mut store, &subscriber, &publisher)?;
            }
            delivery = subscriber.recv() => {
                let Some(first) = delivery else { break };
                let mut next = Some(first);
                while let Some(delivery) = next {
                    let take =
                        || aggregator.handle(&delivery.topic, &delivery.payload, now(), &mut store, &mut rng);
                    let handled = telemetry::timed("handle", take)?;
                    if let Some(refusal) = &handled.refusal {
                        telemetry::count_kind("wattveil_refused_total", refusal.rule.name(), 1);
                        log(&delivery.topic, refusal);
                    }
                    group.add(delivery, handled.sends);
                    next = if group.is_full() { None } else { subscriber.try_recv() };
                }
                // somebody waits for what is to be sent
                if group.is_full() || !group.sends.is_empty() {
                    group.close(&mut store, &subscriber, &publisher)?;
                }
            }
        }
    }
    telemetry::stopping();
    offer(&publisher, [aggregator.status("down", now()).outgoing()]);
    publisher.close(Duration::from_secs(1)).await;
    subscriber.close().await;
    Ok(())
}

/// Deliveries that were taken and are not yet durable, and what they are answered with.
struct Group {
    deliveries: Vec<Delivery>,
    sends: Vec<Outgoing>,
    /// When it is to be committed, if there are deliveries.
    due: Instant,
}

impl Default for Group {
    fn default() -> Self {
        Self { deliveries: Vec::with_capacity(GROUP), sends: Vec::new(), due: Instant::now() }
    }
}

impl Group {
    fn add(&mut self, delivery: Delivery, sends: Vec<Outgoing>) {
        if self.deliveries.is_empty() {
            self.due = Instant::now() + GATHER;
        }
        self.deliveries.push(delivery);
        self.sends.extend(sends);
    }

    fn is_full(&self) -> bool {
        self.deliveries.len() >= GROUP
    }

    /// Makes everything durable, then acknowledges and answers.
    fn close<S: Store>(
        &mut self,
        store: &mut S,
        subscriber: &Subscriber,
        publisher: &Publisher,
    ) -> Result<(), StoreError> {
        telemetry::timed("commit", || store.commit())?;
        telemetry::count("wattveil_messages_taken_total", self.deliveries.len() as u64);
        telemetry::total("wattveil_messages_passed_over_total", subscriber.passed_over());
        for delivery in self.deliveries.drain(..) {
            subscriber.ack(delivery);
        }
        offer(publisher, self.sends.drain(..));
        Ok(())
    }
}

/// Repeats are everyday, and so is a record that comes before its meter's certificate; what else is refused is worth a look.
fn log(topic: &str, refusal: &Refusal) {
    let (rule, detail) = (refusal.rule.name(), &refusal.detail);
    match refusal.rule {
        Rule::Replay => debug!(topic, rule, detail, "refused"),
        Rule::UnknownMeter => info!(topic, rule, detail, "refused until its certificate comes"),
        _ => warn!(topic, rule, detail, "refused"),
    }
}

fn connect(aggregator: &Aggregator, mut link: Settings) -> (Publisher, Subscriber) {
    let down = aggregator.status("down", now()).outgoing();
    let listen = Settings { client_id: format!("{}-in", link.client_id), ..link.clone() };
    link.last_will = Some(Will { topic: down.topic.to_string(), payload: down.payload, retain: true });
    link.queue = link.queue.max(QUEUE);
    (Publisher::connect(link), Subscriber::connect(listen, aggregator.filters()))
}

/// Queues messages; what finds no room is asked for again.
fn offer(publisher: &Publisher, sends: impl IntoIterator<Item = Outgoing>) {
    for Outgoing { topic, payload, retain } in sends {
        telemetry::count("wattveil_messages_sent_total", 1);
        let message = Message { topic: topic.to_string(), payload, retain };
        if let Err(error) = publisher.try_publish(message) {
            warn!(error = &error as &dyn std::error::Error, "left to be asked for again");
        }
    }
}
