//! The world: all parties, the network, virtual time; one seed, one history.
//!
//! The driver keeps the contract of the services: take deliveries, commit, publish, acknowledge. What was not
//! acknowledged when a party crashed is delivered again. A crash may come before the commit, in it, after it, and
//! between two messages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use deployment::{Deployment, Plan};
use meter_agent::meter::Reading;
use protocol::hpke_box::{OpeningKey, Suite};
use protocol::id::{Hash, MeterId, QueryId};
use protocol::policy::Policy;
use protocol::release::selection::Selection;
use protocol::roster::{Roster, RosterDocument, assemble};
use protocol::rule::Rule;
use protocol::shamir::Point;
use protocol::tariff::Tariff;
use protocol::topic::Outgoing;
use protocol::unit::{Moment, Slot, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};
use store::{MemoryStore, Store, Table};

use super::homes::{self, DAY, FIRST, Homes, INTERVAL, day, interval, slot_length, tariffs};
use super::network::{Faults, Message, Name, Network};
use super::party::{Given, Paces, Party, Role, Stopped};
use super::witness::Witness;

/// What the sink asked for by a name: query ids, kept with the query as the sink's service keeps them.
const ASKED: Table = Table("asked");

/// What a world is like.
#[expect(clippy::struct_excessive_bools, reason = "a test's switches")]
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) n: usize,
    pub(crate) t: usize,
    pub(crate) homes: usize,
    pub(crate) days: u32,
    pub(crate) batch_slots: u32,
    /// Whether meters can read again what they missed while they were down.
    pub(crate) replayable: bool,
    /// Whether curves are released interval by interval, with the sums of load vectors.
    pub(crate) grid: bool,
    /// Whether the sink asks only when everybody has everything.
    pub(crate) patient: bool,
    /// A driver that publishes before it commits: what a simulator must notice.
    pub(crate) sends_early: bool,
}

impl Setup {
    pub(crate) fn new(n: usize, t: usize) -> Self {
        Self {
            n,
            t,
            homes: 3,
            days: 2,
            batch_slots: 6,
            replayable: true,
            grid: false,
            patient: true,
            sends_early: false,
        }
    }
}

/// What is to be released.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Goal {
    /// Everybody's bill of a day.
    Bills(u32),
    /// The group's curve of a day.
    Curve(u32),
    /// An interval of a day.
    Interval(u32, u32),
}

impl Goal {
    fn day(self) -> u32 {
        match self {
            Self::Bills(day) | Self::Curve(day) | Self::Interval(day, _) => day,
        }
    }
}

/// What happens next.
enum Event {
    Deliver(Name, Message),
    Tick(Name),
    Read(usize),
    Restart(Name),
    BrokerRestart,
    CutOff(Name, bool),
}

/// A change of what a party says, made by whoever controls it.
pub(crate) type Villainy = Box<dyn FnMut(&Deployment, Name, &mut Vec<Outgoing>)>;

/// The world.
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) deployment: Deployment,
    pub(crate) homes: Homes,
    pub(crate) paces: Paces,
    pub(crate) now: Moment,
    pub(crate) network: Network,
    pub(crate) parties: BTreeMap<Name, Party>,
    pub(crate) witness: Witness,
    pub(crate) refusals: BTreeMap<(Name, Rule), u32>,
    pub(crate) tariffs: Vec<(Hash, Tariff)>,
    pub(crate) goals: BTreeSet<Goal>,
    /// What the sink asked, and what it derived: a selection never changes.
    pub(crate) asked: BTreeMap<Goal, QueryId>,
    pub(crate) selections: BTreeMap<QueryId, Selection>,
    pub(crate) villainies: Vec<Villainy>,
    pub(crate) crashes: u32,
    /// The roster that whoever runs a party has given it, if it is not the first, and the next box keys.
    pub(crate) rosters: BTreeMap<Name, Roster>,
    pub(crate) box_keys: BTreeMap<Name, OpeningKey>,
    /// Aggregators that a patient sink does not wait for.
    pub(crate) given_up: BTreeSet<usize>,
    /// Milliseconds by which every party's clock is ahead.
    pub(crate) ahead: u64,
    rng: ChaCha8Rng,
    events: BTreeMap<(Moment, u64), Event>,
    order: u64,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("setup", &self.setup).field("now", &self.now).finish_non_exhaustive()
    }
}

