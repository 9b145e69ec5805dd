//! Two queries for bills of one meter: at most one of them is ever voted for.

use protocol::id::{MeterId, QueryId};
use protocol::rule::Rule;
use utility_sink::sink::SinkError;
use utility_sink::sink::ledger::bills_of;

use super::homes::day;
use super::network::{Faults, Name};
use super::party::{Party, Role, Stopped};
use super::world::{Goal, Setup, World};
use crate::seeds;

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
    let tariffs: Vec<_> = world.tariffs.iter().map(|(hash, _)| *hash).collect();
    let mut asked = None;
    world.step(Name::Sink, Vec::new(), |party, now| {
        let Party { role: Some(Role::Sink(sink)), store, rng, .. } = party else { return Err(Stopped) };
        match sink.ask_bills(day(0), &tariffs, meters, now, store, rng) {
            Ok((id, sends)) => {
                asked = Some(Ok(id));
                Ok((sends, Vec::new()))
            }
            Err(SinkError::Refused(refusal)) => {
                asked = Some(Err(refusal.rule));
                Ok((Vec::new(), Vec::new()))
            }
            Err(_) => Err(Stopped),
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
