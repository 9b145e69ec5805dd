//! The broker as a program of its own.

use broker::command::Command;
use clap::Parser as _;

#[tokio::main(flavor = "multi_thread")]
async fn main() -> anyhow::Result<()> {
    Command::parse().run().await
}
