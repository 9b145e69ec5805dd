//! TLS 1.3: the broker's certificate, and the names in those of its clients.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, cipher_suite};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{error, warn};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::oid::ObjectIdentifier;

use crate::BrokerError;
use crate::config::TlsConfig;

/// How long before a certificate expires there are warnings.
const AHEAD: Duration = Duration::from_hours(30 * 24);
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The broker's side of TLS.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    /// Who may say who a client is.
    authorities: Vec<CertificateDer<'static>>,
    /// When what expires.
    expiries: Vec<(PathBuf, SystemTime)>,
}

impl TlsConfig {
    /// Reads all of it, and says when each certificate ends.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Certificate`]
    pub fn ends(&self) -> Result<Vec<(PathBuf, SystemTime)>, BrokerError> {
        Ok(Tls::load(self)?.expiries)
    }
}

impl Tls {
    /// Reads certificates and key.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Certificate`]
    pub(crate) fn load(config: &TlsConfig) -> Result<Self, BrokerError> {
        let certificates = read_certificates(&config.certificate)?;
        let key = read_key(&config.key)?;
        let mut expiries = expiries(&config.certificate, &certificates)?;
        let at = |path: &Path, problem: String| BrokerError::Certificate { path: path.to_owned(), problem };
        let provider = Arc::new(provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .expect("ring speaks TLS 1.3");
        let mut authorities = Vec::new();
        let builder = match &config.client_authority {
            None => builder.with_no_client_auth(),
            Some(path) => {
                authorities = read_certificates(path)?;
                expiries.extend(self::expiries(path, &authorities)?);
                let mut roots = RootCertStore::empty();
                for authority in &authorities {
                    roots.add(authority.clone()).map_err(|error| at(path, error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| at(path, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut server = builder.with_single_cert(certificates, key).map_err(|error| {
            at(&config.key, format!("{error}; is it the key of {}?", config.certificate.display()))
        })?;
        // ours are in the order of what they cost
        server.ignore_client_order = true;
        // whoever comes back spares both sides the signatures, without anything being kept here
        if let Ok(ticketer) = ring::Ticketer::new() {
            server.ticketer = ticketer;
            server.send_tls13_tickets = 1;
        }
        Ok(Self { acceptor: Arc::new(server).into(), authorities, expiries })
    }

    /// Whether the same may say who a client is.
    pub(crate) fn has_same_authority(&self, other: &Self) -> bool {
        self.authorities == other.authorities
    }

    /// Says what expires soon, or has.
    pub(crate) fn warn_of_expiry(&self, now: SystemTime) {
        for (path, expiry) in &self.expiries {
            match remaining(*expiry, now) {
                Some(left) if left.is_zero() => {
                    error!(file = %path.display(), "the certificate has expired: no client will trust it; replace it, and send the broker SIGHUP");
                }
                Some(left) => {
                    let days = left.as_secs() / 86_400;
                    warn!(file = %path.display(), days, "the certificate expires soon; replace it, and send the broker SIGHUP");
                }
                None => (),
            }
        }
    }

    /// Shakes hands.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        self.acceptor.accept(stream).await
    }
}

/// What ring has for TLS 1.3, the cheapest first: all of it is strong enough.
fn provider() -> CryptoProvider {
    let cipher_suites = vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
    ];
    CryptoProvider { cipher_suites, ..ring::default_provider() }
}

/// The common name in the certificate that the client has shown, and that the authority has signed. An empty one, which is
/// no user's, for one that has several or none.
pub(crate) fn peer_name<S>(stream: &TlsStream<S>) -> Option<String> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    Some(common_name(certificate).unwrap_or_default())
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let attributes = certificate.tbs_certificate.subject.0.iter().flat_map(|name| name.0.iter());
    let mut names = attributes.filter(|attribute| attribute.oid == COMMON_NAME);
    let name = names.next().filter(|_| names.next().is_none())?;
    std::str::from_utf8(name.value.value()).ok().map(str::to_owned)
}

/// What is left, if it is little.
fn remaining(expiry: SystemTime, now: SystemTime) -> Option<Duration> {
    let left = expiry.duration_since(now).unwrap_or_default();
    (left < AHEAD).then_some(left)
}

fn expiries(
    path: &Path,
    certificates: &[CertificateDer<'_>],
) -> Result<Vec<(PathBuf, SystemTime)>, BrokerError> {
    let expiry = |certificate: &CertificateDer<'_>| {
        let parsed = Certificate::from_der(certificate).map_err(|error| BrokerError::Certificate {
            path: path.to_owned(),
            problem: format!("cannot be read: {error}"),
        })?;
        Ok((path.to_owned(), parsed.tbs_certificate.validity.not_after.to_system_time()))
    };
    certificates.iter().map(expiry).collect()
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    let refused = |problem: String| BrokerError::Certificate { path: path.to_owned(), problem };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refused(format!("cannot read certificates as PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(refused("has no certificate: it wants -----BEGIN CERTIFICATE-----".to_owned()));
    }
    Ok(certificates)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, BrokerError> {
    let refused = |problem: String| BrokerError::Certificate { path: path.to_owned(), problem };
    if let Some(mode) = std::fs::metadata(path).ok().as_ref().and_then(runtime::file::open_to_others) {
        return Err(refused(format!(
            "may be read by others (mode {mode:o}); type: chmod 600 {}",
            path.display()
        )));
    }
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| refused(format!("cannot read a private key as PEM: {error}")))
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("expiries", &self.expiries).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn expiry_is_known_30_days_ahead() {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 31);
        params.distinguished_name.push(DnType::CommonName, "meter-1");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(common_name(certificate.der()).as_deref(), Some("meter-1"));
        let [(_, expiry)] = &expiries(Path::new("x"), &[certificate.der().clone()]).unwrap()[..] else {
            panic!("one certificate, one expiry");
        };
        let day = Duration::from_hours(24);
        assert_eq!(remaining(*expiry, *expiry - 31 * day), None);
        assert_eq!(remaining(*expiry, *expiry - 29 * day), Some(29 * day));
        assert_eq!(remaining(*expiry, *expiry + day), Some(Duration::ZERO));
    }
}
