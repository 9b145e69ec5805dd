//! The results of the configured releases and questions, as the store has them.

use std::collections::BTreeMap;

use protocol::id::{MeterId, QueryId};
use protocol::revocation::Revocation;
use protocol::rule::Rule;
use protocol::shamir::Point;
use store::Store;

use super::progress::Progress;
use super::questions;
use crate::config::{Config, ReleaseConfig};
use crate::sink::ledger::{bills_of, curve_of, intervals_of};
use crate::sink::levelled::Finding;
use crate::sink::levelled::finding::wrong_sets_of;
use crate::sink::release::refusals::unbilled;
use crate::sink::{Bill, Curve, Interval, revoked_in};

/// The results of the configured releases and questions.
#[derive(Debug, Default)]
pub struct Results {
    /// Bills, by meter and window.
    pub bills: Vec<Bill>,
    /// Curves, by group and day.
    pub curves: Vec<Curve>,
    /// The findings of mode `levelled`, by their questions' names.
    pub findings: Vec<(String, Finding)>,
    /// By question, the active sets that opened its result to other values. One aggregator of each set decrypts wrongly.
    pub wrong: BTreeMap<String, Vec<Vec<Point>>>,
    /// Intervals of the grid path, by group and time.
    pub intervals: Vec<Interval>,
    /// The meters that are revoked.
    pub revoked: Vec<Revocation>,
    /// The meters without a bill although their query has ended, with the rule that they broke.
    pub unbilled: BTreeMap<MeterId, Rule>,
    /// The last known progress of each release and question.
    pub progress: Vec<Progress>,
}

impl Results {
    pub(super) fn read(
        config: &Config,
        progress: Vec<Progress>,
        queries: &[(String, QueryId)],
        store: &dyn Store,
    ) -> anyhow::Result<Self> {
        let mut results = Self { revoked: revoked_in(store)?, progress, ..Self::default() };
        for (_, id) in queries {
            results.unbilled.extend(unbilled(*id, store)?);
        }
        if let Some(levelled) = &config.levelled {
            results.findings = questions::found(levelled, store)?;
            for (name, finding) in &results.findings {
                results.wrong.insert(name.clone(), wrong_sets_of(finding.request, store)?);
            }
        }
        for release in &config.releases {
            let period = release.period()?;
            match release.group()? {
                Some(group) if matches!(release, ReleaseConfig::Grid { .. }) => {
                    let intervals = intervals_of(&group, store)?.into_iter();
                    results.intervals.extend(intervals.filter(|interval| period.covers(interval.slots)));
                }
                Some(group) => {
                    let days = curve_of(&group, store)?;
                    results.curves.extend(days.into_iter().filter(|day| period.covers(day.slots)));
                }
                None => {
                    for meter in release.meters()? {
                        let bills = bills_of(meter, store)?;
                        results.bills.extend(bills.into_iter().filter(|bill| bill.window.overlaps(period)));
                    }
                }
            }
        }
        Ok(results)
    }
}
