//! Replies: what an aggregator says in a release of mode `levelled`.

use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::hpke_box::{BoxError, OpeningKey, SealedBox};
use crate::id::{Hash, QueryId};
use crate::levelled::function::Member;
use crate::roster::Roster;
use crate::rule::Rule;
use crate::shamir::Point;
use crate::signature::Document;
use crate::wire;

/// The purpose that answers are sealed for.
const ANSWER_INFO: &[u8] = b"wv/1 levelled answer";

/// What an answer holds: the result's ciphertexts as this aggregator computed them, and its part in opening each.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Opened {
    /// The ciphertexts.
    pub result: ByteBuf,
    /// The parts in opening them.
    pub partials: ByteBuf,
}

/// An aggregator's answer, sealed to the utility.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Answer {
    /// The cut.
    pub cut: Hash,
    /// The active set that it is part of.
    pub members: Vec<Point>,
    /// An [`Opened`].
    pub sealed: SealedBox,
}

/// Why an answer can't be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AnswerError {
    /// The box does not open.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// The box does not hold an answer.
    #[error("the box does not hold a result and its partial decryptions")]
    Shape,
}

impl Answer {
    /// Seals an answer to the roster's utility.
    ///
    /// # Errors
    ///
    /// [`BoxError`] if the utility's key is unusable.
    pub fn seal<R: CryptoRng>(
        cut: Hash,
        members: Vec<Point>,
        point: Point,
        opened: &Opened,
        roster: &Roster,
        rng: &mut R,
    ) -> Result<Self, BoxError> {
        let aad = associated(roster, &cut, &members, point);
        let key = &roster.document().utility.box_key;
        let sealed = key.seal(ANSWER_INFO, &aad, &wire::encode(opened), rng)?;
        Ok(Self { cut, members, sealed })
    }

    /// Opens the answer of the aggregator at `point`.
    ///
    /// # Errors
    ///
    /// [`AnswerError`].
    pub fn open(&self, point: Point, key: &OpeningKey, roster: &Roster) -> Result<Opened, AnswerError> {
        let aad = associated(roster, &self.cut, &self.members, point);
        let plain = key.open(ANSWER_INFO, &aad, &self.sealed)?;
        wire::decode(&plain).map_err(|_| AnswerError::Shape)
    }
}

fn associated(roster: &Roster, cut: &Hash, members: &[Point], point: Point) -> Vec<u8> {
    let members: Vec<u8> = members.iter().chain([&point]).map(|point| u8::from(*point)).collect();
    [&roster.hash().as_bytes()[..], cut.as_bytes(), &members].concat()
}

/// A step of a release.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ReplyStep {
    /// The members of each subject that it holds the whole window of.
    Holdings(Vec<Vec<Member>>),
    /// It does not take part.
    Refused(Rule),
    /// Its final word for one cut.
    Vote(Hash),
    /// Its part in opening the result.
    Answer(Answer),
}

/// A reply of an aggregator.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Reply {
    /// The release.
    pub request: QueryId,
    /// The aggregator.
    pub point: Point,
    /// The step.
    pub step: ReplyStep,
}

impl Document for Reply {
    const KIND: &'static str = "reply";
}
