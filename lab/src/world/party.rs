//! A party: a real role, its store, its randomness; up or down.

use std::fmt;
use std::ops::Range;

use aggregator_worker::aggregator::{self, Aggregator};
use deployment::Deployment;
use meter_agent::meter::{self, Meter};
use protocol::hpke_box::OpeningKey;
use protocol::roster::Roster;
use protocol::topic::{Handled, Outgoing};
use protocol::unit::Moment;
use rand_chacha::ChaCha20Rng;
use store::MemoryStore;
use utility_sink::sink::{self, Sink};

use super::network::{Message, Name};

/// Why a role's own error is a panic here: a store in memory fails only where a test has it fail.
const RUNS: &str = "a role goes on while its store does";

/// A role at work.
pub enum Role {
    /// A meter.
    Meter(Box<Meter>),
    /// An aggregator.
    Aggregator(Box<Aggregator>),
    /// The sink.
    Sink(Box<Sink>),
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Meter(_) => "Meter",
            Self::Aggregator(_) => "Aggregator",
            Self::Sink(_) => "Sink",
        })
    }
}

/// How all roles pace themselves.
#[derive(Clone, Debug)]
pub struct Paces {
    /// Every meter.
    pub meter: meter::Pace,
    /// Every aggregator.
    pub aggregator: aggregator::Pace,
    /// The sink.
    pub sink: sink::Pace,
    /// Mode `levelled`, if it is on: aggregators and sink.
    pub levelled: Option<(aggregator::LevelledPace, sink::levelled::LevelledPace)>,
    /// Milliseconds from a party's tick to its next one.
    pub tick: Range<u64>,
    /// Deliveries that may go into one commit beside the first.
    pub group: usize,
}

/// What whoever runs a party has given it beside its first keys.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The roster that it is to start with.
    pub roster: &'a Roster,
    /// Its next box key.
    pub box_key: Option<&'a OpeningKey>,
}

fn copy(key: &OpeningKey) -> OpeningKey {
    OpeningKey::from_bytes(key.key_id(), key.suite(), key.as_bytes()).expect("a key's own bytes are a key")
}

/// A party.
pub struct Party {
    /// Who it is.
    pub name: Name,
    /// What it keeps.
    pub store: MemoryStore,
    /// Its randomness.
    pub rng: ChaCha20Rng,
    /// Its role, while it is up.
    pub role: Option<Role>,
    /// What the broker keeps for it while it is away.
    pub held: Vec<Message>,
    /// It never starts again.
    pub dead: bool,
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party").field("name", &self.name).field("dead", &self.dead).finish_non_exhaustive()
    }
}

impl Party {
    /// A party that is down and has stored nothing.
    pub(super) fn new(name: Name, rng: ChaCha20Rng) -> Self {
        Self { name, store: MemoryStore::default(), rng, role: None, held: Vec::new(), dead: false }
    }

    /// Starts the role from its store.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub(super) fn start(&mut self, deployment: &Deployment, given: Given<'_>, paces: &Paces, now: Moment) {
        let Given { roster, box_key } = given;
        let (roster, store) = (roster.clone(), &mut self.store);
        let starts = "a role starts from what it stored";
        self.role = Some(match self.name {
            Name::Meter(index) => {
                let identity = deployment.meter_identity(&deployment.meters[index]);
                let (floor, pace) = (deployment.floor(), paces.meter.clone());
                let mut meter = Meter::open(identity, roster, floor, pace, store, now).expect(starts);
                if paces.levelled.is_some() {
                    meter = meter.with_levelled(store, now).expect(starts);
                }
                Role::Meter(Box::new(meter))
            }
            Name::Aggregator(index) => {
                let mut identity = deployment.aggregator_identity(&deployment.aggregators[index]);
                identity.box_keys.extend(box_key.map(copy));
                let pace = paces.aggregator.clone();
                let mut aggregator = Aggregator::open(identity, roster, pace, store).expect(starts);
                if let Some((pace, _)) = &paces.levelled {
                    aggregator = aggregator.with_levelled(pace.clone(), store).expect(starts);
                }
                Role::Aggregator(Box::new(aggregator))
            }
            Name::Sink => {
                let mut identity = deployment.sink_identity();
                identity.box_keys.extend(box_key.map(copy));
                let mut sink = Sink::open(identity, roster, paces.sink.clone(), store, now).expect(starts);
                if let Some((_, pace)) = &paces.levelled {
                    sink = sink.with_levelled(pace.clone(), store, now).expect(starts);
                }
                Role::Sink(Box::new(sink))
            }
        });
    }

    pub(super) fn filters(&self) -> Vec<String> {
        match &self.role {
            Some(Role::Meter(meter)) => meter.filters(),
            Some(Role::Aggregator(aggregator)) => aggregator.filters(),
            Some(Role::Sink(sink)) => sink.filters(),
            None => Vec::new(),
        }
    }

    /// Handles one delivery.
    ///
    /// # Panics
    ///
    /// If the role stops, or the party is down.
    pub fn handle(&mut self, message: &Message, now: Moment) -> Handled {
        let Self { role, store, rng, .. } = self;
        let Message { topic, payload } = message;
        match role.as_mut().expect("it is up") {
            Role::Meter(meter) => meter.handle(topic, payload, now, store).expect(RUNS),
            Role::Aggregator(aggregator) => aggregator.handle(topic, payload, now, store, rng).expect(RUNS),
            Role::Sink(sink) => sink.handle(topic, payload, now, store).expect(RUNS),
        }
    }

    pub(super) fn tick(&mut self, now: Moment) -> Vec<Outgoing> {
        let Self { role, store, rng, .. } = self;
        match role.as_mut().expect("it is up") {
            Role::Meter(meter) => meter.tick(now, store, rng).expect(RUNS),
            Role::Aggregator(aggregator) => aggregator.tick(now, store, rng).expect(RUNS),
            Role::Sink(sink) => sink.tick(now, store).expect(RUNS),
        }
    }

    /// A meter measures, and seals what is left if it is the last time.
    pub(super) fn observe(&mut self, readings: &[meter::Reading], last: bool, now: Moment) -> Vec<Outgoing> {
        let Some(Role::Meter(meter)) = &mut self.role else { return Vec::new() };
        let (store, rng) = (&mut self.store, &mut self.rng);
        let mut sends = Vec::new();
        for reading in readings {
            let sealed = meter.observe(*reading, now, store, rng).expect(RUNS);
            sends.extend(sealed.expect("the registers of a home are good"));
        }
        if last {
            sends.extend(meter.flush(now, store, rng).expect(RUNS));
        }
        sends
    }

    /// The meter, if it is one and up.
    pub fn meter(&self) -> Option<&Meter> {
        match &self.role {
            Some(Role::Meter(meter)) => Some(meter),
            _ => None,
        }
    }

    /// The sink, if it is the sink and up.
    pub fn sink(&self) -> Option<&Sink> {
        match &self.role {
            Some(Role::Sink(sink)) => Some(sink),
            _ => None,
        }
    }
}
