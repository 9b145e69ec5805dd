//! Codeword checks: receipts carry check values; who deals badly, or says so falsely, stands out here at once.
//!
//! Two things follow from values that don't fit, and they are kept apart:
//!
//! * **Naming** says in the log that one of them is wrong, and whom it may be. It is worth what the values are worth: one liar makes
//!   values of honest meters odd.
//! * **Leaving records out, and excusing aggregators,** is done only where it is decided, whoever lies and whatever the values
//!   say that are missing; [`protocol::codeword`] says when that is. The proof is written down in the sink's store
//!   (`proofs`), so that neither a restart nor a rotation loses it.
//!
//! What an aggregator says takes up room of its own: at most `MAX_VALUES` values and `MAX_BYTES` of receipts each, its oldest
//! receipt goes first. So whoever invents records pushes out its own words only. What is known of meters is one entry for
//! each verdict, however many records give it, and at most `MAX_KNOWN` in all.
//!
//! Rows: `odd` meter ‖ points → the record that these aggregators' values of the meter were last odd in; and those of `proofs`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use protocol::codeword::{Check, Verdict, Word, explained, judge};
use protocol::id::{MeterId, Rid};
use protocol::receipt::{MAX_CHECKS, MAX_RANGES, Receipt};
use protocol::release::exclusion::Exclusion;
use protocol::roster::chain::Chain;
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::signature::Signed;
use protocol::topic::Handled;
use serde_bytes::ByteBuf;
use store::{Store, StoreError, Table};

mod proofs;
#[cfg(test)]
mod tests;

const ODD: Table = Table("odd");

/// The most check values that are kept of one aggregator.
const MAX_VALUES: usize = 65_536;

/// The most bytes of receipts that are kept of one aggregator.
const MAX_BYTES: usize = 16 << 20;

/// The most that is known of meters; what was learnt first goes first.
const MAX_KNOWN: usize = 65_536;

/// A record as receipts name it: an aggregator that tells of it under another meter's name stands alone with that.
type Named = (MeterId, Rid);

/// What an aggregator told of a record.
#[derive(Debug)]
struct Statement {
    point: Point,
    check: Check,
    /// The signed receipt, until all have told and all fits.
    receipt: Option<Arc<[u8]>>,
}

/// What is kept of one aggregator.
#[derive(Debug, Default)]
struct Account {
    receipts: VecDeque<KeptReceipt>,
    values: usize,
    bytes: usize,
}

/// A receipt of which values are kept.
#[derive(Debug)]
struct KeptReceipt {
    meter: MeterId,
    rids: Vec<Rid>,
    bytes: usize,
}

/// The check values of recent records, and what they tell of meters and aggregators.
#[derive(Debug, Default)]
pub struct Checks {
    open: BTreeMap<Named, Vec<Statement>>,
    accounts: BTreeMap<Point, Account>,
    /// What is known of a meter, and the newest record that it is known by.
    known: BTreeMap<(MeterId, Verdict), Rid>,
    order: VecDeque<(MeterId, Verdict)>,
    /// The meters that are proved to deal badly.
    proved: BTreeSet<MeterId>,
    judged: u64,
}

impl Checks {
    /// Takes up what is proved and what is odd; `None` if it is not what was kept.
    pub(super) fn load(store: &dyn Store) -> Result<Option<Self>, StoreError> {
        let mut checks = Self { proved: proofs::meters(store)?, ..Self::default() };
        for (key, value) in store::entries(ODD, store)? {
            let Some((known, rid)) = read_odd(&key, &value) else { return Ok(None) };
            checks.order.push_back(known.clone());
            checks.known.insert(known, rid);
        }
        Ok(Some(checks))
    }

    /// Takes the check values of a receipt, which may be under any of the rosters.
    pub(super) fn take(
        &mut self,
        receipt: &Signed<Receipt>,
        rosters: &Chain,
        store: &mut dyn Store,
    ) -> Result<Handled, StoreError> {
        let lengths = [receipt.checks.len(), receipt.refused.len(), receipt.stored.as_slice().len()];
        if lengths.iter().zip([MAX_CHECKS, MAX_CHECKS, MAX_RANGES]).any(|(found, most)| *found > most) {
            let detail = format_args!("{lengths:?} check values, refusals and ranges in a receipt");
            return Ok(Handled::refused(Rule::Malformed, detail));
        }
        let bytes: Arc<[u8]> = Arc::from(receipt.bytes());
        let (mut rids, mut refusal) = (Vec::new(), None);
        for check in &receipt.checks {
            let named = (receipt.meter, check.rid);
            let told = self.open.entry(named).or_default();
            if told.iter().any(|told| told.point == receipt.point) {
                continue;
            }
            told.push(Statement {
                point: receipt.point,
                check: check.check,
                receipt: Some(Arc::clone(&bytes)),
            });
            rids.push(check.rid);
            refusal = self.judge(named, check.seq, rosters, store)?.or(refusal);
        }
        if !rids.is_empty() {
            self.charge(receipt.point, KeptReceipt { meter: receipt.meter, rids, bytes: bytes.len() });
        }
        Ok(Handled { sends: Vec::new(), refusal })
    }

