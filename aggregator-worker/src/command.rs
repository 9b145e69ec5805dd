//! The aggregator worker as a command: its flags, and what it does with them.

use anyhow::Context as _;
use clap::Parser;
use runtime::config::ConfigArguments;
use runtime::telemetry;

use crate::config::Config;
use crate::service;

/// Store one organisation's shares and answer certified releases only, until stopped
///
/// The environment (WATTVEIL_PACE__PATIENCE=1m) and --set (--set pace.patience=1m) override every parameter of the
/// configuration.
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
