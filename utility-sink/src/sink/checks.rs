//! Codeword checks: receipts carry check values; who deals badly, or says so falsely, stands out here at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    receipts: BTreeMap<Point, Vec<u8>>,
}

/// The check values of recent records.
#[derive(Debug, Default)]
pub struct Checks {
    open: BTreeMap<Rid, Vec<(Point, Check)>>,
    order: VecDeque<Rid>,
    /// Receipts of records that are suspect, and of those not yet complete.
    evidence: BTreeMap<Rid, BTreeMap<Point, Vec<u8>>>,
    suspects: BTreeMap<Rid, Suspect>,
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
        for check in &receipt.checks {
            let values = self.open.entry(check.rid).or_default();
            if values.is_empty() {
                self.order.push_back(check.rid);
            }
            if values.iter().any(|(point, _)| *point == receipt.point) {
                continue;
            }
            values.push((receipt.point, check.check));
            let evidence = self.evidence.entry(check.rid).or_default();
            evidence.insert(receipt.point, receipt.bytes().to_vec());
            let verdict = judge(values, roster.t());
            match &verdict {
                Verdict::Consistent if values.len() == roster.n() => {
                    self.judged += 1;
                    self.evidence.remove(&check.rid);
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
                    self.suspects.insert(check.rid, suspect);
                }
            }
        }
        while self.order.len() > MAX_RECORDS {
            if let Some(rid) = self.order.pop_front() {
                self.open.remove(&rid);
                self.evidence.remove(&rid);
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

    /// The records of `meters` that must be left out, with proof: those that no decoding corrects, and all of a meter's
    /// if together they touch more aggregators than decoding corrects.
    pub(super) fn exclusions(&self, meters: &[MeterId], roster: &Roster) -> Vec<Exclusion> {
        let mut excluded = Vec::new();
        for meter in meters {
            let of_meter: Vec<(&Rid, &Suspect)> =
                self.suspects.iter().filter(|(_, s)| s.meter == *meter).collect();
            let touched: BTreeSet<Point> = of_meter
                .iter()
                .flat_map(|(_, suspect)| match &suspect.verdict {
                    Verdict::Odd(points) => points.clone(),
                    _ => Vec::new(),
                })
                .collect();
            let all = touched.len() > correctable(roster.n(), roster.t());
            for (rid, suspect) in of_meter {
                if all || suspect.verdict == Verdict::Inconsistent {
                    let receipts =
                        suspect.receipts.values().map(|bytes| ByteBuf::from(bytes.clone())).collect();
                    excluded.push(Exclusion { rid: *rid, receipts });
                }
            }
        }
        excluded.truncate(MAX_EXCLUDED);
        excluded
    }
}
