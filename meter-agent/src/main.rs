//! `meter-agent --config FILE`: measures, seals, delivers, until it is stopped.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use meter_agent::config::Config;
use meter_agent::service;

/// Turns register readings into sealed, signed shares and delivers them.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End once the source has ended and every record has its receipts.
    #[arg(long)]
    until_done: bool,
}

#[tokio::main(worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    host::log_to_stderr();
    let arguments = Arguments::parse();
    let directory = arguments.config.parent().unwrap_or_else(|| Path::new("."));
    let config = Config::read(&arguments.config)?;
    let done = service::run_configured(&config, directory, arguments.until_done, host::stopped()).await;
    done.context("the meter agent stopped")
}
