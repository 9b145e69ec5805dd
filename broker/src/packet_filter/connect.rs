//! What a client says when it connects.

use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use rumqttd::protocol::{LastWill, Login, Packet, QoS};

use super::{Budget, DecodeError, Identity, Refusal, Retained, copied, decode, packet_type, topic};

/// What a client says when it connects.
pub(crate) struct Connect {
    /// The id it asks for; none leaves that to the broker.
    pub(crate) client: Option<String>,
    pub(crate) login: Option<Login>,
    /// Whether what was kept of an earlier session is to be forgotten, and nothing kept of this one.
    pub(crate) clean: bool,
    /// After how long without a packet it is taken for gone, if at all.
    pub(crate) patience: Option<Duration>,
    pub(crate) will: Option<LastWill>,
}

impl Connect {
    /// Takes the first packet out of `input`; `None` while it is not complete.
    ///
    /// # Errors
    ///
    /// [`Refusal`]
    pub(crate) fn read(input: &mut BytesMut, max_packet: usize) -> Result<Option<Self>, Refusal> {
        if input.first().is_some_and(|first| first >> 4 != packet_type::CONNECT) {
            return Err(Refusal::Unexpected);
        }
        let (connect, mut will, login) = match decode(input, max_packet) {
            Ok(Packet::Connect(connect, _, will, _, login)) => (connect, will, login),
            Ok(_) => return Err(Refusal::Unexpected),
            Err(DecodeError::Incomplete(_)) => return Ok(None),
            Err(DecodeError::Refused(refusal)) => return Err(refusal),
        };
        if let Some(will) = &mut will {
            topic::admit(&will.topic)?;
            if will.qos == QoS::ExactlyOnce {
                return Err(Refusal::ExactlyOnce);
            }
            (will.topic, will.message) = copied(&will.topic, &will.message);
        }
        Ok(Some(Self {
            client: client_id(connect.client_id, connect.clean_session)?,
            login,
            clean: connect.clean_session,
            // [MQTT 3.1.1, 3.1.2.10]  one and a half times the keep alive
            patience: match connect.keep_alive {
                0 => None,
                seconds => Some(Duration::from_millis(1500) * u32::from(seconds)),
            },
            will,
        }))
    }

    /// Whether whoever has proved to be this may connect so. Nobody in particular may.
    ///
    /// # Errors
    ///
    /// [`Refusal`]
    pub(crate) fn admit(
        &self,
        identity: Option<&Identity>,
        budget: &Budget,
        retained: &Retained,
    ) -> Result<(), Refusal> {
        if let (Some(identity), Some(client)) = (identity, &self.client)
            && !identity.may_be(client)
        {
            return Err(Refusal::ForeignId(client.clone()));
        }
        if let Some(will) = &self.will {
            let refused = |_| Refusal::Will(String::from_utf8_lossy(&will.topic).into_owned());
            super::may_publish(identity, budget, &will.topic).map_err(refused)?;
            if will.retain {
                retained.has_room(&will.topic, &will.message)?;
            }
        }
        Ok(())
    }
}

/// Checks an id that a client has chosen.
fn client_id(client: String, clean: bool) -> Result<Option<String>, Refusal> {
    if client.is_empty() && clean {
        return Ok(None);
    }
    let bearable = (1..=128).contains(&client.len())
        && !client.starts_with(MADE_UP)
        && client.bytes().all(|byte| matches!(byte, b'!'..=b'~') && !b"/+#$".contains(&byte));
    if bearable { Ok(Some(client)) } else { Err(Refusal::ClientId) }
}

/// What ids that the broker makes up start with, and no others may.
pub(crate) const MADE_UP: &str = "broker:";

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("client", &self.client).finish_non_exhaustive()
    }
}
