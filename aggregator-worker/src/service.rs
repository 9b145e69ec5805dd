//! The service around the aggregator role.

use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use protocol::rule::{Refusal, Rule};
use protocol::status::Beat;
use protocol::topic::Outgoing;
use rand::rngs::StdRng;
use runtime::link::Settings;
use runtime::service::{self, Outcome, Role};
use runtime::{entropy, now, telemetry};
use store::{FileStore, Store};
use tracing::Level;

use crate::aggregator::Aggregator;
use crate::config::Config;

/// Milliseconds until a changed backlog is reported in the status, and until the same status is reported again.
const STATUS_PAUSE: u64 = 10_000;
const STATUS_EVERY: u64 = 60_000;

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
pub async fn run<S: Store + Send>(
    aggregator: Aggregator,
    store: S,
    link: Settings,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let beat = Beat::new(STATUS_PAUSE, STATUS_EVERY);
    let mut worker = Worker { aggregator, store, rng: entropy()?, beat };
    service::run(&mut worker, link, shutdown).await
}

/// The role with its store.
struct Worker<S> {
    aggregator: Aggregator,
    store: S,
    rng: StdRng,
    beat: Beat,
}

impl<S: Store + Send> Role for Worker<S> {
    type Input = Infallible;
    type Outgoing = Outgoing;

    const TICK: Duration = Duration::from_millis(100);
    const QUEUE: usize = 16_384;
    const READY_AT_ONCE: bool = false;

    fn filters(&self) -> Vec<String> {
        self.aggregator.filters()
    }

    fn goodbye(&self) -> Outgoing {
        self.aggregator.status("down", now()).outgoing()
    }

    fn status(&mut self, connection: u64) -> Option<Outgoing> {
        let now = now();
        self.beat.say(&self.aggregator.status("up", now), connection, now)
    }

    fn receive(&mut self, topic: &str, payload: &[u8]) -> anyhow::Result<Outcome<Outgoing>> {
        let handled = self.aggregator.handle(topic, payload, now(), &mut self.store, &mut self.rng)?;
        Ok(Outcome { sends: handled.sends, refusal: handled.refusal.map(refusal) })
    }

    fn tick(&mut self) -> anyhow::Result<Vec<Outgoing>> {
        telemetry::level("wattveil_records", self.aggregator.records());
        Ok(self.aggregator.tick(now(), &mut self.store, &mut self.rng)?)
    }

    async fn input(&mut self) -> Infallible {
        std::future::pending().await
    }

    fn process(&mut self, input: Infallible) -> anyhow::Result<Vec<Outgoing>> {
        match input {}
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        Ok(self.store.commit()?)
    }
}

/// Repeats are common, and so is a record that comes before its meter's certificate; any other refusal is worth a look.
fn refusal(Refusal { rule, detail }: Refusal) -> service::Refusal {
    let level = match rule {
        Rule::Replay => Level::DEBUG,
        Rule::UnknownMeter => Level::INFO,
        _ => Level::WARN,
    };
    service::Refusal { rule: rule.name(), detail, level }
}
