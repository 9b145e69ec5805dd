//! `meter-agent --config FILE`: measures, seals, delivers, until it is stopped.

use clap::Parser as _;
use meter_agent::command::Command;

#[tokio::main(worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    Command::parse().run().await
}
