//! Where the broker is, and as whom to log in: the `[broker]` table of every role's configuration.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::file::{self, FileError};
use crate::link::settings::{Login, Settings};
use crate::link::tls::{Tls, TlsError, TlsFiles};

/// The broker's address and a login.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// `HOST:PORT`; several, separated by commas, where the broker is a cluster of nodes.
    pub address: String,
    /// The user to log in as; without one, nobody logs in.
    pub user: Option<String>,
    /// A file with the user's password in its first line, mode 0600.
    pub password_file: Option<PathBuf>,
    /// TLS instead of plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
}

/// Why an endpoint can't be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not `HOST:PORT`, nor several of that.
    #[error("broker address `{0}` is not HOST:PORT, such as 127.0.0.1:1883; several are separated by commas")]
    Address(String),
    /// The password can't be read, or others may read it.
    #[error(transparent)]
    Password(#[from] FileError),
    /// The connection can't be protected.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Endpoint {
    /// An endpoint without a login.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), user: None, password_file: None, tls: None }
    }

    /// The settings of a client of this endpoint; relative paths are of `directory`.
    ///
    /// # Errors
    ///
    /// [`EndpointError`].
    pub fn settings(&self, directory: &Path, client_id: &str) -> Result<Settings, EndpointError> {
        let refused = || EndpointError::Address(self.address.clone());
        let mut addresses = Vec::new();
        for address in self.address.split(',') {
            let (host, port) = address.trim().rsplit_once(':').ok_or_else(refused)?;
            if host.is_empty() {
                return Err(refused());
            }
            addresses.push((host.to_owned(), port.parse().map_err(|_| refused())?));
        }
        let others = addresses.split_off(1);
        let (host, port) = addresses.pop().ok_or_else(refused)?;
        let mut settings = Settings { others, ..Settings::new(host, port, client_id) };
        if let Some(user) = &self.user {
            let password = match &self.password_file {
                Some(file) => file::read_secret(&directory.join(file), |text| {
                    Ok::<_, Infallible>(text.lines().next().unwrap_or_default().to_owned())
                })?,
                None => String::new(),
            };
            settings.login = Some(Login { user: user.clone(), password });
        }
        settings.tls = self.tls.as_ref().map(|files| Tls::load(directory, files)).transpose()?;
        Ok(settings)
    }
}
