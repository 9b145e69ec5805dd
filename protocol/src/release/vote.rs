//! A vote: an aggregator's final word for one cut, an entry of its hash-chained ledger.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{Hash, QueryId};
use crate::shamir::Point;
use crate::signature::Document;

/// An aggregator's vote.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Vote {
    /// The query.
    pub query: QueryId,
    /// The cut's hash.
    pub cut: Hash,
    /// The aggregator.
    pub point: Point,
    /// How many votes are in its ledger before this one.
    pub height: u64,
    /// The hash of the vote before, zero for the first.
    pub previous: Hash,
}

impl Document for Vote {
    const KIND: &'static str = "vote";
}

/// A bundle of signed votes: with a quorum for one cut it is that cut's certificate.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Votes(pub Vec<ByteBuf>);
