//! The broker as a program of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use broker::{Broker, Config};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Wattveil's MQTT 3.1.1 broker
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen, such as 127.0.0.1:1883 [default: what the file says, or 127.0.0.1:1883]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,
    /// A file of settings in TOML: listen, users, limits
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rumqttd=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        // it would panic when nobody reads our errors any more
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .init();
    let mut config = args.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    // from here on, so that neither kills the process before it can stop cleanly
    let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for ctrl-c")?;
    let broker = Broker::start(config).await?;
    tokio::select! {
        _ = interrupted.recv() => (),
        _ = terminated.recv() => (),
        () = broker.failed() => {
            tracing::error!("the router has died; start the broker again");
            return Ok(ExitCode::FAILURE);
        }
    }
    broker.stop().await;
    Ok(ExitCode::SUCCESS)
}
