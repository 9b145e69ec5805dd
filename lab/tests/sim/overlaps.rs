//! Two queries for bills of one meter: at most one of them is ever voted for; and bills beside the intervals of their window.

use protocol::id::{MeterId, QueryId};
use protocol::rule::Rule;
use protocol::unit::{Slot, SlotRange};
use utility_sink::sink::SinkError;
use utility_sink::sink::ledger::{bills_of, intervals_of};

use super::homes::{day, interval, range};
use super::villain::denies;
use super::world::{Goal, Setup, World};
use crate::seeds;
use lab::world::network::{Faults, Name};

/// A world in which everybody's bills were asked for, and what aggregators 3 and 4 say on a channel does not arrive.
fn held_up_at(seed: u64, channel: &'static str) -> (World, QueryId) {
    let setup = Setup { homes: 4, days: 1, ..Setup::new(4, 2) };
    let mut world = World::new(seed, setup, |_, _| Faults::none());
    world.goals.remove(&Goal::Curve(0));
    world.network.gates.push(Box::new(move |from, _, topic| {
        !(matches!(from, Name::Aggregator(2 | 3)) && topic.contains(channel))
    }));
    world.run_until(World::moment(30));
    let everybody = world.asked[&Goal::Bills(0)];
    (world, everybody)
}

/// Asks for some meters' bills, as a utility that has changed its mind.
fn ask(world: &mut World, meters: &[MeterId]) -> Result<QueryId, Rule> {
    ask_over(world, day(0), meters)
}

/// Asks for some meters' bills over a period.
fn ask_over(world: &mut World, period: SlotRange, meters: &[MeterId]) -> Result<QueryId, Rule> {
    let tariffs = world.tariff_hashes();
    let asked = world.with_sink(|sink, now, store, rng| {
        match sink.ask_bills(period, &tariffs, meters, now, store, rng) {
            Ok((id, sends)) => (Ok(id), sends),
            Err(SinkError::Refused(refusal)) => (Err(refusal.rule), Vec::new()),
            Err(error) => panic!("{error}"),
        }
    });
    asked.expect("the sink is up")
}

/// Everybody has one bill, and no query is open.
fn check(world: &World) {
    let party = &world.parties[&Name::Sink];
    for meter in world.meter_ids() {
        let bills = bills_of(meter, &party.store).expect("the store runs");
        assert_eq!(bills.iter().map(|bill| bill.window).collect::<Vec<_>>(), [day(0)], "{meter}");
    }
    assert_eq!(party.sink().expect("the sink is up").status("up", world.now).status.backlog, 0);
}

/// A query that has no cut gives way to those that ask for its meters anew, also after a restart; whoever has answered it votes for them.
#[test]
fn a_query_without_a_cut_gives_way() {
    seeds("a_query_without_a_cut_gives_way", 8, |seed| {
        let (mut world, everybody) = held_up_at(seed, "/inventory/");
        if seed % 2 == 1 {
            world.kill(Name::Sink, Some(world.now.plus(60_000)));
            world.run_until(World::moment(31));
        }
        let meters = world.meter_ids();
        let (first, second) =
            (ask(&mut world, &meters[..2]).unwrap(), ask(&mut world, &meters[2..]).unwrap());
        assert!(world.parties[&Name::Sink].sink().unwrap().release(everybody).is_none());
        world.network.gates.clear();
        world.run_until(World::moment(60));
        check(&world);
        for id in [first, second] {
            assert!(world.witness.votes.contains_key(&id));
        }
        assert!(!world.witness.votes.contains_key(&everybody), "nobody votes for what was withdrawn");
    });
}

/// A query that has a cut may have votes: its meters are asked for again only once it has ended.
#[test]
fn a_query_with_a_cut_keeps_its_meters() {
    seeds("a_query_with_a_cut_keeps_its_meters", 8, |seed| {
        let (mut world, everybody) = held_up_at(seed, "/vote/");
        if seed % 2 == 1 {
            world.kill(Name::Sink, Some(world.now.plus(60_000)));
            world.run_until(World::moment(31));
        }
        let meters = world.meter_ids();
        assert_eq!(ask(&mut world, &meters[..2]), Err(Rule::Continuity));
        assert!(world.parties[&Name::Sink].sink().unwrap().release(everybody).is_some());
        world.network.gates.clear();
        world.run_until(World::moment(60));
        check(&world);
    });
}

