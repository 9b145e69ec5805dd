//! Watching the broker: every message decoded as far as anybody may read it, one line each.
//!
//! Nothing secret can show: shares, deals and results are sealed, load vectors are encrypted, and this is an observer.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use grid::sum::Vector;
use jiff::Timestamp;
use protocol::certificate::MeterCertificate;
use protocol::grid::{DealMessage, LoadVector};
use protocol::part::Assembly;
use protocol::receipt::Receipt;
use protocol::release::cut::Cut;
use protocol::release::inventory::{Inventory, InventoryAnswer};
use protocol::release::objection::Objection;
use protocol::release::outcome::Outcome;
use protocol::release::query::{Ask, Query};
use protocol::release::result::ResultShare;
use protocol::release::vote::{Vote, Votes};
use protocol::revocation::Revocation;
use protocol::share::ShareMessage;
use protocol::signature::{Document, Unverified};
use protocol::status::Status;
use protocol::topic::{Channel, Topic};
use runtime::link::{Endpoint, Settings, TlsFiles};

use crate::status::{Watching, find, subscribe};

/// Show the broker's messages, one a line, decoded as far as an observer can read them
#[derive(Args, Debug)]
pub struct Command {
    /// The deployment's directory; or the directory or configuration of an observer, the registrar or the sink
    #[arg(conflicts_with_all = ["broker", "user", "password_file", "ca"])]
    config: Option<PathBuf>,
    /// The broker, if no configuration is given
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    broker: String,
    /// The user to log in as, for example an observer: it reads all topics and publishes nothing
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A file with the user's password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// The certificate authority of the broker, for TLS
    #[arg(long, value_name = "FILE.pem")]
    ca: Option<PathBuf>,
    /// Only this deployment
    #[arg(long, value_name = "NAME")]
    deployment: Option<String>,
    /// Stop after so many messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

impl Command {
    /// How to reach the broker, and what to ask it for.
    fn settings(&self) -> anyhow::Result<(Settings, String)> {
        let of = |deployment: &str| format!("wv/1/{deployment}/#");
        let Some(path) = &self.config else {
            let mut endpoint = Endpoint::new(self.broker.clone());
            endpoint.user.clone_from(&self.user);
            endpoint.password_file.clone_from(&self.password_file);
            endpoint.tls = self.ca.clone().map(|authority| TlsFiles { authority, identity: None });
            let settings = endpoint.settings(Path::new("."), self.user.as_deref().unwrap_or("tap"))?;
            return Ok((settings, self.deployment.as_deref().map_or_else(|| "wv/1/#".to_owned(), of)));
        };
        let file = find(path)?;
        let home = file.parent().unwrap_or_else(|| Path::new("."));
        let config = Watching::read(&file)?;
        let (_, roster) = config.membership(home)?;
        let settings = config.broker.settings(home, config.broker.user.as_deref().unwrap_or("tap"))?;
        let deployment = self.deployment.as_deref().unwrap_or_else(|| roster.document().deployment.as_ref());
        Ok((settings, of(deployment)))
    }

