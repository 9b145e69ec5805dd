//! The pipeline under load: share messages through a broker into four aggregators that store them durably and receipt
//! them, with the sink listening; every role a process of its own, with TLS, logins and permissions.
//!
//! What is counted: from a meter's publishing of a sealed share message to the receipt that names it as stored, and the processor
//! time of broker, aggregators and sink meanwhile. The load runs on the same machine and takes its part of it; its
//! processor time is told beside. What is not counted: sealing, which meters do on their own processors and which is done
//! ahead here; that a meter has connections of its own, where here a few carry all meters' messages; the meter's check of
//! a receipt, which is done when the clock has stopped. At the end the aggregators are killed, and every record that was
//! receipted has to be in their stores.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use self::floor::Floor;
use self::load::{Load, Outcome};
use self::report::Report;
use self::town::{Town, Used};
use crate::account::{float, micros};
use crate::town::Usage;

mod floor;
mod load;
pub mod memory;
pub mod report;
pub(super) mod town;

/// How a run is made.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How many meters: a run for each of these
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_values_t = [10, 100, 1_000, 10_000],
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    meters: Vec<u32>,
    /// Records in each run, shared among its meters, and one a meter at least; four share messages each
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    records: u32,
    /// Slots a record: 1 is a meter that reports every slot
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=192))]
    batch: u32,
    /// Messages a second in the run that measures latency; without it, half of what came through in the last run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Where stores are written, in a directory that is removed again; without it, the system's directory for temporary
    /// files. It should be on the disk whose fsync is to be measured
    #[arg(long, value_name = "DIR")]
    on: Option<PathBuf>,
}

/// What a role took for a message.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Microseconds of its processor, all processes of the role together.
    pub micros: f64,
    /// Its part of the machine's processors, in cores.
    pub cores: f64,
    /// The most memory that one process of the role had, in MiB.
    pub peak_mib: f64,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Meters.
    pub meters: usize,
    /// Share messages.
    pub messages: usize,
    /// Messages a second at which they were published, if not as fast as they came through.
    pub rate: Option<f64>,
    /// Share messages a second, published, durable and receipted.
    pub per_second: f64,
    /// Broker, aggregators, sink, load.
    pub roles: [Share; 4],
    /// Bytes of a share message with topic and header.
    pub bytes: f64,
    /// Receipts a message, and their bytes a message.
    pub receipts: (f64, f64),
    /// Bytes that all aggregators had written to the disk, a message.
    pub written: f64,
    /// Milliseconds from a message's publishing to its receipt: median, 90 %, 99 %, most.
    pub latency: [f64; 4],
    /// Messages that were sent again.
    pub resent: usize,
}

/// The names of [`Run::roles`].
pub const ROLES: [&str; 4] = ["broker", "4 aggregators", "sink", "load"];

/// What part of the latencies is below each of [`Run::latency`], in hundredths.
const QUANTILES: [usize; 4] = [50, 90, 99, 100];

/// All that was measured.
#[derive(Clone, Debug)]
pub struct Costs {
    /// Slots a record.
    pub batch: u32,
    /// Cores of the machine.
    pub cores: usize,
    /// What can't be saved.
    pub floor: Floor,
    /// As fast as messages come through, by meters.
    pub runs: Vec<Run>,
    /// At a set rate.
    pub paced: Run,
    /// A day's values in one report, ours and Prio3SumVec's.
    pub reports: Vec<Report>,
}

