//! The simulator: real roles, real stores, a virtual network and clock; everything follows from a seed.
//!
//! `SIM_SEEDS=N` runs N seeds of each kind of history, `SIM_SEED=k` only seed k. A history that fails says how it is
//! played again.

mod sim {
    mod grid_attacks;
    pub(crate) mod homes;
    pub(crate) mod laws;
    pub(crate) mod network;
    mod objections;
    mod overlaps;
    pub(crate) mod party;
    mod snapshot;
    pub(crate) mod utility;
    pub(crate) mod villain;
    pub(crate) mod witness;
    pub(crate) mod world;
}

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use aggregator_worker::aggregator::Aggregator;
use deployment::Deployment;
use protocol::certificate::deployment_context;
use protocol::hpke_box::OpeningKey;
use protocol::record::Record;
use protocol::release::cut::Cut;
use protocol::release::inventory::{Holding, InventoryAnswer};
use protocol::release::query::Query;
use protocol::release::vote::Vote;
use protocol::revocation::Revocation;
use protocol::roster::{Roster, RosterDocument, assemble};
use protocol::rule::Rule;
use protocol::shamir::Point;
use protocol::signature::{Signed, SigningKey};
use protocol::topic::{Channel, Outgoing};
use protocol::unit::Timestamp;
use serde_bytes::ByteBuf;
use sim::homes::{FIRST, day, range, tariffs};
use sim::network::{Faults, Name, matches};
use sim::party::{Party, Role, Stopped};
use sim::villain::{Deal, floods_inventories, floods_unknown_queries, garbles_answers, lies_in_answers};
use sim::witness::{committed, rows};
use sim::world::{Goal, Setup, World};
use store::Table;
use utility_sink::sink::Sink;
use utility_sink::sink::ledger::bills_of;

/// What parties may refuse when messages are lost, late and out of order, and nobody lies. Who missed a release does not
/// vote for the next before it has caught up.
const CONFUSION: &[Rule] = &[
    Rule::Replay,
    Rule::UnknownMeter,
    Rule::QueryUnknown,
    Rule::InventoryMissing,
    Rule::TariffUnknown,
    Rule::Continuity,
];

/// Plays a history for each of `count` seeds, or as the environment says.
fn seeds(test: &str, count: u64, history: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(one), _) => one..one + 1,
        (None, count_wanted) => 0..count_wanted.unwrap_or(count),
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| history(seed))) {
            let what = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("SIM_SEED={seed} cargo test -p wattveil --test sim {test} plays it again: {what}");
        }
    }
}

/// Everything is released exactly, whatever the network and the crashes do, once they stop.
#[test]
fn bills_are_exact_under_faults() {
    seeds("bills_are_exact_under_faults", 80, |seed| {
        let (n, t) = [(4, 2), (4, 2), (5, 3), (3, 2), (2, 2), (7, 3)][usize::try_from(seed % 6).unwrap()];
        let mut world = World::new(seed, Setup::new(n, t), Faults::drawn);
        world.run_to_the_end(48);
        world.check_laws();
        world.check_nothing_is_missing();
        world.check_records();
        world.check_refusals(CONFUSION);
    });
}

/// The grid path's sums are exact and agree with the shares, whatever the network and the crashes do.
#[test]
fn intervals_are_exact_under_faults() {
    seeds("intervals_are_exact_under_faults", 12, |seed| {
        let (n, t) = [(4, 2), (5, 3), (3, 2), (7, 3)][usize::try_from(seed % 4).unwrap()];
        let mut world = World::new(seed, Setup { grid: true, ..Setup::new(n, t) }, Faults::drawn);
        world.run_to_the_end(48);
        world.check_laws();
        world.check_nothing_is_missing();
        world.check_records();
        world.check_refusals(CONFUSION);
    });
}

/// On a good day nothing is refused, and nobody says more than needed.
#[test]
fn a_good_day_is_quiet() {
    seeds("a_good_day_is_quiet", 4, |seed| {
        let mut world = World::new(seed, Setup::new(4, 2), |_, _| Faults::none());
        world.run_to_the_end(12);
        world.check_laws();
        world.check_nothing_is_missing();
        assert_eq!(world.crashes, 0);
    });
}

/// Clocks that were ahead for two hours around a release delay nobody once they are right, and lose nothing.
#[test]
fn clocks_that_go_back_stall_nobody() {
    seeds("clocks_that_go_back_stall_nobody", 4, |seed| {
        let mut world = World::new(seed, Setup::new(4, 2), |_, _| Faults::none());
        world.run_until(World::moment(23));
        world.ahead = 20 * 86_400_000;
        world.run_until(World::moment(25));
        world.ahead = 0;
        world.run_to_the_end(12);
        world.check_laws();
        world.check_nothing_is_missing();
    });
}

