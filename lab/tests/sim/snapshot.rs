//! A device's image that is started twice hands its generator the same state twice.

use meter_agent::meter::{Meter, Pace, Reading};
use protocol::field::Fe;
use protocol::share::ShareMessage;
use protocol::topic::Channel;
use protocol::unit::{Register, Slot};
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use store::MemoryStore;

use super::world::{Setup, World};
use lab::world::network::Faults;

/// The shares of one slot that each aggregator opens, of a meter whose generator starts anew.
fn shares(world: &World, energy: u64) -> Vec<Fe> {
    let (deployment, now) = (&world.deployment, world.now);
    let (keys, roster) = (&deployment.meters[0], &deployment.roster);
    let (mut store, mut rng) = (MemoryStore::default(), ChaCha20Rng::seed_from_u64(7));
    let pace = Pace { batch_slots: 1, ..Pace::default() };
    let identity = deployment.meter_identity(keys);
    let mut meter = Meter::open(identity, roster.clone(), deployment.floor(), pace, &mut store, now).unwrap();
    let first = roster.slot().slot_at(now.timestamp()).unwrap();
    let mut sends = Vec::new();
    for (slot, register) in [(first, 1_000), (Slot(first.0 + 1), 1_000 + energy)] {
        let reading = Reading::new(slot, Register::try_from(register).unwrap());
        sends = meter.observe(reading, now, &mut store, &mut rng).unwrap().unwrap();
    }
    let messages = sends.iter().filter(|send| matches!(send.topic.channel, Channel::Share(..)));
    let share = |(message, of): (&protocol::topic::Outgoing, &deployment::AggregatorKeys)| {
        let message = ShareMessage::parse(&message.payload).unwrap();
        let verified = message.verify(&keys.key.verifying_key(), roster).unwrap();
        let keys = deployment.aggregator_identity(of).box_keys;
        verified.open(&keys, roster).unwrap().energies()[0]
    };
    messages.zip(&deployment.aggregators).map(share).collect()
}

/// Two readings that were shared from the same state differ by nothing that an aggregator could subtract; the same reading has
/// the same shares.
#[test]
fn an_image_that_is_restored_tells_no_difference() {
    let world = World::new(0, Setup::new(4, 2), |_, _| Faults::none());
    let (one, other) = (shares(&world, 300), shares(&world, 425));
    assert_eq!(one.len(), world.deployment.roster.n());
    for (share, other) in one.iter().zip(&other) {
        assert_ne!(*other - *share, Fe::from_u64(125), "the polynomials are the same");
    }
    assert_eq!(shares(&world, 300), one);
}
