//! What is released is worth: shares answer, the sink decodes, and the values are those of the plaintext, slot by slot.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::decode::decode_vector;
use protocol::field::Fe;
use protocol::id::{QueryId, Rid};
use protocol::release::answer::answers;
use protocol::release::inventory::{Held, Holding, Inventory, InventoryAnswer};
use protocol::release::query::{Ask, BillAsk, BillTarget, GroupAsk, Query};
use protocol::release::result::Answers;
use protocol::release::selection::{Scope, Selection};
use protocol::roster::Roster;
use protocol::shamir::{Point, split};
use protocol::share::ShareVector;
use protocol::tariff::Tariff;
use protocol::unit::{Slot, SlotRange};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

use super::{MIDNIGHT, days, flat, held, hour, tariff, time_of_use};
use crate::deployment::{meter, point, slots};

/// First slot and number of slots that the meters measured.
const FROM: u32 = MIDNIGHT - 12;
const SLOTS: u32 = 96;

/// What meters measured, and what aggregators hold of it.
struct World {
    roster: Roster,
    /// Of each meter, Wh a slot from [`FROM`] on.
    energies: Vec<Vec<i64>>,
    records: Vec<Vec<Held>>,
    /// Of each aggregator.
    shares: Vec<BTreeMap<Rid, ShareVector>>,
}

/// Meters that measure anything within the limits, in batches of 1 to 9 slots, of which some per cent are lost.
fn world(seed: u64, meters: u8, lost: u32) -> World {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let roster = days().roster;
    let mut world = World {
        energies: Vec::new(),
        records: Vec::new(),
        shares: vec![BTreeMap::new(); roster.n()],
        roster,
    };
    for j in 0..meters {
        let energies: Vec<i64> = (0..SLOTS).map(|_| rng.random_range(-32_767..32_768)).collect();
        let mut register = (1 << 30) + i64::from(j);
        let (mut at, mut records) = (FROM, Vec::new());
        while at < FROM + SLOTS {
            let end = (at + rng.random_range(1..10)).min(FROM + SLOTS);
            let measured = &energies[(at - FROM) as usize..(end - FROM) as usize];
            register += measured.iter().sum::<i64>();
            if rng.random_range(0..100) >= lost {
                let number = u8::try_from(records.len()).unwrap();
                let record = held(slots(at, end), j, number);
                let dealt = dealt(measured, register, &world.roster, &mut rng);
                for (shares, vector) in world.shares.iter_mut().zip(dealt) {
                    shares.insert(record.rid, vector);
                }
                records.push(record);
            }
            at = end;
        }
        world.energies.push(energies);
        world.records.push(records);
    }
    world
}

/// The aggregators' shares of `[x_0 … x_{B−1}, R_close, ρ]`.
fn dealt(energies: &[i64], close: i64, roster: &Roster, rng: &mut ChaCha20Rng) -> Vec<ShareVector> {
    let mut secrets: Vec<Fe> = energies.iter().map(|&x| Fe::from_i64(x)).collect();
    secrets.extend([Fe::from_i64(close), Fe::random(rng)]);
    split(&secrets, roster.t(), &roster.points(), rng)
        .iter()
        .map(|share| {
            let bytes: Vec<u8> = share.iter().flat_map(|element| element.to_bytes()).collect();
            ShareVector::from_bytes(&bytes).unwrap()
        })
        .collect()
}

impl World {
    fn selection(&self, ask: Ask, tariffs: &[Tariff]) -> Selection {
        let period = slots(MIDNIGHT, MIDNIGHT + 72);
        let query = Query { id: QueryId::from([1; 16]), period, ask, excluded: Vec::new() };
        let holdings: Vec<Holding> = self.records.iter().cloned().map(Holding::Records).collect();
        let inventories = self.roster.points().into_iter().map(|point| {
            let answer = InventoryAnswer::Holdings(holdings.clone());
            Inventory { query: query.id, point, answer, seen: Vec::new() }
        });
        let inventories: Vec<Inventory> = inventories.collect();
        Selection::derive(&query, &inventories.iter().collect::<Vec<_>>(), tariffs, &self.roster)
    }

    fn answers(&self, selection: &Selection, tariffs: &[Tariff]) -> Vec<Answers> {
        self.shares
            .iter()
            .map(|held| answers(selection, tariffs, hour(), |rid| held.get(rid).cloned()))
            .collect()
    }