/// Measures everything.
///
/// # Errors
///
/// If a role fails, refuses a record, or forgets one that it has receipted.
pub async fn run(options: &Options) -> anyhow::Result<Costs> {
    let directory = options.on.clone().unwrap_or_else(std::env::temp_dir);
    let floor = Floor::measure(&directory, options.batch)?;
    let reports = report::measure()?;
    let mut runs = Vec::new();
    let mut last = None;
    for &meters in &options.meters {
        let meters = usize::try_from(meters)?;
        let town = Town::start(meters, &directory, &mut runtime::entropy()?)?;
        let records = usize::try_from(options.records)?.div_ceil(meters);
        let load = Load::seal(&town.processes.deployment, (1, records), options.batch)?;
        let run = Run::measure(&town, load, None).await?;
        let stored = (meters * records) as u64;
        // the last town goes on, to measure latency
        if let Some((town, stored)) = last.replace((town, stored)) {
            verify(town, stored)?;
        }
        runs.push(run);
    }
    let (town, stored) = last.context("no number of meters")?;
    let fastest = runs.last().map_or(1.0, |run| run.per_second);
    let rate = options.rate.map_or(fastest / 2.0, f64::from);
    let meters = town.processes.deployment.meters.len();
    let before = usize::try_from(stored)? / meters;
    let records = usize::try_from(options.records)?.div_ceil(meters);
    let load = Load::seal(&town.processes.deployment, (1 + before as u64, records), options.batch)?;
    let paced = Run::measure(&town, load, Some(rate)).await?;
    verify(town, stored + (meters * records) as u64)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Costs { batch: options.batch, cores, floor, runs, paced, reports })
}

/// Every record that was receipted is in every aggregator's store after a kill, and nobody complained.
fn verify(town: Town, records: u64) -> anyhow::Result<()> {
    let complaints = town.complaints();
    anyhow::ensure!(complaints.is_empty(), "the roles complained:\n{}", complaints.join("\n"));
    let found = town.kill_and_count()?;
    anyhow::ensure!(found == records, "of {records} receipted records a store has {found} after a kill");
    Ok(())
}

impl Run {
    async fn measure(town: &Town, load: Load, rate: Option<f64>) -> anyhow::Result<Self> {
        let (meters, messages, bytes) = (town.processes.deployment.meters.len(), load.len(), load.bytes());
        let before = town.used()?;
        let outcome = load.run(&town.processes.deployment, &town.settings, rate).await?;
        let used = town.used()?.since(before);
        Ok(Self::new((meters, messages, bytes), rate, &outcome, used))
    }

    fn new(
        (meters, messages, bytes): (usize, usize, usize),
        rate: Option<f64>,
        outcome: &Outcome,
        used: Used,
    ) -> Self {
        let count = float(messages as u64);
        let share = |usage: Usage| Share {
            micros: micros(usage.cpu) / count,
            cores: usage.cpu.as_secs_f64() / outcome.took.as_secs_f64(),
            peak_mib: memory::mib(usage.peak),
        };
        let quantile = |hundredths: usize| {
            let index = (outcome.latencies.len() * hundredths / 100).min(outcome.latencies.len() - 1);
            float(outcome.latencies[index]) / 1_000.0
        };
        Self {
            meters,
            messages,
            rate,
            per_second: count / outcome.took.as_secs_f64(),
            roles: [used.broker, used.aggregators, used.sink, used.load].map(share),
            bytes: float(bytes as u64) / count,
            receipts: (float(outcome.receipts as u64) / count, float(outcome.receipt_bytes as u64) / count),
            written: float(used.aggregators.written) / count,
            latency: QUANTILES.map(quantile),
            resent: outcome.resent,
        }
    }

    /// Microseconds a message of broker, aggregators and sink.
    fn micros(&self) -> f64 {
        self.roles[..3].iter().map(|share| share.micros).sum()
    }

