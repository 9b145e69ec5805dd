//! Why a client is cut off.

use rumqttd::protocol;

/// Why a client is cut off, or a subscription refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it sent a packet that a client may not send, or not now, as who speaks TLS to a port without")]
    Unexpected,
    #[error("it sent a malformed packet")]
    Malformed(#[source] protocol::Error),
    #[error("it sent a packet of {bytes} bytes, over the limit of {limit}")]
    TooLong { bytes: usize, limit: usize },
    #[error("it sent a QoS 2 message; QoS 1 is what there is")]
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
    #[error("it has published to as many topics as its role may")]
    Topics,
    #[error("it has subscribed to as many filters as its role may, or as there is memory for")]
    Filters,
    #[error("as much is retained as there may be")]
    Retained,
    #[error("it speaks another protocol than MQTT 3.1.1")]
    Version,
    #[error("its client id is empty, over 128 bytes, or not printable ASCII without / + # $")]
    ClientId,
    #[error("its client id {0} is none of its user's")]
    ForeignId(String),
    #[error(
        "its user, password or certificate is wrong or missing; compare the user in the settings with the password on its machine"
    )]
    Credentials,
    #[error("as many clients as there may be are connected")]
    Full,
    #[error("as many clients of its user as there may be are connected")]
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
