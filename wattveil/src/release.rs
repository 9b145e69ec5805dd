//! The sink run once, here, until it has what its configuration asks for.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use utility_sink::config::Config;
use utility_sink::service::{self, Released};

/// Runs the sink until everything is released, somebody stops it, or so many seconds are over; what it has then. `failed` says what
/// did not happen if it can't run.
///
/// # Errors
///
/// Whatever keeps the sink from running: most often another one has its store.
pub(crate) async fn released_within(
    seconds: u64,
    config: &Config,
    home: &Path,
    failed: &str,
) -> anyhow::Result<Released> {
    let stop = async {
        tokio::select! {
            () = host::stopped() => {}
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
        }
    };
    service::run_configured(config, home, true, stop).await.with_context(|| {
        format!(
            "{failed}; if the sink runs on {}, stop it first (systemctl stop wattveil-utility-sink), type the same again, and start \
             it afterwards",
            home.join(&config.store).display()
        )
    })
}