/// Whoever is in intervals and turns out to have a gap gets no bill, and nobody votes for a cut that has it: the others are billed.
#[test]
fn who_cannot_be_billed_beside_intervals_stands_in_nobodys_way() {
    seeds("who_cannot_be_billed_beside_intervals_stands_in_nobodys_way", 8, |seed| {
        let setup = Setup { homes: 4, days: 1, grid: true, ..Setup::new(4, 2) };
        let mut world = World::new(seed, setup, |_, _| Faults::none());
        world.goals.remove(&Goal::Bills(0));
        world.run_to_the_end(48);
        let gap = Slot(day(0).end().0 - world.setup.batch_slots);
        world.villainies.extend([2, 3].map(|liar| denies(liar, 3, gap)));
        let meters = world.meter_ids();
        let all = ask(&mut world, &meters).unwrap();
        if seed % 2 == 1 {
            world.run_until(world.now.plus(20_000));
            world.kill(Name::Sink, Some(world.now.plus(60_000)));
        }
        world.run_until(world.now.plus(3_600_000));
        let party = &world.parties[&Name::Sink];
        assert_eq!(party.sink().unwrap().given_up(all, &party.store).unwrap(), Some(Rule::Differencing));
        assert_eq!(world.rows_of(Name::Sink, "unbilled"), 1, "who stood in the way is kept");
        assert!(!world.witness.votes.contains_key(&all), "nobody votes for what was withdrawn");
        ask(&mut world, &meters[..3]).unwrap();
        world.run_until(world.now.plus(3_600_000));
        let store = &world.parties[&Name::Sink].store;
        let bills =
            |meter| bills_of(meter, store).unwrap().iter().map(|bill| bill.window).collect::<Vec<_>>();
        assert!(meters[..3].iter().all(|meter| bills(*meter) == [day(0)]));
        assert_eq!(bills(meters[3]), []);
    });
}

/// Records end where batches do: bills and intervals go together also where a period begins within a batch.
#[test]
fn bills_and_intervals_go_together_whenever_a_period_begins() {
    seeds("bills_and_intervals_go_together_whenever_a_period_begins", 8, |seed| {
        let setup = Setup { homes: 4, days: 3, grid: true, ..Setup::new(4, 2) };
        let mut world = World::new(seed, setup, |_, _| Faults::none());
        world.goals.clear();
        world.run_to_the_end(48);
        let early = 1 + u32::try_from(seed).unwrap() % 5;
        let meters = world.meter_ids();
        let period = range(day(0).end().0 - early, day(2).end().0 - early);
        ask_over(&mut world, period, &meters).unwrap();
        world.run_until(world.now.plus(3_600_000));
        let store = &world.parties[&Name::Sink].store;
        let window = range(day(1).start().0, day(2).end().0 - world.setup.batch_slots);
        for meter in &meters {
            let bills = bills_of(*meter, store).unwrap();
            assert_eq!(bills.iter().map(|bill| bill.window).collect::<Vec<_>>(), [window]);
        }
        let group = world.deployment.meters[0].group.clone();
        for part in [interval(1, 0), interval(2, 2)] {
            world.with_sink(|sink, now, store, rng| {
                let asked = sink.ask_interval((part, window), group.clone(), &meters, now, store, rng);
                asked.expect("the rules allow it")
            });
        }
        world.run_until(world.now.plus(3_600_000));
        assert_eq!(intervals_of(&group, &world.parties[&Name::Sink].store).unwrap().len(), 2);
    });
}

/// An interval that all or some of the members can never be in is given up, with the rule.
#[test]
fn an_interval_that_a_member_may_not_be_in_is_given_up() {
    let setup = Setup { homes: 4, days: 1, grid: true, ..Setup::new(4, 2) };
    let mut world = World::new(5, setup, |_, _| Faults::none());
    world.goals.clear();
    world.run_to_the_end(48);
    let (meters, group) = (world.meter_ids(), world.deployment.meters[0].group.clone());
    // Bills of registers only are of no group's window: who has one is in no curve of these slots.
    world.with_sink(|sink, now, store, rng| {
        sink.ask_bills(day(0), &[], &meters, now, store, rng).expect("the rules allow it")
    });
    world.run_until(world.now.plus(3_600_000));
    assert_eq!(world.rows_of(Name::Sink, "bill"), 4);
    let query = world.with_sink(|sink, now, store, rng| {
        let asked = sink.ask_interval((interval(0, 0), day(0)), group.clone(), &meters, now, store, rng);
        asked.expect("the rules allow it")
    });
    world.run_until(world.now.plus(48 * 3_600_000));
    let party = &world.parties[&Name::Sink];
    let given_up = party.sink().unwrap().given_up(query.unwrap(), &party.store).unwrap();
    assert_eq!(given_up, Some(Rule::AlreadyReleased));
}