    /// Judges a record by what was told so far.
    fn judge(
        &mut self,
        named: Named,
        seq: u64,
        rosters: &Chain,
        store: &mut dyn Store,
    ) -> Result<Option<Refusal>, StoreError> {
        let roster = rosters.current();
        let word = self.word(&named);
        let verdict = judge(&word, roster.t(), roster.liars());
        let (meter, rid) = named;
        let blamed = match &verdict {
            Verdict::TooFew => return Ok(None),
            Verdict::Consistent => {
                if word.len() == roster.n() {
                    self.judged += 1;
                    self.open.entry(named).or_default().iter_mut().for_each(|told| told.receipt = None);
                }
                return Ok(None);
            }
            Verdict::Unclear => "either the meter sent bad shares or an aggregator lies".to_owned(),
            Verdict::Odd(points) => {
                let points: Vec<String> = points.iter().map(Point::to_string).collect();
                format!(
                    "either the meter sent a bad share to aggregator {}, or that aggregator lies",
                    points.join(", ")
                )
            }
            Verdict::Bad => "the meter sent bad shares".to_owned(),
        };
        self.know(meter, verdict.clone(), rid, store)?;
        if !proofs::is_kept(meter, rid, store)? {
            for exclusion in self.prove(named, &verdict, rosters) {
                self.proved.insert(meter);
                proofs::keep(meter, seq, &exclusion, store)?;
            }
        }
        let detail = format_args!("the check values of record {seq} of meter {meter} do not agree: {blamed}");
        Ok(Some(Refusal::new(Rule::BadShare, detail)))
    }

    fn word(&self, named: &Named) -> Word {
        self.open.get(named).into_iter().flatten().map(|told| (told.point, told.check)).collect()
    }

