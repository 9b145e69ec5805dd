//! Codeword checks: receipts carry check values; who deals badly, or says so falsely, stands out here at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use protocol::codeword::{Check, Verdict, judge};
use protocol::decode::correctable;
use protocol::id::{MeterId, Rid};
use protocol::receipt::{MAX_CHECKS, Receipt};
use protocol::release::exclusion::Exclusion;
use protocol::release::query::MAX_EXCLUDED;
use protocol::roster::Roster;
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::signature::Signed;
use protocol::topic::Handled;
use serde_bytes::ByteBuf;

/// The most records whose check values are kept; the oldest go first.
const MAX_RECORDS: usize = 65_536;

/// A record whose check values do not fit together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Suspect {
    /// Its meter.
    pub meter: MeterId,
    /// Its sequence number.
    pub seq: u64,
    /// What the values say.
    pub verdict: Verdict,
    /// The signed receipts they were in.
    receipts: BTreeMap<Point, Arc<[u8]>>,
}

/// A record as receipts name it: an aggregator that tells of it under another meter's name stands alone with that.
type Named = (MeterId, Rid);

/// The check values of recent records.
#[derive(Debug, Default)]
pub struct Checks {
    open: BTreeMap<Named, Vec<(Point, Check)>>,
    order: VecDeque<Named>,
    /// Receipts of records that are suspect, and of those not yet complete.
    evidence: BTreeMap<Named, BTreeMap<Point, Arc<[u8]>>>,
    suspects: BTreeMap<Named, Suspect>,
    judged: u64,
}

impl Checks {
    /// Takes the check values of a receipt.
    pub(super) fn take(&mut self, receipt: &Signed<Receipt>, roster: &Roster) -> Handled {
        if receipt.checks.len() > MAX_CHECKS {
            return Handled::refused(
                Rule::Malformed,
                format_args!("{} check values in a receipt", receipt.checks.len()),
            );
        }
        let mut refusal = None;
        let bytes: Arc<[u8]> = Arc::from(receipt.bytes());
        for check in &receipt.checks {
            let named = (receipt.meter, check.rid);
            let values = self.open.entry(named).or_default();
            if values.is_empty() {
                self.order.push_back(named);
            }
            if values.iter().any(|(point, _)| *point == receipt.point) {
                continue;
            }
            values.push((receipt.point, check.check));
            let evidence = self.evidence.entry(named).or_default();
            evidence.insert(receipt.point, Arc::clone(&bytes));
            let verdict = judge(values, roster.t());
            match &verdict {
                Verdict::Consistent if values.len() == roster.n() => {
                    self.judged += 1;
                    self.evidence.remove(&named);
                }
                Verdict::TooFew | Verdict::Consistent => {}
                Verdict::Odd(_) | Verdict::Inconsistent => {
                    refusal = Some(Refusal::new(
                        Rule::BadShare,
                        format_args!(
                            "record {} of meter {} is off its polynomial: {verdict:?}",
                            check.seq, receipt.meter
                        ),
                    ));
                    let receipts = evidence.clone();
                    let suspect = Suspect { meter: receipt.meter, seq: check.seq, verdict, receipts };
                    self.suspects.insert(named, suspect);
                }
            }
        }
        while self.order.len() > MAX_RECORDS {
            if let Some(named) = self.order.pop_front() {
                self.open.remove(&named);
                self.evidence.remove(&named);
            }
        }
        Handled { sends: Vec::new(), refusal }
    }

    /// Records whose check values of all aggregators lie on one polynomial.
    pub fn judged(&self) -> u64 {
        self.judged
    }

    /// The records that stand out.
    pub fn suspects(&self) -> impl Iterator<Item = &Suspect> {
        self.suspects.values()
    }

    /// The meters that are named: several aggregators, or one only for this meter, find their records odd.
    pub fn named_meters(&self) -> BTreeSet<MeterId> {
        let aggregators = self.named_aggregators();
        let blames_a_meter = |suspect: &&Suspect| match &suspect.verdict {
            Verdict::Odd(points) => points.iter().any(|point| !aggregators.contains(point)),
            _ => true,
        };
        self.suspects.values().filter(blames_a_meter).map(|suspect| suspect.meter).collect()
    }

