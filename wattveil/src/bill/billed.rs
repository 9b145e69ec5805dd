//! What the sink's own store has of a period: the bills, where each meter's last one ended, who is revoked.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::id::MeterId;
use protocol::policy::Policy;
use protocol::release::selection::Scope;
use protocol::revocation::Revocation;
use protocol::unit::{Slot, SlotLength, SlotRange};
use store::{FileStore, Store};
use utility_sink::agenda::release::{Fate, OpenBills};
use utility_sink::sink::ledger::{billed_until, bills_of};
use utility_sink::sink::{Bill, revoked_in};

/// The cache of a store that is looked at once.
const CACHE: usize = 4 << 20;

/// What there is before anybody is asked.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    store: Option<FileStore>,
    revoked: BTreeMap<MeterId, Revocation>,
}

/// What a meter's bills of a period come to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Run {
    /// From the first of them that touches the period to the last.
    pub(super) window: SlotRange,
    /// Their energy in watt-hours.
    pub(super) energy: i64,
}

impl Ledger {
    /// Opens the store, if there is one.
    ///
    /// # Errors
    ///
    /// A store that is in use, or can't be read.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let store = FileStore::open(path, CACHE)?;
        let revoked = revoked_in(&store)?.into_iter().map(|revocation| (revocation.meter, revocation));
        Ok(Self { revoked: revoked.collect(), store: Some(store) })
    }

    /// A meter's bills.
    pub(super) fn bills(&self, meter: MeterId) -> anyhow::Result<Vec<Bill>> {
        Ok(match &self.store {
            Some(store) => bills_of(meter, store)?,
            None => Vec::new(),
        })
    }

    /// What is left of a period to be billed of a meter, from where its last bill ended; nothing if that is shorter than the shortest
    /// bill.
    pub(super) fn left(
        &self,
        meter: MeterId,
        period: SlotRange,
        policy: &Policy,
        slot: SlotLength,
    ) -> anyhow::Result<Option<SlotRange>> {
        let until = self.store.as_ref().map(|store| billed_until(meter, store)).transpose()?.flatten();
        let revoked = self.revoked.get(&meter).and_then(|revocation| revocation.first_slot(slot));
        let (start, end) = (period.start(), period.end());
        let end = revoked.map_or(end, |revoked| revoked.min(end));
        let left = SlotRange::new(until.unwrap_or(start), end).ok();
        Ok(left.filter(|left| policy.check_bill_window(*left, slot).is_ok()))
    }

    /// The questions for bills that are on their way and may have been voted for.
    pub(super) fn open_bills(&self) -> anyhow::Result<Vec<OpenBills>> {
        self.store.as_ref().map_or(Ok(Vec::new()), |store| OpenBills::all(store))
    }

    /// The name that a question is asked by, and what has become of it: the same question is asked once, and once more when it has
    /// ended and something of it is left.
    pub(super) fn name(&self, question: &str) -> anyhow::Result<(String, Fate)> {
        let Some(store) = &self.store else { return Ok((question.to_owned(), Fate::Unasked)) };
        let names = [question.to_owned()].into_iter().chain((2..).map(|turn| format!("{question}-{turn}")));
        for name in names {
            match Fate::of_release(&name, store as &dyn Store)? {
                Fate::Ended => {}
                fate => return Ok((name, fate)),
            }
        }
        unreachable!("there is no last number")
    }
}

impl Run {
    /// What a meter's bills that touch a period come to, if there are any.
    pub(super) fn of<'a>(bills: impl Iterator<Item = &'a Bill> + Clone) -> Option<Self> {
        let start = bills.clone().map(|bill| bill.window.start()).min()?;
        let end = bills.clone().map(|bill| bill.window.end()).max()?;
        let window = SlotRange::new(start, end).ok()?;
        Some(Self { window, energy: bills.map(|bill| bill.energy.0).sum() })
    }

    /// Whether these are the bills of the period: a record may lie across its first midnight, and some slots at its ends may lack one.
    pub(super) fn is_of(&self, period: SlotRange, policy: &Policy, slot: SlotLength) -> bool {
        let Slot(start) = self.window.start();
        start + slot.per_day() >= period.start().0
            && self.window.end() <= period.end()
            && policy.covered(self.window.len(), period.len())
    }

    /// Whether they close the period: they are of it, or end with it within a day.
    pub(super) fn closes(&self, period: SlotRange, policy: &Policy, slot: SlotLength) -> bool {
        let Slot(end) = self.window.end();
        let with_it = end <= period.end().0 && end + slot.per_day() >= period.end().0;
        self.is_of(period, policy, slot) || with_it
    }
}

/// How much of a bill was released, in a word.
pub(super) fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Complete => "complete",
        Scope::Substituted => "substituted",
        Scope::Registers => "registers",
    }
}
