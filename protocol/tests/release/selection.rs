//! What is selected, against an oracle that goes slot by slot.

use std::collections::BTreeSet;

use proptest::prelude::*;
use protocol::id::{MeterId, QueryId};
use protocol::policy::Policy;
use protocol::release::exclusion::Exclusion;
use protocol::release::inventory::{Held, Holding, Inventory, InventoryAnswer};
use protocol::release::query::{Ask, BillAsk, BillTarget, GroupAsk, Query};
use protocol::release::selection::{BillEntry, Billed, Day, DayEntry, Scope, Selection};
use protocol::rule::Rule;
use protocol::tariff::Tariff;
use protocol::unit::{Slot, SlotRange};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::{MIDNIGHT, days, flat, held, time_of_use};
use crate::deployment::{meter, point, slots};

/// A query and what the cited aggregators say they hold.
struct Case {
    query: Query,
    inventories: Vec<Inventory>,
}

fn chance(rng: &mut impl Rng, percent: u32) -> bool {
    rng.random_range(0..100) < percent
}

/// The records that were ever made for a meter: batches in a row with gaps, and some that overlap them.
fn records(rng: &mut impl Rng, meter: u8) -> Vec<Held> {
    let (mut at, mut number, mut made) = (MIDNIGHT - 12, 0, Vec::new());
    while at < MIDNIGHT + 76 {
        let len = rng.random_range(3..9);
        if chance(rng, 92) {
            made.push(held(slots(at, at + len), meter, number));
            number += 1;
        }
        if chance(rng, 6) {
            let from = at + rng.random_range(0..3);
            made.push(held(slots(from, from + rng.random_range(1..6)), meter, number));
            number += 1;
        }
        at += len;
    }
    made
}

/// What one aggregator says of a target: most of the records, in any order, some twice; or a refusal.
fn holding(rng: &mut impl Rng, made: &[Held], loss: u32) -> Holding {
    if chance(rng, 3) {
        return Holding::Refused(Rule::AlreadyReleased);
    }
    let mut listed: Vec<Held> = made.iter().filter(|_| !chance(rng, loss)).copied().collect();
    if chance(rng, 20) {
        listed.reverse();
    }
    if chance(rng, 20) {
        listed.extend_from_within(..listed.len() / 2);
    }
    Holding::Records(listed)
}

fn case(seed: u64, group: bool) -> Case {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let targets = rng.random_range(1..4_u8);
    let made: Vec<Vec<Held>> = (0..targets).map(|j| records(&mut rng, j)).collect();
    let cited = rng.random_range(3..5);
    let loss = [0, 2, 10][rng.random_range(0..3)];
    let inventories = (1..=cited).map(|i| {
        let mut holdings: Vec<Holding> = made.iter().map(|made| holding(&mut rng, made, loss)).collect();
        if chance(&mut rng, 2) {
            holdings.pop();
        }
        let refused = chance(&mut rng, 2);
        let answer =
            if refused { InventoryAnswer::Refused(Rule::Cell) } else { InventoryAnswer::Holdings(holdings) };
        Inventory { query: QueryId::from([1; 16]), point: point(i), answer, seen: Vec::new() }
    });
    let inventories = inventories.collect();
    let excluded = made.iter().flatten().filter(|_| chance(&mut rng, 1)).map(|held| held.rid);
    let excluded = excluded.map(|rid| Exclusion { rid, receipts: Vec::new() }).collect();
    let opening = |made: &[Held], rng: &mut ChaCha20Rng| match rng.random_range(0..10) {
        0..4 => None,
        4..9 => made.get(rng.random_range(0..6)).map(|held| held.slots.end()),
        _ => Some(Slot(MIDNIGHT + rng.random_range(0..90))),
    };
    let ask = if group {
        let members = (0..targets).map(|j| meter(usize::from(j))).collect();
        Ask::Group(GroupAsk { group: "north".parse().unwrap(), members })
    } else {
        let targets = (0..targets)
            .zip(&made)
            .map(|(j, made)| BillTarget { meter: meter(usize::from(j)), opening: opening(made, &mut rng) });
        Ask::Bill(BillAsk { tariffs: Vec::new(), targets: targets.collect() })
    };
    let end = MIDNIGHT + [48, 72, 60][rng.random_range(0..3)];
    let query = Query { id: QueryId::from([1; 16]), period: slots(MIDNIGHT, end), ask, excluded };
    Case { query, inventories }
}

