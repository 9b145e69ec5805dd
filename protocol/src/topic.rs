//! Topics: `wv/1/<deployment>/…`, MQTT 3.1.1, QoS 1.
//!
//! A topic says where a message goes, never who sent it: that is what signatures are for.

use std::fmt;

use crate::id::{AggregatorId, Deployment, IdError, MeterId, TariffId};
use crate::rule::{Refusal, Rule};

/// What a message is, by its topic below the deployment.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Channel {
    /// The signed roster, in parts.
    Roster,
    /// A signed tariff, in parts.
    Tariff(TariffId),
    /// A meter's certificate.
    Certificate(MeterId),
    /// A meter's revocation.
    Revoked(MeterId),
    /// A meter's shares for one aggregator.
    Share(AggregatorId, MeterId),
    /// A meter's load vector, encrypted: the same bytes to each aggregator.
    Grid(AggregatorId, MeterId),
    /// A meter's shares of its grid key for one aggregator.
    Deal(AggregatorId, MeterId),
    /// An aggregator's receipt for a meter.
    Receipt(MeterId, AggregatorId),
    /// The utility's query, in parts.
    Query,
    /// The utility's cut, in parts.
    Cut,
    /// The votes that certify a cut, in parts.
    Votes,
    /// An aggregator's inventory, in parts.
    Inventory(AggregatorId),
    /// An aggregator's vote, in parts.
    Vote(AggregatorId),
    /// An aggregator's sealed result, in parts.
    Result(AggregatorId),
    /// An aggregator's objection to a cut, in parts.
    Objection(AggregatorId),
    /// The utility's outcome, in parts.
    Outcome,
    /// A role's status.
    Status(Role, String),
    /// Mode `levelled`.
    Levelled(LevelledChannel),
}

/// What a message is, by its topic below `levelled/`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum LevelledChannel {
    /// The utility's plan of a collective key, in parts.
    Plan,
    /// A collective key, in parts.
    Key,
    /// A part of a collective public key, by its index: each has a topic of its own, so that all can be retained.
    KeyPart(u16),
    /// An aggregator's contributions to a collective key, in parts.
    Make(AggregatorId),
    /// Parts of the blobs that a role's documents name.
    Data(Role, String),
    /// A meter's upload.
    Upload(MeterId),
    /// What an aggregator has taken of a meter's uploads.
    Taken(MeterId, AggregatorId),
    /// The utility's directions for a release, in parts.
    Direction,
    /// An aggregator's replies, in parts.
    Reply(AggregatorId),
}

/// A role, for its status topic.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// A meter agent.
    Meter,
    /// An aggregator worker.
    Aggregator,
    /// The utility's sink.
    Sink,
}

impl Role {
    const ALL: [Self; 3] = [Self::Meter, Self::Aggregator, Self::Sink];

    fn name(self) -> &'static str {
        match self {
            Self::Meter => "meter",
            Self::Aggregator => "agg",
            Self::Sink => "sink",
        }
    }
}

/// A topic of one deployment.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Topic {
    /// The deployment.
    pub deployment: Deployment,
    /// What the message is.
    pub channel: Channel,
}

/// Text that is not a topic of `wv/1`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TopicError {
    /// No such shape.
    #[error("`{found}` is not a topic of wv/1")]
    Shape {
        /// The text, cut at 128 characters.
        found: String,
    },
    /// A level that is no name.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Roster => f.write_str("roster"),
            Self::Tariff(id) => write!(f, "tariff/{id}"),
            Self::Certificate(meter) => write!(f, "cert/{meter}"),
            Self::Revoked(meter) => write!(f, "revoked/{meter}"),
            Self::Share(agg, meter) => write!(f, "agg/{agg}/share/{meter}"),
            Self::Grid(agg, meter) => write!(f, "agg/{agg}/grid/{meter}"),
            Self::Deal(agg, meter) => write!(f, "agg/{agg}/deal/{meter}"),
            Self::Receipt(meter, agg) => write!(f, "receipt/{meter}/{agg}"),
            Self::Query => f.write_str("query"),
            Self::Cut => f.write_str("cut"),
            Self::Votes => f.write_str("votes"),
            Self::Inventory(agg) => write!(f, "inventory/{agg}"),
            Self::Vote(agg) => write!(f, "vote/{agg}"),
            Self::Result(agg) => write!(f, "result/{agg}"),
            Self::Objection(agg) => write!(f, "objection/{agg}"),
            Self::Outcome => f.write_str("outcome"),
            Self::Status(role, id) => write!(f, "status/{}/{id}", role.name()),
            Self::Levelled(channel) => write!(f, "levelled/{channel}"),
        }
    }
}

