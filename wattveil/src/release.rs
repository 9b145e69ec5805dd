//! The sink run once, here, until it has what its configuration asks for.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use store::StoreError;
use tokio::time::Instant;
use utility_sink::config::Config;
use utility_sink::service::{self, Released, Standing, State};

/// How often a person who waits is told for what.
const SAY: Duration = Duration::from_secs(15);

/// Why the sink ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// There was nothing left to wait for.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// So many seconds were over.
    Patience(u64),
}

/// Runs the sink until nothing is left to wait for, somebody stops it, or so many seconds are over; what it has then. Meanwhile it says
/// on standard error what it waits for. `failed` says what did not happen if it can't run.
///
/// # Errors
///
/// Whatever keeps the sink from running: most often another one has its store.
pub(crate) async fn released_within(
    seconds: u64,
    config: &Config,
    home: &Path,
    failed: &'static str,
) -> anyhow::Result<(Released, Ended)> {
    let mut ended = Ended::Done;
    let stop = async {
        ended = tokio::select! {
            () = runtime::stopped() => Ended::Stopped,
            () = tokio::time::sleep(Duration::from_secs(seconds)) => Ended::Patience(seconds),
        };
    };
    let mut said = Instant::now();
    let report = |standings: &[Standing]| {
        if said.elapsed() >= SAY {
            said = Instant::now();
            say(standings);
        }
    };
    let released = service::run_reporting(config, home, true, stop, report).await;
    let released = released.map_err(|error| explained(error, failed, &home.join(&config.store)))?;
    Ok((released, ended))
}

/// Says what is waited for.
fn say(standings: &[Standing]) {
    for standing in standings {
        if let State::Waiting(what) = &standing.state {
            // Who does not look is not told.
            drop(writeln!(io::stderr().lock(), "waiting for {what}"));
        }
    }
}

/// What did not happen, and why: a sink that runs is to be stopped, if it is that.
pub(crate) fn explained(error: anyhow::Error, failed: &'static str, store: &Path) -> anyhow::Error {
    let held = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref::<StoreError>(), Some(StoreError::InUse { .. }))
    };
    if error.chain().any(held) {
        error.context(format!(
            "{failed}: the sink runs on {}; stop it first (systemctl stop wattveil-utility-sink), type the same again, and start it \
             afterwards",
            store.display()
        ))
    } else {
        error.context(failed)
    }
}
