//! A utility that asks twice, cuts as it likes, and says different things to different aggregators.

use lab::world::network::{Faults, Name};
use protocol::certificate::deployment_context;
use protocol::release::cut::Cut;
use protocol::release::inventory::{Holding, InventoryAnswer};
use protocol::release::query::Query;
use protocol::release::vote::Vote;
use protocol::rule::Rule;
use protocol::signature::Signed;
use protocol::topic::Channel;

use crate::homes::{day, day_part, tariffs};
use crate::villain::Deal;
use crate::world::{Setup, World};

/// A second query for what was released is refused by everybody.
#[test]
fn nothing_is_released_twice() {
    let mut world = World::new(1, Setup { days: 1, ..Setup::new(4, 2) }, |_, _| Faults::none());
    world.run_to_the_end(24);
    let (meters, tariffs) = (world.meter_ids(), world.tariff_hashes());
    let asked = world.with_sink(|sink, now, store, rng| {
        sink.ask_bills_unanchored(day(0), &tariffs, &meters, now, store, rng).unwrap()
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
    let query = world.crafted_query(&world.tariff_hashes());
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
