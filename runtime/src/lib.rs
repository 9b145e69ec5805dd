//! What a role needs of the machine, and what it says of itself in return; topics and bytes, no message.
//!
//! [`config`] reads a configuration, [`mod@file`] keys and documents, [`link`] speaks to the broker, [`telemetry`] is logs, metrics
//! and readiness, [`exit`] reports why a program ends. Roles are pure: clock and entropy are taken from here by what is around them, and from nowhere else.

use std::time::SystemTime;

use rand::rngs::{StdRng, SysError, SysRng};
use rand::{SeedableRng, TryRng};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

pub mod commented;
pub mod config;
pub mod exit;
pub mod file;
pub mod link;
pub mod millis;
pub mod service;
pub mod telemetry;

/// The operating system gives no entropy: then nothing may be sealed, and a role does not start.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no entropy: refusing to start")]
pub struct EntropyError(#[source] SysError);

/// The present moment, in the caller's own type of it.
pub fn now<T: From<SystemTime>>() -> T {
    SystemTime::now().into()
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
