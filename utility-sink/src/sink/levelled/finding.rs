//! Findings: the values of released functions, as the utility keeps them.
//!
//! Rows: `levelled-finding` request → the finding; `levelled-wrong` request → active sets that opened it to other values.

use protocol::id::{Hash, QueryId};
use protocol::levelled::function::{Function, Subject};
use protocol::shamir::Point;
use protocol::wire;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use store::{Store, StoreError, Table};

const FINDING: Table = Table("levelled-finding");
const WRONG: Table = Table("levelled-wrong");

/// The values of a released function.
#[derive(Clone, Debug, Deserialize_tuple, PartialEq, Serialize_tuple)]
pub struct Finding {
    /// The release.
    pub request: QueryId,
    /// The collective key.
    pub key: Hash,
    /// The function.
    pub function: Function,
    /// What it is a function of.
    pub subjects: Vec<Subject>,
    /// How many members each subject's set has.
    pub members: Vec<u32>,
    /// The values: watt-hours, their squares, or the weights' units.
    pub values: Vec<f64>,
    /// The standard deviation of the first value's error.
    pub error: f64,
    /// The active set that opened it.
    pub opened_by: Vec<Point>,
    /// Aggregators whose result was another one.
    pub differing: Vec<Point>,
}

/// Keeps which active sets opened a result to other values.
pub(super) fn keep_wrong(id: QueryId, sets: &[Vec<Point>], store: &mut dyn Store) -> Result<(), StoreError> {
    store.put(WRONG, id.as_bytes(), &wire::encode(sets))
}

/// The active sets that opened a result to other values than the finding's: in each of them is an aggregator that decrypts wrongly.
///
/// # Errors
///
/// [`StoreError`].
pub fn wrong_sets_of(id: QueryId, store: &dyn Store) -> Result<Vec<Vec<Point>>, StoreError> {
    let sets = store.get(WRONG, id.as_bytes())?.and_then(|bytes| wire::decode_own(&bytes).ok());
    Ok(sets.unwrap_or_default())
}

/// Keeps a finding.
pub(super) fn keep(finding: &Finding, store: &mut dyn Store) -> Result<(), StoreError> {
    store.put(FINDING, finding.request.as_bytes(), &wire::encode(finding))
}

/// The finding of a release, if it has ended.
///
/// # Errors
///
/// [`StoreError`].
pub fn finding_of(id: QueryId, store: &dyn Store) -> Result<Option<Finding>, StoreError> {
    Ok(store.get(FINDING, id.as_bytes())?.and_then(|bytes| wire::decode_own(&bytes).ok()))
}
