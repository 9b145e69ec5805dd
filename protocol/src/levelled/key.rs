//! A collective key as meters take it: the utility's plan, and all aggregators' word for one public key.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::id::Hash;
use crate::levelled::blob::Blob;
use crate::levelled::contribution::{Contribution, Step};
use crate::levelled::plan::Plan;
use crate::roster::Roster;
use crate::rule::{Refusal, Rule};
use crate::signature::Signed;
use crate::wire;

/// As it travels: the signed plan, and the aggregators' signed contributions that say what the key came to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyBundle(pub ByteBuf, pub Vec<ByteBuf>);

/// A collective key that the utility planned and that all n aggregators made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CollectiveKey {
    /// The plan; its hash names the key.
    pub plan: Signed<Plan>,
    /// The public key's bytes.
    pub public: Blob,
    /// The relinearisation key's hash.
    pub relin: Hash,
}

impl CollectiveKey {
    /// Takes a bundle under a roster.
    ///
    /// # Errors
    ///
    /// [`Rule::Malformed`], [`Rule::NotTheUtility`], [`Rule::NotTheAggregator`]; [`Rule::Making`] unless every aggregator of
    /// the roster says the same.
    pub fn open(bytes: &[u8], roster: &Roster) -> Result<Self, Refusal> {
        let malformed = |error: &dyn std::fmt::Display| Refusal::new(Rule::Malformed, error);
        let bundle: KeyBundle = wire::decode(bytes).map_err(|error| malformed(&error))?;
        let plan = Signed::<Plan>::open(&bundle.0, &roster.document().utility.key, &roster.context())
            .map_err(|error| Refusal::new(Rule::NotTheUtility, error))?;
        let mut said = Vec::new();
        for bytes in bundle.1.iter().take(roster.n()) {
            said.push(roster.open_peer(bytes, |made: &Contribution| made.point)?);
        }
        Self::of(plan, &said, roster)
    }

    /// The key that these contributions agree on.
    ///
    /// # Errors
    ///
    /// [`Rule::Making`] unless every aggregator of the roster says the same.
    pub fn of(plan: Signed<Plan>, said: &[Signed<Contribution>], roster: &Roster) -> Result<Self, Refusal> {
        let refused = |detail: &str| Refusal::new(Rule::Making, detail);
        let mut agreed: Option<(Blob, Hash)> = None;
        for point in roster.points() {
            let of_point = said.iter().find(|made| made.point == point && made.key == plan.hash());
            let Some(Step::Made(public, relin)) = of_point.map(|made| &made.step) else {
                return Err(refused("an aggregator has not said what the key came to"));
            };
            if agreed.is_some_and(|agreed| agreed != (*public, *relin)) {
                return Err(refused("the aggregators do not agree on the key"));
            }
            agreed = Some((*public, *relin));
        }
        let (public, relin) = agreed.ok_or_else(|| refused("there are no aggregators"))?;
        Ok(Self { plan, public, relin })
    }
}