/// Counts for each record who lists it, and takes from the earliest on what overlaps nothing taken.
fn taken(case: &Case, index: usize, quorum: usize) -> Vec<Held> {
    let listed_by = |inventory: &Inventory| match &inventory.answer {
        InventoryAnswer::Holdings(holdings) => match holdings.get(index) {
            Some(Holding::Records(records)) => records.iter().copied().collect(),
            _ => BTreeSet::new(),
        },
        InventoryAnswer::Refused(_) => BTreeSet::new(),
    };
    let lists: Vec<BTreeSet<Held>> = case.inventories.iter().map(listed_by).collect();
    let all: BTreeSet<Held> = lists.iter().flatten().copied().collect();
    let mut taken: Vec<Held> = Vec::new();
    for held in all {
        let count = lists.iter().filter(|list| list.contains(&held)).count();
        let excluded = case.query.excluded.iter().any(|exclusion| exclusion.rid == held.rid);
        let overlaps = taken.iter().any(|other| other.slots.numbers().any(|t| held.slots.contains(Slot(t))));
        if count >= quorum && !excluded && !overlaps {
            taken.push(held);
        }
    }
    taken
}

fn known(records: &[Held], t: u32) -> bool {
    records.iter().any(|held| held.slots.contains(Slot(t)))
}

fn bill_oracle(
    meter: MeterId,
    opening: Option<Slot>,
    case: &Case,
    taken: &[Held],
    tariffs: &[Tariff],
    policy: &Policy,
) -> BillEntry {
    let refused = |rule| BillEntry::Refused(meter, rule);
    let anchor = taken.iter().find(|held| Some(held.slots.end()) == opening).copied();
    if opening.is_some() && anchor.is_none() {
        return refused(Rule::Anchor);
    }
    // an opening behind the period's end leaves no span of its own
    let from = opening
        .filter(|opening| *opening < case.query.period.end())
        .unwrap_or_else(|| case.query.period.start());
    let records: Vec<Held> = taken
        .iter()
        .filter(|held| from <= held.slots.start() && held.slots.end() <= case.query.period.end())
        .copied()
        .collect();
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return refused(Rule::Anchor) };
    let start = opening.unwrap_or_else(|| first.slots.start());
    let Ok(window) = SlotRange::new(start, last.slots.end()) else { return refused(Rule::Anchor) };
    if window.len() * 1000 < usize::from(policy.bill_days) * 24 * usize::from(policy.coverage) {
        return refused(Rule::Window);
    }
    let price = |tariff: &Tariff, t: u32| {
        if known(&records, t) {
            tariff.prices(slots(t, t + 1), super::hour()).unwrap()[0]
        } else {
            tariff.substitute()
        }
    };
    let alike = |s: u32, t: u32| tariffs.iter().all(|tariff| price(tariff, s) == price(tariff, t));
    let cell = |t: u32| window.numbers().filter(|&s| alike(s, t)).count();
    let held = window.numbers().filter(|&t| known(&records, t)).count();
    let scope = if held * 1000 < window.len() * usize::from(policy.coverage)
        || window.numbers().any(|t| cell(t) < usize::from(policy.smallest_cell))
    {
        Scope::Registers
    } else if held == window.len() {
        Scope::Complete
    } else {
        Scope::Substituted
    };
    BillEntry::Billed(Billed { meter, window, anchor, records, scope })
}

fn group_oracle(case: &Case, taken: &[(MeterId, Vec<Held>)], policy: &Policy) -> Vec<DayEntry> {
    let days = u32::try_from(case.query.period.len() / 24).unwrap();
    let whole = |taken: &[Held]| (MIDNIGHT..MIDNIGHT + 24 * days).all(|t| known(taken, t));
    let entry = |day: u32| {
        let day = slots(MIDNIGHT + 24 * day, MIDNIGHT + 24 * day + 24);
        let mut members = Vec::new();
        for (meter, taken) in taken {
            if whole(taken) {
                let within = |held: &&Held| held.slots.numbers().any(|t| day.contains(Slot(t)));
                members.push((*meter, taken.iter().filter(within).copied().collect()));
            }
        }
        if members.len() < usize::from(policy.k) {
            DayEntry::Refused(day, Rule::GroupSize)
        } else {
            DayEntry::Released(Day { slots: day, members })
        }
    };
    (0..days).map(entry).collect()
}

