//! What an operator can set.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::config::ConfigError;
use runtime::telemetry::LogFormat;
use serde::{Deserialize, Serialize};

use crate::{BrokerError, User, internal};

/// The settings of a broker; the default is what `wattveil`'s loopback deployments use.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen; port 0 lets the operating system choose. Default `127.0.0.1:1883`.
    pub listen: SocketAddr,
    /// Whether to speak plain text on an address that other machines can reach. Default no.
    pub expose_plain_text: bool,
    /// The deployment whose topics the roles are for; without one, they are for those of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// How many clients may be connected at a time. Default 10,000.
    pub max_connections: usize,
    /// How many of them may be of one user. Default 16.
    pub max_connections_per_user: usize,
    /// How many connections may be in the course of saying who they are; when all these places are taken, whoever has
    /// taken longest over it, and longer than a second, has to leave. Default 512.
    pub max_handshakes: usize,
    /// How many client ids may ever be seen, where clients may choose them, since no user is named. Default 100,000.
    pub max_client_ids: usize,
    /// How long the TLS handshake and CONNECT of a connection may take together. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// The longest packet a client may send, and gets, in bytes, without its fixed header of up to 5 bytes. A QoS 0 message
    /// counts as one of QoS 1, which it is forwarded as, with an identifier of 2 bytes. Default 64 KiB.
    pub max_packet_bytes: usize,
    /// How many packets a client may send a second, over which it is not read from for a while. Default 20,000.
    pub packets_per_second: u32,
    /// How many bytes a client may send a second, likewise. Default 64 MiB.
    pub bytes_per_second: u32,
    /// How many packets all clients together may send a second, likewise. Default 1,000,000.
    pub total_packets_per_second: u32,
    /// How many bytes all clients together may send a second, likewise. Default 1 GiB.
    pub total_bytes_per_second: u32,
    /// How much is kept for the subscribers of each filter. Default 16 segments of 1 MiB.
    pub queue: QueueSize,
    /// Other sizes for certain filters. Should several of them cover a filter, any of them may hold.
    pub filter_queues: Vec<FilterQueue>,
    /// How much all filters' queues may take when they are full; a subscription that could take more is refused. Default
    /// 8 GiB, of which is used what is published and kept.
    pub max_queue_bytes: u64,
    /// How much all retained messages may take, each with its topic twice and 150 bytes beside its payload; one that would take
    /// more is refused. Default 256 MiB.
    pub max_retained_bytes: u64,
    /// TLS 1.3 instead of plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// How log lines look. Default text.
    pub log: LogFormat,
    /// Where to serve counters for Prometheus; a loopback address. Default nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// Who may connect. Nobody named means everybody, to do anything, which is accepted on a loopback address only.
    pub users: Vec<User>,
    /// Roles beside, or instead of, [those that there are](Role::defaults).
    pub roles: Vec<Role>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 1883).into(),
            expose_plain_text: false,
            deployment: None,
            max_connections: 10_000,
            max_connections_per_user: 16,
            max_handshakes: 512,
            max_client_ids: 100_000,
            connect_timeout: Duration::from_secs(10),
            max_packet_bytes: 64 << 10,
            packets_per_second: 20_000,
            bytes_per_second: 64 << 20,
            total_packets_per_second: 1_000_000,
            total_bytes_per_second: 1 << 30,
            queue: QueueSize::default(),
            filter_queues: Vec::new(),
            max_queue_bytes: 8 << 30,
            max_retained_bytes: 256 << 20,
            tls: None,
            log: LogFormat::default(),
            metrics: None,
            users: Vec::new(),
            roles: Vec::new(),
        }
    }
}

/// Where the broker's certificate is; relative paths are relative to the file of settings.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The broker's certificate, and what leads from it to one that clients trust, as PEM.
    pub certificate: PathBuf,
    /// The certificate's private key, as PEM, mode 0600.
    pub key: PathBuf,
    /// The certificates, as PEM, of whoever may say who a client is. Without them no client can log in by certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_authority: Option<PathBuf>,
}

/// What the users of a role may do; see `assets/roles.toml` for the language of patterns.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its name, by which users have it.
    pub name: String,
    /// The client ids of a user, each also with `-pub`, `-sub` and `-in-sub` behind it.
    pub ids: Vec<String>,
    /// Where its users may publish.
    pub publish: Vec<String>,
    /// What its users may subscribe to.
    pub subscribe: Vec<String>,
    /// To how many different topics one user may publish, ever.
    pub topics: usize,
    /// How many different filters one user may subscribe to, ever.
    pub filters: usize,
}