    fn to_json(&self) -> Value {
        let roles: serde_json::Map<String, Value> = ROLES
            .iter()
            .zip(&self.roles)
            .map(|(name, share)| {
                let Share { micros, cores, peak_mib } = share;
                let figures = json!({"micros_per_message": micros, "cores": cores, "peak_mib": peak_mib});
                ((*name).to_owned(), figures)
            })
            .collect();
        json!({
            "meters": self.meters,
            "messages": self.messages,
            "rate": self.rate,
            "messages_per_second": self.per_second,
            "micros_per_message": self.micros(),
            "roles": roles,
            "bytes_per_message": self.bytes,
            "receipts_per_message": self.receipts.0,
            "receipt_bytes_per_message": self.receipts.1,
            "disk_bytes_per_message": self.written,
            "latency_ms": {
                "p50": self.latency[0],
                "p90": self.latency[1],
                "p99": self.latency[2],
                "most": self.latency[3],
            },
            "resent": self.resent,
        })
    }

    /// A row: what it is, messages a second, µs a message, latencies.
    fn row(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.rate.map_or_else(|| "as it goes".to_owned(), |rate| format!("{rate:.0}/s"));
        write!(f, "{:>7} {:>10} {:>9.0} {:>7.0}", self.meters, what, self.per_second, self.micros())?;
        for share in &self.roles {
            write!(f, " {:>7.0}", share.micros)?;
        }
        write!(f, " {:>6.2} {:>6.0}", self.receipts.0, self.written)?;
        for latency in &self.latency {
            write!(f, " {latency:>6.0}")?;
        }
        writeln!(f)
    }
}

impl Costs {
    /// Bytes that a meter of this cadence sends a day, and that come back to it.
    fn bytes_a_meter_day(&self) -> (f64, f64) {
        let records = 96.0 / f64::from(self.batch);
        let of = |run: &Run| (run.bytes * 4.0 * records, run.receipts.1 * 4.0 * records);
        of(&self.paced)
    }

    /// The figures for a program.
    pub fn to_json(&self) -> Value {
        json!({
            "bench": "pipeline",
            "cores": self.cores,
            "slots_per_record": self.batch,
            "floor": self.floor.to_json(),
            "runs": self.runs.iter().map(Run::to_json).collect::<Vec<_>>(),
            "paced": self.paced.to_json(),
            "reports": self.reports.iter().map(Report::to_json).collect::<Vec<_>>(),
            "bytes_per_meter_day": self.bytes_a_meter_day().0,
            "receipt_bytes_per_meter_day": self.bytes_a_meter_day().1,
        })
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Share messages from publishing to durable and receipted; {} cores, load included; {} slots a record\n",
            self.cores, self.batch
        )?;
        writeln!(
            f,
            "{:>7} {:>10} {:>9} {:>7} {:>7} {:>7} {:>7} {:>7} {:>6} {:>6} {:>27}",
            "", "", "messages", "µs of", "", "4 aggre", "", "", "", "disk", "ms until receipted"
        )?;
        writeln!(
            f,
            "{:>7} {:>10} {:>9} {:>7} {:>7} {:>7} {:>7} {:>7} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}",
            "meters",
            "published",
            "a second",
            "a CPU",
            "broker",
            "gators",
            "sink",
            "(load)",
            "rcpts",
            "bytes",
            "50 %",
            "90 %",
            "99 %",
            "most"
        )?;
        for run in self.runs.iter().chain([&self.paced]) {
            run.row(f)?;
        }
        let cores: Vec<String> = ROLES
            .iter()
            .zip(&self.runs[self.runs.len() - 1].roles)
            .map(|(name, share)| format!("{name} {:.2} ({:.0} MiB)", share.cores, share.peak_mib))
            .collect();
        writeln!(
            f,
            "\ncores, and memory of the largest process, in the last full run: {}",
            cores.join(", ")
        )?;
        let (up, down) = self.bytes_a_meter_day();
        writeln!(
            f,
            "{:.0} bytes a message; {up:.0} a meter-day up, {down:.0} of receipts down",
            self.paced.bytes
        )?;
        let last = &self.runs[self.runs.len() - 1];
        self.floor.write(f, last.micros(), last.per_second, self.cores)?;
        report::write(f, &self.reports)
    }
}

/// Seconds as a number of milliseconds.
fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
