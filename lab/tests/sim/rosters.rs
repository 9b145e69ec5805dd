//! A roster and the next one: everybody goes forward, nobody goes back.

use std::collections::BTreeSet;

use aggregator_worker::aggregator::Aggregator;
use deployment::Deployment;
use lab::world::network::{Faults, Name};
use protocol::hpke_box::OpeningKey;
use protocol::id::Rid;
use protocol::record::Record;
use protocol::roster::{Roster, RosterDocument, assemble};
use protocol::rule::Rule;
use protocol::shamir::Point;
use protocol::signature::SigningKey;
use protocol::topic::{Channel, Outgoing};
use protocol::unit::{SlotRange, Timestamp};
use serde_bytes::ByteBuf;
use store::Table;
use utility_sink::sink::Sink;

use crate::witness::{committed, rows};
use crate::world::{Setup, World};
use crate::{CONFUSION, seeds};

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
    type Stored = (u64, SlotRange, Rid, ByteBuf, ByteBuf, ByteBuf);
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
