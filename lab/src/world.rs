//! The simulated world: real roles, real stores in memory, a virtual network and clock; one seed, one history.
//!
//! The driver keeps the contract of the services: handle deliveries, commit, publish, acknowledge. What was not
//! acknowledged when a party crashed is delivered again. A crash may come before the commit, in it, after it, and
//! between two messages.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Instant;

use deployment::Deployment;
use meter_agent::meter::Reading;
use protocol::hpke_box::OpeningKey;
use protocol::id::{Hash, MeterId};
use protocol::roster::Roster;
use protocol::rule::Refusal;
use protocol::tariff::{Tariff, TariffDocument};
use protocol::topic::{Handled, Outgoing};
use protocol::unit::{Moment, Slot, SlotLength};
use rand::{RngExt, SeedableRng};
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};
use store::{MemoryStore, Store};
use utility_sink::sink::Sink;

use self::network::{Message, Name, Network};
use self::party::{Given, Paces, Party, Role};
use crate::account::Works;

pub mod network;
pub mod party;

/// The largest payload that a role may publish.
const LARGEST: usize = 16 * 1_024;

/// Who looks on.
pub trait Watch {
    /// Sees a message leave a party whose store is `store`, before a villain changes it.
    fn message(&mut self, from: Name, message: &Message, store: &MemoryStore, deployment: &Deployment);

    /// Sees a party that has committed.
    fn committed(&mut self, _party: &Party) {}
}

/// Nobody looks on.
impl Watch for () {
    fn message(&mut self, _: Name, _: &Message, _: &MemoryStore, _: &Deployment) {}
}

/// A change of what a party says, made by whoever controls it.
pub type Villainy = Box<dyn FnMut(&Deployment, Name, &mut Vec<Outgoing>)>;

/// What happens next.
enum Event {
    Deliver(Name, Message),
    Tick(Name),
    Read(usize),
    Restart(Name),
    BrokerRestart,
    CutOff(Name, bool),
}

/// What a world begins with.
#[derive(Debug)]
pub struct Beginning {
    /// Everybody's keys.
    pub deployment: Deployment,
    /// The first moment.
    pub now: Moment,
    /// How roles pace themselves.
    pub paces: Paces,
    /// The network with its faults.
    pub network: Network,
    /// What each home's meter shows, slot by slot, without a gap.
    pub readings: Vec<Vec<Reading>>,
    /// Whether meters can read again what they missed while they were down.
    pub replayable: bool,
    /// What the sink publishes when it starts.
    pub documents: Vec<TariffDocument>,
}

/// The world.
pub struct World<W> {
    /// Everybody's keys.
    pub deployment: Deployment,
    /// How roles pace themselves from their next start on.
    pub paces: Paces,
    /// The time.
    pub now: Moment,
    /// The network.
    pub network: Network,
    /// Everybody.
    pub parties: BTreeMap<Name, Party>,
    /// Who looks on.
    pub witness: W,
    /// What was rejected, by whom.
    pub refusals: Vec<(Name, Refusal)>,
    /// The tariffs that the sink has published.
    pub tariffs: Vec<(Hash, Tariff)>,
    /// What parties say instead of the truth.
    pub villainies: Vec<Villainy>,
    /// How often a party has crashed.
    pub crashes: u32,
    /// The roster that whoever runs a party has given it, if it is not the first, and the next box keys.
    pub rosters: BTreeMap<Name, Roster>,
    /// The next box keys.
    pub box_keys: BTreeMap<Name, OpeningKey>,
    /// Milliseconds by which every party's clock is ahead.
    pub ahead: u64,
    /// A driver that publishes before it commits: what a simulator must notice.
    pub sends_early: bool,
    /// What roles did.
    pub work: Works,
    readings: Vec<Vec<Reading>>,
    replayable: bool,
    documents: Vec<TariffDocument>,
    rng: ChaCha8Rng,
    events: BTreeMap<(Moment, u64), Event>,
    order: u64,
}

impl<W> fmt::Debug for World<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now).finish_non_exhaustive()
    }
}

