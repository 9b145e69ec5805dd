//! Who does not vote, and says so: it may vote later, it stops nobody alone, and nothing that may be voted for is given up.

use std::cell::Cell;

use protocol::part::Assembly;
use protocol::release::objection::Objection;
use protocol::release::vote::Vote;
use protocol::rule::Rule;
use protocol::signature::{Signed, Unverified};
use protocol::topic::{Channel, Outgoing};
use utility_sink::sink::SinkError;

use super::homes::day;
use super::villain::lies_in_answers;
use super::world::{Goal, Setup, World};
use crate::{CONFUSION, seeds};
use lab::world::Villainy;
use lab::world::network::{Faults, Name};

/// An aggregator that votes in its ledger only, and tells the sink that it does not.
fn objects(liar: usize) -> Villainy {
    let mut assembly = Assembly::default();
    Box::new(move |deployment, from, sends| {
        if from != Name::Aggregator(liar) {
            return;
        }
        let mut said = Vec::new();
        for outgoing in std::mem::take(sends) {
            let Channel::Vote(name) = &outgoing.topic.channel else {
                said.push(outgoing);
                continue;
            };
            let whole = assembly.take(&outgoing.topic.to_string(), &outgoing.payload);
            let document = whole.expect("roles publish parts").expect("a vote is one part");
            let vote = Unverified::<Vote>::parse(&document).expect("aggregators sign their votes");
            let Vote { query, cut, point, .. } = *vote.claim();
            let objection = Objection { query, cut, point, rule: Rule::Differencing };
            let key = &deployment.aggregators[liar].key;
            let objection = Signed::sign(objection, key, &deployment.roster.context());
            let topic = Channel::Objection(name.clone()).of(&deployment.roster.document().deployment);
            said.extend(Outgoing::parts(&topic, objection.bytes()));
        }
        *sends = said;
    })
}

/// An aggregator that has missed a release objects to the next one, catches up, and votes; also where its vote is the one that the
/// quorum lacks.
#[test]
fn who_objects_votes_once_it_has_caught_up() {
    let heard = Cell::new(0);
    seeds("who_objects_votes_once_it_has_caught_up", 16, |seed| {
        let mut world = World::new(seed, Setup::new(4, 2), Faults::drawn);
        let (late, gone) = (usize::try_from(seed % 4).unwrap(), usize::try_from((seed + 1) % 4).unwrap());
        world.run_until(World::moment(23));
        world
            .network
            .gates
            .push(Box::new(move |_, to, topic| !(to == Name::Aggregator(late) && topic.ends_with("/cut"))));
        world.run_until(World::moment(47));
        if seed % 2 == 0 && world.has_ended(Goal::Bills(0)) && world.has_ended(Goal::Curve(0)) {
            world.kill(Name::Aggregator(gone), None);
        }
        world.run_until(World::moment(50));
        world.network.gates.clear();
        world.run_to_the_end(120);
        world.run_until(world.now.plus(48 * 3_600_000));
        world.check_laws();
        let answered = world.rows_of(Name::Aggregator(late), "result");
        assert_eq!(answered, world.goals.len(), "aggregator {late} answered every release");
        let point = world.point(late);
        let objections = world.witness.objections.values().filter_map(|of| of.get(&point));
        heard.set(heard.get() + objections.filter(|rule| **rule == Rule::Continuity).count());
        world.check_refusals(CONFUSION);
    });
    assert!(heard.get() > 0, "nobody objected");
}

/// Whoever was away for more releases than a sink takes up at a time learns all of them after it was started again, and can follow.
#[test]
fn who_was_away_for_long_learns_everything() {
    seeds("who_was_away_for_long_learns_everything", 6, |seed| {
        let mut world = World::new(seed, Setup { days: 4, ..Setup::new(4, 2) }, |_, _| Faults::none());
        world.paces.sink.lagging = 2;
        let late = usize::try_from(seed % 4).unwrap();
        world.run_until(World::moment(20));
        world
            .network
            .gates
            .push(Box::new(move |_, to, topic| !(to == Name::Aggregator(late) && topic.ends_with("/cut"))));
        world.run_to_the_end(48);
        assert_eq!(world.rows_of(Name::Aggregator(late), "result"), 0);
        world.kill(Name::Sink, Some(world.now.plus(60_000)));
        world.network.gates.clear();
        world.run_until(world.now.plus(14 * 24 * 3_600_000));
        world.check_laws();
        assert_eq!(world.rows_of(Name::Aggregator(late), "result"), world.goals.len());
        world.check_refusals(CONFUSION);
    });
}