impl World {
    /// A world with all parties up at the first midnight; `faults` draws what goes wrong.
    pub(crate) fn new(
        seed: u64,
        setup: Setup,
        faults: impl FnOnce(&mut ChaCha8Rng, Moment) -> Faults,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plan = Plan {
            name: "sim".into(),
            aggregators: setup.n,
            threshold: setup.t,
            suite: Suite::X25519,
            slot: slot_length(),
            policy: Policy {
                k: 2,
                bill_days: 1,
                coverage: 500,
                functionals: 2,
                smallest_cell: 3,
                tariff_meters: 2,
                grid_interval: if setup.grid { INTERVAL * 3_600 } else { 0 },
                ..Policy::production()
            },
            homes: (0..setup.homes).map(|home| format!("home-{home}")).collect(),
            group: setup.homes,
            valid_from: Timestamp(0),
            valid_to: Timestamp(u64::MAX),
        };
        let mut keys = ChaCha20Rng::seed_from_u64(rng.random());
        let deployment = Deployment::create(&plan, &mut keys).expect("the plan keeps its promises");
        let start = Moment(slot_length().start_of(FIRST).0 * 1_000);
        let end = start.plus(u64::from(setup.days) * 86_400_000);
        let faults = faults(&mut rng, end.plus(12 * 3_600_000));
        let network = Network::new(faults, ChaCha8Rng::seed_from_u64(rng.random()));
        let homes = Homes::draw(setup.homes, setup.days, &mut rng);
        let names = (0..setup.n).map(Name::Aggregator).chain((0..setup.homes).map(Name::Meter));
        let parties = names.chain([Name::Sink]).map(|name| {
            let rng = ChaCha20Rng::seed_from_u64(rng.random());
            let store = MemoryStore::default();
            (name, Party { name, store, rng, role: None, held: Vec::new(), dead: false })
        });
        let curves = |day| {
            let parts = if setup.grid { DAY / INTERVAL } else { 0 };
            let whole = (!setup.grid).then_some(Goal::Curve(day));
            whole.into_iter().chain((0..parts).map(move |part| Goal::Interval(day, part)))
        };
        let goals = (0..setup.days).flat_map(|day| curves(day).chain([Goal::Bills(day)])).collect();
        let mut world = Self {
            paces: Paces::new(setup.batch_slots),
            deployment,
            homes,
            now: start,
            network,
            parties: parties.collect(),
            witness: Witness::default(),
            refusals: BTreeMap::new(),
            tariffs: Vec::new(),
            goals,
            asked: BTreeMap::new(),
            selections: BTreeMap::new(),
            villainies: Vec::new(),
            crashes: 0,
            rosters: BTreeMap::new(),
            box_keys: BTreeMap::new(),
            given_up: BTreeSet::new(),
            ahead: 0,
            rng,
            events: BTreeMap::new(),
            order: 0,
            setup,
        };
        world.begin(start, end);
        world
    }

