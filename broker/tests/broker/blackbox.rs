//! Questions to any broker of MQTT 3.1.1 on loopback, put to ours and to mosquitto side by side.
//!
//! ```text
//! cargo test -p broker --test broker blackbox::side_by_side -- --ignored --nocapture
//! BROKER=127.0.0.1:1883 cargo test -p broker --test broker blackbox::any_broker -- --ignored --nocapture
//! ```
//!
//! The second asks a broker that is running already, which has to let anybody in. Some answers of ours are "no" on
//! purpose: what is not needed is refused. Each has what it has to be, and `blackbox::ours` checks that.

mod good;
mod hostile;
mod process;

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::timeout;

use self::process::Mosquitto;
use super::client::{Client, puback, publish};
use super::start;

/// How long the answer to a question may take.
const TIME: Duration = Duration::from_mins(1);

/// How soon whoever has to be cut off has to be.
const SOON: Duration = Duration::from_secs(5);

/// A broker that is asked, and what is this question's own at it.
#[derive(Clone, Debug)]
struct At {
    broker: SocketAddr,
    /// What client ids and topics of this question start with.
    own: String,
}

/// A question: whether the broker does this.
struct Case {
    question: &'static str,
    /// What our broker has to answer.
    ours: bool,
    ask: fn(At) -> Pin<Box<dyn Future<Output = bool> + Send>>,
}

/// A question from its words, what ours has to answer, and how it is put.
macro_rules! case {
    ($question:literal, $ours:literal, $at:ident => $body:expr) => {
        crate::blackbox::Case { question: $question, ours: $ours, ask: |$at| Box::pin(async move { $body }) }
    };
}
use case;

impl At {
    fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.own)
    }

    fn topic(&self, name: &str) -> String {
        format!("{}/{name}", self.own)
    }

    async fn connected(&self, name: &str) -> Client {
        Client::connected(self.broker, &self.id(name)).await
    }

    async fn subscribed(&self, name: &str, filter: &str, qos: u8) -> Client {
        Client::subscribed(self.broker, &self.id(name), &self.topic(filter), qos).await
    }

    /// Whether two others are served: a message goes from one to the other.
    async fn serves_others(&self) -> bool {
        let mut reader = self.subscribed("witness-reader", "witness", 1).await;
        let mut writer = self.connected("witness-writer").await;
        writer.send(&publish(1, self.topic("witness"), b"seen")).await;
        let acknowledged = writer.receive().await == Some((0x40, vec![0, 1]));
        match reader.receive().await {
            Some((_, body)) => acknowledged && body.ends_with(b"seen"),
            None => false,
        }
    }

    /// Whether a client that sends this is cut off, and others are not.
    async fn cuts_off(&self, bytes: Vec<u8>) -> bool {
        let mut client = self.connected("hostile").await;
        client.send(&bytes).await;
        timeout(SOON, client.is_cut_off()).await.unwrap_or(false) && self.serves_others().await
    }
}

/// The payload of a message of QoS 1 on a topic so long, which is acknowledged.
async fn take(client: &mut Client) -> Option<Vec<u8>> {
    let (first, body) = client.receive().await?;
    let topic = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    if first & 0b0110 == 0 {
        return Some(body[topic..].to_vec());
    }
    client.send(&puback([body[topic], body[topic + 1]])).await;
    Some(body[topic + 2..].to_vec())
}

fn cases() -> impl Iterator<Item = (usize, Case)> {
    good::cases().into_iter().chain(hostile::cases()).enumerate()
}

/// A question's answer; one that comes too late, or is no answer at all, is none.
async fn ask(broker: SocketAddr, number: usize, case: &Case) -> Option<bool> {
    let at = At { broker, own: format!("case{number}") };
    timeout(TIME, tokio::spawn((case.ask)(at))).await.ok()?.ok()
}

/// The short form: our own broker, as it is started by default.
#[tokio::test]
async fn ours() {
    let broker = start().await;
    for (number, case) in cases() {
        assert_eq!(ask(broker.address(), number, &case).await, Some(case.ours), "{}", case.question);
    }
    assert_eq!(broker.counters().panics, 0);
    broker.stop().await;
}

#[tokio::test]
#[ignore = "it wants mosquitto, and is for people to read"]
async fn side_by_side() {
    let (ours, mosquitto) = (start().await, Mosquitto::start().await);
    println!("{:70} {:>6} {:>10}", "", "ours", "mosquitto");
    for (number, case) in cases() {
        let answers =
            [ask(ours.address(), number, &case).await, ask(mosquitto.address(), number, &case).await];
        let [ours, mosquitto] = answers.map(word);
        println!("{:70} {ours:>6} {mosquitto:>10}", case.question);
        assert_eq!(answers[0], Some(case.ours), "{}", case.question);
    }
    ours.stop().await;
}

#[tokio::test]
#[ignore = "it wants BROKER=ADDRESS:PORT, and is for people to read"]
async fn any_broker() {
    let broker = std::env::var("BROKER").expect("BROKER=ADDRESS:PORT").parse().expect("ADDRESS:PORT");
    for (number, case) in cases() {
        println!("{:70} {}", case.question, word(ask(broker, number, &case).await));
    }
}

fn word(answer: Option<bool>) -> &'static str {
    match answer {
        Some(true) => "yes",
        Some(false) => "no",
        None => "fails",
    }
}
