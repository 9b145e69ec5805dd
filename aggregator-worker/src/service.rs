//! The service around the aggregator role: gather deliveries, take them, commit once, then answer and acknowledge.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use host::{entropy, now, telemetry};
use link::{Message, Publisher, Settings, Subscriber, Will};
use protocol::rule::{Refusal, Rule};
use protocol::topic::Outgoing;
use store::{FileStore, Store};
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use crate::aggregator::Aggregator;
use crate::config::Config;

/// How often time passes for the role.
const TICK: Duration = Duration::from_millis(100);

/// The most deliveries under one commit.
const GROUP: usize = 512;

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
    let mut aggregator = Aggregator::open(identity, roster, config.pace.to_pace(), &mut store)?;
    // A roster that is new is durable before anything is said under it.
    store.commit()?;
    if let Some(analysis) = &config.analysis {
        aggregator = aggregator.with_analysis(analysis.to_pace(), &mut store)?;
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
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Ok(()) = subscribed.changed() => {
                let listening = *subscribed.borrow_and_update();
                if listening {
                    info!(records = aggregator.records(), "listening");
                    offer(&publisher, [aggregator.status("up")]);
                    telemetry::ready();
                }
            }
            _ = tick.tick() => {
                let sends = telemetry::timed("tick", || aggregator.tick(now(), &mut store, &mut rng))?;
                store.commit()?;
                telemetry::level("wattveil_records", aggregator.records());
                offer(&publisher, sends);
            }
            delivery = subscriber.recv() => {
                let Some(first) = delivery else { break };
                let mut group = vec![first];
                while group.len() < GROUP && let Some(delivery) = subscriber.try_recv() {
                    group.push(delivery);
                }
                telemetry::count("wattveil_messages_taken_total", group.len() as u64);
                let mut sends = Vec::new();
                for delivery in &group {
                    let take =
                        || aggregator.handle(&delivery.topic, &delivery.payload, now(), &mut store, &mut rng);
                    let handled = telemetry::timed("handle", take)?;
                    sends.extend(handled.sends);
                    if let Some(refusal) = handled.refusal {
                        telemetry::count_kind("wattveil_refused_total", refusal.rule.name(), 1);
                        log(&delivery.topic, &refusal);
                    }
                }
                telemetry::timed("commit", || store.commit())?;
                for delivery in group {
                    subscriber.ack(delivery);
                }
                offer(&publisher, sends);
            }
        }
    }
    telemetry::stopping();
    offer(&publisher, [aggregator.status("down")]);
    publisher.close(Duration::from_secs(1)).await;
    subscriber.close().await;
    Ok(())
}

/// Repeats are everyday; what else is refused is worth a look.
fn log(topic: &str, refusal: &Refusal) {
    if refusal.rule == Rule::Replay {
        debug!(topic, rule = refusal.rule.name(), detail = refusal.detail, "refused");
    } else {
        warn!(topic, rule = refusal.rule.name(), detail = refusal.detail, "refused");
    }
}

fn connect(aggregator: &Aggregator, mut link: Settings) -> (Publisher, Subscriber) {
    let down = aggregator.status("down");
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
