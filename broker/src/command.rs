//! The broker as a command: its flags, and what it does with them.

use std::future::pending;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use runtime::config::ConfigError;
use runtime::telemetry;
use tokio::signal::unix::{Signal, SignalKind, signal};
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
    /// Serves until control-C or SIGTERM; SIGHUP has it read its file again.
    ///
    /// # Errors
    ///
    /// If it can't listen, if the file is not what it should be, or if the router inside has died.
    pub async fn run(self) -> anyhow::Result<()> {
        if self.hash_password {
            return hash_password();
        }
        let config = self.read()?;
        telemetry::log_to_stderr(config.log);
        telemetry::serve_metrics(config.metrics)?;
        let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for control-C")?;
        let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        // without a file there is nothing to read again, and the end of a terminal is the end
        let hangup = self.config.as_ref().map(|_| signal(SignalKind::hangup()));
        let mut told_to_reload = hangup.transpose().context("cannot wait for SIGHUP")?;
        raise_file_limit(config.max_connections + config.max_handshakes);
        let mut broker = Broker::start(config).await?;
        broker.ends_the_process_when_dead();
        telemetry::ready();
        info!(address = %broker.address(), "ready");
        loop {
            tokio::select! {
                _ = interrupted.recv() => break,
                _ = terminated.recv() => break,
                () = broker.failed() => anyhow::bail!("the router has died; start the broker again"),
                () = publish_counters(&broker) => (),
                () = received(told_to_reload.as_mut()) => self.reload(&mut broker),
            }
        }
        telemetry::stopping();
        broker.stop().await;
        Ok(())
    }

    /// The file, the environment, and the flags.
    fn read(&self) -> Result<Config, ConfigError> {
        let mut config = Config::read(self.config.as_deref(), &self.set)?;
        config.listen = self.listen.unwrap_or(config.listen);
        Ok(config)
    }

    /// Reads the file again; what is wrong in it is for the log.
    fn reload(&self, broker: &mut Broker) {
        let reloaded = self.read().map_err(anyhow::Error::from).and_then(|config| Ok(broker.reload(config)?));
        match reloaded {
            Ok(reload) => {
                if !reload.at_next_start.is_empty() {
                    let parameters = reload.at_next_start.join(", ");
                    warn!(parameters, "these have changed, which takes effect at the next start");
                }
                info!(users = reload.users, cut_off = reload.cut_off, "the configuration was read again");
            }
            Err(error) => warn!("the configuration is not taken over, all stays as it was: {error:#}"),
        }
    }
}

/// Completes with each such signal, if there are any. Cancel-safe.
async fn received(signal: Option<&mut Signal>) {
    let told = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if told.is_none() {
        pending::<()>().await;
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
