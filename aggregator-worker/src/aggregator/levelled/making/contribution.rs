//! Contributions to a key: their order, their rows and their messages.

use protocol::id::Hash;
use protocol::levelled::blob::Blob;
use protocol::levelled::contribution::{Contribution, Step};
use protocol::shamir::Point;
use protocol::signature::Signed;
use protocol::topic::{LevelledChannel, Outgoing, Role};
use store::Store;

use crate::aggregator::levelled::{BLOB, parts, topic};
use crate::aggregator::{AggregatorError, Party};

/// The purpose that dealt shares are sealed for.
pub(super) const DEAL_INFO: &[u8] = b"wv/1 deal";

/// The step of [`Step::Made`]; the steps of rounds come before it, deals after it.
pub(super) const MADE: u8 = 6;

/// Where a contribution stands in the order of things.
pub(super) fn place(step: &Step) -> u8 {
    match step {
        Step::Commit(round, _) => 2 * (u8::from(*round) - 1),
        Step::Reveal(round, _) => 2 * (u8::from(*round) - 1) + 1,
        Step::Made(..) => MADE,
        Step::Deal(to, _) => MADE + 1 + u8::from(*to),
    }
}

pub(super) fn borrowed(all: &[(Point, Vec<u8>)]) -> Vec<(Point, &[u8])> {
    all.iter().map(|(point, bytes)| (*point, &bytes[..])).collect()
}

pub(super) fn blob_of(contribution: &Contribution) -> Option<Blob> {
    match &contribution.step {
        Step::Commit(..) => None,
        Step::Reveal(_, blob) | Step::Deal(_, blob) | Step::Made(blob, _) => Some(*blob),
    }
}

/// A contribution of ours with the blob that it names.
pub(super) fn sends_of(
    contribution: &Signed<Contribution>,
    party: &Party,
    store: &dyn Store,
) -> Result<Vec<Outgoing>, AggregatorError> {
    let mut sends = parts(party, LevelledChannel::Make(party.name.clone()), contribution);
    if let Some(blob) = blob_of(contribution)
        && let Some(bytes) = store.get(BLOB, blob.hash.as_bytes())?
    {
        let data = topic(party, LevelledChannel::Data(Role::Aggregator, party.name.to_string()));
        sends.extend(Blob::parts(&bytes).into_iter().map(|part| Outgoing::new(data.clone(), part)));
    }
    Ok(sends)
}

pub(super) fn row(key: &Hash, point: Point, step: u8) -> Vec<u8> {
    [key.as_bytes(), &[u8::from(point), step][..]].concat()
}

pub(super) fn of_point(key: &Hash, point: Point) -> Vec<u8> {
    [key.as_bytes(), &[u8::from(point)][..]].concat()
}

pub(super) fn deal_aad(party: &Party, key: &Hash, from: Point, to: Point) -> Vec<u8> {
    [party.roster().hash().as_bytes(), key.as_bytes(), &[u8::from(from), u8::from(to)][..]].concat()
}