    /// Prints until it is stopped, or has seen or waited enough.
    ///
    /// # Errors
    ///
    /// A file that can't be read; an output that can't be written to.
    pub async fn run(&self, out: &mut impl Write, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (settings, filter) = self.settings()?;
        let mut subscriber = subscribe(settings, vec![filter]).await?;
        let mut assembly = Assembly::default();
        let over = async {
            match self.seconds {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        let (mut shutdown, mut over) = (std::pin::pin!(shutdown), std::pin::pin!(over));
        let mut seen = 0;
        while self.count.is_none_or(|count| seen < count) {
            let delivery = tokio::select! {
                () = &mut shutdown => break,
                () = &mut over => break,
                delivery = subscriber.recv() => delivery,
            };
            let Some(delivery) = delivery else { break };
            let said = match delivery.topic.parse::<Topic>() {
                Ok(topic) => describe(&topic, &delivery.payload, &mut assembly),
                Err(error) => error.to_string(),
            };
            let time = Timestamp::now().strftime("%H:%M:%S");
            writeln!(out, "{time} {:>6} B  {}  {said}", delivery.payload.len(), delivery.topic)
                .context("cannot write what was seen")?;
            seen += 1;
            subscriber.ack(delivery);
        }
        subscriber.close().await;
        Ok(())
    }
}

/// What a message says, to anybody. Nothing is believed: signatures are not checked.
pub fn describe(topic: &Topic, payload: &[u8], assembly: &mut Assembly) -> String {
    match &topic.channel {
        Channel::Share(..) => match ShareMessage::parse(payload) {
            Ok(share) => {
                let head = share.head();
                format!("shares {} of slots {}, sealed to aggregator {}", head.seq, head.slots, share.point())
            }
            Err(error) => bad(error),
        },
        Channel::Grid(..) => claim::<LoadVector>(payload, |vector| {
            let header = match Vector::describe(&vector.ciphertext) {
                Ok(header) => header,
                Err(error) => error.to_string(),
            };
            format!("load vector {} of slots {}: {header}", vector.seq, vector.slots)
        }),
        Channel::Deal(..) => match DealMessage::parse(payload) {
            Ok(chunk) => format!(
                "chunk {} of key deal {}, sealed to aggregator {}",
                chunk.index(),
                short(chunk.deal()),
                chunk.point()
            ),
            Err(error) => bad(error),
        },
        Channel::Certificate(_) => claim::<MeterCertificate>(payload, |certificate| {
            format!("certificate: service point {}, group {}", certificate.service_point, certificate.group)
        }),
        Channel::Revoked(_) => claim::<Revocation>(payload, |revocation| {
            let Revocation { meter, from, reason } = revocation;
            format!("revocation of meter {meter} as of {from}: {}", printable(&reason.to_string()))
        }),
        Channel::Receipt(..) => claim::<Receipt>(payload, receipt),
        Channel::Status(..) => match Status::decode(payload) {
            Ok(status) => format!(
                "{}, version {}, roster {}, backlog {}",
                printable(&status.state),
                printable(&status.version),
                status.roster_epoch,
                status.backlog
            ),
            Err(error) => bad(error),
        },
        channel => match assembly.take(&topic.to_string(), payload) {
            Ok(Some(document)) => document_says(channel, &document),
            Ok(None) => "a part".to_owned(),
            Err(error) => bad(error),
        },
    }
}

fn document_says(channel: &Channel, document: &[u8]) -> String {
    match channel {
        Channel::Query => claim::<Query>(document, |query| {
            let asked = match &query.ask {
                Ask::Bill(ask) => format!("{} bills, {} tariffs", ask.targets.len(), ask.tariffs.len()),
                Ask::Group(ask) => format!("curve of {}, {} members", ask.group, ask.members.len()),
                Ask::Grid(ask) => format!("interval of {}, {} members", ask.group, ask.members.len()),
            };
            format!("query {}: {asked}, slots {}", query.id, query.period)
        }),
        Channel::Inventory(_) => claim::<Inventory>(document, |inventory| match &inventory.answer {
            InventoryAnswer::Holdings(holdings) => {
                format!("inventory for query {}: {} targets", inventory.query, holdings.len())
            }
            InventoryAnswer::Refused(rule) => format!("query {} refused: {rule}", inventory.query),
        }),
        Channel::Cut => claim::<Cut>(document, |cut| {
            format!("cut of query {} from {} inventories", cut.query, cut.cited.len())
        }),
        Channel::Vote(_) => claim::<Vote>(document, |vote| {
            format!("vote {} of aggregator {} on query {}", vote.height, vote.point, vote.query)
        }),
        Channel::Votes => match protocol::wire::decode::<Votes>(document) {
            Ok(votes) => format!("certificate of {} votes", votes.0.len()),
            Err(error) => bad(error),
        },
        Channel::Objection(_) => claim::<Objection>(document, |objection| {
            let Objection { query, point, rule, .. } = objection;
            format!("aggregator {point} does not vote on query {query}: {rule}")
        }),
        Channel::Result(_) => claim::<ResultShare>(document, |result| {
            let bytes = result.sealed.ciphertext_len();
            format!("{bytes} bytes of answers to query {}, sealed to the utility", result.query)
        }),
        Channel::Outcome => claim::<Outcome>(document, |outcome| {
            let names = |points: &[protocol::shamir::Point]| {
                points.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            };
            let faulty = if outcome.faulty.is_empty() { "nobody".to_owned() } else { names(&outcome.faulty) };
            format!("outcome of query {}: used {}, faulty {faulty}", outcome.query, names(&outcome.used))
        }),
        _ => format!("a document of {} bytes", document.len()),
    }
}

fn receipt(receipt: &Receipt) -> String {
    let stored: u64 =
        receipt.stored.as_slice().iter().map(|(from, to)| to.saturating_sub(*from).saturating_add(1)).sum();
    let refused = receipt.refused.iter().take(3);
    let refused: String = refused
        .map(|refused| [", ", &refused.seq.to_string(), " refused: ", refused.rule.name()].concat())
        .collect();
    format!("receipt of aggregator {}: {stored} stored{refused}", receipt.point)
}

/// What a signed document claims.
fn claim<T: Document>(bytes: &[u8], say: impl Fn(&T) -> String) -> String {
    match Unverified::<T>::parse(bytes) {
        Ok(unverified) => say(unverified.claim()),
        Err(error) => bad(error),
    }
}

fn bad(error: impl Display) -> String {
    format!("NOT WHAT ITS TOPIC SAYS: {error}")
}

/// A status is unsigned: whoever wrote it must not move the cursor.
fn printable(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(40).collect()
}

fn short(hash: protocol::id::Hash) -> String {
    hash.to_string().chars().take(8).collect()
}
