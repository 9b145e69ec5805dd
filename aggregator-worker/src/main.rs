//! `aggregator-worker --config FILE`: stores shares and answers certified releases, until it is stopped.

use std::path::{Path, PathBuf};

use aggregator_worker::config::Config;
use aggregator_worker::service;
use anyhow::Context as _;
use clap::Parser;

/// Stores one organisation's shares and answers certified releases only.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[tokio::main(worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    host::log_to_stderr();
    let arguments = Arguments::parse();
    let directory = arguments.config.parent().unwrap_or_else(|| Path::new("."));
    let config = Config::read(&arguments.config)?;
    service::run_configured(&config, directory, host::stopped())
        .await
        .context("the aggregator worker stopped")
}
