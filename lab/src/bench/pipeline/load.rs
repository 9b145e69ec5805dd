//! The load: what many meters would send, sealed ahead, published as fast as receipts come or at a set rate.

use protocol::unit::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use protocol::id::MeterId;
use protocol::receipt::Receipt;
use protocol::record::{Head, Kind};
use protocol::share::{Batch, seal};
use protocol::signature::Unverified;
use protocol::topic::Channel;
use protocol::unit::{Register, Slot, SlotRange, WattHours};
use runtime::link::{Message, Publisher, Settings, Subscriber};
use tokio::sync::Semaphore;

use deployment::{Deployment, MeterKeys};

/// Connections that publish. A broker reads from one client 20,000 messages a second at most.
pub(super) const CLIENTS: usize = 8;

/// Share messages without a receipt at most: less than a broker keeps for four aggregators that are behind.
const WINDOW: usize = 16_384;

/// After how long without a receipt what has none is sent again, as a meter would.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first slot: Monday 2026-01-05T00:00Z in quarter-hours.
const START: u32 = 1_963_968;

/// Bytes of an MQTT PUBLISH around topic and payload: fixed header, topic length, packet id.
const HEADER: usize = 7;

/// Sealed records of many meters: every meter's first, then every meter's second, and so on.
#[derive(Debug)]
pub(super) struct Load {
    meters: HashMap<MeterId, usize>,
    /// Message `(record · meters + meter) · aggregators + aggregator`.
    messages: Vec<Message>,
    aggregators: usize,
    /// The sequence number of the first record.
    first: u64,
}

/// What came of a load.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// From the first message published to the last receipt.
    pub(super) took: Duration,
    /// From a message's publishing to a receipt that names it, ascending, in microseconds.
    pub(super) latencies: Vec<u64>,
    /// Receipts that came.
    pub(super) receipts: usize,
    /// Their bytes, with topics and headers.
    pub(super) receipt_bytes: usize,
    /// Messages that were sent again.
    pub(super) resent: usize,
}