    /// Decodes what the aggregators answered, an entry each, with whoever is named.
    fn decoded(
        &self,
        selection: &Selection,
        tariffs: usize,
        answers: &[Answers],
    ) -> Vec<(Vec<i64>, Vec<Point>)> {
        let entries = selection.lengths(tariffs).into_iter().enumerate().map(|(entry, len)| {
            let word: Vec<(Point, Zeroizing<Vec<Fe>>)> = self
                .roster
                .points()
                .into_iter()
                .zip(answers)
                .filter_map(|(point, answers)| Some((point, answers[entry].clone()?)))
                .collect();
            let decoded = decode_vector(&word, self.roster.t(), len).unwrap();
            (decoded.value.into_iter().map(Fe::to_centred).collect(), decoded.faulty)
        });
        entries.collect()
    }

    fn energy(&self, j: usize, t: u32) -> i64 {
        self.energies[j][(t - FROM) as usize]
    }

    fn sum(&self, j: usize, slots: SlotRange) -> i64 {
        slots.numbers().map(|t| self.energy(j, t)).sum()
    }
}

/// Asks for every meter's bill, of which every second starts where an earlier record ended.
fn bill_ask(world: &World) -> Ask {
    let opening = |records: &[Held]| {
        records
            .iter()
            .map(|held| held.slots.end())
            .find(|end| *end >= Slot(MIDNIGHT) && *end < Slot(MIDNIGHT + 12))
    };
    let targets = world.records.iter().enumerate().map(|(j, records)| BillTarget {
        meter: meter(j),
        opening: if j % 2 == 1 { opening(records) } else { None },
    });
    Ask::Bill(BillAsk { tariffs: Vec::new(), targets: targets.collect() })
}

/// A tariff whose gaps are dear: the substitute band is the one from 16 to 22 o'clock.
fn dear_gaps() -> Tariff {
    tariff(&[20_000, 1 << 20], |hour| u8::from((16..22).contains(&hour)), 1)
}

/// What a bill must say: the register difference, each price with gaps at the substitute's, and that nothing is
/// missing.
fn expected_bills(world: &World, selection: &Selection, tariffs: &[Tariff]) -> Vec<Vec<i64>> {
    let price = |tariff: &Tariff, t: u32, known: bool| {
        let price =
            if known { tariff.prices(slots(t, t + 1), hour()).unwrap()[0] } else { tariff.substitute() };
        i64::from(u32::from(price))
    };
    let bill = |billed: &protocol::release::selection::Billed| {
        let j = (0..world.records.len()).find(|j| meter(*j) == billed.meter).unwrap();
        let mut values = vec![world.sum(j, billed.window)];
        if billed.scope != Scope::Registers {
            values.extend(tariffs.iter().map(|tariff| {
                let amount = |t: u32| {
                    let known = world.records[j]
                        .iter()
                        .any(|held| held.slots.contains(Slot(t)) && billed.window.covers(held.slots));
                    price(tariff, t, known) * world.energy(j, t)
                };
                billed.window.numbers().map(amount).sum::<i64>()
            }));
        }
        if billed.scope == Scope::Complete {
            values.push(0);
        }
        values
    };
    selection.billed().map(bill).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Bills of whole, gappy and hardly known periods, anchored and not, are exact to the watt-hour; a liar is named and
    /// changes nothing.
    #[test]
    fn bills_are_exact(seed: u64, lost in prop::sample::select(vec![0_u32, 5, 25]), liar in 0_usize..4) {
        let world = world(seed, 4, lost);
        for tariffs in [&[time_of_use(), flat()][..], &[dear_gaps()]] {
            let selection = world.selection(bill_ask(&world), tariffs);
            let expected = expected_bills(&world, &selection, tariffs);
            let mut answers = world.answers(&selection, tariffs);
            for (decoded, expected) in world.decoded(&selection, tariffs.len(), &answers).iter().zip(&expected) {
                prop_assert_eq!(decoded, &(expected.clone(), Vec::new()));
            }
            for values in answers[liar].iter_mut().flatten() {
                values[0] += Fe::ONE;
            }
            for (decoded, expected) in world.decoded(&selection, tariffs.len(), &answers).iter().zip(&expected) {
                prop_assert_eq!(decoded, &(expected.clone(), vec![point(liar + 1)]));
            }
        }
    }

    /// A group's curve is the sum over the members in every slot, whatever batches straddle midnight.
    #[test]
    fn curves_are_exact(seed: u64, lost in prop::sample::select(vec![0_u32, 2]), meters in 2_u8..5) {
        let world = world(seed, meters, lost);
        let members: Vec<_> = (0..usize::from(meters)).map(meter).collect();
        let ask = Ask::Group(GroupAsk { group: "north".parse().unwrap(), members: members.clone() });
        let selection = world.selection(ask, &[]);
        let expected: Vec<(Vec<i64>, Vec<Point>)> = selection.days().map(|day| {
            let of_day: Vec<usize> =
                (0..members.len()).filter(|j| day.members.iter().any(|(member, _)| *member == members[*j])).collect();
            let sum = |t| of_day.iter().map(|j| world.energy(*j, t)).sum();
            (day.slots.numbers().map(sum).collect(), Vec::new())
        }).collect();
        prop_assert!(lost > 0 || expected.len() == 3);
        let answers = world.answers(&selection, &[]);
        prop_assert_eq!(world.decoded(&selection, 0, &answers), expected);
    }
}

