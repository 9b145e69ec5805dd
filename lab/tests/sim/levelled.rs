//! Mode `levelled` with real roles: key ceremony, uploads, releases; under faults and attacks.

#![expect(clippy::cast_precision_loss, reason = "energies are small")]

use deployment::Deployment;
use lab::levelled::{Scene, Town};
use lab::world::network::{Message, Name};
use lab::world::{Villainy, Watch};
use protocol::id::Hash;
use protocol::levelled::plan::Profile;
use protocol::rule::Rule;
use protocol::topic::Outgoing;
use store::{MemoryStore, Table};

mod attacks;
mod faults;
mod functions;

/// Slots a window.
const WINDOW: u16 = 16;

/// Every message that was published.
#[derive(Debug, Default)]
struct Transcript(Vec<Message>);

impl Watch for Transcript {
    fn message(&mut self, _: Name, message: &Message, _: &MemoryStore, _: &Deployment) {
        self.0.push(message.clone());
    }
}

type World = Town<Transcript>;

/// Two groups of three homes, two windows, and a network without fault.
fn scene() -> Scene {
    Scene {
        batch: 8,
        window: WINDOW,
        windows: 2,
        peak: 4_000,
        full_scale: 4_096,
        seed: 1,
        ..Scene::quiet(Profile::Medium, 2, 3).unwrap()
    }
}

/// A world whose homes have measured already.
fn open(scene: Scene) -> World {
    let mut world = Town::new(scene, Transcript::default()).unwrap();
    world.measure();
    world
}

/// Makes a key, and lets every meter have it and deliver everything.
fn make_key(world: &mut World) -> Hash {
    let key = world.make_key().unwrap();
    world.deliver().unwrap();
    key
}

/// A man in the middle: what he gives instead of a message.
fn gate(mut gate: impl FnMut(Name, &Outgoing) -> Vec<Outgoing> + 'static) -> Villainy {
    Box::new(move |_, from, sends| {
        *sends = std::mem::take(sends).iter().flat_map(|send| gate(from, send)).collect();
    })
}

/// Σ_m x_m[t] of a group in a window.
fn curve(world: &World, group: usize, window: usize) -> Vec<f64> {
    let slots = window * usize::from(WINDOW)..(window + 1) * usize::from(WINDOW);
    slots.map(|t| world.loads(group).iter().map(|home| home[t] as f64).sum()).collect()
}

/// Whether some refusal was by this rule.
fn refused(world: &World, rule: Rule) -> bool {
    world.refusals.iter().any(|(_, refusal)| refusal.rule == rule)
}

/// How many uploads an aggregator holds.
fn uploads(world: &World, index: usize) -> usize {
    let store = &world.parties[&Name::Aggregator(index)].store;
    store::entries(Table("levelled-upload"), store).unwrap().len()
}
