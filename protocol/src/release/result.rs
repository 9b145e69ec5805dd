//! A result: an aggregator's share of the released values, sealed to the utility.

use rand::CryptoRng;
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use zeroize::Zeroizing;

use crate::field::Fe;
use crate::hpke_box::{BoxError, OpeningKey, SealedBox};
use crate::id::{Hash, QueryId};
use crate::roster::Roster;
use crate::shamir::Point;
use crate::signature::Document;
use crate::wire;

/// The purpose that result boxes are sealed for.
const RESULT_INFO: &[u8] = b"wv/1 result";

/// An aggregator's sealed answers.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct ResultShare {
    /// The query.
    pub query: QueryId,
    /// The certified cut.
    pub cut: Hash,
    /// The aggregator.
    pub point: Point,
    /// The answers.
    pub sealed: SealedBox,
}

impl Document for ResultShare {
    const KIND: &'static str = "result";
}

/// One answer a released entry: shares of its values, or nothing where a record is not held.
pub type Answers = Vec<Option<Zeroizing<Vec<Fe>>>>;

/// An aggregator's pieces of an opening on the grid path: nothing but the sum follows from those of t aggregators.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Pieces {
    /// The sum of the members' load vectors, still encrypted.
    pub sum: ByteBuf,
    /// A partial decryption for each active set that the aggregator is in, in the sets' order.
    pub partials: Vec<ByteBuf>,
}

/// What is sealed: eight bytes an element of an answer; and pieces, if it is about an interval and all of it is held.
#[derive(Deserialize_tuple, Serialize_tuple)]
struct Plain {
    answers: Vec<Option<ByteBuf>>,
    pieces: Option<Pieces>,
}

/// Why a result can't be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ResultError {
    /// The box does not open.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// The box does not hold answers.
    #[error("the box does not hold field elements of the stated shape")]
    Shape,
}

impl ResultShare {
    /// Seals answers to the roster's utility.
    ///
    /// # Errors
    ///
    /// [`BoxError`] if the utility's key is unusable.
    pub fn seal<R: CryptoRng>(
        query: QueryId,
        cut: Hash,
        point: Point,
        answers: &Answers,
        pieces: Option<Pieces>,
        roster: &Roster,
        rng: &mut R,
    ) -> Result<Self, BoxError> {
        let bytes = |values: &Zeroizing<Vec<Fe>>| {
            values.iter().flat_map(|v| v.to_bytes()).collect::<Vec<u8>>().into()
        };
        let answers = answers.iter().map(|answer| answer.as_ref().map(bytes)).collect();
        let plain = Plain { answers, pieces };
        let plaintext = Zeroizing::new(wire::encode(&plain));
        let key = &roster.document().utility.box_key;
        let sealed = key.seal(RESULT_INFO, &associated(roster, &cut, point), &plaintext, rng)?;
        Ok(Self { query, cut, point, sealed })
    }

    /// Opens the answers; `lengths` are the values asked for, an entry each.
    ///
    /// # Errors
    ///
    /// [`ResultError`].
    pub fn open(
        &self,
        key: &OpeningKey,
        roster: &Roster,
        lengths: &[usize],
    ) -> Result<(Answers, Option<Pieces>), ResultError> {
        let plaintext = key.open(RESULT_INFO, &associated(roster, &self.cut, self.point), &self.sealed)?;
        let plain: Plain = wire::decode(&plaintext).map_err(|_| ResultError::Shape)?;
        if plain.answers.len() != lengths.len() {
            return Err(ResultError::Shape);
        }
        let answers: Result<Answers, ResultError> = plain
            .answers
            .iter()
            .zip(lengths)
            .map(|(answer, len)| {
                answer.as_ref().map(|bytes| elements(bytes, *len).ok_or(ResultError::Shape)).transpose()
            })
            .collect();
        Ok((answers?, plain.pieces))
    }
}

fn elements(bytes: &[u8], len: usize) -> Option<Zeroizing<Vec<Fe>>> {
    if bytes.len() != len * 8 {
        return None;
    }
    let values: Option<Vec<Fe>> =
        bytes.chunks_exact(8).map(|chunk| Fe::from_bytes(chunk.try_into().ok()?)).collect();
    values.map(Zeroizing::new)
}

fn associated(roster: &Roster, cut: &Hash, point: Point) -> Vec<u8> {
    [&roster.hash().as_bytes()[..], cut.as_bytes(), &[u8::from(point)]].concat()
}
