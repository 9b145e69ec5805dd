//! The topics of mode `levelled`, below `levelled/`.

use std::fmt;

use crate::id::{AggregatorId, MeterId};
use crate::topic::{Role, TopicError};

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

impl LevelledChannel {
    /// Parses the levels below `levelled/`; nothing if there is no such topic.
    ///
    /// # Errors
    ///
    /// [`TopicError::Id`] for a level that is no name.
    pub fn parse(levels: &[&str]) -> Result<Option<Self>, TopicError> {
        Ok(Some(match *levels {
            ["plan"] => Self::Plan,
            ["key"] => Self::Key,
            ["key", index] => {
                let parsed = index.parse().ok().filter(|parsed: &u16| parsed.to_string() == *index);
                let Some(index) = parsed else { return Ok(None) };
                Self::KeyPart(index)
            }
            ["make", agg] => Self::Make(agg.parse()?),
            ["data", role, id] => {
                let Some(role) = Role::named(role) else { return Ok(None) };
                let id: AggregatorId = id.parse()?;
                Self::Data(role, id.into())
            }
            ["upload", meter] => Self::Upload(meter.parse()?),
            ["taken", meter, agg] => Self::Taken(meter.parse()?, agg.parse()?),
            ["direction"] => Self::Direction,
            ["reply", agg] => Self::Reply(agg.parse()?),
            _ => return Ok(None),
        }))
    }
}
