//! The broker as a command: its flags, and what it does with them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use host::telemetry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;
use tracing::{info, warn};

use crate::{Broker, Config, User};

/// How often the counters' page is brought up to date.
const REFRESH: Duration = Duration::from_secs(1);

/// Wattveil's MQTT 3.1.1 broker
///
/// Every parameter of the file can be set over it: in the environment (WATTVEIL_MAX_CONNECTIONS=500) or with --set (--set
/// max_connections=500). Without a file everybody on this machine may connect.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    /// Where to listen, such as 127.0.0.1:1883 [default: what the file says, or 127.0.0.1:1883]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set a parameter over the file and the environment, such as --set max_connections=500
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Read a password from standard input, print its hash for the file of settings, and end
    #[arg(long)]
    hash_password: bool,
}

impl Command {
    /// Serves until control-C or SIGTERM.
    ///
    /// # Errors
    ///
    /// If it can't listen, if the file is not what it should be, or if the router inside has died.
    pub async fn run(self) -> anyhow::Result<()> {
        if self.hash_password {
            return hash_password();
        }
        let mut config = Config::read(self.config.as_deref(), &self.set)?;
        config.listen = self.listen.unwrap_or(config.listen);
        telemetry::log_to_stderr(config.log);
        telemetry::serve_metrics(config.metrics)?;
        let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for control-C")?;
        let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        raise_file_limit(config.max_connections + config.max_handshakes);
        let broker = Broker::start(config).await?;
        broker.ends_the_process_when_dead();
        telemetry::ready();
        info!(address = %broker.address(), "ready");
        tokio::select! {
            _ = interrupted.recv() => (),
            _ = terminated.recv() => (),
            () = broker.failed() => anyhow::bail!("the router has died; start the broker again"),
            () = publish_counters(&broker) => (),
        }
        telemetry::stopping();
        broker.stop().await;
        Ok(())
    }
}

/// A connection is a file: as many as the operating system lets us have.
fn raise_file_limit(connections: usize) {
    let wanted = connections as u64 + 64;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit >= wanted => (),
        Ok(limit) => {
            warn!(limit, wanted, "fewer files may be open than there may be connections: see ulimit -n");
        }
        Err(error) => warn!(%error, "cannot tell how many files may be open"),
    }
}

/// Keeps the counters' page up to date, for ever.
#[expect(clippy::infinite_loop, reason = "it is dropped when the broker is to stop")]
async fn publish_counters(broker: &Broker) {
    let mut ticks = interval(REFRESH);
    loop {
        ticks.tick().await;
        for (name, value) in broker.counters().named() {
            telemetry::total(name, value);
        }
    }
}

fn hash_password() -> anyhow::Result<()> {
    let mut password = String::new();
    std::io::stdin().read_line(&mut password).context("cannot read a password from standard input")?;
    let password = password.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(!password.is_empty(), "the password is empty; type it on standard input, in one line");
    let line = format!("password_hash = \"{}\"\n", User::hash_password(password));
    std::io::stdout().write_all(line.as_bytes()).context("cannot print")
}