impl fmt::Display for LevelledChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan => f.write_str("plan"),
            Self::Key => f.write_str("key"),
            Self::KeyPart(index) => write!(f, "key/{index}"),
            Self::Make(agg) => write!(f, "make/{agg}"),
            Self::Data(role, id) => write!(f, "data/{}/{id}", role.name()),
            Self::Upload(meter) => write!(f, "upload/{meter}"),
            Self::Taken(meter, agg) => write!(f, "taken/{meter}/{agg}"),
            Self::Direction => f.write_str("direction"),
            Self::Reply(agg) => write!(f, "reply/{agg}"),
        }
    }
}

impl Channel {
    /// Parses the topic's levels below the deployment.
    ///
    /// # Errors
    ///
    /// [`TopicError`].
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let levels: Vec<&str> = text.split('/').collect();
        Ok(match levels[..] {
            ["roster"] => Self::Roster,
            ["tariff", id] => Self::Tariff(id.parse()?),
            ["cert", meter] => Self::Certificate(meter.parse()?),
            ["revoked", meter] => Self::Revoked(meter.parse()?),
            ["agg", agg, "share", meter] => Self::Share(agg.parse()?, meter.parse()?),
            ["agg", agg, "grid", meter] => Self::Grid(agg.parse()?, meter.parse()?),
            ["agg", agg, "deal", meter] => Self::Deal(agg.parse()?, meter.parse()?),
            ["receipt", meter, agg] => Self::Receipt(meter.parse()?, agg.parse()?),
            ["query"] => Self::Query,
            ["cut"] => Self::Cut,
            ["votes"] => Self::Votes,
            ["inventory", agg] => Self::Inventory(agg.parse()?),
            ["vote", agg] => Self::Vote(agg.parse()?),
            ["result", agg] => Self::Result(agg.parse()?),
            ["objection", agg] => Self::Objection(agg.parse()?),
            ["outcome"] => Self::Outcome,
            ["status", role, id] => {
                let (role, id) = role_and_id(role, id, text)?;
                Self::Status(role, id)
            }
            ["levelled", ref below @ ..] => Self::Levelled(LevelledChannel::parse(below, text)?),
            _ => return Err(shape(text)),
        })
    }

    /// The topic in a deployment.
    pub fn of(self, deployment: &Deployment) -> Topic {
        Topic { deployment: deployment.clone(), channel: self }
    }
}

impl LevelledChannel {
    /// Parses the levels below `levelled/` of `text`.
    fn parse(levels: &[&str], text: &str) -> Result<Self, TopicError> {
        Ok(match *levels {
            ["plan"] => Self::Plan,
            ["key"] => Self::Key,
            ["key", index] => {
                let parsed = index.parse().ok().filter(|parsed: &u16| parsed.to_string() == *index);
                Self::KeyPart(parsed.ok_or_else(|| shape(text))?)
            }
            ["make", agg] => Self::Make(agg.parse()?),
            ["data", role, id] => {
                let (role, id) = role_and_id(role, id, text)?;
                Self::Data(role, id)
            }
            ["upload", meter] => Self::Upload(meter.parse()?),
            ["taken", meter, agg] => Self::Taken(meter.parse()?, agg.parse()?),
            ["direction"] => Self::Direction,
            ["reply", agg] => Self::Reply(agg.parse()?),
            _ => return Err(shape(text)),
        })
    }
}