fn oracle(case: &Case, tariffs: &[Tariff], quorum: usize, policy: &Policy) -> Selection {
    match &case.query.ask {
        Ask::Bill(ask) => Selection::Bill(
            ask.targets
                .iter()
                .enumerate()
                .map(|(index, target)| {
                    let taken = taken(case, index, quorum);
                    bill_oracle(target.meter, target.opening, case, &taken, tariffs, policy)
                })
                .collect(),
        ),
        Ask::Group(ask) => {
            let taken: Vec<(MeterId, Vec<Held>)> =
                (0..).zip(&ask.members).map(|(index, meter)| (*meter, taken(case, index, quorum))).collect();
            Selection::Group(group_oracle(case, &taken, policy))
        }
        Ask::Grid(_) => panic!("no case asks for an interval"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// The selection is the oracle's, and does not depend on the order of the inventories.
    #[test]
    fn agrees_with_the_oracle(seed: u64, group: bool) {
        let roster = days().roster;
        let case = case(seed, group);
        let tariffs = [time_of_use(), flat()];
        let mut cited: Vec<&Inventory> = case.inventories.iter().collect();
        let derived = Selection::derive(&case.query, &cited, &tariffs, &roster);
        prop_assert_eq!(&derived, &oracle(&case, &tariffs, roster.q(), roster.policy()));
        cited.reverse();
        prop_assert_eq!(derived.hash(), Selection::derive(&case.query, &cited, &tariffs, &roster).hash());
    }

    /// One liar of four, whatever it lists, adds no record that no honest aggregator holds, and hides none that all
    /// others hold if all are cited.
    #[test]
    fn one_liar_neither_adds_nor_hides(seed: u64, liar in 0_usize..4, group: bool) {
        let roster = days().roster;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut case = case(seed, group);
        case.query.excluded.clear();
        let targets = case.query.meters().len();
        let honest: Vec<Holding> =
            (0..targets).map(|j| {
                // honest aggregators hold no two that overlap
                let mut at = Slot(0);
                let mut made = records(&mut rng, u8::try_from(j).unwrap());
                made.retain(|held| { let apart = at <= held.slots.start(); if apart { at = held.slots.end(); } apart });
                Holding::Records(made)
            }).collect();
        case.inventories = (0..4).map(|i| {
            let holdings = if i == liar {
                (0..targets).map(|j| {
                    let mut lies = records(&mut rng, u8::try_from(j).unwrap());
                    lies.push(held(slots(MIDNIGHT - 20, MIDNIGHT + 90), 77, 7));
                    Holding::Records(lies)
                }).collect()
            } else {
                honest.clone()
            };
            let answer = InventoryAnswer::Holdings(holdings);
            Inventory { query: case.query.id, point: point(i + 1), answer, seen: Vec::new() }
        }).collect();
        for (j, honest) in honest.iter().enumerate() {
            prop_assert_eq!(&Holding::Records(taken(&case, j, roster.q())), honest);
        }
        let tariffs = [time_of_use()];
        let cited: Vec<&Inventory> = case.inventories.iter().collect();
        let with = Selection::derive(&case.query, &cited, &tariffs, &roster);
        let honest: Vec<&Inventory> =
            case.inventories.iter().enumerate().filter(|(i, _)| *i != liar).map(|(_, i)| i).collect();
        prop_assert_eq!(with, Selection::derive(&case.query, &honest, &tariffs, &roster));
    }
}

/// The cases above reach every outcome: the oracle is asked about all of them.
#[test]
fn the_cases_reach_every_outcome() {
    let roster = days().roster;
    let mut reached = BTreeSet::new();
    for seed in 0..600 {
        for group in [false, true] {
            let case = case(seed, group);
            match oracle(&case, &[time_of_use(), flat()], roster.q(), roster.policy()) {
                Selection::Bill(entries) => reached.extend(entries.iter().map(|entry| match entry {
                    BillEntry::Billed(billed) => {
                        format!("{:?}, anchor {}", billed.scope, billed.anchor.is_some())
                    }
                    BillEntry::Refused(_, rule) => rule.to_string(),
                })),
                Selection::Group(entries) => reached.extend(entries.iter().map(|entry| match entry {
                    DayEntry::Released(day) => format!("{} members", day.members.len()),
                    DayEntry::Refused(_, rule) => rule.to_string(),
                })),
                Selection::Grid(_) => panic!("no case asks for an interval"),
            }
        }
    }
    let expected = [
        "2 members",
        "3 members",
        "Complete, anchor false",
        "Complete, anchor true",
        "Registers, anchor false",
        "Registers, anchor true",
        "Substituted, anchor false",
        "Substituted, anchor true",
        "anchor",
        "group-size",
        "window",
    ];
    assert_eq!(reached.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