    /// Notes what a record tells of its meter.
    fn know(
        &mut self,
        meter: MeterId,
        verdict: Verdict,
        rid: Rid,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        let key = odd_key(meter, &verdict);
        let known = (meter, verdict);
        if self.known.insert(known.clone(), rid).is_some() {
            return Ok(());
        }
        if let Some(key) = key {
            store.put(ODD, &key, rid.as_bytes())?;
        }
        self.order.push_back(known);
        while self.order.len() > MAX_KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some(key) = odd_key(oldest.0, &oldest.1) {
                store.remove(ODD, &key)?;
            }
            self.known.remove(&oldest);
        }
        Ok(())
    }

    /// The proofs that a record, and others of its meter, may be left out; none if somebody may have lied instead.
    fn prove(&self, (meter, rid): Named, verdict: &Verdict, rosters: &Chain) -> Vec<Exclusion> {
        let roster = rosters.current();
        let bad = |records: &[Rid]| {
            let words: Vec<Word> = records.iter().map(|rid| self.word(&(meter, *rid))).collect();
            !explained(&words, &roster.points(), roster.t(), roster.liars())
        };
        let mut records = vec![rid];
        if *verdict != Verdict::Bad {
            // One record of each verdict is enough: those of one verdict are explained by the same.
            let others =
                self.known.range((meter, Verdict::TooFew)..=(meter, Verdict::Bad)).map(|(_, rid)| *rid);
            records.extend(others.filter(|other| *other != rid && self.open.contains_key(&(meter, *other))));
            if !bad(&records) {
                return Vec::new();
            }
            for place in (1..records.len()).rev() {
                let other = records.remove(place);
                if !bad(&records) {
                    records.insert(place, other);
                }
            }
        }
        let mut receipts: Vec<&Arc<[u8]>> = Vec::new();
        for receipt in records
            .iter()
            .filter_map(|rid| self.open.get(&(meter, *rid)))
            .flatten()
            .filter_map(|told| told.receipt.as_ref())
        {
            if !receipts.contains(&receipt) {
                receipts.push(receipt);
            }
        }
        let receipts: Vec<ByteBuf> =
            receipts.into_iter().map(|bytes| ByteBuf::from(bytes.to_vec())).collect();
        let proofs = records.into_iter().map(|rid| Exclusion { rid, receipts: receipts.clone() });
        // Receipts hold more than what is proved by them; what an aggregator would not take is no proof.
        proofs.filter(|proof| proof.verify(rosters).is_ok()).collect()
    }

    /// Puts a receipt to an aggregator's account, and forgets the oldest that have no room there any more.
    fn charge(&mut self, point: Point, taken: KeptReceipt) {
        let account = self.accounts.entry(point).or_default();
        account.values += taken.rids.len();
        account.bytes += taken.bytes;
        account.receipts.push_back(taken);
        while (account.values > MAX_VALUES || account.bytes > MAX_BYTES)
            && let Some(oldest) = account.receipts.pop_front()
        {
            account.values -= oldest.rids.len();
            account.bytes -= oldest.bytes;
            for rid in oldest.rids {
                if let Entry::Occupied(mut record) = self.open.entry((oldest.meter, rid)) {
                    record.get_mut().retain(|told| told.point != point);
                    if record.get().is_empty() {
                        record.remove();
                    }
                }
            }
        }
    }

    /// Records whose check values of all aggregators lie on one polynomial.
    pub fn judged(&self) -> u64 {
        self.judged
    }

    /// The meters that are named: proved to deal badly, or odd at an aggregator that is odd for no other meter.
    pub fn named_meters(&self) -> BTreeSet<MeterId> {
        let aggregators = self.named_aggregators();
        let blames_its_meter = |verdict: &Verdict| match verdict {
            Verdict::Odd(points) => points.iter().any(|point| !aggregators.contains(point)),
            other => *other == Verdict::Bad,
        };
        let named = self.known.keys().filter(|(_, verdict)| blames_its_meter(verdict));
        named.map(|(meter, _)| *meter).chain(self.proved.iter().copied()).collect()
    }

    /// The aggregators that are named: odd for more than one meter.
    pub fn named_aggregators(&self) -> BTreeSet<Point> {
        let mut meters_of: BTreeMap<Point, BTreeSet<MeterId>> = BTreeMap::new();
        for (meter, verdict) in self.known.keys() {
            if let Verdict::Odd(points) = verdict {
                for point in points {
                    meters_of.entry(*point).or_default().insert(*meter);
                }
            }
        }
        meters_of.into_iter().filter(|(_, meters)| meters.len() > 1).map(|(point, _)| point).collect()
    }

    /// The meters with records of which it is open whether they deal badly, or an aggregator lies.
    pub fn unclear_meters(&self) -> BTreeSet<MeterId> {
        self.known
            .keys()
            .filter(|(_, verdict)| *verdict == Verdict::Unclear)
            .map(|(meter, _)| *meter)
            .collect()
    }

    /// Whether it is decided that a meter's records do not fit an aggregator: then its wrong answer may be the meter's doing.
    pub(super) fn excuses(&self, point: Point, meter: MeterId) -> bool {
        let mut of_meter = self.known.range((meter, Verdict::TooFew)..=(meter, Verdict::Bad));
        self.proved.contains(&meter)
            || of_meter.any(|((_, verdict), _)| match verdict {
                Verdict::Odd(points) => points.contains(&point),
                other => *other == Verdict::Bad,
            })
    }

    /// The records of `meters` that are to be left out, with proof: of each meter the newest, as many as a query takes.
    pub(super) fn exclusions(
        &self,
        meters: &[MeterId],
        store: &dyn Store,
    ) -> Result<Vec<Exclusion>, StoreError> {
        proofs::of(meters.iter().filter(|meter| self.proved.contains(meter)), store)
    }
}

/// Where it is kept that aggregators are odd for a meter.
fn odd_key(meter: MeterId, verdict: &Verdict) -> Option<Vec<u8>> {
    let Verdict::Odd(points) = verdict else { return None };
    Some(meter.as_bytes().iter().copied().chain(points.iter().map(|point| u8::from(*point))).collect())
}

fn read_odd(key: &[u8], value: &[u8]) -> Option<((MeterId, Verdict), Rid)> {
    let (meter, points) = key.split_first_chunk::<16>()?;
    let points: Result<Vec<Point>, _> = points.iter().map(|point| Point::try_from(*point)).collect();
    Some(((MeterId::from(*meter), Verdict::Odd(points.ok()?)), Rid::from(<[u8; 32]>::try_from(value).ok()?)))
}