/// A role's name and the name of one that has the role.
fn role_and_id(role: &str, id: &str, text: &str) -> Result<(Role, String), TopicError> {
    let role = Role::ALL.into_iter().find(|known| known.name() == role).ok_or_else(|| shape(text))?;
    Ok((role, id.parse::<AggregatorId>()?.into()))
}

fn shape(text: &str) -> TopicError {
    TopicError::Shape { found: text.chars().take(128).collect() }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", crate::PROTOCOL, self.deployment, self.channel)
    }
}

impl std::str::FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let rest = text.strip_prefix(crate::PROTOCOL).and_then(|rest| rest.strip_prefix('/'));
        let (deployment, channel) = rest.and_then(|rest| rest.split_once('/')).ok_or_else(|| shape(text))?;
        Ok(Self { deployment: deployment.parse()?, channel: Channel::parse(channel)? })
    }
}

/// A message to be published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// Where to.
    pub topic: Topic,
    /// The message.
    pub payload: Vec<u8>,
    /// Whether the broker should keep it for later subscribers: a convenience, nothing depends on it.
    pub retain: bool,
}

/// For a client of MQTT: topic, payload, and whether the broker retains the message.
impl From<Outgoing> for (String, Vec<u8>, bool) {
    fn from(Outgoing { topic, payload, retain }: Outgoing) -> Self {
        (topic.to_string(), payload, retain)
    }
}

impl Outgoing {
    /// A message that is not retained.
    pub fn new(topic: Topic, payload: Vec<u8>) -> Self {
        Self { topic, payload, retain: false }
    }

    /// A document in parts.
    pub fn parts(topic: &Topic, document: &[u8]) -> Vec<Self> {
        crate::part::split(document).into_iter().map(|payload| Self::new(topic.clone(), payload)).collect()
    }

    /// The same, retained: for a message that is whole, since a broker keeps one message a topic.
    #[must_use]
    pub fn retained(self) -> Self {
        Self { retain: true, ..self }
    }

    /// A document in parts, retained if it is one part.
    pub fn retained_parts(topic: &Topic, document: &[u8]) -> Vec<Self> {
        let mut parts = Self::parts(topic, document);
        if let [one] = &mut parts[..] {
            one.retain = true;
        }
        parts
    }
}

/// What a role made of one delivery.
#[derive(Debug, Default)]
#[must_use]
pub struct Handled {
    /// To be published once everything the role stored is durable.
    pub sends: Vec<Outgoing>,
    /// Why the delivery was refused, if it was: to be logged and counted.
    pub refusal: Option<Refusal>,
}

impl From<Refusal> for Handled {
    fn from(refusal: Refusal) -> Self {
        Self { sends: Vec::new(), refusal: Some(refusal) }
    }
}

impl Handled {
    /// Taken, nothing to say.
    pub fn quietly() -> Self {
        Self::default()
    }

    /// Taken, with messages to publish.
    pub fn sending(sends: Vec<Outgoing>) -> Self {
        Self { sends, refusal: None }
    }

    /// Refused by `rule`.
    pub fn refused(rule: Rule, detail: impl fmt::Display) -> Self {
        Self { sends: Vec::new(), refusal: Some(Refusal::new(rule, detail)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever parses as a topic prints back, and has no wildcard.
        #[test]
        fn topics_print_back(text in "wv/1/[a-z+#/]{0,40}") {
            if let Ok(topic) = text.parse::<Topic>() {
                prop_assert_eq!(topic.to_string(), &text[..]);
                prop_assert!(!text.contains(['+', '#']));
            }
        }
    }

    /// Wildcards, foreign versions, empty levels and system topics are refused.
    #[test]
    fn refuses_foreign_topics() {
        for bad in [
            "wv/1/demo/agg/+/share/#",
            "wv/2/demo/query",
            "wv/1//query",
            "wv/1/demo/",
            "wv/1/demo/query/",
            "/wv/1/demo/query",
            "$SYS/broker",
            "$share/g/wv/1/demo/query",
            "wv/1/demo/status/broker/b",
            "wv/1/demo/receipt/00/agg-1",
        ] {
            assert!(bad.parse::<Topic>().is_err(), "{bad}");
        }
    }
}
