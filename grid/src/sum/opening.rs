//! Opening a sum from the aggregators' pieces, around those that are away or lie.

use std::collections::BTreeMap;

use ckks::{ActiveSet, LivePartial, Wire, combine_live};
use protocol::decode::correctable;
use protocol::release::result::Pieces;
use protocol::roster::Roster;
use protocol::shamir::Point;
use protocol::unit::SlotRange;

use super::vector::Vector;
use super::{params, place, sets};

/// A sum that was opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    /// The values, exact.
    pub values: Vec<i128>,
    /// Who gave pieces that do not fit, whatever others did.
    pub faulty: Vec<Point>,
}

/// Why a sum is not opened yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// Too few pieces of one sum.
    #[error("{found} aggregators agree on the encrypted sum, {wanted} wanted")]
    TooFew {
        /// How many agree.
        found: usize,
        /// A quorum.
        wanted: usize,
    },
    /// The active sets contradict one another in a way that fits no few liars: a key was dealt badly, or too many
    /// aggregators lie.
    #[error("the active sets of {found} aggregators open the sum to different values")]
    Contradiction {
        /// How many gave pieces.
        found: usize,
    },
}

/// Opens a sum.
///
/// Every active set whose members all answered gives a value. Accepted is the value that all active sets within some Q or
/// more aggregators give, all but as many as [`correctable`] of those that answered: as for shares, two such groups
/// have t aggregators, that is an active set, in common.
///
/// # Errors
///
/// [`OpenError`].
pub fn open(
    pieces: &BTreeMap<Point, Pieces>,
    interval: SlotRange,
    roster: &Roster,
) -> Result<Opened, OpenError> {
    let wanted = roster.q();
    let (sum, agreeing) = agreed_sum(pieces).ok_or(OpenError::TooFew { found: 0, wanted })?;
    let total = Vector::parse(sum, interval, roster).ok();
    let (Some(total), true) = (total, agreeing.len() >= wanted) else {
        return Err(OpenError::TooFew { found: agreeing.len(), wanted });
    };
    let partials: BTreeMap<u8, BTreeMap<ActiveSet, LivePartial>> = agreeing
        .iter()
        .filter_map(|point| Some((place(roster, *point)?, partials_of(*point, pieces.get(point)?, roster)?)))
        .collect();
    let values: BTreeMap<ActiveSet, Option<Vec<i128>>> = sets(roster)
        .into_iter()
        .filter(|set| set.members().iter().all(|member| partials.contains_key(member)))
        .map(|set| {
            let of_members: Vec<LivePartial> =
                set.members().iter().map(|member| partials[member][&set].clone()).collect();
            let value = combine_live(total.ciphertext(), &set, &of_members).ok();
            (set, value)
        })
        .collect();
    let present: Vec<u8> = partials.keys().copied().collect();
    let fewest = wanted.max(present.len().saturating_sub(correctable(present.len(), roster.t())));
    for size in (fewest..=present.len()).rev() {
        let trusted = choices(&present, size);
        let agree: Vec<(&Vec<u8>, Vec<i128>)> =
            trusted.iter().filter_map(|of| Some((of, common_value(&values, of)?))).collect();
        if let Some((_, value)) = agree.first() {
            // Who lies to one active set only could be any of its members: nobody is named who is in some group that
            // agrees.
            let innocent = |point: &Point| {
                place(roster, *point).is_some_and(|place| agree.iter().any(|(of, _)| of.contains(&place)))
            };
            let faulty = pieces.keys().filter(|point| !innocent(point)).copied().collect();
            return Ok(Opened { values: value.clone(), faulty });
        }
    }
    Err(OpenError::Contradiction { found: present.len() })
}

/// What one aggregator makes of its own pieces, for those who want to see that it is noise: as [`open`] would with the others'
/// partial decryptions left out. `None` if the pieces can't be read.
pub fn attempt_alone(
    point: Point,
    pieces: &Pieces,
    interval: SlotRange,
    roster: &Roster,
) -> Option<Vec<i128>> {
    let total = Vector::parse(&pieces.sum, interval, roster).ok()?;
    let (_, partial) = partials_of(point, pieces, roster)?.pop_first()?;
    let alone = ActiveSet::new(&[place(roster, point)?]).ok()?;
    combine_live(total.ciphertext(), &alone, &[partial]).ok()
}

/// The encrypted sum that most name, and who they are.
fn agreed_sum(pieces: &BTreeMap<Point, Pieces>) -> Option<(&[u8], Vec<Point>)> {
    let mut named: BTreeMap<&[u8], Vec<Point>> = BTreeMap::new();
    for (point, piece) in pieces {
        named.entry(&piece.sum[..]).or_default().push(*point);
    }
    named.into_iter().max_by_key(|(_, points)| points.len())
}

/// An aggregator's partial decryptions by active set, if they are one for each and well-formed.
fn partials_of(point: Point, pieces: &Pieces, roster: &Roster) -> Option<BTreeMap<ActiveSet, LivePartial>> {
    let place = place(roster, point)?;
    let mine: Vec<ActiveSet> = sets(roster).into_iter().filter(|set| set.position(place).is_some()).collect();
    let parsed: Option<Vec<LivePartial>> =
        pieces.partials.iter().map(|bytes| LivePartial::from_bytes(params(), bytes).ok()).collect();
    parsed
        .filter(|partials| partials.len() == mine.len())
        .map(|partials| mine.into_iter().zip(partials).collect())
}

/// The value that all active sets within `trusted` give, if they agree.
fn common_value(values: &BTreeMap<ActiveSet, Option<Vec<i128>>>, trusted: &[u8]) -> Option<Vec<i128>> {
    let within = |set: &ActiveSet| set.members().iter().all(|member| trusted.contains(member));
    let mut given = values.iter().filter(|(set, _)| within(set)).map(|(_, value)| value);
    let first = given.next()?.as_ref()?;
    given.all(|value| value.as_ref() == Some(first)).then(|| first.clone())
}

/// All choices of `size` of `from`.
fn choices(from: &[u8], size: usize) -> Vec<Vec<u8>> {
    match (from, size) {
        (_, 0) => vec![Vec::new()],
        ([], _) => Vec::new(),
        ([first, rest @ ..], _) => {
            let with = choices(rest, size - 1).into_iter().map(|mut chosen| {
                chosen.insert(0, *first);
                chosen
            });
            with.chain(choices(rest, size)).collect()
        }
    }
}
