//! What publisher and subscriber have in common: when a connection ends, and when to try the next one.

use std::io;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rumqttc::{ConnectReturnCode, mqttbytes};
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use crate::Settings;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("{0}")]
    Lost(#[from] io::Error),
    #[error("no TLS with the broker: {0}")]
    Tls(#[source] io::Error),
    #[error("`{0}` is neither a name nor an address, as TLS wants one")]
    Name(String),
    #[error("the broker refused the connection: {0:?}")]
    Refused(ConnectReturnCode),
    #[error("the broker sent what it should not: {0}")]
    Malformed(#[from] mqttbytes::Error),
    #[error("the broker sent what it should not")]
    Unexpected,
    #[error("no sign of life for {0:?}")]
    NoAnswer(Duration),
    #[error("no acknowledgement for {0:?}")]
    Stalled(Duration),
    #[error("the broker refused the subscription to {0}")]
    SubscriptionRefused(String),
    /// We want no more.
    #[error("closed")]
    Closed,
}

/// The pauses between connections, which grow and are jittered, so that a thousand clients do not come back at once.
pub(crate) struct Pauses {
    builder: ExponentialBuilder,
    next: ExponentialBackoff,
    longest: Duration,
}

impl Pauses {
    pub(crate) fn new(settings: &Settings) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(settings.reconnect_min)
            .with_max_delay(settings.reconnect_max)
            .without_max_times()
            .with_jitter();
        Self { builder, next: builder.build(), longest: settings.reconnect_max }
    }

    /// Waits after a connection that began at `start`, was of use or not, and ended.
    ///
    /// Only a connection of use makes the pauses short again: one may be cut at once each time, by a limit of the
    /// broker's for instance.
    pub(crate) async fn after(&mut self, client: &str, start: Instant, of_use: bool, end: &End) {
        if of_use || start.elapsed() > self.longest {
            self.next = self.builder.build();
        }
        let pause = self.next.next().unwrap_or(self.longest);
        if of_use {
            debug!(client, %end, ?pause, "connection lost");
        } else {
            warn!(client, %end, ?pause, "no connection");
        }
        sleep(pause).await;
    }
}