impl Load {
    /// Seals `records` records of `slots` slots for each meter, beginning with record `first` of each.
    ///
    /// # Errors
    ///
    /// If a record can't be sealed.
    pub(super) fn seal(
        deployment: &Deployment,
        (first, records): (u64, usize),
        slots: u32,
    ) -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (n, meters) = (deployment.roster.n(), deployment.meters.len());
        let each = meters.div_ceil(cores);
        let sealed: Vec<Vec<Message>> = std::thread::scope(|scope| {
            let parts = deployment.meters.chunks(each);
            let part = |keys| scope.spawn(move || seal_part(deployment, keys, (first, records), slots));
            let threads: Vec<_> = parts.map(part).collect();
            threads
                .into_iter()
                .flat_map(|thread| match thread.join() {
                    Ok(Ok(sealed)) => sealed.into_iter().map(Ok).collect(),
                    Ok(Err(error)) => vec![Err(error)],
                    Err(_) => vec![Err(anyhow::anyhow!("sealing panicked"))],
                })
                .collect::<anyhow::Result<_>>()
        })?;
        // from meter by meter to record by record
        let mut by_meter: Vec<_> = sealed.into_iter().map(Vec::into_iter).collect();
        let mut messages = Vec::with_capacity(records * meters * n);
        for _ in 0..records {
            for of_meter in &mut by_meter {
                messages.extend(of_meter.take(n));
            }
        }
        let meters = deployment.meters.iter().enumerate().map(|(index, keys)| (keys.meter, index)).collect();
        Ok(Self { meters, messages, aggregators: n, first })
    }

    /// How many messages there are.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// One sealed share message.
    pub(super) fn payload(&self, index: usize) -> Option<&[u8]> {
        self.messages.get(index).map(|message| &message.payload[..])
    }

    /// Bytes of all messages, with topics and headers.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |message: &Message| message.payload.len() + message.topic.len() + HEADER;
        self.messages.iter().map(bytes).sum()
    }

    /// The number of a message in a receipt's words.
    fn index(&self, record: usize, meter: usize, aggregator: usize) -> usize {
        (record * self.meters.len() + meter) * self.aggregators + aggregator
    }

    /// Publishes everything, at `rate` messages a second or as fast as receipts come, and waits for a receipt of each
    /// message. Signatures of receipts are checked when the clock has stopped.
    ///
    /// # Errors
    ///
    /// If a record is refused, a receipt is not its aggregator's, or receipts stop to come.
    pub(super) async fn run(
        self,
        deployment: &Deployment,
        settings: &Settings,
        rate: Option<f64>,
    ) -> anyhow::Result<Outcome> {
        let load = Arc::new(self);
        // each client under its number
        let settings =
            |client| Settings { client_id: format!("{}-{client}", settings.client_id), ..settings.clone() };
        let mut subscriber = listen(settings(CLIENTS), deployment).await?;
        let publishers: Vec<Publisher> =
            (0..CLIENTS).map(|client| Publisher::connect(settings(client))).collect();
        let room = Arc::new(Semaphore::new(WINDOW));
        let sent: Arc<[AtomicU64]> = load.messages.iter().map(|_| AtomicU64::new(u64::MAX)).collect();
        let start = Instant::now();
        let publish = Publish {
            load: Arc::clone(&load),
            publishers: publishers.clone(),
            room: Arc::clone(&room),
            sent: Arc::clone(&sent),
            start,
        };
        let publishing = tokio::spawn(publish.run(rate));
        let mut taken = Taken::new(&load);
        let mut resent = 0;
        while taken.missing > 0 {
            let Ok(delivery) = tokio::time::timeout(PATIENCE, subscriber.recv()).await else {
                anyhow::ensure!(resent <= load.len(), "{} messages have no receipt", taken.missing);
                resent += load.send_again(&sent, &taken, &publishers).await?;
                continue;
            };
            let delivery = delivery.context("the broker's connection has ended")?;
            let micros = micros(start.elapsed());
            let named = taken.take(&load, &delivery.topic, &delivery.payload, |index| {
                micros.saturating_sub(sent[index].load(Ordering::Relaxed))
            })?;
            room.add_permits(named);
            subscriber.ack(delivery);
        }
        let took = start.elapsed();
        publishing.await.context("publishing panicked")??;
        for publisher in publishers {
            publisher.close(Duration::from_secs(5)).await;
        }
        subscriber.close().await;
        taken.into_outcome(took, resent, deployment)
    }

    /// Sends again what was sent and has no receipt.
    async fn send_again(
        &self,
        sent: &[AtomicU64],
        taken: &Taken,
        publishers: &[Publisher],
    ) -> anyhow::Result<usize> {
        let mut again = 0;
        for (index, message) in self.messages.iter().enumerate() {
            if sent[index].load(Ordering::Relaxed) < u64::MAX && !taken.named[index] {
                publishers[index % CLIENTS].publish(message.clone()).await?;
                again += 1;
            }
        }
        Ok(again)
    }
}

/// Connects, and waits until the broker has taken the subscription.
async fn listen(settings: Settings, deployment: &Deployment) -> anyhow::Result<Subscriber> {
    let filter = format!("wv/1/{}/receipt/+/+", deployment.roster.document().deployment);
    let subscriber = Subscriber::connect(settings, vec![filter]);
    let mut subscribed = subscriber.subscribed();
    let listening = tokio::time::timeout(PATIENCE, subscribed.wait_for(|subscribed| *subscribed)).await;
    listening.context("the broker took no subscription")??;
    Ok(subscriber)
}

/// The half that publishes.
struct Publish {
    load: Arc<Load>,
    publishers: Vec<Publisher>,
    room: Arc<Semaphore>,
    sent: Arc<[AtomicU64]>,
    start: Instant,
}

impl Publish {
    async fn run(self, rate: Option<f64>) -> anyhow::Result<()> {
        for (index, message) in self.load.messages.iter().enumerate() {
            if let Some(rate) = rate {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^52 messages")]
                let due = self.start + Duration::from_secs_f64(index as f64 / rate);
                // a timer's step is a millisecond: what is due within it goes at once
                if due > Instant::now() + Duration::from_millis(1) {
                    tokio::time::sleep_until(due.into()).await;
                }
            }
            self.room.acquire().await?.forget();
            self.sent[index].store(micros(self.start.elapsed()), Ordering::Relaxed);
            // all of a meter's messages over one connection, in order
            let client = index / self.load.aggregators % self.load.meters.len() % CLIENTS;
            self.publishers[client].publish(message.clone()).await?;
        }
        Ok(())
    }
}

