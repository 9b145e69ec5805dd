//! The meter agent as a command: its flags, and what it does with them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;

use crate::config::Config;
use crate::service;

/// Turns register readings into sealed, signed shares and delivers them, until it is stopped
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End once the source has ended and every record has its receipts
    #[arg(long)]
    until_done: bool,
}

impl Command {
    /// Runs until control-C or SIGTERM.
    ///
    /// # Errors
    ///
    /// A file that is not what it should be, and whatever makes going on impossible.
    pub async fn run(self) -> anyhow::Result<()> {
        host::log_to_stderr();
        let stopped = host::stopped();
        let config = Config::read(&self.config)?;
        let directory = self.config.parent().unwrap_or_else(|| Path::new("."));
        let done = service::run_configured(&config, directory, self.until_done, stopped).await;
        done.context("the meter agent stopped")
    }
}
