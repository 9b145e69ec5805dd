//! Why a client is cut off.

use rumqttd::protocol;

/// Why a client is cut off, or a subscription refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("a packet that a client may not send, or not now")]
    Unexpected,
    #[error("a malformed packet")]
    Malformed(#[source] protocol::Error),
    #[error("a packet of {bytes} bytes is over the limit of {limit}")]
    TooLong { bytes: usize, limit: usize },
    #[error("a QoS 2 message; send it at QoS 1")]
    ExactlyOnce,
    #[error(
        "a topic that is empty, over 512 bytes, starts with $, or is not printable ASCII without wildcards"
    )]
    Topic,
    #[error(
        "a filter that is empty, over 512 bytes, starts with $, is not printable ASCII, or misplaces a wildcard"
    )]
    Filter,
    #[error("another protocol than MQTT 3.1.1")]
    Version,
    #[error("a client id that is empty, over 128 bytes, or not printable ASCII without / + # $")]
    ClientId,
    #[error("user or password is wrong or missing")]
    Credentials,
    #[error("as many clients as there may be are connected")]
    Full,
}

impl From<protocol::Error> for Refusal {
    fn from(error: protocol::Error) -> Self {
        match error {
            protocol::Error::InvalidProtocol | protocol::Error::InvalidProtocolLevel(_) => Self::Version,
            error => Self::Malformed(error),
        }
    }
}