/// As many liars as a quorum does without object to everything: everything is released all the same.
#[test]
fn liars_that_object_stop_nobody() {
    seeds("liars_that_object_stop_nobody", 12, |seed| {
        let (n, t, liars) = [(4, 2, 1), (5, 3, 1), (7, 3, 2)][usize::try_from(seed % 3).unwrap()];
        let mut world = World::new(seed, Setup::new(n, t), Faults::drawn);
        world.villainies.extend((0..liars).map(objects));
        if seed % 2 == 0 && n == 7 {
            world.villainies.push(lies_in_answers(0));
        }
        world.run_to_the_end(72);
        world.check_laws();
        world.check_nothing_is_missing();
        world.check_refusals(&[CONFUSION, &[Rule::Differencing]].concat());
    });
}

/// Where those that object leave no quorum the sink says so and waits, ever more rarely; it gives nothing up, and goes on when they vote.
#[test]
fn what_lacks_a_quorum_is_not_given_up() {
    seeds("what_lacks_a_quorum_is_not_given_up", 12, |seed| {
        let mut world = World::new(seed, Setup { days: 1, ..Setup::new(4, 2) }, Faults::drawn);
        world.villainies.extend([objects(1), objects(2)]);
        world.run_until(World::moment(60));
        let roster = world.deployment.roster.clone();
        let id = world.asked[&Goal::Bills(0)];
        let sink = world.parties[&Name::Sink].sink().unwrap();
        let release = sink.release(id).unwrap();
        assert_eq!(release.blocked(&roster), Some(Rule::Differencing));
        assert!(release.stage(&roster).contains("aggregator 2 votes against it (rule differencing)"));
        assert_eq!(sink.given_up(id, &world.parties[&Name::Sink].store).unwrap(), None);
        assert_eq!(world.rows_of(Name::Sink, "bill"), 0);
        world.villainies.clear();
        if seed % 2 == 0 {
            world.kill(Name::Sink, Some(world.now.plus(60_000)));
        }
        world.run_to_the_end(72);
        world.check_laws();
        world.check_nothing_is_missing();
        world.check_refusals(&[CONFUSION, &[Rule::Differencing]].concat());
    });
}

/// A query that the rules forbid is not asked; one that is in the store all the same is refused by all, given up, and nobody votes for it.
#[test]
fn what_everybody_refuses_is_given_up() {
    seeds("what_everybody_refuses_is_given_up", 12, |seed| {
        let mut world = World::new(seed, Setup::new(4, 2), Faults::drawn);
        world.run_until(World::moment(25));
        let (meters, tariffs) = (world.meter_ids(), world.tariff_hashes());
        let mut asked = None;
        while asked.is_none() {
            world.run_until(world.now.plus(600_000));
            let query = world.with_sink(|sink, now, store, rng| {
                let forbidden = sink.ask_bills(day(0), &tariffs, &meters[..1], now, store, rng);
                let Err(SinkError::Refused(refusal)) = forbidden else { panic!("{forbidden:?}") };
                assert_eq!(refusal.rule, Rule::TariffMeters);
                assert!(
                    refusal.detail.contains("1 meter is in the query; a tariff needs at least 2"),
                    "{refusal}"
                );
                let unchecked = sink.ask_bills_unanchored(day(0), &tariffs, &meters[..1], now, store, rng);
                unchecked.unwrap()
            });
            let kept = |id: &protocol::id::QueryId| {
                let store = super::witness::committed(&world.parties[&Name::Sink].store);
                store::Store::get(&store, store::Table("query"), id.as_bytes()).unwrap().is_some()
            };
            asked = query.filter(kept);
        }
        let id = asked.unwrap();
        world.run_to_the_end(72);
        world.run_until(world.now.plus(12 * 3_600_000));
        let party = &world.parties[&Name::Sink];
        assert_eq!(party.sink().unwrap().given_up(id, &party.store).unwrap(), Some(Rule::TariffMeters));
        assert!(party.sink().unwrap().release(id).is_none());
        assert!(!world.witness.votes.contains_key(&id), "nobody votes for what it refuses");
        world.check_laws();
        world.check_nothing_is_missing();
        world.check_refusals(&[CONFUSION, &[Rule::TariffMeters]].concat());
    });
}
