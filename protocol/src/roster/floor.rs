//! A meter's floor: what it was promised when it was commissioned, below which no roster may go.

use serde::{Deserialize, Serialize};

use crate::hpke_box::Suite;
use crate::id::Hash;
use crate::roster::{Aggregator, Roster};
use crate::unit::Timestamp;

/// The least that a meter accepts of a roster, pinned at commissioning.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// The fingerprint of the registrar's key, 64 hexadecimal digits.
    pub registrar: String,
    /// The fewest aggregators.
    pub n: usize,
    /// The lowest threshold.
    pub t: usize,
    /// The smallest quorum.
    pub quorum: usize,
    /// The smallest group.
    pub k: u16,
    /// The shortest bill, in days.
    pub bill_days: u16,
    /// The lowest coverage, in thousandths: it says how much shorter than the shortest bill a window may be.
    pub coverage: u16,
    /// The fewest slots in a cell.
    pub smallest_cell: u16,
    /// The suites that shares may be sealed with.
    pub suites: Vec<Suite>,
}

/// Why a meter refuses a roster: it keeps measuring and queueing under the old one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FloorError {
    /// Weaker than what was promised.
    #[error("the roster's {what} is {found}, below the floor of {wanted} pinned at commissioning")]
    Weaker {
        /// Which number.
        what: &'static str,
        /// The roster's.
        found: usize,
        /// The floor's.
        wanted: usize,
    },
    /// A suite that the floor does not name.
    #[error("aggregator {aggregator} wants suite {suite:?}, which the floor does not allow")]
    Suite {
        /// The aggregator's name.
        aggregator: String,
        /// Its suite.
        suite: Suite,
    },
    /// An aggregator whose keys have all ended.
    #[error("aggregator {0} has no key to seal to that is valid now")]
    NoKey(String),
    /// Not valid now.
    #[error("the roster is not valid at {now:?}")]
    Expired {
        /// The time asked about.
        now: Timestamp,
    },
}

impl Floor {
    /// The floor that a roster itself gives, to be pinned at commissioning.
    pub fn of(roster: &Roster, registrar: Hash) -> Self {
        let mut suites: Vec<Suite> = roster
            .document()
            .aggregators
            .iter()
            .flat_map(|aggregator| aggregator.box_keys.iter().map(|key| key.key.suite))
            .collect();
        suites.sort_unstable();
        suites.dedup();
        let policy = roster.policy();
        Self {
            registrar: registrar.to_string(),
            n: roster.n(),
            t: roster.t(),
            quorum: roster.q(),
            k: policy.k,
            bill_days: policy.bill_days,
            coverage: policy.coverage,
            smallest_cell: policy.smallest_cell,
            suites,
        }
    }

    /// Whether a meter may seal under `roster` now.
    ///
    /// # Errors
    ///
    /// [`FloorError::Weaker`], [`FloorError::Suite`], [`FloorError::Expired`].
    pub fn admits(&self, roster: &Roster, now: Timestamp) -> Result<(), FloorError> {
        let policy = roster.policy();
        for (what, found, wanted) in [
            ("number of aggregators", roster.n(), self.n),
            ("threshold", roster.t(), self.t),
            ("quorum", roster.q(), self.quorum),
            ("smallest group", usize::from(policy.k), usize::from(self.k)),
            ("shortest bill in days", usize::from(policy.bill_days), usize::from(self.bill_days)),
            ("coverage in thousandths", usize::from(policy.coverage), usize::from(self.coverage)),
            ("smallest cell", usize::from(policy.smallest_cell), usize::from(self.smallest_cell)),
        ] {
            if found < wanted {
                return Err(FloorError::Weaker { what, found, wanted });
            }
        }
        for aggregator in &roster.document().aggregators {
            if let Some(key) = aggregator.box_keys.iter().find(|key| !self.suites.contains(&key.key.suite)) {
                return Err(FloorError::Suite {
                    aggregator: aggregator.id.to_string(),
                    suite: key.key.suite,
                });
            }
        }
        let keyless = |aggregator: &&Aggregator| aggregator.box_key_at(now).is_none();
        if !roster.covers(now) {
            Err(FloorError::Expired { now })
        } else if let Some(aggregator) = roster.document().aggregators.iter().find(keyless) {
            Err(FloorError::NoKey(aggregator.id.to_string()))
        } else {
            Ok(())
        }
    }
}