/// All three scopes are among the worlds above.
#[test]
fn the_worlds_have_every_scope() {
    let mut scopes = [0; 3];
    for seed in 0..20 {
        for lost in [0, 5, 25] {
            let world = world(seed, 4, lost);
            for billed in world.selection(bill_ask(&world), &[time_of_use()]).billed() {
                scopes[billed.scope as usize] += 1;
            }
        }
    }
    assert!(scopes.iter().all(|&bills| bills > 10), "{scopes:?}");
}

/// Without a tariff a bill is the register difference and nothing else, even where no record is missing.
#[test]
fn without_tariffs_a_bill_is_the_register_difference() {
    let world = world(6, 3, 0);
    let complete = world.selection(bill_ask(&world), &[flat()]);
    assert!(complete.billed().all(|billed| billed.scope == Scope::Complete));
    let selection = world.selection(bill_ask(&world), &[]);
    assert_eq!(selection.lengths(0), [1, 1, 1]);
    let decoded = world.decoded(&selection, 0, &world.answers(&selection, &[]));
    for (j, (billed, (values, _))) in selection.billed().zip(decoded).enumerate() {
        assert_eq!((billed.meter, billed.scope), (meter(j), Scope::Registers));
        assert_eq!(values, [world.sum(j, billed.window)]);
    }
}

/// An aggregator that lacks one record answers everything but that entry, and the others' answers decode.
#[test]
fn a_missing_record_costs_one_entry() {
    let mut world = world(1, 3, 0);
    let lacking = world.records[1][5].rid;
    world.shares[2].remove(&lacking).unwrap();
    let tariffs = [time_of_use()];
    let selection = world.selection(bill_ask(&world), &tariffs);
    let answers = world.answers(&selection, &tariffs);
    let given: Vec<bool> = answers[2].iter().map(Option::is_some).collect();
    assert_eq!(given, [true, false, true]);
    let expected = expected_bills(&world, &selection, &tariffs);
    for (decoded, expected) in world.decoded(&selection, 1, &answers).iter().zip(expected) {
        assert_eq!(*decoded, (expected, Vec::new()));
    }
}

/// Shares of another length than the record's slots are not answered with.
#[test]
fn shares_of_another_length_are_not_answered_with() {
    let mut world = world(2, 2, 0);
    let record = world.records[0][6];
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let other = dealt(&vec![7; record.slots.len() + 1], 99, &world.roster, &mut rng);
    world.shares[0].insert(record.rid, other[0].clone());
    let tariffs = [flat()];
    let selection = world.selection(bill_ask(&world), &tariffs);
    assert!(world.answers(&selection, &tariffs)[0][0].is_none());
    let group = Ask::Group(GroupAsk { group: "north".parse().unwrap(), members: vec![meter(0), meter(1)] });
    let selection = world.selection(group, &[]);
    assert!(world.answers(&selection, &[])[0].iter().any(Option::is_none));
}

/// A meter whose registers are not the sum of its slots shows in the completeness value, and only there.
#[test]
fn completeness_shows_a_lying_register() {
    let mut world = world(4, 1, 0);
    let last = *world.records[0].iter().rfind(|held| held.slots.end() <= Slot(MIDNIGHT + 72)).unwrap();
    let measured: Vec<i64> = last.slots.numbers().map(|t| world.energy(0, t)).collect();
    let register: i64 = (1 << 30) + world.sum(0, slots(FROM, last.slots.end().0));
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for (shares, lie) in
        world.shares.iter_mut().zip(dealt(&measured, register + 5_000, &days().roster, &mut rng))
    {
        shares.insert(last.rid, lie);
    }
    let tariffs = [flat()];
    let selection = world.selection(bill_ask(&world), &tariffs);
    let (values, _) = &world.decoded(&selection, 1, &world.answers(&selection, &tariffs))[0];
    let sum = world.sum(0, selection.billed().next().unwrap().window);
    // the gap of 5,000 Wh is charged at the substitute price
    assert_eq!(*values, [sum + 5_000, 30_000 * (sum + 5_000), 5_000]);
}
