//! The broker as a command: its flags, and what it does with them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{debug, info, warn};
use tracing_subscriber::EnvFilter;

use crate::{Broker, Config, User};

/// Wattveil's MQTT 3.1.1 broker
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    /// Where to listen, such as 127.0.0.1:1883 [default: what the file says, or 127.0.0.1:1883]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,
    /// A file of settings in TOML: listen, tls, users, roles, limits
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
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
        log_to_stderr();
        let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for control-C")?;
        let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut config = self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
        config.listen = self.listen.unwrap_or(config.listen);
        raise_file_limit(config.max_connections + config.max_handshakes);
        let broker = Broker::start(config).await?;
        broker.ends_the_process_when_dead();
        tell_supervisor(NotifyState::Ready);
        info!(address = %broker.address(), "ready");
        tokio::select! {
            _ = interrupted.recv() => (),
            _ = terminated.recv() => (),
            () = broker.failed() => anyhow::bail!("the router has died; start the broker again"),
        }
        tell_supervisor(NotifyState::Stopping);
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

/// Tells systemd, or whoever else set `NOTIFY_SOCKET`.
fn tell_supervisor(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        debug!(%error, "the supervisor was not told");
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

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rumqttd=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        // it would panic when nobody reads our errors any more
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .init();
}