    fn begin(&mut self, start: Moment, end: Moment) {
        let names: Vec<Name> = self.parties.keys().copied().collect();
        for name in &names {
            self.restart(*name);
            self.schedule(self.now.plus(1_000), Event::Tick(*name));
        }
        for home in 0..self.setup.homes {
            for slot in FIRST.0..=self.homes.end().0 {
                let late = self.rng.random_range(1_000..60_000);
                let at = Moment(slot_length().start_of(Slot(slot)).0 * 1_000 + late);
                self.schedule(at, Event::Read(home));
            }
        }
        let (from, to) = (start.0, end.0.max(self.network.faults.until.0).min(end.0 + 43_200_000));
        if self.network.faults.until <= start {
            return;
        }
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

    /// Schedules a party's end, and its return if it has one.
    pub(crate) fn kill(&mut self, name: Name, back: Option<Moment>) {
        let party = self.parties.get_mut(&name).expect("a party of this world");
        party.store.crash();
        party.role = None;
        party.dead = back.is_none();
        if let Name::Aggregator(index) = name {
            self.given_up.insert(index);
        }
        if let Some(back) = back {
            self.schedule(back, Event::Restart(name));
        }
    }

    /// Makes the next roster, with new box keys of aggregator 1 and of the sink, whose secrets they have from their next start on.
    pub(crate) fn next_roster(&mut self) -> Roster {
        let old = &self.deployment.roster;
        let mut document = RosterDocument { epoch: 2, previous: Some(old.hash()), ..old.document().clone() };
        let mut rng = ChaCha20Rng::seed_from_u64(self.rng.random());
        let (of_aggregator, of_sink) = (
            OpeningKey::generate(2, Suite::X25519, &mut rng),
            OpeningKey::generate(2, Suite::X25519, &mut rng),
        );
        document.aggregators[1].box_keys[0].key = of_aggregator.sealing_key();
        document.utility.box_key = of_sink.sealing_key();
        self.box_keys.extend([(Name::Aggregator(1), of_aggregator), (Name::Sink, of_sink)]);
        let keys: Vec<_> = self.deployment.aggregators.iter().map(|keys| (keys.point, &keys.key)).collect();
        let next = assemble(document, &self.deployment.registrar, &keys).expect("a good successor");
        self.witness.next = Some(next.clone());
        next
    }

    /// Stops a party and starts it again a moment later with another roster.
    pub(crate) fn give(&mut self, name: Name, roster: &Roster) {
        self.rosters.insert(name, roster.clone());
        self.kill(name, Some(self.now.plus(60_000)));
        if let Name::Aggregator(index) = name {
            self.given_up.remove(&index);
        }
    }

    /// The moment so many hours after the first midnight.
    pub(crate) fn moment(hours: u64) -> Moment {
        Moment(slot_length().start_of(FIRST).0 * 1_000).plus(hours * 3_600_000)
    }

    /// Lets events happen up to a moment.
    pub(crate) fn run_until(&mut self, until: Moment) {
        while let Some((&(at, _), _)) = self.events.first_key_value() {
            if at > until {
                break;
            }
            let Some((_, event)) = self.events.pop_first() else { break };
            self.now = at;
            self.happen(event);
        }
        self.now = until;
    }

    /// Lets events happen until all is done.
    ///
    /// # Panics
    ///
    /// If it is not by then.
    pub(crate) fn run_to_the_end(&mut self, within_hours: u64) {
        let (end, well) = (Self::moment(u64::from(self.setup.days) * 24), self.network.faults.until);
        let deadline = end.max(well).plus(within_hours * 3_600_000);
        while !(self.now >= end && self.is_done()) {
            assert!(self.now < deadline, "not done after {within_hours} hours: {}", self.describe());
            self.run_until(self.now.plus(600_000));
        }
    }

    /// All goals reached, all outboxes empty but for what the dead are owed.
    pub(crate) fn is_done(&self) -> bool {
        let drained = self.parties.values().all(|party| match (&party.role, party.dead) {
            (Some(Role::Meter(meter)), _) => {
                // nobody is owed anything, but for those who are gone for good
                meter.owed().keys().all(|point| self.is_given_up(*point))
                    && meter.resume_at() == Some(self.homes.end())
            }
            (role, dead) => role.is_some() || dead,
        });
        drained && self.goals.iter().all(|goal| self.has_ended(*goal))
    }

    pub(crate) fn has_ended(&self, goal: Goal) -> bool {
        let party = &self.parties[&Name::Sink];
        let Some(id) = self.asked.get(&goal) else { return false };
        party.sink().is_some_and(|sink| {
            let given_up = sink.given_up(*id, &party.store).expect("the store runs");
            sink.has_ended(*id, &party.store).expect("the store runs")
                || matches!((goal, given_up), (Goal::Curve(_), Some(Rule::Differencing)))
        })
    }

    fn describe(&self) -> String {
        let mut lines = vec![format!("{:?}", self.network.faults)];
        for party in self.parties.values() {
            lines.push(match &party.role {
                None => format!("{:?} is down, dead: {}", party.name, party.dead),
                Some(Role::Meter(meter)) => {
                    format!("{:?}: backlog {}, owed {:?}", party.name, meter.backlog(), meter.owed())
                }
                Some(Role::Aggregator(aggregator)) => {
                    format!("{:?}: {} records", party.name, aggregator.records())
                }
                Some(Role::Sink(sink)) => {
                    let releases = self.asked.iter().map(|(goal, id)| {
                        let release = sink.release(*id);
                        let progress = release.map(utility_sink::sink::release::Release::progress);
                        let waiting = release.and_then(|release| release.waiting().cloned());
                        format!("{goal:?} {id}: {progress:?}, ended {}, {waiting:?}", self.has_ended(*goal))
                    });
                    releases.collect::<Vec<_>>().join("\n")
                }
            });
        }
        lines.push(format!("refusals: {:?}", self.refusals));
        lines.join("\n")
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver(to, message) => self.deliver(to, message),
            Event::Tick(name) => {
                let pause = self.rng.random_range(30_000..600_000);
                self.schedule(self.now.plus(pause), Event::Tick(name));
                self.step(name, Vec::new(), |party, now| Ok((party.tick(now)?, Vec::new())));
                if name == Name::Sink {
                    self.ask_what_is_due();
                }
            }
            Event::Read(home) => self.read(home, self.setup.replayable),
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
        self.step(Name::Sink, Vec::new(), |party, _| {
            Ok((party.sink().map(utility_sink::sink::Sink::announcements).unwrap_or_default(), Vec::new()))
        });
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
        let more = self.rng.random_range(0..8);
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
        self.step(to, group.clone(), |party, now| party.handle_all(&group, now));
    }

    fn read(&mut self, home: usize, replay: bool) {
        let latest = slot_length().slot_at(self.now.timestamp()).expect("a slot of this century");
        let latest = latest.min(self.homes.end());
        let Some(resume) = self.parties[&Name::Meter(home)].meter().map(meter_agent::meter::Meter::resume_at)
        else {
            return;
        };
        let first = if replay { resume.map_or(FIRST.0, |at| at.0 + 1) } else { latest.0 };
        let readings: Vec<Reading> = (first..=latest.0)
            .map(|slot| self.homes.reading(home, Slot(slot)))
            .filter(|reading| resume.is_none_or(|resume| reading.at > resume))
            .collect();
        let ended = latest == self.homes.end();
        self.step(Name::Meter(home), Vec::new(), |party, now| {
            let Party { role: Some(Role::Meter(meter)), store, rng, .. } = party else { return Err(Stopped) };
            let mut sends = Vec::new();
            for reading in readings {
                let sealed = meter.observe(reading, now, store, rng).map_err(|_| Stopped)?;
                sends.extend(sealed.expect("the registers of a home are good"));
            }
            if ended {
                sends.extend(meter.flush(now, store, rng).map_err(|_| Stopped)?);
            }
            Ok((sends, Vec::new()))
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
                let documents = tariffs();
                let mut published = Vec::new();
                self.step(name, Vec::new(), |party, _| {
                    let Party { role: Some(Role::Sink(sink)), store, .. } = party else {
                        return Err(Stopped);
                    };
                    for document in documents {
                        let tariff = Tariff::new(document.clone(), slot_length()).expect("a good tariff");
                        let (hash, _) = sink.publish_tariff(document, store).map_err(|_| Stopped)?;
                        published.push((hash, tariff));
                    }
                    Ok((sink.announcements(), Vec::new()))
                });
                if !published.is_empty() {
                    self.tariffs = published;
                }
            }
            Name::Meter(home) => self.read(home, self.setup.replayable),
            Name::Aggregator(_) => {}
        }
    }

    /// Asks for what is due and was not asked for yet.
    fn ask_what_is_due(&mut self) {
        for goal in self.goals.clone() {
            let hours = match goal {
                Goal::Interval(day, part) => 24 * day + (part + 1) * INTERVAL,
                _ => 24 * (goal.day() + 1),
            };
            if self.now < Self::moment(hours.into()) || self.asked.contains_key(&goal) {
                continue;
            }
            // Curves come after the bills of their slots: a member whose bill has a gap is in none.
            let before = match goal {
                Goal::Bills(day) => day.checked_sub(1).map(Goal::Bills),
                Goal::Curve(day) => Some(Goal::Bills(day)),
                Goal::Interval(..) => None,
            };
            if before.is_some_and(|before| self.goals.contains(&before) && !self.has_ended(before)) {
                continue;
            }
            if self.setup.patient && !self.everybody_has_everything(Slot(FIRST.0 + hours)) {
                continue;
            }
            self.ask(goal);
        }
    }

    /// Whether every meter has sealed up to a slot and every living aggregator has acknowledged all.
    fn everybody_has_everything(&self, until: Slot) -> bool {
        (0..self.setup.homes).all(|home| {
            self.parties[&Name::Meter(home)].meter().is_some_and(|meter| {
                meter.resume_at().is_some_and(|at| at >= until)
                    && meter.owed().keys().all(|point| self.is_given_up(*point))
            })
        })
    }

    fn is_given_up(&self, point: Point) -> bool {
        self.given_up.contains(&(usize::from(u8::from(point)) - 1))
    }

    pub(crate) fn meter_ids(&self) -> Vec<MeterId> {
        self.deployment.meters.iter().map(|keys| keys.meter).collect()
    }

    /// Asks for a goal, once, as the sink's service does.
    pub(crate) fn ask(&mut self, goal: Goal) {
        let meters = self.meter_ids();
        let group = self.deployment.meters[0].group.clone();
        let tariffs: Vec<Hash> = self.tariffs.iter().map(|(hash, _)| *hash).collect();
        let mut asked = None;
        self.step(Name::Sink, Vec::new(), |party, now| {
            let Party { role: Some(Role::Sink(sink)), store, rng, .. } = party else { return Err(Stopped) };
            let key = format!("{goal:?}");
            if let Some(bytes) = store.get(ASKED, key.as_bytes()).map_err(|_| Stopped)? {
                let bytes = <[u8; 16]>::try_from(&bytes[..]).expect("a query's id");
                asked = Some(QueryId::from(bytes));
                return Ok((Vec::new(), Vec::new()));
            }
            let (id, sends) = match goal {
                Goal::Bills(index) => sink.ask_bills(day(index), &tariffs, &meters, now, store, rng),
                Goal::Curve(index) => sink.ask_curve(day(index), group, &meters, now, store, rng),
                Goal::Interval(index, part) => {
                    let slots = (interval(index, part), day(index));
                    sink.ask_interval(slots, group, &meters, now, store, rng)
                }
            }
            .map_err(|_| Stopped)?;
            store.put(ASKED, key.as_bytes(), id.as_bytes()).map_err(|_| Stopped)?;
            asked = Some(id);
            Ok((sends, Vec::new()))
        });
        // Known only if it was committed.
        let store = super::witness::committed(&self.parties[&Name::Sink].store);
        if let Some(id) = asked
            && store.get(ASKED, format!("{goal:?}").as_bytes()).expect("the store runs").is_some()
        {
            self.asked.insert(goal, id);
        }
    }

    /// One step of a party, with all the ways in which it may end.
    pub(crate) fn step(
        &mut self,
        name: Name,
        deliveries: Vec<Message>,
        act: impl FnOnce(&mut Party, Moment) -> Result<(Vec<Outgoing>, Vec<protocol::rule::Refusal>), Stopped>,
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
        let Ok((mut sends, refusals)) = act(party, now.plus(self.ahead)) else {
            panic!("{name:?} stopped, and nobody had stopped its store");
        };
        for refusal in refusals {
            *self.refusals.entry((name, refusal.rule)).or_default() += 1;
        }
        if crash == Some(1) {
            party.store.fail_next_commit();
        }
        let committed = crash != Some(0) && party.store.commit().is_ok();
        if let Some(sink) = party.sink().filter(|_| committed) {
            for id in self.asked.values() {
                if let Some(selection) = sink.release(*id).and_then(|release| release.selection()) {
                    let first = self.selections.entry(*id).or_insert_with(|| selection.clone());
                    assert_eq!(first, selection, "the selection of {id} changed");
                }
            }
        }
        if let Some(kind) = crash {
            let sent =
                if committed || self.setup.sends_early { self.rng.random_range(0..=sends.len()) } else { 0 };
            sends.truncate(sent);
            self.publish(name, sends);
            self.crash(name, if kind == 3 { Vec::new() } else { deliveries });
        } else {
            self.publish(name, sends);
        }
    }

    fn crash(&mut self, name: Name, unacknowledged: Vec<Message>) {
        self.crashes += 1;
        let back = self.now.plus(self.rng.random_range(1_000..2 * 3_600_000));
        let sessions = self.network.faults.sessions;
        let party = self.parties.get_mut(&name).expect("a party of this world");
        party.role = None;
        party.store.crash();
        if sessions {
            party.held.extend(unacknowledged);
        }
        self.schedule(back, Event::Restart(name));
    }

    /// Publishes messages of a party; what its villain makes of them, if it has one.
    pub(crate) fn publish(&mut self, from: Name, mut sends: Vec<Outgoing>) {
        for Outgoing { topic, payload, .. } in &sends {
            let message = Message { topic: topic.to_string(), payload: payload.clone() };
            self.witness.sees(from, &message, &self.parties[&from].store, &self.deployment);
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

    pub(crate) fn home_of(&self, meter: MeterId) -> usize {
        let position = self.deployment.meters.iter().position(|keys| keys.meter == meter);
        position.expect("a meter of this deployment")
    }

    /// The days of the replay, in slots.
    pub(crate) fn whole(&self) -> protocol::unit::SlotRange {
        homes::range(FIRST.0, self.homes.end().0)
    }
}
