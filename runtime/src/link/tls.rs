//! Whom to believe that it is the broker, and how to prove to it who we are.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};

/// The `[broker.tls]` table of a role's configuration; relative paths are of the configuration's directory.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificates, as PEM, of whoever may say who the broker is.
    pub authority: PathBuf,
    /// A certificate to log in with, as PEM, and its private key, mode 0600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityFiles>,
}

/// A certificate to log in with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityFiles {
    /// The certificate, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM, mode 0600.
    pub key: PathBuf,
}

/// TLS 1.3 towards a broker: ready for any number of connections, which resume one another.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

/// Why a connection cannot be protected.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {} as PEM: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Others may read the private key.
    #[error("the key file {} may be read by others (mode {mode:o}); type: chmod 600 {}", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Certificate and key do not belong together.
    #[error("{} and {} do not belong together", certificate.display(), key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What the TLS library said.
        #[source]
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads the files; relative paths are of `directory`.
    ///
    /// # Errors
    ///
    /// [`TlsError`]
    ///
    /// # Panics
    ///
    /// Never: ring speaks TLS 1.3.
    pub fn load(directory: &Path, files: &TlsFiles) -> Result<Self, TlsError> {
        let authority = directory.join(&files.authority);
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(&authority)? {
            roots.add(certificate).map_err(|error| file(&authority, &error))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .expect("ring speaks TLS 1.3")
            .with_root_certificates(roots);
        let config = match &files.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (certificate, key) =
                    (directory.join(&identity.certificate), directory.join(&identity.key));
                let shown = read_certificates(&certificate)?;
                let secret = read_key(&key)?;
                builder.with_client_auth_cert(shown, secret).map_err(|source| TlsError::Pair {
                    certificate,
                    key,
                    source,
                })?
            }
        };
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

fn file(path: &Path, problem: &impl ToString) -> TlsError {
    TlsError::File { path: path.to_owned(), problem: problem.to_string() }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file(path, &error))?;
    if certificates.is_empty() {
        return Err(file(path, &"it has no -----BEGIN CERTIFICATE-----"));
    }
    Ok(certificates)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let metadata = fs::metadata(path).map_err(|error: io::Error| file(path, &error))?;
    if let Some(mode) = crate::file::open_to_others(&metadata) {
        return Err(TlsError::Open { path: path.to_owned(), mode });
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| file(path, &error))
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
