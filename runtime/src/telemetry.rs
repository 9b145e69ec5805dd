//! What a role says of itself: logs, counters, how long things take, that it is ready. Never a reading.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::time::Instant;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use sd_notify::NotifyState;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs go to standard error, in colour for a person; `RUST_LOG` says which (default `info`). How long each stage took is
/// logged with `RUST_LOG=info,performance=debug`.
pub fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rumqttd=error"));
    let person = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(person)
        // it would panic when nobody reads our errors any more
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// Why counters can't be served.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// An address that others reach.
    #[error(
        "metrics on {address} would be for everybody who reaches this machine: say a loopback address, such as \
         127.0.0.1:{}",
        address.port()
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// The port is taken, or counters are served already.
    #[error("cannot serve metrics on {address}; is the port taken?")]
    Serve {
        /// The address.
        address: SocketAddr,
        /// What is wrong.
        #[source]
        source: BuildError,
    },
}

/// Seconds that a stage may take: from a message to a slow disk.
const BUCKETS: [f64; 9] = [0.000_01, 0.000_1, 0.001, 0.005, 0.01, 0.05, 0.1, 1.0, 10.0];

/// Serves counters at `http://ADDRESS/metrics` in Prometheus' format, if an address is given.
///
/// # Errors
///
/// [`MetricsError`].
pub fn serve_metrics(address: Option<SocketAddr>) -> Result<(), MetricsError> {
    let Some(address) = address else { return Ok(()) };
    if !address.ip().is_loopback() {
        return Err(MetricsError::Exposed { address });
    }
    let served = PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .and_then(PrometheusBuilder::install);
    served.map_err(|source| MetricsError::Serve { address, source })
}

/// Does a stage of the work, and notes how long it took.
pub fn timed<T>(stage: &'static str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    let took = start.elapsed();
    metrics::histogram!("wattveil_stage_seconds", "stage" => stage).record(took);
    tracing::debug!(target: "performance", stage, microseconds = took.as_micros());
    done
}

/// Counts things that happened.
pub fn count(name: &'static str, things: u64) {
    metrics::counter!(name).increment(things);
}

/// Counts things that happened of one kind.
pub fn count_kind(name: &'static str, kind: &'static str, things: u64) {
    metrics::counter!(name, "kind" => kind).increment(things);
}

/// Notes how many things have happened so far.
pub fn total(name: &'static str, things: u64) {
    metrics::counter!(name).absolute(things);
}

/// Notes how much there is of something now.
pub fn level(name: &'static str, amount: u64) {
    #[expect(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2^52")]
    metrics::gauge!(name).set(amount as f64);
}

/// Tells systemd, if it started this process, that the role does its work.
pub fn ready() {
    notify(NotifyState::Ready);
}

/// Tells systemd, if it started this process, that the role is about to end.
pub fn stopping() {
    notify(NotifyState::Stopping);
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(error = &error as &dyn std::error::Error, "systemd was not told");
    }
}