/// An aggregator that is dead for good, or two of seven, delays nobody: bills are exact and outboxes empty.
#[test]
fn a_dead_aggregator_changes_nothing() {
    seeds("a_dead_aggregator_changes_nothing", 18, |seed| {
        let (n, t, dead) = [(4, 2, 1), (5, 3, 1), (7, 3, 2)][usize::try_from(seed % 3).unwrap()];
        let mut world = World::new(seed, Setup::new(n, t), Faults::drawn);
        world.run_until(World::moment(seed * 7 % 50));
        for index in 0..dead {
            world.kill(Name::Aggregator(index * 2), None);
        }
        world.run_to_the_end(72);
        world.check_laws();
        world.check_nothing_is_missing();
        world.check_refusals(CONFUSION);
    });
}

/// An aggregator that was away catches up from the outboxes and learns what was released meanwhile, in order.
#[test]
fn an_aggregator_that_was_away_catches_up() {
    seeds("an_aggregator_that_was_away_catches_up", 16, |seed| {
        let mut world = World::new(seed, Setup { days: 3, ..Setup::new(4, 2) }, Faults::drawn);
        let away = usize::try_from(seed % 4).unwrap();
        world.run_until(World::moment(seed * 5 % 30));
        world.kill(Name::Aggregator(away), Some(World::moment(56)));
        world.run_until(World::moment(56));
        world.given_up.clear();
        world.run_to_the_end(72);
        world.run_until(world.now.plus(48 * 3_600_000));
        world.check_laws();
        for index in 0..4 {
            let answered = world.rows_of(Name::Aggregator(index), "result");
            assert_eq!(answered, world.goals.len(), "aggregator {index} answered every release");
        }
        world.check_refusals(CONFUSION);
    });
}

/// As many liars as decoding corrects: bills are exact, and everybody who lied is named, late or not.
#[test]
fn liars_are_corrected_and_named() {
    seeds("liars_are_corrected_and_named", 18, |seed| {
        let (n, t, liars) = [(4, 2, 1), (5, 3, 1), (7, 3, 2)][usize::try_from(seed % 3).unwrap()];
        let mut world = World::new(seed, Setup::new(n, t), Faults::drawn);
        for liar in 0..liars {
            let villainy = if seed % 4 == 3 { garbles_answers(liar) } else { lies_in_answers(liar) };
            world.villainies.push(villainy);
        }
        world.run_to_the_end(72);
        world.run_until(world.now.plus(48 * 3_600_000));
        world.check_laws();
        world.check_nothing_is_missing();
        let named: Vec<_> = (0..liars).map(|liar| world.point(liar)).collect();
        for (id, outcomes) in &world.witness.outcomes {
            assert_eq!(outcomes.last().unwrap().faulty, named, "query {id}");
        }
        world.check_refusals(&[CONFUSION, &[Rule::Malformed]].concat());
    });
}

/// More liars than decoding corrects are noticed: the sink waits, and never keeps a wrong bill.
#[test]
fn too_many_liars_are_noticed() {
    seeds("too_many_liars_are_noticed", 4, |seed| {
        let (n, t, liars) = [(4, 2, 2), (3, 2, 1)][usize::try_from(seed % 2).unwrap()];
        let mut world = World::new(seed, Setup { days: 1, ..Setup::new(n, t) }, Faults::drawn);
        world.villainies.extend((0..liars).map(lies_in_answers));
        world.run_until(World::moment(96));
        world.check_laws();
        let sink = world.parties[&Name::Sink].sink().unwrap();
        for id in world.asked.values() {
            let release = sink.release(*id).unwrap();
            assert!(release.finished().is_none() && release.waiting().is_some());
        }
        assert_eq!(world.asked.len(), 1, "the curve waits for the bills");
        assert_eq!(world.rows_of(Name::Sink, "bill") + world.rows_of(Name::Sink, "curve"), 0);
    });
}

/// An aggregator that sends its peers other inventories than the sink stops nobody from voting.
#[test]
fn many_inventories_of_one_stop_nobody() {
    seeds("many_inventories_of_one_stop_nobody", 10, |seed| {
        let mut world = World::new(seed, Setup::new(4, 2), Faults::drawn);
        world.villainies.push(floods_inventories(3));
        world.run_to_the_end(72);
        world.check_laws();
    });
}

