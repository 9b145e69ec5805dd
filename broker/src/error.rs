//! Why the broker does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The address is taken.
    #[error(
        "{address} is in use; stop the program that listens there, or choose another with --listen HOST:PORT"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Everybody would be let in from elsewhere.
    #[error("{address} can be reached from other machines; name [[users]], or listen on 127.0.0.1")]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// Everybody would be let in where users were named until now.
    #[error(
        "no [[users]] are left, so that everybody would be let in; name one, or start the broker anew if that is meant"
    )]
    NobodyLeft,
    /// Passwords and topics would go over a network in plain text.
    #[error(
        "{address} can be reached from other machines; give a certificate in [tls], listen on 127.0.0.1, or ask for plain text with `expose_plain_text = true`"
    )]
    PlainText {
        /// The address.
        address: SocketAddr,
    },
    /// A limit cannot be worked with.
    #[error("{name} has to be from {least} to {most}")]
    Limit {
        /// The setting.
        name: &'static str,
        /// Its least value.
        least: u64,
        /// Its greatest value.
        most: u64,
    },
    /// A user cannot be worked with.
    #[error("user `{user}` {problem}")]
    User {
        /// The user.
        user: String,
        /// What is wrong.
        problem: String,
    },
    /// A role's pattern is none.
    #[error(
        "role `{role}`: `{pattern}` is not a pattern: levels of text, `{{user}}`, `{{deployment}}`, `+`, or `#` at the end; an id has to contain `{{user}}`"
    )]
    Pattern {
        /// The role.
        role: String,
        /// The pattern.
        pattern: String,
    },
    /// A certificate or key cannot be used.
    #[error("{}: {problem}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}
