//! A small deployment in memory: real roles, their stores, and a network that loses, doubles and reorders; parties that crash.

use std::collections::BTreeMap;
use std::time::Duration;

use aggregator_worker::aggregator::{self, Aggregator, LevelledPace};
use deployment::{self, Deployment};
use meter_agent::meter::{self, Meter, Reading};
use protocol::hpke_box::Suite;
use protocol::id::{Hash, QueryId};
use protocol::levelled::function::{Function, Subject};
use protocol::levelled::plan::{Plan, Profile};
use protocol::policy::Policy;
use protocol::rule::Refusal;
use protocol::topic::{Handled, Outgoing};
use protocol::unit::{Moment, Register, Slot, SlotLength, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};
use store::{MemoryStore, Store};
use utility_sink::sink::levelled::finding::finding_of;
use utility_sink::sink::levelled::{Finding, Question};
use utility_sink::sink::{self, Sink};

/// Slots a window.
pub(crate) const WINDOW: u16 = 16;

/// The first window.
pub(crate) const FIRST: u32 = 120_000;

/// What may go wrong, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) drop: u32,
    pub(crate) duplicate: u32,
    pub(crate) crash: u32,
    pub(crate) reorder: bool,
}

/// What the world is to be like.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) aggregators: usize,
    pub(crate) threshold: usize,
    pub(crate) homes: usize,
    pub(crate) group: usize,
    pub(crate) batch: u32,
    pub(crate) profile: Profile,
    pub(crate) k: u16,
    pub(crate) bill_days: u16,
    pub(crate) log_openings: u8,
    pub(crate) faults: Faults,
    pub(crate) confirm: bool,
    pub(crate) seed: u64,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            aggregators: 4,
            threshold: 2,
            homes: 6,
            group: 3,
            batch: 8,
            profile: Profile::Medium,
            k: 3,
            bill_days: 28,
            log_openings: 10,
            faults: Faults::default(),
            confirm: false,
            seed: 1,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Name {
    Sink,
    Aggregator(usize),
    Meter(usize),
}

enum Role {
    Sink(Box<Sink>),
    Aggregator(Box<Aggregator>),
    Meter(Box<Meter>),
}

pub(crate) struct Party {
    role: Option<Role>,
    pub(crate) store: MemoryStore,
    rng: ChaCha20Rng,
    inbox: Vec<(String, Vec<u8>)>,
    filters: Vec<String>,
    /// It does not take part for now.
    pub(crate) away: bool,
}

/// A network's man in the middle: what it gives instead of a message.
pub(crate) type Gate = Box<dyn FnMut(Name, &Outgoing) -> Vec<Outgoing>>;

pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(crate) deployment: Deployment,
    pub(crate) parties: BTreeMap<Name, Party>,
    pub(crate) now: Moment,
    pub(crate) refusals: Vec<(Name, Refusal)>,
    /// Every message that was published.
    pub(crate) transcript: Vec<(String, Vec<u8>)>,
    pub(crate) gate: Option<Gate>,
    pub(crate) crashes: usize,
    rng: ChaCha8Rng,
    /// What homes used: window ‖ home → energies.
    pub(crate) homes: Vec<Vec<i64>>,
}

fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

