//! What publisher and subscriber have in common: when a connection ends, and when to try the next one.

use std::io;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rumqttc::{ConnectReturnCode, mqttbytes};
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use crate::link::Settings;

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

impl End {
    /// What happened, and what to look at.
    pub(crate) fn told(&self, settings: &Settings) -> String {
        format!("{self}; {}", self.remedy(settings.tls.is_some()))
    }

    /// What to look at, by whoever runs a client with TLS or without.
    fn remedy(&self, tls: bool) -> &'static str {
        let of_certificate = |error: &io::Error| error.to_string().contains("certificate");
        match self {
            Self::Lost(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "is the broker running? On its machine type: wattveil broker --config broker.toml"
            }
            Self::Tls(error) if !of_certificate(error) => {
                "does the broker speak plain text? Then take [broker.tls] out here (--ca of tap), or have the broker speak TLS by [tls] \
                 in broker.toml"
            }
            Self::Tls(_) | Self::Name(_) => {
                "the authority in [broker.tls] here, broker-ca.pem, is to be the one that signed broker.pem there, for this very address"
            }
            Self::Malformed(_) | Self::Unexpected if !tls => {
                "does the broker speak TLS, and this side not? Then name its authority here in [broker.tls] (--ca of tap)"
            }
            Self::Refused(ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized) => {
                "compare this user in broker.toml with the user and the password file here; reload the broker after a change (systemctl \
                 reload wattveil-broker, or kill -HUP)"
            }
            Self::SubscriptionRefused(_) => {
                "give this user in broker.toml the role that it is to have, and reload the broker (systemctl reload wattveil-broker, or \
                 kill -HUP)"
            }
            Self::Stalled(_) => "the broker takes nothing more: what does it say itself?",
            _ if tls => "is its address right, and the port open on the way?",
            _ => {
                "is its address right, and the port open on the way? Does it speak TLS, and this side not ([broker.tls], or --ca of tap)?"
            }
        }
    }
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
    pub(crate) async fn after(
        &mut self,
        settings: &Settings,
        client: &str,
        (start, of_use): (Instant, bool),
        end: &End,
    ) {
        if of_use || start.elapsed() > self.longest {
            self.next = self.builder.build();
        }
        let pause = self.next.next().unwrap_or(self.longest);
        if of_use {
            debug!(client, %end, ?pause, "connection lost");
        } else {
            let address = format_args!("{}:{}", settings.host, settings.port);
            let user = settings.login.as_ref().map(|login| login.user.as_str());
            let remedy = end.remedy(settings.tls.is_some());
            warn!(%address, user, client, %end, ?pause, "no connection; {remedy}");
        }
        sleep(pause).await;
    }
}
