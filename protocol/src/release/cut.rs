//! A cut: which inventories count. The records follow.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{Hash, QueryId};
use crate::release::inventory::Inventory;
use crate::release::query::Query;
use crate::release::selection::Selection;
use crate::roster::Roster;
use crate::rule::Rule;
use crate::shamir::Point;
use crate::signature::{Document, Signed};
use crate::tariff::Tariff;

/// What the sink proposes and the aggregators vote on.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Cut {
    /// The query.
    pub query: QueryId,
    /// The inventories that count, one an aggregator, ascending by point.
    pub cited: Vec<(Point, Hash)>,
    /// The hash of the selection that follows from them.
    pub selection: Hash,
}

impl Document for Cut {
    const KIND: &'static str = "cut";
}

impl Cut {
    /// Makes the cut of a query from inventories, with its selection.
    pub fn propose(
        query: &Query,
        inventories: &[&Signed<Inventory>],
        tariffs: &[Tariff],
        roster: &Roster,
    ) -> (Self, Selection) {
        let mut cited: Vec<(Point, Hash)> = inventories.iter().map(|i| (i.point, i.hash())).collect();
        cited.sort_unstable();
        let plain: Vec<&Inventory> = inventories.iter().map(|i| &***i).collect();
        let selection = Selection::derive(query, &plain, tariffs, roster);
        (Self { query: query.id, cited, selection: selection.hash() }, selection)
    }

    /// Checks a cut against the inventories that this aggregator received itself.
    ///
    /// # Errors
    ///
    /// [`Rule::CutNotDerived`] for fewer than Q inventories, one cited twice, or another selection;
    /// [`Rule::InventoryMissing`] if one has not arrived.
    pub fn check(
        &self,
        query: &Query,
        inventory: impl Fn(&Hash) -> Option<Signed<Inventory>>,
        tariffs: &[Tariff],
        roster: &Roster,
    ) -> Result<Selection, Rule> {
        let ascending = self.cited.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !ascending || self.cited.len() < roster.q() {
            return Err(Rule::CutNotDerived);
        }
        let cited: Vec<Signed<Inventory>> = self
            .cited
            .iter()
            .map(|(_, hash)| inventory(hash).ok_or(Rule::InventoryMissing))
            .collect::<Result<_, _>>()?;
        let belong =
            cited.iter().zip(&self.cited).all(|(i, (point, _))| i.point == *point && i.query == query.id);
        let plain: Vec<&Inventory> = cited.iter().map(|i| &**i).collect();
        let selection = Selection::derive(query, &plain, tariffs, roster);
        if belong && selection.hash() == self.selection { Ok(selection) } else { Err(Rule::CutNotDerived) }
    }
}