/// An aggregator that speaks of queries that nobody asked stops no release.
#[test]
fn queries_that_nobody_asked_stop_nobody() {
    seeds("queries_that_nobody_asked_stop_nobody", 4, |seed| {
        let mut world = World::new(seed, Setup::new(4, 2), Faults::drawn);
        world.villainies.push(floods_unknown_queries(3));
        world.run_to_the_end(72);
        world.check_laws();
        world.check_nothing_is_missing();
    });
}

/// A meter that deals badly is left out after the sink was started again and everybody has gone to the next roster, though the
/// aggregators do not repeat what they said of it.
#[test]
fn a_bad_dealer_stays_known() {
    seeds("a_bad_dealer_stays_known", 4, |seed| {
        let mut world = world_without_shares_of_meter_0(seed);
        let sealed = Deal { home: 0, seq: 1, slots: day_part(1), amiss: vec![1, 3] }.seal(&world);
        assert_eq!(world.deal(0, &sealed, &[0, 1, 2, 3]).1, [None; 4]);
        while world.rows_of(Name::Sink, "bad-dealing") == 0 {
            assert!(world.now < World::moment(24), "the sink has the proof before it asks");
            world.run_until(world.now.plus(60_000));
        }
        world.network.gates.clear();
        world.network.gates.push(Box::new(|_, to, topic| !(to == Name::Sink && topic.contains("/receipt/"))));
        let back = world.now.plus(1_000);
        world.kill(Name::Sink, Some(back));
        world.run_until(back);
        if seed % 2 == 0 {
            let next = world.next_roster();
            for name in (0..4).map(Name::Aggregator).chain([Name::Sink]) {
                world.give(name, &next);
            }
        }
        world.run_to_the_end(48);
        world.check_laws();
        let bills = bills_of(world.deployment.meters[0].meter, &world.parties[&Name::Sink].store).unwrap();
        assert_eq!(bills[0].missing, 6);
        let outcomes = world.witness.outcomes.values().flatten();
        assert!(outcomes.into_iter().all(|outcome| outcome.faulty.is_empty()), "no aggregator is framed");
    });
}

/// An aggregator whose shares the network drops changes nothing.
#[test]
fn a_starved_aggregator_changes_nothing() {
    seeds("a_starved_aggregator_changes_nothing", 12, |seed| {
        let mut world = World::new(seed, Setup::new(4, 2), Faults::drawn);
        let starved = usize::try_from(seed % 4).unwrap();
        world.given_up.insert(starved);
        world.network.gates.push(Box::new(move |from, to, topic| {
            !(matches!(from, Name::Meter(_)) && to == Name::Aggregator(starved) && topic.contains("/share/"))
        }));
        world.run_to_the_end(72);
        world.check_laws();
        world.check_refusals(CONFUSION);
    });
}

/// Readings that are lost for ever are priced at the substitute; the register difference is right all the same.
#[test]
fn lost_readings_close_by_registers() {
    seeds("lost_readings_close_by_registers", 30, |seed| {
        let setup = Setup { replayable: false, patient: seed % 2 == 0, ..Setup::new(4, 2) };
        let mut world = World::new(seed, setup, Faults::drawn);
        world.run_to_the_end(72);
        world.check_laws();
        // Where most bills end before the day does, its curve is of other slots, and is given up.
        world.check_refusals(&[CONFUSION, &[Rule::Differencing]].concat());
    });
}

/// Whoever has a meter's name and none of its keys does it no harm, whatever numbers it takes.
#[test]
fn forged_records_do_no_harm() {
    seeds("forged_records_do_no_harm", 8, |seed| {
        let mut world = World::new(seed, Setup { days: 1, ..Setup::new(4, 2) }, |_, _| Faults::none());
        // Numbers that the real meter is about to use.
        let first = World::moment(0).timestamp().0 << 32;
        world.run_until(World::moment(1));
        for number in 0..4 {
            let slots = day_part(u32::try_from(number).unwrap());
            let deal = |home| Deal { home, seq: first + number, slots, amiss: vec![0] };
            let meter = world.deployment.meters[0].meter;
            // The head and the boxes are of home 0, the signature is of home 1.
            let (mut forged, others) = (deal(0).seal(&world), deal(1).seal(&world));
            for ((_, message), (_, other)) in forged.messages.iter_mut().zip(&others.messages) {
                *message = with_signature_of(message, other);
            }
            for index in 0..4 {
                let topic = world.share_topic(index, meter);
                let payload = forged.messages[index].1.clone();
                let refusal = world.inject(Name::Aggregator(index), topic, payload).unwrap();
                assert_eq!(refusal.rule, Rule::Forged);
            }
        }
        world.run_to_the_end(24);
        world.check_laws();
        world.check_nothing_is_missing();
    });
}