impl<W: Watch> World<W> {
    /// A world with all parties up. Nobody has read a meter.
    pub fn new(beginning: Beginning, witness: W, mut rng: ChaCha8Rng) -> Self {
        let Beginning { deployment, now, paces, network, readings, replayable, documents } = beginning;
        let aggregators = (0..deployment.aggregators.len()).map(Name::Aggregator);
        let names = aggregators.chain((0..deployment.meters.len()).map(Name::Meter)).chain([Name::Sink]);
        let parties =
            names.map(|name| (name, Party::new(name, ChaCha20Rng::seed_from_u64(rng.random())))).collect();
        let mut world = Self {
            deployment,
            paces,
            now,
            network,
            parties,
            witness,
            refusals: Vec::new(),
            tariffs: Vec::new(),
            villainies: Vec::new(),
            crashes: 0,
            rosters: BTreeMap::new(),
            box_keys: BTreeMap::new(),
            ahead: 0,
            sends_early: false,
            work: Works::default(),
            readings,
            replayable,
            documents,
            rng,
            events: BTreeMap::new(),
            order: 0,
        };
        for name in world.parties.keys().copied().collect::<Vec<_>>() {
            world.restart(name);
            world.schedule(world.now.plus(1_000), Event::Tick(name));
        }
        world
    }

    fn slot_length(&self) -> SlotLength {
        self.deployment.roster.slot()
    }

    /// Every meter is read at the start of each slot, so many milliseconds late.
    pub fn schedule_readings(&mut self, late: Range<u64>) {
        for home in 0..self.readings.len() {
            for index in 0..self.readings[home].len() {
                let start = self.slot_length().start_of(self.readings[home][index].at).0 * 1_000;
                let late = self.rng.random_range(late.clone());
                self.schedule(Moment(start + late), Event::Read(home));
            }
        }
    }

    /// Parties are cut off for a while, and the broker forgets, at times within `from` and `to`.
    pub fn schedule_faults(&mut self, from: u64, to: u64) {
        let names: Vec<Name> = self.parties.keys().copied().collect();
        for _ in 0..self.network.faults.partitions {
            let name = names[self.rng.random_range(0..names.len())];
            let at = Moment(self.rng.random_range(from..to));
            let lasts = self.rng.random_range(60_000..8 * 3_600_000);
            self.schedule(at, Event::CutOff(name, true));
            self.schedule(Moment((at.0 + lasts).min(to)), Event::CutOff(name, false));
        }
        for _ in 0..self.network.faults.broker_restarts {
            let at = Moment(self.rng.random_range(from..to));
            self.schedule(at, Event::BrokerRestart);
        }
    }

    fn schedule(&mut self, at: Moment, event: Event) {
        self.order += 1;
        self.events.insert((at.max(self.now), self.order), event);
    }

    /// Lets the next event happen if it is not after `until`; returns whose clock ticked, if that was the event.
    pub fn next(&mut self, until: Moment) -> Option<Option<Name>> {
        let (&(at, _), _) = self.events.first_key_value().filter(|((at, _), _)| *at <= until)?;
        let (_, event) = self.events.pop_first()?;
        self.now = at;
        let ticked = if let Event::Tick(name) = &event { Some(*name) } else { None };
        self.happen(event);
        Some(ticked)
    }

    /// Lets events happen up to a moment.
    pub fn run_until(&mut self, until: Moment) {
        while self.next(until).is_some() {}
        self.now = until;
    }

    /// Stops a party; schedules its return if it has one.
    ///
    /// # Panics
    ///
    /// If there is no such party.
    pub fn kill(&mut self, name: Name, back: Option<Moment>) {
        let party = self.parties.get_mut(&name).expect("a party of this world");
        party.store.crash();
        party.role = None;
        party.dead = back.is_none();
        if let Some(back) = back {
            self.schedule(back, Event::Restart(name));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver(to, message) => self.deliver(to, message),
            Event::Tick(name) => {
                let pause = self.rng.random_range(self.paces.tick.clone());
                self.schedule(self.now.plus(pause), Event::Tick(name));
                self.step(name, &[], |party, now| vec![Handled::sending(party.tick(now))]);
            }
            Event::Read(home) => self.read(home),
            Event::Restart(name) => self.restart(name),
            Event::BrokerRestart => {
                self.events.retain(|_, event| !matches!(event, Event::Deliver(..)));
                for party in self.parties.values_mut() {
                    party.held.clear();
                }
                self.network.forget();
                self.announce();
            }
            Event::CutOff(name, true) => drop(self.network.cut_off.insert(name)),
            Event::CutOff(name, false) => {
                self.network.cut_off.remove(&name);
                if name == Name::Sink {
                    self.announce();
                }
            }
        }
    }

