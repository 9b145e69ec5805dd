//! What speaks against a release: queries that are refused, targets that are not billed, votes that are not cast.
//!
//! Rows: `given-up` query id → the rule by which it was refused; `unbilled` query id → the targets that its cut does not bill, or because
//! of which it was given up, each with the rule.
//!
//! # When a query is given up
//!
//! An aggregator has one inventory a query, stored before it is sent, and votes for no cut of a query that it has refused. So once more
//! than n − q have refused a query no cut of it can be certified, now or later, whatever the rule was; what time heals, it heals for
//! another query. And as long as no cut was made - it is stored before it is sent, and the sink alone makes one - nobody can have voted.
//! Such a query is withdrawn: nothing was taken by it, nothing is lost by asking anew. So is one whose cut the sink knows nobody
//! would vote for ([`beside`](super::super::beside)), and an interval of which a member is refused for good, as it has all members or is not released.
//!
//! Once there is a cut nothing is ever given up: votes for it may be on their way, and whoever objects now may vote later. Where
//! objections leave no quorum, the cut is repeated ever more rarely, and whoever waits is told.

use std::collections::BTreeMap;

use protocol::id::{MeterId, QueryId};
use protocol::release::inventory::{Holding, Inventory, InventoryAnswer};
use protocol::release::objection::Objection;
use protocol::release::selection::{BillEntry, Selection};
use protocol::roster::Roster;
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::signature::Signed;
use protocol::topic::Handled;
use protocol::wire;
use store::{Store, StoreError, Table};

use super::Release;

const GIVEN_UP: Table = Table("given-up");
const UNBILLED: Table = Table("unbilled");

/// The rule that a query was given up by, if it was.
///
/// # Errors
///
/// [`StoreError`].
pub(crate) fn given_up(id: QueryId, store: &dyn Store) -> Result<Option<Rule>, StoreError> {
    let row = store.get(GIVEN_UP, id.as_bytes())?;
    Ok(row.and_then(|row| row.first().copied()).and_then(|number| Rule::try_from(number).ok()))
}

/// Keeps that a query was given up, and because of which of its targets, if it was because of some: without them it may be asked anew.
pub(in crate::sink) fn keep_given_up(
    release: &Release,
    rule: Rule,
    store: &mut dyn Store,
) -> Result<(), StoreError> {
    let id = release.id();
    if !release.unfit.is_empty() {
        let unfit: Vec<(MeterId, Rule)> = release.unfit.iter().map(|meter| (*meter, rule)).collect();
        store.put(UNBILLED, id.as_bytes(), &wire::encode(&unfit))?;
    }
    store.put(GIVEN_UP, id.as_bytes(), &[u8::from(rule)])
}

/// Forgets it: the same is asked anew, by another name.
pub(crate) fn forget_given_up(id: QueryId, store: &mut dyn Store) -> Result<(), StoreError> {
    store.remove(GIVEN_UP, id.as_bytes())
}

/// The targets of a query that its cut does not bill, or because of which it was given up, each with the rule.
///
/// # Errors
///
/// [`StoreError`].
pub(crate) fn unbilled(id: QueryId, store: &dyn Store) -> Result<Vec<(MeterId, Rule)>, StoreError> {
    let row = store.get(UNBILLED, id.as_bytes())?;
    Ok(row.and_then(|row| wire::decode_own(&row).ok()).unwrap_or_default())
}

/// The rule that most were refused by; of several the one with the smallest number.
fn commonest(rules: impl Iterator<Item = Rule>) -> Option<Rule> {
    let mut counts: BTreeMap<Rule, usize> = BTreeMap::new();
    for rule in rules {
        *counts.entry(rule).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(rule, _)| rule)
}

/// The rule by which so many of n aggregators refuse that no quorum of q is left, whatever time heals.
pub(in crate::sink) fn lasting(rules: impl Iterator<Item = Rule>, n: usize, q: usize) -> Option<Rule> {
    let lasting: Vec<Rule> = rules.filter(|rule| !rule.heals()).collect();
    (n - lasting.len() < q).then(|| commonest(lasting.into_iter())).flatten()
}

impl Release {
    /// The rule by which so many aggregators refused the query that no quorum is left, if they did; or by which they would refuse
    /// its cut.
    pub fn refused(&self, roster: &Roster) -> Option<Rule> {
        if self.hopeless.is_some() {
            return self.hopeless;
        }
        let rules: Vec<Rule> = self
            .inventories()
            .filter_map(|inventory| match inventory.answer {
                InventoryAnswer::Refused(rule) => Some(rule),
                InventoryAnswer::Holdings(_) => None,
            })
            .collect();
        (roster.n() - rules.len() < roster.q()).then(|| commonest(rules.into_iter())).flatten()
    }