impl Role {
    /// The roles of a deployment: `meter`, `aggregator`, `sink`, `registrar`, `observer`.
    ///
    /// # Panics
    ///
    /// Never: the table is a part of this crate, and tested.
    pub fn defaults() -> Vec<Self> {
        #[derive(Deserialize)]
        struct Table {
            roles: Vec<Role>,
        }
        let table: Table = toml::from_str(include_str!("../assets/roles.toml")).expect("a test reads it");
        table.roles
    }
}

impl Config {
    /// Reads a file of settings, if there is one, over it the environment, and `set` over that; what is left out keeps its
    /// default.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the file, the line and what is known.
    pub fn read(path: Option<&Path>, set: &[String]) -> Result<Self, ConfigError> {
        let read = path
            .map_or_else(|| runtime::config::read_without_file(set), |path| runtime::config::read(path, set));
        let mut config: Self = read.map_err(|error| match error {
            ConfigError::Parameter { place, reason } if reason.contains("unknown field `password`") => {
                ConfigError::Parameter { place, reason: reason + HASH_IT }
            }
            // what was found there may be a password
            ConfigError::Parameter { place, reason } if reason.contains("password_hash`: ") => {
                ConfigError::Parameter { place, reason: format!("this is no password's hash{HASH_IT}") }
            }
            error => error,
        })?;
        if let (Some(tls), Some(directory)) = (&mut config.tls, path.and_then(Path::parent)) {
            tls.certificate = directory.join(&tls.certificate);
            tls.key = directory.join(&tls.key);
            tls.client_authority = tls.client_authority.take().map(|path| directory.join(path));
        }
        Ok(config)
    }

    /// Refuses what cannot work.
    pub(crate) fn checked(self) -> Result<Self, BrokerError> {
        let limit = |name, value: u64, least, most| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(BrokerError::Limit { name, least, most })
            }
        };
        if !self.listen.ip().is_loopback() {
            if self.users.is_empty() {
                return Err(BrokerError::Exposed { address: self.listen });
            }
            if self.tls.is_none() && !self.expose_plain_text {
                return Err(BrokerError::PlainText { address: self.listen });
            }
        }
        for (name, value, least, most) in [
            ("max_connections", self.max_connections as u64, 1, 1_000_000),
            ("max_connections_per_user", self.max_connections_per_user as u64, 1, 1_000_000),
            ("max_handshakes", self.max_handshakes as u64, 1, 1_000_000),
            ("max_client_ids", self.max_client_ids as u64, 1, 1 << 40),
            // [MQTT 3.1.1, 2.2.3]
            ("max_packet_bytes", self.max_packet_bytes as u64, 128, 268_435_455),
            ("packets_per_second", self.packets_per_second.into(), 1, u64::MAX),
            ("bytes_per_second", self.bytes_per_second.into(), 1024, u64::MAX),
            ("total_packets_per_second", self.total_packets_per_second.into(), 1, u64::MAX),
            ("total_bytes_per_second", self.total_bytes_per_second.into(), 1024, u64::MAX),
        ] {
            limit(name, value, least, most)?;
        }
        limit("connect_timeout in seconds", self.connect_timeout.as_secs(), 1, 3600)?;
        // what rumqttd would panic on, or quietly do worse with
        for size in self.filter_queues.iter().map(|queue| &queue.size).chain([&self.queue]) {
            limit("segment_bytes", size.segment_bytes as u64, 1024, 1 << 40)?;
            limit("segments", size.segments as u64, 2, 100_000)?;
        }
        Ok(self)
    }

    /// What of a newer configuration can be taken over while the broker runs, the rest as it is here; and the names of the
    /// parameters in that rest that differ.
    pub(crate) fn taken_over(&self, newer: &Self) -> (Self, Vec<String>) {
        // whether there is TLS is how the port is spoken to
        let tls = newer.tls.clone().filter(|_| self.tls.is_some()).or_else(|| self.tls.clone());
        let (users, roles) = (newer.users.clone(), newer.roles.clone());
        let merged = Self { tls, users, roles, ..self.clone() };
        // all but what was taken over; a number of 2^63 or more, which no file can have, is not told
        let parameters = |config: &Self| {
            let rest = Self { tls: None, users: Vec::new(), roles: Vec::new(), ..config.clone() };
            toml::Table::try_from(rest).unwrap_or_default()
        };
        let (wanted, there) = (parameters(newer), parameters(&merged));
        let mut differ: BTreeSet<&str> = wanted.keys().chain(there.keys()).map(String::as_str).collect();
        differ.retain(|name| wanted.get(*name) != there.get(*name));
        differ.extend((newer.tls.is_some() != merged.tls.is_some()).then_some("tls"));
        let differ = differ.into_iter().map(str::to_owned).collect();
        (merged, differ)
    }

    /// The roles that are in force, by name.
    pub(crate) fn roles_in_force(&self) -> BTreeMap<String, Role> {
        let all = Role::defaults().into_iter().chain(self.roles.iter().cloned());
        all.map(|role| (role.name.clone(), role)).collect()
    }

    /// The size of a filter's queue, the largest that the router may make of the settings.
    pub(crate) fn queue_of(&self, filter: &str) -> QueueSize {
        if filter == internal::TOPIC {
            return QueueSize { segment_bytes: 1024, segments: 2 };
        }
        let special =
            self.filter_queues.iter().filter(|queue| rumqttd::protocol::matches(filter, &queue.filter));
        let largest = special.map(|queue| queue.size).max_by_key(|size| size.most(self.max_packet_bytes));
        largest.unwrap_or(self.queue)
    }
}