/// The receipts that came.
struct Taken {
    /// By meter and aggregator: how many of its records have a receipt, from the first on.
    through: Vec<usize>,
    named: Vec<bool>,
    missing: usize,
    latencies: Vec<u64>,
    receipts: Vec<Unverified<Receipt>>,
    bytes: usize,
}

impl Taken {
    fn new(load: &Load) -> Self {
        Self {
            through: vec![0; load.meters.len() * load.aggregators],
            named: vec![false; load.len()],
            missing: load.len(),
            latencies: Vec::with_capacity(load.len()),
            receipts: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes a receipt; how many messages it names that none named before.
    fn take(
        &mut self,
        load: &Load,
        topic: &str,
        payload: &[u8],
        latency: impl Fn(usize) -> u64,
    ) -> anyhow::Result<usize> {
        let unverified = Unverified::<Receipt>::parse(payload)?;
        let receipt = unverified.claim();
        if let Some(refused) = receipt.refused.first() {
            anyhow::bail!("record {} was refused: {}", refused.seq, refused.rule.name());
        }
        let meter = *load.meters.get(&receipt.meter).context("a receipt for somebody else")?;
        let aggregator = usize::from(u8::from(receipt.point)) - 1;
        let records = load.len() / load.meters.len() / load.aggregators;
        let through = &mut self.through[meter * load.aggregators + aggregator];
        let before = *through;
        while *through < records && receipt.stored.contains(load.first + *through as u64) {
            let index = load.index(*through, meter, aggregator);
            self.named[index] = true;
            self.latencies.push(latency(index));
            *through += 1;
        }
        let named = *through - before;
        self.missing -= named;
        self.bytes += payload.len() + topic.len() + HEADER;
        self.receipts.push(unverified);
        Ok(named)
    }

    fn into_outcome(
        mut self,
        took: Duration,
        resent: usize,
        deployment: &Deployment,
    ) -> anyhow::Result<Outcome> {
        self.latencies.sort_unstable();
        let receipts = self.receipts.len();
        for receipt in self.receipts {
            let aggregator = deployment.roster.aggregator(receipt.claim().point);
            let key = &aggregator.context("a receipt of no aggregator")?.key;
            receipt.verify(key, &deployment.roster.context())?;
        }
        Ok(Outcome { took, latencies: self.latencies, receipts, receipt_bytes: self.bytes, resent })
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Every message of some meters, meter by meter.
fn seal_part(
    deployment: &Deployment,
    keys: &[MeterKeys],
    (first, records): (u64, usize),
    slots: u32,
) -> anyhow::Result<Vec<Vec<Message>>> {
    let mut rng = runtime::entropy()?;
    let (roster, now) = (&deployment.roster, runtime::now::<Timestamp>());
    let mut all = Vec::with_capacity(keys.len());
    for keys in keys {
        let mut of_meter = Vec::with_capacity(records * roster.n());
        let topics: Vec<String> = roster
            .document()
            .aggregators
            .iter()
            .map(|aggregator| Channel::Share(aggregator.id.clone(), keys.meter))
            .map(|channel| channel.of(&roster.document().deployment).to_string())
            .collect();
        for record in 0..u32::try_from(records)? {
            let seq = first + u64::from(record);
            let start = START + u32::try_from(seq)? * slots;
            let energies: Vec<WattHours> =
                (0..slots).map(|slot| WattHours(i64::from(20 + (start + slot) * 37 % 700))).collect();
            let head = Head {
                kind: Kind::Import,
                roster_epoch: 1,
                meter: keys.meter,
                seq,
                version: 0,
                slots: SlotRange::new(Slot(start), Slot(start + slots))?,
            };
            let batch = Batch::new(&energies, Register::try_from(1_000_000 + u64::from(start))?)?;
            let sealed = seal(&batch, head, &keys.key, roster, now, &mut rng)?;
            of_meter.extend(topics.iter().zip(sealed.messages).map(|(topic, (_, payload))| Message {
                topic: topic.clone(),
                payload,
                retain: false,
            }));
        }
        all.push(of_meter);
    }
    Ok(all)
}
