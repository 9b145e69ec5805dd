//! A development authority: whose word is taken for who the broker is, and who a client.
//!
//! For one machine, or a few of one owner. An operator with certificates of its own names those instead, in the broker's
//! `[tls]` and in every party's `[broker.tls]`.

use runtime::file;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use broker::TlsConfig;
use protocol::certificate::MeterCertificate;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// How long the authority's certificate is valid, as long as a meter's, and those it signs.
const AUTHORITY: Duration = Duration::days(MeterCertificate::DAYS.cast_signed());
const CERTIFICATE: Duration = Duration::days(730);
/// Clocks differ: certificates are valid from a day ago.
const SKEW: Duration = Duration::days(1);

/// A development authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// Makes a key and a certificate for it.
    ///
    /// # Errors
    ///
    /// If the operating system gives no entropy.
    pub fn create(deployment: &str) -> anyhow::Result<Self> {
        let params = own_params(deployment)?;
        let key = KeyPair::generate().context("no key for the development authority")?;
        let certificate =
            params.self_signed(&key).context("no certificate for the development authority")?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Reads what [`write`](Self::write) has written, to sign more.
    ///
    /// # Errors
    ///
    /// If a file can't be read, or is none of an authority.
    pub fn read(home: &Path, deployment: &str) -> anyhow::Result<Self> {
        let read = |file: &str| {
            let path = home.join(file);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let (certificate, key) = (read("ca.pem")?, Zeroizing::new(read("ca.key")?));
        let key = KeyPair::from_pem(&key)
            .with_context(|| format!("{} is no private key", home.join("ca.key").display()))?;
        Ok(Self { issuer: Issuer::new(own_params(deployment)?, key), certificate })
    }

    /// Its certificate as PEM, for whoever is to take its word.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Writes the authority's certificate and key, to sign more later.
    ///
    /// # Errors
    ///
    /// If a file can't be written or is there already.
    pub fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let home = file::new_directory(directory)?;
        file::write_public(&home.join("ca.pem"), self.certificate.as_bytes())?;
        file::write_secret(&home.join("ca.key"), self.issuer.key().serialize_pem().as_bytes())?;
        Ok(())
    }

    /// Writes a certificate for a broker that is reached by these addresses or names, or on this machine, and what it takes
    /// clients' certificates by.
    ///
    /// # Errors
    ///
    /// If a name is none, or a file can't be written or is there already.
    pub fn write_broker(&self, home: &Path, names: &[String]) -> anyhow::Result<TlsConfig> {
        let (certificate, key) = self.certify_broker(home, names)?;
        let client_authority = home.join("ca.pem");
        file::write_public(&client_authority, self.certificate.as_bytes())?;
        Ok(TlsConfig { certificate, key, client_authority: Some(client_authority) })
    }

    /// Writes `broker.pem` and `broker.key` alone, as [`write_broker`](Self::write_broker).
    ///
    /// # Errors
    ///
    /// If a name is none, or a file can't be written or is there already.
    pub fn certify_broker(&self, home: &Path, names: &[String]) -> anyhow::Result<(PathBuf, PathBuf)> {
        let mut all = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        all.extend(names.iter().filter(|name| !is_unspecified(name)).cloned());
        all.sort_unstable();
        all.dedup();
        self.write_certificate(home, "broker", &all, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Writes a certificate that a user of the broker can log in with: `NAME.pem` and `NAME.key`.
    ///
    /// # Errors
    ///
    /// If a file can't be written or is there already.
    pub fn write_client(&self, home: &Path, user: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
        self.write_certificate(home, user, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn write_certificate(
        &self,
        home: &Path,
        name: &str,
        names: &[String],
        usage: ExtendedKeyUsagePurpose,
    ) -> anyhow::Result<(PathBuf, PathBuf)> {
        let mut params = params(name, names, CERTIFICATE)?;
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().context("no key for a certificate")?;
        let signed = params.signed_by(&key, &self.issuer).context("a certificate could not be signed")?;
        let (certificate_path, key_path) =
            (home.join(format!("{name}.pem")), home.join(format!("{name}.key")));
        file::write_public(&certificate_path, signed.pem().as_bytes())?;
        file::write_secret(&key_path, key.serialize_pem().as_bytes())?;
        Ok((certificate_path, key_path))
    }
}

/// What an authority of a deployment says of itself.
fn own_params(deployment: &str) -> anyhow::Result<CertificateParams> {
    let mut params = params(&format!("wattveil development authority of {deployment}"), &[], AUTHORITY)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn params(common_name: &str, names: &[String], validity: Duration) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names.to_vec())
        .with_context(|| format!("{} is not a list of addresses and names", names.join(", ")))?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - SKEW;
    params.not_after = now + validity;
    Ok(params)
}

/// 0.0.0.0 and :: are where one listens, not where one is.
fn is_unspecified(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}
