//! The sink run once, here, until it has what its configuration asks for.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use store::StoreError;
use tokio::time::Instant;
use utility_sink::agenda;
use utility_sink::agenda::progress::{Progress, State};
use utility_sink::agenda::results::Results;
use utility_sink::config::Config;

/// How often the progress is printed.
const SAY: Duration = Duration::from_secs(15);

/// Why the sink ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
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
) -> anyhow::Result<(Results, Stop)> {
    let mut ended = Stop::Done;
    let stop = async {
        ended = tokio::select! {
            () = runtime::stopped() => Stop::Stopped,
            () = tokio::time::sleep(Duration::from_secs(seconds)) => Stop::Patience(seconds),
        };
    };
    let mut said = Instant::now();
    let report = |progress: &[Progress]| {
        if said.elapsed() >= SAY {
            said = Instant::now();
            say(progress);
        }
    };
    let results = agenda::run(config, home, true, stop, report).await;
    let results = results.map_err(|error| explained(error, failed, &home.join(&config.store)))?;
    Ok((results, ended))
}

/// Says what is waited for.
fn say(progress: &[Progress]) {
    for progress in progress {
        if let State::Waiting(what) = &progress.state {
            // Standard error may be closed.
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
            "{failed}: a sink runs with the store {}; stop it (systemctl stop wattveil-utility-sink), type the same again, and start \
             it afterwards",
            store.display()
        ))
    } else {
        error.context(failed)
    }
}
