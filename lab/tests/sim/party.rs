//! A party: a real role, its store, its randomness; up or down.

use std::time::Duration;

use aggregator_worker::aggregator::{self, Aggregator};
use deployment::Deployment;
use meter_agent::meter::{self, Meter};
use protocol::hpke_box::OpeningKey;
use protocol::roster::Roster;
use protocol::rule::Refusal;
use protocol::topic::{Handled, Outgoing};
use protocol::unit::Moment;
use rand_chacha::ChaCha20Rng;
use store::MemoryStore;
use utility_sink::sink::{self, Sink};

use super::network::{Message, Name};

/// A role at work.
pub(crate) enum Role {
    Meter(Box<Meter>),
    Aggregator(Box<Aggregator>),
    Sink(Box<Sink>),
}

/// How all roles pace themselves here: in minutes, since whole days pass.
#[derive(Clone, Debug)]
pub(crate) struct Paces {
    pub(crate) meter: meter::Pace,
    pub(crate) aggregator: aggregator::Pace,
    pub(crate) sink: sink::Pace,
}

impl Paces {
    pub(crate) fn new(batch_slots: u32) -> Self {
        Self {
            meter: meter::Pace {
                batch_slots,
                resend_first: Duration::from_mins(5),
                resend_last: Duration::from_hours(1),
                ..meter::Pace::default()
            },
            aggregator: aggregator::Pace { receipt_every: 60_000, patience: 6 * 3_600_000 },
            sink: sink::Pace { settle: 600_000, resend: 60_000, ..sink::Pace::default() },
        }
    }
}

/// What whoever runs a party has given it beside its first keys.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) roster: &'a Roster,
    pub(crate) box_key: Option<&'a OpeningKey>,
}

fn copy(key: &OpeningKey) -> OpeningKey {
    OpeningKey::from_bytes(key.key_id(), key.suite(), key.as_bytes()).expect("a key's own bytes are a key")
}

/// A party.
pub(crate) struct Party {
    pub(crate) name: Name,
    pub(crate) store: MemoryStore,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) role: Option<Role>,
    /// What the broker keeps for it while it is away.
    pub(crate) held: Vec<Message>,
    /// It never starts again.
    pub(crate) dead: bool,
}

/// The store failed: the party stops.
#[derive(Debug)]
pub(crate) struct Stopped;

impl Party {
    /// Starts the role from its store.
    pub(crate) fn start(&mut self, deployment: &Deployment, given: Given<'_>, paces: &Paces, now: Moment) {
        let Given { roster, box_key } = given;
        let roster = roster.clone();
        self.role = Some(match self.name {
            Name::Meter(index) => {
                let identity = deployment.meter_identity(&deployment.meters[index]);
                let (floor, pace) = (deployment.floor(), paces.meter.clone());
                let meter = Meter::open(identity, roster, floor, pace, &mut self.store, now);
                Role::Meter(Box::new(meter.expect("a meter starts from what it stored")))
            }
            Name::Aggregator(index) => {
                let mut identity = deployment.aggregator_identity(&deployment.aggregators[index]);
                identity.box_keys.extend(box_key.map(copy));
                let aggregator =
                    Aggregator::open(identity, roster, paces.aggregator.clone(), &mut self.store);
                Role::Aggregator(Box::new(aggregator.expect("an aggregator starts from what it stored")))
            }
            Name::Sink => {
                let pace = paces.sink.clone();
                let mut identity = deployment.sink_identity();
                identity.box_keys.extend(box_key.map(copy));
                let sink = Sink::open(identity, roster, pace, &mut self.store, now);
                Role::Sink(Box::new(sink.expect("a sink starts from what it stored")))
            }
        });
    }

    pub(crate) fn filters(&self) -> Vec<String> {
        match &self.role {
            Some(Role::Meter(meter)) => meter.filters(),
            Some(Role::Aggregator(aggregator)) => aggregator.filters(),
            Some(Role::Sink(sink)) => sink.filters(),
            None => Vec::new(),
        }
    }

    /// Takes one delivery.
    pub(crate) fn handle(&mut self, message: &Message, now: Moment) -> Result<Handled, Stopped> {
        let Self { role, store, rng, .. } = self;
        let Message { topic, payload } = message;
        match role.as_mut() {
            Some(Role::Meter(meter)) => meter.handle(topic, payload, now, store).map_err(|_| Stopped),
            Some(Role::Aggregator(aggregator)) => {
                aggregator.handle(topic, payload, now, store, rng).map_err(|_| Stopped)
            }
            Some(Role::Sink(sink)) => sink.handle(topic, payload, now, store).map_err(|_| Stopped),
            None => Err(Stopped),
        }
    }

    /// Takes several, as a service does under one commit.
    pub(crate) fn handle_all(
        &mut self,
        messages: &[Message],
        now: Moment,
    ) -> Result<(Vec<Outgoing>, Vec<Refusal>), Stopped> {
        let (mut sends, mut refusals) = (Vec::new(), Vec::new());
        for message in messages {
            let handled = self.handle(message, now)?;
            sends.extend(handled.sends);
            refusals.extend(handled.refusal);
        }
        Ok((sends, refusals))
    }

    pub(crate) fn tick(&mut self, now: Moment) -> Result<Vec<Outgoing>, Stopped> {
        let Self { role, store, rng, .. } = self;
        match role.as_mut() {
            Some(Role::Meter(meter)) => meter.tick(now, store, rng).map_err(|_| Stopped),
            Some(Role::Aggregator(aggregator)) => aggregator.tick(now, store, rng).map_err(|_| Stopped),
            Some(Role::Sink(sink)) => sink.tick(now, store).map_err(|_| Stopped),
            None => Err(Stopped),
        }
    }

    pub(crate) fn meter(&self) -> Option<&Meter> {
        match &self.role {
            Some(Role::Meter(meter)) => Some(meter),
            _ => None,
        }
    }

    pub(crate) fn sink(&self) -> Option<&Sink> {
        match &self.role {
            Some(Role::Sink(sink)) => Some(sink),
            _ => None,
        }
    }
}
