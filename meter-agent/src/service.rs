//! The service around the meter role: one loop that reads, seals, commits, publishes and listens.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use host::{entropy, now};
use link::{Delivery, Message, Publisher, Settings, Subscriber, Will};
use protocol::topic::Outgoing;
use store::{FileStore, Store};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{info, warn};

use crate::config::Config;
use crate::meter::{Meter, Reading};

/// How often time passes for the role.
const TICK: Duration = Duration::from_millis(200);

/// Records that a quorum may owe a receipt for before a replay without a speed waits; a meter that measures never does.
const WINDOW: usize = 128;

/// Readings taken at once by a replay without a speed.
const GROUP: usize = 64;

/// How far an agent has come.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Readings taken.
    pub readings: u64,
    /// Records sealed.
    pub sealed: u64,
    /// Messages without a receipt.
    pub backlog: usize,
    /// Records that the slowest aggregator of the fastest quorum has no receipt for.
    pub lag: usize,
    /// The source has ended and its last batch is sealed.
    pub drained: bool,
}

/// What runs: a role, its store, its link, its readings.
#[derive(Debug)]
pub struct Agent<S, I> {
    /// The role.
    pub meter: Meter,
    /// Its store.
    pub store: S,
    /// Its link.
    pub link: Settings,
    /// Its readings.
    pub readings: I,
    /// Slots a second; 0 is as fast as receipts allow.
    pub slots_per_second: f64,
    /// Whether it ends once every record has its receipts.
    pub until_done: bool,
}

/// The store's cache in bytes: an agent is small.
const CACHE: usize = 1 << 20;

/// Runs what a configuration says until `shutdown`, or until done if so asked.
///
/// # Errors
///
/// If a file is not what it should be; and as [`Agent::run`].
pub async fn run_configured(
    config: &Config,
    directory: &Path,
    until_done: bool,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (identity, roster) = config.identity(directory)?;
    let (series, register, slots_per_second) = config.source.open(directory, roster.slot())?;
    let mut store = FileStore::open(&directory.join(&config.store), CACHE)?;
    let link = config.broker.settings(directory, &format!("meter-{}", identity.meter))?;
    let pace = config.pace.to_pace()?;
    let mut meter = Meter::open(identity, roster, config.floor.clone(), pace, &mut store, now())?;
    if config.analysis {
        meter = meter.with_analysis(&store, now())?;
    }
    let readings = series.readings(register).collect::<Vec<_>>().into_iter();
    let agent = Agent { meter, store, link, readings, slots_per_second, until_done };
    agent.run(watch::Sender::new(Progress::default()), shutdown).await
}

impl<S: Store, I: Iterator<Item = Reading>> Agent<S, I> {
    /// Runs until `shutdown`, or until done if so asked.
    ///
    /// # Errors
    ///
    /// If the store fails, or there is no entropy.
    pub async fn run(
        self,
        progress: watch::Sender<Progress>,
        shutdown: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let Self { mut meter, mut store, link, readings, slots_per_second, until_done } = self;
        let mut rng = entropy()?;
        let mut readings = readings.peekable();
        let mut state = Progress::default();
        // What was taken before the last stop is passed over at once, whatever the speed.
        let resume = meter.resume_at();
        while readings.next_if(|reading| resume.is_some_and(|resume| reading.at <= resume)).is_some() {
            state.readings += 1;
        }
        let (publisher, mut subscriber) = connect(&meter, link);
        offer(&publisher, [meter.status("up")]);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = Instant::now();
        let step = if slots_per_second > 0.0 {
            Duration::from_secs_f64(slots_per_second.recip())
        } else {
            Duration::ZERO
        };
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let ready = readings.peek().is_some() && (!step.is_zero() || meter.lag() < WINDOW);
            tokio::select! {
                () = &mut shutdown => break,
                delivery = subscriber.recv() => {
                    let Some(delivery) = delivery else { break };
                    take(&mut meter, delivery, &mut subscriber, &mut store)?;
                }
                _ = tick.tick() => {
                    let sends = meter.tick(now(), &mut store, &mut rng)?;
                    store.commit()?;
                    offer(&publisher, sends);
                }
                () = tokio::time::sleep_until(due), if ready => {
                    let mut sends = Vec::new();
                    let group = if step.is_zero() { GROUP } else { 1 };
                    for reading in readings.by_ref().take(group) {
                        state.readings += 1;
                        match meter.observe(reading, now(), &mut store, &mut rng)? {
                            Ok(sealed) => sends.extend(sealed),
                            Err(error) => warn!(error = &error as &dyn std::error::Error, "reading refused"),
                        }
                    }
                    due += step;
                    if readings.peek().is_none() {
                        sends.extend(meter.flush(now(), &mut store, &mut rng)?);
                        info!(readings = state.readings, "the source has ended");
                    }
                    store.commit()?;
                    offer(&publisher, sends);
                }
            }
            state.sealed = meter.sealed();
            state.backlog = meter.backlog();
            state.lag = meter.lag();
            state.drained = readings.peek().is_none();
            progress.send_if_modified(|shown| {
                let changed = *shown != state;
                shown.clone_from(&state);
                changed
            });
            if until_done && state.drained && state.backlog == 0 {
                break;
            }
        }
        offer(&publisher, [meter.status("down")]);
        publisher.close(Duration::from_secs(1)).await;
        subscriber.close().await;
        Ok(())
    }
}

fn connect(meter: &Meter, mut link: Settings) -> (Publisher, Subscriber) {
    let down = meter.status("down");
    let listen = Settings { client_id: format!("{}-in", link.client_id), ..link.clone() };
    link.last_will = Some(Will { topic: down.topic.to_string(), payload: down.payload, retain: true });
    link.queue = link.queue.max(10 * WINDOW);
    (Publisher::connect(link), Subscriber::connect(listen, meter.filters()))
}

/// Takes a delivery and whatever else has come, commits once, then acknowledges.
fn take<S: Store>(
    meter: &mut Meter,
    first: Delivery,
    subscriber: &mut Subscriber,
    store: &mut S,
) -> anyhow::Result<()> {
    let mut group = vec![first];
    while let Some(delivery) = subscriber.try_recv() {
        group.push(delivery);
    }
    for delivery in &group {
        let handled = meter.handle(&delivery.topic, &delivery.payload, now(), store)?;
        if let Some(refusal) = handled.refusal {
            warn!(topic = delivery.topic, rule = refusal.rule.name(), detail = refusal.detail, "refused");
        }
    }
    store.commit()?;
    for delivery in group {
        subscriber.ack(delivery);
    }
    Ok(())
}

/// Queues messages; what finds no room is sent again when it is due.
fn offer(publisher: &Publisher, sends: impl IntoIterator<Item = Outgoing>) {
    for Outgoing { topic, payload, retain } in sends {
        let message = Message { topic: topic.to_string(), payload, retain };
        if let Err(error) = publisher.try_publish(message) {
            tracing::debug!(error = &error as &dyn std::error::Error, "left for a repeat");
        }
    }
}
