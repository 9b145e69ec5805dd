//! The questions that close a period: one query takes so many records, so many homes are asked for in several.
//!
//! What must stay true:
//! * the same homes are asked for by the same questions, however often the line is typed;
//! * a home whose bill is on its way is in no other question;
//! * a question names as many homes as a tariff wants, or all that are left.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::MeterId;
use protocol::release::inventory::MAX_RECORDS;
use protocol::release::query::MAX_TARGETS;
use protocol::rule::Rule;
use protocol::signature::hash;
use protocol::unit::SlotRange;
use utility_sink::agenda::progress::State;
use utility_sink::agenda::release::{Fate, OpenBills};
use utility_sink::config::ReleaseConfig;

use super::Closing;
use super::billed::Ledger;

/// How many questions are on their way at a time: each of them makes every aggregator send the names of many records.
pub(super) const AT_ONCE: usize = 4;

/// The slots of a record that a question's size rests on: what meters put into one unless their configuration says otherwise. Where it
/// holds fewer, aggregators refuse a question as too large, and its homes are asked for in halves.
const RECORD_SLOTS: usize = 4;

/// A question: some meters' bills.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Question {
    name: String,
    period: SlotRange,
    pub(super) meters: Vec<MeterId>,
}

impl Question {
    /// The name that its standing has.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// It, as the sink's configuration says it.
    pub(super) fn release(&self, tariffs: &[String]) -> ReleaseConfig {
        ReleaseConfig::Bill {
            name: self.name.clone(),
            period: (self.period.start().0, self.period.end().0),
            tariffs: tariffs.to_vec(),
            meters: self.meters.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Closing {
    /// What is on its way for one of the meters, whatever it is, and what is to be asked of the others.
    pub(super) fn questions(&self, ledger: &Ledger) -> anyhow::Result<Vec<Question>> {
        let all: Vec<MeterId> = self.meters.iter().map(|row| row.meter).collect();
        let named: BTreeSet<MeterId> = all.iter().copied().collect();
        let mut questions = Vec::new();
        for OpenBills { name, period, meters } in ledger.open_bills()? {
            if meters.iter().any(|meter| named.contains(meter)) {
                questions.push(Question { name, period, meters });
            }
        }
        let held: BTreeSet<MeterId> =
            questions.iter().flat_map(|question| &question.meters).copied().collect();
        let free: Vec<MeterId> = all.into_iter().filter(|meter| !held.contains(meter)).collect();
        questions.extend(self.left_of(&free, ledger)?);
        Ok(questions)
    }

    /// What is to be asked for once a question has come so far: in halves what was too large, without those that stood in the way
    /// what they kept from being billed, and what is left of this period where
    /// the question was of another one.
    pub(super) fn after(
        &self,
        question: &Question,
        state: &State,
        unbilled: &BTreeMap<MeterId, Rule>,
        ledger: &Ledger,
    ) -> anyhow::Result<Vec<Question>> {
        match state {
            State::GivenUp(Rule::Targets) => {
                let halves = self.halves(&question.meters).into_iter().flatten();
                Ok(halves.map(|half| self.divide(half, ledger)).collect::<anyhow::Result<Vec<_>>>()?.concat())
            }
            State::GivenUp(Rule::Differencing) => {
                let rest: Vec<MeterId> =
                    question.meters.iter().filter(|meter| !unbilled.contains_key(meter)).copied().collect();
                let less = rest.len() < question.meters.len() && rest.len() >= self.least();
                if less { self.divide(&rest, ledger) } else { Ok(Vec::new()) }
            }
            State::Ended if question.period != self.period => {
                let ours = |meter: &&MeterId| self.meters.iter().any(|row| row.meter == **meter);
                let meters: Vec<MeterId> = question.meters.iter().filter(ours).copied().collect();
                self.left_of(&meters, ledger)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The questions for those of the meters of which enough of the period is left.
    fn left_of(&self, meters: &[MeterId], ledger: &Ledger) -> anyhow::Result<Vec<Question>> {
        let (mut left, mut longest) = (Vec::new(), 0);
        for meter in meters {
            if let Some(window) = ledger.left(*meter, self.period, &self.policy, self.slot)? {
                left.push(*meter);
                longest = longest.max(window.len());
            }
        }
        let chunks = self.chunks(&left, longest);
        Ok(chunks.map(|chunk| self.divide(chunk, ledger)).collect::<anyhow::Result<Vec<_>>>()?.concat())
    }

    /// Meters in as few parts as the records of so many slots allow, as long as each part is one that a tariff may have.
    pub(super) fn chunks<'a>(
        &self,
        meters: &'a [MeterId],
        slots: usize,
    ) -> impl Iterator<Item = &'a [MeterId]> + use<'a> {
        // the first and the last record may reach over an edge
        let records = slots.div_ceil(RECORD_SLOTS) + 2;
        let most = (MAX_RECORDS / records).clamp(1, MAX_TARGETS);
        let count = meters.len().div_ceil(most).min(meters.len() / self.least()).max(1);
        let edge = move |index: usize| index * meters.len() / count;
        let parts = (0..count).map(move |index| &meters[edge(index)..edge(index + 1)]);
        parts.filter(|part| !part.is_empty())
    }

    /// The fewest meters of a question.
    fn least(&self) -> usize {
        if self.tariffs.is_empty() { 1 } else { usize::from(self.policy.tariff_meters).max(1) }
    }

    /// Two halves, if both are large enough.
    fn halves<'a>(&self, meters: &'a [MeterId]) -> Option<[&'a [MeterId]; 2]> {
        let (first, second) = meters.split_at(meters.len() / 2);
        (first.len() >= self.least()).then_some([first, second])
    }

    /// The question for some meters; in halves, if it was found too large before.
    fn divide(&self, meters: &[MeterId], ledger: &Ledger) -> anyhow::Result<Vec<Question>> {
        let (name, fate) = ledger.name(&self.name(meters))?;
        match self.halves(meters) {
            Some([first, second]) if fate == Fate::GivenUp(Rule::Targets) => {
                Ok([self.divide(first, ledger)?, self.divide(second, ledger)?].concat())
            }
            _ => Ok(vec![Question { name, period: self.period, meters: meters.to_vec() }]),
        }
    }

    /// The same question has the same name.
    fn name(&self, meters: &[MeterId]) -> String {
        let meters: String = meters.iter().map(MeterId::to_string).collect();
        let tariffs: Vec<&str> = self.tariffs.iter().map(|tariff| tariff.id.as_ref()).collect();
        let name = hash("bill", &[meters.as_bytes(), tariffs.join(",").as_bytes()]).to_string();
        format!("bill-{}-{}-{}", self.period.start().0, self.period.end().0, &name[..8])
    }
}
