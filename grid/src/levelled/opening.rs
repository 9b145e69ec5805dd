//! The utility's part: t answers become values.

use ckks::{ActiveSet, DecodeError, MeanPartial, PartialDecryption, ThresholdError, Wire, WireError};
use protocol::levelled::function::Function;
use protocol::shamir::Point;
use protocol::wire;
use serde_bytes::ByteBuf;

use super::accuracy::{Accuracy, Extent, NoRoom, Output};
use super::setup::Setup;
use super::trustee::{OpenError, read_result};

/// Why answers give no values.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ResultError {
    /// The result is none.
    #[error(transparent)]
    Result(#[from] OpenError),
    /// The partial decryptions of one aggregator are none.
    #[error("the partial decryptions of aggregator {0} can't be read")]
    Partials(Point),
    /// Not one partial decryption of each member.
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
    /// The result does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The noise leaves nothing to see.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

/// The values of a released function.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// One a slot, or one, or for [`Function::TimeVariance`] mean and variance; in watt-hours, their squares, or the weights'
    /// units.
    pub values: Vec<f64>,
    /// The standard deviation of the first value's error: smudging, noise and rounding; for maxima and minima without what
    /// the approximation of the sign leaves, up to 2^-9.8 of the sets' full scale.
    pub error: f64,
    /// Every ciphertext of the result.
    opened: Vec<Opened>,
}

/// A ciphertext's values as they were opened, and the standard deviation of their error.
#[derive(Clone, Debug, PartialEq)]
struct Opened {
    values: Vec<f64>,
    deviation: f64,
}

/// How many standard deviations two openings of one result may be apart: each has smudging of its own, so one in 10^12 is.
const APART: f64 = 10.0;

impl Values {
    /// Whether another active set has opened the same result to the same values, but for its smudging.
    pub fn agrees(&self, other: &Self) -> bool {
        let near = |(ours, theirs): (&Opened, &Opened)| {
            let apart = ours.values.iter().zip(&theirs.values).map(|(a, b)| (a - b).abs());
            ours.values.len() == theirs.values.len() && apart.fold(0.0, f64::max) <= APART * ours.deviation
        };
        self.opened.len() == other.opened.len() && self.opened.iter().zip(&other.opened).all(near)
    }
}

/// Opens a result with one answer of each member of an active set.
///
/// # Errors
///
/// [`ResultError`].
pub fn open(
    setup: &Setup,
    function: &Function,
    extents: &[Extent],
    result: &[u8],
    partials: &[(Point, Vec<u8>)],
) -> Result<Values, ResultError> {
    let members: Vec<u8> = partials.iter().map(|(point, _)| u8::from(*point)).collect();
    let set = ActiveSet::new(&members)?;
    let accuracy = Accuracy::of(setup, function, extents)?;
    let ciphertexts = read_result(setup, function, result)?;
    let mut answers = Vec::new();
    for (point, bytes) in partials {
        let answer: Vec<ByteBuf> = wire::decode_own(bytes).map_err(|_| ResultError::Partials(*point))?;
        if answer.len() != ciphertexts.len() {
            return Err(ResultError::Partials(*point));
        }
        answers.push((*point, answer));
    }
    let mut opened = Vec::new();
    for (index, (ciphertext, output)) in ciphertexts.iter().zip(accuracy.outputs()).enumerate() {
        if output.over_slots {
            let partials = read::<MeanPartial>(setup, &answers, index)?;
            opened
                .push(vec![MeanPartial::combine(ciphertext, &set, &partials, output.bits())? * output.unit]);
        } else {
            let partials = read::<PartialDecryption>(setup, &answers, index)?;
            let raw = PartialDecryption::combine(ciphertext, &set, &partials)?;
            let slots = raw.decode_public(output.bits())?;
            opened.push(slots[..setup.window()].iter().map(|slot| slot * output.unit).collect());
        }
    }
    let values = match (function, &opened[..]) {
        (Function::TimeVariance, [mean, square]) => vec![mean[0], square[0] - mean[0] * mean[0]],
        _ => opened[0].clone(),
    };
    let deviations = accuracy.outputs().iter().map(Output::error);
    let opened = opened.into_iter().zip(deviations).map(|(values, deviation)| Opened { values, deviation });
    let opened = opened.collect();
    Ok(Values { values, error: accuracy.outputs()[0].error(), opened })
}

fn read<T: Wire>(
    setup: &Setup,
    answers: &[(Point, Vec<ByteBuf>)],
    index: usize,
) -> Result<Vec<T>, ResultError> {
    let read = |(point, answer): &(Point, Vec<ByteBuf>)| {
        T::from_bytes(setup.params(), &answer[index]).map_err(|_: WireError| ResultError::Partials(*point))
    };
    answers.iter().map(read).collect()
}
