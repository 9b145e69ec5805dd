//! The aggregator worker as a command: its flags, and what it does with them.

use anyhow::Context as _;
use clap::Parser;
use runtime::config::ConfigArguments;
use runtime::telemetry;

use crate::config::Config;
use crate::service;

/// Stores one organisation's shares and answers certified releases only, until it is stopped
///
/// Every parameter of the configuration can be set over the file: in the environment (WATTVEIL_PACE__PATIENCE_S=60) or with
/// --set (--set pace.patience_s=60).
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    #[command(flatten)]
    config: ConfigArguments,
}

impl Command {
    /// Runs until control-C or SIGTERM.
    ///
    /// # Errors
    ///
    /// A file that is not what it should be, and whatever makes going on impossible.
    pub async fn run(self) -> anyhow::Result<()> {
        let config: Config = self.config.read()?;
        telemetry::log_to_stderr(config.log);
        let stopped = runtime::stopped();
        telemetry::serve_metrics(config.metrics)?;
        let directory = self.config.directory();
        service::run_configured(&config, directory, stopped).await.context("the aggregator worker stopped")
    }
}
