//! `aggregator-worker --config FILE`: stores shares and answers certified releases, until it is stopped.

use aggregator_worker::command::Command;
use clap::Parser as _;

#[tokio::main(worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    Command::parse().run().await
}
