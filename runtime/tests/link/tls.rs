//! Publisher and subscriber over TLS, logged in by certificate.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use broker::{Broker, Config, Role, TlsConfig, User};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use runtime::link::{Endpoint, IdentityFiles, Publisher, Settings, Subscriber, TlsFiles};

use super::{ANYWHERE, collect, publish_all, settings, state, subscribed};

/// An authority, and certificates of its for the broker and for a client, in files.
fn write_certificates(directory: &Path) {
    let write = |name: &str, pem: &str| {
        fs::write(directory.join(name), pem).unwrap();
        fs::set_permissions(directory.join(name), Permissions::from_mode(0o600)).unwrap();
    };
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    write("ca.pem", &params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(params, key);
    for (name, subject) in [("broker", "127.0.0.1"), ("client", "client.invalid")] {
        let mut params = CertificateParams::new(vec![subject.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        write(&format!("{name}.pem"), &params.signed_by(&key, &issuer).unwrap().pem());
        write(&format!("{name}.key"), &key.serialize_pem());
    }
}

async fn start(directory: &Path) -> Broker {
    let role = Role {
        name: "tester".into(),
        ids: vec!["{user}".into()],
        publish: vec!["test/+".into()],
        subscribe: vec!["test/#".into()],
        topics: 10,
        filters: 10,
    };
    let config = Config {
        listen: ANYWHERE.into(),
        tls: Some(TlsConfig {
            certificate: directory.join("broker.pem"),
            key: directory.join("broker.key"),
            client_authority: Some(directory.join("ca.pem")),
        }),
        users: vec![User::with_certificate("client", "tester")],
        roles: vec![role],
        ..Config::default()
    };
    Broker::start(config).await.expect("the broker starts")
}

fn files(identity: bool) -> TlsFiles {
    let identity =
        identity.then(|| IdentityFiles { certificate: "client.pem".into(), key: "client.key".into() });
    TlsFiles { authority: "ca.pem".into(), identity }
}

#[tokio::test]
async fn everything_arrives_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    write_certificates(directory.path());
    let broker = start(directory.path()).await;
    let endpoint =
        |identity| Endpoint { tls: Some(files(identity)), ..Endpoint::new(broker.address().to_string()) };
    let with = |identity: bool| Settings {
        tls: endpoint(identity).settings(directory.path(), "client").unwrap().tls,
        ..settings(broker.address(), "client")
    };
    let mut subscriber = Subscriber::connect(with(true), vec!["test/#".into()]);
    subscribed(&subscriber).await;
    let publisher = Publisher::connect(with(true));
    let publishing = publish_all(&publisher, 0..3000);
    assert_eq!(collect(&mut subscriber, 3000).await, (0..3000).collect::<Vec<_>>());
    publishing.await.unwrap();
    // nobody gets in without a certificate
    let stranger = Publisher::connect(with(false));
    let trouble = state(&stranger, |state| state.trouble.is_some()).await.trouble.unwrap();
    assert!(trouble.contains("BadUserNamePassword"), "{trouble}");
    broker.stop().await;
}

/// A broker that another authority speaks for is not spoken to.
#[tokio::test]
async fn a_broker_that_cannot_prove_who_it_is_gets_nothing() {
    let [ours, theirs] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    write_certificates(ours.path());
    write_certificates(theirs.path());
    let broker = start(theirs.path()).await;
    let endpoint = Endpoint { tls: Some(files(true)), ..Endpoint::new(broker.address().to_string()) };
    let publisher = Publisher::connect(endpoint.settings(ours.path(), "client").unwrap());
    let trouble = state(&publisher, |state| state.trouble.is_some()).await.trouble.unwrap();
    assert!(trouble.starts_with("no TLS with the broker: invalid peer certificate"), "{trouble}");
    let plain = Publisher::connect(settings(broker.address(), "client"));
    assert!(!state(&plain, |state| state.trouble.is_some()).await.connected);
    broker.stop().await;
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let directory = tempfile::tempdir().unwrap();
    write_certificates(directory.path());
    let refused = |tls: TlsFiles| {
        let endpoint = Endpoint { tls: Some(tls), ..Endpoint::new("127.0.0.1:8883") };
        endpoint.settings(directory.path(), "client").unwrap_err().to_string()
    };
    let message = refused(TlsFiles { authority: "no.pem".into(), identity: None });
    assert!(message.contains("no.pem"), "{message}");
    let message = refused(TlsFiles { authority: "client.key".into(), identity: None });
    assert!(message.contains("has no -----BEGIN CERTIFICATE-----"), "{message}");
    let mixed = IdentityFiles { certificate: "broker.pem".into(), key: "client.key".into() };
    let message = refused(TlsFiles { identity: Some(mixed), ..files(false) });
    assert!(message.contains("do not belong together"), "{message}");
    fs::set_permissions(directory.path().join("client.key"), Permissions::from_mode(0o644)).unwrap();
    let message = refused(files(true));
    assert!(message.contains("type: chmod 600"), "{message}");
}