    /// The aggregators that are named: odd for more than one meter.
    pub fn named_aggregators(&self) -> BTreeSet<Point> {
        let mut meters_of: BTreeMap<Point, BTreeSet<MeterId>> = BTreeMap::new();
        for suspect in self.suspects.values() {
            if let Verdict::Odd(points) = &suspect.verdict {
                for point in points {
                    meters_of.entry(*point).or_default().insert(suspect.meter);
                }
            }
        }
        meters_of.into_iter().filter(|(_, meters)| meters.len() > 1).map(|(point, _)| point).collect()
    }

    /// Whether a meter's records are known not to fit an aggregator: then its wrong answer may be the meter's doing.
    pub(super) fn excuses(&self, point: Point, meter: MeterId) -> bool {
        let mut of_meter = self.suspects.iter().filter(|((of, _), _)| *of == meter);
        of_meter.any(|(_, suspect)| match &suspect.verdict {
            Verdict::Odd(points) => points.contains(&point),
            _ => true,
        })
    }

    /// The records of `meters` that must be left out, with proof: those that no decoding corrects, and all of a meter's
    /// if together they touch more aggregators than decoding corrects.
    pub(super) fn exclusions(&self, meters: &[MeterId], roster: &Roster) -> Vec<Exclusion> {
        let mut excluded = Vec::new();
        for meter in meters {
            let of_meter: Vec<(&Named, &Suspect)> =
                self.suspects.iter().filter(|((of, _), _)| of == meter).collect();
            let touched: BTreeSet<Point> = of_meter
                .iter()
                .flat_map(|(_, suspect)| match &suspect.verdict {
                    Verdict::Odd(points) => points.clone(),
                    _ => Vec::new(),
                })
                .collect();
            let all = touched.len() > correctable(roster.n(), roster.t());
            for ((_, rid), suspect) in of_meter {
                if all || suspect.verdict == Verdict::Inconsistent {
                    let receipts =
                        suspect.receipts.values().map(|bytes| ByteBuf::from(bytes.to_vec())).collect();
                    excluded.push(Exclusion { rid: *rid, receipts });
                }
            }
        }
        excluded.truncate(MAX_EXCLUDED);
        excluded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(meter: u8, verdict: Verdict) -> (Named, Suspect) {
        let meter = MeterId::from([meter; 16]);
        let receipts = BTreeMap::new();
        ((meter, Rid::from([7; 32])), Suspect { meter, seq: 1, verdict, receipts })
    }

    fn checks(suspects: Vec<(Named, Suspect)>) -> Checks {
        Checks { suspects: suspects.into_iter().collect(), ..Checks::default() }
    }

    /// Odd for one meter blames the meter, odd for several the aggregator; records that fit nothing blame their meter.
    #[test]
    fn blame_falls_on_what_is_common() {
        let points = Point::first(4);
        let (odd, other) = (Verdict::Odd(vec![points[2]]), Verdict::Odd(vec![points[1]]));
        let (one, two, three) = (MeterId::from([1; 16]), MeterId::from([2; 16]), MeterId::from([3; 16]));
        let meter = checks(vec![suspect(1, odd.clone())]);
        assert_eq!(meter.named_meters(), BTreeSet::from([one]));
        assert_eq!(meter.named_aggregators(), BTreeSet::new());
        let aggregator = checks(vec![suspect(1, odd.clone()), suspect(2, odd.clone())]);
        assert_eq!(aggregator.named_meters(), BTreeSet::new());
        assert_eq!(aggregator.named_aggregators(), BTreeSet::from([points[2]]));
        let both = checks(vec![suspect(1, odd.clone()), suspect(2, odd), suspect(3, Verdict::Inconsistent)]);
        assert_eq!(both.named_meters(), BTreeSet::from([three]));
        let two_of_them = checks(vec![suspect(1, other), suspect(2, Verdict::Inconsistent)]);
        assert_eq!(two_of_them.named_meters(), BTreeSet::from([one, two]));
        assert!(two_of_them.excuses(points[1], one) && !two_of_them.excuses(points[0], one));
        assert!(two_of_them.excuses(points[0], two));
    }
}
