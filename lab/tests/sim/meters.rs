//! Meters that lie, whose names are misused, and that are revoked.

use lab::world::network::{Faults, Name};
use protocol::certificate::deployment_context;
use protocol::revocation::Revocation;
use protocol::rule::Rule;
use protocol::signature::{Signed, SigningKey};
use protocol::topic::Channel;
use serde_bytes::ByteBuf;
use utility_sink::sink::ledger::bills_of;

use crate::homes::{FIRST, day, day_part, range};
use crate::villain::Deal;
use crate::world::{Goal, Setup, World};
use crate::{CONFUSION, seeds};

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