/// A share message under another one's signature.
fn with_signature_of(message: &[u8], other: &[u8]) -> Vec<u8> {
    type Fields = (ByteBuf, ByteBuf, u8, protocol::hpke_box::SealedBox);
    let fields = |bytes| protocol::wire::decode::<Fields>(bytes).expect("a share message");
    let ((record, _, point, sealed), (_, signature, ..)) = (fields(message), fields(other));
    protocol::wire::encode(&(record, signature, point, sealed))
}

/// A day that is nearly over, in which no share of meter 0 has arrived: whoever has its keys may deal in its name.
fn world_without_shares_of_meter_0(seed: u64) -> World {
    let mut world = World::new(seed, Setup { days: 1, ..Setup::new(4, 2) }, |_, _| Faults::none());
    world
        .network
        .gates
        .push(Box::new(|from, _, topic| !(from == Name::Meter(0) && topic.contains("/share/"))));
    world.run_until(World::moment(23));
    world
}

/// The slots of batch `index` of the first day.
fn day_part(index: u32) -> protocol::unit::SlotRange {
    range(FIRST.0 + index * 6, FIRST.0 + (index + 1) * 6)
}

/// A meter that tells aggregators different things for the same slots is refused by whoever has one of them, the
/// evidence is kept, and its bill closes by registers.
#[test]
fn an_equivocating_meter_harms_itself_only() {
    seeds("an_equivocating_meter_harms_itself_only", 8, |seed| {
        let mut world = world_without_shares_of_meter_0(seed);
        let seal = |world: &World, seq, batch| {
            Deal { home: 0, seq, slots: day_part(batch), amiss: Vec::new() }.seal(world)
        };
        let (one, other) = (seal(&world, 1, 1), seal(&world, 2, 1));
        assert_eq!(world.deal(0, &one, &[0, 1]).1, [None, None]);
        assert_eq!(world.deal(0, &other, &[2, 3]).1, [None, None]);
        assert_eq!(world.deal(0, &other, &[0, 1]).1, [Some(Rule::Equivocation); 2]);
        assert_eq!(world.deal(0, &one, &[2, 3]).1, [Some(Rule::Equivocation); 2]);
        assert_eq!(world.rows_of(Name::Aggregator(0), "evidence"), 1);
        world.network.gates.clear();
        world.run_to_the_end(24);
        world.check_laws();
        let bill = &bills_of(world.deployment.meters[0].meter, &world.parties[&Name::Sink].store).unwrap()[0];
        assert_eq!((bill.missing, bill.window), (6, day(0)));
        let others = &world.deployment.meters[1..];
        assert!(others.iter().all(|keys| {
            bills_of(keys.meter, &world.parties[&Name::Sink].store).unwrap()[0].missing == 0
        }));
    });
}

/// A meter that deals badly to as many as decoding corrects, or to more: it is named, and nobody else's bill waits.
#[test]
fn a_bad_dealer_spoils_nothing_else() {
    seeds("a_bad_dealer_spoils_nothing_else", 8, |seed| {
        let amiss = if seed % 2 == 0 { vec![2] } else { vec![1, 3] };
        let correctable = amiss.len() == 1;
        let mut world = world_without_shares_of_meter_0(seed);
        let sealed = Deal { home: 0, seq: 1, slots: day_part(1), amiss }.seal(&world);
        assert_eq!(world.deal(0, &sealed, &[0, 1, 2, 3]).1, [None; 4]);
        world.network.gates.clear();
        // The sink may have missed the receipts: then it cannot leave the record out.
        if seed % 4 >= 2 {
            world
                .network
                .gates
                .push(Box::new(|_, to, topic| !(to == Name::Sink && topic.contains("/receipt/"))));
            // And a curve that the record is in can't be decoded.
            world.goals.retain(|goal| matches!(goal, Goal::Bills(_)));
        }
        world.run_to_the_end(48);
        let store = &world.parties[&Name::Sink].store;
        let bills: Vec<_> =
            world.deployment.meters.iter().map(|keys| bills_of(keys.meter, store).unwrap()).collect();
        assert!(bills[1..].iter().all(|bills| bills[0].missing == 0 && bills[0].amounts.len() == 2));
        if seed % 4 < 2 {
            let named = world.parties[&Name::Sink].sink().unwrap().checks().named_meters();
            assert!(named.contains(&world.deployment.meters[0].meter));
            let outcomes = world.witness.outcomes.values().flatten();
            assert!(outcomes.into_iter().all(|outcome| outcome.faulty.is_empty()), "no aggregator is framed");
            assert_eq!(bills[0][0].missing, if correctable { 0 } else { 6 });
            world.check_laws();
        } else {
            assert_eq!(bills[0].len(), usize::from(correctable));
        }
    });
}

