//! The laws: what must hold at the end of every history.

use std::collections::BTreeMap;

use protocol::id::Hash;
use protocol::id::MeterId;
use protocol::release::selection::{BillEntry, DayEntry, IntervalEntry, Selection};
use protocol::rule::Rule;
use protocol::unit::Slot;
use store::{Store, Table};
use utility_sink::sink::Agreement;
use utility_sink::sink::ledger::{bills_of, curve_of, intervals_of};

use super::homes::{DAY, FIRST};
use super::witness::{committed, rows};
use super::world::{Goal, World};
use lab::world::network::Name;

impl World {
    /// Bills and curves are exactly those of the plaintext; every watt-hour is billed once; ledgers hold.
    pub(crate) fn check_laws(&self) {
        self.check_bills();
        self.check_curves();
        self.check_releases();
        self.check_ledgers();
    }

    /// Every bill is exact, and a meter's bills follow one another.
    pub(crate) fn check_bills(&self) {
        let store = &self.parties[&Name::Sink].store;
        for keys in &self.deployment.meters {
            let home = self.home_of(keys.meter);
            let bills = bills_of(keys.meter, store).expect("the store runs");
            for bill in &bills {
                let selection = &self.witness.selections[&bill.query];
                let billed = selection.billed().find(|billed| billed.meter == keys.meter);
                let billed = billed.expect("a bill is in its selection");
                assert_eq!(*bill, self.homes.bill(home, billed, &self.tariffs, bill), "home {home}");
            }
            for pair in bills.windows(2) {
                assert_eq!(pair[0].window.end(), pair[1].window.start(), "bills of home {home} leave a gap");
            }
        }
    }

    /// Every interval is exact by both paths, and all of a window have the same members.
    pub(crate) fn check_intervals(&self) {
        let store = &self.parties[&Name::Sink].store;
        let group = &self.deployment.meters[0].group;
        let mut sets: BTreeMap<u32, Vec<MeterId>> = BTreeMap::new();
        for released in intervals_of(group, store).expect("the store runs") {
            let homes: Vec<usize> = released.members.iter().map(|meter| self.home_of(*meter)).collect();
            let sum =
                |slot, power| homes.iter().map(|home| self.homes.energy(*home, slot).pow(power)).sum::<i64>();
            let energies: Vec<i64> = released.slots.numbers().map(|slot| sum(slot, 1)).collect();
            let squares: Vec<i64> = released.slots.numbers().map(|slot| sum(slot, 2)).collect();
            assert_eq!(released.energies.iter().map(|energy| energy.0).collect::<Vec<_>>(), energies);
            assert_eq!(released.agreement, Agreement::Agrees);
            let sums = released.sums.expect("paths that agree have sums");
            assert_eq!((sums.energies, sums.squares, sums.members), (energies, squares, homes.len()));
            let exported = |slot| homes.iter().map(|home| self.homes.exported(*home, slot)).sum::<i64>();
            assert_eq!(sums.export, released.slots.numbers().map(exported).sum::<i64>());
            let window = (released.slots.start().0 - FIRST.0) / DAY;
            let set = sets.entry(window).or_insert_with(|| released.members.clone());
            assert_eq!(*set, released.members, "the intervals of a window have one member set");
        }
    }

    pub(crate) fn check_curves(&self) {
        if self.setup.grid {
            return self.check_intervals();
        }
        let store = &self.parties[&Name::Sink].store;
        let group = &self.deployment.meters[0].group;
        for curve in curve_of(group, store).expect("the store runs") {
            let day = self.witness.selections[&curve.query].days().find(|day| day.slots == curve.slots);
            let day = day.expect("a curve is in its selection");
            let members: Vec<usize> = day.members.iter().map(|(meter, _)| self.home_of(*meter)).collect();
            assert_eq!(curve, self.homes.curve(&members, day, &curve));
        }
    }

