//! The service around the meter role: one loop that reads, seals, commits, publishes and listens.

use runtime::now;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use protocol::status::Beat;
use protocol::topic::Outgoing;
use runtime::link::{Delivery, Message, Publisher, Settings, Subscriber, Will};
use runtime::{entropy, telemetry};
use store::{FileStore, Store};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::config::Config;
use crate::feed::{Fed, Feed};
use crate::meter::Meter;

/// How often time passes for the role.
const TICK: Duration = Duration::from_millis(200);

/// Milliseconds until a changed backlog is said in the status, and until the same status is said again: meters are many.
const STATUS_PAUSE: u64 = 60_000;
const STATUS_EVERY: u64 = 3_600_000;

/// Records that a quorum may owe a receipt for before a replay without a speed waits; a meter that measures never does.
const WINDOW: usize = 128;

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
pub struct Agent<S> {
    /// The role.
    pub meter: Meter,
    /// Its store.
    pub store: S,
    /// Its link.
    pub link: Settings,
    /// Where its readings come from.
    pub feed: Feed,
    /// Whether it ends once every record has its receipts.
    pub until_done: bool,
}

/// The store's cache in bytes: an agent is small.
pub(crate) const CACHE: usize = 1 << 20;

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
    let source = config.source.open(directory, roster.slot(), &identity.meter)?;
    let mut store = FileStore::open(&directory.join(&config.store), CACHE)?;
    let link = config.broker.settings(directory, &format!("meter-{}", identity.meter))?;
    let pace = config.pace.to_pace()?;
    let limits = config.registers.to_limits(roster.slot())?;
    let mut meter = Meter::open(identity, roster, config.floor.clone(), pace, &mut store, now())?;
    if config.levelled {
        meter = meter.with_levelled(&store, now())?;
    }
    let feed = source.feed(directory, limits, &store)?;
    let agent = Agent { meter, store, link, feed, until_done };
    agent.run(watch::Sender::new(Progress::default()), shutdown).await
}

impl<S: Store> Agent<S> {
    /// Runs until `shutdown`, or until done if so asked.
    ///
    /// # Errors
    ///
    /// If the store fails, there is no entropy, or a replay does not go on from what was taken before.
    pub async fn run(
        self,
        progress: watch::Sender<Progress>,
        shutdown: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let Self { mut meter, mut store, link, mut feed, until_done } = self;
        let mut rng = entropy()?;
        let mut state = Progress::default();
        // What was taken before the last stop is passed over at once, whatever the speed.
        state.readings += feed.resume(meter.last())?;
        let (publisher, mut subscriber) = connect(&meter, link);
        let mut beat = Beat::new(STATUS_PAUSE, STATUS_EVERY);
        if let Some(revocation) = meter.revoked() {
            warn!(from = %revocation.from, reason = %revocation.reason, "the registrar revoked this meter: nothing later is sent");
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        telemetry::ready();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let ready = !feed.waits_for_receipts() || meter.lag() < WINDOW;
            tokio::select! {
                () = &mut shutdown => break,
                delivery = subscriber.recv() => {
                    let Some(delivery) = delivery else { break };
                    take(&mut meter, delivery, &mut subscriber, &mut store)?;
                }
                _ = tick.tick() => {
                    let now = now();
                    let mut sends = meter.tick(now, &mut store, &mut rng)?;
                    store.commit()?;
                    if let Some(connection) = publisher.connection() {
                        sends.extend(beat.say(&meter.status("up", now), connection, now));
                    }
                    offer(&publisher, sends);
                }
                fed = feed.next(), if ready => {
                    let Fed { boundaries, ended, keep } = fed;
                    let mut sends = Vec::new();
                    for boundary in boundaries {
                        state.readings += 1;
                        telemetry::count("wattveil_readings_total", 1);
                        let taken = || meter.take_up(&boundary, now(), &mut store, &mut rng);
                        match telemetry::timed("seal", taken)? {
                            Ok(sealed) => sends.extend(sealed),
                            Err(error) => {
                                telemetry::count("wattveil_readings_refused_total", 1);
                                warn!(error = &error as &dyn std::error::Error, "reading refused");
                            }
                        }
                    }
                    if ended {
                        sends.extend(meter.flush(now(), &mut store, &mut rng)?);
                        info!(readings = state.readings, "the source has ended");
                    }
                    if keep {
                        feed.save(&mut store)?;
                    }
                    telemetry::timed("commit", || store.commit())?;
                    offer(&publisher, sends);
                }
            }
            state.sealed = meter.sealed();
            state.backlog = meter.backlog();
            state.lag = meter.lag();
            state.drained = feed.has_ended();
            telemetry::level("wattveil_backlog", state.backlog as u64);
            progress.send_if_modified(|shown| {
                let changed = *shown != state;
                shown.clone_from(&state);
                changed
            });
            if until_done && state.drained && state.backlog == 0 {
                break;
            }
        }
        telemetry::stopping();
        feed.tell_rest();
        feed.save(&mut store)?;
        store.commit()?;
        offer(&publisher, [meter.status("down", now()).outgoing()]);
        publisher.close(Duration::from_secs(1)).await;
        subscriber.close().await;
        Ok(())
    }
}

fn connect(meter: &Meter, mut link: Settings) -> (Publisher, Subscriber) {
    let down = meter.status("down", now()).outgoing();
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
    telemetry::count("wattveil_messages_taken_total", group.len() as u64);
    telemetry::total("wattveil_messages_passed_over_total", subscriber.passed_over());
    telemetry::timed("commit", || store.commit())?;
    for delivery in group {
        subscriber.ack(delivery);
    }
    Ok(())
}

/// Queues messages; what finds no room is sent again when it is due.
fn offer(publisher: &Publisher, sends: impl IntoIterator<Item = Outgoing>) {
    for Outgoing { topic, payload, retain } in sends {
        telemetry::count("wattveil_messages_sent_total", 1);
        let message = Message { topic: topic.to_string(), payload, retain };
        if let Err(error) = publisher.try_publish(message) {
            tracing::debug!(error = &error as &dyn std::error::Error, "left for a repeat");
        }
    }
}
