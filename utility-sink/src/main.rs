//! `utility-sink --config FILE`: publishes tariffs, asks for releases, decodes them, until it is stopped.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use utility_sink::config::Config;
use utility_sink::service;

/// Asks for certified releases, decodes them, keeps the ledger of bills and curves.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End once every configured release has ended, and print what they gave as JSON, one line each.
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
    let released = done.context("the utility sink stopped")?;
    let mut out = std::io::stdout().lock();
    for bill in &released.bills {
        let amounts: Vec<String> = bill.amounts.iter().map(|(_, amount)| amount.to_string()).collect();
        let line = serde_json::json!({
            "meter": bill.meter.to_string(),
            "from_slot": bill.window.start().0,
            "to_slot": bill.window.end().0,
            "energy_wh": bill.energy.0,
            "amounts": amounts,
            "missing_slots": bill.missing,
        });
        writeln!(out, "{line}")?;
    }
    for curve in &released.curves {
        let energies: Vec<i64> = curve.energies.iter().map(|energy| energy.0).collect();
        let line = serde_json::json!({
            "group": curve.group.to_string(),
            "from_slot": curve.slots.start().0,
            "members": curve.members,
            "energy_wh": energies,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}