    /// The sink has connected again and says what it has to say.
    fn announce(&mut self) {
        self.with_sink(|sink, _, _, _| ((), sink.announcements()));
    }

    fn deliver(&mut self, to: Name, message: Message) {
        let sessions = self.network.faults.sessions;
        let party = self.parties.get_mut(&to).expect("a party of this world");
        if party.dead {
            return;
        }
        if party.role.is_none() {
            if sessions {
                party.held.push(message);
            }
            return;
        }
        // Whatever else is there already goes into the same commit.
        let mut group = vec![message];
        let more = self.rng.random_range(0..=self.paces.group);
        if more > 0 {
            let due: Vec<(Moment, u64)> = self
                .events
                .range(..=(self.now.plus(2_000), 0))
                .filter(|(_, event)| matches!(event, Event::Deliver(name, _) if *name == to))
                .map(|(key, _)| *key)
                .take(more)
                .collect();
            for key in due {
                if let Some(Event::Deliver(_, message)) = self.events.remove(&key) {
                    group.push(message);
                }
            }
        }
        self.step(to, &group, |party, now| group.iter().map(|message| party.handle(message, now)).collect());
    }

    /// A meter is read: what it shows now, and, where meters can be read again, what it has missed.
    ///
    /// # Panics
    ///
    /// If the clock shows no slot.
    pub fn read(&mut self, home: usize) {
        let readings = &self.readings[home];
        let Some(resume) = self.parties[&Name::Meter(home)].meter().map(meter_agent::meter::Meter::resume_at)
        else {
            return;
        };
        let (Some(first), Some(last)) = (readings.first(), readings.last()) else { return };
        let latest = self.slot_length().slot_at(self.now.timestamp()).expect("a slot of this century");
        let latest = latest.min(last.at);
        let from = if self.replayable { resume.map_or(first.at, |at| Slot(at.0 + 1)) } else { latest };
        let from = resume.map_or(from, |at| from.max(Slot(at.0 + 1)));
        let index = |slot: u32| (slot.saturating_sub(first.at.0) as usize).min(readings.len());
        let missed = readings[index(from.0).min(index(latest.0 + 1))..index(latest.0 + 1)].to_vec();
        let ended = latest == last.at;
        self.step(Name::Meter(home), &[], |party, now| {
            vec![Handled::sending(party.observe(&missed, ended, now))]
        });
    }

    fn restart(&mut self, name: Name) {
        let party = self.parties.get_mut(&name).expect("a party of this world");
        if party.role.is_some() || party.dead {
            return;
        }
        party.store.crash();
        let roster = self.rosters.get(&name).unwrap_or(&self.deployment.roster);
        let given = Given { roster, box_key: self.box_keys.get(&name) };
        party.start(&self.deployment, given, &self.paces, self.now);
        let held = std::mem::take(&mut party.held);
        let retained = self.network.subscribe(name, party.filters());
        for message in held.into_iter().chain(retained) {
            let delay = self.rng.random_range(1..1_000);
            self.schedule(self.now.plus(delay), Event::Deliver(name, message));
        }
        match name {
            Name::Sink => {
                let (documents, slot) = (self.documents.clone(), self.slot_length());
                let published = self.with_sink(|sink, _, store, _| {
                    let published = documents.into_iter().map(|document| {
                        let tariff = Tariff::new(document.clone(), slot).expect("a good tariff");
                        (sink.publish_tariff(document, store).expect("the store runs").0, tariff)
                    });
                    let published: Vec<_> = published.collect();
                    (published, sink.announcements())
                });
                self.tariffs.splice(.., published.into_iter().flatten());
            }
            Name::Meter(home) => self.read(home),
            Name::Aggregator(_) => {}
        }
    }

    /// The sink does what somebody wants of it, as one step; nothing if it is down.
    pub fn with_sink<T>(
        &mut self,
        act: impl FnOnce(&mut Sink, Moment, &mut MemoryStore, &mut ChaCha20Rng) -> (T, Vec<Outgoing>),
    ) -> Option<T> {
        let mut done = None;
        self.step(Name::Sink, &[], |party, now| {
            let Party { role: Some(Role::Sink(sink)), store, rng, .. } = party else { return Vec::new() };
            let (value, sends) = act(sink, now, store, rng);
            done = Some(value);
            vec![Handled::sending(sends)]
        });
        done
    }

