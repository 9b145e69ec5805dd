//! How to reach the broker.

use std::fmt;
use std::time::Duration;

use rumqttc::mqttbytes::v4;
use rumqttc::{LastWill, QoS};

use crate::link::Tls;

/// How to reach the broker, and how patient to be with it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name or address of the broker's machine.
    pub host: String,
    /// The broker's port.
    pub port: u16,
    /// Further addresses of the same broker, the nodes of a cluster for instance: clients begin with different ones, and
    /// try the next whenever a connection has ended. Default none.
    pub others: Vec<(String, u16)>,
    /// This client's name, unique at the broker. A publisher connects as `<client_id>-pub`, a subscriber as
    /// `<client_id>-sub`, so that one of each may have the same settings.
    pub client_id: String,
    /// User and password, if the broker wants them.
    pub login: Option<Login>,
    /// Whether the broker keeps a subscriber's session while it is away. Without one, every connection begins with what is
    /// retained; not every broker says that again in a session that is kept. Default true.
    pub keep_session: bool,
    /// TLS, unless plain text is to be spoken.
    pub tls: Option<Tls>,
    /// How often to ask the broker for a sign of life when there is nothing else to say, in whole seconds, at least
    /// one. A connection is given up after two of these without one. Default 20 s.
    pub keep_alive: Duration,
    /// The longest packet sent or accepted, in bytes, without its fixed header of up to 5 bytes. The broker's limit must
    /// not be lower, since it would cut the connection each time; it may be higher, since a message that is longer is
    /// passed over. Default 64 KiB.
    pub max_packet: usize,
    /// How many messages may be on their way to the broker unacknowledged, at least 1. Default 100.
    pub inflight: u16,
    /// How many messages may wait, beyond those on their way: to be published, or to be taken out of a subscriber. At
    /// least 1. Default 1000.
    pub queue: usize,
    /// After how long without any acknowledgement, while some are due, a connection is given up. Default 15 s.
    pub stall: Duration,
    /// The first pause before connecting again, to which up to as much again is added at random; it doubles until
    /// [`reconnect_max`](Self::reconnect_max). Default 0.2 s.
    pub reconnect_min: Duration,
    /// The longest pause before connecting again, without what is added at random. Default 30 s.
    pub reconnect_max: Duration,
    /// What the broker shall publish when a publisher's connection is lost, other than by
    /// [`close`](crate::link::Publisher::close). Subscribers have none.
    pub last_will: Option<Will>,
}

impl Settings {
    /// The defaults.
    pub fn new(host: impl Into<String>, port: u16, client_id: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            others: Vec::new(),
            client_id: client_id.into(),
            login: None,
            keep_session: true,
            tls: None,
            keep_alive: Duration::from_secs(20),
            max_packet: 64 << 10,
            inflight: 100,
            queue: 1000,
            stall: Duration::from_secs(15),
            reconnect_min: Duration::from_millis(200),
            reconnect_max: Duration::from_secs(30),
            last_will: None,
        }
    }

    /// Where to connect to the so-manieth time.
    pub(crate) fn address(&self, attempt: usize) -> (&str, u16) {
        // spread by name, so that the clients of a cluster do not all begin with its first node
        let first: usize = self.client_id.bytes().map(usize::from).sum();
        match first.wrapping_add(attempt) % (1 + self.others.len()) {
            0 => (&self.host, self.port),
            other => {
                let (host, port) = &self.others[other - 1];
                (host, *port)
            }
        }
    }

    /// What one role of this client says when it connects.
    pub(crate) fn connect(&self, role: &str) -> v4::Connect {
        let seconds = self.keep_alive.as_secs().clamp(1, u16::MAX.into());
        let mut connect = v4::Connect::new(format!("{}-{role}", self.client_id));
        connect.keep_alive = u16::try_from(seconds).unwrap_or(u16::MAX);
        if let Some(Login { user, password }) = &self.login {
            connect.set_login(user, password);
        }
        connect
    }

    /// The last will, for publishers.
    pub(crate) fn will(&self) -> Option<LastWill> {
        let Will { topic, payload, retain } = self.last_will.clone()?;
        Some(LastWill::new(topic, payload, QoS::AtLeastOnce, retain))
    }
}

/// A user and a password.
#[derive(Clone)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The user's password; never printed.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What the broker shall publish in the name of a client that it has lost.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Will {
    /// The topic.
    pub topic: String,
    /// The message.
    pub payload: Vec<u8>,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_printed() {
        let mut settings = Settings::new("localhost", 1883, "meter-1");
        let login = Login { user: "meter-1".into(), password: "hunter2".into() };
        settings.login = Some(login);
        let printed = format!("{settings:?}");
        assert!(printed.contains("meter-1") && !printed.contains("hunter2"));
    }

    /// Every address has its turn, and clients of different names begin with different ones.
    #[test]
    fn addresses_take_turns() {
        let mut settings = Settings::new("a", 1, "meter-1");
        assert_eq!((settings.address(0), settings.address(1)), (("a", 1), ("a", 1)));
        settings.others = vec![("b".into(), 2), ("c".into(), 3)];
        let turns = |settings: &Settings| {
            let turns = (0..6).map(|attempt| settings.address(attempt).1);
            turns.collect::<Vec<_>>()
        };
        let mut first = turns(&settings);
        assert_eq!(first[..3], first[3..]);
        settings.client_id = "meter-2".into();
        assert_eq!(turns(&settings)[0], first[1]);
        first.truncate(3);
        first.sort_unstable();
        assert_eq!(first, [1, 2, 3]);
    }

    #[test]
    fn a_keep_alive_is_one_second_or_more() {
        let mut settings = Settings::new("::1", 1883, "meter-1");
        settings.keep_alive = Duration::ZERO;
        assert_eq!(settings.connect("pub").keep_alive, 1);
        settings.keep_alive = Duration::MAX;
        assert_eq!(settings.connect("pub").keep_alive, 65535);
    }
}
