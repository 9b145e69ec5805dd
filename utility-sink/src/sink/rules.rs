//! The rules that every aggregator checks of a query, checked here first: what they would refuse is not asked.

use protocol::release::query::{Ask, MAX_MEMBERS, MAX_PERIOD_DAYS, MAX_TARGETS, Path, Query};
use protocol::roster::Roster;
use protocol::roster::chain::Chain;
use protocol::rule::{Refusal, Rule};
use protocol::tariff::Tariff;

/// Checks a query as every aggregator does before it looks at records.
///
/// # Errors
///
/// The [`Refusal`], with what was found and what is wanted.
pub(super) fn check(query: &Query, rosters: &Chain, tariffs: &[Tariff]) -> Result<(), Refusal> {
    let detail = |rule| found_and_wanted(rule, query, rosters.current());
    query.check(rosters, tariffs).map_err(|rule| Refusal::new(rule, detail(rule)))
}

fn found_and_wanted(rule: Rule, query: &Query, roster: &Roster) -> String {
    let (policy, slot) = (roster.policy(), roster.slot());
    let targets = query.meters().len();
    let window = match &query.ask {
        Ask::Grid(ask) => ask.window,
        Ask::Bill(_) | Ask::Group(_) => query.period,
    };
    match rule {
        Rule::Targets => {
            let most = if query.path() == Path::Bill { MAX_TARGETS } else { MAX_MEMBERS };
            format!("the query names {targets} meters; expected 1 to {most}, each once")
        }
        Rule::Window => format!(
            "the period has {} slots; expected {} to {MAX_PERIOD_DAYS} days, at least {} slots, and whole days for a curve",
            window.len(),
            policy.bill_days,
            policy.bill_slots(slot)
        ),
        Rule::TariffUnknown => {
            "a tariff is not valid for the whole period; ask for a period in which it is valid".to_owned()
        }
        Rule::Functionals => {
            format!("a bill has 1 to {} tariffs; ask for fewer", policy.functionals)
        }
        Rule::Cell => format!(
            "fewer than {} slots have the same prices, so their sum would reveal single readings; ask for fewer tariffs, or for a longer \
             period",
            policy.smallest_cell
        ),
        Rule::TariffMeters => format!(
            "{targets} {} in the query; a tariff needs at least {} (tariff_meters in the roster's policy)",
            if targets == 1 { "meter is" } else { "meters are" },
            policy.tariff_meters
        ),
        Rule::GroupSize => {
            format!(
                "the group has {targets} members; at least {} are needed (k in the roster's policy)",
                policy.k
            )
        }
        Rule::Interval => "the roster has no grid interval, or the slots are not one interval".to_owned(),
        other => other.meaning().to_owned(),
    }
}