/// An aggregator that comes back with an old store votes no more, and nothing is released twice.
#[test]
fn a_rolled_back_ledger_votes_no_more() {
    seeds("a_rolled_back_ledger_votes_no_more", 8, |seed| {
        let mut world = World::new(seed, Setup::new(4, 2), |_, _| Faults::none());
        world.run_until(World::moment(23));
        let name = Name::Aggregator(usize::try_from(seed % 4).unwrap());
        let backup = committed(&world.parties[&name].store);
        world.run_until(World::moment(40));
        assert_eq!(world.rows_of(name, "vote"), 2, "it voted for a bill and a curve");
        world.kill(name, Some(World::moment(41)));
        world.parties.get_mut(&name).unwrap().store = backup;
        // What it says anew after it lost its ledger is no longer what it said before.
        world.witness.restored.insert(name);
        world.run_to_the_end(48);
        assert_eq!(world.rows_of(name, "vote"), 0);
        assert!(world.refusals.contains_key(&(name, Rule::LedgerRollback)));
        world.check_bills();
        world.check_curves();
    });
}

/// A second query for what was released is refused by everybody.
#[test]
fn nothing_is_released_twice() {
    let mut world = World::new(1, Setup { days: 1, ..Setup::new(4, 2) }, |_, _| Faults::none());
    world.run_to_the_end(24);
    let (meters, tariffs) =
        (world.meter_ids(), world.tariffs.iter().map(|(hash, _)| *hash).collect::<Vec<_>>());
    let mut asked = None;
    world.step(Name::Sink, Vec::new(), |party, now| {
        let Party { role: Some(Role::Sink(sink)), store, rng, .. } = party else { return Err(Stopped) };
        let (id, sends) = sink.ask_bills_unanchored(day(0), &tariffs, &meters, now, store, rng).unwrap();
        asked = Some(id);
        Ok((sends, Vec::new()))
    });
    world.run_until(world.now.plus(12 * 3_600_000));
    let sink = world.parties[&Name::Sink].sink().unwrap();
    let release = sink.release(asked.unwrap()).unwrap();
    assert_eq!(release.inventories().count(), 4);
    for inventory in release.inventories() {
        let InventoryAnswer::Holdings(holdings) = &inventory.answer else {
            panic!("the query itself is fine")
        };
        assert!(holdings.iter().all(|holding| *holding == Holding::Refused(Rule::AlreadyReleased)));
    }
    world.check_laws();
}

/// A world in which only aggregator 3 lacks a record of home 0, and nobody has asked for anything.
fn before_any_query(seed: u64) -> World {
    let mut world = World::new(seed, Setup { days: 1, ..Setup::new(4, 2) }, |_, _| Faults::none());
    world.goals.clear();
    world.run_until(World::moment(17));
    world.network.cut_off.insert(Name::Aggregator(3));
    world.run_until(World::moment(19));
    world.network.gates.push(Box::new(|from, to, topic| {
        !(from == Name::Meter(0) && to == Name::Aggregator(3) && topic.contains("/share/"))
    }));
    world.network.cut_off.clear();
    world.run_until(World::moment(30));
    world
}

/// The same world, in which everybody has answered a query for all bills, and no cut was made.
fn before_any_cut(seed: u64) -> (World, Signed<Query>) {
    let mut world = before_any_query(seed);
    let hashes: Vec<_> = world.tariffs.iter().map(|(hash, _)| *hash).collect();
    let query = world.crafted_query(&hashes);
    for index in 0..4 {
        assert_eq!(world.tell(index, &Channel::Query, query.bytes()), None);
    }
    world.run_until(World::moment(31));
    (world, query)
}

