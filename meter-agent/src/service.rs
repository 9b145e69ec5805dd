//! The service around the meter role: readings come in, receipts come back.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use protocol::status::Beat;
use protocol::topic::Outgoing;
use rand::rngs::StdRng;
use runtime::link::Settings;
use runtime::service::{self, Outcome, Refusal, Role};
use runtime::{entropy, now, telemetry};
use store::{FileStore, Store};
use tokio::sync::watch;
use tracing::{Level, info, warn};

use crate::config::Config;
use crate::feed::{Feed, Supply};
use crate::meter::Meter;
use crate::source::SourceError;

/// Milliseconds until a changed backlog is reported in the status, and until the same status is reported again: meters are
/// many.
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
    let pace = config.pace.clone();
    let limits = config.registers.to_limits(roster.slot())?;
    let mut meter = Meter::open(identity, roster, config.floor.clone(), pace, &mut store, now())?;
    if config.levelled {
        meter = meter.with_levelled(&store, now())?;
    }
    let feed = Feed::open(source, limits, &store)?;
    let agent = Agent { meter, store, link, feed, until_done };
    agent.run(watch::Sender::new(Progress::default()), shutdown).await
}

impl<S: Store + Send> Agent<S> {
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
        let Self { meter, store, link, mut feed, until_done } = self;
        // What was taken before the last stop is passed over at once, whatever the speed.
        let readings = feed.resume(meter.last())?;
        if let Some(revocation) = meter.revoked() {
            warn!(from = %revocation.from, reason = %revocation.reason, "the registrar revoked this meter: nothing later is sent");
        }
        let beat = Beat::new(STATUS_PAUSE, STATUS_EVERY);
        let state = Progress { readings, ..Progress::default() };
        let mut running = Running { meter, store, feed, rng: entropy()?, beat, state, progress, until_done };
        service::run(&mut running, link, shutdown).await
    }
}

/// The role with its store and its readings.
struct Running<S> {
    meter: Meter,
    store: S,
    feed: Feed,
    rng: StdRng,
    beat: Beat,
    state: Progress,
    progress: watch::Sender<Progress>,
    until_done: bool,
}

impl<S: Store + Send> Role for Running<S> {
    type Input = Result<Supply, SourceError>;
    type Outgoing = Outgoing;

    const TICK: Duration = Duration::from_millis(200);
    const QUEUE: usize = 10 * WINDOW;
    const READY_AT_ONCE: bool = true;

    fn filters(&self) -> Vec<String> {
        self.meter.filters()
    }

    fn goodbye(&self) -> Outgoing {
        self.meter.status("down", now()).outgoing()
    }

    fn status(&mut self, connection: u64) -> Option<Outgoing> {
        let now = now();
        self.beat.say(&self.meter.status("up", now), connection, now)
    }

    fn receive(&mut self, topic: &str, payload: &[u8]) -> anyhow::Result<Outcome<Outgoing>> {
        let handled = self.meter.handle(topic, payload, now(), &mut self.store)?;
        let refusal = handled.refusal.map(|refusal| Refusal {
            rule: refusal.rule.name(),
            detail: refusal.detail,
            level: Level::WARN,
        });
        Ok(Outcome { sends: Vec::new(), refusal })
    }

    fn tick(&mut self) -> anyhow::Result<Vec<Outgoing>> {
        Ok(self.meter.tick(now(), &mut self.store, &mut self.rng)?)
    }

    fn accepts_input(&self) -> bool {
        !self.feed.waits_for_receipts() || self.meter.lag() < WINDOW
    }

    async fn input(&mut self) -> Self::Input {
        self.feed.next().await
    }

    fn process(&mut self, supply: Self::Input) -> anyhow::Result<Vec<Outgoing>> {
        let Supply { readings, ended, keep } = supply?;
        let mut sends = Vec::new();
        for reading in readings {
            self.state.readings += 1;
            telemetry::count("wattveil_readings_total", 1);
            let seal = || self.meter.observe(reading, now(), &mut self.store, &mut self.rng);
            match telemetry::timed("seal", seal)? {
                Ok(sealed) => sends.extend(sealed),
                Err(error) => {
                    telemetry::count("wattveil_readings_refused_total", 1);
                    warn!(error = &error as &dyn std::error::Error, "reading rejected");
                }
            }
        }
        if ended {
            sends.extend(self.meter.flush(now(), &mut self.store, &mut self.rng)?);
            info!(readings = self.state.readings, "the source has ended");
        }
        if keep {
            self.feed.save(&mut self.store)?;
        }
        Ok(sends)
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        Ok(self.store.commit()?)
    }

    fn has_ended(&mut self) -> bool {
        let Self { meter, feed, state, .. } = self;
        (state.sealed, state.backlog, state.lag) = (meter.sealed(), meter.backlog(), meter.lag());
        state.drained = feed.has_ended();
        telemetry::level("wattveil_backlog", state.backlog as u64);
        self.progress.send_if_modified(|shown| {
            let changed = *shown != self.state;
            shown.clone_from(&self.state);
            changed
        });
        self.until_done && self.state.drained && self.state.backlog == 0
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        self.feed.finish();
        Ok(self.feed.save(&mut self.store)?)
    }
}
