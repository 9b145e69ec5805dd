//! Who may connect.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use rumqttd::protocol::{LastWill, Login, Packet, QoS};
use subtle::{Choice, ConstantTimeEq};

use super::{Refusal, Undecoded, decode, packet_type, topic};
use crate::{Config, User};

/// A client that has said who it is, and proved it.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) client: String,
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
    pub(crate) fn read(input: &mut BytesMut, config: &Config) -> Result<Option<Self>, Refusal> {
        if input.first().is_some_and(|first| first >> 4 != packet_type::CONNECT) {
            return Err(Refusal::Unexpected);
        }
        let (connect, will, login) = match decode(input, config.max_packet_bytes) {
            Ok(Packet::Connect(connect, _, will, _, login)) => (connect, will, login),
            Ok(_) => return Err(Refusal::Unexpected),
            Err(Undecoded::Incomplete(_)) => return Ok(None),
            Err(Undecoded::Refused(refusal)) => return Err(refusal),
        };
        authenticate(&config.users, login.as_ref())?;
        if let Some(will) = &will {
            topic::admit(&will.topic)?;
            if will.qos == QoS::ExactlyOnce {
                return Err(Refusal::ExactlyOnce);
            }
        }
        Ok(Some(Self {
            client: client_id(connect.client_id, connect.clean_session)?,
            clean: connect.clean_session,
            // [MQTT 3.1.1, 3.1.2.10]  one and a half times the keep alive
            patience: match connect.keep_alive {
                0 => None,
                seconds => Some(Duration::from_millis(1500) * u32::from(seconds)),
            },
            will,
        }))
    }
}

/// Checks an id, or makes one up for who leaves that to the broker.
fn client_id(client: String, clean: bool) -> Result<String, Refusal> {
    static ANONYMOUS: AtomicU64 = AtomicU64::new(1);
    let made_up = "broker:"; // which nobody else may start with
    if client.is_empty() && clean {
        return Ok(format!("{made_up}{}", ANONYMOUS.fetch_add(1, Ordering::Relaxed)));
    }
    let bearable = (1..=128).contains(&client.len())
        && !client.starts_with(made_up)
        && client.bytes().all(|byte| matches!(byte, b'!'..=b'~') && !b"/+#$".contains(&byte));
    if bearable { Ok(client) } else { Err(Refusal::ClientId) }
}

/// Compares with every user, so that the time tells nothing of the names and passwords beyond their lengths.
fn authenticate(users: &[User], login: Option<&Login>) -> Result<(), Refusal> {
    if users.is_empty() {
        return Ok(());
    }
    let login = login.ok_or(Refusal::Credentials)?;
    let known = users.iter().fold(Choice::from(0), |known, user| {
        known
            | (user.name.as_bytes().ct_eq(login.username.as_bytes())
                & user.password.as_bytes().ct_eq(login.password.as_bytes()))
    });
    if known.into() { Ok(()) } else { Err(Refusal::Credentials) }
}