/// Two cuts of one query, each honest for the half that sees it: never two are certified, and no vote is taken back.
#[test]
fn a_split_view_certifies_nothing() {
    let (mut world, query) = before_any_cut(1);
    let (one, other) = (world.cut_from(&query, &[0, 1, 2]), world.cut_from(&query, &[0, 1, 3]));
    assert_ne!(one.selection, other.selection);
    for (index, cut) in [(0, &one), (1, &one), (2, &other), (3, &other)] {
        assert_eq!(world.tell(index, &Channel::Cut, cut.bytes()), None);
    }
    world.run_until(World::moment(32));
    for (index, cut) in [(0, &other), (1, &other), (2, &one), (3, &one)] {
        assert_eq!(world.tell(index, &Channel::Cut, cut.bytes()), Some(Rule::SplitView));
    }
    world.run_until(World::moment(40));
    for index in 0..4 {
        assert_eq!(world.rows_of(Name::Aggregator(index), "own-vote"), 1);
        assert_eq!(world.rows_of(Name::Aggregator(index), "result"), 0);
    }
    // One that votes twice makes one of them a release, never both.
    let liar = &world.deployment.aggregators[3];
    let vote =
        Vote { query: query.id, cut: one.hash(), point: liar.point, height: 1, previous: other.hash() };
    let vote = Signed::sign(vote, &liar.key, &world.deployment.roster.context());
    let channel = Channel::Vote(liar.id.clone());
    for index in 0..3 {
        let _ = world.tell(index, &channel, vote.bytes());
    }
    world.run_until(World::moment(48));
    let answered: Vec<usize> = (0..4).map(|index| world.rows_of(Name::Aggregator(index), "result")).collect();
    assert!(answered[2] == 0 && answered[3] == 0, "nobody answers the other cut: {answered:?}");
}

/// A cut that is not what a quorum of inventories gives is refused by everybody.
#[test]
fn a_doctored_cut_is_refused() {
    let (mut world, query) = before_any_cut(2);
    let good = world.cut_from(&query, &[0, 1, 2]);
    let other = world.cut_from(&query, &[0, 1, 3]);
    let doctored = [
        Cut { selection: other.selection, ..(*good).clone() },
        Cut { cited: good.cited[..2].to_vec(), ..(*good).clone() },
        Cut { cited: [&good.cited[..], &good.cited[2..]].concat(), ..(*good).clone() },
    ];
    for cut in doctored {
        let cut = world.as_utility(cut);
        for index in 0..4 {
            assert_eq!(world.tell(index, &Channel::Cut, cut.bytes()), Some(Rule::CutNotDerived));
        }
    }
    assert_eq!(world.rows_of(Name::Aggregator(0), "own-vote"), 0);
    assert_eq!(world.tell(0, &Channel::Cut, good.bytes()), None, "the good one is voted for after all");
}

/// A tariff whose prices single out an hour is refused before anybody looks at records, and so are a stranger's query and
/// messages played back to other topics.
#[test]
fn crafted_and_replayed_messages_are_refused() {
    let mut world = before_any_query(3);
    let mut document = tariffs().remove(1);
    document.id = "probe".parse().unwrap();
    document.windows[0].to_minute = document.windows[0].from_minute + 60;
    let context = deployment_context(&world.deployment.roster.document().deployment);
    let tariff = Signed::sign(document.clone(), &world.deployment.utility, &context);
    assert_eq!(world.tell(0, &Channel::Tariff(document.id), tariff.bytes()), None);
    let query = world.crafted_query(&[tariff.hash()]);
    assert_eq!(world.tell(0, &Channel::Query, query.bytes()), Some(Rule::Cell));
    assert_eq!(world.tell(0, &Channel::Cut, query.bytes()), Some(Rule::NotTheUtility));
    let stranger = &world.deployment.aggregators[1].key;
    let strange = Signed::sign((*query).clone(), stranger, &world.deployment.roster.context());
    assert_eq!(world.tell(0, &Channel::Query, strange.bytes()), Some(Rule::NotTheUtility));
    // A meter's message for aggregator 1 at aggregator 0, and on another meter's topic.
    let sealed = Deal { home: 0, seq: 9, slots: day_part(0), amiss: Vec::new() }.seal(&world);
    let (mine, theirs) = (world.meter_ids()[0], world.meter_ids()[1]);
    for (meter, payload) in [(mine, &sealed.messages[1].1), (theirs, &sealed.messages[0].1)] {
        let topic = world.share_topic(0, meter);
        let refusal = world.inject(Name::Aggregator(0), topic, payload.clone()).unwrap();
        assert_eq!(refusal.rule, Rule::Malformed);
    }
}

