//! The broker as a program.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use super::client::Client;

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

struct Running {
    child: Child,
    address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn run(args: &[&str]) -> Running {
    let mut child = command(args).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let line = lines.next().expect("it says where it listens").expect("it writes text");
    let address = line.split_once("listening address=").expect(&line).1.to_owned();
    Running { child, address }
}

#[tokio::test]
async fn it_serves_until_it_is_told_to_stop() {
    for signal in ["TERM", "INT"] {
        let mut running = run(&["--listen", "127.0.0.1:0"]);
        let mut client = Client::subscribed(running.address.parse().unwrap(), "client", "#", 1).await;
        assert!(client.is_served().await);
        let told =
            Command::new("kill").args(["-s", signal, &running.child.id().to_string()]).status().unwrap();
        assert!(told.success());
        assert!(running.child.wait().unwrap().success(), "after {signal}");
        assert!(client.is_cut_off().await);
        TcpListener::bind(&running.address).expect("the port is free");
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
            "Error: {address} is in use; stop the program that listens there, or choose another with --listen HOST:PORT\n"
        )
    );
    let message = fails(&["--listen", "0.0.0.0:0"]);
    assert!(message.ends_with("name [[users]] with passwords, or listen on 127.0.0.1\n"), "{message}");
    let message = fails(&["--config", "/no/such/file.toml"]);
    assert!(message.starts_with("Error: cannot read /no/such/file.toml\n"), "{message}");

    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    std::fs::write(path, "listen = \"127.0.0.1:0\"\nmax_conections = 5\n").unwrap();
    let message = fails(&["--config", path]);
    assert!(
        message.contains(&format!("{path}, line 2: unknown field `max_conections`, expected one of")),
        "{message}"
    );
}

#[tokio::test]
async fn the_file_is_heeded_and_flags_win() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    std::fs::write(path, "listen = \"127.0.0.1:1\"\nusers = [{ name = \"a\", password = \"b\" }]\n").unwrap();
    let running = run(&["--config", path, "--listen", "127.0.0.1:0"]);
    let mut client = Client::open(running.address.parse().unwrap()).await;
    client.send(&super::connect("nobody")).await;
    assert_eq!(client.receive().await, Some((0x20, vec![0, 4])));
}
