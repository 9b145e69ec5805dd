//! The network, crashes, liars among the aggregators: late, never wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lab::world::network::{Faults, Name};
use protocol::rule::Rule;

use crate::villain::{floods_inventories, floods_unknown_queries, garbles_answers, lies_in_answers};
use crate::witness::committed;
use crate::world::{Setup, World};
use crate::{CONFUSION, seeds};

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
        assert!(world.refusals.iter().any(|(of, by)| (*of, by.rule) == (name, Rule::LedgerRollback)));
        world.check_bills();
        world.check_curves();
    });
}

/// A driver that publishes before it commits gives receipts for what it loses, and the simulator notices: it is known to
/// be able to fail.
#[test]
fn notices_a_driver_that_gives_receipts_too_early() {
    let caught = (0..40).any(|seed| {
        let history = || {
            let faults = |rng: &mut _, until| Faults { crash: 30, ..Faults::drawn(rng, until) };
            let mut world = World::new(seed, Setup::new(4, 2), faults);
            world.sends_early = true;
            world.run_to_the_end(48);
            world.check_laws();
        };
        catch_unwind(AssertUnwindSafe(history)).is_err()
    });
    assert!(caught);
}