/// A revoked meter is billed to the slot at which it was revoked, whatever the network does; it goes on measuring, and whoever
/// has its key says nothing more in its name.
#[test]
fn a_revoked_meter_is_billed_to_its_last_slot() {
    seeds("a_revoked_meter_is_billed_to_its_last_slot", 12, |seed| {
        let mut world = World::new(seed, Setup::new(4, 2), Faults::drawn);
        world.run_until(World::moment(9));
        let keys = &world.deployment.meters[0];
        let (meter, from) = (keys.meter, World::moment(40).timestamp());
        let sign = |from, key: &SigningKey| {
            let revocation = Revocation { meter, from, reason: "moved out".parse().unwrap() };
            let context = deployment_context(&world.deployment.roster.document().deployment);
            Signed::sign(revocation, key, &context).into_bytes()
        };
        let (word, later) = (
            sign(from, &world.deployment.registrar),
            sign(World::moment(47).timestamp(), &world.deployment.registrar),
        );
        let forged = sign(World::moment(1).timestamp(), &world.deployment.utility);
        let topic = Channel::Revoked(meter).of(&world.deployment.roster.document().deployment).to_string();
        let told = |world: &mut World, word: &[u8]| {
            let refusal = world.inject(Name::Sink, topic.clone(), word.to_vec());
            refusal.map(|refusal| refusal.rule)
        };
        // The sink is the one that has heard it; the others hear it from there.
        while world.rows_of(Name::Sink, "revoked") == 0 {
            assert_eq!(told(&mut world, &word), None);
            world.run_until(world.now.plus(600_000));
        }
        assert_eq!(told(&mut world, &later), None, "the earlier holds");
        if world.parties[&Name::Sink].role.is_some() {
            assert_eq!(told(&mut world, &forged), Some(Rule::NotTheRegistrar));
        }
        world.run_to_the_end(72);
        world.check_laws();
        world.check_refusals(&[CONFUSION, &[Rule::Revoked]].concat());
        let bills = bills_of(meter, &world.parties[&Name::Sink].store).unwrap();
        let [first, last] = &bills[..] else { panic!("{} bills", bills.len()) };
        assert_eq!((first.window, last.window), (day(0), range(FIRST.0 + 24, FIRST.0 + 40)));
        assert_eq!((first.missing, last.missing), (0, 0));
        assert_eq!(world.rows_of(Name::Meter(0), "journal"), 2, "it has measured on, and kept it");
        let stolen = Deal { home: 0, seq: 99, slots: range(FIRST.0 + 42, FIRST.0 + 48), amiss: Vec::new() };
        assert_eq!(world.deal(0, &stolen.seal(&world), &[0, 1, 2, 3]).1, [Some(Rule::Revoked); 4]);
    });
}

/// A roster's successor is taken by one party after the other, at any time and under any faults: bills, curves and intervals that
/// span both rosters are exact, nothing is missing, and what was begun under the first one ends.
#[test]
fn a_roster_is_followed_by_the_next() {
    seeds("a_roster_is_followed_by_the_next", 24, |seed| {
        let (n, t) = [(4, 2), (5, 3), (3, 2)][usize::try_from(seed % 3).unwrap()];
        let setup = Setup { grid: seed % 4 == 3, ..Setup::new(n, t) };
        let mut world = World::new(seed, setup, Faults::drawn);
        world.run_until(World::moment(16 + seed % 12));
        let next = world.next_roster();
        let mut names: Vec<Name> = (0..n).map(Name::Aggregator).chain([Name::Sink]).collect();
        let turns = usize::try_from(seed).unwrap() % names.len();
        names.rotate_left(turns);
        for name in names {
            world.give(name, &next);
            world.run_until(world.now.plus((1 + seed % 3) * 1_800_000));
        }
        world.run_to_the_end(72);
        world.check_laws();
        world.check_nothing_is_missing();
        world.check_records();
        let moving = [Rule::RosterOld, Rule::NotTheAggregator, Rule::NotTheUtility];
        world.check_refusals(&[CONFUSION, &moving].concat());
        for home in 0..3 {
            let report = world.parties[&Name::Meter(home)].meter().unwrap().status("up", world.now);
            assert_eq!(report.status.roster_epoch, 2, "meter {home}");
        }
        let epochs = epochs_of(&world);
        assert!(epochs.contains(&1) && epochs.contains(&2), "records of both rosters: {epochs:?}");
    });
}

/// The epochs of the rosters that an aggregator's records were sealed under.
fn epochs_of(world: &World) -> BTreeSet<u32> {
    type Stored = (u64, protocol::unit::SlotRange, protocol::id::Rid, ByteBuf, ByteBuf, ByteBuf);
    let store = committed(&world.parties[&Name::Aggregator(1)].store);
    let rows = rows(Table("record"), &store).into_iter();
    let stored = rows.map(|row| protocol::wire::decode::<Stored>(&row).expect("a record as it is kept"));
    stored.map(|(.., record, _)| Record::decode(&record).expect("a record").head.roster_epoch).collect()
}