    /// Gives the query up if so many aggregators refuse one of these targets for good that no quorum is left for it.
    pub(in crate::sink) fn needs(&mut self, meters: &[MeterId], roster: &Roster) {
        let asked = self.query().meters();
        let refused =
            asked.iter().enumerate().filter(|(_, meter)| meters.contains(meter)).find_map(|(index, _)| {
                let rules = self.inventories().filter_map(|inventory| match &inventory.answer {
                    InventoryAnswer::Holdings(holdings) => match holdings.get(index) {
                        Some(Holding::Refused(rule)) => Some(*rule),
                        _ => None,
                    },
                    InventoryAnswer::Refused(rule) => Some(*rule),
                });
                lasting(rules, roster.n(), roster.q())
            });
        self.hopeless = self.hopeless.or(refused);
    }

    /// Who does not vote for the cut, and by which rule, as far as they have said.
    pub fn objections(&self) -> &BTreeMap<Point, Rule> {
        &self.objections
    }

    /// The rule by which so many aggregators do not vote that no quorum is left, if they don't and time does not heal it.
    pub fn blocked(&self, roster: &Roster) -> Option<Rule> {
        let rules = self.objections.values().copied();
        lasting(rules, roster.n(), roster.q()).filter(|_| self.outcome.is_none())
    }

    /// What it waits for, in words.
    pub fn stage(&self, roster: &Roster) -> String {
        let (n, q) = (roster.n(), roster.q());
        let (inventories, votes, answers) = self.progress();
        if self.cut.is_none() {
            let refusing = self.inventories().filter(|i| matches!(i.answer, InventoryAnswer::Refused(_)));
            let refusing = match refusing.count() {
                0 => String::new(),
                count => format!(", {count} of them reject the query"),
            };
            return format!(
                "inventories: {inventories} of {n} aggregators have answered{refusing}; {q} are needed, then a few seconds for the others"
            );
        }
        if votes < q {
            let says = |(point, rule): (&Point, &Rule)| {
                format!("; aggregator {point} votes against it (rule {rule})")
            };
            let objections: String = self.objections.iter().map(says).collect();
            return format!("votes: {votes} of {q} needed{objections}");
        }
        let why = self.waiting().map(|error| format!("; {error}")).unwrap_or_default();
        format!("answers: {answers} of {q} needed{why}")
    }

    /// Takes an aggregator's word that it does not vote for the cut now. It changes nothing but what is told.
    pub(in crate::sink) fn take_objection(&mut self, objection: &Signed<Objection>) -> Handled {
        let Objection { query, cut, point, rule } = **objection;
        let ours = self.cut.as_ref().is_some_and(|(ours, _)| ours.hash() == cut);
        let voted = self.votes.get(&point).is_some_and(|vote| vote.cut == cut);
        if !ours || voted || self.objections.insert(point, rule) == Some(rule) {
            return Handled::quietly();
        }
        let detail =
            format_args!("aggregator {point} votes against the cut of query {query}: {}", rule.meaning());
        Refusal::new(rule, detail).into()
    }

    /// Keeps which targets are not billed, so that people can be told.
    pub(super) fn keep_unbilled(
        &self,
        selection: &Selection,
        quorum: usize,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        let Selection::Bill(entries) = selection else { return Ok(()) };
        let refused = entries.iter().enumerate().filter_map(|(index, entry)| match entry {
            BillEntry::Billed(_) => None,
            BillEntry::Refused(meter, rule) => Some((*meter, self.refusing(index, quorum).unwrap_or(*rule))),
        });
        let refused: Vec<(MeterId, Rule)> = refused.collect();
        if refused.is_empty() {
            return Ok(());
        }
        store.put(UNBILLED, self.id().as_bytes(), &wire::encode(&refused))
    }

    /// The rule by which so many of the cited aggregators refuse a target that no quorum of them is left.
    fn refusing(&self, index: usize, quorum: usize) -> Option<Rule> {
        let (cut, _) = self.cut.as_ref()?;
        let cited = self.inventories.values().filter(|i| cut.cited.contains(&(i.point, i.hash())));
        let of = |inventory: &&Signed<Inventory>| match &inventory.answer {
            InventoryAnswer::Holdings(holdings) => match holdings.get(index) {
                Some(Holding::Refused(rule)) => Some(*rule),
                _ => None,
            },
            InventoryAnswer::Refused(_) => None,
        };
        let rules: Vec<Rule> = cited.clone().filter_map(|inventory| of(&inventory)).collect();
        (cited.count() - rules.len() < quorum).then(|| commonest(rules.into_iter())).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What time heals is no refusal, whoever says it first; and one liar does not say by which rule all refuse.
    #[test]
    fn what_time_heals_ends_nothing() {
        let of = |rules: &[Rule]| lasting(rules.iter().copied(), 4, 3);
        assert_eq!(of(&[Rule::Function, Rule::KeyUnknown]), None);
        assert_eq!(of(&[Rule::Function, Rule::KeyUnknown, Rule::MemberSet, Rule::UnknownMeter]), None);
        assert_eq!(of(&[Rule::Function, Rule::Exhausted, Rule::Exhausted]), Some(Rule::Exhausted));
        assert_eq!(of(&[Rule::KeyUnknown, Rule::Function, Rule::Function]), Some(Rule::Function));
    }
}
