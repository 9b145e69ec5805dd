//! Why a client is cut off.

use rumqttd::protocol;

/// Why a client is cut off, or a subscription refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it sent a packet that no client may send at this point, for example TLS on a plain-text port")]
    Unexpected,
    #[error("it sent a malformed packet")]
    Malformed(#[source] protocol::Error),
    #[error("it sent a packet of {bytes} bytes, over the limit of {limit}")]
    TooLong { bytes: usize, limit: usize },
    #[error("it sent a QoS 2 message; the broker supports QoS 0 and 1")]
    ExactlyOnce,
    #[error(
        "it sent a topic that is empty, over 512 bytes, starts with $, or is not printable ASCII without wildcards"
    )]
    Topic,
    #[error(
        "it sent a filter that is empty, over 512 bytes, starts with $, is not printable ASCII, or misplaces a wildcard"
    )]
    Filter,
    #[error("its role may not publish to {0}")]
    Publish(String),
    #[error("its role may not subscribe to {0}")]
    Subscribe(String),
    #[error("its role may not have its will on {0}")]
    Will(String),
    #[error("it reached the limit of topics that its role may publish to")]
    Topics,
    #[error("it reached the limit of filters of its role, or of the memory for queues")]
    Filters,
    #[error("the memory for retained messages is full")]
    Retained,
    #[error("expected MQTT 3.1.1, found another protocol or version")]
    Version,
    #[error("its client id is empty, over 128 bytes, or not printable ASCII without / + # $")]
    ClientId,
    #[error("its user may not use the client id {0}")]
    ForeignId(String),
    #[error(
        "its user, password or certificate is wrong or missing; compare the user in the settings with the password on its machine"
    )]
    Credentials,
    #[error("the limit of connected clients is reached (max_connections)")]
    Full,
    #[error("the limit of connected clients of its user is reached (max_connections_per_user)")]
    UserFull,
}

impl From<protocol::Error> for Refusal {
    fn from(error: protocol::Error) -> Self {
        match error {
            protocol::Error::InvalidProtocol | protocol::Error::InvalidProtocolLevel(_) => Self::Version,
            error => Self::Malformed(error),
        }
    }
}
