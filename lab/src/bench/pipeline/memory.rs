//! What the roles have in memory: aggregators that hold weeks of many meters, taken in through the broker day by day; the
//! same aggregator when it starts again; a meter agent that waits.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::load::Load;
use super::town::Town;
use crate::account::float;

/// Slots a day.
const DAY: u32 = 96;

/// How long an agent is let be before it is looked at.
const IDLE: Duration = Duration::from_secs(5);

/// What is held.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How many meters
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    meters: u32,
    /// How many days of each
    #[arg(long, value_name = "N", default_value_t = 28, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
    /// Slots of 15 minutes a record, a divisor of 96
    #[arg(long, value_name = "N", default_value_t = DAY, value_parser = clap::value_parser!(u32).range(1..=96))]
    batch: u32,
    /// Where stores are written, in a directory that is removed again; without it, the system's directory for temporary files
    #[arg(long, value_name = "DIR")]
    on: Option<PathBuf>,
}

/// What was held, in what memory.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Meters.
    pub meters: u32,
    /// Days of each.
    pub days: u32,
    /// Records at each aggregator.
    pub records: u64,
    /// Seconds in which they were taken in, sealing not counted.
    pub seconds: f64,
    /// The most memory that an aggregator had meanwhile, MiB.
    pub aggregator: f64,
    /// Bytes of an aggregator's store, MiB.
    pub store: f64,
    /// The most memory that it had when it started again on that store, MiB, and the seconds until it listened.
    pub restarted: (f64, f64),
    /// The broker's most, MiB.
    pub broker: f64,
    /// The sink's most, MiB.
    pub sink: f64,
    /// A meter agent's that waits for its next reading, MiB, and what of it is no page of the program's file.
    pub agent: (f64, f64),
}

/// Fills the aggregators, and looks.
///
/// # Errors
///
/// If a role fails, refuses a record, or forgets one.
pub async fn run(options: &Options) -> anyhow::Result<Memory> {
    let Options { meters, days, batch, on } = options;
    anyhow::ensure!(
        DAY.is_multiple_of(*batch),
        "a day has {DAY} slots: --batch is to divide it, {batch} does not"
    );
    let directory = on.clone().unwrap_or_else(std::env::temp_dir);
    let mut town = Town::start(usize::try_from(*meters)?, &directory, &mut runtime::entropy()?)?;
    let a_day = DAY / batch;
    let mut took = Duration::ZERO;
    for day in 0..*days {
        let first = 1 + u64::from(day * a_day);
        let load = Load::seal(&town.processes.deployment, (first, usize::try_from(a_day)?), *batch)?;
        took += load.run(&town.processes.deployment, &town.settings, None).await?.took;
    }
    let used = town.used()?;
    let agent = town.idle_agent(IDLE)?;
    let store = town.store_bytes()?;
    let start = Instant::now();
    let restarted = town.restart_worker()?;
    let until = start.elapsed().as_secs_f64();
    let records = u64::from(*meters) * u64::from(days * a_day);
    super::verify(town, records)?;
    Ok(Memory {
        meters: *meters,
        days: *days,
        records,
        seconds: took.as_secs_f64(),
        aggregator: mib(used.aggregators.peak),
        store: mib(store),
        restarted: (mib(restarted.peak), until),
        broker: mib(used.broker.peak),
        sink: mib(used.sink.peak),
        agent: (mib(agent.memory), mib(agent.own)),
    })
}

/// Bytes in MiB.
pub(super) fn mib(bytes: u64) -> f64 {
    float(bytes) / f64::from(1 << 20)
}

impl Memory {
    /// The figures for a program.
    pub fn to_json(&self) -> Value {
        json!({
            "bench": "memory",
            "meters": self.meters,
            "days": self.days,
            "records": self.records,
            "intake_seconds": self.seconds,
            "aggregator_peak_mib": self.aggregator,
            "aggregator_store_mib": self.store,
            "restarted_aggregator_peak_mib": self.restarted.0,
            "restart_seconds": self.restarted.1,
            "broker_peak_mib": self.broker,
            "sink_peak_mib": self.sink,
            "idle_agent_mib": self.agent.0,
            "idle_agent_own_mib": self.agent.1,
        })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} meters × {} days: {} records at each of 4 aggregators, taken in through the broker in {:.0} s\n",
            self.meters, self.days, self.records, self.seconds
        )?;
        let (peak, until) = self.restarted;
        for (what, mib) in [
            ("an aggregator, at most", self.aggregator),
            ("the same, started again on its store", peak),
            ("the broker, at most", self.broker),
            ("the sink, at most", self.sink),
            ("a meter agent that waits", self.agent.0),
            ("  without the pages of its program", self.agent.1),
            ("on disk: an aggregator's store", self.store),
        ] {
            writeln!(f, "{what:<40} {mib:>8.1} MiB")?;
        }
        writeln!(f, "\nan aggregator listens {until:.1} s after it was killed and started again")
    }
}
