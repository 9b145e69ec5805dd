//! What an operator can set.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{BrokerError, ConfigError};

/// The settings of a broker; the default is what `wattveil`'s loopback deployments use.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen; port 0 lets the operating system choose. Default `127.0.0.1:1883`.
    pub listen: SocketAddr,
    /// Who may connect. Nobody named means everybody, which is accepted on a loopback address only.
    pub users: Vec<User>,
    /// How many clients may be connected at a time. Default 10,000.
    pub max_connections: usize,
    /// The longest packet a client may send, in bytes, without its fixed header of up to 5 bytes. Default 64 KiB.
    pub max_packet_bytes: usize,
    /// How much is kept for the subscribers of each filter. Default 16 segments of 1 MiB.
    pub log: LogSize,
    /// Other sizes for certain filters. Should several of them cover a filter, any of them may hold.
    pub filter_logs: Vec<FilterLog>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 1883).into(),
            users: Vec::new(),
            max_connections: 10_000,
            max_packet_bytes: 64 << 10,
            log: LogSize::default(),
            filter_logs: Vec::new(),
        }
    }
}

impl Config {
    /// Reads a file of settings; what it leaves out keeps its default.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the file, the line and what is known.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        // not the error itself, since that prints the line, which may hold a password
        toml::from_str(&text).map_err(|error: toml::de::Error| ConfigError::Parse {
            path: path.to_path_buf(),
            line: error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1),
            detail: error.message().to_owned(),
        })
    }

    /// Refuses what rumqttd would panic on, or quietly do worse with.
    pub(crate) fn checked(self) -> Result<Self, BrokerError> {
        let limit = |name, value: usize, least, most| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(BrokerError::Limit { name, least, most })
            }
        };
        if self.users.is_empty() && !self.listen.ip().is_loopback() {
            return Err(BrokerError::Exposed { address: self.listen });
        }
        limit("max_connections", self.max_connections, 1, 1_000_000)?;
        // [MQTT 3.1.1, 2.2.3]
        limit("max_packet_bytes", self.max_packet_bytes, 128, 268_435_455)?;
        for size in self.filter_logs.iter().map(|log| &log.size).chain([&self.log]) {
            limit("segment_bytes", size.segment_bytes, 1024, 1 << 40)?;
            limit("segments", size.segments, 2, 100_000)?;
        }
        Ok(self)
    }
}

/// How much of what was published to a filter is kept for subscribers that are slow or away: at least
/// `segment_bytes` × (`segments` − 1), after which the oldest segment is dropped, read or not.
///
/// Memory is taken as messages come, and kept. Size it for the longest outage of a subscriber that shall lose nothing:
/// 1000 meters that send 2 KiB every 15 minutes fill the default in about 2 hours.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LogSize {
    /// The size of one segment in bytes, topics included; 1024 or more.
    pub segment_bytes: usize,
    /// How many segments there are; 2 to 100,000.
    pub segments: usize,
}

impl Default for LogSize {
    fn default() -> Self {
        Self { segment_bytes: 1 << 20, segments: 16 }
    }
}

/// A log size for the filters that match another one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterLog {
    /// The filter that those filters match, such as `wv/1/+/receipt/#`.
    pub filter: String,
    /// Their size.
    pub size: LogSize,
}

/// Somebody who may connect.
#[derive(Clone, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// The user's password; never printed, wiped when dropped.
    #[serde(deserialize_with = "password")]
    pub password: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A string whose error does not repeat what it is given.
fn password<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(password) => Ok(password),
        _ => Err(serde::de::Error::custom("a password is text in quotes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Config::read(file.path())
    }

    #[test]
    fn an_empty_file_is_the_default_and_every_key_is_known() {
        assert_eq!(read("").unwrap().listen, Config::default().listen);
        let config = read(
            r#"
            listen = "[::1]:8883"
            max_connections = 20
            max_packet_bytes = 20000
            log = { segment_bytes = 2048, segments = 3 }

            [[filter_logs]]
            filter = "receipt/#"
            size = { segment_bytes = 4096, segments = 4 }

            [[users]]
            name = "meter-1"
            password = "hunter2"
            "#,
        )
        .unwrap();
        assert_eq!(config.listen, "[::1]:8883".parse().unwrap());
        assert_eq!((config.max_connections, config.max_packet_bytes), (20, 20000));
        assert_eq!(config.log, LogSize { segment_bytes: 2048, segments: 3 });
        assert_eq!(config.filter_logs[0].size, LogSize { segment_bytes: 4096, segments: 4 });
        assert_eq!((&*config.users[0].name, &*config.users[0].password), ("meter-1", "hunter2"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn a_bad_file_is_answered_with_its_line_and_what_is_known() {
        let error = read("max_connections = 3\nport = 1883\n").unwrap_err().to_string();
        assert!(
            error.contains(", line 2: unknown field `port`, expected one of `listen`, `users`"),
            "{error}"
        );
        let error = read("listen = 1883").unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
        assert!(matches!(Config::read(Path::new("/no/such/file")), Err(ConfigError::Read { .. })));
    }

    #[test]
    fn a_bad_password_is_not_printed() {
        for text in [
            "[[users]]\nname = \"a\"\npassword = 12345\n",
            "[[users]]\nname = \"a\"\npassword = hunter12345\n",
            "[[users]]\nname = \"a\"\npassword = \"hunter12345\n",
            "[[users]]\nname = \"a\"\npasswort = \"hunter12345\"\n",
        ] {
            let error = format!("{:?}", read(text).unwrap_err());
            assert!(error.contains("line: 3") && !error.contains("12345"), "{error}");
        }
    }

    #[test]
    fn limits_that_cannot_work_are_refused() {
        let config = Config::default;
        assert!(config().checked().is_ok());
        let exposed = Config { listen: ([0, 0, 0, 0], 1883).into(), ..config() };
        assert!(matches!(exposed.checked(), Err(BrokerError::Exposed { .. })));
        for bad in [
            Config { max_connections: 0, ..config() },
            Config { max_connections: usize::MAX, ..config() },
            Config { max_packet_bytes: 1, ..config() },
            Config { log: LogSize { segment_bytes: 1000, segments: 9 }, ..config() },
            Config { log: LogSize { segment_bytes: 9000, segments: 1 }, ..config() },
        ] {
            assert!(matches!(bad.checked(), Err(BrokerError::Limit { .. })));
        }
    }
}
