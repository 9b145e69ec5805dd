//! TLS 1.3, and clients that log in by certificate.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, BrokerError, Config, TlsConfig, User};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::{Client, connect, login, subscribe};
use super::permissions::town;
use super::start_with;

/// An authority, and a broker's certificate of its.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    directory: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        let der = certificate.der().clone();
        let authority = Self { issuer: Issuer::new(params, key), certificate: der, directory };
        authority.renew();
        authority
    }

    /// Gives the broker a certificate, another one each time; it.
    pub(crate) fn renew(&self) -> CertificateDer<'static> {
        let (broker, key) = self.sign("broker");
        fs::write(self.path("broker.pem"), broker.pem()).unwrap();
        fs::write(self.path("broker.key"), key.serialize_pem()).unwrap();
        fs::set_permissions(self.path("broker.key"), Permissions::from_mode(0o600)).unwrap();
        broker.der().clone()
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn sign(&self, name: &str) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A certificate for a client.
    pub(crate) fn issue(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let (certificate, key) = self.sign(name);
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = town();
        config.users.push(User::with_certificate("m3", "meter"));
        let tls = TlsConfig {
            certificate: self.path("broker.pem"),
            key: self.path("broker.key"),
            client_authority: Some(self.path("ca.pem")),
        };
        Config { tls: Some(tls), ..config }
    }

    async fn start(&self) -> Broker {
        start_with(self.config()).await
    }

    pub(crate) async fn open(
        &self,
        broker: SocketAddr,
        certificate: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> std::io::Result<Client<TlsStream<TcpStream>>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        };
        let stream = TcpStream::connect(broker).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(Client)
    }
}

#[tokio::test]
async fn clients_log_in_over_tls_by_password_or_certificate() {
    let authority = Authority::new();
    let broker = authority.start().await;
    let stranger = Authority::new();
    for (certificate, bytes, code) in [
        (None, login("m1", "m1", "m1"), 0),
        (None, login("m1", "wrong", "m1"), 4),
        (None, connect("m3"), 4),
        (None, login("m3", "m3", "m3"), 4),
        (Some("m3"), connect("m3"), 0),
        (Some("m3"), login("m3", "", "meter-m3-pub"), 0),
        (Some("m3"), connect("m1"), 2),
        (Some("m3"), login("m1", "m1", "m1"), 4),
        // who logs in by password does not by certificate
        (Some("m1"), connect("m1"), 4),
        (Some("nobody"), connect("m3"), 4),
    ] {
        let shown = certificate.map(|name| authority.issue(name));
        let mut client = authority.open(broker.address(), shown).await.unwrap();
        client.send(&bytes).await;
        assert_eq!(client.receive().await, Some((0x20, vec![0, code])), "{certificate:?} {bytes:?}");
    }
    // another authority's word counts for nothing; the client sees it as soon as it reads
    let shown = Some(stranger.issue("m3"));
    if let Ok(mut client) = authority.open(broker.address(), shown).await {
        client.send(&connect("m3")).await;
        assert!(client.is_cut_off().await);
    }
    let mut plain = Client::open(broker.address()).await;
    plain.send(&login("m1", "m1", "m1")).await;
    assert_ne!(plain.receive().await, Some((0x20, vec![0, 0])), "plain text");
    broker.stop().await;
}

/// More than the layers below hold, both ways.
#[tokio::test]
async fn much_goes_through_tls() {
    let authority = Authority::new();
    let broker = authority.start().await;
    let mut eve = authority.open(broker.address(), None).await.unwrap();
    eve.send(&login("eve", "eve", "eve")).await;
    eve.receive().await.unwrap();
    eve.send(&subscribe(1, "#", 0)).await;
    eve.receive().await.unwrap();
    let mut meter = authority.open(broker.address(), None).await.unwrap();
    meter.send(&login("m1", "m1", "m1")).await;
    meter.receive().await.unwrap();
    let topic = "wv/1/town/status/meter/m1";
    for round in 0..100_u16 {
        meter.send(&super::publish(round + 1, topic, &vec![7; 60_000])).await;
    }
    for round in 0..100_u16 {
        assert_eq!(meter.receive().await, Some((0x40, (round + 1).to_be_bytes().to_vec())));
        assert_eq!(eve.receive().await.unwrap().1.len(), 2 + topic.len() + 60_000);
    }
    broker.stop().await;
}

/// A connection that says nothing holds up nobody's handshake, and is cut off in time.
#[tokio::test]
async fn a_silent_connection_holds_up_nobody() {
    let authority = Authority::new();
    let broker = start_with(Config { connect_timeout: Duration::from_secs(1), ..authority.config() }).await;
    let start = Instant::now();
    let mut silent = Client::open(broker.address()).await;
    let mut client = authority.open(broker.address(), None).await.unwrap();
    client.send(&login("m1", "m1", "m1")).await;
    assert_eq!(client.receive().await, Some((0x20, vec![0, 0])));
    assert!(start.elapsed() < Duration::from_millis(900), "after {:?}", start.elapsed());
    assert!(silent.is_cut_off().await);
    broker.stop().await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    let refused = async |edit: &dyn Fn(&mut TlsConfig)| {
        let mut config = authority.config();
        config.listen = ([127, 0, 0, 1], 0).into();
        edit(config.tls.as_mut().unwrap());
        match Broker::start(config).await {
            Err(error @ BrokerError::Certificate { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let message = refused(&|tls| tls.certificate = "/no/such.pem".into()).await;
    assert!(message.starts_with("/no/such.pem: cannot read certificates as PEM"), "{message}");
    let message = refused(&|tls| tls.certificate.clone_from(&tls.key)).await;
    assert!(message.contains("broker.key: has no certificate"), "{message}");
    let message = refused(&|tls| tls.key = other.path("broker.key")).await;
    assert!(message.contains("is it the key of"), "{message}");
    let open = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    open(&authority.path("broker.key"));
    let message = refused(&|_| ()).await;
    assert!(message.contains("type: chmod 600"), "{message}");
}
