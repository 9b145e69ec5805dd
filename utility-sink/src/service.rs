//! The service around the sink role: deliveries, time, and the requests of whoever runs it.

use std::future::Future;
use std::time::Duration;

use protocol::status::Beat;
use protocol::topic::Outgoing;
use rand::rngs::StdRng;
use runtime::link::{Delivery, Message, Publisher, Settings, Subscriber, Will};
use runtime::{entropy, now, telemetry};
use store::Store;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::sink::Sink;

/// How often time passes for the role.
const TICK: Duration = Duration::from_millis(100);

/// The most deliveries under one commit.
const GROUP: usize = 512;

/// Milliseconds until a changed backlog is said in the status, and until the same status is said again.
const STATUS_PAUSE: u64 = 10_000;
const STATUS_EVERY: u64 = 60_000;

/// Messages that may wait for the broker.
const QUEUE: usize = 8_192;

/// What somebody wants of a running sink; what it returns is published after the commit.
pub type Request =
    Box<dyn FnOnce(&mut Sink, &mut dyn Store, &mut StdRng) -> anyhow::Result<Vec<Outgoing>> + Send>;

/// Runs a sink until `shutdown`, doing what `requests` ask for.
///
/// # Errors
///
/// If the store fails, or there is no entropy: the process is to stop and to be started again.
pub async fn run<S: Store>(
    mut sink: Sink,
    mut store: S,
    link: Settings,
    mut requests: mpsc::Receiver<Request>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut rng = entropy()?;
    let (publisher, mut subscriber) = connect(&sink, link);
    let mut subscribed = subscriber.subscribed();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beat = Beat::new(STATUS_PAUSE, STATUS_EVERY);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let sends = tokio::select! {
            () = &mut shutdown => break,
            Ok(()) = subscribed.changed() => {
                let listening = *subscribed.borrow_and_update();
                if listening {
                    info!("listening");
                    telemetry::ready();
                    sink.announcements()
                } else {
                    Vec::new()
                }
            }
            Some(request) = requests.recv() => request(&mut sink, &mut store, &mut rng)?,
            _ = tick.tick() => {
                let mut sends = telemetry::timed("tick", || sink.tick(now(), &mut store))?;
                if let Some(connection) = publisher.connection()
                    // who can't listen is not up
                    && *subscribed.borrow()
                {
                    let now = now();
                    sends.extend(beat.say(&sink.status("up", now), connection, now));
                }
                sends
            }
            delivery = subscriber.recv() => {
                let Some(first) = delivery else { break };
                take(&mut sink, first, &mut subscriber, &mut store)?
            }
        };
        store.commit()?;
        offer(&publisher, sends);
    }
    telemetry::stopping();
    offer(&publisher, [sink.status("down", now()).outgoing()]);
    publisher.close(Duration::from_secs(1)).await;
    subscriber.close().await;
    Ok(())
}

/// Takes a delivery and whatever else has come, commits once, then acknowledges.
fn take<S: Store>(
    sink: &mut Sink,
    first: Delivery,
    subscriber: &mut Subscriber,
    store: &mut S,
) -> anyhow::Result<Vec<Outgoing>> {
    let mut group = vec![first];
    while group.len() < GROUP
        && let Some(delivery) = subscriber.try_recv()
    {
        group.push(delivery);
    }
    let mut sends = Vec::new();
    for delivery in &group {
        let take = || sink.handle(&delivery.topic, &delivery.payload, now(), store);
        let handled = telemetry::timed("handle", take)?;
        sends.extend(handled.sends);
        if let Some(refusal) = handled.refusal {
            telemetry::count_kind("wattveil_refused_total", refusal.rule.name(), 1);
            warn!(topic = delivery.topic, rule = refusal.rule.name(), detail = refusal.detail, "refused");
        }
    }
    telemetry::count("wattveil_messages_taken_total", group.len() as u64);
    telemetry::total("wattveil_messages_passed_over_total", subscriber.passed_over());
    telemetry::timed("commit", || store.commit())?;
    for delivery in group {
        subscriber.ack(delivery);
    }
    Ok(sends)
}

fn connect(sink: &Sink, mut link: Settings) -> (Publisher, Subscriber) {
    let down = sink.status("down", now()).outgoing();
    let listen = Settings { client_id: format!("{}-in", link.client_id), ..link.clone() };
    link.last_will = Some(Will { topic: down.topic.to_string(), payload: down.payload, retain: true });
    link.queue = link.queue.max(QUEUE);
    (Publisher::connect(link), Subscriber::connect(listen, sink.filters()))
}

/// Queues messages; what finds no room is sent again when it is due.
fn offer(publisher: &Publisher, sends: impl IntoIterator<Item = Outgoing>) {
    for Outgoing { topic, payload, retain } in sends {
        telemetry::count("wattveil_messages_sent_total", 1);
        let message = Message { topic: topic.to_string(), payload, retain };
        if let Err(error) = publisher.try_publish(message) {
            warn!(error = &error as &dyn std::error::Error, "left for a repeat");
        }
    }
}
