//! The meter agent as a command: its flags, and what it does with them.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use runtime::config::ConfigArguments;
use runtime::telemetry;

use crate::config::Config;
use crate::rebase::RebaseArguments;
use crate::{dry_run, service};

/// Turn register readings into sealed, signed shares and deliver them, until stopped
///
/// The environment (WATTVEIL_PACE__BATCH_SLOTS=8) and --set (--set pace.batch_slots=8) override every parameter of the
/// configuration file.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Command {
    #[command(subcommand)]
    other: Option<Other>,
    // always there without a subcommand: --config is required then
    #[command(flatten)]
    config: Option<ConfigArguments>,
    /// Stop once the source has ended and every record has its receipts
    #[arg(long)]
    until_done: bool,
    /// Print what would be sent, and send nothing
    #[arg(long, conflicts_with = "until_done")]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum Other {
    Rebase(RebaseArguments),
}

impl Command {
    /// Runs until control-C or SIGTERM, or stores a rebase.
    ///
    /// # Errors
    ///
    /// A file that is not what it should be, and whatever makes it impossible to continue.
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { other, config, until_done, dry_run } = self;
        if let Some(Other::Rebase(rebase)) = other {
            return rebase.run();
        }
        let arguments = config.context("expected --config FILE; found none")?;
        let config: Config = arguments.read()?;
        telemetry::log_to_stderr(config.log);
        let stopped = runtime::stopped();
        let directory = arguments.directory();
        if dry_run {
            return dry_run::run(&config, directory, stopped).await.context("the dry run stopped");
        }
        telemetry::serve_metrics(config.metrics)?;
        let done = service::run_configured(&config, directory, until_done, stopped).await;
        done.context("the meter agent stopped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The agent runs by --config alone and rebases by a subcommand; neither goes without its file.
    #[test]
    fn it_wants_its_configuration() {
        let parse = |line: &str| Command::try_parse_from(line.split(' '));
        assert!(parse("meter-agent --config a.toml").unwrap().config.is_some());
        assert!(parse("meter-agent --config a.toml --set a=b --dry-run").unwrap().dry_run);
        assert!(parse("meter-agent rebase --config a.toml").unwrap().other.is_some());
        for line in [
            "meter-agent",
            "meter-agent --dry-run",
            "meter-agent rebase",
            "meter-agent --config a rebase --config b",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
