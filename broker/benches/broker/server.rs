//! The brokers that are measured.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use broker::{Config, QueueSize, TlsConfig, User};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use crate::peer::Peer;

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Ours, in plain text, for everybody.
    Open,
    /// Ours, with TLS, passwords and permissions.
    Guarded,
    Mosquitto,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "ours, open",
            Self::Guarded => "ours, TLS and permissions",
            Self::Mosquitto => "mosquitto, open",
        }
    }

    /// Those that can be measured here.
    pub(crate) fn all() -> Vec<Self> {
        let installed =
            Command::new("mosquitto").arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status();
        let all = [Self::Open, Self::Guarded, Self::Mosquitto];
        all.into_iter().filter(|kind| *kind != Self::Mosquitto || installed.is_ok()).collect()
    }
}

/// A broker with `meters` meters named m0, m1 … and an aggregator named a, in a process of its own.
#[derive(Debug)]
pub(crate) struct Server {
    kind: Kind,
    address: SocketAddr,
    connector: Option<Connector>,
    config: std::path::PathBuf,
    child: Option<Child>,
    _directory: TempDir,
}

#[derive(Clone)]
struct Connector(TlsConnector);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Server {
    /// Starts it; waits until it listens.
    pub(crate) fn start(
        kind: Kind,
        meters: usize,
        max_connections: usize,
        queue: QueueSize,
    ) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut connector = None;
        let config = match kind {
            Kind::Mosquitto => format!(
                "listener {} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 100\nuser root\n",
                address.port()
            ),
            Kind::Open | Kind::Guarded => {
                let mut config = settings(address, max_connections, queue);
                if kind == Kind::Guarded {
                    config.tls = Some(write_certificate(directory.path())?);
                    let users = (0..meters).map(|number| (format!("m{number}"), "meter"));
                    let users = users.chain([("a".to_owned(), "aggregator")]);
                    config.users =
                        users.map(|(name, role)| User::with_random_password(&name, role, &name)).collect();
                    connector = Some(trust(&directory.path().join("broker.pem"))?);
                }
                toml::to_string(&config)?
            }
        };
        let path = directory.path().join("broker.conf");
        fs::write(&path, config)?;
        let mut server = Self { kind, address, connector, config: path, child: None, _directory: directory };
        server.restart()?;
        Ok(server)
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Starts it again on its port.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        let mut command = match self.kind {
            Kind::Mosquitto => {
                let mut command = Command::new("mosquitto");
                command.arg("-c");
                command
            }
            Kind::Open | Kind::Guarded => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
                command.arg("--config").env("RUST_LOG", "error");
                command
            }
        };
        command.arg(&self.config).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().context("a broker could not be started")?);
        while TcpStream::connect(self.address).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Its resident memory in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let id = self.child.as_ref().context("it does not run")?.id();
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib << 10)
    }

    /// The processor time it has taken in seconds.
    pub(crate) fn processor_time(&self) -> anyhow::Result<f64> {
        // [proc(5)]  user and system time, in hundredths of a second, after the name in brackets and the state
        let id = self.child.as_ref().context("it does not run")?.id();
        let status = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let (_, fields) = status.rsplit_once(") ").context("no name")?;
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>);
        Ok(ticks.sum::<Result<u32, _>>().map(f64::from)? / 100.0)
    }

    /// How to connect to it.
    pub(crate) fn door(&self) -> Door {
        Door { address: self.address, connector: self.connector.clone() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// How to connect to a broker.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    connector: Option<Connector>,
}

impl Door {
    /// Connects as a user, under its name; the return code is not zero for one that is refused.
    pub(crate) async fn connect(&self, user: &str) -> std::io::Result<(Peer, u8)> {
        let stream = tokio::net::TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut peer = match &self.connector {
            None => Peer::new(Box::new(stream)),
            Some(Connector(connector)) => {
                let name = ServerName::try_from("localhost").expect("it is a name");
                Peer::new(Box::new(connector.connect(name, stream).await?))
            }
        };
        let code = peer.log_in(user, self.connector.is_some()).await?;
        Ok((peer, code))
    }
}

/// Limits that are not what is measured are out of the way.
fn settings(listen: SocketAddr, max_connections: usize, queue: QueueSize) -> Config {
    Config {
        listen,
        max_connections,
        max_packet_bytes: 80_000,
        packets_per_second: u32::MAX,
        bytes_per_second: u32::MAX,
        total_packets_per_second: u32::MAX,
        total_bytes_per_second: u32::MAX,
        queue,
        max_queue_bytes: 1 << 50,
        ..Config::default()
    }
}

fn write_certificate(directory: &Path) -> anyhow::Result<TlsConfig> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    let paths = ["broker.pem", "broker.key"].map(|name| directory.join(name));
    fs::write(&paths[0], certificate.pem())?;
    fs::write(&paths[1], key.serialize_pem())?;
    fs::set_permissions(&paths[1], Permissions::from_mode(0o600))?;
    let [certificate, key] = paths;
    Ok(TlsConfig { certificate, key, client_authority: None })
}

fn trust(certificate: &Path) -> anyhow::Result<Connector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Connector(Arc::new(config).into()))
}