    /// No slot of a meter is in two certified releases of a kind.
    fn check_releases(&self) {
        let mut taken: BTreeMap<(bool, usize, Slot), protocol::id::QueryId> = BTreeMap::new();
        for (id, selection) in &self.witness.selections {
            let votes = self.witness.votes.get(id).cloned().unwrap_or_default();
            let mut counts: BTreeMap<Hash, usize> = BTreeMap::new();
            for cut in votes.values() {
                *counts.entry(*cut).or_default() += 1;
            }
            let certified = counts.values().filter(|count| **count >= self.deployment.roster.q()).count();
            assert!(certified <= 1, "two cuts of query {id} were certified");
            if certified == 0 {
                continue;
            }
            for (meter, range) in selection.takes() {
                for slot in range.numbers() {
                    let key = (matches!(selection, Selection::Bill(_)), self.home_of(meter), Slot(slot));
                    let first = *taken.entry(key).or_insert(*id);
                    assert_eq!(first, *id, "slot {slot} of home {} was released twice", key.1);
                }
            }
        }
    }

    /// A ledger's rows are a chain, with one vote a query.
    fn check_ledgers(&self) {
        for index in 0..self.setup.n {
            let store = committed(&self.parties[&Name::Aggregator(index)].store);
            let votes = rows(Table("vote"), &store);
            let own = rows(Table("own-vote"), &store);
            assert_eq!(votes.len(), own.len(), "one vote a query");
            assert!(votes.iter().all(|vote| own.contains(vote)), "the ledger holds the votes that were cast");
        }
    }

    /// What a patient sink sees: everything, of everybody.
    pub(crate) fn check_nothing_is_missing(&self) {
        let sink = &self.parties[&Name::Sink].store;
        for keys in &self.deployment.meters {
            let bills = bills_of(keys.meter, sink).expect("the store runs");
            assert_eq!(bills.len(), self.setup.days as usize);
            assert!(bills.iter().all(|bill| bill.missing == 0 && !bill.amounts.is_empty()));
            let whole = self.whole();
            assert_eq!(
                (bills[0].window.start(), bills[bills.len() - 1].window.end()),
                (whole.start(), whole.end())
            );
        }
        for (goal, id) in &self.asked {
            match (goal, &self.witness.selections[id]) {
                (Goal::Bills(_), Selection::Bill(entries)) => {
                    assert!(entries.iter().all(|entry| matches!(entry, BillEntry::Billed(_))));
                }
                (Goal::Curve(_), Selection::Group(days)) => {
                    let whole = |day: &DayEntry| matches!(day, DayEntry::Released(day) if day.members.len() == self.setup.homes);
                    assert!(days.iter().all(whole));
                }
                (Goal::Interval(..), Selection::Grid(IntervalEntry::Released(interval))) => {
                    assert_eq!(interval.members.len(), self.setup.homes);
                }
                _ => panic!("{goal:?} was answered with something else"),
            }
        }
    }

    /// Nobody refused anything but by these rules.
    pub(crate) fn check_refusals(&self, expected: &[Rule]) {
        for (name, refusal) in &self.refusals {
            assert!(expected.contains(&refusal.rule), "{name:?} refused by {refusal}");
        }
    }

    /// All aggregators that live hold the same records.
    pub(crate) fn check_records(&self) {
        for keys in &self.deployment.meters {
            let held: Vec<_> = (0..self.setup.n)
                .map(|index| &self.parties[&Name::Aggregator(index)])
                .filter(|party| !party.dead)
                .map(|party| super::witness::records(keys.meter, &committed(&party.store)))
                .collect();
            assert!(held.windows(2).all(|pair| pair[0] == pair[1]), "aggregators hold different records");
        }
    }

    /// A party's committed rows of a table.
    pub(crate) fn rows_of(&self, name: Name, table: &'static str) -> usize {
        let store = committed(&self.parties[&name].store);
        store.range(Table(table), &[][..]..&[0xff; 80][..], usize::MAX).expect("the store runs").len()
    }
}
