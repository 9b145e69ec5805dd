//! The entries of a release: decoded from the answers, and kept as bills, curves and intervals.

use grid::sum::{Layout, Opened, Sums};
use protocol::decode::{DecodeError, Decoded, decode_vector};
use protocol::field::Fe;
use protocol::id::{GroupId, Hash, MeterId, QueryId};
use protocol::release::query::{Ask, Query};
use protocol::release::selection::{BillEntry, Billed, DayEntry, IntervalEntry, Scope, Selection};
use protocol::shamir::Point;
use protocol::unit::{Amount, SlotRange, WattHours};
use store::Store;
use zeroize::Zeroizing;

use super::Release;
use crate::sink::ledger::{
    Agreement, Bill, Curve, Interval, keep_bill, keep_billed_until, keep_curve, keep_interval,
};
use crate::sink::{Party, SinkError};

impl Release {
    /// Decodes every released entry from the answers that have it, at least a quorum. One meter's entry does not wait
    /// for another's: a meter that deals badly spoils its own bill only.
    pub(super) fn decode(&self, selection: &Selection, party: &Party) -> Vec<Entry> {
        let lengths = selection.lengths(self.tariffs.len());
        let entry = |(index, len): (usize, usize)| {
            let word: Vec<(Point, Zeroizing<Vec<Fe>>)> = self
                .answers
                .iter()
                .filter_map(|(point, answers)| Some((*point, answers.get(index)?.clone()?)))
                .collect();
            if word.len() < party.roster().q() {
                return Err(DecodeError::TooFew { found: word.len(), wanted: party.roster().q() });
            }
            decode_vector(&word, party.roster().t(), len)
        };
        lengths.into_iter().enumerate().map(entry).collect()
    }

    /// Keeps what decodes. What does not is not asked for again: its slots are released, and the next bill follows.
    pub(super) fn keep(
        &self,
        selection: &Selection,
        entries: &[Entry],
        opened: Option<&Opened>,
        store: &mut dyn Store,
    ) -> Result<(), SinkError> {
        match &self.query.ask {
            Ask::Bill(ask) => {
                for (billed, entry) in selection.billed().zip(entries) {
                    keep_billed_until(billed.meter, billed.window.end(), store)?;
                    if let Ok(decoded) = entry {
                        keep_bill(&bill(billed, &decoded.value, &ask.tariffs, self.id()), store)?;
                    }
                }
            }
            Ask::Group(ask) => {
                for (day, entry) in selection.days().zip(entries) {
                    if let Ok(decoded) = entry {
                        let (group, members) = (ask.group.clone(), day.members.len());
                        keep_curve(&curve(day.slots, members, &decoded.value, group, self.id()), store)?;
                    }
                }
            }
            Ask::Grid(ask) => {
                if let (Some(released), Some(Ok(decoded))) = (selection.interval(), entries.first()) {
                    let group = ask.group.clone();
                    let members = released.members.len();
                    let curve = curve(released.slots, members, &decoded.value, group.clone(), self.id());
                    let (sums, agreement) = compare(&curve, opened);
                    let interval = Interval {
                        group,
                        slots: released.slots,
                        members: ask.members.clone(),
                        energies: curve.energies.clone(),
                        sums,
                        agreement,
                        query: self.id(),
                    };
                    keep_curve(&curve, store)?;
                    keep_interval(&interval, ask.window, store)?;
                }
            }
        }
        Ok(())
    }
}

/// Compares the curve of the shares with what the ciphertexts opened to.
fn compare(curve: &Curve, opened: Option<&Opened>) -> (Option<Sums>, Agreement) {
    let Some(opened) = opened else { return (None, Agreement::Unopened) };
    let layout = Layout::new(curve.slots.len());
    let Ok(sums) = layout.take_apart(&opened.values, curve.members as usize) else {
        return (None, Agreement::Implausible);
    };
    let differing = sums.energies.iter().zip(&curve.energies).filter(|(x, y)| **x != y.0).count();
    let agreement = match u32::try_from(differing) {
        Ok(0) => Agreement::Agrees,
        differing => Agreement::Differs(differing.unwrap_or(u32::MAX)),
    };
    (Some(sums), agreement)
}

/// A released entry, decoded or not yet.
type Entry = Result<Decoded<Vec<Fe>>, DecodeError>;

/// The meters of every released entry, in order.
pub(super) fn meters(selection: &Selection) -> Vec<Vec<MeterId>> {
    let bills = selection.billed().map(|billed| vec![billed.meter]);
    let days = selection.days().map(|day| day.members.iter().map(|(meter, _)| *meter).collect());
    let interval = selection
        .interval()
        .into_iter()
        .map(|interval| interval.members.iter().map(|member| member.meter).collect());
    bills.chain(days).chain(interval).collect()
}

/// What was released of whom, of the entries that are decoded.
pub(super) fn taken(selection: &Selection, entries: &[Entry]) -> Vec<(MeterId, SlotRange)> {
    let bills = selection.billed().map(|billed| vec![(billed.meter, billed.window)]);
    let days = selection
        .days()
        .map(|day| day.members.iter().map(|(meter, _)| (*meter, day.slots)).collect::<Vec<_>>());
    let interval = selection.interval().into_iter().map(|interval| {
        interval.members.iter().map(|member| (member.meter, interval.slots)).collect::<Vec<_>>()
    });
    let entries = bills.chain(days).chain(interval).zip(entries);
    entries.filter(|(_, entry)| entry.is_ok()).flat_map(|(taken, _)| taken).collect()
}

fn bill(billed: &Billed, values: &[Fe], tariffs: &[Hash], query: QueryId) -> Bill {
    let values: Vec<i64> = values.iter().map(|value| value.to_centred()).collect();
    let amounts = if billed.scope == Scope::Registers { &[] } else { &values[1..=tariffs.len()] };
    // A meter may deal any register: what is no plausible energy is kept as it is, and shows.
    let energy = values[0];
    Bill {
        meter: billed.meter,
        window: billed.window,
        energy: WattHours(energy),
        amounts: tariffs.iter().copied().zip(amounts.iter().map(|amount| Amount(*amount))).collect(),
        scope: billed.scope,
        missing: u32::try_from(billed.missing()).unwrap_or(u32::MAX),
        unaccounted: (billed.scope == Scope::Complete)
            .then(|| values.last().map(|rest| WattHours(*rest)))
            .flatten(),
        query,
    }
}

fn curve(slots: SlotRange, members: usize, values: &[Fe], group: GroupId, query: QueryId) -> Curve {
    Curve {
        group,
        slots,
        members: u32::try_from(members).unwrap_or(u32::MAX),
        energies: values.iter().map(|value| WattHours(value.to_centred())).collect(),
        query,
    }
}

/// Whether nothing of what was asked for is lacking.
pub(super) fn is_whole(selection: &Selection, query: &Query) -> bool {
    match selection {
        Selection::Bill(entries) => entries.iter().all(|entry| match entry {
            BillEntry::Billed(billed) => billed.missing() == 0 && billed.window.end() == query.period.end(),
            BillEntry::Refused(..) => false,
        }),
        Selection::Group(days) => days.iter().all(|day| match day {
            DayEntry::Released(day) => day.members.len() == query.meters().len(),
            DayEntry::Refused(..) => false,
        }),
        Selection::Grid(entry) => matches!(entry, IntervalEntry::Released(_)),
    }
}
