//! An outcome: the utility's signed note that a release has ended.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{Hash, MeterId, QueryId};
use crate::release::query::Path;
use crate::shamir::Point;
use crate::signature::Document;
use crate::unit::{SlotRange, Timestamp};

/// How a release ended.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Outcome {
    /// The query.
    pub query: QueryId,
    /// The cut.
    pub cut: Hash,
    /// Bills or a curve.
    pub path: Path,
    /// What was released of whom: a meter needs no outbox entry of these slots any more once it is billed.
    pub taken: Vec<(MeterId, SlotRange)>,
    /// The aggregators whose answers were used.
    pub used: Vec<Point>,
    /// The aggregators whose answers were wrong.
    pub faulty: Vec<Point>,
    /// The hash of 32 random bytes and the released values, all of which stay with the utility: without the random
    /// bytes whoever reads the outcome could try values until the hash fits.
    pub result: Hash,
    /// When.
    pub at: Timestamp,
}

impl Document for Outcome {
    const KIND: &'static str = "outcome";
}
