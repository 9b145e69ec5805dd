//! The broker as a command: its flags, and what it does with them.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{Broker, Config};

/// Wattveil's MQTT 3.1.1 broker
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    /// Where to listen, such as 127.0.0.1:1883 [default: what the file says, or 127.0.0.1:1883]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,
    /// A file of settings in TOML: listen, users, limits
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Command {
    /// Serves until control-C or SIGTERM.
    ///
    /// # Errors
    ///
    /// If it can't listen, if the file is not what it should be, or if the router inside has died.
    pub async fn run(self) -> anyhow::Result<()> {
        log_to_stderr();
        let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for control-C")?;
        let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut config = self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
        config.listen = self.listen.unwrap_or(config.listen);
        let broker = Broker::start(config).await?;
        tokio::select! {
            _ = interrupted.recv() => (),
            _ = terminated.recv() => (),
            () = broker.failed() => anyhow::bail!("the router has died; start the broker again"),
        }
        broker.stop().await;
        Ok(())
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rumqttd=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        // it would panic when nobody reads our errors any more
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .init();
}
