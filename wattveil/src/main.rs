//! `wattveil`: every role in one command, and a demonstration.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use wattveil::demo::{self, Options};

/// Privacy-preserving smart metering: exact bills that nobody could have read
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show it all on this machine: real homes, real processes, crashes, lies and attacks
    Demo(DemoArguments),
    /// Measure what each step of a reading's way costs
    Bench {
        /// How many aggregators
        #[arg(long, value_name = "N", default_value_t = 4)]
        aggregators: usize,
        /// How many of them give a value together
        #[arg(long, value_name = "T", default_value_t = 2)]
        threshold: usize,
        /// Print the figures as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a meter agent
    MeterAgent {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// End once the source has ended and every record has its receipts
        #[arg(long)]
        until_done: bool,
    },
    /// Run an aggregator worker
    AggregatorWorker {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

#[derive(Args)]
struct DemoArguments {
    /// Load data instead of the shipped homes: `interval_start`, then one column of watt-hours a home
    #[arg(long, value_name = "FILE.csv")]
    data: Option<PathBuf>,
    /// So many synthetic homes; with --data, the first so many of the file
    #[arg(long, value_name = "N")]
    meters: Option<usize>,
    /// How many aggregators
    #[arg(long, value_name = "N", default_value_t = 4)]
    aggregators: usize,
    /// How many of them give a value together
    #[arg(long, value_name = "T", default_value_t = 2)]
    threshold: usize,
    /// Slots a second; 0 is as fast as it goes
    #[arg(long, value_name = "SLOTS", default_value_t = 0.0)]
    speed: f64,
    /// Keep everything it makes in this new directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Print the report as JSON, and nothing else
    #[arg(long)]
    json: bool,
}

#[tokio::main(worker_threads = 4)]
async fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Demo(arguments) => demo(arguments).await,
        Command::Bench { aggregators, threshold, json } => bench(aggregators, threshold, json),
        Command::MeterAgent { config, until_done } => {
            host::log_to_stderr();
            let settings = meter_agent::config::Config::read(&config)?;
            let run =
                meter_agent::service::run_configured(&settings, parent(&config), until_done, host::stopped());
            run.await.context("the meter agent stopped").map(|()| ExitCode::SUCCESS)
        }
        Command::AggregatorWorker { config } => {
            host::log_to_stderr();
            let settings = aggregator_worker::config::Config::read(&config)?;
            let run = aggregator_worker::service::run_configured(&settings, parent(&config), host::stopped());
            run.await.context("the aggregator worker stopped").map(|()| ExitCode::SUCCESS)
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("."))
}

fn bench(aggregators: usize, threshold: usize, json: bool) -> anyhow::Result<ExitCode> {
    let directory = tempfile::tempdir().context("cannot make a directory for the benchmark")?;
    let costs = wattveil::bench::run(directory.path(), aggregators, threshold)?;
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{:#}", costs.to_json())?;
    } else {
        write!(out, "{costs}")?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn demo(arguments: DemoArguments) -> anyhow::Result<ExitCode> {
    let DemoArguments { data, meters, aggregators, threshold, speed, keep, json } = arguments;
    let temporary = tempfile::tempdir().context("cannot make a directory for the demonstration")?;
    let directory = match &keep {
        Some(directory) => {
            std::fs::create_dir(directory).with_context(|| {
                format!(
                    "cannot create {}: --keep wants a directory that is not there yet",
                    directory.display()
                )
            })?;
            directory.as_path()
        }
        None => temporary.path(),
    };
    let log = std::fs::File::create(directory.join("demo.log"))?;
    tracing_subscriber::fmt().with_ansi(false).with_writer(log).init();
    let options = Options { data, meters, aggregators, threshold, speed, keep: keep.clone(), quiet: json };
    let report = demo::run(&options, directory).await?;
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{:#}", report.to_json())?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(if report.held() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
