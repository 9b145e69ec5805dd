//! Another implementation's clients, where they are installed (Debian's `mosquitto-clients`).

use std::net::SocketAddr;

use tokio::process::Command;

use super::client::Client;
use super::start;

fn command(name: &str, broker: SocketAddr, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command
        .args(["-h", "127.0.0.1", "-p", &broker.port().to_string(), "-q", "1"])
        .args(args)
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn mosquittos_clients_understand_it() {
    let broker = start().await;
    let address = broker.address();
    for text in ["1", "2", "3"] {
        let topic = format!("a/{text}");
        match command("mosquitto_pub", address, &["-r", "-t", &topic, "-m", text]).status().await {
            Ok(status) => assert!(status.success()),
            Err(error) => {
                println!("not tested: mosquitto_pub: {error}");
                return;
            }
        }
    }
    let read = command("mosquitto_sub", address, &["-t", "a/#", "-v", "-C", "3", "-W", "10"])
        .output()
        .await
        .unwrap();
    assert!(read.status.success());
    let text = String::from_utf8(read.stdout).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a/1 1", "a/2 2", "a/3 3"]);
    let version_5 = command("mosquitto_pub", address, &["-V", "5", "-t", "a/b", "-m", "x"]).status().await;
    assert!(!version_5.unwrap().success());
    assert!(Client::connected(address, "witness").await.is_served().await);
    broker.stop().await;
}
