//! A lying aggregator: an honest role whose results are falsified before they leave.
//!
//! Only a demonstration can have one: it opens the sealed result with the utility's key, which no aggregator has, adds
//! a kilowatt-hour to a share, and seals and signs it anew with the aggregator's own key.

use runtime::now;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aggregator_worker::aggregator::{Aggregator, Pace};
use protocol::field::Fe;
use protocol::part::Assembly;
use protocol::release::result::ResultShare;
use protocol::signature::Signed;
use protocol::topic::{Channel, Outgoing};
use rand::rngs::StdRng;
use runtime::entropy;
use runtime::link::{Message, Publisher, Settings, Subscriber};
use store::{FileStore, Store};
use tokio::sync::watch;

use super::cast::{Stopping, Task};
use deployment::Deployment;

/// Takes over an aggregator's store and keys, and lies in its name until it is stopped. `shapes` are how many values each
/// entry of the releases to come has.
pub(super) fn start(
    deployment: &Arc<Deployment>,
    index: usize,
    store: &Path,
    link: Settings,
    shapes: watch::Receiver<Vec<Vec<usize>>>,
) -> anyhow::Result<Task> {
    let mut store = FileStore::open(store, 1 << 20)?;
    let identity = deployment.aggregator_identity(&deployment.aggregators[index]);
    let pace = Pace { receipt_every: 100, patience: 600_000 };
    let aggregator = Aggregator::open(identity, deployment.roster.clone(), pace, &mut store)?;
    let (deployment, assembly) = (Arc::clone(deployment), Assembly::default());
    let tamper = Tamper { deployment, index, shapes, assembly, rng: entropy()? };
    Ok(Task::start("the lying aggregator", |stopping| run(aggregator, store, link, tamper, stopping)))
}

async fn run(
    mut aggregator: Aggregator,
    mut store: FileStore,
    link: Settings,
    mut tamper: Tamper,
    stopping: Stopping,
) -> anyhow::Result<()> {
    let mut rng = entropy()?;
    let listen = Settings { client_id: format!("{}-in", link.client_id), ..link.clone() };
    let mut subscriber = Subscriber::connect(listen, aggregator.filters());
    let publisher = Publisher::connect(link);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut stopped = std::pin::pin!(stopping.asked());
    loop {
        let (sends, delivery) = tokio::select! {
            () = &mut stopped => break,
            _ = tick.tick() => (aggregator.tick(now(), &mut store, &mut rng)?, None),
            delivery = subscriber.recv() => {
                let Some(delivery) = delivery else { break };
                let handled =
                    aggregator.handle(&delivery.topic, &delivery.payload, now(), &mut store, &mut rng)?;
                (handled.sends, Some(delivery))
            }
        };
        store.commit()?;
        if let Some(delivery) = delivery {
            subscriber.ack(delivery);
        }
        for send in sends {
            for Outgoing { topic, payload, retain } in tamper.with(send)? {
                publisher.publish(Message { topic: topic.to_string(), payload, retain }).await?;
            }
        }
    }
    publisher.close(Duration::from_secs(1)).await;
    subscriber.close().await;
    Ok(())
}

struct Tamper {
    deployment: Arc<Deployment>,
    index: usize,
    shapes: watch::Receiver<Vec<Vec<usize>>>,
    assembly: Assembly,
    rng: StdRng,
}

impl Tamper {
    /// The message, or a false result in its place once it is whole.
    fn with(&mut self, send: Outgoing) -> anyhow::Result<Vec<Outgoing>> {
        let Channel::Result(_) = send.topic.channel else { return Ok(vec![send]) };
        let Some(document) = self.assembly.take(&send.topic.to_string(), &send.payload)? else {
            return Ok(Vec::new());
        };
        let keys = &self.deployment.aggregators[self.index];
        let roster = &self.deployment.roster;
        let result = Signed::<ResultShare>::open(&document, &keys.key.verifying_key(), &roster.context())?;
        let shapes = self.shapes.borrow().clone();
        let opened =
            shapes.iter().find_map(|lengths| result.open(&self.deployment.utility_box, roster, lengths).ok());
        let Some((mut answers, pieces)) = opened else { return Ok(Outgoing::parts(&send.topic, &document)) };
        for answer in answers.iter_mut().flatten() {
            answer[0] += Fe::from_u64(1_000);
        }
        let rng = &mut self.rng;
        let lie = ResultShare::seal(result.query, result.cut, keys.point, &answers, pieces, roster, rng)?;
        let lie = Signed::sign(lie, &keys.key, &roster.context());
        Ok(Outgoing::parts(&send.topic, lie.bytes()))
    }
}
