//! An objection: an aggregator's word that it does not vote for a cut now, and by which rule.
//!
//! It is no vote against the cut and takes nothing back: nothing is written for it, whoever objected may vote as soon as the rule no
//! longer speaks against the cut, and a quorum of votes releases whatever others object to. It tells the utility why it waits.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{Hash, QueryId};
use crate::rule::Rule;
use crate::shamir::Point;
use crate::signature::Document;

/// Why an aggregator does not vote for a cut.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Objection {
    /// The query.
    pub query: QueryId,
    /// The cut's hash.
    pub cut: Hash,
    /// The aggregator.
    pub point: Point,
    /// The rule that speaks against the cut.
    pub rule: Rule,
}

impl Document for Objection {
    const KIND: &'static str = "objection";
}