/// Nobody goes back to the roster before, or to another one of the same epoch.
#[test]
fn an_aggregator_and_a_sink_never_go_back() {
    let mut world = World::new(1, Setup { days: 1, ..Setup::new(4, 2) }, |_, _| Faults::none());
    let (old, next) = (world.deployment.roster.clone(), world.next_roster());
    for name in [Name::Aggregator(0), Name::Sink] {
        world.give(name, &next);
    }
    world.run_until(World::moment(1));
    let document = RosterDocument { valid_to: Timestamp(u64::MAX - 1), ..next.document().clone() };
    let fork = assemble(document, &world.deployment.registrar, &keys_of(&world.deployment)).unwrap();
    let refusal = |name, roster: &Roster| {
        let (deployment, mut store) = (&world.deployment, committed(&world.parties[&name].store));
        if name == Name::Sink {
            let mut identity = deployment.sink_identity();
            let key = &world.box_keys[&name];
            identity.box_keys.extend(OpeningKey::from_bytes(key.key_id(), key.suite(), key.as_bytes()));
            let sink = Sink::open(identity, roster.clone(), world.paces.sink.clone(), &mut store, world.now);
            sink.err().map(|error| format!("{error:?}"))
        } else {
            let identity = deployment.aggregator_identity(&deployment.aggregators[0]);
            let aggregator =
                Aggregator::open(identity, roster.clone(), world.paces.aggregator.clone(), &mut store);
            aggregator.err().map(|error| format!("{error:?}"))
        }
    };
    for name in [Name::Aggregator(0), Name::Sink] {
        assert_eq!(refusal(name, &next), None);
        assert!(refusal(name, &old).unwrap().contains("Older"), "{name:?}");
        assert!(refusal(name, &fork).unwrap().contains("Fork"), "{name:?}");
    }
}

/// The aggregators' keys, to accept a roster with.
fn keys_of(deployment: &Deployment) -> Vec<(Point, &SigningKey)> {
    deployment.aggregators.iter().map(|keys| (keys.point, &keys.key)).collect()
}

/// A meter that has gone to a newer roster does not come back to the old one, not even by a restart.
#[test]
fn a_restart_is_no_way_back_to_an_old_roster() {
    let mut world = World::new(4, Setup::new(4, 2), |_, _| Faults::none());
    let old = world.deployment.roster.clone();
    let document = RosterDocument { epoch: 2, previous: Some(old.hash()), ..old.document().clone() };
    let next = assemble(document, &world.deployment.registrar, &keys_of(&world.deployment)).unwrap();
    let topic = Channel::Roster.of(&old.document().deployment);
    let told = |world: &mut World, roster: &Roster| {
        let parts = Outgoing::parts(&topic, roster.bytes()).into_iter();
        let refusals = parts.map(|part| world.inject(Name::Meter(0), topic.to_string(), part.payload));
        refusals.last().flatten().map(|refusal| refusal.rule)
    };
    let epoch = |world: &World| {
        world.parties[&Name::Meter(0)].meter().unwrap().status("up", world.now).status.roster_epoch
    };
    assert_eq!((told(&mut world, &next), epoch(&world)), (None, 2));
    let back = world.now.plus(1_000);
    world.kill(Name::Meter(0), Some(back));
    world.run_until(back);
    assert_eq!(epoch(&world), 2);
    // The one that was in force is known and nothing new; another of its epoch is refused.
    assert_eq!((told(&mut world, &old), epoch(&world)), (None, 2));
    let document = RosterDocument { valid_to: Timestamp(u64::MAX - 1), ..old.document().clone() };
    let fork = assemble(document, &world.deployment.registrar, &keys_of(&world.deployment)).unwrap();
    assert_eq!((told(&mut world, &fork), epoch(&world)), (Some(Rule::RosterOld), 2));
}

/// A driver that publishes before it commits gives receipts for what it loses, and the simulator notices: it is known to
/// be able to fail.
#[test]
fn notices_a_driver_that_gives_receipts_too_early() {
    let caught = (0..40).any(|seed| {
        let history = || {
            let setup = Setup { sends_early: true, ..Setup::new(4, 2) };
            let mut world =
                World::new(seed, setup, |rng, until| Faults { crash: 30, ..Faults::drawn(rng, until) });
            world.run_to_the_end(48);
            world.check_laws();
        };
        catch_unwind(AssertUnwindSafe(history)).is_err()
    });
    assert!(caught);
}

/// Filters match as MQTT 3.1.1 says.
#[test]
fn filters_match_levels() {
    for (filter, topic, fits) in [
        ("a/+/c", "a/b/c", true),
        ("a/+/c", "a/b/d", false),
        ("a/+", "a", false),
        ("a/+", "a/b/c", false),
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("a/b", "a/b", true),
        ("a/b", "a/b/c", false),
        ("#", "a/b", true),
    ] {
        assert_eq!(matches(filter, topic), fits, "{filter} {topic}");
    }
    assert!(Name::Meter(0) < Name::Sink);
}
