//! What the operating system hands to a role: the clock, entropy, its files and flags, the wish to stop; and what the role
//! says of itself in return.
//!
//! Roles are pure; the services around them take these from here, and nothing else in the workspace does. [`config`] reads
//! a configuration, [`membership`] the roster, [`telemetry`] is logs, counters and readiness.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::unit::Moment;
use rand::rngs::{StdRng, SysError, SysRng};
use rand::{SeedableRng, TryRng};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

pub mod commented;
pub mod config;
pub mod membership;
pub mod telemetry;

/// The operating system gives no entropy: then nothing may be sealed, and a role does not start.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no entropy: refusing to start")]
pub struct EntropyError(#[source] SysError);

/// The present moment; the epoch's start for a clock before it.
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A cryptographic generator seeded by the operating system.
///
/// # Errors
///
/// [`EntropyError`].
pub fn entropy() -> Result<StdRng, EntropyError> {
    let mut seed = Zeroizing::new([0; 32]);
    SysRng.try_fill_bytes(&mut seed[..]).map_err(EntropyError)?;
    Ok(StdRng::from_seed(*seed))
}

/// Ends at control-C or SIGTERM, also at one that comes between this call and the first time it is polled.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn stopped() -> impl Future<Output = ()> {
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        let [Ok(mut interrupted), Ok(mut terminated)] = signals else {
            // There is no waiting for signals here: they end the process the hard way.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    }
}
