//! The broker as a program.

use std::io::{BufRead, BufReader, Lines, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::client::{Client, PATIENCE, connect, connect_with, text};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    command.args(args).env("NO_COLOR", "1").env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
    command
}

fn fails(args: &[&str]) -> String {
    let Output { status, stderr, .. } = command(args).output().expect("it runs");
    assert!(!status.success());
    String::from_utf8(stderr).expect("it writes text")
}

pub(crate) struct Running {
    child: Child,
    address: String,
    log: Lines<BufReader<ChildStderr>>,
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let told = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// The next line of the log that has this.
    pub(crate) fn logged(&mut self, text: &str) -> String {
        let mut lines = self.log.by_ref().map(|line| line.expect("it writes text"));
        lines.find(|line| line.contains(text)).unwrap_or_else(|| panic!("it ended without {text:?}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn run(args: &[&str]) -> Running {
    let mut child = command(args).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let line = lines.next().expect("it says where it listens").expect("it writes text");
    let address = line.split_once("listening address=").expect(&line).1.to_owned();
    Running { child, address, log: lines }
}

#[tokio::test]
async fn it_serves_until_it_is_told_to_stop() {
    for signal in ["TERM", "INT"] {
        let mut running = run(&["--listen", "127.0.0.1:0"]);
        let mut client = Client::subscribed(running.address(), "client", "#", 1).await;
        assert!(client.is_served().await);
        running.signal(signal);
        assert!(running.child.wait().unwrap().success(), "after {signal}");
        assert!(client.is_cut_off().await);
        TcpListener::bind(&running.address).expect("the port is free");
    }
}

/// What it has counted is on a page for Prometheus.
#[tokio::test]
async fn counters_are_served() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let running = run(&["--listen", "127.0.0.1:0", "--set", &format!("metrics={free}")]);
    let mut client = Client::subscribed(running.address(), "client", "#", 1).await;
    assert!(client.is_served().await);
    let deadline = Instant::now() + PATIENCE;
    let mut page = String::new();
    // the client, and the broker's own watchdog; the page is brought up to date every second
    while !page.contains("wattveil_broker_connected_total 2") || page.contains("messages_in_total 0") {
        assert!(Instant::now() < deadline, "{page}");
        let mut stream = TcpStream::connect(free).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        page.clear();
        stream.read_to_string(&mut page).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn what_a_person_gets_wrong_is_answered_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = fails(&["--listen", &address]);
    assert_eq!(
        message,
        format!(
            "error: {address} is in use; stop the program that listens there, or choose another with --listen HOST:PORT\n"
        )
    );
    let message = fails(&["--listen", "0.0.0.0:0"]);
    assert!(message.ends_with("name [[users]], or listen on 127.0.0.1\n"), "{message}");
    let message = fails(&["--config", "/no/such/file.toml"]);
    assert!(message.starts_with("error: cannot read the configuration /no/such/file.toml\n"), "{message}");

    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    std::fs::write(path, "listen = \"127.0.0.1:0\"\nmax_conections = 5\n").unwrap();
    let message = fails(&["--config", path]);
    assert!(
        message.contains(&format!("{path}, line 2: unknown field `max_conections`, expected one of")),
        "{message}"
    );
    let message = fails(&["--set", "max_connections=0"]);
    assert!(message.contains("max_connections"), "{message}");
    let message = fails(&["--set", "max_conections=5"]);
    assert!(message.starts_with("error: --set max_conections: unknown field"), "{message}");
    let message = fails(&["--set", "metrics=0.0.0.0:9463"]);
    assert!(message.contains("say a loopback address, such as 127.0.0.1:9463"), "{message}");
}

#[tokio::test]
async fn the_file_is_heeded_and_flags_win() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let hash = hashed("correct horse");
    let user = format!("[[users]]\nname = \"eve\"\nrole = \"observer\"\n{hash}");
    std::fs::write(path, format!("listen = \"127.0.0.1:1\"\n{user}")).unwrap();
    let running = run(&["--config", path, "--listen", "127.0.0.1:0"]);
    let mut client = Client::open(running.address()).await;
    client.send(&connect("nobody")).await;
    assert_eq!(client.receive().await, Some((0x20, vec![0, 4])));
    let login = [text("eve"), text("eve"), text("correct horse")];
    let mut client = Client::open(running.address()).await;
    client.send(&connect_with(4, 0b1100_0010, 0, &login)).await;
    assert_eq!(client.receive().await, Some((0x20, vec![0, 0])));
}

/// What `--hash-password` prints for a password on standard input.
fn hashed(password: &str) -> String {
    let mut child =
        command(&["--hash-password"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    assert!(status.success());
    let line = String::from_utf8(stdout).unwrap();
    assert!(line.starts_with("password_hash = \"$argon2id$"), "{line}");
    line
}

/// As systemd would be told.
#[tokio::test]
async fn readiness_and_the_end_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).expect("it is told in time");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let mut child = command(&["--listen", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", &path)
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    assert_eq!(told().trim(), "READY=1");
    assert!(Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(told().trim(), "STOPPING=1");
    assert!(child.wait().unwrap().success());
}
