//! Contributions: what aggregators send each other to make a collective key.
//!
//! Three rounds, each commit, then reveal: random bytes for a seed that nobody chose; shares of the public key and the first
//! half of the relinearisation key; its second half. Beside them every aggregator deals its own secret to every active set.
//! A message of a later step says that its sender has all earlier ones, so nothing is acknowledged apart.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::Hash;
use crate::levelled::blob::Blob;
use crate::shamir::Point;
use crate::signature::{Document, hash};

/// A round of commit, then reveal.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Round {
    /// 32 random bytes.
    Seed,
    /// Shares of the public key, and of the first half of the relinearisation key.
    First,
    /// Shares of its second half.
    Second,
}

/// A number that names no round.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("round {0} is not one of 1, 2, 3")]
pub struct RoundError(u8);

impl Round {
    /// Every round, in order.
    pub const ALL: [Self; 3] = [Self::Seed, Self::First, Self::Second];
}

impl TryFrom<u8> for Round {
    type Error = RoundError;

    fn try_from(number: u8) -> Result<Self, RoundError> {
        Self::ALL.into_iter().find(|round| u8::from(*round) == number).ok_or(RoundError(number))
    }
}

impl From<Round> for u8 {
    fn from(round: Round) -> Self {
        match round {
            Round::Seed => 1,
            Round::First => 2,
            Round::Second => 3,
        }
    }
}

/// What an aggregator contributes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Step {
    /// A commitment to what it will reveal.
    Commit(Round, Hash),
    /// What it committed to.
    Reveal(Round, Blob),
    /// Its secret's shares for one other aggregator, sealed to that one.
    Deal(Point, Blob),
    /// What the key came to: the public key, and the hash of the relinearisation key (zero if there is none).
    Made(Blob, Hash),
}

/// The commitment of an aggregator to what it will reveal in a round: bytes of high entropy.
pub fn commitment(key: &Hash, point: Point, round: Round, bytes: &[u8]) -> Hash {
    hash("commitment", &[key.as_bytes(), &[u8::from(point), u8::from(round)], bytes])
}

/// An aggregator's contribution.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Contribution {
    /// The key: its plan's hash.
    pub key: Hash,
    /// The aggregator.
    pub point: Point,
    /// What it contributes.
    pub step: Step,
}

impl Document for Contribution {
    const KIND: &'static str = "contribution";
}