const HASH_IT: &str =
    "; passwords are kept as hashes: type `broker --hash-password` for a line `password_hash = …`";

/// How much of what was published to a filter is kept for subscribers that are slow or away: at least
/// `segment_bytes` × (`segments` − 1), after which the oldest segment is dropped, read or not.
///
/// Memory is taken as messages come, and kept. Size it for the longest outage of a subscriber that shall lose nothing:
/// 1000 meters that send 2 KiB every 15 minutes fill the default in about 2 hours.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSize {
    /// The size of one segment in bytes, topics included; 1024 or more.
    pub segment_bytes: usize,
    /// How many segments there are; 2 to 100,000.
    pub segments: usize,
}

impl Default for QueueSize {
    fn default() -> Self {
        Self { segment_bytes: 1 << 20, segments: 16 }
    }
}

impl QueueSize {
    /// What it takes when it is full: a segment ends with the message that fills it.
    pub(crate) fn most(self, max_packet: usize) -> u64 {
        (self.segment_bytes as u64).saturating_add(max_packet as u64).saturating_mul(self.segments as u64)
    }
}

/// A queue's size for the filters that match another one.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FilterQueue {
    /// The filter that those filters match, such as `wv/1/+/receipt/#`.
    pub filter: String,
    /// Their size.
    pub size: QueueSize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::read(Some(file.path()), &[])
    }

    #[test]
    fn an_empty_file_is_the_default_and_every_key_is_known() {
        assert_eq!(read("").unwrap().listen, Config::default().listen);
        let config = read(
            r#"
            listen = "[::1]:8883"
            expose_plain_text = true
            deployment = "town"
            max_connections = 20
            max_connections_per_user = 3
            max_handshakes = 4
            max_client_ids = 5
            connect_timeout = "6s"
            max_packet_bytes = 20000
            packets_per_second = 7
            bytes_per_second = 80000
            total_packets_per_second = 9
            total_bytes_per_second = 100000
            max_queue_bytes = 11
            max_retained_bytes = 12
            queue = { segment_bytes = 2048, segments = 3 }

            [tls]
            certificate = "broker.pem"
            key = "/etc/broker.key"

            [[filter_queues]]
            filter = "receipt/#"
            size = { segment_bytes = 4096, segments = 4 }

            [[users]]
            name = "meter-1"
            role = "meter"
            password_hash = "$argon2id$secret"

            [[users]]
            name = "sink"
            role = "sink"
            certificate = true

            [[roles]]
            name = "operator"
            ids = ["{user}"]
            publish = []
            subscribe = ["wv/1/+/status/#"]
            topics = 0
            filters = 4
            "#,
        )
        .unwrap();
        assert_eq!(config.listen, "[::1]:8883".parse().unwrap());
        assert_eq!((config.max_connections, config.max_packet_bytes), (20, 20000));
        assert_eq!(config.queue, QueueSize { segment_bytes: 2048, segments: 3 });
        assert_eq!(config.queue_of("receipt/x/+"), QueueSize { segment_bytes: 4096, segments: 4 });
        assert_eq!(config.queue_of("other"), config.queue);
        assert_eq!((&*config.users[0].name, &*config.users[0].role), ("meter-1", "meter"));
        assert!(config.users[1].certificate);
        assert!(!format!("{config:?}").contains("secret"));
        let tls = config.tls.clone().unwrap();
        assert!(tls.certificate.is_absolute() && tls.key == Path::new("/etc/broker.key"));
        assert_eq!(config.roles_in_force().len(), Role::defaults().len() + 1);
        // what is written reads back
        let again = read(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{config:?}"));
    }

    #[test]
    fn a_bad_file_is_answered_with_its_line_and_what_is_known() {
        let error = read("max_connections = 3\nport = 1883\n").unwrap_err().to_string();
        assert!(
            error.contains(", line 2: unknown field `port`, expected one of `listen`, `expose_plain_text`"),
            "{error}"
        );
        let error = read("listen = 1883").unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
        assert!(matches!(Config::read(Some(Path::new("/no/such/file")), &[]), Err(ConfigError::Read { .. })));
    }

    #[test]
    fn a_bad_password_is_not_printed() {
        for text in [
            "[[users]]\nname = \"a\"\npassword = 12345\n",
            "[[users]]\nname = \"a\"\npassword = hunter12345\n",
            "[[users]]\nname = \"a\"\npassword = \"hunter12345\n",
            "[[users]]\nname = \"a\"\npassword = \"hunter12345\"\n",
            "[[users]]\nname = \"a\"\npassword_hash = 12345\n",
        ] {
            let error = format!("{:?}", read(text).unwrap_err());
            assert!(error.contains("line 3") || error.contains("line: 3"), "{error}");
            assert!(!error.contains("12345"), "{error}");
        }
        let error = read("[[users]]\npassword = \"hunter12345\"\n").unwrap_err().to_string();
        assert!(error.ends_with(HASH_IT), "{error}");
    }

    #[test]
    fn limits_that_cannot_work_are_refused() {
        let config = Config::default;
        assert!(config().checked().is_ok());
        let everywhere = ([0, 0, 0, 0], 1883).into();
        let exposed = Config { listen: everywhere, ..config() };
        assert!(matches!(exposed.clone().checked(), Err(BrokerError::Exposed { .. })));
        let plain = Config { users: vec![User::with_certificate("a", "meter")], ..exposed };
        assert!(matches!(plain.clone().checked(), Err(BrokerError::PlainText { .. })));
        assert!(Config { expose_plain_text: true, ..plain }.checked().is_ok());
        for bad in [
            Config { max_connections: 0, ..config() },
            Config { max_connections: usize::MAX, ..config() },
            Config { max_packet_bytes: 1, ..config() },
            Config { packets_per_second: 0, ..config() },
            Config { connect_timeout: Duration::ZERO, ..config() },
            Config { queue: QueueSize { segment_bytes: 1000, segments: 9 }, ..config() },
            Config { queue: QueueSize { segment_bytes: 9000, segments: 1 }, ..config() },
        ] {
            assert!(matches!(bad.checked(), Err(BrokerError::Limit { .. })));
        }
    }
    #[test]
    fn users_roles_and_certificates_are_taken_over_and_the_rest_is_named() {
        let tls = |key: &str| TlsConfig {
            certificate: "broker.pem".into(),
            key: key.into(),
            client_authority: None,
        };
        let running = Config { tls: Some(tls("old.key")), ..Config::default() };
        let newer = Config {
            tls: Some(tls("new.key")),
            users: vec![User::with_certificate("m", "meter")],
            roles: vec![Role::default()],
            ..Config::default()
        };
        let (merged, differ) = running.taken_over(&newer);
        assert!(differ.is_empty(), "{differ:?}");
        assert_eq!((merged.users.len(), merged.roles.len()), (1, 1));
        assert_eq!(merged.tls, Some(tls("new.key")));
        let newer = Config {
            tls: None,
            listen: ([127, 0, 0, 1], 1).into(),
            deployment: Some("city".into()),
            queue: QueueSize { segments: 17, ..QueueSize::default() },
            ..newer
        };
        let (merged, differ) = running.taken_over(&newer);
        assert_eq!(differ, ["deployment", "listen", "queue", "tls"]);
        assert_eq!((merged.users.len(), merged.listen), (1, running.listen));
        assert!(merged.tls == running.tls && merged.deployment.is_none());
    }
}
