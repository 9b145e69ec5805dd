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
    #[error(
        "{address} can be reached from other machines; name [[users]] with passwords, or listen on 127.0.0.1"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// A limit cannot be worked with.
    #[error("{name} has to be from {least} to {most}")]
    Limit {
        /// The setting.
        name: &'static str,
        /// Its least value.
        least: usize,
        /// Its greatest value.
        most: usize,
    },
}

/// Why a file of settings was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A line of the file is wrong.
    #[error("{}, line {line}: {detail}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        detail: String,
    },
}
