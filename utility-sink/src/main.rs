//! `utility-sink --config FILE`: publishes tariffs, asks for releases, decodes them, until it is stopped.

use clap::Parser as _;
use utility_sink::command::Command;

#[tokio::main(worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    Command::parse().run().await
}