    /// Hands a message to a party out of turn; what it says is published. Returns what it rejects it by.
    pub fn inject(&mut self, to: Name, topic: String, payload: Vec<u8>) -> Option<Refusal> {
        let mut refusal = None;
        let message = Message { topic, payload };
        self.step(to, &[], |party, now| {
            let handled = party.handle(&message, now);
            refusal = handled.refusal;
            vec![Handled::sending(handled.sends)]
        });
        refusal
    }

    /// One step of a party, with all the ways in which it may end; nothing if the party is down.
    fn step(
        &mut self,
        name: Name,
        deliveries: &[Message],
        act: impl FnOnce(&mut Party, Moment) -> Vec<Handled>,
    ) {
        let now = self.now;
        let faults = &self.network.faults;
        let faulty = now < faults.until && self.rng.random_range(0..1_000) < faults.crash;
        // 0 before the commit, 1 in it, 2 between commit and acknowledgement, 3 after it
        let crash = faulty.then(|| self.rng.random_range(0..4));
        let party = self.parties.get_mut(&name).expect("a party of this world");
        if party.role.is_none() {
            return;
        }
        let began = Instant::now();
        let handled = act(party, now.plus(self.ahead));
        if crash == Some(1) {
            party.store.fail_next_commit();
        }
        let committed = crash != Some(0) && party.store.commit().is_ok();
        self.work.of(name).busy += began.elapsed();
        if committed {
            self.witness.committed(party);
        }
        let mut sends = Vec::new();
        for handled in handled {
            self.refusals.extend(handled.refusal.map(|refusal| (name, refusal)));
            sends.extend(handled.sends);
        }
        if let Some(kind) = crash {
            let sent = if committed || self.sends_early { self.rng.random_range(0..=sends.len()) } else { 0 };
            sends.truncate(sent);
            self.publish(name, sends);
            self.crash(name, if kind == 3 { &[] } else { deliveries });
        } else {
            self.publish(name, sends);
        }
    }

    fn crash(&mut self, name: Name, unacknowledged: &[Message]) {
        self.crashes += 1;
        let faults = &self.network.faults;
        let back = self.now.plus(self.rng.random_range(1_000..faults.down.max(1_001)));
        let party = self.parties.get_mut(&name).expect("a party of this world");
        party.role = None;
        party.store.crash();
        if faults.sessions {
            party.held.extend_from_slice(unacknowledged);
        }
        self.schedule(back, Event::Restart(name));
    }

    /// Publishes messages of a party; what its villain makes of them, if it has one.
    ///
    /// # Panics
    ///
    /// If a message is larger than a broker has to carry.
    pub fn publish(&mut self, from: Name, mut sends: Vec<Outgoing>) {
        for Outgoing { topic, payload, .. } in &sends {
            assert!(payload.len() <= LARGEST, "{topic} has {} bytes", payload.len());
            let message = Message { topic: topic.to_string(), payload: payload.clone() };
            let work = self.work.of(from);
            work.messages += 1;
            work.bytes += message.bytes();
            self.witness.message(from, &message, &self.parties[&from].store, &self.deployment);
        }
        for villainy in &mut self.villainies {
            villainy(&self.deployment, from, &mut sends);
        }
        for Outgoing { topic, payload, retain } in sends {
            let message = Message { topic: topic.to_string(), payload };
            for (to, delay) in self.network.publish(from, &message, retain, self.now) {
                self.schedule(self.now.plus(delay), Event::Deliver(to, message.clone()));
            }
        }
    }

    /// All meters, in the order of the homes.
    pub fn meter_ids(&self) -> Vec<MeterId> {
        self.deployment.meters.iter().map(|keys| keys.meter).collect()
    }

    /// The sink's store, as it would be left after a crash or not.
    pub fn sink_store(&self) -> &MemoryStore {
        &self.parties[&Name::Sink].store
    }

    /// The sink.
    ///
    /// # Panics
    ///
    /// If it is down.
    pub fn sink(&self) -> &Sink {
        self.parties[&Name::Sink].sink().expect("the sink is up")
    }

    /// A party starts again from another store, as from a backup.
    ///
    /// # Panics
    ///
    /// If there is no such party.
    pub fn restore(&mut self, name: Name, store: MemoryStore) {
        self.kill(name, Some(self.now));
        self.parties.get_mut(&name).expect("a party of this world").store = store;
        self.restart(name);
    }
}
