//! Why a client is cut off.

use rumqttd::protocol;

/// Why a client is cut off, or a subscription refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it sent a packet that a client may not send, or not now")]
    Unexpected,
    #[error("it sent a malformed packet")]
    Malformed(#[source] protocol::Error),
    #[error("it sent a packet of {bytes} bytes is over the limit of {limit}")]
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
    #[error("it speaks another protocol than MQTT 3.1.1")]
    Version,
    #[error("it sent a client id that is empty, over 128 bytes, or not printable ASCII without / + # $")]
    ClientId,
    #[error("its user or password is wrong or missing")]
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
