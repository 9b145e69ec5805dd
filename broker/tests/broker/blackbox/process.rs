//! Programs of mosquitto's.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// A running mosquitto that lets anybody in, and drops nothing.
#[derive(Debug)]
pub(super) struct Mosquitto {
    address: SocketAddr,
    _child: Child,
    _config: NamedTempFile,
}

impl Mosquitto {
    pub(super) async fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let config = NamedTempFile::new().unwrap();
        let settings = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nuser root\n",
            address.port()
        );
        std::fs::write(config.path(), settings).unwrap();
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(config.path()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().expect("mosquitto is installed: apt install mosquitto");
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        Self { address, _child: child, _config: config }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Starts `mosquitto_pub` or `mosquitto_sub`; `None` when it is not installed.
pub(super) fn client(name: &str, broker: SocketAddr, args: &[&str]) -> Option<Child> {
    let port = broker.port().to_string();
    let mut command = Command::new(name);
    command.args(["-h", "127.0.0.1", "-p", &port]).args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().ok()
}
