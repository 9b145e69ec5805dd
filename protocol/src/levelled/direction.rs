//! Directions: what the utility says in a release of mode `levelled`.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{Hash, QueryId};
use crate::levelled::function::{Function, Member, Subject};
use crate::shamir::Point;
use crate::signature::Document;

/// What is asked.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Ask {
    /// The collective key.
    pub key: Hash,
    /// The function.
    pub function: Function,
    /// What it is a function of.
    pub subjects: Vec<Subject>,
}

/// A turn of an active set.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Open {
    /// The cut: the hash of its direction.
    pub cut: Hash,
    /// The t aggregators that are to open its result, ascending.
    pub members: Vec<Point>,
    /// Votes of a quorum for the cut, signed replies each.
    pub votes: Vec<ByteBuf>,
}

/// A step of a release.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum DirectionStep {
    /// Asks for a function.
    Ask(Ask),
    /// Names the exact sets, one a subject.
    Cut(Vec<Vec<Member>>),
    /// Asks an active set to open the result.
    Open(Open),
}

/// A direction of the utility.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Direction {
    /// The release.
    pub request: QueryId,
    /// The step.
    pub step: DirectionStep,
}

impl Document for Direction {
    const KIND: &'static str = "direction";
}