impl World {
    pub(crate) fn new(scene: Scene) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(scene.seed);
        let slot = SlotLength::try_from(900).unwrap();
        let plan = deployment::Plan {
            name: "town".into(),
            aggregators: scene.aggregators,
            threshold: scene.threshold,
            suite: Suite::X25519,
            slot,
            policy: Policy { k: scene.k, bill_days: scene.bill_days, ..Policy::production() },
            homes: (0..scene.homes).map(|home| format!("home-{home}")).collect(),
            group: scene.group,
            valid_from: Timestamp(0),
            valid_to: Timestamp(u64::from(u32::MAX)),
        };
        let deployment = Deployment::create(&plan, &mut ChaCha20Rng::seed_from_u64(scene.seed)).unwrap();
        let start = slot.start_of(Slot((FIRST + 2) * u32::from(WINDOW)));
        let names = [Name::Sink]
            .into_iter()
            .chain((0..scene.aggregators).map(Name::Aggregator))
            .chain((0..scene.homes).map(Name::Meter));
        let homes =
            (0..scene.homes).map(|_| (0..2 * WINDOW).map(|_| rng.random_range(0..4_000)).collect()).collect();
        let mut world = Self {
            deployment,
            parties: BTreeMap::new(),
            now: Moment(start.0 * 1_000),
            refusals: Vec::new(),
            transcript: Vec::new(),
            gate: None,
            crashes: 0,
            rng,
            homes,
            scene,
        };
        for (index, name) in (0..).zip(names) {
            let party = Party {
                role: None,
                store: MemoryStore::default(),
                rng: ChaCha20Rng::seed_from_u64(world.scene.seed << 16 | index),
                inbox: Vec::new(),
                filters: Vec::new(),
                away: false,
            };
            world.parties.insert(name, party);
            world.start(name);
        }
        for index in 0..world.scene.homes {
            world.measure(index);
        }
        world
    }

    /// Starts a party from its store.
    fn start(&mut self, name: Name) {
        let Self { deployment, parties, now, scene, .. } = self;
        let party = parties.get_mut(&name).unwrap();
        party.store.crash();
        let (roster, store) = (deployment.roster.clone(), &mut party.store);
        let role = match name {
            Name::Sink => {
                let pace = sink::levelled::LevelledPace {
                    resend: 2_000,
                    resend_last: 6_000,
                    settle: 1_000,
                    patience: 8_000,
                    confirm: scene.confirm,
                };
                let sink = Sink::open(deployment.sink_identity(), roster, sink::Pace::default(), store, *now);
                Role::Sink(Box::new(sink.unwrap().with_levelled(pace, store, *now).unwrap()))
            }
            Name::Aggregator(index) => {
                let identity = deployment.aggregator_identity(&deployment.aggregators[index]);
                let aggregator =
                    Aggregator::open(identity, roster, aggregator::Pace::default(), store).unwrap();
                let pace = LevelledPace { resend_first: 1_000, resend_last: 6_000 };
                Role::Aggregator(Box::new(aggregator.with_levelled(pace, store).unwrap()))
            }
            Name::Meter(index) => {
                let identity = deployment.meter_identity(&deployment.meters[index]);
                let pace = meter::Pace {
                    batch_slots: scene.batch,
                    resend_first: Duration::from_secs(2),
                    resend_last: Duration::from_secs(6),
                    ..meter::Pace::default()
                };
                let meter = Meter::open(identity, roster, deployment.floor(), pace, store, *now).unwrap();
                Role::Meter(Box::new(meter.with_levelled(store, *now).unwrap()))
            }
        };
        party.filters = match &role {
            Role::Sink(sink) => sink.filters(),
            Role::Aggregator(aggregator) => aggregator.filters(),
            Role::Meter(meter) => meter.filters(),
        };
        party.inbox.clear();
        let sends = if let Role::Sink(sink) = &role { sink.announcements() } else { Vec::new() };
        party.role = Some(role);
        self.publish(name, sends);
    }

    /// A meter measures its windows.
    fn measure(&mut self, index: usize) {
        let energies = self.homes[index].clone();
        let mut register = 1_000;
        for (step, energy) in (0..).zip([0].into_iter().chain(energies)) {
            register += energy.unsigned_abs();
            let at = Slot(FIRST * u32::from(WINDOW) + step);
            let reading = Reading::new(at, Register::try_from(register).unwrap());
            self.act(Name::Meter(index), |role, now, store, rng| {
                let Role::Meter(meter) = role else { unreachable!() };
                Handled::sending(meter.observe(reading, now, store, rng).unwrap().unwrap())
            });
        }
        self.act(Name::Meter(index), |role, now, store, rng| {
            let Role::Meter(meter) = role else { unreachable!() };
            Handled::sending(meter.flush(now, store, rng).unwrap())
        });
    }

    /// A party does something, commits and publishes; or crashes somewhere in between.
    fn act(
        &mut self,
        name: Name,
        act: impl FnOnce(&mut Role, Moment, &mut MemoryStore, &mut ChaCha20Rng) -> Handled,
    ) {
        let now = self.now;
        let party = self.parties.get_mut(&name).unwrap();
        let handled = act(party.role.as_mut().unwrap(), now, &mut party.store, &mut party.rng);
        if let Some(refusal) = handled.refusal {
            self.refusals.push((name, refusal));
        }
        let crash = self.scene.faults.crash;
        if crash > 0 && !matches!(name, Name::Meter(_)) && self.rng.random_range(0..1_000) < crash {
            // before the commit: all is as it was; after it: stored, and never said
            if self.rng.random() {
                self.parties.get_mut(&name).unwrap().store.commit().unwrap();
            }
            self.crashes += 1;
            return self.start(name);
        }
        self.parties.get_mut(&name).unwrap().store.commit().unwrap();
        self.publish(name, handled.sends);
    }

    pub(crate) fn publish(&mut self, from: Name, sends: Vec<Outgoing>) {
        for send in sends {
            let through = match &mut self.gate {
                Some(gate) => gate(from, &send),
                None => vec![send],
            };
            for send in through {
                self.route(&send);
            }
        }
    }

    fn route(&mut self, send: &Outgoing) {
        let topic = send.topic.to_string();
        assert!(send.payload.len() <= 16 * 1_024, "{topic} has {} bytes", send.payload.len());
        let Faults { drop, duplicate, .. } = self.scene.faults;
        for party in self.parties.values_mut() {
            if party.away || !party.filters.iter().any(|filter| matches(filter, &topic)) {
                continue;
            }
            let copies = 1 + u32::from(self.rng.random_range(0..1_000) < duplicate);
            for _ in 0..copies {
                if self.rng.random_range(0..1_000) >= drop {
                    party.inbox.push((topic.clone(), send.payload.clone()));
                }
            }
        }
        self.transcript.push((topic, send.payload.clone()));
    }

    /// One delivery to somebody; false if there is none.
    fn deliver(&mut self) -> bool {
        let busy: Vec<Name> = self
            .parties
            .iter()
            .filter(|(_, p)| !p.inbox.is_empty() && !p.away)
            .map(|(name, _)| *name)
            .collect();
        if busy.is_empty() {
            return false;
        }
        let name = busy[self.rng.random_range(0..busy.len())];
        let inbox = &mut self.parties.get_mut(&name).unwrap().inbox;
        let ahead = if self.scene.faults.reorder { inbox.len().min(40) } else { 1 };
        let (topic, payload) = inbox.remove(self.rng.random_range(0..ahead));
        self.act(name, |role, now, store, rng| match role {
            Role::Sink(sink) => sink.handle(&topic, &payload, now, store).unwrap(),
            Role::Aggregator(aggregator) => aggregator.handle(&topic, &payload, now, store, rng).unwrap(),
            Role::Meter(meter) => meter.handle(&topic, &payload, now, store).unwrap(),
        });
        true
    }

    /// Time passes for everybody.
    fn tick(&mut self) {
        self.now = self.now.plus(500);
        let names: Vec<Name> = self.parties.iter().filter(|(_, p)| !p.away).map(|(name, _)| *name).collect();
        for name in names {
            self.act(name, |role, now, store, rng| {
                Handled::sending(match role {
                    Role::Sink(sink) => sink.tick(now, store).unwrap(),
                    Role::Aggregator(aggregator) => aggregator.tick(now, store, rng).unwrap(),
                    Role::Meter(meter) => meter.tick(now, store, rng).unwrap(),
                })
            });
        }
    }

    /// Goes on until something holds; panics if it does not within so many ticks.
    pub(crate) fn until(&mut self, what: &str, ticks: usize, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..ticks {
            if holds(self) {
                return;
            }
            for _ in 0..4_000 {
                if !self.deliver() {
                    break;
                }
            }
            self.tick();
        }
        let last: Vec<_> = self.refusals.iter().rev().take(8).collect();
        assert!(holds(self), "{what} did not come about in {ticks} ticks; last refusals {last:?}");
    }

    /// Lets some time pass.
    pub(crate) fn idle(&mut self, ticks: usize) {
        for _ in 0..ticks {
            while self.deliver() {}
            self.tick();
        }
        while self.deliver() {}
    }

    pub(crate) fn sink(&self) -> &Sink {
        match &self.parties[&Name::Sink].role {
            Some(Role::Sink(sink)) => sink,
            _ => unreachable!("the sink is a sink"),
        }
    }

    pub(crate) fn meter(&self, index: usize) -> &Meter {
        match &self.parties[&Name::Meter(index)].role {
            Some(Role::Meter(meter)) => meter,
            _ => unreachable!("a meter is one"),
        }
    }

    /// The sink does what somebody wants of it.
    pub(crate) fn with_sink<T>(
        &mut self,
        act: impl FnOnce(&mut Sink, Moment, &mut dyn Store, &mut ChaCha20Rng) -> (T, Vec<Outgoing>),
    ) -> T {
        let now = self.now;
        let party = self.parties.get_mut(&Name::Sink).unwrap();
        let Some(Role::Sink(sink)) = &mut party.role else { unreachable!() };
        let (value, sends) = act(sink, now, &mut party.store, &mut party.rng);
        party.store.commit().unwrap();
        self.publish(Name::Sink, sends);
        value
    }

    /// The plan of this scene's key.
    pub(crate) fn plan(&self) -> Plan {
        Plan {
            nonce: QueryId::from([7; 16]),
            profile: self.scene.profile,
            full_scale: 4_096,
            window: WINDOW,
            k: self.scene.k,
            log_openings: self.scene.log_openings,
            smudging_bits: 40,
        }
    }

    /// Makes a key, and lets every meter have it and deliver everything.
    pub(crate) fn make_key(&mut self, ticks: usize) -> Hash {
        let plan = self.plan();
        let key = self.with_sink(|sink, now, store, _| sink.plan_key(plan, now, store).unwrap());
        self.until("the key", ticks, |world| world.sink().has_key(&key));
        self.until("the delivery", ticks, |world| {
            (0..world.scene.homes).all(|home| world.meter(home).has_collective_key())
                && (0..world.scene.homes).all(|home| world.levelled_backlog(home) == 0)
        });
        key
    }

    /// What a meter still has to deliver: what is queued, and what somebody has not said to hold.
    pub(crate) fn levelled_backlog(&self, home: usize) -> usize {
        let store = &self.parties[&Name::Meter(home)].store;
        ["levelled-queue", "levelled-owed"]
            .map(|table| store::entries(store::Table(table), store).unwrap().len())
            .iter()
            .sum()
    }

    /// How many uploads an aggregator holds.
    pub(crate) fn levelled_held(&self, index: usize) -> usize {
        let store = &self.parties[&Name::Aggregator(index)].store;
        store::entries(store::Table("levelled-upload"), store).unwrap().len()
    }

    /// A party starts again from another store.
    pub(crate) fn restore(&mut self, name: Name, store: MemoryStore) {
        self.parties.get_mut(&name).unwrap().store = store;
        self.start(name);
    }

    pub(crate) fn subject(group: usize, window: u32) -> Subject {
        Subject { group: format!("group-{group}").parse().unwrap(), window: FIRST + window }
    }

    pub(crate) fn ask(&mut self, key: Hash, function: &Function, subjects: &[Subject]) -> QueryId {
        let (function, subjects) = (function.clone(), subjects.to_vec());
        let question = Question { key, function, subjects, members: 0 };
        self.with_sink(|sink, now, store, rng| sink.ask_levelled(question, now, store, rng).unwrap())
    }

    pub(crate) fn finding(&self, id: QueryId) -> Option<Finding> {
        finding_of(id, &self.parties[&Name::Sink].store).unwrap()
    }

    /// Asks, and waits for the finding.
    pub(crate) fn find(
        &mut self,
        key: Hash,
        function: &Function,
        subjects: &[Subject],
        ticks: usize,
    ) -> Finding {
        let id = self.ask(key, function, subjects);
        self.until(function.name(), ticks, |world| world.finding(id).is_some());
        self.finding(id).unwrap()
    }

    /// Σ_m x_m[t] of a group in a window.
    pub(crate) fn curve(&self, group: usize, window: usize) -> Vec<f64> {
        let members = (group - 1) * self.scene.group..group * self.scene.group;
        let slots = window * usize::from(WINDOW)..(window + 1) * usize::from(WINDOW);
        slots.map(|t| members.clone().map(|home| self.homes[home][t] as f64).sum()).collect()
    }

    /// Whether some refusal was by this rule.
    pub(crate) fn refused(&self, rule: protocol::rule::Rule) -> bool {
        self.refusals.iter().any(|(_, refusal)| refusal.rule == rule)
    }
}
